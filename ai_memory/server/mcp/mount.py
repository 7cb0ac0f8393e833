"""MCP over HTTP: the SDK's transports, which speak ASGI, behind routes of this application.

`POST /mcp` and its like answer each request by itself, in JSON, or as a stream when there is progress to tell. With
`http_stateful` they keep sessions. `GET /mcp/sse` is the transport of older clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from aiohttp import hdrs, web
from mcp.server import Server
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from multidict import CIMultiDict

from ai_memory.errors import BadRequestError
from ai_memory.memory.memory import Memory
from ai_memory.server import users, wire
from ai_memory.server.mcp import toolsets
from ai_memory.server.mcp.identity import USER
from ai_memory.server.mcp.protocol import protocol_server
from ai_memory.server.mcp.schema import check_flavor
from ai_memory.server.mcp.tool import Toolset

_Message = MutableMapping[str, Any]
_Asgi = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]

#: Tools that run at the same time: each thread has its own connections to the databases.
_THREADS = 8
#: How often it is looked whether somebody still listens, in seconds.
_LOOK = 1.0


def mounted(memory: Memory, *, body_limit: int) -> web.Application:
    """Make an application of all toolsets."""
    app = web.Application(client_max_size=body_limit)
    mount(app, memory, toolsets.ADDRESSES, body_limit=body_limit)
    return app


def mount(app: web.Application, memory: Memory, toolsets: Mapping[str, Toolset], *, body_limit: int) -> None:
    """Give an application its MCP routes; they live and end with it.

    Args:
        app: gets the routes.
        memory: what the tools work on.
        toolsets: the path of each, and it.
        body_limit: of a request, in bytes.
    """
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="mcp")
    servers = {toolset.name: protocol_server(toolset, memory, pool) for toolset in toolsets.values()}
    streams = _Streams()
    stateful = memory.settings["http_stateful"]
    doors = []
    for path, toolset in toolsets.items():
        door = _Door(servers[toolset.name], streams, stateful=stateful, body_limit=body_limit)
        doors.append(door)
        app.router.add_post(path, door.answer)
        if stateful:
            app.router.add_get(path, door.answer, allow_head=False)
            app.router.add_delete(path, door.answer)
    older = _OlderDoor(servers, streams, body_limit)
    app.router.add_get(users.SSE, older.listen, allow_head=False)
    for name in servers:
        app.router.add_post(users.messages(name), older.take(name))
    app.on_shutdown.append(streams.end)

    async def life(_: web.Application) -> AsyncIterator[None]:
        begun, over = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            # Entered and left in one task of its own, as the SDK wants it.
            async with AsyncExitStack() as stack:
                for door in doors:
                    await door.open(stack)
                begun.set()
                await over.wait()

        running = asyncio.create_task(run(), name="mcp")
        await begun.wait()
        yield
        over.set()
        await running
        await asyncio.to_thread(pool.shutdown)

    app.cleanup_ctx.append(life)


class _Door:
    """One toolset over streamable HTTP."""

    def __init__(self, server: Server[Any], streams: _Streams, *, stateful: bool, body_limit: int) -> None:
        def transport(*, as_json: bool, stateless: bool) -> StreamableHTTPSessionManager:
            return StreamableHTTPSessionManager(
                server, json_response=as_json, stateless=stateless, max_request_body_size=body_limit
            )

        self._streams = streams
        self._json = transport(as_json=True, stateless=True)
        self._stream = transport(as_json=False, stateless=True)
        self._sessions = transport(as_json=False, stateless=False) if stateful else None

    async def open(self, stack: AsyncExitStack) -> None:
        """Begin to answer, until the stack ends."""
        for each in (self._json, self._stream, self._sessions):
            if each:
                await stack.enter_async_context(each.run())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a message."""
        check_flavor(request.query.get("flavor", ""))
        chosen = self._chosen(request, await request.read())
        return await self._streams.run(chosen.handle_request, request)

    def _chosen(self, request: web.Request, body: bytes) -> StreamableHTTPSessionManager:
        version = request.headers.get("MCP-Protocol-Version")
        is_of_handshake = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        if self._sessions and is_of_handshake:
            return self._sessions
        # JSON drops what a tool says of its progress. With a handshake's version a stream is one from the beginning;
        # since then it is one only when there is something to say.
        can_stream = "text/event-stream" in request.headers.get(hdrs.ACCEPT, "")
        return self._stream if can_stream and (not is_of_handshake or b'"progressToken"' in body) else self._json


class _OlderDoor:
    """The transport of 2024: one stream that answers, and a path to send to, for each toolset its own."""

    def __init__(self, servers: Mapping[str, Server[Any]], streams: _Streams, body_limit: int) -> None:
        self._servers = servers
        self._streams = streams
        self._transports = {
            name: SseServerTransport(users.messages(name), max_request_body_size=body_limit) for name in servers
        }

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Open a stream; it first says where to send to."""
        check_flavor(request.query.get("flavor", ""))
        name = request.query.get("toolset", users.TOOLSET)
        if name not in self._servers:
            raise BadRequestError(f"there is no toolset {name!r}: say one of {', '.join(self._servers)}")
        server, transport = self._servers[name], self._transports[name]

        async def serve(scope: _Message, receive: Any, send: Any) -> None:
            async with transport.connect_sse(scope, receive, send) as (reading, writing):
                await server.run(reading, writing, server.create_initialization_options())

        return await self._streams.run(serve, request)

    def take(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Give what takes the messages for the open streams of a toolset."""
        return partial(self._streams.run, self._transports[name].handle_post_message)


class _Streams:
    """Runs ASGI applications on requests, and ends those that stream when the server does."""

    def __init__(self) -> None:
        self._calls: set[_Call] = set()

    async def end(self, _: web.Application) -> None:
        """End every stream, as if its client had gone: clients keep one open for as long as they run."""
        for call in self._calls:
            if call.streams:
                call.over()

    async def run(self, asgi: _Asgi, request: web.Request) -> web.StreamResponse:
        """Let an ASGI application answer a request."""
        call = _Call(request, await request.read())
        self._calls.add(call)
        try:
            await asgi(_scope(request), call.receive, call.send)
        finally:
            call.over()
            self._calls.discard(call)
        return call.answer


class _Call:
    """One request, as an ASGI application sees it.

    Attributes:
        answer: what was answered.
        streams: the answer comes piece by piece.
    """

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.answer: web.StreamResponse = web.Response(status=500)
        self.streams = False
        self._request = request
        self._body: bytes | None = body
        self._start: _Message = {}
        self._over = asyncio.Event()

    async def receive(self) -> _Message:
        """Give the body, and then wait until the client has gone; an application may ask in a loop."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while not (self._over.is_set() or self._is_gone()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _LOOK)
        return {"type": "http.disconnect"}

    async def send(self, message: _Message) -> None:
        """Take a piece of the answer; one that comes in a single piece is no stream."""
        if message["type"] == "http.response.start":
            self._start = message
            if _headers(message).get(hdrs.CONTENT_TYPE, "").startswith("text/event-stream"):
                await self._stream()
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not (self.streams or more):
            headers = _headers(self._start)
            headers.popall(hdrs.CONTENT_LENGTH, None)
            self.answer = web.Response(status=self._start["status"], headers=headers, body=body)
            self._over.set()
            return
        if not self.streams:
            await self._stream()
        with suppress(ConnectionResetError):
            await self.answer.write(body)
            if not more:
                await self.answer.write_eof()
        if not more:
            self._over.set()

    def over(self) -> None:
        """Say that nobody listens any more."""
        self._over.set()

    async def _stream(self) -> None:
        self.streams = True
        self.answer = web.StreamResponse(status=self._start["status"], headers=_headers(self._start))
        # A client that has gone is none of the application's business: `receive` tells.
        with suppress(ConnectionResetError):
            await self.answer.prepare(self._request)

    def _is_gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()


def _headers(start: _Message) -> CIMultiDict[str]:
    return CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])


def _scope(request: web.Request) -> _Message:
    """Write down a request as ASGI has it, with the user whom the gate found."""
    user = request.get(users.USER, "")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.rel_url.raw_path.encode(),
        # What tells a client where to send to begins with it.
        "root_path": request.get(wire.ROOT, ""),
        "query_string": request.rel_url.raw_query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": None,
        "server": None,
        # By it the SDK refuses what one user sends to the session of another.
        "user": AuthenticatedUser(AccessToken(token="", client_id=user, scopes=[])),
        USER: user,
    }
