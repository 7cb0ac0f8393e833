"""The index: derived rows that may be deleted at any time; the next start reads them anew from the files.

One writer connection, used under a lock; reads are short and share it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import apsw

from ai_memory.errors import StorageError
from ai_memory.model.session import Session
from ai_memory.store.sqlite import NewerDatabaseError, open_database

_COLUMNS = (
    "project, session, native, agent, cwd, started, last, observations, prompts, tools, in_turn, ended, title, "
    "opening, compiled, committed"
)
#: `Session.counts`, for SQL.
_COUNTS = "prompts + tools > 0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """A session to be saved, how far its raw log was read for that, and its new idempotency keys."""

    session: Session
    raw_bytes: int
    keys: Sequence[tuple[str, datetime]] = ()


class Index:
    """The sessions part of `db/index.db`."""

    def __init__(self, path: Path) -> None:
        """Open the index; one that is damaged or newer is derived anew."""
        self._lock = threading.Lock()
        try:
            self._connection = open_database(path, "index", durable=False)
        except (apsw.CorruptError, apsw.NotADBError, NewerDatabaseError):
            for file in (path, *path.parent.glob(f"{path.name}-*")):
                file.unlink(missing_ok=True)
            self._connection = open_database(path, "index", durable=False)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        try:
            with self._lock, self._connection:
                yield self._connection
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError) as error:
            raise StorageError(f"the index could not be written: {error}") from error

    def save(self, rows: Iterable[Row]) -> None:
        """Save sessions as the raw log now has them, with their keys, in one transaction; marks stay."""
        with self._writing() as connection:
            for row in rows:
                session = row.session
                connection.execute(
                    f"INSERT INTO sessions ({_COLUMNS}, raw_bytes) "  # noqa: S608 - constant text
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "native = excluded.native, cwd = excluded.cwd, started = excluded.started, last = excluded.last, "
                    "observations = excluded.observations, prompts = excluded.prompts, tools = excluded.tools, "
                    "in_turn = excluded.in_turn, ended = excluded.ended, title = excluded.title, "
                    "opening = excluded.opening, "
                    "raw_bytes = excluded.raw_bytes",
                    (*_values(session), row.raw_bytes),
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO ingest_keys (project, key, at) VALUES (?, ?, ?)",
                    ((str(session.project_id), key, micros(at)) for key, at in row.keys if key),
                )

    def mark(self, session: Session, *, compiled: int | None = None, committed: int | None = None) -> None:
        """Move a session's marks."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE sessions SET compiled = coalesce(?, compiled), committed = coalesce(?, committed) "
                "WHERE project = ? AND session = ?",
                (compiled, committed, str(session.project_id), str(session.id)),
            )

    def forget_keys(self, before: datetime) -> None:
        """Drop idempotency keys that are older than the wire promises to remember."""
        with self._writing() as connection:
            connection.execute("DELETE FROM ingest_keys WHERE at < ?", (micros(before),))

    def knows_key(self, project_id: UUID, key: str) -> bool:
        """Tell whether an event with this key is stored in the project."""
        return bool(self._all("SELECT 1 FROM ingest_keys WHERE project = ? AND key = ?", (str(project_id), key)))

    def session(self, project_id: UUID, session_id: UUID) -> Session | None:
        """Find one session."""
        rows = self._sessions("project = ? AND session = ?", (str(project_id), str(session_id)))
        return rows[0] if rows else None

    def sessions_of(self, session_id: UUID) -> list[Session]:
        """List a session's parts in all projects that it worked in, the newest first."""
        return self._sessions("session = ? ORDER BY last DESC", (str(session_id),))

    def uncompiled(self, project_id: UUID, limit: int) -> list[Session]:
        """List the newest sessions of a project that count and whose page does not cover all observations."""
        due = f"project = ? AND compiled < observations AND {_COUNTS} ORDER BY last DESC LIMIT ?"
        return self._sessions(due, (str(project_id), limit))

    def unfinished(self) -> list[Session]:
        """List the sessions that count and whose page in git does not cover all observations, oldest first."""
        return self._sessions(f"committed < observations AND {_COUNTS} ORDER BY last", ())

    def recent(self, *, project_id: UUID | None = None, agent: str = "", limit: int = 50) -> list[Session]:
        """List sessions, newest first."""
        return self._sessions(
            "(?1 = '' OR project = ?1) AND (?2 = '' OR agent = ?2) ORDER BY last DESC LIMIT ?3",
            (str(project_id) if project_id else "", agent, limit),
        )

    def mid_turn(self, project_id: UUID, since: datetime) -> set[UUID]:
        """List the sessions of a project that are in the middle of a turn and spoke after `since`."""
        rows = self._all(
            "SELECT session FROM sessions WHERE project = ? AND in_turn AND last > ?",
            (str(project_id), micros(since)),
        )
        return {UUID(row[0]) for row in rows}

    def raw_marks(self) -> dict[tuple[UUID, UUID], int]:
        """Give, for each project and session, how many bytes of its raw log were read."""
        return {
            (UUID(project), UUID(session)): size
            for project, session, size in self._all("SELECT project, session, raw_bytes FROM sessions", ())
        }

    def counts(self) -> dict[str, int]:
        """Count sessions, observations, session pages, and what the stages downstream have still to do."""
        names = ("sessions", "observations", "pages", "uncompiled", "uncommitted")
        sums = ["observations", "compiled > 0"]
        sums += [f"{mark} < observations AND {_COUNTS}" for mark in ("compiled", "committed")]
        columns = ", ".join(f"coalesce(sum({each}), 0)" for each in sums)
        (row,) = self._all(f"SELECT count(*), {columns} FROM sessions", ())  # noqa: S608 - constant text
        return dict(zip(names, row, strict=True))

    def _sessions(self, where: str, values: tuple[Any, ...]) -> list[Session]:
        rows = self._all(f"SELECT {_COLUMNS} FROM sessions WHERE {where}", values)  # noqa: S608 - constant text
        return [_session(row) for row in rows]

    def _all(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()


def micros(at: datetime) -> int:
    """Give a time as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Give microseconds since 1970 as a time, UTC."""
    return _EPOCH + value * _MICROSECOND


def _values(session: Session) -> tuple[Any, ...]:
    return (
        str(session.project_id),
        str(session.id),
        session.native,
        session.agent,
        session.cwd,
        micros(session.started),
        micros(session.last),
        session.observations,
        session.prompts,
        session.tools,
        session.in_turn,
        session.ended,
        session.title,
        session.opening,
        session.compiled,
        session.committed,
    )


def _session(row: Sequence[Any]) -> Session:
    (
        project,
        session,
        native,
        agent,
        cwd,
        started,
        last,
        observations,
        prompts,
        tools,
        in_turn,
        ended,
        title,
        opening,
        compiled,
        committed,
    ) = row
    return Session(
        project_id=UUID(project),
        id=UUID(session),
        native=native,
        agent=agent,
        cwd=cwd,
        started=moment(started),
        last=moment(last),
        observations=observations,
        prompts=prompts,
        tools=tools,
        in_turn=bool(in_turn),
        ended=ended,
        title=title,
        opening=opening,
        compiled=compiled,
        committed=committed,
    )
