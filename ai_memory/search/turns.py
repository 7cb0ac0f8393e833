"""What of an observation is searched: what was said, and what tools were asked and answered."""

from __future__ import annotations

from collections.abc import Sequence

from ai_memory.model.event import Kind, Observation
from ai_memory.model.session import Session
from ai_memory.search.chunks import identifiers
from ai_memory.store.turn_index import Turn

_KINDS = {
    Kind.USER_PROMPT: "prompt",
    Kind.STOP: "answer",
    Kind.POST_TOOL_USE: "tool",
    Kind.POST_COMPACTION: "summary",
}


def turns_of(session: Session, observations: Sequence[Observation]) -> list[Turn]:
    """Give the turns among a session's newest observations, which it has counted."""
    first = session.observations - len(observations)
    return [turn for n, each in enumerate(observations, start=first) if (turn := turn_of(each, n))]


def turn_of(observation: Observation, n: int) -> Turn | None:
    """Give the turn that an observation is, None when it says nothing.

    That of a tool call begins with a line that names the tool, its command and its files: a result often names none.

    Args:
        observation: scrubbed, as the raw log has it.
        n: its place in the session's raw log.
    """
    kind = _KINDS.get(observation.kind)
    tool = observation.tool
    asked = (tool.command, *tool.files) if tool else ()
    if kind is None or not any((*asked, observation.body)):
        return None
    head = " ".join(filter(None, (tool.name, *asked))) if tool else ""
    text = "\n".join(filter(None, (head, observation.body)))
    return Turn(n, kind, text, identifiers(text))
