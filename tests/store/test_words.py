"""Words of the index: how sure a match is, which texts are scored at all, and where words stand."""

import pytest

from ai_memory.store import words as module
from ai_memory.store.sqlite import Database
from ai_memory.store.words import Words


@pytest.fixture
def words(tmp_path):
    database = Database(tmp_path / "index.db", "index", durable=False)
    with database.writing() as connection:
        connection.execute("INSERT INTO texts (id, project, path, blob, title) VALUES (1, 'p', 'a.md', 'b', 'A')")
        connection.execute(
            "INSERT INTO pages (project, path, key, blob, text, size, mtime, title, type, kind, tier, pinned, sealed, "
            "tags, summary, problem, conflicted) "
            "VALUES ('p', 'a.md', 'a.md', 'b', 1, 1, 1, 'A', '', '', '', 0, 0, '[]', '', '', 0)"
        )
        connection.executemany(
            "INSERT INTO chunks (id, text, n, heading, body, words, hash) VALUES (?, 1, ?, '', ?, '', zeroblob(16))",
            ((n, n, body) for n, body in enumerate(bodies(), start=1)),
        )
    yield Words(database)
    database.close()


def bodies():
    """100 texts: all say "build", half of them "test", a tenth "cache", one "saffron"."""
    for n in range(100):
        yield " ".join(["build", *["test"] * (n % 2), *["caches"] * (n % 10 == 0), *["saffron"] * (n == 50)])


def test_a_small_table_is_asked_for_any_of_the_words(words):
    sought = words.sought("chunks", ["saffron", "cache", "build"])
    assert sorted(sought.match.split(" OR ")) == ['"build"', '"cache"', '"saffron"']


def test_the_ceiling_is_what_the_rarity_of_the_words_allows(words):
    one = {term: words.sought("chunks", [term]).ceiling for term in ("saffron", "cache", "test", "build")}
    assert one["saffron"] > one["cache"] > one["build"] == pytest.approx(2.2e-6)
    assert words.sought("chunks", ["saffron", "cache"]).ceiling == pytest.approx(one["saffron"] + one["cache"])
    assert words.sought("chunks", ["unheard"]).ceiling > one["saffron"]


def test_no_text_scores_above_the_ceiling(words):
    sought = words.sought("chunks", ["saffron", "cache", "test"])
    ((best,),) = words._database.all(
        "SELECT -bm25(chunks_fts) AS score FROM chunks_fts WHERE chunks_fts MATCH ? ORDER BY score DESC LIMIT 1",
        (sought.match,),
    )
    assert 0 < best <= sought.ceiling


def test_where_scoring_would_take_long_a_rare_word_has_to_be_there(words, monkeypatch):
    monkeypatch.setitem(module._SCORED, "chunks", 20)
    monkeypatch.setattr(module, "_ENOUGH", 10)
    sought = words.sought("chunks", ["build", "test", "cache", "saffron"])
    assert sought.match == '("saffron" OR "cache") AND ("saffron" OR "cache" OR "test" OR "build")'
    assert sought.ceiling == pytest.approx(
        2 * words.sought("chunks", ["saffron", "cache"]).ceiling + words.sought("chunks", ["test"]).ceiling, rel=1e-3
    )


def test_where_no_word_is_rare_several_have_to_be_there(words, monkeypatch):
    monkeypatch.setitem(module._SCORED, "chunks", 5)
    assert words.sought("chunks", ["build", "test", "cache"]).match == (
        '(("cache" AND "test")) AND ("cache" OR "test" OR "build")'
    )


def test_a_rare_word_alone_does_not_leave_out_what_the_others_are_about(words, monkeypatch):
    monkeypatch.setitem(module._SCORED, "chunks", 20)
    assert words.sought("chunks", ["saffron", "test"]).match in ('"saffron" OR "test"', '"test" OR "saffron"')
    assert words.sought("chunks", ["unheard", "test", "build"]).match.startswith('(("test" AND "build")) AND (')


def test_a_phrase_is_as_rare_as_it_is_and_not_as_its_words(words):
    assert words.sought("chunks", ["build test"]).ceiling == pytest.approx(2.2e-6)
    assert words.sought("chunks", ["test build"]).ceiling > words.sought("chunks", ["saffron"]).ceiling


@pytest.mark.parametrize("terms", [[], ["..."]])
def test_no_word_is_no_question(words, terms):
    assert (words.sought("chunks", terms).match, words.sought("chunks", terms).ceiling) == ("", 0.0)


def test_the_place_of_each_text_that_fits_is_quoted(words):
    assert words.quotes('"running" OR "home"', ["He runs home", "nothing", ""]) == [
        "He <mark>runs</mark> <mark>home</mark>",
        "",
        "",
    ]
    assert words.quotes('"home"', ["At home"]) == ["At <mark>home</mark>"]
