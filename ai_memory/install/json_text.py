"""JSON files edited as text, so that every byte that is not ours stays what it was.

A document is parsed with positions; an edit is a splice of the text followed by a new parse (the files are
small). What cannot be understood whole cannot be edited safely, so only strict JSON is accepted, or JSON with comments
and trailing commas where the program that owns the file reads that.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ai_memory.errors import ConfigError

#: A place in a document: keys of objects and indexes of arrays, from the root.
Pointer = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_GAP = re.compile(rf"(?:[ \t\r\n]+|{_COMMENT.pattern})*", re.DOTALL)
_MARK = "\ufeff"
_DEPTH = 100


class NotStrictJsonError(ConfigError):
    """The file is not strict JSON, so it was left alone."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value with its place in the text.

    Attributes:
        start: offset of its first character; of its key, for the member of an object.
        opens: offset of the value's own first character.
        end: offset behind its last character.
        value: the decoded scalar; None for containers (and for null).
        members: the children of an object by key, in file order; None for anything else.
        items: the children of an array; None for anything else.
    """

    start: int
    opens: int
    end: int
    value: Any = None
    members: dict[str, Node] | None = None
    items: list[Node] | None = None

    @property
    def children(self) -> list[Node]:
        """The members or items in file order."""
        return list(self.members.values()) if self.members is not None else list(self.items or ())

    def child(self, step: str | int) -> Node | None:
        """The member or item of that name, or None."""
        if isinstance(step, str):
            return (self.members or {}).get(step)
        items = self.items or []
        return items[step] if step < len(items) else None


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text and its parsed form; every edit gives a new one.

    Attributes:
        text: the whole file, with its byte order mark, line ends and all.
        source: the name of the file, for messages.
        relaxed: comments and trailing commas are allowed.
    """

    text: str
    source: str
    relaxed: bool = False
    root: Node = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", _Parser(self.text, self.source, relaxed=self.relaxed).document())

    def at(self, pointer: Pointer) -> Node | None:
        """The value at that place, or None."""
        node: Node | None = self.root
        for step in pointer:
            node = node.child(step) if node is not None else None
        return node

    def line(self, node: Node) -> int:
        """The line on which a value begins, from 1."""
        return self.text.count("\n", 0, node.start) + 1

    def value(self, node: Node) -> Any:
        """The decoded value of a node, containers and all."""
        if node.members is not None:
            return {key: self.value(child) for key, child in node.members.items()}
        return [self.value(child) for child in node.items] if node.items is not None else node.value

    def inside(self, pointer: Pointer) -> str:
        """What stands between the brackets of an empty container: white space, and comments where they are allowed."""
        node = self._container(pointer)
        return self.text[node.opens + 1 : node.end - 1]

    def append(self, pointer: Pointer, value: Any, *, key: str | None = None) -> Document:
        """Add a value at the end of an array, or of an object under `key`, in the file's own style."""
        node = self._container(pointer)
        indent, lead, trail = self._lead(node)
        name = "" if key is None else json.dumps(key, ensure_ascii=False) + self._colon()
        item = name + self._render(value, indent)
        if node.children:
            return self._append_behind(node.children[-1].end, lead + item)
        kept = self._behind_comments(node.opens + 1, node.end - 1)
        item = lead + item + trail
        return self._splice(kept, node.end - 1, self._line_end(node.opens + 1, kept, item) + item)

    def remove(self, pointer: Pointer, *, inside: str = "") -> Document:
        """Take a member or item out; `inside` is what an emptied container is left with."""
        parent = self._container(pointer[:-1])
        position = list(parent.members or ()).index(str(pointer[-1])) if parent.members else int(pointer[-1])
        children = parent.children
        child = children[position]
        if len(children) == 1:
            return self._empty(parent, child, inside)
        if position == 0:
            return self._splice(child.start, self._skip_space(self._behind_comma(child.end)), "")
        before = children[position - 1].end
        comma = self._behind_comma(before)
        begin = self._behind_comments(comma, child.start)
        if self._has_comma(child.end):
            end = self._behind_comma(child.end)
            return self._splice(begin, end, self._line_end(comma, begin, self.text[end:]))
        # The comma goes, a comment behind it stays.
        kept = self.text[comma:begin] + self._line_end(comma, begin, self.text[child.end :])
        return self._splice(before, child.end, kept)

    def replace(self, pointer: Pointer, value: Any) -> Document:
        """Put another value in the place of one, written in the file's own style."""
        node = self.at(pointer)
        if node is None:
            raise KeyError(pointer)
        line = self.text[self.text.rfind("\n", 0, node.start) + 1 : node.start].lstrip(_MARK)
        indent = None if self._unit() is None or line.strip() else line
        return self._splice(node.opens, node.end, self._render(value, indent))

    def _append_behind(self, last: int, item: str) -> Document:
        """Add an item behind the last one, and behind the comment on it."""
        trailing = self._has_comma(last)
        comma = self._behind_comma(last) if trailing else last
        here = self._behind_comments(comma, self._skip(comma))
        kept = self.text[last:here] if trailing else "," + self.text[comma:here]
        return self._splice(last, here, kept + self._line_end(comma, here, item) + item + ("," if trailing else ""))

    def _empty(self, parent: Node, child: Node, inside: str) -> Document:
        """Take the only child out; comments around it that `inside` knows nothing of stay."""
        end = self._behind_comma(child.end) if self._has_comma(child.end) else child.end
        before, after = self.text[parent.opens + 1 : child.start], self.text[end : parent.end - 1]
        if (before + after).strip() not in inside:
            inside = before.rstrip() + ("" if after.startswith(("\r", "\n")) else self._newline()) + after
        return self._splice(parent.opens + 1, parent.end - 1, inside)

    def _skip(self, at: int) -> int:
        return _Parser(self.text, self.source, relaxed=self.relaxed).skip(at)

    def _skip_space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def _has_comma(self, at: int) -> bool:
        return self.text.startswith(",", self._skip(at))

    def _behind_comma(self, at: int) -> int:
        """The place behind the comma that follows a value."""
        return self._skip(at) + 1

    def _behind_comments(self, start: int, end: int) -> int:
        """The place behind the last comment of a gap, else its start."""
        comments = list(_COMMENT.finditer(self.text, start, end)) if self.relaxed else []
        return comments[-1].end() if comments else start

    def _line_end(self, start: int, end: int, following: str) -> str:
        """The line end that keeps what follows from being a part of the comment before it, or ""."""
        comments = list(_COMMENT.finditer(self.text, start, end)) if self.relaxed else []
        swallowed = comments and comments[-1][0].startswith("//") and not following.startswith(("\r", "\n"))
        return self._newline() if swallowed else ""

    def _container(self, pointer: Pointer) -> Node:
        node = self.at(pointer)
        if node is None or (node.members is None and node.items is None):
            raise KeyError(pointer)
        return node

    def _splice(self, start: int, end: int, text: str) -> Document:
        return Document(self.text[:start] + text + self.text[end:], self.source, self.relaxed)

    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _unit(self) -> str | None:
        """One step of indentation; None for a document that is written on one line."""
        if not self.root.children:
            return "  "
        first = self.root.children[0]
        before = self.text[self.root.opens + 1 : first.start]
        return (before.rpartition("\n")[2] or "  ") if "\n" in before else None

    def _colon(self) -> str:
        """What stands between a key and its value, as the first member of the file has it."""
        if not self.root.members:
            return ": "
        first = self.root.children[0]
        written = self.text[first.start : first.opens]
        gap = written[len(written.rstrip(" :")) :]
        return gap if ":" in gap else ": "

    def _lead(self, node: Node) -> tuple[str | None, str, str]:
        """How a new last child is written: its indentation (None: inline), what precedes and follows it."""
        tight = "" if self._colon().endswith(":") else " "
        if node.children:
            before = self.text[node.opens + 1 : node.children[0].start]
            if "\n" not in before:
                return None, tight, ""
            indent = before.rpartition("\n")[2]
            return indent, self._newline() + indent, ""
        unit = self._unit()
        if unit is None:
            return None, "", ""
        line = self.text[self.text.rfind("\n", 0, node.start) + 1 : node.start].lstrip(_MARK)
        outer = line[: len(line) - len(line.lstrip(" \t"))]
        return outer + unit, self._newline() + outer + unit, self._newline() + outer

    def _render(self, value: Any, indent: str | None) -> str:
        colon = self._colon()
        if indent is None:
            comma = "," if colon.endswith(":") else ", "
            return json.dumps(value, ensure_ascii=False, separators=(comma, colon))
        text = json.dumps(value, ensure_ascii=False, indent=self._unit() or "  ", separators=(",", colon))
        return text.replace("\n", self._newline() + indent)


class _Parser:
    """A strict JSON parser that keeps positions."""

    def __init__(self, text: str, source: str, *, relaxed: bool = False) -> None:
        self.text = text
        self.source = source
        self.relaxed = relaxed
        self._gap = _GAP if relaxed else _SPACE
        # Numbers as floats: an integer of 5,000 digits is legal JSON and an error for int().
        self.scalars = json.JSONDecoder(parse_int=float, parse_constant=self._constant)

    def document(self) -> Node:
        """Parse the whole text; anything behind the first value is an error."""
        root = self._value(self.skip(1 if self.text.startswith(_MARK) else 0), depth=0)
        end = self.skip(root.end)
        if end != len(self.text):
            raise self._error(end, "there is more text behind the end of the JSON value")
        return root

    def _value(self, at: int, *, depth: int, start: int | None = None) -> Node:
        start = at if start is None else start
        if depth > _DEPTH:
            raise self._error(at, f"it is nested deeper than {_DEPTH} levels")
        if self.text.startswith("{", at):
            return self._object(at, start, depth)
        if self.text.startswith("[", at):
            return self._array(at, start, depth)
        try:
            value, end = self.scalars.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            raise self._error(error.pos, self._found(error.pos)) from None
        return Node(start, at, end, value)

    def _object(self, at: int, start: int, depth: int) -> Node:
        members: dict[str, Node] = {}
        here = self.skip(at + 1)
        while not self.text.startswith("}", here):
            if members:
                here = self.skip(self._expect(",", here))
                if self.relaxed and self.text.startswith("}", here):
                    break
            if not self.text.startswith('"', here):
                raise self._error(here, self._found(here))
            key = self._value(here, depth=depth + 1)
            if key.value in members:
                raise self._error(here, f"the key {json.dumps(key.value)} stands twice in one object")
            value = self.skip(self._expect(":", self.skip(key.end)))
            members[key.value] = self._value(value, depth=depth + 1, start=here)
            here = self.skip(members[key.value].end)
        return Node(start, at, here + 1, members=members)

    def _array(self, at: int, start: int, depth: int) -> Node:
        items: list[Node] = []
        here = self.skip(at + 1)
        while not self.text.startswith("]", here):
            if items:
                here = self.skip(self._expect(",", here))
                if self.relaxed and self.text.startswith("]", here):
                    break
            items.append(self._value(here, depth=depth + 1))
            here = self.skip(items[-1].end)
        return Node(start, at, here + 1, items=items)

    def skip(self, at: int) -> int:
        """Go over white space, and comments where they are allowed."""
        match = self._gap.match(self.text, at)
        return match.end() if match else at

    def _expect(self, character: str, at: int) -> int:
        if not self.text.startswith(character, at):
            raise self._error(at, self._found(at))
        return at + 1

    def _constant(self, name: str) -> float:
        raise self._error(self.text.find(name), f"{name} is not a JSON value")

    def _found(self, at: int) -> str:
        if at >= len(self.text):
            return "the file ends in the middle of a value"
        if self.text.startswith(("//", "/*", "#"), at) and not self.relaxed:
            return "there is a comment, which strict JSON does not allow"
        if self.text[at] in "}]":
            return f"there is a comma too many before {self.text[at]!r}, or a value is missing"
        kind = "JSON" if self.relaxed else "strict JSON"
        return f"{self.text[at : at + 12].splitlines()[0]!r} is not what {kind} has here"

    def _error(self, at: int, reason: str) -> NotStrictJsonError:
        line = self.text.count("\n", 0, at) + 1
        return NotStrictJsonError(f"{self.source}, line {line}: {reason}. Nothing was written.")
