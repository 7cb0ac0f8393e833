"""Drafted packets made clearer by a model at a session's end, where somebody wants that; saved ones are left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from ai_memory.capture.packet import scrubbed
from ai_memory.compile.packet_polish import PURPOSE, ask, read
from ai_memory.config import Settings
from ai_memory.errors import NotFoundError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.drafts import POLISHED, refused_in
from ai_memory.memory.jobs import Jobs, Work
from ai_memory.memory.models import Models
from ai_memory.memory.pages import NOBODY, Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import ENDS, Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import shortened
from ai_memory.model.packet_page import page_text
from ai_memory.model.page import PageChange, with_keys
from ai_memory.model.session import Session
from ai_memory.store.steps import Step, reached

_WHAT = "making a packet clearer"
_SUBJECT = 60


class Polish:
    """Makes the drafts of packets clearer, each in a job of its own."""

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

    def _note(self, session: Session, label: str) -> None:
        """Have the packet of a session made clearer, because the session is over."""
        if self._models.chat and self._at_end and label in ENDS:
            self._jobs.add(
                PURPOSE,
                str(session.id),
                session.project_id,
                session_id=session.id,
                generation=session.observations,
                payload={},
            )

    def _do(self, work: Work) -> Mapping[str, Any]:
        with work.writing():
            project = self._projects.get(work.job.project_id)
            session = self._sessions.named(project, str(work.job.session_id))
            try:
                draft = self._sessions.draft(project, session)
            except NotFoundError as error:
                return {"skipped_reason": str(error)}
            if draft.change is None:
                return {"skipped_reason": "somebody has saved it"}
            observations = self._sessions.observations(project, session)[: work.job.generation]
        asked, ground = ask(draft.packet, observations, self._models.budget)
        value = work.step("answer", partial(self._models.answer, _WHAT, asked, work.cancelled))
        better, refused = read(value, draft.packet, ground)
        better, _ = scrubbed(better, self._stores.scrubber.scrub)
        with work.writing(), self._stores.wiki.lock:
            project = self._projects.get(work.job.project_id)
            if self._sessions.named(project, str(session.id)).observations != work.job.generation:
                return {"skipped_reason": "the session has gone on"}
            text = page_text(better, OWNER, draft=True, refused=refused_in(better))
            text = with_keys(text, {POLISHED: work.job.generation})
            subject = f"packet(session {str(session.id)[:8]}): {shortened(better.goal, _SUBJECT)}"
            change = PageChange(draft.path, text)
            revision = self._pages.keep(project, [change], subject=subject, author=NOBODY.author)
            reached(Step.JOB_WRITTEN)
        return {"path": draft.path, "refused": [asdict(each) for each in refused], "revision": revision}
