"""The hook itself: keep the event, answer the agent, leave. Half of a frame's time; whatever is slow happens elsewhere.

Nothing here imports what is not already in a starting interpreter or as cheap as a C module: no json, re, typing,
pathlib, dataclasses, subprocess.
"""

from __future__ import annotations

import os
import sys
import time

from . import notes, spool
from .agents import agent_named
from .datadir import data_dir, home_dir
from .place import Place, is_recorded, look
from .quick_json import NotJsonError
from .stdin import StdinOpenError, TooLargeError, read_payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .agents import Agent

#: Events after which the agent may be gone: they start a delivery also when the last one was in vain.
_LAST_CALLS = ("stop", "session-end", "pre-compact")
_CWD_KEYS = ("cwd", "current_dir", "working_dir", "directory")
_SESSION_KEYS = ("session_id", "sessionId", "sessionID")
_DRAIN_SECS = 300.0
_LOCK_SECS = 5.0
#: How long a new drainer waits for a session start that is just giving up.
_HOLDER_SECS = 1.0
_COURTESY = 0.02


def main(arguments: list[str]) -> None:
    """Run `<agent> <event>` (a hook) or `drain` (a delivery), and end the process with 0 whatever happens."""
    started = time.monotonic()
    where = ""
    try:
        where = data_dir()
        if arguments[:1] == ["drain"]:
            _drain(where)
        elif len(arguments) == 2:
            _Hook(where, agent_named(arguments[0]), arguments[1], started).run()
        else:
            _say("usage: hook.sh EVENT, for example hook.sh stop; this event is not kept")
    finally:
        problem = sys.exc_info()[1]
        if problem:
            text = f"the hook failed: {type(problem).__name__}: {problem}"
            _say(text)
            if where:
                notes.add(where, "failed", f"{' '.join(arguments)}: {text}")
        # Past the interpreter's own clean-up: it costs 1 ms, and would wait for a reader of an open stdin.
        os._exit(0)


class _Hook:
    """One event on its way from the agent into the spool."""

    def __init__(self, where: str, agent: Agent, stem: str, started: float) -> None:
        self._where = where
        self._agent = agent
        self._stem = stem
        self._started = started
        self._created_ms = time.time_ns() // 1_000_000
        self._reply = b"{}\n" if agent.start_reply == "hook-json" else b""
        self._strategy = os.environ.get("AI_MEMORY_PROJECT_STRATEGY", "").strip()

    def run(self) -> None:
        """Keep the event and answer, in this order, and answer also when something goes wrong."""
        try:
            self._run()
        finally:
            _write(1, self._reply)

    def _run(self) -> None:
        try:
            payload, raw = read_payload()
        except NotJsonError as error:
            self._trouble("invalid-json", f"the event is not JSON: {error}")
            return
        except StdinOpenError as error:
            self._trouble("stdin-open", f"the event did not arrive: {error}")
            return
        except TooLargeError as error:
            self._trouble("too-large", f"the event is too large: {error}")
            return
        home = home_dir()
        place = look(_cwd(payload), home, ignore_marker=bool(os.environ.get("AI_MEMORY_IGNORE_MARKER")))
        if self._is_left_out(place):
            return
        kept = _policed(place, self._stem, payload, raw, home)
        if kept is None:
            notes.add(self._where, "policy-dropped", f"{self._agent.name} {self._stem}")
        stored = kept is not None and self._keep(place, kept)
        if self._stem == "session-start":
            self._start(place, payload)
        elif stored:
            self._deliver()

    def _is_left_out(self, place: Place) -> bool:
        if not place.at_home:
            return False
        try:
            recorded = is_recorded(place)
        except ValueError:
            # A bad marker: the event waits in the spool until it is repaired, and says so there.
            return False
        if not recorded:
            notes.add(self._where, "at-home", f"{self._agent.name} {self._stem}")
        return not recorded

    def _keep(self, place: Place, raw: bytes) -> bool:
        header: dict[str, Any] = {
            "created_ms": self._created_ms,
            "key": spool.new_key(),
            "agent": self._agent.name,
            "event": self._stem,
            "place": place.facts(),
        }
        url = _named_url()
        if url:
            header["url"] = url
        if self._strategy:
            header["strategy"] = self._strategy
        try:
            spool.put(self._where, header, raw)
        except OSError as error:
            self._trouble("unwritable", f"the event could not be kept: {error}")
            return False
        notes.add(self._where, notes.STORED, f"{self._agent.name} {self._stem}")
        return True

    def _start(self, place: Place, payload: dict[str, Any]) -> None:
        from . import start
        from .marker import MarkerError

        session = next((payload[key] for key in _SESSION_KEYS if isinstance(payload.get(key), str)), "")
        try:
            found = start.begin(self._where, self._agent, place, session, self._strategy, self._started)
        except MarkerError as error:
            self._trouble("bad-marker", str(error))
            self._deliver()
            return
        self._reply = start.reply(self._agent, found.context)
        if not found.finished:
            _write(1, self._reply)
            self._reply = b""
            spawn_drainer(self._where)

    def _deliver(self) -> None:
        """Start a delivery beside the agent, unless one is under way or the last one was in vain just now."""
        if self._stem not in _LAST_CALLS and notes.is_paused(self._where, self._created_ms / 1000):
            return
        if not spool.is_held(self._where):
            spawn_drainer(self._where)

    def _trouble(self, kind: str, text: str) -> None:
        _say(text)
        notes.add(self._where, kind, f"{self._agent.name} {self._stem}: {text}")


def spawn_drainer(where: str) -> None:
    """Start a delivery that outlives this process, the agent and its process group; it holds none of their pipes.

    Args:
        where: the data directory.

    Raises:
        OSError: no process could be started.
    """
    client = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    command = [sys.executable, "-I", "-S", client, "drain"]
    if sys.platform == "win32":
        import subprocess

        hidden = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        null = subprocess.DEVNULL
        subprocess.Popen(command, stdin=null, stdout=null, stderr=null, creationflags=hidden, close_fds=True)
    # Not posix_spawn: its child runs first, on this process's core, and the agent would wait for that.
    elif os.fork() == 0:
        try:
            _become_drainer(where, command)
        finally:
            os._exit(0)


def _become_drainer(where: str, command: list[str]) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for file in range(3):
        os.dup2(null, file)
    # An agent waits for every pipe that it opened, also for one that leaked into its children.
    os.closerange(3, 256)
    # Taken now, so that the next hooks of a storm see it; it stays with the process through exec.
    os.set_inheritable(spool.take_lock(where, _HOLDER_SECS), True)
    # The agent goes on first: on a busy machine the start of this process would take its core.
    time.sleep(_COURTESY)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def _drain(where: str) -> None:
    from . import deliver

    if os.path.isdir(where):
        os.chdir(where)
    deliver.drain(where, time.monotonic() + _DRAIN_SECS, lock_wait=_LOCK_SECS)


def _policed(place: Place, stem: str, payload: dict[str, Any], raw: bytes, home: str) -> bytes | None:
    if not any(text is None or "capture" in text for _, text in place.markers):
        return raw
    import json

    from .policy import apply_policy

    body = apply_policy(place.markers, stem, payload, place.cwd, home).body
    return None if body is None else json.dumps(body, separators=(",", ":")).encode()


def _cwd(payload: dict[str, Any]) -> str:
    for key in _CWD_KEYS:
        value = payload.get(key)
        if isinstance(value, str) and os.path.isabs(value):
            return value
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _named_url() -> str:
    if not (os.environ.get("AI_MEMORY_HOOK_URL") or os.environ.get("AI_MEMORY_SERVER_URL")):
        return ""
    from .reach import named_url

    return named_url()


def _say(text: str) -> None:
    _write(2, f"ai-memory: {' '.join(text.split())}\n".encode("utf-8", "replace"))


def _write(file: int, text: bytes) -> None:
    try:
        while text:
            text = text[os.write(file, text) :]
    except OSError:
        # The agent closed its end: there is nobody left to tell.
        pass
