"""The transcripts that Claude Code keeps of its sessions on this machine: their names. What is in them is not read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_OTHER_SIGNS = re.compile(r"[^A-Za-z0-9]")
_SESSIONS = ("*.jsonl", "subagents/*.jsonl", "*/subagents/*.jsonl")
#: Behind it stands what people call a project: /home/ana/projects/shop is the folder -home-ana-projects-shop.
_PROJECTS = "projects-"
#: What is called so was done above all projects.
_GENERAL = "general"


class Transcripts:
    """The folder with one folder for each directory that somebody worked in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_there(self) -> bool:
        """Tell whether this machine has the folder."""
        return self.folder.is_dir()

    def of(self, names: Iterable[str], roots: Iterable[str]) -> list[str]:
        """List the files of a project, sub-agents' among them, sorted.

        Args:
            names: what the project is called, and was.
            roots: the directories that are known to be its.
        """
        if not self.is_there():
            return []
        wanted = {folded for name in names if (folded := _folded(name))}
        encoded = {_OTHER_SIGNS.sub("-", root) for root in roots}
        folders = [
            each
            for each in self.folder.iterdir()
            if each.is_dir()
            and (
                each.name in encoded
                or _folded(each.name.partition(_PROJECTS)[2] or each.name) in wanted
                or (_GENERAL in wanted and each.name.endswith(f"-{_PROJECTS[:-1]}"))
            )
        ]
        return sorted({str(file) for folder in folders for pattern in _SESSIONS for file in folder.glob(pattern)})

    def is_gone(self, file: str) -> bool:
        """Tell whether a file is missing that belongs in the folder; of any other file nothing is told."""
        below = os.path.normpath(file).startswith(f"{self.folder}{os.sep}")
        return below and self.is_there() and not os.path.lexists(file)


def _folded(name: str) -> str:
    return _OTHER_SIGNS.sub("", name).lower()
