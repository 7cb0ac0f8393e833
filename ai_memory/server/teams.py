"""`/v1/teams` and `/v1/invites`: who shares packets with whom. Who is no member hears that there is no such team."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.teams import Team
from ai_memory.model.handoff import stamp
from ai_memory.server import wire
from ai_memory.server.keys import MEMORY
from ai_memory.server.users import USER

#: Bytes that are read of the body that names a team, and of the one of somebody who joins.
_TEAM_BODY, _DISPLAY_BODY = 4096, 1024


async def create(request: web.Request) -> web.Response:
    """POST /v1/teams: make a team; its maker is its owner."""
    name = await _name(request)
    team = await asyncio.to_thread(request.app[MEMORY].teams.create, request[USER], name)
    return wire.answer({"team": _row(team)}, 201)


async def listing(request: web.Request) -> web.Response:
    """GET /v1/teams: the caller's teams, oldest first."""
    teams = await asyncio.to_thread(request.app[MEMORY].teams.of, request[USER])
    return wire.answer({"teams": [_row(team) | {"created_at": stamp(team.created_at)} for team in teams]})


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/teams/NAME: the team and its packets go; its owner may."""
    await asyncio.to_thread(request.app[MEMORY].teams.delete, request[USER], request.match_info["name"])
    return web.Response(status=204)


async def members(request: web.Request) -> web.Response:
    """GET /v1/teams/NAME/members: who is in it, by the time they joined."""
    rows = await asyncio.to_thread(request.app[MEMORY].teams.members, request[USER], request.match_info["name"])
    return wire.answer(
        {
            "members": [
                {"user_id": row.user, "display": row.display, "role": row.role, "joined_at": stamp(row.joined_at)}
                | ({"email": row.email} if row.email else {})
                for row in rows
            ]
        }
    )


async def remove(request: web.Request) -> web.Response:
    """DELETE /v1/teams/NAME/members/USER: take somebody out; its owner may."""
    named = request.match_info
    await asyncio.to_thread(request.app[MEMORY].teams.remove, request[USER], named["name"], named["user"])
    return web.Response(status=204)


async def leave(request: web.Request) -> web.Response:
    """POST /v1/teams/NAME/leave: go out of a team; its owner cannot."""
    await asyncio.to_thread(request.app[MEMORY].teams.leave, request[USER], request.match_info["name"])
    return web.Response(status=204)


async def invite(request: web.Request) -> web.Response:
    """POST /v1/teams/NAME/invites: make an invite for one person; any member may."""
    made = await asyncio.to_thread(request.app[MEMORY].teams.invite, request[USER], request.match_info["name"])
    url = f"{wire.own_address(request)}/v1/invites/{made.code}"
    return wire.answer({"code": made.code, "url": url, "expires_at": stamp(made.expires_at)}, 201, stored=False)


async def accept(request: web.Request) -> web.Response:
    """POST /v1/invites/CODE/accept: join; who has no token becomes a user, and gets one."""
    display = _display(await wire.read(request, _DISPLAY_BODY))
    teams, code = request.app[MEMORY].teams, request.match_info["code"]
    joined = await asyncio.to_thread(teams.accept, code, request.get(USER), display)
    user = {"id": joined.user_id, "display": joined.display}
    team = {"id": joined.team.id, "name": joined.team.name}
    token = {"token": joined.token} if joined.token else {}
    return wire.answer({"user": user, "team": team, **token}, 201, stored=False)


async def _name(request: web.Request) -> str:
    """Read the name of a new team; what a name may be is not judged here."""
    try:
        body = json.loads(await wire.read(request, _TEAM_BODY))
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"invalid body: {error}") from None
    name = body.get("name", "") if isinstance(body, dict) else None
    if not isinstance(name, str):
        raise BadRequestError('invalid body: send {"name": "the team\'s name"}')
    return name.strip()


def _display(body: bytes) -> str:
    """Read how somebody wants to be called, "" for what cannot be read: nobody is kept out for that."""
    try:
        display = json.loads(body)["display"].strip()
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""
    return str(display)


def _row(team: Team) -> dict[str, str]:
    return {"id": team.id, "name": team.name, "owner_id": team.owner}


ROUTES = [
    web.post("/v1/teams", create),
    web.get("/v1/teams", listing),
    web.delete("/v1/teams/{name}", delete),
    web.get("/v1/teams/{name}/members", members),
    web.delete("/v1/teams/{name}/members/{user}", remove),
    web.post("/v1/teams/{name}/leave", leave),
    web.post("/v1/teams/{name}/invites", invite),
    web.post("/v1/invites/{code}/accept", accept),
]
