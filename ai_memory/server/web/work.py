"""Work in a project: its sessions, and the handoffs between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ai_memory.compile.session_page import session_path
from ai_memory.errors import NotFoundError
from ai_memory.memory.packets import OWNER
from ai_memory.model.handoff import Handoff
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.server.web.screen import Screen, Values, Visit

_SESSIONS = 50
_HANDOFFS = 100
_OVER = ("accepted", "expired", "cancelled")
#: A session whose agent has said nothing for so long is not at work, whatever it was in the middle of.
_SILENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in a list: its state in a word or two, and the addresses of its view and of its page, "" for none."""

    session: Session
    state: str
    view: str
    page: str


@dataclass(frozen=True, slots=True)
class HandoffRow:
    """A handoff, and where to find the session that left it, the one that took it, and its packet; "" for none."""

    handoff: Handoff
    giver: str
    taker: str
    packet: str


def sessions(visit: Visit) -> Values:
    """List the sessions of a project, the last to speak first."""
    project, offset = visit.project, visit.whole("offset", 0, 10**9)
    found, total = visit.memory.browsing.sessions(project, limit=_SESSIONS, offset=offset, include_open=True)
    return {
        "scope": project,
        "project": project,
        "sessions": session_rows(visit, project, found),
        "total": total,
        "page": offset // _SESSIONS + 1,
        "last": -(-total // _SESSIONS),
        "before": visit.at.sessions(project, max(0, offset - _SESSIONS)) if offset else "",
        "after": visit.at.sessions(project, offset + _SESSIONS) if offset + _SESSIONS < total else "",
    }


def handoffs(visit: Visit) -> Values:
    """Show the handoffs of a project: open ones first, then what became of the others."""
    project, browsing = visit.project, visit.memory.browsing
    still = browsing.handoffs([project], states=["open"], limit=_HANDOFFS)
    over = browsing.handoffs([project], states=_OVER, limit=_HANDOFFS)
    return {
        "scope": project,
        "project": project,
        "still": handoff_rows(visit, project, still),
        "over": handoff_rows(visit, project, over),
        "most": _HANDOFFS,
    }


def session_rows(visit: Visit, project: Project, sessions: Iterable[Session]) -> list[SessionRow]:
    """Say of sessions what a list shows."""
    return [
        SessionRow(
            each,
            _state(visit, each),
            address := session_address(visit, project, each.id),
            visit.at.page(project, session_path(each.id)) if address and each.compiled else "",
        )
        for each in sessions
    ]


def handoff_rows(visit: Visit, project: Project, handoffs: Sequence[Handoff]) -> list[HandoffRow]:
    """Say of handoffs of a project what they are shown with."""
    places = visit.memory.packets.places(OWNER, [each.packet_id for each in handoffs if each.packet_id])
    return [
        HandoffRow(
            each,
            session_address(visit, project, each.from_session),
            session_address(visit, project, each.accepted_by_session),
            visit.at.packet(places[each.packet_id], each.packet_id) if each.packet_id in places else "",
        )
        for each in handoffs
    ]


def session_address(visit: Visit, project: Project, session: UUID | None) -> str:
    """Give the address of the view of a session, "" where the project has none or somebody deleted it."""
    try:
        return visit.at.session(project, visit.memory.sessions.named(project, str(session)).id) if session else ""
    except NotFoundError:
        return ""


def _state(visit: Visit, session: Session) -> str:
    if session.is_over:
        return "over"
    return "at work" if session.in_turn and visit.now - session.last < _SILENT else "left open"


SCREENS = (
    Screen("/w/{workspace}/{project}/sessions", "sessions.html", sessions),
    Screen("/w/{workspace}/{project}/handoffs", "handoffs.html", handoffs),
)
