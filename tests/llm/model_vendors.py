"""A server on loopback that speaks Anthropic Messages, OpenAI Chat and Responses, and Gemini, and fails as it is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-0123456789abcdef"
GITHUB = "gho_test0123456789"
#: Seconds since 1970, by the clock of these tests.
NOW = 1_795_000_000.0
#: provider -> the setting that holds its key, and the path at which it is asked.
PROVIDERS = {
    "anthropic": ("anthropic_api_key", "/v1/messages"),
    "anthropic-oauth": ("anthropic_oauth_token", "/v1/messages"),
    "openai": ("openai_api_key", "/v1/chat/completions"),
    "openai-compat": ("llm_api_key", "/v1/chat/completions"),
    "copilot": ("copilot_github_token", "/copilot/chat/completions"),
    "openai-oauth": (None, "/codex/responses"),
    "gemini": ("gemini_api_key", "/v1beta/models/some-model:generateContent"),
}
#: What every answer counts: the parts that a vendor counts apart add up to them.
USED = (111, 17)


def anthropic(text, end, used):
    try:
        content = [{"type": "tool_use", "id": "toolu_1", "name": "result", "input": json.loads(text)}]
        stop = "tool_use"
    except ValueError:
        content, stop = [{"type": "text", "text": text}] if text else [], "end_turn"
    stop = {"cut": "max_tokens", "refused": "refusal"}.get(end, stop)
    usage = {
        "input_tokens": used[0] - 11,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 7,
        "output_tokens": used[1],
    }
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def chat(text, end, used):
    message = {"role": "assistant", "content": text or None}
    if end == "refused":
        message = {"role": "assistant", "content": None, "refusal": "I will not."}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "length" if end == "cut" else "stop"}],
        "usage": {
            "prompt_tokens": used[0],
            "completion_tokens": used[1],
            "total_tokens": sum(used),
            "prompt_tokens_details": {"cached_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


def responses(text, end, used):
    part = {"type": "output_text", "text": text, "annotations": []}
    if end == "refused":
        part = {"type": "refusal", "refusal": "I will not."}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    items = [{"type": "reasoning", "id": "rs_1", "summary": []}, *([message] if text or end == "refused" else [])]
    usage = {
        "input_tokens": used[0],
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens": used[1],
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": sum(used),
    }
    begun = {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "usage": None, "error": None}
    done = {**begun, "status": "completed", "usage": usage}
    last = "response.completed"
    if end == "cut":
        last = "response.incomplete"
        done |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    events = [
        ("response.created", {"response": begun}),
        *[("response.output_item.done", {"output_index": n, "item": item}) for n, item in enumerate(items)],
        (last, {"response": done}),
    ]
    return events


def gemini(text, end, used):
    usage = {
        "promptTokenCount": used[0],
        "candidatesTokenCount": used[1] - 3,
        "thoughtsTokenCount": 3,
        "totalTokenCount": sum(used),
    }
    if end == "refused":
        return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage, "modelVersion": "m"}
    parts = [{"text": "Let me think.", "thought": True}, *([{"text": text}] if text else [])]
    candidate = {
        "content": {"role": "model", "parts": parts},
        "finishReason": "MAX_TOKENS" if end == "cut" else "STOP",
        "index": 0,
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}


def wire_of(path):
    if path.endswith("/messages"):
        return anthropic
    if path.endswith("/responses"):
        return responses
    return gemini if path.endswith(":generateContent") else chat


class ModelVendors(ThreadingHTTPServer):
    """Answers by `script`, one entry a request, the last one again and again.

    An entry is ("say", text, end), ("status", number, headers, body), ("raw", body), ("flood", number), "cut", "hang"
    or "drip".
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Door)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.reset()

    def reset(self):
        self.script = [("say", "hello", "whole")]
        #: path -> what the pages that give out tokens answer, one (status, body) a request, the last again and again.
        self.pages = {}
        #: (path, headers, body) of each question to a model, and of each to a page.
        self.asked, self.forms = [], []
        self.go_on = threading.Event()

    def handle_error(self, request, client_address):
        """A client that lost its patience is what these tests are about."""


def _next(entries):
    return entries.pop(0) if len(entries) > 1 else entries[0]


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each body waits 40 ms for its headers to be acknowledged.
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.page(b"")

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path in self.server.pages:
            self.page(raw)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers, json.loads(raw)))
        match _next(self.server.script):
            case "hang":
                self.server.go_on.wait(30)
                self.close_connection = True
            case "drip":
                self.send(200, b"", {"Content-Type": "text/event-stream"}, length=1_000_000)
                while not self.server.go_on.wait(0.01):
                    self.wfile.write(b":\n\n ")
            case ("flood", status):
                self.send(status, b"", {"Content-Type": "text/plain"}, length=10**12)
                while not self.server.go_on.is_set():
                    self.wfile.write(b"x" * 65_536)
            case "cut":
                body, kind = self.written("a long answer", "whole")
                self.send(200, body[: len(body) // 2], {"Content-Type": kind}, length=len(body))
                self.close_connection = True
            case ("say", text, end):
                body, kind = self.written(text, end)
                self.send(200, body, {"Content-Type": kind})
            case ("events", events):
                self.send(200, in_events(events), {"Content-Type": "text/event-stream"})
            case ("status", status, more, body):
                self.send(status, json.dumps(body).encode(), {"Content-Type": "application/json", **more})
            case ("raw", body):
                self.send(200, body, {"Content-Type": "application/json"})

    def written(self, text, end):
        wire = wire_of(self.path)
        answer = wire(text, end, USED)
        if wire is responses:
            return in_events(answer), "text/event-stream"
        return json.dumps(answer).encode(), "application/json"

    def page(self, raw):
        self.server.forms.append((self.path, dict(self.headers), raw.decode()))
        status, body = _next(self.server.pages.get(self.path, [(404, {})]))
        more = {"Location": body} if isinstance(body, str) else {}
        self.send(status, json.dumps(body).encode(), {"Content-Type": "application/json", **more})

    def send(self, status, body, headers, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def in_events(events):
    said = [{"type": name, "sequence_number": n, **data} for n, (name, data) in enumerate(events)]
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in said).encode()
