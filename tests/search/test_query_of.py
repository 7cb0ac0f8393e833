import os
import time
from datetime import UTC, datetime

import pytest

from ai_memory.model.filters import Filters
from ai_memory.search.query import Query, all_words, match_of, query_of

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def day(number, hour=0):
    return datetime(2026, 11, number, hour, tzinfo=UTC)


def test_a_question_is_its_words_and_what_it_is_narrowed_to():
    assert query_of('path:decisions/ how is  VAT tag:"two words" rounded since:yesterday', NOW) == Query(
        text="how is VAT rounded",
        match='"VAT" OR "rounded"',
        terms=("VAT", "rounded"),
        exact=False,
        filters=Filters(paths=("decisions/",), tags=("two words",), since=day(20)),
    )


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("path:a/ path:*.md path:a/", Filters(paths=("a/", "*.md"))),
        ("kind:gotcha kind:session", Filters(kinds=("gotcha", "session"))),
        ('tag:a tag:"b c"', Filters(tags=("a", "b c"))),
        ("since:2026-11-20 before:2026-11-21", Filters(since=day(20), before=day(21))),
        ("since:2026-11-20T10:00 before:today", Filters(since=day(20, 10), before=day(21))),
        ('since:"2026-11-20 10:00" before:"2 hours ago"', Filters(since=day(20, 10), before=NOW.replace(hour=7))),
        ('since:"3 days ago"', Filters(since=day(18))),
        ("since:2026-11-01 since:2026-11-02", Filters(since=day(2))),
        ('path:"notes/a b.md"', Filters(paths=("notes/a b.md",))),
        ("path:notes/ｆoo…", Filters(paths=("notes/ｆoo…",))),
    ],
)
def test_a_question_of_filters_only_asks_for_no_words(text, filters):
    assert query_of(text, NOW) == Query("", "", (), False, filters)


@pytest.mark.parametrize(
    "text",
    [
        "tag:",
        "tag: money",
        'tag:""',
        'tag:" "',
        'tag:"half',
        "since:then",
        "since:2026-02-30",
        'before:"three days ago"',
        "path::join std::path::new",
        "xpath:foo the:tag",
        "Kind:gotcha",
        '"say path:a/ twice"',
        "(tag:money)",
    ],
)
def test_what_is_no_filter_is_text(text):
    query = query_of(text, NOW)
    assert (query.text, query.match, query.filters) == (text, match_of(text), Filters())


def test_many_filters_are_not_more_than_sql_takes():
    filters = query_of(" ".join(f"tag:t{n} path:p{n}" for n in range(500)), NOW).filters
    assert (len(filters.tags), len(filters.paths)) == (32, 32)


def test_yesterday_begins_where_the_server_is(monkeypatch):
    monkeypatch.setitem(os.environ, "TZ", "Europe/Berlin")
    time.tzset()
    assert query_of("since:yesterday", NOW).filters == Filters(since=day(19, 23))


@pytest.mark.parametrize(
    "text",
    [
        'what does "exit 3" mean',
        "parse_header",
        "where is foo.bar",
        "std::sort",
        "a/b/current.md",
        "getUser",
        "FooBarBaz",
    ],
)
def test_phrases_and_identifiers_are_exact(text):
    assert query_of(text, NOW).exact


@pytest.mark.parametrize(
    "text",
    [
        "",
        "how do we round",
        "ui-refresh",
        "GitHub and JavaScript",
        "and/or",
        "e.g. this",
        "md5",
        "README",
        "日本語",
        "don't",
    ],
)
def test_prose_is_not_exact(text):
    assert not query_of(text, NOW).exact


def test_a_long_question_is_cut():
    assert query_of("a" * 1_000_000, NOW).text == "a" * 10_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("the Cat the", ("the", "Cat")),
        ('kind:note "round up"', ("kind:note", "round", "up")),
        ("日本語 ﬁx - ?", ("日 本 語", "fix")),
        ("a\x00b \ud800c", ("a", "b", "c")),
    ],
)
def test_every_word_is_a_term_for_who_wants_all_of_them(text, words):
    assert all_words(text) == words


def test_no_more_words_are_asked_for_than_a_question_has_terms():
    assert len(all_words(" ".join(map(str, range(1_000))))) == 64
