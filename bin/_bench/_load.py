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
    """What a run measured: latencies in milliseconds, least first; answers a second; how often which status came."""

    latencies: list[float]
    rate: float
    statuses: dict[int, int]

    @property
    def p50(self) -> float:
        """The median of the latencies."""
        return statistics.median(self.latencies)

    @property
    def p95(self) -> float:
        """What 95 of 100 latencies are below."""
        return self.latencies[int(len(self.latencies) * 0.95)]

    @property
    def p99(self) -> float:
        """What 99 of 100 latencies are below."""
        return self.latencies[int(len(self.latencies) * 0.99)]


def request(path: str, body: bytes) -> bytes:
    """Write a POST as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def question(path: str) -> bytes:
    """Write a GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


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
    return Load(latencies, len(latencies) / elapsed, statuses)


def environment() -> dict[str, str]:
    """Give the environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AI_MEMORY_")}


def start(arguments: list[str], port: int, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server process, with no other settings than those given here, and wait until it answers."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**environment(), **(env or {})}, stderr=subprocess.DEVNULL
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


def report(rows: list[dict[str, object]], about: dict[str, object] | None = None) -> None:
    """Print rows as a table, or as JSON with --json; `about` says what they were measured with."""
    if "--json" in sys.argv:
        print(json.dumps({**about, "rows": rows} if about else rows, indent=2))
        return
    for key, value in (about or {}).items():
        print(f"{key}: {value}")
    for row in rows:
        print("  ".join(f"{key}: {value}" for key, value in row.items()))
