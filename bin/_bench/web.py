"""`bin/bench web`: how long screens take with 10,000 pages in one project, what the first one weighs, and what stays.

Beside the large project there are a hundred with fifty pages each; words are as frequent as in a language. One
reader after the other asks for each screen; the reference is the answer of the same server that asks nobody
(`/healthz`), in the same run. Beside what a reader waits, which a busy machine makes longer, stands the time of the
processor that the server took. Then 10,000 requests, and the memory of the process before and after. Then 50 streams
of changes that are left open; and 50 readers, each with such a stream, who ask for a page twice a second: alone, which
is the reference, and while 200 events a second come in.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import itertools
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from _load import ROOT, question, report, request, run_load
from _server import PLAIN, Server
from search import Writer

sys.path.insert(0, str(ROOT))

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.model.scope import Project

PAGES, PROJECTS, PAGES_EACH = 10_000, 100, 50
ASKED, REQUESTS = 100, 10_000
STREAMS, IDLE_SECONDS = 50, 5
READERS, READER_PAUSE, SENDERS, EVENTS_A_SECOND = 50, 0.5, 8, 200
QUIET_SECONDS, BUSY_SECONDS = 6.0, 15.0
FOLDERS = ("decisions", "gotchas", "concepts", "procedures", "notes/2025", "notes/2026", "rare/old")
#: The kind of a single page.
RARE = "runbook"
LARGE = "/web/w/default/large"
TICKS = os.sysconf("SC_CLK_TCK")


def fill(data: Path, writer: Writer) -> list[str]:
    """Make the projects; gives the paths of the large one's pages."""
    memory = Memory(load_settings(data))
    try:
        paths = _write(memory, memory.projects.create("default", "large"), PAGES, writer)
        for number in range(PROJECTS):
            _write(memory, memory.projects.create(f"team-{number % 3}", f"project-{number:03}"), PAGES_EACH, writer)
        # As after a pull: the files are there, and are read and committed now.
        memory.outside.reconcile()
    finally:
        memory.close()
    return paths


def _write(memory: Memory, project: Project, count: int, writer: Writer) -> list[str]:
    """Write files of pages that link to each other."""
    chance, root = random.Random(8), memory.projects.folder(project)
    paths = [f"{FOLDERS[number % len(FOLDERS)]}/page-{number:05}.md" for number in range(count)]
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    long_ago = time.time() - 3600
    for number, path in enumerate(paths):
        links = " ".join(f"[[{other}]]" for other in chance.sample(paths, 3))
        kind = f"kind: {RARE}\n" if number == count // 2 else ""
        (root / path).write_text(
            f"---\ntitle: About {writer.text(3)} {number}\ntags: [{chance.choice(writer.words[200:300])}]\n{kind}---\n"
            f"## What it is\n\n{writer.text(120)}\n\n{writer.text(80)}\n\n## How\n\n```python\ndef total(lines):\n"
            f"    return sum(lines)\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n{links}\n",
            "utf-8",
        )
        os.utime(root / path, (long_ago, long_ago))
    return paths


def screens(paths: list[str], writer: Writer) -> Iterator[tuple[str, float | None, list[str]]]:
    """Give each screen: its name, the p95 that it may take in milliseconds, and the addresses that are asked."""
    chance = random.Random(9)
    read = [f"{LARGE}/p/{quote(chance.choice(paths))}" for _ in range(ASKED)]
    asked = [writer.question(number) for number in range(ASKED)]
    here = {"workspace": "default", "project": "large"}
    api = "/api/v1/workspaces/default/projects/large"
    yield "an empty answer", None, ["/healthz"] * ASKED
    yield "home, 101 projects", None, ["/web"] * ASKED
    yield "project", 60.0, [LARGE] * ASKED
    yield "folder", None, [f"{LARGE}/pages?folder=decisions"] * ASKED
    yield "page", 30.0, read
    yield "search in the project", 60.0, ["/web/search?" + urlencode({"q": text, **here}) for text in asked]
    yield "search of all projects", 60.0, ["/web/search?" + urlencode({"q": text}) for text in asked]
    yield "timeline", None, ["/web/timeline"] * ASKED
    yield "timeline of a rare kind", None, [f"/web/timeline?kind={RARE}"] * ASKED
    yield "graph", None, ["/web/graph.json?" + urlencode(here)] * 20
    yield "status", None, ["/web/status"] * 20
    yield "API: page", None, [each.replace(f"{LARGE}/p/", f"{api}/pages/") for each in read]
    yield "API: all pages", None, [f"{api}/pages"] * 20


def measured(server: Server, pid: int, paths: list[str], writer: Writer) -> Iterator[dict[str, object]]:
    """Ask for the addresses of each screen one after the other; gives the rows of the report."""
    empty = 0.0
    for name, most, addresses in screens(paths, writer):
        run_load(server.port, 1, 20, lambda _, number, each=addresses: question(each[number]))  # type: ignore[misc]
        before = processor(pid)
        load = run_load(server.port, 1, len(addresses), lambda _, number, each=addresses: question(each[number]))  # type: ignore[misc]
        took = (processor(pid) - before) / len(addresses) * 1000
        if set(load.statuses) != {200}:
            raise SystemExit(f"{name}: {load.statuses}")
        row: dict[str, object] = {"screen": name, "p50 ms": round(load.p50, 1), "p95 ms": round(load.p95, 1)}
        row |= {"limit ms": most, "held": load.p95 <= most} if most else {}
        row |= {"server CPU ms": round(took, 1)}
        yield row | ({"times an empty answer": round(load.p50 / empty, 1)} if empty else {})
        empty = empty or load.p50


def first_load(port: int) -> Iterator[dict[str, object]]:
    """Say what a browser that knows nothing yet gets for its first screen, compressed."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def get(path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        return len(body), gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body

    size, body = get("/web")
    sizes = {"/web": size}
    sizes |= {
        each: get(each)[0] for each in sorted(set(re.findall(r'(?:src|href)="(/web/static/[^"]+)"', body.decode())))
    }
    connection.close()
    for path, size in sizes.items():
        yield {"first load": path.partition("?")[0], "kB": round(size / 1000, 1)}
    total = sum(sizes.values())
    yield {"first load": "all of it", "kB": round(total / 1000, 1), "limit kB": 100, "held": total <= 100_000}


def processor(pid: int) -> float:
    """Give the seconds of the processor that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def held(pid: int) -> tuple[float, int]:
    """Give the megabytes of its own that a process holds, and its threads.

    Not the index, which is mapped once for each thread and is the system's memory.
    """
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = [int(re.search(rf"{name}:\s+(\d+)", text)[1]) for name in ("RssAnon", "Threads")]  # type: ignore[index]
    return round(found[0] / 1000, 1), found[1]


def many_requests(server: Server, pid: int, mixed: Sequence[str]) -> dict[str, object]:
    """Ask for many screens, and say what the server holds before and after."""

    def ask(each: int) -> None:
        load = run_load(
            server.port, 4, each, lambda client, number: question(mixed[(client * 7 + number) % len(mixed)])
        )
        if set(load.statuses) != {200}:
            raise SystemExit(f"{load.statuses}")

    ask(REQUESTS // 20)
    before = held(pid)
    ask(REQUESTS // 8)
    between = held(pid)
    ask(REQUESTS // 8)
    after = held(pid)
    return {
        "requests": REQUESTS,
        "MB before": before[0],
        "MB after half": between[0],
        "MB after": after[0],
        "threads before": before[1],
        "threads after": after[1],
    }


async def streams(port: int, pid: int) -> dict[str, object]:
    """Open streams of changes, and say what they cost while nothing changes."""

    async def idle() -> float:
        """Give the median of some seconds: in one of them the server may look through its files."""
        took = []
        for _ in range(IDLE_SECONDS):
            before = processor(pid)
            await asyncio.sleep(1)
            took.append(processor(pid) - before)
        return round(statistics.median(took) * 1000)

    begun, without = held(pid)[0], await idle()
    writers = []
    for _ in range(STREAMS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(question("/api/v1/events"))
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    row: dict[str, object] = {
        "streams": STREAMS,
        "MB before": begun,
        "MB with them": held(pid)[0],
        "CPU ms a second": await idle(),
        "without them": without,
    }
    for writer in writers:
        writer.close()
    return row


async def crowd(
    port: int, addresses: Sequence[str], seconds: float, senders: int
) -> tuple[list[float], list[float], int]:
    """Let readers read, each with the stream of changes open, while `senders` send events.

    Returns:
        what readers waited and what senders waited, in milliseconds, least first; and how many changes were told.
    """
    reads: list[float] = []
    taken: list[float] = []
    told = 0
    until = time.monotonic() + seconds

    async def ask(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, payload: bytes, waited: list[float], good: set[int]
    ) -> None:
        begun = time.perf_counter()
        writer.write(payload)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        waited.append((time.perf_counter() - begun) * 1000)
        if int(head[9:12]) not in good:
            raise SystemExit(f"{payload[:100]!r}: {head[9:12].decode()}")

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
            await ask(reader, writer, question(address), reads, {200})
            await asyncio.sleep(READER_PAUSE)
        writer.close()

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun, sent, session = time.monotonic(), 0, str(uuid.uuid4())
        while time.monotonic() < until:
            body = json.dumps({"session_id": session, "prompt": f"Event {sent}"}).encode()
            place = f"cwd=/srv/busy&repo_root=/srv/busy&ingest_key={uuid.uuid4().hex}"
            path = f"/hook?agent=codex&event=user-prompt&{place}"
            await ask(reader, writer, request(path, body), taken, {200, 202})
            sent += 1
            await asyncio.sleep(max(0.0, begun + sent * SENDERS / EVENTS_A_SECOND - time.monotonic()))
        writer.close()

    readers = (each for number in range(READERS) for each in (listen(), read(number)))
    await asyncio.gather(*readers, *(send() for _ in range(senders)))
    return sorted(reads), sorted(taken), told


def crowded(server: Server, pid: int, addresses: Sequence[str]) -> dict[str, object]:
    """Let readers read alone, then while events come in."""
    alone, _, _ = asyncio.run(crowd(server.port, addresses, QUIET_SECONDS, 0))
    before = processor(pid)
    reads, taken, told = asyncio.run(crowd(server.port, addresses, BUSY_SECONDS, SENDERS))
    share = (processor(pid) - before) / BUSY_SECONDS
    return {
        "readers": READERS,
        "reads a second": round(len(reads) / BUSY_SECONDS, 1),
        "read p50 ms": round(statistics.median(reads), 1),
        "read p95 ms": round(reads[int(len(reads) * 0.95)], 1),
        "without events p50 ms": round(statistics.median(alone), 1),
        "ratio": round(statistics.median(reads) / statistics.median(alone), 1),
        "events a second": round(len(taken) / BUSY_SECONDS, 1),
        "event p50 ms": round(statistics.median(taken), 1),
        "event p95 ms": round(taken[int(len(taken) * 0.95)], 1),
        "changes told": told,
        "processors used": round(share, 2),
    }


def main() -> None:
    """Fill, measure, report."""
    with tempfile.TemporaryDirectory() as name:
        folder, writer = Path(name), Writer()
        begun = time.monotonic()
        paths = fill(folder / "data", writer)
        filled = time.monotonic() - begun
        with Server(folder, PLAIN) as server:
            pid = server.get("/admin/status")["pid"]
            # Five seconds after its start a server loads the SDK of MCP, which takes a processor for two: now, then.
            run_load(server.port, 1, 1, lambda *_: question("/mcp"))
            rows = [*measured(server, pid, paths, writer), *first_load(server.port)]
            mixed = [f"{LARGE}/p/{quote(path)}" for path in paths[:500]]
            mixed += ["/web/search?q=" + quote(writer.text(2)) for _ in range(50)]
            mixed += [LARGE, "/web/timeline"] * 10
            rows.append(many_requests(server, pid, mixed))
            rows.append(asyncio.run(streams(server.port, pid)))
            rows.append(crowded(server, pid, mixed[:500]))
    about = {
        "pages": f"{PAGES:,} in one project, {PROJECTS} projects with {PAGES_EACH} each",
        "filled in s": round(filled, 1),
        "load of the machine": os.getloadavg()[0],
    }
    report(rows, about)


if __name__ == "__main__":
    main()
