"""How pages of `db/index.db` hang together: by links, by what records say of each other, and by front matter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ai_memory.store.page_index import Way
from ai_memory.store.sqlite import Database, listed, micros

#: A report lists pages because something is wrong with them; a draft's session says the same as the draft.
_SHOWN = "coalesce(p.expires_at > ?1, 1) AND NOT (p.kind = 'packet' AND p.sealed) AND p.path NOT GLOB '_lint/*'"
_OF = "(SELECT value FROM json_each(?2))"
_LINKS_IN = (
    "SELECT count(*) FROM links l WHERE l.to_path = p.path AND l.to_workspace = '' AND l.to_project = '' "
    "AND l.project = p.project AND l.path <> p.path AND l.path NOT GLOB '_lint/*'"
)
#: Of records that somebody copied every one counts.
_TYPED = (
    "SELECT r.project, r.path, r.relationship, t.project, t.path FROM relations r JOIN records t ON t.uuid = r.to_uuid "
    "WHERE r.project IN (SELECT value FROM json_each(?1)) "
    "UNION ALL SELECT project, path, type, project, target FROM ties "
    "WHERE type = 'supersedes' AND project IN (SELECT value FROM json_each(?1)) "
    "UNION ALL SELECT s.project, s.path, s.type, k.project, k.path FROM ties s JOIN packets k ON k.id = s.target "
    "WHERE s.type = 'parent' AND s.project IN (SELECT value FROM json_each(?1))"
)


@dataclass(frozen=True, slots=True)
class Tie:
    """What the front matter of a page says of another: "supersedes" and its path, or "parent" and a packet's id."""

    type: str
    target: str


class PageGraph:
    """Pages and what leads from one to another. Projects and paths are given as the tables have them, as texts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, project_id: UUID, path: str, ties: Iterable[Tie]) -> None:
        """Save what the front matter of a page says of others; it goes with the page."""
        place = (str(project_id), path)
        with self._database.writing() as connection:
            connection.execute("DELETE FROM ties WHERE project = ? AND path = ?", place)
            connection.executemany(
                "INSERT OR IGNORE INTO ties (project, path, type, target) VALUES (?, ?, ?, ?)",
                ((*place, tie.type, tie.target) for tie in ties),
            )

    def pages(self, projects: Iterable[UUID], now: datetime) -> list[tuple[str, str, str, str, bool, int]]:
        """List the pages of projects that have not expired: project, path, title, kind, pinned, links in.

        Those links are the ones of other pages of the project that name no project.
        """
        return self._database.all(
            f"SELECT p.project, p.path, p.title, p.kind, p.pinned, ({_LINKS_IN}) FROM pages p "  # noqa: S608 - constant text
            f"WHERE p.project IN {_OF} AND {_SHOWN}",
            (micros(now), listed(projects)),
        )

    def links_in(self, way: Way) -> list[tuple[str, int]]:
        """Count the links that lead to another project in this way, by the path that they name."""
        rows = self._database.all(
            "SELECT to_path, count(*) FROM links WHERE project = ? AND to_workspace = ? AND to_project = ? "
            "AND to_project <> '' AND path NOT GLOB '_lint/*' GROUP BY to_path",
            (str(way.project_id), way.workspace, way.project),
        )
        return [(path, count) for path, count in rows]

    def links_of(self, pages: Sequence[tuple[str, str]]) -> list[tuple[int, str, str, str]]:
        """Give the links of pages: the place of the page in the list, and workspace, project and path as named."""
        return self._database.all(
            "SELECT e.key, l.to_workspace, l.to_project, l.to_path FROM json_each(?) e "
            "CROSS JOIN links l ON l.project = e.value ->> 0 AND l.path = e.value ->> 1 ORDER BY e.key, l.n",
            (json.dumps(pages),),
        )

    def typed(self, projects: Iterable[UUID]) -> list[tuple[str, str, str, str, str]]:
        """List what records and front matter of projects say: project, path, type, and project and path of the other.

        The other need not be there.
        """
        return self._database.all(_TYPED, (listed(projects),))

    def linked_by(self, way: Way, target: UUID, now: datetime) -> list[tuple[str, str]]:
        """List the links that lead in this way to pages of another project: from where, and where to."""
        values: tuple[Any, ...] = (
            micros(now), str(way.project_id), way.workspace, way.project, str(target),
        )  # fmt: skip
        rows = self._database.all(
            "SELECT DISTINCT l.path, l.to_path FROM links l JOIN pages p ON p.project = l.project AND p.path = l.path "  # noqa: S608 - constant text
            f"AND {_SHOWN} JOIN pages t ON t.project = ?5 AND t.path = l.to_path AND coalesce(t.expires_at > ?1, 1) "
            "WHERE l.project = ?2 AND l.to_workspace = ?3 AND l.to_project = ?4 AND l.to_project <> '' "
            "ORDER BY l.path, l.to_path",
            values,
        )
        return [(path, to_path) for path, to_path in rows]
