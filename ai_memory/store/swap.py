"""Putting other trees in the place of a data directory's: all or nothing, whenever the process is killed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

from ai_memory.errors import StorageError
from ai_memory.store.files import private_folder, sync_folder, write_whole
from ai_memory.store.snapshot import CONFIG, SNAPSHOT_PREFIX
from ai_memory.store.steps import Step, reached

#: The durable folders; `db/` goes as a whole, so that no write-ahead log of the old state meets the new one.
SWAPPED = ("wiki", "raw", "db")
STAGING_PREFIX = ".restore-staging-"
_DROPPED_PREFIX = ".reset-"
_NOTE = ".swap.json"


def staging_folder(data_dir: Path) -> Path:
    """Make an empty folder with empty trees, on the disk that they will be used on."""
    staging = data_dir / f"{STAGING_PREFIX}{secrets.token_hex(4)}"
    for name in SWAPPED:
        private_folder(staging / name)
    return staging


def check_movable(data_dir: Path) -> None:
    """Refuse what cannot be renamed, before anything is done.

    Raises:
        StorageError: a tree is a link, or a file system of its own.
    """
    for name in SWAPPED:
        tree = data_dir / name
        if tree.is_symlink() or tree.is_mount():
            raise StorageError(
                f"{tree} is a symbolic link or a mount of its own and cannot be swapped by a rename: "
                "put the whole data directory there instead"
            )


def swap(data_dir: Path, staging: Path, kept: str = "") -> None:
    """Put the trees of `staging` in place; from the first rename on this will be done, now or at the next start.

    Args:
        data_dir: the data directory, whose lock is held.
        staging: what `staging_folder` made; it is used up.
        kept: the name of the folder that the present trees are kept in; "" deletes them.
    """
    # What is renamed must be on disk before its new name is.
    getattr(os, "sync", lambda: None)()
    old = kept or f"{_DROPPED_PREFIX}{secrets.token_hex(4)}"
    write_whole(data_dir / _NOTE, json.dumps({"new": staging.name, "old": old}).encode())
    reached(Step.SWAP_NOTED)
    finish_restore(data_dir)


def finish_restore(data_dir: Path) -> None:
    """Bring a swap to its end that was begun; nothing otherwise. Whoever calls holds the lock and no store."""
    note = data_dir / _NOTE
    if not note.is_file():
        return
    names = json.loads(note.read_text("utf-8"))
    new, old = data_dir / names["new"], data_dir / names["old"]
    for name in SWAPPED:
        # What is no longer in the staging folder is in its place.
        if (new / name).exists():
            _exchange(data_dir / name, new / name, old / name)
    if (new / CONFIG).exists() and not (data_dir / CONFIG).exists():
        (new / CONFIG).rename(data_dir / CONFIG)
    for derived in (old / "db").glob("index.db*"):
        derived.unlink()
    note.unlink()
    sync_folder(data_dir)
    reached(Step.SWAP_DONE)
    clear_leftovers(data_dir)


def _exchange(live: Path, new: Path, old: Path) -> None:
    if live.is_dir() and not any(live.iterdir()):
        # What a reset has left is no data that somebody could miss.
        live.rmdir()
    elif live.exists():
        private_folder(old.parent)
        live.rename(old)
        sync_folder(old.parent)
    reached(Step.SWAP_OLD_AWAY)
    new.rename(live)
    sync_folder(live.parent)
    reached(Step.SWAP_NEW_IN)


def clear_leftovers(data_dir: Path) -> None:
    """Remove what a backup, restore or reset that was killed has left. Call it after `finish_restore`."""
    for child in data_dir.iterdir():
        if child.name.startswith((SNAPSHOT_PREFIX, STAGING_PREFIX, _DROPPED_PREFIX)):
            shutil.rmtree(child, ignore_errors=True)
