"""Files as this program writes them: private, whole or not at all, on disk when the call returns."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ai_memory.errors import StorageError

TEMPORARY_PREFIX = ".ai-memory-tmp."


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, that only its owner can enter."""
    # `parents=True` would give the parents the default mode.
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            # A file is not on disk before the names of its folders are.
            sync_folder(folder.parent)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by a synced one with mode 0600; a crash leaves the old one or the new one.

    Raises:
        OSError: it could not be written; the old file is untouched.
    """
    private_folder(path.parent)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def nameless_file(folder: Path, what: str) -> Iterator[IO[bytes]]:
    """Give a file without a name to write to; afterwards it is open at its start, and the caller closes it.

    Its disk space is free again as soon as it is closed, or this process dies.

    Args:
        folder: on which disk it is.
        what: it is called in the error.

    Raises:
        StorageError: the disk refused; the file is closed.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
        try:
            yield file
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise StorageError(f"{what} could not be written: {error.strerror or error} ({folder})") from error


def rename_once(source: Path, target: Path) -> None:
    """Rename a file or folder, unless that is done already.

    Raises:
        StorageError: it could not be renamed.
    """
    try:
        if source.exists() or source.is_symlink():
            private_folder(target.parent)
            source.replace(target)
            sync_folder(target.parent)
            sync_folder(source.parent)
    except OSError as error:
        raise StorageError(f"{source} could not be moved to {target}: {error.strerror}") from error


def link_on_way(root: Path, path: str) -> str:
    """Find the first symbolic link on the way from a folder to a path below it, that path included; "" without one."""
    way = root
    for name in path.split("/"):
        way /= name
        try:
            is_link = way.is_symlink()
        except OSError:
            # A name that no disk takes: nothing is there, or further on.
            return ""
        if is_link:
            return way.relative_to(root).as_posix()
    return ""


def is_plain(root: Path, path: str) -> bool:
    """Tell whether a path below a folder is a file, with no symbolic link on the way to it."""
    return (root / path).is_file() and not link_on_way(root, path)


def remove_leftovers(root: Path) -> None:
    """Remove what `write_whole` did not come to the end of, below a folder; git's own folder is passed over."""
    for path, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            if name.startswith(TEMPORARY_PREFIX):
                Path(path, name).unlink(missing_ok=True)


def bytes_below(folder: Path) -> int:
    """Add up the bytes of all files below a folder, 0 where there is none; links are not followed."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            # A file may go while we count.
            with contextlib.suppress(OSError):
                total += Path(path, name).lstat().st_size
    return total


def sync_folder(path: Path) -> None:
    """Sync a folder, so that a new name in it survives a power cut (Windows does that by itself)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
