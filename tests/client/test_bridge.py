"""The bridge as a process, before a server that does what the test wants."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import parse_qs

import pytest
from loopback import ROOT, until
from mcp_loopback import CLIENT, HELLO, BridgeProcess, McpDoor, event, request, result


@pytest.fixture
def door():
    opened = McpDoor()
    yield opened
    opened.close()


@pytest.fixture
def start(environment, project, data_dir):
    """Start a bridge; it ends with the test."""
    started = []

    def run(url, *arguments, cwd=project, **env):
        told = ["--server-url", url, "--data-dir", str(data_dir), *arguments]
        started.append(BridgeProcess(*told, cwd=cwd, env=environment | env))
        return started[-1]

    yield run
    for bridge in started:
        bridge.kill()


@pytest.fixture
def bridge(start, door):
    return start(door.url)


def failure(key, text, code=-32000):
    return {"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": text}}


def test_a_request_says_who_asks_and_from_where_and_its_answer_is_passed_on(start, door, project, data_dir):
    subprocess.run(["git", "init", "-q", project], check=True)
    data_dir.mkdir()
    (data_dir / "auth-token").write_text("a-token\n")
    bridge = start(door.url, CLAUDE_CODE_SESSION_ID="7b0e5f9e", GEMINI_SESSION_ID="another")
    answers = [bridge.greet(), bridge.ask(request("a", "tools/list", cursor="é"))]
    (_, first, _), (path, second, body) = door.asked
    routing = {name: values[0] for name, values in parse_qs(second.pop("X-Memory-Routing")).items()}
    assert answers == [result(0, protocolVersion="2025-06-18", capabilities={}), result("a", method="tools/list")]
    assert (path, body) == ("/mcp", request("a", "tools/list", cursor="é"))
    assert routing == {"cwd": str(project), "repo_root": str(project)}
    assert "MCP-Protocol-Version" not in first
    assert second == {
        "Host": door.url.removeprefix("http://"),
        "Accept-Encoding": "identity",
        "Content-Length": str(len(json.dumps(body)) + 1),
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Connection": "close",
        "Authorization": "Bearer a-token",
        "User-Agent": "claude-code/2.1 (ai-memory mcp)",
        "MCP-Protocol-Version": "2025-06-18",
        "X-Memory-Actor-Session-Id": "7b0e5f9e",
    }


def test_a_request_of_the_newest_protocol_says_in_headers_what_it_says_inside(bridge, door):
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "gemini cli", "version": "0.61"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    bridge.ask(request(1, "server/discover", _meta=meta))
    bridge.ask(request(2, "tools/call", name="memory_query", arguments={}, _meta=meta))
    bridge.ask(request(3, "tools/call", name="größe", arguments={}, _meta=meta))
    names = ("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "User-Agent")
    assert [[headers.get(name) for name in names] for _, headers, _ in door.asked] == [
        ["2026-07-28", "server/discover", None, "gemini-cli/0.61 (ai-memory mcp)"],
        ["2026-07-28", "tools/call", "memory_query", "gemini-cli/0.61 (ai-memory mcp)"],
        ["2026-07-28", "tools/call", "=?base64?Z3LDtsOfZQ==?=", "gemini-cli/0.61 (ai-memory mcp)"],
    ]


def test_a_session_id_of_the_agent_around_is_not_sent_for_the_agent_inside(start, door):
    bridge = start(door.url, CLAUDE_CODE_SESSION_ID="of the agent around")
    bridge.greet()
    bridge.ask(request(1, "initialize", **{**HELLO, "clientInfo": {"name": "codex-mcp-client", "version": "0"}}))
    sessions = [headers.get("X-Memory-Actor-Session-Id") for _, headers, _ in door.asked]
    assert sessions == ["of the agent around", None]


def test_a_marker_names_the_project_and_a_bad_one_is_told_on_stderr_only(bridge, door, project):
    (project / ".ai-memory.toml").write_text('workspace = "acme"\nproject = "shop"\n')
    bridge.ask(request(1, "tools/list"))
    (project / ".ai-memory.toml").write_text("project = 7\n")
    assert bridge.ask(request(2, "tools/list")) == result(2, method="tools/list")
    routings = [parse_qs(headers.get("X-Memory-Routing", "")) for _, headers, _ in door.asked]
    marked = {"cwd": [str(project)], "workspace": ["acme"], "project": ["shop"], "project_src": ["marker"]}
    assert routings == [marked, {}]
    until(lambda: b"the directory says nothing of its project" in bridge.errors)


def test_the_home_directory_is_no_project(start, door, own_home):
    start(door.url, cwd=own_home).ask(request(1, "tools/list"))
    assert "X-Memory-Routing" not in door.asked[0][1]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"{no\n", failure(None, "the line is not JSON: ", -32700)),
        (b'{"jsonrpc": "2.0", "id": "\xff"}\n', failure(None, "the line is not JSON: ", -32700)),
        (b"[]\n", failure(None, "batches are not taken: send one message a line", -32600)),
        (b"7\n", failure(None, 'the message is not a JSON-RPC object ("jsonrpc": "2.0")', -32600)),
        (
            b'{"id": 1, "method": "x"}\n',
            failure(None, 'the message is not a JSON-RPC object ("jsonrpc": "2.0")', -32600),
        ),
        (b'{"jsonrpc": "2.0", "id": 1}\n', failure(1, "method must be a text", -32600)),
        (
            b'{"jsonrpc": "2.0", "id": 1.5, "method": "x"}\n',
            failure(None, "id must be a text or a whole number", -32600),
        ),
        (
            b'{"jsonrpc": "2.0", "id": null, "method": "x"}\n',
            failure(None, "id must be a text or a whole number", -32600),
        ),
        (
            json.dumps(request(1, "x", text="x" * (10 << 20))).encode() + b"\n",
            failure(1, "the message is larger than 10 MiB", -32600),
        ),
    ],
)
def test_what_is_no_request_is_answered_without_the_server(bridge, door, line, answer):
    bridge.tell(b"\n")
    said = bridge.ask(line)
    if answer["error"]["code"] == -32700:
        said["error"]["message"] = said["error"]["message"][: len("the line is not JSON: ")]
    assert said == answer
    assert bridge.ask(request(2, "ping")) == result(2)
    assert door.asked == []


def test_what_has_no_answer_is_passed_on_in_order_and_silently(bridge, door):
    bridge.greet()
    told = [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 9, "result": {"roots": []}},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
    ]
    for message in told:
        bridge.tell(message)
    assert bridge.ask(request(1, "tools/list")) == result(1, method="tools/list")
    assert door.bodies()[1:4] == told
    assert bridge.hears_nothing_more()


def test_of_several_requests_each_is_answered_when_its_answer_is_there(bridge, door):
    usual = door.answer

    def answer(body):
        if body["method"] == "slow":
            assert door.go_on.wait(20)
        return usual(body)

    door.answer = answer
    bridge.tell(request("slow", "slow"))
    until(door.bodies)
    assert bridge.ask(request("slow", "again")) == failure(
        "slow", "this id is in use: its request is not answered yet", -32600
    )
    for number in range(40):
        bridge.tell(request(number, "quick"))
    assert sorted(bridge.hear()["id"] for _ in range(40)) == list(range(40))
    door.go_on.set()
    assert bridge.hear() == result("slow", method="slow")


def test_a_cancelled_request_is_let_go_and_never_answered(bridge, door):
    usual = door.answer
    door.answer = lambda body: door.stays_silent(body) if body["method"] == "slow" else usual(body)
    bridge.tell(request(1, "slow"))
    until(door.bodies)
    bridge.tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": [1]}})
    bridge.tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}})
    assert not door.hung_up.is_set()
    bridge.tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    assert bridge.ask(request(1, "quick")) == result(1, method="quick")
    assert door.hung_up.wait(5)
    assert bridge.ask(request(2, "quick")) == result(2, method="quick")
    assert [body["method"] for body in door.bodies()] == ["slow", "quick", "quick"]


def test_progress_is_passed_on_before_the_answer(bridge, door):
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 0.5}}
    spread = json.dumps(result(1, text="a\r\nb"), indent=1).replace("\n", "\ndata: ")
    door.answer = lambda _: ["id: 1\ndata:\n\n", ": still here\n\n", event(progress), f"data: {spread}\n\n"]
    assert [bridge.ask(request(1, "tools/call")), bridge.hear()] == [progress, result(1, text="a\r\nb")]


def test_a_stream_that_ends_without_the_answer_is_an_error(bridge, door):
    door.answer = lambda _: ["data: \n\n"]
    text = f"ai-memory: the server at {door.url} ended its answer too early."
    assert bridge.ask(request(1, "tools/call")) == failure(1, text)


def test_away_it_says_where_and_what_to_do_and_it_finds_the_server_when_it_is_back(start, free_port):
    url = f"http://127.0.0.1:{free_port}"
    bridge = start(url)
    refused = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    text = f"ai-memory: no server answers at {url}: {refused}. "
    text += "Start it with `ai-memory serve`; the next call will find it."
    assert [bridge.greet(), bridge.ask(request("x", "tools/list"))] == [failure(0, text), failure("x", text)]
    bridge.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
    door = McpDoor(free_port)
    try:
        assert bridge.ask(request(1, "tools/list")) == result(1, method="tools/list")
    finally:
        door.close()
    assert bridge.ask(request(2, "tools/list"))["error"]["code"] == -32000


@pytest.mark.parametrize("method", ["initialize", "server/discover"])
def test_a_client_that_asks_who_is_there_gets_an_answer_within_two_seconds(bridge, door, method):
    door.answer = door.hangs
    began = time.monotonic()
    said = bridge.ask(request(0, method))
    assert said == failure(0, "ai-memory: the server gave no answer within 2 s. The next call may find it.")
    assert 1.9 < time.monotonic() - began < 8


def test_a_token_that_is_refused_is_said_and_the_new_one_in_the_file_is_found(start, door, data_dir):
    door.token = "new-token"
    bridge = start(door.url, AI_MEMORY_AUTH_TOKEN="old-token")
    text = (
        f"ai-memory: the server at {door.url} refused the token (401). Set AI_MEMORY_AUTH_TOKEN to the server's token, "
        f"or write it to {data_dir / 'auth-token'}."
    )
    assert bridge.greet() == failure(0, text)
    data_dir.mkdir()
    (data_dir / "auth-token").write_text("new-token")
    assert bridge.ask(request(1, "tools/list")) == result(1, method="tools/list")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (403, "text/plain", "forbidden host\n"),
            failure(1, "ai-memory: the server answered 403 and no MCP message: forbidden host"),
        ),
        (
            (200, "text/html", "<p>Hello"),
            failure(1, "ai-memory: the server answered 200 and no MCP message: <p>Hello"),
        ),
        ((404, "application/json", json.dumps(failure(1, "é", -32601))), failure(1, "é", -32601)),
        ((400, "application/json", json.dumps(failure("server-error", "bad", -32600))), failure(1, "bad", -32600)),
        ((400, "application/json", json.dumps(failure(None, "bad", -32600))), failure(1, "bad", -32600)),
    ],
)
def test_an_answer_that_is_a_refusal_becomes_an_error_of_its_request(bridge, door, answer, said):
    door.answer = lambda _: answer
    assert bridge.ask(request(1, "tools/list")) == said


def test_a_session_that_the_server_lost_is_begun_anew(start, door):
    sessions = iter(["s-1", "s-2"])
    usual = door.answer

    def answer(body):
        if body.get("method") == "initialize":
            door.session = next(sessions)
        elif door.asked[-1][1].get("Mcp-Session-Id") != door.session:
            return 404
        return usual(body)

    door.answer = answer
    bridge = start(door.url)
    bridge.greet()
    assert bridge.ask(request(1, "tools/list")) == result(1, method="tools/list")
    door.session = "gone"
    assert bridge.ask(request(2, "tools/list")) == result(2, method="tools/list")
    assert bridge.end()[0] == 0
    told = [(body["method"] if body else path, headers.get("Mcp-Session-Id")) for path, headers, body in door.asked]
    assert told == [
        ("initialize", None),
        ("tools/list", "s-1"),
        ("tools/list", "s-1"),
        ("initialize", None),
        ("notifications/initialized", "s-2"),
        ("tools/list", "s-2"),
        ("DELETE", "s-2"),
    ]


def test_when_stdin_ends_what_is_under_way_is_still_answered(bridge, door):
    usual = door.answer
    door.answer = lambda body: usual(body) if door.go_on.wait(20) else 500
    bridge.tell(request(1, "tools/list"))
    bridge.process.stdin.close()
    until(door.bodies)
    door.go_on.set()
    assert bridge.hear() == result(1, method="tools/list")
    assert bridge.process.wait(5) == 0


def test_when_stdin_ends_it_does_not_wait_for_a_server_that_hangs(bridge, door):
    door.answer = door.hangs
    bridge.tell(request(1, "tools/list"))
    until(door.bodies)
    status, seconds = bridge.end()
    assert status == 0
    assert seconds < 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_silently(bridge, door, number):
    door.answer = door.hangs
    bridge.tell(request(1, "tools/list"))
    until(door.bodies)
    bridge.process.send_signal(number)
    assert bridge.process.wait(10) == 0
    assert (bridge.errors, bridge.hears_nothing_more()) == (b"", True)


def test_a_bug_is_answered_too_and_told_on_stderr(environment, project):
    program = [sys.executable, "-c", "from ai_memory.client.bridge import Bridge; Bridge(lambda: 1 // 0, '.').run()"]
    bridge = BridgeProcess(cwd=project, env=environment | {"PYTHONPATH": str(ROOT)}, program=program)
    try:
        assert bridge.greet() == failure(0, "ai-memory: the bridge failed, and says why on stderr.")
        until(lambda: b"ZeroDivisionError" in bridge.errors)
    finally:
        bridge.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--toolset", "none"], "there is no toolset none: there are wiki, records, memories, packets"),
        (["--toolset"], "--toolset needs a value"),
        (["now"], "now is not known here: there are --server-url, --data-dir, --toolset, and all in `ai-memory mcp`"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(environment, arguments, said):
    command = [sys.executable, "-I", "-S", CLIENT, "mcp", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ai-memory: {said}\n")


def test_help_says_what_it_is(environment):
    command = [sys.executable, "-I", "-S", CLIENT, "mcp", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: mcp [--server-url URL]")


def test_the_end_of_a_session_is_told_with_the_token_that_the_server_takes(start, door, data_dir):
    door.token, door.session = "new-token", "s-1"
    data_dir.mkdir()
    (data_dir / "auth-token").write_text("new-token")
    bridge = start(door.url, AI_MEMORY_AUTH_TOKEN="old-token")
    bridge.greet()
    assert bridge.end()[0] == 0
    told = [headers.get("Authorization") for path, headers, body in door.asked if path == "DELETE"]
    assert told == ["Bearer old-token", "Bearer new-token"]


def test_another_toolset_has_its_own_door_also_below_a_path(start, door):
    start(f"{door.url}/memory/mcp", "--toolset=records").greet()
    assert door.asked[0][0] == "/memory/mcp/records"


def test_staged_it_knows_its_data_directory_and_the_address_of_the_hooks(
    client_dir, environment, project, door, points_to, data_dir
):
    points_to(door.url)
    (data_dir / "auth-token").write_text("a-token\n")
    program = [sys.executable, "-I", "-S", str(client_dir / "client" / "__main__.py"), "mcp"]
    bridge = BridgeProcess(cwd=project, env=environment, program=program)
    try:
        assert bridge.greet() == result(0, protocolVersion="2025-06-18", capabilities={})
    finally:
        bridge.kill()
    assert door.asked[0][1]["Authorization"] == "Bearer a-token"


def test_until_the_first_answer_it_loads_nothing_that_takes_long(environment, project, door):
    program = [sys.executable, "-I", "-S", "-X", "importtime", str(CLIENT), "mcp", "--server-url", door.url]
    bridge = BridgeProcess(cwd=project, env=environment, program=program)
    try:
        bridge.greet()
    finally:
        bridge.kill()
    loaded = {line.rpartition(b"|")[2].strip().decode() for line in bridge.errors.splitlines()}
    assert "http.client" in loaded
    assert loaded & {"json", "argparse", "dataclasses", "typing", "subprocess", "asyncio", "logging"} == set()
