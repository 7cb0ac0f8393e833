"""What models were asked and what that cost, the work that asks them, and the narratives that they keep."""

from __future__ import annotations

import asyncio
from uuid import UUID

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.memory import Memory
from ai_memory.model.handoff import stamp
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY
from ai_memory.store.jobs import STATES, Job

#: Who waits for a job looks this often, and so many times.
_LOOK_SECONDS, _LOOKS = 0.1, 3_000


async def usage(request: web.Request) -> web.Response:
    """GET /admin/llm-usage: the calls of this month by purpose, model and outcome, and the budget."""
    return web.json_response(await asyncio.to_thread(request.app[MEMORY].models.usage))


async def jobs(request: web.Request) -> web.Response:
    """GET /admin/jobs: jobs, those of one state or all, the last changed first; and how many there are."""
    memory, query = request.app[MEMORY], request.query
    state, limit = query.get("state", ""), asked.limit(query, 50, 500)
    if state and state not in STATES:
        raise BadRequestError(f"there is no state {state!r} of jobs: say one of {', '.join(STATES)}")

    def look() -> dict[str, object]:
        found = memory.jobs.latest([state] if state else STATES, limit)
        return {"jobs": [job_report(memory, job) for job in found], "counts": memory.jobs.counts()}

    return web.json_response(await asyncio.to_thread(look))


async def retry(request: web.Request) -> web.Response:
    """POST /admin/jobs/retry: let a job that failed or rests be done at once."""
    memory, job_id = request.app[MEMORY], await _named(request)
    return web.json_response(job_report(memory, await asyncio.to_thread(memory.jobs.retry, job_id)))


async def drop(request: web.Request) -> web.Response:
    """POST /admin/jobs/drop: give a job up."""
    memory, job_id = request.app[MEMORY], await _named(request)
    return web.json_response(job_report(memory, await asyncio.to_thread(memory.jobs.drop, job_id)))


async def narrative(request: web.Request) -> web.Response:
    """GET /admin/narrative: how far the narrative of a project goes, and what an update would ask."""
    memory = request.app[MEMORY]
    project = asked.project(memory, request.query)

    def look() -> dict[str, object]:
        coverage = memory.narratives.coverage(project)
        questions, tokens = memory.narratives.estimate(project, coverage)
        return {
            "scope": project.label,
            "path": NARRATIVE_PAGE if coverage.exists else None,
            "kept_by_a_model": coverage.exists and not coverage.taken,
            "taken": coverage.taken or None,
            "sessions_covered": coverage.covered,
            "sessions_behind": [{"session_id": str(each.id), "title": each.title} for each in coverage.stale],
            "questions": questions,
            "estimated_tokens": tokens,
        }

    return web.json_response(await asyncio.to_thread(look))


async def update_narrative(request: web.Request) -> web.Response:
    """POST /admin/narrative: have the narrative of a project brought up to date, or begun; gives the job."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project = asked.existing(memory, body)
    job = await asyncio.to_thread(memory.narratives.begin, project, asked=True)
    return web.json_response(job_report(memory, job))


def job_report(memory: Memory, job: Job) -> dict[str, object]:
    """Give a job as the wire has it."""
    project = memory.projects.known(job.project_id)
    return {
        "id": str(job.id),
        "kind": job.kind,
        "scope": project.label if project else None,
        "session_id": str(job.session_id) if job.session_id else None,
        "state": job.state,
        "asked": job.asked,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "error": job.error or None,
        "outcome": dict(job.outcome) or None,
        "not_before": stamp(job.not_before),
        "made_at": stamp(job.made_at),
        "updated_at": stamp(job.updated_at),
    }


async def when_over(memory: Memory, job: Job) -> Job:
    """Wait until a job is over or rests, without a thread; gives it as it is then, or after some minutes."""
    for _ in range(_LOOKS):
        job = await asyncio.to_thread(memory.jobs.wait, job, 0)
        if not memory.jobs.is_moving(job):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return job


async def _named(request: web.Request) -> UUID:
    named = asked.needed(await asked.json_body(request), "id")
    try:
        return UUID(named)
    except ValueError:
        raise BadRequestError(f"{named!r} is no id of a job: `ai-memory jobs list` lists them") from None


ROUTES = [
    web.get("/admin/llm-usage", usage),
    web.get("/admin/jobs", jobs),
    web.post("/admin/jobs/retry", retry),
    web.post("/admin/jobs/drop", drop),
    web.get("/admin/narrative", narrative),
    web.post("/admin/narrative", update_narrative),
]
