"""Answers for a reader: where a project stands, in prose, and what its memory says to a question, with citations."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.projection import shortened_within
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import cited, grounded
from ai_memory.compile.request import TEXT, Budget, closed
from ai_memory.llm.asking import Ask
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.handoff import one_line, shortened

EXPLORE, ANSWER = "explore", "answer"
_LONGEST = 4_096
#: Characters of a source, and of a quotation.
_SOURCE, _QUOTE = 3_000, 300

EXPLORE_SCHEMA = closed(prose=TEXT)
ANSWER_SCHEMA = closed(
    answer=TEXT, citations={"type": "array", "items": closed(source={"type": "integer"}, quote=TEXT)}
)

_MARK = re.compile(r"\[(\d{1,3})\](?!\()")


@dataclass(frozen=True, slots=True)
class Source:
    """Something that memory found: the path of its page, when it is from, and its text."""

    path: str
    when: str
    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """What an answer rests on: the number in it, the path, and words that occur there."""

    number: int
    path: str
    quote: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: its text, "" when nothing of it stands, its citations, and what was left out of it."""

    text: str
    citations: tuple[Citation, ...] = ()
    refused: tuple[Refusal, ...] = ()


def explore(briefing: str, focus: str, budget: Budget) -> tuple[Ask, Ground]:
    """Ask where a project stands; gives with it what the answer has to be grounded in.

    Args:
        briefing: what is known, the gap since the last work included; its middle gives way when it is too long.
        focus: what the reader is interested in, or "".
        budget: of the request.

    Raises:
        BudgetTooSmallError: a request can hold hardly anything.
    """
    told = prompt(EXPLORE)
    wanted = fenced("focus", focus[:_QUOTE])
    room = budget.room(told.text, json.dumps(EXPLORE_SCHEMA), wanted) - 100
    while estimated_tokens(briefing) > room:
        briefing = shortened_within(briefing, len(briefing) * 3 // 4)
    most = min(_LONGEST, budget.max_output_tokens)
    return Ask(EXPLORE, told.text, wanted + fenced("briefing", briefing), EXPLORE_SCHEMA, most), Ground(briefing)


def read_prose(value: Any, ground: Ground, known: Collection[str]) -> Answered:
    """Read where a project stands; a paragraph that names what the briefing does not is left out.

    Args:
        value: the answer.
        ground: the briefing.
        known: paths that links may lead to.
    """
    text, refused = grounded(_text(value, "prose"), ground, known)
    return Answered(text, (), tuple(refused))


def answer(question: str, sources: Sequence[Source], budget: Budget) -> tuple[Ask, Sequence[Source]]:
    """Ask a question; gives with it the sources that there was room for, in their order.

    Args:
        question: the user's.
        sources: the best first.
        budget: of the request.

    Raises:
        BudgetTooSmallError: a request can hold hardly anything.
    """
    told = prompt(ANSWER)
    user = fenced("question", question[:_SOURCE])
    left = budget.room(told.text, json.dumps(ANSWER_SCHEMA), user)
    used: list[Source] = []
    for source in sources:
        shown = f"[{len(used) + 1}] {source.path} ({source.when})\n{shortened_within(source.text, _SOURCE)}"
        block = fenced("source", shown)
        left -= estimated_tokens(block)
        if left < 0:
            break
        used.append(source)
        user += block
    return Ask(ANSWER, told.text, user, ANSWER_SCHEMA, min(_LONGEST, budget.max_output_tokens)), used


def read_answer(value: Any, sources: Sequence[Source]) -> Answered:
    """Read an answer: its citations have to be in their sources, and so has what each paragraph names; each names one.

    Args:
        value: the answer.
        sources: those that were sent.
    """
    quotes = value.get("citations") if isinstance(value, dict) else None
    citations, refused = [], []
    for each in quotes if isinstance(quotes, list) else []:
        number = each.get("source") if isinstance(each, dict) else None
        quote = shortened(one_line(_text(each, "quote")), _QUOTE)
        if type(number) is int and 0 < number <= len(sources) and Ground(sources[number - 1].text).holds(quote):
            citations.append(Citation(number, sources[number - 1].path, quote))
        else:
            refused.append(Refusal(quote or "a citation", "it is not in the source that it names"))
    paths = {source.path for source in sources}
    known = {each.number for each in citations}
    ground = Ground(*(f"{source.path} {source.when}\n{source.text}" for source in sources))
    said = _MARK.sub(lambda mark: mark[0] if int(mark[1]) in known else "", _text(value, "answer"))
    text, left_out = grounded(said, ground, paths, _MARK)
    text, uncited = cited(text, _MARK)
    # Without a citation that holds there is no answer, whatever it says.
    marked = {int(mark) for mark in _MARK.findall(text)} & known
    kept = tuple(dict.fromkeys(each for each in citations if each.number in marked))
    return Answered(text if kept else "", kept, (*refused, *left_out, *uncited))


def _text(value: Any, key: str) -> str:
    said = value.get(key) if isinstance(value, dict) else None
    return harmless(said).strip() if isinstance(said, str) else ""
