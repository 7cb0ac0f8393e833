"""Tombstones: what was deleted, and may not come back by inference.

They are lines of a manifest's body, so that `git log -p` shows each delete as one line:
`- 2026-11-21T10:00:00Z delete-page notes/old.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

HEADING = "## Gone"
_LINE = re.compile(r"- (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([a-z][a-z-]*) (\S.*)")
#: Verbs whose text goes on behind the key.
_IDS_FIRST = frozenset({"purge-project", "move-project", "move-session"})


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One deleted thing.

    Attributes:
        at: when, UTC, whole seconds.
        verb: what was done ("delete-page", "forget-sweep", "outside-delete", "purge-page", "purge-session",
            "purge-project", "move-session", "move-project").
        what: a page's path, a session's id, or a project's id with its names (`model/former.py`); of what moved also
            the id of the project that has it now.
    """

    at: datetime
    verb: str
    what: str

    @property
    def line(self) -> str:
        """The line of the manifest."""
        return f"- {self.at:%Y-%m-%dT%H:%M:%SZ} {self.verb} {self.what}"

    @property
    def key(self) -> str:
        """What it is looked up by: the path or the id."""
        return self.what.partition(" ")[0] if self.verb in _IDS_FIRST else self.what

    @property
    def is_purge(self) -> bool:
        """Whether it may never come back, not even from history."""
        return self.verb.startswith("purge-")


def tombstones_in(body: str) -> dict[str, Tombstone]:
    """Read the tombstones of a manifest's body: key -> tombstone."""
    found: dict[str, Tombstone] = {}
    for match in map(_LINE.fullmatch, body.splitlines()):
        if match:
            at = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            tombstone = Tombstone(at, match[2], match[3])
            found[tombstone.key] = tombstone
    return found


def body_with(tombstones: Iterable[Tombstone]) -> str:
    """Write a manifest's body, oldest tombstone first; "" without any."""
    lines = [each.line for each in sorted(tombstones, key=lambda each: (each.at, each.what))]
    return "\n".join(["", HEADING, "", *lines, ""]) if lines else ""
