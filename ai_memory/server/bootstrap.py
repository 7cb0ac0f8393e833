"""`POST /admin/bootstrap`: a project's first pages, from what its repository says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from ai_memory.compile.bootstrap import cost_of
from ai_memory.compile.sources import KINDS, Source
from ai_memory.errors import AiMemoryError, BadRequestError, TooLargeError
from ai_memory.llm.asking import Answer, Ask, ModelError
from ai_memory.llm.prices import prices_of
from ai_memory.memory.bootstrapping import Options, Outcome
from ai_memory.memory.memory import Memory
from ai_memory.server import asked
from ai_memory.server.keys import MEMORY

BODY_LIMIT = 32 * 1024 * 1024
_READ = 1 << 20
_LINES = "application/x-ndjson"
_TOKENS, _CHUNK_TOKENS = 50_000, 24_000

_Told = Mapping[str, int] | Outcome | BaseException


async def bootstrap(request: web.Request) -> web.StreamResponse:
    """POST /admin/bootstrap: write the pages, or say what that would send.

    Who accepts `application/x-ndjson` gets a line each time that an answer has come, and the outcome (or the error,
    with its status) as the last one; what is refused at once is an ordinary error for everybody. When the caller has
    left, nothing more is asked; what was answered is kept.
    """
    memory = request.app[MEMORY]
    body = await asyncio.to_thread(asked.object_in, await _body(request))
    sources = [_source(item) for item in _items(body)]
    options = Options(
        max_input_tokens=asked.number(body, "max_input_tokens", _TOKENS),
        chunk_input_tokens=asked.number(body, "chunk_input_tokens", _CHUNK_TOKENS),
        collected=max(asked.number(body, "sources_collected", len(sources)), len(sources)),
        force=asked.flag(body, "force"),
        dry_run=asked.flag(body, "dry_run"),
    )
    routing = memory.projects.routing(asked.place(body))
    ask = _nobody if options.dry_run else partial(memory.models.sure("bootstrap").ask, cancelled=lambda: _left(request))
    told: asyncio.Queue[_Told] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(news: _Told) -> None:
        loop.call_soon_threadsafe(told.put_nowait, news)

    work = partial(memory.bootstrapping.run, routing, sources, options, asked.writer(body), ask)
    # A daemon: a vendor that hangs must not keep the server from ending; what was answered is kept.
    threading.Thread(target=_work, args=(work, tell), name="bootstrap", daemon=True).start()
    return await _answer(request, memory, told)


async def _answer(request: web.Request, memory: Memory, told: asyncio.Queue[_Told]) -> web.StreamResponse:
    wants_lines = _LINES in request.headers.get("Accept", "")
    response = web.StreamResponse(headers={"Content-Type": _LINES})
    # Who leaves hears nothing more.
    with contextlib.suppress(ConnectionResetError):
        while isinstance(news := await told.get(), Mapping):
            if wants_lines:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(_line(news))
        if not response.prepared:
            if isinstance(news, BaseException):
                raise news
            return web.json_response(await asyncio.to_thread(_report, memory, news))
        if isinstance(news, AiMemoryError):
            await response.write(_line({"error": str(news), "status": news.status}))
        elif isinstance(news, BaseException):
            raise news
        else:
            await response.write(_line({"outcome": await asyncio.to_thread(_report, memory, news)}))
        await response.write_eof()
    return response


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _report(memory: Memory, outcome: Outcome) -> dict[str, object]:
    model = memory.models.chat
    prices = prices_of(memory.settings.data_dir)
    cost = cost_of(outcome.plan, model.provider, model.model, prices) if model else None
    return {
        **outcome.as_json(),
        "provider": model.provider if model else None,
        "model": model.model if model else None,
        "estimated_cost": {"sent": cost[0], "at_most": cost[1]} if cost else None,
    }


def _work(work: Callable[[Callable[[int, int, int], None]], Outcome], tell: Callable[[_Told], None]) -> None:
    def progress(done: int, total: int, pages: int) -> None:
        tell({"done": done, "of": total, "pages": pages})

    try:
        tell(work(progress))
    except BaseException as error:
        tell(error)
        if not isinstance(error, AiMemoryError):
            raise


def _left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _nobody(ask: Ask) -> Answer:
    raise ModelError(f"a dry run asks nobody ({ask.purpose})", "terminal")


async def _body(request: web.Request) -> bytes:
    read = bytearray()
    async for piece in request.content.iter_chunked(_READ):
        read += piece
        if len(read) > BODY_LIMIT:
            raise TooLargeError(f"a bootstrap may bring at most {BODY_LIMIT // 1024 // 1024} MiB")
    return bytes(read)


def _items(body: Mapping[str, Any]) -> list[Any]:
    items = body.get("sources")
    if not isinstance(items, list):
        raise BadRequestError("sources must be a list of objects: kind, label and text")
    return items


def _source(item: object) -> Source:
    if not isinstance(item, dict) or item.get("kind") not in KINDS:
        raise BadRequestError(f"a source must be an object with a kind ({', '.join(KINDS)}), a label and a text")
    return Source(item["kind"], asked.needed(item, "label"), asked.text(item, "text"))


ROUTES = [web.post("/admin/bootstrap", bootstrap)]
