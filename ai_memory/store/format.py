"""The number of the data format: what the files of a data directory look like. The wiki's root manifest has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ai_memory.errors import StorageError
from ai_memory.model.page import front_matter, with_keys
from ai_memory.store.files import write_whole
from ai_memory.store.git import Git
from ai_memory.store.wiki import MANIFEST

#: Raised when a version writes something that the version before it would misread.
#: 1: no number. 2: pages by automatic writers are sealed, ledgers say what they are.
FORMAT = 2


class NewerFormatError(StorageError):
    """The data directory was written by a newer version of this program."""


def format_of(root: Path) -> int | None:
    """Say which format a wiki has, None when there is nothing in it yet. Git is asked only without a manifest.

    Raises:
        NewerFormatError: a newer one than this program knows.
        StorageError: there is a manifest, and it does not say.
    """
    numbered = False
    for text in _manifests(root):
        numbered = True
        number = front_matter(text).get("format")
        if not isinstance(number, int) or number < 1:
            continue
        if number > FORMAT:
            raise NewerFormatError(
                f"{root} has format {number}, this program knows {FORMAT}: install the newer ai-memory again, or "
                "restore a backup that this version made"
            )
        return number
    if numbered:
        raise StorageError(
            f"{root / MANIFEST} does not say which format the wiki has: put the line `format: N` back as it was "
            f"(`git -C {root} log -p -- {MANIFEST}` shows it)"
        )
    return 1 if _holds_something(root) else None


def write_format(root: Path, number: int) -> None:
    """Write the number into the wiki's root manifest; the next commit takes it in.

    Raises:
        OSError: it could not be written.
    """
    file = root / MANIFEST
    write_whole(file, with_keys(_text(file), {"type": "Memory", "format": number}).encode())


def _manifests(root: Path) -> Iterator[str]:
    """Give the root manifest as it is on disk, then as it is in git: a merge or a checkout may have lost the one."""
    file = root / MANIFEST
    if file.is_file():
        yield _text(file)
    if (root / ".git").exists() and (text := Git(root).show(MANIFEST)):
        yield text


def _holds_something(root: Path) -> bool:
    if not root.is_dir():
        return False
    folders = any(child.is_dir() and not child.name.startswith(".") for child in root.iterdir())
    return folders or ((root / ".git").exists() and bool(Git(root).head()))


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
