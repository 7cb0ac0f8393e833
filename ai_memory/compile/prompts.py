"""What models are told to do: a file each under `prompts/`, with a version; and how stored text is put before them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_FIRST_LINE = re.compile(r"version: ([1-9][0-9]*)\n+")
_EXAMPLE = re.compile(r"```json\n(.*?)\n```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is told to do.

    Attributes:
        name: of the file, without `.md`.
        version: raised with every change of what is asked for.
        text: all of it, the example included.
        example: the answer that it ends with.
    """

    name: str
    version: int
    text: str
    example: Mapping[str, Any]


@cache
def prompt(name: str) -> Prompt:
    """Read a prompt that is shipped."""
    file = resources.files("ai_memory.compile").joinpath("prompts", f"{name}.md")
    said = file.read_text("utf-8")
    first, example = _FIRST_LINE.match(said), _EXAMPLE.search(said)
    if not first or not example:
        raise ValueError(f"{file} has to begin with 'version: N' and to end with an example in a json fence")
    return Prompt(name, int(first[1]), said[first.end() :], json.loads(example[1]))


def fenced(name: str, text: str) -> str:
    """Put stored text between two lines that it cannot itself contain, whoever wrote it.

    Args:
        name: what it is, one word.
        text: anything; "" gives "".
    """
    if not text:
        return ""
    mark = _digest(text)
    while mark in text:
        mark = _digest(mark + text)
    return f"<<<{name} {mark}\n{text.rstrip()}\n{name} {mark}>>>\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
