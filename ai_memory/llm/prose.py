"""Finding the JSON object in what a model wrote around it."""

from __future__ import annotations

import json
import re
from typing import Any

_TAG = re.compile(r"<(/?)(think|thinking|analysis|reasoning)\s*>", re.IGNORECASE)
_FENCE = re.compile(r"\A```[\w-]*[ \t]*\r?\n(.*?)\r?\n?```\Z", re.DOTALL)
#: A string without an end goes to the end: each sign is looked at once.
_STRING_OR_BRACE = re.compile(r'"(?:[^"\\]|\\.?)*+"?|[{}]', re.DOTALL)


def without_thoughts(text: str) -> str:
    """Take out what a model thought aloud before it answered, also where the beginning of it was not marked."""
    kept, at = [], 0
    opened: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = opened or tag
        elif opened is None and at == 0:
            at = tag.end()
        elif opened is not None and opened[2].lower() == tag[2].lower():
            kept.append(text[at : opened.start()])
            at, opened = tag.end(), None
    return "".join([*kept, text[at:]]).strip()


def object_in(text: str) -> dict[str, Any] | None:
    """Read the JSON object that a text is, or holds: behind thoughts, in a code fence, or between sentences.

    Gives None where there is none. Time grows with the length of the text alone.
    """
    found = _read(text)
    if found is not None:
        return found
    text = without_thoughts(text)
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    found = _read(text)
    return _read(_first_braces(text)) if found is None else found


def _first_braces(text: str) -> str:
    """Cut out the first balanced `{...}`; braces inside of strings do not count."""
    start = text.find("{")
    depth = 0
    for found in _STRING_OR_BRACE.finditer(text, start) if start >= 0 else ():
        if found[0] == "{":
            depth += 1
        elif found[0] == "}":
            depth -= 1
            if not depth:
                return text[start : found.end()]
    return ""


def _read(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
