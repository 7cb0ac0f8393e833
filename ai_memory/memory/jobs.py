"""Jobs: work that asks a model, done one by one in the background, each to an end that somebody can see.

A job begins holding no lock and in no transaction, and what a model has answered is kept before anything is done with
it. So a job that was cut short begins again, and pays for nothing twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from ai_memory.errors import AiMemoryError, BadRequestError, BusyError, ConflictError, NotFoundError, StorageError
from ai_memory.llm.chat import ModelError
from ai_memory.memory.meters import Meter
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import shortened
from ai_memory.model.ids import new_id
from ai_memory.store.jobs import STATES, Job
from ai_memory.store.steps import Step, reached

_log = logging.getLogger(__name__)

_LEASE = timedelta(minutes=10)
#: Rests after failures that pass, and how often one is tried.
_RESTS = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
_ATTEMPTS = len(_RESTS) + 1
#: So often a job may take the process, or the program, down with it.
_CRASHES = 3
#: A spent budget is looked at again after this; nothing is asked for it.
_BUDGET_REST = timedelta(hours=1)
_KEPT = timedelta(days=30)
_ERROR_LIMIT = 500
_WAIT_SECONDS = 0.5
#: What passes by itself, beside a vendor's own trouble.
_PASSING = (StorageError, ConflictError, BusyError)


class _TakenAwayError(AiMemoryError):
    """The job is not this thread's any more: it was dropped or purged, or the server stops."""


class Work:
    """A job at work."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs = jobs
        self.job = job

    def cancelled(self) -> bool:
        """Tell whether nobody wants it any more."""
        return self._jobs.now(self.job) is None

    def step(self, name: str, make: Callable[[], Any]) -> Any:
        """Give what a step of this name has made, a JSON value without secrets, and make it where it is not there yet.

        Args:
            name: of the step, within the job.
            make: asks the model; its answer is kept before this returns.
        """
        with self.writing() as stores:
            if kept := stores.state.jobs.answer(self.job.id, name):
                return kept[0]
        value = make()
        self._jobs.keep(self.job, name, value)
        reached(Step.JOB_ANSWERED)
        return value

    @contextmanager
    def writing(self) -> Iterator[Stores]:
        """Use the stores, which stay open in this block, for what takes no time; no model is asked in it."""
        with self._jobs.stores_open() as stores:
            # Its session may have moved to another project meanwhile.
            self.job = self._jobs.extended(self.job)
            yield stores


#: Does a job; gives what was done, a JSON object.
Doer = Callable[[Work], Mapping[str, Any]]


class Jobs:
    """The jobs of one memory. One thread at a time does them, any thread may add one or look at them."""

    def __init__(self, stores: Stores, *, is_on: bool) -> None:
        """Take up what a former process left.

        Args:
            stores: where the jobs are.
            is_on: whether there is a model; without one they wait.
        """
        self._stores = stores
        self._is_on = is_on
        #: Kind -> who does it.
        self.doers: dict[str, Doer] = {}
        #: Set when there may be something to do.
        self.due = threading.Event()
        self.meter = Meter()
        self._stopping = False
        self._closed = False
        # A vendor that hangs does not keep the stores from being closed; whoever writes does.
        self._storing = threading.Lock()
        self._changed = threading.Condition()
        for job in stores.state.jobs.waiting():
            if job.state == "leased":
                self._crashed(job, "the server ended while it was at work")

    def stop(self) -> None:
        """Let whoever works or waits end soon."""
        self._stopping = True
        self.due.set()
        self._tell()

    def close(self) -> None:
        """Stop, and use the stores no more: what is at work begins again at the next start."""
        self.stop()
        with self._storing:
            if not self._closed:
                self._closed = True
                for job in self._stores.state.jobs.waiting():
                    if job.state == "leased":
                        self._wait_again(job)

    @contextmanager
    def stores_open(self) -> Iterator[Stores]:
        """Keep the stores open in a block."""
        with self._storing:
            if self._closed:
                raise _TakenAwayError
            yield self._stores

    # Adding

    def add(
        self,
        kind: str,
        key: str,
        project_id: UUID,
        *,
        session_id: UUID | None = None,
        generation: int,
        payload: Mapping[str, Any],
        asked: bool = False,
    ) -> Job:
        """Put work into the queue, unless that is there, under way or over already.

        What nobody asked for is done once for each generation, and tried no more when it failed. What somebody asks
        for is done again; where it failed, it goes on behind the answers that it has.

        Args:
            kind, key: of the job.
            project_id, session_id: what it belongs to.
            generation: how much there is of what it is about.
            payload: what is to be done.
            asked: somebody asked for it.

        Returns:
            the job that does it, or did.
        """
        rows, now = self._stores.state.jobs, self._stores.clock()
        with self._stores.state.together():
            former = rows.newest(project_id, kind, key)
            by_state = {job.state: job for job in reversed(former)}
            leased, queued = by_state.get("leased"), by_state.get("queued")
            if leased and leased.generation >= generation and leased.payload == payload:
                return leased
            if queued:
                again = queued
            elif former and not asked and former[0].generation >= generation:
                return former[0]
            elif former and former[0].state in ("failed", "poison") and former[0].generation == generation:
                again = former[0]
            else:
                job = Job(
                    id=new_id(now),
                    kind=kind,
                    key=key,
                    project_id=project_id,
                    session_id=session_id,
                    generation=generation,
                    payload=payload,
                    asked=asked,
                    made_at=now,
                    updated_at=now,
                    not_before=now,
                    lease_until=now,
                )
                rows.save(job)
                reached(Step.JOB_QUEUED)
                return self._told(job)
            if again.generation < generation or again.payload != payload:
                # They are answers to other questions.
                rows.drop_answers(again.id)
            changed = replace(
                self._fresh(again) if asked else again,
                generation=max(generation, again.generation),
                payload=payload,
                asked=asked or again.asked,
                updated_at=now,
            )
            rows.save(changed)
        return self._told(changed)

    def _fresh(self, job: Job) -> Job:
        """Give a job as it is to be done at once, with its answers."""
        now = self._stores.clock()
        return replace(job, state="queued", attempts=0, crashes=0, not_before=now, updated_at=now)

    # Doing

    def run_due(self) -> bool:
        """Do the next job that is due; tells whether there was one.

        Raises:
            Exception: there is a mistake in this program, or the state cannot be written; the job rests.
        """
        if self._stopping or not self._is_on:
            return False
        try:
            with self.stores_open():
                job = self._leased()
        except _TakenAwayError:
            return False
        if job is None:
            return False
        reached(Step.JOB_LEASED)
        self._do(job)
        return True

    def _leased(self) -> Job | None:
        rows, now = self._stores.state.jobs, self._stores.clock()
        with self._stores.state.together():
            waiting = rows.waiting()
            at_work = set()
            for job in waiting:
                if job.state == "leased" and timedelta() < job.lease_until - now <= _LEASE:
                    at_work.add((job.project_id, job.kind, job.key))
                elif job.state == "leased":
                    self._crashed(job, "whoever was at work on it is gone")
            for job in waiting:
                # A clock that was wrong once must not put one off for years.
                rests = timedelta() < job.not_before - now <= max(_BUDGET_REST, *_RESTS)
                if job.state == "queued" and not rests and (job.project_id, job.kind, job.key) not in at_work:
                    leased = replace(job, state="leased", lease_until=now + _LEASE, updated_at=now)
                    rows.save(leased)
                    return leased
        return None

    def _do(self, job: Job) -> None:
        try:
            outcome = self.doers.get(job.kind, _unknown)(Work(self, job))
        except _TakenAwayError:
            return
        except AiMemoryError as error:
            self._end(job, partial(self._failed, error=error))
        except BaseException as error:
            self._end(job, partial(self._crashed, reason=f"{type(error).__name__} in this program: its log says where"))
            raise
        else:
            self._end(job, partial(self._done, outcome=outcome))

    def _end(self, job: Job, how: Callable[[Job], None]) -> None:
        """End a job, unless it was taken away; what was stopped on purpose has not failed."""
        with suppress(_TakenAwayError), self.stores_open() as stores, stores.state.together():
            if mine := self.now(job):
                how(mine)
        self._tell()

    def _done(self, job: Job, outcome: Mapping[str, Any]) -> None:
        now = self._stores.clock()
        self._stores.state.jobs.save(replace(job, state="done", error="", outcome=outcome, updated_at=now))
        self._stores.state.jobs.forget_over(now - _KEPT)
        self.meter.count("done", now)

    def _failed(self, job: Job, error: AiMemoryError) -> None:
        now = self._stores.clock()
        kind = error.kind if isinstance(error, ModelError) else ""
        told = replace(job, error=self._shown(str(error)), updated_at=now)
        self.meter.failed(error, now)
        _log.warning("job %s (%s): %s", job.id, job.kind, told.error)
        if isinstance(error, NotFoundError):
            self._stores.state.jobs.save(replace(told, state="dropped"))
        elif kind == "over-budget":
            self._wait_again(replace(told, not_before=now + _BUDGET_REST))
        elif (kind == "transient" or isinstance(error, _PASSING)) and job.attempts + 1 < _ATTEMPTS:
            after = error.retry_after if isinstance(error, ModelError) else None
            rest = max(_RESTS[job.attempts], timedelta(seconds=min(after or 0.0, _RESTS[-1].total_seconds())))
            self._wait_again(replace(told, attempts=job.attempts + 1, not_before=now + rest))
        else:
            self._stores.state.jobs.save(replace(told, state="failed", attempts=job.attempts + 1))

    def _crashed(self, job: Job, reason: str) -> None:
        now = self._stores.clock()
        crashes = job.crashes + 1
        told = replace(job, crashes=crashes, error=self._shown(reason), updated_at=now)
        self.meter.count("crashed", now)
        _log.warning("job %s (%s) broke down: %s", job.id, job.kind, told.error)
        if crashes >= _CRASHES:
            self._stores.state.jobs.save(replace(told, state="poison"))
        else:
            self._wait_again(replace(told, not_before=now + (timedelta() if crashes == 1 else _RESTS[0])))

    def _wait_again(self, job: Job) -> None:
        """Put a job that is at work back into the queue, unless one that does more is in it."""
        rows = self._stores.state.jobs
        newer = any(each.state == "queued" for each in rows.newest(job.project_id, job.kind, job.key))
        rows.save(replace(job, state="dropped" if newer else "queued", updated_at=self._stores.clock()))

    def _shown(self, reason: str) -> str:
        return shortened(self._stores.scrubber.scrub(reason), _ERROR_LIMIT)

    def now(self, job: Job) -> Job | None:
        """Give a job at work as it is now; None where it is not its worker's any more, or the server stops."""
        return None if self._stopping else self._held(job)

    def _held(self, job: Job) -> Job | None:
        now = self._stores.state.jobs.job(job.id)
        is_his = now is not None and (now.state, now.attempts, now.crashes) == ("leased", job.attempts, job.crashes)
        return now if is_his else None

    def keep(self, job: Job, name: str, answer: Any) -> None:
        """Keep an answer of a job at work, also while the server stops: it is paid for."""
        with self.stores_open() as stores, stores.state.together():
            if self._held(job) is None:
                raise _TakenAwayError
            stores.state.jobs.keep(job.id, name, answer)

    def extended(self, job: Job) -> Job:
        """Say that whoever has a job is alive, if it still has it; gives the job as it is now."""
        with self._stores.state.together():
            mine = self.now(job)
            if mine is None:
                raise _TakenAwayError
            now = self._stores.clock()
            mine = replace(mine, lease_until=now + _LEASE, updated_at=now)
            self._stores.state.jobs.save(mine)
        return mine

    # Looking

    def wait(self, job: Job, seconds: float) -> Job:
        """Wait until a job is over, or rests; gives it as it is then, or after so many seconds."""
        end = time.monotonic() + seconds
        with self._changed:
            while not self._stopping:
                job = self._stores.state.jobs.job(job.id) or replace(job, state="dropped")
                left = end - time.monotonic()
                if left <= 0 or not self.is_moving(job):
                    break
                self._changed.wait(min(left, _WAIT_SECONDS))
        return job

    def is_moving(self, job: Job) -> bool:
        """Tell whether a job is at work, or about to be; when the server ends none is."""
        if self._stopping:
            return False
        return job.state == "leased" or (job.state == "queued" and job.not_before <= self._stores.clock())

    def latest(self, states: Sequence[str] = STATES, limit: int = 50) -> list[Job]:
        """List jobs in some states, the last changed first."""
        return self._stores.state.jobs.latest(states, limit)

    def counts(self) -> dict[str, int]:
        """Count the jobs by state, all states."""
        return dict.fromkeys(STATES, 0) | self._stores.state.jobs.counts()

    def retry(self, job_id: UUID) -> Job:
        """Let a job that failed, or rests, be done at once; what was answered to it already is kept.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it is at work, or over; the message says which.
        """
        with self._stores.state.together():
            job = self._named(job_id)
            if job.state not in ("queued", "failed", "poison"):
                raise ConflictError(f"job {job_id} is {job.state}: only one that failed, or waits, can be tried again")
            if job.state != "queued" and any(
                each.state == "queued" for each in self._stores.state.jobs.newest(job.project_id, job.kind, job.key)
            ):
                raise ConflictError(f"another job does the work of {job_id} already, and is in the queue")
            again = replace(self._fresh(job), asked=True)
            self._stores.state.jobs.save(again)
        return self._told(again)

    def drop(self, job_id: UUID) -> Job:
        """Give a job up, also one that is at work: nothing of it is written any more.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: it is over.
        """
        with self._stores.state.together():
            job = self._named(job_id)
            if job.state in ("done", "dropped"):
                raise ConflictError(f"job {job_id} is {job.state} already")
            dropped = replace(job, state="dropped", updated_at=self._stores.clock())
            self._stores.state.jobs.save(dropped)
        self._tell()
        return dropped

    def _named(self, job_id: UUID) -> Job:
        job = self._stores.state.jobs.job(job_id)
        if job is None:
            raise NotFoundError(f"there is no job {job_id}: `ai-memory jobs list` lists them")
        return job

    def _told(self, job: Job) -> Job:
        self.due.set()
        return job

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _unknown(work: Work) -> Mapping[str, Any]:
    raise BadRequestError(f"this version of the program knows no jobs of the kind {work.job.kind}")
