"""`/admin/auto-improve` and `/admin/pending-writes`: what a model proposes to write down, and the decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from ai_memory.compile.improve import LEAST_CONFIDENCE
from ai_memory.errors import BadRequestError
from ai_memory.memory.bootstrapping import UnansweredError
from ai_memory.memory.improvement import MOST_PROPOSALS, ProposalConflictError
from ai_memory.memory.memory import Memory
from ai_memory.model.scope import Project
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY
from ai_memory.server.models import when_over
from ai_memory.server.pages import page_id
from ai_memory.store.jobs import Job
from ai_memory.store.proposals import STATUSES, Staged

_REJECTED = "rejected by reviewer"
#: What reviews took once: one that was only shown, and two that were not kept.
_GONE = ("dry_run", "stage", "mode")


async def review(request: web.Request) -> web.Response:
    """POST /admin/auto-improve: have a session reviewed, and wait for it; what is proposed waits for a decision."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    if gone := [key for key in _GONE if key in body]:
        raise BadRequestError(f"{gone[0]} is no option any more: what becomes of proposals is for the settings to say")
    project, named = asked.existing(memory, body), asked.needed(body, "session_id")
    least, most = _confidence(body), asked.number(body, "max_proposals", MOST_PROPOSALS)
    session = await asyncio.to_thread(memory.improvement.session, project, named)
    begin = partial(memory.improvement.begin, session, least_confidence=least, most=most)
    job = await when_over(memory, await asyncio.to_thread(begin))
    # One without an outcome was purged of what it said.
    if job.state != "done" or not job.outcome:
        raise _unanswered(job)
    return web.json_response(await asyncio.to_thread(_review_report, memory, project, job))


async def pending_writes(request: web.Request) -> web.Response:
    """GET /admin/pending-writes: the proposals of a project, those of one status or all, the newest first."""
    memory, query = request.app[MEMORY], request.query
    project, limit, status = asked.project(memory, query), asked.limit(query, 50, 200), query.get("status", "")
    if status and status not in STATUSES:
        raise BadRequestError(f"there is no status {status!r} of proposals: say one of {', '.join(STATUSES)}")
    found = await asyncio.to_thread(memory.improvement.latest, project, status, limit)
    return web.json_response([_summary(project, each) for each in found])


async def show(request: web.Request) -> web.Response:
    """GET /admin/pending-writes/{id}: a proposal, with what it rests on."""
    project, proposal_id = _named(request)
    found = await asyncio.to_thread(request.app[MEMORY].improvement.named, project, proposal_id)
    return web.json_response(
        {
            "summary": _summary(project, found),
            "session_id": str(found.session_id),
            "rationale": found.rationale,
            "evidence": [{"page": page, "quote": quote} for page, quote in found.evidence],
            "body_markdown": found.body,
            # A proposal is a row, no file of the wiki.
            "artifact_path": None,
            "edit_mode": found.edit_mode,
            "decision_reason": found.reason or None,
            "checkpoint": found.revision or None,
            "staged_by_actor_user": None,
        }
    )


async def diff(request: web.Request) -> web.Response:
    """GET /admin/pending-writes/{id}/diff: the page as it is, compared with what a proposal would make of it."""
    project, proposal_id = _named(request)
    text = await asyncio.to_thread(request.app[MEMORY].improvement.diff, project, proposal_id)
    return web.json_response({"proposal_id": str(proposal_id), "diff": text})


async def approve(request: web.Request) -> web.Response:
    """POST /admin/pending-writes/{id}/approve: write the page; 409 where that is not what the proposal was made for."""
    body = await _body(request)
    project, proposal_id = _named(request)
    improvement, writer = request.app[MEMORY].improvement, asked.writer(body)
    try:
        done = await asyncio.to_thread(improvement.approve, project, proposal_id, writer)
    except ProposalConflictError as error:
        return web.json_response({"status": "conflict", "error": str(error)}, status=error.status)
    page = {"page_id": page_id(project.id, done.path), "path": done.path, "revision": done.revision}
    return web.json_response({"status": done.status, **page})


async def reject(request: web.Request) -> web.Response:
    """POST /admin/pending-writes/{id}/reject {reason?}: refuse a proposal; it is not made again."""
    reason = asked.text(await _body(request), "reason") or _REJECTED
    project, proposal_id = _named(request)
    done = await asyncio.to_thread(request.app[MEMORY].improvement.reject, project, proposal_id, reason)
    return web.json_response({"status": done.status})


def _named(request: web.Request) -> tuple[Project, UUID]:
    named = request.match_info["id"]
    try:
        proposal_id = UUID(named)
    except ValueError:
        raise BadRequestError(f"{named!r} is no id of a proposal: `ai-memory pending-writes list` lists them") from None
    return asked.project(request.app[MEMORY], request.query), proposal_id


async def _body(request: web.Request) -> dict[str, Any]:
    """Read what may come with a decision; nothing has to."""
    data = await request.read()
    return asked.object_in(data) if data else {}


def _confidence(body: Mapping[str, Any]) -> float:
    value = body.get("min_confidence")
    if value is None:
        return LEAST_CONFIDENCE
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadRequestError("min_confidence must be a number from 0 to 1")
    return float(value)


def _unanswered(job: Job) -> UnansweredError:
    is_over = job.state not in ("queued", "leased")
    why = job.error or ("it was dropped or purged" if is_over else "it goes on by itself, and takes long")
    return UnansweredError(f"no review: {why} (job {job.id} is {job.state})", 502 if is_over else 503)


def _review_report(memory: Memory, project: Project, job: Job) -> dict[str, object]:
    outcome, needs_approval = job.outcome, memory.improvement.needs_approval
    # It may be in another project by now, or have been purged.
    proposals = [
        found
        for each in outcome["proposals"]
        if (found := memory.stores.state.proposals.proposal(project.id, UUID(each)))
    ]
    return {
        "run_id": str(job.id),
        "approval_required": needs_approval,
        "approval_policy": "manual" if needs_approval else "auto_approve",
        "session_id": str(job.session_id),
        "summary": outcome["summary"],
        "warnings": outcome["warnings"],
        "rejected_candidates_count": len(outcome["left_out"]) + len(outcome["refused"]),
        "refused": outcome["refused"],
        "proposals": [
            {
                "id": str(each.id),
                "path": each.path,
                "title": each.title,
                "sidecar_path": None,
                "status": each.status,
                "page_id": page_id(project.id, each.path) if each.status == "approved" else None,
            }
            for each in proposals
        ],
        "skipped": outcome["skipped"],
        "scope": project.label,
    }


def _summary(project: Project, each: Staged) -> dict[str, object]:
    return {
        "id": str(each.id),
        "run_id": str(each.run_id),
        "workspace_id": str(project.workspace_id),
        "project_id": str(project.id),
        "status": each.status,
        "operation": "update" if each.base else "create",
        "target_path": each.path,
        "kind": each.kind,
        "title": each.title,
        "confidence": each.confidence,
        "staged_at": _micros(each.staged_at),
        "decided_at": _micros(each.decided_at) if each.decided_at else None,
    }


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


ROUTES = [
    web.post("/admin/auto-improve", review),
    web.get("/admin/pending-writes", pending_writes),
    web.get("/admin/pending-writes/{id}", show),
    web.get("/admin/pending-writes/{id}/diff", diff),
    web.post("/admin/pending-writes/{id}/approve", approve),
    web.post("/admin/pending-writes/{id}/reject", reject),
]
