"""`POST /admin/lint` and `GET /admin/briefing`: what is wrong with a project's pages, and how the project stands."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ai_memory.memory.lint import Report
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY
from ai_memory.server.models import when_over
from ai_memory.store.jobs import Job


async def lint(request: web.Request) -> web.Response:
    """POST /admin/lint: look at the pages of a project, and bring its report page up to date.

    By rules, and where there is a model it is asked for contradictions first, unless `no_llm` or `dry_run` is said.
    """
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project, dry_run = asked.existing(memory, body), asked.flag(body, "dry_run")
    compared: dict[str, object] = {}
    if not (asked.flag(body, "no_llm") or dry_run or memory.models.chat is None):
        job = await asyncio.to_thread(memory.contradictions.begin, project)
        compared = {"model": model_report(await when_over(memory, job))}
    if dry_run:
        report = Report(await asyncio.to_thread(memory.lint.look, project), "")
    else:
        report = await asyncio.to_thread(memory.lint.run, project)
    return web.json_response({**lint_report(report), **compared, "dry_run": dry_run, "scope": project.label})


async def briefing(request: web.Request) -> web.Response:
    """GET /admin/briefing: how a project stands, with the pages that changed last."""
    memory, query = request.app[MEMORY], request.query
    project, limit = asked.project(memory, query), asked.limit(query, 10, 100)
    snapshot = await asyncio.to_thread(memory.briefing.of, project, limit)
    return web.json_response({**snapshot.as_json(), "scope": project.label})


def lint_report(report: Report) -> dict[str, object]:
    """Give the wire's LintReport, and the page that lists the warnings."""
    return {"findings": [each.as_json() for each in report.findings], "report": report.page or None}


def model_report(job: Job) -> dict[str, object]:
    """Say how far a model was asked for contradictions: how many pairs of pages it compared, or why it did not."""
    is_done = job.state == "done"
    problem = None if is_done else job.error or "it is under way, and what it finds is in the next report"
    return {"job_id": str(job.id), "pairs": job.outcome.get("pairs", 0), "problem": problem}


ROUTES = [
    web.post("/admin/lint", lint),
    web.get("/admin/briefing", briefing),
]
