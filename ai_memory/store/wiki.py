"""The wiki: markdown pages of every project in one git repository. The truth.

`wiki/<workspace>/_meta.md` and `wiki/<workspace>/<project>/_meta.md` carry the names, so that the tree alone
rebuilds everything; human names never appear in paths.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ai_memory.errors import ConflictError, StorageError
from ai_memory.model.event import Scrubbed
from ai_memory.model.page import formatted, page_path
from ai_memory.model.scope import Project
from ai_memory.store.files import is_plain, link_on_way, private_folder, remove_leftovers, write_whole
from ai_memory.store.git import COMMITTER, GitError
from ai_memory.store.manifests import MANIFEST, Manifests
from ai_memory.store.steps import Step, reached

__all__ = ["LEDGER_HEAD", "MANIFEST", "Append", "LinkedPathError", "Wiki"]

#: Every file of a bundle says what it is.
LEDGER_HEAD = formatted({"type": "Log", "title": "Event ledger"}, "")
_OURSELVES = (Scrubbed(COMMITTER[0]), Scrubbed(COMMITTER[1]))


class LinkedPathError(ConflictError):
    """A symbolic link is on the way to a page: what is behind it is not the wiki's."""


@dataclass(frozen=True, slots=True)
class Append:
    """Lines to add at the end of a file of a project (the event ledger)."""

    path: str
    text: Scrubbed


class Wiki(Manifests):
    """The `wiki/` folder of a data directory. Writers hold `lock` over read, decide and write."""

    def __init__(self, root: Path, intents: Path) -> None:
        """Open the wiki, and undo an append whose commit a crash prevented.

        Args:
            root: the repository.
            intents: the file that notes the ledgers' lengths while a commit is being made.
        """
        super().__init__(root)
        self.lock = threading.RLock()
        #: Pages that are in git, but of which nobody has said yet that the mark of that is kept.
        self.unmarked: set[str] = set()
        self._intents = intents
        for folder in (root, intents.parent):
            remove_leftovers(folder)
        if intents.exists():
            self._roll_back()

    def folder(self, project: Project) -> Path:
        """Say where a project's pages are."""
        return self.root / str(project.workspace_id) / str(project.id)

    # Pages

    def committed(self, folder: str) -> list[str]:
        """List the files that the last commit has below a folder: their paths from the root."""
        return list(self.git.tree("HEAD", folder)) if self.git.head() else []

    def file(self, project: Project, path: str) -> Path:
        """Say where a file of a project is (or would be): the one gate to the disk for pages and ledgers.

        Raises:
            BadPagePathError: the path is not safe.
            LinkedPathError: a symbolic link is on the way, and would lead out of the wiki.
        """
        return self.inside(f"{project.workspace_id}/{project.id}/{page_path(path)}")

    def inside(self, path: str) -> Path:
        """Do the same for a path from the wiki's root that is known to be safe.

        Raises:
            LinkedPathError: as `file`.
        """
        if link := link_on_way(self.root, path):
            raise LinkedPathError(
                f"{self.root / link} is a symbolic link, which is not followed: put what it leads to in its place"
            )
        return self.root / path

    def is_linked(self, project: Project, path: str) -> bool:
        """Tell whether a symbolic link is on the way to a file of a project."""
        return bool(link_on_way(self.root, f"{project.workspace_id}/{project.id}/{path}"))

    def has(self, project: Project, path: str) -> bool:
        """Tell whether a file of a project is there, with no symbolic link on the way to it."""
        return is_plain(self.root, f"{project.workspace_id}/{project.id}/{path}")

    def remove(self, path: str) -> None:
        """Remove a file (path from the wiki's root) if it is there; nothing behind a symbolic link is touched.

        Raises:
            StorageError: it could not be removed.
        """
        if not link_on_way(self.root, path):
            try:
                (self.root / path).unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"{self.root / path} could not be removed: {error.strerror}") from error

    def read(self, project: Project, path: str) -> str | None:
        """Read a page, None when there is none; one behind a symbolic link is none.

        Raises:
            StorageError: it is there and cannot be read.
        """
        file = self.folder(project) / page_path(path)
        try:
            return _text(file) if self.has(project, path) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"page {path} cannot be read: {error.strerror} ({file})") from error

    def write(self, project: Project, pages: Mapping[str, Scrubbed]) -> None:
        """Write pages without a commit: the working state of a session that goes on.

        Raises:
            LinkedPathError: a symbolic link is on the way to one of them; none was written.
            WikiAwayError: nor is there where the wiki is not.
            StorageError: a page could not be written; pages before it in the mapping were.
        """
        self.check_there()
        files = {path: self.file(project, path) for path in pages}
        for path, text in pages.items():
            file = files[path]
            try:
                write_whole(file, text.encode())
            except OSError as error:
                raise StorageError(f"page {path} could not be written: {error.strerror} ({file})") from error

    def commit(
        self,
        project: Project,
        pages: Mapping[str, Scrubbed],
        message: Scrubbed,
        *,
        at: datetime,
        deletes: Sequence[str] = (),
        files: Sequence[str] = (),
        appends: Sequence[Append] = (),
        author: tuple[Scrubbed, Scrubbed] = _OURSELVES,
        mark: Callable[[], None] = lambda: None,
    ) -> str:
        """Write pages and ledger lines and commit exactly these files (and the manifests, when they are new).

        Args:
            project: where.
            pages: path in the project -> new text.
            message: the commit's subject, and its body if there is one.
            at: now.
            deletes: paths of pages to delete.
            files: paths whose present state is committed as it is, also where that is their absence.
            appends: lines for the ledgers.
            author: name and address.
            mark: keeps the mark of the commit; until it returns the pages are in `unmarked`, also after a crash.

        Returns:
            the commit's id, "" when nothing changed.

        Raises:
            MergeUnfinishedError: nothing was written, and nothing can be committed now.
            LinkedPathError: a symbolic link is on the way to a page or ledger; nothing was written.
            StorageError: nothing was committed and the ledgers have their former length; pages may have
                been written, like by `write`.
        """
        self.git.check_free()
        prefix = f"{project.workspace_id}/{project.id}/"
        ledgers = {prefix + page_path(append.path): append.text for append in appends if append.text}
        paths = [prefix + path for path in (*pages, *deletes, *files)]
        for path in (*paths[: len(pages)], *ledgers):
            self.inside(path)
        paths += [*ledgers, *self.committable([f"{project.workspace_id}/{MANIFEST}", prefix + MANIFEST])]
        if (self.root / MANIFEST).exists():
            paths.append(MANIFEST)
        before = {path: _size(self.root / path) for path in ledgers}
        try:
            self.write(project, pages)
            for path in deletes:
                self.remove(prefix + path)
                reached(Step.DELETE_UNLINKED)
            if ledgers:
                intent = {"head": self.git.head(), "sizes": before, "pages": [prefix + path for path in pages]}
                write_whole(self._intents, json.dumps(intent).encode())
            reached(Step.COMMIT_INTENT_NOTED)
            for path, text in ledgers.items():
                _append(self.root / path, (text if before[path] else LEDGER_HEAD + text).encode())
            reached(Step.COMMIT_WRITTEN)
            oid = self.git.commit(paths, message, author=author, at=at)
        except (OSError, StorageError) as error:
            if self._intents.exists():
                self._roll_back()
            # What stayed staged would go into the next commit, which is another session's. The first error is the one
            # that matters: a repository that refuses this as well refuses that commit, too.
            with contextlib.suppress(GitError):
                self.git.unstage(paths)
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"the wiki could not be written: {error.strerror} ({self.root})") from error
        reached(Step.COMMIT_MADE)
        self.unmarked.update(prefix + path for path in pages)
        mark()
        reached(Step.COMMIT_MARKED)
        self.unmarked.difference_update(prefix + path for path in pages)
        self._intents.unlink(missing_ok=True)
        return oid

    def commit_as_is(
        self,
        files: Mapping[Project, Sequence[str]],
        message: Scrubbed,
        *,
        at: datetime,
        author: tuple[Scrubbed, Scrubbed],
    ) -> str:
        """Commit files of several projects as they are on disk, also where that is their absence, in one commit.

        Raises:
            MergeUnfinishedError: nothing can be committed now.
            StorageError: nothing was committed.
        """
        homes = [f"{project.workspace_id}/{project.id}" for project in files]
        paths = [f"{home}/{path}" for home, names in zip(homes, files.values(), strict=True) for path in names]
        manifests = {f"{folder}/{MANIFEST}" for home in homes for folder in (home, home.partition("/")[0])}
        paths += sorted(manifests) + ([MANIFEST] if (self.root / MANIFEST).exists() else [])
        try:
            return self.git.commit(paths, message, author=author, at=at)
        except StorageError:
            # As in `commit`.
            with contextlib.suppress(GitError):
                self.git.unstage(paths)
            raise

    def _roll_back(self) -> None:
        """Cut the ledgers to their noted lengths, unless the commit was made after all."""
        intent = json.loads(self._intents.read_text("utf-8"))
        if self.git.head() == intent["head"]:
            for path, size in intent["sizes"].items():
                file = self.root / path
                if file.exists() and size:
                    os.truncate(file, size)
                elif file.exists():
                    # It was not there before; an empty one would stay in git's way.
                    file.unlink()
            # Staged lines would go into the next commit, which is somebody else's.
            with contextlib.suppress(GitError):
                self.git.unstage([*intent["sizes"], *intent["pages"]])
        else:
            self.unmarked.update(intent["pages"])
        self._intents.unlink()


def _text(file: Path) -> str:
    # Not read_text: it turns the line ends of a page into its own.
    return file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _append(file: Path, content: bytes) -> None:
    private_folder(file.parent)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb") as ledger:
        ledger.write(content)
        ledger.flush()
        os.fsync(ledger.fileno())
