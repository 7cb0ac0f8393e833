"""Users: whose memories a request may reach follows from its token alone, as `user_tokens.json` has it right now."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from ai_memory.store.user_tokens import UserTokensError, exposure, read

_log = logging.getLogger(__name__)

#: The toolset that is each user's own, and the paths that lead to it; `/mcp/sse` leads to others, too, when asked.
TOOLSET = "memories"
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
        self.look()
        scheme, _, token = authorization.partition(" ")
        offered, user = _digest(token.strip()), ""
        # All of them, so that the time says nothing.
        for digest, each in self._users.items():
            if hmac.compare_digest(offered, digest):
                user = each
        return user if scheme.lower() == "bearer" and token.strip() else ""

    def warnings(self) -> list[str]:
        """Say what somebody should put right; it reads the file. One that nobody made is no fault."""
        self.look()
        return [self._said] if self._said and self._file.exists() else []


def messages(toolset: str) -> str:
    """Say where clients of `/mcp/sse` send their messages for a toolset."""
    return f"{SSE}/messages" if toolset == TOOLSET else f"{SSE}/{toolset}/messages"


_PATHS = frozenset({f"/mcp/{TOOLSET}", SSE, messages(TOOLSET)})


def are_asked(request: web.Request) -> bool:
    """Tell whether a request wants what is each user's own."""
    return request.path in _PATHS and (request.path != SSE or request.query.get("toolset", TOOLSET) == TOOLSET)


async def refusal(request: web.Request, users: Users) -> web.Response | None:
    """Find out who sends a request (`request[USER]`); nobody is refused."""
    user = await asyncio.to_thread(users.user_of, request.headers.get("Authorization", ""))
    if user:
        request[USER] = user
        return None
    return web.json_response(
        {"detail": "the token of a user is required: Authorization: Bearer <token>"},
        status=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()
