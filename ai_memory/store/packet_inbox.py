"""The inbox: packets that were acknowledged and wait to become pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ai_memory.store.sqlite import Database, marks

_COLUMNS = "n, id, owner, team, project, created, created_at, goal, body"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A packet that waits.

    Attributes:
        n: in the order of the pushes; 0 for one that is not in the inbox yet.
        id: of the packet.
        owner: user id.
        team: a team's id, "" for a personal packet.
        project_id: where its page will be.
        created: `created_at` in UTC: as texts these are in the order of time.
        created_at, goal: as the packet has them.
        body: the stored form.
    """

    n: int
    id: str
    owner: str
    team: str
    project_id: UUID
    created: str
    created_at: str
    goal: str
    body: str


class PacketInbox:
    """The table `packet_inbox` of `db/state.db`. A packet that was pushed again is there twice; the later one holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, packets: Iterable[Waiting]) -> None:
        """Add packets in one transaction; they are on disk when this returns.

        Raises:
            StorageError: the disk refused; none was added.
        """
        values = [
            value
            for p in packets
            for value in (p.id, p.owner, p.team, str(p.project_id), p.created, p.created_at, p.goal, p.body)
        ]
        if not values:
            return
        # In one statement: between two of them other threads would get their turn.
        rows = ", ".join([f"({marks(8)})"] * (len(values) // 8))
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO packet_inbox (id, owner, team, project, created, created_at, goal, body) "  # noqa: S608 - marks
                f"VALUES {rows}",
                values,
            )

    def waiting(self, limit: int, *, behind: int = 0) -> list[Waiting]:
        """List what waits, the oldest first; `behind` passes over numbers up to there."""
        return self._rows("n > ? ORDER BY n LIMIT ?", (behind, limit))

    def called(self, ids: Iterable[str]) -> dict[str, Waiting]:
        """Find packets by their ids."""
        wanted = list(ids)
        found = self._rows(f"id IN ({marks(len(wanted))}) ORDER BY n", wanted)
        return {each.id: each for each in found}

    def newest(self, owner: str, team: str, limit: int) -> dict[str, Waiting]:
        """List what waits of a team's packets, or with "" of a user's personal ones, by their ids.

        The newest by their own time; of those that were pushed again the last push.
        """
        scope, values = ("team = ?", (team,)) if team else ("team = '' AND owner = ?", (owner,))
        again = "SELECT 1 FROM packet_inbox AS later WHERE later.id = packet_inbox.id AND later.n > packet_inbox.n"
        # Bodies are read of these only.
        chosen = f"SELECT n FROM packet_inbox WHERE {scope} AND NOT EXISTS ({again})"  # noqa: S608 - constant text
        rows = self._rows(f"n IN ({chosen} ORDER BY created DESC, id DESC LIMIT ?)", (*values, limit))
        return {each.id: each for each in rows}

    def for_project(self, project_id: UUID) -> list[Waiting]:
        """List what waits for a project, the oldest first."""
        return self._rows("project = ? ORDER BY n", (str(project_id),))

    def remove(self, packets: Iterable[Waiting]) -> None:
        """Take packets out that are pages now, with what was pushed of the same ids before."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM packet_inbox WHERE id = ? AND n <= ?", ((p.id, p.n) for p in packets))

    def forget(self, project_id: UUID, ids: Iterable[str] | None = None) -> None:
        """Drop what waits for a project that is purged, or only packets of these ids."""
        with self._database.writing() as connection:
            if ids is None:
                connection.execute("DELETE FROM packet_inbox WHERE project = ?", (str(project_id),))
            else:
                connection.executemany(
                    "DELETE FROM packet_inbox WHERE project = ? AND id = ?", ((str(project_id), id_) for id_ in ids)
                )

    def move(self, old: UUID, new: UUID) -> None:
        """Give what waits for a project to the one that it has become."""
        with self._database.writing() as connection:
            connection.execute("UPDATE packet_inbox SET project = ? WHERE project = ?", (str(new), str(old)))

    def count(self) -> int:
        """Count what waits."""
        return int(self._database.all("SELECT count(*) FROM packet_inbox")[0][0])

    def ids_of(self, owner: str) -> set[str]:
        """List the ids of what waits of a user."""
        rows = self._database.all("SELECT DISTINCT id FROM packet_inbox WHERE owner = ?", (owner,))
        return {str(row[0]) for row in rows}

    def _rows(self, where: str, values: Sequence[Any]) -> list[Waiting]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM packet_inbox WHERE {where}", values)  # noqa: S608 - constant text
        return [_waiting(row) for row in rows]


def _waiting(row: Sequence[Any]) -> Waiting:
    n, id_, owner, team, project, *rest = row
    return Waiting(n, id_, owner, team, UUID(project), *rest)
