import pytest

from ai_memory.compile.drafts import Refusal
from ai_memory.compile.request import Budget
from ai_memory.compile.telling import (
    ANSWER_SCHEMA,
    EXPLORE_SCHEMA,
    Answered,
    Citation,
    Source,
    answer,
    explore,
    read_answer,
    read_prose,
)
from ai_memory.llm.tokens import estimated_tokens

BUDGET = Budget(20_000, max_output_tokens=2_000)
SOURCES = [
    Source("decisions/vat.md", "2026-11-20", "VAT is rounded once, on the total."),
    Source("concepts/z.md", "2026-11-01", "word " * 5_000),
]


def test_prose_is_asked_for_with_its_focus_and_cut_to_the_budget():
    asked, ground = explore("Begins here. " + "word " * 40_000 + "Ends here.", "VAT", BUDGET)
    assert (asked.purpose, asked.schema, asked.max_tokens) == ("explore", EXPLORE_SCHEMA, 2_000)
    assert estimated_tokens(asked.system + asked.user) < 16_000
    assert asked.user.startswith("<<<focus ")
    assert ground.holds("begins here")
    assert ground.holds("ends here")


def test_a_paragraph_that_the_briefing_does_not_say_is_left_out():
    asked, ground = explore("Refunds are open in refunds.py.", "", BUDGET)
    assert "<<<focus" not in asked.user
    prose = "Refunds are open, see [[gotchas/r.md]].\n\nThe deadline is 3 May 2027.\n"
    assert read_prose({"prose": prose}, ground, {"gotchas/r.md"}) == Answered(
        "Refunds are open, see [[gotchas/r.md]].",
        (),
        (Refusal("The deadline is 3 May 2027.", "it names '3 May 2027', which is not in its input"),),
    )


def test_sources_are_numbered_and_those_without_room_are_not_sent():
    asked, used = answer("Where is VAT rounded?", SOURCES, BUDGET)
    assert (used, asked.schema) == (SOURCES, ANSWER_SCHEMA)
    assert "\n[1] decisions/vat.md (2026-11-20)\nVAT is rounded once, on the total.\n" in asked.user
    assert "characters left out" in asked.user
    many = [SOURCES[0], *[SOURCES[1]] * 40]
    asked, used = answer("?", many, BUDGET)
    assert (used, asked.user.count("<<<source ")) == (many[: len(used)], len(used))
    assert 2 < len(used) < 41
    assert estimated_tokens(asked.system + asked.user) <= 16_000


def test_an_answer_stands_on_citations_that_are_in_their_sources():
    said = {
        "answer": "VAT is rounded once [1][2].\n\nSince 2019 [1].",
        "citations": [
            {"source": 1, "quote": "vat is rounded once"},
            {"source": 2, "quote": "never said"},
            {"source": 7, "quote": "vat is rounded once"},
            "none",
        ],
    }
    assert read_answer(said, SOURCES) == Answered(
        "VAT is rounded once [1].",
        (Citation(1, "decisions/vat.md", "vat is rounded once"),),
        (
            Refusal("never said", "it is not in the source that it names"),
            Refusal("vat is rounded once", "it is not in the source that it names"),
            Refusal("a citation", "it is not in the source that it names"),
            Refusal("Since 2019 [1].", "it names '2019', which is not in its input"),
        ),
    )


@pytest.mark.parametrize(
    "said",
    [
        None,
        "prose",
        {"answer": "It is rounded once.", "citations": []},
        {"answer": "It is rounded once [1].", "citations": []},
        {"answer": "It is rounded once.", "citations": [{"source": 1, "quote": "VAT"}]},
        {"answer": 3, "citations": {"source": 1}},
    ],
    ids=["null", "text", "nothing", "no-citation", "no-mark", "types"],
)
def test_without_a_citation_that_holds_there_is_no_answer(said):
    assert read_answer(said, SOURCES).text == ""


def test_the_number_of_a_source_vouches_for_no_number():
    said = {"answer": "It takes 1 hour [1].", "citations": [{"source": 1, "quote": "VAT"}]}
    assert read_answer(said, SOURCES[:1]).refused == (
        Refusal("It takes 1 hour [1].", "it names '1', which is not in its input"),
    )
