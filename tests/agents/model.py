"""A model that answers what the test wrote, in the four protocols of the agents, and keeps every request.

A prompt names its script by a tag, so that what the model will say stands nowhere but in its answer.
"""

import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HISTORY = re.compile(r"ai-memory:untrusted-history:start(.*?)ai-memory:untrusted-history:end", re.DOTALL)
TAG = re.compile(r"\[script (\d+)\]")
HELD = 90.0  # seconds that a held answer waits for the test


@dataclass(frozen=True)
class Step:
    """One answer of the model: a call of the agent's shell tool or of one of ours, or a text that ends the turn.

    `after` holds the answer back until the test sets it.
    """

    text: str = ""
    shell: str = ""
    tool: str = ""
    arguments: dict = field(default_factory=dict)
    after: threading.Event | None = None


@dataclass
class Script:
    """What the model answers from the prompt with the tag on, and the bodies of the requests that it answered."""

    tag: str
    steps: tuple[Step, ...]
    requests: list[dict] = field(default_factory=list)


class Model:
    """The model's server, on a free port of 127.0.0.1; a context manager."""

    def __init__(self):
        self._scripts = []
        self._asked = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.model = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def script(self, *steps):
        """Take the answers of one prompt, which must hold the script's `tag`."""
        self._scripts.append(Script(f"[script {len(self._scripts) + 1}]", steps))
        return self._scripts[-1]

    def wait_for(self, script, number=1, seconds=30):
        """Wait until the script was asked so many times."""
        with self._asked:
            assert self._asked.wait_for(lambda: len(script.requests) >= number, seconds), "the model was not asked"

    def answer(self, body, turns):
        """Choose the step that answers a request; `turns` are (role, text), "model" for each earlier answer."""
        turns = [(role, HISTORY.sub("", text)) for role, text in turns]
        tagged = [
            (at, TAG.findall(text)) for at, (role, text) in enumerate(turns) if role == "user" and TAG.search(text)
        ]
        if not tagged:
            return Step("There is no script in this prompt.")
        at, tags = tagged[-1]
        script = self._scripts[int(tags[-1]) - 1]
        done = sum(role == "model" for role, _ in turns[at:])
        step = script.steps[done] if done < len(script.steps) else Step("The script is over.")
        with self._asked:
            script.requests.append(body)
            self._asked.notify_all()
        if step.after:
            step.after.wait(HELD)
        return step


def texts_of(value):
    """Give every string of a request, keys left out."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in texts_of(item)] if isinstance(value, list) else []


def told(request):
    """Give what a request holds inside the fence of untrusted history, and what it holds outside of it."""
    text = "\n".join(texts_of(request))
    return "\n".join(HISTORY.findall(text)), HISTORY.sub("", text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Be silent: an agent that is killed leaves its connection open in the middle."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.partition("?")[0].endswith("/models"):
            self._send(200, json.dumps({"object": "list", "models": [], "data": []}))
        else:
            self._send(404, "{}")

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        encoding = self.headers.get("content-encoding", "identity")
        raw = self.rfile.read(int(self.headers["content-length"]))
        if encoding != "identity":
            self._send(415, json.dumps({"error": f"no {encoding} here"}))
            return
        path = self.path.partition("?")[0]
        spoken = next((speak for ending, speak in PROTOCOLS.items() if re.search(ending, path)), None)
        if spoken:
            self._send(200, *spoken(self.server.model, json.loads(raw)))
        else:
            self._send(404, "{}")

    def _send(self, status, text, kind="application/json"):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _stream(events, *, named):
    lines = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines), "text/event-stream"


def _id(prefix):
    return f"{prefix}_{uuid.uuid4().hex[:24]}"


#: The agents' shell tools: name -> the arguments for a command.
SHELLS = {
    "Bash": lambda command: {"command": command, "description": "run a command"},
    "exec_command": lambda command: {"cmd": command},
    "shell_command": lambda command: {"command": command},
    "run_shell_command": lambda command: {"command": command, "description": "run a command"},
    "bash": lambda command: {"command": command, "description": "run a command"},
}


def _call(step, tools):
    """Name the tool as this agent does, and give its arguments; None when the turn ends."""
    if step.tool:
        # Each agent puts the server's name before it in its own way.
        return next(name for name in tools if name.endswith(step.tool)), step.arguments
    if not step.shell:
        return None
    name = next(name for name in SHELLS if name in tools)
    return name, SHELLS[name](step.shell)


def _text_of(content):
    """Give the text of a message; what tools answered is not the user's word."""
    if isinstance(content, str):
        return content
    parts = [part for part in content or [] if part.get("type") != "tool_result" and isinstance(part.get("text"), str)]
    return "\n".join(part["text"] for part in parts)


def _messages(body):
    roles = {"assistant": "model"}
    return [(roles.get(m["role"], m["role"]), _text_of(m.get("content"))) for m in body.get("messages", [])]


def _anthropic(model, body):
    tools = {tool["name"] for tool in body.get("tools") or []}
    step = model.answer(body, _messages(body)) if tools else Step("ok")
    call = _call(step, tools)
    if call:
        name, arguments = call
        block = {"type": "tool_use", "id": _id("toolu"), "name": name}
        empty, whole = {**block, "input": {}}, {**block, "input": arguments}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
    else:
        empty, whole = {"type": "text", "text": ""}, {"type": "text", "text": step.text}
        delta = {"type": "text_delta", "text": step.text}
    stop = "tool_use" if call else "end_turn"
    usage = {"input_tokens": 1200, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message = {"id": _id("msg"), "type": "message", "role": "assistant", "model": body["model"], "usage": usage}
    if not body.get("stream"):
        return (json.dumps({**message, "content": [whole], "stop_reason": stop, "stop_sequence": None}),)
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return _stream(events, named=True)


def _count_tokens(_model, _body):
    return (json.dumps({"input_tokens": 1200}),)


def _responses(model, body):
    turns = [
        ("model" if item.get("role") == "assistant" else item.get("role"), _text_of(item.get("content")))
        if item.get("type", "message") == "message"
        else ("model" if item["type"] == "function_call" else "tool", "")
        for item in body.get("input") or []
    ]
    # Codex keeps the tools of a server together under its name.
    tools = {
        tool.get("name", ""): group.get("name") if "tools" in group else None
        for group in body.get("tools") or []
        for tool in group.get("tools", [group])
    }
    step = model.answer(body, turns) if tools else Step("ok")
    call = _call(step, tools)
    if call:
        name, arguments = call
        item = {"type": "function_call", "id": _id("fc"), "call_id": _id("call"), "status": "completed"}
        item |= {"name": name, "arguments": json.dumps(arguments)}
        item |= {"namespace": tools[name]} if tools[name] else {}
    else:
        part = {"type": "output_text", "text": step.text, "annotations": []}
        item = {"type": "message", "id": _id("msg"), "status": "completed", "role": "assistant", "content": [part]}
    usage = {"input_tokens": 1200, "output_tokens": 20, "total_tokens": 1220}
    answer = {"id": _id("resp"), "object": "response", "created_at": int(time.time()), "model": body["model"]}
    whole = {**answer, "status": "completed", "output": [item], "usage": usage}
    events = [
        {"type": "response.created", "response": {**answer, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return _stream([{**event, "sequence_number": n} for n, event in enumerate(events)], named=True)


def _chat(model, body):
    tools = {tool["function"]["name"] for tool in body.get("tools") or []}
    step = model.answer(body, _messages(body)) if tools else Step("ok")
    delta = {"role": "assistant", "content": step.text}
    call = _call(step, tools)
    if call:
        name, arguments = call
        function = {"name": name, "arguments": json.dumps(arguments)}
        delta["tool_calls"] = [{"index": 0, "id": _id("call"), "type": "function", "function": function}]
    usage = {"prompt_tokens": 1200, "completion_tokens": 20, "total_tokens": 1220}
    chunk = {
        "id": _id("chatcmpl"),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": body["model"],
    }
    stop = "tool_calls" if call else "stop"
    events = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": stop}]},
        {**chunk, "choices": [], "usage": usage},
    ]
    text, kind = _stream(events, named=False)
    return text + "data: [DONE]\n\n", kind


def _gemini(model, body):
    turns = [
        ("model" if content.get("role") == "model" else "user", _text_of(content.get("parts")))
        for content in body.get("contents", [])
    ]
    tools = {f["name"] for tool in body.get("tools") or [] for f in tool.get("functionDeclarations") or []}
    step = model.answer(body, turns) if tools else Step(GEMINI_VERDICT)
    part = {"text": step.text}
    call = _call(step, tools)
    if call:
        name, arguments = call
        part = {"functionCall": {"name": name, "args": arguments}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1200, "candidatesTokenCount": 20, "totalTokenCount": 1220}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}


#: Gemini CLI asks a model without tools who speaks next, which model to take, whether it runs in a circle.
GEMINI_VERDICT = json.dumps(
    {
        "reasoning": "scripted",
        "next_speaker": "user",
        "model_choice": "flash",
        "complexity_score": 10,
        "complexity_reasoning": "scripted",
        "unproductive_state_confidence": 0,
    }
)

#: The end of a path -> what answers there: (model, body) -> text and content type.
PROTOCOLS = {
    r"/messages$": _anthropic,
    r"/messages/count_tokens$": _count_tokens,
    r"/responses$": _responses,
    r"/chat/completions$": _chat,
    r":streamGenerateContent$": lambda model, body: _stream([_gemini(model, body)], named=False),
    r":generateContent$": lambda model, body: (json.dumps(_gemini(model, body)),),
    r":countTokens$": lambda _model, _body: (json.dumps({"totalTokens": 1200}),),
}
