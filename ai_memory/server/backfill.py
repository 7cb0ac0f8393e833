"""`POST /admin/backfill`: which sessions of agents are here already; they themselves come by `/hook/batch`."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.backfilling import Standing, standing
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY

#: A request asks about so many.
_SESSIONS = 1_000


async def backfill(request: web.Request) -> web.Response:
    """POST /admin/backfill: say of sessions (id, keys of the first and last event) "new", "begun" or "known"."""
    stores, body = request.app[MEMORY].stores, await asked.json_body(request)
    sessions = body.get("sessions")
    if not isinstance(sessions, list) or not all(isinstance(each, dict) for each in sessions):
        raise BadRequestError("sessions must be a list of objects: id, first and last")
    if len(sessions) > _SESSIONS:
        raise BadRequestError(f"ask about at most {_SESSIONS:,} sessions at once")
    named = [[asked.needed(each, key) for key in ("id", "first", "last")] for each in sessions]

    def look() -> list[Standing]:
        return [standing(stores, *each) for each in named]

    return web.json_response({"states": await asyncio.to_thread(look)})


ROUTES = [web.post("/admin/backfill", backfill)]
