"""The application: routes, keys, and the gates that every request passes (host, token, errors)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from aiohttp import web

from ai_memory.errors import AiMemoryError
from ai_memory.memory.memory import Memory
from ai_memory.server import (
    admin,
    backup,
    care,
    embed,
    handoff,
    health,
    hooks,
    moves,
    pages,
    records,
    search,
    upkeep,
    users,
)
from ai_memory.server.keys import BIND, HOSTS, MEMORY, QUEUE, TOKEN, USERS, WORKER
from ai_memory.server.mcp_later import Later
from ai_memory.server.worker import Backfill, IntakeQueue, Watcher, Worker

_log = logging.getLogger(__name__)

BODY_LIMIT = 10 * 1024 * 1024
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(memory: Memory, *, bind: str) -> web.Application:
    """Build the application around an open memory.

    Args:
        memory: what it serves; the caller closes it.
        bind: the address it will listen on, for `status`.
    """
    app = web.Application(middlewares=[_errors, _gate], client_max_size=BODY_LIMIT)
    app[MEMORY] = memory
    app[BIND] = bind
    app[TOKEN] = memory.settings["auth.bearer_token"].strip()
    app[HOSTS] = frozenset(entry.lower().strip("[]") for entry in memory.settings["allowed_hosts"])
    app[USERS] = users.Users(memory.settings.user_tokens)
    app[WORKER] = Worker(memory)
    app[QUEUE] = IntakeQueue(memory, app[WORKER], memory.settings["hook_queue"])
    for door in (health, hooks, handoff, admin, pages, search, backup, care, upkeep, embed, moves, records):
        app.add_routes(door.ROUTES)
    app.cleanup_ctx.append(_background)
    Later(memory, BODY_LIMIT).add_to(app)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    # What keeps users out is in the log from the beginning.
    await asyncio.to_thread(app[USERS].look)
    queue = asyncio.create_task(app[QUEUE].run(), name="intake")
    worker = asyncio.create_task(app[WORKER].run(), name="worker")
    watcher = Watcher(app[MEMORY])
    watching = asyncio.create_task(watcher.run(), name="watcher")
    backfill = Backfill(app[MEMORY])
    backfill.start()
    app[WORKER].wake()
    yield
    app[QUEUE].stop()
    await queue
    watcher.stop()
    await watching
    await backfill.stop()
    app[WORKER].stop()
    await worker


@web.middleware
async def _errors(request: web.Request, handler: Next) -> web.StreamResponse:
    try:
        return await handler(request)
    except AiMemoryError as error:
        if error.status >= 500:
            _log.error("%s %s: %s", request.method, request.path, error)
        return _refusal(request, error.status, str(error), error.details)
    except web.HTTPRequestEntityTooLarge:
        return _refusal(request, 413, f"the body is larger than {BODY_LIMIT // 1024 // 1024} MiB")
    except web.HTTPException:
        raise
    except Exception:  # noqa: BLE001 - the door's one place: a bug answers 500, with its trace in the log only
        _log.exception("%s %s failed", request.method, request.path)
        return _refusal(request, 500, "internal error: see the server's log")


def _refusal(
    request: web.Request, status: int, message: str, details: Mapping[str, object] = MappingProxyType({})
) -> web.Response:
    if request.path.startswith("/admin/"):
        return web.json_response({"error": message, **details}, status=status)
    if request.path == "/hook/batch" and status in (413, 429):
        # The wire's form: what was taken of the batch, so that older clients keep the rest.
        return web.json_response({"accepted": 0, "error": message}, status=status)
    return web.Response(text=message + "\n", status=status)


@web.middleware
async def _gate(request: web.Request, handler: Next) -> web.StreamResponse:
    """Let in who asks for a name of ours, from no other site's page, with the token where there is one, or a user's."""
    refusal = _wrong_host(request) or _wrong_site(request)
    if refusal is None:
        of_user = users.are_asked(request)
        refusal = await users.refusal(request, request.app[USERS]) if of_user else _wrong_token(request)
    return refusal or await handler(request)


def _wrong_host(request: web.Request) -> web.Response | None:
    host = request.headers.get("Host", "").lower()
    if not host:
        return web.Response(text="missing Host header\n", status=400)
    name, _, port = host.rpartition(":")
    allowed = request.app[HOSTS]
    if host in allowed or (name if port.isdigit() else host).strip("[]") in allowed:
        return None
    return web.Response(text="forbidden host\n", status=403)


def _wrong_site(request: web.Request) -> web.Response | None:
    """Refuse what a page of another site makes a browser send: on this machine a browser needs no token either."""
    origin = request.headers.get("Origin", "")
    foreign = origin and urlsplit(origin).netloc.lower() != request.headers["Host"].lower()
    if foreign or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return web.Response(text="cross-site requests are refused\n", status=403)
    return None


def _wrong_token(request: web.Request) -> web.Response | None:
    token = request.app[TOKEN]
    if not token or request.path in health.OPEN or _carries(request, token):
        return None
    challenge = 'Bearer realm="ai-memory", error="invalid_token"'
    if request.method == "GET":
        challenge = f'Basic realm="ai-memory", {challenge}'
    return web.Response(text="auth required\n", status=401, headers={"WWW-Authenticate": challenge})


def _carries(request: web.Request, token: str) -> bool:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    offered = value.strip()
    if scheme.lower() == "basic" and request.method == "GET":
        try:
            offered = base64.b64decode(offered, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(offered.encode(errors="surrogateescape"), token.encode())
