"""`bin/bench ingest`: durable events a second, one by one and in batches, against the bare reference."""

from __future__ import annotations

import json
import statistics
import tempfile
import uuid
from pathlib import Path

from _load import Load, free_port, report, request, run_load, start

CLIENTS = 32
REQUESTS = 100
BATCH = 128
BATCHES = 12
ROUNDS = 3


def payload(client: int, number: int) -> tuple[str, dict[str, object]]:
    """Make one ordinary tool event, as Claude Code sends it."""
    session = str(uuid.UUID(int=client + 1))
    query = f"event=post-tool-use&agent=claude-code&cwd=%2Fsrv%2Fshop&ingest_key={uuid.uuid4().hex}"
    return query, {
        "session_id": session,
        "cwd": "/srv/shop",
        "hook_event_name": "PostToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": f"pytest -q tests/test_cart_{number}.py", "description": "run the tests"},
        "tool_response": {"stdout": "....F....\n" * 20, "stderr": "", "interrupted": False},
        "tool_use_id": f"toolu_{client}_{number}",
    }


def single(client: int, number: int) -> bytes:
    """Make one `POST /hook`."""
    query, body = payload(client, number)
    return request(f"/hook?{query}", json.dumps(body).encode())


def batch(client: int, number: int) -> bytes:
    """Make one `POST /hook/batch`."""
    items = [payload(client, number * BATCH + n) for n in range(BATCH)]
    body = [{"url": f"/hook?{query}", "body": item} for query, item in items]
    return request("/hook/batch", json.dumps(body).encode())


def measure(arguments: list[str], port: int) -> tuple[Load, Load]:
    """Start a server, load it in both ways, stop it."""
    process = start(arguments, port)
    try:
        run_load(port, 4, 10, single)
        ones = run_load(port, CLIENTS, REQUESTS, single)
        many = run_load(port, 4, BATCHES, batch)
    finally:
        process.terminate()
        process.wait(30)
    for load in (ones, many):
        if set(load.statuses) - {200, 202}:
            raise SystemExit(f"unexpected answers: {load.statuses}")
    return ones, many


def main() -> None:
    """Alternate both servers, so that a noisy neighbour hurts both, and compare medians."""
    ours: list[tuple[Load, Load]] = []
    bare: list[tuple[Load, Load]] = []
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(ROUNDS):
            port = free_port()
            data = str(Path(folder) / f"data{round_}")
            ours.append(measure(["-m", "ai_memory", "serve", "--bind", f"127.0.0.1:{port}", "--data-dir", data], port))
            port = free_port()
            bare.append(measure(["bin/_bench/_bare.py", str(port), str(Path(folder) / f"bare{round_}")], port))
    rows: list[dict[str, object]] = []
    for name, index, per in (("POST /hook, 32 clients", 0, 1), (f"/hook/batch of {BATCH}", 1, BATCH)):
        figure = statistics.median(pair[index].rate for pair in ours) * per
        reference = statistics.median(pair[index].rate for pair in bare) * per
        rows.append(
            {
                "what": name,
                "events/s": round(figure),
                "p50 ms": round(statistics.median(pair[index].p50 for pair in ours), 1),
                "p99 ms": round(statistics.median(pair[index].p99 for pair in ours), 1),
                "bare events/s": round(reference),
                "ratio": round(figure / reference, 2),
            }
        )
    report(rows)


if __name__ == "__main__":
    main()
