"""Briefing: how a project stands, for whoever comes to it: as numbers and lists, or as the text of a start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ai_memory.compile.brief import CORE, RECENT, Brief, CorePage, RecentPage
from ai_memory.compile.lint import REPORT_KIND
from ai_memory.compile.narrative import parsed, stale_in
from ai_memory.memory.indexing import read_page
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.filters import Filters
from ai_memory.model.handoff import stamp
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.model.scope import Project
from ai_memory.store.page_index import MISSING, PageRow

#: So many rules, slots and pinned pages are listed of each.
_LISTED = 100
_RECENT_DAYS = (7, 30)
#: So many sessions are compared with what a narrative knows, at a start.
_LATELY = 50


@dataclass(frozen=True, slots=True)
class BriefingPage:
    """A page of a briefing: what it is, and when it changed."""

    row: PageRow
    changed: datetime

    def as_json(self) -> dict[str, object]:
        """Give the page as the wire has it."""
        row = self.row
        told: dict[str, object] = {
            "path": row.path,
            "title": row.title,
            "kind": row.kind,
            "tier": row.tier,
            "updated_at": stamp(self.changed),
        }
        return told | ({"summary": row.summary} if row.summary else {})


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A project that links lead to, or come from, and how many."""

    project: Project
    links: int

    def as_json(self) -> dict[str, object]:
        """Give the project as the wire has it."""
        return {"workspace": self.project.workspace, "project": self.project.name, "links": self.links}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a project stands (the wire's BriefingSnapshot).

    Attributes:
        counts: pages_latest, pages_all, sessions, observations.
        activity: for the last 7 and 30 days: days, sessions, observations, pages_updated.
        last_observation: when, None without any.
        pending_handoffs: how many are open.
        narrative_behind: sessions at rest that a model's narrative does not know; None without one.
        rules, slots, pinned: by path; a page is in one of them only.
        recent: the last changed first.
        dependents, dependencies: projects whose pages link here, and those that pages link to.
    """

    counts: dict[str, int]
    activity: Sequence[dict[str, int]]
    last_observation: datetime | None
    pending_handoffs: int
    narrative_behind: int | None
    rules: Sequence[BriefingPage]
    slots: Sequence[BriefingPage]
    pinned: Sequence[BriefingPage]
    recent: Sequence[BriefingPage]
    dependents: Sequence[Neighbour]
    dependencies: Sequence[Neighbour]

    def as_json(self) -> dict[str, object]:
        """Give the snapshot as the wire has it."""
        return {
            "counts": self.counts,
            **{f"activity_{each['days']}d": each for each in self.activity},
            "last_observation_at": stamp(self.last_observation) if self.last_observation else None,
            "pending_handoff_count": self.pending_handoffs,
            "narrative": None
            if self.narrative_behind is None
            else {"path": NARRATIVE_PAGE, "sessions_behind": self.narrative_behind},
            "rules": [each.as_json() for each in self.rules],
            "slots": [each.as_json() for each in self.slots],
            "pinned": [each.as_json() for each in self.pinned],
            "recent_pages": [each.as_json() for each in self.recent],
            "cross_project_dependents": [each.as_json() for each in self.dependents],
            "cross_project_dependencies": [each.as_json() for each in self.dependencies],
        }


class Briefing:
    """Briefings of all projects."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def counts(self, project: Project) -> dict[str, int]:
        """Count the pages of a project, with and without their former versions, its sessions and observations."""
        pages, versions = self._stores.pages.counts_of(project.id)
        sessions, observations = self._stores.index.counts_of(project.id)
        return {
            "pages_latest": pages,
            "pages_all": versions,
            "sessions": sessions,
            "observations": observations,
        }

    def of(self, project: Project, recent: int) -> Snapshot:
        """Say how a project stands, with so many of the pages that changed last."""
        now = self._stores.clock()
        rules, slots, pinned = self._standing(project, now)
        times = self._stores.page_search.changed(project.id, [row.path for row in (*rules, *slots, *pinned)])

        def listed(rows: Sequence[PageRow]) -> list[BriefingPage]:
            return [BriefingPage(row, times[row.path]) for row in rows[:_LISTED] if row.path in times]

        dependents, dependencies = self._neighbours(project)
        newest = self._stores.index.recent(project_id=project.id, limit=1)
        return Snapshot(
            counts=self.counts(project),
            activity=self._activity(project, now),
            last_observation=newest[0].last if newest else None,
            pending_handoffs=self._stores.state.count_open(project.id),
            narrative_behind=self._behind(project, self._stores.wiki.read(project, NARRATIVE_PAGE), None),
            rules=listed(rules),
            slots=listed(slots),
            pinned=listed(pinned),
            recent=self._changed(project, recent, now),
            dependents=dependents,
            dependencies=dependencies,
        )

    def brief(self, project: Project) -> Brief:
        """Gather what the text of a brief is made of: rules, slots and what is pinned, and what changed last.

        Raises:
            StorageError: a page could not be read.
        """
        now = self._stores.clock()
        standing = [row for rows in self._standing(project, now) for row in rows]
        core = [page for row in standing[:CORE] if (page := self._core_page(project, row))]
        told = self._narrative(project)
        # The last one gets what room the others leave.
        core += [told] if told and told.path not in {page.path for page in core} else []
        recent = [
            RecentPage(each.row.path, each.row.title, each.row.kind, each.changed)
            for each in self._changed(project, RECENT, now)
        ]
        return Brief(project.label, core, recent)

    def _narrative(self, project: Project) -> CorePage | None:
        """Give the narrative of a project, with a word on how old it is."""
        text = self._stores.wiki.read(project, NARRATIVE_PAGE)
        if text is None:
            return None
        page, _ = read_page(NARRATIVE_PAGE, text.encode("utf-8", "replace"), self._stores.scrubber.scrub)
        # A start does not wait for a look through years.
        behind = self._behind(project, text, _LATELY)
        word = f" (sessions that it does not know: {behind})" if behind else ""
        return CorePage(page.path, f"{page.title}{word}", page.body, page.pinned)

    def _behind(self, project: Project, text: str | None, limit: int | None) -> int | None:
        """Count the sessions, of the last ones, that a narrative does not know; None for one that names none."""
        narrative = parsed(text) if text else None
        if narrative is None or not narrative.covers:
            return None
        sessions = self._stores.index.recent(project_id=project.id, limit=limit)
        stale = stale_in(narrative, sessions)
        return sum(session.is_over or session.committed == session.observations for session in stale)

    def _core_page(self, project: Project, row: PageRow) -> CorePage | None:
        text = self._stores.wiki.read(project, row.path)
        if text is None:
            return None
        page, _ = read_page(row.path, text.encode("utf-8", "replace"), self._stores.scrubber.scrub)
        return CorePage(page.path, page.title, page.body, page.pinned)

    def _standing(self, project: Project, now: datetime) -> tuple[list[PageRow], list[PageRow], list[PageRow]]:
        """List rules, slots, and what else is pinned; neither what expired nor what is missing or in conflict."""
        rules: list[PageRow] = []
        slots: list[PageRow] = []
        pinned: list[PageRow] = []
        for row in self._stores.pages.standing(project.id):
            if row.size == MISSING or row.conflicted or (row.expires_at and row.expires_at <= now):
                continue
            if row.kind == "rule" or row.path.startswith("_rules/"):
                rules.append(row)
            elif row.kind == "slot" or row.path.startswith("_slots/"):
                slots.append(row)
            else:
                pinned.append(row)
        return rules, slots, pinned

    def _changed(self, project: Project, limit: int, now: datetime) -> list[BriefingPage]:
        """List the pages that changed last, the report of lint left out."""
        times = self._stores.page_search.newest([project.id], limit + 1, now=now, filters=Filters())
        rows = self._stores.page_search.fitting(times, Filters())
        changed = [BriefingPage(rows[key], at) for key, at in times.items() if key in rows]
        return [each for each in changed if each.row.kind != REPORT_KIND and each.row.size != MISSING][:limit]

    def _activity(self, project: Project, now: datetime) -> list[dict[str, int]]:
        since = [now - timedelta(days=days) for days in _RECENT_DAYS]
        updated = self._stores.page_search.count_changed(project.id, since, now=now)
        told = []
        for days, start, pages in zip(_RECENT_DAYS, since, updated, strict=True):
            sessions, observations = self._stores.index.activity(project.id, start)
            told.append({"days": days, "sessions": sessions, "observations": observations, "pages_updated": pages})
        return told

    def _neighbours(self, project: Project) -> tuple[list[Neighbour], list[Neighbour]]:
        """List the projects whose pages link to this one's, and those that this one's link to, by name."""
        dependents: dict[UUID, int] = {}
        dependencies: dict[UUID, int] = {}
        pages = self._stores.pages
        for way in pages.ways_out():
            source = self._projects.known(way.project_id)
            target = self._projects.linked(source, way.workspace, way.project) if source else None
            if source is None or target is None or source.id == target.id:
                continue
            if source.id == project.id:
                dependencies[target.id] = dependencies.get(target.id, 0) + pages.count_links(way)
            elif target.id == project.id:
                dependents[source.id] = dependents.get(source.id, 0) + pages.count_links(way)
        return self._named(dependents), self._named(dependencies)

    def _named(self, links: dict[UUID, int]) -> list[Neighbour]:
        found = [Neighbour(self._projects.get(project_id), count) for project_id, count in links.items()]
        return sorted(found, key=lambda each: each.project.label)
