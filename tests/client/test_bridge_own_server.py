"""`ai-memory mcp --embedded`: a real server of its own, where none runs."""

import signal
import subprocess
import sys
import time

import pytest
from loopback import ROOT, until
from mcp_loopback import BridgeProcess, request

from ai_memory.client.own_server import OwnServer
from ai_memory.client.reach import UnreachableError
from ai_memory.errors import DirectoryInUseError
from ai_memory.store.lock import DirectoryLock

PROGRAM = [sys.executable, "-m", "ai_memory"]


@pytest.fixture
def variables(environment):
    return environment | {"PYTHONPATH": str(ROOT), "AI_MEMORY_SERVER_URL": "http://127.0.0.1:9"}


@pytest.fixture
def start(variables, project, data_dir):
    started = []

    def run(*arguments, cwd=project, **env):
        program = [*PROGRAM, "mcp", "--data-dir", str(data_dir)]
        started.append(BridgeProcess(*arguments, cwd=cwd, env=variables | env, program=program))
        return started[-1]

    yield run
    for bridge in started:
        if bridge.process.poll() is None:
            bridge.process.terminate()
            bridge.process.wait(20)
        bridge.kill()


@pytest.fixture
def server(variables, data_dir, tmp_path, free_port):
    """Start a server as a user does."""
    started = []

    def run(*arguments):
        for process in started:
            process.terminate()
            process.wait(20)
        log = tmp_path / "server.log"
        command = [*PROGRAM, "serve", "--data-dir", str(data_dir), "--bind", f"127.0.0.1:{free_port}", *arguments]
        with log.open("wb") as out:
            started.append(subprocess.Popen(command, env=variables, stderr=out))
        until(lambda: "listening on" in log.read_text(), 30)
        return f"http://127.0.0.1:{free_port}"

    yield run
    for process in started:
        process.terminate()
        assert process.wait(20) == 0


def is_free(data_dir):
    """Tell whether no server has the data directory."""
    lock = DirectoryLock(data_dir)
    try:
        lock.hold()
    except DirectoryInUseError:
        return False
    lock.release()
    return True


def name_of(answer):
    return answer["result"]["serverInfo"]["name"]


def test_a_server_is_started_for_it_and_stopped_with_it(start, data_dir):
    bridge = start("--embedded")
    assert name_of(bridge.greet()) == "ai-memory"
    assert not is_free(data_dir)
    assert bridge.end(30)[0] == 0
    assert is_free(data_dir)
    assert not (data_dir / "own-server").exists()
    assert bridge.hears_nothing_more()


def test_a_signal_ends_the_server_too(start, data_dir):
    bridge = start("--embedded")
    bridge.greet()
    bridge.process.send_signal(signal.SIGTERM)
    assert bridge.process.wait(20) == 0
    assert is_free(data_dir)


def test_a_second_one_uses_the_server_of_the_first_and_goes_on_when_that_ends(start, data_dir):
    first, second = start("--embedded"), start("--embedded")
    first.greet()
    address = (data_dir / "own-server").read_text()
    assert name_of(second.greet()) == "ai-memory"
    assert (data_dir / "own-server").read_text() == address
    first.end(30)
    assert "result" in second.ask(request(1, "tools/list"), 30)
    assert (data_dir / "own-server").read_text() != address


def test_the_server_that_runs_in_the_data_directory_is_used_and_stays(start, server, data_dir):
    bridge = start("--embedded", AI_MEMORY_SERVER_URL=server())
    assert name_of(bridge.greet()) == "ai-memory"
    assert bridge.end(20)[0] == 0
    assert not is_free(data_dir)


def test_a_server_of_another_data_directory_is_not_used(start, server, data_dir, tmp_path):
    url = server()
    bridge = start("--embedded", "--data-dir", str(tmp_path / "other"), AI_MEMORY_SERVER_URL=url)
    assert name_of(bridge.greet()) == "ai-memory"
    assert (tmp_path / "other" / "own-server").read_text() != url


def test_where_no_server_can_be_started_each_request_says_why(start, data_dir):
    (data_dir / ".lock").mkdir(parents=True)
    bridge = start("--embedded")
    for _ in range(2):
        error = bridge.greet()["error"]
        assert "no server could be started: error: the data directory" in error["message"]


def test_a_server_that_never_listens_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("ai_memory.client.own_server._STARTING", 0.3)
    server = OwnServer([sys.executable, "-c", "import time; time.sleep(60)"], str(tmp_path), "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="no server could be started: it says nothing"):
        server.url()
    server.stop()
    assert time.monotonic() - began < 5


def test_a_directory_with_a_very_long_name_is_understood(start, project):
    deep = project.joinpath(*["größe" * 30] * 15, "till")
    deep.mkdir(parents=True)
    bridge = start("--embedded", cwd=deep)
    bridge.greet()
    till = {"workspace": "default", "project": "till"}
    call = {"name": "memory_write_page", "arguments": {"path": "a.md", "body": "x", **till, "create_project": True}}
    written = bridge.ask(request(1, "tools/call", **call))["result"]["structuredContent"]
    status = bridge.ask(request(2, "tools/call", name="memory_status"))["result"]["structuredContent"]
    assert written["scope"] == {**till, "resolved_by": "explicit"}
    assert status["scope"] == {**till, "resolved_by": "name"}


def test_a_server_that_keeps_sessions_may_be_started_anew(start, server):
    bridge = start(AI_MEMORY_SERVER_URL=server("--http-stateful"))
    bridge.greet()
    bridge.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
    first = bridge.ask(request(1, "tools/list"))
    server("--http-stateful")
    assert bridge.ask(request(2, "tools/list"))["result"] == first["result"]
    assert bridge.end()[0] == 0
    assert bridge.errors == b""


def test_without_embedded_no_server_is_started(start, data_dir):
    bridge = start()
    assert "no server answers at http://127.0.0.1:9" in bridge.greet()["error"]["message"]
    assert not data_dir.exists()


def test_either_a_server_that_is_named_or_one_of_its_own(start):
    bridge = start("--embedded", "--server-url", "http://127.0.0.1:9")
    assert bridge.process.wait(20) == 2
    until(lambda: b"say either --server-url or --embedded" in bridge.errors)
