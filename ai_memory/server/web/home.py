"""The home page: all workspaces and projects, with what happened lately. A workspace, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ai_memory.errors import NotFoundError
from ai_memory.model.scope import Project
from ai_memory.server.web.screen import Screen, Values, Visit

_DAYS = 30


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
    cards = _cards(visit, [project for project, _, _ in memory.projects.listing()])
    workspaces: dict[str, list[ProjectCard]] = {}
    for card in cards:
        workspaces.setdefault(card.project.workspace, []).append(card)
    return {
        "workspaces": workspaces,
        "handoffs": [(memory.projects.get(each.project_id), each) for each in memory.handoffs.open(None, 20)],
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
    projects = [project for project, _, _ in visit.memory.projects.listing() if project.workspace == name]
    if not projects:
        raise NotFoundError(f"there is no workspace {name}, or nothing in it")
    return {
        "name": name,
        "cards": _cards(visit, projects),
        "overview": visit.memory.browsing.overview(projects, 10),
    }


def _cards(visit: Visit, projects: Sequence[Project]) -> list[ProjectCard]:
    memory = visit.memory
    totals = {project.id: pages for project, pages, _ in memory.projects.listing()}
    days, last = memory.activity.days(projects, _DAYS), memory.activity.last()
    cards = [
        ProjectCard(
            project,
            totals.get(project.id, 0),
            memory.stores.state.count_open(project.id),
            last.get(project.id),
            days.get(project.id, [0] * _DAYS),
        )
        for project in projects
    ]
    never = datetime.min.replace(tzinfo=visit.now.tzinfo)
    return sorted(cards, key=lambda card: (card.last or never, card.project.name), reverse=True)


SCREENS = (Screen("/", "home.html", home), Screen("/w/{workspace}", "workspace.html", workspace))
