"""`bin/bench year [--weeks N]`: a year of work on a clock that is moved, and what it leaves on the disk.

200 sessions a week in 5 projects of 3 directories each, about 40 observations a session with bodies of 200 to 2,000
bytes; one in ten just stops, one in twenty does nothing, half of them take the handoff that waits. The upkeep is
done every day as the server does it, under default settings. Every four weeks the memory is closed and opened again.
The reference of the sizes is what the hooks sent: the bytes of the events as JSON; that of the session ends is
`git add` and `git commit` of one file in the same repository, right afterwards.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _load import ROOT, report

sys.path.insert(0, str(ROOT))

from session_end import git_alone

from ai_memory.config import load_settings
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.model.handoff import Receiver
from ai_memory.model.scope import Routing
from ai_memory.store.files import bytes_below

SESSIONS_A_WEEK, PROJECTS, DIRECTORIES, TURNS, TOOLS = 200, 5, 3, 2, 17
APART = timedelta(weeks=1) / SESSIONS_A_WEEK
#: As the server does it.
TIDY_COMMITS = 200
WORDS = sorted({word for word in (ROOT / "ai_memory/capture/tools.py").read_text().split() if word.isascii()})
MB = 1_000_000


class Year:
    """One memory, its clock, and what its agents did so far."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.sent = 0
        self.sessions = 0
        self.commits = 0
        self.ends: list[float] = []
        self.upkeeps: list[float] = []
        self.started = 0.0
        self.memory = self._opened()

    def _opened(self) -> Memory:
        begun = time.perf_counter()
        memory = Memory(load_settings(self.data), clock=lambda: self.now)
        self.started = time.perf_counter() - begun
        return memory

    def restart(self) -> None:
        """Close the memory and open it again."""
        self.memory.close()
        gc.collect()
        self.memory = self._opened()

    def week(self) -> None:
        """Let a week pass."""
        for _ in range(SESSIONS_A_WEEK):
            before = self.now
            self._session()
            self.sessions += 1
            self.now = before + APART
            if self.now.date() != before.date():
                self._night()

    def _session(self) -> None:
        project = self.sessions % PROJECTS
        root = f"/srv/project{project}"
        where = {"agent": random.choice(("claude-code", "codex")), "repo_root": root}
        where["cwd"] = f"{root}/part{random.randrange(DIRECTORIES)}"
        session = str(uuid.UUID(int=random.getrandbits(128), version=4))
        if random.random() < 0.5:
            receiver = Receiver(uuid.UUID(session), where["agent"], where["cwd"])
            self.memory.handoffs.for_start(receiver, Routing(cwd=where["cwd"], repo_root=root), lambda: True)
        self._send(where, session, [("session-start", {})])
        if random.random() < 0.05:
            return
        for _ in range(TURNS):
            self.now += timedelta(minutes=5)
            tools = [("post-tool-use", _tool()) for _ in range(TOOLS)]
            answer = {"last_assistant_message": f"{_prose(600)} We decided to keep it.\nNext steps:\n- {_prose(60)}"}
            self._send(where, session, [("user-prompt", {"prompt": _prose(300)}), *tools, ("stop", answer)])
        if random.random() < 0.1:
            return
        begun = time.perf_counter()
        self._send(where, session, [("session-end", {})])
        self.ends.append((time.perf_counter() - begun) * 1000)

    def _send(self, where: dict[str, str], session: str, events: list[tuple[str, dict[str, object]]]) -> None:
        """Deliver events, and do what is due then."""
        deliveries = []
        for name, body in events:
            payload = json.dumps({"session_id": session, "cwd": where["cwd"], **body}).encode()
            self.sent += len(payload)
            query = {**where, "event": name, "ingest_key": f"{random.getrandbits(128):032x}"}
            deliveries.append(Delivery(query, payload))
        self.memory.intake.record(deliveries)
        self.commits += self.memory.sessions.settle()

    def _night(self) -> None:
        """Do what the server's worker does once a day, and now and then."""
        self.commits += self.memory.sessions.close_idle()
        begun = time.perf_counter()
        while self.memory.upkeep.step(0.5):
            pass
        self.upkeeps.append(time.perf_counter() - begun)
        if self.commits >= TIDY_COMMITS:
            self.commits = 0
            self.memory.stores.wiki.git.tidy()
            self.memory.forget_keys()

    def row(self, week: int) -> dict[str, object]:
        """Say what is there now; the session ends are those since the last row."""
        self.restart()
        self.ends.sort()
        wiki, db = self.data / "wiki", self.data / "db"
        git = bytes_below(wiki / ".git")
        sizes = {
            "raw": bytes_below(self.data / "raw"),
            "pages": bytes_below(wiki) - git,
            "git": git,
            "index": sum(file.stat().st_size for file in db.glob("index.db*")),
            "state": sum(file.stat().st_size for file in db.glob("state.db*")),
        }
        row: dict[str, object] = {"week": week, "sent MB": round(self.sent / MB, 1)}
        row |= {f"{name} MB": round(size / MB, 1) for name, size in sizes.items()}
        row |= {
            "all/sent": round(sum(sizes.values()) / self.sent, 2),
            "pages": self.memory.stores.pages.counts()["pages"],
            "handoffs open": self.memory.stores.state.counts().get("open", 0),
            "end p50 ms": round(statistics.median(self.ends), 1),
            "end p95 ms": round(self.ends[int(len(self.ends) * 0.95)], 1),
            "git add+commit ms": round(git_alone(wiki), 1),
            "upkeep max s": round(max(self.upkeeps), 2),
            "start s": round(self.started, 2),
            "resident MB": round(_resident()),
        }
        self.ends, self.upkeeps = [], []
        return row


def _tool() -> dict[str, object]:
    if random.random() < 0.3:
        return {"tool_name": "Edit", "tool_input": {"file_path": f"/srv/project/{random.randrange(60)}.py"}}
    size = random.randrange(200, 2_000)
    command = f"pytest -q tests/test_{random.randrange(400)}.py"
    return {"tool_name": "Bash", "tool_input": {"command": command}, "tool_response": {"stdout": _prose(size)}}


def _prose(size: int) -> str:
    """Make about so many characters of source code's words."""
    return " ".join(random.choices(WORDS, k=size // 9 + 1))[:size]


def _resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main() -> None:
    """Let the weeks pass, and print a row every four of them."""
    parser = argparse.ArgumentParser(description="A year of work on a clock that is moved.")
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    random.seed(7)
    rows: list[dict[str, object]] = []
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        year = Year(Path(folder) / "data")
        for week in range(1, chosen.weeks + 1):
            year.week()
            if week % 4 == 0 or week == chosen.weeks:
                rows.append(year.row(week))
                if not chosen.json:
                    print("  ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
        year.memory.close()
    if chosen.json:
        report(rows)
    else:
        print(f"{year.sessions:,} sessions in {(time.perf_counter() - begun) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
