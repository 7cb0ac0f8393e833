"""`ltm-server`: the first token, those of others, and a server of packets alone that says what it needs."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ai_memory.cli import cli
from ai_memory.errors import BadRequestError, ConfigError, NotFoundError
from ai_memory.server import run

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "ai_memory"]


@pytest.fixture
def runs(tmp_path):
    """Run a command of `ltm-server` in this process; gives its standard output and standard error."""

    def run(*arguments):
        done = CliRunner().invoke(
            cli,
            ["--data-dir", str(tmp_path / "data"), "ltm-server", *arguments],
            standalone_mode=False,
            catch_exceptions=False,
        )
        return done.stdout, done.stderr

    return run


def tokens(runs):
    return json.loads(runs("tokens", "--json")[0])["tokens"]


def test_the_first_token_is_alone_on_standard_output(runs):
    out, err = runs("init")
    assert (len(out.strip()), out.strip().isalnum(), out.count("\n")) == (48, True, 1)
    assert "shown once" in err
    assert out.strip() not in err
    (row,) = tokens(runs)
    assert (row["user_id"], row["label"]) == ("owner", "ltm-server init")
    assert runs("init")[0] != out


def test_a_token_makes_a_new_user_unless_one_is_named(runs):
    out, err = runs("issue-token", "Ana")
    assert 'issued token for "Ana" (shown once)' in err
    assert len(out.strip()) == 48
    (ana,) = tokens(runs)
    assert ana["display"] == "Ana"
    runs("issue-token", "laptop", "--user", ana["user_id"])
    runs("issue-token", "Ben", "--email", "ben@example.org")
    runs("issue-token", "Ben's laptop", "--email", "ben@example.org")
    users = [row["user_id"] for row in tokens(runs)]
    assert users[:2] == [ana["user_id"]] * 2
    assert users[2] == users[3] != ana["user_id"]
    with pytest.raises(NotFoundError, match="there is no user"):
        runs("issue-token", "x", "--user", "nobody-of-this-name")
    with pytest.raises(BadRequestError, match="say one of user"):
        runs("issue-token", "x", "--user", ana["user_id"], "--email", "a@b.c")


def test_a_revoked_token_is_gone(runs):
    runs("init")
    (row,) = tokens(runs)
    assert runs("revoke", row["hash8"])[0] == f"revoked {row['hash8']} (ltm-server init) of owner\n"
    assert runs("tokens") == ("", "there are no tokens: `ai-memory ltm-server init` makes the first one\n")
    with pytest.raises(NotFoundError):
        runs("revoke", row["hash8"])
    with pytest.raises(BadRequestError, match="first 8 digits"):
        runs("revoke", "../..")


def test_without_a_token_it_does_not_start(runs):
    with pytest.raises(ConfigError, match="ltm-server init"):
        runs("--addr", "127.0.0.1:0")


@pytest.mark.parametrize(("addr", "bind"), [(":8081", ("0.0.0.0", 8081)), ("[::1]:80", ("::1", 80))])
def test_a_port_alone_is_all_addresses(runs, monkeypatch, addr, bind):
    served = []
    monkeypatch.setattr(run, "serve_packets", served.append)
    runs("--addr", addr, "--external-url", "https://packets.example")
    assert [(each.bind, each["external_url"]) for each in served] == [(bind, "https://packets.example")]


@pytest.mark.parametrize(
    "url", ["memory.example.org", "ftp://x", "https://", "https://a b", "http://[", "https://x/?q"]
)
def test_an_external_address_that_is_none_is_refused(runs, url):
    with pytest.raises(ConfigError, match="external_url"):
        runs("--external-url", url)


def asks(port, path, token=""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Host": "packets.example", **({"Authorization": f"Bearer {token}"} if token else {})}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_server_of_packets_alone_lives_with_its_commands(tmp_path, free_port, runs):
    data, log = tmp_path / "data", tmp_path / "log"
    token = runs("init")[0].strip()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*PROGRAM, "--data-dir", str(data), "ltm-server", "--addr", f"127.0.0.1:{free_port}"],
            cwd=ROOT,
            stderr=stream,
            env={**os.environ, "LTM_EXTERNAL_URL": "https://packets.example/"},
        )
    try:
        deadline = time.monotonic() + 30
        while "listening on" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert asks(free_port, "/v1/healthz")[0] == 200
        assert asks(free_port, "/v1/packets", token) == (200, b'{\n  "packets": []\n}\n')
        assert [asks(free_port, f"/admin/{door}", token)[0] for door in ("status", "ltm-tokens")] == [404, 401]
        # The directory is the server's now: it is asked.
        given = runs("issue-token", "Ana")[0].strip()
        assert asks(free_port, "/v1/packets", given)[0] == 200
        (row,) = [row for row in tokens(runs) if row["label"] == "Ana"]
        runs("revoke", row["hash8"])
        assert asks(free_port, "/v1/packets", given)[0] == 401
        assert (data / "ltm-server").stat().st_mode & 0o777 == 0o600
        second = subprocess.run(
            [*PROGRAM, "--data-dir", str(data), "ltm-server", "--addr", "127.0.0.1:0"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (second.returncode, "A server that runs there answers /v1 too" in second.stderr) == (3, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
    assert not (data / "ltm-server").exists()
    assert not any(each in log.read_text() for each in (token, given))
