"""Backup, restore and reset of a data directory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from ai_memory.errors import ConflictError, StorageError
from ai_memory.memory.stores import Stores
from ai_memory.memory.upgrade import BACKUPS
from ai_memory.store import archive
from ai_memory.store.archive import Contents, Tally
from ai_memory.store.files import nameless_file
from ai_memory.store.git import Git
from ai_memory.store.lock import DirectoryLock
from ai_memory.store.snapshot import STATE, Snapshot
from ai_memory.store.state import check_state, has_handoffs
from ai_memory.store.steps import Step, reached
from ai_memory.store.swap import check_movable, clear_leftovers, finish_restore, staging_folder, swap

KEPT_PREFIX = "before-restore-"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: what was in the archive, and where the data before it is kept (None: there was none)."""

    contents: Contents
    kept: Path | None


def save(data_dir: Path, stores: Stores) -> IO[bytes]:
    """Make a backup of stores that are in use; writers wait while the files are linked, not while they are packed.

    Returns:
        the archive, open at its start; the disk space is free again as soon as it is closed, or this process dies.

    Raises:
        StorageError: there is no room for it, or the disk refused.
    """
    with stores.intake_lock, stores.wiki.lock:
        at = stores.clock()
        snapshot = Snapshot(data_dir)
    try:
        with nameless_file(data_dir, "the backup") as out:
            archive.check_room(data_dir, archive.room_for(snapshot), "the backup")
            archive.write(out, snapshot, at=at)
    finally:
        snapshot.remove()
    return out


def restore(data_dir: Path, file: Path, *, force: bool, at: datetime) -> Restored:
    """Put a backup in the place of a data directory's wiki, raw log and state.

    The archive is laid out and checked beside them first. A `config.toml` is taken over only where there is none.

    Args:
        data_dir: the data directory; made if it is missing.
        file: the archive.
        force: also where there is data, which is kept in a folder of its own.
        at: now, UTC, for the name of that folder.

    Raises:
        DirectoryInUseError: a server runs on it.
        ConflictError: there is data, and no `force`.
        ArchiveError: the archive cannot be used; nothing was changed.
        StorageError: the disk refused; nothing was changed.
    """
    lock = DirectoryLock(data_dir)
    lock.hold()
    try:
        _settle(data_dir)
        check_movable(data_dir)
        if not force and (held := _held(data_dir)):
            raise ConflictError(
                f"{data_dir} holds data ({held}): say --force to put the backup in its place (it is kept as "
                f"{KEPT_PREFIX}…), or restore into an empty --data-dir"
            )
        staging = staging_folder(data_dir)
        try:
            contents = archive.read(file, staging)
            check_state(staging / STATE)
            Git(staging / "wiki").disarm()
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        reached(Step.RESTORE_LAID_OUT)
        kept = _unused(data_dir, f"{KEPT_PREFIX}{at:%Y%m%dT%H%M%SZ}")
        swap(data_dir, staging, kept.name)
        return Restored(contents, kept if kept.exists() else None)
    except OSError as error:
        raise StorageError(f"{data_dir} cannot be used: {error.strerror} ({error.filename})") from error
    finally:
        lock.release()


def reset(data_dir: Path) -> Tally:
    """Delete everything in the wiki, the raw log and the databases; settings, hooks and their spool stay.

    Returns:
        what was deleted.

    Raises:
        DirectoryInUseError: a server runs on it.
        StorageError: the disk refused; either everything is there, or nothing.
    """
    lock = DirectoryLock(data_dir)
    lock.hold()
    try:
        _settle(data_dir)
        check_movable(data_dir)
        tally = archive.tally_of(data_dir)
        swap(data_dir, staging_folder(data_dir))
    except OSError as error:
        raise StorageError(f"{data_dir} cannot be used: {error.strerror} ({error.filename})") from error
    finally:
        lock.release()
    return tally


def kept_folders(data_dir: Path) -> list[Path]:
    """List the older data that restores and upgrades have kept in the data directory."""
    return [folder for pattern in (f"{KEPT_PREFIX}*", BACKUPS) for folder in sorted(data_dir.glob(pattern))]


def _settle(data_dir: Path) -> None:
    finish_restore(data_dir)
    clear_leftovers(data_dir)


def _held(data_dir: Path) -> str:
    """Name what there is, "" when nothing is: a server that only ran has neither workspaces nor handoffs."""
    pages = any(child.is_dir() and child.name != ".git" for child in (data_dir / "wiki").glob("*"))
    raw = any((data_dir / "raw").glob("*"))
    found = {"pages": pages, "a raw log": raw, "handoffs": has_handoffs(data_dir / STATE)}
    return ", ".join(name for name, is_there in found.items() if is_there)


def _unused(data_dir: Path, name: str) -> Path:
    path, number = data_dir / name, 1
    while path.exists():
        number += 1
        path = data_dir / f"{name}-{number}"
    return path
