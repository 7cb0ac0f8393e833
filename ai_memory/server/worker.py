"""The background tasks: arriving events are grouped into synced writes, pages brought up to date, the wiki watched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from watchfiles import awatch

from ai_memory.errors import AiMemoryError, BusyError
from ai_memory.memory.intake import Delivery, Outcome
from ai_memory.memory.memory import Memory
from ai_memory.memory.packets import Push
from ai_memory.model.packet import Packet
from ai_memory.store.files import TEMPORARY_PREFIX

_log = logging.getLogger(__name__)

_QUEUED_BYTES = 64 * 1024 * 1024
_GROUP = 256
_RETRY_SECONDS = 5.0
_IDLE_CHECK_SECONDS = 60.0
_STEP_SECONDS = 1.0
_TIDY_COMMITS = 200
_RECONCILE_SECONDS = 30.0
_DEBOUNCE_MS = 300
_GRACE_SECONDS = 2.0
#: It is looked for jobs whose rest is over this often.
_JOBS_SECONDS = 15.0
#: So many different errors of one kind of work are remembered as told.
_COMPLAINTS = 64

#: What can wait is done when nothing of it has come for so long, and when it has been coming for so long.
_QUIET_SECONDS, _PATIENCE_SECONDS = 0.25, 20.0
_PACKET_QUEUE = 1024


class _Body(Protocol):
    """What a request brings."""

    @property
    def body(self) -> bytes:
        """The bytes."""


class _Stage(Protocol):
    """Who takes what requests bring, and counts what cannot be taken."""

    def shed(self) -> None:
        """Count a request that was refused because too many wait."""

    def failed(self, error: Exception) -> None:
        """Count a group that could not be taken."""


Item = TypeVar("Item", bound=_Body)
Answer = TypeVar("Answer")


class GroupQueue(Generic[Item, Answer]):
    """Collects requests while the previous group is being written: one sync serves them all."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Answer | AiMemoryError]],
        stage: _Stage,
        *,
        name: str,
        limit: int,
    ) -> None:
        """Compose.

        Args:
            write: writes a group, and gives the answer to each of its requests.
            stage: whose `write` it is.
            name: of the queue, for who is told that it is full.
            limit: so many requests may wait.
        """
        self._write_group = write
        self._stage = stage
        self._name = name
        self._limit = limit
        self._waiting: deque[tuple[Item, asyncio.Future[Answer | AiMemoryError]]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._stopping = False

    async def submit(self, item: Item) -> Answer:
        """Hand a request in; answers when what it brings is on disk.

        Raises:
            BusyError: too much is in flight.
            AiMemoryError: the request was refused, or could not be written.
        """
        if len(self._waiting) >= self._limit or self._bytes + len(item.body) > _QUEUED_BYTES:
            self._stage.shed()
            raise BusyError(f"{self._name} queue full")
        answer: asyncio.Future[Answer | AiMemoryError] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._bytes += len(item.body)
        self._wake.set()
        result = await answer
        if isinstance(result, AiMemoryError):
            raise result
        return result

    async def run(self) -> None:
        """Write group after group until `stop`; what was handed in before is still written."""
        while self._waiting or not self._stopping:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
            self._bytes -= sum(len(item.body) for item, _ in group)
            answers = await asyncio.to_thread(self._write, [item for item, _ in group])
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
            self._written()

    def _written(self) -> None:
        """Hear that a group was written and answered."""

    def _write(self, items: Sequence[Item]) -> Sequence[Answer | AiMemoryError]:
        try:
            return self._write_group(items)
        except Exception as error:  # noqa: BLE001 - the loop's one place: a bug in one group must not end the queue
            self._stage.failed(error)
            _log.exception("a group of %d requests of the %s queue could not be taken", len(items), self._name)
            return [AiMemoryError(f"it could not be taken ({type(error).__name__})")] * len(items)

    def stop(self) -> None:
        """Let `run` return once everything is written."""
        self._stopping = True
        self._wake.set()


class IntakeQueue(GroupQueue[Delivery, list[Outcome]]):
    """Events of hooks on their way in."""

    def __init__(self, memory: Memory, worker: Worker, limit: int) -> None:
        super().__init__(memory.intake.record, memory.intake, name="hook", limit=limit)
        self._sessions, self._worker = memory.sessions, worker

    def _written(self) -> None:
        if self._sessions.has_due():
            self._worker.wake()


class PacketQueue(GroupQueue[Push, Packet]):
    """Packets on their way in."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory.packets.push, memory.packets, name="packet", limit=_PACKET_QUEUE)


class _Complaints:
    """Logs what fails again and again for the same reasons once, until it goes well: a full disk would fill its log."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._told: set[str] = set()

    def failed(self, error: Exception) -> None:
        """Log an error that is being handled, unless that was done since it went well."""
        if str(error) not in self._told:
            # Each of them may name another file.
            if len(self._told) >= _COMPLAINTS:
                self._told.clear()
            self._told.add(str(error))
            _log.error(self._sentence, exc_info=error)

    def over(self) -> None:
        """It went well: what fails next is news."""
        self._told.clear()


class Worker:
    """Does what is due: checkpoints, idle sessions, tidying, and the daily upkeep in small parts."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._wake = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._patient_until = 0.0
        self._stopping = False
        self._since_tidy = 0
        self._step_complaints = _Complaints("pages could not be brought up to date")
        self._packet_complaints = _Complaints("packets could not be made pages")
        self._upkeep_complaints = _Complaints("the upkeep could not be done")
        self._tried = time.monotonic()

    def wake(self) -> None:
        """Something is due."""
        self._wake.set()

    def _wake_later(self) -> None:
        """Something is due that can wait as long as more of it comes, for some time."""
        loop = asyncio.get_running_loop()
        if self._later is None:
            self._patient_until = loop.time() + _PATIENCE_SECONDS
        elif loop.time() < self._patient_until:
            self._later.cancel()
        else:
            return
        self._later = loop.call_later(_QUIET_SECONDS, self._no_later)

    def _no_later(self) -> None:
        self._later = None
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return after the step that it is at."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`. A step that failed is tried again later; its error is in `status`."""
        pause = _IDLE_CHECK_SECONDS
        loop, packets = asyncio.get_running_loop(), self._memory.packets
        # They come through several doors, each in a thread of its own.
        packets.on_due = lambda: loop.call_soon_threadsafe(self._wake_later)
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()
            went_well = [await asyncio.to_thread(step) for step in (self._step, self._packets)]
            pause = _IDLE_CHECK_SECONDS if all(went_well) else _RETRY_SECONDS
            more = await asyncio.to_thread(self._upkeep)
            if more or (all(went_well) and self._memory.sessions.has_due()):
                self._wake.set()
            elif all(went_well) and packets.has_due():
                self._wake_later()
        packets.on_due = lambda: None

    def _step(self) -> bool:
        sessions = self._memory.sessions
        try:
            self._finish_operation()
            self._since_tidy += sessions.settle(_STEP_SECONDS) + sessions.close_idle(_STEP_SECONDS)
            if self._since_tidy >= _TIDY_COMMITS:
                self._since_tidy = 0
                self._memory.stores.wiki.git.tidy()
                self._memory.forget_keys()
        except Exception as error:  # noqa: BLE001 - the loop's one place: whatever failed is counted, shown and tried again
            sessions.failed(error)
            self._step_complaints.failed(error)
            return False
        self._step_complaints.over()
        return True

    def _packets(self) -> bool:
        """Make pages of the packets that wait, and take away those of teams that are gone."""
        packets = self._memory.packets
        try:
            self._memory.teams.clear_gone()
            self._since_tidy += packets.settle(_STEP_SECONDS)
        except Exception as error:  # noqa: BLE001 - the loop's one place: whatever failed is counted, shown and tried again
            packets.failed(error)
            self._packet_complaints.failed(error)
            return False
        self._packet_complaints.over()
        return True

    def _finish_operation(self) -> None:
        """Try now and then to finish what something was in the way of."""
        if time.monotonic() - self._tried >= _IDLE_CHECK_SECONDS:
            self._tried = time.monotonic()
            self._memory.finish_operation()

    def _upkeep(self) -> bool:
        """Do a part of the upkeep; tells whether there is more of it."""
        upkeep = self._memory.upkeep
        try:
            more = upkeep.step(_STEP_SECONDS)
            self._memory.improvement.come_round()
        except Exception as error:  # noqa: BLE001 - the loop's one place: whatever failed is counted, shown and tried again
            upkeep.failed(error)
            self._upkeep_complaints.failed(error)
            return False
        return more


class Backfill:
    """Embeds what waits, in a thread of its own that nobody waits for: a vendor may hang for a minute."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._stopped = threading.Event()
        self._complaints = _Complaints("texts could not be embedded")
        self._thread = threading.Thread(target=self._run, name="embedding", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def stop(self) -> None:
        """End after the batch that it is at, or leave that alone where it takes long: nothing of it is saved then."""
        self._stopped.set()
        self._memory.embedding.stop()
        await asyncio.to_thread(self._thread.join, _GRACE_SECONDS)

    def _run(self) -> None:
        rest = 0.0
        while not self._stopped.wait(rest):
            rest = self._step()

    def _step(self) -> float:
        try:
            return self._memory.embedding.step()
        except Exception as error:  # noqa: BLE001 - the loop's one place: whatever failed is counted, shown and tried again
            self._memory.embedding.failed(error)
            self._complaints.failed(error)
            return _RETRY_SECONDS


class ModelJobs:
    """Does the jobs that ask a model, in a thread of its own that nobody waits for: a model may hang for minutes."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._stopped = False
        self._complaints = _Complaints("a job broke down")
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def stop(self) -> None:
        """End, or leave a job alone where its model takes long: it begins again at the next start."""
        self._stopped = True
        self._memory.jobs.stop()
        await asyncio.to_thread(self._thread.join, _GRACE_SECONDS)

    def _run(self) -> None:
        due = self._memory.jobs.due
        while not self._stopped:
            if not self._step():
                due.wait(_JOBS_SECONDS)
                due.clear()

    def _step(self) -> bool:
        try:
            return self._memory.jobs.run_due()
        except Exception as error:  # noqa: BLE001 - the loop's one place: whatever failed is counted, shown and tried again
            # Without its stores nothing can be done any more, and nothing needs to be.
            if not self._stopped:
                self._complaints.failed(error)
            return False


class Watcher:
    """Hears of files of the wiki that somebody else changes, and looks at all of them now and then."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._stopped = asyncio.Event()
        self._complaints = _Complaints("the wiki could not be read")

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped.set()

    async def run(self) -> None:
        """Watch until `stop`. What the watch misses, the pass over all files finds."""
        watch = asyncio.create_task(self._watch(), name="watch")
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _RECONCILE_SECONDS)
                break
            await asyncio.to_thread(self._step, frozenset())
        await watch

    async def _watch(self) -> None:
        try:
            async for changes in awatch(
                self._memory.stores.wiki.root,
                watch_filter=lambda _, path: path.endswith(".md") and TEMPORARY_PREFIX not in path,
                debounce=_DEBOUNCE_MS,
                stop_event=self._stopped,
                ignore_permission_denied=True,
            ):
                await asyncio.to_thread(self._step, frozenset(Path(path) for _, path in changes))
        except OSError as error:
            # Too many watches on this system, or none at all: the pass twice a minute is left.
            self._memory.indexing.failed(error)
            _log.warning("the wiki cannot be watched, edits are found within %d s: %s", _RECONCILE_SECONDS, error)

    def _step(self, files: frozenset[Path]) -> None:
        try:
            if files:
                self._memory.outside.changed(files)
            else:
                self._memory.outside.reconcile()
        except Exception as error:  # noqa: BLE001 - the loop's one place: whatever failed is counted, shown and tried again
            self._memory.indexing.failed(error)
            self._complaints.failed(error)
        else:
            if not files:
                self._complaints.over()
