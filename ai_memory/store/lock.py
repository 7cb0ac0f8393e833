"""The lock of a data directory: one server at a time, released by the operating system when it dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_memory.errors import DirectoryInUseError, StorageError
from ai_memory.store.files import private_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class DirectoryLock:
    """An exclusive lock on a data directory, held for the life of the object's `hold`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / ".lock"
        self._descriptor = -1

    def hold(self) -> None:
        """Take the lock and write this process's id into it.

        Raises:
            DirectoryInUseError: another process holds it; the message names its process id.
            StorageError: the directory cannot be made or written to.
        """
        try:
            private_folder(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(
                f"the data directory {self._path.parent} cannot be used: {error.strerror} ({error.filename})"
            ) from error
        try:
            _lock(descriptor)
        except OSError:
            os.lseek(descriptor, _PID_AT, os.SEEK_SET)
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DirectoryInUseError(
                f"the data directory {self._path.parent} is in use by the server with process id "
                f"{holder or 'unknown'}: stop that one first, or give this one another --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, _PID_AT, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, because removing it would race with the next holder."""
        if self._descriptor >= 0:
            _unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Keep every other program that also asks from changing a file meanwhile; waits for its turn.

    Raises:
        StorageError: the file that stands for the lock, beside the other one, cannot be made.
    """
    try:
        private_folder(file.parent)
        descriptor = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror} ({error.filename})") from error
    try:
        _wait(descriptor)
        yield
    finally:
        _unlock(descriptor)
        os.close(descriptor)


if sys.platform == "win32":
    # A locked byte cannot be read by others on Windows: the id stands behind it.
    _PID_AT = 1

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _wait(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _unlock(descriptor: int) -> None:
        """Closing does it."""

else:
    _PID_AT = 0

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        # A program that another thread is starting right now has a copy of the descriptor until it runs.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
