"""A light load generator: raw keep-alive connections, so that it costs less than the server that it measures."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Load:
    """What a run measured: answers a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    statuses: dict[int, int]


def request(path: str, body: bytes) -> bytes:
    """Write a POST as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def run_load(port: int, clients: int, requests_each: int, make: Callable[[int, int], bytes]) -> Load:
    """Send `make(client, number)` from each client, one after the other, over one connection a client."""
    return asyncio.run(_run(port, clients, requests_each, make))


async def _run(port: int, clients: int, requests_each: int, make: Callable[[int, int], bytes]) -> Load:
    prepared = [[make(client, number) for number in range(requests_each)] for client in range(clients)]
    latencies: list[float] = []
    statuses: dict[int, int] = {}

    async def client(payloads: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for payload in payloads:
            begun = time.perf_counter()
            writer.write(payload)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append((time.perf_counter() - begun) * 1000)
            status = int(head[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(payloads) for payloads in prepared))
    elapsed = time.perf_counter() - begun
    latencies.sort()
    return Load(
        rate=len(latencies) / elapsed,
        p50=statistics.median(latencies),
        p99=latencies[int(len(latencies) * 0.99)],
        statuses=statuses,
    )


def start(arguments: list[str], port: int, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server process and wait until it answers."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **(env or {})}, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).close()
        except urllib.error.HTTPError:
            return process
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return process
    raise SystemExit(f"the server did not start: {arguments}")


def free_port() -> int:
    """Find a free port on this machine."""
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def report(rows: list[dict[str, object]]) -> None:
    """Print rows as a table, or as JSON with --json."""
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(f"{key}: {value}" for key, value in row.items()))
