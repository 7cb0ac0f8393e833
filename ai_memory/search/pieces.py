"""Texts cut into the pieces that become vectors: an embedder reads a few hundred tokens and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from ai_memory.search.chunks import SPACELESS

#: In half words: a character of a script without spaces is half a word, 16 signs without a space are a word.
_LONG = 240
_LEAD = 80
_OVERLAP = 50
_PIECES = 64
_ATOM = re.compile(rf"([{SPACELESS}])|[^\s{SPACELESS}]{{1,16}}")


def pieces_of(text: str) -> list[str]:
    """Cut a text into pieces of about 120 words, or of 240 characters where words have no spaces between them.

    A heading, or a first paragraph of up to 40 words, with more behind it is a piece of its own as well: it says what
    the rest is about (measured: 1 to 2 points of recall on commit messages). Of the others each begins with the last 25
    words of the one before. There is at least one, except for "", and at most 64: what a text says after some 6,000
    words is left to the search by words.
    """
    lead, _, more = text.strip().partition("\n\n")
    first = [lead] if more.strip() and 0 < sum(map(_weight, _ATOM.finditer(lead[: 16 * _LEAD]))) <= _LEAD else []
    return list(islice(chain(first, _pieces(text)), _PIECES)) or ([text] if text else [])


def _pieces(text: str) -> Iterator[str]:
    kept: list[tuple[int, int, int]] = []  # start, end, half words
    size = new = 0
    for found in _ATOM.finditer(text):
        weight = _weight(found)
        if size + weight > _LONG:
            yield text[kept[0][0] : kept[-1][1]]
            while size > _OVERLAP:
                size -= kept.pop(0)[2]
            new = 0
        kept.append((*found.span(), weight))
        size += weight
        new += 1
    if new:
        yield text[kept[0][0] : kept[-1][1]]


def _weight(atom: re.Match[str]) -> int:
    return 1 if atom[1] else 2
