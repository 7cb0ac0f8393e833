"""An MCP server that says what the test wants, and the bridge as a process, as a client starts it."""

import json
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loopback import ROOT

CLIENT = ROOT / "ai_memory" / "client" / "__main__.py"
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "claude-code", "version": "2.1"}}


def request(key, method, **params):
    return {"jsonrpc": "2.0", "id": key, "method": method, **({"params": params} if params else {})}


def result(key, **values):
    return {"jsonrpc": "2.0", "id": key, "result": values}


def event(message):
    return f"event: message\ndata: {json.dumps(message)}\n\n"


class McpDoor(ThreadingHTTPServer):
    """Answers with what `answer(body)` gives: a message, a status, (status, kind, text), or texts of a stream."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), _Door)
        self.asked = []
        self.token = ""
        self.session = ""
        self.hung_up = threading.Event()
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, body):
        if "id" not in body or "method" not in body:
            return 202
        if body["method"] == "initialize":
            return result(body["id"], protocolVersion="2025-06-18", capabilities={})
        return result(body["id"], method=body["method"])

    def hangs(self, _):
        """Let the client wait until the end of the test."""
        self.go_on.wait(30)
        return 500

    def stays_silent(self, _):
        """Stream nothing until the client hangs up, and tell."""
        try:
            while not self.go_on.wait(0.02):
                yield ": nothing\n\n"
        finally:
            self.hung_up.set()

    def handle_error(self, request, client_address):
        """A client that hung up is what these tests are about."""

    def close(self):
        self.go_on.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def bodies(self):
        return [body for _, _, body in self.asked]


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_DELETE(self):
        self.server.asked.append(("DELETE", dict(self.headers), None))
        if self.is_let_in():
            self.send(200, "text/plain", "")

    def is_let_in(self):
        if not self.server.token or self.headers.get("Authorization") == f"Bearer {self.server.token}":
            return True
        self.send(401, "text/plain", "auth required\n")
        return False

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        if not self.is_let_in():
            return
        answer = self.server.answer(body)
        if isinstance(answer, dict):
            answer = (200, "application/json", json.dumps(answer, indent=1))
        if isinstance(answer, int):
            answer = (answer, "text/plain", "")
        if isinstance(answer, tuple):
            self.send(*answer)
        else:
            self.stream(answer)

    def send(self, status, kind, text):
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        if self.server.session:
            self.send_header("Mcp-Session-Id", self.server.session)
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, texts):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in texts:
            raw = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


class BridgeProcess:
    """The bridge; `tell` a message or a line, `hear` the next one."""

    def __init__(self, *arguments, cwd, env, program=(sys.executable, "-I", "-S", str(CLIENT), "mcp")):
        self.process = subprocess.Popen(
            [*program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
        )
        self._lines = queue.Queue()
        self.errors = b""
        for work in (self._read, self._read_errors):
            threading.Thread(target=work, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors += line

    def tell(self, message):
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def hear(self, seconds=30):
        """Give the next message; each line is one, and nothing else comes."""
        return json.loads(self._lines.get(timeout=seconds))

    def hears_nothing_more(self):
        return self._lines.empty()

    def ask(self, message, seconds=30):
        self.tell(message)
        return self.hear(seconds)

    def greet(self, **changes):
        return self.ask(request(0, "initialize", **HELLO, **changes))

    def end(self, seconds=30):
        """Close stdin; gives the status and the seconds until the end."""
        began = time.monotonic()
        self.process.stdin.close()
        return self.process.wait(seconds), time.monotonic() - began

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
