"""Auto-improvement: what a model proposes to write down after a session, and which of it may be put before a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.consolidate import BODY_LIMIT, TITLE_LIMIT
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.projection import matters, projected, shortened_within, users_words
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import line_of, named, ungrounded
from ai_memory.compile.request import TEXT, TEXTS, Budget, closed
from ai_memory.llm.asking import Ask
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.event import Observation
from ai_memory.model.handoff import one_line, shortened
from ai_memory.model.page import collision_key

PURPOSE = "auto-improve"
#: What a proposal may be about: these folders, and one slot.
TARGETS = ("concepts", "decisions", "gotchas", "procedures", "_rules")
FOCUS = "_slots/current-focus.md"
KINDS = ("gotcha", "decision", "concept", "procedure", "rule", "fact", "note", "slot")
#: The evidence that is no page.
SESSION = "session"
LEAST_CONFIDENCE = 0.75
_ANSWER = 16_000
_PAGE = 32_000
#: Characters of an observation.
_CAPS = (1_500, 300, 0)
_SAMPLE, _SAMPLE_WITHOUT_PAGE = 48, 72
_REASON, _QUOTE, _QUOTES, _LISTED = 600, 300, 3, 20

SCHEMA = closed(
    summary=TEXT,
    proposals={
        "type": "array",
        "items": closed(
            operation={"type": "string", "enum": ["create_or_update"]},
            path=TEXT,
            title=TEXT,
            kind={"type": "string", "enum": list(KINDS)},
            confidence={"type": "number"},
            rationale=TEXT,
            evidence={"type": "array", "items": closed(page=TEXT, quote=TEXT)},
            edit_mode={"type": "string", "enum": ["full", "patch"]},
            body_markdown=TEXT,
            edits={"type": "array", "items": closed(find=TEXT, replace=TEXT)},
            expected_base_body_sha256=TEXT,
        ),
    },
    rejected_candidates=TEXTS,
    warnings=TEXTS,
)


@dataclass(frozen=True, slots=True)
class PageNow:
    """A page as it is: its title and body, whether it is pinned, and whether rules or models wrote all of it."""

    title: str
    body: str
    pinned: bool = False
    automatic: bool = True

    @property
    def digest(self) -> str:
        """The SHA-256 of the body, in hexadecimal digits."""
        return hashlib.sha256(self.body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quotation, and the path of the page that it is from, or "session"."""

    page: str
    quote: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A page to write or to change.

    Attributes:
        path, title, kind: of the page.
        body: all of what its body would be.
        confidence: 0..1.
        rationale: why a later session needs it.
        evidence: what it rests on, each found where it is said to be.
        edit_mode: "full" or "patch".
        edits: of a patch, (find, replace).
        base: the digest of the body that it was made for, "" for a new page.
    """

    path: str
    title: str
    kind: str
    body: str
    confidence: float
    rationale: str
    evidence: tuple[Evidence, ...]
    edit_mode: str
    edits: tuple[tuple[str, str], ...] = ()
    base: str = ""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What came of an answer: proposals, those that cannot be put before anybody and why, and the model's own words."""

    summary: str
    proposals: tuple[Proposal, ...]
    refused: tuple[Refusal, ...]
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """What a review works with.

    Attributes:
        observations: of the session, in stored order.
        page: the body of the session's page, or "".
        pages: the project's pages by path, those that matter most first; an answer is compared with all of them.
        rejected: title -> text of what was proposed before and not wanted.
    """

    observations: Sequence[Observation]
    page: str
    pages: Mapping[str, PageNow]
    rejected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and its stored text: that of the session, and all of it."""

    ask: Ask
    session: str
    text: str


def question(review: Review, budget: Budget) -> Question:
    """Ask for proposals; the request stays within the budget, and says which pages had no room.

    Raises:
        BudgetTooSmallError: a request can hold hardly anything.
    """
    told = prompt("improve")
    room = budget.room(told.text, json.dumps(SCHEMA))
    parts = projected(_sample(review), room // 2, _CAPS)
    session = "(Earlier observations had no room.)\n" if len(parts) > 1 else ""
    session += fenced("observations", parts[-1])
    page = fenced("page", shortened_within(review.page, _PAGE))
    session += page if estimated_tokens(session + page) <= room * 3 // 4 else "(There was no room for the page.)\n"
    text = session + fenced("rejected", "\n".join(map(one_line, list(review.rejected)[:_LISTED])))
    left = room - estimated_tokens(text) - 100
    hidden = 0
    for path, base in review.pages.items():
        block = fenced("existing", f"{path} ({base.digest}): {one_line(base.title)}\n\n{base.body}")
        size = estimated_tokens(block)
        if size > left:
            hidden += 1
            continue
        left -= size
        text += block
    if hidden:
        text += f"({hidden:,} more pages had no room.)\n"
    return Question(Ask(PURPOSE, told.text, text, SCHEMA, min(_ANSWER, budget.max_output_tokens)), session, text)


def read(value: Any, asked: Question, review: Review, *, least_confidence: float = LEAST_CONFIDENCE) -> Reviewed:
    """Read an answer; a proposal that cannot be made is refused alone, with the reason."""
    value = value if isinstance(value, dict) else {}
    items = value.get("proposals")
    ground, session = Ground(asked.text), Ground(asked.session)
    kept: dict[str, Proposal] = {}
    refused = []
    for n, item in enumerate(items if isinstance(items, list) else [], start=1):
        try:
            proposal = _proposal(item, review, ground, session, least_confidence)
        except _RefusedError as error:
            refused.append(Refusal(line_of(item, "title", 80) or line_of(item, "path", 80) or f"item {n}", str(error)))
            continue
        if kept.setdefault(collision_key(proposal.path), proposal) is not proposal:
            refused.append(Refusal(proposal.title, "another proposal of the same answer is about this page"))
    return Reviewed(
        line_of(value, "summary", _REASON),
        tuple(kept.values()),
        tuple(refused),
        tuple(_lines(value.get("rejected_candidates"))),
        tuple(_lines(value.get("warnings"))),
    )


def patched(body: str, edits: Sequence[tuple[str, str]]) -> str:
    """Apply edits one after the other.

    Raises:
        ValueError: the text to replace is not there exactly once.
    """
    for find, put in edits:
        count = body.count(find) if find else 0
        if count != 1:
            raise ValueError(f"{shortened(one_line(find), 60)!r} is in the page {count} times, not once")
        body = body.replace(find, put)
    return body


class _RefusedError(ValueError):
    """A proposal cannot be made."""


def _proposal(item: Any, review: Review, ground: Ground, session: Ground, least: float) -> Proposal:
    if not isinstance(item, dict):
        raise _RefusedError("it is no object")
    title = line_of(item, "title", TITLE_LIMIT)
    if not title:
        raise _RefusedError("it has no title")
    path, kind = _target(item, title, ground)
    keys = {collision_key(each): each for each in review.pages}
    path = keys.get(collision_key(path), path)
    base = review.pages.get(path)
    if base and path != FOCUS and (base.pinned or not base.automatic):
        raise _RefusedError(f"{path} {'is pinned' if base.pinned else 'was written by a person or an agent'}")
    confidence = _confidence(item.get("confidence"))
    if confidence < least:
        raise _RefusedError(f"its confidence is {confidence:.2f}, below {least:.2f}")
    said = line_of(item, "expected_base_body_sha256", 64).lower()
    if base and said != base.digest:
        raise _RefusedError(f"it was not made for the text that {path} has now")
    mode, edits, body = _edited(item, base)
    _check_new(title, body, path, review)
    rationale = line_of(item, "rationale", _REASON)
    written = "\n\n".join([title, rationale, *((put for _, put in edits) if edits else (body,))])
    if alien := ground.missing(written):
        raise _RefusedError(ungrounded(title, alien).why)
    evidence = _evidence(item, review, session)
    if not evidence:
        raise _RefusedError("none of its evidence is where it is said to be")
    said_by_user = Ground(*users_words(review.observations)) if kind == "rule" else None
    if said_by_user and not any(said_by_user.holds(each.quote) for each in evidence):
        raise _RefusedError("none of its evidence is in the user's words, and others make no rules")
    return Proposal(path, title, kind, body, confidence, rationale, evidence, mode, edits, base.digest if base else "")


def _target(item: Mapping[str, Any], title: str, ground: Ground) -> tuple[str, str]:
    said = line_of(item, "path", 1_000).strip("/")
    kind = line_of(item, "kind", 40).lower()
    if said == FOCUS:
        return FOCUS, "slot"
    folder, _, rest = said.partition("/")
    if kind == "rule":
        folder = "_rules"
    if folder not in TARGETS:
        raise _RefusedError(f"{shortened(said, 80)!r} is no page that may be proposed: {', '.join(TARGETS)} or {FOCUS}")
    kind = kind if kind in KINDS and kind != "slot" else {"_rules": "rule"}.get(folder, folder.rstrip("s"))
    stem = rest.removesuffix(".md").replace("/", " ")
    return f"{folder}/{named(stem, title, ground)}.md", kind


def _confidence(value: Any) -> float:
    """Read a number from 0 to 1; 85 and "85%" are 0.85."""
    try:
        number = float(str(value).strip().rstrip("%"))
    except ValueError:
        return 0.0
    number = number / 100 if 1 < number <= 100 else number
    return number if 0 <= number <= 1 else 0.0


def _edited(item: Mapping[str, Any], base: PageNow | None) -> tuple[str, tuple[tuple[str, str], ...], str]:
    said = item.get("edits")
    edits = tuple(
        (harmless(each["find"]), harmless(each["replace"]))
        for each in (said if isinstance(said, list) else [])
        if isinstance(each, dict) and isinstance(each.get("find"), str) and isinstance(each.get("replace"), str)
    )
    full = item.get("body_markdown")
    full = harmless(full).strip() if isinstance(full, str) else ""
    if full and not (edits and line_of(item, "edit_mode", 20).lower() == "patch"):
        mode, edits, body = "full", (), full + "\n"
    elif base is None or not edits:
        raise _RefusedError("it has no text" if not edits else "it edits a page that is not there")
    else:
        try:
            mode, body = "patch", patched(base.body, edits)
        except ValueError as error:
            raise _RefusedError(str(error)) from None
    if len(body) > BODY_LIMIT:
        raise _RefusedError(f"the page would be longer than {BODY_LIMIT:,} characters")
    return mode, edits, body


def _plain(text: str) -> str:
    """Give a text as it is compared: what it says, not how it is broken into lines or capitals."""
    return one_line(text).casefold()


def _check_new(title: str, body: str, path: str, review: Review) -> None:
    """Refuse what is written down already, and what nobody wanted."""
    if any(_plain(title) == _plain(former) or _plain(body) in _plain(text) for former, text in review.rejected.items()):
        raise _RefusedError("it was rejected before")
    for other, base in review.pages.items():
        if _plain(body) in _plain(base.body):
            raise _RefusedError(f"{other} says so already")
        if other != path and _plain(title) == _plain(base.title):
            raise _RefusedError(f"{other} has this title already")


def _evidence(item: Mapping[str, Any], review: Review, session: Ground) -> tuple[Evidence, ...]:
    said = item.get("evidence")
    found = []
    for each in said if isinstance(said, list) else []:
        page, quote = line_of(each, "page", 300), line_of(each, "quote", 10_000)
        base = review.pages.get(page)
        place = Ground(base.body) if base else session if page == SESSION or page.startswith("sessions/") else None
        if quote and len(quote) <= _QUOTE and place and place.holds(quote):
            found.append(Evidence(page, quote))
    return tuple(dict.fromkeys(found))[:_QUOTES]


def _sample(review: Review) -> list[Observation]:
    """Choose observations: what was said and what failed first, the newest first, in their order."""
    most = _SAMPLE if review.page else _SAMPLE_WITHOUT_PAGE
    order = sorted(range(len(review.observations)), key=lambda n: (not matters(review.observations[n]), -n))
    return [review.observations[n] for n in sorted(order[:most])]


def _lines(value: Any) -> Collection[str]:
    items = value if isinstance(value, list) else []
    return [shortened(one_line(harmless(each)), _REASON) for each in items if isinstance(each, str)][:_LISTED]
