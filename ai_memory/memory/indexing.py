"""Indexing: keeps the index of pages equal to the wiki. Start-up, live work and a rebuild are the same steps.

The index of pages is a function of three things: the files on disk, the commits of the repository, and the
tombstones. A page is there when its file is, or when git has it and nobody has accepted yet that the file is missing.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from uuid import UUID

from ai_memory.compile.session_page import session_in, session_of, session_path
from ai_memory.errors import NotFoundError, StorageError
from ai_memory.memory.meters import Meter
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.links import links_of
from ai_memory.model.packet import in_utc
from ai_memory.model.packet_page import KeptPacket, packet_in
from ai_memory.model.page import CONFLICT, Page, front_matter, is_page, parsed
from ai_memory.model.record import record_of
from ai_memory.model.scope import Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.search.chunks import chunks_of
from ai_memory.store.git import Commit, GitError, blob_of
from ai_memory.store.packet_index import PacketRow
from ai_memory.store.page_graph import Tie
from ai_memory.store.page_index import MISSING, UNREADABLE, Text, page_row
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
        #: Called when the history is not the one any more that was read before (`git reset`, `git pull --rebase`).
        self.on_other_history: Callable[[], None] = lambda: None
        #: The tombstones, and ids of former projects, whose versions are dropped.
        self._looked_at: dict[UUID, Mapping[str, Tombstone]] = {}
        self._former: set[UUID] = set()
        self.meter = Meter()

    def failed(self, error: Exception) -> None:
        """Count a step that could not be done, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Keep what the disk or git refused for `status`, and go on with the rest."""
        try:
            yield
        except (StorageError, NotFoundError) as error:
            self.failed(error)

    # Commits

    def commits(self) -> int:
        """Read the commits since the mark; where the chain does not go on from it, all. Gives how many there were."""
        count = self.versions()
        if count:
            self.former_texts(newest=count)
        return count

    def versions(self) -> int:
        """Read the commits since the mark like `commits`, but not yet the texts that they made.

        Raises:
            WikiAwayError: the wiki is not there.
        """
        self._stores.wiki.check_there()
        self._forget_purged()
        git, index = self._stores.wiki.git, self._stores.pages
        head, mark = git.head(), index.mark()
        if head == mark:
            return 0
        pending: Iterator[Commit] = git.chain(mark)
        first, is_other = None, False
        with suppress(NotFoundError):
            first = next(pending, None)
        if mark and not (first and first.parents[:1] == (mark,)):
            # A rewritten history, an older commit, or a merge of which ours is the second parent.
            is_other = True
            index.forget_versions()
            first, pending = None, git.chain()
        pending = chain([first] if first else [], pending)
        count = index.record(pending, self._stores.wiki.is_buried, self._is_purged)
        reached(Step.INDEX_COMMITS_READ)
        self.meter.count("commits", self._stores.clock(), count)
        for project_id in index.touched(count):
            self._stores.changes.note(project_id, "pages")
        if is_other:
            self.on_other_history()
        return count

    def _is_purged(self, project_id: UUID, path: str) -> bool:
        """Tell whether a page was purged, or merged with its project into another: git may still have it, not we."""
        tombstone = self._stores.wiki.gone.get(project_id, {}).get(path)
        return (tombstone is not None and tombstone.is_purge) or project_id in self._former

    def _forget_purged(self) -> None:
        """Drop the versions of what was purged, or merged into another project, since this was last looked at."""
        index = self._stores.pages
        for scope_id, gone in list(self._stores.wiki.gone.items()):
            if self._looked_at.get(scope_id) is not gone:
                self._looked_at[scope_id] = gone
                purged = (each.key for each in gone.values() if each.is_purge)
                index.forget_pages([(scope_id, path) for path in index.recorded(scope_id, purged)])
        former = set(self._projects.former_ids())
        for project_id in former - self._former:
            index.forget(project_id)
        self._former = former

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
        """Read these pages of a project as they are now; gives those whose content is new.

        Raises:
            WikiAwayError: the wiki is not there.
        """
        self._stores.wiki.check_there()
        wanted = [path for path in paths if is_page(path)]
        changed = []
        for first in range(0, len(wanted), _FILES_AT_ONCE):
            with self._stores.database.writing():
                changed += [path for path in wanted[first : first + _FILES_AT_ONCE] if self._file(project, path)]
        if changed:
            self._stores.changes.note(project.id, "pages")
            self.meter.count("pages", self._stores.clock(), len(changed))
        return changed

    def _file(self, project: Project, path: str) -> bool:
        index = self._stores.pages
        known = index.page(project.id, path)
        newest = index.newest(project.id, path)
        gone = self._stores.wiki.is_gone(project.id, path)
        there, found, problem = False, None, ""
        try:
            there = self._stores.wiki.has(project, path)
            found = _content(self._stores.wiki.folder(project) / path) if there and not gone else None
        except OSError as error:
            problem = f"it cannot be read: {error.strerror}"
        (self.ignored.add if gone and there else self.ignored.discard)((project.id, path))
        if gone:
            return self._remove(project, path)
        committed = newest.blob if newest else ""
        if problem:
            return self._unreadable(project, path, committed, problem)
        if found is None:
            return self._missing(project, path, committed) if committed else self._remove(project, path)
        content, about = found
        blob = blob_of(content)
        if known and known.blob == blob and known.size != UNREADABLE:
            if (known.size, known.mtime) != (about.st_size, about.st_mtime_ns):
                index.touch(project.id, path, about.st_size, about.st_mtime_ns)
            return False
        self._save(project, path, content, blob, about.st_size, about.st_mtime_ns)
        return True

    def _unreadable(self, project: Project, path: str, blob: str, problem: str) -> bool:
        """Keep a page as the newest commit has it, or its name alone; each pass tries to read it again."""
        known = self._stores.pages.page(project.id, path)
        if known and (known.size, known.blob, known.problem) == (UNREADABLE, blob, problem):
            return False
        content = self._stores.wiki.git.blob(blob) if blob else b""
        self._save(project, path, content, blob, UNREADABLE, 0, problem)
        return True

    def _missing(self, project: Project, path: str, blob: str) -> bool:
        known = self._stores.pages.page(project.id, path)
        if known and known.size == MISSING and known.blob == blob:
            return False
        self._save(project, path, self._stores.wiki.git.blob(blob), blob, MISSING, 0)
        return True

    def _save(
        self, project: Project, path: str, content: bytes, blob: str, size: int, mtime: int, trouble: str = ""
    ) -> None:
        page, problem = self._read(path, content if size <= _FILE_LIMIT else b"")
        if size > _FILE_LIMIT:
            trouble = f"larger than {_FILE_LIMIT // 1024 // 1024} MiB: it is not read"
        kept = packet_in(page.front, page.body) if page.kind == "packet" else None
        if page.kind == "packet" and kept is None:
            problem = problem or "the packet in it cannot be read: push it again, or restore a former version"
        problem = trouble or problem
        row = page_row(page, blob=blob, size=size, mtime=mtime, problem=problem)
        links = () if CONFLICT in page.problems else links_of(path, page.body)
        with self._stores.database.writing():
            self._stores.pages.save(project.id, row, text_of(page, blob), links)
            self._stores.records.save(project.id, path, record_of(page))
            self._stores.packets.save(project.id, path, _packet(project, path, kept) if kept else None)
            self._stores.page_graph.save(project.id, path, _ties(page, kept))
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
        path = session_path(session_id)
        row = self._stores.pages.page(project.id, path)
        text = None
        if row and row.size not in (MISSING, UNREADABLE):
            text = self._stores.wiki.read(project, path)
        elif row and row.blob:
            text = self._stores.wiki.git.blob(row.blob).decode("utf-8", "replace")
        self._session(project, path, front_matter(text) if text else None)

    def _read(self, path: str, content: bytes) -> tuple[Page, str]:
        return read_page(path, content, self._stores.scrubber.scrub)

    def walk(self, progress: Progress = lambda *_: None) -> Walk:
        """Compare every file of every project with the index by size and time, and read what differs."""
        found = Walk()
        for project_id in self._stores.pages.projects() - {project.id for project in self._projects.all()}:
            self._stores.pages.leave_out(project_id)
        todo: list[tuple[Project, str]] = []
        for project in self._projects.all():
            known = self._stores.pages.files(project.id)
            there, closed = self._there(project)
            committed = self._stores.pages.committed_paths(project.id)
            gone = self._stores.wiki.gone.get(project.id, {})
            found.known[project.id] = len(committed)
            missing = [path for path in committed if path not in there and path not in gone]
            if lost := [path for path in missing if not path.startswith(closed)]:
                found.missing[project.id] = lost
            purged = [path for path in there if path in gone and gone[path].is_purge]
            if unfinished := [path for path in committed if path in gone] + self._in_git(project, purged):
                found.unfinished[project.id] = unfinished
            todo += [(project, path) for path in there if known.get(path) != there[path] or path in gone]
            # A page stays missing only as long as git has it: the commit that deletes it may be read by now.
            stays = {path for path in missing if known.get(path, (0, 0))[0] == MISSING}
            absent = [path for path in known if path not in there and path not in stays]
            todo += [(project, path) for path in absent if not path.startswith(closed)]
            todo += [(project, path) for path in missing if path not in known]
        for first in range(0, len(todo), _FILES_AT_ONCE):
            # Each transaction makes a part of the full-text index that is merged later: one a page makes far too many.
            with self._stores.database.writing():
                for project, path in todo[first : first + _FILES_AT_ONCE]:
                    try:
                        if self._file(project, path):
                            found.changed.append((project.id, path))
                    except (GitError, NotFoundError) as error:
                        # Git's copy of one page is damaged: no reason to leave the others out.
                        self.failed(error)
            progress("pages", min(first + _FILES_AT_ONCE, len(todo)), len(todo))
        for project_id in {project_id for project_id, _ in found.changed}:
            self._stores.changes.note(project_id, "pages")
        if found.changed:
            self.meter.count("pages", self._stores.clock(), len(found.changed))
        return found

    def _in_git(self, project: Project, purged: Sequence[str]) -> list[str]:
        """Choose the purged pages that a pull has brought back into git; the index has no versions of them."""
        home = f"{project.workspace_id}/{project.id}"
        committed = set(self._stores.wiki.committed(home)) if purged else ()
        return [path for path in purged if f"{home}/{path}" in committed]

    def _there(self, project: Project) -> tuple[dict[str, tuple[int, int]], tuple[str, ...]]:
        """Give size and time of each page on disk, and the folders that cannot be read: what is in them stays."""
        closed: list[str] = []

        def note(below: str, error: OSError) -> None:
            closed.append(below)
            self.failed(error)

        return dict(_files(self._stores.wiki.folder(project), note)), tuple(closed)


def _packet(project: Project, path: str, kept: KeptPacket) -> PacketRow:
    packet, created = kept.packet, in_utc(kept.packet.created_at)
    return PacketRow(packet.id, project.id, path, kept.owner, kept.draft, created, packet.created_at, packet.goal)


def _ties(page: Page, kept: KeptPacket | None) -> Iterator[Tie]:
    """Give what a page says of others in its front matter, and a packet of the one that it goes on from."""
    former = page.front.get("supersedes")
    for path in former if isinstance(former, list) else [former]:
        if isinstance(path, str) and is_page(path):
            yield Tie("supersedes", unicodedata.normalize("NFC", path))
    if kept and kept.packet.parent_id:
        yield Tie("parent", kept.packet.parent_id)


def _content(file: Path) -> tuple[bytes, os.stat_result] | None:
    """Read a file, None when it is gone this moment; of one that is too large only what the system says of it."""
    try:
        about = file.stat()
        return file.read_bytes() if about.st_size <= _FILE_LIMIT else b"", about
    except FileNotFoundError:
        return None


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
    """Give what can be searched of a page; nothing where a merge was left in the middle.

    Nor of the draft of a packet, while nobody has made it theirs: the page of its session says the same.
    """
    if CONFLICT in page.problems or (page.kind == "packet" and page.sealed):
        return Text(blob, page.title, None, ())
    chunks = [(each.heading, each.body, each.words) for each in chunks_of(page)]
    return Text(blob, page.title, page.expires_at, chunks)


def _files(
    folder: Path, closed: Callable[[str, OSError], None], below: str = ""
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Give path, size and time of each page below a folder; links and hidden files are passed over.

    `closed` is called for each folder that cannot be read.
    """
    try:
        with os.scandir(folder) as children:
            entries = sorted(children, key=lambda child: child.name)
    except FileNotFoundError:
        return
    except OSError as error:
        closed(below, error)
        return
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.is_symlink() or entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path), closed, f"{path}/")
        elif is_page(path):
            # It may go between the two looks.
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                yield path, (about.st_size, about.st_mtime_ns)
