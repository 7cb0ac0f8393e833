"""The search: what fits words, meaning and filters, with the place in it that fits best."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from markupsafe import Markup, escape

from ai_memory.capture.plain import harmless
from ai_memory.compile.session_page import session_of
from ai_memory.errors import BadRequestError
from ai_memory.memory.recall import Answer, Hit
from ai_memory.model.filters import SESSION, Filters
from ai_memory.model.moments import Moment, moment_of
from ai_memory.server.web.scope import chosen
from ai_memory.server.web.screen import Screen, Values, Visit

#: Hits of one screen, and the last screen.
_HITS, _LAST = 20, 50
_RECENT = 12
#: From the last moment of a day to the first of the day after.
_NEXT = timedelta(microseconds=1)
_LAST_DAY = date.max - timedelta(days=2)
_MARKED = re.compile(r"<mark>(.*?)</mark>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """A hit as it is shown: where it leads, what is quoted with the words marked, and when it was."""

    hit: Hit
    address: str
    snippet: Markup
    at: datetime | None


def search(visit: Visit) -> Values:
    """Search, or with nothing asked show what changed last."""
    memory, scope = visit.memory, chosen(visit)
    asked, number = visit.asked("q"), max(1, visit.whole("page", 1, _LAST))
    kind, tag = visit.asked("kind"), visit.asked("tag")
    since, until = _day(visit, "since"), _day(visit, "until")
    filters = Filters(
        kinds=(kind,) if kind else (),
        tags=(tag,) if tag else (),
        since=since.first if since else None,
        before=until.last + _NEXT if until else None,
    )
    is_asked = bool(asked) or filters != Filters()
    answer = Answer([], [])
    if is_asked:
        where = scope.projects if scope.is_narrow else ()
        answer = memory.recall.ask(asked, where, limit=number * _HITS + 1, filters=filters)
    facets = memory.browsing.facets(scope.projects)
    kinds = [name for name, _ in facets.kinds]
    said = {"q": asked, **scope.asked, "kind": kind, "tag": tag}
    said |= {name: visit.asked(name) for name in ("since", "until")}
    hits = answer.hits[(number - 1) * _HITS : number * _HITS]
    has_more = len(answer.hits) > number * _HITS and number < _LAST
    return {
        "scope": scope.one,
        "chosen": scope,
        "said": said,
        "kinds": sorted({*kinds, SESSION, *filters.kinds}),
        "tags": [name for name, _ in facets.tags],
        "is_asked": is_asked,
        "is_narrowed": filters != Filters(),
        "found": _shown(visit, hits),
        "first": (number - 1) * _HITS + 1,
        "degraded": answer.degraded,
        "before": visit.at.search(**said, page=number - 1 if number > 2 else "") if number > 1 else "",
        "more": visit.at.search(**said, page=number + 1) if has_more else "",
        "recent": [] if is_asked else memory.browsing.latest(scope.projects, _RECENT),
    }


def marked(snippet: str) -> Markup:
    """Make a snippet safe to be shown, and keep the marks around the words that fit."""
    parts = _MARKED.split(snippet)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(harmless(part)) if place % 2 else escape(harmless(part))
        for place, part in enumerate(parts)
    )


def _shown(visit: Visit, hits: Sequence[Hit]) -> list[Found]:
    changed = visit.memory.browsing.changed([(hit.project.id, hit.path) for hit in hits])
    return [
        Found(
            hit,
            _address(visit, hit),
            marked(hit.snippet),
            hit.turn.at if hit.turn else changed.get((hit.project.id, hit.path)),
        )
        for hit in hits
    ]


def _address(visit: Visit, hit: Hit) -> str:
    session = session_of(hit.path)
    if session is None:
        return visit.at.page(hit.project, hit.path)
    return visit.at.session(hit.project, session, turn=hit.turn.n if hit.turn else None)


def _day(visit: Visit, name: str) -> Moment | None:
    said = visit.asked(name)
    if not said:
        return None
    try:
        day = date.fromisoformat(said)
        # Nothing comes after the last day that there is.
        return moment_of(min(day, _LAST_DAY).isoformat(), visit.now.astimezone(UTC))
    except ValueError:
        raise BadRequestError(f"{name} is no day: write it as 2026-11-21") from None


SCREENS = (Screen("/search", "search.html", search),)
