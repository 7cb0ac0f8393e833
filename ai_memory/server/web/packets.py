"""The packets of a project: those that were saved, the drafts that sessions left, and each with where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from ai_memory.compile.session_page import session_of
from ai_memory.errors import NotFoundError
from ai_memory.memory.packets import OWNER, Listed
from ai_memory.model.packet import in_utc
from ai_memory.model.packet_text import resume_block, short_id
from ai_memory.model.scope import Project
from ai_memory.server.web.screen import Screen, Values, Visit
from ai_memory.server.web.work import handoff_rows, session_address
from ai_memory.store.packet_index import PacketRow

_PACKETS = 50


@dataclass(frozen=True, slots=True)
class PacketLink:
    """A packet in a list: what it is for, when it was made (None for a time that no clock has), and its address."""

    goal: str
    name: str
    made: datetime | None
    draft: bool
    address: str


def packets(visit: Visit) -> Values:
    """List the packets of a project, the newest first."""
    project, page = visit.project, max(1, visit.whole("page", 1, 10**6))
    found, total = visit.memory.packets.of_project(OWNER, project, _PACKETS, (page - 1) * _PACKETS)
    last = max(1, -(-total // _PACKETS))
    return {
        "scope": project,
        "project": project,
        "packets": packet_links(visit, project, found),
        "waiting": visit.memory.packets.counts()["waiting"],
        "total": total,
        "page": page,
        "last": last,
        "before": visit.at.packets(project, min(page - 1, last)) if page > 1 else "",
        "after": visit.at.packets(project, page + 1) if page < last else "",
    }


def packet(visit: Visit) -> Values:
    """Show one packet: what an agent resumes from, what it says, and what it hangs together with.

    Raises:
        NotFoundError: the project has none that whoever runs the server may read.
    """
    memory, project, packet_id = visit.memory, visit.project, visit.path["id"]
    missing = NotFoundError(f"{project.label} has no packet {packet_id}, or it is somebody else's")
    try:
        kept = memory.packets.get(OWNER, packet_id)
    except NotFoundError:
        raise missing from None
    if kept.project != project.label:
        raise missing
    handoffs = memory.handoffs.with_packet(packet_id)
    here = (project.workspace, project.name)
    sessions, page = {each.from_session for each in handoffs if each.project_id == project.id}, ""
    # What was pushed a moment ago has no page yet.
    with suppress(NotFoundError):
        links = memory.pages.read(project, kept.path).backlinks
        sessions |= {session_of(each.path) for each in links if (each.workspace, each.project) == here}
        page = visit.at.page(project, kept.path)
    addresses = (session_address(visit, project, session) for session in sorted(filter(None, sessions)))
    return {
        "scope": project,
        "project": project,
        "kept": kept,
        "packet": kept.packet,
        "made": _made(kept.packet.created_at),
        "name": short_id(packet_id),
        "block": resume_block(kept.packet),
        "page": page,
        "sessions": [address for address in addresses if address],
        "handoffs": [
            (home, each)
            for home in dict.fromkeys(memory.projects.now(each.project_id) for each in handoffs)
            if home
            for each in handoff_rows(visit, home, [each for each in handoffs if each.project_id == home.id])
        ],
        "parents": _placed(visit, memory.packets.chain(OWNER, packet_id)),
        "children": _placed(visit, memory.packets.following(OWNER, packet_id)),
    }


def packet_links(visit: Visit, project: Project, rows: Sequence[PacketRow]) -> list[PacketLink]:
    """Say of packets of a project what a list shows."""
    return [
        PacketLink(row.goal, short_id(row.id), _made(row.created_at), row.draft, visit.at.packet(project, row.id))
        for row in rows
    ]


def _placed(visit: Visit, packets: Sequence[Listed]) -> list[PacketLink]:
    places = visit.memory.packets.places(OWNER, [each.id for each in packets])
    return [
        PacketLink(each.goal, short_id(each.id), _made(each.created_at), False, visit.at.packet(home, each.id))
        for each in packets
        if (home := places.get(each.id))
    ]


def _made(created_at: str) -> datetime | None:
    """Read the time of a packet; a leap second is one that it may have and no clock here has."""
    try:
        return datetime.fromisoformat(f"{in_utc(created_at)[:19]}Z")
    except ValueError:
        return None


SCREENS = (
    Screen("/w/{workspace}/{project}/packets", "packets.html", packets),
    Screen("/w/{workspace}/{project}/packet/{id}", "packet.html", packet),
)
