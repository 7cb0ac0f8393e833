"""Recall: finding pages by what they say, now or as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.scope import Project
from ai_memory.search.query import match_of


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result: the page, and the place in it that fits best (`<mark>` around the words)."""

    project: Project
    path: str
    title: str
    heading: str
    snippet: str
    score: float

    def as_json(self) -> dict[str, object]:
        """Give the hit as the wire has it."""
        return {
            "workspace": self.project.workspace,
            "project": self.project.name,
            "path": self.path,
            "title": self.title,
            "heading": self.heading,
            "snippet": self.snippet,
            "score": round(self.score, 6),
        }


class Recall:
    """Search over the pages of all projects."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def search(
        self, text: str, projects: Sequence[Project] = (), *, limit: int = 10, at: datetime | None = None
    ) -> list[Hit]:
        """Find pages, best first; what has expired is found by its path alone.

        Args:
            text: anything that somebody types; its content words are looked for.
            projects: where to look; none means everywhere.
            limit: how many pages.
            at: search the pages as they were then, without those that had expired by then.
        """
        scope, now = [project.id for project in projects], self._stores.clock()
        found = self._stores.pages.search(match_of(text), scope, limit, now=now, at=at)
        return [
            Hit(project, each.path, each.title, each.heading, each.snippet, each.score)
            for each in found
            if (project := self._projects.known(each.project_id))
        ]
