"""A screen: a route, a template, and what the template shows, asked of the memory in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from ai_memory.errors import NotFoundError
from ai_memory.memory.memory import Memory
from ai_memory.model.scope import Project
from ai_memory.server import admin, visitors, wire
from ai_memory.server.keys import ADDRESSES, MEMORY, TOKEN
from ai_memory.server.sign_in import PAGE_HEADERS
from ai_memory.server.web import templates
from ai_memory.server.web.addresses import Addresses

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Visit:
    """What a screen is asked.

    Attributes:
        memory, at: what there is, and where.
        path: the parts of the route, decoded.
        query: what stands behind the question mark.
        now: the time.
        report: gives what `/admin/status` says.
    """

    memory: Memory
    at: Addresses
    path: Mapping[str, str]
    query: MultiMapping[str]
    now: datetime
    report: Callable[[], Mapping[str, Any]]

    @property
    def project(self) -> Project:
        """The project of the route.

        Raises:
            NotFoundError: there is none.
        """
        return self.memory.projects.named(self.path["workspace"], self.path["project"])

    def asked(self, name: str) -> str:
        """Give what the query says of a name, without spaces around it, "" for nothing."""
        said: str = self.query.get(name, "")
        return said.strip()

    def whole(self, name: str, default: int, most: int) -> int:
        """Give a number of the query, from 0 to `most`; what is none counts as not said."""
        said = self.asked(name)
        return min(int(said), most) if said.isascii() and said.isdigit() and len(said) < 10 else default


@dataclass(frozen=True, slots=True)
class Screen:
    """One page of `/web`.

    Attributes:
        route: below the slug.
        template: of `web/`.
        values: gives what the template shows, and `http_status` where that is not 200; an `AiMemoryError` becomes a
            page, too.
    """

    route: str
    template: str
    values: Callable[[Visit], Values]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        visit = visit_of(request)

        def look() -> tuple[bytes, int]:
            values = {"http_status": 200, **_frame(request, visit), **self.values(visit)}
            return templates.written(self.template, values), int(str(values["http_status"]))

        return page(request, *await asyncio.to_thread(look))


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def visit_of(request: web.Request) -> Visit:
    """Read a request."""
    app, memory = request.app, request.app[MEMORY]
    report = partial(admin.report, app)
    return Visit(memory, app[ADDRESSES], dict(request.match_info), request.query, memory.stores.clock(), report)


def page(request: web.Request, body: bytes, status: int = 200) -> web.Response:
    """Answer with a page, or say that the browser has it already."""
    etag = sha256(body).hexdigest()[:32]
    # What one visitor may see is no other's, and it may change at any moment.
    headers = {**PAGE_HEADERS, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    headers["ETag"] = f'"{etag}"'
    if status == 200 and any(each.value == etag for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, status=status, headers=headers)
    response.enable_compression()
    return response


async def problem(request: web.Request, status: int, message: str) -> web.Response:
    """Answer with a page that says what is wrong."""
    visit = visit_of(request)

    def written() -> bytes:
        shown = {**_frame(request, visit), "status": status, "message": message}
        return templates.written("problem.html", shown)

    headers = {**PAGE_HEADERS, "Cache-Control": "no-store"}
    return web.Response(body=await asyncio.to_thread(written), status=status, headers=headers)


async def nowhere(request: web.Request) -> web.StreamResponse:
    """Say that there is no such page."""
    raise NotFoundError(f"there is no page at {request.path}: begin at the home page, or search")


def _frame(request: web.Request, visit: Visit) -> Values:
    """Give what every page shows."""
    return {
        "at": visit.at,
        "now": visit.now,
        "here": wire.here(request),
        "scope": None,
        "signed_in": bool(request.app[TOKEN]) and visitors.COOKIE in request.cookies,
    }
