"""Filters: what a search is narrowed to, beside the words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

#: The kind of sessions, beside those of pages.
SESSION = "session"
_SESSIONS = "sessions/"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search is narrowed to; what is empty narrows nothing.

    Attributes:
        paths: prefixes ("decisions/") or globs ("*.md", "notes/*-plan*"); one of them fits.
        kinds: kinds of pages, "session" among them; one of them fits.
        tags: all of them are on the page.
        since: last changed at this time or later; of a session: it spoke then.
        before: last changed before this time.
    """

    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    since: datetime | None = None
    before: datetime | None = None

    def also(self, more: Filters) -> Filters:
        """Add others: one of all paths and one of all kinds fits, all tags are there; of two times the others'."""
        return Filters(
            (*self.paths, *more.paths),
            (*self.kinds, *more.kinds),
            (*self.tags, *more.tags),
            more.since or self.since,
            more.before or self.before,
        )

    def take(self, path: str) -> bool:
        """Tell whether a path fits."""
        return not self.paths or any(
            fnmatchcase(path, each) if any(sign in each for sign in "*?[") else path.startswith(each)
            for each in self.paths
        )

    @property
    def take_sessions(self) -> bool:
        """Tell whether sessions can fit: they have no tags, and their pages one folder."""
        there = not self.paths or any(
            any(sign in each for sign in "*?[") or each.startswith(_SESSIONS) or _SESSIONS.startswith(each)
            for each in self.paths
        )
        return there and not self.tags and (not self.kinds or SESSION in map(str.casefold, self.kinds))
