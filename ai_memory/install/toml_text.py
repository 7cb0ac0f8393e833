"""One table of a TOML file edited as text, so that comments and everything of others stay what they were.

Which lines are a table's is read off their form alone. That may be wrong in a file that is written oddly, so every edit
is read again: where anything else changed by it than was meant, it is refused.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ai_memory.errors import ConfigError
from ai_memory.install.marked_text import appended, cut, newline_of

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def read(text: str, source: str) -> dict[str, Any]:
    """Decode a file; ConfigError when it is not TOML."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}. Nothing was written.") from None


def added(text: str, source: str, table: tuple[str, str], values: Mapping[str, Any]) -> tuple[str, str]:
    """Add a table at the end; gives the text and the gap before it."""
    lines = [f"[{table[0]}.{_key(table[1])}]", *_assignments(values)]
    result, gap = appended(text, "\n".join(lines) + "\n")
    wanted = read(text, source)
    wanted.setdefault(table[0], {})[table[1]] = dict(values)
    return _proved(result, source, wanted), gap


def changed(text: str, source: str, table: tuple[str, str], values: Mapping[str, Any]) -> str:
    """Give a table other values. Lines of it that need no change stay, with their comments."""
    wanted = read(text, source)
    old = wanted[table[0]][table[1]]
    start, end = _span(text, source, table)
    newline = newline_of(text)
    lines = text[start:end].splitlines(keepends=True)
    for key in [key for key in old if key not in values or old[key] != values[key]]:
        lines = [
            line for line in lines if not re.match(rf"[ \t]*(?:{re.escape(key)}|\"{re.escape(key)}\")[ \t]*=", line)
        ]
    new = {key: value for key, value in values.items() if key not in old or old[key] != value}
    if not lines[0].endswith("\n"):
        lines[0] += newline
    lines[1:1] = [line + newline for line in _assignments(new)]
    wanted[table[0]][table[1]] = dict(values)
    return _proved(text[:start] + "".join(lines) + text[end:], source, wanted)


def removed(text: str, source: str, table: tuple[str, str], gap: str | None) -> str:
    """Take a table out, with the gap that was put before it."""
    wanted = read(text, source)
    start, end = _span(text, source, table)
    result = cut(text, start, end, gap)
    del wanted[table[0]][table[1]]
    # The parent stays where it has a header of its own.
    without = {key: value for key, value in wanted.items() if key != table[0] or value}
    return _proved(result, source, wanted, without)


def _span(text: str, source: str, table: tuple[str, str]) -> tuple[int, int]:
    """The place of a table: its header, its lines, and the tables in it that follow at once."""
    names = "|".join(re.escape(spelled) for spelled in (table[1], json.dumps(table[1]), f"'{table[1]}'"))
    header = rf"^[ \t]*\[[ \t]*{re.escape(table[0])}[ \t]*\.[ \t]*(?:{names})[ \t]*"
    found = re.search(rf"{header}\][^\n]*(?:\n|\Z)", text, re.MULTILINE)
    if found is None:
        raise ConfigError(f"{source} has {table[0]}.{table[1]}, but not as a table of its own: change it by hand.")
    end = found.end()
    while True:
        following = _HEADER.search(text, end)
        body = text[end : following.start() if following else len(text)]
        # Comments behind the last line belong to what follows.
        said = [
            line for line in re.finditer(r"[^\n]*(?:\n|\Z)", body) if line[0].strip() and line[0].lstrip()[0] != "#"
        ]
        end += said[-1].end() if said else 0
        inner = (
            re.compile(rf"{header}\.[^\n]*(?:\n|\Z)", re.MULTILINE).match(text, following.start())
            if following
            else None
        )
        if inner is None:
            return found.start(), end
        end = inner.end()


def _proved(text: str, source: str, *meant: dict[str, Any]) -> str:
    """Give the text if it says what was meant."""
    try:
        if read(text, source) in meant:
            return text
    except ConfigError:
        pass
    raise ConfigError(f"{source} is written in a way that cannot be edited safely: change it by hand.")


def _assignments(values: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in values.items()]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    """Write a value; a text as JSON does, which TOML reads as the same."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_assignments(value)) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False)
    raise ConfigError(f"{value!r} cannot be written. Change the file by hand.")
