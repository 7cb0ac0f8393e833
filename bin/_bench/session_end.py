"""`bin/bench session-end`: page, handoff and commit at a session's end, in a wiki of 100 and of 10,000 pages.

Also the start with 10,000 pages, and the memory that the server then holds. The reference is what git alone needs
to commit one changed file in the same repository.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path

from _load import ROOT, free_port, report, start

sys.path.insert(0, str(ROOT))

from ai_memory.config import load_settings
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.model.event import Scrubbed
from ai_memory.model.page import sealed

ENDS = 40
QUERY = {"agent": "claude-code", "cwd": "/srv/shop", "repo_root": "/srv/shop"}


def events(session: str, tools: int = 20) -> list[Delivery]:
    """Make a session of one prompt, some tool calls and an answer (not yet its end)."""
    made = [("session-start", {}), ("user-prompt", {"prompt": f"Fix the rounding of invoice {session}"})]
    made += [
        ("post-tool-use", {"tool_name": "Bash", "tool_input": {"command": f"pytest -k {n}"}}) for n in range(tools)
    ]
    made += [("stop", {"last_assistant_message": "We decided to round per invoice. Next steps:\n- refunds.py"})]
    return [delivery(name, session, body) for name, body in made]


def delivery(event: str, session: str, body: dict[str, object]) -> Delivery:
    """Make one `/hook` request."""
    query = {**QUERY, "event": event, "ingest_key": uuid.uuid4().hex}
    return Delivery(query, json.dumps({"session_id": session, **body}).encode())


def fill(memory: Memory, pages: int) -> None:
    """Bring the project to so many sessions: each in the raw log, with a page, in git."""
    (project,) = memory.projects.all()
    missing = pages - len(memory.stores.index.recent(limit=1_000_000))
    for chunk in range(0, missing, 500):
        made = {}
        for _ in range(min(500, missing - chunk)):
            session = str(uuid.uuid4())
            memory.intake.record(events(session, tools=1))
            row = memory.stores.index.recent(limit=1)[0]
            front = f"---\ntitle: Session {session}\nobservations: {row.observations}\n---\n"
            made[f"sessions/{session}.md"] = Scrubbed(sealed(front + "A line of it.\n" * 40))
            memory.stores.index.mark(row, compiled=row.observations, committed=row.observations)
        memory.stores.wiki.commit(project, made, f"fill to {pages}", at=datetime.now(UTC))
    memory.sessions.settle()
    memory.stores.wiki.git.tidy()
    # The server reads what it did not write itself twice a minute.
    memory.outside.reconcile()


def ends(memory: Memory) -> list[float]:
    """Time the ends of some sessions, in milliseconds: event taken, page, handoff, commit."""
    times = []
    for _ in range(ENDS):
        session = str(uuid.uuid4())
        memory.intake.record(events(session))
        memory.sessions.settle()
        begun = time.perf_counter()
        memory.intake.record([delivery("session-end", session, {})])
        memory.sessions.settle()
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def git_alone(wiki: Path) -> float:
    """Time `git add` and `git commit` of one file, median of some, in milliseconds."""
    times = []
    for number in range(9):
        (wiki / "reference.md").write_text(f"{number}\n")
        begun = time.perf_counter()
        subprocess.run(["git", "add", "reference.md"], cwd=wiki, check=True)
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm", "reference"],
            cwd=wiki,
            check=True,
        )
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def main() -> None:
    """Measure at 100 and at 10,000 pages, then a start of the server on what is there."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        memory = Memory(load_settings(data))
        memory.intake.record(events(str(uuid.uuid4())))
        memory.sessions.settle()
        for pages in (100, 10_000):
            fill(memory, pages)
            times = ends(memory)
            reference = git_alone(data / "wiki")
            rows.append(
                {
                    "what": f"session end at {pages} pages",
                    "p50 ms": round(statistics.median(times), 1),
                    "p95 ms": round(times[int(len(times) * 0.95)], 1),
                    "git add+commit ms": round(reference, 1),
                    "ratio": round(statistics.median(times) / reference, 2),
                }
            )
        memory.close()
        port = free_port()
        begun = time.perf_counter()
        server = start(["-m", "ai_memory", "serve", "--bind", f"127.0.0.1:{port}", "--data-dir", str(data)], port)
        started = time.perf_counter() - begun
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/status").read()
            resident = next(
                int(line.split()[1]) / 1024
                for line in Path(f"/proc/{server.pid}/status").read_text().splitlines()
                if line.startswith("VmRSS")
            )
        finally:
            server.terminate()
            server.wait(30)
        rows.append({"what": "start with 10,000 pages", "s": round(started, 2), "resident MB": round(resident)})
    report(rows)


if __name__ == "__main__":
    main()
