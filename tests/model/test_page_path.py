import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.page import (
    BadPagePathError,
    collision_key,
    is_ledger,
    is_page,
    page_path,
    writable_page_path,
)


@pytest.mark.parametrize(
    "path",
    ["notes/a.md", "a.md", "décisions/日本語 – 1.md", "c#/x.v2.md", "console.md", "notes/index.md", "notes/log-2026-11.md", "log.md",
     "_slots/x.md", "_pendings/x.md", "a" * 197 + ".md"],
)  # fmt: skip
def test_a_portable_path_is_writable(path):
    assert writable_page_path(path) == path


def test_a_decomposed_path_is_composed():
    path = unicodedata.normalize("NFD", "notes/é.md")
    assert writable_page_path(path) == "notes/é.md"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "relative"),
        ("/a.md", "relative"),
        ("a/../b.md", "relative"),
        ("a\\b.md", "every system"),
        ("C:/a.md", "every system"),
        ("a\x00.md", "every system"),
        ("a\ud800.md", "every system"),
        ("con.md", "every system"),
        ("COM¹.md", "every system"),
        ("nul .md", "every system"),
        ("a/lpt1", "every system"),
        (".git/x.md", "every system"),
        ("GIT~1/x.md", "every system"),
        ("folder./x.md", "every system"),
        ("a.txt", "ends in '.md'"),
        ("a", "ends in '.md'"),
        ("a.MD", "ends in '.md'"),
        ("notes/.md", "ends in '.md'"),
        (".md", "ends in '.md'"),
        ("é" * 119 + ".md", "longer than 240 bytes"),
        ("a" * 198 + ".md", "longer than 200 bytes"),
        ("_meta.md", "itself"),
        ("notes/_META.md", "itself"),
        ("Index.md", "itself"),
        ("log-2026-11.md", "itself"),
        ("LOG-2026-01.md", "itself"),
        ("notes/.x.md", "hidden"),
        (".notes/x.md", "hidden"),
        ("_pending/x.md", "itself"),
        ("_PENDING/auto/x.md", "itself"),
        (".ai-memory-tmp.x.md", "itself"),
        ("notes/.ai-memory-tmp.d/x.md", "itself"),
    ],
)
def test_a_path_that_no_caller_may_write_is_refused_with_the_reason(path, reason):
    with pytest.raises(BadPagePathError, match=reason) as caught:
        writable_page_path(path)
    assert (caught.value.status, caught.value.exit_code) == (422, 2)


def test_the_programs_own_files_pass_the_general_gate():
    assert [page_path(path) for path in ("_meta.md", "log-2026-11.md")] == ["_meta.md", "log-2026-11.md"]


def test_only_a_month_at_the_root_makes_a_ledger():
    ledgers = ["log-2026-01.md", "log-2026-12.md"]
    pages = ["log-weekend.md", "log-decisions.md", "log-2026-13.md", "log-2026-00.md", "notes/log-2026-11.md", "log.md"]
    others = ["_meta.md", "index.md", "_pending/x.md", ".x.md", "a/.b/c.md", "a.txt", "a\udcff.md"]
    assert {path: (is_ledger(path), is_page(path)) for path in [*ledgers, *pages, *others]} == {
        **dict.fromkeys(ledgers, (True, False)),
        **dict.fromkeys(pages, (False, True)),
        **dict.fromkeys(others, (False, False)),
    }


@given(st.one_of(st.text(), st.from_regex(r"(log-|_pending/|_meta|index|\.|[A-Za-z/])[-0-9a-zA-Z./]{0,10}")))
def test_any_path_is_either_writable_as_it_is_or_refused(path):
    try:
        written = writable_page_path(path + ".md")
    except BadPagePathError:
        return
    assert written == unicodedata.normalize("NFC", path + ".md")
    assert writable_page_path(written) == written
    # What a caller may write is never invisible.
    assert is_page(written)
    assert len(written.encode()) <= 240
    assert not {".", "..", ""} & set(written.split("/"))


@pytest.mark.parametrize(
    ("one", "other"),
    [("Notes/A.md", "notes/a.md"), ("é.md", "e\u0301.md"), ("STRASSE.md", "straße.md"), ("Σ.md", "ς.md")],
)
def test_names_that_differ_by_case_or_form_collide(one, other):
    assert collision_key(one) == collision_key(other)


@given(st.text())
def test_a_path_collides_with_its_every_form(path):
    forms = [path.upper().lower(), path.casefold(), *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))]
    assert {collision_key(form) for form in forms[1:]} == {collision_key(path)}


def test_different_names_do_not_collide():
    assert collision_key("a/b.md") != collision_key("a-b.md")
