"""`Memory` opens the stores of one data directory, holds its lock, and composes what a memory can do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

from ai_memory import __version__
from ai_memory.capture.scope import Defaults
from ai_memory.capture.scrub import Scrubber
from ai_memory.config import Settings, home_directory
from ai_memory.errors import StorageError
from ai_memory.llm.chat import chat_of
from ai_memory.memory.accounts import Accounts
from ai_memory.memory.activity import Activity
from ai_memory.memory.answers import Answers
from ai_memory.memory.at_work import AtWork
from ai_memory.memory.backup import save
from ai_memory.memory.bootstrapping import Bootstrapping
from ai_memory.memory.briefing import Briefing
from ai_memory.memory.browsing import Browsing
from ai_memory.memory.consolidation import Consolidation
from ai_memory.memory.contradictions import Contradictions
from ai_memory.memory.drafts import Drafts
from ai_memory.memory.embedding import Embedding
from ai_memory.memory.export import Bundle, pack
from ai_memory.memory.feedback import Feedback
from ai_memory.memory.graph import LinkGraph
from ai_memory.memory.handoffs import Handoffs
from ai_memory.memory.improvement import Improvement
from ai_memory.memory.indexing import Indexing, Progress
from ai_memory.memory.intake import KEY_DAYS, Intake, Policy
from ai_memory.memory.jobs import Jobs
from ai_memory.memory.lint import Lint
from ai_memory.memory.memories import Memories
from ai_memory.memory.merge import Merge
from ai_memory.memory.meters import Meter
from ai_memory.memory.models import ChatOf, Models
from ai_memory.memory.moves import Moves
from ai_memory.memory.narratives import Narratives
from ai_memory.memory.outside import Outside
from ai_memory.memory.packets import Packets
from ai_memory.memory.pages import Pages
from ai_memory.memory.polish import Polish
from ai_memory.memory.projects import Projects
from ai_memory.memory.purge import Purge
from ai_memory.memory.recall import Recall
from ai_memory.memory.records import Records
from ai_memory.memory.scopes import Scopes
from ai_memory.memory.sessions import Sessions
from ai_memory.memory.stores import check_wiki, open_stores, utc_now
from ai_memory.memory.teams import Teams
from ai_memory.memory.timeline import Timeline
from ai_memory.memory.upgrade import upgrade, wiki_format
from ai_memory.memory.upkeep import Upkeep
from ai_memory.model.handoff import stamp
from ai_memory.model.scope import Project, plain_path
from ai_memory.model.session import Session, advanced, begun
from ai_memory.search.embed.choice import embedder_of
from ai_memory.search.turns import turns_of
from ai_memory.store.git import MergeUnfinishedError
from ai_memory.store.index import Row
from ai_memory.store.lock import DirectoryLock
from ai_memory.store.rawlog import RawFile
from ai_memory.store.steps import Step, reached
from ai_memory.store.swap import clear_leftovers, finish_restore
from ai_memory.store.transcripts import Transcripts

_GRACE_SECONDS = 5.0
#: So many pages with a problem are named in `status`.
_NAMED = 5


@contextmanager
def _opened(data_dir: Path) -> Iterator[ExitStack]:
    """Take note of what is opened in a block: it stays open when the block succeeds, and is closed when it fails."""
    with ExitStack() as opened:
        try:
            yield opened
        except OSError as error:
            raise StorageError(
                f"the data directory {data_dir} cannot be used: {error.strerror or error} ({error.filename})"
            ) from error
        opened.pop_all()


class Memory:
    """One data directory, opened. Close it when done."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = utc_now,
        *,
        reindexing: Progress | None = None,
        chat_of: ChatOf = chat_of,
    ) -> None:
        """Take the lock, open the stores and catch up with the files.

        Args:
            settings, clock: how, and when.
            reindexing: make the index anew, and call this as it goes on.
            chat_of: gives the model of the settings.

        Raises:
            DirectoryInUseError: another process has the directory.
            ConfigError: a pattern in the settings is not a regular expression, or those for embedding or a model do
                not fit.
            NewerFormatError, NewerDatabaseError: a newer version of this program wrote the directory.
            WikiMissingError: the wiki is gone, the rest is there.
            StorageError: the directory cannot be written.
        """
        self.settings = settings
        self._clock = clock
        #: When this process began with it.
        self.opened = clock()
        scrubber = Scrubber(settings["sanitize.extra_patterns"], settings["sanitize.allowlist"])
        embedder = embedder_of(settings)
        self._lock = DirectoryLock(settings.data_dir)
        with _opened(settings.data_dir) as opened:
            opened.callback(self._lock.release)
            self._lock.hold()
            finish_restore(settings.data_dir)
            clear_leftovers(settings.data_dir)
            check_wiki(settings.data_dir)
            self.upgraded_from = upgrade(settings.data_dir, clock)
            anew = "somebody asked for it (reindex)" if reindexing else ""
            self.stores = open_stores(settings.data_dir, scrubber, clock, anew=anew)
            opened.callback(self.stores.close)
            self.catch_up_meter = Meter()
            defaults = Defaults(settings["workspace"], settings["project"], plain_path(home_directory()))
            self.projects = Projects(self.stores, defaults)
            self.indexing = Indexing(self.stores, self.projects)
            self.pages = Pages(self.stores, self.projects, self.indexing)
            transcripts = Transcripts(Path(settings["transcripts_dir"]).expanduser())
            self.records = Records(self.stores, self.projects, self.pages, defaults, transcripts)
            self.outside = Outside(self.stores, self.projects, self.indexing, self.pages)
            self.embedding = Embedding(self.stores, settings["embedding_provider"], embedder)
            self.recall = Recall(self.stores, self.projects, self.embedding)
            idle = timedelta(seconds=settings["session_idle_secs"])
            self.memories = Memories(self.stores, self.projects, self.pages)
            self.accounts = Accounts(self.stores)
            self.packets = Packets(self.stores, self.projects, self.pages)
            self.teams = Teams(self.stores, self.accounts, self.packets.clear_team)
            self.scopes = Scopes(self.stores, self.projects, alive=idle)
            drafts = Drafts(self.stores, self.projects)
            self.sessions = Sessions(self.stores, self.projects, self.pages, drafts, idle)
            quiet = timedelta(seconds=settings["handoff_quiet_secs"])
            self.briefing = Briefing(self.stores, self.projects)
            self.browsing = Browsing(self.stores, self.projects, self.briefing)
            self.timeline = Timeline(self.stores, self.projects)
            self.activity = Activity(self.stores, self.projects)
            self.graph = LinkGraph(self.stores, self.projects)
            self.feedback = Feedback(self.stores, self.projects)
            self.lint = Lint(self.stores, self.projects, self.pages)
            self.models = Models(self.stores, settings, chat_of)
            self.answers = Answers(self.stores, self.pages, self.models, settings)
            self.jobs = Jobs(self.stores, is_on=self.models.chat is not None)
            self.consolidation = Consolidation(
                self.stores, self.projects, self.pages, self.sessions, self.models, self.jobs, settings
            )
            self.narratives = Narratives(
                self.stores, self.projects, self.pages, self.sessions, self.models, self.jobs, settings
            )
            self.contradictions = Contradictions(self.stores, self.projects, self.models, self.jobs)
            self.improvement = Improvement(
                self.stores, self.projects, self.pages, self.sessions, self.models, self.jobs, settings
            )
            Polish(self.stores, self.projects, self.pages, self.sessions, self.models, self.jobs, settings)
            self.bootstrapping = Bootstrapping(self.stores, self.projects, self.pages)
            self.handoffs = Handoffs(self.stores, self.projects, self.sessions, self.briefing, self.packets, quiet)
            policy = Policy(settings["capture_prompts"], settings["capture_assistant"])
            self.intake = Intake(self.stores, self.projects, policy, self.sessions.note_change)
            at_work = AtWork(self.stores, self.sessions, self.intake, quiet)
            merge = Merge(self.stores, self.projects, self.pages, self.indexing, at_work)
            self.moves = Moves(self.stores, self.projects, self.indexing, merge, at_work)
            self.purge = Purge(self.stores, self.projects, self.indexing, at_work, data_dir=settings.data_dir)
            self.upkeep = Upkeep(
                self.stores, self.projects, self.indexing, self.pages, self.lint, self.intake, settings
            )
            #: Raw logs of what was purged, or moved away: they came back by themselves and are not read.
            self.left_out: list[RawFile] = []
            self.indexing.on_other_history = self.sessions.begin_anew
            with self.stores.intake_lock, self.stores.wiki.lock:
                # What cannot be finished now keeps nobody from the rest: `status` tells of it.
                self.stores.operations.settle()
            self._catch_up(reindexing or (lambda *_: None))

    def close(self) -> None:
        """Bring what is due to an end, close the stores and give the lock back.

        Raises:
            StorageError, apsw.Error: one of these failed; all the others are done.
        """
        with ExitStack() as closing:
            closing.callback(self._lock.release)
            closing.callback(self.stores.close)
            closing.callback(self.embedding.close)
            closing.callback(self.recall.close)
            closing.callback(self.models.close)
            closing.callback(self.jobs.close)
            # What is left over is due again at the next start; in the middle of somebody's merge that is all.
            with suppress(MergeUnfinishedError):
                self.sessions.settle(_GRACE_SECONDS)
                if self.packets.has_due():
                    self.packets.settle(_GRACE_SECONDS)
            self.upkeep.reads.flush(now=True)

    def backup(self) -> IO[bytes]:
        """Make a backup of everything durable; see `memory.backup.save`."""
        return save(self.settings.data_dir, self.stores)

    def export(self, project: Project, *, skip_broken: bool) -> Bundle:
        """Pack a project as a bundle for other programs; see `memory.export.pack`."""
        return pack(self.stores, project, skip_broken=skip_broken)

    def forget_keys(self) -> None:
        """Drop idempotency keys that are older than the wire promises to remember them."""
        if not self.upkeep.leap():
            self.stores.index.forget_keys(self._clock() - timedelta(days=KEY_DAYS))

    def finish_operation(self) -> None:
        """Try again to finish an operation that something was in the way of; nothing without one."""
        with self.stores.intake_lock, self.stores.wiki.lock:
            if self.stores.operations.settle():
                # What it was about may have been left out when we caught up with the files.
                self.intake.forget()
                self._catch_up(lambda *_: None)

    def _catch_up(self, progress: Progress) -> None:
        """Read what the raw log holds beyond the index's marks: after a crash a little, without an index all."""
        self.left_out.clear()
        self.outside.reconcile(progress)
        with self.indexing.telling():
            self.indexing.former_texts(progress)
        marks = self.stores.index.raw_marks()
        files = [file for file in self.stores.rawlog.files() if not self._is_left_out(file)]
        for done, file in enumerate(files, start=1):
            mark = marks.get((file.project_id, file.session_id), 0)
            if mark != file.size:
                self._catch_up_with(file, mark)
            progress("sessions", done, len(files))
        self._settle_sessions_without_log(marks.keys() - {(file.project_id, file.session_id) for file in files})
        self.stores.pages.drop_old_texts(self.stores.wiki.is_buried)
        self.forget_keys()
        # Not whether it had rows: a start that was killed in the middle of this has left some.
        self.sessions.recover_marks(index_was_lost=not self.stores.index.has_marks_recovered())
        self.sessions.note_unfinished()

    def _settle_sessions_without_log(self, places: Iterable[tuple[UUID, UUID]]) -> None:
        for project_id, session_id in places:
            if project := self.projects.known(project_id):
                self.indexing.session(project, session_id)
            else:
                self.stores.index.forget(project_id, session_id)

    def _is_left_out(self, file: RawFile) -> bool:
        """Tell whether a raw log is of something that was purged or moved away; it is remembered for `status`."""
        gone = self.stores.wiki.is_gone
        left_out = gone(file.workspace_id, str(file.project_id)) or gone(file.project_id, str(file.session_id))
        if left_out:
            self.left_out.append(file)
        return left_out

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
            turns = turns_of(session, observations)
            self.stores.index.save([Row(session, size, observations, turns, file.written)])
            self.catch_up_meter.count("observations", self._clock(), len(observations))
        reached(Step.INDEX_SESSION_READ)

    # Status

    def status(self, *, bind: str, warnings: Sequence[str] = ()) -> dict[str, object]:
        """Report what there is, what each stage did, and what it last failed at (the wire's StatusReport).

        Args:
            bind: where the server listens.
            warnings: what waits for somebody at the doors.
        """
        index, pages, turns = self.stores.index.counts(), self.stores.pages.counts(), self.stores.turns.counts()
        data_dir, embedded = self.settings.data_dir, self.embedding.coverage()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "data_dir": str(data_dir),
            "bind": bind,
            "db_path": str(data_dir / "db" / "index.db"),
            "counts": {
                "projects": len(self.projects.all()),
                "pages_latest": pages["pages"],
                "pages_all": pages["versions"],
                "sessions": index["sessions"],
                "observations": index["observations"],
                "handoffs": self.stores.state.counts(),
                "packets": self.packets.counts(),
                "jobs": self.jobs.counts(),
            },
            "derived": {
                "sessions_uncompiled": index["uncompiled"],
                "sessions_uncommitted": index["uncommitted"],
                "pages_rows": pages["pages"],
                "pages_fts_rows": pages["searchable"],
                "observations_rows": index["rows"],
                # Most observations say nothing that could be missing there.
                "observations_fts_rows": index["rows"] - turns["turns"] + turns["searchable"],
                "turns_rows": turns["turns"],
                "links_from_latest_pages": pages["links"],
                "unresolved_links_from_latest_pages": self.pages.count_unresolved(),
                **self.embedding.derived(embedded),
                "index_rebuilt": self.stores.rebuilt or None,
            },
            "state_lost": self.stores.state_lost,
            "pages": self._pages_report(),
            "ingest": self.intake.report(),
            "stages": {
                "ingest": self.intake.meter.report(),
                "compile": self.sessions.meter.report(),
                "pages": self.pages.meter.report(),
                "indexing": self.indexing.meter.report(),
                "handoffs": self.handoffs.meter.report(),
                "packets": self.packets.meter.report(),
                "catch_up": self.catch_up_meter.report(),
                "upkeep": self.upkeep.meter.report(),
                "embedding": self.embedding.meter.report(),
                "jobs": self.jobs.meter.report(),
            },
            "wiki_format": wiki_format(data_dir, self.upgraded_from),
            "providers": {"llm": self.models.report(), "embedding": self.embedding.report(embedded)},
            "storage": self.upkeep.storage(),
            "settings": {key: source for key, source in self.settings.sources.items() if source != "default"},
            "unknown_settings": list(self.settings.unknown),
            "warnings": [*self.warnings(), *warnings],
        }

    def warnings(self) -> list[str]:
        """Say what waits for somebody, a sentence each."""
        ahead = [
            f"{each.project.label} was purged at {stamp(each.at)} by a clock that is ahead of this one: "
            "it counts as purged when that was first seen"
            for each in self.projects.purged_ahead()
        ]
        wiki = self.stores.wiki
        found = [wiki.away(), wiki.git.unfinished(), self.stores.operations.problem, self.upkeep.put_off, *ahead]
        return [each for each in found if each]

    def troubles(self) -> list[str]:
        """Say what waits for somebody, broken pages too, a sentence each; `status` has all of it."""
        problems = self.stores.pages.problems()
        named = "; ".join(f"{self._name(project, path)}: {problem}" for project, path, problem in problems[:_NAMED])
        jobs = self.jobs.counts()
        failed = jobs["failed"] + jobs["poison"]
        return [
            *self.warnings(),
            *([f"pages with a problem: {len(problems)} ({named})"] if problems else []),
            *([f"jobs that failed: {failed} (`ai-memory jobs list` says why)"] if failed else []),
        ]

    def _pages_report(self) -> dict[str, object]:
        """Report what somebody should look at: how many there are, and the first of them."""
        problems = [(self._name(project, path), problem) for project, path, problem in self.stores.pages.problems()]
        ignored = sorted(self._name(project, path) for project, path in self.indexing.ignored)
        suspicious = [
            self._name(project, path)
            for project, paths in self.outside.suspicious.items()
            # Somebody may have said by now that they are to go, or brought one back.
            for path in sorted(set(paths) & set(self.stores.pages.missing(project)))
        ]
        return {
            "with_problems": len(problems),
            "problems": [{"page": page, "problem": problem} for page, problem in problems[:_NAMED]],
            "deleted_but_there": {"count": len(ignored), "first": ignored[:_NAMED]},
            "missing": {"count": len(suspicious), "first": suspicious[:_NAMED]},
            "unreadable_manifests": _counted(f"{file} {why}" for file, why in self.stores.wiki.unreadable.items()),
            "purged_again": _counted(self.projects.purged_again),
            "raw_logs_of_unknown": _counted(map(str, self._unknown_raw_logs())),
            "raw_logs_of_purged": {
                "count": len(self.left_out),
                "first": [str(file.path) for file in self.left_out[:_NAMED]],
            },
        }

    def _unknown_raw_logs(self) -> list[Path]:
        """List the folders of raw logs whose project has no manifest, though nobody purged or moved it."""
        known = {(str(each.workspace_id), str(each.id)) for each in self.projects.all()}
        found = []
        for folder in self.stores.rawlog.projects():
            place = folder.parent.name, folder.name
            with suppress(ValueError):
                if place not in known and not self.stores.wiki.is_gone(UUID(place[0]), place[1]):
                    found.append(folder)
        return found

    def _name(self, project_id: UUID, path: str) -> str:
        project = self.projects.known(project_id)
        return f"{project.label if project else project_id}/{path}"

    def unfinished(self, agent: str, project_id: object | None = None) -> list[Session]:
        """List sessions that have not been closed, newest first."""
        return [
            session
            for session in reversed(self.stores.index.unfinished())
            if (not agent or session.agent == agent) and (project_id is None or session.project_id == project_id)
        ]


def _counted(found: Iterable[str]) -> dict[str, object]:
    named = sorted(found)
    return {"count": len(named), "first": named[:_NAMED]}
