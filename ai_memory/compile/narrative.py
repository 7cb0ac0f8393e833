"""The narrative of a project: what it is, how it got here, where it goes; updated so that nothing in it gets lost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.projection import projected
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import ungrounded
from ai_memory.compile.request import TEXT, TEXTS, Budget, BudgetTooSmallError, closed
from ai_memory.compile.session_page import session_path
from ai_memory.llm.asking import Ask
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.event import Kind, Observation
from ai_memory.model.handoff import one_line, shortened, stamp
from ai_memory.model.page import PageChange, bullets, composed, front_matter, with_keys
from ai_memory.model.record import NARRATIVE, NARRATIVE_PAGE
from ai_memory.model.session import Session

PURPOSE = "narrative"
_ITEM, _RESUMING = 600, 1_500
#: So many sessions are listed; all are in the front matter.
_RECENT = 10
_COVERS = "covers"

#: Field -> heading, in the order of the page. `approach` is a table, `resuming` a text, the others are lists.
_SECTIONS = {
    "idea": "The Idea",
    "approach": "Approach",
    "done": "What's Done",
    "operations": "Operations",
    "learnt": "What We've Learnt",
    "goals": "What We Want To Do",
    "suggested": "Suggested Work",
    "resuming": "Resuming",
}
_LISTS = ("idea", "done", "operations", "learnt", "goals", "suggested")
_SOURCES = "Source Transcripts"
_STATUSES = ("complete", "interrupted")

SCHEMA = closed(
    idea=TEXTS,
    approach={"type": "array", "items": closed(decision=TEXT, rationale=TEXT)},
    done=TEXTS,
    operations=TEXTS,
    learnt=TEXTS,
    goals=TEXTS,
    suggested=TEXTS,
    resuming=closed(status={"type": "string", "enum": list(_STATUSES)}, text=TEXT),
    dropped={"type": "array", "items": closed(item=TEXT, reason=TEXT)},
)

_HEADING = re.compile(r"^## +(.+?) *$", re.MULTILINE)
_BULLET = re.compile(r"[-*+] +")
_CELL = re.compile(r"(?<!\\)\|")
_STATUS_LINE = re.compile(r"Status: (complete|interrupted)\.\n*")


@dataclass(frozen=True, slots=True)
class Narrative:
    """The document, taken apart.

    Attributes:
        idea, done, operations, learnt, goals, suggested: the items of these sections.
        approach: decisions in force, each with its rationale.
        status: "complete" or "interrupted".
        resuming: the last piece of work.
        covers: session id -> how many of its observations went into it.
    """

    idea: tuple[str, ...] = ()
    approach: tuple[tuple[str, str], ...] = ()
    done: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    status: str = "interrupted"
    resuming: str = ""
    covers: Mapping[str, int] = field(default_factory=dict)

    def items(self) -> Iterator[tuple[str, str]]:
        """Give section and text of each item; of a decision without its rationale."""
        for section in _SECTIONS:
            if section == "approach":
                yield from ((section, decision) for decision, _ in self.approach)
            elif section in _LISTS:
                yield from ((section, item) for item in getattr(self, section))


@dataclass(frozen=True, slots=True)
class Told:
    """A session that the narrative is to be told: it, and all of its observations."""

    session: Session
    observations: Sequence[Observation]


@dataclass(frozen=True, slots=True)
class Portion:
    """What one request tells: a text, and session id -> observations for those sessions that end in it."""

    text: str
    covers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Update:
    """What came of an answer.

    Attributes:
        narrative: the new one, None when it is refused.
        orphans: items of the old one that are neither there nor dropped with a reason; for them it is refused.
        dropped: (item, reason) of what is not there any more.
        refused: new items that were not taken, and why.
    """

    narrative: Narrative | None
    orphans: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    refused: tuple[Refusal, ...] = ()


def stale_in(narrative: Narrative | None, sessions: Iterable[Session]) -> list[Session]:
    """Give the sessions that the narrative does not know, or not to their present end, oldest first."""
    covers = narrative.covers if narrative else {}
    found = (
        session for session in sessions if session.counts and session.observations > covers.get(str(session.id), 0)
    )
    return sorted(found, key=lambda session: (session.started, session.id))


def portions(sessions: Sequence[Told], budget: Budget) -> list[Portion]:
    """Cut what was said in sessions into what one request after the other tells, in their order.

    Raises:
        BudgetTooSmallError: a request can hold hardly anything.
    """
    room = _room(budget) // 2
    found: list[Portion] = []
    for told in sessions:
        said = [each for each in told.observations if each.kind in (Kind.USER_PROMPT, Kind.STOP)]
        heading = f"Session {told.session.id} of {told.session.agent}, {stamp(told.session.started)}\n"
        texts = projected(said, room - 2 * estimated_tokens(heading))
        whole = {str(told.session.id): told.session.observations}
        for n, text in enumerate(texts, start=1):
            portion = Portion(f"{heading}{text}\n", whole if n == len(texts) else {})
            if found and n == 1 and estimated_tokens(found[-1].text + portion.text) <= room:
                found[-1] = Portion(found[-1].text + portion.text, {**found[-1].covers, **portion.covers})
            else:
                found.append(portion)
    return found


def ask(old: Narrative | None, portion: Portion, budget: Budget) -> tuple[Ask, Ground]:
    """Ask for an update; gives with it what the answer has to be grounded in.

    Raises:
        BudgetTooSmallError: the old narrative alone fills the request.
    """
    before = _markdown(old) if old else ""
    text = fenced("narrative", before) + fenced("turns", portion.text)
    if estimated_tokens(text) > _room(budget):
        raise BudgetTooSmallError(
            f"the narrative has grown beyond what fits into a request of {budget.max_input_tokens:,} tokens: shorten "
            f"{NARRATIVE_PAGE}, or use a model that takes more"
        )
    return Ask(PURPOSE, prompt("narrative").text, text, SCHEMA, budget.max_output_tokens), Ground(before, portion.text)


def read(value: Any, old: Narrative | None, portion: Portion, ground: Ground) -> Update:
    """Read an answer: the new narrative, or the items that it has lost.

    An item that names what was not in the input is left out alone; then nothing of the old narrative is dropped,
    because that item may have been what took its place.
    """
    old = old or Narrative()
    value = value if isinstance(value, dict) else {}
    known = {_same(item) for _, item in old.items()}
    refused: list[Refusal] = []

    def taken(items: Iterable[str]) -> tuple[str, ...]:
        kept = []
        for item in items:
            alien = "" if _same(item) in known else ground.missing(item)
            if alien:
                refused.append(ungrounded(item, alien))
            else:
                kept.append(item)
        return tuple(dict.fromkeys(kept))

    reasons = {
        _same(decision): rationale for decision, rationale in [*old.approach, *_pairs(value, "approach", "rationale")]
    }
    lists = {section: taken(_lines(value.get(section))) for section in _LISTS}
    decisions = taken(decision for decision, _ in _pairs(value, "approach", "rationale"))
    resuming = value.get("resuming")
    resuming = resuming if isinstance(resuming, dict) else {}
    last = shortened(one_line(harmless(str(resuming.get("text") or ""))), _RESUMING)
    if alien := ground.missing(last):
        refused.append(ungrounded("resuming", alien))
    new = Narrative(
        **lists,
        approach=tuple((each, _grounded(reasons[_same(each)], each, old, ground)) for each in decisions),
        status=resuming["status"] if resuming.get("status") in _STATUSES else "interrupted",
        resuming=old.resuming if alien or not last else last,
        covers={**old.covers, **portion.covers},
    )
    present = {_same(item) for _, item in new.items()}
    gone = {_same(item): reason for item, reason in _pairs(value, "dropped", "reason", "item") if reason}
    missing = [(section, item) for section, item in old.items() if _same(item) not in present]
    if orphans := tuple(item for _, item in missing if _same(item) not in gone):
        return Update(None, orphans, refused=tuple(refused))
    if refused:
        return Update(_with(new, missing, old), refused=tuple(refused))
    return Update(new, dropped=tuple((item, gone[_same(item)]) for _, item in missing))


def content(narrative: Narrative, project: str, recent: Sequence[Session]) -> str:
    """Write the narrative as the text of its page.

    Args:
        narrative: the document.
        project: the project's name.
        recent: sessions that went into it, the newest first.
    """
    rows = [f"{each.last:%Y-%m-%d}: [[{session_path(each.id)}|{_linkable(each)}]]" for each in recent[:_RECENT]]
    rest = len(narrative.covers) - len(rows)
    more = f"\nAnd {rest:,} more: the front matter of this page lists all.\n" if rest > 0 else ""
    listed = f"\n## {_SOURCES}\n\n{bullets(rows)}{more}" if rows or more else ""
    return f"# Narrative of {project}\n\n{_markdown(narrative)}{listed}"


def page(narrative: Narrative, project: str, recent: Sequence[Session], old: str | None = None) -> PageChange:
    """Write the page of the narrative that holds.

    Args:
        narrative, project, recent: as for `content`.
        old: the text that the page has now: what its front matter says of the record that it is stays.
    """
    text = composed(
        old, content(narrative, project, recent), path=NARRATIVE_PAGE, title=f"Narrative of {project}", kind=NARRATIVE
    )
    keys = {"type": "Narrative", "consolidated": True, _COVERS: dict(narrative.covers)}
    return PageChange(NARRATIVE_PAGE, with_keys(text, keys))


def parsed(text: str) -> Narrative:
    """Read a narrative back from its page; what a person wrote into a section is an item of it."""
    front = front_matter(text)
    covers = front.get(_COVERS)
    sections: dict[str, str] = {}
    pieces = _HEADING.split(text)
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        sections[heading] = body.strip()
    lists = {section: tuple(_items_of(sections.get(_SECTIONS[section], ""))) for section in _LISTS}
    resuming = sections.get(_SECTIONS["resuming"], "")
    status = _STATUS_LINE.match(resuming)
    return Narrative(
        **lists,
        approach=tuple(_rows_of(sections.get(_SECTIONS["approach"], ""))),
        status=status[1] if status else "interrupted",
        resuming=one_line(_STATUS_LINE.sub("", resuming, count=1)),
        covers={str(key): n for key, n in covers.items() if type(n) is int} if isinstance(covers, dict) else {},
    )


def _room(budget: Budget) -> int:
    return budget.room(prompt("narrative").text, json.dumps(SCHEMA))


def _with(new: Narrative, missing: Iterable[tuple[str, str]], old: Narrative) -> Narrative:
    """Put old items back into their sections."""
    reasons = dict(old.approach)
    for section, item in missing:
        if section == "approach":
            new = replace(new, approach=(*new.approach, (item, reasons[item])))
        else:
            kept: dict[str, Any] = {section: (*getattr(new, section), item)}
            new = replace(new, **kept)
    return new


def _grounded(rationale: str, decision: str, old: Narrative, ground: Ground) -> str:
    """Give a rationale that the input holds, else the one that the decision had before, or none."""
    before = next((why for each, why in old.approach if _same(each) == _same(decision)), "")
    return rationale if rationale and not ground.missing(rationale) else before


def _same(item: str) -> str:
    return one_line(item).casefold().rstrip(".。")


def _lines(value: Any) -> list[str]:
    items = value if isinstance(value, list) else []
    lines = (one_line(harmless(item)) for item in items if isinstance(item, str))
    return [shortened(_BULLET.sub("", line, count=1), _ITEM) for line in lines if line]


def _pairs(value: Mapping[str, Any], key: str, second: str, first: str = "decision") -> list[tuple[str, str]]:
    items = value.get(key)
    said = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    pairs = ((_lines([item.get(first)]), _lines([item.get(second)])) for item in said)
    return [(one[0], (other or [""])[0]) for one, other in pairs if one]


def _markdown(narrative: Narrative) -> str:
    written = []
    for section, heading in _SECTIONS.items():
        if section == "approach":
            rows = "".join(f"| {_cell(decision)} | {_cell(why)} |\n" for decision, why in narrative.approach)
            content = f"| Decision | Rationale |\n|---|---|\n{rows}" if rows else ""
        elif section == "resuming":
            content = f"Status: {narrative.status}.\n\n{narrative.resuming}\n" if narrative.resuming else ""
        else:
            content = bullets(getattr(narrative, section))
        if content:
            written.append(f"## {heading}\n\n{content}")
    return "\n".join(written)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _items_of(section: str) -> Iterator[str]:
    item = ""
    for line in [*section.splitlines(), ""]:
        bullet = _BULLET.match(line)
        if bullet or not line.strip():
            if item:
                yield item
            item = line[bullet.end() :].strip() if bullet else ""
        else:
            item = f"{item} {line.strip()}".strip()


def _rows_of(section: str) -> Iterator[tuple[str, str]]:
    rows = [line.strip() for line in section.splitlines() if line.strip().startswith("|")]
    for row in rows[2:]:
        cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(row.removeprefix("|"))]
        if cells[0]:
            yield cells[0], cells[1] if len(cells) > 1 else ""


def _linkable(session: Session) -> str:
    return re.sub(r"[\[\]|]", " ", one_line(session.title or f"Session {session.id}"))
