"""Lists of the pages in `db/index.db` as they are: by folder, by time, what stands out, and how many there are.

No list has what expired, nor what is missing on disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from ai_memory.model.ids import stored_id
from ai_memory.model.page import MACHINERY
from ai_memory.store.page_index import MISSING, PAGE_COLUMNS, PageRow, Way, page_of
from ai_memory.store.page_search import NO_DRAFT, SESSION_BEGAN
from ai_memory.store.sqlite import Database, micros, moment

_COLUMNS = f"p.project, p.changed, {PAGE_COLUMNS}"
_OF_PROJECTS = "p.project IN (SELECT value FROM json_each(?1))"
#: Neither gone nor expired; ?2 is now.
_SHOWN = f"p.size <> {MISSING} AND coalesce(p.expires_at > ?2, 1)"
_MACHINERY = "(" + " OR ".join(f"p.path GLOB '{folder}*'" for folder in MACHINERY) + ")"
#: Below a folder ?3 (with its '/', "" is the root) of project ?1. '0' is the character behind '/'.
_BELOW = f"p.project = ?1 AND {_SHOWN} AND (?3 = '' OR p.path > ?3 AND p.path < rtrim(?3, '/') || '0')"
_REST = "substr(p.path, length(?3) + 1)"

#: A page by its project and path.
Place = tuple[UUID, str]
#: A page in a list: whose it is, what it is, and when it changed. No class: ten thousand are made for one list.
Listed = tuple[UUID, PageRow, datetime]


class PageLists:
    """Lists of pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, project_id: UUID, now: datetime) -> list[Listed]:
        """List a project's pages by path."""
        return self._listed(f"p.project = ?1 AND {_SHOWN} ORDER BY p.path", (str(project_id), micros(now)))

    def folders(self, project_id: UUID, folder: str, now: datetime) -> tuple[list[tuple[str, int, datetime]], int]:
        """List the folders directly in one ("a/b/", "" is the root) by name.

        Returns:
            of each its name, how many pages are below it, and when one of these last changed; and how many pages are
            directly in the folder itself.
        """
        rows = self._database.all(
            f"SELECT substr({_REST}, 1, instr({_REST}, '/') - 1) AS name, count(*), max(p.changed) "  # noqa: S608 - constant text
            f"FROM pages p WHERE {_BELOW} GROUP BY name ORDER BY name",
            (str(project_id), micros(now), folder),
        )
        # What is in no further folder has no name, and comes first.
        directly = int(rows.pop(0)[1]) if rows and not rows[0][0] else 0
        return [(name, int(pages), moment(changed)) for name, pages, changed in rows], directly

    def directly_in(self, project_id: UUID, folder: str, now: datetime, limit: int, offset: int) -> list[Listed]:
        """List the pages directly in a folder by path, from `offset` on."""
        where = f"{_BELOW} AND NOT instr({_REST}, '/') ORDER BY p.path LIMIT ?4 OFFSET ?5"
        return self._listed(where, (str(project_id), micros(now), folder, limit, offset))

    def recent(
        self,
        projects: Sequence[UUID],
        limit: int,
        now: datetime,
        *,
        since: datetime | None = None,
        after: tuple[datetime, str] | None = None,
        machinery: bool | None = None,
        without: str = "",
    ) -> list[Listed]:
        """List pages of projects, the last changed first, in a project then by path; without drafts of packets.

        Args:
            projects, limit, now: whose, how many, and what time it is.
            since: only what changed then or later.
            after: only what comes behind a page that changed then and has that path.
            machinery: only machinery, or (False) only what is none; None is both.
            without: a kind that is left out.
        """
        narrowed = [f"{_SHOWN} AND {NO_DRAFT} AND p.kind <> ?4"]
        values: list[Any] = [micros(now), limit, without]
        if machinery is not None:
            narrowed.append(_MACHINERY if machinery else f"NOT {_MACHINERY}")
        if after:
            # The first half finds the place in the index.
            narrowed.append("p.changed <= ?5 AND (p.changed < ?5 OR p.path > ?6)")
            values += [micros(after[0]), after[1]]
        if since:
            values.append(micros(since))
            narrowed.append(f"p.changed >= ?{len(values) + 1}")
        rest = f"{' AND '.join(narrowed)} ORDER BY p.changed DESC, p.path"
        # Only those that changed last can have one of so many pages that changed last.
        newest = self._database.all(
            f"SELECT value, (SELECT p.changed FROM pages p WHERE p.project = value AND {rest} LIMIT 1) AS newest "  # noqa: S608 - constant text
            "FROM json_each(?1) WHERE newest IS NOT NULL ORDER BY newest DESC LIMIT ?3",
            (_texts(projects), *values),
        )
        of_each = (self._listed(f"p.project = ?1 AND {rest} LIMIT ?3", (project, *values)) for project, _ in newest)
        return sorted(chain.from_iterable(of_each), key=lambda each: each[2], reverse=True)[:limit]

    def standing(self, projects: Sequence[UUID], now: datetime) -> list[Listed]:
        """List the rules and slots of projects, and what else is pinned, by path; nothing that is in conflict."""
        return self._listed(
            f"{_OF_PROJECTS} AND {_SHOWN} AND NOT p.conflicted "
            "AND (p.pinned OR p.kind IN ('rule', 'slot') OR p.path GLOB '_rules/*') ORDER BY p.path, p.project",
            (_texts(projects), micros(now)),
            index="INDEXED BY pages_standing",
        )

    def at(self, places: Sequence[Place]) -> list[Listed]:
        """List the pages at these places in their order."""
        return self._listed(
            "(p.project, p.path) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)) "
            "ORDER BY (SELECT key FROM json_each(?1) WHERE value ->> 0 = p.project AND value ->> 1 = p.path)",
            (json.dumps([(str(project_id), path) for project_id, path in places]),),
        )

    def began(self, project_id: UUID, path: str) -> tuple[datetime, datetime] | None:
        """Say when a page came to be (after it was last deleted) and when it changed; None without such a page.

        What is not committed came to be with its file, and the page of a session with the session.
        """
        rows = self._database.all(
            f"SELECT min(p.changed, coalesce({SESSION_BEGAN}, "  # noqa: S608 - constant text
            "(SELECT c.at FROM versions v JOIN commits c USING (n) WHERE v.project = ?1 AND v.path = ?2 AND v.n > "
            "coalesce((SELECT max(n) FROM versions WHERE project = ?1 AND path = ?2 AND blob = ''), -1) "
            "ORDER BY v.n LIMIT 1), p.mtime / 1000)), p.changed FROM pages p WHERE p.project = ?1 AND p.path = ?2",
            (str(project_id), path),
        )
        return (moment(rows[0][0]), moment(rows[0][1])) if rows else None

    # Health

    def stale(self, projects: Sequence[UUID], before: datetime, now: datetime, limit: int) -> tuple[int, list[Place]]:
        """Count the episodic pages that did not change since `before`, and name the first, the oldest first."""
        return self._places(
            f"FROM pages p WHERE {_OF_PROJECTS} AND {_SHOWN} AND p.tier = 'episodic' AND p.changed < ?3",
            "p.changed, p.project, p.path",
            (_texts(projects), micros(now), micros(before)),
            limit,
        )

    def duplicates(self, projects: Sequence[UUID], now: datetime, limit: int) -> tuple[int, list[Place]]:
        """Count the titles that several pages of one project have, and name the first such pages, by title and path.

        Machinery is left out: what is titled by the words that it begins with may well begin alike.
        """
        known = f"FROM pages p WHERE {_OF_PROJECTS} AND {_SHOWN} AND NOT {_MACHINERY}"
        same = self._database.all(
            f"SELECT p.project, p.title {known} GROUP BY p.project, p.title HAVING count(*) > 1 "
            "ORDER BY p.title, p.project",
            (_texts(projects), micros(now)),
        )
        rows = self._database.all(
            f"SELECT p.project, p.path {known} AND (p.project, p.title) IN "  # noqa: S608 - constant text
            "(SELECT value ->> 0, value ->> 1 FROM json_each(?3)) ORDER BY p.title, p.project, p.path LIMIT ?4",
            (_texts(projects), micros(now), json.dumps(same[:limit]), limit),
        )
        return len(same), [(stored_id(project), path) for project, path in rows]

    def orphans(
        self, projects: Sequence[UUID], ways: Iterable[tuple[Way, UUID]], now: datetime, limit: int
    ) -> tuple[int, list[Place]]:
        """Count the pages without a link to or from another page, and name the first by path; machinery is left out.

        Args:
            projects, now, limit: whose, what time it is, and how many are named.
            ways: how links of any project lead to another one, and which.
        """
        return self._places(
            f"FROM pages p WHERE {_OF_PROJECTS} AND {_SHOWN} AND NOT {_MACHINERY} AND NOT EXISTS "  # noqa: S608 - constant text
            "(SELECT 1 FROM links l WHERE l.project = p.project AND l.path = p.path "
            "AND (l.to_path <> p.path OR l.to_project <> '')) AND NOT EXISTS "
            "(SELECT 1 FROM links l WHERE l.to_path = p.path AND l.to_workspace = '' AND l.to_project = '' "
            "AND l.project = p.project AND l.path <> p.path) AND (p.project, p.path) NOT IN ("
            "SELECT each.value ->> 3, l.to_path FROM json_each(?3) each JOIN links l ON l.project = each.value ->> 0 "
            "AND l.to_workspace = each.value ->> 1 AND l.to_project = each.value ->> 2 AND l.to_project <> '')",
            "p.path, p.project",
            (
                _texts(projects),
                micros(now),
                json.dumps([(str(way.project_id), way.workspace, way.project, str(target)) for way, target in ways]),
            ),
            limit,
        )

    def _places(self, where: str, order: str, values: Sequence[Any], limit: int) -> tuple[int, list[Place]]:
        """Count what is found, and name the first: all in one pass, for looking at the links takes its time."""
        rows = self._database.all(
            f"WITH found AS MATERIALIZED (SELECT p.project, p.path, p.changed {where}) "  # noqa: S608 - constant text
            f"SELECT (SELECT count(*) FROM found), p.project, p.path FROM found p ORDER BY {order} LIMIT max(?4, 1)",
            (*values, limit),
        )
        return (int(rows[0][0]) if rows else 0), [(stored_id(project), path) for _, project, path in rows[:limit]]

    # Numbers

    def counts(self, projects: Sequence[UUID]) -> tuple[int, int]:
        """Count the pages of projects, expired or missing ones too, and their versions (with what is uncommitted)."""
        (row,) = self._database.all(
            f"SELECT (SELECT count(*) FROM pages p WHERE {_OF_PROJECTS}), "  # noqa: S608 - constant text
            f"(SELECT count(*) FROM versions p WHERE {_OF_PROJECTS} AND blob <> '') + "
            f"(SELECT count(*) FROM pages p INDEXED BY pages_uncommitted WHERE {_OF_PROJECTS} AND committed IS NULL)",
            (_texts(projects),),
        )
        return int(row[0]), int(row[1])

    def count_changed(self, projects: Sequence[UUID], since: datetime, now: datetime) -> int:
        """Count the pages of projects that changed since a time, without drafts of packets."""
        ((count,),) = self._database.all(
            f"SELECT count(*) FROM pages p WHERE {_OF_PROJECTS} AND {_SHOWN} AND {NO_DRAFT} AND p.changed >= ?3",  # noqa: S608 - constant text
            (_texts(projects), micros(now), micros(since)),
        )
        return int(count)

    def previews(self, places: Iterable[Place]) -> dict[Place, tuple[str, int]]:
        """Give what pages say in short, and how many links lead from and to them in their project."""
        rows = self._database.all(
            "SELECT p.project, p.path, iif(p.summary <> '', p.summary, (SELECT substr(c.body, 1, 600) FROM chunks c "  # noqa: S608 - constant text
            "WHERE c.text = p.text ORDER BY c.n LIMIT 1)), "
            "(SELECT count(*) FROM links l WHERE l.project = p.project AND l.path = p.path) + (SELECT count(*) "
            "FROM links l WHERE l.to_path = p.path AND l.to_workspace = '' AND l.to_project = '' "
            "AND l.project = p.project) FROM json_each(?1) AS place CROSS JOIN pages p "
            f"ON p.project = place.value ->> 0 AND p.path = place.value ->> 1 WHERE p.size <> {MISSING}",
            (json.dumps([[str(project), path] for project, path in places]),),
        )
        return {(stored_id(project), path): (text or "", int(links)) for project, path, text, links in rows}

    def kinds(self, projects: Sequence[UUID], now: datetime) -> list[tuple[str, int]]:
        """Count the pages of each kind, the most frequent first."""
        rows = self._database.all(
            f"SELECT kind, sum(n) AS pages FROM (SELECT p.kind, count(*) AS n FROM pages p WHERE {_OF_PROJECTS} "  # noqa: S608 - constant text
            f"AND {_SHOWN} GROUP BY p.project, p.kind) GROUP BY kind ORDER BY pages DESC, kind",
            (_texts(projects), micros(now)),
        )
        return [(kind, int(pages)) for kind, pages in rows]

    def tags(self, projects: Sequence[UUID], now: datetime, limit: int) -> list[tuple[str, int]]:
        """Count the pages of each tag, the most frequent first."""
        # Pages of one kind often have the same tags: these are taken apart once.
        rows = self._database.all(
            "SELECT tag.value, sum(n) AS pages FROM (SELECT p.tags, count(*) AS n FROM pages p "  # noqa: S608 - constant text
            f"WHERE {_OF_PROJECTS} AND {_SHOWN} AND p.tags <> '[]' GROUP BY p.project, p.kind, p.tags) "
            "CROSS JOIN json_each(tags) tag GROUP BY tag.value ORDER BY pages DESC, tag.value LIMIT ?3",
            (_texts(projects), micros(now), limit),
        )
        return [(str(tag), int(pages)) for tag, pages in rows]

    def _listed(self, where: str, values: Sequence[Any], *, index: str = "") -> list[Listed]:
        rows = self._database.all(f"SELECT {_COLUMNS} FROM pages p {index} WHERE {where}", values)  # noqa: S608 - constant text
        return [(stored_id(project), page_of(row), moment(changed)) for project, changed, *row in rows]


def _texts(projects: Iterable[UUID]) -> str:
    return json.dumps([str(project) for project in projects])
