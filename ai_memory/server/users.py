"""Users: whose memories a request may reach follows from its token alone, as `user_tokens.json` has it right now."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from ai_memory.memory.accounts import OWNER, Accounts
from ai_memory.store.user_tokens import UserTokensError, exposure, read

_log = logging.getLogger(__name__)

#: The toolset that is each user's own, and the paths that lead to it; `/mcp/sse` leads to others, too, when asked.
TOOLSET = "memories"
#: The toolset of packets: a user's own, too, and who runs the server is one.
PACKETS = "packets"
SSE = "/mcp/sse"
#: Under which a request that passed the gate carries its user.
USER = web.RequestKey("user", str)


class Users:
    """Knows users by their tokens. While the file cannot be used, it knows nobody."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._users: Mapping[bytes, str] = {}
        self._said = ""

    def look(self) -> None:
        """Read the file, and log what is wrong with it, once for each thing."""
        try:
            self._users = {_digest(token): user for token, user in read(self._file).items()}
            problem = exposure(self._file)
        except UserTokensError as error:
            self._users = {}
            problem = f"the memories of users are closed to everybody: {error}"
        if problem != self._said and problem:
            # Most servers have no users.
            _log.log(logging.WARNING if self._file.exists() else logging.INFO, "%s", problem)
        self._said = problem

    def user_of(self, authorization: str) -> str:
        """Say who sends a header `Authorization`, "" when that is nobody; it reads the file."""
        return self.named(_bearer(authorization))

    def named(self, token: str) -> str:
        """Say whose a token is, "" when it is nobody's; it reads the file."""
        self.look()
        offered, user = _digest(token), ""
        # All of them, so that the time says nothing.
        for digest, each in self._users.items():
            if hmac.compare_digest(offered, digest):
                user = each
        return user if token else ""

    def warnings(self) -> list[str]:
        """Say what somebody should put right; it reads the file. One that nobody made is no fault."""
        self.look()
        return [self._said] if self._said and self._file.exists() else []


class Bearers:
    """Knows who may use packets: who runs the server, users of the file, and those who joined or were given a token."""

    def __init__(self, owner_token: str, users: Users, accounts: Accounts) -> None:
        self._owner = _digest(owner_token) if owner_token else b""
        self._users = users
        self._accounts = accounts

    def named(self, token: str) -> str:
        """Say whose a token is, "" when it is nobody's."""
        if self._owner and hmac.compare_digest(_digest(token), self._owner):
            return OWNER
        if user := self._accounts.user_of(token):
            return user
        user = self._users.named(token)
        # Somebody in the file may be called so: that name is another's.
        return user if user != OWNER else ""

    def user_of(self, authorization: str) -> str:
        """Say who sends a header `Authorization`, "" when that is nobody."""
        return self.named(token) if (token := _bearer(authorization)) else ""


def messages(toolset: str) -> str:
    """Say where clients of `/mcp/sse` send their messages for a toolset."""
    return f"{SSE}/messages" if toolset == TOOLSET else f"{SSE}/{toolset}/messages"


_PATHS = {path: toolset for toolset in (TOOLSET, PACKETS) for path in (f"/mcp/{toolset}", messages(toolset))}


def asked(request: web.Request, path: str) -> str:
    """Say which toolset that is each user's own a request wants, "" for none; the path is without the base path."""
    if path != SSE:
        return _PATHS.get(path, "")
    toolset = request.query.get("toolset", TOOLSET)
    return toolset if toolset in _PATHS.values() else ""


async def refusal(request: web.Request, known: Users | Bearers, otherwise: str = "") -> web.Response | None:
    """Find out who sends a request (`request[USER]`); nobody is refused.

    Args:
        request: what came.
        known: knows whose tokens are.
        otherwise: who it is that sends none, "" for nobody.
    """
    authorization = request.headers.get("Authorization")
    user = otherwise if authorization is None else await asyncio.to_thread(known.user_of, authorization)
    if user:
        request[USER] = user
        return None
    return web.json_response(
        {"detail": "the token of a user is required: Authorization: Bearer <token>"},
        status=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


#: Of the paths under `/v1`: open to everybody, and open to whoever holds the code, signed in or not.
_HEALTH = "/v1/healthz"
_ACCEPT = re.compile(r"/v1/invites/[^/]+/accept")


async def packets_refusal(request: web.Request, path: str, bearers: Bearers) -> web.Response | None:
    """Find out who sends a request under `/v1` (`request[USER]`); nobody is refused, but where all are welcome."""
    if path == _HEALTH or request.match_info.http_exception is not None:
        return None
    authorization = request.headers.get("Authorization", "")
    # As the clients of this wire write it, and as others compare it: one space, and capital letters count.
    token = authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else ""
    if not token:
        # A token that nobody knows is never a new user's: it may be a typing error, or revoked.
        return None if not authorization and _ACCEPT.fullmatch(path) else _unknown("missing bearer token")
    user = await asyncio.to_thread(bearers.named, token)
    if not user:
        return _unknown("invalid token")
    request[USER] = user
    return None


def _unknown(text: str) -> web.Response:
    body = json.dumps({"error": text}, indent=2) + "\n"
    headers = {"Content-Type": "application/json", "WWW-Authenticate": "Bearer"}
    return web.Response(body=body.encode(), status=401, headers=headers)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()
