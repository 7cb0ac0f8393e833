"""Pages that a model has proposed: as they are kept until they are written, and how their text is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ai_memory.compile.session_page import FOOTER
from ai_memory.model.front import parts
from ai_memory.model.page import PageChange, collision_key, composed, formatted, with_keys

#: Between what a model wrote of a session and what rules made of it.
_OWN_END = "\n\n*Written by a model from what the hooks recorded; by rules:*\n"
#: The tag of pages that count for less in searches.
_SUPERSEDED = "superseded"
_TOP_HEADING = re.compile(r"\A#[ \t][^\n]*\n*")


@dataclass(frozen=True, slots=True)
class PageDraft:
    """One proposed page; everything in it was found grounded.

    Attributes:
        path: in the project's folder, safe and free, or that of a page of the same session.
        title: one line.
        body: markdown, without a heading of the first level.
        kind, tier: as in front matter.
        summary: a sentence, or "".
        tags: at most five.
        evidence: short quotations that occur in the input.
        sources: the ids of the sessions that it is from.
        slot_kind: "state" or "invariant" for a slot, else "".
        supersedes: the path of the page that it takes the place of, or "".
    """

    path: str
    title: str
    body: str
    kind: str
    tier: str
    summary: str = ""
    tags: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    slot_kind: str = ""
    supersedes: str = ""

    @property
    def change(self) -> PageChange:
        """The file to write."""
        front: dict[str, object] = {"title": self.title, "kind": self.kind, "tier": self.tier}
        front |= {"tags": list(self.tags)} if self.tags else {}
        front |= {"summary": self.summary} if self.summary else {}
        front |= {"slot_kind": self.slot_kind} if self.slot_kind else {}
        front |= {"consolidated": True, "sources": list(self.sources), "evidence": list(self.evidence)}
        front |= {"supersedes": self.supersedes} if self.supersedes else {}
        text = formatted(front, f"# {self.title}\n\n{self.body.strip()}\n")
        return PageChange(self.path, composed(None, text, path=self.path))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item of an answer that was not taken: which one, in its own words, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Drafted:
    """What came of an answer, or of several.

    Attributes:
        pages: to be written.
        refused: what was not taken; the rest is not touched by it.
        dropped: paths of earlier drafts of the same session that do not hold any more.
        rationale: the model's own sentence, for the commit.
    """

    pages: tuple[PageDraft, ...] = ()
    refused: tuple[Refusal, ...] = ()
    dropped: tuple[str, ...] = ()
    rationale: str = ""


def merged(drafts: Iterable[Drafted]) -> Drafted:
    """Put the answers on the parts of one session together, in the session's order: what came later holds.

    A later page of the same path takes the place of an earlier one; so does one that supersedes an earlier draft, which
    was never written. What a later answer drops is gone.
    """
    pages: dict[str, PageDraft] = {}
    refused: list[Refusal] = []
    dropped: list[str] = []
    rationale = ""
    for drafted in drafts:
        for path in drafted.dropped:
            pages.pop(collision_key(path), None)
            dropped.append(path)
        for each in drafted.pages:
            # What it supersedes may be a draft, which is no page yet.
            former = pages.pop(collision_key(each.supersedes), None)
            page = replace(each, supersedes=former.supersedes) if former else each
            pages.pop(collision_key(page.path), None)
            pages[collision_key(page.path)] = page
        refused += drafted.refused
        rationale = drafted.rationale or rationale
    return Drafted(tuple(pages.values()), tuple(refused), tuple(dropped), rationale)


def superseded(old: str, by: str) -> str:
    """Give the text of a page that another one has taken the place of: as it was, with that one's path.

    Its tag lets it count for less in searches.
    """
    tags = parts(old).front.get("tags")
    others = [tag for tag in tags if tag != _SUPERSEDED] if isinstance(tags, list) else []
    return with_keys(old, {"superseded_by": by, "tags": [*others, _SUPERSEDED]})


def consolidated(rule_page: PageChange, draft: PageDraft) -> PageChange:
    """Give a session's page with a model's title and text above what rules made of the session; its marks stay."""
    keys: dict[str, object] = {"title": draft.title, "consolidated": True}
    keys |= {"summary": draft.summary} if draft.summary else {}
    keys |= {"tags": list(draft.tags)} if draft.tags else {}
    return _with_own(rule_page, keys, f"# {draft.title}\n\n{draft.body.strip()}")


def recompiled(old: str | None, rule_page: PageChange) -> PageChange:
    """Give a session's page that rules have made anew with what a model wrote there before: it was paid for."""
    before = parts(old or "")
    own, note, _ = before.body.rpartition(_OWN_END)
    if before.front.get("consolidated") is not True or not note:
        return rule_page
    keys = {key: before.front[key] for key in ("title", "consolidated", "summary", "tags") if key in before.front}
    return _with_own(rule_page, keys, own)


def _with_own(rule_page: PageChange, keys: Mapping[str, object], own: str) -> PageChange:
    cut = parts(with_keys(rule_page.text, keys))
    # Of a page that has a model's text already, what rules made stands behind that.
    by_rules = cut.body.rpartition(_OWN_END)[2].strip().removesuffix(FOOTER.strip())
    by_rules = _TOP_HEADING.sub("", by_rules).strip()
    body = f"{own}{_OWN_END}\n{by_rules}\n"
    return PageChange(rule_page.path, cut.opening + cut.head + cut.closing + body)
