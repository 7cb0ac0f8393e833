"""The wiki: markdown pages of every project in one git repository. The truth.

`wiki/<workspace>/_meta.md` and `wiki/<workspace>/<project>/_meta.md` carry the names, so that the tree alone
rebuilds everything; human names never appear in paths.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ai_memory.errors import StorageError
from ai_memory.model.event import Scrubbed
from ai_memory.model.handoff import stamp
from ai_memory.model.page import formatted, front_matter, page_path
from ai_memory.model.scope import Project
from ai_memory.store.files import private_folder, write_whole
from ai_memory.store.git import COMMITTER, Git, GitError

MANIFEST = "_meta.md"


@dataclass(frozen=True, slots=True)
class Append:
    """Lines to add at the end of a file of a project (the event ledger)."""

    path: str
    text: Scrubbed


class Wiki:
    """The `wiki/` folder of a data directory. Writers hold `lock` over read, decide and write."""

    def __init__(self, root: Path, intents: Path) -> None:
        """Open the wiki, and undo an append whose commit a crash prevented.

        Args:
            root: the repository.
            intents: the file that notes the ledgers' lengths while a commit is being made.
        """
        self.git = Git(root)
        self.root = root
        self.lock = threading.RLock()
        #: Pages that are in git, but of which nobody has said yet that the mark of that is kept.
        self.unmarked: set[str] = set()
        self._intents = intents
        if intents.exists():
            self._roll_back()

    # Manifests

    def projects(self) -> Iterator[Project]:
        """List the projects whose manifests are in the tree."""
        for workspace in sorted(self.root.iterdir()):
            meta = _manifest(workspace)
            if not meta:
                continue
            for folder in sorted(workspace.iterdir()):
                if front := _manifest(folder):
                    roots = front.get("roots")
                    yield Project(
                        id=UUID(folder.name),
                        workspace_id=UUID(workspace.name),
                        workspace=str(meta["name"]),
                        name=str(front["name"]),
                        identity=str(front.get("identity") or ""),
                        roots=tuple(str(root) for root in roots) if isinstance(roots, list) else (),
                    )

    def write_manifest(self, project: Project, created: datetime) -> None:
        """Write a project's manifest (and its workspace's, when that is new); the next commit takes them in.

        Raises:
            StorageError: it could not be written.
        """
        workspace = self.root / str(project.workspace_id) / MANIFEST
        folder = self.folder(project)
        old = front_matter(_text(folder / MANIFEST))
        front: dict[str, object] = {
            "type": "Project",
            "name": project.name,
            "workspace": project.workspace,
            "identity": project.identity or None,
            "roots": list(project.roots) or None,
            "created": old.get("created", stamp(created)),
        }
        try:
            if not workspace.exists():
                write_whole(workspace, _encoded({"type": "Workspace", "name": project.workspace}))
            write_whole(folder / MANIFEST, _encoded({key: value for key, value in front.items() if value}))
        except OSError as error:
            raise StorageError(f"the wiki could not be written: {error.strerror} ({folder})") from error

    def folder(self, project: Project) -> Path:
        """Say where a project's pages are."""
        return self.root / str(project.workspace_id) / str(project.id)

    # Pages

    def read(self, project: Project, path: str) -> str | None:
        """Read a page, None when there is none."""
        file = self.folder(project) / page_path(path)
        return _text(file) if file.is_file() else None

    def write(self, project: Project, pages: Mapping[str, Scrubbed]) -> None:
        """Write pages without a commit: the working state of a session that goes on.

        Raises:
            StorageError: a page could not be written; pages before it in the mapping were.
        """
        for path, text in pages.items():
            file = self.folder(project) / page_path(path)
            try:
                write_whole(file, text.encode())
            except OSError as error:
                raise StorageError(f"page {path} could not be written: {error.strerror} ({file})") from error

    def commit(
        self,
        project: Project,
        pages: Mapping[str, Scrubbed],
        message: str,
        *,
        appends: Sequence[Append] = (),
        author: tuple[str, str] = COMMITTER,
        mark: Callable[[], None] = lambda: None,
    ) -> str:
        """Write pages and ledger lines and commit exactly these files (and the manifests, when they are new).

        Args:
            project: where.
            pages: path in the project -> new text.
            message: the commit's subject, and its body if there is one.
            appends: lines for the ledgers.
            author: name and address.
            mark: keeps the mark of the commit; until it returns the pages are in `unmarked`, also after a crash.

        Returns:
            the commit's id, "" when nothing changed.

        Raises:
            StorageError: nothing was committed and the ledgers have their former length; pages may have
                been written, like by `write`.
        """
        prefix = f"{project.workspace_id}/{project.id}/"
        ledgers = {prefix + page_path(append.path): append.text for append in appends if append.text}
        paths = [prefix + path for path in pages] + list(ledgers)
        paths += [f"{project.workspace_id}/{MANIFEST}", prefix + MANIFEST]
        before = {path: _size(self.root / path) for path in ledgers}
        try:
            self.write(project, pages)
            if ledgers:
                intent = {"head": self.git.head(), "sizes": before, "pages": [prefix + path for path in pages]}
                write_whole(self._intents, json.dumps(intent).encode())
            for path, text in ledgers.items():
                _append(self.root / path, text.encode())
            oid = self.git.commit(paths, message, author=author)
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
        self.unmarked.update(prefix + path for path in pages)
        mark()
        self.unmarked.difference_update(prefix + path for path in pages)
        self._intents.unlink(missing_ok=True)
        return oid

    def _roll_back(self) -> None:
        """Cut the ledgers to their noted lengths, unless the commit was made after all."""
        intent = json.loads(self._intents.read_text("utf-8"))
        if self.git.head() == intent["head"]:
            for path, size in intent["sizes"].items():
                file = self.root / path
                if file.exists():
                    os.truncate(file, size)
        else:
            self.unmarked.update(intent["pages"])
        self._intents.unlink()


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _manifest(folder: Path) -> dict[str, object]:
    file = folder / MANIFEST
    if not _is_id(folder.name) or not file.is_file():
        return {}
    front = front_matter(_text(file))
    return front if front.get("name") else {}


def _encoded(front: Mapping[str, object]) -> bytes:
    return formatted(front, "").encode()


def _text(file: Path) -> str:
    return file.read_text("utf-8", errors="replace") if file.is_file() else ""


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _append(file: Path, content: bytes) -> None:
    private_folder(file.parent)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb") as ledger:
        ledger.write(content)
        ledger.flush()
        os.fsync(ledger.fileno())
