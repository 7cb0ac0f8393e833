"""A front end of one's own (`web_ui_dir`): its files, and its `index.html` for every other path below the slug.

The shell holds no data, so it is open to everybody; what it asks for under `/api/v1` is not.
"""

from __future__ import annotations

import asyncio
import re
from html import escape
from pathlib import Path

from aiohttp import web

from ai_memory.server import wire
from ai_memory.server.keys import ADDRESSES, UI

#: What stands before the real `<head>` may hold another one in a comment.
_COMMENT_OR_HEAD = re.compile(r"<!--.*?-->|(<head(?:\s[^>]*)?>)", re.DOTALL | re.IGNORECASE)


async def answer(request: web.Request) -> web.StreamResponse:
    """GET below the slug: a file of the front end, else its shell."""
    folder = Path(request.app[UI])
    name = wire.path_of(request).removeprefix(request.app[ADDRESSES].slug).strip("/")

    def found() -> Path | None:
        # What begins with a dot is the builder's own: .git, .env.
        if "\0" in name or name in ("", "index.html") or any(part.startswith(".") for part in name.split("/")):
            return None
        file = (folder / name).resolve()
        try:
            # A link inside of the folder may lead to anywhere on the disk.
            return file if file.is_relative_to(folder.resolve()) and file.is_file() else None
        except OSError:
            # A name that no disk takes is that of a page.
            return None

    if file := await asyncio.to_thread(found):
        return web.FileResponse(file, headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"})
    text = await asyncio.to_thread((folder / "index.html").read_text, "utf-8-sig")
    at = request.app[ADDRESSES]
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache"}
    return web.Response(body=injected(text, at.base, at.slug).encode(), headers=headers)


def injected(text: str, base: str, slug: str) -> str:
    """Say in a shell where it is: right behind its `<head>`, so that what follows is found from there."""
    said = f'<base href="{escape(base + slug)}/"><meta name="ai-memory-base-path" content="{escape(base)}">'
    for found in _COMMENT_OR_HEAD.finditer(text):
        if found[1]:
            return text[: found.end()] + said + text[found.end() :]
    return said + text
