"""Which part of a markdown text is prose."""

from __future__ import annotations

import re

#: A line that opens a fence, also in quotes and in list items.
_OPENING = re.compile(
    r"^[ \t]*+(?:(?:>|[-+*](?=[ \t])|\d{1,9}[.)](?=[ \t]))[ \t]*+)*+(`{3,}+(?=[^`\n]*+$)|~{3,}+)", re.MULTILINE
)


def unfenced(text: str) -> str:
    """Blank out fenced code: a text of the same length, so that places found in it are places of the original.

    A fence ends at a line of at least as many of its characters, with the quote that it stands in, or with the text.
    """
    if "```" not in text and "~~~" not in text:
        return text
    pieces = []
    done = 0
    while opening := _OPENING.search(text, done):
        end = _end_of(text, opening)
        pieces += [text[done : opening.start()], " " * (end - opening.start() - 1), "\n"]
        done = end
    return "".join([*pieces, text[done:]])


def _end_of(text: str, opening: re.Match[str]) -> int:
    """Say where the line after a fence begins."""
    fence = opening[1]
    closing = f"{fence[0]}{{{len(fence)},}}+[ \\t\\r]*+(?:\\n|\\Z)"
    # One search for both ends: to look for the quote's end first reads to the end of the text for each fence in it.
    ending = f"^(?:[ \\t>]*+({closing})|(?![ \\t]*+>))" if ">" in opening[0] else f"^[ \\t]*+({closing})"
    found = re.compile(ending, re.MULTILINE).search(text, text.find("\n", opening.end()) + 1 or len(text))
    if not found:
        return len(text)
    return found.end() if found[1] else found.start()
