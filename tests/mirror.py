"""What the index holds, without its own numbering; and the same after it was deleted and made anew."""

from collections import Counter

import apsw

from ai_memory.store.git import Git
from ai_memory.store.page_index import place_of

QUESTIONS = {
    "sessions": "SELECT project, session, native, agent, cwd, started, last, observations, prompts, tools, in_turn, "
    "ended, title, opening, compiled, committed, raw_bytes FROM sessions",
    "observations": "SELECT s.project, s.session, o.n, o.at, o.kind, o.title FROM observations o "
    "JOIN sessions s ON s.id = o.session",
    "ingest_keys": "SELECT project, key FROM ingest_keys",
    "marks": "SELECT name, value FROM marks",
    "commits": "SELECT oid, at, author, email, subject FROM commits",
    "versions": "SELECT v.project, v.path, c.oid, v.blob, v.at FROM versions v JOIN commits c ON c.n = v.n",
    "texts": "SELECT project, path, blob, title, expires_at FROM texts",
    "chunks": "SELECT t.project, t.path, t.blob, c.n, c.heading, c.body, c.words, hex(c.hash) FROM chunks c "
    "JOIN texts t ON t.id = c.text",
    "pages": "SELECT p.project, p.path, p.key, p.blob, t.blob, p.size, p.mtime, p.title, p.type, p.kind, p.tier, "
    "p.pinned, p.sealed, p.tags, p.summary, p.expires_at, p.problem, p.conflicted, p.spoke, p.committed, "
    "p.changed FROM pages p JOIN texts t ON t.id = p.text",
    "links": "SELECT project, path, n, to_workspace, to_project, to_path FROM links",
    "records": "SELECT project, path, uuid, type, archived, created, head FROM records",
    "ties": "SELECT project, path, type, target FROM ties",
    "session_days": "SELECT s.project, s.session, d.day, d.observations FROM session_days d "
    "JOIN sessions s ON s.id = d.session WHERE d.observations > 0",
    "relations": "SELECT project, path, n, to_uuid, relationship FROM relations",
    "packets": "SELECT project, path, id, owner, draft, created, created_at, goal FROM packets",
    "turns": "SELECT s.project, s.session, t.n, t.kind, t.text, t.words, hex(t.hash) FROM turns t "
    "JOIN sessions s ON s.id = t.session",
    "chunks_words": "SELECT term, doc, cnt FROM chunks_words",
    "former_words": "SELECT term, doc, cnt FROM former_words",
}
#: Those have no text of their own: each place of each word, by what the row is about.
PLACES = {
    "turns_words": "SELECT s.project, s.session, t.n, f.term, f.col, f.offset FROM temp.places f "
    "LEFT JOIN turns t ON t.id = f.doc LEFT JOIN sessions s ON s.id = t.session",
    "sessions_words": "SELECT s.project, s.session, f.term, f.col, f.offset FROM temp.places f "
    "LEFT JOIN sessions s ON s.id = f.doc",
}
#: What a search for a word finds, the best first, and how good that is.
ANSWERS = (
    "SELECT -bm25(chunks_fts, 2.0, 1.0, 0.7) AS score, t.project, t.path, c.n FROM chunks_fts "
    "JOIN chunks c ON c.id = chunks_fts.rowid JOIN texts t ON t.id = c.text WHERE chunks_fts MATCH ? "
    "ORDER BY score DESC, t.project, t.path, c.n"
)
#: So many words are asked for, the most frequent and the rarest.
ASKED = 20
#: What an embedder has made: after a rebuild it makes it again.
EMBEDDED = {"models", "vectors", "embedding_failures"}


def tables(file):
    """List the tables of a database, without those that only search others."""
    connection = apsw.Connection(str(file))
    rows = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%fts%'"
    ).fetchall()
    connection.close()
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def rows_of(data):
    """Give every row of the index of a closed data directory, sorted; the full-text index is checked on the way."""
    file = data / "db" / "index.db"
    assert tables(file) == {*QUESTIONS, *PLACES, *EMBEDDED}, "a new table of the index needs a question here"
    connection = apsw.Connection(str(file))
    for table in ("chunks_fts", "former_fts"):
        connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
    found = {name: sorted(connection.execute(sql).fetchall(), key=repr) for name, sql in QUESTIONS.items()}
    for name, sql in PLACES.items():
        table = name.replace("_words", "_fts")
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")
        connection.execute(f"CREATE VIRTUAL TABLE temp.places USING fts5vocab (main, {table}, instance)")
        found[name] = sorted(connection.execute(sql).fetchall(), key=repr)
        connection.execute("DROP TABLE temp.places")
    words = connection.execute("SELECT term FROM chunks_words ORDER BY doc, term").fetchall()
    asked = [f'"{word}"' for (word,) in [*words[:ASKED], *words[-ASKED:]]]
    found["answers"] = [(each, *row) for each in asked for row in connection.execute(ANSWERS, (each,))]
    connection.close()
    return found


def assert_newest_versions_are_those_of_git(data):
    """Compare the newest version of each page with the newest commit; a rebuild would be wrong in the same way."""
    connection = apsw.Connection(str(data / "db" / "index.db"))
    rows = connection.execute(
        "SELECT project, path, blob FROM versions v WHERE blob <> '' "
        "AND n = (SELECT max(n) FROM versions o WHERE o.project = v.project AND o.path = v.path)"
    ).fetchall()
    connection.close()
    git = Git(data / "wiki")
    tree = git.tree("HEAD") if git.head() else {}
    there = [(*place, blob) for file, blob in tree.items() if (place := place_of(file))]
    assert sorted(rows) == sorted(there)


def assert_rebuild_is_equal(data, open_and_close):
    """Compare the index with git, and with one that is made anew from the files.

    Args:
        data: a closed data directory.
        open_and_close: opens a memory on it, and closes it.
    """
    open_and_close()
    before = rows_of(data)
    assert_newest_versions_are_those_of_git(data)
    for file in (data / "db").glob("index.db*"):
        file.unlink()
    open_and_close()
    after = rows_of(data)
    for name, rows in before.items():
        lost, new = Counter(rows) - Counter(after[name]), Counter(after[name]) - Counter(rows)
        assert (list(lost), list(new)) == ([], []), name
