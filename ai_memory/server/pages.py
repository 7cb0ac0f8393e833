"""`/admin` for pages: write, read, delete, and the way back in time. Reads create nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid5

from aiohttp import web

from ai_memory.capture.scope import New
from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Fields, Target, View, Written
from ai_memory.model.handoff import stamp
from ai_memory.model.page import writable_page_path
from ai_memory.model.scope import Project, Resolved
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY
from ai_memory.store.git import Commit
from ai_memory.store.page_index import Version, place_of

#: So many pages are named of a commit: a rename of a workspace touches thousands.
_NAMED = 20
#: Of so many hits the best that is a page of the project is read.
_LOOKED_AT = 20
REMAINS = "git history and backups keep it"


async def write_page(request: web.Request) -> web.Response:
    """POST /admin/write-page: write a page; the project is created when it is new."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    path = writable_page_path(asked.needed(body, "path"))
    content = asked.optional_text(body, "body")
    if content is None:
        raise BadRequestError("body is missing")
    fields = Fields(
        title=asked.optional_text(body, "title"),
        kind=asked.optional_text(body, "kind"),
        tier=asked.optional_text(body, "tier"),
        tags=None if body.get("tags") is None else asked.texts(body, "tags"),
        pinned=asked.optional_flag(body, "pinned"),
    )
    expected, create_only = asked.optional_text(body, "expected_revision"), asked.flag(body, "create_only")
    revive, writer, reason = asked.flag(body, "revive"), asked.writer(body), asked.text(body, "reason")
    routing = memory.projects.routing(asked.place(body))

    def write() -> tuple[Resolved, Written]:
        if isinstance(memory.projects.look_up(routing), New):
            memory.pages.check_new(path, content, fields, expected=expected)
        found = memory.projects.ensure(routing)
        return found, memory.pages.write(
            found.project,
            path,
            content,
            fields,
            writer,
            expected=expected,
            create_only=create_only,
            revive=revive,
            reason=reason,
        )

    found, written = await asyncio.to_thread(write)
    return web.json_response({**_written(found.project, written), "resolved_by": found.by})


async def read_page(request: web.Request) -> web.Response:
    """GET /admin/read-page: a page by its path, or the best one for a question; as it is, or as it was."""
    memory, query = request.app[MEMORY], request.query
    project = asked.project(memory, query)
    at, revision = asked.moment(query, "at"), query.get("revision", "")
    if bool(query.get("path")) == bool(query.get("q")):
        raise BadRequestError("name a page by path, or search for one by q")
    if at and revision:
        raise BadRequestError("revision and at exclude each other")

    def read() -> View:
        path = query.get("path", "") or best_page(memory, project, query["q"], at)
        view = memory.pages.read(project, path, revision=revision, at=at)
        if not (at or revision):
            memory.upkeep.reads.note(project.id, path)
        return view

    return web.json_response(_view(await asyncio.to_thread(read)))


def best_page(memory: Memory, project: Project, question: str, at: datetime | None = None) -> str:
    """Find the page of a project that fits a question best, as it is or as it was; gives its path.

    Raises:
        NotFoundError: none does.
    """
    hits = memory.recall.search(question, [project], limit=_LOOKED_AT, at=at)
    path = next((hit.path for hit in hits if hit.is_page and hit.project.id == project.id), "")
    if not path:
        raise NotFoundError(f"no page of {project.label} says anything of {question!r}")
    return path


async def delete_page(request: web.Request) -> web.Response:
    """POST /admin/delete-page: delete a page, or say what that would do; git keeps its history."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project, path = asked.existing(memory, body), asked.needed(body, "path")
    is_there, versions, links = await asyncio.to_thread(memory.pages.traces, project, path)
    remains = REMAINS if versions else "backups may keep it" if is_there else ""
    answer: dict[str, object] = {"path": path, "scope": project.label, "remains": remains}
    if not asked.confirmed(body, unsaid=True):
        answer |= {
            "dry_run": True,
            "deleted": False,
            "would_delete": is_there,
            "versions": versions,
            "backlinks": links,
        }
        return web.json_response(answer)
    writer, reason = asked.writer(body), asked.text(body, "reason")
    oid = await asyncio.to_thread(lambda: memory.pages.delete(project, path, writer, reason=reason))
    return web.json_response({**answer, "deleted": bool(oid), **({"checkpoint": oid} if oid else {})})


async def history(request: web.Request) -> web.Response:
    """GET /admin/history: the versions of a page, newest first, its deletions among them."""
    memory, query = request.app[MEMORY], request.query
    project, path = asked.project(memory, query), _path(query)
    versions = await asyncio.to_thread(memory.pages.history, project, path, asked.limit(query, 50, 1000))
    source = memory.pages.came_from(project, path)
    answer = {"path": path, "versions": [_version(each) for each in versions]}
    return web.json_response({**_place(project), **answer, "before": _place(source) if source else None})


async def diff(request: web.Request) -> web.Response:
    """GET /admin/diff: two revisions of a page compared; without `new`, one and the page as it is."""
    memory, query = request.app[MEMORY], request.query
    project, path = asked.project(memory, query), _path(query)
    old, new = query.get("old", ""), query.get("new", "")
    if not old:
        raise BadRequestError("old is missing: a revision of the page")
    text = await asyncio.to_thread(memory.pages.diff, project, path, old, new)
    return web.json_response({**_place(project), "path": path, "old": old, "new": new or None, "diff": text})


async def checkpoints(request: web.Request) -> web.Response:
    """GET /admin/checkpoints: the newest commits of the wiki, all projects together."""
    memory = request.app[MEMORY]
    commits = await asyncio.to_thread(memory.pages.checkpoints, asked.limit(request.query, 20, 100))
    labels = {str(project.id): project.label for project in memory.projects.all()}
    return web.json_response([_checkpoint(commit, labels) for commit in commits])


async def commit(request: web.Request) -> web.Response:
    """POST /admin/commit: commit everything as it is on disk."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    message = asked.text(body, "message") or "manual commit"
    oid, left_out = await asyncio.to_thread(memory.pages.commit_all, message, asked.writer(body))
    answer = {"committed": True, "oid": oid} if oid else {"committed": False, "reason": "nothing to commit"}
    named = [{"page": f"{each.project.label}/{each.path}", "reason": each.reason} for each in left_out]
    return web.json_response({**answer, **({"left_out": named} if named else {})})


async def restore_page(request: web.Request) -> web.Response:
    """POST /admin/restore-page: write a page as it was in a revision, as a new version."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project, path, revision = asked.existing(memory, body), asked.needed(body, "path"), asked.needed(body, "rev")
    path = writable_page_path(path)
    written = await asyncio.to_thread(memory.pages.restore, project, path, revision, asked.writer(body))
    return web.json_response({**_written(project, written), "restored_from": revision})


def _path(query: Mapping[str, str]) -> str:
    path = query.get("path", "")
    if not path:
        raise BadRequestError("path is missing: which page")
    return path


def _place(project: Project) -> dict[str, object]:
    return {"workspace": project.workspace, "project": project.name}


def page_id(project_id: UUID, path: str) -> str:
    """Give the wire's id of a page: the same for the same path, for ever. A page has no other than its path."""
    return str(uuid5(project_id, path))


def _written(project: Project, written: Written) -> dict[str, object]:
    return {
        "page_id": page_id(project.id, written.path),
        "path": written.path,
        "revision": written.revision,
        # As on the wire: only where there was something to commit.
        **({"checkpoint": written.revision} if written.changed else {}),
        "changed": written.changed,
        "created": written.created,
        "scope": project.label,
    }


def _view(view: View) -> dict[str, object]:
    version = view.version
    return {
        **_place(view.project),
        "page_id": page_id(view.project.id, view.path),
        "path": view.path,
        "title": view.title,
        "body": view.body,
        "frontmatter": json_safe(view.front),
        "text": view.text,
        "revision": version.revision if version else None,
        "committed_at": stamp(version.at) if version else None,
        "author": version.author if version else None,
        "pinned": view.pinned,
        "kind": view.kind,
        "tier": view.tier,
        "problem": view.problem,
        "links": [_target(each) for each in view.links],
        "backlinks": [_target(each) for each in view.backlinks],
        "backlink_count": view.backlink_count,
    }


def _target(target: Target) -> dict[str, object]:
    place = {"workspace": target.workspace or None, "project": target.project or None}
    return {**place, "path": target.path, "title": target.title, "exists": target.exists}


def _version(version: Version) -> dict[str, object]:
    return {
        "revision": version.revision,
        "at": stamp(version.at),
        "author": version.author,
        "email": version.email,
        "subject": version.subject,
        "deleted": not version.blob,
    }


def _checkpoint(commit: Commit, labels: Mapping[str, str]) -> dict[str, object]:
    places = [place for place in (place_of(change.path) for change in commit.changes) if place]
    return {
        "oid": commit.oid,
        "short_oid": commit.oid[:12],
        "time": int(commit.at.timestamp()),
        "summary": commit.subject,
        "author": commit.author[0],
        "pages": [f"{labels.get(project, project)}/{path}" for project, path in places[:_NAMED]],
        "page_count": len(places),
    }


def json_safe(value: object) -> object:
    """Give a value of front matter as JSON has it: YAML has dates, sets, bytes and keys of any type."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [json_safe(item) for item in value]
    # NaN and the infinities are no JSON either.
    is_plain = value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and value - value == 0)
    return value if is_plain else str(value)


ROUTES = [
    web.post("/admin/write-page", write_page),
    web.get("/admin/read-page", read_page),
    web.post("/admin/delete-page", delete_page),
    web.get("/admin/history", history),
    web.get("/admin/diff", diff),
    web.get("/admin/checkpoints", checkpoints),
    web.post("/admin/commit", commit),
    web.post("/admin/restore-page", restore_page),
]
