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

    def sought(self, table: str, terms: Sequence[str]) -> Sought:
        """Write terms as an expression for one table: any of them.

        Where a table has some of them in so many texts that scoring these would take long, one of the rarer ones has to
        be in a text, or where none of them is rare several together, and the others only add to its score.

        Args:
            table: "chunks", "turns" or "sessions".
            terms: words and phrases; a phrase is as rare as its rarest word.
        """
        # Rows that were deleted count, too: counting the others would take as long as the search.
        ((rows,),) = self._database.all(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608 - constant text
        stems = {term: found for term in terms if (found := self._stems(term))}
        known = self._counts(table, {stem for found in stems.values() for stem in found})
        counts = sorted((min(known.get(stem, 0) for stem in found), term) for term, found in stems.items())
        rarity = {term: _rarity(rows, count) for count, term in counts}
        whole = _any(rarity)
        if sum(count for count, _ in counts) <= _SCORED[table]:
            return Sought(whole, _SATURATION * sum(rarity.values()))
        needed, match = _needed(rows, counts, _SCORED[table])
        # What stands in the expression twice is scored twice.
        ceiling = _SATURATION * sum(rarity[term] for term in [*needed, *rarity])
        return Sought(f"({match}) AND ({whole})", ceiling)

    def _stems(self, term: str) -> list[str]:
        tokenizer = self._database.reader().fts5_tokenizer(*_TOKENIZER)
        found = tokenizer(term.encode(), apsw.FTS5_TOKENIZE_QUERY, None, include_offsets=False, include_colocated=False)
        return [str(stem) for stem in found]

    def _counts(self, table: str, stems: Iterable[str]) -> dict[str, int]:
        rows = self._database.all(
            f"SELECT term, doc FROM {table}_words WHERE term IN (SELECT value FROM json_each(?))",  # noqa: S608 - constant text
            (json.dumps(list(stems)),),
        )
        return {str(term): int(count) for term, count in rows}

    def quotes(self, match: str, texts: Sequence[str]) -> list[str]:
        """Quote of each text the place that fits best, `<mark>` around the words; "" where it has none of them."""
        reader = self._database.reader()
        tokenize = " ".join([_TOKENIZER[0], *_TOKENIZER[1]])
        reader.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.quoted USING fts5(text, tokenize = '{tokenize}')")
        with reader:
            reader.execute("DELETE FROM temp.quoted")
            reader.executemany("INSERT INTO temp.quoted (rowid, text) VALUES (?, ?)", enumerate(texts, start=1))
            found = reader.execute(
                "SELECT rowid, snippet(quoted, 0, '<mark>', '</mark>', '…', 24) FROM temp.quoted WHERE quoted MATCH ?",
                (match,),
            ).fetchall()
        snippets = {number: str(snippet) for number, snippet in found}
        return [snippets.get(number, "") for number in range(1, len(texts) + 1)]


def _needed(rows: int, counts: Sequence[tuple[int, str]], most: int) -> tuple[list[str], str]:
    """Choose the terms of which a text has to have one, or all where not one of them is rare; gives them, and that."""
    needed: list[str] = []
    expected = 0.0
    for count, term in counts:
        if needed and expected + count > most:
            break
        needed.append(term)
        expected += count
    if expected <= most:
        return needed, _any(needed)
    for count, term in counts[1:]:
        if expected <= most:
            break
        needed.append(term)
        expected *= count / rows
    return needed, " AND ".join(f'"{term}"' for term in needed)


def _any(terms: Iterable[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _rarity(rows: int, count: int) -> float:
    return math.log((rows - count + 0.5) / (count + 0.5)) if rows > 2 * count else _NOT_RARE
