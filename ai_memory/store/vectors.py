"""Vectors of chunks and turns in `db/index.db`: which are wanted, which are near, which are of no use any more.

A text that is there and has no vector of the present model *is* the queue. Vectors go with their text: triggers of
the schema see to it. They are kept twice, as signs and as int8: the signs of all are compared, the int8 of the best.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ai_memory.store.sqlite import Database, micros

#: So many vectors are compared in full. Several may be of one text, and some of former versions.
_COARSE = 400

#: Whether a text has vectors of model ?1, and whether it was refused and is not tried again now.
_HAS = "EXISTS (SELECT 1 FROM vectors v WHERE v.hash = {hash} AND v.project = {project} AND v.model = ?1)"
_REFUSED = (
    "EXISTS (SELECT 1 FROM embedding_failures f WHERE f.hash = {hash} AND f.project = {project} AND f.model = ?1 "
    "AND coalesce(f.retry_at > ?2, 1))"
)
#: What is embedded: chunks of pages as they are, and turns. What a session's page tells is embedded as its turns, while
#: the raw log is there. The digest is that of nothing at all.
_CHUNKS = (
    "FROM chunks c JOIN texts t ON t.id = c.text WHERE EXISTS (SELECT 1 FROM pages p WHERE p.text = t.id) "
    "AND coalesce(t.expires_at > ?2, 1) AND NOT (t.path GLOB 'sessions/*' AND EXISTS (SELECT 1 FROM sessions s "
    "WHERE s.project = t.project AND s.session = substr(t.path, 10, 36) AND s.raw_bytes > 0)) "
    "AND c.hash <> X'e3b0c44298fc1c149afbf4c8996fb924' "
    "AND (?3 = '[]' OR t.project IN (SELECT value FROM json_each(?3)))"
)
_TURNS = (
    "FROM turns u JOIN sessions s ON s.id = u.session "
    "WHERE (?3 = '[]' OR s.project IN (SELECT value FROM json_each(?3)))"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A text without vectors; its digest and project are what they are kept by."""

    project_id: UUID
    hash: bytes
    text: str
    is_tool: bool


@dataclass(frozen=True, slots=True)
class Near:
    """A chunk or a turn (its row; the other one is 0) whose meaning is near; similarity is a cosine."""

    project_id: UUID
    chunk: int
    turn: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """What there is of vectors.

    Attributes:
        embedded: texts that have vectors of the model.
        waiting: texts that are to get them.
        failed: texts that were refused.
        pages_missing: pages of which some text has none.
    """

    embedded: int
    waiting: int
    failed: int
    pages_missing: int


class Vectors:
    """The vectors part of `db/index.db`. Models are known by a number, 0 stands for none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def model(self, provider: str, model: str, dim: int) -> int:
        """Give the number of a model."""
        triple = (provider, model, dim)
        with self._database.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO models (provider, model, dim) VALUES (?, ?, ?)", triple)
            ((number,),) = connection.execute(
                "SELECT id FROM models WHERE provider = ? AND model = ? AND dim = ?", triple
            ).fetchall()
            return int(str(number))

    # The queue

    def waiting(self, model: int, limit: int, now: datetime, projects: Sequence[UUID] = ()) -> list[Waiting]:
        """List texts that have no vectors of a model and did not fail just now, those of pages first.

        Args:
            model: its number.
            limit: how many.
            now: what has expired by then is left out.
            projects: where to look; none means everywhere.
        """
        values = (model, micros(now), _listed(projects))
        found: dict[tuple[str, bytes], Waiting] = {}
        chunks = "t.project, c.hash, iif(c.heading = '', c.body, c.heading || char(10, 10) || c.body), 0 " + _CHUNKS
        turns = "s.project, u.hash, u.text, u.kind = 'tool' " + _TURNS
        for rows, names in (
            (chunks, {"hash": "c.hash", "project": "t.project"}),
            (turns, {"hash": "u.hash", "project": "s.project"}),
        ):
            question = f"SELECT {rows} AND NOT {_HAS.format(**names)} AND NOT {_REFUSED.format(**names)} LIMIT ?4"
            for project, hash_, text, is_tool in self._database.all(question, (*values, limit - len(found))):
                found.setdefault((project, hash_), Waiting(UUID(project), hash_, text, bool(is_tool)))
        return list(found.values())

    def save(self, model: int, found: Iterable[tuple[Waiting, Sequence[bytes]]]) -> int:
        """Save the vectors of texts, a float32 vector for each piece; gives how many texts that was.

        A text that went meanwhile gets none.
        """
        count = 0
        with self._database.writing() as connection:
            for text, vectors in found:
                place = (text.hash, str(text.project_id))
                if connection.execute("SELECT 1 FROM hashes WHERE hash = ? AND project = ? LIMIT 1", place).fetchall():
                    connection.executemany(
                        "INSERT OR REPLACE INTO vectors (hash, project, model, n, bits, vector) "
                        "VALUES (?1, ?2, ?3, ?4, vec_quantize_binary(?5), vec_quantize_int8(?5, 'unit'))",
                        ((*place, model, n, vector) for n, vector in enumerate(vectors)),
                    )
                    connection.execute(
                        "DELETE FROM embedding_failures WHERE hash = ? AND project = ? AND model = ?", (*place, model)
                    )
                    count += 1
        return count

    def is_wanted(self, text: Waiting, now: datetime) -> bool:
        """Tell whether a text that was listed is still there to be embedded."""
        question = (
            f"SELECT 1 {_CHUNKS} AND c.hash = ?1 AND t.project = ?4 "
            f"UNION ALL SELECT 1 {_TURNS} AND u.hash = ?1 AND s.project = ?4 LIMIT 1"
        )
        return bool(self._database.all(question, (text.hash, micros(now), "[]", str(text.project_id))))

    def fail(
        self, model: int, text: Waiting, error: str, now: datetime, waits: Sequence[timedelta], *, for_good: bool
    ) -> None:
        """Note that a text failed, and when it is tried again.

        Args:
            model: its number.
            text: which.
            error: why.
            now: when.
            waits: after the first attempt, the second, and so on.
            for_good: after all the waits it is not tried again; otherwise the last wait is repeated.
        """
        place = (text.hash, str(text.project_id), model)
        with self._database.writing() as connection:
            if not connection.execute("SELECT 1 FROM hashes WHERE hash = ? AND project = ?", place[:2]).fetchall():
                return
            rows = connection.execute(
                "SELECT attempts FROM embedding_failures WHERE hash = ? AND project = ? AND model = ?", place
            ).fetchall()
            attempts = int(str(rows[0][0])) if rows else 0
            given_up = for_good and attempts >= len(waits)
            retry_at = None if given_up else micros(now + waits[min(attempts, len(waits) - 1)])
            connection.execute(
                "INSERT OR REPLACE INTO embedding_failures (hash, project, model, attempts, at, error, retry_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*place, attempts + 1, micros(now), error, retry_at),
            )

    def drop(self, projects: Sequence[UUID]) -> None:
        """Drop the vectors of projects, of all models, and what is noted of their failures."""
        with self._database.writing() as connection:
            for table in ("vectors", "embedding_failures"):
                connection.execute(
                    f"DELETE FROM {table} WHERE project IN (SELECT value FROM json_each(?))",  # noqa: S608 - constant text
                    (_listed(projects),),
                )

    # Search

    def nearest(self, model: int, vector: bytes, projects: Sequence[UUID], limit: int, now: datetime) -> list[Near]:
        """Find the chunks of present pages, and the turns, that are nearest, each by its best piece.

        Of turns that say the same in a project only the newest is found: there are hundreds of "go on".

        Args:
            model: its number.
            vector: float32, as its embedder gives it.
            projects: where to look; none means everywhere.
            limit: how many.
            now: what has expired by then is left out.
        """
        # The joins are crossed so that the few are looked up: SQLite would go through all turns instead.
        narrowed = "AND project IN (SELECT value FROM json_each(?4))" if projects else ""
        rows = self._database.all(
            "WITH coarse AS MATERIALIZED (SELECT id, vec_distance_hamming(vec_bit(bits), vec_bit(?2)) AS distance "  # noqa: S608 - constant text
            f"FROM vectors WHERE model = ?1 {narrowed} ORDER BY distance LIMIT {_COARSE}), "
            "near AS MATERIALIZED (SELECT v.project, v.hash, "
            "1 - min(vec_distance_cosine(vec_int8(v.vector), vec_int8(?3))) AS similarity "
            "FROM coarse JOIN vectors v USING (id) GROUP BY v.project, v.hash) "
            "SELECT n.project, c.id AS chunk, 0 AS turn, n.similarity FROM near n "
            "CROSS JOIN chunks c ON c.hash = n.hash JOIN texts t ON t.id = c.text AND t.project = n.project "
            "WHERE coalesce(t.expires_at > ?5, 1) "
            "AND EXISTS (SELECT 1 FROM pages p WHERE p.text = t.id) "
            "UNION ALL SELECT n.project, 0, max(u.id), n.similarity FROM near n CROSS JOIN turns u ON u.hash = n.hash "
            "JOIN sessions s ON s.id = u.session AND s.project = n.project GROUP BY n.project, n.hash "
            "ORDER BY similarity DESC, chunk, turn LIMIT ?6",
            (model, *self._quantized(vector), _listed(projects), micros(now), limit),
        )
        return [Near(UUID(project), chunk, turn, similarity) for project, chunk, turn, similarity in rows]

    def _quantized(self, vector: bytes) -> tuple[bytes, bytes]:
        # As parts of the search they would be computed for each row of it.
        quantized = "SELECT vec_quantize_binary(?1), vec_quantize_int8(?1, 'unit')"
        ((bits, small),) = self._database.all(quantized, (vector,))
        return bits, small

    # Counters

    def coverage(self, model: int, now: datetime, projects: Sequence[UUID] = ()) -> Coverage:
        """Count texts by what a model has of them, everywhere or in some projects."""
        names = {"hash": "w.hash", "project": "w.project"}
        wanted = f"SELECT c.hash, t.project, c.text {_CHUNKS} UNION ALL SELECT u.hash, s.project, 0 {_TURNS}"
        (row,) = self._database.all(
            f"WITH wanted AS ({wanted}), judged AS (SELECT hash, project, text, {_HAS.format(**names)} AS has, "  # noqa: S608 - constant text
            f"{_REFUSED.format(**names)} AS refused FROM wanted w), "
            "each AS (SELECT max(has) AS has, max(refused) AS refused FROM judged GROUP BY hash, project) "
            "SELECT (SELECT count(*) FROM each WHERE has), (SELECT count(*) FROM each WHERE NOT has AND NOT refused), "
            "(SELECT count(*) FROM each WHERE NOT has AND refused), "
            "(SELECT count(DISTINCT text) FROM judged WHERE text AND NOT has)",
            (model, micros(now), _listed(projects)),
        )
        return Coverage(*map(int, row))

    def count(self, project_id: UUID) -> int:
        """Count the vectors of a project, of all models."""
        return int(self._database.all("SELECT count(*) FROM vectors WHERE project = ?", (str(project_id),))[0][0])

    def triples(self) -> list[tuple[str, str, int, int]]:
        """Count vectors by model: provider, model, dim, how many."""
        rows = self._database.all(
            "SELECT m.provider, m.model, m.dim, count(*) FROM vectors v JOIN models m ON m.id = v.model "
            "GROUP BY v.model ORDER BY m.provider, m.model, m.dim"
        )
        return [(provider, model, int(dim), int(count)) for provider, model, dim, count in rows]


def _listed(projects: Iterable[UUID]) -> str:
    return json.dumps([str(project) for project in projects])
