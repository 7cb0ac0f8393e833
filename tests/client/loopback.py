"""A server on loopback that can be told to fail in every way."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ("claude-code", "codex", "gemini-cli", "open-code")


def until(true, seconds=10.0):
    """Wait until something is true; fail when it never is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.01)


class FakeServer(ThreadingHTTPServer):
    """Stores a batch's items once per key. `mode` says what it does with a request first."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Door)
        self.mode = "ok"
        self.token = ""
        self.context = ""
        self.context_type = "text/plain; charset=utf-8"
        self.stored = {}
        self.posted = 0
        self.item_secs = 0.0
        self.bad = None
        self.outcomes = []
        self.asked = []
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that hung up is what these tests are about."""

    def bodies(self):
        return [item["body"] for item in self.stored.values()]


class _Door(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="application/json"):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def fails(self):
        mode = self.server.mode
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.answer(401, {"error": "token"})
            return True
        if mode == "hang":
            self.server.go_on.wait(30)
        if isinstance(mode, int):
            self.answer(mode, {"accepted": 0})
            return True
        if mode == "garbage":
            self.wfile.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            return True
        if mode == "page":
            self.answer(200, b"<html>hello</html>", "text/html")
            return True
        if mode == "drip":
            self.send_response(200)
            self.flush_headers()
            for _ in range(600):
                if self.server.go_on.wait(0.05):
                    break
                self.wfile.write(b"X-Drip: 1\r\n")
                self.wfile.flush()
            return True
        return False

    def do_GET(self):
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert 0 < int(asked.pop("wait_ms")) < 900
        self.server.asked.append(asked)
        if not self.fails():
            self.answer(200, self.server.context.encode(), self.server.context_type)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted += 1
        if self.fails():
            return
        items = json.loads(raw)
        failed, accepted = None, 0
        for index, item in enumerate(items):
            query = {name: values[0] for name, values in parse_qs(urlsplit(item["url"]).query).items()}
            if self.server.bad == "400" and item["body"].get("bad"):
                self.answer(400, b"one item is bad", "text/plain")
                return
            if self.server.bad == "failed_index" and item["body"].get("bad"):
                failed = index
                break
            time.sleep(self.server.item_secs)
            self.server.stored.setdefault(query["ingest_key"], {**item, "query": query, "headers": dict(self.headers)})
            accepted += 1
        if self.server.mode == "commit-and-drop":
            self.close_connection = True
            return
        answer = {"accepted": accepted}
        if self.server.outcomes:
            answer["results"] = [
                {"index": index, "outcome": outcome} for index, outcome in enumerate(self.server.outcomes)
            ]
        if failed is not None:
            answer["failed_index"] = failed
        if self.server.mode == "gaps" and accepted > 1:
            for item in items[1::2]:
                query = parse_qs(urlsplit(item["url"]).query)
                del self.server.stored[query["ingest_key"][0]]
            answer = {"accepted": 1, "accepted_indices": list(range(0, len(items), 2))}
        self.answer(200, answer)
