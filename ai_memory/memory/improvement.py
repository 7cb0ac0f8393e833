"""Auto-improvement: what a model proposes to write down after a session, kept until somebody decides about it.

A review is a job. What comes of it is held against what the model was given, and waits: a proposal becomes a page when
somebody approves it, and only while the page is as it was when the proposal was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from difflib import unified_diff
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID, uuid5

from ai_memory.compile.improve import (
    FOCUS,
    LEAST_CONFIDENCE,
    PURPOSE,
    TARGETS,
    PageNow,
    Proposal,
    Review,
    Reviewed,
    question,
    read,
)
from ai_memory.compile.request import Budget
from ai_memory.compile.session_page import session_path
from ai_memory.config import Settings
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from ai_memory.memory.consolidation import REFUSALS
from ai_memory.memory.indexing import read_page as page_of
from ai_memory.memory.jobs import Jobs, Work
from ai_memory.memory.models import Models
from ai_memory.memory.pages import NOBODY, Pages, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.front import parts
from ai_memory.model.handoff import one_line, shortened
from ai_memory.model.ids import session_uuid
from ai_memory.model.page import MACHINERY, Page, composed, formatted, front_matter, sealed, with_keys
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.store.jobs import Job
from ai_memory.store.page_index import MISSING, PageRow
from ai_memory.store.proposals import STATUSES, Staged
from ai_memory.store.steps import Step, reached

_WHAT = "a review of a session"
MOST_PROPOSALS = 5
REASON_LIMIT = 500
#: Tokens of one question, unless the model takes fewer.
_INPUT = 24_000
#: What was not wanted is told to the model: so many, for so long.
_REJECTIONS, _REMEMBERED = 50, timedelta(days=180)
_SUBJECT_TITLE = 60
#: Pages that say nothing that a session could put right.

#: Reviews that nobody asked for: how often one is begun, and of which sessions.
_EVERY = timedelta(hours=1)
_SILENT, _LASTED, _LEAST_OBSERVATIONS = timedelta(minutes=10), timedelta(minutes=2), 8
#: What is over for longer is passed over: its job may be forgotten.
_OLDEST = timedelta(days=25)
_SINCE, _ROUND = "auto-improve since", "auto-improve"


class OutsideError(BadRequestError):
    """The session is in another project."""

    status = 422


class ProposalConflictError(ConflictError):
    """The page is not what the proposal was made for."""


class Improvement:
    """Reviews of sessions and the proposals of all projects."""

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
        self._budget = Budget(
            min(_INPUT, settings["consolidation.max_input_tokens"]),
            settings["consolidation.input_token_safety_margin"],
            settings["consolidation.max_output_tokens"],
        )
        self.needs_approval: bool = settings["auto_improve.require_approval"]
        self._comes_round: bool = settings["auto_improve.scheduler.enabled"]
        jobs.doers[PURPOSE] = self._do

    # Reviews

    def session(self, project: Project, native: str) -> Session:
        """Find a session of a project that can be reviewed.

        Raises:
            NotFoundError: nobody knows it, or it was deleted.
            OutsideError: it is in another project; the message says in which.
            ConflictError: it is not over.
            BadRequestError: it did nothing.
        """
        try:
            session = self._sessions.named(project, native)
        except NotFoundError as error:
            known = {part.project_id for part in self._stores.index.sessions_of(session_uuid(native))}
            if known and project.id not in known:
                raise OutsideError(str(error)) from None
            raise
        if not session.counts:
            raise BadRequestError(f"session {session.id} did nothing that could be learned from")
        if not session.is_over:
            raise ConflictError(
                f"session {session.id} is not over: `ai-memory finalize-session` closes one whose agent never said so"
            )
        return session

    def begin(self, session: Session, *, least_confidence: float = LEAST_CONFIDENCE, most: int = MOST_PROPOSALS) -> Job:
        """Have a session reviewed because somebody asks for it.

        Args:
            session: which.
            least_confidence: a proposal of less is refused.
            most: so many proposals at most; the surest are kept.

        Raises:
            ModelError: there is no model.
        """
        self._models.sure(_WHAT)
        return self._add(session, least_confidence, most, asked=True)

    def _add(self, session: Session, least_confidence: float, most: int, *, asked: bool) -> Job:
        return self._jobs.add(
            PURPOSE,
            str(session.id),
            session.project_id,
            session_id=session.id,
            generation=session.observations,
            payload={"least_confidence": least_confidence, "most": most},
            asked=asked,
        )

    def come_round(self) -> None:
        """Begin the reviews that come by themselves, one a project and hour, where the settings switch them on.

        Sessions that were over before that are left alone.
        """
        if not self._comes_round or self._models.chat is None:
            return
        state, now = self._stores.state, self._stores.clock()
        since = state.done_at(_SINCE)
        if since is None or since > now:
            state.note_done(_SINCE, now)
            return
        last = state.done_at(_ROUND)
        if last and timedelta() <= now - last < _EVERY:
            return
        for project in self._projects.all():
            waiting = [
                each
                for each in self._stores.index.recent(project_id=project.id, limit=None)
                if max(since, now - _OLDEST) < each.last <= now - _SILENT and self._is_worth_it(each)
            ]
            if waiting:
                self._add(min(waiting, key=lambda each: each.last), LEAST_CONFIDENCE, MOST_PROPOSALS, asked=False)
        state.note_done(_ROUND, now)

    def _is_worth_it(self, session: Session) -> bool:
        """Tell whether a session is long enough to be reviewed unasked, and was not."""
        return (
            session.counts
            and session.is_over
            and session.observations >= _LEAST_OBSERVATIONS
            and session.last - session.started >= _LASTED
            and not self._stores.state.jobs.newest(session.project_id, PURPOSE, str(session.id))
        )

    # The job

    def _do(self, work: Work) -> Mapping[str, Any]:
        job = work.job
        with work.writing():
            review = self._review(*self._project_and_session(job), job.generation)
            asked = question(review, self._budget)
        value = work.step("review", partial(self._models.answer, _WHAT, asked.ask, work.cancelled))
        found = read(value, asked, review, least_confidence=job.payload["least_confidence"])
        with work.writing():
            outcome = self._stage(job, found)
            reached(Step.JOB_WRITTEN)
        return outcome

    def _project_and_session(self, job: Job) -> tuple[Project, Session]:
        project = self._projects.get(job.project_id)
        session = self._stores.index.session(project.id, job.session_id) if job.session_id else None
        if session is None:
            raise NotFoundError(f"session {job.session_id} is not in {project.label} any more")
        return project, session

    def _review(self, project: Project, session: Session, count: int) -> Review:
        return Review(
            list(islice(self._sessions.observations(project, session), count)),
            self._page(project, session_path(session.id)).body,
            {
                row.path: PageNow(row.title, self._page(project, row.path).body, row.pinned, row.sealed)
                for row in self._rows(project)
            },
            self._rejected(project),
        )

    def _rows(self, project: Project) -> list[PageRow]:
        """List the pages that a session may have to do with: those that may be changed first, the newest first."""
        rows = [
            row
            for row in self._stores.pages.pages(project.id)
            if row.size != MISSING and not row.conflicted and not row.path.startswith(MACHINERY)
        ]
        return sorted(rows, key=lambda row: (row.path.partition("/")[0] not in TARGETS, -row.mtime, row.path))

    def _rejected(self, project: Project) -> dict[str, str]:
        since = self._stores.clock() - _REMEMBERED
        rejected = self._stores.state.proposals.latest(project.id, ["rejected"], _REJECTIONS)
        return {each.title: each.body for each in rejected if each.decided_at and each.decided_at > since}

    def _stage(self, job: Job, found: Reviewed) -> Mapping[str, Any]:
        project, session = self._project_and_session(job)
        surest = sorted(found.proposals, key=lambda each: -each.confidence)
        skipped = {each.path: "surer ones were enough" for each in surest[job.payload["most"] :]}
        staged = []
        for each in surest[: job.payload["most"]]:
            proposal = self._staged(job, project, session, each)
            if why := self._unwritable(project, proposal):
                skipped[each.path] = why
            elif self._stores.state.proposals.stage(proposal):
                staged.append(proposal.id)
            else:
                skipped[each.path] = "another proposal about this page waits for a decision"
        if not self.needs_approval:
            self._approve_all(project, staged)
        return {
            "summary": found.summary,
            "warnings": list(found.warnings),
            "left_out": list(found.left_out),
            "refused": [asdict(each) for each in found.refused],
            "skipped": [{"path": path, "reason": why} for path, why in skipped.items()],
            "proposals": [str(each) for each in staged],
        }

    def _approve_all(self, project: Project, staged: Sequence[UUID]) -> None:
        for each in staged:
            if self.named(project, each).status == "pending":
                try:
                    self.approve(project, each, NOBODY)
                except ProposalConflictError:
                    continue  # it is kept as such, and the answer says so

    def _staged(self, job: Job, project: Project, session: Session, proposal: Proposal) -> Staged:
        body = proposal.body
        if proposal.edit_mode == "full" and not body.startswith("# "):
            body = f"# {proposal.title}\n\n{body.strip()}\n"
        return Staged(
            # The same again when a job that was killed here is done once more.
            id=uuid5(job.id, proposal.path),
            run_id=job.id,
            project_id=project.id,
            session_id=session.id,
            path=proposal.path,
            title=proposal.title,
            kind=proposal.kind,
            body=self._stores.scrubber.scrub(body),
            confidence=proposal.confidence,
            rationale=proposal.rationale,
            evidence=[(each.page, each.quote) for each in proposal.evidence],
            edit_mode=proposal.edit_mode,
            base=proposal.base,
            staged_at=self._stores.clock(),
        )

    # Pages as they are

    def _page(self, project: Project, path: str) -> Page:
        text = self._stores.wiki.read(project, path)
        page, _ = page_of(path, (text or "").encode(), self._stores.scrubber.scrub)
        return page

    def _refusal(self, project: Project, path: str) -> str:
        why = self._pages.refusal(project, path)
        if why == "pinned" and path == FOCUS:
            # Each slot counts as pinned; this one is a model's while nobody makes it theirs.
            page = self._page(project, path)
            why = "pinned" if page.front.get("pinned") else "" if page.sealed else "edited by hand"
        return why

    def _unwritable(self, project: Project, proposal: Staged) -> str:
        """Say why the page of a proposal cannot be written now, ""."""
        if why := self._refusal(project, proposal.path):
            return REFUSALS.get(why, why)
        if other := self._stores.pages.colliding(project.id, proposal.path):
            return f"some systems could not keep it apart from {other}"
        try:
            self._pages.check_size(proposal.path, self._text(project, proposal))
        except TooLargeError as error:
            return str(error)
        if self._stores.wiki.read(project, proposal.path) is None:
            return "it is not there any more" if proposal.base else ""
        page = self._page(project, proposal.path)
        # One that was written and not noted, because the process ended in between, is there already.
        is_as_it_was = PageNow(page.title, page.body).digest == proposal.base or page.body == proposal.body
        return "" if is_as_it_was else "it has changed since the proposal was made"

    def _text(self, project: Project, proposal: Staged) -> str:
        """Compose the whole page; what it is now stays in front of a new body."""
        path, old = proposal.path, self._stores.wiki.read(project, proposal.path)
        keys: dict[str, object] = {"evidence": [quote for _, quote in proposal.evidence]}
        if old is None:
            front: dict[str, object] = {"title": proposal.title, "kind": proposal.kind}
            front |= {"slot_kind": "state"} if path == FOCUS else {}
            text = composed(None, formatted(front, proposal.body), path=path)
            sources: object = []
        else:
            cut, sources = parts(old), front_matter(old).get("sources")
            text = cut.opening + cut.head + cut.closing + proposal.body
            keys |= {"title": proposal.title, "kind": proposal.kind} if proposal.edit_mode == "full" else {}
        known = [str(each) for each in sources] if isinstance(sources, list) else []
        keys["sources"] = list(dict.fromkeys([*known, str(proposal.session_id)]))
        return with_keys(text, {**keys, "seal": None})

    # Decisions

    def latest(self, project: Project, status: str = "", limit: int = 50) -> list[Staged]:
        """List the proposals of a project, those of one status or all, the newest first."""
        return self._stores.state.proposals.latest(project.id, [status] if status else STATUSES, limit)

    def named(self, project: Project, proposal_id: UUID) -> Staged:
        """Find a proposal.

        Raises:
            NotFoundError: the project has none of this id.
        """
        found = self._stores.state.proposals.proposal(project.id, proposal_id)
        if found is None:
            raise NotFoundError(
                f"there is no proposal {proposal_id} in {project.label}: `ai-memory pending-writes list` lists them"
            )
        return found

    def diff(self, project: Project, proposal_id: UUID) -> str:
        """Compare the page as it is with what a proposal would make of it; "" when that is the same."""
        proposal = self.named(project, proposal_id)
        old = with_keys(self._stores.wiki.read(project, proposal.path) or "", {"seal": None})
        return "".join(_compared(old, self._text(project, proposal), proposal.path))

    def approve(self, project: Project, proposal_id: UUID, writer: Writer) -> Staged:
        """Write the page of a proposal, in one commit that says why.

        Args:
            project, proposal_id: which.
            writer: who decides.

        Raises:
            NotFoundError: there is no such proposal.
            ConflictError: it was decided already.
            ProposalConflictError: the page is somebody's by now, or has changed; nothing was written, and it is over.
            StorageError: the page could not be written; the proposal waits.
        """
        with self._stores.wiki.lock:
            # It may have been renamed or moved since somebody found it.
            project = self._projects.get(project.id)
            proposal = self._undecided(project, proposal_id)
            if why := self._unwritable(project, proposal):
                self._settle(replace(proposal, status="conflict", reason=f"{proposal.path}: {why}"))
                raise ProposalConflictError(f"{proposal.path} was not written: {why}")
            text = sealed(self._stores.scrubber.scrub(self._text(project, proposal)))
            title = shortened(proposal.title, _SUBJECT_TITLE)
            subject = f"auto-improve(session {str(proposal.session_id)[:8]}): {title}\n\n{proposal.rationale}"
            revision = self._pages.write_several(project, {proposal.path: text}, writer, subject=subject)
            newest = self._stores.pages.newest(project.id, proposal.path)
            revision = revision or (newest.revision if newest else "")
            return self._settle(replace(proposal, status="approved", revision=revision))

    def reject(self, project: Project, proposal_id: UUID, reason: str) -> Staged:
        """Refuse a proposal; reviews of later sessions know that it was not wanted.

        Raises:
            NotFoundError: there is no such proposal.
            ConflictError: it was decided already.
        """
        with self._stores.wiki.lock:
            proposal = self._undecided(project, proposal_id)
            why = shortened(one_line(self._stores.scrubber.scrub(reason)), REASON_LIMIT)
            return self._settle(replace(proposal, status="rejected", reason=why))

    def _undecided(self, project: Project, proposal_id: UUID) -> Staged:
        proposal = self.named(project, proposal_id)
        if proposal.status != "pending":
            over = "in conflict with its page" if proposal.status == "conflict" else proposal.status
            raise ConflictError(f"proposal {proposal_id} is {over} already")
        return proposal

    def _settle(self, proposal: Staged) -> Staged:
        decided = replace(proposal, decided_at=self._stores.clock())
        self._stores.state.proposals.settle(decided)
        return decided


def _compared(old: str, new: str, path: str) -> Iterator[str]:
    lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for line in unified_diff(*lines, f"a/{path}" if old else "/dev/null", f"b/{path}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
