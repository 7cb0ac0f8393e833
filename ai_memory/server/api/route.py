"""A route of `/api/v1`: what it is asked, how it answers, and how the document describes it. One table is made of them.

An answer is made in a thread: a function is given what was asked as plain values and gives what JSON can say.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import ETag, web

from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.memory import Memory
from ai_memory.model.scope import Project
from ai_memory.server import asked
from ai_memory.server.api.parameters import Parameter, segment
from ai_memory.server.api.shapes import Shape
from ai_memory.server.keys import BASE, MEMORY

#: Of what depends on who asks, or on the moment: kept nowhere.
NOT_KEPT = "private, no-store"
WORKSPACE = segment("workspace", "The name of a workspace.")
PROJECT = segment("project", "The name of a project in it.")
OF_WORKSPACE = "/workspaces/{workspace}"
OF_PROJECT = f"{OF_WORKSPACE}/projects/{{project}}"
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks.

    Attributes:
        memory: of whom.
        values: of all parameters, by name, those of the path among them.
        query: every text of the query, for what can be there several times.
        body: of a POST, an object; {} else.
        base: the path below which everything is served.
    """

    memory: Memory
    values: Mapping[str, Any]
    query: Mapping[str, list[str]]
    body: Mapping[str, Any]
    base: str

    @property
    def project(self) -> Project:
        """The project that the path names.

        Raises:
            NotFoundError: there is none.
        """
        return project_named(self.memory, self.values["workspace"], self.values["project"])


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that is kept in another way than its route says."""

    value: object
    cache: str


@dataclass(frozen=True, slots=True)
class Route:
    """A route.

    Attributes:
        path: below `/api/v1`; parameters are in braces, and `{path}` keeps its slashes.
        name: of the operation, for programs that are made of the document.
        about: what it answers, a sentence.
        shape: of the answer.
        answer: gives it; None where `door` answers.
        parameters: those of the path, then those of the query.
        cache: what `Cache-Control` says of an answer.
        method: "GET", or "POST" with a body.
        body: the shape of the body.
        has_etag: whether the answer carries its digest, and is not sent again to who has it.
        can_be_missing: whether it answers 404.
        door: answers instead, in another form than JSON.
        media: that form.
        more: other statuses that it has, with a sentence each.
    """

    path: str
    name: str
    about: str
    shape: Shape
    answer: Callable[[Ask], object] | None = None
    parameters: tuple[Parameter, ...] = ()
    cache: str = NOT_KEPT
    method: str = "GET"
    body: Shape | None = None
    has_etag: bool = False
    can_be_missing: bool = False
    door: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    media: str = "application/json"
    more: Mapping[str, str] | None = None

    @property
    def pattern(self) -> str:
        """The path as the router has it."""
        return _PART.sub(lambda part: "{path:(?s:.+)}" if part[1] == "path" else f"{{{part[1]}:[^/]+}}", self.path)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        if self.door:
            return await self.door(request)
        ask = await self._asked(request)
        value, data, digest = await asyncio.to_thread(self._written, ask)
        headers = {"Cache-Control": value.cache if isinstance(value, Kept) else self.cache}
        if self.has_etag:
            headers["ETag"] = f'"{digest}"'
            if any(each.value in (digest, "*") for each in _etags(request)):
                return web.Response(status=304, headers=headers)
        return web.Response(body=data, content_type="application/json", headers=headers)

    def _written(self, ask: Ask) -> tuple[object, bytes, str]:
        """Make the answer; gives it also as JSON, and the digest of that where it is asked for."""
        if self.answer is None:
            raise TypeError(f"{self.path} has neither an answer nor a door")
        value = self.answer(ask)
        plain = value.value if isinstance(value, Kept) else value
        data = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")
        return value, data, hashlib.sha256(data).hexdigest() if self.has_etag else ""

    async def _asked(self, request: web.Request) -> Ask:
        _check_encoding(request)
        query = {name: request.query.getall(name) for name in request.query}
        given = {**query, **{name: [value] for name, value in request.match_info.items()}}
        values = {each.name: each.value(given.get(each.name, [])) for each in self.parameters}
        body = await asked.json_body(request) if self.body else {}
        return Ask(request.app[MEMORY], values, query, body, request.app[BASE])


def project_named(memory: Memory, workspace: str, project: str) -> Project:
    """Find a project; unlike elsewhere the sentence for none names no other project.

    Raises:
        NotFoundError: there is none.
    """
    found = memory.projects.called(workspace, project)
    if found is None:
        raise NotFoundError(f"there is no project {workspace}/{project}: /api/v1/projects lists those that there are")
    return found


def optional_project(memory: Memory, workspace: str, project: str) -> Project | None:
    """Find a project that need not be named, None where nothing is.

    Raises:
        BadRequestError: one of the two names is missing.
        NotFoundError: there is none.
    """
    if bool(workspace) != bool(project):
        raise BadRequestError("workspace and project must be provided together")
    return project_named(memory, workspace, project) if project else None


def _etags(request: web.Request) -> tuple[ETag, ...]:
    try:
        return request.if_none_match or ()
    except ValueError:
        # No list of tags: whoever sent it has nothing of ours.
        return ()


def _check_encoding(request: web.Request) -> None:
    """Refuse what stands for no text.

    Raises:
        BadRequestError: a `%` is not followed by two digits, or the bytes are not UTF-8.
    """
    raw = f"{request.rel_url.raw_path}?{request.rel_url.raw_query_string}"
    try:
        whole = not _BROKEN_PERCENT.search(raw) and bool(unquote_to_bytes(raw).decode())
    except UnicodeError:
        whole = False
    if not whole:
        raise BadRequestError("the address is not percent-encoded UTF-8: write each byte of a sign as % and two digits")
