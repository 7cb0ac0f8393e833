"""The index of pages: what is on disk, what it links to, every version that git has, and the text to search.

All of it follows from the wiki. Texts are kept by content: the present one of a page and its newest committed ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import apsw

from ai_memory.model.ids import stored_id
from ai_memory.model.links import Link
from ai_memory.model.page import CONFLICT, Page, collision_key, is_page
from ai_memory.store.git import Commit
from ai_memory.store.sqlite import Database, micros, moment
from ai_memory.store.turn_index import digest

#: Versions of a page whose text can be searched; git keeps them all.
SEARCHABLE_VERSIONS = 20
#: A page that git has and that is missing on disk.
MISSING = -1
#: One whose file is there and cannot be read.
UNREADABLE = -2
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FILE = re.compile(f"{_ID}/({_ID})/(.+)", re.DOTALL)
PAGE_COLUMNS = (
    "path, blob, size, mtime, title, type, kind, tier, pinned, sealed, tags, summary, expires_at, problem, conflicted"
)
_NEW_COLUMNS = ", ".join(f"excluded.{column}" for column in PAGE_COLUMNS.split(", "))

#: A page of key ?2, and one in a folder of that key. '0' is the character behind '/': all below a folder is in between.
_SAME_KEY = "SELECT path FROM pages WHERE project = ?1 AND key = ?2"
_BELOW_KEY = "SELECT path FROM pages WHERE project = ?1 AND key > ?2 || '/' AND key < ?2 || '0'"
#: 1 where no page is in a folder spelled ?3, else 0.
_NEW_FOLDER = "NOT EXISTS (SELECT 1 FROM pages WHERE project = ?1 AND path > ?3 || '/' AND path < ?3 || '0')"

#: A commit that moved a page with its project made no new version of it.
_CHANGED = "v.at IS NOT NULL"
_UNCHANGED = "?4 IS (SELECT blob FROM versions WHERE project = ?1 AND path = ?2 AND n < ?3 ORDER BY n DESC LIMIT 1)"


@dataclass(frozen=True, slots=True)
class Text:
    """What can be searched of one content of a page, until it expires: heading, body and identifiers of each chunk."""

    blob: str
    title: str
    expires_at: datetime | None
    chunks: Sequence[tuple[str, str, str]]


class PageRow(NamedTuple):
    """One page as it is; a tuple, because a list of ten thousand of them is made for one answer.

    Attributes:
        path: in the project.
        blob: git's id of its content.
        size: the file's bytes, `MISSING` where git has the page and the disk has not, or `UNREADABLE`.
        mtime: the file's time, nanoseconds since 1970.
        sealed: written by an automatic writer, and not touched since.
        problem: what is wrong with it, "" when nothing is.
        conflicted: a merge left its markers in it.
    """

    path: str
    blob: str
    size: int
    mtime: int
    title: str
    type: str
    kind: str
    tier: str
    pinned: bool
    sealed: bool
    tags: tuple[str, ...]
    summary: str
    expires_at: datetime | None
    problem: str
    conflicted: bool


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a page: the commit that made it, and its content ("" where it was deleted)."""

    revision: str
    at: datetime
    author: str
    email: str
    subject: str
    blob: str


@dataclass(frozen=True, slots=True)
class BackLink:
    """A page that links to another."""

    project_id: UUID
    path: str
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Way:
    """How links of a project name their target's: its names, "" means the project's own."""

    project_id: UUID
    workspace: str
    project: str


class PageIndex:
    """The pages part of `db/index.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Pages

    def save(self, project_id: UUID, row: PageRow, text: Text, links: Sequence[Link]) -> None:
        """Save a page as it is, with its text and its links."""
        project = str(project_id)
        with self._database.writing() as connection:
            number, new = _save_text(connection, project, row.path, text)
            connection.execute(
                f"INSERT INTO pages (project, key, text, {PAGE_COLUMNS}) "  # noqa: S608 - constant text
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                f"ON CONFLICT (project, path) DO UPDATE SET (key, text, {PAGE_COLUMNS}) = "
                f"(excluded.key, excluded.text, {_NEW_COLUMNS})",
                (project, collision_key(row.path), number, *_page_values(row)),
            )
            if new:
                _save_chunks(connection, number, text)
            connection.execute("DELETE FROM links WHERE project = ? AND path = ?", (project, row.path))
            connection.executemany(
                "INSERT INTO links (project, path, n, to_workspace, to_project, to_path) VALUES (?, ?, ?, ?, ?, ?)",
                ((project, row.path, n, link.workspace, link.project, link.path) for n, link in enumerate(links)),
            )
            _drop_texts(connection, project, row.path, buried=False)

    def touch(self, project_id: UUID, path: str, size: int, mtime: int) -> None:
        """Note that a file with the same content has another size or time than the index knew."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE pages SET size = ?, mtime = ? WHERE project = ? AND path = ?",
                (size, mtime, str(project_id), path),
            )

    def remove(self, project_id: UUID, path: str, *, buried: bool) -> None:
        """Drop a page that is gone; its versions stay, and as long as it is buried the text of the newest ones, too."""
        project = str(project_id)
        with self._database.writing() as connection:
            for table in ("pages", "links"):
                connection.execute(f"DELETE FROM {table} WHERE project = ? AND path = ?", (project, path))  # noqa: S608
            _drop_texts(connection, project, path, buried=buried)

    def page(self, project_id: UUID, path: str) -> PageRow | None:
        """Find a page."""
        rows = self._pages("project = ? AND path = ?", (str(project_id), path))
        return rows[0] if rows else None

    def named(self, places: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], tuple[str, str]]:
        """Give title and kind of those of these pages (project, path) that are there."""
        asked = json.dumps([[str(project), path] for project, path in places])
        rows = self._database.all(
            "SELECT p.project, p.path, p.title, p.kind FROM json_each(?1) AS place CROSS JOIN pages p "  # noqa: S608 - constant text
            f"ON p.project = place.value ->> 0 AND p.path = place.value ->> 1 WHERE p.size <> {MISSING}",
            (asked,),
        )
        return {(stored_id(project), path): (title, kind) for project, path, title, kind in rows}

    def pages(self, project_id: UUID) -> list[PageRow]:
        """List a project's pages by path."""
        return self._pages("project = ? ORDER BY path", (str(project_id),))

    def files(self, project_id: UUID) -> dict[str, tuple[int, int]]:
        """Give size and time of each page of a project as they were when it was read."""
        rows = self._database.all("SELECT path, size, mtime FROM pages WHERE project = ?", (str(project_id),))
        return {path: (size, mtime) for path, size, mtime in rows}

    def missing(self, project_id: UUID) -> list[str]:
        """List the pages of a project that git has and the disk has not."""
        rows = self._database.all(
            "SELECT path FROM pages WHERE project = ? AND size = ? ORDER BY path", (str(project_id), MISSING)
        )
        return [str(row[0]) for row in rows]

    def colliding(self, project_id: UUID, path: str) -> str:
        """Find a page that some system could not keep apart from this path; "" when there is none.

        That is a page of the same key and another spelling, one below a folder of such a name, or a page where a
        folder would have to be, and the other way round. Where somebody else made a folder in two spellings, pages
        may go on in either: what is in them is kept apart page by page.
        """
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            stem = "/".join(parts[:depth])
            other, most = ("AND path <> ?3", "1") if stem == path else ("", _NEW_FOLDER)
            rows = self._database.all(
                f"{_SAME_KEY} {other} UNION ALL SELECT path FROM ({_BELOW_KEY} LIMIT {most}) LIMIT 1",  # noqa: S608 - constant text
                (str(project_id), collision_key(stem), stem),
            )
            if rows:
                return str(rows[0][0])
        return ""

    def problems(self) -> list[tuple[UUID, str, str]]:
        """List what is wrong with pages: project, path, problem."""
        rows = self._database.all("SELECT project, path, problem FROM pages WHERE problem <> '' ORDER BY project, path")
        return [(UUID(project), path, problem) for project, path, problem in rows]

    def uncommitted(self, project_id: UUID) -> list[PageRow]:
        """List the pages whose content is not what the newest commit has."""
        return self._pages(
            "project = ?1 AND blob <> coalesce((SELECT v.blob FROM versions v WHERE v.project = pages.project "
            "AND v.path = pages.path ORDER BY v.n DESC LIMIT 1), '') ORDER BY path",
            (str(project_id),),
        )

    def _pages(self, where: str, values: Sequence[Any]) -> list[PageRow]:
        return [page_of(row) for row in self._database.all(f"SELECT {PAGE_COLUMNS} FROM pages WHERE {where}", values)]  # noqa: S608

    # Links

    def links(self, project_id: UUID, path: str) -> list[Link]:
        """List the links of a page, as written."""
        rows = self._database.all(
            "SELECT to_workspace, to_project, to_path FROM links WHERE project = ? AND path = ? ORDER BY n",
            (str(project_id), path),
        )
        return [Link(*row) for row in rows]

    def ways_to(self, path: str) -> list[Way]:
        """List by which names, and from which projects, links lead to a page of this path in some project."""
        return self._ways("SELECT DISTINCT project, to_workspace, to_project FROM links WHERE to_path = ?", (path,))

    def linking(self, ways: Sequence[Way], project_id: UUID, path: str, limit: int) -> tuple[list[BackLink], int]:
        """List pages that link to a page in one of these ways, without the page itself; and say how many there are."""
        found = (
            "FROM (SELECT DISTINCT l.project, l.path FROM links l JOIN json_each(?1) AS way "
            "ON l.project = way.value ->> 0 AND l.to_workspace = way.value ->> 1 AND l.to_project = way.value ->> 2 "
            "WHERE l.to_path = ?3 AND (l.project, l.path) <> (?2, ?3))"
        )
        asked = json.dumps([[str(way.project_id), way.workspace, way.project] for way in ways])
        values = (asked, str(project_id), path)
        rows = self._database.all(
            f"SELECT project, path, title, kind {found} JOIN pages USING (project, path) "
            "ORDER BY project, path LIMIT ?4",
            (*values, limit),
        )
        ((count,),) = self._database.all(f"SELECT count(*) {found}", values)
        return [BackLink(UUID(project), *row) for project, *row in rows], int(count)

    def count_unresolved(self) -> int:
        """Count the links into the page's own project that lead to no page."""
        ((count,),) = self._database.all(
            "SELECT count(*) FROM links l WHERE to_project = '' AND NOT EXISTS "
            "(SELECT 1 FROM pages p WHERE p.project = l.project AND p.path = l.to_path)"
        )
        return int(count)

    def ways_out(self, project_id: UUID | None = None) -> list[Way]:
        """List by which names, and from which projects (or from one), links lead to pages of another project."""
        return self._ways(
            "SELECT DISTINCT project, to_workspace, to_project FROM links "
            "WHERE to_project <> '' AND (?1 = '' OR project = ?1)",
            (str(project_id) if project_id else "",),
        )

    def count_links(self, way: Way) -> int:
        """Count the links that lead to another project in this way."""
        ((count,),) = self._database.all(
            # Said twice, so that the index of such links is used.
            "SELECT count(*) FROM links WHERE project = ? AND to_workspace = ? AND to_project = ? AND to_project <> ''",
            (str(way.project_id), way.workspace, way.project),
        )
        return int(count)

    def unresolved_by(self, way: Way, target: UUID | None) -> list[tuple[str, str]]:
        """List the links that lead to another project in this way and to no page there: from where, and where to."""
        rows = self._database.all(
            "SELECT path, to_path FROM links l WHERE project = ? AND to_workspace = ? AND to_project = ? "
            "AND to_project <> '' AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.project = ? AND p.path = l.to_path) "
            "ORDER BY path, n",
            (str(way.project_id), way.workspace, way.project, str(target) if target else ""),
        )
        return [(path, to_path) for path, to_path in rows]

    def _ways(self, question: str, values: Sequence[Any]) -> list[Way]:
        return [Way(UUID(row[0]), row[1], row[2]) for row in self._database.all(question, values)]

    # Versions

    def mark(self) -> str:
        """Give the newest commit that was read, "" when none was."""
        rows = self._database.all("SELECT value FROM marks WHERE name = 'wiki'")
        return str(rows[0][0]) if rows else ""

    def record(
        self,
        commits: Iterable[Commit],
        is_buried: Callable[[UUID, str], bool],
        is_purged: Callable[[UUID, str], bool],
    ) -> int:
        """Save commits (each behind its first parent, the first one's is the mark), and the mark with them.

        The texts of versions that are now too old are dropped.

        Args:
            commits: the new part of the chain, or all of it when there is no mark.
            is_buried: tells whether a page has a tombstone.
            is_purged: tells whether a page was purged: of such a one there are no versions.

        Returns:
            how many commits there were.
        """
        count = 0
        touched: set[tuple[str, str]] = set()
        with self._database.writing() as connection:
            ((last,),) = connection.execute("SELECT coalesce(max(n), 0) FROM commits").fetchall()
            if not last:
                # Texts may be left of another history.
                rows = connection.execute("SELECT DISTINCT project, path FROM texts")
                touched.update((str(project), str(path)) for project, path in rows)
            oid = ""
            for count, commit in enumerate(commits, start=1):
                oid, at = commit.oid, micros(commit.at)
                connection.execute(
                    "INSERT INTO commits (n, oid, at, author, email, subject) VALUES (?, ?, ?, ?, ?, ?)",
                    (int(str(last)) + count, oid, at, *commit.author, commit.subject),
                )
                versions = [row for row in _versions(commit) if not is_purged(UUID(row[0]), row[1])]
                connection.executemany(
                    "INSERT OR REPLACE INTO versions (project, path, n, blob, at) "  # noqa: S608 - constant text
                    f"VALUES (?1, ?2, ?3, ?4, iif({_UNCHANGED}, NULL, ?5))",
                    ((project, path, int(str(last)) + count, blob, at) for project, path, blob in versions),
                )
                touched.update((project, path) for project, path, _ in versions)
            for project, path in touched:
                _drop_texts(connection, project, path, buried=is_buried(UUID(project), path))
            if oid:
                connection.execute("INSERT OR REPLACE INTO marks (name, value) VALUES ('wiki', ?)", (oid,))
        return count

    def touched(self, newest: int) -> set[UUID]:
        """List the projects whose pages the newest so many commits brought a version of."""
        last = "(SELECT max(n) FROM commits)"
        rows = self._database.all(f"SELECT DISTINCT project FROM versions WHERE n > {last} - ?", (newest,))  # noqa: S608
        return {stored_id(project) for (project,) in rows}

    def forget_versions(self) -> None:
        """Drop all commits and versions and the mark: history was rewritten."""
        with self._database.writing() as connection:
            for table in ("versions", "commits"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant text
            connection.execute("DELETE FROM marks WHERE name = 'wiki'")

    def history(self, project_id: UUID, path: str, limit: int) -> list[Version]:
        """List a page's newest versions, the newest first; those that change nothing are left out."""
        return self._versions(
            f"v.project = ? AND v.path = ? AND {_CHANGED} ORDER BY v.n DESC LIMIT ?", (str(project_id), path, limit)
        )

    def count_versions(self, project_id: UUID, path: str) -> int:
        """Count the contents that a page had one after the other in git."""
        ((count,),) = self._database.all(
            "SELECT count(*) FROM (SELECT blob, lag(blob) OVER (ORDER BY n) AS before FROM versions "
            "WHERE project = ? AND path = ?) WHERE blob <> '' AND blob IS NOT before",
            (str(project_id), path),
        )
        return int(count)

    def newest(self, project_id: UUID, path: str) -> Version | None:
        """Give a page's newest version, also where that is its deletion."""
        rows = self.history(project_id, path, 1)
        return rows[0] if rows else None

    def holds(self, oid: str) -> bool:
        """Tell whether a commit is one of those that were read."""
        return bool(self._database.all("SELECT 1 FROM commits WHERE oid = ?", (oid,)))

    def version_in(self, project_id: UUID, path: str, oid: str) -> Version | None:
        """Give the version of a page that a commit saw, also where that is its deletion."""
        return self._version_until("(SELECT n FROM commits WHERE oid = ?3)", (str(project_id), path, oid))

    def version_at(self, project_id: UUID, path: str, at: datetime) -> Version | None:
        """Give the version of a page that was there at a moment, also where that is its deletion."""
        return self._version_until("(SELECT max(n) FROM commits WHERE at <= ?3)", (str(project_id), path, micros(at)))

    def _version_until(self, newest: str, values: Sequence[Any]) -> Version | None:
        rows = self._versions(
            f"v.project = ?1 AND v.path = ?2 AND v.n <= {newest} AND {_CHANGED} ORDER BY v.n DESC LIMIT 1", values
        )
        return rows[0] if rows else None

    def committed_paths(self, project_id: UUID) -> list[str]:
        """List the paths of the pages that the newest commit has."""
        rows = self._database.all(
            "SELECT path, blob FROM (SELECT path, blob, row_number() OVER (PARTITION BY path ORDER BY n DESC) AS age "
            "FROM versions WHERE project = ?) WHERE age = 1 AND blob <> '' ORDER BY path",
            (str(project_id),),
        )
        return [str(row[0]) for row in rows]

    def commit_times(self, project_id: UUID) -> dict[str, tuple[datetime, str]]:
        """Give, for each page that the newest commit has, when it got its content, and that content's id."""
        rows = self._database.all(
            "SELECT path, at, blob FROM (SELECT path, n, blob, "  # noqa: S608 - constant text
            "row_number() OVER (PARTITION BY path ORDER BY n DESC) AS age "
            f"FROM versions v WHERE project = ? AND {_CHANGED}) JOIN commits USING (n) WHERE age = 1 AND blob <> ''",
            (str(project_id),),
        )
        return {path: (moment(at), blob) for path, at, blob in rows}

    def _versions(self, where: str, values: Sequence[Any]) -> list[Version]:
        rows = self._database.all(
            "SELECT c.oid, c.at, c.author, c.email, c.subject, v.blob "  # noqa: S608 - constant text
            f"FROM versions v JOIN commits c ON c.n = v.n WHERE {where}",
            values,
        )
        return [Version(row[0], moment(row[1]), *row[2:]) for row in rows]

    # Texts of former versions

    def missing_texts(
        self, is_buried: Callable[[UUID, str], bool], newest: int | None = None
    ) -> Iterator[tuple[UUID, str, str]]:
        """List what should be searchable and is not yet read: project, path and blob of committed versions.

        That is so for pages that git has, and for those that were deleted as long as they are buried.

        Args:
            is_buried: tells whether a page has a tombstone.
            newest: look only at pages that the newest so many commits changed.
        """
        touched = ""
        if newest is not None:
            last = "(SELECT max(n) FROM commits)"
            touched = f"WHERE (project, path) IN (SELECT project, path FROM versions WHERE n > {last} - ?) "  # noqa: S608
        rows = self._database.all(
            "SELECT DISTINCT project, path, blob, newest FROM (SELECT project, path, blob, "  # noqa: S608 - constant text
            "first_value(blob) OVER newer AS newest, sum(blob <> '') OVER newer AS age FROM versions "
            f"{touched}WINDOW newer AS (PARTITION BY project, path ORDER BY n DESC)) AS recent "
            f"WHERE blob <> '' AND age <= {SEARCHABLE_VERSIONS} AND NOT EXISTS (SELECT 1 FROM texts t "
            "WHERE t.project = recent.project AND t.path = recent.path AND t.blob = recent.blob)",
            () if newest is None else (newest,),
        )
        for project, path, blob, present in rows:
            if present or is_buried(UUID(project), path):
                yield UUID(project), path, blob

    def save_texts(self, texts: Iterable[tuple[UUID, str, Text]]) -> None:
        """Save texts of former versions."""
        with self._database.writing() as connection:
            for project_id, path, text in texts:
                number, new = _save_text(connection, str(project_id), path, text)
                if new:
                    _save_chunks(connection, number, text)

    def drop_old_texts(self, is_buried: Callable[[UUID, str], bool]) -> None:
        """Drop the texts of former versions of pages that are neither there nor buried."""
        with self._database.writing() as connection:
            gone = connection.execute(
                "SELECT project, path FROM texts EXCEPT SELECT project, path FROM pages"
            ).fetchall()
            for project, path in gone:
                if not is_buried(UUID(str(project)), str(path)):
                    _drop_texts(connection, str(project), str(path), buried=False)

    # The whole

    def forget(self, project_id: UUID) -> None:
        """Drop everything of a project."""
        project = str(project_id)
        with self._database.writing() as connection:
            for table in ("pages", "links", "versions"):
                connection.execute(f"DELETE FROM {table} WHERE project = ?", (project,))  # noqa: S608 - constant text
            for (number,) in connection.execute("SELECT id FROM texts WHERE project = ?", (project,)).fetchall():
                _drop_text(connection, int(str(number)))

    def recorded(self, project_id: UUID, paths: Iterable[str]) -> list[str]:
        """List which of these pages have versions."""
        rows = self._database.all(
            "SELECT value FROM json_each(?2) WHERE EXISTS (SELECT 1 FROM versions WHERE project = ?1 AND path = value)",
            (str(project_id), json.dumps(list(paths))),
        )
        return [str(row[0]) for row in rows]

    def leave_out(self, project_id: UUID) -> None:
        """Drop the pages of a project that nobody knows any more, and the texts that git's newest commit has not."""
        project = str(project_id)
        with self._database.writing() as connection:
            for table in ("pages", "links"):
                connection.execute(f"DELETE FROM {table} WHERE project = ?", (project,))  # noqa: S608 - constant text
            paths = connection.execute("SELECT DISTINCT path FROM texts WHERE project = ?", (project,)).fetchall()
            for (path,) in paths:
                _drop_texts(connection, project, str(path), buried=False)

    def projects(self) -> set[UUID]:
        """List the projects that have pages."""
        return {UUID(project) for (project,) in self._database.all("SELECT DISTINCT project FROM pages")}

    def forget_pages(self, pages: Iterable[tuple[UUID, str]]) -> None:
        """Drop pages (project and path) with all their versions."""
        with self._database.writing() as connection:
            for project_id, path in pages:
                place = (str(project_id), path)
                for table in ("pages", "links", "versions"):
                    connection.execute(f"DELETE FROM {table} WHERE project = ? AND path = ?", place)  # noqa: S608
                _drop_texts(connection, *place, buried=False)

    def rebuild_search(self) -> None:
        """Write the full-text tables anew, without what was deleted."""
        with self._database.writing() as connection:
            for table in ("chunks_fts", "former_fts"):
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")  # noqa: S608 - constant text
                connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608 - constant text

    def totals(self) -> dict[UUID, tuple[int, datetime | None]]:
        """Give for each project how many pages it has, and when one of them last changed or was deleted."""
        rows = self._database.all(
            "SELECT project, sum(there), max(at) FROM ("
            "SELECT project, count(*) AS there, max(changed) AS at FROM pages GROUP BY project UNION ALL "
            "SELECT project, 0, max(at) FROM versions GROUP BY project) GROUP BY project"
        )
        return {UUID(project): (int(pages), None if at is None else moment(at)) for project, pages, at in rows}

    def counts(self) -> dict[str, int]:
        """Count pages, those with all their text in the search tables, versions (with what is uncommitted), links.

        A page without any, such as one with the markers of a merge or the draft of a packet, lacks nothing there.
        """
        (row,) = self._database.all(
            # The full-text table itself answers with the rows of its content, whatever it has of them.
            "SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM pages p WHERE "
            "(SELECT min(d.id IS NOT NULL) FROM chunks c LEFT JOIN chunks_fts_docsize d USING (id) "
            "WHERE c.text = p.text) IS NOT 0), (SELECT count(*) FROM versions WHERE blob <> '') + "
            "(SELECT count(*) FROM pages p WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.project = p.project "
            "AND v.path = p.path AND v.blob = p.blob)), "
            "(SELECT count(*) FROM links)"
        )
        return dict(zip(("pages", "searchable", "versions", "links"), map(int, row), strict=True))


def place_of(file: str) -> tuple[str, str] | None:
    """Tell project and path of a file in the wiki, None for what is no page."""
    found = _FILE.fullmatch(file)
    return (found[1], found[2]) if found and is_page(found[2]) else None


def _versions(commit: Commit) -> Iterator[tuple[str, str, str]]:
    # A page that moved with its project is gone at the old place and there at the new one: the latter counts.
    found: dict[tuple[str, str], str] = {}
    for change in commit.changes:
        where = place_of(change.path)
        if where and (change.blob or where not in found):
            found[where] = change.blob
    return ((project, path, blob) for (project, path), blob in found.items())


def _save_text(connection: apsw.Connection, project: str, path: str, text: Text) -> tuple[int, bool]:
    """Give the number of a text, and whether it is new: its chunks go in once it is known whose they are."""
    known = connection.execute(
        "SELECT id FROM texts WHERE project = ? AND path = ? AND blob = ?", (project, path, text.blob)
    ).fetchall()
    if known:
        return int(str(known[0][0])), False
    connection.execute(
        "INSERT INTO texts (project, path, blob, title, expires_at) VALUES (?, ?, ?, ?, ?)",
        (project, path, text.blob, text.title, micros(text.expires_at) if text.expires_at else None),
    )
    return connection.last_insert_rowid(), True


def _save_chunks(connection: apsw.Connection, number: int, text: Text) -> None:
    connection.executemany(
        "INSERT INTO chunks (text, n, heading, body, words, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (number, n, heading, body, words, digest(f"{heading}\n\n{body}" if heading else body))
            for n, (heading, body, words) in enumerate(text.chunks)
        ),
    )


def _drop_texts(connection: apsw.Connection, project: str, path: str, *, buried: bool) -> None:
    """Drop the texts of a page that are neither the present one nor of one of the newest versions.

    A page that git no longer has keeps those of its versions only while it is buried.
    """
    rows = connection.execute(
        "SELECT id FROM texts t WHERE project = ?1 AND path = ?2 "  # noqa: S608 - constant text
        "AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.text = t.id) "
        "AND NOT ((?3 OR '' <> (SELECT blob FROM versions WHERE project = ?1 AND path = ?2 ORDER BY n DESC LIMIT 1)) "
        "AND blob IN (SELECT blob FROM versions WHERE project = ?1 AND path = ?2 AND blob <> '' "
        f"ORDER BY n DESC LIMIT {SEARCHABLE_VERSIONS}))",
        (project, path, buried),
    ).fetchall()
    for (number,) in rows:
        _drop_text(connection, int(str(number)))


def _drop_text(connection: apsw.Connection, number: int) -> None:
    connection.execute("DELETE FROM chunks WHERE text = ?", (number,))
    connection.execute("DELETE FROM texts WHERE id = ?", (number,))


def _page_values(row: PageRow) -> tuple[Any, ...]:
    return (
        row.path,
        row.blob,
        row.size,
        row.mtime,
        row.title,
        row.type,
        row.kind,
        row.tier,
        row.pinned,
        row.sealed,
        json.dumps(row.tags, ensure_ascii=False),
        row.summary,
        micros(row.expires_at) if row.expires_at else None,
        row.problem,
        row.conflicted,
    )


@lru_cache(4096)
def _tags(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def page_of(row: Sequence[Any]) -> PageRow:
    """Read a row of PAGE_COLUMNS."""
    *before, pinned, is_sealed, tags, summary, expires_at, problem, conflicted = row
    until = moment(expires_at) if expires_at is not None else None
    return PageRow._make(
        (*before, bool(pinned), bool(is_sealed), _tags(tags), summary, until, problem, bool(conflicted))
    )


def page_row(page: Page, *, blob: str, size: int, mtime: int, problem: str) -> PageRow:
    """Make the row of a page that was read."""
    return PageRow(
        path=page.path,
        blob=blob,
        size=size,
        mtime=mtime,
        title=page.title,
        type=page.type,
        kind=page.kind,
        tier=page.tier,
        pinned=page.pinned,
        sealed=page.sealed,
        tags=page.tags,
        summary=page.summary,
        expires_at=page.expires_at,
        problem=problem,
        conflicted=CONFLICT in page.problems,
    )
