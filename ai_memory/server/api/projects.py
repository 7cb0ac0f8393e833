"""Workspaces and projects, and how they stand: briefing, overview, health, and the links between projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from ai_memory.memory.browsing import Health, HealthPage
from ai_memory.model.handoff import stamp
from ai_memory.model.scope import Project
from ai_memory.server.api.parameters import limit, text
from ai_memory.server.api.route import NOT_KEPT, OF_PROJECT, OF_WORKSPACE, PROJECT, WORKSPACE, Ask, Route
from ai_memory.server.api.shapes import many, named

_LISTS = "private, max-age=30"


def _workspaces(ask: Ask) -> object:
    return [
        {
            "workspace_name": each.name,
            "project_count": each.projects,
            "page_count": each.pages,
            "last_updated": _when(each.updated),
        }
        for each in ask.memory.browsing.workspaces()
    ]


def _projects(ask: Ask) -> object:
    wanted = ask.values["workspace"]
    workspace = ask.memory.projects.workspace(wanted) if wanted else None
    return [
        {
            "workspace_name": project.workspace,
            "project_name": project.name,
            "page_count": pages,
            "last_updated": _when(updated),
        }
        for project, pages, updated in ask.memory.projects.listing()
        if not wanted or (workspace and project.workspace_id == workspace.id)
    ]


def _briefing(ask: Ask) -> object:
    return ask.memory.briefing.of(ask.project, ask.values["limit"]).as_json()


def _overview(ask: Ask) -> object:
    return ask.memory.browsing.overview([ask.project], ask.values["limit"]).as_json()


def _workspace_overview(ask: Ask) -> object:
    return ask.memory.browsing.overview(_of_workspace(ask), ask.values["limit"]).as_json()


def _of_workspace(ask: Ask) -> list[Project]:
    return ask.memory.projects.of_workspace(ask.values["workspace"])


def _of_project(ask: Ask) -> list[Project]:
    return [ask.project]


def _drill(
    projects: Callable[[Ask], Sequence[Project]], pages: Callable[[Health], Sequence[HealthPage]]
) -> Callable[[Ask], object]:
    """Give the answer of a route that lists the pages of one sort that somebody should look at."""

    def answer(ask: Ask) -> object:
        return [each.as_json() for each in pages(ask.memory.browsing.health(projects(ask), ask.values["limit"]))]

    return answer


def _graph(ask: Ask) -> object:
    return {
        "edges": [
            {
                "from_workspace": source.workspace,
                "from_project": source.name,
                "from_path": path,
                "to_workspace": target.workspace,
                "to_project": target.name,
                "to_path": to_path,
            }
            for source, path, target, to_path in ask.memory.graph.across()
        ]
    }


def _when(at: datetime | None) -> str | None:
    return stamp(at) if at else None


_SORTS: Sequence[tuple[str, str, Callable[[Health], Sequence[HealthPage]]]] = (
    ("stale", "Episodic pages that did not change for 30 days, the oldest first.", lambda health: health.stale_pages),
    ("duplicates", "Pages whose title others have, too, by title.", lambda health: health.duplicate_pages),
    ("orphans", "Pages that no link leads to or from, by path.", lambda health: health.orphan_pages),
)

ROUTES = (
    Route("/workspaces", "workspaces", "All workspaces by name.", many(named("Workspace")), _workspaces, cache=_LISTS),
    Route(
        "/projects",
        "projects",
        "All projects, or those of a workspace, by name; of one that there is not, none.",
        many(named("Project")),
        _projects,
        (text("workspace", "Only those of this one."),),
        _LISTS,
    ),
    Route(
        f"{OF_PROJECT}/briefing",
        "briefing",
        "How a project stands: counts, activity, rules, slots, what is pinned, what changed last.",
        named("Briefing"),
        _briefing,
        (WORKSPACE, PROJECT, limit()),
        NOT_KEPT,
        can_be_missing=True,
    ),
    Route(
        f"{OF_WORKSPACE}/overview",
        "workspaceOverview",
        "The newest open handoff of a workspace, which stays open, its briefing, and its health.",
        named("Overview"),
        _workspace_overview,
        (WORKSPACE, limit()),
        can_be_missing=True,
    ),
    Route(
        f"{OF_PROJECT}/overview",
        "overview",
        "The newest open handoff of a project, which stays open, its briefing, and its health.",
        named("Overview"),
        _overview,
        (WORKSPACE, PROJECT, limit()),
        can_be_missing=True,
    ),
    *(
        Route(
            f"{below}/health/{sort}",
            f"{sort}{suffix}",
            about,
            many(named("HealthPage")),
            _drill(projects, pages),
            (*names, limit(50, 200)),
            can_be_missing=True,
        )
        for below, suffix, projects, names in (
            (OF_WORKSPACE, "OfWorkspace", _of_workspace, (WORKSPACE,)),
            (OF_PROJECT, "", _of_project, (WORKSPACE, PROJECT)),
        )
        for sort, about, pages in _SORTS
    ),
    Route(
        "/graph",
        "graph",
        "The links between pages of different projects that lead to a page.",
        named("Graph"),
        _graph,
        cache=_LISTS,
    ),
)
