"""Events and observations: what an agent sent, and what is kept of it.

An *event* is one hook call as the agent sent it. An *observation* is the event after mapping and
scrubbing, as the raw log stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

#: Text that has passed the scrubber. Only `ai_memory.capture.scrub` makes values of this type, and the
#: stores accept no other.
Scrubbed = NewType("Scrubbed", str)


class Kind(StrEnum):
    """What an observation is (the wire's stored kinds)."""

    SESSION_START = "session-start"
    USER_PROMPT = "user-prompt"
    PRE_TOOL_USE = "pre-tool-use"
    POST_TOOL_USE = "post-tool-use"
    PRE_COMPACT = "pre-compact"
    POST_COMPACTION = "post-compaction"
    NOTIFICATION = "notification"
    STOP = "stop"
    SESSION_END = "session-end"
    OTHER = "other"


#: Importance by kind, 1..10 (the wire's numbers).
IMPORTANCE: dict[Kind, int] = {
    Kind.SESSION_START: 7,
    Kind.SESSION_END: 7,
    Kind.USER_PROMPT: 8,
    Kind.PRE_TOOL_USE: 5,
    Kind.POST_TOOL_USE: 5,
    Kind.STOP: 6,
    Kind.PRE_COMPACT: 6,
    Kind.POST_COMPACTION: 6,
    Kind.NOTIFICATION: 3,
    Kind.OTHER: 3,
}

#: The kinds that show an agent at work: it was asked something, or it does something.
WORK = frozenset({Kind.USER_PROMPT, Kind.PRE_TOOL_USE, Kind.POST_TOOL_USE})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One completed tool call.

    Attributes:
        name: the tool's name as the agent spells it.
        outcome: "success", "error" or "unknown".
        command: the shell command, scrubbed and capped; "" for other tools.
        files: paths that the call wrote or read, as the agent gave them, scrubbed.
        writes: whether `files` were changed rather than looked at.
    """

    name: str
    outcome: str = "unknown"
    command: Scrubbed = Scrubbed("")
    files: tuple[Scrubbed, ...] = ()
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """One stored event.

    Attributes:
        at: when it happened, UTC.
        kind: what it is.
        agent: the agent's wire name.
        source_event: the agent's own name of the event ("Stop", "AfterAgent").
        title: one line, at most 80 characters.
        body: what was said or done, capped.
        key: the client's idempotency key, or "" when an older client sent none.
        cwd: the directory that the agent was in, or "".
        tool: the tool call of a tool event.
        note: a short machine-readable addition: the `source` of a session start, the `reason` of an end,
            "interrupt" or an error class for a turn that did not end by itself.
    """

    at: datetime
    kind: Kind
    agent: str
    source_event: str
    title: Scrubbed
    body: Scrubbed = Scrubbed("")
    key: str = ""
    cwd: str = ""
    tool: ToolCall | None = None
    note: str = ""

    @property
    def importance(self) -> int:
        """The wire's importance of this kind, 1..10."""
        return IMPORTANCE[self.kind]
