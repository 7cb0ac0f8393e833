"""Models at a terminal: one question as a test, and signing in at subscriptions."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click
import pytest
from click.testing import CliRunner

from ai_memory.cli import cli
from ai_memory.cli.llm_auth import WithSubscriptions
from ai_memory.errors import AiMemoryError

KEY = "sk-test-0123456789abcdef"
GITHUB = "gho_test0123456789"
GOOD = {"greeting": "Hello.", "mood": "good", "numbers": [1, 2, 3]}


class Model(ThreadingHTTPServer):
    """Speaks like OpenAI; `status` and `text` are what it answers."""

    daemon_threads = True
    status, text = 200, "Hello."

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Door)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked = []


class _Door(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_POST(self):
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        choice = {"message": {"content": self.server.text}, "finish_reason": "stop"}
        answer = {"choices": [choice], "usage": {"prompt_tokens": 1234, "completion_tokens": 5}}
        if self.server.status != 200:
            answer = {"error": {"message": f"no such model, {self.headers['Authorization']}"}}
        body = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def model():
    server = Model()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_API_KEY", KEY)

    def run(*arguments, command=cli, stdin=""):
        done = CliRunner().invoke(command, ["--data-dir", str(tmp_path), *arguments], input=stdin)
        if done.exception is not None and not isinstance(done.exception, AiMemoryError | SystemExit):
            raise done.exception
        assert KEY not in done.output
        assert GITHUB not in done.output
        return done

    return run


def named(model):
    return ["--provider", "openai-compat", "--model", "qwen3:8b", "--base-url", model.url]


def test_a_question_shows_the_answer_and_what_it_cost(run, model, tmp_path):
    (tmp_path / "prices.toml").write_text('[openai-compat]\n"*" = [1.0, 2.0]\n')
    done = run("llm-test", *named(model))
    first, *rest = done.stdout.splitlines()
    assert (done.exit_code, first, rest) == (0, "Hello.", [])
    assert "1,234 tokens in, 5 out, for $0.001244, in " in done.stderr
    assert [(body["model"], "response_format" in body) for body in model.asked] == [("qwen3:8b", False)]


def test_a_price_that_nobody_knows_is_said_to_be_unknown(run, model):
    assert "1,234 tokens in, 5 out, at a price that is not known, in " in run("llm-test", *named(model)).stderr


def test_a_shaped_answer_is_checked_to_the_last_key(run, model):
    model.text = json.dumps(GOOD)
    done = run("llm-test", "--structured", *named(model))
    assert (json.loads(done.stdout), "the answer has the shape that was asked for" in done.stderr) == (GOOD, True)
    model.text = json.dumps({**GOOD, "mood": "great"})
    done = run("llm-test", "--structured", *named(model))
    assert "its shape is wrong: /mood: one of good, bad is wanted, not 'great'" in done.stderr


def test_a_refusal_shows_what_the_vendor_says_without_the_key(run, model):
    model.status = 404
    done = run("llm-test", *named(model))
    assert "the vendor says: no such model, Bearer [REDACTED]" in done.stderr
    said = "openai-compat refused (HTTP 404): look at llm_model and llm_base_url"
    assert (str(done.exception), done.exception.exit_code) == (said, 1)


def test_without_a_provider_the_setting_is_named(run):
    done = run("llm-test")
    assert str(done.exception) == "no model is configured: set llm_provider, or name one with --provider"
    assert done.exception.exit_code == 2


def test_another_provider_does_not_get_the_model_of_the_settings(run, tmp_path, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_OAUTH_TOKEN", raising=False)
    monkeypatch.delenv("CLAUDE_CODE_OAUTH_TOKEN", raising=False)
    (tmp_path / "config.toml").write_text('llm_provider = "openai"\nllm_model = "gpt-4.1"\n')
    done = run("llm-test", "--provider", "anthropic-oauth")
    assert "asking claude-sonnet-4-6 of anthropic-oauth" in done.stderr
    assert "warning: anthropic-oauth uses a subscription through a back end" in done.stderr
    assert done.exception.kind == "unconfigured"


@pytest.fixture
def auth(run):
    """Run `auth` as it is with the subscriptions in it."""

    @click.group()
    @click.option("--data-dir")
    @click.pass_context
    def program(ctx, data_dir):
        ctx.obj = (data_dir and __import__("pathlib").Path(data_dir), None)

    @program.command(cls=WithSubscriptions)
    @click.argument("host", required=False, default="")
    def auth(host):
        click.echo(f"signing in at {host or 'the default'}")

    def typed(*arguments, stdin=""):
        return run("auth", *arguments, command=program, stdin=stdin)

    return typed


def test_the_other_meanings_of_auth_stay(auth):
    assert auth().output == "signing in at the default\n"
    assert auth("https://ltm.example").output == "signing in at https://ltm.example\n"


def test_signing_in_and_out_is_shown_and_the_token_is_not(auth, tmp_path):
    assert auth("status").output == "openai-oauth  not signed in\ncopilot       not signed in\n"
    done = auth("login", "copilot", "--github-token", stdin=f"{GITHUB}\n")
    assert done.exit_code == 0
    assert "warning: copilot uses a subscription" in done.stderr
    assert done.stdout == (
        f"✓ signed in at copilot; kept in {tmp_path / 'auth.json'}\n"
        'next: llm_provider = "copilot" in config.toml, then start the server again\n'
    )
    assert json.loads((tmp_path / "auth.json").read_text()) == {"copilot": {"github_token": GITHUB}}
    assert auth("status").output == "openai-oauth  not signed in\ncopilot       signed in\n"
    assert auth("logout", "copilot").output == "signed out of copilot\n"
    assert str(auth("logout", "copilot").exception).startswith("nobody is signed in at copilot")


def test_the_end_of_a_token_is_shown(auth, tmp_path):
    login = {"access_token": KEY, "refresh_token": GITHUB, "account_id": "a", "expires_at": 1_795_000_000.0}
    (tmp_path / "auth.json").write_text(json.dumps({"openai-oauth": login}))
    assert "openai-oauth  signed in; the token holds until 2026-11-1" in auth("status").output


def test_only_subscriptions_are_signed_in_at(auth):
    done = auth("login", "anthropic")
    assert done.exit_code == 2
    assert "'anthropic' is not one of 'openai-oauth', 'copilot'" in done.output
