"""Handoffs: given to the next session exactly once, listed, begun, accepted and cancelled by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ai_memory.capture.scope import New
from ai_memory.client.agents import agent_named
from ai_memory.compile.brief import Brief, brief_text
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.briefing import Briefing
from ai_memory.memory.drafts import refused_in
from ai_memory.memory.meters import Meter
from ai_memory.memory.packets import Packets
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import (
    TEXT_LIMIT,
    Handoff,
    Receiver,
    best,
    rendered,
    shortened,
    superseded,
    utf16_length,
    within_limits,
)
from ai_memory.model.ids import new_id
from ai_memory.model.packet import Packet
from ai_memory.model.scope import Project, Resolved, Routing, plain_path
from ai_memory.model.session import Session

_NEWEST = 8
_LISTING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """What a new session is given: the text to inject ("" for none), and the scope that answered."""

    text: str
    resolved: Resolved | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """The packet that goes with a handoff; None where there is none that may leave, and why."""

    packet: Packet | None
    problem: str = ""


class Handoffs:
    """The batons of all projects."""

    def __init__(
        self,
        stores: Stores,
        projects: Projects,
        sessions: Sessions,
        briefing: Briefing,
        packets: Packets,
        quiet: timedelta,
    ) -> None:
        self._stores = stores
        self._projects = projects
        self._sessions = sessions
        self._briefing = briefing
        self._packets = packets
        self._quiet = quiet
        self.meter = Meter()

    def for_start(
        self, receiver: Receiver, routing: Routing, still_wanted: Callable[[], bool], *, brief: int = 0
    ) -> Start:
        """Give a starting session its handoff, and bind it to that session; behind it the project's brief.

        A session that asks again before it has done anything gets the same text: its first answer may have
        been lost on the way. One that is at work gets none; one that is resumed gets what others have left.

        Args:
            receiver: who asks; an agent that does not show the text to its model never takes one.
            routing: where it runs; nothing is created for it.
            still_wanted: asked right before the claim; False (the client has gone) leaves it open.
            brief: UTF-16 units that the project's brief may have, as far as the handoff leaves room; 0 is none.
        """
        found = self._projects.look_up(routing, self._session_projects(receiver.session))
        if isinstance(found, New) or not agent_named(receiver.agent).injects:
            self.meter.count("no_project" if isinstance(found, New) else "not_shown", self._stores.clock())
            return Start("", None if isinstance(found, New) else found)
        # Read before anything is taken: what cannot be read takes no handoff with it.
        told = self._briefing.brief(found.project) if brief else Brief()
        handoff = self._for_receiver(found.project, receiver, still_wanted)
        text = rendered(handoff) if handoff else ""
        more = brief_text(told, min(brief, TEXT_LIMIT - utf16_length(text) - 1))
        return Start("\n".join(part for part in (text, more) if part), found)

    def _for_receiver(self, project: Project, receiver: Receiver, still_wanted: Callable[[], bool]) -> Handoff | None:
        """Find the handoff of a starting session: the one that it was given before, or one that it takes now."""
        own = self._stores.index.session(project.id, receiver.session) if receiver.session else None
        if own and own.is_at_work:
            self.meter.count("at_work", self._stores.clock())
            return None
        if (
            receiver.session
            and not (own and own.counts)
            and (taken := self._stores.state.taken_by(receiver.session, project.id))
        ):
            self.meter.count("repeated", self._stores.clock())
            return taken[0]
        self._compile_newest(project)
        handoff = self._claim(project, receiver) if still_wanted() else None
        self.meter.count("delivered" if handoff else "none_pending", self._stores.clock())
        return handoff

    def _compile_newest(self, project: Project) -> None:
        """Bring the handoffs of a project up to date whose sessions have gone on."""
        # The newest are enough: an older one could only be chosen if none of these fits.
        for session in self._stores.index.uncompiled(project.id, _NEWEST):
            self._sessions.checkpoint(project.id, session.id)

    def _claim(self, project: Project, receiver: Receiver) -> Handoff | None:
        now = self._stores.clock()
        mid_turn = self._stores.index.mid_turn(project.id, now - self._quiet)

        def choose(handoffs: Sequence[Handoff]) -> tuple[Handoff | None, list[Handoff]]:
            taken = best(handoffs, receiver, mid_turn=mid_turn)
            spare = [] if taken is None else superseded(handoffs, taken, receiver)
            return taken, [handoff for handoff in spare if handoff.from_session not in mid_turn]

        taken = self._stores.state.claim(project.id, choose, by=receiver.agent, session=receiver.session, at=now)
        if taken and taken.from_session:
            source = self._stores.index.session(project.id, taken.from_session)
            if source and source.committed < source.observations:
                self._sessions.note_due(source, "handoff")
        return taken

    def _session_projects(self, session: UUID | None) -> list[Project]:
        if session is None:
            return []
        parts = self._stores.index.sessions_of(session)
        return [project for part in parts if (project := self._projects.known(part.project_id))]

    def failed(self, error: Exception) -> None:
        """Count a question that could not be answered, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    # By hand

    def open(self, project: Project | None, limit: int = 50) -> list[Handoff]:
        """List open handoffs, oldest first, of one project or of all."""
        self._sessions.settle(_LISTING_SECONDS)
        return self._stores.state.open_handoffs(project.id if project else None, limit)

    def with_packet(self, packet_id: str, limit: int = 20) -> list[Handoff]:
        """List the handoffs of all projects that name a packet, newest first, in whatever state."""
        return self._stores.state.handoffs_with(packet_id, limit)

    def of_session(self, session: Session) -> tuple[list[Handoff], list[Handoff]]:
        """List what a session left in its project, and what it took there, newest first."""
        state, project_id = self._stores.state, session.project_id
        return state.left_by(session.id, project_id), state.taken_by(session.id, project_id)

    def begin(
        self,
        project: Project,
        *,
        summary: str,
        open_questions: Sequence[str] = (),
        next_steps: Sequence[str] = (),
        files_touched: Sequence[str] = (),
        to_agent: str = "",
        from_agent: str = "other",
        cwd: str = "",
        packet_id: str = "",
        user: str = OWNER,
    ) -> Handoff:
        """Leave a handoff by hand, for whoever starts next in the project, wherever in it that is.

        Raises:
            BadRequestError: it says nothing.
            NotFoundError: it names a packet that `user` cannot read.
        """
        if not any([summary.strip(), *open_questions, *next_steps]):
            raise BadRequestError("a handoff needs a summary, an open question or a next step")
        if packet_id:
            self.check_packet(packet_id, user)
        now = self._stores.clock()
        scrub = self._stores.scrubber.scrub
        handoff = Handoff(
            id=new_id(now),
            workspace_id=project.workspace_id,
            project_id=project.id,
            from_session=None,
            from_agent=agent_named(from_agent).name,
            to_agent=agent_named(to_agent).name if to_agent else "",
            cwd=scrub(plain_path(cwd)),
            summary=scrub(summary.strip()),
            open_questions=tuple(scrub(item) for item in open_questions),
            next_steps=tuple(scrub(item) for item in next_steps),
            files_touched=tuple(scrub(item) for item in files_touched),
            created_at=now,
            packet_id=packet_id,
        )
        self.meter.count("begun", now)
        return self._stores.state.publish(within_limits(handoff), replacing_cwd=False)

    def accept(self, project: Project, *, handoff_id: UUID | None, by: str, session: UUID | None) -> Handoff | None:
        """Take a handoff by hand: the one named, else the one that a new session would get; None when none is open.

        Raises:
            NotFoundError: there is no such handoff in the project.
            ConflictError: the one named is not open any more.
        """
        if handoff_id is None:
            self._compile_newest(project)
            return self._claim(project, Receiver(session, agent_named(by).name, ""))
        named = self.named(project, handoff_id)

        def choose(handoffs: Sequence[Handoff]) -> tuple[Handoff | None, list[Handoff]]:
            return next((handoff for handoff in handoffs if handoff.id == named.id), None), []

        taken = self._stores.state.claim(
            project.id, choose, by=agent_named(by).name, session=session, at=self._stores.clock()
        )
        if taken is None:
            raise ConflictError(
                f"handoff {handoff_id} is not open any more: it is {self.named(project, handoff_id).state}"
            )
        self.meter.count("accepted", self._stores.clock())
        return taken

    def check_packet(self, packet_id: str, user: str = OWNER) -> None:
        """Refuse a packet that a handoff cannot name.

        Raises:
            NotFoundError: there is none of this id that `user` may read.
        """
        try:
            self._packets.get(user, packet_id)
        except NotFoundError:
            shown = shortened(self._stores.scrubber.scrub(packet_id), 64)
            raise NotFoundError(f"there is no packet {shown!r}: `ai-memory ls` lists them") from None

    def carried(self, handoff: Handoff, user: str = OWNER) -> Carried:
        """Give the packet that a handoff names, else the one that its session would leave now."""
        try:
            if handoff.packet_id:
                # What a session left belongs to whoever has its project.
                packet = self._packets.get(OWNER if handoff.from_session else user, handoff.packet_id).packet
            elif handoff.from_session:
                packet = self._sessions.draft(*self._source(handoff, handoff.from_session)).packet
            else:
                return Carried(None, "the handoff names no packet")
        except NotFoundError as error:
            gone = f"packet {handoff.packet_id} of the handoff is not there any more"
            return Carried(None, gone if handoff.packet_id else str(error))
        if refused := refused_in(packet):
            return Carried(
                None,
                f"packet {packet.id} stays here, as it holds what may not travel: {'; '.join(refused)}. "
                f"Change it first (`ai-memory save --edit`)",
            )
        return Carried(packet)

    def _source(self, handoff: Handoff, session_id: UUID) -> tuple[Project, Session]:
        project = self._projects.get(handoff.project_id)
        return project, self._sessions.named(project, str(session_id))

    def cancel(self, project: Project, handoff_id: UUID) -> Handoff:
        """Withdraw an open handoff, so that nobody gets it.

        Raises:
            NotFoundError: there is no such handoff in the project.
            ConflictError: it is not open any more.
        """
        handoff = self.named(project, handoff_id)
        if handoff.state != "open":
            raise ConflictError(f"handoff {handoff_id} is not open any more: it is {handoff.state}")
        self.meter.count("cancelled", self._stores.clock())
        return self._stores.state.settle(handoff, "cancelled")

    def named(self, project: Project, handoff_id: UUID) -> Handoff:
        """Find a handoff of a project by its id, open or not.

        Raises:
            NotFoundError: there is none.
        """
        handoff = self._stores.state.handoff(handoff_id)
        if handoff is None or handoff.project_id != project.id:
            raise NotFoundError(f"there is no handoff {handoff_id} in {project.label}")
        return handoff
