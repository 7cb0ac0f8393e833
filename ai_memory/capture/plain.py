"""Text as it is stored: flattened from payload values, without terminal signs and our own injections, capped."""

from __future__ import annotations

import json
import re
from typing import Any

from ai_memory.model.event import Scrubbed
from ai_memory.model.handoff import FENCE_END, FENCE_START

TITLE_LIMIT = 80

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[PX^_][^\x1b\n]*(?:\x1b\\)?|[ -/]*[0-~])?"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)
_RETURN = re.compile(r"\r\n?")
#: Control signs, marks that turn the direction of writing (a page could show another text than it holds),
#: and halves of surrogate pairs, which no file can be written with.
_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")

#: Anything of the above: most texts hold none, and every text of every event comes by here.
_SUSPECT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_FENCE_WORD = "ai-memory:untrusted-history"

_HOOK_CONTEXT = ("<hook_context>", "</hook_context>")
_FENCES = (
    (FENCE_START, FENCE_END),
    # Gemini CLI escapes what a hook injects.
    tuple(fence.replace("<", "&lt;").replace(">", "&gt;") for fence in (FENCE_START, FENCE_END)),
)


def flat(value: Any) -> str:
    """Give a payload's value as text: lists line by line, an object's `text` or `content`, else compact JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "\n".join(line for line in map(flat, value) if line)
    if isinstance(value, dict):
        for key in ("text", "content"):
            if value.get(key):
                return flat(value[key])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def cleaned(text: str) -> str:
    """Take out what a terminal or a page would act upon, and blocks that this memory injected itself."""
    text = harmless(text)
    if _FENCE_WORD in text:
        for start, end in _FENCES:
            text = _without_blocks(text, start, end)
    return text


def harmless(text: str) -> str:
    """Take out what a terminal would act upon: escape sequences, control signs, marks that turn the writing."""
    if not _SUSPECT.search(text):
        return text
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPE.sub("", text)
    if "\r" in text:
        text = _RETURN.sub("\n", text)
    return _HALF_PAIR.sub("\ufffd", _UNWANTED.sub("", text))


def without_hook_context(prompt: str) -> str:
    """Take the context blocks off the head of a prompt that hooks put there (Gemini CLI stores them in it)."""
    opening, closing = _HOOK_CONTEXT
    rest = prompt.lstrip()
    while rest.startswith(opening):
        end = rest.find(closing)
        if end < 0:
            return prompt
        prompt = rest = rest[end + len(closing) :].lstrip()
    return prompt


def capped(text: Scrubbed, limit: int) -> Scrubbed:
    """Cut a text to `limit` bytes of UTF-8: two thirds of head and one of tail around a note of what is missing."""
    data = text.encode()
    if len(data) <= limit:
        return text
    room = limit - len(f"...[truncated {len(data)} bytes]...")
    head = data[: room * 2 // 3].decode(errors="ignore")
    tail = data[len(data) - room // 3 :].decode(errors="ignore")
    missing = len(data) - len(head.encode()) - len(tail.encode())
    return Scrubbed(f"{head}...[truncated {missing} bytes]...{tail}")


def cut(text: Scrubbed, limit: int) -> Scrubbed:
    """Cut a text to `limit` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else Scrubbed(text[: limit - 1].rstrip() + "…")


def first_line(text: Scrubbed) -> Scrubbed:
    """Give the first line that says anything, cut to a title's length."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return cut(Scrubbed(" ".join(line.split())), TITLE_LIMIT)


def _without_blocks(text: str, start: str, end: str) -> str:
    pieces = []
    done = 0
    while (head := text.find(start, done)) >= 0 and (tail := text.find(end, head)) >= 0:
        pieces.append(text[done:head])
        done = tail + len(end)
    return "".join([*pieces, text[done:]]) if pieces else text
