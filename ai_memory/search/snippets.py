"""Snippets where the full-text index has none: of text without spaces, and of what was found by its meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence

_AROUND = 60
#: In characters: of a longer text only a part is read for the place to quote.
_PART = 16_000
_LONGEST = 240
#: Headings, rules, and lines that say "key: value" say nothing that a person wants to read here.
_STORED_MARKS = re.compile(r"</?mark>")
_NO_PROSE = re.compile(r"\s*(#{1,6}\s|(-{3,}|_{3,}|\*{3,})\s*$|[-*] \*\*[^*]+:\*\*)")


def descriptor(text: str, title: str, summary: str) -> str:
    """Say what a page or turn is about: its summary, else its first lines of prose, at most 240 characters.

    Args:
        text: of it, or of the part that was found.
        title: lines that only repeat it are left out.
        summary: what the page says of itself, or "".
    """
    if summary.strip():
        return _cut(" ".join(summary.split()))
    lines = [line for line in map(str.strip, text[:4_000].splitlines()) if line]
    prose = [line for line in lines if not _NO_PROSE.match(line) and line.strip("# ") != title]
    return _cut(" ".join(prose or lines[:1]))


def around(text: str, terms: Sequence[str]) -> str:
    """Give the part of a text that has the first of the terms in it, as typed; of one that is not long, all.

    Marks that somebody stored are left out: those of a snippet are ours.
    """
    text = _STORED_MARKS.sub("", text)
    if len(text) <= _PART:
        return text
    lowered = text.lower()
    places = [place for term in terms if (place := lowered.find(term.lower())) >= 0]
    start = max(0, min(places, default=0) - _PART // 2)
    return text[start : start + _PART]


def marked_run(text: str, terms: Sequence[str]) -> str:
    """Quote the first place of a term whose characters the index holds one by one, `<mark>` around it; "" without."""
    for term in terms:
        run = term.replace(" ", "")
        place = text.find(run) if run != term else -1
        if place >= 0:
            before, after = text[max(0, place - _AROUND) : place], text[place + len(run) :][:_AROUND]
            return " ".join(f"{before}<mark>{run}</mark>{after}".split())
    return ""


def _cut(text: str) -> str:
    text = _STORED_MARKS.sub("", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rsplit(' ', 1)[0]}…"
