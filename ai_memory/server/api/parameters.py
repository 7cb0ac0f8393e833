"""What the routes of `/api/v1` can be asked: each parameter with how it is read and how the document describes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ai_memory.errors import BadRequestError

#: More digits say no more: it is cut to what is allowed anyway.
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_LONG_INTEGER = re.compile(r"(-?)[0-9]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query or a path.

    Attributes:
        name: as it is written.
        about: what it says, a sentence for the document.
        schema: of its value.
        read: gives the value of a text.
        default: the value where the parameter is missing.
        place: "query" or "path".
    """

    name: str
    about: str
    schema: Schema
    read: Callable[[str], object] = str
    default: object = None
    place: str = "query"

    def value(self, given: Sequence[str]) -> object:
        """Read the value of what a request gives, the first where there are several.

        Raises:
            BadRequestError: it is none.
        """
        return self.read(given[0]) if given else self.default

    def as_json(self) -> dict[str, object]:
        """Describe it as OpenAPI does."""
        told: dict[str, object] = {"name": self.name, "in": self.place, "description": self.about}
        schema = {**self.schema, "default": self.default} if self.default not in (None, "") else dict(self.schema)
        return {**told, "required": self.place == "path", "schema": schema}


def segment(name: str, about: str, **more: object) -> Parameter:
    """Name a part of the path."""
    return Parameter(name, about, {"type": "string", "minLength": 1, **more}, place="path")


def text(name: str, about: str) -> Parameter:
    """Take any text, "" where it is missing."""
    return Parameter(name, about, {"type": "string"}, default="")


def number(name: str, about: str, default: int, least: int, most: int) -> Parameter:
    """Take a whole number; what is beyond the ends becomes the end."""

    def read(said: str) -> int:
        return clamped(_integer(name, said), least, most)

    return Parameter(name, f"{about} It is cut to {least}..{most}.", {"type": "integer"}, read, default)


def limit(default: int = 10, most: int = 100) -> Parameter:
    """Take how many are wanted."""
    return number("limit", "How many.", default, 1, most)


def flag(name: str, about: str) -> Parameter:
    """Take true or false, false where it is missing."""

    def read(said: str) -> bool:
        if said not in ("true", "false"):
            raise BadRequestError(f"{name} must be true or false")
        return said == "true"

    return Parameter(name, about, {"type": "boolean"}, read, default=False)


def choice(name: str, about: str, among: Sequence[str], default: str, complaint: str) -> Parameter:
    """Take one of some words; the complaint about another ends with that word."""

    def read(said: str) -> str:
        if said and said not in among:
            raise BadRequestError(f"{complaint}: {said} (say {', '.join(among)})")
        return said or default

    return Parameter(name, about, {"type": "string", "enum": list(among)}, read, default)


def moment(name: str, about: str) -> Parameter:
    """Take a time in RFC 3339, with its zone; None where it is missing."""

    def read(said: str) -> datetime:
        try:
            if _TIME.fullmatch(said):
                return datetime.fromisoformat(said.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # the sentence below says all
        raise BadRequestError(f"{name} {said!r} is no time: write one like 2026-01-31T09:30:00Z")

    return Parameter(name, about, {"type": "string", "format": "date-time"}, read)


def clamped(value: int, least: int, most: int) -> int:
    """Cut a number to what is allowed."""
    return min(max(value, least), most)


def _integer(name: str, said: str) -> int:
    if _INTEGER.fullmatch(said):
        return int(said)
    if long := _LONG_INTEGER.fullmatch(said):
        return int(f"{long[1]}{'9' * 18}")
    raise BadRequestError(f"{name} must be a whole number, not {said[:40]!r}")
