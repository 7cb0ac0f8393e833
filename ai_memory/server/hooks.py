"""Capture: `POST /hook` takes one event, `POST /hook/batch` what a client has spooled."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from aiohttp import web

from ai_memory.errors import BadRequestError
from ai_memory.memory.intake import Delivery, Outcome, query_of
from ai_memory.server.keys import QUEUE

SCOPE_HEADER = "X-Memory-Scope"

_TEXTS = {
    "stored": "queued",
    "replayed": "queued",
    "ignored_end": "queued",
    "self_test": "self-test arrived",
    "dropped_policy": "capture policy dropped",
    "dropped_subagent": "subagent capture dropped",
    "dropped_deleted": "dropped: its session or project was purged",
}


@lru_cache(1024)
def scope_header(scope: str, by: str) -> dict[str, str]:
    """Say in a header which scope answered, and how it was found."""
    return {SCOPE_HEADER: f"{quote(scope)}; by={quote(by)}"} if scope else {}


async def hook(request: web.Request) -> web.Response:
    """Take one event; 202 means that it is on disk (or will never be wanted, and says so)."""
    (outcome,) = await request.app[QUEUE].submit(Delivery(query_of(request.raw_path), await request.read()))
    if outcome.what == "dropped_invalid":
        raise BadRequestError(f"{outcome.by}: nothing was stored")
    if outcome.what == "dropped_scope":
        return web.Response(text=outcome.by + "\n", status=422)
    return web.Response(text=_TEXTS[outcome.what], status=202, headers=scope_header(outcome.scope, outcome.by))


async def hook_batch(request: web.Request) -> web.Response:
    """Take up to 256 events in order; each one's outcome is told, also of those that were dropped."""
    outcomes = await request.app[QUEUE].submit(Delivery(None, await request.read()))
    return web.json_response(
        {"accepted": len(outcomes), "results": [_result(n, outcome) for n, outcome in enumerate(outcomes)]}
    )


def _result(index: int, outcome: Outcome) -> dict[str, object]:
    result: dict[str, object] = {"index": index, "outcome": outcome.what}
    if outcome.scope:
        result |= {"scope": outcome.scope, "resolved_by": outcome.by}
    elif outcome.by:
        result["reason"] = outcome.by
    return result


ROUTES = [web.post("/hook", hook), web.post("/hook/batch", hook_batch)]
