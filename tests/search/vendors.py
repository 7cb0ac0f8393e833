"""A server on loopback that speaks the embedding calls of OpenAI, Voyage and Google, and fails as it is told."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-0123456789"


def raw_vector(said, dim):
    """What the server gives for a text: numbers that are its own, not of length 1."""
    seed = hashlib.shake_256(said.encode()).digest(dim)
    return [byte - 127.5 for byte in seed]


class Vendors(ThreadingHTTPServer):
    """Answers well until `fails` says otherwise: (status, body, headers), or "hang"; `spoil` changes good answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Door)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.dim = 8
        self.requests = []
        self.fails = None
        self.spoil = lambda answer: answer
        self.go_on = threading.Event()

    def handle_error(self, request, client_address):
        """A client that lost its patience is what these tests are about."""


class _Door(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append(("GET", self.path, dict(self.headers), None))
        self.answer(404, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(("POST", self.path, dict(self.headers), body))
        fails = self.server.fails
        if fails == "hang":
            self.server.go_on.wait(30)
        elif fails:
            self.answer(*fails)
        elif self.path.endswith(":batchEmbedContents"):
            self.google(body)
        else:
            self.openai(body)

    def openai(self, body):
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"error": {"message": f"no: {self.headers.get('Authorization')}"}})
            return
        rows = [
            {
                "object": "embedding",
                "index": n,
                "embedding": raw_vector(body.get("input_type", "") + text, self.server.dim),
            }
            for n, text in enumerate(body["input"])
        ]
        # The order is said by the index.
        self.good({"object": "list", "data": rows[::-1], "usage": {"total_tokens": 3 * len(rows)}})

    def google(self, body):
        if self.headers.get("x-goog-api-key") != KEY or "Authorization" in self.headers:
            self.answer(400, {"error": {"code": 400, "message": "API key not valid"}})
            return
        named = {f"/v1beta/{each['model']}:batchEmbedContents" for each in body["requests"]}
        assert named == {self.path}
        self.good(
            {
                "embeddings": [
                    {
                        "values": raw_vector(
                            each["taskType"] + "".join(part["text"] for part in each["content"]["parts"]),
                            each["outputDimensionality"],
                        )
                    }
                    for each in body["requests"]
                ]
            }
        )

    def good(self, answer):
        self.answer(200, self.server.spoil(answer))

    def answer(self, status, body, headers=()):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
