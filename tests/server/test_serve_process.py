"""The server as a process: how it starts, refuses, survives a full disk, and ends."""

import http.client
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError
from ai_memory.server import run

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = [sys.executable, "-m", "ai_memory"]


@pytest.fixture
def started(tmp_path, free_port):
    """Start a server; gives the process. Every server ends with the test."""
    running = []

    def start(*arguments, data=None, prefix=(), env=None):
        log = tmp_path / f"log{len(running)}"
        command = [*prefix, *PROGRAM, "serve", "--data-dir", str(data or tmp_path / "data")]
        command += ["--bind", f"127.0.0.1:{free_port}", *arguments]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, cwd=ROOT, stderr=stream, env={**os.environ, **(env or {})})
        process.log = log
        running.append(process)
        deadline = time.monotonic() + 30
        while process.poll() is None and "listening on" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.poll() is None, log.read_text()
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def ask(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def say(port, session, event, **body):
    path = f"/hook?event={event}&agent=codex&cwd=/srv/shop&ingest_key={session[:8]}{event}{len(str(body))}"
    return ask(port, "POST", path, json.dumps({"session_id": session, **body}))


def refused(*arguments, env=None):
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, env={**os.environ, **(env or {})}
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


SESSION = "7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11"


def test_sigterm_ends_it_with_everything_written_and_committed(started, free_port, tmp_path):
    server = started()
    for event, body in (
        ("user-prompt", {"prompt": "fix it"}),
        ("stop", {"last_assistant_message": "x"}),
        ("session-end", {}),
    ):
        assert say(free_port, SESSION, event, **body)[0] == 202
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0
    log = subprocess.run(["git", "log", "--format=%s"], cwd=tmp_path / "data" / "wiki", capture_output=True, text=True)
    assert log.stdout.strip() == "session 7b0e5f9e: fix it"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare to be process 1")
@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_as_process_one_it_ends_on_signals_too(started, signal_):
    outer = started(prefix=["unshare", "--pid", "--fork", "--kill-child"])
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    os.kill(int(children[0]), signal_)
    assert outer.wait(10) == 0


def test_a_second_server_is_refused_and_told_who_has_the_directory(started, tmp_path):
    first = started()
    code, said = refused("serve", "--data-dir", str(tmp_path / "data"), "--bind", "127.0.0.1:0")
    assert code == 3
    assert f"in use by the server with process id {first.pid}" in said


def test_a_server_that_was_killed_does_not_lock_out_the_next(started):
    started().kill()
    started()


def test_a_network_address_without_a_token_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "in_container", lambda: False)
    settings = load_settings(tmp_path / "data", flags={"bind": "0.0.0.0:0"})
    with pytest.raises(ConfigError, match=r"refusing to listen on 0\.0\.0\.0:0 without a token"):
        run.serve(settings, insecure=False)
    assert not (tmp_path / "data").exists()


def test_inside_a_container_a_network_address_without_a_token_is_a_loud_warning(tmp_path, free_port):
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--data-dir", str(tmp_path / "data"), "--bind", f"0.0.0.0:{free_port}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "container": "podman"},
    )
    said = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=10)
    assert "NO TOKEN IS SET and the server listens on 0.0.0.0" in said


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("bind = 1", "bind in {file} must be a text, not 1"),
        ("capture_prompts = 'yes'", "capture_prompts in {file} must be true or false, not 'yes'"),
        ("session_idle_secs = 0", "session_idle_secs must be at least 1, not 0 ({file})"),
        ("bind = 'nowhere'", "bind 'nowhere' is not an address: write HOST:PORT, for example 127.0.0.1:49374"),
        ("[sanitize]\nextra_patterns = ['(']", "'(' is not a regular expression: missing )"),
        ("x = [", "the configuration file {file} is not valid TOML"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_place(tmp_path, config, sentence):
    data = tmp_path / "data"
    data.mkdir()
    (data / "config.toml").write_text(config)
    code, said = (
        refused("serve", "--data-dir", str(data), "--bind", "127.0.0.1:0")
        if "bind" not in config
        else refused("serve", "--data-dir", str(data))
    )
    assert code == 2
    assert sentence.format(file=data / "config.toml") in said


def test_an_address_that_is_taken_is_told(started, free_port, tmp_path):
    started()
    code, said = refused("serve", "--data-dir", str(tmp_path / "other"), "--bind", f"127.0.0.1:{free_port}")
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{free_port}" in said


def test_everything_it_writes_is_private(started, free_port, tmp_path):
    server = started()
    for event, body in (("user-prompt", {"prompt": "fix it"}), ("stop", {}), ("session-end", {})):
        say(free_port, SESSION, event, **body)
    server.terminate()
    server.wait(10)
    others = stat.S_IRWXG | stat.S_IRWXO
    open_to_others = [path for path in (tmp_path / "data").rglob("*") if path.stat().st_mode & others]
    assert open_to_others == []


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder]).returncode:
        pytest.skip("cannot mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_room(started, free_port, small_disk):
    data = small_disk / "data"
    server = started(data=data)
    say(free_port, SESSION, "user-prompt", prompt="fix it")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    status, text = say(free_port, SESSION, "stop", last_assistant_message="y" * 60_000)
    assert (status, "could not be written" in text) == (507, True)
    assert "last_error" in ask(free_port, "GET", "/admin/status")[1]
    filler.unlink()
    assert say(free_port, SESSION, "stop", last_assistant_message="y" * 60_000)[0] == 202
    assert say(free_port, SESSION, "session-end")[0] == 202
    server.terminate()
    assert server.wait(20) == 0
    rows = [json.loads(line) for file in data.glob("raw/*/*/*.jsonl") for line in file.read_text().splitlines()]
    assert [row["kind"] for row in rows if "kind" in row] == ["user-prompt", "stop", "session-end"]


def test_a_read_only_data_directory_is_told_before_anything_is_promised(small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    code, said = refused("serve", "--data-dir", str(small_disk / "data"), "--bind", "127.0.0.1:0")
    assert code == 3
    assert "cannot be used: Read-only file system" in said


def test_init_writes_every_setting_explained_and_never_overwrites(tmp_path):
    data = tmp_path / "data"
    first = subprocess.run([*PROGRAM, "--data-dir", str(data), "init"], cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0
    file = data / "config.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("capture_prompts = false\n")
    again = subprocess.run([*PROGRAM, "--data-dir", str(data), "init"], cwd=ROOT, capture_output=True, text=True)
    assert (again.returncode, file.read_text()) == (0, "capture_prompts = false\n")


def test_status_without_a_server_says_so_and_exits_with_4(tmp_path, free_port):
    code, said = refused(
        "--data-dir", str(tmp_path / "data"), "status", env={"AI_MEMORY_SERVER_URL": f"http://127.0.0.1:{free_port}"}
    )
    assert code == 4
    assert f"no server answers at http://127.0.0.1:{free_port}" in said


@pytest.mark.parametrize("command", [["serve", "--bind", "127.0.0.1:0"], ["reindex"]])
@pytest.mark.parametrize("place", ["raw", "db", "db/state.db"])
def test_a_data_directory_with_something_odd_in_it_is_one_line_and_exit_code_3(tmp_path, place, command):
    (tmp_path / "wiki").mkdir()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).mkdir() if place.endswith(".db") else (tmp_path / place).touch()
    done = subprocess.run(
        [*PROGRAM, "--data-dir", str(tmp_path), *command], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, line.partition(":")[0], place in line) == (3, "error", True), line
