"""A session's observations as text for a model: everything in its order, shortened where it has to be, in parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import one_line, stamp

#: Characters of an observation's text; the smaller ones hold for tool output alone, in sessions of very many parts.
CAPS = (3_000, 1_000, 300, 0)
#: Above so many parts, tool output is shortened further.
_PARTS = 8
_COMMAND = 600
_FILES = 20
_SPOKEN = frozenset({Kind.USER_PROMPT, Kind.STOP})


def projected(observations: Sequence[Observation], room: int, caps: Sequence[int] = CAPS) -> list[str]:
    """Write a session for a model, in parts of at most `room` estimated tokens each.

    No observation is left out. What was said and what failed keeps the first of the caps; other output gets less where
    the session would else take more than eight parts, and each cut says how much it took.

    Args:
        observations: in stored order.
        room: at least 1,000 tokens.
        caps: characters of an observation, the most first.
    """
    parts: list[str] = []
    longest = max((len(each.body) for each in observations), default=0)
    for cap in (caps[0], *(cap for cap in caps[1:] if cap < longest)):
        rows = [_fitting(each, caps[0] if matters(each) else cap, room) for each in observations]
        parts = _packed(rows, room)
        if len(parts) <= _PARTS:
            break
    return parts


def shortened_within(text: str, cap: int) -> str:
    """Cut a text to about `cap` characters, out of its middle, and say how many are missing there."""
    if len(text) <= cap:
        return text
    tail = cap // 3
    head = text[: cap - tail].rstrip()
    end = text[len(text) - tail :].lstrip() if tail else ""
    return f"{head}\n[... {len(text) - cap:,} characters left out ...]\n{end}".strip()


def users_words(observations: Iterable[Observation]) -> list[str]:
    """Give what the user said: nothing else may become a rule."""
    return [each.body for each in observations if each.kind is Kind.USER_PROMPT]


def matters(observation: Observation) -> bool:
    """Tell whether an observation is something that was said, or that failed."""
    return observation.kind in _SPOKEN or (observation.tool is not None and observation.tool.outcome == "error")


def _fitting(observation: Observation, cap: int, room: int) -> tuple[str, int]:
    """Write one observation, and say how many tokens it may be; at most `room`."""
    row = _row(observation, cap)
    size = estimated_tokens(row)
    while size > room and cap:
        cap //= 2
        row = _row(observation, cap)
        size = estimated_tokens(row)
    return row, size


def _row(observation: Observation, cap: int) -> str:
    tool = observation.tool
    lines = [
        f"--- {stamp(observation.at)} {observation.kind}{f' {one_line(tool.name)} {tool.outcome}' if tool else ''}"
    ]
    if tool and tool.command:
        lines.append(f"$ {shortened_within(tool.command, min(_COMMAND, max(cap, 120)))}")
    if tool and tool.files:
        more = f" and {len(tool.files) - _FILES} more" if len(tool.files) > _FILES else ""
        lines.append(f"{'wrote' if tool.writes else 'read'} {', '.join(map(one_line, tool.files[:_FILES]))}{more}")
    body = observation.body.strip()
    text = shortened_within(body, cap) if body and cap else one_line(observation.title)
    if body and not cap and len(body) > len(text):
        text += f"\n[... {len(body):,} characters left out ...]"
    if text:
        lines.append(text)
    # Only a row begins at the margin: what a tool printed cannot pass for what the user said.
    return lines[0] + "".join(f"\n{line}" for line in "\n".join(lines[1:]).splitlines()).replace("\n", "\n ") + "\n"


def _packed(rows: Sequence[tuple[str, int]], room: int) -> list[str]:
    parts: list[list[str]] = [[]]
    used = 0
    for row, size in rows:
        if used + size > room and parts[-1]:
            parts.append([])
            used = 0
        parts[-1].append(row)
        used += size
    return ["".join(part) for part in parts]
