"""`bin/bench reindex`: the index made anew from 10,000 pages and 200,000 observations; then one page, write to found.

The reference of the rebuild is SQLite alone: the same texts, already cut and parsed, into one FTS5 table. The
reference of the page is `git add` and `git commit` of one file in the same repository.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _load import ROOT, report

sys.path.insert(0, str(ROOT))

import apsw
from session_end import git_alone

from ai_memory.config import load_settings
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.page import sealed
from ai_memory.model.scope import Routing
from ai_memory.store.rawlog import Entry

SESSIONS, PER_SESSION, NOTES = 2_000, 100, 8_000
WRITES = 60
WORDS = [line.strip() for line in (ROOT / "ai_memory/capture/looks.py").read_text().split() if line.isalpha()]
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def prose(count: int) -> str:
    """Make text of so many words that are not all the same."""
    return " ".join(random.choices(WORDS, k=count)) + f" {random.randrange(10**9):x}"


def observation(number: int) -> Observation:
    """Make one observation of a long session."""
    return Observation(
        at=BEGUN + timedelta(seconds=number),
        kind=Kind.USER_PROMPT if number % 10 == 0 else Kind.POST_TOOL_USE,
        agent="claude-code",
        source_event="PostToolUse",
        title=Scrubbed(prose(6)[:80]),
        body=Scrubbed(prose(60)),
        key=uuid.uuid4().hex,
        cwd="/srv/shop",
    )


def fill(memory: Memory) -> None:
    """Write the raw logs and the pages, in commits of 500."""
    project = memory.projects.ensure(Routing(cwd="/srv/shop", repo_root="/srv/shop")).project
    ids = [uuid.uuid4() for _ in range(SESSIONS)]
    for session in ids:
        lines = [observation(number) for number in range(PER_SESSION)]
        memory.stores.rawlog.append([Entry(project, session, str(session), lines)])
    pages = {f"notes/{n // 200:02}/{n:05}.md": f"---\ntype: Note\n---\n# Note {n}\n\n{prose(500)} [[notes/00/00001]]\n"
             for n in range(NOTES)}  # fmt: skip
    for session in ids:
        front = f"type: Session Summary\ntier: episodic\nobservations: {PER_SESSION}\nsession_id: {session}\n"
        pages[f"sessions/{session}.md"] = sealed(f"---\n{front}---\n# {prose(5)}\n\n{prose(500)}\n")
    paths = list(pages)
    for first in range(0, len(paths), 500):
        some = {path: Scrubbed(pages[path]) for path in paths[first : first + 500]}
        memory.stores.wiki.commit(project, some, f"fill {first}", at=BEGUN)


def rebuild(data: Path) -> tuple[float, float]:
    """Run `ai-memory reindex`; gives seconds and the most memory that it held, in MB."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "ai_memory", "--data-dir", str(data), "reindex"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"reindex failed ({status})")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def sqlite_alone(data: Path, file: Path) -> float:
    """Insert the rebuilt index's own texts into one FTS5 table; gives seconds."""
    source = apsw.Connection(str(data / "db" / "index.db"))
    rows = source.execute("SELECT heading, body, words FROM chunks").fetchall()
    seen = source.execute("SELECT session, n, at, kind, title FROM observations").fetchall()
    connection = apsw.Connection(str(file))
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(heading, body, words, tokenize='porter unicode61')")
    connection.execute("CREATE TABLE o (session, n, at, kind, title, PRIMARY KEY (session, n)) WITHOUT ROWID")
    begun = time.perf_counter()
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        connection.executemany("INSERT INTO o VALUES (?, ?, ?, ?, ?)", seen)
    return time.perf_counter() - begun


def write_to_found(memory: Memory) -> list[float]:
    """Time pages from the write to the search that finds them, in milliseconds."""
    (project,) = memory.projects.all()
    times = []
    for number in range(WRITES):
        # Letters only: of a name with digits its parts are looked for as well.
        word = "saffron" + "".join(random.choices("abcdefgh", k=12))
        begun = time.perf_counter()
        memory.pages.write(project, f"notes/bench/{number}.md", f"{prose(400)} {word}", Fields(), Writer(user="bench"))
        hits = memory.recall.search(word, [project])
        times.append((time.perf_counter() - begun) * 1000)
        if [hit.path for hit in hits] != [f"notes/bench/{number}.md"]:
            raise SystemExit(f"{word} was not found")
    return sorted(times)


def main() -> None:
    """Measure the rebuild, then page writes in what was rebuilt."""
    random.seed(7)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        memory = Memory(load_settings(data))
        fill(memory)
        memory.close()
        runs = [rebuild(data) for _ in range(3)]
        seconds, resident = statistics.median(run[0] for run in runs), max(run[1] for run in runs)
        alone = sqlite_alone(data, Path(folder) / "alone.db")
        memory = Memory(load_settings(data))
        times = write_to_found(memory)
        git = git_alone(data / "wiki")
        memory.close()
    report(
        [
            {
                "what": f"reindex of {SESSIONS + NOTES:,} pages and {SESSIONS * PER_SESSION:,} observations",
                "s": round(seconds, 1),
                "resident MB": round(resident),
                "SQLite alone s": round(alone, 1),
                "ratio": round(seconds / alone, 2),
            },
            {
                "what": f"page write to found, at {SESSIONS + NOTES:,} pages",
                "p50 ms": round(statistics.median(times), 1),
                "p95 ms": round(times[int(len(times) * 0.95)], 1),
                "git add+commit ms": round(git, 1),
                "ratio": round(statistics.median(times) / git, 2),
            },
        ]
    )


if __name__ == "__main__":
    main()
