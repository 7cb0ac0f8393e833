"""`/admin/search`: pages and sessions by what they say or mean. It creates nothing."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.memory import Memory
from ai_memory.memory.recall import Answer
from ai_memory.model.scope import Project
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY
from ai_memory.server.pages import page_id

#: Of so many projects at once.
_SCOPES = 25
DEGRADED = "X-Memory-Degraded"


async def search(request: web.Request) -> web.Response:
    """GET /admin/search: hits of some projects or of all, best first, as a bare array; a header says what it lacks."""
    found, hits = await _found(request)
    return web.json_response(hits, headers={DEGRADED: _printable(found.degraded)} if found.degraded else {})


async def answer(request: web.Request) -> web.Response:
    """POST /admin/search: the same hits, and what they say to the question in words, or why no model says it."""
    found, hits = await _found(request)
    question, at = request.query["q"], asked.moment(request.query, "at")
    told = await asyncio.to_thread(request.app[MEMORY].answers.to, question, found.hits, at)
    report: dict[str, object] = {"answer_unavailable": told.missing}
    if not told.missing:
        report = {"answer": {"text": told.text, "citations": [each.as_json() for each in told.citations]}}
    return web.json_response({**report, "hits": hits, **({"degraded": found.degraded} if found.degraded else {})})


async def _found(request: web.Request) -> tuple[Answer, list[dict[str, object]]]:
    """Search; gives what was found, and its hits as the wire has them."""
    memory, query = request.app[MEMORY], request.query
    if not query.get("q"):
        raise BadRequestError("q is missing: what to look for")
    projects = _projects(memory, request)
    at, limit = asked.moment(query, "at"), asked.limit(query, 10, 100)
    expired, explain = asked.switch(query, "expired"), asked.switch(query, "explain")
    found = await asyncio.to_thread(
        lambda: memory.recall.ask(query["q"], projects, limit=limit, at=at, expired=expired)
    )
    for hit in found.hits:
        if not at:
            memory.upkeep.reads.note(hit.project.id, hit.path)
    return found, [{"id": page_id(hit.project.id, hit.path), **hit.as_json(explain=explain)} for hit in found.hits]


def _printable(text: str) -> str:
    """Give a sentence as a header may hold it: a vendor's error can have anything in it."""
    return " ".join("".join(sign if " " <= sign <= "~" else "?" for sign in " ".join(text.split())).split())


def _projects(memory: Memory, request: web.Request) -> list[Project]:
    """Read where to look: `workspace` and `project`, or `scope=workspace/project` again and again; nothing is all."""
    one, scopes = asked.optional_project(memory, request.query), request.query.getall("scope", [])
    if one and scopes:
        raise BadRequestError("name workspace and project, or scopes, not both")
    if len(scopes) > _SCOPES:
        raise BadRequestError(f"at most {_SCOPES} scopes can be searched at once")
    named = [scope.partition("/") for scope in scopes]
    if any(not (workspace and project) for workspace, _, project in named):
        raise BadRequestError("a scope is written workspace/project")
    return [one] if one else [memory.projects.named(workspace, project) for workspace, _, project in named]


ROUTES = [web.get("/admin/search", search), web.post("/admin/search", answer)]
