"""Ways in which a hook was seen to lose an event or to hang, as processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parent.parent.parent / "ai_memory" / "client"


@pytest.fixture
def started(tmp_path, own_home):
    def start(stem, cwd=None):
        work = cwd or own_home / "src" / "shop"
        work.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "AI_MEMORY_DATA_DIR": str(tmp_path / "data"), "AI_MEMORY_HOOK_URL": "http://127.0.0.1:1"}
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(CLIENT / "__main__.py"), "claude-code", stem],
            cwd=work,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


def spooled(tmp_path):
    return len(list((tmp_path / "data" / "hook-spool").glob("*.event")))


def test_a_payload_that_comes_in_pieces_is_kept(started, tmp_path):
    payload = json.dumps({"session_id": "s", "last_assistant_message": "x" * 200_000}).encode()
    hook = started("stop")
    hook.stdin.write(payload[:65_536])
    hook.stdin.flush()
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        assert hook.poll() is None
    out, err = hook.communicate(payload[65_536:], timeout=10)
    assert (hook.returncode, out, err, spooled(tmp_path)) == (0, b"{}\n", b"", 1)


@pytest.mark.parametrize("text", [b'{"a":"b', b'{"a" 1}', b'{"a":1', b'{"a":"\\x"}'])
def test_broken_json_is_told_as_such(started, text):
    _, err = started("stop").communicate(text, timeout=10)
    assert b"the event is not JSON" in err
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("where", [".ai-memory.toml", ".git"])
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(started, own_home, tmp_path, where):
    work = own_home / "src" / "odd"
    work.mkdir(parents=True)
    os.mkfifo(work / where)
    hook = started("stop", work)
    out, _ = hook.communicate(b'{"session_id": "s"}', timeout=5)
    assert (hook.returncode, out, spooled(tmp_path)) == (0, b"{}\n", 1)


@pytest.mark.parametrize("cwd", ["/\\ud800", "/a\\u0000b"])
def test_a_directory_with_an_impossible_name_costs_no_event(started, tmp_path, cwd):
    hook = started("stop")
    hook.communicate(f'{{"session_id": "s", "cwd": "{cwd}"}}'.encode(), timeout=10)
    assert (hook.returncode, spooled(tmp_path)) == (0, 1)
