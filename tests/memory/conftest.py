"""A memory on a clock that the test moves."""

import atexit
import functools
import json
import shutil
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from ai_memory.config import load_settings
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.model.handoff import Receiver
from ai_memory.model.scope import Routing
from ai_memory.store.sqlite import MIGRATIONS


@functools.cache
def beginning():
    """Give a data directory in which nothing has happened: what is in it is the same whenever and wherever it is made."""
    folder = Path(tempfile.mkdtemp(prefix="ai-memory-beginning-"))
    atexit.register(shutil.rmtree, folder)
    Memory(load_settings(folder / "data")).close()
    (folder / "data" / ".lock").unlink()
    return folder / "data"


def begin(data):
    """Put a copy of that where there is no data directory yet: making one takes three times as long as opening it."""
    if not data.exists():
        shutil.copytree(beginning(), data)


class World:
    """One data directory, its clock, and what agents do in it."""

    def __init__(self, tmp_path, **how):
        self.data = tmp_path / "data"
        self.now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
        self.memory = None
        self.how = how
        begin(self.data)
        self.open()

    def open(self, **flags):
        flags = {key.replace("__", "."): value for key, value in flags.items()}
        self.memory = Memory(load_settings(self.data, flags=flags), clock=lambda: self.now, **self.how)
        return self.memory

    def close(self):
        if self.memory:
            self.memory.close()
            self.memory = None

    def crash(self):
        """End without settling anything, as a kill does."""
        self.memory.stores.close()
        self.memory._lock.release()
        self.memory = None

    def passes(self, **time):
        self.now += timedelta(**time)

    def says(self, session, event, agent="claude-code", cwd="/srv/shop", **body):
        query = {"agent": agent, "event": event, "cwd": cwd, "ingest_key": uuid.uuid4().hex}
        if cwd in ("/srv/shop", "/srv/atlas"):
            query["repo_root"] = cwd
        self.passes(seconds=1)
        (outcomes,) = self.memory.intake.record([Delivery(query, json.dumps({"session_id": session, **body}).encode())])
        return outcomes[0].what

    def works(self, session, prompt="Please fix the rounding.", answer="Rounded per invoice.", **where):
        self.says(session, "session-start", **where)
        self.says(session, "user-prompt", prompt=prompt, **where)
        self.says(session, "post-tool-use", tool_name="Edit", tool_input={"file_path": "/srv/shop/cart.py"}, **where)
        self.says(session, "stop", last_assistant_message=answer, **where)

    def starts(self, session, agent="codex", cwd="/srv/shop"):
        receiver = Receiver(uuid.UUID(session), agent, cwd)
        return self.memory.handoffs.for_start(receiver, Routing(cwd=cwd), lambda: True).text

    def pages(self):
        return {file.stem: file.read_text() for file in (self.data / "wiki").glob("*/*/sessions/*.md")}

    def subjects(self):
        return [commit.subject for commit in self.memory.stores.wiki.git.recent(50)]

    def ledger(self):
        return [
            line.split("] ")[1]
            for file in (self.data / "wiki").glob("*/*/log-*.md")
            for line in file.read_text().splitlines()
            if line.startswith("## ")
        ]


def older_index(data, version):
    """Make the index of a data directory that nobody has open one that a former version of the program wrote."""
    file = data / "db" / "index.db"
    newer = file.rename(file.with_name("newer.db"))
    index = apsw.Connection(str(file))
    for script in sorted((MIGRATIONS / "index").iterdir(), key=lambda script: script.name)[:version]:
        index.execute(script.read_text("utf-8"))
    index.execute("ATTACH ? AS newer", (str(newer),))
    tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT GLOB 'sqlite_*'"
    # As they were made: a text goes before its chunks.
    for (table,) in index.execute(f"SELECT name FROM sqlite_schema WHERE name IN ({tables})").fetchall():
        columns = ", ".join(name for (name,) in index.execute("SELECT name FROM pragma_table_info(?)", (table,)))
        index.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
    index.execute("DETACH newer")
    index.pragma("user_version", version)
    index.close()
    newer.unlink()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def ids():
    """Session ids, as many as a test wants."""
    return [str(uuid.UUID(int=n + (4 << 76) + (2 << 62))) for n in range(1, 10)]
