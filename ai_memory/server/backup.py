"""`POST /admin/backup` and `/admin/export-okf`: the durable data, or one project, as an archive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import IO
from urllib.parse import quote

from aiohttp import web

from ai_memory.server import asked
from ai_memory.server.keys import MEMORY

_CHUNK = 1 << 20
#: So many pages are named of what an export left out.
_NAMED = 20


async def backup(request: web.Request) -> web.StreamResponse:
    """POST /admin/backup: everything that is durable, tar.gz."""
    archive = await asyncio.to_thread(request.app[MEMORY].backup)
    return await _send(request, archive, {"Content-Disposition": 'attachment; filename="backup.tar.gz"'})


async def export_okf(request: web.Request) -> web.StreamResponse:
    """POST /admin/export-okf: a project as an Open Knowledge Format bundle, tar.gz."""
    memory = request.app[MEMORY]
    project = asked.project(memory, request.query)
    skip_broken = request.query.get("skip_broken") == "true"
    bundle = await asyncio.to_thread(lambda: memory.export(project, skip_broken=skip_broken))
    more = len(bundle.left_out) - _NAMED
    left_out = bundle.left_out[:_NAMED] + ([f"and {more} more"] if more > 0 else [])
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(bundle.name)}",
        # In ASCII, because a page's path may hold any letter.
        "X-Memory-Pages": str(bundle.pages),
        "X-Memory-Left-Out": json.dumps(left_out),
    }
    return await _send(request, bundle.archive, headers)


async def _send(request: web.Request, archive: IO[bytes], headers: Mapping[str, str]) -> web.StreamResponse:
    """Answer with an archive that is made already, so that what goes wrong with it was a plain error."""
    with archive:
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/gzip"
        response.content_length = await asyncio.to_thread(archive.seek, 0, 2)
        await asyncio.to_thread(archive.seek, 0)
        await response.prepare(request)
        while chunk := await asyncio.to_thread(archive.read, _CHUNK):
            await response.write(chunk)
        await response.write_eof()
    return response


ROUTES = [web.post("/admin/backup", backup), web.post("/admin/export-okf", export_okf)]
