"""Former places: where a project was before it was purged or moved, as its workspace's manifest keeps it.

The tombstone's text is `<id> [<id it became part of>] <name> <identity or "-"> <root or alias>…`, each percent-encoded
where it holds a space. So events that come late still find out where they belonged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import quote, unquote
from uuid import UUID

from ai_memory.model.scope import Project, Workspace
from ai_memory.model.tombstone import Tombstone

PURGE_PROJECT = "purge-project"
MOVE_PROJECT = "move-project"
_PLAIN = "/:@~+,=()!'"


@dataclass(frozen=True, slots=True)
class Former:
    """A project as it was, and what became of it.

    Attributes:
        was: the id that it had.
        project: names, identity and roots that it had; its id is that of the project that it is (part of) now.
        at: when it was purged or moved.
        purged: it was purged; else it was moved.
    """

    was: UUID
    project: Project
    at: datetime
    purged: bool


def up(at: datetime) -> datetime:
    """Round a time up to a whole second: what happened before a purge is never younger than its tombstone."""
    whole = at.replace(microsecond=0)
    return whole if whole == at else whole + timedelta(seconds=1)


def purged_line(project: Project, at: datetime) -> Tombstone:
    """Make the tombstone of a project that is purged."""
    return Tombstone(up(at), PURGE_PROJECT, " ".join([str(project.id), *_fields(project)]))


def moved_line(project: Project, target: UUID, at: datetime) -> Tombstone:
    """Make the tombstone of a project that moves to another workspace, where it is `target` (itself, or another)."""
    return Tombstone(up(at), MOVE_PROJECT, " ".join([str(project.id), str(target), *_fields(project)]))


def former_of(workspace: Workspace, tombstone: Tombstone) -> Former | None:
    """Read a tombstone of a workspace's manifest; None where it tells of no project."""
    words = tombstone.what.split()
    ids = 2 if tombstone.verb == MOVE_PROJECT else 1
    if tombstone.verb not in (MOVE_PROJECT, PURGE_PROJECT) or len(words) < ids + 2:
        return None
    try:
        was, now = UUID(words[0]), UUID(words[ids - 1])
    except ValueError:
        return None
    name, identity, *rest = map(unquote, words[ids:])
    project = Project(
        id=now,
        workspace_id=workspace.id,
        workspace=workspace.name,
        name=name,
        identity="" if identity == "-" else identity,
        roots=tuple(word for word in rest if _is_root(word)),
        aliases=tuple(word for word in rest if not _is_root(word)),
    )
    return Former(was, project, tombstone.at, tombstone.verb == PURGE_PROJECT)


def merged(target: Project, source: Project) -> Project:
    """Give a project that takes another one in: whatever led to either leads to it."""
    return replace(
        target,
        identity=target.identity or source.identity,
        roots=_together(target.roots, source.roots),
        aliases=tuple(
            name
            for name in _together(target.aliases, (source.name, *source.aliases))
            if name.casefold() != target.name.casefold()
        ),
    )


def _together(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *second]))


def _fields(project: Project) -> list[str]:
    return [
        quote(word, safe=_PLAIN) for word in (project.name, project.identity or "-", *project.roots, *project.aliases)
    ]


def _is_root(word: str) -> bool:
    return "/" in word or ":" in word
