"""Search: pages by what they say or mean, everywhere, in one project, or in several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_memory.errors import BadRequestError
from ai_memory.memory.memory import Memory
from ai_memory.memory.recall import Hit
from ai_memory.model.scope import Project
from ai_memory.server import asked
from ai_memory.server.api.parameters import Parameter, clamped, limit, text
from ai_memory.server.api.route import Ask, Route, optional_project, project_named
from ai_memory.server.api.shapes import many, named

#: Of so many projects at once.
_SCOPES = 25
_DEFAULT, _MOST = 10, 100


def _search(ask: Ask) -> object:
    values = ask.values
    scopes = [part for said in ask.query.get("scope", []) for part in said.split(",")] if "scope" in ask.query else None
    projects = _projects(ask.memory, values["workspace"], values["project"], None if scopes is None else _pairs(scopes))
    return _hits(ask.memory, values["q"] or values["query"], projects, values["limit"])


def _search_by_body(ask: Ask) -> object:
    body = ask.body
    scopes = body.get("scopes")
    if scopes is not None and not (isinstance(scopes, list) and all(isinstance(each, dict) for each in scopes)):
        raise BadRequestError("scopes must be a list of objects with a workspace and a project")
    pairs = None
    if scopes is not None:
        pairs = [(asked.text(each, "workspace"), asked.text(each, "project")) for each in scopes]
    projects = _projects(ask.memory, asked.text(body, "workspace"), asked.text(body, "project"), pairs)
    question = asked.text(body, "q") or asked.text(body, "query")
    return _hits(ask.memory, question, projects, _count(body.get("limit")))


def _count(said: Any) -> int:
    if said is None:
        return _DEFAULT
    if isinstance(said, bool) or not isinstance(said, int):
        raise BadRequestError("limit must be a whole number")
    return clamped(said, 1, _MOST)


def _pairs(scopes: Sequence[str]) -> list[tuple[str, str]]:
    named = [scope.split("/") for scope in scopes]
    if any(len(parts) != 2 for parts in named):
        raise BadRequestError("a scope is written workspace/project")
    return [(workspace, project) for workspace, project in named]


def _projects(
    memory: Memory, workspace: str, project: str, scopes: Sequence[tuple[str, str]] | None
) -> list[Project] | None:
    """Find where to look; None is everywhere."""
    if scopes is not None:
        if workspace or project:
            raise BadRequestError("name workspace and project, or scopes, not both")
        if len(scopes) > _SCOPES:
            raise BadRequestError(f"at most {_SCOPES} scopes can be searched at once")
        if any(not (each and other) for each, other in scopes):
            raise BadRequestError("each scope needs both, a workspace and a project")
        return [project_named(memory, *scope) for scope in scopes]
    one = optional_project(memory, workspace, project)
    return [one] if one else None


def _hits(memory: Memory, question: str, projects: list[Project] | None, count: int) -> object:
    # Who names no project at all, as a workspace without any does, does not mean all of them.
    if not question or projects == []:
        return []
    found = memory.recall.ask(question, projects or (), limit=count, pages_alone=True)
    return [_told(each) for each in found.hits]


def _told(hit: Hit) -> dict[str, object]:
    return {
        "workspace": hit.project.workspace,
        "project": hit.project.name,
        "path": hit.path,
        "title": hit.title,
        "kind": hit.kind,
        "snippet": hit.snippet,
        # Never "-0.0".
        "rank": -round(hit.score, 6) or 0.0,
    }


ROUTES = (
    Route(
        "/search",
        "search",
        "Pages that fit a question, best first: everywhere, or in the projects that are named. What says nothing finds "
        "nothing; snippets have <mark> around the words, and no other markup.",
        many(named("Hit")),
        _search,
        (
            text("q", "What to look for; `kind:`, `tag:`, `path:`, `since:` and `before:` narrow it."),
            text("query", "The same as q, where that is missing."),
            limit(_DEFAULT, _MOST),
            text("workspace", "With project: where to look."),
            text("project", "With workspace: where to look."),
            Parameter(
                "scope",
                f"Where to look, workspace/project; again or with commas for several, at most {_SCOPES}.",
                {"type": "string"},
            ),
        ),
        "private, max-age=30",
        can_be_missing=True,
    ),
    Route(
        "/search",
        "searchScopes",
        "The same, asked in a body: by scopes, or by workspace and project; no scopes at all find nothing.",
        many(named("Hit")),
        _search_by_body,
        method="POST",
        body=named("Search"),
        can_be_missing=True,
    ),
)
