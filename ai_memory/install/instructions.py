"""The block about ai-memory in the files that agents read at the start: CLAUDE.md, AGENTS.md, GEMINI.md."""

from __future__ import annotations

import re
from pathlib import Path

from ai_memory.client.routing import MARKER_END, MARKER_START, markered
from ai_memory.errors import ConfigError
from ai_memory.install.files import target_of
from ai_memory.install.marked_text import appended, cut, newline_of
from ai_memory.install.origin import Origin
from ai_memory.install.target import Edit, Site, Target

KIND = "instructions"
NAMES = ("CLAUDE.md", "AGENTS.md", "GEMINI.md")

_PASSAGE = "block"
_START = re.compile(rf"^\ufeff?{re.escape(MARKER_START)}[ \t\r]*$", re.MULTILINE)
_END = re.compile(rf"^{re.escape(MARKER_END)}[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
#: A text may show our markers as an example.
_CODE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*[ \t\r]*$", re.MULTILINE | re.DOTALL)


def files_in(folder: Path) -> tuple[Path, ...]:
    """The files of a project that agents read; a link to one that was named before is left out."""
    found = {target_of(folder / name): folder / name for name in reversed(NAMES) if (folder / name).exists()}
    return tuple(sorted(found.values(), key=lambda path: NAMES.index(path.name)))


def target(files: tuple[Path, ...], block: str = "") -> Target:
    """Make the target of some files.

    Args:
        files: where the block is to stand.
        block: what is between the markers.
    """

    def data_dirs(path: Path, text: str, site: Site) -> list[Path]:
        return [site.data_dir] if _place(path, text) else []

    def installed(path: Path, text: str | None, _site: Site) -> Edit:
        passage = markered(block)
        place = _place(path, text or "")
        if text is not None and place:
            new = passage.replace("\n", newline_of(text))
            if not text[: place[1]].endswith("\n"):
                new = new.rstrip("\r\n")
            return Edit(text[: place[0]] + new + text[place[1] :], Origin(str(path)))
        after, gap = appended(text or "", passage)
        return Edit(after, Origin(str(path), absent=text is None, gaps={_PASSAGE: gap}))

    def removed(path: Path, text: str, _site: Site, origin: Origin | None) -> Edit:
        place = _place(path, text)
        if place is None:
            return Edit(text, origin)
        left = cut(text, *place, origin.gaps.get(_PASSAGE) if origin else None)
        return Edit(None if origin and origin.absent and not left else left)

    return Target(KIND, "", "Instructions", lambda _site: files, data_dirs, installed, removed)


def _place(path: Path, text: str) -> tuple[int, int] | None:
    """Where the block stands, its markers included.

    Raises:
        ConfigError: the markers are there, but not as one pair.
    """
    code = [passage.span() for passage in _CODE.finditer(text)]
    starts, ends = (
        [found for found in marker.finditer(text) if not any(start < found.start() < end for start, end in code)]
        for marker in (_START, _END)
    )
    if not starts and not ends:
        return None
    if len(starts) != 1 or len(ends) != 1 or ends[0].start() < starts[0].end():
        raise ConfigError(
            f"{path} must have the lines {MARKER_START} and {MARKER_END} once each and in this order. "
            "Nothing was written."
        )
    return starts[0].start() + text[starts[0].start()].count("\ufeff"), ends[0].end()
