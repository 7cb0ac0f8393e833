"""What readers said of pages: durable, because neither the raw log nor the wiki knows it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ai_memory.store.sqlite import Database, micros, moment

#: So many of one page are kept; how much it matters is in the newest.
_KEPT = 100


@dataclass(frozen=True, slots=True)
class Said:
    """What one reader said of one content of a page.

    Attributes:
        path, blob: the page, and git's id of the content that was read.
        at: when.
        signal: "helpful", "not_helpful", "stale" or "wrong".
        reason: one line, or "".
        salience: how much the content matters since then, 0.25 to 2.
    """

    path: str
    blob: str
    at: datetime
    signal: str
    reason: str
    salience: float


class PageFeedback:
    """The table `page_feedback` of `db/state.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, project_id: UUID, said: Said) -> None:
        """Keep what was said of a page; what was said of another content of it goes."""
        project = str(project_id)
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM page_feedback WHERE project = ? AND path = ? AND blob <> ?",
                (project, said.path, said.blob),
            )
            connection.execute(
                "INSERT INTO page_feedback (project, path, blob, at, signal, reason, salience) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (project, said.path, said.blob, micros(said.at), said.signal, said.reason, said.salience),
            )
            connection.execute(
                "DELETE FROM page_feedback WHERE project = ?1 AND path = ?2 AND id NOT IN "
                "(SELECT id FROM page_feedback WHERE project = ?1 AND path = ?2 ORDER BY id DESC LIMIT ?3)",
                (project, said.path, _KEPT),
            )

    def of(self, project_id: UUID) -> list[Said]:
        """List what was said of a project's pages, the newest first."""
        rows = self._database.all(
            "SELECT path, blob, at, signal, reason, salience FROM page_feedback WHERE project = ? ORDER BY id DESC",
            (str(project_id),),
        )
        return [Said(path, blob, moment(at), *rest) for path, blob, at, *rest in rows]

    def saliences(self, contents: Iterable[tuple[UUID, str, str]]) -> dict[tuple[UUID, str], float]:
        """Give how much pages matter of whose present content somebody has said something.

        Args:
            contents: project, path and git's id of the present content.
        """
        asked = [(str(project), path, blob) for project, path, blob in contents]
        rows = self._database.all(
            "SELECT project, path, salience FROM page_feedback WHERE (project, path, blob) IN "
            "(SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)) ORDER BY id",
            (json.dumps(asked),),
        )
        return {(UUID(project), path): salience for project, path, salience in rows}

    def carry(self, project_id: UUID, blobs: Mapping[str, tuple[str, str]]) -> None:
        """Let what was said of pages hold for a new content of theirs: path -> git's ids of the old and the new one."""
        changed = [(new, str(project_id), path, old) for path, (old, new) in blobs.items() if new != old]
        if changed:
            with self._database.writing() as connection:
                connection.executemany(
                    "UPDATE page_feedback SET blob = ? WHERE project = ? AND path = ? AND blob = ?", changed
                )

    def forget(self, project_id: UUID, paths: Iterable[str] | None = None) -> None:
        """Drop what was said of some pages of a project, or of all."""
        with self._database.writing() as connection:
            if paths is None:
                connection.execute("DELETE FROM page_feedback WHERE project = ?", (str(project_id),))
            else:
                connection.executemany(
                    "DELETE FROM page_feedback WHERE project = ? AND path = ?",
                    ((str(project_id), path) for path in paths),
                )

    def move(self, old: UUID, new: UUID, path: str, new_path: str = "") -> None:
        """Give what was said of a page to the page of another project that it has become."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE page_feedback SET project = ?, path = ? WHERE project = ? AND path = ?",
                (str(new), new_path or path, str(old), path),
            )
