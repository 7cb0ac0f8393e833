"""Activity: how much goes on in projects, by day, and when something last did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.scope import Project
from ai_memory.store.sqlite import DAY, micros


class Activity:
    """The activity of all projects. What machinery writes into pages counts for none."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def days(self, projects: Sequence[Project], days: int = 30) -> dict[UUID, list[int]]:
        """Count what was observed in sessions and done to pages on each of the last days (of UTC).

        Args:
            projects: where; each of them is in the answer.
            days: so many, today with them.

        Returns:
            for each project's id so many numbers, today's last.
        """
        ids = [project.id for project in projects]
        first = micros(self._stores.clock()) // DAY - days + 1
        counted = {project_id: [0] * days for project_id in ids}
        for source in (self._stores.index, self._stores.page_changes):
            for (project_id, day), count in source.days(ids, first).items():
                # A clock that was ahead has made tomorrow's.
                if day < first + days:
                    counted[project_id][day - first] += count
        return counted

    def last(self) -> dict[UUID, datetime]:
        """Give for each project in which anything happened when a session last spoke or a page last changed."""
        ids = [project.id for project in self._projects.all()]
        last = self._stores.page_changes.last(ids)
        for project_id, at in self._stores.index.last(ids).items():
            last[project_id] = max(at, last.get(project_id, at))
        return last
