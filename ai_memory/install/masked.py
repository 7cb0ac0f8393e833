"""What a file keeps secret, taken out of what is shown of it.

The form of a file is not asked: a passage that cannot be understood must not be the one that is shown whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'"
#: An object, or a table of TOML, whose every value may be a secret.
_HOLDERS = r"(?:env|environment|headers|http_headers)"
_HOLDER = re.compile(
    rf"\b{_HOLDERS}[\"']?\s*[:=]\s*\{{(?P<object>(?:[^{{}}\"]|\"(?:[^\"\\\n]|\\.)*\")*)\}}"
    rf"|^[ \t]*\[[^\]\n]*\b{_HOLDERS}[\"']?[ \t]*\](?P<table>.*?)(?=^[ \t]*\[|\Z)",
    re.MULTILINE | re.DOTALL,
)
_VALUE = re.compile(rf"[:=]\s*(?P<value>{_STRING})")
_NAMED = (
    r"(?:token|secret|passw|credential|authorization|cookie|api[_-]?key|(?:access|private|auth)[_-]?key)[\w.-]{0,80}"
)
_SECRETS = (
    # A comma: the value of an argument that stands before it.
    re.compile(rf"{_NAMED}[\"']?\s*[:=,]\s*(?P<value>{_STRING})", re.IGNORECASE),
    re.compile(rf"{_NAMED}=(?P<value>[^\s\"'&,;]+)", re.IGNORECASE),
    re.compile(r"\bBearer (?P<value>[^\s\"']+)", re.IGNORECASE),
    re.compile(r"://(?P<value>[^/\s\"'@]+)@"),
)
_SCHEME = re.compile(r"(?:Bearer|Basic) ", re.IGNORECASE)


def secrets_in(text: str) -> dict[tuple[int, int], str]:
    """The values that must not be shown, by their place; one that only names a variable is none."""
    places = [match.span("value") for pattern in _SECRETS for match in pattern.finditer(text)]
    for holder in _HOLDER.finditer(text):
        start, end = holder.span("object" if holder["object"] is not None else "table")
        places += [match.span("value") for match in _VALUE.finditer(text, start, end)]
    found: dict[tuple[int, int], str] = {}
    for start, end in places:
        if text[start] in "\"'":
            start, end = start + 1, end - 1  # noqa: PLW2901 - the quotes are shown
        if scheme := _SCHEME.match(text, start, end):
            start = scheme.end()  # noqa: PLW2901 - so is what kind of secret it is
        if text[start:end] and text[start] not in "${":
            found[start, end] = text[start:end]
    return found


def masked(text: str, known: Collection[str] | None = None) -> str:
    """Put `…` in the place of every secret.

    Args:
        text: a file.
        known: the secrets of the file before; any other is marked as new. None: there was no such file.
    """
    shown, here = "", 0
    for (start, end), value in sorted(secrets_in(text).items()):
        if start >= here:
            new = known is not None and value not in known
            shown += text[here:start] + ("… (new)" if new else "…")
        here = max(here, end)
    return shown + text[here:]
