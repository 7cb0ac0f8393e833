"""`/v1/packets`: packets come in and go out, each by its id; a push is answered when it is on disk."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from ai_memory.errors import ConflictError
from ai_memory.memory.drafts import refused_in
from ai_memory.memory.packets import Push
from ai_memory.model.packet import PACKET_LIMIT, VERSIONS
from ai_memory.server import wire
from ai_memory.server.keys import MEMORY, PACKETS
from ai_memory.server.users import USER

#: Bytes that are read of a body: enough to see that it is too large.
_READ = PACKET_LIMIT + 1024
_LISTED, _MOST_LISTED = 50, 500


async def healthz(_: web.Request) -> web.Response:
    """GET /v1/healthz: that packets are taken here, and the newest version of them."""
    return wire.answer({"ok": True, "version": VERSIONS[-1]})


async def push(request: web.Request) -> web.Response:
    """POST /v1/packets[?team=NAME]: store a packet for its pusher, or for a team."""
    body = await wire.read(request, _READ)
    pushed = await request.app[PACKETS].submit(Push(request[USER], body, request.query.get("team", "")))
    return wire.answer({"id": pushed.id}, 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/packets[?limit=N][&team=NAME]: the newest packets of the caller, or of a team."""
    memory, query = request.app[MEMORY], request.query
    rows = await asyncio.to_thread(
        memory.packets.list, request[USER], team=query.get("team", ""), limit=_limit(query.get("limit", ""))
    )
    return wire.answer({"packets": [{"id": row.id, "created_at": row.created_at, "goal": row.goal} for row in rows]})


async def one(request: web.Request) -> web.Response:
    """GET /v1/packets/ID: the packet as it is stored."""
    kept = await asyncio.to_thread(request.app[MEMORY].packets.get, request[USER], request.match_info["id"])
    # What somebody pushed they have looked at; a draft may have been edited since it was.
    if kept.draft and (refused := refused_in(kept.packet)):
        raise ConflictError(
            f"packet {kept.packet.id} is a draft that stays here, as it holds what may not travel: "
            f"{'; '.join(refused)}. Edit {kept.path} of {kept.project}"
        )
    return web.Response(body=kept.text.encode(), headers={"Content-Type": "application/json"})


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/packets/ID: delete a packet; pushed again it is back."""
    await asyncio.to_thread(request.app[MEMORY].packets.delete, request[USER], request.match_info["id"])
    return web.Response(status=204)


def _limit(value: str) -> int:
    """Read how many rows are wanted; what cannot be meant is the default, as everywhere on this wire."""
    wanted = int(value) if re.fullmatch(r"[+-]?[0-9]{1,18}", value) else 0
    return wanted if 1 <= wanted <= _MOST_LISTED else _LISTED


ROUTES = [
    web.get("/v1/healthz", healthz),
    web.post("/v1/packets", push),
    web.get("/v1/packets", listing),
    web.get("/v1/packets/{id}", one),
    web.delete("/v1/packets/{id}", delete),
]
