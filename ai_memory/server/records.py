"""`POST /admin/import-records`: a batch of records that were files before."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY


async def import_records(request: web.Request) -> web.Response:
    """POST /admin/import-records: bring in records, or say what that would do; gives the outcome of each."""
    memory, body = request.app[MEMORY], await asked.json_body(request)
    files = body.get("records")
    if not isinstance(files, list) or not all(isinstance(each, dict) for each in files):
        raise BadRequestError("records must be a list of objects: name (the file's, without .json) and record")
    named = [(asked.needed(each, "name"), each.get("record")) for each in files]
    dry_run, writer = asked.flag(body, "dry_run"), asked.writer(body)
    outcomes = await asyncio.to_thread(lambda: memory.records.bring_in(named, writer, dry_run=dry_run))
    rows = [
        {"name": each.name, "outcome": each.did, "scope": each.scope or None, "reason": each.reason or None}
        for each in outcomes
    ]
    return web.json_response({"dry_run": dry_run, "outcomes": rows})


ROUTES = [web.post("/admin/import-records", import_records)]
