"""Pages: all of a project, what changed last, and one of them."""

from __future__ import annotations

import base64
import binascii
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.briefing import BriefingPage
from ai_memory.memory.pages import Target
from ai_memory.model.handoff import stamp
from ai_memory.model.page import BadPagePathError, expiry, page_path
from ai_memory.model.scope import Project
from ai_memory.server.api.parameters import limit, moment, segment, text
from ai_memory.server.api.route import NOT_KEPT, OF_PROJECT, PROJECT, WORKSPACE, Ask, Kept, Route
from ai_memory.server.api.shapes import many, named
from ai_memory.server.pages import json_safe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a list of what changed goes on: behind a page, in the list of a project since a time (None: of all)."""

    project: str
    since: int | None
    changed: int
    path: str

    @property
    def text(self) -> str:
        """The cursor as it is given away."""
        value = json.dumps([self.project, self.since, self.changed, self.path]).encode()
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    @classmethod
    def of(cls, text: str, project: Project, since: datetime | None) -> _Cursor:
        """Read a cursor; `since` has to be what it was made with, or missing.

        Raises:
            BadRequestError: it is none, or of another list.
        """
        try:
            home, began, changed, path = json.loads(base64.b64decode(f"{text}===", b"-_"))
            cursor = cls(home, began, changed, path)
            is_one = type(changed) is int and (began is None or type(began) is int) and bool(path.encode())
            # What a time can be.
            _time(changed), _time(began or 0)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error):
            is_one = False
        if not is_one or cursor.project != str(project.id) or (since and cursor.since != _micros(since)):
            raise BadRequestError("cursor is none of this list: take it from the answer before, as it is")
        return cursor


def _pages(ask: Ask) -> object:
    return [_summary(each) for each in ask.memory.browsing.pages(ask.project)]


def _recent(ask: Ask) -> object:
    project, count, since = ask.project, ask.values["limit"], ask.values["updated_since"]
    said, browsing = ask.values["cursor"], ask.memory.browsing
    if since is None and not said:
        return [_summary(each) for each in browsing.recent(project, count)]
    cursor = _Cursor.of(said, project, since) if said else None
    if cursor:
        since = None if cursor.since is None else _time(cursor.since)
    after = (_time(cursor.changed), cursor.path) if cursor else None
    found = browsing.recent(project, count + 1, since=since, after=after)
    shown = found[:count]
    further = ""
    if len(found) > count:
        last = shown[-1]
        began = _micros(since) if since else None
        further = _Cursor(str(project.id), began, _micros(last.changed), last.row.path).text
    return Kept({"pages": [_summary(each) for each in shown], "next_cursor": further or None}, NOT_KEPT)


def _page(ask: Ask) -> object:
    memory, project = ask.memory, ask.project
    try:
        path = page_path(ask.values["path"])
    except BadPagePathError as error:
        raise BadRequestError(f"invalid path: {error}") from None
    try:
        view = memory.pages.read(project, path)
        created, updated = memory.browsing.dates(project, path)
    except NotFoundError:
        is_there, _, _ = memory.pages.traces(project, path)
        raise NotFoundError("page file not found" if is_there else "page not found") from None
    memory.upkeep.reads.note(project.id, path)
    version = view.version
    author = {"author": {"username": version.author, "email": version.email}} if version else {}
    return {
        "workspace": project.workspace,
        "project": project.name,
        "path": path,
        "title": view.title,
        "kind": view.kind,
        "tier": view.tier,
        "pinned": view.pinned,
        "created_at": stamp(created),
        "updated_at": stamp(updated),
        "supersedes": _superseded(view.front),
        "frontmatter": json_safe(view.front),
        "body_markdown": view.body,
        "links": _linked(project, view.links),
        "backlinks": _linked(project, view.backlinks),
        **author,
        **_ends(view.front, memory.stores.clock()),
    }


def _summary(page: BriefingPage) -> Mapping[str, object]:
    told = page.as_json()
    told.pop("summary", None)
    return told


def _linked(project: Project, targets: Sequence[Target]) -> list[Mapping[str, object]]:
    """List the pages of the project that links lead to: a client looks for them there alone."""
    here = (project.workspace, project.name)
    return [
        {"path": each.path, "title": each.title, "kind": each.kind}
        for each in targets
        if each.exists and (each.workspace, each.project) == here
    ]


def _superseded(front: Mapping[str, object]) -> str | None:
    former = front.get("supersedes")
    first = next(iter(former), None) if isinstance(former, list) else former
    return unicodedata.normalize("NFC", first) if isinstance(first, str) and first else None


def _ends(front: Mapping[str, object], now: datetime) -> Mapping[str, object]:
    """Say when a page expires, where it does."""
    try:
        ends = expiry(front.get("expires_at"))
    except ValueError:
        ends = None
    return {"expires_at": stamp(ends), "expired": ends <= now} if ends else {}


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


_PATH = segment("path", "The path of a page. Its slashes stay as they are, each segment is percent-encoded.")

ROUTES = (
    Route(
        f"{OF_PROJECT}/pages",
        "pages",
        "All pages of a project by path.",
        many(named("PageSummary")),
        _pages,
        (WORKSPACE, PROJECT),
        "private, max-age=60",
        can_be_missing=True,
    ),
    Route(
        f"{OF_PROJECT}/pages/{{path}}",
        "page",
        "A page, with the pages of its project that it links to and that link to it.",
        named("Page"),
        _page,
        (WORKSPACE, PROJECT, _PATH),
        "private, max-age=300",
        has_etag=True,
        can_be_missing=True,
    ),
    Route(
        f"{OF_PROJECT}/recent",
        "recent",
        "The pages that changed last: a list; with updated_since or cursor an object that says how to go on.",
        {"anyOf": [many(named("PageSummary")), named("PagesSince")]},
        _recent,
        (
            WORKSPACE,
            PROJECT,
            limit(),
            moment("updated_since", "Only what changed then or later."),
            text("cursor", "Go on from here: the next_cursor of the answer before."),
        ),
        "private, max-age=30",
        can_be_missing=True,
    ),
)
