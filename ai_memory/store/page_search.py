"""Searching pages in `db/index.db`: by words now or as they were, by filters alone, and what is around a hit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ai_memory.model.filters import Filters
from ai_memory.model.ids import stored_id
from ai_memory.store.page_index import PAGE_COLUMNS, PageRow, page_of
from ai_memory.store.sqlite import Database, micros, moment

#: The path of a row is one of those asked for, or below one.
_IN_PATHS = (
    "EXISTS (SELECT 1 FROM json_each(?) WHERE substr({0}.path, 1, length(value)) = value OR {0}.path GLOB value)"
)
#: What a session would leave: its own page says it, and stands for it until somebody saves or edits the packet.
NO_DRAFT = "NOT (p.kind = 'packet' AND p.sealed)"
#: When the session began whose page a page is, if it is one.
SESSION_BEGAN = (
    "(SELECT s.started FROM sessions s WHERE s.project = p.project AND p.path GLOB 'sessions/*.md' "
    "AND s.session = substr(p.path, 10, length(p.path) - 12))"
)
_BEGAN = f"coalesce({SESSION_BEGAN}, p.committed, p.mtime / 1000)"


@dataclass(frozen=True, slots=True)
class Found:
    """A page that was found, by its best chunk; a greater score is better."""

    project_id: UUID
    path: str
    chunk: int
    score: float


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A chunk as it can be quoted."""

    project_id: UUID
    path: str
    title: str
    heading: str
    body: str


class PageSearch:
    """Questions to the pages part of `db/index.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self,
        match: str,
        projects: Sequence[UUID],
        limit: int,
        *,
        now: datetime,
        at: datetime | None = None,
        filters: Filters = Filters(),  # noqa: B008 - frozen
        expired: bool = False,
    ) -> list[Found]:
        """Find pages by words, best first.

        Args:
            match: a legal FTS5 expression.
            projects: where to look; none means everywhere.
            limit: how many pages.
            now: what time it is.
            at: look at the pages as they were then; of the filters only paths narrow these.
            filters: what else has to be so.
            expired: also those that have expired.
        """
        if not match:
            return []
        narrowed: list[str] = []
        values: list[Any] = []
        if projects:
            narrowed.append("t.project IN (SELECT value FROM json_each(?))")
            values.append(_listed(projects))
        if at is None:
            conditions, more = _narrowed(filters)
            if conditions:
                conditions.insert(0, "p.text = t.id")
                narrowed.append(f"EXISTS (SELECT 1 FROM pages p WHERE {' AND '.join(conditions)})")  # noqa: S608 - constant text
                values += more
        else:
            if filters.paths:
                narrowed.append(_IN_PATHS.format("t"))
                values.append(json.dumps(filters.paths))
            narrowed.append(
                "t.blob = (SELECT v.blob FROM versions v WHERE v.project = t.project AND v.path = t.path "
                "AND v.n <= (SELECT max(n) FROM commits WHERE at <= ?) ORDER BY v.n DESC LIMIT 1)"
            )
            values.append(micros(at))
        tables = ["chunks_fts"] if at is None else ["chunks_fts", "former_fts"]
        scored = " UNION ALL ".join(
            f"SELECT {table}.rowid AS chunk, bm25({table}, 2.0, 1.0, 0.7) AS score FROM {table} "  # noqa: S608 - constant text
            + (f"CROSS JOIN chunks c ON c.id = {table}.rowid CROSS JOIN texts t ON t.id = c.text " if narrowed else "")
            + f"WHERE {' AND '.join([f'{table} MATCH ?', *narrowed])}"
            for table in tables
        )
        best: dict[tuple[str, str], Found] = {}
        rows = self._database.each(
            f"SELECT t.project, t.path, chunk, score FROM ({scored} ORDER BY score, chunk LIMIT -1) "  # noqa: S608 - constant text
            "CROSS JOIN chunks c ON c.id = chunk CROSS JOIN texts t ON t.id = c.text "
            "WHERE ? OR coalesce(t.expires_at > ?, 1)",
            (*([match, *values] * len(tables)), expired, micros(at or now)),
        )
        for project, path, chunk, score in rows:
            if (project, path) not in best:
                best[project, path] = Found(stored_id(project), path, chunk, -score)
                if len(best) == limit:
                    break
        return list(best.values())

    def newest(
        self, projects: Sequence[UUID], limit: int, *, now: datetime, filters: Filters, expired: bool = False
    ) -> dict[tuple[UUID, str], datetime]:
        """List pages that filters fit, the last changed first, each with when that was."""
        narrowed, values = _narrowed(filters)
        if not (filters.paths or filters.kinds):
            narrowed.append(NO_DRAFT)
        if projects:
            narrowed.append("p.project IN (SELECT value FROM json_each(?))")
            values.append(_listed(projects))
        if not expired:
            narrowed.append("coalesce(p.expires_at > ?, 1)")
            values.append(micros(now))
        rows = self._database.all(
            "SELECT p.project, p.path, p.changed FROM pages p "  # noqa: S608 - constant text
            f"WHERE {' AND '.join(narrowed) or '1'} ORDER BY p.changed DESC, p.mtime DESC, p.project, p.path LIMIT ?",
            (*values, limit),
        )
        return {(stored_id(project), path): moment(changed) for project, path, changed in rows}

    def counts(self, projects: Sequence[UUID], filters: Filters) -> dict[UUID, int]:
        """Count the pages that filters fit in each of these projects that has any."""
        narrowed, values = _narrowed(filters)
        narrowed.append("p.project IN (SELECT value FROM json_each(?))")
        rows = self._database.all(
            f"SELECT p.project, count(*) FROM pages p WHERE {' AND '.join(narrowed)} GROUP BY p.project",  # noqa: S608 - constant text
            (*values, _listed(projects)),
        )
        return {stored_id(project): int(count) for project, count in rows}

    def fitting(self, pages: Iterable[tuple[UUID, str]], filters: Filters) -> dict[tuple[UUID, str], PageRow]:
        """Give the rows of those of these pages that filters fit."""
        narrowed, values = _narrowed(filters)
        narrowed.append("(p.project, p.path) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))")
        values.append(json.dumps([(str(project), path) for project, path in pages]))
        rows = self._database.all(
            f"SELECT p.project, {PAGE_COLUMNS} FROM pages p WHERE {' AND '.join(narrowed)}",  # noqa: S608 - constant text
            values,
        )
        return {(stored_id(row[0]), row[1]): page_of(row[1:]) for row in rows}

    def chunks(self, numbers: Iterable[int]) -> dict[int, ChunkText]:
        """Give chunks by their numbers."""
        rows = self._database.all(
            "SELECT c.id, t.project, t.path, t.title, c.heading, c.body FROM json_each(?) "
            "JOIN chunks c ON c.id = value JOIN texts t ON t.id = c.text",
            (json.dumps(list(numbers)),),
        )
        return {int(row[0]): ChunkText(stored_id(row[1]), *row[2:]) for row in rows}

    def beginnings(self, pages: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], int]:
        """Give the number of each page's first chunk."""
        rows = self._database.all(
            "SELECT p.project, p.path, c.id FROM pages p JOIN chunks c ON c.text = p.text AND c.n = 0 "
            "WHERE (p.project, p.path) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
            (json.dumps([(str(project), path) for project, path in pages]),),
        )
        return {(stored_id(project), path): int(chunk) for project, path, chunk in rows}

    def neighbours(self, pages: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], list[tuple[UUID, str]]]:
        """Give the pages of the same project that each of these links to, then those that link to it."""
        rows = self._database.all(
            "SELECT key, project, other FROM (SELECT each.key, p.project, p.path AS other, 0 AS way, l.n "  # noqa: S608 - constant text
            "FROM json_each(?1) each JOIN links l ON l.project = each.value ->> 0 AND l.path = each.value ->> 1 "
            f"JOIN pages p ON p.project = l.project AND p.path = l.to_path WHERE l.to_project = '' AND {NO_DRAFT} "
            "UNION ALL SELECT each.key, p.project, p.path, 1, 0 "
            "FROM json_each(?1) each JOIN links l ON l.to_path = each.value ->> 1 AND l.project = each.value ->> 0 "
            "JOIN pages p ON p.project = l.project AND p.path = l.path WHERE l.to_workspace = '' AND l.to_project = ''"
            ") ORDER BY key, way, n, other",
            (json.dumps([(str(project), path) for project, path in pages]),),
        )
        found: dict[tuple[UUID, str], list[tuple[UUID, str]]] = {}
        for number, project, other in rows:
            found.setdefault(pages[number], []).append((stored_id(project), other))
        return found


def _listed(projects: Iterable[UUID]) -> str:
    return json.dumps([str(project) for project in projects])


def _narrowed(filters: Filters) -> tuple[list[str], list[Any]]:
    """Give the conditions on a page `p` that filters make, and their values."""
    clauses: list[str] = []
    values: list[Any] = []
    if filters.paths:
        clauses.append(_IN_PATHS.format("p"))
        values.append(json.dumps(filters.paths))
    if filters.kinds:
        clauses.append("folded(p.kind) IN (SELECT folded(value) FROM json_each(?))")
        values.append(json.dumps(filters.kinds))
    for tag in filters.tags:
        clauses.append("EXISTS (SELECT 1 FROM json_each(p.tags) WHERE folded(value) = folded(?))")
        values.append(tag)
    for condition, when in (("p.changed >= ?", filters.since), (f"{_BEGAN} < ?", filters.before)):
        if when:
            clauses.append(condition)
            values.append(micros(when))
    return clauses, values
