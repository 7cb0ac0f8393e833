"""What happened to events on this side: an append-only log of one line each, and what `status` reads from it.

A line is: milliseconds, kind, count, detail, with tabs between. No payload and no token is ever written here.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = "hook-state"
_LOG = "client.log"
_HELD = "held.json"
_PAUSE = "unreachable"
_LARGEST = 256 * 1024
#: How long after a vain attempt ordinary events start no other one, in seconds.
PAUSE = 15.0

STORED = "stored"
DELIVERED = "delivered"
#: Kinds that tell of a loss or of trouble; every other kind is the ordinary course of things.
TROUBLE = (
    "invalid-json",
    "stdin-open",
    "unwritable",
    "too-large",
    "unreachable",
    "busy",
    "refused",
    "bad-marker",
    "bad-answer",
    "dropped-refused",
    "dropped-by-server",
    "dropped-age",
    "dropped-count",
    "dropped-unreadable",
    "failed",
)
_HINTS = {
    "invalid-json": "An agent sent something that is not JSON; the event was left out.",
    "stdin-open": "An agent never finished sending an event; it was left out.",
    "unwritable": "The spool cannot be written, so events are lost: make the data directory writable.",
    "unreachable": "The server does not answer; events wait on this machine: start it with `ai-memory serve`.",
    "busy": "The server asked to come back later; events wait on this machine.",
    "refused": "The server refuses this machine's events: check the token and the address that the hooks use.",
}


def add(data_dir: str, kind: str, detail: str = "", count: int = 1) -> bool:
    """Append a note; False when it could not be written.

    A note never stands in the way of what it tells about, so nothing is raised.
    """
    folder = os.path.join(data_dir, FOLDER)
    text = " ".join(detail.split())[:300]
    line = f"{time.time_ns() // 1_000_000}\t{kind}\t{count}\t{text}\n".encode("utf-8", "replace")
    try:
        try:
            file = _open(folder)
        except FileNotFoundError:
            os.makedirs(folder, 0o700, exist_ok=True)
            file = _open(folder)
        try:
            os.write(file, line)
        finally:
            os.close(file)
    except OSError:
        return False
    return True


def _open(folder: str) -> int:
    return os.open(os.path.join(folder, _LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def rotate(data_dir: str) -> None:
    """Begin a new log when this one is full; the counts go on, the lines of the log before stay in `client.log.1`.

    Called under the drain lock only: two that rotate at once would count twice.
    """
    path = os.path.join(data_dir, FOLDER, _LOG)
    if not os.path.exists(path) or os.path.getsize(path) < _LARGEST:
        return
    os.replace(path, path + ".1")
    counts: dict[str, int] = {}
    for _, kind, count, _ in _lines(path + ".1"):
        counts[kind] = counts.get(kind, 0) + count
    carried = "".join([f"0\t{kind}\t{count}\tcarried over\n" for kind, count in counts.items()])
    file = _open(os.path.dirname(path))
    try:
        os.write(file, carried.encode())
    finally:
        os.close(file)


def pause(data_dir: str) -> None:
    """Remember that the server did not answer just now, so that a storm of events makes no storm of attempts."""
    _write(data_dir, _PAUSE, "")


def resume(data_dir: str) -> None:
    """Forget the pause: the server answered."""
    _remove(data_dir, _PAUSE)


def is_paused(data_dir: str, now: float) -> bool:
    """Tell whether an attempt was in vain less than `PAUSE` seconds before `now` (seconds since 1970)."""
    try:
        since = os.stat(os.path.join(data_dir, FOLDER, _PAUSE)).st_mtime
    except OSError:
        return False
    return 0 <= now - since < PAUSE


def hold(data_dir: str, reasons: dict[str, int]) -> None:
    """Write down why events are still here: reason -> how many; nothing to say removes it."""
    if not reasons:
        _remove(data_dir, _HELD)
        return
    from .quick_json import dumps

    _write(data_dir, _HELD, dumps(reasons))


def held(data_dir: str) -> dict[str, int]:
    """Give what the last delivery left behind: reason -> how many."""
    from .quick_json import NotJsonError, loads

    try:
        with open(os.path.join(data_dir, FOLDER, _HELD), encoding="utf-8") as file:
            found = loads(file.read())
    except (FileNotFoundError, NotADirectoryError, NotJsonError):
        return {}
    return found if isinstance(found, dict) else {}


def summary(data_dir: str, now: float | None = None) -> dict[str, Any]:
    """Tell what `status` shows of this machine's side.

    Args:
        data_dir: the data directory.
        now: seconds since 1970, for ages; the clock's time when left out.

    Returns:
        `spool` (path, pending, oldest_age_secs or None, bytes, writable), `counts` by kind, `waiting` (reason ->
        events), `last_event` and `last_error` (at_ms, kind, detail; None when there was none), `hints` (sentences).

    Raises:
        OSError: the spool is there and cannot be listed.
    """
    from . import spool

    now = time.time() if now is None else now
    counts: dict[str, int] = {}
    last: dict[str, dict[str, Any]] = {}
    path = os.path.join(data_dir, FOLDER, _LOG)
    recent = _lines(path)
    for at, kind, _, detail in [*_lines(path + ".1"), *recent]:
        if at:
            last[kind] = {"at_ms": at, "kind": kind, "detail": detail}
    for _, kind, count, _ in recent:
        counts[kind] = counts.get(kind, 0) + count
    errors = [last[kind] for kind in TROUBLE if kind in last]
    good = last.get(DELIVERED, {"at_ms": 0})["at_ms"]
    state = spool.state(data_dir, now)
    waiting = held(data_dir)
    hints = [
        _HINTS[error["kind"]]
        for error in errors
        # What a later delivery has overtaken is history.
        if error["kind"] in _HINTS and error["at_ms"] > good
    ]
    hints += [f"Waiting on this machine ({count}): {reason}" for reason, count in waiting.items()]
    for name in ("auth-token", "client.json"):
        file = os.path.join(data_dir, name)
        if os.path.exists(file) and not os.access(file, os.R_OK):
            hints.append(
                f"{file} cannot be read by this user, so hooks go without it: give it to the user who runs the agents."
            )
    if not state["writable"] and _HINTS["unwritable"] not in hints:
        hints.append(_HINTS["unwritable"])
    return {
        "spool": state,
        "counts": counts,
        "waiting": waiting,
        "last_event": last.get(STORED),
        "last_error": max(errors, key=lambda error: error["at_ms"], default=None),
        "hints": hints,
    }


def _lines(path: str) -> list[tuple[int, str, int, str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for line in text.splitlines():
        parts = line.split("\t")
        # A line that a full disk cut short is no note.
        if len(parts) == 4 and parts[0].isdigit() and parts[2].isdigit():
            found.append((int(parts[0]), parts[1], int(parts[2]), parts[3]))
    return found


def _write(data_dir: str, name: str, text: str) -> None:
    folder = os.path.join(data_dir, FOLDER)
    os.makedirs(folder, 0o700, exist_ok=True)
    path = os.path.join(folder, name)
    file = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, text.encode("utf-8", "replace"))
    finally:
        os.close(file)
    os.replace(path + ".new", path)


def _remove(data_dir: str, name: str) -> None:
    try:
        os.unlink(os.path.join(data_dir, FOLDER, name))
    except (FileNotFoundError, NotADirectoryError):
        pass
