"""`/admin`: renames, moves and purges. What destroys or moves says with `dry_run` what it would do, or is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from ai_memory.errors import StorageError
from ai_memory.memory.memory import Memory
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY


async def rename_project(request: web.Request) -> web.Response:
    """POST /admin/rename-project {workspace, from, to}: the old name goes on leading to the project."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project = memory.projects.named(asked.needed(body, "workspace"), asked.needed(body, "from"))
    to = asked.needed(body, "to")
    return await _answer(lambda: memory.moves.rename_project(project, to, asked.writer(body)))


async def rename_workspace(request: web.Request) -> web.Response:
    """POST /admin/rename-workspace {from, to}: the old name goes on leading to the workspace."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    name, to = asked.needed(body, "from"), asked.needed(body, "to")
    return await _answer(lambda: memory.moves.rename_workspace(name, to, asked.writer(body)))


async def move_project(request: web.Request) -> web.Response:
    """POST /admin/move-project {from_workspace, project, to_workspace, confirm | dry_run, force?, on_conflict?}."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project = memory.projects.named(asked.needed(body, "from_workspace"), asked.needed(body, "project"))
    to, on_conflict = asked.needed(body, "to_workspace"), asked.text(body, "on_conflict") or "block"
    confirm, force = asked.confirmed(body), asked.flag(body, "force")
    return await _answer(
        lambda: memory.moves.move_project(
            project, to, asked.writer(body), confirm=confirm, force=force, on_conflict=on_conflict
        )
    )


async def move_session(request: web.Request) -> web.Response:
    """POST /admin/move-session {session_id, from_workspace?, from_project?, workspace?, project, confirm?, …}.

    Without `from_project` the session is moved from the one project that has it; unless `confirm` it is only shown.
    """
    memory, body = request.app[MEMORY], await asked.json_body(request)
    session = asked.uuid(asked.needed(body, "session_id"))
    if named := asked.text(body, "from_project"):
        source = memory.projects.named(asked.text(body, "from_workspace") or "default", named)
    else:
        source = await asyncio.to_thread(memory.moves.only_home, session)
    to, workspace = asked.needed(body, "project"), asked.text(body, "workspace")
    confirm, force, create = asked.confirmed(body, unsaid=False), asked.flag(body, "force"), asked.flag(body, "create")
    return await _answer(
        lambda: memory.moves.move_session(
            source, session, to, asked.writer(body), to_workspace=workspace, confirm=confirm, force=force, create=create
        )
    )


async def purge_session(request: web.Request) -> web.Response:
    """POST /admin/purge-session {workspace, project, session_id, confirm | dry_run, force?, history?, compact?}."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project, session = asked.existing(memory, body), asked.uuid(asked.needed(body, "session_id"))
    confirm, force, history = asked.confirmed(body), asked.flag(body, "force"), asked.flag(body, "history")
    return await _purged(
        memory,
        body,
        lambda: memory.purge.session(
            project, session, asked.writer(body), confirm=confirm, force=force, history=history
        ),
    )


async def purge_project(request: web.Request) -> web.Response:
    """POST /admin/purge-project {workspace, project, confirm | dry_run, force?, history?, compact?}."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project = asked.existing(memory, body)
    confirm, force, history = asked.confirmed(body), asked.flag(body, "force"), asked.flag(body, "history")
    return await _purged(
        memory,
        body,
        lambda: memory.purge.project(project, asked.writer(body), confirm=confirm, force=force, history=history),
    )


async def purge_page(request: web.Request) -> web.Response:
    """POST /admin/purge-page {workspace, project, path, confirm | dry_run}: the page, and all that git has of it."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project, path = asked.existing(memory, body), asked.needed(body, "path")
    confirm = asked.confirmed(body)
    return await _answer(lambda: memory.purge.page(project, path, asked.writer(body), confirm=confirm))


async def _purged(memory: Memory, body: Mapping[str, object], purge: Callable[[], dict[str, object]]) -> web.Response:
    """Purge, and take what went out of the free space of the databases if that is asked for as well."""
    compact = asked.flag(body, "compact")

    def work() -> dict[str, object]:
        report = purge()
        compacted = compact and not report["dry_run"]
        if compacted:
            try:
                memory.upkeep.compact()
            except StorageError as error:
                raise StorageError(f"everything is purged, but not compacted: {error}") from error
        return {**report, "compacted": compacted}

    return await _answer(work)


async def _answer(work: Callable[[], dict[str, object]]) -> web.Response:
    return web.json_response(await asyncio.to_thread(work))


ROUTES = [
    web.post("/admin/rename-project", rename_project),
    web.post("/admin/rename-workspace", rename_workspace),
    web.post("/admin/move-project", move_project),
    web.post("/admin/move-session", move_session),
    web.post("/admin/purge-session", purge_session),
    web.post("/admin/purge-project", purge_project),
    web.post("/admin/purge-page", purge_page),
]
