"""The wire of packets (`/v1`, `/oauth`): how bodies are read, answers written, requests logged, and our address."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.server.keys import BASE, EXTERNAL

_log = logging.getLogger(__name__)

#: Under which a request without its base path carries that path.
ROOT = web.RequestKey("root", str)
#: What is logged, a line a request; hooks come by the thousand and are counted instead.
_LOGGED = ("/v1/", "/oauth/", "/web/device", "/web/sign-")
#: Who sends so slowly would hold a connection, and the end of the server, for ever.
_BODY_SECONDS = 30.0
#: Whoever holds an invite's code may join; so many of its signs are enough to tell it from others.
_CODE = re.compile(r"(?<=/v1/invites/)([^/]{6})[^/]+")


def answer(value: object, status: int = 200, *, stored: bool = True) -> web.Response:
    """Answer with JSON as this wire writes it: sorted keys, two spaces, a newline at the end.

    Args:
        value: what to write.
        status: of the answer.
        stored: whether caches may keep it; what holds a token or a code may not be kept.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    headers = {"Content-Type": "application/json"} | ({} if stored else {"Cache-Control": "no-store"})
    return web.Response(body=text.encode(errors="replace"), status=status, headers=headers)


def refused(status: int, text: str) -> web.Response:
    """Answer with an error."""
    return answer({"error": text}, status)


async def read(request: web.Request, most: int) -> bytes:
    """Read at most so many bytes of a body; what is beyond stays unread.

    Raises:
        BadRequestError: it breaks off, takes too long, or is not encoded as its headers say.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while len(body) < most and (piece := await request.content.read(most - len(body))):
                body += piece
    except TimeoutError:
        raise BadRequestError(f"read body: it is not here after {_BODY_SECONDS:g} s") from None
    except ConnectionResetError:
        raise BadRequestError("read body: it breaks off") from None
    except web.RequestPayloadError:
        raise BadRequestError("read body: it is not encoded as its headers say") from None
    return bytes(body)


def path_of(request: web.Request) -> str:
    """Give the path that a request asks for, without the base path; a proxy may have stripped it, or not."""
    base, path = request.app[BASE], request.path
    return path.removeprefix(base) or "/" if base and f"{path}/".startswith(f"{base}/") else path


def here(request: web.Request) -> str:
    """Give the path and query of a request as a browser asked for them: below the base path, if a proxy stripped it."""
    # What begins with two slashes is another host to a browser.
    base, said = request.app[BASE], "/" + str(request.rel_url).lstrip("/")
    return said if path_of(request) != request.path else base + said


def without_base(request: web.Request) -> web.Request:
    """Give a request as it is without the base path, which it carries then (`request[ROOT]`); or a proxy did."""
    base, url = request.app[BASE], request.rel_url
    if path_of(request) != request.path:
        request = request.clone(rel_url=url.with_path(url.raw_path.removeprefix(base), encoded=True, keep_query=True))
    request[ROOT] = base
    return request


def below(base: str, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """Give routes at their paths, and once more below a base path where there is one."""
    given = list(routes)
    moved = [web.RouteDef(each.method, base + each.path, each.handler, each.kwargs) for each in given if base]
    return [*given, *moved]


def own_address(request: web.Request) -> str:
    """Give the address under which a caller reaches this server, without a slash at its end.

    The setting wins; then what a proxy says of itself; then what the request itself asked for.
    """
    if request.app[EXTERNAL]:
        return request.app[EXTERNAL]
    scheme = _first(request, "X-Forwarded-Proto") or request.scheme
    host = _first(request, "X-Forwarded-Host") or request.host
    return f"{scheme}://{host}{request.app[BASE]}"


def clean(path: str) -> str:
    """Give a path without doubled slashes, which clients make whose host ends with one."""
    return re.sub(r"/{2,}", "/", path)


def host_of(address: str) -> str:
    """Give the host and port of an address as a browser sends them, "" for none."""
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""


@web.middleware
async def told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log a request with its status and duration: no query, no header, no code of an invite."""
    if not clean(path_of(request)).startswith(_LOGGED):
        return await handler(request)
    began, status = time.perf_counter(), 500
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    else:
        return response
    finally:
        # As it was sent: what is decoded may hold line breaks.
        path = _CODE.sub(r"\1…", clean(request.rel_url.raw_path))
        _log.info("%s %s %d %.1f ms", request.method, path, status, (time.perf_counter() - began) * 1000)


def _first(request: web.Request, header: str) -> str:
    """Give the first of the values that proxies have put into a header."""
    return request.headers.get(header, "").partition(",")[0].strip()
