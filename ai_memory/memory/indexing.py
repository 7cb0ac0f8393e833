"""Indexing: keeps the index of pages equal to the wiki. Start-up, live work and a rebuild are the same steps.

The index of pages is a function of three things: the files on disk, the commits of the repository, and the
tombstones. A page is there when its file is, or when git has it and nobody has accepted yet that the file is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from uuid import UUID

from ai_memory.compile.session_page import session_in, session_of
from ai_memory.errors import NotFoundError
from ai_memory.memory.meters import Meter
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.links import links_of
from ai_memory.model.page import CONFLICT, Page, front_matter, parsed
from ai_memory.model.scope import Project
from ai_memory.search.chunks import chunks_of
from ai_memory.store.git import Commit, blob_of
from ai_memory.store.page_index import MISSING, Text, is_page, page_row
from ai_memory.store.steps import Step, reached

#: Of a larger page only the beginning can be searched.
PAGE_LIMIT = 1024 * 1024
#: A file beyond this is not read at all.
_FILE_LIMIT = 32 * 1024 * 1024
_TEXTS_AT_ONCE = 200
#: So many files are one transaction, for which whoever takes events in waits.
_FILES_AT_ONCE = 50

#: Called with what is done and what there is, for progress bars.
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Walk:
    """What a walk over the files found.

    Attributes:
        changed: pages that were read anew: project and path.
        missing: pages that git has and the disk has not, by project.
        known: how many pages git has, by project.
        unfinished: pages that have a tombstone and that git still has, by project: a delete was cut short.
    """

    changed: list[tuple[UUID, str]] = field(default_factory=list)
    missing: dict[UUID, list[str]] = field(default_factory=dict)
    known: dict[UUID, int] = field(default_factory=dict)
    unfinished: dict[UUID, list[str]] = field(default_factory=dict)


class Indexing:
    """Reads the wiki into the index. Whoever calls holds the wiki's lock."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects
        #: Files that stand where a page was deleted: they stay out.
        self.ignored: set[tuple[UUID, str]] = set()
        self.meter = Meter()

    def failed(self, error: Exception) -> None:
        """Count a step that could not be done, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    # Commits

    def commits(self) -> int:
        """Read the commits since the mark; after a rewritten history, all. Gives how many there were."""
        count = self.versions()
        if count:
            self.former_texts(newest=count)
        return count

    def versions(self) -> int:
        """Read the commits since the mark like `commits`, but not yet the texts that they made."""
        git, index = self._stores.wiki.git, self._stores.pages
        head, mark = git.head(), index.mark()
        if head == mark:
            return 0
        # Nearly always the next commit follows the mark; to ask git costs a process.
        pending: Iterator[Commit] = git.commits(mark)
        first = None
        with suppress(NotFoundError):
            first = next(pending, None)
        if mark and not (first and mark in first.parents) and not git.is_ancestor(mark, head):
            index.forget_versions()
            first, pending = None, git.commits()
        pending = chain([first] if first else [], pending)
        count = index.record(pending, self._stores.wiki.is_buried)
        self.forget_purged()
        reached(Step.INDEX_COMMITS_READ)
        self.meter.count("commits", self._stores.clock(), count)
        return count

    def forget_purged(self) -> None:
        """Drop the versions of what was purged, or merged into another project: git may still have them, not we."""
        for scope_id, gone in list(self._stores.wiki.gone.items()):
            for key in [each.key for each in gone.values() if each.is_purge and is_page(each.key)]:
                if self._stores.pages.newest(scope_id, key):
                    self._stores.pages.forget_pages([(scope_id, key)])
        for project_id in self._projects.former_ids():
            if self._stores.pages.paths_ever(project_id):
                self._stores.pages.forget(project_id)

    def former_texts(self, progress: Progress = lambda *_: None, *, newest: int | None = None) -> None:
        """Read the texts of committed versions that nobody has read yet, so that a search can go back in time.

        Args:
            progress: hears how far it is.
            newest: look only at pages that the newest so many commits changed.
        """
        wanted: dict[str, list[tuple[UUID, str]]] = {}
        for project_id, path, blob in self._stores.pages.missing_texts(self._stores.wiki.is_buried, newest):
            wanted.setdefault(blob, []).append((project_id, path))
        if not wanted:
            return
        batch: list[tuple[UUID, str, Text]] = []
        for done, (blob, content) in enumerate(self._stores.wiki.git.blobs(sorted(wanted)), start=1):
            for project_id, path in wanted[blob]:
                batch.append((project_id, path, text_of(self._read(path, content)[0], blob)))
            if len(batch) >= _TEXTS_AT_ONCE:
                self._stores.pages.save_texts(batch)
                batch.clear()
                progress("versions", done, len(wanted))
        self._stores.pages.save_texts(batch)

    # Files

    def files(self, project: Project, paths: Iterable[str]) -> list[str]:
        """Read these pages of a project as they are now; gives those whose content is new."""
        changed = [path for path in paths if is_page(path) and self._file(project, path)]
        if changed:
            self.meter.count("pages", self._stores.clock(), len(changed))
        return changed

    def _file(self, project: Project, path: str) -> bool:
        index = self._stores.pages
        file = self._stores.wiki.folder(project) / path
        known = index.page(project.id, path)
        newest = index.newest(project.id, path)
        gone = self._stores.wiki.is_gone(project.id, path)
        if not _is_plain(self._stores.wiki.folder(project), file):
            self.ignored.discard((project.id, path))
            if newest and newest.blob and not gone:
                return self._missing(project, path, newest.blob)
            return self._remove(project, path)
        if gone:
            self.ignored.add((project.id, path))
            return self._remove(project, path)
        self.ignored.discard((project.id, path))
        about = file.stat()
        content = file.read_bytes() if about.st_size <= _FILE_LIMIT else b""
        blob = blob_of(content)
        if known and known.blob == blob:
            if (known.size, known.mtime) != (about.st_size, about.st_mtime_ns):
                index.touch(project.id, path, about.st_size, about.st_mtime_ns)
            return False
        self._save(project, path, content, blob, about.st_size, about.st_mtime_ns)
        return True

    def _missing(self, project: Project, path: str, blob: str) -> bool:
        known = self._stores.pages.page(project.id, path)
        if known and known.size == MISSING and known.blob == blob:
            return False
        self._save(project, path, self._stores.wiki.git.blob(blob), blob, MISSING, 0)
        return True

    def _save(self, project: Project, path: str, content: bytes, blob: str, size: int, mtime: int) -> None:
        page, problem = self._read(path, content if size <= _FILE_LIMIT else b"")
        if size > _FILE_LIMIT:
            problem = f"larger than {_FILE_LIMIT // 1024 // 1024} MiB: it is not read"
        row = page_row(page, blob=blob, size=size, mtime=mtime, problem=problem)
        links = () if CONFLICT in page.problems else links_of(path, page.body)
        self._stores.pages.save(project.id, row, text_of(page, blob), links)
        self._session(project, path, page.front)

    def _remove(self, project: Project, path: str) -> bool:
        if self._stores.pages.page(project.id, path) is None:
            return False
        self._stores.pages.remove(project.id, path, buried=self._stores.wiki.is_buried(project.id, path))
        self._session(project, path, None)
        return True

    def _session(self, project: Project, path: str, front: Mapping[str, object] | None) -> None:
        """A session without a raw log is what its page says, and nothing without a page."""
        session_id = session_of(path)
        if session_id is None or self._stores.rawlog.holds(project.workspace_id, project.id, session_id):
            return
        session = session_in(front, project_id=project.id, session_id=session_id) if front else None
        if session:
            self._stores.index.archive(session)
        else:
            self._stores.index.forget(project.id, session_id)

    def session(self, project: Project, session_id: UUID) -> None:
        """Bring a session's row up to date whose raw log is gone."""
        path = f"sessions/{session_id}.md"
        row = self._stores.pages.page(project.id, path)
        front = None
        if row:
            content = self._stores.wiki.git.blob(row.blob) if row.size == MISSING else None
            text = content.decode("utf-8", "replace") if content is not None else self._stores.wiki.read(project, path)
            front = front_matter(text or "")
        self._session(project, path, front)

    def _read(self, path: str, content: bytes) -> tuple[Page, str]:
        return read_page(path, content, self._stores.scrubber.scrub)

    def walk(self, progress: Progress = lambda *_: None) -> Walk:
        """Compare every file of every project with the index by size and time, and read what differs."""
        found = Walk()
        todo: list[tuple[Project, str]] = []
        for project in self._projects.all():
            known = self._stores.pages.files(project.id)
            there = dict(_files(self._stores.wiki.folder(project)))
            committed = self._stores.pages.committed_paths(project.id)
            gone = self._stores.wiki.gone.get(project.id, {})
            found.known[project.id] = len(committed)
            if missing := [path for path in committed if path not in there and path not in gone]:
                found.missing[project.id] = missing
            if unfinished := [path for path in committed if path in gone]:
                found.unfinished[project.id] = unfinished
            todo += [(project, path) for path in there if known.get(path) != there[path] or path in gone]
            # A page stays missing only as long as git has it: the commit that deletes it may be read by now.
            stays = {path for path in missing if known.get(path, (0, 0))[0] == MISSING}
            todo += [(project, path) for path in known if path not in there and path not in stays]
            todo += [(project, path) for path in missing if path not in known]
        for first in range(0, len(todo), _FILES_AT_ONCE):
            # Each transaction makes a part of the full-text index that is merged later: one a page makes far too many.
            with self._stores.database.writing():
                for project, path in todo[first : first + _FILES_AT_ONCE]:
                    if self._file(project, path):
                        found.changed.append((project.id, path))
            progress("pages", min(first + _FILES_AT_ONCE, len(todo)), len(todo))
        if found.changed:
            self.meter.count("pages", self._stores.clock(), len(found.changed))
        return found


def read_page(path: str, content: bytes, scrub: Callable[[str], str] | None = None) -> tuple[Page, str]:
    """Read a page's bytes; gives the page and what is wrong with it, "" when nothing is.

    Args:
        path: where it is in its project.
        content: the file.
        scrub: takes the secrets out of what a person wrote; an automatic writer's page has been through it.
    """
    problems = []
    if len(content) > PAGE_LIMIT:
        problems.append(f"larger than {PAGE_LIMIT // 1024 // 1024} MiB: only its beginning can be searched")
    try:
        text = content[:PAGE_LIMIT].decode("utf-8", "strict" if len(content) <= PAGE_LIMIT else "ignore")
    except UnicodeDecodeError:
        problems.append("not UTF-8: what cannot be read is shown as �")
        text = content.decode("utf-8", "replace")
    page = parsed(path, text)
    problems += page.problems
    if scrub and not page.sealed and (clean := scrub(text)) != text:
        page = parsed(path, clean)
    return page, "; ".join(problems)


def text_of(page: Page, blob: str) -> Text:
    """Give what can be searched of a page; nothing where a merge was left in the middle."""
    if CONFLICT in page.problems:
        return Text(blob, page.title, ())
    return Text(blob, page.title, [(each.heading, each.body, each.words) for each in chunks_of(page)])


def _files(folder: Path, below: str = "") -> Iterator[tuple[str, tuple[int, int]]]:
    """Give path, size and time of each page below a folder; links and hidden files are passed over."""
    try:
        with os.scandir(folder) as children:
            entries = sorted(children, key=lambda child: child.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.is_symlink() or entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path), f"{path}/")
        elif is_page(path):
            about = entry.stat(follow_symlinks=False)
            yield path, (about.st_size, about.st_mtime_ns)


def _is_plain(folder: Path, file: Path) -> bool:
    """Tell whether a page's file is there, with no link on the way to it."""
    for part in (file, *file.parents):
        if part == folder:
            break
        if part.is_symlink():
            return False
    return file.is_file()
