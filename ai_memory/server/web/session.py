"""A session as a conversation: what was asked and answered, and what was done in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ai_memory.client.agents import agent_named
from ai_memory.compile.session_page import session_path, title_of
from ai_memory.errors import NotFoundError
from ai_memory.memory.accounts import OWNER
from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import Handoff
from ai_memory.model.links import links_of
from ai_memory.server.web.markdown import apart, rendered
from ai_memory.server.web.page import addressing
from ai_memory.server.web.screen import Screen, Values, Visit
from ai_memory.server.web.work import session_address

#: Observations of a screen.
_SHOWN = 100
#: Handoffs that it left or took.
_HANDOFFS = 5
_FURTHEST = 1_000_000_000
_TITLES = {
    Kind.SESSION_START: "Session opened",
    Kind.SESSION_END: "Session over",
    Kind.PRE_COMPACT: "The context is about to be compacted",
    Kind.POST_COMPACTION: "The context was compacted",
    Kind.NOTIFICATION: "Notification",
    Kind.STOP: "End of the turn",
    Kind.OTHER: "Note",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One observation as it is shown.

    Attributes:
        number: its place in the session, from 1.
        look: "prompt", "answer", "call", "asks" (for a call that is to come) or "note".
        observation: it.
        html: of an answer.
        title: of a note.
    """

    number: int
    look: str
    observation: Observation
    html: Markup
    title: str


def show(visit: Visit) -> Values:
    """Show a part of a session, from `offset` on."""
    memory, project = visit.memory, visit.project
    session = memory.sessions.named(project, visit.path["session"])
    offset = visit.whole("offset", 0, _FURTHEST)
    try:
        observations, lost = memory.sessions.observations(project, session), ""
    except NotFoundError as error:
        observations, lost = [], str(error)
    offset = min(offset, max(len(observations) - 1, 0)) // _SHOWN * _SHOWN
    agent = agent_named(session.agent)
    path = session_path(session.id)
    left, taken = memory.handoffs.of_session(session)
    packet_page = memory.sessions.packet_page(project, session)
    return {
        "scope": project,
        "project": project,
        "session": session,
        "title": title_of(session, observations),
        "agent": agent.title if agent.name == session.agent else session.agent,
        "said": _told(visit, observations[offset : offset + _SHOWN], offset, path),
        "lost": lost,
        "total": len(observations),
        "page": offset // _SHOWN + 1,
        "last_page": -(-len(observations) // _SHOWN),
        "offset": offset,
        "step": _SHOWN,
        "path": path if memory.pages.listed(project, path) else "",
        "packet": memory.packets.on_page(OWNER, project, packet_page) if packet_page else "",
        "left": left[:_HANDOFFS],
        "taken": [(each, _source(visit, each)) for each in taken[:_HANDOFFS]],
        "elsewhere": [
            (home, part, session_address(visit, home, part.id) if part.counts else "")
            for home, part in memory.sessions.elsewhere(session)
        ],
        "state": "over" if session.is_over else "at work" if session.in_turn else "waiting for its user",
    }


def _source(visit: Visit, handoff: Handoff) -> str:
    """Give the address of the session that left a handoff, "" where none can be shown."""
    home = visit.memory.projects.known(handoff.project_id)
    return session_address(visit, home, handoff.from_session) if home else ""


def _told(visit: Visit, observations: Sequence[Observation], first: int, path: str) -> list[Said]:
    answers = [each.body for each in observations if each.kind is Kind.STOP]
    links = {link for body in answers for link in links_of(path, body)}
    address = addressing(visit, visit.memory.pages.targets(visit.project, list(links)))
    told = []
    for number, each in enumerate(observations, first + 1):
        html = Markup()
        if each.kind is Kind.STOP and each.body:
            # Answers have headings of the same names.
            html = apart(rendered(path, "", each.body, address).html, f"o{number}")
        after = observations[number - first] if number - first < len(observations) else None
        if look := _look(each, after):
            told.append(Said(number, look, each, html, _TITLES.get(each.kind, "")))
    return told


def _look(each: Observation, after: Observation | None) -> str:
    """Say how an observation is shown, "" for not at all."""
    if each.kind is Kind.USER_PROMPT:
        return "prompt"
    if each.kind is Kind.STOP and each.body:
        return "answer"
    if each.kind is Kind.POST_TOOL_USE:
        return "call"
    if each.kind is Kind.PRE_TOOL_USE:
        # The call itself says the same again.
        is_done = after and after.kind is Kind.POST_TOOL_USE and after.tool and each.tool
        return "" if is_done and after and after.tool and each.tool and after.tool.name == each.tool.name else "asks"
    return "note"


SCREENS = (Screen("/w/{workspace}/{project}/s/{session}", "session.html", show),)
