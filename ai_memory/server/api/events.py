"""`GET /api/v1/events`: tells a browser that something changed, as server-sent events; what, it asks for itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from aiohttp import web

from ai_memory.memory.changes import Change
from ai_memory.memory.projects import Projects
from ai_memory.server.api.route import optional_project
from ai_memory.server.keys import MEMORY
from ai_memory.server.visitors import is_still_known

#: How often each reader's changes are looked at, and how often it hears at least something, in seconds.
_LOOK, _SIGN_OF_LIFE = 1.0, 15.0
_MOST_READERS = 200
#: When a browser comes back whose stream has ended, in milliseconds.
_BACK = 3000
#: A number has no more digits; `int` refuses longer texts with an error of its own.
_DIGITS = 19


class Readers:
    """The streams that are open; each ends at its deadline, which is now once the server ends."""

    def __init__(self) -> None:
        self._deadlines: set[asyncio.Timeout] = set()

    @property
    def are_too_many(self) -> bool:
        """Whether there is no room for another one."""
        return len(self._deadlines) >= _MOST_READERS

    async def read(self, request: web.Request, project_id: UUID | None) -> web.StreamResponse:
        """Tell a reader of changes, until it leaves or the server ends."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        try:
            async with asyncio.timeout(None) as deadline:
                self._deadlines.add(deadline)
                try:
                    await _tell(request, response, project_id)
                finally:
                    self._deadlines.discard(deadline)
        except (TimeoutError, ConnectionResetError):
            # The server ends, or the reader has left.
            pass
        return response

    async def end(self, _: web.Application) -> None:
        """End every stream: a browser keeps its one open for as long as it shows a page."""
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            deadline.reschedule(now)


READERS = web.AppKey("readers", Readers)


async def events(request: web.Request) -> web.StreamResponse:
    """Open a stream of what changes: everywhere, or in the project that the query names."""
    named = (request.query.get(name, "") for name in ("workspace", "project"))
    project = await asyncio.to_thread(optional_project, request.app[MEMORY], *named)
    readers = request.app[READERS]
    if readers.are_too_many:
        message = f"{_MOST_READERS} readers listen already: come back later"
        return web.json_response({"error": message}, status=503, headers={"Retry-After": "30"})
    return await readers.read(request, project.id if project else None)


async def _tell(request: web.Request, response: web.StreamResponse, project_id: UUID | None) -> None:
    memory, clock = request.app[MEMORY], asyncio.get_running_loop().time
    changes = memory.stores.changes
    said = request.headers.get("Last-Event-ID", "")
    number = int(said) if said.isascii() and said.isdigit() and len(said) <= _DIGITS else changes.newest
    await response.prepare(request)
    text, told = f"retry: {_BACK}\n", clock()
    while request.transport and not request.transport.is_closing() and is_still_known(request):
        number, found = changes.since(number)
        shown = _shown(found, memory.projects, project_id)
        text += "\n\n".join(f"event: changed\ndata: {json.dumps(each)}" for each in shown)
        if not text and clock() - told >= _SIGN_OF_LIFE:
            text = ": nothing new"
        if text:
            # The number comes last: whoever goes on from it has had all that is before it.
            await response.write(f"{text.rstrip()}\nid: {number}\n\n".encode())
            text, told = "", clock()
        await asyncio.sleep(_LOOK)


def _shown(
    changes: Sequence[Change], projects: Projects, project_id: UUID | None
) -> Iterator[Mapping[str, str | None]]:
    """Give the changes that a reader may hear of, with names; a project that is gone has none."""
    for change in changes:
        if change.project_id and project_id not in (None, change.project_id):
            continue
        project = projects.known(change.project_id) if change.project_id else None
        names = (project.workspace, project.name) if project else (None, None)
        yield {"workspace": names[0], "project": names[1], "what": change.what}
