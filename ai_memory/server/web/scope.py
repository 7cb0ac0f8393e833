"""Which projects a screen is about, as its address says it: one, all of a workspace, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ai_memory.errors import NotFoundError
from ai_memory.model.scope import Project
from ai_memory.server.web.screen import Visit


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen of all projects, and what could be.

    Attributes:
        workspace, project: the names that the address says, "" for any.
        projects: those that are meant.
        workspaces: the names of all workspaces.
        names: the names of the projects of the chosen workspace, or of all.
    """

    workspace: str
    project: str
    projects: Sequence[Project]
    workspaces: Sequence[str]
    names: Sequence[str]

    @property
    def one(self) -> Project | None:
        """The project, where only one is meant by its name."""
        return self.projects[0] if self.project and len(self.projects) == 1 else None

    @property
    def is_narrow(self) -> bool:
        """Whether not all projects are meant."""
        return bool(self.workspace or self.project)

    @property
    def asked(self) -> dict[str, str]:
        """What an address says to mean the same."""
        return {"workspace": self.workspace, "project": self.project}


def chosen(visit: Visit) -> Chosen:
    """Read `workspace` and `project` of an address.

    Raises:
        NotFoundError: there are none such.
    """
    workspace, name = visit.asked("workspace"), visit.asked("project")
    found = visit.memory.projects
    everything = found.all()
    # What was renamed is found by its former name, too.
    named = found.named(workspace, name) if workspace and name else None
    beside = found.of_workspace(named.workspace if named else workspace) if workspace else everything
    projects = [named] if named else [each for each in beside if name in ("", each.name)]
    if not projects and (workspace or name):
        raise NotFoundError(f"there is no project {name}" if name else f"there is no workspace {workspace}")
    return Chosen(
        workspace=projects[0].workspace if workspace else "",
        project=projects[0].name if name else "",
        projects=projects,
        workspaces=sorted({each.workspace for each in everything}),
        names=sorted({each.name for each in beside}),
    )
