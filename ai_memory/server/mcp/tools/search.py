"""Tools that find: by words or meaning, by what changed last, and how much there is to be found."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AliasChoices, Field

from ai_memory.errors import BadRequestError
from ai_memory.memory.answers import Told
from ai_memory.memory.recall import Hit
from ai_memory.model.handoff import stamp, unfenced
from ai_memory.model.scope import GLOBAL_PROJECT
from ai_memory.server import asked
from ai_memory.server.mcp.tool import Arguments, Caller, InProject, Tool, fenced, scope_of
from ai_memory.server.pages import page_id

_LIMIT = 100
_SCOPES = 25
_QUERY = 10_000
#: Our streams as the wire calls them.
_STREAMS = {"pages": "fts", "sessions": "fts", "turns": "fts", "vectors": "vector"}


class Scope(Arguments):
    """A project by its names."""

    workspace: str = Field(min_length=1, max_length=255, description="Its workspace.")
    project: str = Field(min_length=1, max_length=255, description="Its name.")


class Query(InProject):
    """What `memory_query` takes."""

    query: str = Field(
        validation_alias=AliasChoices("query", "q", "search"),
        min_length=1,
        max_length=_QUERY,
        description="Words or a question. Filters: path: kind: tag: since: before:",
    )
    limit: int = Field(
        10, validation_alias=AliasChoices("limit", "n", "top_k"), description="How many hits, from 1 to 100."
    )
    scopes: list[Scope] = Field([], max_length=_SCOPES, description="Several projects, instead of one.")
    everywhere: bool = Field(False, validation_alias="global", description="Search all projects.")
    include_expired: bool = Field(False, description="Also pages whose time is over.")
    as_of: str = Field("", max_length=100, description="Search the pages as they were then: a date, or RFC 3339.")
    explain: bool = Field(False, description="Say how each hit got its rank.")
    answer: bool = Field(False, description="Also answer in words, with citations, where the user switched that on.")


class Recent(InProject):
    """What `memory_recent` takes."""

    limit: int = Field(10, validation_alias=AliasChoices("limit", "n"), description="How many pages, from 1 to 100.")


def query(caller: Caller, asks: Query) -> Mapping[str, object]:
    """Find pages and sessions of one project, of some, or of all."""
    if (asks.workspace or asks.project or asks.scopes) and asks.everywhere:
        raise BadRequestError("global is all projects: leave out workspace, project and scopes, or global")
    if (asks.workspace or asks.project) and asks.scopes:
        raise BadRequestError("name one project by workspace and project, or several in scopes, not both")
    memory = caller.memory
    scope = None if asks.scopes or asks.everywhere else caller.find(asks)
    projects = [scope.project] if scope else [memory.projects.named(s.workspace, s.project) for s in asks.scopes]
    at = asked.moment({"as_of": asks.as_of}, "as_of")
    answer = memory.recall.ask(asks.query, projects, limit=_clamped(asks.limit), at=at, expired=asks.include_expired)
    told = answered(memory.answers.to(asks.query, answer.hits, at)) if asks.answer else {}
    hits: list[dict[str, object]] = []
    everywhere: list[dict[str, object]] = []
    for hit in answer.hits:
        if at is None:
            memory.upkeep.reads.note(hit.project.id, hit.path)
        # What holds everywhere is found beside every project, and told apart from it.
        is_of_all = bool(projects) and hit.project.name == GLOBAL_PROJECT and hit.project not in projects
        (everywhere if is_of_all else hits).append(hit_json(hit, explain=asks.explain))
    found: dict[str, object] = {"hits": hits}
    if asks.everywhere:
        names = ({"workspace_name": hit["workspace"], "project_name": hit["project"]} for hit in hits)
        found = {"hits": [], "global_hits": [{**name, **hit} for name, hit in zip(names, hits, strict=True)]}
    if everywhere:
        found["global_scope_hits"] = everywhere
    if answer.streams:
        found["streams_active"] = list(dict.fromkeys(_STREAMS[stream] for stream in answer.streams))
    if answer.degraded:
        found["degraded"] = answer.degraded
    return {**told, **found, **({"scope": scope_of(scope)} if scope else {})}


def answered(told: Told) -> dict[str, object]:
    """Give an answer as the wire has it, or why there is none; a model made it of what others wrote."""
    if told.missing:
        return {"answer_unavailable": told.missing}
    citations = [
        {**each.as_json(), "path": unfenced(each.hit.path), "quote": fenced(each.quote)} for each in told.citations
    ]
    return {"answer": {"text": fenced(told.text), "citations": citations}}


def recent(caller: Caller, asks: Recent) -> Mapping[str, object]:
    """List the pages of a project that changed last."""
    scope = caller.find(asks)
    changed = caller.memory.recall.recent(scope.project, _clamped(asks.limit))
    hits = [{**hit_json(hit), "rank": int(at.timestamp() * 1e6), "updated_at": stamp(at)} for hit, at in changed]
    return {"hits": hits, "scope": scope_of(scope)}


def status(caller: Caller, asks: InProject) -> Mapping[str, object]:
    """Say how much a project holds, and what waits for somebody."""
    scope = caller.find(asks)
    memory = caller.memory
    return {"counts": memory.briefing.counts(scope.project), "warnings": memory.troubles(), "scope": scope_of(scope)}


def _clamped(limit: int) -> int:
    return min(max(limit, 1), _LIMIT)


def hit_json(hit: Hit, *, explain: bool = False) -> dict[str, object]:
    """Give a hit as the wire has it; what it quotes is somebody's text."""
    texts = {"title": unfenced(hit.title), "heading": unfenced(hit.heading), "snippet": fenced(hit.snippet)}
    return {"id": page_id(hit.project.id, hit.path), **hit.as_json(explain=explain), **texts}


TOOLS = (
    Tool(
        "memory_query",
        "Search the memory",
        "Find pages and past sessions by words or meaning. Call it before you call something unknown, redo work or "
        "reopen a decision. Gives ranked hits with quotes; open one with memory_read_page.",
        Query,
        query,
        reads=True,
        always=True,
    ),
    Tool(
        "memory_recent",
        "What changed last",
        "List the pages of a project that changed last, newest first. For what is new, not for finding something.",
        Recent,
        recent,
        reads=True,
    ),
    Tool(
        "memory_status",
        "What the memory holds",
        "Say which project answers here, how much it holds, and what is wrong with the memory.",
        InProject,
        status,
        reads=True,
    ),
)
