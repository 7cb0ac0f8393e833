"""What a session amounts to, by rules alone: what was asked and answered, decided and left open, touched and broken.

Everything in an account is a quotation from the session; nothing is inferred that is not in its text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import FENCE_END, FENCE_START, shortened
from ai_memory.model.scope import contains, plain_path
from ai_memory.model.title import usable_title

_T = TypeVar("_T")

_QUOTES = 12
_QUOTE_LENGTH = 300

_DECISION = re.compile(
    r"\b(decided|decision:|we (?:will|shall|should) (?:use|keep|go with|not)|we'll (?:use|keep|go with)|"
    r"let'?s (?:use|keep|go with|stick)|going with|chose|chosen|agreed|instead of|rather than|"
    r"always use|never use|must (?:not|never|always)|decidimos|decidido|vamos usar|optamos|"
    r"hemos decidido|wir nehmen|entschieden|nous avons décidé)\b",
    re.IGNORECASE,
)
#: How a sentence gives its reason, or the one before it its.
_REASON = re.compile(r"\b(because|so that|porque|para que|weil|damit|parce que)\b.*", re.IGNORECASE | re.DOTALL)
_REASON_SENTENCE = re.compile(
    r"^(because|so that|that way|this way|otherwise|(?:the )?reasons?\b|why:|"
    r"(?:that|this|it) (?:keeps|avoids|makes|means)\b)",
    re.IGNORECASE,
)
_NEXT_HEADING = re.compile(
    r"(?:^|[.!?]\s+)\W*(next(?: steps?)?|to-?dos?|remaining|still (?:open|to do|missing)|left to do|follow-?ups?|"
    r"próximos passos|próximos pasos|nächste schritte)\W*$",
    re.IGNORECASE,
)
_NEXT_SENTENCE = re.compile(
    r"^(next(?: step)?(?: is|:|,)|to-?do:|remaining:|still (?:open|to do|missing|failing)|what(?:'s| is) left)",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+(?:\[[ xX]\]\s*)?(?P<text>.+)$")
_FENCED_CODE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?？。！])\s+|\n{1,}")
_LINE_DRESS = re.compile(r"^[\s>#*+\-•]+|\*\*|__|^\d+[.)]\s+")


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of the session, who said it ("user" or "agent"), and the reason that they gave with it, or ""."""

    by: str
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A command (or tool) that failed, the beginning of what it said, and whether it worked later on."""

    what: str
    said: str
    fixed: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What a session amounts to.

    Attributes:
        prompts: what the user asked, in order, whole.
        last_answer: the newest answer that was captured, "" if none was.
        finished: whether the agent came to the end of the last turn.
        interruption: why not, when it is known ("interrupt", an error class), else "".
        decisions, questions: sentences that can be quoted.
        next_steps: what the last answer said was left to do.
        files: files that were changed, relative to the session's directory where they lie in it.
        failures: what failed.
        tools: completed calls by tool name.
    """

    prompts: tuple[str, ...]
    last_answer: str
    finished: bool
    interruption: str
    decisions: tuple[Quote, ...]
    questions: tuple[str, ...]
    next_steps: tuple[str, ...]
    files: tuple[str, ...]
    failures: tuple[Failure, ...]
    tools: Counter[str]


def account_of(observations: Sequence[Observation], cwd: str) -> Account:
    """Take the account of a session from its observations, in stored order."""
    prompts = [o.body for o in observations if o.kind is Kind.USER_PROMPT and o.body]
    answers = [o.body for o in observations if o.kind is Kind.STOP and o.body]
    last_answer = answers[-1] if answers else ""
    last_turn = next((o for o in reversed(observations) if o.kind in (Kind.USER_PROMPT, Kind.STOP)), None)
    finished = last_turn is not None and last_turn.kind is Kind.STOP and not last_turn.note
    tail = sentences(last_answer)
    questions = [sentence for sentence in tail if sentence.endswith(("?", "？"))]
    if prompts and not finished and prompts[-1].rstrip().endswith(("?", "？")):
        questions.append(sentences(prompts[-1])[-1])
    return Account(
        prompts=tuple(prompts),
        last_answer=last_answer,
        finished=finished,
        interruption=last_turn.note if last_turn is not None and last_turn.kind is Kind.STOP else "",
        decisions=tuple(_unique(_decisions(observations)))[-_QUOTES:],
        questions=tuple(_unique(questions))[-_QUOTES:],
        next_steps=tuple(_unique(_next_steps(last_answer)))[:_QUOTES],
        files=_files(observations, plain_path(cwd)),
        failures=_failures(observations),
        tools=Counter(o.tool.name for o in observations if o.kind is Kind.POST_TOOL_USE and o.tool),
    )


def _decisions(observations: Sequence[Observation]) -> Iterator[Quote]:
    for observation in observations:
        if observation.kind in (Kind.USER_PROMPT, Kind.STOP):
            by = "user" if observation.kind is Kind.USER_PROMPT else "agent"
            said = sentences(observation.body)
            for sentence, after in zip(said, [*said, ""][1:], strict=True):
                if _DECISION.search(sentence) and not sentence.endswith(("?", "？")):
                    yield Quote(by, sentence, _reason(sentence, after))


def _reason(sentence: str, after: str) -> str:
    """Give the reason that a sentence has in itself, else the one after it where that is one, else ""."""
    if given := _REASON.search(sentence):
        return given[0]
    return after if _REASON_SENTENCE.match(after) else ""


def _next_steps(answer: str) -> Iterator[str]:
    listing = False
    for line in _FENCED_CODE.sub("", answer).splitlines():
        bullet = _BULLET.match(line)
        if listing and bullet:
            yield shortened(bullet["text"].strip(), _QUOTE_LENGTH)
        elif line.strip():
            listing = bool(_NEXT_HEADING.search(line))
    for sentence in sentences(answer):
        if _NEXT_SENTENCE.match(sentence):
            yield sentence


def sentences(text: str) -> list[str]:
    """Take a text apart into sentences and lines, without its code, its bullets and whatever else dresses it up."""
    pieces = _SENTENCE_END.split(_FENCED_CODE.sub("", text))
    plain = (_LINE_DRESS.sub("", piece).strip() for piece in pieces)
    return [shortened(piece, _QUOTE_LENGTH) for piece in plain if len(piece) > 3 and not piece.startswith("<")]


def _files(observations: Sequence[Observation], cwd: str) -> tuple[str, ...]:
    touched: dict[str, None] = {}
    for observation in observations:
        tool = observation.tool
        if tool and tool.writes and tool.outcome != "error":
            for file in tool.files:
                path = plain_path(file)
                if cwd and contains(cwd, path):
                    path = path[len(cwd) :].lstrip("/")
                touched[path] = None
    return tuple(touched)


def _failures(observations: Sequence[Observation]) -> tuple[Failure, ...]:
    failed: dict[str, Failure] = {}
    for observation in observations:
        tool = observation.tool
        if not tool or observation.kind is not Kind.POST_TOOL_USE:
            continue
        what = tool.command or tool.name
        if tool.outcome == "error":
            failed[what] = Failure(what, shortened(observation.body.strip(), _QUOTE_LENGTH), fixed=False)
        elif tool.outcome == "success" and what in failed and tool.command:
            failed[what] = Failure(what, failed[what].said, fixed=True)
    return tuple(failed.values())[-_QUOTES:]


def _unique(items: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(items))


def first_request(account: Account) -> str:
    """Give the first prompt that is a request, "" when there is none."""
    return next((prompt for prompt in account.prompts if usable_title(prompt)), "")


def last_request(account: Account) -> str:
    """Give the last prompt that is a request, "" when there is none."""
    return next((prompt for prompt in reversed(account.prompts) if usable_title(prompt)), "")


def quoted(text: str) -> str:
    """Write text as a markdown block quotation; our own fence markers do not survive in it."""
    for fence in (FENCE_START, FENCE_END):
        text = text.replace(fence, "")
    return "".join(f"> {line}".rstrip() + "\n" for line in text.strip().splitlines())
