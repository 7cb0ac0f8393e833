"""What the report of `status` means, in words: its stages, and what somebody does about what it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Key of a stage -> what it counts, in the order of the work.
STAGES = {
    "ingest": "events",
    "compile": "checkpoints",
    "pages": "page writes",
    "packets": "pushes",
    "indexing": "indexed",
    "handoffs": "session starts",
    "catch_up": "read at start",
    "upkeep": "upkeep",
    "embedding": "vectors",
    "jobs": "jobs",
}
#: About pages with a problem.
PUT_RIGHT = "put them right and save; of a conflict no marker may stay"
#: Less than this, or than a fifth of the databases, is not worth a word.
_RECLAIM_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Trouble:
    """A sort of things that need somebody.

    Attributes:
        key: of the report's `pages`: how many there are, and the first of them.
        label: two words at most.
        what: is the matter with them.
        way_out: what to do.
    """

    key: str
    label: str
    what: str
    way_out: str


TROUBLES = (
    Trouble(
        "deleted_but_there",
        "deleted",
        "the file is there again; it is not read",
        "delete the file, or say `ai-memory write-page --revive`",
    ),
    Trouble(
        "missing",
        "missing",
        "too many are, to be taken for deleted",
        "`ai-memory commit` deletes them, `restore-page` brings one back",
    ),
    Trouble(
        "unreadable_manifests",
        "manifest",
        "the project counts as it was before",
        "put the file right, or take it back from git",
    ),
    Trouble(
        "purged_again",
        "purged",
        "it had come back, as a pull can bring it, and is gone again",
        "purge it in the other copies of the wiki, too",
    ),
    Trouble(
        "raw_logs_of_unknown",
        "raw logs",
        "no manifest says which project this is",
        "take the manifest back from git, or delete the folder",
    ),
    Trouble(
        "raw_logs_of_purged",
        "purged",
        "the raw log is there again; it is not read",
        "delete the file: it is not needed any more",
    ),
)


def worth_compacting(storage: Mapping[str, Any]) -> int:
    """Give how many bytes `compact` would free, 0 where that is not worth a word."""
    reclaimable = int(storage["reclaimable_bytes"])
    return reclaimable if reclaimable >= max(_RECLAIM_BYTES, storage["database_bytes"] // 5) else 0
