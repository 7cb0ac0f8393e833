"""Liveness: whether a server answers here. Needs no token."""

from __future__ import annotations

from aiohttp import web


async def healthz(_: web.Request) -> web.Response:
    """Answer that the server runs."""
    return web.json_response({"status": "ok"})


ROUTES = [web.get("/healthz", healthz)]

#: Paths that need no token.
OPEN = frozenset({"/healthz"})
