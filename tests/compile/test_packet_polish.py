from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ai_memory.compile.packet_polish import SCHEMA, ask, read
from ai_memory.compile.request import Budget
from ai_memory.model.event import Kind, Observation, Scrubbed
from ai_memory.model.packet import PACKET_LIMIT, Attempt, Decision, Packet, parse, stored_form

PACKET = Packet(
    "0.2",
    "01M7YRRT80Z6V1M9N5R7T2WCEX",
    "2026-11-21T10:00:00Z",
    "fix it: round per invoice",
    "refunds",
    constraints=("no new things",),
    decisions=(Decision("Keep the layout.", "partners print it", locked=True), Decision("per invoice", "bookkeeping")),
    attempts=(Attempt("per line", "failed"),),
    open_questions=("shipping?",),
)
SAID = "Round per invoice, the bookkeeping does the same. Is shipping taxed? refunds.py is next. See /home/ana/shop."
SEEN = [Observation(datetime(2026, 11, 21, tzinfo=UTC), Kind.USER_PROMPT, "a", "x", Scrubbed("x"), Scrubbed(SAID))]
ANSWER = {
    "goal": "Round per invoice.",
    "constraints": ["Nothing new."],
    "decisions": [{"what": "Round per invoice.", "why": "The bookkeeping does the same."}],
    "attempts": [{"tried": "Round per line.", "outcome": "failed", "learned": ""}],
    "open_questions": ["Is shipping taxed?"],
    "next_step": "Round in refunds.py.",
}
BETTER = replace(
    PACKET,
    goal="Round per invoice.",
    constraints=("Nothing new.",),
    decisions=(PACKET.decisions[0], Decision("Round per invoice.", "The bookkeeping does the same.")),
    attempts=(Attempt("Round per line.", "failed"),),
    open_questions=("Is shipping taxed?",),
    next_step="Round in refunds.py.",
)


def polished(**fields):
    asked, ground = ask(PACKET, SEEN, Budget(50_000))
    assert asked.schema == SCHEMA
    assert "/home/ana" not in asked.user
    return read({**ANSWER, **fields}, PACKET, ground)


def test_a_packet_is_reworded_and_locked_decisions_stay():
    assert polished() == (BETTER, [])
    assert parse(stored_form(BETTER).encode()) == BETTER


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"goal": "Round by 3 May 2027."}, {"goal": PACKET.goal}),
        ({"goal": "Look in /home/ana/shop"}, {"goal": PACKET.goal}),
        ({"next_step": ""}, {"next_step": PACKET.next_step}),
        ({"next_step": "x" * 1_001}, {"next_step": PACKET.next_step}),
        ({"constraints": []}, {"constraints": PACKET.constraints}),
        ({"decisions": [{"what": "Use 7 workers.", "why": "speed"}]}, {"decisions": PACKET.decisions}),
        ({"decisions": [{"what": "Round.", "why": ""}, 3]}, {"decisions": PACKET.decisions}),
        ({"attempts": [{"tried": "x", "outcome": "odd", "learned": ""}]}, {"attempts": PACKET.attempts}),
        ({"open_questions": {"a": 1}}, {"open_questions": PACKET.open_questions}),
    ],
    ids=["date", "path", "empty", "long", "none", "number", "no-why", "outcome", "shape"],
)
def test_what_is_not_grounded_or_off_its_shape_stays_as_it_was_drafted(fields, changed):
    assert polished(**fields)[0] == replace(BETTER, **changed)


@pytest.mark.parametrize("value", [None, [], "x", {}], ids=repr)
def test_an_answer_of_another_shape_changes_nothing(value):
    assert read(value, PACKET, ask(PACKET, SEEN, Budget(50_000))[1]) == (PACKET, [])


def test_a_packet_does_not_grow_beyond_what_it_may_be():
    long = ["é" * 999] * 12
    packet, refused = polished(constraints=long, open_questions=long)
    assert packet == PACKET
    assert len(stored_form(packet)) < PACKET_LIMIT
    assert refused[-1].why == "it would be larger than a packet may be"
