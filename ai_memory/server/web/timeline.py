"""The timeline: what happened in all projects, or in some, day by day, the last first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from uuid import UUID

from ai_memory.compile.session_page import session_path
from ai_memory.memory.timeline import SESSION, Entry, Place
from ai_memory.server.web.scope import chosen
from ai_memory.server.web.screen import Screen, Values, Visit

#: Entries of a screen.
_SHOWN = 30
#: What markdown puts around words.
_DRESS = re.compile(
    r"\[\[(?:[^\[\]|]*\|)?([^\[\]]*)\]\]|!?\[([^\[\]]*)\]\([^()]*\)|\*\*|`|^[#>]+ ?|\n(?=\n)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Card:
    """An entry as it is shown.

    Attributes:
        entry: it.
        address: where it leads.
        changes: where one sees what changed, "" where nothing can.
        short: the first signs of its id.
        preview: what its page says in short, at the first entry of that page.
        links: how many lead from and to its page.
    """

    entry: Entry
    address: str
    changes: str
    short: str
    preview: str
    links: int


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day (of UTC)."""

    on: date
    name: str
    cards: Sequence[Card]


def timeline(visit: Visit) -> Values:
    """Show what happened: of a `workspace` and `project`, of some `kind`s, `before` a place."""
    memory, where = visit.memory, chosen(visit)
    kinds = [kind for kind in visit.query.getall("kind", []) if kind]
    said = visit.asked("before")
    entries = memory.timeline.entries(
        where.projects, kinds=kinds, before=Place.of(said) if said else None, limit=_SHOWN + 1
    )
    cards = _cards(visit, entries[:_SHOWN])
    sessions, pages = memory.browsing.count_sessions(where.projects), memory.browsing.kinds(where.projects)
    choice = {**where.asked, "kind": kinds}
    return {
        "scope": where.one,
        "chosen": where,
        "kinds": kinds,
        "days": [
            Day(on, _name(on, visit.now.date()), list(group))
            for on, group in groupby(cards, key=lambda card: card.entry.at.date())
        ],
        "counts": [(SESSION, sessions), *(each for each in pages if each[0] != SESSION)],
        "more": visit.at.timeline(**choice, before=entries[_SHOWN - 1].place.text) if entries[_SHOWN:] else "",
        "newest": visit.at.timeline(**choice) if said else "",
        "is_narrowed": bool(kinds or where.workspace or where.project),
    }


def _cards(visit: Visit, entries: Sequence[Entry]) -> list[Card]:
    places = {(each.project.id, _page_of(each)) for each in entries if not each.deleted}
    previews = visit.memory.browsing.previews(places)
    cards, told = [], set()
    for each in entries:
        # An older version said something else.
        place = each.project.id, _page_of(each)
        text, links = previews.get(place, ("", 0))
        cards.append(_card(visit, each, "" if place in told else _plain(text), links, is_there=place in previews))
        told.add(place)
    return cards


def _card(visit: Visit, entry: Entry, preview: str, links: int, *, is_there: bool) -> Card:
    if entry.session:
        address = visit.at.session(entry.project, entry.session.id)
        return Card(entry, address, "", _short(entry.session.id), preview, links)
    revision = entry.version.revision if entry.version else ""
    changes = visit.at.diff(entry.project, entry.path, new=revision)
    # Of what is gone there is to see what it was, and of its deletion what went with it.
    was = "" if is_there else revision
    address = changes if entry.deleted else visit.at.page(entry.project, entry.path, revision=was)
    return Card(entry, address, changes, revision[:8], preview, links)


def _page_of(entry: Entry) -> str:
    return session_path(entry.session.id) if entry.session else entry.path


def _plain(text: str) -> str:
    return _DRESS.sub(lambda dress: dress[1] or dress[2] or "", text)


def _short(session_id: UUID) -> str:
    return str(session_id)[:8]


def _name(on: date, today: date) -> str:
    """Name a day: "Today", "Yesterday", "Friday, 20 November 2026"."""
    if on == today:
        return "Today"
    if on == today - timedelta(days=1):
        return "Yesterday"
    return f"{on:%A}, {on.day} {on:%B %Y}"


SCREENS = (Screen("/timeline", "timeline.html", timeline),)
