"""Teams: who is in which, and invites that somebody may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw

from ai_memory.store.sqlite import Database, micros, moment

_COLUMNS = "t.id, t.name, t.owner, t.created"


@dataclass(frozen=True, slots=True)
class Team:
    """One team; its owner is a member, too."""

    id: str
    name: str
    owner: str
    created_at: datetime


class TeamRows:
    """The tables `teams`, `team_members` and `invites` of `db/state.db`. The codes of invites come here as digests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, team: Team) -> bool:
        """Add a team with its owner as the first member; tells whether its name was free."""
        with self._database.writing() as connection:
            try:
                connection.execute(
                    "INSERT INTO teams (id, name, owner, created) VALUES (?, ?, ?, ?)",
                    (team.id, team.name, team.owner, micros(team.created_at)),
                )
            except apsw.ConstraintError:
                return False
            self.join(team.id, team.owner, team.created_at)
            return True

    def named(self, name: str) -> Team | None:
        """Find a team by its name."""
        return next(iter(self._teams("WHERE t.name = ? AND NOT t.gone", (name,))), None)

    def team(self, team_id: str) -> Team | None:
        """Find a team by its id."""
        return next(iter(self._teams("WHERE t.id = ? AND NOT t.gone", (team_id,))), None)

    def of(self, user: str) -> list[Team]:
        """List the teams of a member, the oldest first."""
        return self._teams(
            "JOIN team_members m ON m.team = t.id WHERE m.user = ? AND NOT t.gone ORDER BY t.created, t.id", (user,)
        )

    def members(self, team_id: str) -> list[tuple[str, datetime]]:
        """List the members of a team with the times when they joined, the first of them first."""
        rows = self._database.all(
            "SELECT user, joined FROM team_members WHERE team = ? ORDER BY joined, rowid", (team_id,)
        )
        return [(user, moment(joined)) for user, joined in rows]

    def has(self, team_id: str, user: str) -> bool:
        """Tell whether a user is in a team."""
        return bool(self._database.all("SELECT 1 FROM team_members WHERE team = ? AND user = ?", (team_id, user)))

    def join(self, team_id: str, user: str, at: datetime) -> None:
        """Add a member; one who is there stays as before."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO team_members (team, user, joined) VALUES (?, ?, ?)", (team_id, user, micros(at))
            )

    def leave(self, team_id: str, user: str) -> bool:
        """Take a member out of a team; tells whether there was one."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM team_members WHERE team = ? AND user = ?", (team_id, user))
            return connection.changes() > 0

    # The end of a team

    def end(self, team_id: str) -> None:
        """Take a team away from everybody, with what waits to become its pages; `gone` lists it until `forget`."""
        with self._database.writing() as connection:
            connection.execute("UPDATE teams SET gone = 1 WHERE id = ?", (team_id,))
            for table in ("team_members", "invites", "packet_inbox"):
                connection.execute(f"DELETE FROM {table} WHERE team = ?", (team_id,))  # noqa: S608 - constant text

    def gone(self) -> list[str]:
        """List the ids of teams that were deleted, whose pages may still be there."""
        return [str(row[0]) for row in self._database.all("SELECT id FROM teams WHERE gone")]

    def forget(self, team_id: str) -> None:
        """Drop a team of which nothing is left."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM teams WHERE id = ?", (team_id,))

    # Invites

    def invite(self, digest: str, team_id: str, user: str, *, at: datetime, until: datetime, most: int) -> bool:
        """Keep an invite; tells whether its author may have one more that is open. What has expired goes.

        Args:
            digest: of its code.
            team_id, user: where it leads, and who made it.
            at, until: now, and when it expires.
            most: how many a user may have open.
        """
        with self._database.writing() as connection:
            connection.execute("DELETE FROM invites WHERE expires <= ?", (micros(at),))
            rows = connection.execute("SELECT count(*) FROM invites WHERE invited_by = ?", (user,)).fetchall()
            if int(str(rows[0][0])) >= most:
                return False
            connection.execute(
                "INSERT INTO invites (hash, team, invited_by, expires) VALUES (?, ?, ?, ?)",
                (digest, team_id, user, micros(until)),
            )
            return True

    def take_invite(self, digest: str, at: datetime) -> str:
        """Take an invite, so that nobody else does; gives its team's id, "" when it has expired or there is none."""
        with self._database.writing() as connection:
            rows = connection.execute(
                "DELETE FROM invites WHERE hash = ? AND expires > ? RETURNING team", (digest, micros(at))
            ).fetchall()
        return str(rows[0][0]) if rows else ""

    def _teams(self, rest: str, values: Sequence[Any]) -> list[Team]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM teams t {rest}", values)  # noqa: S608 - constant text
        return [Team(id_, name, owner, moment(created)) for id_, name, owner, created in rows]
