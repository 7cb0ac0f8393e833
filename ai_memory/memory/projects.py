"""Projects: the registry that the manifests make, and how a request finds its project in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from ai_memory.capture.scope import ROUTING_KEYS, Defaults, New, resolve, routing_of, widened
from ai_memory.errors import BadRequestError, NotFoundError
from ai_memory.memory.stores import Stores
from ai_memory.model.ids import new_id
from ai_memory.model.scope import Project, Resolved, Routing

_REMEMBERED = 4096
_LONGEST = 4096


class Projects:
    """All projects of the wiki, in memory; the manifests are the truth."""

    def __init__(self, stores: Stores, defaults: Defaults) -> None:
        self._wiki = stores.wiki
        self._clock = stores.clock
        self._scrub = stores.scrubber.scrub
        self._defaults = defaults
        # A session says the same with each of its events.
        self._routing = lru_cache(1024)(self._routing_of_values)
        self._lock = threading.Lock()
        self._by_id: dict[UUID, Project] = {project.id: project for project in stores.wiki.projects()}
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

    def known(self, project_id: UUID) -> Project | None:
        """Find a project by its id, None when its folder is gone."""
        return self._by_id.get(project_id)

    def routing(self, query: Mapping[str, str], cwd: str = "") -> Routing:
        """Read what a client says of its place; what it says is scrubbed, because names and paths are stored.

        Raises:
            BadRequestError: a value is longer than any place is.
        """
        return self._routing(cwd, *(query.get(name, "") for name in ROUTING_KEYS))

    def _routing_of_values(self, cwd: str, *values: str) -> Routing:
        named = dict(zip(ROUTING_KEYS, values, strict=True))
        for name, value in (("the directory", cwd), *named.items()):
            if len(value) > _LONGEST:
                raise BadRequestError(f"{name} is longer than {_LONGEST} characters")
        return routing_of({name: self._scrub(value) for name, value in named.items() if value}, self._scrub(cwd))

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
