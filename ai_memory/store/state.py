"""The state: durable rows of handoffs, reads, feedback, jobs, purges, spend, accounts, teams and packets that wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import apsw

from ai_memory.errors import StorageError
from ai_memory.model.handoff import Handoff
from ai_memory.model.ids import stored_id
from ai_memory.model.scope import Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.accounts import AccountRows
from ai_memory.store.bootstraps import BootstrapAnswers
from ai_memory.store.calls import ModelCalls
from ai_memory.store.feedback import PageFeedback
from ai_memory.store.jobs import JobRows
from ai_memory.store.packet_inbox import PacketInbox
from ai_memory.store.proposals import ProposalRows
from ai_memory.store.reads import PageReads
from ai_memory.store.spend import Spend
from ai_memory.store.sqlite import Database, Space, micros, moment
from ai_memory.store.teams import TeamRows

_COLUMNS = (
    "id, workspace, project, from_session, from_agent, to_agent, cwd, summary, open_questions, next_steps, "
    "files_touched, state, generation, created_at, accepted_by, accepted_at, accepted_by_session, packet_id"
)


class State:
    """`db/state.db`. A commit is on disk when the call returns."""

    def __init__(self, path: Path, on_handoffs: Callable[[UUID], None] = lambda _: None) -> None:
        """Open (or make) it; `on_handoffs` hears of each project whose handoffs have changed."""
        self._database = Database(path, "state", durable=True)
        self._on_handoffs = on_handoffs
        self.reads = PageReads(self._database)
        self.feedback = PageFeedback(self._database)
        self.bootstraps = BootstrapAnswers(self._database)
        self.spend = Spend(self._database)
        self.calls = ModelCalls(self._database)
        self.jobs = JobRows(self._database)
        self.proposals = ProposalRows(self._database)
        self.accounts = AccountRows(self._database)
        self.teams = TeamRows(self._database)
        self.inbox = PacketInbox(self._database)

    def together(self) -> AbstractContextManager[object]:
        """Make what is written in a block one transaction; an error takes all of it back."""
        return self._database.writing()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def publish(self, handoff: Handoff, *, replacing_cwd: bool) -> Handoff:
        """Store a handoff; an automatic one takes the place of its session's open one.

        A generation that is already stored, open or taken, is not stored again; it may get its packet.

        Args:
            handoff: the new one.
            replacing_cwd: also expire older open automatic ones from exactly the same directory.

        Returns:
            the handoff as it is stored now.
        """
        with self._database.writing() as connection:
            if handoff.from_session is not None:
                of_source = _select(
                    connection,
                    "project = ? AND from_session = ? ORDER BY generation DESC LIMIT 1",
                    (str(handoff.project_id), str(handoff.from_session)),
                )
                if of_source and of_source[0].generation >= handoff.generation:
                    handoff = replace(of_source[0], packet_id=handoff.packet_id or of_source[0].packet_id)
                elif of_source and of_source[0].state in ("open", "expired"):
                    handoff = replace(handoff, id=of_source[0].id)
            _store(connection, handoff)
            # Nearly always the end of a session brings nothing that its last turn had not handed over already.
            if replacing_cwd and handoff.state == "open":
                connection.execute(
                    "UPDATE handoffs SET state = 'expired' WHERE project = ? AND state = 'open' AND cwd = ? "
                    "AND from_session IS NOT NULL AND id <> ? AND created_at <= ?",
                    (str(handoff.project_id), handoff.cwd, str(handoff.id), micros(handoff.created_at)),
                )
        self._on_handoffs(handoff.project_id)
        return handoff

    def claim(
        self,
        project_id: UUID,
        choose: Callable[[Sequence[Handoff]], tuple[Handoff | None, Iterable[Handoff]]],
        *,
        by: str,
        session: UUID | None,
        at: datetime,
    ) -> Handoff | None:
        """Let `choose` pick one of a project's open handoffs and bind it to the receiver, in one transaction.

        Args:
            project_id: where to look.
            choose: gets the open handoffs; gives the one to take, and those that expire with it.
            by: the receiving agent's wire name.
            session: the receiving session.
            at: now.
        """
        with self._database.writing() as connection:
            taken, expired = choose(_select(connection, "project = ? AND state = 'open'", (str(project_id),)))
            if taken is None:
                return None
            taken = replace(taken, state="accepted", accepted_by=by, accepted_at=at, accepted_by_session=session)
            _store(connection, taken)
            for handoff in expired:
                _store(connection, replace(handoff, state="expired"))
        self._on_handoffs(project_id)
        return taken

    def give_back(self, session: UUID) -> list[Handoff]:
        """Open again what a session took without doing anything, unless its source has gone on since."""
        with self._database.writing() as connection:
            taken = _select(connection, "accepted_by_session = ? AND state = 'accepted'", (str(session),))
            back = [
                replace(handoff, state="open", accepted_by="", accepted_at=None, accepted_by_session=None)
                for handoff in taken
                if handoff.from_session is None or _is_newest(connection, handoff)
            ]
            for handoff in back:
                _store(connection, handoff)
        for handoff in back:
            self._on_handoffs(handoff.project_id)
        return back

    def let_go(self, session: UUID) -> None:
        """Forget what a session took that goes now: of one that nobody knows, it would seem to have done nothing."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE handoffs SET accepted_by_session = NULL WHERE accepted_by_session = ? AND state = 'accepted'",
                (str(session),),
            )

    def settle(self, handoff: Handoff, state: str) -> Handoff:
        """Put an open handoff into another state ("cancelled" or "expired")."""
        with self._database.writing() as connection:
            settled = replace(handoff, state=state)
            _store(connection, settled)
        self._on_handoffs(settled.project_id)
        return settled

    def open_handoffs(self, project_id: UUID | None = None, limit: int = 500) -> list[Handoff]:
        """List open handoffs, oldest first, of one project or of all."""
        return self._read(
            "state = 'open' AND (?1 = '' OR project = ?1) ORDER BY created_at LIMIT ?2",
            (str(project_id) if project_id else "", limit),
        )

    def count_open(self, projects: Sequence[UUID]) -> dict[UUID, int]:
        """Count the open handoffs of each of these projects that has any."""
        rows = self._database.all(
            "SELECT project, count(*) FROM handoffs WHERE state = 'open' "
            "AND project IN (SELECT value FROM json_each(?)) GROUP BY project",
            (_list([str(project) for project in projects]),),
        )
        return {stored_id(project): int(count) for project, count in rows}

    def newest_handoffs(self, projects: Sequence[UUID], limit: int, states: Sequence[str] = ()) -> list[Handoff]:
        """List handoffs of projects, newest first, all or those in some states."""
        return self._read(
            "project IN (SELECT value FROM json_each(?1)) "
            "AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2))) "
            "ORDER BY created_at DESC, id DESC LIMIT ?3",
            (_list([str(project) for project in projects]), _list(states), limit),
        )

    def handoffs_with(self, packet_id: str, limit: int) -> list[Handoff]:
        """List the handoffs that name a packet, newest first."""
        return self._read("packet_id = ? ORDER BY created_at DESC, id DESC LIMIT ?", (packet_id, limit))

    def handoff(self, handoff_id: UUID) -> Handoff | None:
        """Find a handoff by its id."""
        rows = self._read("id = ?", (str(handoff_id),))
        return rows[0] if rows else None

    def taken_by(self, session: UUID, project_id: UUID) -> list[Handoff]:
        """List what a session has taken in a project, newest first."""
        where = "accepted_by_session = ? AND project = ? ORDER BY accepted_at DESC"
        return self._read(where, (str(session), str(project_id)))

    def left_by(self, session: UUID, project_id: UUID) -> list[Handoff]:
        """List what a session has left in a project, newest first."""
        where = "project = ? AND from_session = ? ORDER BY created_at DESC, id DESC"
        return self._read(where, (str(project_id), str(session)))

    def receivers(self, before: datetime) -> set[UUID]:
        """List the sessions that took a handoff before a time, and hold it."""
        rows = self._database.all(
            "SELECT DISTINCT accepted_by_session FROM handoffs "
            "WHERE accepted_by_session IS NOT NULL AND state = 'accepted' AND accepted_at < ?",
            (micros(before),),
        )
        return {UUID(str(row[0])) for row in rows}

    def counts(self) -> dict[str, int]:
        """Count handoffs by state."""
        rows = self._database.all("SELECT state, count(*) FROM handoffs GROUP BY state")
        return {str(state): int(str(count)) for state, count in rows}

    def forget_settled(self, before: datetime) -> int:
        """Drop the handoffs that were taken, cancelled or expired before a time; gives how many there were."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM handoffs WHERE state <> 'open' AND created_at < ?1 AND coalesce(accepted_at, 0) < ?1",
                (micros(before),),
            )
            return connection.changes()

    # Projects and sessions that go or move

    def count_handoffs(self, project_id: UUID, session: UUID | None = None) -> int:
        """Count the handoffs of a project, or those that one session left in it."""
        where, values = _of(project_id, session)
        return int(self._database.all(f"SELECT count(*) FROM handoffs WHERE {where}", values)[0][0])  # noqa: S608 - constant text

    def forget_handoffs(self, project_id: UUID, session: UUID | None = None) -> None:
        """Drop the handoffs of a project, or those that one session left in it."""
        where, values = _of(project_id, session)
        with self._database.writing() as connection:
            connection.execute(f"DELETE FROM handoffs WHERE {where}", values)  # noqa: S608 - constant text
        self._on_handoffs(project_id)

    def move_handoffs(self, old: UUID, target: Project, session: UUID | None = None) -> None:
        """Give the handoffs of a project, or those that one session left in it, to a project where it is now."""
        where, values = _of(old, session)
        with self._database.writing() as connection:
            connection.execute(
                f"UPDATE handoffs SET workspace = ?, project = ? WHERE {where}",  # noqa: S608 - constant text
                (str(target.workspace_id), str(target.id), *values),
            )
        self._on_handoffs(old)
        self._on_handoffs(target.id)

    # What was purged

    def purged(self) -> dict[UUID, dict[str, Tombstone]]:
        """List what was purged: id of the project or workspace -> key -> tombstone."""
        found: dict[UUID, dict[str, Tombstone]] = {}
        for scope, key, at, verb, what in self._database.all("SELECT scope, key, at, verb, what FROM purged"):
            found.setdefault(UUID(scope), {})[key] = Tombstone(moment(at), verb, what)
        return found

    def keep_purged(self, tombstones: Iterable[tuple[UUID, Tombstone]]) -> None:
        """Remember what was purged: id of the project or workspace, and tombstone."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO purged (scope, key, at, verb, what) VALUES (?, ?, ?, ?, ?)",
                ((str(scope), each.key, micros(each.at), each.verb, each.what) for scope, each in tombstones),
            )

    def forget_purged(self, project_id: UUID) -> None:
        """Drop what was purged from a project that is gone itself: its workspace keeps it away."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM purged WHERE scope = ?", (str(project_id),))

    # Jobs

    def done_at(self, job: str) -> datetime | None:
        """Say when a job was last done, None when it never was."""
        rows = self._database.all("SELECT at FROM jobs WHERE name = ?", (job,))
        return moment(rows[0][0]) if rows else None

    def note_done(self, job: str, at: datetime) -> None:
        """Note that a job was done."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO jobs (name, at) VALUES (?, ?)", (job, micros(at)))

    # The file

    def compact(self) -> int:
        """Write the file anew without what was deleted; gives the bytes that this freed."""
        return self._database.compact()

    def space(self) -> Space:
        """Give the pages of the file, and how many of them `compact` would free."""
        return self._database.space()

    def _read(self, where: str, values: tuple[Any, ...]) -> list[Handoff]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM handoffs WHERE {where}", values)  # noqa: S608 - constant text
        return [_handoff(row) for row in rows]


def copied(source: Path, target: Path) -> None:
    """Copy a state, in use or not, as it is committed now; `target` must not exist, and gets mode 0600.

    Raises:
        StorageError: the disk refused, or the state is damaged.
    """
    target.touch(mode=0o600, exist_ok=False)
    connection = apsw.Connection(str(source))
    try:
        connection.set_busy_timeout(5_000)
        connection.execute("VACUUM INTO ?", (str(target),))
    except apsw.Error as error:
        raise StorageError(f"{source} could not be copied: {error}") from error
    finally:
        connection.close()


def check_state(path: Path) -> None:
    """Bring a state that nobody has open to the newest schema, and read all of it.

    Raises:
        NewerDatabaseError: a newer program wrote it.
        StorageError: it is damaged.
    """
    try:
        State(path).close()
        connection = apsw.Connection(str(path))
        try:
            found = str(connection.execute("PRAGMA integrity_check(1)").fetchall()[0][0])
        finally:
            connection.close()
    except apsw.Error as error:
        found = str(error)
    if found != "ok":
        raise StorageError(f"{path} is damaged: {found}")


def has_handoffs(path: Path) -> bool:
    """Tell whether a state that nobody has open holds handoffs; one that cannot be read may."""
    if not path.is_file():
        return False
    connection = apsw.Connection(str(path))
    try:
        return bool(connection.execute("SELECT 1 FROM handoffs LIMIT 1").fetchall())
    except apsw.Error:
        return True
    finally:
        connection.close()


def has_rows(path: Path) -> bool:
    """Tell whether a state that nobody has open holds anything; one that cannot be read may."""
    if not path.is_file():
        return False
    connection = apsw.Connection(str(path))
    try:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchall() for (name,) in tables)  # noqa: S608
    except apsw.Error:
        return True
    finally:
        connection.close()


def _of(project_id: UUID, session: UUID | None) -> tuple[str, tuple[str, ...]]:
    if session is None:
        return "project = ?", (str(project_id),)
    return "project = ? AND from_session = ?", (str(project_id), str(session))


def _is_newest(connection: apsw.Connection, handoff: Handoff) -> bool:
    newer = connection.execute(
        "SELECT 1 FROM handoffs WHERE project = ? AND from_session = ? AND generation > ?",
        (str(handoff.project_id), str(handoff.from_session), handoff.generation),
    ).fetchall()
    return not newer


def _select(connection: apsw.Connection, where: str, values: tuple[Any, ...]) -> list[Handoff]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM handoffs WHERE {where}", values)  # noqa: S608 - constant text
    return [_handoff(row) for row in rows.fetchall()]


def _store(connection: apsw.Connection, handoff: Handoff) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO handoffs ({_COLUMNS}) "  # noqa: S608 - constant text
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            str(handoff.id),
            str(handoff.workspace_id),
            str(handoff.project_id),
            str(handoff.from_session) if handoff.from_session else None,
            handoff.from_agent,
            handoff.to_agent,
            handoff.cwd,
            handoff.summary,
            _list(handoff.open_questions),
            _list(handoff.next_steps),
            _list(handoff.files_touched),
            handoff.state,
            handoff.generation,
            micros(handoff.created_at),
            handoff.accepted_by,
            micros(handoff.accepted_at) if handoff.accepted_at else None,
            str(handoff.accepted_by_session) if handoff.accepted_by_session else None,
            handoff.packet_id,
        ),
    )


def _list(items: Sequence[str]) -> str:
    return json.dumps(items, ensure_ascii=False)


def _handoff(row: Sequence[Any]) -> Handoff:
    (
        id_,
        workspace,
        project,
        from_session,
        from_agent,
        to_agent,
        cwd,
        summary,
        questions,
        steps,
        files,
        state,
        generation,
        created_at,
        accepted_by,
        accepted_at,
        accepted_by_session,
        packet_id,
    ) = row
    return Handoff(
        id=UUID(id_),
        workspace_id=UUID(workspace),
        project_id=UUID(project),
        from_session=UUID(from_session) if from_session else None,
        from_agent=from_agent,
        to_agent=to_agent,
        cwd=cwd,
        summary=summary,
        open_questions=tuple(json.loads(questions)),
        next_steps=tuple(json.loads(steps)),
        files_touched=tuple(json.loads(files)),
        state=state,
        generation=generation,
        created_at=moment(created_at),
        accepted_by=accepted_by,
        accepted_at=moment(accepted_at) if accepted_at is not None else None,
        accepted_by_session=UUID(accepted_by_session) if accepted_by_session else None,
        packet_id=packet_id,
    )
