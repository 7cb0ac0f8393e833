"""Projects: the registry that the manifests make, and how a request finds its project in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from ai_memory.capture.scope import Defaults, New, resolve, widened
from ai_memory.errors import NotFoundError
from ai_memory.model.ids import new_id
from ai_memory.model.scope import Project, Resolved, Routing
from ai_memory.store.wiki import Wiki

_REMEMBERED = 4096


class Projects:
    """All projects of the wiki, in memory; the manifests are the truth."""

    def __init__(self, wiki: Wiki, defaults: Defaults, clock: Callable[[], datetime]) -> None:
        self._wiki = wiki
        self._defaults = defaults
        self._clock = clock
        self._lock = threading.Lock()
        self._by_id: dict[UUID, Project] = {project.id: project for project in wiki.projects()}
        self._found: dict[tuple[Routing, tuple[UUID, ...]], Resolved] = {}

    def all(self) -> list[Project]:
        """List all projects."""
        return list(self._by_id.values())

    def get(self, project_id: UUID) -> Project:
        """Find a project by its id.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return self._by_id[project_id]
        except KeyError:
            raise NotFoundError(f"there is no project with the id {project_id}") from None

    def named(self, workspace: str, project: str) -> Project:
        """Find a project by its names.

        Raises:
            NotFoundError: there is none; the message lists what there is.
        """
        for candidate in self.all():
            if (candidate.workspace.casefold(), candidate.name.casefold()) == (
                workspace.casefold(),
                project.casefold(),
            ):
                return candidate
        known = ", ".join(sorted(candidate.label for candidate in self.all())) or "none yet"
        raise NotFoundError(f"there is no project {workspace}/{project} (known: {known})")

    def look_up(self, routing: Routing, session: Sequence[Project] = ()) -> Resolved | New:
        """Find the project of a question, without creating one: `New` says what a writer would create.

        Raises:
            BadRequestError: the scope cannot be told, or a name is not legal.
        """
        return resolve(routing, self.all(), self._defaults, session)

    def ensure(self, routing: Routing, session: Sequence[Project] = ()) -> Resolved:
        """Find the project of an event, and create it when there is none.

        Raises:
            BadRequestError: the scope cannot be told, or a name is not legal; nothing was created.
            StorageError: the manifest could not be written.
        """
        question = (routing, tuple(project.id for project in session))
        with self._lock:
            if known := self._found.get(question):
                return known
            found = self._ensured(routing, session)
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[question] = found
            return found

    def _ensured(self, routing: Routing, session: Sequence[Project]) -> Resolved:
        found = self.look_up(routing, session)
        if isinstance(found, New):
            project = Project(
                id=new_id(self._clock()),
                workspace_id=self._workspace_id(found.workspace),
                workspace=found.workspace,
                name=found.name,
                identity=found.identity,
                roots=found.roots,
            )
            self._save(project)
            return Resolved(project, found.by)
        if found.by in ("git-remote", "repo-root", "name") and (wider := widened(found.project, routing)):
            self._save(wider)
            return Resolved(wider, found.by)
        return found

    def _workspace_id(self, name: str) -> UUID:
        for project in self.all():
            if project.workspace.casefold() == name.casefold():
                return project.workspace_id
        return new_id(self._clock())

    def _save(self, project: Project) -> None:
        with self._wiki.lock:
            self._wiki.write_manifest(project, self._clock())
        self._by_id = {**self._by_id, project.id: project}
        self._found.clear()
