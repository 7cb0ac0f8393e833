"""What a request asks for: the small parsers that the doors share. Each refuses with a sentence naming the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from ai_memory.capture.scope import New
from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Writer
from ai_memory.model.scope import Project


async def json_body(request: web.Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadRequestError: the body is something else.
    """
    return object_in(await request.read())


def object_in(data: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadRequestError: it is something else.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return body


def text(body: Mapping[str, Any], key: str) -> str:
    """Read a text, "" when it is missing or null."""
    return optional_text(body, key) or ""


def optional_text(body: Mapping[str, Any], key: str) -> str | None:
    """Read a text, None when it is missing or null."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadRequestError(f"{key} must be a text")
    return _whole(value)


def needed(body: Mapping[str, Any], key: str) -> str:
    """Read a text that has to be there, and says something."""
    value = text(body, key)
    if not value:
        raise BadRequestError(f"{key} is missing")
    return value


def texts(body: Mapping[str, Any], key: str) -> list[str]:
    """Read a list of texts, [] when it is missing or null."""
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRequestError(f"{key} must be a list of texts")
    return [_whole(item) for item in value]


def optional_flag(body: Mapping[str, Any], key: str) -> bool | None:
    """Read true or false, None when it is missing or null."""
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"{key} must be true or false")
    return value


def flag(body: Mapping[str, Any], key: str) -> bool:
    """Read true or false, false when it is missing or null."""
    return optional_flag(body, key) or False


def confirmed(body: Mapping[str, Any], *, unsaid: bool | None = None) -> bool:
    """Read whether to do what destroys or moves (`confirm`), or only to show it (`dry_run`).

    Args:
        body: of the request.
        unsaid: what it means when neither is true; None refuses that.
    """
    confirm, dry_run = optional_flag(body, "confirm"), flag(body, "dry_run")
    if (confirm and dry_run) or (unsaid is None and not (confirm or dry_run)):
        raise BadRequestError("say either confirm: true, which does it, or dry_run: true, which only shows it")
    if dry_run:
        return False
    return bool(unsaid) if confirm is None else confirm


def writer(body: Mapping[str, Any]) -> Writer:
    """Read who asks: `user`, `agent`, or both."""
    return Writer(text(body, "agent"), text(body, "user"))


def number(body: Mapping[str, Any], key: str, default: int) -> int:
    """Read a whole number from 0 on, the default when it is missing or null."""
    value = body.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequestError(f"{key} must be a whole number from 0 on")
    return value


def limit(query: Mapping[str, str], default: int, most: int) -> int:
    """Read how many rows are wanted, from 1 to `most`."""
    value = query.get("limit", str(default))
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value) <= most:
        raise BadRequestError(f"limit must be a number from 1 to {most}")
    return int(value)


def switch(query: Mapping[str, str], key: str) -> bool:
    """Read true or false of a query, false when it is missing."""
    value = query.get(key, "false")
    if value not in ("true", "false"):
        raise BadRequestError(f"{key} must be true or false")
    return value == "true"


def uuid(value: str) -> UUID:
    """Read an id."""
    try:
        return UUID(value)
    except ValueError:
        raise BadRequestError(f"{value!r} is not an id (a UUID, as `ai-memory handoffs` lists them)") from None


def moment(query: Mapping[str, str], key: str) -> datetime | None:
    """Read a time, None when it is missing; without a zone it is UTC, and a date alone means the end of that day."""
    value = query.get(key, "")
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value)
        if len(value) <= len("2026-11-21"):
            at += timedelta(days=1, microseconds=-1)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadRequestError(f"{key} {value!r} is not a time: write 2026-11-21 or 2026-11-21T10:00:00Z") from None


def place(body: Mapping[str, Any]) -> dict[str, str]:
    """Read where a caller is: the routing parameters of its directory, or workspace and project by name."""
    if "routing" not in body:
        workspace, project = text(body, "workspace"), text(body, "project")
        _both(workspace, project)
        return {"workspace": workspace, "project": project}
    value = body["routing"]
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise BadRequestError("routing must be an object of texts")
    return value


def existing(memory: Memory, body: Mapping[str, Any]) -> Project:
    """Find the project that a body names by `routing`, or by workspace and project.

    Raises:
        NotFoundError: there is none; it is not created.
    """
    named = place(body)
    if "routing" not in body:
        return memory.projects.named(named["workspace"], named["project"])
    found = memory.projects.look_up(memory.projects.routing(named))
    if isinstance(found, New):
        raise NotFoundError(f"there is no project {found.workspace}/{found.name} yet: nothing was recorded for it")
    return found.project


def project(memory: Memory, query: Mapping[str, str]) -> Project:
    """Find the project that a query names by workspace and project.

    Raises:
        NotFoundError: there is none.
    """
    workspace, name = query.get("workspace", ""), query.get("project", "")
    _both(workspace, name)
    return memory.projects.named(workspace, name)


def optional_project(memory: Memory, query: Mapping[str, str]) -> Project | None:
    """Find the project that a query names, None when it names nothing."""
    workspace, name = query.get("workspace", ""), query.get("project", "")
    if bool(workspace) != bool(name):
        raise BadRequestError("name both, workspace and project, or neither")
    return memory.projects.named(workspace, name) if name else None


def _both(workspace: str, name: str) -> None:
    if not workspace or not name:
        raise BadRequestError("name both, workspace and project")


def _whole(value: str) -> str:
    """Replace halves of surrogate pairs, which JSON can hold and no database takes."""
    return value.encode("utf-8", "replace").decode()
