"""`GET /handoff`: the text that a starting session is given. Taking it is part of the answer."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from ai_memory.client.agents import agent_named
from ai_memory.errors import AiMemoryError
from ai_memory.model.handoff import Receiver
from ai_memory.model.ids import session_uuid
from ai_memory.server.hooks import scope_header
from ai_memory.server.keys import MEMORY, WORKER

_log = logging.getLogger(__name__)

#: Clients wait one second; an answer after this would be a handoff that nobody sees.
_PATIENCE_SECONDS = 0.75
#: What the answer needs on its way.
_ANSWER_SECONDS = 0.1
#: Units of a brief: when the marker says none, at least, and at most.
_BRIEF, _LEAST_BRIEF, _MOST_BRIEF = 4_000, 500, 20_000


async def handoff(request: web.Request) -> web.Response:
    """Answer 200 with markdown, or with nothing; never with an error that a hook would have to understand."""
    loop = asyncio.get_running_loop()
    arrived = loop.time()
    memory, query = request.app[MEMORY], request.query
    patience = _patience(query.get("wait_ms", ""))

    def still_wanted() -> bool:
        transport = request.transport
        return loop.time() - arrived < patience and transport is not None and not transport.is_closing()

    try:
        native = query.get("session_id", "")
        routing = memory.projects.routing(query)
        agent = agent_named(query.get("agent", "")).name
        receiver = Receiver(session_uuid(native) if native else None, agent, routing.cwd)
        brief = _brief(query.get("briefing", ""), query.get("briefing_budget", ""))
        start = await asyncio.to_thread(memory.handoffs.for_start, receiver, routing, still_wanted, brief=brief)
    except AiMemoryError as error:
        if error.status >= 500:
            memory.handoffs.failed(error)
            _log.error("GET /handoff: %s", error)
        notice = "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in str(error))
        return web.Response(text="", headers={"X-Memory-Notice": notice[:500]})
    request.app[WORKER].wake()
    headers = scope_header(start.resolved.project.label, start.resolved.by) if start.resolved else {}
    return web.Response(text=start.text, content_type="text/plain", charset="utf-8", headers=headers)


def _brief(wanted: str, budget: str) -> int:
    """UTF-16 units of the project's brief that the caller wants, 0 for none."""
    if wanted.lower() not in ("1", "true", "yes", "on"):
        return 0
    if not (budget.isascii() and budget.isdigit()):
        return _BRIEF
    return max(_LEAST_BRIEF, min(_MOST_BRIEF, int(budget[:6])))


def _patience(wait_ms: str) -> float:
    """Seconds within which the claim must be made: less than the client waits, at most the wire's 750 ms."""
    if not (wait_ms.isascii() and wait_ms.isdigit()):
        return _PATIENCE_SECONDS
    return min(_PATIENCE_SECONDS, int(wait_ms[:6]) / 1000 - _ANSWER_SECONDS)


ROUTES = [web.get("/handoff", handoff)]
