"""A page: as it is, or as it was, with what it links to and its versions; and its text as it is in its file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from aiohttp import web

from ai_memory.compile.session_page import session_of
from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Target, View
from ai_memory.memory.records import Found
from ai_memory.model.links import Link, links_of
from ai_memory.model.page import page_path
from ai_memory.model.scope import Project
from ai_memory.server import asked
from ai_memory.server.web.markdown import Heading, anchor_of, rendered
from ai_memory.server.web.screen import Screen, Values, Visit, visit_of
from ai_memory.store.page_index import Version

#: Versions that the slider goes through, and those that are listed.
_VERSIONS, _LISTED = 1_000, 50
#: Fewer headings need no table of contents, more do not fit into one.
_FEW, _MANY = 3, 100
_RAW_HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Cookie",
}


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version in a list: what it is, and the one before it, None for the first."""

    version: Version
    before: Version | None


def show(visit: Visit) -> Values:
    """Show a page as it is (`revision`, `at` and `version` are not asked for), or as it was."""
    memory, project, path = visit.memory, visit.project, page_path(visit.path["path"])
    versions = memory.pages.versions(project, path, _VERSIONS)
    revision, at = _asked(visit, versions)
    values: dict[str, object] = {"scope": project, "project": project, "path": path, "date": visit.asked("at")}
    try:
        view = memory.pages.read(project, path, revision=revision, at=at)
    except NotFoundError as error:
        if not versions:
            raise
        return {**values, "http_status": 404, "view": None, "gone": str(error), **_past(versions, None)}
    if revision or at:
        return {**values, **_content(visit, view, is_former=True), **_past(versions, view.version), "dates": None}
    memory.upkeep.reads.note(project.id, path)
    dates = memory.browsing.dates(project, path)
    return {**values, **_content(visit, view, is_former=False), **_past(versions, None), "dates": dates}


def _asked(visit: Visit, versions: Sequence[Version]) -> tuple[str, datetime | None]:
    """Read which version is asked for: a revision, a time, or a number (1 is the oldest; the last one is the page)."""
    revision, at, number = (
        visit.asked("revision"),
        asked.moment(visit.query, "at"),
        visit.whole("version", 0, _VERSIONS),
    )
    if bool(revision) + bool(at) + bool(number) > 1:
        raise BadRequestError("revision, at and version exclude each other: say one of them")
    if 0 < number < len(versions):
        return versions[-number].revision, None
    return revision, at


def _content(visit: Visit, view: View, *, is_former: bool) -> Values:
    memory, project = visit.memory, view.project
    targets = memory.pages.targets(project, links_of(view.path, view.body))
    address = addressing(visit, targets)

    def within(link: Link, fragment: str) -> str:
        # A former version links to its own headings.
        is_here = is_former and not link.project and link.path == view.path
        return f"#{quote(anchor_of(fragment))}" if is_here and fragment else address(link, fragment)

    shown = rendered(view.path, view.title, view.body, within)
    return {
        "view": view,
        "html": shown.html,
        "is_whole": shown.is_whole,
        "headings": _contents(shown.headings),
        # Two spellings may lead to one page.
        "links": {target: address(link, "") for link, target in targets.items()}.items(),
        "backlinks": [(target, _address_of(visit, target)) for target in view.backlinks],
        "front": [(key, _told(value)) for key, value in view.front.items() if key != "seal"],
        "session": _session_of(memory, project, view.path),
        "packet": memory.packets.on_page(OWNER, project, view.path),
        "connections": () if is_former else _connections(visit, view),
    }


def _connections(visit: Visit, view: View) -> list[tuple[str, Found, str]]:
    """List the records that a record is connected with: in which way, which, and their addresses."""
    record = view.front.get("record")
    try:
        found = visit.memory.records.connected(record) if isinstance(record, str) else None
    except NotFoundError:
        found = None
    # Of a copy the other one is meant.
    if found is None or (found.found.project.id, found.found.record.path) != (view.project.id, view.path):
        return []
    ways = [(f"this {relation.relationship}", other) for relation, other in found.outgoing]
    ways += [(f"{relation.relationship} this", other) for relation, other in found.incoming]
    return [(way, other, visit.at.page(other.project, other.record.path)) for way, other in ways if other]


def _past(versions: Sequence[Version], former: Version | None) -> Values:
    """Say what is shown of the versions of a page; `former` is the one that is shown, None for the page as it is."""
    # The commit of a merged branch is none of the list.
    unlisted = len(versions) if former else 0
    place = next((n for n, each in enumerate(versions) if former and each.revision == former.revision), unlisted)
    before = [*versions[1:], None]
    return {
        "former": former,
        "before": before[place] if place < len(versions) else None,
        "versions": [VersionRow(*pair) for pair in zip(versions[:_LISTED], before, strict=False)],
        "newest": versions[0] if versions else None,
        "last_content": next((each for each in versions if each.blob), None),
        "count": len(versions),
        "place": max(len(versions) - place, 1),
        "moments": json.dumps([f"{each.at:%Y-%m-%d %H:%M}" for each in reversed(versions)]),
    }


def addressing(visit: Visit, targets: Mapping[Link, Target]) -> Callable[[Link, str], str]:
    """Give the address of a link and a fragment, "" where no page is."""

    def address(link: Link, fragment: str) -> str:
        return _address_of(visit, targets[link], anchor_of(fragment) if fragment else "")

    return address


def _address_of(visit: Visit, target: Target, anchor: str = "") -> str:
    # It may have another name since.
    home = visit.memory.projects.called(target.workspace, target.project) if target.exists else None
    return visit.at.page(home, target.path, anchor=anchor) if home else ""


def _contents(headings: Sequence[Heading]) -> Sequence[Heading]:
    return headings[:_MANY] if len(headings) >= _FEW else ()


def _told(value: object) -> str:
    """Write a value of front matter for people."""
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | bool) else str(value)


def _session_of(memory: Memory, project: Project, path: str) -> object:
    session_id = session_of(path)
    return memory.sessions.known(project, str(session_id)) if session_id else None


async def raw(request: web.Request) -> web.Response:
    """GET …/raw/{path}[?revision=]: the text of a page, as it is in its file."""
    visit = visit_of(request)

    def read() -> View:
        path = page_path(visit.path["path"])
        return visit.memory.pages.read(visit.project, path, revision=visit.asked("revision"))

    view = await asyncio.to_thread(read)
    name = quote(view.path.rpartition("/")[2], safe="")
    headers = {**_RAW_HEADERS, "Content-Disposition": f"inline; filename*=UTF-8''{name}"}
    return web.Response(body=view.text.encode(), headers=headers)


SCREENS = (Screen("/w/{workspace}/{project}/p/{path:.+}", "page.html", show),)
ROUTES = (web.get("/w/{workspace}/{project}/raw/{path:.+}", raw),)
