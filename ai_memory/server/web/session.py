"""A session as a conversation: what was asked and answered, and what was done in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ai_memory.client.agents import agent_named
from ai_memory.compile.session_page import session_path, title_of
from ai_memory.errors import NotFoundError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.memory import Memory
from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import Handoff
from ai_memory.model.links import links_of
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.server.web.markdown import apart, rendered
from ai_memory.server.web.page import addressing
from ai_memory.server.web.screen import Screen, Values, Visit

#: Observations of a screen.
_SHOWN = 100
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
    page = memory.stores.pages.named([(project.id, path)])
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
        "path": path if page else "",
        "packet": _packet(memory, project, session),
        "left": memory.stores.state.left_by(session.id, project.id)[:5],
        "taken": [_with_source(memory, each) for each in memory.stores.state.taken_by(session.id, project.id)[:5]],
        "elsewhere": memory.sessions.elsewhere(session),
        "state": "over" if session.is_over else "at work" if session.in_turn else "waiting for its user",
    }


def _with_source(memory: Memory, handoff: Handoff) -> tuple[Handoff, Project | None]:
    """Give a handoff, and the project of the session that left it where that can be shown."""
    home = memory.projects.known(handoff.project_id)
    is_there = home and handoff.from_session and memory.stores.index.session(home.id, handoff.from_session)
    return handoff, home if is_there else None


def _packet(memory: Memory, project: Project, session: Session) -> str:
    """Give the id of the newest packet of a session that who runs the server may read, "" for none."""
    path = memory.sessions.packet_page(project, session)
    packet_id = memory.stores.packets.at([path]).get((project.id, path), "") if path else ""
    try:
        return memory.packets.get(OWNER, packet_id).packet.id if packet_id else ""
    except NotFoundError:
        return ""


def _told(visit: Visit, observations: Sequence[Observation], first: int, path: str) -> list[Said]:
    answers = [each.body for each in observations if each.kind is Kind.STOP]
    links = {link for body in answers for link in links_of(path, body)}
    address = addressing(visit, visit.memory.pages.targets(visit.project, list(links)))
    told = []
    for number, each in enumerate(observations, first + 1):
        html = Markup()
        if each.kind is Kind.STOP and each.body:
            # Answers have headings of the same names.
            html = Markup(apart(rendered(path, "", each.body, address).html, f"o{number}"))  # noqa: S704 - it was cleaned
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
