"""A repository's own words become pages: what a model is asked about them, and what of its answers is kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from ai_memory.capture.plain import harmless
from ai_memory.compile.drafts import Refusal
from ai_memory.compile.grounding import Ground
from ai_memory.compile.names import free_path, slug
from ai_memory.compile.prompts import fenced, prompt
from ai_memory.compile.prose import line_of, named, unlinked
from ai_memory.compile.request import TEXT, TEXTS, closed
from ai_memory.compile.sources import Plan, Source
from ai_memory.llm.asking import Ask
from ai_memory.llm.closed import problems
from ai_memory.llm.prices import Prices, cost
from ai_memory.model.front import parts
from ai_memory.model.handoff import one_line, shortened, stamp
from ai_memory.model.page import collision_key, composed, with_keys

PURPOSE = "bootstrap"
#: The page whose presence says that it was done.
MANIFEST = "bootstrap.md"
#: Front matter of a page that was made so.
MARK = "bootstrapped_at"
#: Where such pages are.
FOLDERS = frozenset({"concepts", "decisions", "gotchas", "procedures"})
#: Tokens of an answer: to one of several questions, and to a single one.
_ANSWER, _WHOLE_ANSWER = 16_000, 64_000
_TAGS, _RATIONALE = 5, 600
_NUMBERED = re.compile(r"\A\d{3,6}[-_ ]+")
_DECISION = re.compile(r"decisions/(\d{4,6})-")
_HEADING = re.compile(r"\A\s*# [^\n]*\n*")

_PAGE = closed(path=TEXT, title=TEXT, body_markdown=TEXT, tags=TEXTS)
SCHEMA = closed(pages={"type": "array", "items": _PAGE}, rationale=TEXT)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A page that a model has written: path in the project's folder, title, body without heading, tags."""

    path: str
    title: str
    body: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What is kept of one answer."""

    pages: tuple[Drafted, ...]
    refused: tuple[Refusal, ...]
    rationale: str


def ask_of(chunk: Sequence[Source], made: Sequence[str], decision: int, *, whole: bool) -> Ask:
    """Ask about some of the sources.

    Args:
        chunk: they.
        made: paths that answers before this one made.
        decision: the number of the next decision.
        whole: whether these are all the sources.
    """
    known = "".join(f"- {path}\n" for path in made)
    user = "\n".join(
        part
        for part in (
            input_of(chunk),
            f"These pages are there already; do not write them again, but link to them:\n{known}" if made else "",
            f"The next decision has the number {decision:04}.\n",
        )
        if part
    )
    return Ask(PURPOSE, prompt(PURPOSE).text, user, SCHEMA, max_tokens=_WHOLE_ANSWER if whole else _ANSWER)


def cost_of(plan: Plan, provider: str, model: str, prices: Prices) -> tuple[float, float] | None:
    """Estimate what a plan costs, in dollars: what is sent, and with it the longest answers; None if no row says it."""
    answers = _WHOLE_ANSWER if len(plan.chunks) == 1 else _ANSWER * len(plan.chunks)
    sent = cost(provider, model, plan.tokens, 0, prices)
    most = cost(provider, model, plan.tokens, answers, prices)
    return None if sent is None or most is None else (sent, most)


def input_of(chunk: Sequence[Source]) -> str:
    """Write sources as a model reads them: each between lines that it cannot close by itself."""
    return "\n".join(fenced("source", f"{source.label}\n\n{source.text}") for source in chunk)


def next_decision(paths: Iterable[str]) -> int:
    """Give the number after the highest that a decision among these pages has."""
    return 1 + max((int(found[1]) for path in paths if (found := _DECISION.match(path))), default=0)


def read(value: Any, chunk: Sequence[Source], taken: Collection[str], decision: int) -> Part:
    """Read an answer; a page of it that cannot be kept is refused alone.

    Args:
        value: the answer's JSON object.
        chunk: the sources that it was about.
        taken: paths of earlier answers, and of pages that it may not replace.
        decision: the number of the next decision.
    """
    items = _items(value)
    stems = {path.removesuffix(".md") for path in (*taken, *(str(item.get("path")) for item in items))}
    links = {each for stem in stems for each in (stem, f"{stem}.md")}
    ground = Ground(*(f"{source.label}\n{source.text}" for source in chunk))
    keys = {collision_key(path) for path in taken}
    pages: list[Drafted] = []
    refused: list[Refusal] = []
    renamed: dict[str, str] = {}
    for item in items:
        what = shortened(" ".join(str(item.get("path") or item.get("title") or "a page").split()), 200)
        if wrong := problems(item, _PAGE):
            refused.append(Refusal(what, f"it is not what was asked for: {wrong[0]}"))
            continue
        title = one_line(harmless(item["title"]))
        body = _HEADING.sub("", parts(harmless(item["body_markdown"])).body.strip()).strip()
        if not title or not body:
            refused.append(Refusal(what, "it says nothing"))
            continue
        folder, name, number = _named(item["path"], title, decision, ground)
        path = f"{folder}/{name}.md"
        if collision_key(path) in keys or _has_decision(folder, name, keys):
            refused.append(Refusal(what, "there is such a page already"))
            continue
        if alien := ground.missing(unlinked(f"{title}\n{body}", links)):
            refused.append(Refusal(what, f"nothing that it was told says {shortened(alien, 80)!r}"))
            continue
        path = free_path(folder, name, title, keys)
        keys.add(collision_key(path))
        decision = max(decision, number + 1)
        renamed[item["path"].removesuffix(".md")] = path.removesuffix(".md")
        tags = tuple(dict.fromkeys(tag for each in item["tags"] if (tag := slug(each)) and not ground.missing(tag)))[
            :_TAGS
        ]
        pages.append(Drafted(path, title, body, tags))
    rationale = line_of(value, "rationale", _RATIONALE)
    return Part(
        tuple(_linked(page, renamed) for page in pages),
        tuple(refused),
        "" if ground.missing(rationale) else rationale,
    )


def _items(value: Any) -> list[Mapping[str, Any]]:
    """List the pages of an answer; what is no object stands there as an empty one."""
    items = value.get("pages") if isinstance(value, dict) else None
    return [item if isinstance(item, dict) else {} for item in items] if isinstance(items, list) else []


def page_text(page: Drafted, at: datetime) -> str:
    """Write a page as it is kept."""
    text = composed(
        None, f"# {page.title}\n\n{page.body}\n", path=page.path, title=page.title, tier="semantic", tags=page.tags
    )
    return with_keys(text, {MARK: stamp(at)})


def manifest(
    plan: Plan, pages: Sequence[Drafted], refused: Sequence[Refusal], rationales: Sequence[str], at: datetime
) -> str:
    """Write the page that says what was done: from how much, why so, and which pages it made."""
    kinds = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in plan.by_kind.items() if count)
    left = f"; refused: {len(refused):,}" if refused else ""
    body = "\n\n".join(
        part
        for part in (
            "# Bootstrap",
            (
                f"These pages were written from what the repository said of itself on {stamp(at)}: {plan.sent:,} of "
                f"{plan.collected:,} sources ({kinds}), about {plan.tokens:,} tokens in {len(plan.chunks)} "
                f"question{'' if len(plan.chunks) == 1 else 's'}{left}."
            ),
            "## Pages",
            "\n".join(f"- [[{page.path}|{_plain(page.title)}]]" for page in pages) or "None.",
            *(["## Why so", *(each for each in rationales if each)] if any(rationales) else []),
        )
    )
    text = composed(None, f"{body}\n", path=MANIFEST, title="Bootstrap", tier="semantic", pinned=True)
    return with_keys(text, {MARK: stamp(at)})


def _named(path: str, title: str, decision: int, ground: Ground) -> tuple[str, str, int]:
    """Give folder and name of a page, and the number of a decision, 0 for others."""
    given = PurePosixPath(path.replace("\\", "/"))
    folder = given.parts[0].lower() if len(given.parts) > 1 else ""
    if folder not in FOLDERS:
        return "concepts", named(given.stem, title, ground), 0
    if folder != "decisions":
        return folder, named(given.stem, title, ground), 0
    # Its number is ours to give: two answers may have thought of the same.
    return folder, f"{decision:04}-{named(_NUMBERED.sub('', given.stem), title, ground)}", decision


def _has_decision(folder: str, name: str, keys: Collection[str]) -> bool:
    """Tell whether a decision of this name is there under another number."""
    if folder != "decisions":
        return False
    bare = collision_key(_NUMBERED.sub("", name))
    return any(_NUMBERED.sub("", key.removeprefix("decisions/")) == f"{bare}.md" for key in keys)


def _linked(page: Drafted, renamed: Mapping[str, str]) -> Drafted:
    """Make links of an answer's pages to each other lead to the paths that these have got."""
    body = page.body
    for old, new in renamed.items():
        if old != new and old:
            body = re.sub(rf"(?<=\[\[){re.escape(old)}(?=(\.md)?[\]|#])", new, body)
    return page if body == page.body else Drafted(page.path, page.title, body, page.tags)


def _plain(title: str) -> str:
    return title.replace("[", "(").replace("]", ")").replace("|", "/")
