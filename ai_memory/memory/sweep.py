"""The forget sweep: pages that expired or went cold, old ledgers, and tombstones that have served their time.

Only what an automatic writer wrote can go cold. Git keeps what the sweep deletes; `restore-page` brings it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from ai_memory.compile.decay import Decay
from ai_memory.compile.packet import mark_in, mark_of
from ai_memory.compile.session_page import session_of
from ai_memory.memory.indexing import Indexing
from ai_memory.memory.pages import Pages
from ai_memory.memory.stores import Stores
from ai_memory.model.page import is_ledger
from ai_memory.model.scope import Project
from ai_memory.store.page_index import MISSING, PageRow

#: Pages that one commit deletes: the wiki is locked meanwhile, and a session may be about to start.
_AT_ONCE = 200
_DAY = timedelta(days=1)
#: Deletes that may be forgotten in time; what was purged never is.
_FORGETTABLE = frozenset({"delete-page", "forget-sweep", "outside-delete"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things are kept: the page's decay, months of ledgers (0: for ever), and time until a tombstone goes."""

    decay: Decay
    ledger_months: int
    tombstones: timedelta


@dataclass(frozen=True, slots=True)
class Cold:
    """A page that went cold: what it still weighs, its age, and how often it was read."""

    path: str
    retention: float
    age_days: float
    reads: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep of a project deletes.

    Attributes:
        candidates: how many pages could have gone cold.
        expired: pages whose time is over, with that time.
        cold: pages that went cold.
        ledgers: names of old ledgers.
        tombstones: deleted pages that need not be remembered any longer.
    """

    candidates: int = 0
    expired: dict[str, datetime] = field(default_factory=dict)
    cold: Sequence[Cold] = ()
    ledgers: Sequence[str] = ()
    tombstones: Sequence[str] = ()

    @property
    def pages(self) -> list[str]:
        """The paths of all pages to delete."""
        return [*self.expired, *(each.path for each in self.cold)]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not (self.expired or self.cold or self.ledgers or self.tombstones)


class Sweep:
    """Sweeps projects."""

    def __init__(self, stores: Stores, indexing: Indexing, pages: Pages, limits: Limits) -> None:
        self._stores = stores
        self._indexing = indexing
        self._pages = pages
        self._limits = limits

    def plan(self, project: Project) -> Plan:
        """Say what a sweep would delete now."""
        with self._stores.wiki.lock:
            plan = self._plan(project)
            # Somebody may have edited one of these in the meantime.
            return self._plan(project) if self._indexing.files(project, plan.pages) else plan

    def run(self, project: Project) -> Plan:
        """Sweep a project; gives what was deleted.

        Raises:
            StorageError: it could not be written; what was committed before stays deleted.
        """
        done = list(self.steps(project))
        first = done[0] if done else self.plan(project)
        return Plan(
            candidates=first.candidates,
            expired={path: at for plan in done for path, at in plan.expired.items()},
            cold=[each for plan in done for each in plan.cold],
            ledgers=first.ledgers,
            tombstones=first.tombstones,
        )

    def steps(self, project: Project) -> Iterator[Plan]:
        """Sweep a project commit by commit; gives what each deleted."""
        number = len(self.plan(project).pages)
        for _ in range(0, max(number, 1), _AT_ONCE):
            with self._stores.wiki.lock:
                plan = _part(self.plan(project))
                if plan.is_empty:
                    break
                self._pages.sweep(
                    project, plan.pages, ledgers=plan.ledgers, forgotten=plan.tombstones, reason=_reason(plan)
                )
            yield plan
        paths = {row.path for row in self._stores.pages.pages(project.id)}
        state = self._stores.state
        state.reads.forget(project.id, state.reads.of(project.id).keys() - paths)
        state.feedback.forget(project.id, {said.path for said in state.feedback.of(project.id)} - paths)

    def _plan(self, project: Project) -> Plan:
        now = self._stores.clock()
        rows = [row for row in self._stores.pages.pages(project.id) if row.size != MISSING and not row.conflicted]
        expired = {row.path: row.expires_at for row in rows if row.expires_at and row.expires_at <= now}
        candidates = self._candidates(project, [row for row in rows if row.path not in expired], now)
        return Plan(
            candidates=len(candidates),
            expired=expired,
            cold=[each for each in candidates if self._limits.decay.is_cold(each.retention)],
            ledgers=self._old_ledgers(project, now),
            tombstones=self._old_tombstones(project, now),
        )

    def _candidates(self, project: Project, rows: Sequence[PageRow], now: datetime) -> list[Cold]:
        """Weigh the pages that may go cold: compiled, in git as they are, and nobody's."""
        committed = self._stores.pages.commit_times(project.id)
        reads = self._stores.state.reads.of(project.id)
        saliences = self._stores.state.feedback.saliences((project.id, row.path, row.blob) for row in rows)
        found = []
        for row in rows:
            at, blob = committed.get(row.path, (now, ""))
            if row.tier != "episodic" or row.pinned or not row.sealed or row.blob != blob:
                continue
            read = reads.get(row.path)
            age = (now - at) / _DAY
            weight = self._limits.decay.retention(
                age,
                read.count if read else 0,
                (now - read.last) / _DAY if read else 0.0,
                saliences.get((project.id, row.path), 1.0),
            )
            found.append(Cold(row.path, weight, age, read.count if read else 0))
        return found

    def _old_ledgers(self, project: Project, now: datetime) -> list[str]:
        if not self._limits.ledger_months:
            return []
        folder = f"{project.workspace_id}/{project.id}/"
        files = self._stores.wiki.committed(folder)
        year, month = divmod(now.year * 12 + now.month - 1 - self._limits.ledger_months, 12)
        oldest = f"log-{year:04}-{month + 1:02}.md"
        names = (file.removeprefix(folder) for file in files)
        return [name for name in names if is_ledger(name) and name < oldest]

    def _old_tombstones(self, project: Project, now: datetime) -> list[str]:
        """List deleted pages that nothing could bring back: a session with a raw log could be compiled again."""
        before = now - self._limits.tombstones
        old = [
            tombstone.what
            for tombstone in self._stores.wiki.gone.get(project.id, {}).values()
            if tombstone.verb in _FORGETTABLE and tombstone.at < before
        ]
        # Of a packet it is the session that would be drafted again.
        logs = self._stores.rawlog.files() if any(map(mark_in, old)) else []
        sessions = {mark_of(file.session_id) for file in logs if file.project_id == project.id}
        return [path for path in old if mark_in(path) not in sessions and not self._is_left(project, path)]

    def _is_left(self, project: Project, path: str) -> bool:
        session_id = session_of(path)
        if session_id and self._stores.rawlog.holds(project.workspace_id, project.id, session_id):
            return True
        return (self._stores.wiki.folder(project) / path).exists()


def _part(plan: Plan) -> Plan:
    """Take what one commit does."""
    expired = dict(islice(plan.expired.items(), _AT_ONCE))
    return replace(plan, expired=expired, cold=plan.cold[: _AT_ONCE - len(expired)])


def _reason(plan: Plan) -> str:
    parts = {
        "expired": len(plan.expired),
        "cold": len(plan.cold),
        "old ledgers": len(plan.ledgers),
        "tombstones let go": len(plan.tombstones),
    }
    return ", ".join(f"{number} {what}" for what, number in parts.items() if number)
