"""Upkeep: what keeps a data directory bounded. Once a day sweep and lint of every project, raw logs, and old rows.

It is done in small steps between other work, and begun anew where one failed: each step may be done twice.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from ai_memory.client.spool import FOLDER as SPOOL
from ai_memory.compile.decay import Decay
from ai_memory.compile.session_page import session_in, session_path
from ai_memory.config import Settings
from ai_memory.errors import NotFoundError, StorageError
from ai_memory.memory.indexing import Indexing
from ai_memory.memory.intake import KEY_DAYS, Intake
from ai_memory.memory.lint import Lint
from ai_memory.memory.meters import Meter
from ai_memory.memory.pages import Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.reads import Reads
from ai_memory.memory.stores import Stores
from ai_memory.memory.sweep import Limits, Sweep
from ai_memory.model.page import front_matter
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.store.files import bytes_below
from ai_memory.store.page_index import MISSING
from ai_memory.store.rawlog import RawFile
from ai_memory.store.steps import Step, reached

_JOB = "upkeep"
_SETTLED = timedelta(days=180)
_RETRY = timedelta(hours=1)
_DAY = timedelta(days=1)
#: What is the longest that a clock is believed to have gone on by at once.
_LEAP = timedelta(days=30)
_LEAP_SEEN = "leap of the clock"
#: Adding up files takes 50 ms at 10,000 pages.
_SIZES_SECONDS = 60.0


class Upkeep:
    """Keeps one data directory bounded. One thread at a time calls `step`."""

    def __init__(
        self,
        stores: Stores,
        projects: Projects,
        indexing: Indexing,
        pages: Pages,
        lint: Lint,
        intake: Intake,
        settings: Settings,
    ) -> None:
        self._stores = stores
        self._projects = projects
        self._indexing = indexing
        self._lint = lint
        self._intake = intake
        self._data_dir = settings.data_dir
        self._enabled: bool = settings["maintenance.enabled"]
        self._interval = timedelta(seconds=settings["maintenance.forget_sweep_interval_secs"])
        self._compress_after = timedelta(days=settings["maintenance.raw_compress_after_days"])
        self._keep = timedelta(days=settings["maintenance.raw_keep_days"])
        decay = Decay(
            settings["decay.lambda"], settings["decay.sigma"], settings["decay.mu"], settings["decay.cold_threshold"]
        )
        tombstones = timedelta(days=settings["decay.hard_delete_after_days"])
        self.sweep = Sweep(
            stores, indexing, pages, Limits(decay, settings["maintenance.ledger_keep_months"], tombstones)
        )
        self.reads = Reads(stores)
        self.meter = Meter()
        self._run: Iterator[None] | None = None
        self._not_before = stores.clock()
        #: Why nothing is removed at present, "" when it is.
        self.put_off = ""
        self._leapt = time.monotonic()
        self._sizes: tuple[float, dict[str, object]] | None = None

    # What comes round

    def step(self, seconds: float) -> bool:
        """Do what is due, for about so long; tells whether there is more to do.

        Raises:
            StorageError: it could not be done. It is tried again in an hour, as is a part that failed.
        """
        self.reads.flush()
        if self._run is None and self._is_due():
            self.put_off = self.leap()
            self._run = self._parts(removing=not self.put_off)
        if self._run is None:
            return False
        end = time.monotonic() + seconds
        try:
            for _ in self._run:
                if time.monotonic() >= end:
                    return True
        except BaseException:
            self._not_before = self._stores.clock() + _RETRY
            self._run = None
            raise
        self._run = None
        return False

    def failed(self, error: Exception) -> None:
        """Count a part that could not be done, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    def _is_due(self) -> bool:
        now = self._stores.clock()
        # A clock that was wrong once must not put this off for years.
        if not self._enabled or timedelta() < self._not_before - now <= _RETRY:
            return False
        last = self._stores.state.done_at(_JOB)
        return last is None or now - last >= self._interval or last > now

    def leap(self) -> str:
        """Say why nothing may be removed because of its age now, "" when it may.

        A clock that is wrong for an hour would make everything old enough to go. So when it is far beyond all that was
        done, it is believed only after a day by itself, or an hour by the process.
        """
        now, last = self._stores.clock(), self._stores.state.done_at(_JOB) or self._newest()
        if last is None or now - last <= _LEAP:
            return ""
        seen = self._stores.state.done_at(_LEAP_SEEN)
        if seen is None or not timedelta() <= now - seen <= _LEAP:
            self._stores.state.note_done(_LEAP_SEEN, now)
            seen, self._leapt = now, time.monotonic()
        if now - seen >= _DAY or time.monotonic() - self._leapt >= _RETRY.total_seconds():
            return ""
        return (
            f"the clock is {(now - last).days} days beyond the last upkeep: if it is right, what is old is removed in "
            "an hour, else set it right"
        )

    def _newest(self) -> datetime | None:
        """Say when the newest commit or event was, None without any."""
        commits, sessions = self._stores.wiki.git.recent(1), self._stores.index.recent(limit=1)
        return max((*(each.at for each in commits), *(each.last for each in sessions)), default=None)

    def _parts(self, *, removing: bool = True) -> Iterator[None]:
        failures = self.meter["failed"]
        for project in self._projects.all() if removing else ():
            try:
                for plan in self.sweep.steps(project):
                    self.meter.count("pages swept", self._stores.clock(), len(plan.pages))
                    yield
                self._lint.run(project)
                yield
            except NotFoundError:
                # It was purged or merged into another one since the list was made.
                continue
            except StorageError as error:
                # One that cannot be written keeps no other from its turn.
                self.failed(error)
        for file in self._stores.rawlog.files():
            try:
                self._tend(file, removing=removing)
            except StorageError as error:
                self.failed(error)
            yield
        now = self._stores.clock()
        if removing:
            self._stores.state.forget_settled(now - _SETTLED)
            self._stores.index.forget_keys(now - timedelta(days=KEY_DAYS))
        self._stores.wiki.git.tidy()
        if not removing:
            self.meter.count("put off", now)
        if not removing or self.meter["failed"] > failures:
            self._not_before = now + _RETRY
            return
        self._stores.state.note_done(_JOB, now)
        self.meter.count("done", now)

    # Raw logs

    def _tend(self, file: RawFile, *, removing: bool) -> None:
        session = self._stores.index.recorded(file.project_id, file.session_id)
        project = self._projects.known(file.project_id)
        if project is None or session is None:
            return
        if removing and self._is_past(session) and self._remove(project, session):
            self.meter.count("raw logs removed", self._stores.clock())
        elif not file.compressed and self._is_finished(session, self._compress_after):
            saved = self._stores.rawlog.compress(file.path)
            self.meter.count("raw logs compressed", self._stores.clock(), saved > 0)

    def _is_past(self, session: Session) -> bool:
        return bool(self._keep) and self._is_finished(session, self._keep)

    def _is_finished(self, session: Session, silence: timedelta) -> bool:
        done = not session.counts or session.committed >= session.observations
        return done and self._stores.clock() - session.last >= silence

    def _remove(self, project: Project, session: Session) -> bool:
        """Remove a session's raw log, unless it is the last copy or somebody writes to it again."""
        # Compressing holds the raw log's own lock for a while, but it is this thread that does it.
        with self._stores.intake_lock, self._stores.wiki.lock:
            now = self._stores.index.recorded(project.id, session.id)
            if now != session or not (self._is_in_git(project, session) or not session.counts):
                return False
            self._stores.state.let_go(session.id)
            self._stores.rawlog.remove(project.workspace_id, project.id, session.id)
            reached(Step.UPKEEP_RAW_REMOVED)
            self._indexing.session(project, session.id)
            self._intake.forget()
            return True

    def _is_in_git(self, project: Project, session: Session) -> bool:
        """Tell whether git has the session's page with all of it, now or before it was deleted."""
        path = session_path(session.id)
        row = self._stores.pages.page(project.id, path)
        if not (row and row.size != MISSING) and not self._stores.wiki.is_gone(project.id, path):
            return False
        blob = next((each.blob for each in self._stores.pages.history(project.id, path, 2) if each.blob), "")
        try:
            text = self._stores.wiki.git.blob(blob).decode("utf-8", "replace")
        except NotFoundError:
            return False
        kept = session_in(front_matter(text), project_id=project.id, session_id=session.id)
        return kept is not None and kept.observations >= session.observations

    # Space

    def compact(self) -> dict[str, int]:
        """Write the databases and the repository anew without what was deleted; gives the bytes that each freed.

        Writing to a database waits while it is done, so events do, in the server or in the hooks' spool; reading goes
        on. Commits wait for the last step of the repository only.

        Raises:
            StorageError: one could not be written; nothing is lost.
        """
        git = self._stores.wiki.git
        self._stores.pages.rebuild_search()
        self._stores.turns.optimize()
        freed = {"index_bytes": self._stores.database.compact(), "state_bytes": self._stores.state.compact()}
        folder = self._stores.wiki.root / ".git"
        before = bytes_below(folder)
        git.pack()
        with self._stores.wiki.lock:
            git.prune()
        freed["git_bytes"] = max(0, before - bytes_below(folder))
        self._sizes = None
        self.meter.count("compacted", self._stores.clock())
        return {"freed_bytes": sum(freed.values()), **freed}

    def storage(self) -> dict[str, object]:
        """Say how many bytes there are and how many `compact` would free; files are added up once a minute at most."""
        if self._sizes is None or time.monotonic() - self._sizes[0] > _SIZES_SECONDS:
            self._sizes = (time.monotonic(), self._measured())
        index, state = self._stores.database.space(), self._stores.state.space()
        return {
            **self._sizes[1],
            # Both databases are made with pages of one size.
            "page_size": index.page_size,
            "page_count": index.pages + state.pages,
            "freelist_count": index.free + state.free,
            "index_bytes": index.page_size * index.pages,
            "state_bytes": state.page_size * state.pages,
            "database_bytes": index.page_size * index.pages + state.page_size * state.pages,
            "reclaimable_bytes": index.page_size * index.free + state.page_size * state.free,
            "data_dir_free_bytes": shutil.disk_usage(self._data_dir).free,
            "damaged_raw_lines": sum(self._stores.rawlog.damaged.values()),
        }

    def _measured(self) -> dict[str, object]:
        wiki: Path = self._stores.wiki.root
        git = bytes_below(wiki / ".git")
        return {
            "raw": self._stores.rawlog.sizes(),
            "wiki_bytes": bytes_below(wiki) - git,
            "git_bytes": git,
            "spool_bytes": bytes_below(self._data_dir / SPOOL),
        }
