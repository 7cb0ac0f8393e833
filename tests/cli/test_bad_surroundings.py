"""What a command says when something around it is not as it should be: one line, and an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run(tmp_path, *arguments, stdout=subprocess.PIPE, **env):
    """Run a command without a server; gives its exit code and its lines on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "ai_memory", "--data-dir", str(tmp_path / "data"), *arguments],
        cwd=tmp_path,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )
    return done.returncode, done.stderr.decode().splitlines()


@pytest.mark.parametrize("command", [["serve"], ["reindex"]])
def test_a_machine_without_git_is_told_so(tmp_path, own_home, command):
    (tmp_path / "data" / "wiki").mkdir(parents=True)
    assert run(tmp_path, *command, PATH=str(tmp_path)) == (
        3,
        ["error: git was not found on the PATH: install it, or put its folder there"],
    )


@pytest.mark.parametrize("url", ["foo", "http://127.0.0.1:port", "http://[::1", "http://127.0.0.1:99999", "ftp://host"])
def test_an_address_that_is_none_is_a_wrong_setting(tmp_path, own_home, url):
    code, (said,) = run(tmp_path, "search", "x", AI_MEMORY_SERVER_URL=url)
    assert code == 2
    assert said == (
        f"error: server_url {url!r} (AI_MEMORY_SERVER_URL) is not a URL: write one like http://127.0.0.1:49374"
    )


@pytest.mark.parametrize("command", [["reset", "--confirm"]])
def test_a_data_directory_that_cannot_be_used_is_named(tmp_path, own_home, command):
    (tmp_path / "data").write_text("a file")
    code, said = run(tmp_path, *command)
    assert (code, len(said)) == (2, 4)  # click's own: it is a file
    (tmp_path / "data").unlink()
    (tmp_path / "data" / ".lock").mkdir(parents=True)
    lock = tmp_path / "data" / ".lock"
    assert run(tmp_path, *command) == (
        3,
        [f"error: the data directory {lock.parent} cannot be used: Is a directory ({lock})"],
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", [["--version"], ["--help"], ["where"]])
def test_an_output_that_takes_nothing_is_one_line(tmp_path, own_home, command):
    with open("/dev/full", "wb") as full:
        code, said = run(tmp_path, *command, stdout=full)
    assert (code, said) == (1, ["error: standard output cannot be written: No space left on device"])


def test_an_agent_that_nobody_knows_is_refused(desk):
    code, said = desk.refuses("finalize-session", "--agent", "nope")
    assert (code, "'nope' is no agent: say one of claude-code, codex," in said) == (2, True)
    assert desk.says("finalize-session", "--agent", "Claude") == "no open session of Claude Code\n"


def test_durable_rows_that_were_lost_are_told_of(desk):
    assert "gone at the start" not in desk.says("status")
    desk.writes("a.md", "one")
    desk.stop()
    (desk.data / "db" / "state.db").unlink()
    desk.serve()
    assert "db/state.db was gone at the start: what was open is lost" in desk.says("status")
    assert "state.db was gone" in desk.log.read_text()


def test_a_fresh_directory_has_nothing_made_anew(desk):
    assert "made anew" not in desk.says("status")
