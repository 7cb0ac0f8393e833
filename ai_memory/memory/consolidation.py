"""Consolidation: a model writes a session up, as the session's own page or as small pages, in a job of its own.

What a model answers is held against what it was given, and written in one commit through the one write gate. Whatever
fails on the way, the page that rules made of the session stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from ai_memory.compile.consolidate import (
    FOLDERS,
    PURPOSE,
    Known,
    Material,
    Window,
    after,
    read_batch,
    read_page,
    windows,
)
from ai_memory.compile.drafts import Drafted, PageDraft, consolidated, merged, superseded
from ai_memory.compile.grounding import Ground
from ai_memory.compile.session_page import session_path
from ai_memory.config import Settings
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.memory.indexing import read_page as page_of
from ai_memory.memory.jobs import Jobs, Work
from ai_memory.memory.models import Models
from ai_memory.memory.pages import NOBODY, Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import COMPACTIONS, ENDS, Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import shortened
from ai_memory.model.page import MACHINERY, Page, PageChange, sealed
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.store.jobs import Job
from ai_memory.store.page_index import MISSING, PageRow
from ai_memory.store.steps import Step, reached

PREFERENCES = "_prompts/consolidation.md"
INSTRUCTIONS_LIMIT = 2_000
_WHAT = "writing a session up"
_SUBJECT_TITLE = 60
#: Reasons of the write gate, as sentences.
REFUSALS = {
    "deleted": "it was deleted",
    "a link": "it is a symbolic link",
    "pinned": "it is pinned",
    "edited by hand": "a person or an agent wrote it",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a consolidation would do.

    Attributes:
        path: the page that it is sure to write, "" where the model decides.
        skipped: why that page would be left alone, or "".
        questions: how many would be asked.
        tokens: of all of them, as estimated.
    """

    path: str
    skipped: str
    questions: int
    tokens: int


class Consolidation:
    """Consolidations of all projects."""

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

    # What is to be done

    def begin(self, session: Session, *, pages: bool, instructions: str = "") -> Job:
        """Have a session written up because somebody asks for it.

        Args:
            session: which.
            pages: as small pages; else as the session's own page.
            instructions: what the writer should know, in place of the project's preferences.

        Raises:
            ModelError: there is no model.
            BadRequestError: the session did nothing.
        """
        self._models.sure(_WHAT)
        if not session.counts:
            raise BadRequestError(f"session {session.id} did nothing that could be written up")
        return self._add(session, pages=pages, instructions=instructions[:INSTRUCTIONS_LIMIT], asked=True)

    def _note(self, session: Session, label: str) -> None:
        """Have a session written up because it came to such a point: its page, and at its end what should last."""
        if self._models.chat is None:
            return
        if label in COMPACTIONS:
            self._add(session, pages=False)
        elif label in ENDS and self._at_end:
            self._add(session, pages=True)

    def _add(self, session: Session, *, pages: bool, instructions: str = "", asked: bool = False) -> Job:
        return self._jobs.add(
            PURPOSE,
            f"{session.id}{' pages' if pages else ''}",
            session.project_id,
            session_id=session.id,
            # What it did: that it was compacted is nothing that anybody would pay for again.
            generation=session.prompts + session.tools,
            payload={
                "pages": pages,
                "observations": session.observations,
                "instructions": self._stores.scrubber.scrub(instructions),
            },
            asked=asked,
        )

    def plan(self, project: Project, session: Session, *, pages: bool, instructions: str = "") -> Plan:
        """Say what `begin` would have done; nobody is asked.

        Raises:
            BadRequestError: the session did nothing.
            NotFoundError: what was recorded of it is gone.
        """
        material = self._material(project, session, session.observations, instructions)
        parts = windows(material, self._models.budget, batch=pages)
        tokens = sum(estimated_tokens(part.ask.system + part.ask.user) for part in parts)
        path = "" if pages else session_path(session.id)
        return Plan(path, self._skipped(project, path) if path else "", len(parts), tokens)

    # The job

    def _do(self, work: Work) -> Mapping[str, Any]:
        job, pages = work.job, bool(work.job.payload["pages"])
        with work.writing():
            project, session = self._project_and_session(job)
            path = session_path(session.id)
            if not pages and (why := self._skipped(project, path)):
                return _outcome(skipped={path: why})
            material = self._material(project, session, job.payload["observations"], job.payload["instructions"])
            parts = windows(material, self._models.budget, batch=pages)
        drafted: list[Drafted] = []
        texts: list[str] = []
        for part in parts:
            asked = after(part, merged(drafted))
            texts.append(asked.text)
            value = work.step(_name(part), partial(self._models.answer, _WHAT, asked.ask, work.cancelled))
            ground = Ground(*texts)
            if pages:
                drafted.append(read_batch(value, ground, material, merged(drafted)))
            else:
                drafted.append(read_page(value, ground, material))
        found = merged(drafted)
        with work.writing(), self._stores.wiki.lock:
            if work.job.project_id != project.id:
                raise ConflictError(f"session {session.id} moved while a model wrote it up: its pages come again")
            outcome = self._write(job, found, material, pages=pages)
            reached(Step.JOB_WRITTEN)
        return outcome

    def _project_and_session(self, job: Job) -> tuple[Project, Session]:
        project = self._projects.get(job.project_id)
        session = self._stores.index.session(project.id, job.session_id) if job.session_id else None
        if session is None or self._stores.wiki.is_gone(project.id, session_path(session.id)):
            raise NotFoundError(f"session {job.session_id} is not in {project.label} any more, or was deleted")
        return project, session

    # What a model is given

    def _material(self, project: Project, session: Session, count: int, instructions: str) -> Material:
        observations = list(islice(self._sessions.observations(project, session), count))
        existing = {row.path: self._known(project, session.id, row) for row in self._rows(project)}
        slots = {path: self._page(project, path).body for path in existing if path.startswith("_slots/")}
        own = self._page(project, session_path(session.id))
        return Material(
            session,
            observations,
            # What rules made of it says nothing that the observations do not.
            page="" if own.sealed else own.body,
            existing=existing,
            slots=slots,
            preferences=instructions or self._preferences(project),
        )

    def _rows(self, project: Project) -> list[PageRow]:
        """List the pages that a session may have to do with: pinned ones and rules first, then the last changed."""
        rows = [
            row
            for row in self._stores.pages.pages(project.id)
            if row.size != MISSING and not row.path.startswith(MACHINERY)
        ]
        return sorted(rows, key=lambda row: (not row.pinned, row.kind != "rule", -row.mtime, row.path))

    def _known(self, project: Project, session_id: UUID, row: PageRow) -> Known:
        if row.path.partition("/")[0] not in FOLDERS or not (row.sealed or row.pinned):
            return Known(row.title, row.pinned)
        front = self._page(project, row.path).front
        slot = row.path.startswith("_slots/")
        return Known(
            row.title,
            row.pinned,
            ("state" if front.get("slot_kind") == "state" else "invariant") if slot else "",
            row.sealed and front.get("consolidated") is True and front.get("sources") == [str(session_id)],
        )

    def _page(self, project: Project, path: str) -> Page:
        text = self._stores.wiki.read(project, path)
        page, _ = page_of(path, (text or "").encode(), self._stores.scrubber.scrub)
        return page

    def _preferences(self, project: Project) -> str:
        page = self._page(project, PREFERENCES)
        is_over = page.expires_at is not None and page.expires_at <= self._stores.clock()
        return "" if is_over else page.body.strip()[:INSTRUCTIONS_LIMIT]

    # What becomes of the answers

    def _write(self, job: Job, found: Drafted, material: Material, *, pages: bool) -> Mapping[str, Any]:
        project, session = self._project_and_session(job)
        if new := [each.path for each in found.pages if pages and self._is_new(project, each.path, material)]:
            raise ConflictError(
                f"{new[0]} was written while a model wrote session {session.id} up: its pages come again"
            )
        # The page that rules make, with its ledger lines: a model's text stands above it.
        self._sessions.checkpoint(project.id, session.id, label="consolidation")
        texts: dict[str, str] = {}
        skipped: dict[str, str] = {}
        written: list[PageDraft] = []
        for draft in found.pages:
            change = draft.change if pages else self._own(project, draft)
            text = sealed(self._stores.scrubber.scrub(change.text))
            if why := self._unwritable(project, draft, text):
                skipped[draft.path] = why
            else:
                texts[draft.path] = text
                written.append(draft)
        for draft in written:
            former = self._stores.wiki.read(project, draft.supersedes) if draft.supersedes else None
            if former and draft.supersedes not in texts and not self._pages.refusal(project, draft.supersedes):
                texts[draft.supersedes] = sealed(superseded(former, draft.path))
        revision = ""
        if texts:
            subject = self._subject(session, found, written, pages=pages)
            revision = self._pages.write_several(project, texts, NOBODY, subject=subject)
        if not pages and not found.pages:
            skipped[session_path(session.id)] = "nothing that the model wrote of it is in the session"
        return _outcome(written, skipped, found, revision)

    def _is_new(self, project: Project, path: str, material: Material) -> bool:
        """Tell whether a page that was free when a draft got its path is there by now."""
        return path not in material.existing and self._stores.wiki.has(project, path)

    def _own(self, project: Project, draft: PageDraft) -> PageChange:
        return consolidated(PageChange(draft.path, self._stores.wiki.read(project, draft.path) or ""), draft)

    def _unwritable(self, project: Project, draft: PageDraft, text: str) -> str:
        if other := self._stores.pages.colliding(project.id, draft.path):
            return f"some systems could not keep it apart from {other}"
        try:
            self._pages.check_size(draft.path, text)
        except TooLargeError as error:
            return str(error)
        return self._skipped(project, draft.path, draft.slot_kind)

    def _skipped(self, project: Project, path: str, slot_kind: str = "") -> str:
        """Say why a page is not for a model to write, or ""."""
        why = self._pages.refusal(project, path)
        if why == "pinned" and slot_kind:
            # Each slot counts as pinned; what a model may bring up to date is what one wrote.
            page = self._page(project, path)
            is_invariant = page.front.get("slot_kind") != "state" and slot_kind == "state"
            why = "pinned" if is_invariant or page.front.get("pinned") else "" if page.sealed else "edited by hand"
        return REFUSALS.get(why, why)

    def _subject(self, session: Session, found: Drafted, written: Sequence[PageDraft], *, pages: bool) -> str:
        short = str(session.id)[:8]
        if not pages:
            return f"consolidate(session {short}): {shortened(written[0].title, _SUBJECT_TITLE)}"
        why = f" — {shortened(found.rationale, _SUBJECT_TITLE)}" if found.rationale else ""
        return f"consolidate-batch(session {short}): {len(written)} page(s){why}"


def _name(part: Window) -> str:
    return f"part {part.number} of {part.of}"


def _outcome(
    written: Sequence[PageDraft] = (),
    skipped: Mapping[str, str] | None = None,
    found: Drafted | None = None,
    revision: str = "",
) -> dict[str, Any]:
    found = found or Drafted()
    return {
        "outcomes": [
            *({"path": each.path, "new_title": each.title, "tags": list(each.tags)} for each in written),
            *({"path": path, "skipped_reason": why} for path, why in (skipped or {}).items()),
        ],
        "refused": [asdict(each) for each in found.refused],
        "rationale": found.rationale,
        "revision": revision,
    }
