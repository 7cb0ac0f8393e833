"""The markdown that a model wrote: its links, its blocks, and which of them stand on the input."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.names import slug
from ai_memory.model.handoff import one_line, shortened
from ai_memory.model.page import collision_key

_WIKI_LINK = re.compile(r"(?<!!)\[\[([^\[\]|\n]{1,512})(?:\|([^\[\]\n]*))?\]\]")
_HEADING = re.compile(r"(#{1,6})[ \t]")
_BEGINS = re.compile(r"[ \t]*(?:[-*+]|\d{1,3}[.)]|#{1,6})[ \t]|[ \t]*(?:```|~~~)")


def grounded(
    text: str, ground: Ground, known: Collection[str], unchecked: re.Pattern[str] | None = None
) -> tuple[str, list[Refusal]]:
    """Give a text without the paragraphs and items that name what the input does not hold, and those.

    Args:
        text: markdown.
        ground: the input.
        known: paths that links may lead to; those of other links have to be in the input.
        unchecked: signs that are nothing of the text.
    """
    kept, refused = [], []
    for block in _blocks(text):
        said = unchecked.sub("", block) if unchecked else block
        if alien := ground.missing(unlinked(said, known)):
            refused.append(ungrounded(block, alien))
        else:
            kept.append(block)
    return _without_empty_sections(kept), refused


def cited(text: str, mark: re.Pattern[str]) -> tuple[str, list[Refusal]]:
    """Give a text without the paragraphs and items that cite nothing, and those; headings and code need not.

    Args:
        text: markdown.
        mark: what a citation looks like.
    """
    kept, refused = [], []
    for block in _blocks(text):
        if mark.search(block) or _HEADING.match(block) or block.lstrip().startswith(("```", "~~~")):
            kept.append(block)
        else:
            refused.append(Refusal(shortened(one_line(block), 80), "it names no source"))
    return _without_empty_sections(kept), refused


def ungrounded(what: str, alien: str) -> Refusal:
    """Say that an item is refused for something that it names."""
    named = shortened(one_line(alien), 80)
    return Refusal(shortened(one_line(what), 80), f"it names {named!r}, which is not in its input")


def line_of(item: Any, key: str, limit: int) -> str:
    """Give a text of an item of an answer as one line of at most `limit` characters, "" where there is none."""
    value = item.get(key) if isinstance(item, dict) else None
    return shortened(one_line(harmless(value)), limit) if isinstance(value, str) else ""


def named(stem: str, title: str, ground: Ground) -> str:
    """Give a file name: the model's own, unless it is none or names what nobody has said; then one of the title."""
    is_own = any(map(str.isalnum, stem)) and not ground.missing(stem.replace("-", " ")) and not ground.missing(stem)
    return slug(stem if is_own else title)


def link_key(path: str) -> str:
    """Give what a link's target has in common with the path that it leads to."""
    path = path.strip().partition("#")[0].strip("/")
    return collision_key(path if path.endswith(".md") else f"{path}.md")


def targets_of(existing: Collection[str]) -> dict[str, str]:
    """Give what links to these paths have in common with them, and the paths."""
    return {collision_key(path): path for path in existing}


def relinked(body: str, targets: Mapping[str, str]) -> str:
    """Let links lead to where pages are, whatever path the model thought that they would have."""

    def anew(link: re.Match[str]) -> str:
        path = targets.get(link_key(link[1]))
        return f"[[{path}{f'|{link[2]}' if link[2] else ''}]]" if path else link[0]

    return _WIKI_LINK.sub(anew, body)


def unlinked(body: str, known: Collection[str]) -> str:
    """Give a text without the paths of links to pages that are there; the paths of others have to be grounded."""
    return _WIKI_LINK.sub(lambda link: (link[2] or "") if link[1] in known else f"{link[1]} {link[2] or ''}", body)


def without_links(body: str, gone: Collection[str]) -> str:
    """Turn links to pages that do not come into being into plain text."""

    def plain(link: re.Match[str]) -> str:
        if link[1] not in gone:
            return link[0]
        return link[2] or link[1].rpartition("/")[2].removesuffix(".md").replace("-", " ")

    return _WIKI_LINK.sub(plain, body)


def _blocks(body: str) -> list[str]:
    """Cut a text into headings, items, paragraphs and fenced code, each with the empty lines after it."""
    blocks: list[str] = [""]
    fence = ""
    is_over = False
    for line in body.splitlines(keepends=True):
        bare = line.strip()
        if bare and not fence and (is_over or _BEGINS.match(line)):
            blocks.append("")
        blocks[-1] += line
        if fence:
            is_over = bare.startswith(fence) and not bare.strip(fence[0])
            fence = "" if is_over else fence
        elif bare.startswith(("```", "~~~")):
            fence, is_over = bare[:3], False
        else:
            is_over = not bare or _HEADING.match(bare) is not None
    return [block for block in blocks if block.strip()]


def _without_empty_sections(blocks: Sequence[str]) -> str:
    kept: list[str] = []
    level = 7
    for block in reversed(blocks):
        heading = _HEADING.match(block)
        if heading and level <= len(heading[1]):
            continue
        if heading is None:
            level = 7
        elif not kept:
            continue
        else:
            level = len(heading[1])
        kept.append(block)
    return "".join(reversed(kept)).strip()
