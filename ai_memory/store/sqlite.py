"""SQLite as this program opens it: apsw, write-ahead log, numbered migrations, one writer, a reader a thread."""

from __future__ import annotations

import json
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

import apsw
import sqlite_vec

from ai_memory.errors import StorageError
from ai_memory.store.files import private_folder

MIGRATIONS = resources.files("ai_memory.store") / "migrations"
_LOG_BYTES = 16 * 1024 * 1024
#: So many bytes of a derived database are read where they lie in the system's cache, which a search takes a sixth less
#: time for. A lost disk would end the process there, hence no database that cannot be made anew; and on Windows a file
#: cannot shrink while it is mapped.
_MAPPED = 1 << 30
#: How often, and how many seconds apart, a connection is closed that another thread is in.
_CLOSINGS, _BETWEEN_CLOSINGS = 100, 0.01
#: A day, in microseconds.
DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: What the disk may have against it.
_REFUSALS = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)


class NewerDatabaseError(StorageError):
    """The database was written by a newer version of this program."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a database takes: bytes of a page of the file, how many pages, and how many of them hold nothing."""

    page_size: int
    pages: int
    free: int


class Database:
    """One database file: writes go through one connection under a lock, each thread reads through its own.

    Reads see what was committed before they began; a reader never waits for the writer.
    """

    def __init__(self, path: Path, kind: str, *, durable: bool) -> None:
        """Open (or make) a database and bring it to the newest schema.

        Args:
            path: the file; it gets mode 0600.
            kind: the folder of its migrations, `0001_name.sql` and so on; each runs once, in one
                transaction with the note that it ran (`user_version`).
            durable: whether a commit must survive a power cut. A derived database need not.

        Raises:
            NewerDatabaseError: it has migrations that this version does not know.
            StorageError: it cannot be opened.
            apsw.Error: it is damaged.
        """
        self.path = path
        self._durable = durable
        try:
            self._writer = _opened(path, kind, durable=durable)
        except _REFUSALS as error:
            raise StorageError(f"{path} cannot be opened: {error}") from error
        self._lock = threading.RLock()
        self._local = threading.local()
        #: Transactions that were committed since it was opened.
        self.commits = 0
        self._readers: list[apsw.Connection] = []

    def close(self) -> None:
        """Close all connections; a question that another thread asks just now fails with `apsw.InterruptError`.

        Raises:
            apsw.ThreadingViolationError: such a question did not end in a second; the other connections are closed.
        """
        with self._lock, ExitStack() as closing:
            closing.callback(self._writer.close)
            for reader in self._readers:
                reader.interrupt()
                closing.callback(_close, reader)
            self._readers.clear()

    @classmethod
    def derived(cls, path: Path, kind: str, reason: str = "") -> tuple[Database, str]:
        """Open a database that may be made anew at any time; gives it, and why it was made anew, "" if it was not.

        Args:
            path, kind: see the class.
            reason: why it is to be made anew in any case.
        """
        damaged = _damaged_note(path)
        there = path.exists()
        if damaged.exists():
            reason = "it was damaged"
        if not reason:
            try:
                return cls(path, kind, durable=False), "" if there else "it was not there"
            except (apsw.CorruptError, apsw.NotADBError):
                reason = "it was damaged"
            except NewerDatabaseError:
                reason = "a newer version of this program wrote it"
        for file in (path, *path.parent.glob(f"{path.name}-*")):
            file.unlink(missing_ok=True)
        database = cls(path, kind, durable=False)
        damaged.unlink(missing_ok=True)
        return database, reason

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """Give the writing connection for one transaction; an error rolls it back.

        Raises:
            StorageError: the disk refused it.
        """
        with self._lock, self._telling():
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")
            self.commits += 1

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except _REFUSALS as error:
            raise StorageError(f"{self.path.name} could not be written: {error}") from error
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise self._damaged(error) from error

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a question; it sees what is committed, also while this thread writes."""
        try:
            return self.reader().execute(sql, tuple(values)).fetchall()
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise self._damaged(error) from error

    def each(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a question whose answers are worked out one by one, for who may stop before the last."""
        with self.reading() as reader:
            yield from reader.execute(sql, tuple(values))

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """Give this thread's reading connection, for what is more than a question.

        Raises:
            StorageError: the file is damaged; without its schema even the full-text functions are not to be had.
        """
        try:
            yield self.reader()
        except (apsw.CorruptError, apsw.NotADBError, apsw.NoFTS5Error) as error:
            raise self._damaged(error) from error

    def compact(self) -> int:
        """Write the file anew without what was deleted; gives the bytes that this freed. Writers wait, readers do not.

        Raises:
            StorageError: the disk refused; the file is as it was.
        """
        with self._lock, self._telling():
            before = self._stored()
            self._writer.execute("VACUUM")
            # Until then the old content is in the file, and the new one in the log beside it.
            ((busy, *_),) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if busy:
                raise StorageError(f"{self.path.name} is being read all the time: compact it again later")
            return max(0, before - self._stored())

    def _stored(self) -> int:
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def space(self) -> Space:
        """Give the pages of the file, and how many of them `compact` would free."""
        names = ("page_size", "page_count", "freelist_count")
        return Space(*(int(self.all(f"PRAGMA {name}")[0][0]) for name in names))

    def _damaged(self, error: apsw.Error) -> StorageError:
        if self._durable:
            return StorageError(f"{self.path} is damaged ({error}): stop the server and restore a backup")
        _damaged_note(self.path).touch(mode=0o600)
        return StorageError(f"{self.path} is damaged ({error}): restart the server, it is made anew from the files")

    def reader(self) -> apsw.Connection:
        """Give the connection that this thread reads through."""
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _connected(self.path)
            if not self._durable and sys.platform != "win32":
                connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
            self._local.connection = connection
            with self._lock:
                self._readers.append(connection)
        return connection


def marks(count: int) -> str:
    """Give the question marks of so many values."""
    return ", ".join("?" * count)


def listed(ids: Iterable[UUID]) -> str:
    """Give ids as one value, for json_each."""
    return json.dumps([str(each) for each in ids])


def among(column: str, ids: Sequence[UUID]) -> str:
    """Give the condition that a column is one of the ids that ?1 lists; of a single one it can be read in its order."""
    listed_in = "IN (SELECT value FROM json_each(?1))"
    return f"{column} = ?1 ->> 0" if len(ids) == 1 else f"+{column} {listed_in}"


def micros(at: datetime) -> int:
    """Give a time as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Give microseconds since 1970 as a time, UTC."""
    return _EPOCH + value * _MICROSECOND


def _damaged_note(path: Path) -> Path:
    """Say which file notes that a database was found damaged."""
    return path.with_name(f"{path.name}.damaged")


def newest_schema(kind: str) -> int:
    """Say which schema version this program writes."""
    return len(_scripts(kind))


def schema_of(path: Path, kind: str) -> int:
    """Say which schema version a database has that nobody has open, without changing it; 0 for none.

    Raises:
        NewerDatabaseError: a newer one than this program knows.
        StorageError: it cannot be read.
    """
    if not path.is_file():
        return 0
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            version: int = connection.pragma("user_version")
        finally:
            connection.close()
    except apsw.Error as error:
        raise StorageError(f"{path} cannot be read ({error}): restore a backup") from error
    if version > newest_schema(kind):
        raise _newer(path, version, newest_schema(kind))
    return version


def _scripts(kind: str) -> list[str]:
    scripts = [script for script in (MIGRATIONS / kind).iterdir() if script.name.endswith(".sql")]
    return [script.read_text("utf-8") for script in sorted(scripts, key=lambda script: script.name)]


def _newer(path: Path, version: int, known: int) -> NewerDatabaseError:
    return NewerDatabaseError(
        f"{path} has schema version {version}, this program knows {known}: install the newer version again"
    )


def folded(text: object) -> str:
    """Give what spellings of a word have in common that differ in case or Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", str(text)).casefold())


def _connected(path: Path) -> apsw.Connection:
    """Connect, with the functions for vectors and `folded`."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    connection.enable_load_extension(True)
    try:
        connection.load_extension(sqlite_vec.loadable_path())
    finally:
        connection.enable_load_extension(False)
    # What a search writes down for itself is in no file.
    connection.execute("PRAGMA temp_store = MEMORY")
    # SQLite's own lower() knows no letters but those of ASCII.
    connection.create_scalar_function("folded", lambda *words: folded(words[0]), 1, deterministic=True)
    return connection


def _close(reader: apsw.Connection) -> None:
    """Close a connection that was interrupted: the thread that is in it takes a moment to notice."""
    for _ in range(_CLOSINGS):
        with suppress(apsw.ThreadingViolationError):
            reader.close()
            return
        time.sleep(_BETWEEN_CLOSINGS)
    reader.close()


def _opened(path: Path, kind: str, *, durable: bool) -> apsw.Connection:
    private_folder(path.parent)
    path.touch(mode=0o600, exist_ok=True)
    connection = _connected(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys = ON")
    # The log beside the file keeps the size that it once had: after a rebuild that of the whole index.
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    scripts = _scripts(kind)
    version: int = connection.pragma("user_version")
    if version > len(scripts):
        connection.close()
        raise _newer(path, version, len(scripts))
    for number, script in enumerate(scripts[version:], start=version + 1):
        with connection:
            connection.execute(script)
            connection.execute(f"PRAGMA user_version = {number}")
    return connection
