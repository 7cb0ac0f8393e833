"""Signing a person in at a browser: a token is changed into a cookie. And the static files of all pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from ai_memory.server import visitors, wire
from ai_memory.server.browsers import SESSION_SECONDS
from ai_memory.server.keys import ADDRESSES, BASE, BEARERS, BROWSERS, HOME, MEMORY, TOKEN, TRUSTING
from ai_memory.server.web import templates

#: Bytes of a form that are read.
_FORM = 4096
#: What a browser may do with our pages: show them, in no frame, with our own files; send their forms to us.
PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": forms would come with the origin "null" then.
    "Referrer-Policy": "same-origin",
}
#: As long as a name with a new digest is asked for, a file is what it was.
_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "png": "image/png", "txt": "text/plain"}


async def ask(request: web.Request) -> web.Response:
    """GET /web/sign-in[?next=PATH]: the form that asks who one is."""
    there = _safe(request, request.query.get("next", ""))
    user = await visitors.person(request)
    is_for_all = there.partition("?")[0] == request.app[ADDRESSES].device()
    is_enough = is_for_all or not user or not request.app[TOKEN] or visitors.may_read(request)
    problem = "" if is_enough else "What you want to see is open to the server's own token alone."
    return await card(request, "sign-in.html", user=user, there=there, problem=problem)


async def sign_in(request: web.Request) -> web.Response:
    """POST /web/sign-in: a token is changed into a cookie that holds for twelve hours."""
    fields = await form(request) or {}
    browsers, who = request.app[BROWSERS], visitors.caller(request)
    there = _safe(request, fields.get("next", ""))
    if browsers.must_wait(who):
        return await card(request, "sign-in.html", 429, there=there, problem=TOO_OFTEN)
    offered = fields.get("token", "").strip()
    if not offered or not await asyncio.to_thread(request.app[BEARERS].named, offered):
        browsers.was_wrong(who)
        return await card(request, "sign-in.html", 401, there=there, problem="Nobody has this token.")
    response = web.Response(status=303, headers={"Location": there, "Cache-Control": "no-store"})
    response.set_cookie(
        visitors.COOKIE,
        browsers.sign_in(offered),
        max_age=SESSION_SECONDS,
        path=request.app[BASE] or "/",
        httponly=True,
        # A link to a page, in a chat or a mail, leads to that page; what another site sends comes without it.
        samesite="Lax",
        secure=wire.own_address(request).startswith("https:"),
    )
    return response


async def sign_out(request: web.Request) -> web.Response:
    """POST /web/sign-out: forget this browser."""
    request.app[BROWSERS].sign_out(request.cookies.get(visitors.COOKIE, ""))
    there = request.app[ADDRESSES].sign_in()
    response = web.Response(status=303, headers={"Location": there, "Cache-Control": "no-store"})
    response.del_cookie(visitors.COOKIE, path=request.app[BASE] or "/")
    return response


async def static(request: web.Request) -> web.Response:
    """GET /web/static/{name}: style, scripts and pictures of all pages."""
    name = request.match_info["name"]
    data = (await asyncio.to_thread(templates.static_files)).get(name)
    if data is None:
        return web.Response(text="there is no such file\n", status=404)
    etag = templates.digest(name)
    headers = {
        "Content-Type": f"{_TYPES.get(name.rpartition('.')[2], 'text/plain')}; charset=utf-8",
        "Cache-Control": _FOR_EVER if request.query.get("v") == etag else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{etag}"',
    }
    if any(each.value == etag for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=data, headers=headers)
    response.enable_compression()
    return response


TOO_OFTEN = "That was wrong too often. Wait five minutes."


async def card(
    request: web.Request, template: str, status: int = 200, *, user: str = "", **values: str
) -> web.Response:
    """Write one of the small pages around signing in; all it is given is shown as text, whatever it holds."""

    def written() -> bytes:
        display = request.app[MEMORY].accounts.display(user) if user else ""
        shown: Mapping[str, object] = {
            "problem": "",
            **values,
            "display": display,
            "trusting": request.app[TRUSTING],
            "at": request.app[ADDRESSES],
        }
        return templates.written(template, shown)

    headers = {**PAGE_HEADERS, "Cache-Control": "no-store"}
    return web.Response(body=await asyncio.to_thread(written), status=status, headers=headers)


async def form(request: web.Request) -> dict[str, str] | None:
    """Read a form, None where it is none, is too large, or says something twice."""
    if request.content_type != "application/x-www-form-urlencoded":
        return None
    body = await wire.read(request, _FORM + 1)
    if len(body) > _FORM:
        return None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _safe(request: web.Request, there: str) -> str:
    """Give where to go on from signing in: a path of ours, whatever somebody put into a link."""
    at = request.app[ADDRESSES]
    # "//host" and "/\host" lead a browser to another host.
    is_ours = there.startswith(f"{at.base}/") and not there.startswith(("//", "/\\")) and there.isprintable()
    return there if is_ours and "\\" not in there else request.app[HOME]


def is_open(path: str) -> bool:
    """Tell whether a path is open to everybody; it is without the base path."""
    return path in ("/web/sign-in", "/web/sign-out") or path.startswith("/web/static/")


ROUTES = [
    web.get("/web/sign-in", ask),
    web.post("/web/sign-in", sign_in),
    web.post("/web/sign-out", sign_out),
    # All that the gate lets through there: no other route may take what is left over.
    web.get("/web/static/{name:(?s:.*)}", static),
]
