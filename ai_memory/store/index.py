"""The index of sessions, observations and turns: derived rows; the next start reads them anew from the files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ai_memory.model.event import Observation
from ai_memory.model.ids import stored_id
from ai_memory.model.session import Session
from ai_memory.store.sqlite import DAY, Database, among, listed, micros, moment
from ai_memory.store.turn_index import Searched, Turn, document_of, save_turns, search_sessions, search_turns

_COLUMNS = (
    "project, session, native, agent, cwd, started, last, observations, prompts, tools, in_turn, ended, title, "
    "opening, compiled, committed"
)
#: `Session.counts`, for SQL.
_COUNTS = "prompts + tools > 0"


@dataclass(frozen=True, slots=True)
class Row:
    """A session to be saved.

    Attributes:
        session: the session, its new observations counted.
        raw_bytes: how far its raw log was read for that.
        observations: the new observations.
        turns: what these say.
        stored: when they came; their idempotency keys are remembered from then on.
    """

    session: Session
    raw_bytes: int
    observations: Sequence[Observation] = ()
    turns: Sequence[Turn] = ()
    stored: datetime | None = None


class Index:
    """The sessions and observations of `db/index.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, rows: Iterable[Row]) -> None:
        """Save sessions as the raw log now has them, with what is new in them, in one transaction; marks stay."""
        turns: list[Searched] = []
        texts: list[Searched] = []
        with self._database.writing() as connection:
            for row in rows:
                session = row.session
                ((found,),) = connection.execute(
                    f"INSERT INTO sessions ({_COLUMNS}, raw_bytes) "  # noqa: S608 - constant text
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "native = excluded.native, cwd = excluded.cwd, started = excluded.started, last = excluded.last, "
                    "observations = excluded.observations, prompts = excluded.prompts, tools = excluded.tools, "
                    "in_turn = excluded.in_turn, ended = excluded.ended, title = excluded.title, "
                    "opening = excluded.opening, "
                    # What begins after its end goes on with a session of which only the page is left: its marks
                    # are those of the former part.
                    "compiled = iif(excluded.started > last, 0, compiled), "
                    "committed = iif(excluded.started > last, 0, committed), "
                    "raw_bytes = excluded.raw_bytes RETURNING id",
                    (*_values(session), row.raw_bytes),
                ).fetchall()
                number = int(str(found))
                first = session.observations - len(row.observations)
                connection.executemany(
                    # REPLACE would take an observation away without observations_gone_days.
                    "INSERT INTO observations (session, n, at, kind, title) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET at = excluded.at, kind = excluded.kind, title = excluded.title",
                    (
                        (number, first + n, micros(each.at), each.kind.value, each.title)
                        for n, each in enumerate(row.observations)
                    ),
                )
                turns += save_turns(connection, number, first, row.turns)
                kinds = [each.kind for each in row.observations]
                texts += document_of(connection, number, first, kinds, agent=session.agent, title=session.title)
                stored = micros(row.stored) if row.stored else 0
                connection.executemany(
                    "INSERT OR IGNORE INTO ingest_keys (project, key, at) VALUES (?, ?, ?)",
                    ((str(session.project_id), each.key, stored) for each in row.observations if each.key),
                )
            search_turns(connection, turns)
            search_sessions(connection, texts)

    def archive(self, session: Session) -> None:
        """Save a session of which only the page is left: it has no observations here, and no place in the raw log."""
        with self._database.writing() as connection:
            self.forget(session.project_id, session.id)
            connection.execute(
                f"INSERT INTO sessions ({_COLUMNS}, raw_bytes) "  # noqa: S608 - constant text
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                _values(session),
            )

    def forget(self, project_id: UUID, session_id: UUID | None = None) -> None:
        """Drop a session, or all of a project, with the observations and turns."""
        where, values = "project = ?", [str(project_id)]
        if session_id:
            where, values = "project = ? AND session = ?", [str(project_id), str(session_id)]
        with self._database.writing() as connection:
            for table in ("turns", "observations"):
                connection.execute(
                    f"DELETE FROM {table} WHERE session IN (SELECT id FROM sessions WHERE {where})",  # noqa: S608 - constant text
                    values,
                )
            connection.execute(f"DELETE FROM sessions WHERE {where}", values)  # noqa: S608 - constant text
            if session_id is None:
                connection.execute("DELETE FROM ingest_keys WHERE project = ?", values)

    def drop_keys(self, project_id: UUID, keys: Iterable[str]) -> None:
        """Drop the idempotency keys of events that are gone."""
        with self._database.writing() as connection:
            connection.executemany(
                "DELETE FROM ingest_keys WHERE project = ? AND key = ?", ((str(project_id), key) for key in keys)
            )

    def move(self, session_id: UUID, old: UUID, new: UUID, keys: Iterable[str]) -> None:
        """Give a session, and the keys of its events, to another project."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE sessions SET project = ? WHERE project = ? AND session = ?",
                (str(new), str(old), str(session_id)),
            )
            connection.executemany(
                "UPDATE OR REPLACE ingest_keys SET project = ? WHERE project = ? AND key = ?",
                ((str(new), str(old), key) for key in keys),
            )

    def move_project(self, old: UUID, new: UUID) -> None:
        """Give all sessions of a project, and the keys of their events, to another project."""
        with self._database.writing() as connection:
            connection.execute("UPDATE sessions SET project = ? WHERE project = ?", (str(new), str(old)))
            connection.execute("UPDATE OR REPLACE ingest_keys SET project = ? WHERE project = ?", (str(new), str(old)))

    def mark(self, session: Session, *, compiled: int | None = None, committed: int | None = None) -> None:
        """Move a session's marks."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE sessions SET compiled = coalesce(?, compiled), committed = coalesce(?, committed) "
                "WHERE project = ? AND session = ?",
                (compiled, committed, str(session.project_id), str(session.id)),
            )

    def forget_keys(self, before: datetime) -> None:
        """Drop idempotency keys that are older than the wire promises to remember."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM ingest_keys WHERE at < ?", (micros(before),))

    def knows_key(self, project_id: UUID, key: str) -> bool:
        """Tell whether an event with this key is stored in the project."""
        return bool(
            self._database.all("SELECT 1 FROM ingest_keys WHERE project = ? AND key = ?", (str(project_id), key))
        )

    def session(self, project_id: UUID, session_id: UUID) -> Session | None:
        """Find one session."""
        rows = self._sessions("project = ? AND session = ?", (str(project_id), str(session_id)))
        return rows[0] if rows else None

    def recorded(self, project_id: UUID, session_id: UUID) -> Session | None:
        """Find one session that has a raw log."""
        rows = self._sessions("project = ? AND session = ? AND raw_bytes > 0", (str(project_id), str(session_id)))
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

    def logged(self) -> list[Session]:
        """List the sessions that count and have a raw log, oldest first."""
        return self._sessions(f"raw_bytes > 0 AND {_COUNTS} ORDER BY last", ())

    def recent(self, *, project_id: UUID | None = None, agent: str = "", limit: int | None = 50) -> list[Session]:
        """List sessions, newest first; all without a limit."""
        return self._sessions(
            "(?1 = '' OR project = ?1) AND (?2 = '' OR agent = ?2) ORDER BY last DESC LIMIT ?3",
            (str(project_id) if project_id else "", agent, -1 if limit is None else limit),
        )

    def last_asked(self, sessions: Iterable[Session]) -> dict[tuple[UUID, UUID], datetime]:
        """Give when each of these sessions was last opened or asked something, as far as it was."""
        asked = json.dumps([(str(session.project_id), str(session.id)) for session in sessions])
        rows = self._database.all(
            "SELECT s.project, s.session, max(o.at) FROM sessions s JOIN observations o ON o.session = s.id "
            "WHERE (s.project, s.session) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) "
            "AND o.kind IN ('session-start', 'user-prompt') GROUP BY s.id",
            (asked,),
        )
        return {(stored_id(project), stored_id(session)): moment(at) for project, session, at in rows}

    def activity(self, projects: Sequence[UUID], since: datetime) -> tuple[int, int]:
        """Count the sessions of projects that spoke since a time, and what they said since then."""
        ((sessions, observations),) = self._database.all(
            "SELECT count(*), coalesce(sum(iif(s.started >= ?2, s.observations, (SELECT count(*) FROM observations o "
            "WHERE o.session = s.id AND o.at >= ?2))), 0) FROM sessions s "
            "WHERE project IN (SELECT value FROM json_each(?1)) AND last >= ?2",
            (listed(projects), micros(since)),
        )
        return int(sessions), int(observations)

    def until(self, projects: Sequence[UUID], at: int, behind: tuple[str, str]) -> Iterator[Session]:
        """Give the sessions of projects that did something, the last to speak first, as they are asked for.

        Args:
            projects: whose.
            at, behind: begin behind this time (microseconds since 1970), project and session; "" is before all.
        """
        rows = self._database.each(
            f"SELECT {_COLUMNS} FROM sessions WHERE {among('project', projects)} AND last <= ?2 "  # noqa: S608 - constant text
            f"AND (last < ?2 OR (project, session) > (?3, ?4)) AND {_COUNTS} ORDER BY last DESC, project, session",
            (listed(projects), at, *behind),
        )
        return map(_session, rows)

    def days(self, projects: Iterable[UUID], first: int) -> dict[tuple[UUID, int], int]:
        """Count observations by project and day (of UTC, counted from 1970), from a first day on."""
        rows = self._database.all(
            "SELECT s.project, d.day, sum(d.observations) FROM json_each(?1) "
            "CROSS JOIN sessions s ON s.project = value CROSS JOIN session_days d ON d.session = s.id "
            "WHERE s.last >= ?3 AND d.day >= ?2 GROUP BY s.project, d.day",
            (listed(projects), first, first * DAY),
        )
        return {(stored_id(project), day): int(count) for project, day, count in rows}

    def last(self, projects: Iterable[UUID]) -> dict[UUID, datetime]:
        """Give when a session last spoke in each of these projects that has any."""
        rows = self._database.all(
            "SELECT value, (SELECT max(last) FROM sessions WHERE project = value) FROM json_each(?)",
            (listed(projects),),
        )
        return {stored_id(project): moment(last) for project, last in rows if last is not None}

    def mid_turn(self, project_id: UUID, since: datetime) -> set[UUID]:
        """List the sessions of a project that are in the middle of a turn and spoke after `since`."""
        rows = self._database.all(
            "SELECT session FROM sessions WHERE project = ? AND in_turn AND last > ?",
            (str(project_id), micros(since)),
        )
        return {UUID(row[0]) for row in rows}

    def raw_marks(self) -> dict[tuple[UUID, UUID], int]:
        """Give, for each project and session with a raw log, how many bytes of it were read."""
        return {
            (UUID(project), UUID(session)): size
            for project, session, size in self._database.all(
                "SELECT project, session, raw_bytes FROM sessions WHERE raw_bytes > 0"
            )
        }

    def has_marks_recovered(self) -> bool:
        """Tell whether `note_marks_recovered` was called since the index was made or emptied."""
        return bool(self._database.all("SELECT 1 FROM marks WHERE name = 'sessions'"))

    def note_marks_recovered(self) -> None:
        """Remember that pages and git were asked how far sessions are compiled and committed."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO marks (name, value) VALUES ('sessions', '')")

    def counts(self) -> dict[str, int]:
        """Count sessions, observations, what the stages downstream have still to do, and rows of observations.

        A session of which only the page is left has none of these.
        """
        names = ("sessions", "observations", "uncompiled", "uncommitted", "rows")
        sums = ["observations"]
        sums += [f"{mark} < observations AND {_COUNTS}" for mark in ("compiled", "committed")]
        columns = ", ".join(f"coalesce(sum({each}), 0)" for each in sums)
        rows = "(SELECT count(*) FROM observations)"
        (row,) = self._database.all(f"SELECT count(*), {columns}, {rows} FROM sessions")  # noqa: S608 - constant text
        return dict(zip(names, row, strict=True))

    def counts_of(self, projects: Sequence[UUID]) -> tuple[int, int]:
        """Count the sessions of projects, and their observations."""
        (row,) = self._database.all(
            "SELECT count(*), coalesce(sum(observations), 0) FROM sessions "
            "WHERE project IN (SELECT value FROM json_each(?))",
            (listed(projects),),
        )
        return int(row[0]), int(row[1])

    def last_spoke(self, projects: Sequence[UUID]) -> datetime | None:
        """Say when a session of these projects last spoke, None without any."""
        ((last,),) = self._database.all(
            "SELECT max((SELECT max(last) FROM sessions WHERE project = value)) FROM json_each(?)", (listed(projects),)
        )
        return None if last is None else moment(last)

    def newest(self, project_id: UUID, limit: int, offset: int, *, ended: bool) -> tuple[list[Session], int]:
        """List sessions of a project from `offset` on, newest first, and say how many there are.

        Args:
            project_id, limit, offset: whose, how many, and from where.
            ended: only those of which the agent said that they are over.
        """
        where, project = "project = ?1 AND (NOT ?2 OR ended AND ended = observations)", str(project_id)
        found = self._sessions(
            f"{where} ORDER BY last DESC, session LIMIT ?3 OFFSET ?4", (project, ended, limit, offset)
        )
        ((count,),) = self._database.all(f"SELECT count(*) FROM sessions WHERE {where}", (project, ended))  # noqa: S608 - constant text
        return found, int(count)

    def _sessions(self, where: str, values: tuple[Any, ...]) -> list[Session]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM sessions WHERE {where}", values)  # noqa: S608 - constant text
        return [_session(row) for row in rows]


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
