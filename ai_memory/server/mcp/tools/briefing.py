"""Tools that say how a project stands: in numbers and lists, or in words."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ai_memory.memory.briefing import BriefingPage, Snapshot
from ai_memory.model.handoff import unfenced
from ai_memory.server.mcp.tool import Caller, InProject, Tool, fenced, scope_of
from ai_memory.server.mcp.tools.search import hit_json

#: So many pages are named that fit the focus best.
_HITS = 5
_FOCUS = 10_000


class Brief(InProject):
    """What `memory_briefing` takes."""

    recent_pages_limit: int = Field(10, ge=1, le=100, description="How many of the pages that changed last.")


class Explore(Brief):
    """What `memory_explore` takes."""

    focus: str = Field("", max_length=_FOCUS, description="What you are about to work on, in a few words.")


def brief(caller: Caller, asks: Brief) -> Mapping[str, object]:
    """Say how a project stands."""
    scope = caller.find(asks)
    return {**_snapshot(caller.memory.briefing.of(scope.project, asks.recent_pages_limit)), "scope": scope_of(scope)}


def explore(caller: Caller, asks: Explore) -> Mapping[str, object]:
    """Say the same, and what fits the focus; in words, too, where the user switched that on."""
    scope, memory = caller.find(asks), caller.memory
    snapshot = memory.briefing.of(scope.project, asks.recent_pages_limit)
    hits = memory.recall.search(asks.focus, [scope.project], limit=_HITS) if asks.focus else []
    for hit in hits:
        memory.upkeep.reads.note(hit.project.id, hit.path)
    told = memory.answers.about(scope.project, snapshot, asks.focus, hits)
    words = {"prose": fenced(told.text), "gap": memory.answers.gap(snapshot)}
    return {
        **({"prose": None, "reason": told.missing} if told.missing else words),
        "briefing": _snapshot(snapshot),
        **({"hits": [hit_json(hit) for hit in hits]} if asks.focus else {}),
        "scope": scope_of(scope),
    }


def _snapshot(snapshot: Snapshot) -> dict[str, object]:
    """Give the snapshot as the wire has it; titles are somebody's texts."""
    pages = {
        "rules": snapshot.rules,
        "slots": snapshot.slots,
        "pinned": snapshot.pinned,
        "recent_pages": snapshot.recent,
    }
    return snapshot.as_json() | {key: [_page(each) for each in listed] for key, listed in pages.items()}


def _page(page: BriefingPage) -> dict[str, object]:
    return {key: unfenced(value) if isinstance(value, str) else value for key, value in page.as_json().items()}


TOOLS = (
    Tool(
        "memory_briefing",
        "How the project stands",
        "Show how a project stands: its rules, slots and pinned pages, what changed last, activity and open handoffs. "
        "For catching up at the start of work; memory_read_page opens what it names.",
        Brief,
        brief,
        reads=True,
    ),
    Tool(
        "memory_explore",
        "Catch up",
        "Catch up with a project when you come back to it, or the user asks where things stand: the briefing, and "
        "with a focus the pages and sessions that fit it best.",
        Explore,
        explore,
        reads=True,
    ),
)
