"""Lint: what somebody should look at in a project's pages, by rules; and the page that lists it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ai_memory.model.handoff import stamp
from ai_memory.model.page import PageChange, bullets, formatted

REPORT = "_lint/report.md"
REPORT_KIND = "lint-report"
#: What readers say when the page should be rewritten.
FLAGS = ("stale", "wrong")

_WARNING, _INFO = "warning", "info"
_OLD = timedelta(days=30)
#: Pages that are titled by the words that they begin with; two may well begin alike.
_BEGINNINGS = frozenset({"session", "memory", "narrative", "session_log", "packet"})
#: So many pages of one finding are named.
_NAMED = 20
#: So many findings are in the report.
_LISTED = 200


@dataclass(frozen=True, slots=True)
class Flag:
    """What readers said against the present text of a page: "stale" or "wrong", how often, and why, last."""

    signal: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """A page as lint looks at it.

    Attributes:
        path, title, kind, tier, pinned, expires_at: of the page.
        changed: when it got its present text.
        was_read: whether anybody ever read it.
        broken: links to pages of other projects that are not there, as written.
        flags: what readers said against it, the newest first.
    """

    path: str
    title: str
    kind: str
    tier: str
    pinned: bool
    expires_at: datetime | None
    changed: datetime
    was_read: bool
    broken: Sequence[str] = ()
    flags: Sequence[Flag] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        kind: stale, rule_suggestion, duplicate, broken_link, feedback_flagged, pinned_expiry or contradiction.
        severity: "warning" or "info".
        message: one sentence.
        pages: the paths that it is about, the first of them where there are many.
        detail: what it is about in words that somebody else wrote, "" for nothing.
    """

    kind: str
    severity: str
    message: str
    pages: Sequence[str]
    detail: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether somebody should do something about it."""
        return self.severity == _WARNING

    def as_json(self) -> dict[str, object]:
        """Give the finding as the wire has it."""
        told: dict[str, object] = {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "pages": list(self.pages),
        }
        return told | ({"detail": self.detail} if self.detail else {})


def lint(pages: Iterable[Inspected], now: datetime, others: Iterable[Finding] = ()) -> list[Finding]:
    """Look at the pages of a project by rules; gives what was found there and by others, warnings first."""
    looked_at = sorted((page for page in pages if page.kind != REPORT_KIND), key=lambda page: page.path)
    found = [finding for page in looked_at for finding in _of_one(page)]
    found += _duplicates(looked_at)
    found += [*_stale(looked_at, now), *others]
    return sorted(found, key=lambda each: (not each.is_warning, each.kind, each.pages))


def _of_one(page: Inspected) -> Iterable[Finding]:
    for flag in page.flags:
        times = "once" if flag.count == 1 else f"{flag.count} times"
        message = f"Readers called it {flag.signal} {times}: rewrite it, or delete it"
        yield Finding("feedback_flagged", _WARNING, message, [page.path], flag.reason)
    if page.broken:
        links = ", ".join(page.broken[:_NAMED])
        yield Finding(
            "broken_link", _WARNING, "It links to pages of other projects that are not there", [page.path], links
        )
    if page.pinned and page.expires_at:
        message = f"It is pinned, and will be deleted on {stamp(page.expires_at)} all the same: unpin it, or keep it"
        yield Finding("pinned_expiry", _WARNING, message, [page.path])
    if page.kind == "rule" or page.path.startswith("_rules/"):
        message = "A rule holds only where agents read it: copy it into the project's AGENTS.md or CLAUDE.md"
        yield Finding("rule_suggestion", _INFO, message, [page.path])


def _duplicates(pages: Iterable[Inspected]) -> Iterable[Finding]:
    by_title: dict[str, list[Inspected]] = {}
    for page in pages:
        if page.kind not in _BEGINNINGS:
            by_title.setdefault(page.title.casefold(), []).append(page)
    for same in by_title.values():
        if len(same) > 1:
            number = "Two" if len(same) == 2 else str(len(same))
            message = f"{number} pages share a title: merge them, or give each its own"
            yield Finding("duplicate", _WARNING, message, [page.path for page in same[:_NAMED]], same[0].title)


def _stale(pages: Iterable[Inspected], now: datetime) -> Iterable[Finding]:
    old = [page.path for page in pages if page.tier == "episodic" and not page.was_read and now - page.changed > _OLD]
    if old:
        message = f"Nobody has read what was written more than {_OLD.days} days ago: the sweep deletes what goes cold"
        yield Finding("stale", _INFO, message, old[:_NAMED], f"{len(old)} pages" if len(old) > _NAMED else "")


def report_page(findings: Sequence[Finding], compared: datetime | None = None) -> PageChange:
    """Write the page that lists the warnings; the same warnings make the same page.

    Args:
        findings: what was found.
        compared: when a model was last asked for contradictions, None for never.
    """
    by = f"and by a model, on {compared:%Y-%m-%d}, contradictions" if compared else "no model was asked"
    warnings = [each for each in findings if each.is_warning]
    summary = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}" if warnings else "Nothing to look at"
    front: dict[str, object] = {"title": "Lint report", "type": "Lint Report", "kind": REPORT_KIND, "summary": summary}
    sections = [
        f"# Lint report\n\n{summary}.\n",
        bullets([_line(each) for each in warnings[:_LISTED]]),
        f"And {len(warnings) - _LISTED} more: `ai-memory lint` tells all.\n" if len(warnings) > _LISTED else "",
        f"*Found by rules{',' if compared else ';'} {by}. It is written anew once a day while nobody edits it.*\n",
    ]
    return PageChange(REPORT, formatted(front, "\n".join(part for part in sections if part)))


def _line(finding: Finding) -> str:
    # Paths as code, not as links: the report must not count as one that mentions the pages.
    pages = ", ".join(f"`{path}`" for path in finding.pages)
    detail = f" ({' '.join(finding.detail.split())})" if finding.detail else ""
    return f"{finding.kind}: {pages}: {finding.message}{detail}"
