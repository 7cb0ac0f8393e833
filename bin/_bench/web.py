"""`bin/bench web`: how long screens take with 10,000 pages in one project, what the first one weighs, and what stays.

One reader after the other asks for each screen; the reference is the answer of the same server that asks nobody
(`/healthz`), in the same run. Then 10,000 requests, and the memory of the process before and after. Then 50 readers,
each with the stream of changes open, who ask for a page twice a second while 200 events a second come in.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import itertools
import json
import random
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from _load import ROOT, Load, question, report, request, run_load
from _server import PLAIN, Server

sys.path.insert(0, str(ROOT))

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Writer

PAGES, ASKED, REQUESTS = 10_000, 200, 10_000
READERS, READER_PAUSE, EVENTS_A_SECOND, SECONDS = 50, 0.5, 200, 15
FOLDERS = ("decisions", "gotchas", "concepts", "procedures", "notes/2025", "notes/2026", "sessions/old")
WORDS = "invoice refund rounding ledger cache queue worker deploy schema index token session handoff packet".split()


def fill(data: Path) -> list[str]:
    """Write a project of 10,000 pages that link to each other; gives their paths."""
    chance = random.Random(8)
    paths = [f"{FOLDERS[number % len(FOLDERS)]}/page-{number:05}.md" for number in range(PAGES)]
    memory = Memory(load_settings(data))
    try:
        project = memory.projects.create("default", "large")
        for first in range(0, PAGES, 1000):
            texts = {}
            for number in range(first, first + 1000):
                said = "\n\n".join(" ".join(chance.choices(WORDS, k=60)) for _ in range(4))
                links = " ".join(f"[[{other}]]" for other in chance.sample(paths, 3))
                texts[paths[number]] = (
                    f"---\ntitle: About {chance.choice(WORDS)} {number}\ntags: [{chance.choice(WORDS)}]\n---\n"
                    f"## What it is\n\n{said}\n\n## How\n\n```python\ndef total(lines):\n    return sum(lines)\n```\n\n"
                    f"| a | b |\n| - | - |\n| 1 | 2 |\n\n{links}\n"
                )
            memory.pages.write_several(project, texts, Writer("bench"), subject="pages of the benchmark")
    finally:
        memory.close()
    return paths


def screens(paths: list[str]) -> Iterator[tuple[str, float | None, list[str]]]:
    """Give each screen: its name, the p95 that it may take in milliseconds, and the addresses that are asked."""
    chance = random.Random(9)
    project = "/web/w/default/large"
    read = [f"{project}/p/{quote(chance.choice(paths))}" for _ in range(ASKED)]
    words = [
        f"/web/search?q={a}+{b}" for a, b in itertools.islice(itertools.cycle(itertools.permutations(WORDS, 2)), ASKED)
    ]
    yield "an empty answer", None, ["/healthz"] * ASKED
    yield "home", None, ["/web"] * ASKED
    yield "project", 60.0, [project] * ASKED
    yield "folder", 60.0, [f"{project}/pages?folder=decisions"] * ASKED
    yield "page", 30.0, read
    yield "search", 60.0, words
    yield "timeline", None, ["/web/timeline"] * ASKED
    yield "graph", None, ["/web/graph.json"] * 20
    yield (
        "API: page",
        None,
        [
            each.replace("/web/w/default/", "/api/v1/workspaces/default/projects/").replace("/p/", "/pages/")
            for each in read
        ],
    )
    yield "API: all pages", None, ["/api/v1/workspaces/default/projects/large/pages"] * 20


def measured(
    port: int, name: str, least: float | None, addresses: list[str], empty: float
) -> tuple[dict[str, object], Load]:
    """Ask for addresses one after the other; gives a row of the report."""
    run_load(port, 1, 5, lambda _, number: question(addresses[number]))
    load = run_load(port, 1, len(addresses), lambda _, number: question(addresses[number]))
    if set(load.statuses) != {200}:
        raise SystemExit(f"{name}: {load.statuses}")
    row: dict[str, object] = {"screen": name, "p50 ms": round(load.p50, 1), "p95 ms": round(load.p95, 1)}
    row |= {"limit ms": least, "held": load.p95 <= least} if least else {}
    return row | ({"times an empty answer": round(load.p50 / empty, 1)} if empty else {}), load


def first_load(port: int) -> dict[str, object]:
    """Say what a browser that knows nothing yet gets for its first screen, compressed."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def get(path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        return len(body), gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body

    size, body = get("/web")
    parts = sorted(set(re.findall(r'(?:src|href)="(/web/static/[^"]+)"', body.decode())))
    total = size + sum(get(part)[0] for part in parts)
    connection.close()
    return {"first load kB": round(total / 1000, 1), "files": 1 + len(parts), "limit kB": 100, "held": total <= 100_000}


def resident(pid: int) -> float:
    """Give the resident memory of a process in megabytes."""
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1000  # type: ignore[index]


async def crowd(port: int, addresses: list[str]) -> dict[str, object]:
    """Let readers read, each with the stream of changes open, while events come in."""
    reads: list[float] = []
    told = 0
    until = time.monotonic() + SECONDS

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, payload: bytes) -> int:
        writer.write(payload)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        return int(head[9:12])

    async def listen() -> None:
        nonlocal told
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(question("/api/v1/events"))
        while time.monotonic() < until:
            try:
                line = await asyncio.wait_for(reader.readline(), max(0.01, until - time.monotonic()))
            except TimeoutError:
                break
            told += line.startswith(b"event: changed")
        writer.close()

    async def read(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(READER_PAUSE * number / READERS)
        for address in itertools.islice(itertools.cycle(addresses), number, None):
            if time.monotonic() >= until:
                break
            begun = time.perf_counter()
            status = await ask(reader, writer, question(address))
            reads.append((time.perf_counter() - begun) * 1000)
            if status != 200:
                raise SystemExit(f"{address}: {status}")
            await asyncio.sleep(READER_PAUSE)
        writer.close()

    taken: list[float] = []

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun, sent = time.monotonic(), 0
        session = str(uuid.uuid4())
        while time.monotonic() < until:
            body = json.dumps({"session_id": session, "prompt": f"Event {sent}"}).encode()
            path = (
                f"/hook?agent=codex&event=user-prompt&cwd=/srv/busy&repo_root=/srv/busy&ingest_key={uuid.uuid4().hex}"
            )
            moment = time.perf_counter()
            status = await ask(reader, writer, request(path, body))
            taken.append((time.perf_counter() - moment) * 1000)
            if status not in (200, 202):
                raise SystemExit(f"event: {status}")
            sent += 1
            await asyncio.sleep(max(0.0, begun + sent * SENDERS / EVENTS_A_SECOND - time.monotonic()))
        writer.close()

    senders = [send() for _ in range(SENDERS)]
    await asyncio.gather(*(listen() for _ in range(READERS)), *(read(number) for number in range(READERS)), *senders)
    reads.sort()
    return {
        "readers": READERS,
        "reads a second": round(len(reads) / SECONDS, 1),
        "read p50 ms": round(statistics.median(reads), 1),
        "read p95 ms": round(reads[int(len(reads) * 0.95)], 1),
        "events a second": round(len(taken) / SECONDS, 1),
        "event p50 ms": round(statistics.median(taken), 1),
        "changes told": told,
    }


SENDERS = 8


def main() -> None:
    """Fill, measure, report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = fill(folder / "data")
        with Server(folder, PLAIN) as server:
            pid = server.get("/admin/status")["pid"]
            rows, empty = [], 0.0
            for screen, least, addresses in screens(paths):
                row, load = measured(server.port, screen, least, addresses, empty)
                empty = empty or load.p50
                rows.append(row)
            rows.append(first_load(server.port))
            mixed = [f"/web/w/default/large/p/{quote(path)}" for path in paths[:500]] + [
                "/web",
                "/web/search?q=invoice",
            ] * 50
            run_load(server.port, 4, 250, lambda _, number: question(mixed[number % len(mixed)]))
            before = resident(pid)
            run_load(server.port, 4, REQUESTS // 4, lambda _, number: question(mixed[number % len(mixed)]))
            after = resident(pid)
            rows.append({"requests": REQUESTS, "MB before": round(before, 1), "MB after": round(after, 1)})
            rows.append(asyncio.run(crowd(server.port, mixed[:100])))
    report(rows, {"pages": PAGES})


main()
