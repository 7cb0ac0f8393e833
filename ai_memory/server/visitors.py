"""Visitors: who may look at the memory (`/web`, `/api/v1`), by a header or by the cookie of a signed-in browser."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from ipaddress import IPv6Network, ip_address

from aiohttp import web

from ai_memory.memory.accounts import OWNER
from ai_memory.server import wire
from ai_memory.server.keys import ADDRESSES, BEARERS, BROWSERS, EXTERNAL, TOKEN, TRUSTING

COOKIE = "ai_memory_session"
#: What reads although it is a POST, because it asks for much.
_READING_POST = "/api/v1/search"


async def refusal(request: web.Request, path: str) -> web.Response | None:
    """Refuse who may not look at the memory: a person is asked to sign in, a program gets a 401.

    Args:
        request: what came.
        path: its path without the base path.
    """
    if not request.app[TOKEN]:
        return None
    browsers, who = request.app[BROWSERS], caller(request)
    reads = request.method in ("GET", "HEAD") or path == _READING_POST
    if "Authorization" in request.headers:
        if browsers.must_wait(who):
            return web.Response(text="that was wrong too often: wait five minutes\n", status=429)
        if carries(request, request.app[TOKEN], basic=reads):
            return None
        browsers.was_wrong(who)
        return _asked(with_dialog=reads)
    if reads and may_read(request):
        return None
    is_page = request.method == "GET" and not path.startswith(("/api/", "/auth/"))
    if is_page and "text/html" in request.headers.get("Accept", ""):
        there = request.app[ADDRESSES].sign_in(wire.here(request))
        return web.Response(status=303, headers={"Location": there, "Cache-Control": "no-store"})
    # A browser that signed in here and is forgotten asks its page again, and no dialog comes up over it.
    return _asked(with_dialog=reads and not request.cookies.get(COOKIE))


def may_read(request: web.Request) -> bool:
    """Tell whether a browser signed in with the server's own token: others of the same person open packets alone."""
    token = request.app[BROWSERS].token_of(request.cookies.get(COOKIE, ""))
    return bool(token) and hmac.compare_digest(token.encode(), request.app[TOKEN].encode())


def is_still_known(request: web.Request) -> bool:
    """Tell whether who was let in would be again: a browser may have signed out since, while a stream goes on."""
    return not request.app[TOKEN] or "Authorization" in request.headers or may_read(request)


async def person(request: web.Request) -> str:
    """Say who sits at a browser, "" for nobody who has signed in."""
    proxied = any(name.lower().startswith(("x-forwarded-", "forwarded")) for name in request.headers)
    if request.app[TRUSTING] and not proxied:
        return OWNER
    token = request.app[BROWSERS].token_of(request.cookies.get(COOKIE, ""))
    return await asyncio.to_thread(request.app[BEARERS].named, token) if token else ""


def caller(request: web.Request) -> str:
    """Say who is counted as one who asks: an address, behind our proxy the one that it says; of IPv6 the network."""
    address = request.remote or ""
    said = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    # Anybody can write this header; only where there is a proxy, and from it, does it say something.
    if request.app[EXTERNAL] and said and _is_here(address):
        address = said
    try:
        # Each house has so many of these addresses that guesses from one after the other would never be too many.
        return str(IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address


def carries(request: web.Request, token: str, *, basic: bool) -> bool:
    """Tell whether a request has the token: as `Bearer`, or where that is allowed as the password of `Basic`."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    offered = value.strip()
    if scheme.lower() == "basic" and basic:
        try:
            offered = base64.b64decode(offered, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(offered.encode(errors="surrogateescape"), token.encode())


def challenge(*, with_dialog: bool) -> dict[str, str]:
    """Give the header that says how to come back; a dialog is what browsers show for `Basic`."""
    bearer = 'Bearer realm="ai-memory", error="invalid_token"'
    return {"WWW-Authenticate": f'Basic realm="ai-memory", {bearer}' if with_dialog else bearer}


def _asked(*, with_dialog: bool) -> web.Response:
    headers = challenge(with_dialog=with_dialog) | {"Cache-Control": "no-store"}
    return web.Response(text="auth required\n", status=401, headers=headers)


def _is_here(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
