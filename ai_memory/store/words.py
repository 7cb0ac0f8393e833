"""Words as the full-text index has them: how rare they are, and where they stand in a text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apsw

from ai_memory.store.sqlite import Database

_TOKENIZER = "porter", ["unicode61", "remove_diacritics", "2"]
#: BM25's k1 in FTS5 is 1.2: however often a text has a word, it adds no more than so many times its rarity.
_SATURATION = 2.2
#: What FTS5 takes for the rarity of a word that most texts have.
_NOT_RARE = 1e-6
#: So many rows of a table are scored, as far as a question has words that are rare enough: of turns each takes about
#: two microseconds, because the words around it are many.
_SCORED = {"chunks": 2_000, "turns": 1_000, "sessions": 2_000}
#: A question is narrowed to its rare words only if these are in so many texts.
_ENOUGH = 200
#: Texts with a phrase are counted up to so many.
_COUNTED = 4_000
#: What stands in more than this part of the texts is counted again when the texts became more or fewer by as much: to
#: count a common word, every text that has it is read. A rare one has to be right, it decides what is looked at.
_COMMON = 0.01


@dataclass(frozen=True, slots=True)
class Sought:
    """A question to one full-text table.

    Attributes:
        match: a legal FTS5 expression, "" when the question holds no word.
        ceiling: what BM25 gives a text that has all of its terms again and again.
    """

    match: str
    ceiling: float


class Words:
    """Questions about words to `db/index.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Table -> commits of the index when its texts were counted, and how many they were.
        self._known: dict[str, tuple[int, int]] = {}
        #: Table -> how many texts it had when common words were counted, and how many of them had each.
        self._counted: dict[str, tuple[int, dict[str, int]]] = {}

    def sought(self, table: str, terms: Sequence[str]) -> Sought:
        """Write terms as an expression for one table: any of them.

        Where a table has some of them in so many texts that scoring these would take long, one of the rarer ones has to
        be in a text, or where none of them is rare several together, and the others only add to its score.

        Args:
            table: "chunks", "turns" or "sessions".
            terms: words and phrases.
        """
        rows = self._rows(table)
        stems = {term: found for term in terms if (found := self._stems(term))}
        known = self._known_words(table, [found[0] for found in stems.values() if len(found) == 1])
        counts = sorted(
            (known[found[0]] if len(found) == 1 else self._count_phrase(table, term), term)
            for term, found in stems.items()
        )
        rarity = {term: _rarity(rows, count) for count, term in counts}
        whole = _any(rarity)
        gate = _gate(rows, [each for each in counts if each[0]], _SCORED[table])
        if not gate:
            return Sought(whole, _SATURATION * sum(rarity.values()))
        # What stands in the expression twice is scored twice.
        twice = [term for together in gate for term in together]
        needed = " OR ".join(_all(together) for together in gate)
        return Sought(f"({needed}) AND ({whole})", _SATURATION * sum(rarity[term] for term in [*twice, *rarity]))

    def _rows(self, table: str) -> int:
        """Count the texts of a table, again after each commit."""
        commits, rows = self._known.get(table, (-1, 0))
        if commits != self._database.commits:
            commits = self._database.commits
            ((rows,),) = self._database.all(f"SELECT count(*) FROM {table}_fts_docsize")  # noqa: S608 - constant text
            self._known[table] = commits, rows
        return rows

    def _known_words(self, table: str, stems: Sequence[str]) -> dict[str, int]:
        """Count the texts that have each of these words."""
        rows = self._rows(table)
        before, common = self._counted.get(table, (0, {}))
        if abs(rows - before) > _COMMON * before:
            self._counted[table] = rows, (common := {})
        asked = [stem for stem in stems if stem not in common]
        found = self._database.all(
            f"SELECT term, doc FROM {table}_words WHERE term IN (SELECT value FROM json_each(?))",  # noqa: S608 - constant text
            (json.dumps(asked),),
        )
        counts = {str(term): int(count) for term, count in found}
        common |= {term: count for term, count in counts.items() if count > _COMMON * rows}
        return {stem: counts.get(stem, common.get(stem, 0)) for stem in stems}

    def _count_phrase(self, table: str, phrase: str) -> int:
        """Count the texts that have a phrase, as far as it matters how many they are."""
        ((count,),) = self._database.all(
            f"SELECT count(*) FROM (SELECT 1 FROM {table}_fts WHERE {table}_fts MATCH ? LIMIT ?)",  # noqa: S608 - constant text
            (_any([phrase]), _COUNTED),
        )
        return int(count)

    def _stems(self, term: str) -> list[str]:
        with self._database.reading() as reader:
            tokenizer = reader.fts5_tokenizer(*_TOKENIZER)
        found = tokenizer(term.encode(), apsw.FTS5_TOKENIZE_QUERY, None, include_offsets=False, include_colocated=False)
        return [str(stem) for stem in found]

    def quotes(self, match: str, texts: Sequence[str]) -> list[str]:
        """Quote of each text the place that fits best, `<mark>` around the words; "" where it has none of them."""
        tokenize = " ".join([_TOKENIZER[0], *_TOKENIZER[1]])
        with self._database.reading() as reader:
            reader.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.quoted USING fts5(text, tokenize = '{tokenize}')")
            reader.execute("BEGIN")
            try:
                reader.executemany("INSERT INTO temp.quoted (rowid, text) VALUES (?, ?)", enumerate(texts, start=1))
                found = reader.execute(
                    "SELECT rowid, snippet(quoted, 0, '<mark>', '</mark>', '…', 24) FROM temp.quoted "
                    "WHERE quoted MATCH ?",
                    (match,),
                ).fetchall()
            finally:
                # Nothing that was shown stays behind: it may be purged next.
                reader.execute("ROLLBACK")
        snippets = {number: str(snippet) for number, snippet in found}
        return [snippets.get(number, "") for number in range(1, len(texts) + 1)]


def _gate(rows: int, counts: Sequence[tuple[int, str]], most: int) -> list[list[str]]:
    """Choose terms of which a text has to have one, or several together; [] where every text can be scored.

    Args:
        rows: texts in the table.
        counts: how many have each term, the rarest first; none is 0.
        most: so many texts may be scored.
    """
    if sum(count for count, _ in counts) <= most:
        return []
    alone: list[list[str]] = []
    expected = 0.0
    for count, term in counts:
        if expected + count > most:
            break
        alone.append([term])
        expected += count
    if expected >= _ENOUGH:
        return alone
    # A rare word or two alone would leave out what the other words are about.
    (count, term), *others = counts[len(alone) :]
    together, both = [term], float(count)
    for count, term in others:
        if both <= most:
            break
        both *= count / rows
        together.append(term)
    return [] if not others and len(counts) == len(alone) + 1 else [*alone, together]


def _any(terms: Iterable[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _rarity(rows: int, count: int) -> float:
    return math.log((rows - count + 0.5) / (count + 0.5)) if rows > 2 * count else _NOT_RARE


def _all(terms: Iterable[str]) -> str:
    quoted = " AND ".join(f'"{term}"' for term in terms)
    return f"({quoted})" if " AND " in quoted else quoted
