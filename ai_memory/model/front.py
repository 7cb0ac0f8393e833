"""The front matter of a page: found, read, and changed without touching any byte beside the change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

BOM = "\ufeff"

_OPENING = re.compile(r"\ufeff?---[ \t]*+\r?\n")
_CLOSING = re.compile(r"^---[ \t]*+(?:\r?\n|\Z)", re.MULTILINE)
_FIRST_LINE = re.compile(r"[^\n]*\r\n")
#: In characters. Reading YAML costs a second a megabyte, and front matter is a few lines.
_LIMIT = 64 * 1024
#: The parser in C takes stack by depth: some thousand brackets end the process.
_DEPTH = 32
#: A fifth of the other's time.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Besides its own errors, reading YAML raises these: for `2026-02-30`, `!!bool x`, `!!timestamp x` and `!!int ""`.
_UNREADABLE = (yaml.YAMLError, ValueError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True)
class Parts:
    """A page's text, cut up: `opening + head + closing + body` is the text.

    Attributes:
        opening: the byte order mark, if any, and the fence's first line.
        head: the YAML, every line with its end.
        closing: the fence's last line; "" for a page without front matter.
        body: everything after it.
        front: what the YAML says.
        problem: why front matter could not be read (then it is part of the body), or "".
    """

    opening: str
    head: str
    closing: str
    body: str
    front: Mapping[str, object]
    problem: str = ""

    @property
    def line_end(self) -> str:
        """What ends the page's first line."""
        return "\r\n" if _FIRST_LINE.match(self.opening + self.body) else "\n"


def parts(text: str) -> Parts:
    """Cut a page's text up; total."""
    opening = _OPENING.match(text)
    closing = _CLOSING.search(text, opening.end()) if opening else None
    problem = ""
    if opening and closing:
        head = text[opening.end() : closing.start()]
        try:
            return Parts(opening[0], head, closing[0], text[closing.end() :], _mapping(head))
        except _UNREADABLE as error:
            problem = f"front matter cannot be read: {_reason(error)}"
    mark = BOM if text.startswith(BOM) else ""
    return Parts(mark, "", "", text[len(mark) :], {}, problem)


def front_matter(text: str) -> dict[str, object]:
    """Read a page's front matter; a page whose front matter is not YAML has none."""
    return dict(parts(text).front)


def formatted(front: Mapping[str, object], body: str) -> str:
    """Write a page: YAML front matter in the given key order, then the body; no fence without front matter."""
    return f"---\n{_dumped(front)}---\n{body}" if front else body


def with_keys(text: str, keys: Mapping[str, object]) -> str:
    """Set keys of a page's front matter (None removes one) and leave every other byte as it is.

    Comments, the order of keys, quoting, line ends and the byte order mark stay; a page without front matter gets a
    fence. Front matter that cannot be edited as text (a flow mapping, complex keys) is written anew from its values.
    """
    old = parts(text)
    found = {key: _changed(key, value, old.front) for key, value in keys.items()}
    entries = {key: entry for key, entry in found.items() if entry is not None}
    if not entries:
        return text
    wanted = {key: value for key, value in old.front.items() if key not in keys or keys[key] is not None}
    wanted |= {key: value for key, value in keys.items() if value is not None}
    opening, closing = old.opening, old.closing
    if not closing:
        opening, closing = f"{opening}---{old.line_end}", f"---{old.line_end}"
    edited = opening + _edited(old.head, entries, old.line_end) + closing + old.body
    new = parts(edited)
    if new.body == old.body and _shape(new.front) == _shape(front_matter(formatted(wanted, ""))):
        return edited
    return opening + _dumped(wanted).replace("\n", old.line_end) + closing + old.body


def _mapping(head: str) -> dict[str, object]:
    if len(head) > _LIMIT:
        raise ValueError(f"it is longer than {_LIMIT} characters")
    depth = 0
    for event in yaml.parse(head, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        # Aliases of aliases fill any memory.
        if depth > _DEPTH or isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it has an alias (*name) or is nested more than {_DEPTH} deep")
    front = yaml.load(head, Loader=_LOADER)  # noqa: S506 - it is the safe one, in C where there is one
    if front is None:
        return {}
    if not isinstance(front, dict):
        raise ValueError("it is not a list of keys with values")  # noqa: TRY004 - about the text, not about an argument
    return {str(key): value for key, value in front.items()}


def _reason(error: BaseException) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"{error.problem} (line {error.problem_mark.line + 2})"
    return " ".join(str(error).split())[:200]


def _dumped(front: Mapping[str, object]) -> str:
    return yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=10_000) if front else ""


def _shape(front: Mapping[str, object]) -> list[tuple[str, str]]:
    """Give what two equal mappings have in common; other than `==` it tells 1 from true and knows NaN again."""
    return sorted((key, repr(value)) for key, value in front.items())


def _changed(key: str, value: object, front: Mapping[str, object]) -> str | None:
    """Write the entry of a key, "" to remove it, None when the page says so already."""
    if value is None:
        return "" if key in front else None
    entry = _dumped({key: value})
    return None if key in front and _dumped({key: front[key]}) == entry else entry


def _edited(head: str, entries: Mapping[str, str], line_end: str) -> str:
    """Replace, remove and append entries of a block mapping; what comes out may be wrong for any other head."""
    left = dict(entries)
    indent = ""
    for key, start, end in reversed(_spans(head)):
        line = head.rfind("\n", 0, start) + 1
        indent = " " * (start - len(head[line:start].rstrip(" ")) - line)
        if key not in entries:
            continue
        entry = left.pop(key, "")  # of a key that is there twice the last counts
        if entry:
            new = _indented(entry, indent, line_end).removeprefix(indent).removesuffix(line_end)
            head = head[:start] + new + head[end:]
        else:
            head = head[:line] + head[head.find("\n", end) + 1 :]
    return head + "".join(_indented(entry, indent, line_end) for entry in left.values())


def _indented(entry: str, indent: str, line_end: str) -> str:
    return "".join(f"{indent}{line}{line_end}" for line in entry.split("\n")[:-1])


def _spans(head: str) -> list[tuple[str, int, int]]:
    """Say where the entries of a block mapping are: key, start of the key, end of the value without comments after it.

    The end of a block collection is where the next thing begins, so that its last leaf is what counts.
    """
    spans: list[tuple[str, int, int]] = []
    flows: list[bool] = []
    nodes = 0
    for event in yaml.parse(head, Loader=_LOADER):
        leaf = isinstance(event, yaml.ScalarEvent)
        if isinstance(event, yaml.CollectionEndEvent):
            leaf = flows.pop()
        elif isinstance(event, yaml.NodeEvent):
            nodes += len(flows) == 1
            if len(flows) == 1 and nodes % 2:
                spans.append((str(getattr(event, "value", "")), _place(event.start_mark), 0))
            if isinstance(event, yaml.CollectionStartEvent):
                flows.append(bool(event.flow_style))
        if leaf and spans:
            key, start, _ = spans.pop()
            spans.append((key, start, len(head[: _place(event.end_mark)].rstrip(" \t\r\n"))))
    return spans


def _place(mark: Any) -> int:
    return int(mark.index)
