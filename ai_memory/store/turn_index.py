"""The index of what was said and done in sessions: each turn with what is around it, each session as one text.

All of it follows from the raw logs. The rows are written by `Index.save`, in the transaction of their observations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import apsw

from ai_memory.model.event import Kind
from ai_memory.model.ids import stored_id
from ai_memory.store.sqlite import Database, micros, moment

#: Of each turn around another, in characters: a long one is not to drown the other's own words.
_AROUND = 2_000
#: Of all that was said in a session, in characters: the first and the last half are searched as one text.
_LONGEST = 200_000
#: After these a session's text is written again.
_ENDS = frozenset({Kind.STOP, Kind.SESSION_END, Kind.PRE_COMPACT, Kind.POST_COMPACTION})

#: A row of a search table: its number and its three texts.
Searched = tuple[int, str, str, str]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one observation says.

    Attributes:
        n: its place in the session's raw log.
        kind: "prompt", "answer", "tool" or "summary" (of a compaction).
        text: the whole of it.
        words: the words inside of others, to be searched and never quoted.
    """

    n: int
    kind: str
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class FoundTurn:
    """A turn that a search found, by its number in the index; a greater score is better."""

    project_id: UUID
    session_id: UUID
    turn: int
    score: float


@dataclass(frozen=True, slots=True)
class TurnText:
    """A turn as it can be quoted: its place in the session's raw log, when it was, what it is, and the whole text."""

    n: int
    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session that a search found by all that was said in it; a greater score is better."""

    project_id: UUID
    session_id: UUID
    score: float


class TurnIndex:
    """The turns part of `db/index.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turns(
        self,
        match: str,
        projects: Sequence[UUID],
        limit: int,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        without: Sequence[int] = (),
    ) -> list[FoundTurn]:
        """Find turns by words, the best one of each session, best first.

        Args:
            match: a legal FTS5 expression, or "".
            projects: where to look; none means everywhere.
            limit: how many turns.
            since, before: only what happened at or after the one, and before the other.
            without: rows of sessions that are left out.
        """
        if not match:
            return []
        clauses, values = _narrowed("turns_fts", match, "t.session", projects, without)
        at = "(SELECT at FROM observations o WHERE o.session = t.session AND o.n = t.n)"
        for sign, when in ((">=", since), ("<", before)):
            if when:
                clauses.append(f"{at} {sign} ?")
                values.append(micros(when))
        best: dict[int, tuple[int, float]] = {}
        rows = self._database.each(
            # By `rank` it would be sorted with all its positions, which takes twice as long.
            "SELECT turn, t.session, score FROM "  # noqa: S608 - constant text
            "(SELECT turns_fts.rowid AS turn, bm25(turns_fts, 1.0, 0.7, 0.35) AS score FROM turns_fts "
            + ("CROSS JOIN turns t ON t.id = turns_fts.rowid " if len(clauses) > 1 else "")
            + f"WHERE {' AND '.join(clauses)} ORDER BY score, turn LIMIT -1) CROSS JOIN turns t ON t.id = turn",
            values,
        )
        for number, session, score in rows:
            if session not in best:
                best[session] = number, -score
                if len(best) == limit:
                    break
        chosen = dict(best.values())
        homes = self.homes(chosen)
        return [FoundTurn(*homes[number], number, score) for number, score in chosen.items() if number in homes]

    def sessions(
        self,
        match: str,
        projects: Sequence[UUID],
        limit: int,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        without: Sequence[int] = (),
    ) -> list[FoundSession]:
        """Find sessions by all that was said in them up to the end of their last turn, best first.

        Args:
            match, projects, limit: as for `turns`.
            since, before: only those that spoke at or after the one, and before the other.
            without: rows of sessions that are left out.
        """
        if not match:
            return []
        clauses, values = _narrowed("sessions_fts", match, "s.id", projects, without)
        for condition, when in (("s.last >= ?", since), ("s.started < ?", before)):
            if when:
                clauses.append(condition)
                values.append(micros(when))
        rows = self._database.all(
            "SELECT s.project, s.session, bm25(sessions_fts, 1.0, 1.0, 0.7) AS score "  # noqa: S608 - constant text
            f"FROM sessions_fts CROSS JOIN sessions s ON s.id = sessions_fts.rowid WHERE {' AND '.join(clauses)} "
            "ORDER BY score, s.project, s.session LIMIT ?",
            (*values, limit),
        )
        return [FoundSession(stored_id(project), stored_id(session), -score) for project, session, score in rows]

    def rows(self, sessions: Iterable[tuple[UUID, UUID]]) -> list[int]:
        """Give the rows of sessions, by project and session, as far as they have any."""
        asked = json.dumps([(str(project), str(session)) for project, session in sessions])
        found = self._database.all(
            "SELECT id FROM sessions WHERE (project, session) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
            (asked,),
        )
        return [int(row[0]) for row in found]

    def homes(self, numbers: Iterable[int]) -> dict[int, tuple[UUID, UUID]]:
        """Give project and session of turns by their numbers."""
        rows = self._database.all(
            "SELECT t.id, s.project, s.session FROM json_each(?) JOIN turns t ON t.id = value "
            "JOIN sessions s ON s.id = t.session",
            (json.dumps(list(numbers)),),
        )
        return {number: (stored_id(project), stored_id(session)) for number, project, session in rows}

    def texts(self, numbers: Iterable[int]) -> dict[int, TurnText]:
        """Give turns by their numbers."""
        rows = self._database.all(
            "SELECT t.id, t.n, o.at, t.kind, t.text FROM json_each(?) JOIN turns t ON t.id = value "
            "JOIN observations o ON o.session = t.session AND o.n = t.n",
            (json.dumps(list(numbers)),),
        )
        return {number: TurnText(n, moment(at), kind, text) for number, n, at, kind, text in rows}

    def exchange(self, project_id: UUID, session_id: UUID, n: int) -> list[tuple[int, str, str]]:
        """Give a turn with what was said before and after it, in their order: place, kind and text of each."""
        said = "SELECT n, kind, text FROM turns WHERE session = (SELECT id FROM at) AND "
        rows = self._database.all(
            "WITH at AS (SELECT id FROM sessions WHERE project = ?1 AND session = ?2) "  # noqa: S608 - constant text
            f"SELECT * FROM (SELECT * FROM ({said} n < ?3 AND kind <> 'tool' ORDER BY n DESC LIMIT 1) UNION ALL "
            f"{said} n = ?3 UNION ALL SELECT * FROM ({said} n > ?3 AND kind <> 'tool' ORDER BY n LIMIT 1)) ORDER BY n",
            (str(project_id), str(session_id), n),
        )
        return [(place, kind, text) for place, kind, text in rows]

    def optimize(self) -> None:
        """Write the full-text tables anew, without what was deleted."""
        with self._database.writing() as connection:
            for table in ("turns_fts", "sessions_fts"):
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608 - constant text

    def counts(self) -> dict[str, int]:
        """Count the turns, and those of them that are in the search table."""
        (row,) = self._database.all(
            "SELECT (SELECT count(*) FROM turns), (SELECT count(*) FROM turns JOIN turns_fts_docsize USING (id))"
        )
        return dict(zip(("turns", "searchable"), map(int, row), strict=True))


def digest(text: str) -> bytes:
    """Give the 16 bytes that a searched text is known by, whoever says it."""
    return hashlib.sha256(text.encode()).digest()[:16]


def save_turns(connection: apsw.Connection, session: int, first: int, turns: Sequence[Turn]) -> list[Searched]:
    """Save the turns of a session from one place in its raw log on; there are none behind it afterwards but these.

    Around a turn are the two prompts, answers or summaries before it, and around one of these the two behind it as
    well: a tool call is searched with what led to it, and need not be written again when the answer comes.

    Args:
        connection: in a transaction.
        session: the row's id.
        first: the place.
        turns: in their order.

    Returns:
        what is new for `search_turns`, or other than before.
    """
    connection.execute("DELETE FROM turns WHERE session = ? AND n >= ?", (session, first))
    if not turns:
        return []
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM turns").fetchall()
    rows = [(number, turn.kind, turn.text, turn.words) for number, turn in enumerate(turns, start=int(str(last)) + 1)]
    connection.executemany(
        "INSERT INTO turns (id, session, n, kind, text, words, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (row[0], session, turn.n, turn.kind, turn.text, turn.words, digest(turn.text))
            for row, turn in zip(rows, turns, strict=True)
        ),
    )
    former: list[Any] = connection.execute(
        "SELECT id, kind, text, words FROM turns WHERE session = ? AND n < ? AND kind <> 'tool' "
        "ORDER BY n DESC LIMIT 4",
        (session, first),
    ).fetchall()
    return _surrounded(former[::-1], rows)


def _surrounded(former: list[Any], rows: list[Any]) -> list[Searched]:
    """Give what is searched of turns, (id, kind, text, words) each: the new ones, and those that have them around."""
    said = [*former, *(row for row in rows if row[1] != "tool")]
    # The last two of those before get what comes now.
    written = [*former[-2:], *rows] if len(said) > len(former) else rows
    place = len(former) - len(written) + len(rows)
    found = []
    for number, kind, text, words in written:
        around = said[max(0, place - 2) : place]
        if kind != "tool":
            place += 1
            around += said[place : place + 2]
        found.append((number, text, words, "\n".join(each[2][:_AROUND] for each in around)))
    return found


def document_of(
    connection: apsw.Connection, session: int, first: int, kinds: Sequence[Kind], *, agent: str, title: str
) -> list[Searched]:
    """Give a session's text anew, for `search_sessions`, if a turn has ended among its new observations.

    It tells what there was up to that end, in whatever portions the observations came; nothing of a session that did
    nothing.

    Args:
        connection: in a transaction, with the observations and turns saved.
        session: the row's id.
        first: the place of the first new observation in the raw log.
        kinds: of the new observations.
        agent, title: of the session; the title counts when it is of a prompt up to the end.
    """
    end = max((n for n, kind in enumerate(kinds, start=first) if kind in _ENDS), default=-1)
    if end < 0:
        return []
    ((started, last, worked, titled),) = connection.execute(
        "SELECT min(at), max(at), max(kind IN ('user-prompt', 'post-tool-use')), "
        "max(kind = 'user-prompt' AND title = ?3) FROM observations WHERE session = ?1 AND n <= ?2",
        (session, end, title),
    ).fetchall()
    if not worked:
        return []
    said: list[Any] = connection.execute(
        "SELECT text, words FROM turns WHERE session = ? AND n <= ? AND kind <> 'tool' ORDER BY n", (session, end)
    ).fetchall()
    days = dict.fromkeys(_day(moment(int(str(at)))) for at in (started, last))
    words = dict.fromkeys(line for _, each in said for line in each.split("\n") if line)
    about = "\n".join((" to ".join(days), agent, title if titled else ""))
    return [(session, about, _bounded("\n\n".join(text for text, _ in said)), _bounded("\n".join(words)))]


def search_turns(connection: apsw.Connection, rows: Iterable[Searched]) -> None:
    """Write what `save_turns` gave for all sessions of a transaction."""
    # In any other order each step back would write a segment of its own, which all have to be merged again.
    connection.executemany(
        "INSERT OR REPLACE INTO turns_fts (rowid, text, words, around) VALUES (?, ?, ?, ?)", sorted(rows)
    )


def search_sessions(connection: apsw.Connection, rows: Iterable[Searched]) -> None:
    """Write what `document_of` gave for all sessions of a transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO sessions_fts (rowid, about, text, words) VALUES (?, ?, ?, ?)", sorted(rows)
    )


def _day(at: datetime) -> str:
    return f"{at:%A} {at.day} {at:%B %Y}"


def _bounded(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}\n{text[-half:]}"


def _narrowed(
    table: str, match: str, session: str, projects: Sequence[UUID], without: Sequence[int]
) -> tuple[list[str], list[Any]]:
    """Give the conditions for words, projects and sessions, and their values; `session` is the column of its row."""
    clauses, values = [f"{table} MATCH ?"], [match]
    if projects:
        clauses.append(
            f"{session} IN (SELECT id FROM sessions "  # noqa: S608 - constant text
            "WHERE project IN (SELECT value FROM json_each(?)))"
        )
        values.append(json.dumps([str(project) for project in projects]))
    if without:
        clauses.append(f"{session} NOT IN (SELECT value FROM json_each(?))")  # noqa: S608 - constant text
        values.append(json.dumps(without))
    return clauses, values
