"""Briefing: how a project stands, for whoever comes to it: as numbers and lists, or as the text of a start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from ai_memory.compile.brief import CORE, RECENT, Brief, CorePage, RecentPage
from ai_memory.compile.lint import REPORT_KIND
from ai_memory.compile.narrative import parsed, stale_in
from ai_memory.memory.indexing import read_page
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import stamp
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.model.scope import Project
from ai_memory.store.page_index import PageRow

#: So many rules, slots and pinned pages are listed of each.
_LISTED = 100
_RECENT_DAYS = (7, 30)
#: So many sessions are compared with what a narrative knows, at a start.
_LATELY = 50


@dataclass(frozen=True, slots=True)
class BriefingPage:
    """A page in a list: what it is, when it changed, and in which project it is."""

    row: PageRow
    changed: datetime
    project: Project

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
    """How a project stands, or several together (the wire's BriefingSnapshot).

    Attributes:
        counts: pages_latest, pages_all, sessions, observations.
        activity: for the last 7 and 30 days: days, sessions, observations, pages_updated.
        last_observation: when, None without any.
        pending_handoffs: how many are open.
        narrative_behind: sessions at rest that a model's narrative does not know; None without one, and of several.
        rules, slots, pinned: by path; a page is in one of them only.
        recent: the last changed first.
        dependents, dependencies: other projects whose pages link here, and those that pages link to.
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
            # The wire's messages between projects: there are none here.
            "pending_message_count": 0,
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
        return self._counts([project.id])

    def of(self, project: Project, recent: int) -> Snapshot:
        """Say how a project stands, with so many of the pages that changed last."""
        behind = self._behind(project, self._stores.wiki.read(project, NARRATIVE_PAGE), None)
        return replace(self.over([project], recent), narrative_behind=behind)

    def over(self, projects: Sequence[Project], recent: int) -> Snapshot:
        """Say how projects stand together, without their narratives."""
        now = self._stores.clock()
        ids = [project.id for project in projects]
        rules, slots, pinned = self._standing(projects, now)
        dependents, dependencies = self._neighbours(projects)
        return Snapshot(
            counts=self._counts(ids),
            activity=self._activity(ids, now),
            last_observation=self._stores.index.last_spoke(ids),
            pending_handoffs=sum(self._stores.state.count_open(ids).values()),
            narrative_behind=None,
            rules=rules[:_LISTED],
            slots=slots[:_LISTED],
            pinned=pinned[:_LISTED],
            recent=self._changed(projects, recent, now),
            dependents=dependents,
            dependencies=dependencies,
        )

    def brief(self, project: Project) -> Brief:
        """Gather what the text of a brief is made of: rules, slots and what is pinned, and what changed last.

        Raises:
            StorageError: a page could not be read.
        """
        now = self._stores.clock()
        standing = [each.row for pages in self._standing([project], now) for each in pages]
        core = [page for row in standing[:CORE] if (page := self._core_page(project, row))]
        told = self._narrative(project)
        # The last one gets what room the others leave.
        core += [told] if told and told.path not in {page.path for page in core} else []
        recent = [
            RecentPage(each.row.path, each.row.title, each.row.kind, each.changed)
            for each in self._changed([project], RECENT, now)
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

    def _standing(
        self, projects: Sequence[Project], now: datetime
    ) -> tuple[list[BriefingPage], list[BriefingPage], list[BriefingPage]]:
        """List rules, slots, and what else is pinned; neither what expired nor what is missing or in conflict."""
        rules: list[BriefingPage] = []
        slots: list[BriefingPage] = []
        pinned: list[BriefingPage] = []
        by_id = {project.id: project for project in projects}
        for project_id, row, changed in self._stores.page_lists.standing(list(by_id), now):
            page = BriefingPage(row, changed, by_id[project_id])
            if row.kind == "rule" or row.path.startswith("_rules/"):
                rules.append(page)
            elif row.kind == "slot" or row.path.startswith("_slots/"):
                slots.append(page)
            else:
                pinned.append(page)
        return rules, slots, pinned

    def _changed(self, projects: Sequence[Project], limit: int, now: datetime) -> list[BriefingPage]:
        """List the pages that changed last, the reports of lint left out."""
        by_id = {project.id: project for project in projects}
        found = self._stores.page_lists.recent(list(by_id), limit, now, without=REPORT_KIND)
        return [BriefingPage(row, changed, by_id[project_id]) for project_id, row, changed in found]

    def _counts(self, projects: Sequence[UUID]) -> dict[str, int]:
        pages, versions = self._stores.page_lists.counts(projects)
        sessions, observations = self._stores.index.counts_of(projects)
        return {
            "pages_latest": pages,
            "pages_all": versions,
            "sessions": sessions,
            "observations": observations,
        }

    def _activity(self, projects: Sequence[UUID], now: datetime) -> list[dict[str, int]]:
        told = []
        for days in _RECENT_DAYS:
            since = now - timedelta(days=days)
            sessions, observations = self._stores.index.activity(projects, since)
            pages = self._stores.page_lists.count_changed(projects, since, now)
            told.append({"days": days, "sessions": sessions, "observations": observations, "pages_updated": pages})
        return told

    def _neighbours(self, projects: Sequence[Project]) -> tuple[list[Neighbour], list[Neighbour]]:
        """List the other projects whose pages link to these ones', and those that these ones' link to, by name."""
        here = {project.id for project in projects}
        dependents: dict[UUID, int] = {}
        dependencies: dict[UUID, int] = {}
        pages = self._stores.pages
        for way in pages.ways_out():
            source = self._projects.known(way.project_id)
            target = self._projects.linked(source, way.workspace, way.project) if source else None
            if source is None or target is None or (source.id in here) == (target.id in here):
                continue
            if source.id in here:
                dependencies[target.id] = dependencies.get(target.id, 0) + pages.count_links(way)
            else:
                dependents[source.id] = dependents.get(source.id, 0) + pages.count_links(way)
        return self._named(dependents), self._named(dependencies)

    def _named(self, links: dict[UUID, int]) -> list[Neighbour]:
        found = [Neighbour(self._projects.get(project_id), count) for project_id, count in links.items()]
        return sorted(found, key=lambda each: each.project.label)
