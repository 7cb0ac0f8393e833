"""The packets among the pages of `db/index.db`: which page is which packet, and which are the newest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ai_memory.model.ids import stored_id
from ai_memory.store.sqlite import Database, marks

_COLUMNS = "k.id, k.project, k.path, k.owner, k.draft, k.created, k.created_at, k.goal"
#: A packet whose page is missing on disk, or cannot be read, is found again when it can. A project has more pages than
#: packets: these are read first.
_READABLE = "CROSS JOIN pages p ON p.project = k.project AND p.path = k.path AND p.size >= 0"


@dataclass(frozen=True, slots=True)
class PacketRow:
    """A page that is a packet.

    Attributes:
        id: of the packet.
        project_id, path: the page.
        owner: user id, as the page says it; only in the home of a team does it mean anything.
        draft: whether nobody has saved it yet.
        created: `created_at` in UTC: as texts these are in the order of time.
        created_at, goal: as the packet has them.
    """

    id: str
    project_id: UUID
    path: str
    owner: str
    draft: bool
    created: str
    created_at: str
    goal: str


class PacketIndex:
    """The packets part of `db/index.db`. A packet goes with its page."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, project_id: UUID, path: str, row: PacketRow | None) -> None:
        """Save which packet a page is, None when it is none."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM packets WHERE project = ? AND path = ?", (str(project_id), path))
            if row:
                connection.execute(
                    "INSERT INTO packets (project, path, id, owner, draft, created, created_at, goal) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (str(project_id), path, row.id, row.owner, row.draft, row.created, row.created_at, row.goal),
                )

    def called(self, ids: Iterable[str]) -> list[PacketRow]:
        """List every page that says to be one of these packets, drafts last: one may have been copied."""
        wanted = list(ids)
        # Not json_each, which ends a text at a NUL.
        return self._rows(f"WHERE k.id IN ({marks(len(wanted))}) ORDER BY k.draft, k.project, k.path", wanted)

    def at(self, paths: Iterable[str]) -> dict[tuple[UUID, str], str]:
        """Say which packets pages of these paths are, in whatever project: project and path -> id."""
        wanted = list(paths)
        rows = self._database.all(
            f"SELECT project, path, id FROM packets WHERE path IN ({marks(len(wanted))})",  # noqa: S608 - marks
            wanted,
        )
        return {(stored_id(project), path): str(id_) for project, path, id_ in rows}

    def newest(self, projects: Iterable[UUID], limit: int, *, drafts: bool = False) -> list[PacketRow]:
        """List the packets of projects, the newest by their own time first; drafts are a list of their own."""
        found = [
            row
            for project in projects
            for row in self._rows(
                "WHERE k.project = ? AND k.draft = ? ORDER BY k.created DESC, k.id DESC LIMIT ?",
                (str(project), drafts, limit),
            )
        ]
        found.sort(key=lambda row: (row.created, row.id), reverse=True)
        return found[:limit]

    def of_project(self, project_id: UUID, limit: int, offset: int) -> tuple[list[PacketRow], int]:
        """List the packets of a project and the drafts among them, the newest by their own time first, and count all.

        Args:
            project_id, limit, offset: whose, how many, and from where.
        """
        project = str(project_id)
        rest = "WHERE k.project = ? ORDER BY k.created DESC, k.id DESC LIMIT ? OFFSET ?"
        ((count,),) = self._database.all(
            f"SELECT count(*) FROM packets k {_READABLE} WHERE k.project = ?",  # noqa: S608 - constant text
            (project,),
        )
        return self._rows(rest, (project, limit, offset)), int(count)

    def following(self, packet_id: str) -> list[PacketRow]:
        """List every page that says to be a packet which goes on from this one, the newest first."""
        return self._rows(
            "JOIN ties t ON t.project = k.project AND t.path = k.path "
            "WHERE t.type = 'parent' AND t.target = ? ORDER BY k.created DESC, k.id DESC",
            (packet_id,),
        )

    def projects(self) -> set[UUID]:
        """List the projects that have packets."""
        return {stored_id(project) for (project,) in self._database.all("SELECT DISTINCT project FROM packets")}

    def count(self, *, drafts: bool) -> int:
        """Count the packets, or the drafts, of all projects."""
        return int(self._database.all("SELECT count(*) FROM packets WHERE draft = ?", (drafts,))[0][0])

    def count_by_owner(self, project_id: UUID) -> dict[str, int]:
        """Count the packets of a project that are no drafts, by who owns them as their pages say it."""
        rows = self._database.all(
            "SELECT owner, count(*) FROM packets WHERE project = ? AND NOT draft GROUP BY owner", (str(project_id),)
        )
        return {str(owner): int(count) for owner, count in rows}

    def _rows(self, rest: str, values: Sequence[Any]) -> list[PacketRow]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM packets k {_READABLE} {rest}", values)  # noqa: S608 - constant text
        return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> PacketRow:
    id_, project, path, owner, draft, *more = row
    return PacketRow(id_, stored_id(project), path, owner, bool(draft), *more)
