"""The wiki: markdown pages of every project in one git repository. The truth.

`wiki/<workspace>/_meta.md` and `wiki/<workspace>/<project>/_meta.md` carry the names, so that the tree alone
rebuilds everything; human names never appear in paths.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ai_memory.errors import StorageError
from ai_memory.model.event import Scrubbed
from ai_memory.model.handoff import stamp
from ai_memory.model.page import formatted, front_matter, page_path
from ai_memory.model.scope import Project, Workspace
from ai_memory.model.tombstone import Tombstone, body_with, tombstones_in
from ai_memory.store.files import private_folder, remove_leftovers, write_whole
from ai_memory.store.git import COMMITTER, Git, GitError
from ai_memory.store.steps import Step, reached

MANIFEST = "_meta.md"
#: Every file of a bundle says what it is.
LEDGER_HEAD = formatted({"type": "Log", "title": "Event ledger"}, "")


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
        #: What was deleted: by project's id, and by workspace's id for its projects.
        self.gone: dict[UUID, dict[str, Tombstone]] = {}
        self._intents = intents
        for folder in (root, intents.parent):
            remove_leftovers(folder)
        if intents.exists():
            self._roll_back()

    # Manifests

    def projects(self) -> Iterator[Project]:
        """List the projects whose manifests are in the tree."""
        for workspace in self.workspaces():
            for folder in sorted((self.root / str(workspace.id)).iterdir()):
                # Before its manifest is read: a folder that came back has the tombstones of another time.
                if not self.is_gone(workspace.id, folder.name) and (front := self._manifest(folder)):
                    yield Project(
                        id=UUID(folder.name),
                        workspace_id=workspace.id,
                        workspace=workspace.name,
                        name=str(front["name"]),
                        identity=str(front.get("identity") or ""),
                        roots=_texts(front.get("roots")),
                        aliases=_texts(front.get("aliases")),
                    )

    def workspaces(self) -> Iterator[Workspace]:
        """List the workspaces whose manifests are in the tree, also those without a project."""
        for folder in sorted(self.root.iterdir()):
            if front := self._manifest(folder):
                yield Workspace(UUID(folder.name), str(front["name"]), _texts(front.get("aliases")))

    def _manifest(self, folder: Path) -> dict[str, object]:
        """Read a manifest, and the tombstones in it; {} for a folder that is none of ours."""
        file = folder / MANIFEST
        if not _is_id(folder.name) or not file.is_file():
            return {}
        text = _text(file)
        self.gone[UUID(folder.name)] = tombstones_in(text)
        front = front_matter(text)
        return front if front.get("name") else {}

    def is_gone(self, scope_id: UUID, what: str) -> bool:
        """Tell whether a page or session of a project, or a project of a workspace, was deleted."""
        return what in self.gone.get(scope_id, {})

    def is_buried(self, scope_id: UUID, what: str) -> bool:
        """Tell whether a page was deleted in such a way that what it said may still be looked up."""
        tombstone = self.gone.get(scope_id, {}).get(what)
        return tombstone is not None and not tombstone.is_purge

    def bury(self, folder: Path, tombstones: Iterable[Tombstone]) -> None:
        """Write tombstones into the manifest of a project's (or workspace's) folder; the next commit takes them in.

        Raises:
            StorageError: it could not be written.
        """
        self._rewrite(folder, {**self.gone.get(UUID(folder.name), {}), **{each.key: each for each in tombstones}})

    def revive(self, folder: Path, keys: Iterable[str]) -> None:
        """Take tombstones away; the next commit takes that in.

        Raises:
            StorageError: it could not be written.
        """
        alive = set(keys)
        gone = self.gone.get(UUID(folder.name), {})
        self._rewrite(folder, {key: each for key, each in gone.items() if key not in alive})

    def _rewrite(self, folder: Path, gone: dict[str, Tombstone]) -> None:
        try:
            write_whole(
                folder / MANIFEST, formatted(front_matter(_text(folder / MANIFEST)), body_with(gone.values())).encode()
            )
        except OSError as error:
            raise StorageError(f"the wiki could not be written: {error.strerror} ({folder})") from error
        self.gone[UUID(folder.name)] = gone

    def write_manifest(self, project: Project, created: datetime) -> None:
        """Write a project's manifest (and its workspace's, when that is new); the next commit takes them in.

        Raises:
            StorageError: it could not be written.
        """
        workspace = self.root / str(project.workspace_id) / MANIFEST
        folder = self.folder(project)
        old = front_matter(_text(folder / MANIFEST))
        front: dict[str, object] = {
            **old,
            "type": "Project",
            "name": project.name,
            "workspace": project.workspace,
            "identity": project.identity or None,
            "roots": list(project.roots) or None,
            "aliases": list(project.aliases) or None,
            "created": old.get("created", stamp(created)),
        }
        try:
            if not workspace.exists():
                write_whole(workspace, formatted({"type": "Workspace", "name": project.workspace}, "").encode())
            body = body_with(self.gone.get(project.id, {}).values())
            write_whole(
                folder / MANIFEST, formatted({key: value for key, value in front.items() if value}, body).encode()
            )
        except OSError as error:
            raise StorageError(f"the wiki could not be written: {error.strerror} ({folder})") from error

    def write_workspace(self, workspace: Workspace) -> None:
        """Write a workspace's manifest, with its tombstones; the next commit takes it in.

        Raises:
            StorageError: it could not be written.
        """
        file = self.root / str(workspace.id) / MANIFEST
        front: dict[str, object] = {**front_matter(_text(file)), "type": "Workspace", "name": workspace.name}
        front["aliases"] = list(workspace.aliases) or None
        body = body_with(self.gone.get(workspace.id, {}).values())
        try:
            write_whole(file, formatted({key: value for key, value in front.items() if value}, body).encode())
        except OSError as error:
            raise StorageError(f"the wiki could not be written: {error.strerror} ({file})") from error

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
        at: datetime,
        deletes: Sequence[str] = (),
        files: Sequence[str] = (),
        appends: Sequence[Append] = (),
        author: tuple[str, str] = COMMITTER,
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
            StorageError: nothing was committed and the ledgers have their former length; pages may have
                been written, like by `write`.
        """
        prefix = f"{project.workspace_id}/{project.id}/"
        ledgers = {prefix + page_path(append.path): append.text for append in appends if append.text}
        paths = [prefix + path for path in pages] + [prefix + page_path(path) for path in (*deletes, *files)]
        paths += [*ledgers, f"{project.workspace_id}/{MANIFEST}", prefix + MANIFEST]
        if (self.root / MANIFEST).exists():
            paths.append(MANIFEST)
        before = {path: _size(self.root / path) for path in ledgers}
        try:
            self.write(project, pages)
            for path in deletes:
                (self.folder(project) / path).unlink(missing_ok=True)
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


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


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
