"""`POST /admin/backup`: the durable data as one archive."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ai_memory.memory.backup import save
from ai_memory.server.keys import MEMORY

_CHUNK = 1 << 20


async def backup(request: web.Request) -> web.StreamResponse:
    """Answer with a tar.gz; it is made before the first byte, so that what goes wrong is a plain error."""
    memory = request.app[MEMORY]
    archive = await asyncio.to_thread(save, memory.settings.data_dir, memory.stores)
    try:
        response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="backup.tar.gz"'})
        response.content_type = "application/gzip"
        response.content_length = await asyncio.to_thread(archive.seek, 0, 2)
        await asyncio.to_thread(archive.seek, 0)
        await response.prepare(request)
        while chunk := await asyncio.to_thread(archive.read, _CHUNK):
            await response.write(chunk)
        await response.write_eof()
    finally:
        archive.close()
    return response


ROUTES = [web.post("/admin/backup", backup)]
