"""The event that the installer sends through the hook, and what it says of its fate."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from ai_memory.client import deliver
from ai_memory.client.agents import AGENTS
from ai_memory.install.staging import Connection, stage, staged_files
from ai_memory.install.verify import verify


class Door(BaseHTTPRequestHandler):
    """The two routes that the test needs."""

    def do_POST(self):
        items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.loses:
            self.server.events += [item["body"] for item in items]
        self._answer(200, {"accepted": len(items), "accepted_indices": list(range(len(items)))})

    def do_GET(self):
        self.server.asked.append(self.headers.get("Authorization"))
        nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
        seen = any(event["_ai_memory_self_test"] == nonce for event in self.server.events)
        self._answer(self.server.refuses or (200 if seen else 404))

    def _answer(self, status, body=None):
        text = json.dumps(body or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as door:
        door.events, door.asked, door.refuses, door.loses = [], [], 0, False
        door.url = f"http://127.0.0.1:{door.server_port}"
        thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield door
        door.shutdown()
        thread.join()


def prepare(site, url, agent="codex", stub=None):
    if stub is not None:
        (site.bundle / agent / "hook.sh").write_text(stub)
    stage(staged_files(AGENTS[agent], site.data_dir, site.bundle, Connection(url, "tok")))


@pytest.mark.parametrize("agent", ["claude-code", "codex", "gemini-cli", "open-code"])
def test_an_event_that_reaches_the_server_has_arrived(agent, real_site, server):
    prepare(real_site, server.url, agent)
    test = verify(AGENTS[agent], real_site.data_dir)
    assert (test.state, test.detail) == ("arrived", f"The test event reached the server at {server.url}.")
    (event,) = server.events
    assert {key: event[key] for key in ("cwd", "hook_event_name")} == {
        "cwd": str(real_site.data_dir),
        "hook_event_name": "Notification",
    }
    assert set(server.asked) == {"Bearer tok"}


def test_the_hooks_pause_after_a_dead_server_does_not_fail_the_test(real_site, server):
    prepare(real_site, "http://127.0.0.1:9")
    assert verify(AGENTS["codex"], real_site.data_dir).state == "spooled"
    deliver.drain(str(real_site.data_dir), time.monotonic() + 5)
    prepare(real_site, server.url)
    assert verify(AGENTS["codex"], real_site.data_dir).state == "arrived"
    assert len(server.events) == 2


def test_without_a_server_an_event_in_the_spool_is_spooled(real_site):
    prepare(real_site, "http://127.0.0.1:9")
    test = verify(AGENTS["codex"], real_site.data_dir)
    assert test.state == "spooled"
    assert test.detail == (
        "No server answers at http://127.0.0.1:9: the test event is spooled and will be delivered when it runs. "
        "Start it with: ai-memory serve"
    )


def test_without_a_server_and_without_a_spooled_event_it_failed(site):
    prepare(site, "http://127.0.0.1:9", stub="#!/bin/sh\nprintf '{}'\n")
    test = verify(AGENTS["codex"], site.data_dir)
    assert test.state == "failed"
    assert test.detail.endswith("http://127.0.0.1:9 does not answer, and the event is not in the spool either.")


def test_a_server_that_takes_the_event_and_never_knows_it_makes_it_failed(real_site, server):
    server.loses = True
    prepare(real_site, server.url)
    test = verify(AGENTS["codex"], real_site.data_dir, patience=1)
    assert test.state == "failed"
    assert test.detail.endswith("answered 404, and the event is not in the spool either.")


@pytest.mark.parametrize(("status", "said"), [(401, "refused the token"), (500, "answered 500")])
def test_a_server_that_refuses_makes_it_failed(status, said, real_site, server):
    server.refuses = status
    prepare(real_site, server.url)
    test = verify(AGENTS["codex"], real_site.data_dir)
    assert test.state == "failed"
    assert said in test.detail


@pytest.mark.parametrize(
    ("stub", "said"),
    [
        ("#!/bin/sh\necho broken >&2\nexit 3\n", "it ended with exit code 3. broken"),
        ("#!/bin/sh\necho hello\n", "it printed b'hello\\n' where the agent expects b'{}'."),
        ("#!/no/such/shell\n", "it ended with exit code 12"),
    ],
)
def test_a_hook_that_would_hurt_the_agent_makes_it_failed(stub, said, site):
    prepare(site, "http://127.0.0.1:9", stub=stub)
    test = verify(AGENTS["codex"], site.data_dir)
    assert test.state == "failed"
    assert test.detail.startswith("The hook did not work: ")
    assert said in test.detail
