"""Ledgers: a session's lines taken out of a project's event ledgers, or added to them, once also when it is done twice.

A note of the ledger as it was says whether a change is made already: a crash may have come right after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from ai_memory.compile.session_page import ledger_lines
from ai_memory.errors import StorageError
from ai_memory.model.event import Observation
from ai_memory.store.files import write_whole
from ai_memory.store.wiki import LEDGER_HEAD

#: Ledger file -> lines, without their ends.
Lines = Mapping[str, Sequence[str]]
#: Ledger file -> digest of it before the change.
Digests = Mapping[str, str]


def lines_of(observations: Sequence[Observation], scrub: Callable[[str], str]) -> dict[str, list[str]]:
    """Give the lines that these observations have in the ledgers."""
    return {path: scrub(text).split("\n")[:-1] for path, text in ledger_lines(observations).items()}


def digests_of(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Note how the ledgers of a project's folder are now; one that is not there counts as empty."""
    return {path: _digest(_read(folder / path)) for path in paths}


def found_in(folder: Path, lines: Lines) -> dict[str, list[str]]:
    """Give those of the lines that are in the ledgers of a project's folder; what is not there stays out."""
    found = {}
    for path, wanted in lines.items():
        there = Counter(_read(folder / path).split("\n")) & Counter(wanted)
        if there:
            found[path] = list(there.elements())
    return found


def remove(folder: Path, lines: Lines, digests: Digests) -> None:
    """Take lines out of the ledgers that are still as noted; a ledger without an entry goes.

    Raises:
        StorageError: one could not be written.
    """
    for path, gone in lines.items():
        text = _read(folder / path)
        if _digest(text) == digests[path]:
            _write(folder / path, _without(text, gone))


def add(folder: Path, lines: Lines, digests: Digests) -> None:
    """Add lines at the end of the ledgers that are still as noted.

    Raises:
        StorageError: one could not be written.
    """
    for path, more in lines.items():
        text = _read(folder / path)
        if more and _digest(text) == digests[path]:
            _write(folder / path, (text or LEDGER_HEAD) + "".join(f"{line}\n" for line in more))


def entries(folder: Path, path: str) -> list[str]:
    """Give the lines of a ledger behind its head."""
    return _read(folder / path).removeprefix(LEDGER_HEAD).split("\n")[:-1]


def _without(text: str, gone: Sequence[str]) -> str:
    left = Counter(gone)
    kept = []
    for line in text.split("\n"):
        if left[line] > 0:
            left[line] -= 1
        else:
            kept.append(line)
    return "\n".join(kept)


def _write(file: Path, text: str) -> None:
    try:
        if text.strip() in ("", LEDGER_HEAD.strip()):
            file.unlink(missing_ok=True)
        else:
            write_whole(file, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise StorageError(f"{file} could not be written: {error.strerror}") from error


def _read(file: Path) -> str:
    # What a link leads to is no ledger of this project.
    if file.is_symlink() or not file.is_file():
        return ""
    return file.read_bytes().decode("utf-8", "surrogateescape")


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
