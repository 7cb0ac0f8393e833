"""The stores of one data directory, opened together, with the scrubber and the clock that every writer needs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ai_memory.capture.scrub import Scrubber
from ai_memory.errors import StorageError
from ai_memory.memory.changes import Changes
from ai_memory.store.index import Index
from ai_memory.store.operations import Operations
from ai_memory.store.packet_index import PacketIndex
from ai_memory.store.page_changes import PageChanges
from ai_memory.store.page_graph import PageGraph
from ai_memory.store.page_index import PageIndex
from ai_memory.store.page_lists import PageLists
from ai_memory.store.page_search import PageSearch
from ai_memory.store.rawlog import RawLog
from ai_memory.store.record_index import RecordIndex
from ai_memory.store.snapshot import STATE
from ai_memory.store.sqlite import Database, micros
from ai_memory.store.state import State, has_rows
from ai_memory.store.turn_index import TurnIndex
from ai_memory.store.vectors import Vectors
from ai_memory.store.wiki import MANIFEST, Wiki
from ai_memory.store.words import Words

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Give the time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Stores:
    """Raw log and wiki (the truth), state (durable rows), and the index of all that is in them (derived)."""

    rawlog: RawLog
    wiki: Wiki
    state: State
    database: Database
    index: Index
    pages: PageIndex
    page_lists: PageLists
    page_search: PageSearch
    page_changes: PageChanges
    page_graph: PageGraph
    records: RecordIndex
    packets: PacketIndex
    turns: TurnIndex
    words: Words
    vectors: Vectors
    operations: Operations
    scrubber: Scrubber
    clock: Callable[[], datetime]
    changes: Changes
    #: Why the index was made anew at this start, "" when it was not.
    rebuilt: str = ""
    #: Whether the durable rows were gone at this start, and began anew beside what they belonged to.
    state_lost: bool = False
    #: Held while observations are taken in. Whoever needs the wiki's lock too takes this one first.
    intake_lock: threading.RLock = field(default_factory=threading.RLock)

    def close(self) -> None:
        """Close what has to be closed, the one also when the other fails."""
        try:
            self.database.close()
        finally:
            self.state.close()


class WikiMissingError(StorageError):
    """The pages are not where they were."""


def check_wiki(data_dir: Path) -> None:
    """Refuse to begin a new wiki where there was one: its disk may not be mounted, or somebody moved it away.

    Raises:
        WikiMissingError: there are raw logs or durable rows, and no wiki.
    """
    wiki = data_dir / "wiki"
    if (wiki / ".git").exists() or any(wiki.glob(f"*/{MANIFEST}")):
        return
    if any((data_dir / "raw").glob("*/*")) or has_rows(data_dir / STATE):
        raise WikiMissingError(
            f"{wiki} is missing or empty, and {data_dir} holds what belongs to it: put it back, `ai-memory restore` a "
            "backup, or `ai-memory reset` to begin anew"
        )


def open_stores(data_dir: Path, scrubber: Scrubber, clock: Callable[[], datetime], *, anew: str = "") -> Stores:
    """Open (or make) the stores of a data directory whose lock is held.

    Args:
        data_dir, scrubber, clock: of the memory.
        anew: why the index is to be made anew; "" keeps it if it can be used.

    Raises:
        OSError, StorageError: the directory cannot be written.
    """
    database, rebuilt = Database.derived(data_dir / "db" / "index.db", "index", anew)
    rawlog = RawLog(data_dir / "raw")
    marks = Index(database).raw_marks()
    if any(file.size < marks.get((file.project_id, file.session_id), 0) for file in rawlog.files()):
        # Rows, keys and marks of events that are nowhere any more.
        database.close()
        anew = "an older copy of a raw log was put back"
        database, rebuilt = Database.derived(data_dir / "db" / "index.db", "index", anew)
    wiki = Wiki(data_dir / "wiki", data_dir / "db" / "commit-intent.json")
    is_new = not wiki.git.head() and not any(True for _ in rawlog.files())
    state_lost = not is_new and not (data_dir / STATE).exists()
    if state_lost:
        _log.warning(
            "%s was gone: open handoffs, counts of reads, tokens and teams of packets are lost, and it begins anew",
            data_dir / STATE,
        )
    changes = Changes(micros(clock()))
    state = State(data_dir / STATE, lambda project_id: changes.note(project_id, "handoffs"))
    wiki.purged = state.purged()
    return Stores(
        rawlog=rawlog,
        wiki=wiki,
        state=state,
        database=database,
        index=Index(database),
        pages=PageIndex(database),
        page_lists=PageLists(database),
        page_search=PageSearch(database),
        page_changes=PageChanges(database),
        page_graph=PageGraph(database),
        records=RecordIndex(database),
        packets=PacketIndex(database),
        turns=TurnIndex(database),
        words=Words(database),
        vectors=Vectors(database),
        operations=Operations(data_dir / "db" / "operation.json", wiki.git.check_free),
        scrubber=scrubber,
        clock=clock,
        changes=changes,
        rebuilt="" if is_new else rebuilt,
        state_lost=state_lost,
    )
