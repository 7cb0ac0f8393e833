"""`bin/bench mcp`: what MCP costs beside the search that it passes on, and what stays behind of it.

    python bin/_bench/mcp.py [--pages N] [--calls N] [--json]

A server with a thousand pages is asked the same questions through `/admin/search` (the reference) and through
`memory_query`, turn by turn, over connections that stay open. Then many calls are made, with progress and without, and
tasks, threads and memory of the server are counted; streams are opened and left; servers are told to end with a stream
open and without; and the bridge is started again and again, beside an empty Python.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from _load import ROOT, Load, environment, free_port, report, run_load, start
from _server import PLAIN
from search import Writer, asked, build

CLIENTS, QUESTIONS, STARTS, STREAMS, ENDS = 50, 240, 21, 200, 3
MODERN = "2026-07-28"
TOOLSETS = {"wiki": "/mcp", "records": "/mcp/records", "memories": "/mcp/memories"}
USER_TOKEN = "bench-token-of-a-user"  # noqa: S105 - of a server that lives for a minute
#: A server that also says how many tasks and threads it has, and how much memory it holds.
COUNTING = """
import asyncio, sys, threading
from pathlib import Path
from aiohttp import web
from ai_memory.cli import main
from ai_memory.server import run

async def count(_):
    status = Path("/proc/self/status").read_text()
    # Not the index: it is mapped once for each thread, and is the system's memory.
    own = int(status.split("RssAnon:")[1].split()[0])
    return web.json_response({"tasks": len(asyncio.all_tasks()), "threads": threading.active_count(), "kB": own})

make = run.create_app
def create_app(*args, **options):
    app = make(*args, **options)
    app.router.add_get("/bench", count)
    return app

run.create_app = create_app
main()
"""


def main() -> None:
    """Measure everything once."""
    parser = argparse.ArgumentParser(prog="bin/bench mcp", description="What MCP costs.")
    parser.add_argument("--pages", type=int, default=1_000, metavar="N", help="so many pages (1,000)")
    parser.add_argument("--calls", type=int, default=10_000, metavar="N", help="so many calls for what stays (10,000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        writer = Writer()
        build(data, chosen.pages, writer)
        tokens = data / "user_tokens.json"
        tokens.write_text(json.dumps({USER_TOKEN: "bench"}))
        tokens.chmod(0o600)
        questions = [writer.question(number) for number in range(QUESTIONS)]
        port = free_port()
        arguments = ["serve", "--bind", f"127.0.0.1:{port}", "--data-dir", str(data)]
        server = start(["-c", COUNTING, *arguments], port, {**PLAIN, "HOME": name})
        try:
            rows = [*latencies(port, questions), *sizes(port), *left_behind(port, chosen.calls)]
            rows.append(bridge(port, Path(name)))
        finally:
            server.kill()
            server.wait()
        rows.append(ending(Path(name)))
    report(rows)


def message(port: int, method: str, params: dict[str, object], *, path: str = "/mcp", modern: bool = False) -> bytes:
    """Write a message as it goes over the wire."""
    headers = ["Accept: application/json, text/event-stream", "Content-Type: application/json"]
    headers.append(f"Authorization: Bearer {USER_TOKEN}")
    if modern:
        headers += [f"MCP-Protocol-Version: {MODERN}", f"Mcp-Method: {method}"]
        headers += [f"Mcp-Name: {params['name']}"] if "name" in params else []
        named = {"protocolVersion": MODERN, "clientInfo": {"name": "bench", "version": "1"}, "clientCapabilities": {}}
        params = {**params, "_meta": {f"io.modelcontextprotocol/{key}": value for key, value in named.items()}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = "\r\n".join([f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, f"Content-Length: {len(body)}"])
    return f"{head}\r\n\r\n".encode() + body


def queries(port: int, questions: Sequence[str], *, modern: bool) -> list[bytes]:
    """Write the questions as calls of `memory_query`, each in one project as `/admin/search` is asked."""
    places = [{"workspace": "default", "project": f"project{number % 10}"} for number in range(len(questions))]
    calls = [{"query": text, "limit": 10, **place} for text, place in zip(questions, places, strict=True)]
    return [message(port, "tools/call", {"name": "memory_query", "arguments": c}, modern=modern) for c in calls]


def load(port: int, clients: int, each: int, requests: Sequence[bytes]) -> Load:
    """Send requests from some clients; every answer must be a good one."""
    found = run_load(port, clients, each, lambda client, n: requests[(client * each + n) % len(requests)])
    if set(found.statuses) != {200}:
        raise SystemExit(f"unexpected answers: {found.statuses}")
    return found


def latencies(port: int, questions: Sequence[str]) -> list[dict[str, object]]:
    """Compare with the search itself, a few questions of each in turn."""
    ways = {
        "search itself": asked(questions, one_project=True),
        "memory_query, 2025-11-25": queries(port, questions, modern=False),
        "memory_query, 2026-07-28": queries(port, questions, modern=True),
        "ping (no tool)": [message(port, "ping", {})] * len(questions),
    }
    rows: list[dict[str, object]] = []
    for clients, each in ((1, 20), (CLIENTS, 4)):
        times: dict[str, list[float]] = {way: [] for way in ways}
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for requests in ways.values():
            load(port, clients, 2, requests)
        for turn in range(12):
            for way, requests in ways.items():
                found = load(port, clients, each, requests[turn * 20 :] + requests[: turn * 20])
                times[way] += found.latencies
                rates[way].append(found.rate)
        reference = statistics.median(times["search itself"])
        for way, taken in times.items():
            taken.sort()
            p50 = statistics.median(taken)
            rows.append(
                {
                    "what": f"{way}, {clients} client{'s' * (clients > 1)}",
                    "p50 ms": round(p50, 2),
                    "p95 ms": round(taken[int(len(taken) * 0.95)], 2),
                    "answers/s": round(statistics.median(rates[way])),
                    "adds ms": round(p50 - reference, 2),
                    "ratio": round(p50 / reference, 2),
                }
            )
    return rows


def answer_of(port: int, request: bytes) -> dict[str, object]:
    """Send one message, and read the answer."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", first.split()[1], body, dict(line.split(": ", 1) for line in lines))
    found: dict[str, object] = json.loads(connection.getresponse().read())["result"]
    connection.close()
    return found


def sizes(port: int) -> list[dict[str, object]]:
    """Say what each toolset takes of a model's context: four characters are about a token."""
    rows: list[dict[str, object]] = []
    for name, path in TOOLSETS.items():
        tools = answer_of(port, message(port, "tools/list", {}, path=path))["tools"]
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}
        told = str(answer_of(port, message(port, "initialize", hello, path=path))["instructions"])
        text = json.dumps(tools, ensure_ascii=False, separators=(",", ":"))
        rows.append(
            {
                "what": f"tools/list of {name}",
                "tools": len(tools),  # type: ignore[arg-type] # a list
                "tokens": len(text) // 4,
                "instructions, characters": len(told),
            }
        )
    return rows


def counted(port: int) -> dict[str, int]:
    """Ask the server what it holds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/bench")
    found: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def left_behind(port: int, calls: int) -> list[dict[str, object]]:
    """Count what the server holds before and after many calls, and after many streams that were left."""
    status = {"name": "memory_status", "arguments": {"workspace": "default", "project": "project1"}}
    each = [message(port, "tools/call", status, modern=modern) for modern in (False, True)]
    load(port, 8, 250, each)
    listen(port, 8)
    return [
        _held(port, f"{calls:,} calls", lambda: load(port, 8, calls // 8, each)),
        _held(port, f"{STREAMS} streams opened and left", lambda: listen(port, STREAMS)),
    ]


def _held(port: int, what: str, do: Callable[[], object]) -> dict[str, object]:
    before = _quiet(port)
    do()
    after = _quiet(port)
    return {
        "what": what,
        **{f"{name} before": before[name] for name in before},
        **{f"{name} after": after[name] for name in after},
        "ratio": round(after["kB"] / before["kB"], 3),
    }


def _quiet(port: int) -> dict[str, int]:
    """Count when the server has settled: the number of its tasks has not changed for three seconds."""
    found, since = counted(port), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.2)
        now = counted(port)
        if now["tasks"] != found["tasks"]:
            since = time.monotonic()
        found = now
    return found


def listen(port: int, count: int) -> None:
    """Open streams of the older transport, say hello on each, and leave."""
    for _ in range(count):
        stream, address = opened(port)
        poster = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        poster.request("POST", address, body, {"Content-Type": "application/json"})
        if poster.getresponse().status != 202:
            raise SystemExit("a message to a stream was refused")
        poster.close()
        stream.close()


def opened(port: int) -> tuple[http.client.HTTPConnection, str]:
    """Open a stream of the older transport; gives it and the address for messages."""
    stream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    stream.request("GET", "/mcp/sse?toolset=wiki")
    answer = stream.getresponse()
    answer.readline()
    return stream, answer.readline().decode().removeprefix("data: ").strip()


def bridge(port: int, home: Path) -> dict[str, object]:
    """Time the bridge from its start to its first byte, in turn with an empty Python that prints a byte."""
    programs = {
        "bridge": [sys.executable, "-I", "-S", str(ROOT / "ai_memory" / "client" / "__main__.py"), "mcp"],
        "empty": [sys.executable, "-I", "-S", "-c", "print(1)"],
    }
    programs["bridge"] += ["--server-url", f"http://127.0.0.1:{port}"]
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}
    sent = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode() + b"\n"
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(STARTS):
        for name, command in programs.items():
            begun = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=home,
                env={**environment(), "HOME": str(home)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            first, _ = process.communicate(sent) if name == "empty" else (_first(process, sent), b"")
            times[name].append((time.perf_counter() - begun) * 1000)
            if not first:
                raise SystemExit(f"{name} said nothing")
            if name == "bridge":
                process.communicate()
    p50, reference = (statistics.median(times[name]) for name in programs)
    return {
        "what": "bridge, start to first byte of the answer",
        "p50 ms": round(p50, 1),
        "p95 ms": round(sorted(times["bridge"])[int(STARTS * 0.95)], 1),
        "empty Python p50 ms": round(reference, 1),
        "ratio": round(p50 / reference, 2),
    }


def _first(process: subprocess.Popen[bytes], sent: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise SystemExit("the bridge has no pipes")
    process.stdin.write(sent)
    process.stdin.flush()
    return process.stdout.read(1)


def ending(folder: Path) -> dict[str, object]:
    """Tell a server to end while a client listens, in turn with one that nobody listens to."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(ENDS):
        for is_heard, taken in times.items():
            port = free_port()
            data = folder / f"empty-{number}-{is_heard}"
            arguments = ["-m", "ai_memory", "serve", "--bind", f"127.0.0.1:{port}", "--data-dir", str(data)]
            server = start(arguments, port, {**PLAIN, "HOME": str(folder)})
            stream = opened(port)[0] if is_heard else None
            begun = time.perf_counter()
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            taken.append(time.perf_counter() - begun)
            if stream:
                stream.close()
    heard, unheard = (statistics.median(taken) for taken in times.values())
    return {
        "what": "SIGTERM with a stream open",
        "s": round(heard, 2),
        "without s": round(unheard, 2),
        "ratio": round(heard / unheard, 2),
    }


if __name__ == "__main__":
    main()
