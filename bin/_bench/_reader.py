"""The reference of `bin/bench packets`: an aiohttp server that reads what is pushed and keeps nothing of it."""

from __future__ import annotations

import json
import sys

from aiohttp import web


def app(listed: int) -> web.Application:
    """Build the reference server; its list has so many packets."""
    rows = [
        {"id": f"01JS5LTMEXAMPLEPACKET{number:05}", "created_at": "2026-11-20T10:00:00Z", "goal": "a goal " * 10}
        for number in range(listed)
    ]
    body = json.dumps({"packets": rows}, indent=2).encode()

    async def push(request: web.Request) -> web.Response:
        return web.json_response({"size": len(await request.read())}, status=201)

    async def listing(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.add_routes([web.post("/v1/packets", push), web.get("/v1/packets", listing)])
    return application


if __name__ == "__main__":
    web.run_app(app(int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
