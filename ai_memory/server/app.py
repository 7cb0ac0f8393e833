"""The application: routes, keys, and the gates that every request passes (host, token, errors)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from ai_memory.config import is_loopback, split_address
from ai_memory.errors import AiMemoryError
from ai_memory.memory.accounts import OWNER
from ai_memory.memory.memory import Memory
from ai_memory.server import (
    admin,
    backfill,
    backup,
    bootstrap,
    browsers,
    care,
    device,
    embed,
    handoff,
    health,
    hooks,
    models,
    moves,
    packets,
    pages,
    pending,
    records,
    search,
    sign_in,
    teams,
    tokens,
    upkeep,
    users,
    visitors,
    wire,
)
from ai_memory.server.api import mount as api
from ai_memory.server.keys import (
    ADDRESSES,
    BASE,
    BEARERS,
    BIND,
    BROWSERS,
    EXTERNAL,
    HOME,
    HOSTS,
    MEMORY,
    ORIGINS,
    PACKETS,
    QUEUE,
    TOKEN,
    TRUSTING,
    UI,
    USERS,
    WORKER,
)
from ai_memory.server.mcp_later import Later
from ai_memory.server.web import mount as screens
from ai_memory.server.web.addresses import DOOR
from ai_memory.server.worker import Backfill, IntakeQueue, ModelJobs, PacketQueue, Watcher, Worker

_log = logging.getLogger(__name__)

BODY_LIMIT = 10 * 1024 * 1024
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Paths that need no token.
_OPEN = health.OPEN | device.OPEN
_BUG = "internal error: see the server's log"
#: What `ltm-server` serves: what belongs to packets.
_PACKETS = (packets, teams, device, sign_in, tokens)
_DOORS = (
    health,
    hooks,
    handoff,
    admin,
    pages,
    search,
    backup,
    care,
    upkeep,
    embed,
    moves,
    records,
    bootstrap,
    backfill,
    models,
    pending,
)


def create_app(memory: Memory, *, bind: str, packets_token: str = "") -> web.Application:
    """Build the application around an open memory.

    Args:
        memory: what it serves; the caller closes it.
        bind: the address it will listen on, for `status`.
        packets_token: serve only what belongs to packets, under any host name, and `/admin` with this token.
    """
    app = web.Application(middlewares=[wire.told, _errors, _gate], client_max_size=BODY_LIMIT)
    settings = memory.settings
    app[MEMORY] = memory
    app[BIND] = bind
    app[TOKEN] = packets_token or settings["auth.bearer_token"].strip()
    app[EXTERNAL] = settings["external_url"].rstrip("/")
    app[ADDRESSES] = at = screens.addresses(settings)
    app[BASE] = at.base
    app[ORIGINS] = frozenset(origin.lower() for origin in settings["cors_allow_origins"])
    app[UI] = str(Path(settings["web_ui_dir"]).expanduser()) if settings["web_ui_dir"] and not packets_token else ""
    app[HOME] = at.device() if packets_token or not settings["enable_web"] else at.home()
    app[USERS] = users.Users(settings.user_tokens)
    app[BEARERS] = users.Bearers(app[TOKEN], app[USERS], memory.accounts)
    app[BROWSERS] = browsers.Browsers()
    # Behind a proxy, everybody comes from this machine.
    app[TRUSTING] = not (app[TOKEN] or app[EXTERNAL]) and is_loopback(split_address(bind)[0])
    app[WORKER] = Worker(memory)
    app[QUEUE] = IntakeQueue(memory, app[WORKER], settings["hook_queue"])
    app[PACKETS] = PacketQueue(memory)
    app.on_shutdown.append(_let_nobody_wait)
    app.cleanup_ctx.append(_background)
    for door in _PACKETS:
        app.add_routes(wire.below(at.base, door.ROUTES))
    if packets_token:
        return app
    hosts = {entry.lower().strip("[]") for entry in settings["allowed_hosts"]} | {wire.host_of(app[EXTERNAL])}
    app[HOSTS] = frozenset(hosts - {""})
    for door in _DOORS:
        app.add_routes(wire.below(at.base, door.ROUTES))
    Later(memory, BODY_LIMIT).add_to(app, at.base)
    if settings["enable_web"]:
        api.mount(app)
        screens.mount(app)
    return app


async def _let_nobody_wait(app: web.Application) -> None:
    """End the calls that wait for a model, before who waits for those calls."""
    app[MEMORY].jobs.stop()
    app[MEMORY].answers.stop()


async def _background(app: web.Application) -> AsyncIterator[None]:
    # What keeps users out is in the log from the beginning.
    await asyncio.to_thread(app[USERS].look)
    queues = [asyncio.create_task(app[key].run(), name=name) for key, name in ((QUEUE, "intake"), (PACKETS, "packets"))]
    worker = asyncio.create_task(app[WORKER].run(), name="worker")
    watcher = Watcher(app[MEMORY])
    watching = asyncio.create_task(watcher.run(), name="watcher")
    backfill = Backfill(app[MEMORY])
    backfill.start()
    jobs = ModelJobs(app[MEMORY])
    jobs.start()
    app[WORKER].wake()
    yield
    app[QUEUE].stop()
    app[PACKETS].stop()
    await asyncio.gather(*queues)
    watcher.stop()
    await watching
    await backfill.stop()
    await jobs.stop()
    app[WORKER].stop()
    await worker


@web.middleware
async def _errors(request: web.Request, handler: Next) -> web.StreamResponse:
    try:
        return await handler(request)
    except AiMemoryError as error:
        if error.status >= 500:
            _log.error("%s %s: %s", request.method, request.rel_url.raw_path, error)
        return await _refusal(request, error.status, str(error), error.details)
    except web.HTTPRequestEntityTooLarge:
        return await _refusal(request, 413, f"the body is larger than {BODY_LIMIT // 1024 // 1024} MiB")
    except web.RequestPayloadError:
        return await _refusal(request, 400, "read body: it is not encoded as its headers say")
    except web.HTTPNotFound:
        if not wire.path_of(request).startswith("/admin/"):
            raise
        return await _refusal(request, 404, f"there is no {request.method} {request.path} here")
    except web.HTTPException:
        raise
    except Exception:  # noqa: BLE001 - the door's one place: a bug answers 500, with its trace in the log only
        # As it was sent: what is decoded may hold line breaks.
        _log.exception("%s %s failed", request.method, request.rel_url.raw_path)
        told = "internal server error" if api.covers(wire.path_of(request)) else _BUG
        return await _refusal(request, 500, told)


async def _refusal(
    request: web.Request, status: int, message: str, details: Mapping[str, object] = MappingProxyType({})
) -> web.Response:
    path = wire.clean(wire.path_of(request))
    if path.startswith(("/v1/", "/oauth/")):
        return wire.refused(status, message)
    if api.covers(path):
        return api.refused(status, message)
    if path.startswith("/admin/"):
        return web.json_response({"error": message, **details}, status=status)
    if path == "/hook/batch" and status in (413, 429):
        # The wire's form: what was taken of the batch, so that older clients keep the rest.
        return web.json_response({"accepted": 0, "error": message}, status=status)
    if screens.covers(request, path):
        return await screens.problem(request, status, message)
    return web.Response(text=message + "\n", status=status)


@web.middleware
async def _gate(request: web.Request, handler: Next) -> web.StreamResponse:
    """Let in who asks for a name of ours, from no other site's page, with the token where there is one, or a user's."""
    path = wire.path_of(request)
    is_invited = api.is_from_allowed_origin(request, path)
    refusal = _wrong_host(request) or (None if is_invited else _wrong_site(request, path)) or _wrong_path(request)
    # A browser asks with OPTIONS whether it may ask, and sends no token with that.
    if refusal is None and not (is_invited and request.method == "OPTIONS"):
        refusal = await _unknown_caller(request, path)
    return refusal or await handler(request)


async def _unknown_caller(request: web.Request, path: str) -> web.Response | None:
    """Refuse what only those may ask who are known."""
    if path.startswith("/v1/"):
        return await users.packets_refusal(request, path, request.app[BEARERS])
    if toolset := users.asked(request, path):
        return await _unknown_user(request, toolset)
    if path in _OPEN or sign_in.is_open(path) or screens.is_open(request, path) or api.is_open(path):
        return None
    if HOSTS in request.app and (path.startswith("/api/") or screens.covers(request, path)):
        return await visitors.refusal(request, path)
    return _wrong_token(request)


async def _unknown_user(request: web.Request, toolset: str) -> web.Response | None:
    """Refuse a request for what is each user's own from somebody whom nobody knows."""
    if toolset != users.PACKETS:
        return await users.refusal(request, request.app[USERS])
    # As at all other doors, everybody is who runs the server where that has no token.
    return await users.refusal(request, request.app[BEARERS], "" if request.app[TOKEN] else OWNER)


def _wrong_path(request: web.Request) -> web.Response | None:
    """Send a client of packets whose host ends with a slash to the path that it means; its method and body stay."""
    raw, base = request.rel_url.raw_path, request.app[BASE]
    right = wire.clean(raw).removeprefix(base)
    if right == raw.removeprefix(base) or not right.startswith(("/v1/", "/oauth/")):
        return None
    query = request.rel_url.raw_query_string
    return web.Response(status=307, headers={"Location": base + right + (f"?{query}" if query else "")})


def _wrong_host(request: web.Request) -> web.Response | None:
    host = request.headers.get("Host", "").lower()
    if not host:
        return web.Response(text="missing Host header\n", status=400)
    name, _, port = host.rpartition(":")
    allowed = request.app.get(HOSTS)
    if allowed is None or host in allowed or (name if port.isdigit() else host).strip("[]") in allowed:
        return None
    return web.Response(text="forbidden host\n", status=403)


def _wrong_site(request: web.Request, path: str) -> web.Response | None:
    """Refuse what a page of another site makes a browser send: on this machine a browser needs no token either."""
    origin = request.headers.get("Origin", "")
    ours = {request.headers["Host"].lower(), wire.host_of(request.app[EXTERNAL])} - {""}
    foreign = origin and wire.host_of(origin) not in ours
    # Somebody who follows a link to a page; the other site sees nothing of it, and nothing is changed by it.
    follows = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    is_page = screens.covers(request, path) or path.startswith(f"{DOOR}/")
    follows = follows and request.headers.get("Sec-Fetch-Dest") == "document" and is_page
    if foreign or not (follows or request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")):
        return web.Response(text="cross-site requests are refused\n", status=403)
    return None


def _wrong_token(request: web.Request) -> web.Response | None:
    token, reads = request.app[TOKEN], request.method == "GET"
    if not token or visitors.carries(request, token, basic=reads):
        return None
    if HOSTS not in request.app and request.match_info.http_exception is not None:
        # As the reference answers what it does not serve; it keeps nothing else behind a token of its own.
        return None
    return web.Response(text="auth required\n", status=401, headers=visitors.challenge(with_dialog=reads))
