"""The links of a page: `[[path|label]]`, `[[project:path]]`, `[[workspace/project:path]]`, `[label](../path.md#a)`."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from ai_memory.model.markdown import unfenced

#: Lines that begin a block by themselves, and those that are one: a stray backtick must not reach into the next block.
_BEGINS = re.compile(r"[ \t>]*+(?:\r?$|[-+*][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t]|\|)")
_ALONE = re.compile(r"[ \t>]*+(?:#{1,6}[ \t]|\|)")

_CODE = re.compile(r"\\[!-/:-@\[-`{-~]|`++")
# Every repetition is possessive: a text of a megabyte that is nearly a link takes as long as any other.
_TOKEN = re.compile(
    r"""
    \\[!-/:-@\[-`{-~]                                       # what is escaped is no token
  | (?P<embed>!)?\[\[(?P<wiki>[^\[\]|\n]{1,512}+)(?:\|(?P<label>[^\[\]\n]*+))?+\]\]
  | (?P<open>!?\[)
  | (?P<close>\])
    (?:\(\s*+
        (?:<(?P<angle>[^<>\n]*+)>|(?P<bare>(?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*+\))*+))
        (?:\s++(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\)))?+
    \s*+\))?+
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
#: Left of the colon of a `[[…]]` these are no projects.
_URLS = frozenset({"http", "https", "ftp", "file", "mailto", "data", "javascript", "tel"})
_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads: names of workspace and project ("" for the page's own), path in the project's folder."""

    workspace: str
    project: str
    path: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a link stands in the text that it was read from.

    Attributes:
        link: where it leads.
        fragment: what stands behind its `#`, "" for nothing.
        start: where it begins.
        label: where what a reader sees of it begins and ends.
        end: where the text goes on.
    """

    link: Link
    fragment: str
    start: int
    label: tuple[int, int]
    end: int


def links_of(path: str, body: str) -> tuple[Link, ...]:
    """Read the links of a page's body, each once, in their order: those of `places_of`."""
    return tuple(dict.fromkeys(place.link for place in places_of(path, body)))


def places_of(path: str, body: str) -> Iterator[Place]:
    """Find the links of a page's body, in their order; none lies in another.

    Links count as in CommonMark outside fenced blocks and inline code. Images, URLs, mere anchors, targets that are no
    pages and relative links that leave the project's folder are no links to pages.

    Args:
        path: of the page in its project; relative links start there.
        body: the page without its front matter.
    """
    if "[[" not in body and "](" not in body:
        return
    folder = path.split("/")[:-1]
    for start, block in _blocks(unfenced(body)):
        yield from _places(start, _without_code(block), folder)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Give the paragraphs, items, headings and rows that could hold a link, and where they begin."""
    block: list[str] = []
    start = here = 0
    for line in [*text.split("\n"), ""]:
        if _BEGINS.match(line):
            whole = "\n".join(block)
            if "[[" in whole or "](" in whole:
                yield start, whole
            block = []
            start = here
        block.append(line)
        here += len(line) + 1
        if _ALONE.match(line):
            if "[[" in line or "](" in line:
                yield start, line
            block = []
            start = here


def _without_code(block: str) -> str:
    """Blank out inline code: a run of backticks begins it, the next run of the same length ends it."""
    runs: dict[int, list[int]] = {}
    for run in re.finditer("`++", block):
        runs.setdefault(len(run[0]), []).append(run.start())
    if not runs:
        return block
    for starts in runs.values():
        starts.reverse()
    pieces = []
    done = kept = 0
    while token := _CODE.search(block, done):
        done = token.end()
        length = len(token[0])
        ends = runs.get(length, []) if token[0][0] == "`" else []
        while ends and ends[-1] < done:
            ends.pop()
        if ends:
            done = ends[-1] + length
            pieces += [block[kept : token.start()], " " * (done - token.start())]
            kept = done
    return "".join([*pieces, block[kept:]])


def _places(start: int, block: str, folder: Sequence[str]) -> Iterator[Place]:
    """Scan one block: brackets pair up as in CommonMark, and a link holds no other link."""
    opened: list[re.Match[str]] = []
    inside = 0  # so many open brackets are around a link, hence none themselves
    for token in _TOKEN.finditer(block):
        found = None
        if token["wiki"]:
            found = None if token["embed"] else _wiki_link(token["wiki"], folder)
            begun, label = token.start(), token.span("wiki" if token["label"] is None else "label")
            inside = len(opened) if found else inside
        elif token["open"]:
            opened.append(token)
        elif token["close"] and opened:
            bracket = opened.pop()
            begun, label = bracket.start(), (bracket.end(), token.start())
            target = token["angle"] or token["bare"]
            if target and bracket[0] == "[" and len(opened) >= inside:
                found = _markdown_link(target, folder)
                inside = len(opened)
            inside = min(inside, len(opened))
        if found:
            yield Place(*found, start + begun, (start + label[0], start + label[1]), start + token.end())


def _wiki_link(text: str, folder: Sequence[str]) -> tuple[Link, str] | None:
    target, fragment = _cut(text.removesuffix("\\"))
    target = target.strip()
    scope, colon, path = target.partition(":")
    if not colon:
        start = folder if target.startswith(("./", "../")) else ()
        return _link("", "", start, target, fragment)
    workspace, slash, project = (part.strip() for part in scope.rpartition("/"))
    if (
        path.startswith("//")
        or scope.lower() in _URLS
        or not project
        or "/" in workspace
        or bool(slash) != bool(workspace)
    ):
        return None
    return _link(workspace, project, (), path.strip(), fragment)


def _markdown_link(target: str, folder: Sequence[str]) -> tuple[Link, str] | None:
    target = _ESCAPE.sub(lambda escape: escape[1] or html.unescape(escape[0]), target)
    if _SCHEME.match(target) or target.startswith("//"):
        return None
    path, fragment = map(unquote, _cut(target))
    return _link("", "", () if path.startswith("/") else folder, path, fragment)


def _cut(target: str) -> tuple[str, str]:
    """Cut a target into its path and what stands behind its `#`; a query is passed over."""
    target, _, fragment = target.partition("#")
    return target.partition("?")[0], fragment.strip()


def _link(workspace: str, project: str, start: Sequence[str], target: str, fragment: str) -> tuple[Link, str] | None:
    """Walk from a folder to a target; None when it leaves the project or is no page."""
    segments = list(start)
    for segment in target.split("/"):
        if segment == "..":
            if not segments:
                return None
            segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    name = target.rpartition("/")[2]
    if name in ("", ".", "..", ".md") or target.startswith("//") or _CONTROL.search(target):
        return None
    if not name.endswith(".md"):
        if _EXTENSION.search(name):
            return None
        segments[-1] += ".md"
    return Link(workspace, project, unicodedata.normalize("NFC", "/".join(segments))), fragment
