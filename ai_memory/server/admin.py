"""`/admin`: what the command line asks a running server. Errors are `{"error": …}`."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from aiohttp import web

from ai_memory.capture.scope import New
from ai_memory.client.agents import AGENTS, OTHER, agent_named
from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.drafts import Draft
from ai_memory.model.handoff import stamp
from ai_memory.model.packet import stored_form
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.server import asked
from ai_memory.server.keys import BIND, MEMORY, USERS


def report(app: web.Application) -> dict[str, Any]:
    """Say how the server is; it reads files."""
    return app[MEMORY].status(bind=app[BIND], warnings=app[USERS].warnings())


async def status(request: web.Request) -> web.Response:
    """GET /admin/status: the whole report."""
    return web.json_response(await asyncio.to_thread(report, request.app))


async def projects(request: web.Request) -> web.Response:
    """GET /admin/projects: names, identities, roots and page counts of all projects."""
    listing = await asyncio.to_thread(request.app[MEMORY].projects.listing)
    return web.json_response(
        {
            "projects": [
                {
                    "workspace_name": project.workspace,
                    "project_name": project.name,
                    "page_count": pages,
                    "last_updated": stamp(updated) if updated else None,
                    "identity": project.identity or None,
                    "roots": list(project.roots),
                }
                for project, pages, updated in listing
            ]
        }
    )


async def where(request: web.Request) -> web.Response:
    """GET /admin/where: the project that these routing parameters lead to; nothing is created."""
    projects = request.app[MEMORY].projects
    found = projects.look_up(projects.routing(request.query))
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
            "pages": str(projects.folder(project)),
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
    project = asked.optional_project(memory, query)
    if query.get("all") and query.get("session_id"):
        raise BadRequestError("all and session_id exclude each other")
    agent = query.get("agent", "")
    if agent and agent != OTHER.name:
        named = agent_named(agent)
        if named is OTHER:
            raise BadRequestError(f"{agent!r} is no agent: say one of {', '.join([*AGENTS, OTHER.name])}")
        agent = named.name
    sessions = await asyncio.to_thread(memory.unfinished, agent, project.id if project else None)
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
    project = asked.optional_project(memory, request.query)
    limit = asked.limit(request.query, 50, 500)
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
    memory, body = request.app[MEMORY], await asked.json_body(request)
    # Read before the project is made: a refusal makes none.
    begin = partial(
        memory.handoffs.begin,
        summary=asked.text(body, "summary"),
        open_questions=asked.texts(body, "open_questions"),
        next_steps=asked.texts(body, "next_steps"),
        files_touched=asked.texts(body, "files_touched"),
        to_agent=asked.text(body, "to_agent"),
        from_agent=asked.text(body, "from_agent"),
        packet_id=asked.text(body, "packet_id"),
    )
    if named := asked.text(body, "packet_id"):
        await asyncio.to_thread(memory.handoffs.check_packet, named)
    resolved = await asyncio.to_thread(memory.projects.ensure, memory.projects.routing(asked.place(body)))
    handoff = await asyncio.to_thread(begin, resolved.project)
    return web.json_response(
        {"handoff_id": str(handoff.id), "scope": resolved.project.label, "resolved_by": resolved.by}
    )


async def handoff_accept(request: web.Request) -> web.Response:
    """POST /admin/handoffs/accept: take the named handoff, or the best open one."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project = asked.existing(memory, body)
    named = asked.text(body, "handoff_id")
    handoff = await asyncio.to_thread(
        lambda: memory.handoffs.accept(
            project, handoff_id=asked.uuid(named) if named else None, by=asked.text(body, "agent"), session=None
        )
    )
    answer: dict[str, object] = {"handoff": handoff.as_json() if handoff else None, "scope": project.label}
    if handoff and asked.flag(body, "packet"):
        carried = await asyncio.to_thread(memory.handoffs.carried, handoff)
        answer["packet"] = json.loads(stored_form(carried.packet)) if carried.packet else None
        answer["packet_problem"] = carried.problem or None
    return web.json_response(answer)


async def draft(request: web.Request) -> web.Response:
    """GET /admin/packets/draft: the packet of the session named, else of the newest one where the caller is.

    It is what the session would leave now, at work or over; nothing is written.
    """
    memory, query = request.app[MEMORY], request.query
    found = memory.projects.look_up(memory.projects.routing(query))
    project = None if isinstance(found, New) else found.project

    def look() -> tuple[Project, Session, Draft]:
        if named := query.get("session", ""):
            home, session = memory.sessions.part(named, project)
        elif project:
            home, session = project, memory.sessions.newest(project)
        else:
            raise NotFoundError("nothing was recorded here yet: name the session, or go to its directory")
        return home, session, memory.sessions.draft(home, session)

    home, session, drafted = await asyncio.to_thread(look)
    return web.json_response(
        {
            "packet": json.loads(stored_form(drafted.packet)),
            "session_id": str(session.id),
            "scope": home.label,
            "path": drafted.path,
            "saved": drafted.change is None,
            "refused": list(drafted.refused),
        }
    )


async def handoff_cancel(request: web.Request) -> web.Response:
    """POST /admin/handoffs/cancel: withdraw an open handoff."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project = asked.existing(memory, body)
    handoff = await asyncio.to_thread(memory.handoffs.cancel, project, asked.uuid(asked.text(body, "handoff_id")))
    return web.json_response({"handoff_id": str(handoff.id), "state": handoff.state, "scope": project.label})


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
    web.get("/admin/packets/draft", draft),
]
