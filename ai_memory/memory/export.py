"""Export: a project as an Open Knowledge Format bundle (version 0.2), which other programs read.

A bundle is the project's folder with an index: every file says its `type`, and names what it is about. Of what people
wrote without a `type`, the copy in the bundle gets the one that follows from its folder; the page itself stays.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO
from urllib.parse import quote

from ai_memory.errors import AiMemoryError
from ai_memory.memory.stores import Stores
from ai_memory.model.front import BOM
from ai_memory.model.page import CONFLICT, formatted, is_ledger, parsed, with_keys
from ai_memory.model.scope import Project
from ai_memory.store.files import nameless_file
from ai_memory.store.page_index import MISSING
from ai_memory.store.wiki import MANIFEST

_VERSION = "0.2"
_INDEX = "index.md"
#: Names that mean something else in a bundle, in any folder.
_RESERVED = frozenset({_INDEX, "log.md"})


class NotConformantError(AiMemoryError):
    """A page cannot be part of a bundle."""

    status = 422


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive, open at its start, which the caller closes.

    Attributes:
        archive: tar.gz; the bundle is at its root.
        name: what a file of it could be called.
        pages: how many there are in it, the index not counted.
        left_out: a sentence for each page that could not be part of it.
    """

    archive: IO[bytes]
    name: str
    pages: int
    left_out: list[str]


def pack(stores: Stores, project: Project, *, skip_broken: bool) -> Bundle:
    """Pack a project; links, proposals and files that are no pages are not part of it.

    Raises:
        NotConformantError: pages cannot be part of a bundle, and they are not to be skipped.
        StorageError: the disk refused.
    """
    with nameless_file(stores.wiki.root.parent, "the export") as out:
        pages, left_out = _write(out, stores, project, skip_broken=skip_broken)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{project.workspace}-{project.name}").strip("-.")
    return Bundle(out, f"{name}.okf.tar.gz", pages, left_out)


def _write(out: IO[bytes], stores: Stores, project: Project, *, skip_broken: bool) -> tuple[int, list[str]]:
    folder = stores.wiki.folder(project)
    titles: list[tuple[str, str]] = []
    left_out: list[str] = []
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path in _paths(stores, project, folder):
            if not stores.wiki.has(project, path):
                continue  # gone since the index was read, or a link
            try:
                content = _content(folder / path, path)
            except OSError as error:
                left_out.append(f"{path}: it cannot be read: {error.strerror}")
                continue
            if problem := _problem(path, content):
                left_out.append(f"{path}: {problem}")
                continue
            text, title = _conformant(stores, path, content.decode())
            titles.append((path, title))
            _add(archive, path, text, (folder / path).stat().st_mtime)
        if left_out and not skip_broken:
            raise _refusal(left_out)
        _add(archive, _INDEX, _index(titles), stores.clock().timestamp())
    return len(titles), left_out


def _paths(stores: Stores, project: Project, folder: Path) -> Iterator[str]:
    """List manifest, ledgers and pages."""
    yield MANIFEST
    yield from sorted(entry.name for entry in os.scandir(folder) if is_ledger(entry.name))
    yield from (row.path for row in stores.pages.pages(project.id) if row.size != MISSING)


def _content(file: Path, path: str) -> bytes:
    content = file.read_bytes()
    # A ledger may be in the middle of a line.
    return content[: content.rfind(b"\n") + 1] if is_ledger(path) else content


def _problem(path: str, content: bytes) -> str:
    """Say why a file cannot be part of a bundle, "" when it can."""
    if path.rpartition("/")[2] in _RESERVED:
        return "a bundle keeps this name for something else: rename the page"
    try:
        page = parsed(path, content.decode())
    except UnicodeDecodeError:
        return "it is not UTF-8"
    if CONFLICT in page.problems:
        return CONFLICT
    return next((problem for problem in page.problems if problem.startswith("front matter")), "")


def _conformant(stores: Stores, path: str, text: str) -> tuple[str, str]:
    """Give a file's text as it leaves, and its title."""
    page = parsed(path, text)
    if not page.sealed:
        # What people wrote into the file was never scrubbed.
        text = stores.scrubber.scrub(text)
    if not isinstance(page.front.get("type"), str) or not str(page.front["type"]).strip():
        known = "Project" if path == MANIFEST else "Log" if is_ledger(path) else page.type
        text = with_keys(text, {"type": known})
    # Other programs see no front matter behind a byte order mark.
    return text.removeprefix(BOM), page.title


def _refusal(problems: list[str]) -> NotConformantError:
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return NotConformantError(
        f"the project is no valid bundle: {'; '.join(problems[:5])}{more}. "
        "Repair them, or leave them out (--skip-broken)"
    )


def _index(titles: list[tuple[str, str]]) -> str:
    """Write the bundle's first page: all others by folder."""
    parts = []
    for folder, pages in groupby(sorted(titles, key=_by_folder), key=lambda row: row[0].rpartition("/")[0]):
        lines = [f"- [{_escaped(title)}]({quote(path)})" for path, title in pages]
        parts.append("\n".join([f"## {folder}" if folder else "# Pages", "", *lines, ""]))
    return formatted({"okf_version": _VERSION}, "\n".join(["", *parts]))


def _by_folder(row: tuple[str, str]) -> tuple[str, str]:
    folder, _, name = row[0].rpartition("/")
    return folder, name


def _escaped(title: str) -> str:
    return re.sub(r"([\\\[\]`*_<>])", r"\\\1", " ".join(title.split()))


def _add(archive: tarfile.TarFile, path: str, text: str, changed: float) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(path)
    entry.size, entry.mtime, entry.mode = len(content), int(changed), 0o644
    archive.addfile(entry, io.BytesIO(content))
