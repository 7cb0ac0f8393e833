"""The routes of `/api/v1`, its errors, and who may ask it from another origin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from aiohttp import web

from ai_memory.errors import NotFoundError
from ai_memory.server import wire
from ai_memory.server.api import events, pages, projects, search, sessions
from ai_memory.server.api.document import document
from ai_memory.server.api.me import me
from ai_memory.server.api.parameters import text
from ai_memory.server.api.route import NOT_KEPT, Ask, Route
from ai_memory.server.keys import BASE, ORIGINS

_ROOT = "/api/v1"
#: Whatever follows, line breaks too.
_REST = "{rest:(?s:(/.*)?)}"


def _document(ask: Ask) -> object:
    return document(TABLE, ask.base)


#: All that there is below `/api/v1`.
TABLE: Sequence[Route] = (
    *projects.ROUTES,
    *pages.ROUTES,
    *search.ROUTES,
    *sessions.ROUTES,
    Route(
        "/events",
        "events",
        "Server-sent events: `changed` with the workspace, the project, and what changed there (pages, sessions, "
        "handoffs, projects; all: more than is remembered). Whoever comes back with Last-Event-ID misses nothing.",
        {"type": "string"},
        parameters=(
            text("workspace", "With project: tell of this one alone."),
            text("project", "With workspace: tell of this one alone."),
        ),
        cache="no-store",
        can_be_missing=True,
        door=events.events,
        media="text/event-stream",
        more={"503": "Too many listen already."},
    ),
    Route("/openapi.json", "document", "This document.", {"type": "object"}, _document, cache="private, max-age=300"),
)


def mount(app: web.Application) -> None:
    """Add the routes to an application."""
    routes: list[web.RouteDef] = []
    for path in dict.fromkeys(route.pattern for route in TABLE):
        here = [route for route in TABLE if route.pattern == path]
        taken = [(method, each.handle) for each in here for method in _methods(each)]
        # Of itself aiohttp takes HEAD wherever it takes GET.
        routes += [
            web.RouteDef(method, _ROOT + path, handler, {"allow_head": False} if method == "GET" else {})
            for method, handler in taken
        ]
        routes.append(web.route("*", _ROOT + path, _only([method for method, _ in taken])))
    routes += [web.get("/auth/me", me), web.route("*", "/auth/me", _only(["GET", "HEAD"]))]
    routes += [web.route("*", f"/api{_REST}", _nowhere), web.route("*", f"/auth{_REST}", _nowhere)]
    app.add_routes(wire.below(app[BASE], routes))
    app[events.READERS] = readers = events.Readers()
    app.on_shutdown.append(readers.end)
    app.on_response_prepare.append(_shared)


def refused(status: int, message: str, more: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    """Answer with an error."""
    return web.json_response({"error": message}, status=status, headers={"Cache-Control": NOT_KEPT, **more})


def is_from_allowed_origin(request: web.Request, path: str) -> bool:
    """Tell whether a page of an origin that the settings name asks; the path is without the base path."""
    return path.startswith(f"{_ROOT}/") and request.headers.get("Origin", "") in request.app[ORIGINS]


def covers(path: str) -> bool:
    """Tell whether what is at a path is answered in JSON, errors too; it is without the base path."""
    return f"{path}/".startswith(("/api/", "/auth/"))


def is_open(path: str) -> bool:
    """Tell whether a path is open to everybody: who asks who he is gets an answer, and nothing else is there."""
    return f"{path}/".startswith("/auth/")


async def _shared(request: web.Request, response: web.StreamResponse) -> None:
    """Let a page of an allowed origin read an answer, and nobody who comes later to the same browser."""
    if not wire.path_of(request).startswith(f"{_ROOT}/"):
        return
    response.headers.add("Vary", "Authorization, Cookie, Origin")
    response.headers["X-Content-Type-Options"] = "nosniff"
    if is_from_allowed_origin(request, wire.path_of(request)):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Credentials"] = "true"


def _methods(route: Route) -> list[str]:
    """Name what a route takes; a stream has no head to be asked for alone."""
    return ["GET", "HEAD"] if route.method == "GET" and route.door is None else [route.method]


def _only(methods: Sequence[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Give the answer to methods that a path does not have."""
    allowed = ", ".join(methods)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS" and is_from_allowed_origin(request, wire.path_of(request)):
            return _allowed_to_ask()
        message = f"{request.path} does not take {request.method}: it takes {allowed}"
        return refused(405, message, {"Allow": allowed})

    return answer


def _allowed_to_ask() -> web.Response:
    headers = {
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-CSRF-Token",
        "Access-Control-Max-Age": "600",
    }
    return web.Response(status=204, headers=headers)


async def _nowhere(request: web.Request) -> web.StreamResponse:
    if request.method == "OPTIONS" and is_from_allowed_origin(request, wire.path_of(request)):
        return _allowed_to_ask()
    raise NotFoundError(f"there is no {request.method} {request.path} here: /api/v1/openapi.json lists what there is")
