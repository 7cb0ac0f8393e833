"""The routes of `/web`: all screens below the slug, or a front end of one's own; and where that is."""

from __future__ import annotations

import base64
import logging

from aiohttp import web

from ai_memory.config import Settings
from ai_memory.errors import NotFoundError
from ai_memory.server import wire
from ai_memory.server.keys import ADDRESSES, BASE, UI
from ai_memory.server.web import (
    compare,
    folders,
    graph,
    health,
    home,
    packets,
    page,
    project,
    search,
    session,
    shell,
    templates,
    timeline,
    work,
)
from ai_memory.server.web.addresses import DOOR, Addresses, mount_path
from ai_memory.server.web.screen import Screen, nowhere, problem

__all__ = ["addresses", "covers", "is_open", "mount", "problem"]

_log = logging.getLogger(__name__)

SCREENS: tuple[Screen, ...] = (
    *home.SCREENS,
    *project.SCREENS,
    *folders.SCREENS,
    *work.SCREENS,
    *packets.SCREENS,
    *health.SCREENS,
    *page.SCREENS,
    *compare.SCREENS,
    *session.SCREENS,
    *timeline.SCREENS,
    *search.SCREENS,
    *graph.SCREENS,
)
#: What is answered in other ways than as a screen.
ROUTES: tuple[web.RouteDef, ...] = (*page.ROUTES, *graph.ROUTES)
#: Where the wiki is at the root, these are not of it; and nothing is mounted below them, where other rules hold.
_OTHERS = ("/admin", "/api", "/auth", "/v1", "/oauth", "/hook", "/handoff", "/mcp", "/healthz", "/web", "/favicon.ico")
#: Browsers ask for it before anybody has signed in.
OPEN = frozenset({"/favicon.ico"})
_ICON = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def addresses(settings: Settings) -> Addresses:
    """Say where things are; what could lead elsewhere is the root, and the log says so."""
    found = {}
    for key in ("base_path", "web_slug"):
        path = mount_path(settings[key])
        problem = ""
        if path is None:
            problem = "is no path: write segments of letters, digits and -._~ such as /memory"
        elif path != DOOR and _is_of_others(path):
            problem = "is where something else is served: choose another path"
        if problem:
            _log.warning("%s %r %s; it is taken as /", key, settings[key], problem)
        found[key] = "" if problem else path or ""
    return Addresses(found["base_path"], found["web_slug"], templates.digest)


def is_open(request: web.Request, path: str) -> bool:
    """Tell whether a path is open to everybody, as a front end of one's own is; it is without the base path."""
    return path in OPEN or (bool(request.app[UI]) and request.method in ("GET", "HEAD") and covers(request, path))


def covers(request: web.Request, path: str) -> bool:
    """Tell whether a path is of a screen; it is without the base path."""
    slug = request.app[ADDRESSES].slug
    if slug:
        return f"{path}/".startswith(f"{slug}/")
    return not _is_of_others(path)


def _is_of_others(path: str) -> bool:
    return any(f"{path}/".startswith(f"{other}/") for other in _OTHERS)


def mount(app: web.Application) -> None:
    """Add the routes to an application."""
    slug, base = app[ADDRESSES].slug, app[BASE]
    routes = [*(web.get(path, _icon) for path in OPEN)]
    if app[UI]:
        routes += [web.get(slug or "/", _front_end), web.get(slug + "/{rest:.*}", _front_end)]
    else:
        routes += [web.get(slug + screen.route, screen.answer) for screen in SCREENS]
        routes += [web.RouteDef(each.method, slug + each.path, each.handler, each.kwargs) for each in ROUTES]
        routes += [web.get(slug or "/", SCREENS[0].answer)] if slug else []
        routes += [web.get(slug + "/{rest:.*}", nowhere)]
    app.add_routes(wire.below(base, routes))


async def _front_end(request: web.Request) -> web.StreamResponse:
    """GET below the slug: a front end of one's own; where that is the root, other doors are not of it."""
    if not covers(request, wire.path_of(request)):
        raise NotFoundError(f"there is no {request.method} {request.path} here")
    return await shell.answer(request)


async def _icon(_: web.Request) -> web.Response:
    """GET /favicon.ico: browsers ask for it whatever a page says."""
    return web.Response(body=_ICON, content_type="image/png", headers={"Cache-Control": "public, max-age=86400"})
