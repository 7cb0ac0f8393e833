import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_memory.model.page import parsed
from ai_memory.search.chunks import chunks_of
from ai_memory.search.query import match_of

TABLE = "CREATE VIRTUAL TABLE t USING fts5(heading, body, words, tokenize='porter unicode61 remove_diacritics 2')"
DATABASE = sqlite3.connect(":memory:")
DATABASE.execute(TABLE)


@pytest.fixture
def table():
    with sqlite3.connect(":memory:") as database:
        database.execute(TABLE)
        yield database
    database.close()


def put(table, **pages):
    for path, text in pages.items():
        rows = [(path + chunk.heading, chunk.body, chunk.words) for chunk in chunks_of(parsed(f"{path}.md", text))]
        table.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)


def found(table, question):
    """Give the first letter of the pages that are found, best first."""
    match = match_of(question)
    rows = table.execute("SELECT substr(heading, 1, 1) FROM t WHERE t MATCH ? ORDER BY rank", (match,)) if match else ()
    return "".join(dict.fromkeys(row[0] for row in rows))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", ""),
        (" \x00 -- *() ", ""),
        ("sqlite", '"sqlite"'),
        ("How do we use Git?", '"use" OR "Git"'),
        ("AND or NOT near(x) a*", '"near(x" OR "near"'),
        ("to be or not", '"to" OR "be" OR "or" OR "not"'),
        ('find "how to be" there', '"how to be" OR "find"'),
        ("„“ “quoted text” b", '"quoted text" OR "b"'),
        ('half a "quote', '"half" OR "quote"'),
        ("ui-refresh current.md", '"ui-refresh" OR "ui" OR "refresh" OR "current.md" OR "current"'),
        ("fooBar", '"fooBar" OR "foo Bar" OR "foo" OR "Bar"'),
        ("foo_bar::baz", '"foo_bar::baz" OR "foo" OR "bar" OR "baz"'),
        ("don't l'index the user's", '"index" OR "user"'),
        ("Wie wird der Index gebaut", '"Index" OR "gebaut"'),
        ("où est la mémoire", '"mémoire"'),
        ("dónde está la memoria", '"memoria"'),
        ("onde está a memória", '"memória"'),
        ("c++ C++", '"c" OR "C"'),
    ],
)
def test_a_question_becomes_its_telling_words(text, match):
    assert match_of(text) == match


@given(st.text())
@example('"')
@example('a"b" NEAR(x) ^y : {z} -w + *')
@example("\x00\ud800")
@example("col : x")
def test_any_text_is_a_legal_expression(text):
    match = match_of(text)
    if match:
        DATABASE.execute("SELECT count(*) FROM t WHERE t MATCH ?", (match,)).fetchall()
    assert match.count('"') <= 2 * 64


def test_a_very_long_question_has_64_terms():
    assert match_of(" ".join(f"word{n}" for n in range(1_000_000))).count(" OR ") == 63
    assert match_of("a" * 1_000_000) == f'"{"a" * 10_000}"'


@given(
    st.lists(
        st.from_regex(r"[a-zA-Zà-öø-ÿ0-9]{2,12}([-_./:'+][a-zA-Z0-9]{2,8})?", fullmatch=True), min_size=1, max_size=8
    )
)
def test_a_page_that_holds_the_words_of_a_question_is_found(words):
    text = " ".join(words)
    DATABASE.execute("DELETE FROM t")
    put(DATABASE, p=f"before {text} after")
    assert found(DATABASE, text) == "p"


def test_the_page_with_most_of_a_questions_words_is_first(table):
    put(
        table,
        a="The the the the the of of of in in in and and the the the the",
        b="Handoffs expire; the sweep removes sessions.",
        c="An open handoff of a session is kept for a directory.",
    )
    assert found(table, "how long is the open handoff of one session kept in a directory") == "cb"


def test_stop_words_of_another_language_pull_no_page_up(table):
    put(table, a="die der das und ist in dem die der das", b="Die Sperre liegt im Verzeichnis.")
    assert found(table, "wo ist die Sperre in dem Verzeichnis") == "b"


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("the descrição of it", ["descricao", "DESCRIÇÃO", "descriça\u0303o"]),
        ("see ui-refresh today", ["ui-refresh", "refresh", "ui refresh", "ui_refresh"]),
        ("edit docs/current.md", ["current.md", "docs/current.md", "current"]),
        ("in foo/bar.rs", ["foo/bar.rs", "bar.rs", "bar"]),
        ("class FooBarBaz", ["FooBarBaz", "foobarbaz", "bar", "foo_bar_baz", '"foo bar"']),
        ("def foo_bar_baz", ["foo_bar_baz", "fooBarBaz", "baz", '"foo bar"']),
        ("uses c++ here", ["c++"]),
    ],
)
def test_a_name_is_found_whole_and_in_parts(table, text, questions):
    put(table, p=text, q="something else")
    assert {question: found(table, question) for question in questions} == dict.fromkeys(questions, "p")


def test_a_page_is_found_by_its_path_title_tags_and_summary(table):
    table.executemany(
        "INSERT INTO t VALUES (?, ?, ?)",
        [
            (f"p{chunk.heading}", chunk.body, chunk.words)
            for chunk in chunks_of(
                parsed("gotchas/file-lock.md", "---\ntitle: Zebra\ntags: [yak]\nsummary: xerus\n---\nbody\n")
            )
        ],
    )
    assert {word: found(table, word) for word in ("lock", "gotchas/file-lock.md", "yak", "xerus")} == dict.fromkeys(
        ("lock", "gotchas/file-lock.md", "yak", "xerus"), "p"
    )


def test_a_quoted_phrase_is_one_term(table):
    put(table, p="open the handoff now", q="handoff the open now")
    assert found(table, '"open the handoff"') == "p"
