"""The stores of one data directory, opened together, with the scrubber and the clock that every writer needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ai_memory.capture.scrub import Scrubber
from ai_memory.store.index import Index
from ai_memory.store.operations import Operations
from ai_memory.store.page_index import PageIndex
from ai_memory.store.rawlog import RawLog
from ai_memory.store.sqlite import Database
from ai_memory.store.state import State
from ai_memory.store.wiki import Wiki


def utc_now() -> datetime:
    """Give the time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Stores:
    """Raw log and wiki (the truth), state (durable rows), and the index of sessions and of pages (derived)."""

    rawlog: RawLog
    wiki: Wiki
    state: State
    database: Database
    index: Index
    pages: PageIndex
    operations: Operations
    scrubber: Scrubber
    clock: Callable[[], datetime]
    #: Why the index was made anew at this start, "" when it was not.
    rebuilt: str = ""
    #: Held while observations are taken in. Whoever needs the wiki's lock too takes this one first.
    intake_lock: threading.RLock = field(default_factory=threading.RLock)

    def close(self) -> None:
        """Close what has to be closed."""
        self.database.close()
        self.state.close()


def open_stores(data_dir: Path, scrubber: Scrubber, clock: Callable[[], datetime], *, anew: str = "") -> Stores:
    """Open (or make) the stores of a data directory whose lock is held.

    Args:
        data_dir, scrubber, clock: of the memory.
        anew: why the index is to be made anew; "" keeps it if it can be used.

    Raises:
        OSError, StorageError: the directory cannot be written.
    """
    is_new = not (data_dir / "wiki").exists()
    database, rebuilt = Database.derived(data_dir / "db" / "index.db", "index", anew)
    return Stores(
        rawlog=RawLog(data_dir / "raw"),
        wiki=Wiki(data_dir / "wiki", data_dir / "db" / "commit-intent.json"),
        state=State(data_dir / "db" / "state.db"),
        database=database,
        index=Index(database),
        pages=PageIndex(database),
        operations=Operations(data_dir / "db" / "operation.json"),
        scrubber=scrubber,
        clock=clock,
        rebuilt="" if is_new else rebuilt,
    )
