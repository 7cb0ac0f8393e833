"""`GET /auth/me`: who asks, and what may they do here; a front end begins with it."""

from __future__ import annotations

from aiohttp import web

from ai_memory.server import visitors
from ai_memory.server.keys import TOKEN, TRUSTING


async def me(request: web.Request) -> web.Response:
    """Say who asks: nobody in particular where the server has no token, else who runs it, or 401."""
    headers = {"Cache-Control": "private, no-store"}
    if not request.app[TOKEN]:
        # Without a token all doors are open, but a front end shows what writes on the server's own machine only.
        return web.json_response(_told("", "anonymous", writes=request.app[TRUSTING]), headers=headers)
    if refusal := await visitors.refusal(request, "/auth/me"):
        if refusal.status == 401:
            # No dialog comes up over a front end that has its own way to ask.
            headers |= visitors.challenge(with_dialog=False)
        return web.json_response({"error": (refusal.text or "").strip()}, status=refusal.status, headers=headers)
    via = "bearer" if "Authorization" in request.headers else "session"
    return web.json_response(_told("root", via, writes=via == "bearer"), headers=headers)


def _told(name: str, via: str, *, writes: bool) -> dict[str, object]:
    return {
        "username": name or None,
        "name": None,
        "role": name or None,
        "must_change_password": False,
        "via": via,
        "capabilities": {"normal_read": True, "normal_write": writes, "admin": writes, "user_management": False},
    }
