"""`POST /admin/embed`: vectors on demand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from aiohttp import web

from ai_memory.errors import AiMemoryError, BadRequestError, NotFoundError
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY


async def embed(request: web.Request) -> web.Response:
    """POST /admin/embed: embed what waits in a project, or in all of a workspace; `seconds` ends it early."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    if asked.flag(body, "all_projects"):
        workspace = asked.needed(body, "workspace")
        projects = [each.id for each in memory.projects.all() if each.workspace.casefold() == workspace.casefold()]
        if not projects:
            raise NotFoundError(f"there is no project in a workspace {workspace}")
    else:
        projects = [asked.existing(memory, body).id]
    seconds = body.get("seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0):
        raise BadRequestError("seconds must be a number above 0")
    work = partial(
        memory.embedding.embed,
        projects,
        reembed=asked.flag(body, "reembed"),
        dry_run=asked.flag(body, "dry_run"),
        seconds=seconds,
    )
    answer: Future[dict[str, object]] = Future()
    # A daemon: a vendor that hangs must not keep the server from ending.
    threading.Thread(target=_answered, args=(work, answer), name="embed", daemon=True).start()
    return web.json_response(await asyncio.wrap_future(answer))


def _answered(work: Callable[[], dict[str, object]], answer: Future[dict[str, object]]) -> None:
    # Nobody waits any more where this cannot begin; and it cannot be taken back once it has.
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(work())
    except BaseException as error:
        answer.set_exception(error)
        if not isinstance(error, AiMemoryError):
            raise


ROUTES = [web.post("/admin/embed", embed)]
