"""A snapshot of the durable files of a data directory: hard links, so that writers wait for milliseconds only."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ai_memory.errors import StorageError
from ai_memory.model.page import is_ledger
from ai_memory.store.files import TEMPORARY_PREFIX, private_folder
from ai_memory.store.state import copied
from ai_memory.store.steps import Step, reached

SNAPSHOT_PREFIX = ".snapshot-"
TREES = ("wiki", "raw")
STATE = "db/state.db"
#: Notes of what was not finished at that moment, without which the trees would be half of something.
NOTES = ("db/commit-intent.json", "db/operation.json")
CONFIG = "config.toml"

#: Files that are appended to in place: a link to one grows with it, and what counts is its length at the moment.
_APPENDED = re.compile(r"raw/.*\.jsonl|wiki/[^/]+/[^/]+/(log-[^/]*)|wiki/\.git/(?:.*/)?logs/.*")
#: `git gc` may run meanwhile. It writes packed-refs before it removes a ref and a pack before it removes an object,
#: so what it may take away is read first, and where it goes to last. Refs are read before the objects they need.
_GIT_ORDER = {"refs": 0, "objects": 2, "pack": 3}
_PASSES = 50


@dataclass(frozen=True, slots=True)
class Linked:
    """One file of a snapshot.

    Attributes:
        name: its path in the data directory, with slashes.
        size: how many of its bytes count.
        written: when it was last written to, seconds since 1970.
    """

    name: str
    size: int
    written: int


class Snapshot:
    """The wiki, the raw log and the state of one moment, in a folder of its own until `remove`.

    Attributes:
        folders: every folder, parents first.
        files: every file.
        left_out: symbolic links and special files, which are not followed and not kept.
    """

    def __init__(self, data_dir: Path) -> None:
        """Link every file. Whoever calls holds the locks of the writers, if there are any.

        Raises:
            StorageError: something could not be linked or copied; nothing is left of the snapshot.
        """
        self._data_dir = data_dir
        self._root = data_dir / f"{SNAPSHOT_PREFIX}{secrets.token_hex(4)}"
        self.folders: list[str] = []
        self.files: list[Linked] = []
        self.left_out = 0
        try:
            private_folder(self._root / "db")
            self._take()
        except OSError as error:
            self.remove()
            raise StorageError(f"a snapshot could not be made: {error.strerror} ({error.filename})") from error
        except StorageError:
            self.remove()
            raise

    @property
    def size(self) -> int:
        """All bytes that count."""
        return sum(file.size for file in self.files)

    def path(self, file: Linked) -> Path:
        """Say where a file of the snapshot can be read."""
        return self._root / file.name

    def remove(self) -> None:
        """Remove the links; the files stay what they are."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _take(self) -> None:
        for name in TREES:
            tree = self._data_dir / name
            if tree.is_symlink():
                raise StorageError(
                    f"{tree} is a symbolic link, which a backup does not follow: make {self._data_dir} the real folder"
                )
            if tree.is_dir():
                self._link_folder(name)
        reached(Step.BACKUP_LINKED)
        self.folders.append("db")
        for name in (*NOTES, CONFIG):
            if (self._data_dir / name).is_file():
                self._link(name)
        if (self._data_dir / STATE).is_file():
            copied(self._data_dir / STATE, self._root / STATE)
            self._note(STATE)
        reached(Step.BACKUP_STATE_COPIED)

    def _link_folder(self, name: str) -> None:
        """Link a folder's files, again and again until a pass has seen it unchanged.

        A file that is replaced by another (a log that is compressed, objects that are packed) may be gone when its
        turn comes; its successor is then there, but perhaps not in the list that was read before.
        """
        source = self._data_dir / name
        if not (self._root / name).exists():
            (self._root / name).mkdir(mode=0o700)
            self.folders.append(name)
        seen: set[str] = set()
        for _ in range(_PASSES):
            before, gone = source.stat().st_mtime_ns, False
            for child in _children(source, name):
                if child.name not in seen:
                    try:
                        self._link_child(f"{name}/{child.name}", child)
                        seen.add(child.name)
                    except FileNotFoundError:
                        gone = True
            if not gone and source.stat().st_mtime_ns == before:
                return
        raise StorageError(f"{source} is being changed by another program all the time: try again when it is done")

    def _link_child(self, name: str, child: os.DirEntry[str]) -> None:
        if child.is_dir(follow_symlinks=False):
            self._link_folder(name)
        elif child.is_file(follow_symlinks=False):
            self._link(name)
        else:
            self.left_out += 1

    def _link(self, name: str) -> None:
        # Texts, because building paths would take longer than linking, and everybody waits.
        source, target = f"{self._data_dir}/{name}", f"{self._root}/{name}"
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:
            # A file system without hard links, or a folder that is a mount of its own.
            shutil.copy2(source, target, follow_symlinks=False)
        self._note(name)

    def _note(self, name: str) -> None:
        about = os.lstat(f"{self._root}/{name}")
        if stat.S_ISREG(about.st_mode):
            self.files.append(Linked(name, about.st_size, int(about.st_mtime)))
        else:
            self.left_out += 1


def is_appended(name: str) -> bool:
    """Tell whether a file is written to in place, so that it may be longer by now than it was."""
    found = _APPENDED.fullmatch(name)
    return found is not None and (found[1] is None or is_ledger(found[1]))


def _children(source: Path, name: str) -> Iterator[os.DirEntry[str]]:
    in_git = name == "wiki/.git" or name.startswith("wiki/.git/")
    with os.scandir(source) as found:
        children = sorted(found, key=lambda child: (_GIT_ORDER.get(child.name, 1) if in_git else 1, child.name))
    return (child for child in children if not _is_passing(child.name, in_git=in_git))


def _is_passing(name: str, *, in_git: bool) -> bool:
    """Tell whether a name is of a lock or of a file that is being written."""
    if in_git and (name.endswith(".lock") or name.startswith("tmp_") or name == "gc.pid"):
        return True
    return name.startswith(TEMPORARY_PREFIX)
