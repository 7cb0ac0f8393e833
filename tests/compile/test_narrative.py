from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.compile.drafts import Refusal
from ai_memory.compile.narrative import (
    SCHEMA,
    Narrative,
    Portion,
    Told,
    Update,
    ask,
    page,
    parsed,
    portions,
    read,
    stale_in,
)
from ai_memory.compile.prompts import prompt
from ai_memory.compile.request import Budget, BudgetTooSmallError
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.page import front_matter
from ai_memory.model.session import Session

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
BUDGET = Budget(100_000)
OLD = Narrative(
    idea=("A shop for bicycle parts.",),
    approach=(("VAT is rounded per line.", "it was there"), ("Prices | are net.", "")),
    done=("Invoices are printed.",),
    operations=("`make deploy` releases.",),
    goals=("Sell in Portugal.",),
    suggested=("Cache the catalogue.",),
    status="complete",
    resuming="Invoices were finished.",
    covers={"a": 3},
)
PORTION = Portion("user: round per invoice, the bookkeeping does the same; refunds.py is open\n", {"b": 5})


def session(n=1, *, observations=5, prompts=1):
    return Session(
        UUID(int=9), UUID(int=n), "x", "codex", "/w", NOW + timedelta(hours=n), NOW + timedelta(hours=n),
        observations=observations, prompts=prompts, title=f"Session [{n}]",
    )  # fmt: skip


def answer(**fields):
    return {
        "idea": ["A shop for bicycle parts."],
        "approach": [
            {"decision": "VAT is rounded per invoice.", "rationale": "the bookkeeping does the same"},
            {"decision": "Prices | are net.", "rationale": ""},
        ],
        "done": ["- Invoices are printed.", "Cache the catalogue."],
        "operations": ["`make deploy` releases."],
        "learnt": [],
        "goals": ["sell in  Portugal"],
        "suggested": [],
        "resuming": {"status": "interrupted", "text": "`refunds.py` is open."},
        "dropped": [{"item": "VAT is rounded per line.", "reason": "the user decided otherwise"}],
        **fields,
    }


def updated(old=OLD, **fields):
    asked, ground = ask(old, PORTION, BUDGET)
    assert (asked.system, asked.schema, asked.purpose) == (prompt("narrative").text, SCHEMA, "narrative")
    return read(answer(**fields), old, PORTION, ground)


NEW = Narrative(
    idea=("A shop for bicycle parts.",),
    approach=(("VAT is rounded per invoice.", "the bookkeeping does the same"), ("Prices | are net.", "")),
    done=("Invoices are printed.", "Cache the catalogue."),
    operations=("`make deploy` releases.",),
    goals=("sell in Portugal",),
    status="interrupted",
    resuming="`refunds.py` is open.",
    covers={"a": 3, "b": 5},
)


def test_an_update_keeps_moves_and_drops_with_a_reason():
    assert updated() == Update(NEW, dropped=(("VAT is rounded per line.", "the user decided otherwise"),))


@pytest.mark.parametrize(
    ("fields", "orphans"),
    [
        ({"idea": []}, ("A shop for bicycle parts.",)),
        ({"operations": ["make deploy"], "goals": []}, ("`make deploy` releases.", "Sell in Portugal.")),
        ({"dropped": []}, ("VAT is rounded per line.",)),
        ({"dropped": [{"item": "VAT is rounded per line.", "reason": " "}]}, ("VAT is rounded per line.",)),
        ({"approach": "none"}, ("Prices | are net.",)),
    ],
    ids=["idea", "reworded", "not-dropped", "no-reason", "off-schema"],
)
def test_an_update_that_loses_an_item_is_refused_and_names_it(fields, orphans):
    assert (updated(**fields).narrative, updated(**fields).orphans) == (None, orphans)


def test_an_invented_item_is_left_out_and_then_nothing_is_dropped():
    update = updated(learnt=["It takes 40 minutes.", "Refunds stay."], resuming={"status": "x", "text": "In `vat.py`."})
    assert update == Update(
        replace(
            NEW,
            approach=(*NEW.approach, OLD.approach[0]),
            learnt=("Refunds stay.",),
            resuming="Invoices were finished.",
        ),
        refused=(
            Refusal("It takes 40 minutes.", "it names '40', which is not in its input"),
            Refusal("resuming", "it names 'vat.py', which is not in its input"),
        ),
    )


def test_a_rationale_that_is_left_out_stays():
    given = [{"decision": "VAT is rounded per line.", "rationale": ""}, {"decision": "Prices | are net."}]
    assert updated(approach=given, dropped=[]).narrative.approach == OLD.approach


def test_an_invented_rationale_is_left_out():
    update = updated(
        approach=[
            {"decision": "VAT is rounded per invoice.", "rationale": "RFC 9999 says so"},
            {"decision": "Prices | are net.", "rationale": ""},
        ]
    )
    assert update.narrative.approach == (("VAT is rounded per invoice.", ""), ("Prices | are net.", ""))


@pytest.mark.parametrize("value", [None, [], "prose", {}, {"idea": 3, "resuming": []}], ids=repr)
def test_an_answer_of_another_shape_loses_everything_and_is_refused(value):
    _, ground = ask(OLD, PORTION, BUDGET)
    assert read(value, OLD, PORTION, ground).orphans == tuple(item for _, item in OLD.items())


def test_a_first_narrative_is_grounded_in_what_was_said():
    update = updated(None, idea=["Refunds in refunds.py"], done=[], operations=["make deploy-x1"], goals=[])
    assert (update.narrative.idea, update.narrative.operations) == (("Refunds in refunds.py",), ())


def test_a_page_is_read_back_as_it_was_written():
    change = page(NEW, "shop", [session(2), session(1)])
    assert parsed(change.text) == NEW
    assert change.path == "narrative.md"
    assert "- 2026-11-20: [[sessions/00000000-0000-0000-0000-000000000002.md|Session  2 ]]\n" in change.text
    assert front_matter(change.text)["covers"] == {"a": 3, "b": 5}
    assert "| Prices \\| are net. |  |\n" in change.text


def test_a_page_that_is_a_record_stays_that_record():
    old = "---\ntype: Narrative\ntitle: Old\nkind: narrative\nrecord: 01ab\nseal: 4567\ncovers:\n  a: 3\n---\n# Old\n"
    change = page(NEW, "shop", [], old)
    assert parsed(change.text) == NEW
    assert front_matter(change.text) == {
        "type": "Narrative",
        "title": "Narrative of shop",
        "kind": "narrative",
        "record": "01ab",
        "covers": {"a": 3, "b": 5},
        "consolidated": True,
    }


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
    lambda text: not text.startswith(("-", "*", "+", "#", "|", "`", "~")) and not text.endswith("\\")
)


@given(st.lists(texts, unique=True, max_size=4), st.lists(st.tuples(texts, texts), max_size=3), texts)
def test_any_items_are_read_back(items, approach, resuming):
    whole = Narrative(
        idea=tuple(items), goals=tuple(items), approach=tuple(approach), resuming=resuming, covers={"x": 1}
    )
    assert parsed(page(whole, "shop", []).text) == whole


def test_what_a_person_wrote_into_the_page_is_an_item():
    text = page(OLD, "shop", []).text.replace("- Invoices are printed.", "- Invoices are\n  printed.\n\nAnd sent.")
    assert parsed(text).done == ("Invoices are printed.", "And sent.")


def test_sessions_that_it_does_not_know_to_their_end_are_stale():
    told = Narrative(covers={str(UUID(int=1)): 5, str(UUID(int=2)): 4})
    sessions = [session(3), session(2), session(1), session(4, prompts=0)]
    assert stale_in(told, sessions) == [session(2), session(3)]
    assert stale_in(None, [session(1)]) == [session(1)]


def spoken(*texts):
    return [Observation(NOW, kind, "codex", "x", Scrubbed(""), Scrubbed(text)) for kind, text in texts]


def test_many_small_sessions_go_into_one_request_without_their_tool_calls():
    told = [
        Told(session(n), spoken((Kind.USER_PROMPT, f"ask {n}"), (Kind.POST_TOOL_USE, "noise"), (Kind.STOP, "said")))
        for n in (1, 2)
    ]
    (portion,) = portions(told, BUDGET)
    assert portion.covers == {str(UUID(int=1)): 5, str(UUID(int=2)): 5}
    assert [line for line in portion.text.splitlines() if line.startswith(" ")] == [
        " ask 1",
        " said",
        " ask 2",
        " said",
    ]


def test_a_long_session_is_covered_when_all_of_it_was_told():
    found = portions([Told(session(), spoken(*[(Kind.USER_PROMPT, "word " * 500)] * 40))], Budget(12_000))
    assert len(found) > 2
    assert [portion.covers for portion in found] == [*[{}] * (len(found) - 1), {str(UUID(int=1)): 5}]


def test_a_narrative_that_fills_the_request_says_so():
    with pytest.raises(BudgetTooSmallError, match=r"shorten narrative\.md"):
        ask(Narrative(idea=("word " * 90_000,)), PORTION, BUDGET)
