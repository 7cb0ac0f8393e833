"""Signing a machine in without pasting a token (RFC 8628): `/oauth` for its program, `/web/device` for the person.

The program asks for a code and polls; the person opens the page, compares the code and approves. Then the program's
next poll gets a token of that person.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.server import wire
from ai_memory.server.keys import ADDRESSES, BROWSERS, MEMORY
from ai_memory.server.sign_in import TOO_OFTEN, card, form
from ai_memory.server.visitors import person

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


# The program


async def authorize(request: web.Request) -> web.Response:
    """POST /oauth/authorize_device: a program wants to be signed in; gives its codes."""
    said = await form(request)
    if said is None or not said.get("client_id"):
        return _oauth_error("invalid_request", "send a form with client_id, each field once")
    accounts = request.app[MEMORY].accounts
    try:
        grant = await asyncio.to_thread(accounts.begin_device, said["client_id"], said.get("scope", ""))
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
    said = await form(request)
    if said is None or not said.get("grant_type"):
        return _oauth_error("invalid_request", "send a form with grant_type, device_code and client_id, each once")
    if said["grant_type"] != GRANT:
        return _oauth_error("unsupported_grant_type", f"only {GRANT} is served here")
    if not said.get("device_code") or not said.get("client_id"):
        return _oauth_error("invalid_request", "device_code or client_id is missing")
    accounts = request.app[MEMORY].accounts
    polled = await asyncio.to_thread(accounts.poll_device, said["device_code"], said["client_id"])
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
    user = await person(request)
    if not user:
        return await card(request, "sign-in.html", there=request.app[ADDRESSES].device(code))
    return await _asked(request, user, code) if code else await _page(request, "code", user=user)


async def decide(request: web.Request) -> web.Response:
    """POST /web/device: the signed-in person approves or denies a code."""
    fields = await form(request) or {}
    code, decision = fields.get("user_code", ""), fields.get("decision", "")
    user = await person(request)
    if not user:
        there = request.app[ADDRESSES].device(code)
        return await card(request, "sign-in.html", 401, there=there, problem="Sign in first.")
    if decision not in ("approve", "deny"):
        return await _page(request, "code", 400, user=user, problem="Say whether to approve or to deny.")
    if request.app[BROWSERS].must_wait(user):
        return await _too_often(request, user)
    settled = await asyncio.to_thread(
        request.app[MEMORY].accounts.settle_device, code, user, approved=decision == "approve"
    )
    return await _page(request, decision, user=user) if settled else await _no_such_code(request, user)


async def _asked(request: web.Request, user: str, code: str) -> web.Response:
    """Show what waits under a code, and ask."""
    if request.app[BROWSERS].must_wait(user):
        return await _too_often(request, user)
    grant = await asyncio.to_thread(request.app[MEMORY].accounts.device, code)
    if grant is None:
        return await _no_such_code(request, user)
    return await _page(request, "confirm", user=user, code=grant.user_code, client=grant.client_id, scope=grant.scope)


async def _no_such_code(request: web.Request, user: str) -> web.Response:
    request.app[BROWSERS].was_wrong(user)
    problem = "No program waits under this code. Codes hold for ten minutes: look again, or begin again there."
    return await _page(request, "code", 404, user=user, problem=problem)


async def _too_often(request: web.Request, user: str) -> web.Response:
    return await _page(request, "code", 429, user=user, problem=TOO_OFTEN)


async def _page(request: web.Request, step: str, status: int = 200, *, user: str, **values: str) -> web.Response:
    return await card(request, "device.html", status, user=user, step=step, **values)


ROUTES = [
    web.post("/oauth/authorize_device", authorize),
    web.post("/oauth/token", token),
    web.get("/web/device", device),
    web.post("/web/device", decide),
]

#: Paths that need no token: who is asked for one there.
OPEN = frozenset({"/oauth/authorize_device", "/oauth/token", "/web/device"})
