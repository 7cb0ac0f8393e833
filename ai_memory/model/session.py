"""Sessions: what is known of one run of an agent in one project, folded from its observations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ai_memory.model.event import WORK, Kind, Observation
from ai_memory.model.title import usable_title

#: The note of a start and an end that no hook has seen: an old transcript tells of them.
BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Session:
    """One run of an agent, in one project.

    A session that moves to another repository is one session in each project. Everything here follows
    from the raw log; `compiled` and `committed` are the marks of the stages downstream of it.

    Attributes:
        project_id: the project whose raw log holds it.
        id: the session's UUID.
        native: the agent's own id of it, as sent.
        agent: the agent's wire name.
        cwd: the directory of its first event that named one.
        started: time of the first observation.
        last: time of the newest observation.
        observations: how many observations it has.
        prompts: how many of them are the user's prompts.
        tools: how many of them are completed tool calls.
        in_turn: the agent was asked something and has not come to the end of the turn.
        ended: the number of observations when the agent last said that it was over, 0 if it never did.
        title: the first prompt that can serve as a title, or "".
        opening: how it was opened ("startup", "resume", "compact", …) while nothing has followed that, else "".
        compiled: how many observations its page and its handoff cover.
        committed: how many observations its page in git covers.
    """

    project_id: UUID
    id: UUID
    native: str
    agent: str
    cwd: str
    started: datetime
    last: datetime
    observations: int = 0
    prompts: int = 0
    tools: int = 0
    in_turn: bool = False
    ended: int = 0
    title: str = ""
    opening: str = ""
    compiled: int = 0
    committed: int = 0

    @property
    def counts(self) -> bool:
        """Whether it did anything: the one predicate for pages, handoffs and jobs."""
        return self.prompts + self.tools > 0

    @property
    def is_at_work(self) -> bool:
        """Whether it has done something and was not just opened again (a compaction opens nothing)."""
        return self.counts and self.opening in ("", "compact")

    @property
    def is_over(self) -> bool:
        """Whether the agent said that it was over and has not spoken since."""
        return self.ended > 0 and self.ended == self.observations


def was_brought_in(observations: Iterable[Observation]) -> bool:
    """Tell whether a backfill brought a session in, and nobody has opened it since."""
    notes = [each.note for each in observations if each.kind is Kind.SESSION_START]
    return notes[-1:] == [BACKFILL]


def begun(observation: Observation, *, project_id: UUID, session_id: UUID, native: str) -> Session:
    """Make the session that a first observation opens (still without counting it)."""
    return Session(
        project_id=project_id,
        id=session_id,
        native=native,
        agent=observation.agent,
        cwd=observation.cwd,
        started=observation.at,
        last=observation.at,
    )


def advanced(session: Session, observation: Observation) -> Session:
    """Give the session after one more observation."""
    kind = observation.kind
    # Deliveries overtake each other: work from before the end of a turn does not begin another.
    late = observation.at < session.last
    in_turn = session.in_turn
    if kind in WORK and not late:
        in_turn = True
    elif kind in (Kind.STOP, Kind.SESSION_END):
        in_turn = False
    title = session.title
    if not title and kind is Kind.USER_PROMPT and usable_title(observation.title):
        title = observation.title
    count = session.observations + 1
    return replace(
        session,
        cwd=session.cwd or observation.cwd,
        started=min(session.started, observation.at),
        last=max(session.last, observation.at),
        observations=count,
        prompts=session.prompts + (kind is Kind.USER_PROMPT),
        tools=session.tools + (kind is Kind.POST_TOOL_USE),
        in_turn=in_turn,
        ended=count if kind is Kind.SESSION_END or (late and session.is_over) else session.ended,
        title=title,
        opening=(observation.note or "startup") if kind is Kind.SESSION_START else "",
    )
