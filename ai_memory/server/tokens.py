"""`/admin/ltm-tokens`: the tokens with which packets are used. Each is shown once; what is kept is its digest."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.accounts import OWNER, Accounts
from ai_memory.model.handoff import stamp
from ai_memory.server import asked, wire
from ai_memory.server.keys import MEMORY
from ai_memory.store.accounts import Token

#: So many digits of a token's digest name it; clients show the same ones.
_SHOWN = 8


def issued(
    accounts: Accounts, label: str, email: str = "", user: str = "", *, new_user: bool = False
) -> dict[str, str]:
    """Issue a token, for who runs the server unless somebody else is named.

    Args:
        accounts: where.
        label: what it is listed as: whose it is, or on which machine.
        email: of the user whose it is to be; there is one user of an address.
        user: the id of that user.
        new_user: make a user for it.

    Raises:
        BadRequestError: more than one of these is said, or one of them cannot be kept.
        NotFoundError: there is no such user.
    """
    if sum((bool(email), bool(user), new_user)) > 1:
        raise BadRequestError("say one of user (an id), email and new_user, or none of them for yourself")
    token, of_user = accounts.issue(label, email, user if email or user or new_user else OWNER)
    return {"token": token, "user_id": of_user, "display": accounts.display(of_user)}


def listed(accounts: Accounts) -> list[dict[str, str]]:
    """List all tokens, the oldest first: whose they are, and the first digits of their digests."""
    tokens = accounts.tokens()
    users = accounts.users(each.user for each in tokens)
    return [_row(each) | {"display": users[each.user].display} for each in tokens]


def revoked(accounts: Accounts, hash8: str) -> dict[str, str]:
    """Take a token away; whoever holds it is refused from the next request on. Gives what it was."""
    return _row(accounts.revoke(hash8))


def _row(token: Token) -> dict[str, str]:
    return {
        "hash8": token.hash[:_SHOWN],
        "user_id": token.user,
        "label": token.label,
        "created_at": stamp(token.created_at),
    }


async def issue(request: web.Request) -> web.Response:
    """POST /admin/ltm-tokens: one more token."""
    accounts, body = request.app[MEMORY].accounts, await asked.json_body(request)
    label, email, user = asked.needed(body, "label"), asked.text(body, "email"), asked.text(body, "user")
    new_user = asked.flag(body, "new_user")
    answer = await asyncio.to_thread(lambda: issued(accounts, label, email, user, new_user=new_user))
    return wire.answer(answer, 201, stored=False)


async def listing(request: web.Request) -> web.Response:
    """GET /admin/ltm-tokens: all tokens."""
    return wire.answer({"tokens": await asyncio.to_thread(listed, request.app[MEMORY].accounts)})


async def revoke(request: web.Request) -> web.Response:
    """DELETE /admin/ltm-tokens/HASH8: take a token away."""
    named = request.match_info["hash8"]
    return wire.answer({"revoked": await asyncio.to_thread(revoked, request.app[MEMORY].accounts, named)})


ROUTES = [
    web.post("/admin/ltm-tokens", issue),
    web.get("/admin/ltm-tokens", listing),
    web.delete("/admin/ltm-tokens/{hash8}", revoke),
]
