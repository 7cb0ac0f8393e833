"""Packets as pages of the wiki: front matter to search by, the resume block to read, the packet itself as JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_memory.model.front import formatted, parts
from ai_memory.model.handoff import shortened
from ai_memory.model.packet import BadPacketError, Packet, page_form, parse, stored_form
from ai_memory.model.packet_text import line_of, resume_block

#: Where they are in a project.
FOLDER = "packets"
#: In characters.
_TITLE_LIMIT = 100
#: A packet has room for so many that front matter would be too long to be read.
_MOST_REFUSED = 100
#: An id that is the name of one file on every system.
_FILE_NAME = re.compile(r"[0-9A-Z]{10,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: A line of the resume block can be neither of the fence's lines, and a line of JSON cannot.
_BLOCK = re.compile(r"^```json\r?\n(.*?)\r?\n```[ \t]*\r?$", re.MULTILINE | re.DOTALL)
_DRAFT, _SAVED = "draft", "saved"


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """What the page of a packet holds.

    Attributes:
        packet: the packet.
        text: its stored form.
        owner: the user it belongs to.
        team: the id of the team that it is for, "" for a personal one.
        draft: whether nobody has saved it yet.
        refused: what in it may not travel, masked; () for one that may.
    """

    packet: Packet
    text: str
    owner: str
    team: str = ""
    draft: bool = False
    refused: tuple[str, ...] = ()


def page_path(packet_id: str) -> str:
    """Name the page of a packet in its project's folder.

    A ULID or a UUID names its file, any other id (a path, one that differs from another by case) the digest of it: no
    two ids share a file on any system.
    """
    name = packet_id if _FILE_NAME.fullmatch(packet_id) else f"x-{_digest(packet_id)}"
    return f"{FOLDER}/{name}.md"


def page_text(packet: Packet, owner: str, team: str = "", *, draft: bool = False, refused: Sequence[str] = ()) -> str:
    """Write the page of a packet.

    Args:
        packet: scrubbed, within its limits.
        owner: the user it belongs to.
        team: the id of the team that it is for, "" for a personal one.
        draft: nobody has saved it yet.
        refused: what in it may not travel, masked; the first hundred are kept.
    """
    front: dict[str, object] = {
        "type": "Packet",
        "kind": "packet",
        "title": shortened(line_of(packet.goal), _TITLE_LIMIT) or line_of(packet.id),
        "packet": packet.id,
        "created_at": packet.created_at,
        "owner": owner,
        "status": _DRAFT if draft else _SAVED,
    }
    more = {
        # A draft that nobody saves may go cold, as its session's page does.
        "tier": "episodic" if draft else "",
        "team": team,
        "parent": packet.parent_id,
        "tags": list(packet.tags),
        "refused": list(refused[:_MOST_REFUSED]),
    }
    front |= {key: value for key, value in more.items() if value}
    return formatted(front, f"{resume_block(packet)}\n```json\n{page_form(packet)}\n```\n")


def packet_of(text: str) -> KeptPacket | None:
    """Read the packet back from the text of a page; None for one that an edit broke.

    The JSON is what counts: of the front matter only what stands nowhere else is read.
    """
    cut = parts(text)
    return packet_in(cut.front, cut.body)


def packet_in(front: Mapping[str, object], body: str) -> KeptPacket | None:
    """Do the same for a page whose front matter was read already."""
    blocks = _BLOCK.findall(body)
    owner = front.get("owner")
    if len(blocks) != 1 or not isinstance(owner, str):
        return None
    try:
        packet = parse(blocks[0].encode())
    except (BadPacketError, UnicodeEncodeError):
        return None
    team, refused = front.get("team"), front.get("refused")
    return KeptPacket(
        packet,
        stored_form(packet),
        owner,
        team if isinstance(team, str) else "",
        draft=front.get("status") == _DRAFT,
        refused=tuple(map(str, refused)) if isinstance(refused, list) else (),
    )


def _digest(packet_id: str) -> str:
    return hashlib.sha256(packet_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
