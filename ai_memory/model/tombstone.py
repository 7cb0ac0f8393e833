"""Tombstones: what was deleted, and may not come back by inference.

They are lines of a manifest's body, so that `git log -p` shows each delete as one line:
`- 2026-11-21T10:00:00Z delete-page notes/old.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

HEADING = "## Gone"
_LINE = re.compile(r"- (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([a-z][a-z-]*) (.+)")
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
    """Read the tombstones of a manifest's body: key -> tombstone; what is no such line is passed over."""
    return together(each for line in body.split("\n") if (each := _read(line)))


def together(*some: Iterable[Tombstone]) -> dict[str, Tombstone]:
    """Put tombstones together, key -> tombstone: of two of one key the later one counts, but nothing undoes a purge."""
    return {each.key: each for each in sorted(chain(*some), key=lambda each: each.is_purge)}


def with_tombstones(body: str, tombstones: Iterable[Tombstone]) -> str:
    """Give a manifest's body with exactly these tombstones, oldest first; whatever else somebody wrote in it stays."""
    # A path with a line break in it cannot be a line: it would be read as something else.
    wanted = [each for each in tombstones if (read := _read(each.line)) and read.key == each.key]
    if together(wanted) == tombstones_in(body):
        return body
    words = [line for line in body.split("\n") if not _read(line)]
    place = next((n for n, line in enumerate(words) if line.rstrip() == HEADING), len(words))
    before, after = ("\n".join(part).rstrip() for part in (words[:place], words[place + 1 :]))
    lines = [each.line for each in sorted(wanted, key=lambda each: (each.at, each.what))]
    section = "\n".join(["", HEADING, "", *lines, ""]) if lines else ""
    after = after.lstrip("\r\n")
    return (f"{before}\n" if before else "") + section + (f"\n{after}\n" if after else "")


def _read(line: str) -> Tombstone | None:
    match = _LINE.fullmatch(line.removesuffix("\r"))
    if not match:
        return None
    try:
        at = datetime.fromisoformat(match[1])
    except ValueError:
        # Somebody wrote the line by hand, and no such day exists.
        return None
    return Tombstone(at, match[2], match[3])
