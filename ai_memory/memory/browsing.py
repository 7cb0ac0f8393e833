"""Browsing: the lists that people look through, and how a project or a workspace looks as a whole.

Nothing here waits for a writer, takes a lock or makes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ai_memory.errors import NotFoundError
from ai_memory.memory.briefing import Briefing, BriefingPage, Snapshot
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import Handoff, stamp
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.store.page_index import PageRow
from ai_memory.store.page_lists import Listed, Place

#: An episodic page is stale when it did not change for so long.
_STALE = timedelta(days=30)
_TAGS = 200


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """A workspace in a list: how many projects and pages it has, and when one of these changed (None: has none)."""

    name: str
    projects: int
    pages: int
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A folder in another: its name, its path in the project, how many pages are below, and the last change there."""

    name: str
    path: str
    pages: int
    updated: datetime


@dataclass(frozen=True, slots=True)
class Folder:
    """What is in a folder of a project.

    Attributes:
        path: of the folder, "" for the root.
        folders: those directly in it, by name.
        pages: a part of those directly in it, by path.
        total: how many pages are directly in it.
    """

    path: str
    folders: Sequence[FolderRow]
    pages: Sequence[BriefingPage]
    total: int


@dataclass(frozen=True, slots=True)
class HealthPage:
    """A page that somebody should look at."""

    project: Project
    row: PageRow

    def as_json(self) -> dict[str, object]:
        """Give the page as the wire has it."""
        return {
            "workspace": self.project.workspace,
            "project": self.project.name,
            "path": self.row.path,
            "title": self.row.title,
            "kind": self.row.kind,
        }


@dataclass(frozen=True, slots=True)
class Health:
    """What somebody should look at in projects: how much of it there is, and the first pages of each.

    Attributes:
        stale, stale_pages: episodic pages that did not change for 30 days, the oldest first.
        duplicates: titles that several pages of a project have.
        duplicate_pages: these pages, by title.
        orphans, orphan_pages: pages that no link leads to or from, by path.
    """

    stale: int
    duplicates: int
    orphans: int
    stale_pages: Sequence[HealthPage]
    duplicate_pages: Sequence[HealthPage]
    orphan_pages: Sequence[HealthPage]

    def as_json(self) -> dict[str, object]:
        """Give the health as the wire has it; contradictions are found by models alone, and told by lint."""
        return {
            "stale": self.stale,
            "duplicates": self.duplicates,
            "contradictions": 0,
            "orphans": self.orphans,
            "audited_at": None,
            "stale_pages": [each.as_json() for each in self.stale_pages],
            "duplicate_pages": [each.as_json() for each in self.duplicate_pages],
            "orphan_pages": [each.as_json() for each in self.orphan_pages],
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """How a project or a workspace looks: its newest open handoff with the project that it is in, and the rest."""

    snapshot: Snapshot
    health: Health
    handoff: Handoff | None
    project: Project | None

    def as_json(self) -> dict[str, object]:
        """Give the overview as the wire has it."""
        handoff = self.handoff
        told = handoff and {
            "agent": handoff.from_agent,
            "at": stamp(handoff.created_at),
            "project": self.project.name if self.project else "",
            "summary": handoff.summary,
            "open_questions": list(handoff.open_questions),
            "next_steps": list(handoff.next_steps),
        }
        return {"handoff": told, "briefing": self.snapshot.as_json(), "health": self.health.as_json()}


@dataclass(frozen=True, slots=True)
class Facets:
    """What a search in projects can be narrowed to: each kind and tag with its number of pages, the largest first."""

    kinds: Sequence[tuple[str, int]]
    tags: Sequence[tuple[str, int]]


class Browsing:
    """Lists of what is in all projects."""

    def __init__(self, stores: Stores, projects: Projects, briefing: Briefing) -> None:
        self._stores = stores
        self._lists = stores.page_lists
        self._projects = projects
        self._briefing = briefing

    def workspaces(self) -> list[WorkspaceRow]:
        """List the workspaces by name."""
        found = {each.name: WorkspaceRow(each.name, 0, 0, None) for each in self._projects.workspaces()}
        for project, pages, updated in self._projects.listing():
            row = found.get(project.workspace) or WorkspaceRow(project.workspace, 0, 0, None)
            newest = max((at for at in (row.updated, updated) if at), default=None)
            found[row.name] = WorkspaceRow(row.name, row.projects + 1, row.pages + pages, newest)
        return [found[name] for name in sorted(found)]

    def pages(self, project: Project) -> list[BriefingPage]:
        """List all pages of a project by path."""
        return _shown(project, self._lists.all(project.id, self._stores.clock()))

    def folder(self, project: Project, folder: str, *, limit: int, offset: int) -> Folder:
        """Show a folder of a project, "" is the root; one that has no pages is empty.

        Args:
            project, folder: which.
            limit, offset: of the pages directly in it, so many are given from there on.
        """
        now, start = self._stores.clock(), f"{folder.rstrip('/')}/" if folder else ""
        folders, total = self._lists.folders(project.id, start, now)
        return Folder(
            path=start.rstrip("/"),
            folders=[FolderRow(name, f"{start}{name}", count, updated) for name, count, updated in folders],
            pages=_shown(project, self._lists.directly_in(project.id, start, now, limit, offset) if limit else []),
            total=total,
        )

    def recent(
        self,
        project: Project,
        limit: int,
        *,
        since: datetime | None = None,
        after: tuple[datetime, str] | None = None,
        machinery: bool | None = None,
    ) -> list[BriefingPage]:
        """List pages of a project, the last changed first, then by path; drafts of packets are in no such list.

        Args:
            project, limit: whose, and how many.
            since: only what changed then or later.
            after: only what comes behind the page that changed then and has that path.
            machinery: only what says what happened or how to work (sessions, packets, the report of lint), or (False)
                only the rest; None is both.
        """
        now = self._stores.clock()
        found = self._lists.recent([project.id], limit, now, since=since, after=after, machinery=machinery)
        return _shown(project, found)

    def dates(self, project: Project, path: str) -> tuple[datetime, datetime]:
        """Say when a page came to be (since it was last deleted) and when it changed.

        Raises:
            NotFoundError: there is no such page.
        """
        found = self._lists.began(project.id, path)
        if found is None:
            raise NotFoundError(f"{project.label} has no page {path}")
        return found

    def latest(self, projects: Sequence[Project], limit: int) -> list[BriefingPage]:
        """List what several projects know, the last changed first: neither machinery nor what has expired."""
        by_id = {project.id: project for project in projects}
        found = self._lists.recent(list(by_id), limit, self._stores.clock(), machinery=False)
        return [BriefingPage(row, changed, by_id[project_id]) for project_id, row, changed in found]

    def changed(self, places: Sequence[Place]) -> dict[Place, datetime]:
        """Say when each of these pages changed; a place without a page is left out."""
        return {(project_id, row.path): changed for project_id, row, changed in self._lists.at(places)}

    def health(self, projects: Sequence[Project], limit: int) -> Health:
        """Say what somebody should look at in projects, and name so many pages of each sort.

        Of duplicates and orphans only what a project knows counts: sessions and packets are as they happened.
        """
        now = self._stores.clock()
        by_id = {project.id: project for project in projects}
        ids = list(by_id)
        ways = [
            (way, target.id)
            for way in self._stores.pages.ways_out()
            if (source := self._projects.known(way.project_id))
            and (target := self._projects.linked(source, way.workspace, way.project))
            and target.id in by_id
        ]
        stale, stale_places = self._lists.stale(ids, now - _STALE, now, limit)
        duplicates, duplicate_places = self._lists.duplicates(ids, now, limit)
        orphans, orphan_places = self._lists.orphans(ids, ways, now, limit)

        def named(places: Sequence[Place]) -> list[HealthPage]:
            return [HealthPage(by_id[project_id], row) for project_id, row, _ in self._lists.at(places)]

        return Health(stale, duplicates, orphans, named(stale_places), named(duplicate_places), named(orphan_places))

    def overview(self, projects: Sequence[Project], recent: int) -> Overview:
        """Show how a project looks, or all of a workspace together.

        Args:
            projects: which.
            recent: so many of the pages that changed last, and of each sort that somebody should look at.
        """
        snapshot = (
            self._briefing.of(projects[0], recent) if len(projects) == 1 else self._briefing.over(projects, recent)
        )
        by_id = {project.id: project for project in projects}
        handoff = next(iter(self.handoffs(projects, states=["open"], limit=1)), None)
        home = by_id[handoff.project_id] if handoff else None
        return Overview(snapshot, self.health(projects, recent), handoff, home)

    def sessions(self, project: Project, *, limit: int, offset: int, include_open: bool) -> tuple[list[Session], int]:
        """List sessions of a project from `offset` on, the last to speak first, and say how many there are in all.

        Without `include_open` only those are meant of which the agent said that they are over.
        """
        return self._stores.index.newest(project.id, limit, offset, ended=not include_open)

    def handoffs(self, projects: Sequence[Project], *, states: Sequence[str] = (), limit: int) -> list[Handoff]:
        """List handoffs of projects, newest first: all, or those in some states."""
        return self._stores.state.newest_handoffs([project.id for project in projects], limit, states)

    def count_open(self, projects: Sequence[Project]) -> dict[UUID, int]:
        """Count the open handoffs of each of these projects that has any."""
        return self._stores.state.count_open([project.id for project in projects])

    def facets(self, projects: Sequence[Project]) -> Facets:
        """List the kinds of the pages of projects, and their 200 most frequent tags."""
        ids, now = [project.id for project in projects], self._stores.clock()
        return Facets(self.kinds(projects), self._lists.tags(ids, now, _TAGS))

    def kinds(self, projects: Sequence[Project]) -> list[tuple[str, int]]:
        """List the kinds of the pages of projects with their numbers of pages, the largest first."""
        return self._lists.kinds([project.id for project in projects], self._stores.clock())

    def count_sessions(self, projects: Sequence[Project]) -> int:
        """Count the sessions of projects."""
        sessions, _ = self._stores.index.counts_of([project.id for project in projects])
        return sessions

    def previews(self, places: Iterable[Place]) -> dict[Place, tuple[str, int]]:
        """Give what pages say in short, and how many links lead from and to them in their project."""
        return self._lists.previews(places)


def _shown(project: Project, found: Sequence[Listed]) -> list[BriefingPage]:
    return [BriefingPage(row, changed, project) for _, row, changed in found]
