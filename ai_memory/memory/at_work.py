"""Who is at work in a project, for those who move or delete what sessions write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from ai_memory.errors import ConflictError
from ai_memory.memory.intake import Intake
from ai_memory.memory.sessions import Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.scope import Project


class AtWork:
    """The sessions of one memory that are at work."""

    def __init__(self, stores: Stores, sessions: Sessions, intake: Intake, quiet: timedelta) -> None:
        """Compose; a session that is in a turn and spoke within `quiet` is at work."""
        self._stores = stores
        self._sessions = sessions
        self._intake = intake
        self._quiet = quiet

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no event in and no page be written meanwhile; the locks in the order that everybody keeps."""
        with self._stores.intake_lock, self._stores.wiki.lock:
            yield

    def ids(self, project: Project, session_id: UUID | None = None) -> list[UUID]:
        """List the sessions of a project that are at work; with an id only that one."""
        at_work = self._stores.index.mid_turn(project.id, self._stores.clock() - self._quiet)
        return sorted(each for each in at_work if session_id in (None, each))

    def check(self, project: Project, session_id: UUID | None = None, *, force: bool) -> None:
        """Refuse to go on while a session is at work.

        Raises:
            ConflictError: one is, and no `force`.
        """
        if not force and (at_work := self.ids(project, session_id)):
            raise ConflictError(
                f"session {at_work[0]} is at work in {project.label}: wait until its turn ends, or --force"
            )

    def bring_up_to_date(self, project: Project, session_id: UUID | None = None) -> None:
        """Commit pages and ledger lines of a project's sessions, so that nothing is half done when they move."""
        for session in self._stores.index.unfinished():
            if session.project_id == project.id and session_id in (None, session.id):
                self._sessions.checkpoint(project.id, session.id, label="moved")

    def forget(self, gone_from: UUID | None = None, session_id: UUID | None = None) -> None:
        """Forget where sessions belong; of a project that they are gone from (or one of them) also what is due."""
        if gone_from:
            self._sessions.forget(gone_from, session_id)
        self._intake.forget()
