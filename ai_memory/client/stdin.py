"""Reading what the agent sends, without ever waiting for an agent that does not finish."""

from __future__ import annotations

import os
import time
from _thread import allocate_lock, start_new_thread

from .quick_json import NotJsonError, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 64 << 20
#: A whole value followed by this much silence is taken, though the pipe stays open.
_SILENCE = 0.05
#: Without anything new for so long there is no more to come.
_PATIENCE = 0.5
_LONGEST = 2.0
_CHUNK = 1 << 20


class StdinOpenError(OSError):
    """The agent kept the pipe open and did not send a whole payload."""


class TooLargeError(ValueError):
    """The payload is larger than any event."""


def read_payload(file: int = 0) -> tuple[dict[str, Any], bytes]:
    """Read one JSON object; give it and its bytes, which are UTF-8 without anything around them.

    Raises:
        NotJsonError: what came is not a JSON object.
        StdinOpenError: the pipe stayed open and nothing whole came.
        TooLargeError: it is larger than 64 MiB.
    """
    reader = _Reader(file)
    started = time.monotonic()
    size, since, looked = 0, started, 0
    while not reader.done.acquire(timeout=_SILENCE):
        now = time.monotonic()
        if reader.size != size:
            size, since = reader.size, now
        elif looked != size:
            looked = size
            whole = _try(reader.raw())
            if whole:
                return whole
        if now - since >= _PATIENCE or now - started >= _LONGEST:
            raise StdinOpenError(f"the pipe stayed open after {size} bytes")
    if reader.size > LARGEST:
        raise TooLargeError(f"more than {LARGEST >> 20} MiB")
    return parse(reader.raw())


def parse(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a payload from bytes: a byte order mark, NULs around it and bytes that are not UTF-8 are put right.

    Raises:
        NotJsonError: it is not a JSON object.
    """
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
        clean = raw if raw[:1] == b"{" else b""
    except UnicodeDecodeError:
        text, clean = raw.decode("utf-8", "replace"), b""
    text = text.lstrip("\ufeff")
    value = loads(text)
    if not isinstance(value, dict):
        raise NotJsonError("it is not an object")
    return value, clean or text.strip("\0 \t\r\n").encode("utf-8", "replace")


def _try(raw: bytes) -> tuple[dict[str, Any], bytes] | None:
    try:
        return parse(raw)
    except NotJsonError:
        return None


class _Reader:
    """Reads in a thread, the one way to wait with a time limit that every platform has."""

    def __init__(self, file: int) -> None:
        self.size = 0
        self.done = allocate_lock()
        self.done.acquire()
        self._file = file
        self._chunks: list[bytes] = []
        start_new_thread(self._run, ())

    def raw(self) -> bytes:
        """Give what came so far."""
        return b"".join(self._chunks)

    def _run(self) -> None:
        try:
            while self.size <= LARGEST:
                chunk = os.read(self._file, _CHUNK)
                if not chunk:
                    break
                self._chunks.append(chunk)
                self.size += len(chunk)
        except OSError:
            # A closed stdin is an empty one, and that is said where it is parsed.
            pass
        finally:
            self.done.release()
