"""`Memory` opens the stores of one data directory, holds its lock, and composes what a memory can do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta

from ai_memory import __version__
from ai_memory.capture.scope import Defaults
from ai_memory.capture.scrub import Scrubber
from ai_memory.config import Settings, home_directory
from ai_memory.errors import StorageError
from ai_memory.memory.handoffs import Handoffs
from ai_memory.memory.intake import KEY_DAYS, Intake, Policy
from ai_memory.memory.meters import Meter
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import Sessions
from ai_memory.memory.stores import open_stores, utc_now
from ai_memory.model.scope import plain_path
from ai_memory.model.session import Session, advanced, begun
from ai_memory.store.index import Row
from ai_memory.store.lock import DirectoryLock
from ai_memory.store.rawlog import RawFile

_GRACE_SECONDS = 5.0


class Memory:
    """One data directory, opened. Close it when done."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        """Take the lock, open the stores and catch up with the files.

        Raises:
            DirectoryInUseError: another process has the directory.
            ConfigError: a pattern in the settings is not a regular expression.
            StorageError: the directory cannot be written.
        """
        self.settings = settings
        self._clock = clock
        scrubber = Scrubber(settings["sanitize.extra_patterns"], settings["sanitize.allowlist"])
        self._lock = DirectoryLock(settings.data_dir)
        try:
            self._lock.hold()
            self.stores = open_stores(settings.data_dir, scrubber, clock)
        except OSError as error:
            raise StorageError(
                f"the data directory {settings.data_dir} cannot be used: {error.strerror} ({error.filename})"
            ) from error
        self.catch_up_meter = Meter()
        defaults = Defaults(settings["workspace"], settings["project"], plain_path(home_directory()))
        self.projects = Projects(self.stores, defaults)
        self.sessions = Sessions(self.stores, self.projects, timedelta(seconds=settings["session_idle_secs"]))
        quiet = timedelta(seconds=settings["handoff_quiet_secs"])
        self.handoffs = Handoffs(self.stores, self.projects, self.sessions, quiet)
        policy = Policy(settings["capture_prompts"], settings["capture_assistant"])
        self.intake = Intake(self.stores, self.projects, policy, self.sessions.note_change)
        self._catch_up()

    def close(self) -> None:
        """Bring what is due to an end, close the stores and give the lock back."""
        try:
            # What is left over is due again at the next start.
            self.sessions.settle(_GRACE_SECONDS)
        finally:
            self.stores.close()
            self._lock.release()

    def forget_keys(self) -> None:
        """Drop idempotency keys that are older than the wire promises to remember them."""
        self.stores.index.forget_keys(self._clock() - timedelta(days=KEY_DAYS))

    def _catch_up(self) -> None:
        """Read what the raw log holds beyond the index's marks: after a crash a little, without an index all."""
        marks = self.stores.index.raw_marks()
        rebuilt = not marks
        for file in self.stores.rawlog.files():
            mark = marks.get((file.project_id, file.session_id), 0)
            if mark != file.size:
                self._catch_up_with(file, mark)
        self.forget_keys()
        self.sessions.recover_marks(index_was_lost=rebuilt)
        for session in self.stores.index.unfinished():
            if session.is_over:
                self.sessions.note_due(session, "session")
            elif session.compiled < session.observations and not session.in_turn:
                self.sessions.note_due(session, "")

    def _catch_up_with(self, file: RawFile, mark: int) -> None:
        rawlog = self.stores.rawlog
        size = rawlog.mend(file.path)
        session = self.stores.index.session(file.project_id, file.session_id) if 0 < mark <= size else None
        observations = list(rawlog.observations(file.path, mark if session else 0))
        native = "" if session else rawlog.native_id(file.path)
        for observation in observations:
            if session is None:
                session = begun(observation, project_id=file.project_id, session_id=file.session_id, native=native)
            session = advanced(session, observation)
        if session:
            # When an event came is not in the log; it was not after the file was last written to.
            self.stores.index.save([Row(session, size, [(o.key, file.written) for o in observations])])
            self.catch_up_meter.count("observations", self._clock(), len(observations))

    # Status

    def status(self, *, bind: str) -> dict[str, object]:
        """Report what there is, what each stage did, and what it last failed at (the wire's StatusReport)."""
        index, data_dir = self.stores.index.counts(), self.settings.data_dir
        disk = shutil.disk_usage(data_dir)
        return {
            "version": __version__,
            "pid": os.getpid(),
            "data_dir": str(data_dir),
            "bind": bind,
            "db_path": str(data_dir / "db" / "index.db"),
            "counts": {
                "projects": len(self.projects.all()),
                "pages_latest": index["pages"],
                "sessions": index["sessions"],
                "observations": index["observations"],
                "handoffs": self.stores.state.counts(),
            },
            "derived": {
                "sessions_uncompiled": index["uncompiled"],
                "sessions_uncommitted": index["uncommitted"],
            },
            "ingest": self.intake.meter.report(),
            "stages": {
                "ingest": self.intake.meter.report(),
                "compile": self.sessions.meter.report(),
                "handoffs": self.handoffs.meter.report(),
                "catch_up": self.catch_up_meter.report(),
            },
            "providers": {"llm": {"configured": False}, "embedding": {"configured": False}},
            "storage": {
                "data_dir_free_bytes": disk.free,
                "damaged_raw_lines": sum(self.stores.rawlog.damaged.values()),
            },
            "settings": {key: source for key, source in self.settings.sources.items() if source != "default"},
            "unknown_settings": list(self.settings.unknown),
        }

    def unfinished(self, agent: str, project_id: object | None = None) -> list[Session]:
        """List sessions that have not been closed, newest first."""
        return [
            session
            for session in reversed(self.stores.index.unfinished())
            if (not agent or session.agent == agent) and (project_id is None or session.project_id == project_id)
        ]
