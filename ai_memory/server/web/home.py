"""The home page: all workspaces and projects, with what happened lately. A workspace, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ai_memory.errors import NotFoundError
from ai_memory.model.scope import Project
from ai_memory.server.web.screen import Screen, Values, Visit

_DAYS, _HANDOFFS = 30, 20


@dataclass(frozen=True, slots=True)
class ProjectCard:
    """A project as it is listed: its pages, open handoffs, when something last happened, and how much on which day."""

    project: Project
    pages: int
    handoffs: int
    last: datetime | None
    days: Sequence[int]


def home(visit: Visit) -> Values:
    """List all projects, the one where something last happened first in its workspace."""
    memory = visit.memory
    cards = _cards(visit, memory.projects.all())
    by_id = {card.project.id: card.project for card in cards}
    workspaces: dict[str, list[ProjectCard]] = {}
    for card in cards:
        workspaces.setdefault(card.project.workspace, []).append(card)
    return {
        "workspaces": workspaces,
        "handoffs": [
            (by_id[each.project_id], each)
            for each in memory.browsing.handoffs(list(by_id.values()), states=["open"], limit=_HANDOFFS)
        ],
        "troubles": memory.troubles(),
        "counts": {
            "projects": len(cards),
            "pages": sum(card.pages for card in cards),
            "handoffs": sum(card.handoffs for card in cards),
        },
    }


def workspace(visit: Visit) -> Values:
    """List the projects of a workspace."""
    name = visit.path["workspace"]
    projects = visit.memory.projects.of_workspace(name)
    if not projects:
        raise NotFoundError(f"there is no project in workspace {name}")
    overview = visit.memory.browsing.overview(projects, 10)
    return {"name": projects[0].workspace, "cards": _cards(visit, projects), "overview": overview}


def _cards(visit: Visit, projects: Sequence[Project]) -> list[ProjectCard]:
    """Say of projects what a list shows."""
    memory = visit.memory
    pages = {project.id: count for project, count, _ in memory.projects.listing()}
    days, last = memory.activity.days(projects, _DAYS), memory.activity.last()
    handoffs = memory.browsing.count_open(projects)
    cards = [
        ProjectCard(each, pages.get(each.id, 0), handoffs.get(each.id, 0), last.get(each.id), days[each.id])
        for each in projects
    ]
    never = datetime.min.replace(tzinfo=visit.now.tzinfo)
    return sorted(cards, key=lambda card: (card.last or never, card.project.name), reverse=True)


SCREENS = (Screen("/", "home.html", home), Screen("/w/{workspace}", "workspace.html", workspace))
