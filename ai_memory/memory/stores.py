"""The stores of one data directory, opened together, with the scrubber and the clock that every writer needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ai_memory.capture.scrub import Scrubber
from ai_memory.store.index import Index
from ai_memory.store.rawlog import RawLog
from ai_memory.store.state import State
from ai_memory.store.wiki import Wiki


def utc_now() -> datetime:
    """Give the time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Stores:
    """Raw log and wiki (the truth), state (durable rows), index (derived)."""

    rawlog: RawLog
    wiki: Wiki
    state: State
    index: Index
    scrubber: Scrubber
    clock: Callable[[], datetime]

    def close(self) -> None:
        """Close what has to be closed."""
        self.index.close()
        self.state.close()


def open_stores(data_dir: Path, scrubber: Scrubber, clock: Callable[[], datetime]) -> Stores:
    """Open (or make) the stores of a data directory whose lock is held.

    Raises:
        OSError, StorageError: the directory cannot be written.
    """
    return Stores(
        rawlog=RawLog(data_dir / "raw"),
        wiki=Wiki(data_dir / "wiki", data_dir / "db" / "commit-intent.json"),
        state=State(data_dir / "db" / "state.db"),
        index=Index(data_dir / "db" / "index.db"),
        scrubber=scrubber,
        clock=clock,
    )
