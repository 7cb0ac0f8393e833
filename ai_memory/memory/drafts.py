"""Drafts of packets: what a session would leave for other tools, as a page that its user may save, edit or delete.

The page is under the seal of automatic writers until somebody saves or edits it: from then on it is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ai_memory.capture.packet import scrubbed
from ai_memory.compile.account import Account, account_of
from ai_memory.compile.packet import DRAFTS, draft_id, drafted, gone_on, has_substance
from ai_memory.compile.session_page import session_path
from ai_memory.errors import BadRequestError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Observation
from ai_memory.model.packet import Packet, parse, scan
from ai_memory.model.packet_page import packet_of, page_path, page_text
from ai_memory.model.page import PageChange, front_matter, is_sealed
from ai_memory.model.scope import Project
from ai_memory.model.session import Session

TOO_LITTLE = (
    "has too little for a packet: it takes a request, and after it a changed file, a command that failed, a decision "
    "or three calls of tools"
)
#: Front matter of a draft that a model made clearer: how many observations of its session went into it.
POLISHED = "polished"
DELETED = "has no packet any more: it was deleted, and is not drafted again"


@dataclass(frozen=True, slots=True)
class Draft:
    """The packet that a session has.

    Attributes:
        packet: it.
        path: of its page in the session's project.
        refused: what in it may not travel, masked; a packet with any of that stays here.
        change: its page anew; None where somebody has saved or edited it.
    """

    packet: Packet
    path: str
    refused: tuple[str, ...]
    change: PageChange | None


class Drafts:
    """Drafts of all sessions."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def of(
        self, project: Project, session: Session, observations: Sequence[Observation], account: Account
    ) -> Draft | str:
        """Give the packet of a session as it is now; writes nothing.

        One that somebody has saved is followed by another only when the session has gone on to something since.

        Args:
            project, session: which.
            observations: all of the session.
            account: what they amount to.

        Returns:
            the packet, or in words why there is none.
        """
        if self._stores.wiki.is_gone(project.id, session_path(session.id)):
            return "was deleted, and nothing is drafted of it"
        parent = ""
        for number in range(DRAFTS):
            packet_id = draft_id(session.id, session.started, number)
            path = page_path(packet_id)
            taken = self._taken(project, packet_id, path)
            if taken is None and self._is_gone(project, path):
                return DELETED
            if taken is None and (polished := self._polished(project, session, path)):
                return polished
            if taken is None:
                packet = drafted(session, observations, account, project, packet_id=packet_id, parent_id=parent)
                return self._draft(packet, path) if packet else TOO_LITTLE
            if isinstance(taken, str):
                return taken
            if not has_substance(account_of(gone_on(taken, observations), session.cwd)):
                return Draft(taken, path, refused_in(taken), None)
            parent = packet_id
        return f"was saved {DRAFTS} times: what it does from here on is for another session"

    def _is_gone(self, project: Project, path: str) -> bool:
        """Tell whether the owner deleted a packet, here or where it was saved; with its session it only moves."""
        if self._stores.wiki.is_gone(project.id, path):
            return True
        stones = (self._stores.wiki.gone.get(home, {}).get(path) for home in self._homes())
        return any(stone and stone.verb != "move-session" for stone in stones)

    def _homes(self) -> set[UUID]:
        """List the projects in which the owner may have packets: what others call alike is nobody's draft."""
        teams = {f"team:{team.id}" for team in self._stores.state.teams.of(OWNER)}
        return {project_id for project_id, whose in self._projects.users().items() if not whose or whose in teams}

    def newest_page(self, project: Project, session: Session) -> str:
        """Give the path of the newest packet page that a session has in its project, "" for none."""
        newest = ""
        for number in range(DRAFTS):
            path = page_path(draft_id(session.id, session.started, number))
            if not self._stores.wiki.has(project, path):
                break
            newest = path
        return newest

    def _polished(self, project: Project, session: Session, path: str) -> Draft | None:
        """Give the draft that a model made clearer, while its session has not gone on."""
        text = self._stores.wiki.read(project, path)
        if not text or not is_sealed(text) or front_matter(text).get(POLISHED) != session.observations:
            return None
        kept = packet_of(text)
        return Draft(kept.packet, path, refused_in(kept.packet), PageChange(path, text)) if kept else None

    def _draft(self, packet: Packet, path: str) -> Draft | str:
        try:
            packet, _ = scrubbed(packet, self._stores.scrubber.scrub)
        except BadRequestError as error:
            return f"has no packet: {error}"
        refused = refused_in(packet)
        return Draft(packet, path, refused, PageChange(path, page_text(packet, OWNER, draft=True, refused=refused)))

    def _taken(self, project: Project, packet_id: str, path: str) -> Packet | str | None:
        """Find the packet that somebody has saved or edited; None where there is none, or only our own draft of it.

        It may wait in the inbox, and it may have gone from this project to a team.
        """
        waiting = self._stores.state.inbox.called([packet_id]).get(packet_id)
        if waiting and waiting.owner == OWNER:
            return parse(waiting.body.encode())
        homes = self._homes()
        rows = [row for row in self._stores.packets.called([packet_id]) if row.owner == OWNER]
        places = [project, *(self._projects.known(row.project_id) for row in rows if row.project_id in homes)]
        for text in (self._stores.wiki.read(place, path) for place in places if place):
            if text and not is_sealed(text):
                kept = packet_of(text)
                return kept.packet if kept else f"has a packet that an edit broke: restore {path}, or delete it"
        return None


def refused_in(packet: Packet) -> tuple[str, ...]:
    """Say what in a packet may not travel, masked."""
    return tuple(map(str, scan(packet)))
