"""The records among the pages of `db/index.db`: which page is which record, how they are connected, which has words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ai_memory.model.ids import stored_id
from ai_memory.model.record import Record
from ai_memory.store.sqlite import Database, micros, moment

_COLUMNS = "r.uuid, r.project, r.path, r.type, r.archived, r.created"
#: A record whose page is missing on disk, or cannot be read, is found again when it can.
_READABLE = "JOIN pages p ON p.project = r.project AND p.path = r.path AND p.size >= 0"


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One record: its uuid, the page that it is, and what it is found by."""

    uuid: str
    project_id: UUID
    path: str
    type: str
    archived: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Relation:
    """One connection between two records, by their uuids."""

    from_uuid: str
    to_uuid: str
    relationship: str


class RecordIndex:
    """The records part of `db/index.db`. A record goes with its page."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, project_id: UUID, path: str, record: Record | None) -> None:
        """Save which record a page is, None when it is none."""
        place = (str(project_id), path)
        with self._database.writing() as connection:
            for table in ("records", "relations"):
                connection.execute(f"DELETE FROM {table} WHERE project = ? AND path = ?", place)  # noqa: S608 - constant
            if record is None:
                return
            connection.execute(
                "INSERT INTO records (project, path, uuid, type, archived, created, head) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*place, record.uuid, record.type, record.archived, micros(record.created_at), record.head),
            )
            connection.executemany(
                "INSERT INTO relations (project, path, n, to_uuid, relationship) VALUES (?, ?, ?, ?, ?)",
                ((*place, n, each.to_uuid, each.relationship) for n, each in enumerate(record.connections)),
            )

    def rows(self, uuids: Iterable[str]) -> dict[str, RecordRow]:
        """Find records; of two pages that say to be the same one the first counts."""
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM records r {_READABLE} "  # noqa: S608 - constant
            "WHERE r.uuid IN (SELECT value FROM json_each(?)) ORDER BY r.project DESC, r.path DESC",
            (json.dumps(list(uuids)),),
        )
        return {row.uuid: row for row in map(_row, rows)}

    def pages_of(self, uuid: str) -> list[RecordRow]:
        """List every page that says to be a record: one may have been copied, or claim to be what it is not."""
        rows = self._database.all(f"SELECT {_COLUMNS} FROM records r {_READABLE} WHERE r.uuid = ?", (uuid,))  # noqa: S608 - constant
        return [_row(row) for row in rows]

    def narratives(self, project_id: UUID) -> list[RecordRow]:
        """List the narratives of a project that hold, the newest first; after a merge of projects there may be two."""
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM records r {_READABLE} "  # noqa: S608 - constant
            "WHERE r.project = ? AND r.type = 'narrative' AND NOT r.archived ORDER BY r.created DESC, r.uuid DESC",
            (str(project_id),),
        )
        return [_row(row) for row in rows]

    def alike(self, project_id: UUID, type_: str, head: str, *, after: datetime) -> str:
        """Find a record of a project and type that begins so and is newer than a moment; its uuid, "" for none."""
        rows = self._database.all(
            f"SELECT r.uuid FROM records r {_READABLE} WHERE r.project = ? AND r.type = ? AND r.head = ? "  # noqa: S608 - constant
            "AND r.created > ? AND NOT r.archived ORDER BY r.created DESC LIMIT 1",
            (str(project_id), type_, head, micros(after)),
        )
        return str(rows[0][0]) if rows else ""

    def newest(self, project_id: UUID | None, type_: str, limit: int) -> list[RecordRow]:
        """List records that hold, the newest first.

        Args:
            project_id: only of this project; None means all.
            type_: only of this type; "" means all.
            limit: so many.
        """
        narrowed, values = _narrowed(project_id, type_)
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM records r {_READABLE} WHERE {narrowed} "  # noqa: S608 - constant text
            "ORDER BY r.created DESC, r.uuid DESC LIMIT ?",
            (*values, limit),
        )
        return [_row(row) for row in rows]

    def having(
        self, terms: Sequence[str], named: Sequence[Sequence[UUID]], project_id: UUID | None, type_: str, limit: int
    ) -> list[RecordRow]:
        """List records that hold and have all of these terms in their pages, the best first.

        Args:
            terms: words and phrases, without quotes; at least one.
            named: for each of them the projects of which every record has it, because it is their name.
            project_id, type_, limit: as for `newest`.
        """
        narrowed, values = _narrowed(project_id, type_)
        conditions = [narrowed]
        for term, projects in zip(terms, named, strict=True):
            conditions.append(
                "(p.text IN (SELECT c.text FROM chunks_fts JOIN chunks c ON c.id = chunks_fts.rowid "
                "WHERE chunks_fts MATCH ?) OR r.type = folded(?) OR r.project IN (SELECT value FROM json_each(?)))"
            )
            values += [f'"{term}"', term, json.dumps([str(each) for each in projects])]
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM records r {_READABLE} "  # noqa: S608 - constant text
            "LEFT JOIN (SELECT text, min(score) AS score FROM (SELECT c.text, bm25(chunks_fts, 2.0, 1.0, 0.7) AS score "
            "FROM chunks_fts CROSS JOIN chunks c ON c.id = chunks_fts.rowid WHERE chunks_fts MATCH ? LIMIT -1) "
            f"GROUP BY text) best ON best.text = p.text WHERE {' AND '.join(conditions)} "
            "ORDER BY best.score IS NULL, best.score, r.created DESC, r.uuid DESC LIMIT ?",
            (" OR ".join(f'"{term}"' for term in terms), *values, limit),
        )
        return [_row(row) for row in rows]

    def relations(self, uuids: Iterable[str], *, limit: int = -1) -> list[Relation]:
        """List the connections from and to these records, each once; so many, or all."""
        rows = self._database.all(
            "SELECT DISTINCT r.uuid, l.to_uuid, l.relationship FROM records r "
            "JOIN relations l ON l.project = r.project AND l.path = r.path "
            "WHERE r.uuid IN (SELECT value FROM json_each(?1)) "
            "UNION SELECT r.uuid, l.to_uuid, l.relationship FROM relations l "
            "JOIN records r ON r.project = l.project AND r.path = l.path "
            "WHERE l.to_uuid IN (SELECT value FROM json_each(?1)) ORDER BY 1, 2, 3 LIMIT ?2",
            (json.dumps(list(uuids)), limit),
        )
        return [Relation(*row) for row in rows]


def _narrowed(project_id: UUID | None, type_: str) -> tuple[str, list[Any]]:
    conditions, values = ["NOT r.archived"], []
    if project_id:
        conditions.append("r.project = ?")
        values.append(str(project_id))
    if type_:
        conditions.append("r.type = ?")
        values.append(type_)
    return " AND ".join(conditions), values


def _row(row: Sequence[Any]) -> RecordRow:
    uuid, project, path, type_, archived, created = row
    return RecordRow(uuid, stored_id(project), path, type_, bool(archived), moment(created))
