"""The reference of `bin/bench ingest`: the least an aiohttp server must do to take events durably.

Parse the JSON, eight scrub patterns, append to one file, one sync for all that wait, answer. No mapping, no
scope, no sessions, no keys.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys

from aiohttp import web

PATTERNS = [
    re.compile(pattern)
    for pattern in (
        r"sk-[A-Za-z0-9_-]{16,}",
        r"gh[pousr]_[A-Za-z0-9]{20,}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}",
        r"xox[abprs]-[A-Za-z0-9-]{10,}",
        r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
        r"(?i)bearer\s+[\w.~+/-]{16,}",
        r"[a-z]+://[^/\s:]+:[^/\s@]+@",
        r"(?i)[A-Z_]*(?:KEY|TOKEN|SECRET|PASSWORD)\s*[=:]\s*\S+",
    )
]


def scrubbed(value: object) -> object:
    """Scrub every text inside a JSON value."""
    if isinstance(value, str):
        for pattern in PATTERNS:
            value = pattern.sub("[REDACTED]", value)
        return value
    if isinstance(value, dict):
        return {key: scrubbed(item) for key, item in value.items()}
    return [scrubbed(item) for item in value] if isinstance(value, list) else value


class Log:
    """One append-only file; a sync serves everybody who waits."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self.task: asyncio.Task[None] | None = None

    async def append(self, data: bytes) -> None:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((data, future))
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.flush())
        await future

    async def flush(self) -> None:
        while self.waiting:
            group, self.waiting = self.waiting, []
            await asyncio.to_thread(self.write, b"".join(data for data, _ in group))
            for _, future in group:
                future.set_result(None)

    def write(self, data: bytes) -> None:
        os.write(self.descriptor, data)
        os.fdatasync(self.descriptor)


def app(path: str) -> web.Application:
    """Build the reference server."""
    log = Log(path)

    async def hook(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        await log.append(json.dumps(scrubbed(body)).encode() + b"\n")
        return web.Response(text="queued", status=202)

    async def batch(request: web.Request) -> web.Response:
        items = json.loads(await request.read())
        await log.append(b"".join(json.dumps(scrubbed(item["body"])).encode() + b"\n" for item in items))
        return web.json_response({"accepted": len(items)})

    application = web.Application(client_max_size=10 * 1024 * 1024)
    application.add_routes([web.post("/hook", hook), web.post("/hook/batch", batch)])
    return application


if __name__ == "__main__":
    web.run_app(app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
