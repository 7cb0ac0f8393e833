"""Contradictions between pages, as a model sees them: which pairs it is asked about, and what it may report."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.lint import Finding
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import ungrounded
from ai_memory.compile.request import TEXT, TEXTS, Budget, closed
from ai_memory.llm.asking import Ask
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.handoff import one_line, shortened
from ai_memory.model.page import collision_key

KIND = "contradiction"
PURPOSE = "lint"
TIERS = ("semantic", "procedural")
_PREVIEW, _MESSAGE, _QUOTE = 400, 300, 200
_SEVERITIES = ("warning", "info")
#: So many pairs are asked about.
_PAIRS = 40
#: Words, and of scripts without spaces each two signs.
_WORD = re.compile(r"[^\W_]{3,}")
_DENSE = re.compile(r"(?=([\u3040-\u30ff\u3400-\u9fff]{2}))")

SCHEMA = closed(
    findings={
        "type": "array",
        "items": closed(
            pages=TEXTS,
            quotes=TEXTS,
            message=TEXT,
            severity={"type": "string", "enum": list(_SEVERITIES)},
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A page that may contradict another: its path, title, tier and body."""

    path: str
    title: str
    tier: str
    body: str

    @property
    def preview(self) -> str:
        """What the model is shown of it."""
        return f"{self.path}: {one_line(self.title)}\n{self.body.strip()[:_PREVIEW]}"


Pair = tuple[Statement, Statement]


def likely(pages: Sequence[Statement]) -> list[Pair]:
    """Give the pairs that may be about the same thing, first those with the most and rarest words in common."""
    words = [_words(page.preview) for page in pages]
    spread = Counter(word for each in words for word in each)
    scores = {
        (n, m): sum(1 / spread[word] for word in words[n] & words[m]) for n, m in combinations(range(len(pages)), 2)
    }
    found = sorted((pair for pair, score in scores.items() if score), key=lambda pair: (-scores[pair], pair))
    return [(pages[n], pages[m]) for n, m in found[:_PAIRS]]


def asks(pairs: Sequence[Pair], budget: Budget) -> list[tuple[Ask, Sequence[Pair]]]:
    """Ask about pairs of pages that say what holds, each once; gives requests within the budget, each with its pairs.

    Args:
        pairs: the likeliest first; pairs with a page that tells what happened are passed over.
        budget: of one request.

    Raises:
        BudgetTooSmallError: a request can hold hardly anything.
    """
    told = prompt("contradictions")
    room = budget.room(told.text, json.dumps(SCHEMA))
    groups: list[tuple[str, list[Pair]]] = []
    seen = set()
    for pair in pairs:
        key = frozenset(page.path for page in pair)
        if key in seen or len(key) == 1 or any(page.tier not in TIERS for page in pair):
            continue
        seen.add(key)
        text = fenced("pair", "\n\n".join(page.preview for page in pair))
        if groups and estimated_tokens(groups[-1][0] + text) <= room:
            groups[-1] = (groups[-1][0] + text, [*groups[-1][1], pair])
        else:
            groups.append((text, [pair]))
    return [
        (Ask(PURPOSE, told.text, text, SCHEMA, budget.max_output_tokens, temperature=0.1), tuple(group))
        for text, group in groups
    ]


def read(value: Any, asked: Sequence[Pair]) -> tuple[list[Finding], list[Refusal]]:
    """Read an answer: one finding a pair at most, whose quotations are in the pages; and what was not taken."""
    by_paths = {frozenset(collision_key(page.path) for page in pair): pair for pair in asked}
    items = value.get("findings") if isinstance(value, dict) else None
    found: dict[tuple[str, ...], Finding] = {}
    refused = []
    for n, each in enumerate(items if isinstance(items, list) else [], start=1):
        item = each if isinstance(each, dict) else {}
        message = shortened(_text(item.get("message")) or _text(item.get("summary")), _MESSAGE)
        pair = by_paths.get(frozenset(map(collision_key, _texts(item.get("pages")))))
        quotes = _texts(item.get("quotes"))
        problem = _problem(pair, message, quotes)
        if pair is None or problem:
            refused.append(Refusal(shortened(message, 80) or f"item {n}", problem))
            continue
        severity = _text(item.get("severity")).lower()
        detail = " / ".join(shortened(quote, _QUOTE) for quote in quotes[:2])
        paths = tuple(sorted(page.path for page in pair))
        finding = Finding(KIND, severity if severity in _SEVERITIES else "warning", message, list(paths), detail)
        found.setdefault(paths, finding)
    return list(found.values()), refused


def _words(text: str) -> set[str]:
    text = text.casefold()
    return set(_WORD.findall(text)) | set(_DENSE.findall(text))


def _problem(pair: Pair | None, message: str, quotes: Sequence[str]) -> str:
    if pair is None:
        return "it is not about a pair of pages that was asked about"
    if not message:
        return "it has no message"
    one, other = (Ground(page.preview) for page in pair)
    both = len(quotes) == 2 and any(
        first.holds(quotes[0]) and second.holds(quotes[1]) for first, second in ((one, other), (other, one))
    )
    if not both:
        return "its quotations are not in the two pages"
    alien = Ground(*(page.preview for page in pair)).missing(message)
    return ungrounded(message, alien).why if alien else ""


def _text(value: Any) -> str:
    return one_line(harmless(value)) if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [text for each in (value if isinstance(value, list) else []) if (text := _text(each))]
