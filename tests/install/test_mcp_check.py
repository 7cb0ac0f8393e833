"""An installed MCP entry tried as the client would, and what is said of the outcome."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ai_memory.install import mcp
from ai_memory.install.mcp_check import check
from ai_memory.install.mcp_clients import CLIENTS
from ai_memory.install.plan import apply, plan_install
from ai_memory.install.staging import Connection

TOKEN = "t0ken"


class Door(BaseHTTPRequestHandler):
    """As much of MCP as an installer asks for."""

    def do_GET(self):
        self._answer(200, "application/json", b"{}")

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = {name: self.headers.get(name) for name in ("Authorization", "Mcp-Session-Id", "Accept")}
        self.server.asked.append((self.path, message["method"], said))
        if self.server.status != 200:
            return self._answer(self.server.status, "text/plain", b"no")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, "text/plain", b"no")
        if "id" not in message:
            return self._answer(202, "text/plain", b"")
        results = {"initialize": {"serverInfo": {"name": "ai-memory"}}, "tools/list": {"tools": [{}, {}]}}
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        answer |= self.server.error or {"result": results[message["method"]]}
        text = json.dumps(answer)
        if self.server.streams:
            return self._answer(200, "text/event-stream", f"event: message\ndata: {text}\n\n".encode())
        return self._answer(200, "application/json", text.encode())

    def _answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.streams:
            self.send_header("Mcp-Session-Id", "s1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as door:
        door.asked, door.status, door.streams, door.error = [], 200, False, {}
        door.url = f"http://127.0.0.1:{door.server_port}"
        thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield door
        door.shutdown()
        thread.join()


def tried(name, site, door, connection=Connection()):
    (plan,) = plan_install([mcp.target(CLIENTS[name], door)], site, connection)
    apply(plan, site.data_dir, 1)
    found = plan.target.check(plan.config, site)
    return found.state, found.detail


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.address])
def test_every_clients_entry_is_read_from_its_file_and_tried(name, streams, site, server):
    server.streams = streams
    state, detail = tried(name, site, mcp.Door(server.url, token=TOKEN, toolset="records", flavor="gemini"))
    where = "/mcp/records?flavor=gemini"
    assert (state, detail) == ("answered", f"ai-memory answered at {server.url}{where} and offers 2 tools.")
    both = "application/json, text/event-stream"
    sent = {"Authorization": f"Bearer {TOKEN}", "Mcp-Session-Id": None, "Accept": both}
    assert server.asked == [
        (where, "initialize", sent),
        (where, "tools/list", sent | {"Mcp-Session-Id": "s1" if streams else None}),
    ]


def test_the_program_is_started_as_the_client_does_and_finds_server_and_token_by_itself(site, server, monkeypatch):
    monkeypatch.setenv("AI_MEMORY_AUTH_TOKEN", "of this shell")
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", "http://127.0.0.1:9")
    connection = Connection(server.url, TOKEN)
    state, detail = tried("claude-code", site, mcp.Door(server.url, token=TOKEN, bridged=True), connection)
    assert (state, detail) == ("answered", f"ai-memory answered at {server.url} and offers 2 tools.")
    assert {said["Authorization"] for _, _, said in server.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("bridged", [False, True])
def test_a_refused_token_is_a_failure(bridged, site, server):
    connection = Connection(server.url, "wrong")
    state, detail = tried("claude-code", site, mcp.Door(server.url, token="wrong", bridged=bridged), connection)
    assert (state, "refused the token" in detail) == ("failed", True)


@pytest.mark.parametrize("bridged", [False, True])
def test_without_a_server_a_person_is_told_how_to_start_one(bridged, site, free_port):
    url = f"http://127.0.0.1:{free_port}"
    state, detail = tried("claude-code", site, mcp.Door(url, bridged=bridged), Connection(url))
    assert (state, detail.startswith("No server answers at ")) == ("unreachable", True)
    assert detail.endswith("Start it with: ai-memory serve")


def test_an_address_where_something_else_answers_is_a_failure(site, server):
    server.status = 404
    state, detail = tried("cursor", site, mcp.Door(server.url))
    assert (state, detail) == (
        "failed",
        f"{server.url}/mcp answered 404 Not Found: is an ai-memory of this version there?",
    )


def test_an_answer_that_is_an_error_is_told(site, server):
    server.error = {"error": {"code": -32600, "message": "not today"}}
    state, detail = tried("cursor", site, mcp.Door(server.url, token=TOKEN))
    assert (state, detail) == ("failed", f"{server.url}/mcp refused: not today")


def test_a_program_that_does_not_work_is_told_with_what_it_said(server, tmp_path):
    (tmp_path / "client.json").write_text(json.dumps({"server_url": server.url}))
    said = check({"command": sys.executable, "args": ["-c", "raise SystemExit('no module')"]}, tmp_path)
    assert (said.state, said.detail) == ("failed", "The program did not answer. no module")
    said = check({"command": str(tmp_path / "gone"), "args": []}, tmp_path)
    assert said.state == "failed"
    assert said.detail.startswith("The program did not work: ")
    said = check({"command": sys.executable, "args": ["-c", "print('hello')"]}, tmp_path)
    assert (said.state, said.detail) == ("failed", f"{sys.executable} does not speak MCP.")
