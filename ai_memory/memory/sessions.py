"""Sessions: brought up to date at each turn's end, closed when they are over or silent.

A checkpoint is idempotent: it covers what the raw log holds, and its mark (how many observations) travels in
the page itself. So a crash at any point is repaired by doing it again.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from uuid import UUID

from ai_memory.client.agents import agent_named
from ai_memory.compile.account import account_of
from ai_memory.compile.drafts import recompiled
from ai_memory.compile.handoff import automatic_handoff
from ai_memory.compile.session_page import ledger_lines, session_in, session_page, session_path, title_of
from ai_memory.errors import NotFoundError
from ai_memory.memory import ledgers
from ai_memory.memory.drafts import Draft, Drafts
from ai_memory.memory.meters import Meter
from ai_memory.memory.pages import Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.handoff import shortened
from ai_memory.model.ids import new_id, session_uuid
from ai_memory.model.page import front_matter
from ai_memory.model.scope import Project
from ai_memory.model.session import Session, was_brought_in
from ai_memory.store.git import GitError
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import Append

#: What brings a session's page up to date, and whether that is a commit: kind -> commit subject's label.
_COMMITS = {
    Kind.SESSION_END: "session",
    Kind.PRE_COMPACT: "pre-compact",
    Kind.POST_COMPACTION: "post-compaction",
}
_TURN_ENDS = frozenset({Kind.STOP, *_COMMITS})
#: Labels of checkpoints: of a session that is compacted, and of one that is over.
COMPACTIONS, ENDS = frozenset({"pre-compact", "post-compaction"}), frozenset({"session", "idle"})


class Sessions:
    """Sessions of all projects."""

    def __init__(self, stores: Stores, projects: Projects, pages: Pages, drafts: Drafts, idle: timedelta) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._drafts = drafts
        self._idle = idle
        self._due: dict[tuple[UUID, UUID], str] = {}
        self._due_lock = threading.Lock()
        self.meter = Meter()
        #: They hear of each checkpoint that becomes a commit: the session, and the label.
        self.on_checkpoint: list[Callable[[Session, str], None]] = []

    # What is due

    def note_change(self, session: Session, kind: Kind) -> None:
        """Remember that a session has come to a point where its page should be brought up to date."""
        if kind in _TURN_ENDS:
            self.note_due(session, _COMMITS.get(kind, ""))

    def note_due(self, session: Session, label: str) -> None:
        """Remember a checkpoint; a non-empty label makes it a commit, and is not forgotten for an empty one."""
        with self._due_lock:
            place = (session.project_id, session.id)
            self._due[place] = label or self._due.get(place, "")

    def forget(self, project_id: UUID, session_id: UUID | None = None) -> None:
        """Forget what is due of a session, or of all of a project: it was purged, or is another project's now."""
        with self._due_lock:
            for place in list(self._due):
                if place[0] == project_id and session_id in (None, place[1]):
                    del self._due[place]

    def has_due(self) -> bool:
        """Tell whether `settle` has something to do."""
        return bool(self._due)

    def settle(self, seconds: float = math.inf) -> int:
        """Do the checkpoints that are due, for about so long; returns how many were done. A failed one stays due.

        Raises:
            StorageError: one could not be written.
        """
        done = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._settle_one():
            done += 1
        return done

    def _settle_one(self) -> bool:
        # Under the lock, so that somebody who settles waits for what another thread has taken on.
        with self._stores.wiki.lock:
            with self._due_lock:
                place = next(iter(self._due), None)
                label = self._due.pop(place) if place else ""
            if place is None:
                return False
            try:
                self.checkpoint(*place, label=label)
            except NotFoundError:
                # It was purged or moved since, or its time was over.
                self.meter.count("gone", self._stores.clock())
            except BaseException:
                with self._due_lock:
                    self._due.setdefault(place, label)
                raise
            return True

    def failed(self, error: Exception) -> None:
        """Count a step that could not be done, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    # Checkpoints

    def checkpoint(self, project_id: UUID, session_id: UUID, *, label: str = "") -> str:
        """Bring a session's page and its automatic handoff up to date.

        Args:
            project_id, session_id: which session.
            label: "" writes the page without a commit; any other word commits page and ledger:
                "session" (it is over), "pre-compact", "post-compaction", "idle", "handoff" or "consolidation".

        Returns:
            the commit's id, "" when none was made.

        Raises:
            NotFoundError: there is no such session.
            MergeUnfinishedError: it is not committed, as somebody is in the middle of a merge; the page is written.
            StorageError: it could not be written; the marks did not move.
        """
        with self._stores.wiki.lock:
            session = self._stores.index.session(project_id, session_id)
            if session is None:
                raise NotFoundError(f"there is no session {session_id} in this project")
            if not session.counts:
                if session.is_over:
                    self._stores.state.give_back(session.id)
                return ""
            if (session.committed if label else session.compiled) == session.observations:
                return ""
            if label and self._stores.wiki.git.unfinished():
                # What can be done without a commit is done; the rest stays due.
                self.checkpoint(project_id, session_id)
                self._stores.wiki.git.check_free()
            try:
                project = self._projects.get(project_id)
                observations = self._observations(project, session)
            except NotFoundError as error:
                # Somebody removed its files. There is nothing left to write, now or at the next try.
                self.failed(error)
                self._stores.index.mark(session, compiled=session.observations, committed=session.observations)
                return ""
            oid = self._write(project, session, observations, label)
            self.meter.count("committed" if label else "written", self._stores.clock())
            return oid

    def _write(self, project: Project, session: Session, observations: list[Observation], label: str) -> str:
        account = account_of(observations, session.cwd)
        over = label in ENDS
        # Who starts today does not go on with what was brought in from years ago, and nobody has asked to pay for it.
        hands_over = not was_brought_in(observations)
        draft = None
        if hands_over and (over or session.is_over or label == "handoff"):
            found = self._drafts.of(project, session, observations, account)
            draft = found if isinstance(found, Draft) else None
        page = session_page(
            session,
            observations,
            account,
            continues=self._continued(session),
            packet=draft.path if draft else self._drafts.newest_page(project, session),
        )
        page = recompiled(self._stores.wiki.read(project, page.path), page)
        pages = [page, draft.change] if draft and draft.change else [page]
        if hands_over and (session.compiled < session.observations or over or draft):
            handoff_id = new_id(self._stores.clock())
            packet_id = draft.packet.id if draft else ""
            handoff = automatic_handoff(
                session, observations, account, project, handoff_id=handoff_id, packet_id=packet_id
            )
            self._stores.state.publish(handoff, replacing_cwd=over)
        if label and hands_over:
            # Before the commit: a crash between the two would lose what only a checkpoint asks for.
            for listener in self.on_checkpoint:
                listener(session, label)
        reached(Step.CHECKPOINT_HANDED_OVER)
        count = session.observations
        agent = agent_named(session.agent)
        author = (agent.title if agent.name == session.agent else session.agent, f"{session.agent}@local")
        if not label:
            self._pages.keep(
                project, pages, author=author, mark=lambda: self._stores.index.mark(session, compiled=count)
            )
            reached(Step.CHECKPOINT_WRITTEN)
            return ""
        ledger = ledger_lines(observations[self._committed(project, session, page.path) :])
        return self._pages.keep(
            project,
            pages,
            subject=_subject(label, session, title_of(session, observations), project),
            appends=[Append(path, self._stores.scrubber.scrub(text)) for path, text in ledger.items()],
            author=author,
            mark=lambda: self._stores.index.mark(session, compiled=count, committed=count),
        )

    def _observations(self, project: Project, session: Session) -> list[Observation]:
        path = self._stores.rawlog.path(project.workspace_id, project.id, session.id)
        # The session's row is the snapshot; younger lines belong to the next checkpoint.
        lines = islice(self._stores.rawlog.observations(path), session.observations)
        return [_slim(observation) for observation in lines]

    def _continued(self, session: Session) -> str:
        sources = [
            h.from_session for h in self._stores.state.taken_by(session.id, session.project_id) if h.from_session
        ]
        return session_path(sources[0]) if sources else ""

    # Reading

    def named(self, project: Project, native: str) -> Session:
        """Find a session of a project by its id, or by the agent's own.

        Raises:
            NotFoundError: the project has none, or its page was deleted; the message says where it is.
        """
        session_id = session_uuid(native)
        session = self.known(project, native)
        if session and not self._stores.wiki.is_gone(project.id, session_path(session_id)):
            return session
        if session:
            raise NotFoundError(f"session {native} of {project.label} was deleted")
        homes = [self._projects.known(part.project_id) for part in self._stores.index.sessions_of(session_id)]
        where = ", ".join(home.label for home in homes if home)
        raise NotFoundError(
            f"there is no session {native} in {project.label}"
            + (f": it is in {where}, name that workspace and project" if where else "")
        )

    def known(self, project: Project, native: str) -> Session | None:
        """Find a session of a project by its id or the agent's own, also a deleted one; None where there is none."""
        return self._stores.index.session(project.id, session_uuid(native))

    def last_over(self, project: Project) -> Session:
        """Find the session of a project that was over last.

        Raises:
            NotFoundError: none is.
        """
        gone = self._stores.wiki.is_gone
        for session in self._stores.index.recent(project_id=project.id, limit=None):
            if session.counts and session.is_over and not gone(project.id, session_path(session.id)):
                return session
        raise NotFoundError(f"no session of {project.label} is over yet: name one by session_id")

    def observations(self, project: Project, session: Session) -> list[Observation]:
        """Read all that was recorded of a session of a project.

        Raises:
            NotFoundError: its raw log is not there any more.
        """
        path = self._stores.rawlog.path(project.workspace_id, project.id, session.id)
        try:
            return list(self._stores.rawlog.observations(path))
        except NotFoundError:
            raise NotFoundError(
                f"what was recorded of session {session.id} was removed when its time was over: its page "
                f"{session_path(session.id)} is what is left"
            ) from None

    def newest(self, project: Project) -> Session:
        """Find the session of a project that did something last.

        Raises:
            NotFoundError: none has.
        """
        gone = self._stores.wiki.is_gone
        for session in self._stores.index.recent(project_id=project.id, limit=None):
            if session.counts and not gone(project.id, session_path(session.id)):
                return session
        raise NotFoundError(f"{project.label} has no session that did anything")

    def part(self, native: str, project: Project | None) -> tuple[Project, Session]:
        """Find the part of a session that is in a project, else the newest one; `native` is its id or the agent's own.

        Raises:
            NotFoundError: it has none that did anything.
        """
        parts = [
            (home, part)
            for part in self._stores.index.sessions_of(session_uuid(native))
            if part.counts and (home := self._projects.known(part.project_id))
        ]
        here = [(home, part) for home, part in parts if project and home.id == project.id]
        if not parts:
            raise NotFoundError(f"there is no session {native} that did anything")
        return max(here or parts, key=lambda each: each[1].last)

    def draft(self, project: Project, session: Session) -> Draft:
        """Give the packet of a session as it is now, whether or not the session is over; nothing is written.

        Raises:
            NotFoundError: it has none; the message says why.
        """
        observations = [_slim(observation) for observation in self.observations(project, session)]
        found = self._drafts.of(project, session, observations, account_of(observations, session.cwd))
        if isinstance(found, Draft):
            return found
        raise NotFoundError(f"session {session.id} of {project.label} {found}")

    def packet_page(self, project: Project, session: Session) -> str:
        """Give the path of the newest packet page of a session in its project, "" for none."""
        return self._drafts.newest_page(project, session)

    def elsewhere(self, session: Session) -> list[tuple[Project, Session]]:
        """List the parts of a session in other projects that it worked in, the newest first."""
        parts = [part for part in self._stores.index.sessions_of(session.id) if part.project_id != session.project_id]
        return [(home, part) for part in parts if (home := self._projects.known(part.project_id))]

    def count_elsewhere(self, session: Session) -> int:
        """Count the observations of a session in other projects that it worked in."""
        parts = self._stores.index.sessions_of(session.id)
        return sum(part.observations for part in parts if part.project_id != session.project_id)

    # Time

    def close_idle(self, seconds: float = math.inf) -> int:
        """Close the sessions that were silent for too long, for about so long; returns how many are.

        Raises:
            StorageError: one could not be written.
        """
        limit = self._stores.clock() - self._idle
        closed = 0
        for session in self._stores.index.unfinished():
            if session.last < limit:
                self.note_due(session, "idle")
                closed += 1
        for receiver in self._stores.state.receivers(limit):
            parts = self._stores.index.sessions_of(receiver)
            if all(not part.counts and part.last < limit for part in parts):
                self._stores.state.give_back(receiver)
        # By the queue, where one that cannot be written goes behind the others.
        self.settle(seconds)
        return closed

    # Start-up

    def _committed(self, project: Project, session: Session, path: str) -> int:
        """Give the mark of what git holds of a session; git itself is asked where a crash left that open."""
        full = f"{project.workspace_id}/{project.id}/{path}"
        if full not in self._stores.wiki.unmarked:
            return session.committed
        return _mark_in(self._stores.wiki.git.show(full), session)

    def recover_marks(self, *, index_was_lost: bool) -> None:
        """Read from pages and git how far sessions are compiled and committed, where the index cannot know it.

        Args:
            index_was_lost: look at every session; else only at those whose commit was cut short.
        """
        wiki, index = self._stores.wiki, self._stores.index
        try:
            dirty = wiki.git.dirty() if index_was_lost else wiki.unmarked.copy()
        except GitError as error:
            # It is damaged: what is on disk is all there is to go by.
            self.failed(error)
            dirty = set()
        for session in index.logged() if index_was_lost else index.unfinished() if dirty else []:
            project = self._projects.known(session.project_id)
            if project is None:
                continue
            path = session_path(session.id)
            full = f"{project.workspace_id}/{project.id}/{path}"
            compiled, committed = session.compiled, session.committed
            if index_was_lost:
                # Of a page that was deleted nothing will be written again, least of all its lines in the ledger.
                gone = wiki.is_gone(project.id, path)
                compiled = committed = session.observations if gone else _mark_in(wiki.read(project, path), session)
            if full in dirty:
                # The commit had this page and came after its handoff: the mark alone was cut off.
                committed = _mark_in(wiki.git.show(full), session)
                wiki.unmarked.discard(full)
            if index_was_lost and committed < session.observations and self._pages.is_taken(project, path):
                # It does not follow its session any more: what the ledgers have is all that is known of it.
                committed = max(committed, self._in_ledgers(project, session))
            index.mark(session, compiled=max(compiled, committed), committed=committed)
        if index_was_lost:
            index.note_marks_recovered()

    def _in_ledgers(self, project: Project, session: Session) -> int:
        """Count how many of a session's observations have their line in the ledgers already, from the first one on."""
        try:
            observations = self._observations(project, session)
        except NotFoundError:
            return 0
        folder = self._stores.wiki.folder(project)
        found = 0
        for path, lines in ledgers.lines_of(observations, self._stores.scrubber.scrub).items():
            there = Counter(ledgers.entries(folder, path))
            for line in lines:
                there[line] -= 1
                if there[line] < 0:
                    return found
                found += 1
        return found

    def begin_anew(self) -> None:
        """Find out again what git holds of each session: the history is another one (`git reset`, `git rebase`)."""
        self.recover_marks(index_was_lost=True)
        self.note_unfinished()

    def note_unfinished(self) -> None:
        """Remember as due what sessions have that is not in their pages yet."""
        for session in self._stores.index.unfinished():
            if session.is_over:
                self.note_due(session, "session")
            elif session.compiled < session.observations and not session.in_turn:
                self.note_due(session, "")


def _slim(observation: Observation) -> Observation:
    """Drop what no page quotes: the output of calls that worked is most of a long session's memory."""
    tool = observation.tool
    return replace(observation, body=Scrubbed("")) if tool and tool.outcome != "error" else observation


def _mark_in(text: str | None, session: Session) -> int:
    """Read how many observations of a session its page covers."""
    front = front_matter(text) if text else {}
    kept = session_in(front, project_id=session.project_id, session_id=session.id)
    # A page that ends before the session begins is of a former part, whose raw log is gone.
    # One that covers more than there is was written before an older copy of the log was put back.
    is_of_it = kept is not None and kept.last >= session.started.replace(microsecond=0)
    return min(kept.observations, session.observations) if kept and is_of_it else 0


def _subject(label: str, session: Session, title: str, project: Project) -> str:
    short = str(session.id)[:8]
    if label in COMPACTIONS:
        return f"{label}(session {short}): checkpoint"
    ending = {"idle": " (closed: silent)", "handoff": " (handed over)"}.get(label, "")
    return f"session {short}: {shortened(title, 60)}{ending}\n\n{project.label}, {session.observations} observations"
