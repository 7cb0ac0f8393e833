"""Signing a machine in without pasting a token (RFC 8628): `/oauth` for its program, `/web/device` for the person.

The program asks for a code and polls; the person opens the page, compares the code and approves. Then the program's
next poll gets a token of that person.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import jinja2
from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.accounts import OWNER
from ai_memory.server import wire
from ai_memory.server.browsers import SESSION_SECONDS
from ai_memory.server.keys import BEARERS, BROWSERS, MEMORY, TRUSTING

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
#: Bytes of a form that are read.
_FORM = 4096
_COOKIE = "ai_memory_session"
#: What a browser may do with these pages: show them, in no frame, with our stylesheet; send their forms to us.
_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": forms would come with the origin "null" then.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


# The program


async def authorize(request: web.Request) -> web.Response:
    """POST /oauth/authorize_device: a program wants to be signed in; gives its codes."""
    form = await _form(request)
    if form is None or not form.get("client_id"):
        return _oauth_error("invalid_request", "send a form with client_id, each field once")
    accounts = request.app[MEMORY].accounts
    try:
        grant = await asyncio.to_thread(accounts.begin_device, form["client_id"], form.get("scope", ""))
    except BadRequestError as error:
        return _oauth_error("invalid_request", str(error))
    page = f"{wire.own_address(request)}/web/device"
    return wire.answer(
        {
            "device_code": grant.device_code,
            "user_code": grant.user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'user_code': grant.user_code})}",
            "expires_in": grant.expires_in,
            "interval": grant.interval,
        },
        stored=False,
    )


async def token(request: web.Request) -> web.Response:
    """POST /oauth/token: the program asks whether the person has approved; gives the token, once."""
    form = await _form(request)
    if form is None or not form.get("grant_type"):
        return _oauth_error("invalid_request", "send a form with grant_type, device_code and client_id, each once")
    if form["grant_type"] != GRANT:
        return _oauth_error("unsupported_grant_type", f"only {GRANT} is served here")
    if not form.get("device_code") or not form.get("client_id"):
        return _oauth_error("invalid_request", "device_code or client_id is missing")
    accounts = request.app[MEMORY].accounts
    polled = await asyncio.to_thread(accounts.poll_device, form["device_code"], form["client_id"])
    if polled.error:
        return _oauth_error(polled.error, _WORDS.get(polled.error, ""))
    granted = {"access_token": polled.token, "token_type": "Bearer", "scope": polled.scope}
    return wire.answer(granted, stored=False)


_WORDS = {
    "authorization_pending": "nobody has approved the code yet",
    "slow_down": "ask less often: five seconds more between two questions",
    "access_denied": "the person has denied it",
    "expired_token": "the code has expired: begin again",
    "invalid_grant": "there is no such device code: begin again",
}


def _oauth_error(word: str, description: str) -> web.Response:
    return wire.answer({"error": word, "error_description": description}, 400, stored=False)


# The person


async def device(request: web.Request) -> web.Response:
    """GET /web/device[?user_code=CODE]: asks for the code, then whether to approve."""
    code = request.query.get("user_code", "")
    user = await _user(request)
    if not user:
        return await _page(request, "sign-in", code=code)
    return await _asked(request, user, code) if code else await _page(request, "code", user=user)


async def decide(request: web.Request) -> web.Response:
    """POST /web/device: the signed-in person approves or denies a code."""
    form = await _form(request) or {}
    code, decision = form.get("user_code", ""), form.get("decision", "")
    user = await _user(request)
    if not user:
        return await _page(request, "sign-in", 401, code=code, problem="Sign in first.")
    if decision not in ("approve", "deny"):
        return await _page(request, "code", 400, user=user, problem="Say whether to approve or to deny.")
    if request.app[BROWSERS].must_wait(user):
        return await _too_often(request, "code", user)
    settled = await asyncio.to_thread(
        request.app[MEMORY].accounts.settle_device, code, user, approved=decision == "approve"
    )
    return await _page(request, decision, user=user) if settled else await _no_such_code(request, user)


async def ask_token(request: web.Request) -> web.Response:
    """GET /web/sign-in: the form that asks who one is."""
    return await _page(request, "sign-in", code=request.query.get("user_code", ""))


async def sign_in(request: web.Request) -> web.Response:
    """POST /web/sign-in: a token is changed into a cookie that holds for twelve hours."""
    form = await _form(request) or {}
    code, browsers, who = form.get("user_code", ""), request.app[BROWSERS], request.remote or ""
    if browsers.must_wait(who):
        return await _too_often(request, "sign-in")
    offered = form.get("token", "").strip()
    if not offered or not await asyncio.to_thread(request.app[BEARERS].named, offered):
        browsers.was_wrong(who)
        return await _page(request, "sign-in", 401, code=code, problem="Nobody has this token.")
    there = "/web/device" + (f"?{urlencode({'user_code': code})}" if code else "")
    response = web.Response(status=303, headers={"Location": there, "Cache-Control": "no-store"})
    response.set_cookie(
        _COOKIE,
        browsers.sign_in(offered),
        max_age=SESSION_SECONDS,
        path="/web",
        httponly=True,
        samesite="Strict",
        secure=wire.own_address(request).startswith("https:"),
    )
    return response


async def style(_: web.Request) -> web.Response:
    """GET /web/style.css: how these pages look."""
    content = await asyncio.to_thread((_folder() / "style.css").read_bytes)
    return web.Response(body=content, content_type="text/css", charset="utf-8", headers={"Cache-Control": "no-cache"})


async def _user(request: web.Request) -> str:
    """Say who sits at a browser, "" for nobody who has signed in."""
    proxied = any(name.lower().startswith(("x-forwarded-", "forwarded")) for name in request.headers)
    if request.app[TRUSTING] and not proxied:
        return OWNER
    token = request.app[BROWSERS].token_of(request.cookies.get(_COOKIE, ""))
    return await asyncio.to_thread(request.app[BEARERS].named, token) if token else ""


async def _asked(request: web.Request, user: str, code: str) -> web.Response:
    """Show what waits under a code, and ask."""
    if request.app[BROWSERS].must_wait(user):
        return await _too_often(request, "code", user)
    grant = await asyncio.to_thread(request.app[MEMORY].accounts.device, code)
    if grant is None:
        return await _no_such_code(request, user)
    return await _page(request, "confirm", user=user, code=grant.user_code, client=grant.client_id, scope=grant.scope)


async def _no_such_code(request: web.Request, user: str) -> web.Response:
    request.app[BROWSERS].was_wrong(user)
    problem = "No program waits under this code. Codes hold for ten minutes: look again, or begin again there."
    return await _page(request, "code", 404, user=user, problem=problem)


async def _too_often(request: web.Request, step: str, user: str = "") -> web.Response:
    return await _page(request, step, 429, user=user, problem="That was wrong too often. Wait five minutes.")


async def _page(request: web.Request, step: str, status: int = 200, *, user: str = "", **values: str) -> web.Response:
    """Write a page; all it is given is shown as text, whatever it holds."""

    def written() -> str:
        display = request.app[MEMORY].accounts.display(user) if user else ""
        return _template().render(step=step, display=display, trusting=request.app[TRUSTING], **values)

    return web.Response(body=(await asyncio.to_thread(written)).encode(), status=status, headers=_PAGE_HEADERS)


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(_folder())
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        "device.html"
    )


def _folder() -> Path:
    """Find templates and stylesheet: in an installed package, or in the checkout."""
    package = Path(__file__).resolve().parent.parent
    bundled = package / "_bundle" / "web"
    return bundled if bundled.is_dir() else package.parent / "web"


async def _form(request: web.Request) -> dict[str, str] | None:
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
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


ROUTES = [
    web.post("/oauth/authorize_device", authorize),
    web.post("/oauth/token", token),
    web.get("/web/device", device),
    web.post("/web/device", decide),
    web.get("/web/sign-in", ask_token),
    web.post("/web/sign-in", sign_in),
    web.get("/web/style.css", style),
]

#: Paths that need no token: who is asked for one there.
OPEN = frozenset({"/oauth/authorize_device", "/oauth/token", "/web/device", "/web/sign-in", "/web/style.css"})
