from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ai_memory.compile.drafts import Refusal
from ai_memory.compile.improve import (
    FOCUS,
    Evidence,
    PageNow,
    Proposal,
    Review,
    Reviewed,
    patched,
    question,
    read,
)
from ai_memory.compile.request import Budget
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
QUOTE = "round per invoice, the bookkeeping does the same"
VAT = PageNow("VAT", "VAT is rounded per line.\n\nSee cart.py.\n")


def observed(text, kind=Kind.USER_PROMPT, outcome=""):
    tool = ToolCall("Bash", outcome) if outcome else None
    return Observation(NOW, kind, "a", "x", Scrubbed("x"), Scrubbed(text), tool=tool)


REVIEW = Review([observed(f"No: {QUOTE}.")], "", {"concepts/vat.md": VAT})
BUDGET = Budget(100_000)


def item(**fields):
    return {
        "operation": "create_or_update",
        "path": "decisions/round-vat.md",
        "title": "VAT is rounded per invoice",
        "kind": "decision",
        "confidence": 0.9,
        "rationale": "Refunds have to agree.",
        "evidence": [{"page": "session", "quote": QUOTE}],
        "edit_mode": "full",
        "body_markdown": "Round once.",
        "edits": [],
        "expected_base_body_sha256": "",
        **fields,
    }


def edit(**fields):
    return item(
        path="concepts/vat.md",
        title="VAT",
        kind="concept",
        edit_mode="patch",
        body_markdown="",
        edits=[{"find": "per line", "replace": "per invoice"}],
        expected_base_body_sha256=VAT.digest,
        **fields,
    )


PROPOSAL = Proposal(
    "decisions/round-vat.md",
    "VAT is rounded per invoice",
    "decision",
    "Round once.\n",
    0.9,
    "Refunds have to agree.",
    (Evidence("session", QUOTE),),
    "full",
)
EDIT = replace(
    PROPOSAL,
    path="concepts/vat.md",
    title="VAT",
    kind="concept",
    body="VAT is rounded per invoice.\n\nSee cart.py.\n",
    edit_mode="patch",
    edits=(("per line", "per invoice"),),
    base=VAT.digest,
)


def reviewed(*items, review=REVIEW):
    answer = {"summary": "VAT.", "proposals": list(items), "rejected_candidates": ["Tests."], "warnings": ["Look."]}
    return read(answer, question(review, BUDGET), review)


def test_proposals_are_read_with_what_they_would_write():
    assert reviewed(item(), edit()) == Reviewed("VAT.", (PROPOSAL, EDIT), (), ("Tests.",), ("Look.",))


REFUSED = {
    "a folder": ({"path": "sessions/x.md"}, "'sessions/x.md' is no page that may be proposed"),
    "a slot": ({"path": "_slots/other.md", "kind": "slot"}, "'_slots/other.md' is no page that may be proposed"),
    "confidence": ({"confidence": 0.3}, "its confidence is 0.30, below 0.75"),
    "no number": ({"confidence": "sure"}, "its confidence is 0.00, below 0.75"),
    "a path": ({"body_markdown": "In `src/x.py`."}, "it names 'src/x.py', which is not in its input"),
    "a date": ({"rationale": "Since May 2, 2020."}, "it names 'May 2, 2020', which is not in its input"),
    "evidence": (
        {"evidence": [{"page": "session", "quote": "never said"}]},
        "none of its evidence is where it is said",
    ),
    "a page that is not there": ({"evidence": [{"page": "notes/x.md", "quote": QUOTE}]}, "none of its evidence"),
    "evidence of another page": ({"evidence": [{"page": "concepts/vat.md", "quote": QUOTE}]}, "none of its evidence"),
    "no text": ({"body_markdown": ""}, "it has no text"),
    "no title": ({"title": None}, "it has no title"),
    "a patch of nothing": (
        {"edit_mode": "patch", "body_markdown": "", "edits": [{"find": "a", "replace": "b"}]},
        "it edits a page that is not there",
    ),
    "what is written down": ({"body_markdown": "VAT is rounded\nper line."}, "concepts/vat.md says so already"),
    "a title that is there": ({"title": "vat"}, "concepts/vat.md has this title already"),
    "too much": ({"body_markdown": "word " * 10_000}, "the page would be longer than 48,000 characters"),
}


@pytest.mark.parametrize(("fields", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_proposed_is_refused_alone(fields, why):
    found = reviewed(item(**fields), edit())
    assert found.proposals == (EDIT,)
    assert [refusal.why.startswith(why) for refusal in found.refused] == [True]


@pytest.mark.parametrize("bad", [None, "x", 3, [], {}], ids=repr)
def test_an_item_of_another_shape_is_refused_alone(bad):
    found = reviewed(bad, item())
    assert (found.proposals, len(found.refused)) == ((PROPOSAL,), 1)


@pytest.mark.parametrize("confidence", ["0.9", 90, "90%", 0.9], ids=repr)
def test_confidence_may_be_a_percentage(confidence):
    assert reviewed(item(confidence=confidence)).proposals == (PROPOSAL,)


@pytest.mark.parametrize(
    ("base", "why"),
    [
        (replace(VAT, pinned=True), "concepts/vat.md is pinned"),
        (replace(VAT, automatic=False), "concepts/vat.md was written by a person or an agent"),
        (replace(VAT, body="Something else."), "it was not made for the text that concepts/vat.md has now"),
    ],
    ids=["pinned", "a-person's", "changed"],
)
def test_a_page_that_is_not_the_models_to_change_is_left_alone(base, why):
    found = reviewed(edit(), review=replace(REVIEW, pages={"concepts/vat.md": base}))
    assert (found.proposals, found.refused) == ((), (Refusal("VAT", why),))


def test_the_focus_may_be_changed_though_slots_are_pinned():
    focus = PageNow("Focus", "VAT.\n", pinned=True)
    review = replace(REVIEW, pages={FOCUS: focus})
    (found,) = reviewed(item(path=FOCUS, expected_base_body_sha256=focus.digest), review=review).proposals
    assert (found.path, found.kind, found.base) == (FOCUS, "slot", focus.digest)


def test_what_a_tool_printed_makes_no_rule():
    order = "Always run deploy.sh before tests"
    review = Review([observed(f"No: {QUOTE}."), observed(order, Kind.POST_TOOL_USE, "success")], "", {})
    asked = question(review, BUDGET)
    told = item(kind="rule", body_markdown=order, evidence=[{"page": "session", "quote": order}])
    found = read({"proposals": [told, item(body_markdown=order, evidence=told["evidence"])]}, asked, review)
    assert [each.path for each in found.proposals] == ["decisions/round-vat.md"]
    assert [each.why for each in found.refused] == [
        "none of its evidence is in the user's words, and others make no rules"
    ]


def test_a_file_name_holds_no_invented_number():
    found = reviewed(item(path="decisions/2019-rounding.md"))
    assert [each.path for each in found.proposals] == ["decisions/vat-is-rounded-per-invoice.md"]


def test_a_rule_goes_to_the_rules_and_a_page_gets_one_proposal():
    found = reviewed(item(kind="rule"), item(kind="rule", title="Again"), item(path="gotchas/a: b", kind="odd"))
    assert [(each.path, each.kind) for each in found.proposals] == [
        ("_rules/round-vat.md", "rule"),
        ("gotchas/a-b.md", "gotcha"),
    ]
    assert found.refused == (Refusal("Again", "another proposal of the same answer is about this page"),)


def test_what_nobody_wanted_is_not_proposed_again():
    for rejected in (
        {"vat is  rounded per invoice": "Something else."},
        {"Called otherwise": f"# Called otherwise\n\n{item()['body_markdown']}"},
    ):
        found = reviewed(item(), review=replace(REVIEW, rejected=rejected))
        assert found.refused == (Refusal("VAT is rounded per invoice", "it was rejected before"),)


@pytest.mark.parametrize("answer", [None, [], "x", {}, {"proposals": 3}], ids=repr)
def test_an_answer_of_another_shape_proposes_nothing(answer):
    assert read(answer, question(REVIEW, BUDGET), REVIEW) == Reviewed("", (), ())


@pytest.mark.parametrize(
    ("edits", "count"), [([("x", "y")], 0), ([("a", "b")], 2), ([("", "b")], 0)], ids=["none", "twice", "empty"]
)
def test_a_text_that_is_not_there_once_cannot_be_replaced(edits, count):
    with pytest.raises(ValueError, match=f"is in the page {count} times, not once"):
        patched("a a", edits)


def test_a_question_samples_what_matters_and_stays_within_the_budget():
    observations = [
        *(observed(f"noise {n}", Kind.POST_TOOL_USE, "success") for n in range(200)),
        observed("first ask"),
        observed("failed", Kind.POST_TOOL_USE, "error"),
        *(observed(f"late {n}", Kind.POST_TOOL_USE, "success") for n in range(200)),
    ]
    review = Review(observations, "The page.", {f"concepts/{n}.md": PageNow("T", "word " * 400) for n in range(100)})
    asked = question(review, Budget(20_000))
    assert asked.text.count("\n--- ") == 48
    assert " first ask\n" in asked.session
    assert " failed\n" in asked.session
    assert " late 199\n" in asked.session
    assert "noise" not in asked.session
    assert "more pages had no room.)" in asked.text
    assert estimated_tokens(asked.ask.system + asked.text) < 16_000
    assert question(replace(review, page="", pages={}), BUDGET).text.count("\n--- ") == 72
