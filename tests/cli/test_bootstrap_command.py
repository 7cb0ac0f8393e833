"""`bootstrap` and `backfill` as a person types them."""

import json
import os
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM
from tests.llm.model_vendors import ModelVendors

ROOT = Path(__file__).resolve().parent.parent.parent
FACT = "Carts are kept in SQLite."
ONE, TWO = "0b1c2d3e-0000-4000-8000-000000000001", "0b1c2d3e-0000-4000-8000-000000000002"


@pytest.fixture
def repo(own_home):
    repo = own_home / "shop"
    repo.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q", str(repo)], check=True)
    (repo / "README.md").write_text(FACT)
    (repo / "AGENTS.md").write_text("Use the token " + "ghp_" + "a1B2c3D4e5F6" * 3 + " never.")
    return repo


def test_a_dry_run_needs_no_server_and_shows_what_would_be_sent(type_, repo, monkeypatch):
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", "http://127.0.0.1:9")
    done = type_("bootstrap", "--repo-path", str(repo), "--dry-run")
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            f"would send 2 of 2 sources of {repo} (1 project rules, 1 readme), about 1,034 tokens in 1 question",
            "question 1: about 34 tokens",
            "       19  rules: AGENTS.md",
            "       15  README (README.md)",
            "cost: not known here, as no llm_provider is set on this machine; the server may have one",
        ],
    )
    report = json.loads(type_("bootstrap", "--repo-path", str(repo), "--dry-run", "--json", "--exclude-readme").out)
    assert report["sources_by_kind"] == {
        "project_rules": 1,
        "readme": 0,
        "doc_files": 0,
        "git_commits": 0,
        "module_headers": 0,
    }


def test_a_dry_run_knows_what_the_model_of_this_machine_costs(type_, repo, monkeypatch):
    monkeypatch.setenv("AI_MEMORY_LLM_PROVIDER", "anthropic")
    done = type_("bootstrap", "--repo-path", str(repo), "--dry-run")
    assert (
        done.out.splitlines()[-1] == "cost: $0.00 for what is sent, $0.32 with the longest answers (claude-haiku-4-5)"
    )


def test_a_dry_run_on_this_project_is_quick(type_):
    begun = time.monotonic()
    report = json.loads(type_("bootstrap", "--repo-path", str(ROOT), "--dry-run", "--json").out)
    assert time.monotonic() - begun < 10
    assert report["sources_sent"] > 20
    assert report["estimated_input_tokens"] <= 150_000


def test_who_stops_it_is_told_that_nothing_more_is_asked(type_, repo, monkeypatch):
    def stopped(lines):
        raise KeyboardInterrupt

    monkeypatch.setattr("ai_memory.cli.bootstrap._run", stopped)
    done = type_("bootstrap", "--repo-path", str(repo))
    assert done.code == 1
    assert "stopped: nothing more is asked" in done.err


def test_a_folder_that_is_no_repository_and_a_time_that_is_none_are_refused(type_, repo, tmp_path):
    done = type_("bootstrap", "--repo-path", str(tmp_path), "--dry-run")
    assert (done.code, "cannot be read as a repository" in done.err) == (1, True)
    done = type_("bootstrap", "--repo-path", str(repo), "--since", "tomorrow", "--dry-run")
    assert (done.code, "--since 'tomorrow' is not understood" in done.err) == (2, True)


def says(path, body):
    page = {"path": path, "title": "Carts", "body_markdown": body, "tags": []}
    return ("say", json.dumps({"pages": [page], "rationale": "So."}), "whole")


@pytest.fixture
def vendor():
    server = ModelVendors()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def session(file, prompt, at, cwd):
    def line(kind, seconds, text):
        stamp = (at + timedelta(seconds=seconds)).isoformat()
        return {"type": kind, "timestamp": stamp, "cwd": str(cwd), "message": {"role": kind, "content": text}}

    file.parent.mkdir(parents=True, exist_ok=True)
    reading = {"type": "tool_use", "id": "1", "name": "Read", "input": {"file_path": f"{cwd}/private/key.md"}}
    lines = [
        line("user", 0, prompt),
        line("assistant", 10, [reading]),
        line("user", 11, [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]),
        line("assistant", 60, [{"type": "text", "text": "Done."}]),
    ]
    file.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    os.utime(file, (at.timestamp(), at.timestamp()))


def test_a_project_is_bootstrapped_and_its_old_sessions_come_in_once(desk, repo, own_home, vendor, monkeypatch):
    desk.stop()
    desk._env |= {
        "AI_MEMORY_LLM_PROVIDER": "openai-compat",
        "AI_MEMORY_LLM_MODEL": "m",
        "AI_MEMORY_LLM_BASE_URL": f"{vendor.url}/v1",
    }
    desk.serve()
    (repo / "docs").mkdir()
    (repo / "docs/filling.md").write_text("word " * 700)
    (repo / "docs/totals.md").write_text(f"Totals are rounded per invoice. {'word ' * 700}")
    command = ["bootstrap", "--repo-path", str(repo), "--chunk-input-tokens", "2000"]

    # The server is killed while it waits for the second answer.
    vendor.script = [says("concepts/carts.md", FACT), "hang"]
    asking = subprocess.Popen([*PROGRAM, *command], env=desk._env, cwd=repo, stderr=subprocess.PIPE)
    wait_for(lambda: len(vendor.asked) == 2)
    desk._server.kill()
    desk._server.wait(10)
    assert b"1 of 2 answers, 1 page so far\n" in (said := asking.communicate(timeout=30)[1])
    assert (asking.returncode, b"Traceback" in said) == (4, False)
    vendor.go_on.set()
    desk.serve()
    vendor.script = [says("concepts/totals.md", "Totals are rounded per invoice.")]
    said = desk.says(*command)
    assert said.splitlines() == [
        "wrote 3 pages of default/shop; 1 answer of before went into them",
        "  bootstrap.md",
        "  concepts/carts.md",
        "  concepts/totals.md",
    ]
    assert len(vendor.asked) == 3
    assert FACT in desk.page("concepts/carts.md").read_text()
    assert "ghp_" not in json.dumps([asked[2] for asked in vendor.asked])
    refused = "server returned 422: default/shop was bootstrapped before, bootstrap.md says when: --force does it again"
    assert desk.refuses(*command) == (2, f"error: POST /admin/bootstrap: {refused}")
    assert "wrote 2 pages" in desk.says(*command, "--force")

    (repo / ".ai-memory.toml").write_text('[capture]\nignore_paths = ["private/**"]\n')
    folder = own_home / ".claude/projects/-shop"
    old = datetime(2026, 1, 31, 10, tzinfo=UTC)
    session(folder / f"{ONE}.jsonl", "Fix the rounding.", old, repo)
    session(folder / f"{TWO}.jsonl", "Still here.", datetime.now(UTC) - timedelta(minutes=5), repo)
    session(folder / "0b1c2d3e-0000-4000-8000-000000000003.jsonl", "At home.", old, own_home)
    counts = {"imported": 1, "known": 0, "deleted": 0, "empty": 0, "nowhere": 1, "elsewhere": 0, "at_work": 1}
    dry = json.loads(desk.says("backfill", "--dry-run", "--json"))
    assert dry == {"dry_run": True, "found": 3, **counts, "refused": [], "events": {}}
    done = json.loads(desk.says("backfill", "--json"))
    assert done == {**dry, "dry_run": False, "events": {"left out by the project": 1, "stored": 4}}
    again = json.loads(desk.says("backfill", "--json"))
    assert again == {**dry, "dry_run": False, "imported": 0, "known": 1}
    assert json.loads(desk.says("backfill", "--json", "--since", "2026-06-01"))["found"] == 1
    assert desk.says("backfill", "--project", "atlas").startswith("3 sessions: 0 imported, 1 here already")

    page = desk.page(f"sessions/{ONE}.md")
    wait_for(lambda: page.exists() and "10:01" in page.read_text())
    assert "Fix the rounding." in page.read_text()
    assert desk.says("handoffs").strip() == "no handoff is waiting"
