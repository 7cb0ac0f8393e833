"""The spool: one private file per event, there before anybody is told that the event is kept.

A file is one line of JSON (what was known when it happened) and the agent's own bytes after it.
"""

from __future__ import annotations

import os
import sys
import time

from .quick_json import NotJsonError, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

FOLDER = "hook-spool"
_LOCK = ".drain.lock"
MOST_FILES = 10_000
MOST_BYTES = 1 << 30
LONGEST = 7 * 86_400
_SUFFIX = ".event"
_FORGOTTEN = 3600
_PAUSE = 0.01
_YEAR_3000 = 32_503_680_000_000

_counter = iter(range(1 << 62))


class SpoolEntryError(ValueError):
    """A spool file is not one that this program wrote."""


def folder(data_dir: str) -> str:
    """Give the spool's folder."""
    return os.path.join(data_dir, FOLDER)


def new_key() -> str:
    """Mint an idempotency key."""
    return os.urandom(16).hex()


def put(data_dir: str, header: dict[str, Any], payload: bytes) -> str:
    """Keep an event; it is whole or not there at all.

    Args:
        data_dir: the data directory, made when missing.
        header: what `dumps` can write; `created_ms` and `key` are needed.
        payload: the agent's JSON as it came.

    Returns:
        The file's name; names sort by time.

    Raises:
        OSError: it could not be written, and nothing is left behind.
    """
    where = folder(data_dir)
    name = f"{header['created_ms']:013d}-{os.getpid():07d}-{next(_counter):06d}-{header['key'][:8]}{_SUFFIX}"
    path = os.path.join(where, name)
    fresh = os.path.join(where, f".{name}.new")
    try:
        file = _create(fresh)
    except FileNotFoundError:
        os.makedirs(where, 0o700, exist_ok=True)
        file = _create(fresh)
    try:
        try:
            left = memoryview(dumps(header).encode() + b"\n" + payload)
            while left:
                left = left[os.write(file, left) :]
        finally:
            os.close(file)
        os.rename(fresh, path)
    except OSError:
        os.unlink(fresh)
        raise
    return name


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def names(data_dir: str) -> list[str]:
    """List the events, oldest first.

    Raises:
        OSError: the folder is there and cannot be listed.
    """
    try:
        return sorted(name for name in os.listdir(folder(data_dir)) if name.endswith(_SUFFIX) and name[0] != ".")
    except FileNotFoundError:
        return []


def header(data_dir: str, name: str) -> dict[str, Any]:
    """Read what was known about an event.

    Raises:
        SpoolEntryError: the file is not an event.
        OSError: it cannot be read.
    """
    with open(os.path.join(folder(data_dir), name), "rb") as file:
        return _header(file.readline())


def read(data_dir: str, name: str) -> tuple[dict[str, Any], bytes]:
    """Read an event: what was known, and the agent's bytes.

    Raises:
        SpoolEntryError: the file is not an event.
        OSError: it cannot be read.
    """
    with open(os.path.join(folder(data_dir), name), "rb") as file:
        return _header(file.readline()), file.read()


def _header(line: bytes) -> dict[str, Any]:
    try:
        found = loads(line.decode("ascii"))
    except (UnicodeDecodeError, NotJsonError) as error:
        raise SpoolEntryError(f"the file's first line is not an event's: {error}") from None
    texts = ("key", "agent", "event")
    right = isinstance(found, dict) and all(isinstance(found.get(name), str) for name in texts)
    created = found.get("created_ms") if right else None
    if not isinstance(created, int) or not 0 <= created < _YEAR_3000 or not isinstance(found.get("place"), dict):
        raise SpoolEntryError("the file's first line is not an event's")
    return dict(found)


def remove(data_dir: str, name: str) -> None:
    """Forget an event that was delivered or is given up; one that is gone already is fine."""
    try:
        os.unlink(os.path.join(folder(data_dir), name))
    except FileNotFoundError:
        pass


def prune(data_dir: str, now: float) -> dict[str, int]:
    """Keep the bounds: events that are too old go, then the oldest beyond the count and the size.

    Args:
        data_dir: the data directory.
        now: seconds since 1970.

    Returns:
        Why -> how many went: "dropped-age", "dropped-count"; only those that happened.
    """
    gone: dict[str, int] = {}
    sizes = {name: _size(data_dir, name) for name in names(data_dir)}
    total = sum(sizes.values())
    left = len(sizes)
    for name, size in sizes.items():
        if now - _created(name) > LONGEST:
            reason = "dropped-age"
        elif left > MOST_FILES or total > MOST_BYTES:
            reason = "dropped-count"
        else:
            break
        remove(data_dir, name)
        gone[reason] = gone.get(reason, 0) + 1
        left -= 1
        total -= size
    _sweep(data_dir, now)
    return gone


def _sweep(data_dir: str, now: float) -> None:
    """Remove what a hook that was killed while writing left behind."""
    where = folder(data_dir)
    if not os.path.isdir(where):
        return
    for name in os.listdir(where):
        if name.endswith(_SUFFIX + ".new") and now - _created(name[1:]) > _FORGOTTEN:
            remove(data_dir, name)


def state(data_dir: str, now: float) -> dict[str, Any]:
    """Tell how the spool stands: path, pending, oldest_age_secs (None when empty), bytes, writable.

    Raises:
        OSError: the folder is there and cannot be listed.
    """
    where = folder(data_dir)
    if os.path.exists(where) and not os.path.isdir(where):
        return {"path": where, "pending": 0, "oldest_age_secs": None, "bytes": 0, "writable": False}
    found = names(data_dir)
    return {
        "path": where,
        "pending": len(found),
        "oldest_age_secs": max(0, round(now - _created(found[0]))) if found else None,
        "bytes": sum(_size(data_dir, name) for name in found),
        "writable": os.access(_existing(where), os.W_OK | os.X_OK),
    }


def _existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _created(name: str) -> float:
    digits = name.partition("-")[0]
    return int(digits) / 1000 if digits.isdigit() else 0.0


def _size(data_dir: str, name: str) -> int:
    try:
        return os.stat(os.path.join(folder(data_dir), name)).st_size
    except FileNotFoundError:
        return 0


class LockBusyError(OSError):
    """Another process is delivering."""


class DrainLock:
    """The lock that makes one delivery at a time; it belongs to a process and ends with it, however it ends.

    Args:
        data_dir: the data directory; its spool must exist.
        wait: how long to try, in seconds.

    Raises:
        LockBusyError: on entering, when another process kept it all that time.
        OSError: the file cannot be opened.
    """

    def __init__(self, data_dir: str, wait: float = 0.0) -> None:
        self._data_dir = data_dir
        self._wait = wait
        self._file = -1

    def __enter__(self) -> None:
        self._file = take_lock(self._data_dir, self._wait)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing gives a POSIX record lock back; Windows gives it back with the handle.
        os.close(self._file)


def take_lock(data_dir: str, wait: float = 0.0) -> int:
    """Take the lock for good: until the process ends or closes the file that is given back.

    Args:
        data_dir: the data directory; its spool must exist.
        wait: how long to try, in seconds.

    Raises:
        LockBusyError: another process kept it all that time.
        OSError: the file cannot be opened.
    """
    file = os.open(os.path.join(folder(data_dir), _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + wait
    while not _take(file):
        if time.monotonic() >= until:
            os.close(file)
            raise LockBusyError("another process is delivering")
        time.sleep(_PAUSE)
    return file


def is_held(data_dir: str) -> bool:
    """Tell whether another process is delivering; on Windows always False, where asking would mean taking it.

    A lock that cannot be opened tells nothing; the drainer that is started then says what is wrong with it.
    """
    if sys.platform == "win32":
        return False
    try:
        file = os.open(os.path.join(folder(data_dir), _LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return False
    try:
        os.lockf(file, os.F_TEST, 0)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _take(file: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            os.lockf(file, os.F_TLOCK, 0)
    except OSError:
        return False
    return True
