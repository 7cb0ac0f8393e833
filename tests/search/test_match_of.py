import sqlite3
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_memory.model.page import parsed
from ai_memory.search.chunks import chunks_of
from ai_memory.search.query import match_of, query_of

TABLE = "CREATE VIRTUAL TABLE t USING fts5(heading, body, words, tokenize='porter unicode61 remove_diacritics 2')"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
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
        ("AND or NOT near(x) a*", '"near" OR "x"'),
        ("to be or not", '"to" OR "be" OR "or" OR "not"'),
        ('find "how to be" there', '"how to be" OR "find"'),
        ("„“ “quoted text” b", '"quoted text" OR "b"'),
        ('half a "quote', '"half" OR "quote"'),
        ("ui-refresh current.md", '"ui" OR "refresh" OR "current.md" OR "current"'),
        ("how-to x-y 2026-11-21", '"how-to" OR "x-y" OR "2026" OR "11" OR "21"'),
        ("docs/ui-refresh.md", '"docs/ui-refresh.md" OR "docs" OR "ui" OR "refresh"'),
        ("1.2.3 and/or __init__ foo_", '"1.2.3" OR "and/or" OR "init" OR "foo"'),
        ("fooBar", '"fooBar" OR "foo" OR "Bar"'),
        ("git Git foo git", '"git" OR "foo"'),
        ("foo_bar::baz", '"foo_bar::baz" OR "foo" OR "bar" OR "baz"'),
        ("don't l'index the user's", '"index" OR "user"'),
        ("Wie wird der Index gebaut", '"Index" OR "gebaut"'),
        ("où est la mémoire", '"mémoire"'),
        ("dónde está la memoria", '"memoria"'),
        ("onde está a memória", '"memória"'),
        ("c++ C++", '"c"'),
        ("日本語", '"日 本" OR "本 語"'),
        ("値", '"値"'),
        ("用SQLite存数据，好", '"用" OR "SQLite" OR "SQ" OR "Lite" OR "存 数" OR "数 据" OR "好"'),
        ('"数据库 SQLite"', '"数 据 库 SQLite"'),
        ("서울에서", '"서 울" OR "울 에" OR "에 서"'),
        ("हिन्दी में", '"हिन्दी" OR "में"'),
        ("ｆｏｏ＿ｂａｒ", '"foo_bar" OR "foo" OR "bar"'),
        ("tag:money since:today", '"tag:money" OR "tag" OR "money" OR "since:today" OR "since" OR "today"'),
    ],
)
def test_a_question_becomes_its_telling_words(text, match):
    assert match_of(text) == match


@given(st.text())
@example('"')
@example('a"b" NEAR(x) ^y : {z} -w + *')
@example("\x00\ud800")
@example("col : x")
@example("・ ๏ \u0301 ฯ \u0e31 a\u0301.\u0301")
@example("日" * 200 + " ﷺ")
def test_any_text_is_a_legal_expression(text):
    match = match_of(text)
    query = query_of(text, NOW)
    for legal in filter(None, (match, query.match)):
        DATABASE.execute("SELECT count(*) FROM t WHERE t MATCH ?", (legal,)).fetchall()
    assert match.count('"') <= 2 * 64
    assert query.match == " OR ".join(f'"{term}"' for term in query.terms)
    query.text.encode()


def test_a_very_long_question_has_64_terms():
    assert match_of(" ".join(f"word{n}" for n in range(1_000_000))).count(" OR ") == 63
    assert match_of("a" * 1_000_000) == f'"{"a" * 10_000}"'


@given(
    st.lists(
        st.from_regex(r"[a-zA-Zà-öø-ÿ0-9]{2,12}([-_./:'+][a-zA-Z0-9]{2,8})?", fullmatch=True)
        | st.text(st.characters(categories=["L", "M", "Nd", "P", "S"], max_codepoint=0xFFFF), min_size=1, max_size=8),
        min_size=1,
        max_size=8,
    )
)
@example(["Ａ"])
@example(["ﬁle"])
@example(["\u110b\u116e"])
@example(["กำลัง"])
@example(["ｶﾞｽ"])
def test_a_page_that_holds_the_words_of_a_question_is_found(words):
    # SQLite's table of letters is older than Python's.
    text = " ".join(word for word in words if is_known(word))
    DATABASE.execute("DELETE FROM t")
    put(DATABASE, pangolin=f"zyzzyva {text} zyzzyva", quokka="zyzzyva", quagga="aardwolf")
    assert found(DATABASE, text)[:1] == ("p" if text else "")


def is_known(word):
    """Tell whether SQLite's tokenizer takes for letters and digits what Python does; "md" is in every path."""
    signs = unicodedata.normalize("NFKC", word)
    for sign in signs:
        DATABASE.execute("DELETE FROM t")
        DATABASE.execute("INSERT INTO t VALUES (?, '', '')", (sign,))
        seen = DATABASE.execute("SELECT 1 FROM t WHERE t MATCH ?", (f'"{sign.replace(chr(34), "")}"',)).fetchone()
        if sign.isalnum() != bool(seen):
            return False
    letters = "".join(filter(str.isalnum, signs)).lower()
    return letters not in ("", "md")


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


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        (
            "我们决定使用SQLite数据库保存配置。",
            ["数据库", "保存配置", "sqlite", "SQLite数据库", '"使用SQLite"', "数据库 配置"],
        ),
        (
            "会議で日本語の検索を fooBarで 直した",
            ["日本語", "検索", "日本語検索", "fooBar", "bar", '"日本語の検索を fooBar"'],
        ),
        ("ﾃﾞｰﾀﾍﾞｰｽを使う", ["データベース", "ﾃﾞｰﾀﾍﾞｰｽ"]),
        ("サーバーのログ", ["サーバー", "ログ"]),
        ("เราใช้ฐานข้อมูลนี้", ["ฐานข้อมูล"]),
        ("ພວກເຮົາໃຊ້ຖານຂໍ້ມູນ", ["ຖານຂໍ້ມູນ"]),
        ("យើងប្រើមូលដ្ឋានទិន្នន័យ", ["ទិន្នន័យ"]),
        ("ဒေတာဘေ့စ်ကိုသုံးသည်", ["ဒေတာဘေ့စ်"]),
        ("서울에서 회의했다", ["서울", "회의", "서울에서", "서울은"]),
        ("\u1109\u1165\u110b\u116e\u11af.md", ["서울"]),
        ("ＡＢＣ ｆｏｏ＿ｂａｒ", ["abc", "foo_bar", "bar"]),
        ("हिन्दी में लिखा", ["हिन्दी"]),
    ],
)
def test_text_without_spaces_is_found_by_the_words_in_it(table, text, questions):
    put(table, p=text, q="something else 東京 数 库 서점 울산 में")
    assert {question: found(table, question)[:1] for question in questions} == dict.fromkeys(questions, "p")


def test_a_word_in_other_characters_is_not_found(table):
    put(table, p="検索を直した。日の本。언어")
    assert {question: found(table, question) for question in ("直検", "日本", "어언", "語")} == dict.fromkeys(
        ("直検", "日本", "어언", "語"), ""
    )


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
