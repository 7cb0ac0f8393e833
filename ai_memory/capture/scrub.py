"""The scrubber: takes secrets out of text before anything of it is stored, cut or shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ai_memory.capture.named import found_by_name
from ai_memory.capture.shapes import Span, found_by_shape
from ai_memory.errors import ConfigError
from ai_memory.model.event import Scrubbed

_MARK = re.compile(r"\[REDACTED:[a-z0-9-]{1,40}\]")
_CUSTOM = "custom"
_PASSES = 4
_SHORT = 128


class Scrubber:
    """Replaces every secret in a text by `[REDACTED:<kind>]`.

    A secret is known by its shape (a vendor's prefix, a key block) or by the name that it is given to
    ("password"); what has neither is not touched. Scrubbing a scrubbed text changes nothing.

    Args:
        extra_patterns: regular expressions of further secrets; the whole match is replaced.
        allowlist: a secret that contains one of these texts stays.

    Raises:
        ConfigError: an extra pattern is no regular expression, or matches the empty text; the message names it.
    """

    def __init__(self, extra_patterns: Sequence[str] = (), allowlist: Sequence[str] = ()) -> None:
        self._extra = tuple(_compiled(pattern) for pattern in extra_patterns)
        self._allowed = tuple(text for text in allowlist if text)
        # Names of tools, events and directories come with every event.
        self._short = lru_cache(4096)(self._scrubbed)

    def scrub(self, text: str) -> Scrubbed:
        """Give the text without its secrets."""
        return self._short(text) if len(text) <= _SHORT else self._scrubbed(text)

    def scrub_all(self, value: Any) -> Any:
        """Give a JSON value whose texts are without their secrets."""
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, list):
            return [self.scrub_all(each) for each in value]
        if isinstance(value, dict):
            return {key: self.scrub_all(each) for key, each in value.items()}
        return value

    def _scrubbed(self, text: str) -> Scrubbed:
        # What a replacement leaves behind may look like a secret in its turn, so that the end is a text that stays.
        # The bound is for texts made to fall one piece a pass: each pass costs their whole length.
        for _ in range(_PASSES):
            clean = self._pass(text)
            if clean == text:
                break
            text = clean
        return Scrubbed(text)

    def _pass(self, text: str) -> str:
        spans = [span for span in self._found(text) if not self._is_allowed(text[span[0] : span[1]])]
        if not spans:
            return text
        marks = [match.span() for match in _MARK.finditer(text)]
        pieces = []
        done = 0
        for start, end, kind in _merged(spans, marks):
            pieces += [text[done:start], f"[REDACTED:{kind}]"]
            done = end
        return "".join([*pieces, text[done:]])

    def _found(self, text: str) -> Iterator[Span]:
        yield from found_by_shape(text)
        yield from found_by_name(text)
        for pattern in self._extra:
            for match in pattern.finditer(text):
                if match.group():
                    yield match.start(), match.end(), _CUSTOM

    def _is_allowed(self, secret: str) -> bool:
        return any(text in secret for text in self._allowed)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"sanitize.extra_patterns: {pattern!r} is not a regular expression: {error}") from error
    if compiled.fullmatch(""):
        raise ConfigError(f"sanitize.extra_patterns: {pattern!r} matches the empty text, so it would match everywhere")
    return compiled


def _merged(spans: Sequence[Span], marks: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Join what overlaps, earlier marks included; the kind that was found first wins. A mark alone stays."""
    ranked = [(start, end, rank, kind) for rank, (start, end, kind) in enumerate(spans)]
    ranked += [(start, end, len(spans), "") for start, end in marks]
    settled = frozenset(marks)
    group: list[tuple[int, int, int, str]] = []
    reach = 0
    for item in [*sorted(ranked), (sys.maxsize, sys.maxsize, 0, "")]:
        if group and item[0] >= reach:
            kind = min(group, key=itemgetter(2))[3]
            if kind and (group[0][0], reach) not in settled:
                yield group[0][0], reach, kind
            group = []
            reach = 0
        group.append(item)
        reach = max(reach, item[1])
