"""What commits did to pages, in the order of time: for timelines, and for how much goes on in projects."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ai_memory.model.ids import stored_id
from ai_memory.model.page import MACHINERY
from ai_memory.store.page_index import Version
from ai_memory.store.sqlite import DAY, Database, among, listed, micros, moment

#: Of sessions themselves more is known than of their pages.
_NO_SESSION = "v.path NOT GLOB 'sessions/*'"
_KNOWLEDGE = " AND ".join(f"v.path NOT GLOB '{folder}*'" for folder in MACHINERY)
#: Of a page that is gone nobody knows what it said of its kind.
_OF_KINDS = "coalesce(p.kind IN (SELECT value FROM json_each(?7)), 1)"
_SHOWN = "coalesce(p.expires_at > ?6, 1) AND coalesce(NOT (p.kind = 'packet' AND p.sealed), 1)"


@dataclass(frozen=True, slots=True)
class PageChangeRow:
    """One version of a page.

    Attributes:
        project_id, path: of the page.
        n: the number of its commit; a later one has a greater number.
        kind, title: as the page has them now; of one that is gone "" and the last title that is known, or "".
        version: the commit, and the content.
    """

    project_id: UUID
    path: str
    n: int
    kind: str
    title: str
    version: Version


class PageChanges:
    """The versions of pages in `db/index.db`, by time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def until(
        self,
        projects: Sequence[UUID],
        at: int,
        n: int,
        behind: tuple[str, str],
        *,
        now: datetime,
        kinds: Collection[str] = (),
    ) -> Iterator[PageChangeRow]:
        """Give the versions of pages, the last first, those of one commit by project and path, as they are asked for.

        Pages that have expired are left out, and so are drafts of packets: the pages of their sessions say the same.

        Args:
            projects: whose pages.
            at, n, behind: begin behind this time (microseconds since 1970), commit, project and path.
            now: what time it is.
            kinds: only pages of these kinds, and those that are gone; () is all but machinery.
        """
        # One project's versions lie in the order of time. All of them do not: their commits do, which are fewer.
        one = len(projects) == 1
        first, then, time = ("versions v", "commits c", "v.at") if one else ("commits c", "versions v", "c.at")
        number = f"{time[0]}.n"
        rows = self._database.each(
            "SELECT v.project, v.path, v.n, coalesce(p.kind, ''), coalesce(p.title, (SELECT t.title FROM texts t "  # noqa: S608 - constant text
            "WHERE t.project = v.project AND t.path = v.path ORDER BY t.id DESC LIMIT 1), ''), "
            "c.oid, c.at, c.author, c.email, c.subject, v.blob "
            f"FROM {first} CROSS JOIN {then} ON c.n = v.n "
            "LEFT JOIN pages p ON p.project = v.project AND p.path = v.path "
            f"WHERE {among('v.project', projects)} AND v.at IS NOT NULL AND {time} <= ?2 "
            f"AND ({time} < ?2 OR {number} < ?3 OR ({number} = ?3 AND (v.project, v.path) > (?4, ?5))) "
            f"AND {_SHOWN} AND {f'{_NO_SESSION} AND {_OF_KINDS}' if kinds else _KNOWLEDGE} "
            f"ORDER BY {time} DESC, {number} DESC, v.project, v.path",
            (listed(projects), at, n, *behind, micros(now), *([json.dumps(list(kinds))] if kinds else [])),
        )
        for project, page, commit, kind, title, oid, made, *more in rows:
            yield PageChangeRow(stored_id(project), page, commit, kind, title, Version(oid, moment(made), *more))

    def days(self, projects: Iterable[UUID], first: int) -> dict[tuple[UUID, int], int]:
        """Count the changes of knowledge by project and day (of UTC, counted from 1970), from a first day on."""
        rows = self._database.all(
            f"SELECT v.project, v.at / {DAY} AS day, count(*) FROM json_each(?) "  # noqa: S608 - constant text
            f"CROSS JOIN versions v ON v.project = value WHERE v.at >= ? AND {_KNOWLEDGE} GROUP BY v.project, day",
            (listed(projects), first * DAY),
        )
        return {(stored_id(project), day): count for project, day, count in rows}

    def last(self, projects: Iterable[UUID]) -> dict[UUID, datetime]:
        """Give when knowledge last changed in each of these projects that has any."""
        rows = self._database.all(
            "SELECT value, (SELECT v.at FROM versions v WHERE v.project = value AND v.at IS NOT NULL "  # noqa: S608 - constant text
            f"AND {_KNOWLEDGE} ORDER BY v.at DESC LIMIT 1) FROM json_each(?)",
            (listed(projects),),
        )
        return {stored_id(project): moment(at) for project, at in rows if at is not None}
