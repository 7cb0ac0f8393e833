"""Consolidation: what a model is asked about a session, part by part, and how its answers become pages."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Drafted, PageDraft, Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.names import digest, free_path
from ai_memory.compile.projection import projected, shortened_within, users_words
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import (
    grounded,
    line_of,
    link_key,
    named,
    relinked,
    targets_of,
    ungrounded,
    unlinked,
    without_links,
)
from ai_memory.compile.request import TEXT, TEXTS, Budget, closed
from ai_memory.compile.session_page import session_path
from ai_memory.errors import BadRequestError
from ai_memory.llm.asking import Ask
from ai_memory.llm.tokens import estimated_tokens
from ai_memory.model.event import Observation
from ai_memory.model.handoff import one_line, shortened, stamp
from ai_memory.model.page import TIERS, collision_key
from ai_memory.model.session import Session

PURPOSE = "consolidation"
TITLE_LIMIT, BODY_LIMIT, SUMMARY_LIMIT = 200, 48_000, 600
#: So many pages an answer may propose.
MOST_PAGES = 5
_TAGS, _TAG, _QUOTES, _QUOTE = 5, 40, 3, 300

_PREFERENCES, _PAGE, _SLOT = 2_000, 20_000, 1_200
#: What a request may hold beside the observations, in parts of what there is room for.
_CONTEXT, _TITLES, _EARLIER = 4, 20, 8

#: Folder -> the kind of its pages, as a consolidation may write them.
FOLDERS = {
    "decisions": "decision",
    "gotchas": "gotcha",
    "concepts": "concept",
    "procedures": "procedure",
    "_rules": "rule",
    "_slots": "slot",
}
_FOLDER_OF = {kind: folder for folder, kind in FOLDERS.items()} | {"fact": "concepts"}
_KINDS = (*_FOLDER_OF,)
_OTHER_NAMES = {
    "adr": "decision",
    "choice": "decision",
    "pitfall": "gotcha",
    "lesson": "gotcha",
    "bug": "gotcha",
    "howto": "procedure",
    "how-to": "procedure",
    "runbook": "procedure",
    "preference": "rule",
    "policy": "rule",
    "note": "fact",
}
_TOP_HEADING = re.compile(r"\A\s*#[ \t]+[^\n]*\n*")
_RAW_SECTION = re.compile(r"^## Raw observations\n.*?(?=^## |^\*|\Z)", re.MULTILINE | re.DOTALL)


PAGE_SCHEMA = closed(title=TEXT, summary=TEXT, body_markdown=TEXT, tags=TEXTS)
BATCH_SCHEMA = closed(
    updates={
        "type": "array",
        "items": closed(
            path=TEXT,
            title=TEXT,
            kind={"type": "string", "enum": list(_KINDS)},
            tier={"type": "string", "enum": list(TIERS)},
            summary=TEXT,
            body_markdown=TEXT,
            tags=TEXTS,
            evidence=TEXTS,
            slot_kind={"type": "string", "enum": ["none", "state", "invariant"]},
            supersedes=TEXT,
        ),
    },
    drop=TEXTS,
    rationale=TEXT,
)


#: What came of no answer at all.
NOTHING = Drafted()


@dataclass(frozen=True, slots=True)
class Known:
    """A page that is there.

    Attributes:
        title: of the page.
        pinned: whether it is; a slot is always.
        slot_kind: "state", "invariant" or "".
        own: whether a former consolidation of the same session wrote it.
    """

    title: str
    pinned: bool = False
    slot_kind: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """What a consolidation works with.

    Attributes:
        session: the session.
        observations: all of them, in stored order.
        page: the body of the session's page, where it says more than the observations do, else "".
        existing: the project's pages by path, the most important first.
        slots: the bodies of slots by path.
        preferences: what the project wants of its pages, in its own words, or "".
    """

    session: Session
    observations: Sequence[Observation]
    page: str = ""
    existing: Mapping[str, Known] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    preferences: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """One request about a part of a session.

    Attributes:
        ask: what the model is asked.
        text: the stored text in it, which the answer has to be grounded in.
        number, of: which part of how many.
        spare: tokens that are kept free for what came of the parts before.
    """

    ask: Ask
    text: str
    number: int
    of: int
    spare: int


def windows(material: Material, budget: Budget, *, batch: bool) -> list[Window]:
    """Plan the requests about a session, in its order; each stays within the budget with everything that is in it.

    Args:
        material: the session, and what is known already.
        budget: of one request.
        batch: ask for small pages; else for the session's own page.

    Raises:
        BadRequestError: the session has no observations, or the budget is too small.
    """
    if not material.observations:
        raise BadRequestError(f"session {material.session.id} has no observations that a page could be made of")
    told = prompt("consolidate_batch" if batch else "consolidate")
    schema = BATCH_SCHEMA if batch else PAGE_SCHEMA
    room = budget.room(told.text, json.dumps(schema))
    advice = fenced("preferences", json.dumps(material.preferences[:_PREFERENCES], ensure_ascii=False))
    advice = advice if material.preferences and estimated_tokens(advice) <= room // _CONTEXT else ""
    context = _context(material, room // _CONTEXT - estimated_tokens(advice), room // _TITLES, batch=batch)
    spare = room // _EARLIER
    # The heading of each part, and the lines around each block.
    left = room - spare - estimated_tokens(advice) - estimated_tokens(context) - 200
    parts = projected(material.observations, left)
    planned = []
    for number, part in enumerate(parts, start=1):
        text = f"{context}{fenced('observations', part)}"
        heading = _heading(material.session, number, len(parts))
        ask = Ask(PURPOSE, told.text, f"{heading}\n{advice}{text}", schema, budget.max_output_tokens)
        planned.append(Window(ask, text, number, len(parts), spare))
    return planned


def after(window: Window, earlier: Drafted) -> Window:
    """Give a window with what came of the parts before it, so that a correction can be made where it belongs."""
    told = ""
    for page in reversed(earlier.pages):
        whole = f"{page.path}: {page.title}\n{page.summary}\n\n{page.body}\n"
        short = f"{page.path}: {page.title}\n{page.summary}\n"
        for form in (whole, short):
            if estimated_tokens(fenced("drafts", form + told)) <= window.spare:
                told = form + told
                break
    if not told:
        return window
    block = fenced("drafts", told)
    return replace(window, ask=replace(window.ask, user=window.ask.user + block), text=window.text + block)


def read_page(value: Any, ground: Ground, material: Material) -> Drafted:
    """Read an answer about a session's own page.

    What a paragraph or an item names and the input does not hold is not taken, and neither is the rest of it; the
    other ones are.

    Args:
        value: the answer.
        ground: the texts of the window, and of those before it.
        material: what was asked about.
    """
    session = material.session
    item = value if isinstance(value, dict) else {}
    title, summary, body = line_of(item, "title", TITLE_LIMIT), line_of(item, "summary", SUMMARY_LIMIT), _body(item)
    body, refused = grounded(relinked(body, targets_of(material.existing)), ground, material.existing)
    if alien := ground.missing(title):
        refused.append(ungrounded(title, alien))
        title = ""
    if alien := ground.missing(summary):
        refused.append(ungrounded(summary, alien))
        summary = ""
    if not body:
        refused.append(Refusal(title or str(session.id), "nothing of its text is in the session"))
        return Drafted(refused=tuple(refused))
    page = PageDraft(
        session_path(session.id),
        title or session.title or f"Session {session.id}",
        body,
        "session",
        "episodic",
        summary,
        _tags(item, ground),
        sources=(str(session.id),),
    )
    return Drafted((page,), tuple(refused), rationale=page.title)


def read_batch(value: Any, ground: Ground, material: Material, earlier: Drafted = NOTHING) -> Drafted:
    """Read an answer with small pages; an item that cannot be taken is counted, and leaves the others alone.

    Paths become safe and free ones. An existing page is never written over: the new one supersedes it.

    Args:
        value: the answer.
        ground: the texts of the window, and of those before it.
        material: what was asked about.
        earlier: what came of the parts before.
    """
    items = value.get("updates") if isinstance(value, dict) else None
    items = items if isinstance(items, list) else [items] if isinstance(items, dict) else []
    refused = [Refusal(_called(item, n), f"an answer has at most {MOST_PAGES} pages") for n, item in _over(items)]
    found = _Answer(material, earlier)
    for n, item in enumerate(items[:MOST_PAGES]):
        if problem := found.add(item, ground):
            refused.append(Refusal(_called(item, n), problem))
    pages = []
    for page in found.pages:
        body = relinked(page.body, found.targets)
        said = "\n\n".join((page.title, page.summary, unlinked(body, found.leads_to)))
        if alien := ground.missing(said):
            refused.append(ungrounded(page.title, alien))
        elif not page.evidence:
            refused.append(Refusal(page.title, "none of its evidence is in the session"))
        elif page.kind == "rule" and not _is_users(page.evidence, material):
            refused.append(Refusal(page.title, "none of its evidence is in the user's words, and others make no rules"))
        else:
            pages.append(replace(page, body=body))
    gone = {page.path for page in found.pages} - {page.path for page in pages}
    pages = [replace(page, body=without_links(page.body, gone)) for page in pages]
    mine = {page.path for page in earlier.pages}
    dropped = [found.targets.get(link_key(path), "") for path in _texts(value, "drop")]
    rationale = shortened(line_of(value, "rationale", SUMMARY_LIMIT), SUMMARY_LIMIT) if isinstance(value, dict) else ""
    return Drafted(tuple(pages), tuple(refused), tuple(path for path in dropped if path in mine), rationale)


class _Answer:
    """The pages of one answer on their way to safe paths."""

    def __init__(self, material: Material, earlier: Drafted) -> None:
        self._material = material
        self._mine = {collision_key(page.path): page.path for page in earlier.pages}
        self._mine |= {collision_key(path): path for path, known in material.existing.items() if known.own}
        self._existing = {collision_key(path): path for path in material.existing}
        #: What the model may have called a page -> its path.
        self.targets = targets_of(material.existing) | self._mine
        self._pages: dict[str, PageDraft] = {}

    @property
    def pages(self) -> list[PageDraft]:
        """In their order."""
        return list(self._pages.values())

    @property
    def leads_to(self) -> Collection[str]:
        """Paths that a link may lead to."""
        return set(self.targets.values())

    def add(self, item: Any, ground: Ground) -> str:
        """Take an item; gives why not, or ""."""
        if not isinstance(item, dict):
            return "it is no object"
        title, body = line_of(item, "title", TITLE_LIMIT), _body(item)
        if not title or not body:
            return "it has no title" if not title else "it has no text"
        if len(body) > BODY_LIMIT:
            return f"it is longer than {BODY_LIMIT:,} characters"
        said = line_of(item, "path", 1_000).strip("/")
        kind, slot_kind = _kind(item, said)
        folder, name = _FOLDER_OF[kind], named(_stem(said), title, ground)
        path, supersedes = self._place(folder, name, title, said)
        former = self._material.existing.get(path)
        if former and former.slot_kind == "invariant" and slot_kind != "invariant":
            return f"{path} holds an invariant, which only another one may change"
        if former and former.pinned and kind != "slot":
            return f"{path} is pinned"
        tier = line_of(item, "tier", 20).lower()
        page = PageDraft(
            path,
            title,
            body,
            kind,
            tier if tier in TIERS else "procedural" if kind == "procedure" else "semantic",
            line_of(item, "summary", SUMMARY_LIMIT),
            _tags(item, ground),
            _evidence(item, ground),
            (str(self._material.session.id),),
            slot_kind,
            supersedes or self._overturned(line_of(item, "supersedes", 1_000), path),
        )
        self._pages.pop(collision_key(path), None)
        self._pages[collision_key(path)] = page
        if said:
            self.targets[link_key(said)] = path
        self.targets[collision_key(path)] = path
        return ""

    def _place(self, folder: str, name: str, title: str, said: str) -> tuple[str, str]:
        """Give the path of a page, and that of the page which it takes the place of, or ""."""
        existing = self._existing.get(link_key(said)) or self._existing.get(collision_key(f"{folder}/{name}.md"))
        path = f"{folder}/{name}.md"
        key = collision_key(existing or path)
        other = self._pages.get(key)
        if other and other.title.casefold() != title.casefold():
            return free_path(folder, name, title, self._taken()), ""
        if key in self._mine or (existing and folder == "_slots"):
            return self._mine.get(key) or existing or path, ""
        if existing and not self._material.existing[existing].pinned:
            seed = f"{self._material.session.id} {existing}"
            return free_path(folder, f"{name}-{digest(seed)}", seed, self._taken()), _replaceable(existing)
        return existing or path, ""

    def _taken(self) -> set[str]:
        return (self._existing.keys() - self._mine.keys()) | self._pages.keys()

    def _overturned(self, said: str, path: str) -> str:
        former = self.targets.get(link_key(said), "") if said else ""
        return _replaceable(former) if former != path and not former.startswith("_slots/") else ""


def _replaceable(path: str) -> str:
    """Give the path of a page, or "" for one of the project as a whole, such as its narrative."""
    return path if "/" in path else ""


def _context(material: Material, room: int, for_titles: int, *, batch: bool) -> str:
    """Write what is known beside the session, the most useful first, and say what there was no room for."""
    blocks = []
    if batch:
        listed = _listed([f"{path}: {one_line(known.title)}" for path, known in material.existing.items()], for_titles)
        slots = "\n".join(f"{path}:\n{shortened_within(text, _SLOT)}" for path, text in material.slots.items())
        blocks = [("pages", listed), ("slots", slots)]
    blocks.append(("page", shortened_within(_RAW_SECTION.sub("", material.page), _PAGE)))
    written = ""
    for name, text in blocks:
        block = fenced(name, text)
        if estimated_tokens(written + block) > room:
            block = f"(There was no room for the {name}.)\n"
        written += block
    return written if estimated_tokens(written) <= room else ""


def _listed(lines: Sequence[str], room: int) -> str:
    kept: list[str] = []
    for line in lines:
        room -= estimated_tokens(line) + 1
        if room < 0:
            return "\n".join([*kept, f"(and {len(lines) - len(kept):,} more that are not listed)"])
        kept.append(line)
    return "\n".join(kept)


def _heading(session: Session, number: int, of: int) -> str:
    part = f", part {number} of {of}, in their order" if of > 1 else ""
    when = f"{stamp(session.started)} to {stamp(session.last)}"
    return f"Session {session.id} of {session.agent}, {when}{part}."


# What an answer says


def _kind(item: Mapping[str, Any], path: str) -> tuple[str, str]:
    """Give the kind of a page, and its kind of slot or ""; whatever word the model took for them."""
    folder = path.partition("/")[0].lower()
    said = line_of(item, "kind", 40).lower()
    kind = _OTHER_NAMES.get(said, said.rstrip("s"))
    of_folder = FOLDERS.get(folder, "")
    if kind not in _KINDS or (kind == "fact" and of_folder) or (of_folder == "slot") != (kind == "slot"):
        kind = kind if kind == "rule" else of_folder or (kind if kind in _KINDS else "fact")
    if kind != "slot":
        return kind, ""
    words = {line_of(item, key, 40).lower() for key in ("slot_kind", "tier", "kind")}
    return kind, "invariant" if "invariant" in words else "state"


def _stem(path: str) -> str:
    folder, _, rest = path.partition("/")
    return (rest if folder in FOLDERS else path).removesuffix(".md").replace("/", " ")


def _body(item: Mapping[str, Any]) -> str:
    value = item.get("body_markdown")
    return _TOP_HEADING.sub("", harmless(value)).strip() if isinstance(value, str) else ""


def _texts(item: Any, key: str) -> list[str]:
    value = item.get(key) if isinstance(item, dict) else None
    value = value if isinstance(value, list) else [value]
    return [one_line(harmless(each)) for each in value if isinstance(each, str) and each.strip()]


def _tags(item: Mapping[str, Any], ground: Ground) -> tuple[str, ...]:
    tags = (tag.lstrip("#").lower() for tag in _texts(item, "tags"))
    short = (tag for tag in tags if tag and len(tag) <= _TAG and not ground.missing(tag))
    return tuple(dict.fromkeys(short))[:_TAGS]


def _evidence(item: Mapping[str, Any], ground: Ground) -> tuple[str, ...]:
    quotes = (quote.strip("\"'“”„«» ") for quote in _texts(item, "evidence"))
    # The beginning of a long one rests on the same words.
    short = (quote if len(quote) <= _QUOTE else quote[:_QUOTE].rpartition(" ")[0] for quote in quotes)
    return tuple(dict.fromkeys(quote for quote in short if ground.holds(quote)))[:_QUOTES]


def _is_users(evidence: Sequence[str], material: Material) -> bool:
    said = Ground(*users_words(material.observations))
    return any(map(said.holds, evidence))


def _over(items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    return ((n, item) for n, item in enumerate(items) if n >= MOST_PAGES)


def _called(item: Any, n: int) -> str:
    return line_of(item, "title", 80) or line_of(item, "path", 80) or f"item {n + 1}"
