"""What the text of a page says, and how it is changed without touching anything else."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_memory.model.front import parts
from ai_memory.model.page import CONFLICT, Page, composed, formatted, front_matter, is_sealed, parsed, sealed, with_keys

WRITTEN = """\
---
# what a person wrote
title: 'Use SQLite'   # quoted
type: Decision
tags: [db, "fast one"]  # two
summary: |
  Two lines
  of text.

entities:
- sqlite
# between
- fts
custom:
    deep: {a: 1}
pinned: yes
---

# Heading

Text with a [[link]].
"""
LOOKS = {
    "LF": WRITTEN,
    "CRLF": WRITTEN.replace("\n", "\r\n"),
    "BOM": "\ufeff" + WRITTEN,
    "BOM and CRLF": "\ufeff" + WRITTEN.replace("\n", "\r\n"),
    "no front matter": "# Heading\n\nText.\n",
    "no front matter, CRLF and BOM": "\ufeff# Heading\r\n\r\nText.\r\n",
    "empty front matter": "---\n---\nText",
    "only a comment": "---\n# nothing\n---\nText",
    "front matter that is not YAML": "---\n{[\n---\nText\n",
    "no text": "",
    "emoji before keys": "---\nnote: 🦆🦆 ä\ntitle: x\n---\nText",
}


@pytest.fixture(params=LOOKS.values(), ids=LOOKS.keys())
def text(request):
    return request.param


# Reading


def test_everything_a_page_says_is_read():
    page = parsed("decisions/sqlite.md", WRITTEN)
    assert page == Page(
        path="decisions/sqlite.md",
        title="Use SQLite",
        type="Decision",
        kind="decision",
        tier="semantic",
        pinned=True,
        tags=("db", "fast one"),
        summary="Two lines of text.",
        expires_at=None,
        front=front_matter(WRITTEN),
        body="\n# Heading\n\nText with a [[link]].\n",
        sealed=False,
        problems=(),
    )


@pytest.mark.parametrize("look", ["CRLF", "BOM", "BOM and CRLF"])
def test_line_ends_and_a_byte_order_mark_hide_no_front_matter(look):
    assert front_matter(LOOKS[look]) == front_matter(WRITTEN)


@pytest.mark.parametrize(
    ("path", "text", "title"),
    [
        ("notes/a-b.md", "text", "a-b"),
        ("a.md", "---\ntitle: '  '\n---\n# From  the heading ##\n", "From  the heading"),
        ("a.md", "```\n# comment\n```\n# Real\r\n", "Real"),
        ("a.md", "---\ntitle: 2026\n---\n# H\n", "2026"),
        ("a.md", "---\ntitle: [a]\n---\n# H\n", "H"),
        ("a.md", "---\ntitle: |\n  two\n  lines\n---\n", "two lines"),
        ("a.md", "#hashtag\n\n## second\n", "a"),
    ],
)
def test_the_title_is_the_front_matters_else_the_first_headings_else_the_files(path, text, title):
    assert parsed(path, text).title == title


@pytest.mark.parametrize(
    ("path", "front", "expected"),
    [
        ("sessions/x.md", "", ("session", "Session Summary", "episodic", False)),
        ("_rules/x.md", "", ("rule", "Rule", "semantic", False)),
        ("gotchas/x.md", "", ("gotcha", "Gotcha", "semantic", False)),
        ("decisions/deep/x.md", "", ("decision", "Decision", "semantic", False)),
        ("procedures/x.md", "", ("procedure", "Procedure", "procedural", False)),
        ("concepts/x.md", "", ("concept", "Concept", "semantic", False)),
        ("notes/x.md", "", ("note", "Note", "semantic", False)),
        ("runbooks/x.md", "", ("fact", "Runbook", "semantic", False)),
        ("_slots/x.md", "", ("slot", "Invariant", "semantic", True)),
        ("_slots/x.md", "slot_kind: state", ("slot", "State", "semantic", True)),
        ("_lint/report.md", "", ("lint-report", "Lint Report", "semantic", False)),
        ("x.md", "", ("fact", "Note", "semantic", False)),
        ("notes", "", ("fact", "Note", "semantic", False)),
        ("notes/x.md", "kind: Gotcha", ("gotcha", "Gotcha", "semantic", False)),
        ("notes/x.md", "kind: strange", ("strange", "Note", "semantic", False)),
        ("notes/x.md", "type: Own Type\ntier: Working\npinned: 'true'", ("note", "Own Type", "working", True)),
        ("notes/x.md", "tier: 7\npinned: 'no'\ntype: ''", ("note", "Note", "semantic", False)),
    ],
)
def test_kind_type_and_tier_come_from_the_front_matter_else_from_the_folder(path, front, expected):
    page = parsed(path, f"---\n{front}\n---\n")
    assert (page.kind, page.type, page.tier, page.pinned) == expected


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("[a, b, a]", ("a", "b")),
        ("a, '#b'", ("a, '#b'",)),
        ("'a, #b ,'", ("a", "b")),
        ("one two", ("one two",)),
        ("[1, 2026-01-01, true, null, [x], {y: z}]", ("1", "2026-01-01", "True")),
        ("{a: b}", ()),
        ("", ()),
    ],
)
def test_tags_are_a_list_or_a_text(written, tags):
    if written == "a, '#b'":
        tags = ("a", "'#b'")  # a plain scalar keeps its quotes
    assert parsed("a.md", f"---\ntags: {written}\n---\n").tags == tags


@pytest.mark.parametrize("value", ["2026-12-31", "'2026-12-31'"])
def test_a_date_of_expiry_lasts_to_the_end_of_that_day(value):
    assert parsed("a.md", f"---\nexpires_at: {value}\n---\n").expires_at == datetime(
        2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "value",
    [
        "2026-12-31T10:00:00Z",
        "'2026-12-31T10:00:00Z'",
        "2026-12-31T12:00:00+02:00",
        "'2026-12-31T12:00:00+02:00'",
        "2026-12-31 10:00:00",
        "'2026-12-31T10:00:00'",
    ],
)
def test_a_time_of_expiry_is_read_with_its_zone(value):
    page = parsed("a.md", f"---\nexpires_at: {value}\n---\n")
    assert (page.expires_at, page.problems) == (datetime(2026, 12, 31, 10, tzinfo=UTC), ())


@pytest.mark.parametrize("value", ["soon", "7", "[1]", "'0001-01-01T00:00:00+14:00'", "'2026-02-30'"])
def test_an_expiry_that_is_none_is_a_problem_and_no_expiry(value):
    page = parsed("a.md", f"---\nexpires_at: {value}\n---\n")
    assert page.expires_at is None
    assert [problem.partition(" ")[0] for problem in page.problems] == ["expires_at"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("title: [", "(line 3)"),
        ("just words", "not a list of keys"),
        ("- a\n- b", "not a list of keys"),
        ("a: 2026-02-30", "day is out of range"),
        ("a: !!bool x", "'x'"),
        ("a: !!timestamp x", "groupdict"),
        ("a: !!int ''", "index"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: &x [1]\nb: *x", "alias"),
        ("a: &x [*x]", "alias"),
        ("[" * 50_000, "nested"),
        ("- " * 30_000, "nested"),
        ("{a: " * 15_000, "nested"),
        ("a: " + "x" * 70_000, "longer than"),
        ("a: \x00", "not allowed"),
        ("a: \ud800", "surrogates"),
    ],
)
def test_front_matter_that_cannot_be_read_is_a_problem_and_text(head, reason):
    text = f"---\n{head}\n---\nbody\n"
    page = parsed("a.md", text)
    assert (page.front, page.body) == ({}, text)
    assert len(page.problems) == 1
    assert page.problems[0].startswith("front matter cannot be read: ")
    assert reason in page.problems[0]


CONFLICTED = "a\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> theirs\nb\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CONFLICTED, True),
        (CONFLICTED.replace("\n", "\r\n"), True),
        (f"---\ntitle: x\n{CONFLICTED}---\nbody\n", True),
        (CONFLICTED.replace("ours\n", "```\nours\n"), True),
        (f"```\n{CONFLICTED}```\n", False),
        (CONFLICTED.replace("<<<<<<<", " <<<<<<<"), False),
        ("Title\n=======\ntext\n", False),
        (">>>>>>> x\n=======\n<<<<<<< y\n", False),
    ],
)
def test_markers_of_a_merge_are_a_problem_unless_they_are_shown_as_code(text, found):
    assert (CONFLICT in parsed("a.md", text).problems) is found


@given(st.text(), st.text())
@example("_slots/x", "---\nkind: [a]\ntags: {b: c}\n---\n")
def test_any_text_is_read(path, text):
    page = parsed(path, text)
    cut = parts(text)
    assert cut.opening + cut.head + cut.closing + cut.body == text
    assert page.type
    assert page.body == cut.body


# Changing keys


def test_setting_keys_leaves_every_other_byte(text):
    before = parts(text)
    changed = with_keys(text, {"title": "New: title", "zebra": [1, "two"]})
    assert front_matter(changed) == dict(before.front) | {"title": "New: title", "zebra": [1, "two"]}
    assert parts(changed).body == before.body
    assert changed.startswith("\ufeff") is text.startswith("\ufeff")
    assert ("\r\n" in changed) is ("\r\n" in text)
    assert not ("\r\n" in text and re.search(r"(?<!\r)\n", changed))


def test_setting_keys_keeps_comments_order_and_quoting():
    changed = with_keys(WRITTEN, {"title": "New", "tags": ["a"], "summary": "one line", "entities": None, "more": True})
    assert (
        changed
        == """\
---
# what a person wrote
title: New   # quoted
type: Decision
tags:
- a  # two
summary: one line

custom:
    deep: {a: 1}
pinned: yes
more: true
---

# Heading

Text with a [[link]].
"""
    )


def test_a_value_over_several_lines_is_replaced_whole():
    text = "---\na: >-\n  one\n\n  two\n# c\nb: 'x\n\n  y'\nc: {d: 1,\n  e: 2}  # f\nlast: 'z'\n---\nbody"
    assert with_keys(text, {"a": 1, "b": 2, "c": 3}) == "---\na: 1\n# c\nb: 2\nc: 3  # f\nlast: 'z'\n---\nbody"


def test_what_a_page_says_already_is_not_written_anew(text):
    assert with_keys(text, parts(text).front) == text
    assert with_keys(text, {"not there": None}) == text


def test_true_is_not_one():
    assert with_keys("---\na: 1\n---\n", {"a": True}) == "---\na: true\n---\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", {"b": 2, "a": "new"}),
        ("{a: 1, b: 2}\n", {"a": "new", "b": 2}),
        ("? a\n: 1\n", {"a": "new"}),
        ("!!map\na: 1\n", {"a": "new"}),
        ("  a: 1\n  b: 2\n", {"a": "new", "b": 2}),
        ("'a': 1\n", {"a": "new"}),
        ("a:\nb:\n", {"a": "new", "b": None}),
        ("a: 1\n...\n", {"a": "new"}),
        ("a: .nan\nb: [1,\n2]\n", {"a": "new", "b": [1, 2]}),
        ("a:\n- 1\n- b: 2\n\n# end\n", {"a": "new"}),
    ],
)
def test_odd_yaml_is_changed_correctly_too(head, expected):
    changed = with_keys(f"---\n{head}---\nbody", {"a": "new", "z": "last"})
    assert front_matter(changed) == {**expected, "z": "last"}
    assert parts(changed).body == "body"
    assert front_matter(with_keys(changed, {"a": None, "z": None})) == {k: v for k, v in expected.items() if k != "a"}


def test_an_indented_mapping_keeps_its_indent():
    assert with_keys("---\n  a: 1 # x\n---\n", {"a": [2], "b": 3}) == "---\n  a:\n  - 2 # x\n  b: 3\n---\n"


plain = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z", "S")), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)
fronts = st.dictionaries(st.sampled_from(["a", "b", "title", "x y", "é", "🦆", "#", "- "]), values, max_size=5)


@given(fronts, fronts, st.text(max_size=30), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_any_keys_can_be_set_in_any_page(old, new, body, line_end, mark, comments):
    text = formatted(old, body)
    if old and comments:
        text = text.replace("\n", " # c\n", 1).replace("---\n", "---\n# one\n", 1)
    text = ("\ufeff" if mark else "") + text.replace("\n", line_end)
    before = parts(text)
    changed = with_keys(text, new)
    wanted = {k: v for k, v in before.front.items() if k not in new} | {k: v for k, v in new.items() if v is not None}
    assert front_matter(changed) == wanted
    assert parts(changed).body == before.body
    assert with_keys(changed, new) == changed


# Seals


def test_a_sealed_text_is_known_by_its_seal_and_says_the_same(text):
    closed = sealed(text)
    assert is_sealed(closed)
    assert parsed("a.md", closed).sealed
    assert re.fullmatch(r"(?s)\ufeff?---\r?\n.*seal: [0-9a-f]{16}\r?\n---\r?\n.*", closed)
    assert sealed(closed) == closed
    assert parts(closed).body == parts(text).body
    assert {**front_matter(closed), "seal": 0} == {**front_matter(text), "seal": 0}


def test_line_ends_and_a_byte_order_mark_do_not_break_a_seal():
    closed = sealed(WRITTEN)
    assert is_sealed("\ufeff" + closed.replace("\n", "\r\n"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + " ",
        lambda text: text.replace("Heading", "heading"),
        lambda text: text.replace("type: Decision", "type: decision"),
        lambda text: text.replace("# what", "# That"),
        lambda text: re.sub("seal: .*\n", "", text),
        lambda text: re.sub("(seal: ).", r"\1g", text),
        lambda text: re.sub("(seal: .*\n)", r"\1more: 1\n", text),
        lambda text: with_keys(text, {"pinned": False}),
    ],
)
def test_an_edited_text_is_not_sealed(edit):
    edited = edit(sealed(WRITTEN))
    assert not is_sealed(edited)
    assert is_sealed(sealed(edited))


def test_a_text_that_only_speaks_of_a_seal_is_not_sealed():
    closed = sealed("text\n")
    assert not is_sealed(closed.removeprefix("---\n"))
    assert not is_sealed(f"```\n{closed}```\n")


@given(st.text() | st.text(st.sampled_from("a: \n\r\x85\u2028-{}[]#'\"|>&!")))
@example("\x85b:\n  text\n")
@example("\u2028  z: 1\n")
@example("{a: 1}")
def test_any_text_can_be_sealed(text):
    assert is_sealed(sealed(text))
    assert is_sealed(sealed(f"---\n{text}\n---\n"))


# Writing


def test_a_new_page_has_what_was_given_and_a_type():
    assert composed(None, "Text\n", path="notes/x.md") == "---\ntype: Note\n---\nText\n"
    given = {"title": "T: x", "kind": "gotcha", "tier": "semantic", "tags": ["a"], "pinned": False}
    assert (
        composed(None, "Text\n", path="notes/x.md", **given)
        == "---\ntitle: 'T: x'\ntype: Gotcha\nkind: gotcha\ntier: semantic\ntags:\n- a\npinned: false\n---\nText\n"
    )


def test_a_body_with_front_matter_is_kept_as_written():
    assert composed("---\nold: 1\n---\n", WRITTEN, path="notes/x.md") == WRITTEN
    assert composed(None, WRITTEN, path="notes/x.md", title="Use SQLite") == WRITTEN
    assert composed(None, WRITTEN, path="notes/x.md", title="Other") == WRITTEN.replace("'Use SQLite'", "Other")
    assert composed(None, "---\n# c\na: 1\n---\n", path="_rules/x.md") == "---\n# c\na: 1\ntype: Rule\n---\n"


def test_a_body_without_front_matter_keeps_that_of_the_old_page():
    old = "---\ncreated: 2026-01-01  # day\ntype: Own\nkind: note\nentities: [x]\n---\nold\n"
    assert composed(old, "new\n", path="notes/x.md") == old.replace("old\n", "new\n")
    assert composed(old, "new\n", path="notes/x.md", tags=["t"], kind="note") == old.replace(
        "---\nold\n", "tags:\n- t\n---\nnew\n"
    )


def test_another_kind_brings_its_type():
    old = "---\ntype: Note\nkind: note\n---\nold\n"
    assert composed(old, "b", path="notes/x.md", kind="decision") == "---\ntype: Decision\nkind: decision\n---\nb"


def test_a_seal_never_survives_a_write():
    old = sealed("---\ntype: Note\n---\nold\n")
    assert composed(old, "new\n", path="notes/x.md") == "---\ntype: Note\n---\nnew\n"
    assert composed(old, old, path="notes/x.md") == "---\ntype: Note\n---\nold\n"


def test_line_ends_of_a_page_stay_what_they_are():
    old = "\ufeff---\r\ntype: Note\r\n---\r\nold\r\n"
    assert composed(old, "a\nb\r\n", path="notes/x.md") == "\ufeff---\r\ntype: Note\r\n---\r\na\r\nb\r\n"


@given(st.none() | st.text(), st.text(), st.none() | st.text(), st.none() | st.lists(st.text(max_size=5), max_size=3))
@example(None, "---\ntype: ''\n---\n", None, None)
@example("---\ntype: [1]\n---\n", "x", None, None)
def test_every_page_that_is_written_has_a_type_and_no_seal(old, body, title, tags):
    text = composed(old, body, path="notes/x.md", title=title, tags=tags)
    front = front_matter(text)
    assert isinstance(front["type"], str)
    assert front["type"]
    assert "seal" not in front
