"""Pages: one markdown file each, front matter and body; the changes that compile stages propose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import frontmatter
import yaml

from ai_memory.errors import BadRequestError

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9]|\.git)(\..*)?")
_ILLEGAL = re.compile(r'[<>:"|?*\x00-\x1f\\]')


class BadPagePathError(BadRequestError):
    """A page path is not usable."""


@dataclass(frozen=True, slots=True)
class PageChange:
    """One file of a project to write: path in the project's folder, and its new text, not yet scrubbed."""

    path: str
    text: str


def page_path(path: str) -> str:
    """Return a caller's page path if it is safe and portable: the one gate for such paths.

    Raises:
        BadPagePathError: absolute, escaping, or not writable on every operating system.
    """
    segments = path.split("/")
    if not path or any(segment in ("", ".", "..") for segment in segments):
        raise BadPagePathError(f"page path {path!r} must be relative, without empty, '.' or '..' segments")
    for segment in segments:
        if _ILLEGAL.search(segment) or segment[-1] in ". " or _RESERVED.fullmatch(segment):
            raise BadPagePathError(f"page path {path!r} cannot be a file name on every system: {segment!r}")
    return path


def formatted(front: Mapping[str, object], body: str) -> str:
    """Write a page: YAML front matter in the given key order, then the body; no fence without front matter."""
    if not front:
        return body
    head = yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{head}---\n{body}"


def front_matter(text: str) -> dict[str, object]:
    """Read a page's front matter; a page whose front matter is not YAML has none."""
    try:
        front, _ = frontmatter.parse(text.removeprefix("\ufeff"))
    except yaml.YAMLError:
        return {}
    return dict(front)


def bullets(items: Sequence[str]) -> str:
    """Write a markdown list, one line an item."""
    return "".join(f"- {item}\n" for item in items)
