"""A packet that was drafted by rules, made clearer by a model: it may reword and leave out, and adds nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.projection import projected
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import ungrounded
from ai_memory.compile.request import TEXT, TEXTS, Budget, closed
from ai_memory.llm.asking import Ask
from ai_memory.model.event import Observation
from ai_memory.model.handoff import one_line
from ai_memory.model.packet import PACKET_LIMIT, Attempt, Decision, Packet, stored_form
from ai_memory.model.redaction import redacted_text, scan_text

PURPOSE = "packet"
_ANSWER = 4_096
_OUTCOMES = ("succeeded", "failed", "partial")
#: Characters of a sentence, and items of a list.
_SENTENCE, _ITEMS = 1_000, 12

SCHEMA = closed(
    goal=TEXT,
    constraints=TEXTS,
    decisions={"type": "array", "items": closed(what=TEXT, why=TEXT)},
    attempts={
        "type": "array",
        "items": closed(tried=TEXT, outcome={"type": "string", "enum": list(_OUTCOMES)}, learned=TEXT),
    },
    open_questions=TEXTS,
    next_step=TEXT,
)


def ask(packet: Packet, observations: Sequence[Observation], budget: Budget) -> tuple[Ask, Ground]:
    """Ask for a clearer packet; gives with it what the answer has to be grounded in.

    Nothing that may not travel is shown to the model, so that it cannot write it.

    Args:
        packet: as it was drafted.
        observations: of its session; where they do not fit, the last of them.
        budget: of the request.

    Raises:
        BudgetTooSmallError: a request can hold hardly anything.
    """
    told = prompt(PURPOSE)
    draft = fenced("packet", stored_form(packet))
    room = budget.room(told.text, json.dumps(SCHEMA), draft) - 100
    seen = redacted_text(projected(observations, room)[-1])
    text = draft + fenced("observations", seen)
    return Ask(PURPOSE, told.text, text, SCHEMA, min(_ANSWER, budget.max_output_tokens)), Ground(draft, seen)


def read(value: Any, packet: Packet, ground: Ground) -> tuple[Packet, list[Refusal]]:
    """Read an answer: the packet with what of it can be taken, and what cannot.

    A list of which nothing can be taken, and a sentence that is not grounded, stay as they were drafted; so does
    all of it when the packet would grow beyond what one may be.
    """
    value = value if isinstance(value, dict) else {}
    refused: list[Refusal] = []

    def taken(*sentences: str) -> bool:
        whole = "\n".join(sentences)
        if alien := ground.missing(whole):
            refused.append(ungrounded(whole, alien))
        elif found := scan_text(whole):
            refused.append(Refusal(sentences[0][:40], f"it holds what may not travel: {found[0].masked}"))
        return not alien and not found

    def sentence(key: str, old: str) -> str:
        said = _sentence(value.get(key))
        return said if said and taken(said) else old

    def sentences(key: str, old: tuple[str, ...]) -> tuple[str, ...]:
        said = (_sentence(each) for each in _items(value, key))
        return tuple(each for each in said if each and taken(each)) or old

    decisions = [(_sentence(each.get("what")), _sentence(each.get("why"))) for each in _objects(value, "decisions")]
    attempts = [
        Attempt(_sentence(each.get("tried")), str(each.get("outcome")), _sentence(each.get("learned")))
        for each in _objects(value, "attempts")
    ]
    new = tuple(Decision(what, why) for what, why in decisions if what and why and taken(what, why))
    # A locked decision is the user's word.
    kept = tuple(each for each in packet.decisions if each.locked)
    added = tuple(each for each in new if each.what not in {one.what for one in kept})
    better = replace(
        packet,
        goal=sentence("goal", packet.goal),
        next_step=sentence("next_step", packet.next_step),
        constraints=sentences("constraints", packet.constraints),
        open_questions=sentences("open_questions", packet.open_questions),
        decisions=kept + added if new else packet.decisions,
        attempts=tuple(
            each for each in attempts if each.tried and each.outcome in _OUTCOMES and taken(each.tried, each.learned)
        )
        or packet.attempts,
    )
    if len(stored_form(better).encode()) > PACKET_LIMIT:
        return packet, [*refused, Refusal("the packet", "it would be larger than a packet may be")]
    return better, refused


def _sentence(value: Any) -> str:
    """Give one line of text; one that is too long is none."""
    said = one_line(harmless(value)) if isinstance(value, str) else ""
    return said if len(said) <= _SENTENCE else ""


def _items(value: dict[str, Any], key: str) -> list[Any]:
    items = value.get(key)
    return items[:_ITEMS] if isinstance(items, list) else []


def _objects(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [each for each in _items(value, key) if isinstance(each, dict)]
