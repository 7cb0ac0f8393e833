"""Narratives: one document a project that a model keeps up to date, from what was said in its sessions.

A model keeps only a narrative that a model has begun: one that an agent or a person wrote is theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from ai_memory.compile.narrative import (
    PURPOSE,
    Narrative,
    Portion,
    Told,
    Update,
    ask,
    page,
    parsed,
    portions,
    read,
    stale_in,
)
from ai_memory.compile.session_page import session_path
from ai_memory.config import Settings
from ai_memory.errors import ConflictError
from ai_memory.llm.chat import Ask, ModelError, estimated_tokens
from ai_memory.memory.jobs import Jobs, Work
from ai_memory.memory.models import Models
from ai_memory.memory.pages import NOBODY, Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import ENDS, Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.page import sealed
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.store.jobs import Job
from ai_memory.store.steps import Step, reached

_WHAT = "telling the narrative of a project"
_RECENT = 10
_DELETED = "it was deleted"
_TAKEN = {"edited by hand": "a person or an agent keeps it", "pinned": "it is pinned", "deleted": _DELETED}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far a project's narrative goes.

    Attributes:
        exists: whether there is one.
        taken: why a model does not keep it, or "".
        covered: how many sessions went into it.
        stale: sessions at rest that did not, or went on since, oldest first.
    """

    exists: bool
    taken: str
    covered: int
    stale: Sequence[Session]


class Narratives:
    """Narratives of all projects."""

    def __init__(
        self,
        stores: Stores,
        projects: Projects,
        pages: Pages,
        sessions: Sessions,
        models: Models,
        jobs: Jobs,
        settings: Settings,
    ) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._sessions = sessions
        self._models = models
        self._jobs = jobs
        self._at_end: bool = settings["consolidate_on_session_end"]
        jobs.doers[PURPOSE] = self._do
        sessions.on_checkpoint.append(self._note)

    def coverage(self, project: Project) -> Coverage:
        """Say how far a project's narrative goes."""
        text = self._stores.wiki.read(project, NARRATIVE_PAGE)
        narrative = parsed(text) if text else None
        refusal = self._pages.refusal(project, NARRATIVE_PAGE)
        taken = _TAKEN.get(refusal, refusal)
        recent = self._stores.index.recent(project_id=project.id, limit=None)
        stale = [
            session
            for session in stale_in(narrative, recent)
            if (session.is_over or session.committed == session.observations) and self._can_be_told(project, session)
        ]
        return Coverage(text is not None, taken, len(narrative.covers) if narrative else 0, stale)

    def estimate(self, project: Project, coverage: Coverage) -> tuple[int, int]:
        """Say how many questions an update would ask, and how many tokens the sessions in them are."""
        wanted = {str(session.id): session.observations for session in coverage.stale}
        parts = portions(self._told(project, wanted), self._models.budget)
        return len(parts), sum(estimated_tokens(part.text) for part in parts)

    def begin(self, project: Project, *, asked: bool) -> Job:
        """Have a narrative brought up to date, or begun; one that was deleted is begun anew for who asks for it.

        Raises:
            ModelError: there is no model.
            ConflictError: a model does not keep it, or nothing happened since; the message says which.
        """
        self._models.sure(_WHAT)
        coverage = self.coverage(project)
        if coverage.taken and not (asked and coverage.taken == _DELETED):
            raise ConflictError(
                f"{NARRATIVE_PAGE} of {project.label} is not for a model to change: {coverage.taken}. Delete it, or "
                "move what it says to another page, to have one written"
            )
        if not coverage.stale:
            raise ConflictError(f"the narrative of {project.label} knows every session that is over")
        return self._jobs.add(
            PURPOSE,
            NARRATIVE_PAGE,
            project.id,
            generation=int(max(session.last for session in coverage.stale).timestamp() * 1_000),
            payload={
                "sessions": {str(session.id): session.observations for session in coverage.stale},
                "anew": coverage.taken == _DELETED,
            },
            asked=asked,
        )

    def _note(self, session: Session, label: str) -> None:
        """Have the narrative that a model keeps brought up to date, because a session is over; it begins none."""
        project = self._projects.known(session.project_id)
        if self._models.chat is None or not self._at_end or label not in ENDS or project is None:
            return
        if self._stores.wiki.has(project, NARRATIVE_PAGE):
            coverage = self.coverage(project)
            if coverage.stale and not coverage.taken:
                self.begin(project, asked=False)

    # The job

    def _do(self, work: Work) -> Mapping[str, Any]:
        wanted: dict[str, int] = work.job.payload["sessions"]
        with work.writing():
            project = self._projects.get(work.job.project_id)
            if taken := self._taken(project, work.job):
                return {"path": NARRATIVE_PAGE, "skipped_reason": taken}
            text = self._stores.wiki.read(project, NARRATIVE_PAGE)
            found = parsed(text) if text else None
            covers = found.covers if found else {}
            told = self._told(project, {key: n for key, n in wanted.items() if n > covers.get(key, 0)})
            parts = portions(told, self._models.budget)
        updates: list[Update] = []
        for number, part in enumerate(parts, start=1):
            asked, ground = ask(found, part, self._models.budget)
            reading = partial(read, old=found, portion=part, ground=ground)
            # The narrative is part of the question: to another one the answer would lose what is in it.
            name = f"portion {number} of {len(parts)} {hashlib.sha256(asked.user.encode()).hexdigest()[:16]}"
            value = work.step(name, partial(self._answer, asked, reading, work))
            updates.append(reading(value))
            found = updates[-1].narrative
        revision = ""
        if found and parts:
            with work.writing(), self._stores.wiki.lock:
                if taken := self._taken(self._projects.get(work.job.project_id), work.job):
                    return {"path": NARRATIVE_PAGE, "skipped_reason": taken}
                if work.job.project_id != project.id or self._stores.wiki.read(project, NARRATIVE_PAGE) != text:
                    raise ConflictError(f"{NARRATIVE_PAGE} of {project.label} changed while a model wrote it anew")
                revision = self._write(project, found, text, parts)
                reached(Step.JOB_WRITTEN)
        return {
            "path": NARRATIVE_PAGE,
            "sessions": len(told),
            "dropped": [list(each) for update in updates for each in update.dropped],
            "refused": [asdict(each) for update in updates for each in update.refused],
            "revision": revision,
        }

    def _taken(self, project: Project, job: Job) -> str:
        taken = self.coverage(project).taken
        return "" if taken == _DELETED and job.payload["anew"] else taken

    def _answer(self, asked: Ask, reading: Any, work: Work) -> Any:
        value = self._models.answer(_WHAT, asked, work.cancelled)
        # An answer that cannot be taken is not kept: who tries again has to ask again.
        if lost := reading(value).orphans:
            raise ModelError(
                f"the update would lose {len(lost)} item(s) of the narrative without a reason, {lost[0]!r} first: it "
                "stays as it is",
                "unparsable",
            )
        return value

    def _write(self, project: Project, found: Narrative, old: str | None, parts: Sequence[Portion]) -> str:
        recent = [
            session
            for session in self._stores.index.recent(project_id=project.id, limit=None)
            if str(session.id) in found.covers
        ]
        change = page(found, project.name, recent[:_RECENT], old)
        text = sealed(self._stores.scrubber.scrub(change.text))
        count = len({key for part in parts for key in part.covers})
        subject = f"narrative {project.label}: {count} session{'' if count == 1 else 's'}"
        return self._pages.write_several(project, {change.path: text}, NOBODY, subject=subject)

    def _told(self, project: Project, wanted: Mapping[str, int]) -> list[Told]:
        """Read sessions, each to where it was; one that went meanwhile is not told."""
        found = []
        for key, count in wanted.items():
            session = self._stores.index.session(project.id, UUID(key))
            if session and self._can_be_told(project, session):
                seen = list(islice(self._sessions.observations(project, session), count))
                found.append(Told(session, seen))
        return found

    def _can_be_told(self, project: Project, session: Session) -> bool:
        """Tell whether what was recorded of a session is there, and nobody has deleted it."""
        holds = self._stores.rawlog.holds(project.workspace_id, project.id, session.id)
        return holds and not self._stores.wiki.is_gone(project.id, session_path(session.id))
