"""How often pages were read: durable, because neither the raw log nor the wiki knows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ai_memory.store.sqlite import Database, micros, moment


@dataclass(frozen=True, slots=True)
class ReadCount:
    """How often a page was read, and when last."""

    count: int
    last: datetime


class PageReads:
    """The table `page_reads` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pages: Iterable[tuple[UUID, str, datetime]]) -> None:
        """Count one more read of each of these pages: project, path, time."""
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT INTO page_reads (project, path, count, last) VALUES (?, ?, 1, ?) "
                "ON CONFLICT DO UPDATE SET count = count + 1, last = max(last, excluded.last)",
                ((str(project), path, micros(at)) for project, path, at in pages),
            )

    def of(self, project_id: UUID) -> dict[str, ReadCount]:
        """Give the reads of a project's pages, by path."""
        rows = self._database.all("SELECT path, count, last FROM page_reads WHERE project = ?", (str(project_id),))
        return {path: ReadCount(count, moment(last)) for path, count, last in rows}

    def forget(self, project_id: UUID, paths: Iterable[str] | None = None) -> None:
        """Drop the reads of some pages of a project, or of all."""
        with self._database.writing() as connection:
            if paths is None:
                connection.execute("DELETE FROM page_reads WHERE project = ?", (str(project_id),))
            else:
                connection.executemany(
                    "DELETE FROM page_reads WHERE project = ? AND path = ?", ((str(project_id), path) for path in paths)
                )

    def move(self, old: UUID, new: UUID, path: str, new_path: str = "") -> None:
        """Give a page's reads to the page of another project that it has become."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO page_reads (project, path, count, last) "
                "SELECT ?, ?, count, last FROM page_reads WHERE project = ? AND path = ? "
                "ON CONFLICT DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)",
                (str(new), new_path or path, str(old), path),
            )
            connection.execute("DELETE FROM page_reads WHERE project = ? AND path = ?", (str(old), path))
