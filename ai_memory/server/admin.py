"""`/admin`: what the command line asks a running server. Errors are `{"error": …}`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from ai_memory.capture.scope import New
from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.memory import Memory
from ai_memory.model.handoff import stamp
from ai_memory.model.scope import Project
from ai_memory.server.keys import BIND, MEMORY


async def status(request: web.Request) -> web.Response:
    """GET /admin/status: the whole report."""
    report = await asyncio.to_thread(request.app[MEMORY].status, bind=request.app[BIND])
    return web.json_response(report)


async def projects(request: web.Request) -> web.Response:
    """GET /admin/projects: names, identities and roots of all projects."""
    rows = [
        {
            "workspace_name": project.workspace,
            "project_name": project.name,
            "identity": project.identity or None,
            "roots": list(project.roots),
        }
        for project in request.app[MEMORY].projects.all()
    ]
    return web.json_response({"projects": sorted(rows, key=lambda row: (row["workspace_name"], row["project_name"]))})


async def where(request: web.Request) -> web.Response:
    """GET /admin/where: the project that these routing parameters lead to; nothing is created."""
    found = request.app[MEMORY].projects.look_up(request.app[MEMORY].projects.routing(request.query))
    if isinstance(found, New):
        answer = {
            "workspace": found.workspace,
            "project": found.name,
            "resolved_by": found.by,
            "exists": False,
        }
    else:
        project = found.project
        answer = {
            "workspace": project.workspace,
            "project": project.name,
            "resolved_by": found.by,
            "exists": True,
            "pages": str(request.app[MEMORY].stores.wiki.folder(project)),
        }
    return web.json_response(answer)


async def self_test(request: web.Request) -> web.Response:
    """GET /admin/self-test?nonce=…: whether a test event of an installed hook has arrived."""
    arrived = request.app[MEMORY].intake.self_tests.get(request.query.get("nonce", ""))
    if arrived is None:
        raise NotFoundError("no test event with this nonce has arrived")
    return web.json_response({"arrived": True, "at": stamp(arrived)})


async def open_sessions(request: web.Request) -> web.Response:
    """GET /admin/open-sessions: sessions that were not closed, newest first."""
    memory = request.app[MEMORY]
    query = request.query
    project = _project(memory, query) if query.get("project") else None
    if query.get("all") and query.get("session_id"):
        raise BadRequestError("all and session_id exclude each other")
    sessions = await asyncio.to_thread(memory.unfinished, query.get("agent", ""), project.id if project else None)
    wanted = query.get("session_id")
    rows = [
        {"session_id": str(session.id), "cwd": session.cwd, "agent": session.agent, "title": session.title}
        for session in sessions
        if wanted in (None, str(session.id))
    ]
    return web.json_response({"sessions": rows if query.get("all") or wanted else rows[:1]})


async def handoffs(request: web.Request) -> web.Response:
    """GET /admin/handoffs: open handoffs, oldest first, without their content."""
    memory = request.app[MEMORY]
    project = _project(memory, request.query) if request.query.get("project") else None
    limit = _limit(request.query.get("limit", "50"), 500)
    rows = await asyncio.to_thread(memory.handoffs.open, project, limit)
    return web.json_response(
        {
            "handoffs": [
                {
                    "id": str(row.id),
                    "scope": memory.projects.get(row.project_id).label,
                    "from_agent": row.from_agent,
                    "from_session_id": str(row.from_session) if row.from_session else None,
                    "to_agent": row.to_agent or None,
                    "cwd": row.cwd or None,
                    "created_at_ms": int(row.created_at.timestamp() * 1000),
                }
                for row in rows
            ]
        }
    )


async def handoff_begin(request: web.Request) -> web.Response:
    """POST /admin/handoffs/begin: leave a handoff; the project is created when it is new."""
    memory, body = request.app[MEMORY], await _body(request)
    resolved = await asyncio.to_thread(memory.projects.ensure, memory.projects.routing(_texts(body.get("routing", {}))))
    handoff = await asyncio.to_thread(
        lambda: memory.handoffs.begin(
            resolved.project,
            summary=_text(body, "summary"),
            open_questions=_list(body, "open_questions"),
            next_steps=_list(body, "next_steps"),
            files_touched=_list(body, "files_touched"),
            to_agent=_text(body, "to_agent"),
            from_agent=_text(body, "from_agent"),
        )
    )
    return web.json_response(
        {"handoff_id": str(handoff.id), "scope": resolved.project.label, "resolved_by": resolved.by}
    )


async def handoff_accept(request: web.Request) -> web.Response:
    """POST /admin/handoffs/accept: take the named handoff, or the best open one."""
    memory, body = request.app[MEMORY], await _body(request)
    project = _existing(memory, body)
    named = _text(body, "handoff_id")
    handoff = await asyncio.to_thread(
        lambda: memory.handoffs.accept(
            project, handoff_id=_uuid(named) if named else None, by=_text(body, "agent"), session=None
        )
    )
    return web.json_response({"handoff": handoff.as_json() if handoff else None, "scope": project.label})


async def handoff_cancel(request: web.Request) -> web.Response:
    """POST /admin/handoffs/cancel: withdraw an open handoff."""
    memory, body = request.app[MEMORY], await _body(request)
    project = _existing(memory, body)
    handoff = await asyncio.to_thread(memory.handoffs.cancel, project, _uuid(_text(body, "handoff_id")))
    return web.json_response({"handoff_id": str(handoff.id), "state": handoff.state, "scope": project.label})


def _project(memory: Memory, query: Mapping[str, str]) -> Project:
    if not query.get("workspace") or not query.get("project"):
        raise BadRequestError("name both, workspace and project, or neither")
    return memory.projects.named(query["workspace"], query["project"])


def _existing(memory: Memory, body: Mapping[str, Any]) -> Project:
    found = memory.projects.look_up(memory.projects.routing(_texts(body.get("routing", {}))))
    if isinstance(found, New):
        raise NotFoundError(f"there is no project {found.workspace}/{found.name} yet: nothing was recorded for it")
    return found.project


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key) or ""
    if not isinstance(value, str):
        raise BadRequestError(f"{key} must be a text")
    return _whole(value)


def _list(body: Mapping[str, Any], key: str) -> list[str]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRequestError(f"{key} must be a list of texts")
    return [_whole(item) for item in value]


def _whole(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can hold and no database takes."""
    return text.encode("utf-8", "replace").decode()


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadRequestError("routing must be an object of texts")
    return value


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequestError(f"{text!r} is not an id (a UUID, as `ai-memory handoffs` lists them)") from None


def _limit(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= most:
        raise BadRequestError(f"limit must be a number from 1 to {most}")
    return int(text)


ROUTES = [
    web.get("/admin/status", status),
    web.get("/admin/projects", projects),
    web.get("/admin/where", where),
    web.get("/admin/self-test", self_test),
    web.get("/admin/open-sessions", open_sessions),
    web.get("/admin/handoffs", handoffs),
    web.post("/admin/handoffs/begin", handoff_begin),
    web.post("/admin/handoffs/accept", handoff_accept),
    web.post("/admin/handoffs/cancel", handoff_cancel),
]
