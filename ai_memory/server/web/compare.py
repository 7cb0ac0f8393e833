"""Two revisions of a page side by side: what is gone left, what is new right, the words that differ marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, zip_longest

from ai_memory.model.page import page_path
from ai_memory.server.web.screen import Screen, Values, Visit
from ai_memory.store.page_index import Version

#: Versions that one can choose from.
_OFFERED = 200
#: Rows that are shown, and characters of a line.
_ROWS, _WIDTH = 1_000, 2_000
#: Pairs of lines whose words are compared, and words of a line that are.
_PAIRS, _WORDS = 300, 300
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

#: A line in pieces: its text, and whether the other side has something else there.
Pieces = Sequence[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of one side: its number, and its text in pieces."""

    number: int
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the comparison: a line that both have, one that differs, or of one side alone; or a gap.

    Attributes:
        old, new: the line of each side, None where that has none.
        differs: whether it is not the same on both sides.
        gap: so many lines are the same here and left out.
    """

    old: Line | None = None
    new: Line | None = None
    differs: bool = False
    gap: int = 0


def compare(visit: Visit) -> Values:
    """Compare two revisions of a page: `old` (without it the one before the other), `new` (without it the newest)."""
    memory, project, path = visit.memory, visit.project, page_path(visit.path["path"])
    versions = memory.pages.history(project, path, _OFFERED)
    row = memory.pages.listed(project, path)
    # Somebody edited the file, and it is not committed yet.
    is_ahead = bool(row and row.blob != versions[0].blob)
    new = _revision(visit.asked("new"), versions) or ("" if is_ahead else versions[0].revision)
    old = _revision(visit.asked("old"), versions) or _before(new, versions)
    diff = memory.pages.diff(project, path, old, new) if old else ""
    rows = list(islice(rows_of(diff), _ROWS + 1))
    return {
        "scope": project,
        "project": project,
        "path": path,
        "title": row.title if row else path,
        "is_there": bool(row),
        "is_ahead": is_ahead,
        "versions": versions,
        "others": [each for each in (old, new) if each and all(each != version.revision for version in versions)],
        "old": old,
        "new": new,
        "sides": {each.revision: each for each in versions},
        "rows": rows[:_ROWS],
        "is_whole": len(rows) <= _ROWS,
    }


def _revision(said: str, versions: Sequence[Version]) -> str:
    """Give the whole revision where a version is known by its beginning."""
    return next((each.revision for each in versions if said and each.revision.startswith(said)), said)


def _before(new: str, versions: Sequence[Version]) -> str:
    """Find the version before one, "" where there is none; "" is the page as it is now."""
    revisions = ["", *(each.revision for each in versions)]
    place = revisions.index(new) if new in revisions else len(revisions)
    return next(iter(revisions[place + 1 :]), "")


def rows_of(diff: str) -> Iterator[Row]:
    """Read a unified diff, as it is asked for; "" has no rows."""
    shown = old = new = pairs = 0
    gone: list[Line] = []
    come: list[Line] = []
    # Not `splitlines`, which knows more ends of lines than git does. The two names stand above the first hunk.
    for line in [*diff.split("\n")[2:], "@@ -0 +0 @@"]:
        sign, text = line[:1], line[1:].removesuffix("\r")
        if sign == "\\":
            # "No newline at end of file"
            continue
        if sign not in ("-", "+"):
            for before, after in zip_longest(gone, come):
                yield _paired(before, after, pairs)
                pairs += 1
            gone, come = [], []
        if hunk := _HUNK.match(line):
            # An empty side begins at line 0.
            old, new = int(hunk[1]) + (hunk[2] == "0"), int(hunk[3]) + (hunk[4] == "0")
            if new - shown > 1:
                yield Row(gap=new - shown - 1)
        elif sign == "-":
            gone.append(Line(old, _whole(text)))
            old += 1
        elif sign == "+":
            come.append(Line(new, _whole(text)))
            new += 1
        elif sign == " ":
            yield Row(Line(old, _whole(text)), Line(new, _whole(text)))
            old, new = old + 1, new + 1
        shown = new - 1


def _whole(text: str) -> Pieces:
    return ((text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…", False),)


def _paired(old: Line | None, new: Line | None, pairs: int) -> Row:
    if old is None or new is None or pairs >= _PAIRS:
        return Row(old, new, differs=True)
    before, after = (_WORD.findall(line.pieces[0][0]) for line in (old, new))
    if max(len(before), len(after)) > _WORDS:
        return Row(old, new, differs=True)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    # Lines that have hardly a word in common are two lines: marks would be noise.
    if matcher.ratio() < 0.4:
        return Row(old, new, differs=True)
    steps = matcher.get_opcodes()
    left = [("".join(before[i:j]), step != "equal") for step, i, j, _, _ in steps if i < j]
    right = [("".join(after[i:j]), step != "equal") for step, _, _, i, j in steps if i < j]
    return Row(Line(old.number, left), Line(new.number, right), differs=True)


SCREENS = (Screen("/w/{workspace}/{project}/diff/{path:.+}", "diff.html", compare),)
