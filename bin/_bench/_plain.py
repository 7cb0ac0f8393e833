"""The reference of the benchmarks of search: BM25 as SQLite has it, one row a document, in this process."""

from __future__ import annotations

import re
from collections.abc import Iterable

import apsw

STOP_WORDS = (
    "a about after again all also am an and any are as at be because been before being between both but by can could "
    "did do does doing during each few for from further had has have having he her here him his how i if in into is it "
    "its just me more most my no nor not now of off on once only or other our out over own same she should so some "
    "such than that the their them then there these they this those through to too under until up us very was we were "
    "what when where which while who whom why will with would you your"
).split()
_STOP = frozenset(STOP_WORDS)
#: With a quotation, as a search makes it.
_SEARCH = """
SELECT key, snippet(documents, 2, '<mark>', '</mark>', '…', 24) FROM documents
WHERE documents MATCH :match ORDER BY rank LIMIT :limit
"""
_SEARCH_IN = _SEARCH.replace("ORDER", "AND project = :project ORDER")
_WORD = re.compile(r"[^\W_]+")


class Plain:
    """One FTS5 table."""

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Fill it.

        Args:
            rows: key, project and text of each document.
        """
        self._db = apsw.Connection(":memory:")
        columns = "key UNINDEXED, project UNINDEXED, text, tokenize = 'porter unicode61 remove_diacritics 2'"
        self._db.execute(f"CREATE VIRTUAL TABLE documents USING fts5 ({columns})")
        with self._db:
            self._db.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)

    def search(self, match: str, limit: int, project: str = "") -> list[str]:
        """Give the keys of the best documents for an FTS5 expression, in a project or everywhere."""
        if not match:
            return []
        found = self._db.execute(
            _SEARCH_IN if project else _SEARCH, {"match": match, "project": project, "limit": limit}
        )
        return [key for key, _ in found]


def any_word(text: str) -> str:
    """Write a question as FTS5 asks it: any of its words but the commonest; "" when it has none."""
    words = dict.fromkeys(word for word in _WORD.findall(text.lower()) if word not in _STOP)
    return " OR ".join(f'"{word}"' for word in words)
