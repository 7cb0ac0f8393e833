"""`ai-memory user`: who has a token, and that nothing else of the file is ever lost or shown."""

import json
import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ai_memory.errors import BadRequestError, ConfigError, NotFoundError
from ai_memory.store import user_tokens

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def program(tmp_path):
    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "ai_memory", "--data-dir", str(tmp_path / "data"), "user", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )

    return run


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data" / "user_tokens.json"


def test_a_new_token_is_shown_once_and_kept_in_a_private_file(program, file):
    done = program("add", "ana")
    token = done.stdout.strip()
    assert done.returncode == 0, done.stderr
    assert len(token) >= 40
    assert "not shown again" in done.stderr
    assert json.loads(file.read_text()) == {token: "ana"}
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = json.loads(program("add", "ana", "--json").stdout)
    assert again == {"user": "ana", "token": again["token"], "file": str(file)}
    assert json.loads(file.read_text()) == {token: "ana", again["token"]: "ana"}
    listing = program("list")
    assert (listing.stdout, listing.stderr) == ("ana  2 tokens\n", "")


def test_a_removed_user_has_no_token_and_the_others_keep_theirs(program, file):
    bob = program("add", "bob").stdout.strip()
    for _ in range(2):
        program("add", "ana")
    done = program("remove", "ana", "--json")
    assert json.loads(done.stdout) == {"user": "ana", "tokens_removed": 2, "file": str(file)}
    assert json.loads(file.read_text()) == {bob: "bob"}
    listing = program("list", "--json")
    assert json.loads(listing.stdout) == {"users": [{"user": "bob", "tokens": 1}], "file": str(file)}
    done = program("remove", "ana")
    assert (done.returncode, done.stderr) == (1, "error: there is no user ana (who has a token: bob)\n")
    assert bob not in done.stderr


def test_without_a_file_there_are_no_users(program, file):
    done = program("list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"there are no users ({file})\n")
    done = program("remove", "ana")
    assert (done.returncode, done.stderr) == (2, f"error: {file} is missing (`ai-memory user add NAME` makes it)\n")
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', '{"x": "a", "x": "b"}', "\xff"])
def test_a_file_that_is_wrong_is_left_alone(file, content):
    file.parent.mkdir()
    file.write_bytes(content.encode("latin-1"))
    for change in (user_tokens.add, user_tokens.remove):
        with pytest.raises(ConfigError, match=r"user_tokens\.json"):
            change(file, "ana")
    assert file.read_bytes() == content.encode("latin-1")


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[2J", "a\nb", "x" * 201])
def test_a_name_that_is_none_is_refused(file, name):
    with pytest.raises(BadRequestError, match="the name of a user"):
        user_tokens.add(file, name)
    assert not file.exists()


def test_any_name_of_another_program_can_be_removed(file):
    file.parent.mkdir()
    file.write_text('{"a": "ana@example.org", "b": "bob"}')
    assert user_tokens.remove(file, "ana@example.org") == 1
    with pytest.raises(NotFoundError, match=r"\(who has a token: bob\)"):
        user_tokens.remove(file, "ana@example.org")


def test_users_that_are_added_at_once_all_have_their_token(program, file, tmp_path):
    command = [sys.executable, "-m", "ai_memory", "--data-dir", str(tmp_path / "data"), "user", "add"]
    names = [f"user-{n}" for n in range(6)]
    running = [
        subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for name in names
    ]
    shown = {process.communicate(timeout=60)[0].strip(): name for process, name in zip(running, names, strict=True)}
    assert json.loads(file.read_text()) == shown


def test_the_file_may_be_elsewhere_also_behind_a_link(program, file, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "tokens.json")
    token = program("add", "ana", MCP_TOKENS_PATH="link.json").stdout.strip()
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real" / "tokens.json").read_text()) == {token: "ana"}
    assert not file.exists()


def test_a_running_server_takes_a_change_at_the_next_request(desk):
    def status(token):
        request = urllib.request.Request(f"http://127.0.0.1:{desk._port}/mcp/sse", method="POST")
        request.add_header("Authorization", f"Bearer {token}")
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    token = desk.says("user", "add", "ana").strip()
    # 405: who has a token may go on to the stream.
    assert status(token) == 405
    desk.says("user", "remove", "ana")
    assert status(token) == 401
    assert token not in desk.log.read_text()


def test_status_warns_of_a_file_that_others_can_read(desk):
    desk.says("user", "add", "ana")
    assert "holds tokens" not in desk.says("status")
    (desk.data / "user_tokens.json").chmod(0o640)
    assert "holds tokens and has the mode 0640" in desk.says("status")
