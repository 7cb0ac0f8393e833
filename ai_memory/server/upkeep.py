"""`POST /admin/forget-sweep` and `/admin/compact`: upkeep on demand."""

from __future__ import annotations

import asyncio
from uuid import uuid5

from aiohttp import web

from ai_memory.memory.sweep import Plan
from ai_memory.model.handoff import stamp
from ai_memory.model.scope import Project
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY


async def forget_sweep(request: web.Request) -> web.Response:
    """POST /admin/forget-sweep: delete what expired or went cold in a project, or say what that would be."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    project, dry_run = asked.existing(memory, body), not asked.confirmed(body, unsaid=True)
    sweep = memory.upkeep.sweep
    plan = await asyncio.to_thread(sweep.plan if dry_run else sweep.run, project)
    return web.json_response(sweep_report(project, plan, dry_run=dry_run))


async def compact(request: web.Request) -> web.Response:
    """POST /admin/compact: write databases and repository anew without what was deleted."""
    return web.json_response(await asyncio.to_thread(request.app[MEMORY].upkeep.compact))


def sweep_report(project: Project, plan: Plan, *, dry_run: bool) -> dict[str, object]:
    """Give the wire's SweepReport of what a sweep deleted, or would delete."""

    def page(path: str) -> dict[str, str]:
        return {"id": str(uuid5(project.id, path)), "path": path}

    return {
        "scope": project.label,
        "dry_run": dry_run,
        "candidates_evaluated": plan.candidates,
        "evicted": [
            {
                **page(cold.path),
                "retention": round(cold.retention, 4),
                "age_days": round(cold.age_days, 2),
                "access_count": cold.reads,
            }
            for cold in plan.cold
        ],
        "expired": [
            {**page(path), "expired_at": stamp(at), "deleted": not dry_run} for path, at in plan.expired.items()
        ],
        "hard_deleted": len(plan.tombstones),
        "ledgers_deleted": list(plan.ledgers),
    }


ROUTES = [
    web.post("/admin/forget-sweep", forget_sweep),
    web.post("/admin/compact", compact),
]
