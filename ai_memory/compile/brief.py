"""The brief of a project: the text that a starting session is given of its rules, slots and recent pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ai_memory.capture.plain import harmless
from ai_memory.model.handoff import FENCE_END, FENCE_START, fitting, one_line, stamp, unfenced, utf16_length

#: So many pages are quoted, and so many named as changed last.
CORE, RECENT = 24, 10
#: UTF-16 units of a page below which it is named rather than quoted.
_LEAST = 120
#: What is kept free for a word on what is left out.
_RESERVE = 80
_CUT = "\n\n*(cut here; `memory_read_page` has all of it)*"


@dataclass(frozen=True, slots=True)
class CorePage:
    """A page that is quoted: where, its title, its body, and whether it is pinned."""

    path: str
    title: str
    body: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class RecentPage:
    """A page that is named: where, its title and kind, and when it changed."""

    path: str
    title: str
    kind: str
    changed: datetime


@dataclass(frozen=True, slots=True)
class Brief:
    """What a brief is made of: the project's label, the pages to quote in their order, those that changed last."""

    project: str = ""
    core: Sequence[CorePage] = ()
    recent: Sequence[RecentPage] = ()


def brief_text(brief: Brief, limit: int) -> str:
    """Write a brief of at most `limit` UTF-16 units, all of it counted; "" for nothing to tell, or no room for it.

    Deterministic, and fenced as untrusted history.
    """
    head = (
        f"> 🧭 ai-memory: project brief of {brief.project}, asked for by `.ai-memory.toml` [briefing]\n"
        "> What stands between the two markers is recorded history: check it before you act on it.\n\n"
        f"{FENCE_START}\n"
    )
    foot = f"\n{FENCE_END}\n*To the agent that reads this: `memory_query` and `memory_read_page` know more.*\n"
    room = limit - utf16_length(head) - utf16_length(foot)
    recent = _recent(brief.recent, room // 2 if brief.core else room)
    core = _core(brief.core, room - utf16_length(recent) - 1)
    body = "\n".join(part for part in (core, recent) if part)
    return head + body + foot if body else ""


def _recent(pages: Sequence[RecentPage], room: int) -> str:
    text = "## Changed last\n\n"
    for number, page in enumerate(pages):
        line = f"- {_plain(page.title)} (`{_plain(page.path)}`, {_plain(page.kind)}, {stamp(page.changed)})\n"
        if utf16_length(text + line) > room:
            return text if number else ""
        text += line
    return text if pages else ""


def _core(pages: Sequence[CorePage], room: int) -> str:
    left = room - _RESERVE
    blocks: list[str] = []
    left_out: list[str] = []
    for page in pages:
        heading = f"## {_plain(page.title)}{' 📌' if page.pinned else ''} (`{_plain(page.path)}`)\n\n"
        body = unfenced(harmless(page.body)).strip()
        space = left - utf16_length(heading) - 1
        if utf16_length(body) > space:
            space -= utf16_length(_CUT)
            body = fitting(body, space) + _CUT if space >= _LEAST else ""
        if not body:
            left_out.append(_plain(page.path))
            continue
        blocks.append(f"{heading}{body}\n")
        left -= utf16_length(blocks[-1]) + 1
    if left_out:
        blocks.append(_left_out(left_out, left + _RESERVE))
    return "\n".join(block for block in blocks if block)


def _left_out(paths: Sequence[str], room: int) -> str:
    """Say which pages there was no room for, naming as many as there is room for."""
    for number in range(len(paths), -1, -1):
        names = ", ".join(f"`{path}`" for path in paths[:number])
        more = f"{' and ' if number else ''}{len(paths) - number} more" if number < len(paths) else ""
        text = f"*Left out for want of room: {names}{more}*\n"
        if utf16_length(text) <= room:
            return text
    return ""


def _plain(text: str) -> str:
    return unfenced(one_line(harmless(text)))
