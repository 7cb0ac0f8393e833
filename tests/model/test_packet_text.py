"""Packets as text: the block to resume from, the summary, the table, the picker's words."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.model.packet import About, Attempt, Decision, Method, Packet, Provenance
from ai_memory.model.packet_text import line_of, relative_time, resume_block, short_id, summary, table

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
SMALL = Packet("0.1", "0123456789", "2026-04-21T12:00:00.5+02:00", "do it", "begin")
FULL = Packet(
    "0.2",
    "01M7YRRT80Z6V1M9N5R7T2WCEX",
    "2026-11-21T10:00:00Z",
    "the goal",
    "the step",
    parent_id="01M7XPW6G0Y2E8G6K3P5S9XFAB",
    project=About("shop", "main"),
    success_criteria=("it is done",),
    constraints=("no money",),
    decisions=(Decision("locked one", "because", "no way back", locked=True), Decision("loose one", "perhaps")),
    methods=(Method("a-way", "in need", "like so"),),
    attempts=(
        Attempt("failed one", "failed", "a lesson", "high"),
        Attempt("half one", "partial"),
        Attempt("good one", "succeeded", "it works", "low"),
    ),
    open_questions=("why?",),
    tags=("a", "b"),
    provenance=Provenance("a model", "a human"),
)
INTRODUCTION = """\
# Resume context — ltm Core Memory Packet

An earlier session wrote this packet so that you can go on with its work; take it as the authoritative state of it.

- Locked decisions are settled: keep to them and do not discuss them again.
- Attempts that failed are not to be repeated; build on what they taught.
- 'Next step' is your first action.

"""


def test_the_resume_block_has_what_matters_first_and_the_first_action_again_last():
    assert resume_block(FULL) == INTRODUCTION + (
        "## Goal\n\nthe goal\n\n"
        "## Success criteria (the work is done when all of them hold)\n\n- it is done\n\n"
        "## Locked decisions (settled)\n\n- locked one\n  Rationale: because\n  Consequences: no way back\n\n"
        "## Prior attempts (do not repeat)\n\n"
        "- [failed] failed one\n  Learned: a lesson\n  Confidence this outcome is final: high\n- [partial] half one\n\n"
        "## Your first action\n\nthe step\n\n"
        "## Constraints\n\n- no money\n\n"
        "## Reusable methods (use them where they fit)\n\n- **a-way** — when: in need\n  how: like so\n\n"
        "## Attempts that worked\n\n- [succeeded] good one\n  Learned: it works\n\n"
        "## Tentative decisions (may be revised)\n\n- loose one\n  Rationale: perhaps\n\n"
        "## Open questions\n\n- why?\n\n"
        "## Project\n\n- Name: shop\n- Ref: main\n\n"
        "---\n\n## Reminder\n\n**Your first action: the step**\n\nKeep to the locked decisions above.\n\n"
        "Packet:    01M7YRRT80Z6V1M9N5R7T2WCEX (spec v0.2)\n"
        "Continues: 01M7XPW6G0Y2E8G6K3P5S9XFAB\n"
        "Created:   2026-11-21T10:00:00Z\n"
        "Author:    a human via a model\n"
        "Tags:      a, b\n"
    )


def test_what_a_packet_does_not_have_leaves_no_heading():
    assert resume_block(SMALL) == INTRODUCTION + (
        "## Goal\n\ndo it\n\n"
        "## Your first action\n\nbegin\n\n"
        "---\n\n## Reminder\n\n**Your first action: begin**\n\n"
        "Packet:  0123456789 (spec v0.1)\n"
        "Created: 2026-04-21T10:00:00Z\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# big\n\n## bigger", "\\# big ## bigger"),
        ("```js", "\\```js"),
        ("~~~", "\\~~~"),
        ("---", "\\---"),
        ("===", "\\==="),
        ("* * *", "\\* * *"),
        ("> quote", "\\> quote"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("<script>", "\\<script>"),
        ("| a | b |", "\\| a | b |"),
        ("#1 in the list", "#1 in the list"),
        ("1.5 s", "1.5 s"),
        ("-x", "-x"),
        ("a\u2028b\x00c\x1b[31m\u0085d", "a bc[31m d"),
        ("\x01 # big", "\\# big"),
        ("\u202e# big", "\\# big"),
        ("\ufeff\x7f 1. item", "1\\. item"),
    ],
    ids=ascii,
)
def test_no_text_of_a_packet_makes_markdown_of_its_own(text, shown):
    block = resume_block(replace(SMALL, goal=text, constraints=(text,)))
    assert f"## Goal\n\n{shown}\n\n" in block
    assert f"## Constraints\n\n- {shown}\n\n" in block


def headings(text):
    return re.findall(r"^ {0,3}(?:#{1,6}[ \t].*|```.*|~~~.*)$", text, re.MULTILINE)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(line_of))
def test_any_text_leaves_the_headings_as_they_are(text):
    everywhere = {"goal": text, "next_step": text, "constraints": (text, text), "open_questions": (text,)}
    block = resume_block(replace(FULL, **everywhere, project=About(text, text), decisions=(Decision(text, text),)))
    plain = replace(FULL, decisions=(Decision("what", "why"),))
    assert headings(block) == headings(resume_block(plain))


def test_the_summary_shows_every_part():
    assert summary(FULL, ("2026-11-22T00:00:00Z", "https://example.com/p/1")) == (
        "ID:        01M7YRRT80Z6V1M9N5R7T2WCEX\n"
        "Created:   2026-11-21T10:00:00Z\n"
        "Spec:      v0.2\n"
        "Continues: 01M7XPW6G0Y2E8G6K3P5S9XFAB\n"
        "Published: 2026-11-22T00:00:00Z  https://example.com/p/1\n"
        "Project:   shop (main)\n"
        "Tags:      a, b\n\n"
        "Goal\n  the goal\n\n"
        "Success criteria\n  - it is done\n\n"
        "Constraints\n  - no money\n\n"
        "Decisions\n  - locked one [locked]\n    why: because\n    then: no way back\n  - loose one\n    why: perhaps\n\n"
        "Methods\n  - a-way\n    when: in need\n    how: like so\n\n"
        "Attempts\n  - [failed] failed one (confidence: high)\n    learned: a lesson\n  - [partial] half one\n"
        "  - [succeeded] good one (confidence: low)\n    learned: it works\n\n"
        "Open questions\n  - why?\n\n"
        "Next step\n  the step\n"
    )


def test_the_summary_leaves_out_what_is_not_there():
    assert summary(replace(SMALL, project=About("", "main"))) == (
        "ID:      0123456789\nCreated: 2026-04-21T12:00:00.5+02:00\nSpec:    v0.1\nProject: (main)\n\n"
        "Goal\n  do it\n\nNext step\n  begin\n"
    )


def test_a_table_has_two_spaces_between_columns_and_no_control_characters():
    rows = [("0123456789", "2026-04-21T12:00:00Z", "two\nlines \x1b[31mred"), ("long-long-id", "n\x9bow", "x" * 73)]
    assert table(rows) == (
        "ID            CREATED               GOAL\n"
        "0123456789    2026-04-21T12:00:00Z  two lines [31mred\n"
        f"long-long-id  now                   {'x' * 71}…\n"
    )


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-30), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 hr ago"),
        (timedelta(hours=23, minutes=59), "23 hr ago"),
        (timedelta(days=1), "1 d ago"),
        (timedelta(days=6, hours=23), "6 d ago"),
        (timedelta(days=7), "2026-11-14"),
    ],
    ids=str,
)
def test_a_time_is_said_as_people_do(ago, words):
    assert relative_time(f"{NOW - ago:%Y-%m-%dT%H:%M:%SZ}", NOW) == words


@pytest.mark.parametrize("text", ["", "yesterday", "0000-01-01T00:00:00Z"])
def test_a_time_that_cannot_be_counted_is_given_as_it_is(text):
    assert relative_time(text, NOW) == text


def test_a_time_that_is_none_commands_no_terminal():
    assert relative_time("\x1b[2J\nnow", NOW) == "[2J now"


def test_a_short_id_is_its_end():
    assert short_id("01M7YRRT80Z6V1M9N5R7T2WCEX") == "…R7T2WCEX"
