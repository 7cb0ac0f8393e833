"""What was recorded of a session, piece by piece, as both doors tell it: `/api/v1` and the MCP tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid5

from ai_memory.errors import BadRequestError
from ai_memory.memory.memory import Memory
from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import stamp
from ai_memory.model.scope import Project
from ai_memory.model.session import Session


@dataclass(frozen=True, slots=True)
class Choice:
    """Which observations of a session are asked for.

    Attributes:
        limit, offset: so many from there on, of those that the rest leaves.
        order: "asc" or "desc", the oldest or the newest first.
        kinds: only these; none means all.
        words: only those that say this, in whatever case; "" is all.
        room: longer bodies are cut to so many characters.
    """

    limit: int
    offset: int
    order: str
    kinds: Sequence[str]
    words: str
    room: int

    def __post_init__(self) -> None:
        """Refuse kinds that there are not.

        Raises:
            BadRequestError: it names such a kind.
        """
        if unknown := [kind for kind in self.kinds if kind not in list(Kind)]:
            known = ", ".join(Kind)
            raise BadRequestError(f"there is no kind {unknown[0]!r} of observations: say some of {known}")


def observed(memory: Memory, project: Project, session: Session, choice: Choice) -> dict[str, object]:
    """Give the chosen observations of a session of a project, and how many fit the choice in all.

    Raises:
        NotFoundError: what was recorded is not there any more.
    """
    wanted, words = frozenset(choice.kinds), choice.words.casefold()
    numbered = [
        (number, each)
        for number, each in enumerate(memory.sessions.observations(project, session))
        if (not wanted or each.kind in wanted) and words in f"{each.title}\n{each.body}".casefold()
    ]
    if choice.order == "desc":
        numbered.reverse()
    return {
        "session": about(session),
        "observations": [
            _observation(project, session, number, each, choice.room)
            for number, each in numbered[choice.offset : choice.offset + choice.limit]
        ],
        "total": len(numbered),
        "offset": choice.offset,
        "limit": choice.limit,
        "order": choice.order,
        "elided_other_scope": memory.sessions.count_elsewhere(session),
        "body_max_chars": choice.room,
    }


def about(session: Session) -> dict[str, object]:
    """Give a session as the wire has it."""
    return {
        "session_id": str(session.id),
        "cwd": session.cwd or None,
        "agent_kind": session.agent,
        "started_at": stamp(session.started),
        "ended_at": stamp(session.last) if session.is_over else None,
        "observation_count": session.observations,
        "actor_user": None,
    }


def _observation(project: Project, session: Session, number: int, said: Observation, room: int) -> dict[str, object]:
    over = len(said.body) - room
    return {
        # It has no id but its place in the log.
        "id": str(uuid5(project.id, f"{session.id}/{number}")),
        "session_id": str(session.id),
        "kind": said.kind,
        "title": said.title,
        "body": f"{said.body[:room]}\n[body truncated; {over} chars omitted]" if over > 0 else said.body,
        "importance": said.importance,
        "created_at": stamp(said.at),
        "extension": None,
        "source_event": said.source_event or None,
    }
