"""A passage of ours at the end of somebody else's text: added after a gap, and taken out without a trace."""

from __future__ import annotations


def newline_of(text: str) -> str:
    """The line end that a text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def appended(text: str, passage: str) -> tuple[str, str]:
    """Add a passage after an empty line; gives the text and the gap that was put between."""
    newline = newline_of(text)
    passage = passage.replace("\n", newline)
    if not text.strip("\ufeff \t\r\n"):
        return text + passage, ""
    gap = newline if text.endswith("\n") else newline * 2
    return text + gap + passage, gap


def cut(text: str, start: int, end: int, gap: str | None) -> str:
    """Take a passage out.

    Args:
        text: the whole.
        start, end: where the passage stands.
        gap: what was put before it; None when nobody noted that: then one empty line goes with it.
    """
    before, after = text[:start], text[end:]
    newline = newline_of(text)
    gap = newline if gap is None and before.endswith(newline * 2) else gap or ""
    before = before.removesuffix(gap)
    return before + (newline if before and after and not before.endswith("\n") else "") + after
