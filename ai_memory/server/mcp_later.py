"""MCP as a door that opens late: its SDK takes longer to load than everything else together, and hooks do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from ai_memory.memory.memory import Memory
from ai_memory.server import wire

#: So many seconds after the start it is loaded, or at the first request.
_LATER = 5.0


class Later:
    """Hands requests under `/mcp` to an application of its own, which is loaded once the server listens."""

    def __init__(self, memory: Memory, body_limit: int) -> None:
        """Compose.

        Args:
            memory: what the tools work on.
            body_limit: of a request, in bytes.
        """
        self._memory = memory
        self._body_limit = body_limit
        self._wanted = asyncio.Event()
        self._door: asyncio.Task[web.Application] | None = None

    def add_to(self, app: web.Application, base: str) -> None:
        """Add the routes to an application, also below a base path; the door ends with it."""
        app.add_routes(wire.below(base, [web.route("*", "/mcp{below:(/.*)?}", self._answer)]))
        app.on_shutdown.append(self._end)
        app.cleanup_ctx.append(self._life)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        door = await asyncio.shield(self._opened())
        request = wire.without_base(request)
        found = await door.router.resolve(request)
        return await found.handler(request)

    def _opened(self) -> asyncio.Task[web.Application]:
        """Give the door; one that could not be opened is tried again."""
        if self._door is None or (self._door.done() and (self._door.cancelled() or self._door.exception())):
            self._door = asyncio.create_task(self._open(), name="mcp door")
        return self._door

    async def _open(self) -> web.Application:
        door = await asyncio.to_thread(_loaded, self._memory, self._body_limit)
        door.freeze()
        await door.startup()
        return door

    async def _life(self, _: web.Application) -> AsyncIterator[None]:
        async def open_later() -> None:
            await asyncio.sleep(_LATER)
            await self._opened()

        opening = asyncio.create_task(open_later(), name="mcp later")
        yield
        opening.cancel()
        # What failed was told to who asked.
        await asyncio.gather(opening, return_exceptions=True)
        for door in await self._there():
            await door.cleanup()

    async def _end(self, _: web.Application) -> None:
        for door in await self._there():
            await door.shutdown()

    async def _there(self) -> list[web.Application]:
        """Give the door if there is one; waits for one that is being opened."""
        opened = await asyncio.gather(*filter(None, [self._door]), return_exceptions=True)
        return [each for each in opened if isinstance(each, web.Application)]


def _loaded(memory: Memory, body_limit: int) -> web.Application:
    from ai_memory.server.mcp.mount import mounted  # noqa: PLC0415 - what this module is for

    return mounted(memory, body_limit=body_limit)
