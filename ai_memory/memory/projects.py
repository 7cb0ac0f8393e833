"""Projects: the registry that the manifests make, and how a request finds its project in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from ai_memory.capture.scope import ROUTING_KEYS, Defaults, New, resolve, routing_of, widened
from ai_memory.errors import BadRequestError, NotFoundError, ScopeUnresolvedError
from ai_memory.memory.stores import Stores
from ai_memory.model.former import former_of
from ai_memory.model.ids import minted_at, new_id
from ai_memory.model.scope import Project, Resolved, Routing, Workspace, checked_name

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
        # Taken before the wiki's lock, never under it.
        self._lock = threading.Lock()
        self._found: dict[tuple[Routing, tuple[UUID, ...]], Resolved] = {}
        self._read()

    def _read(self) -> None:
        """Read all manifests. The caller holds the wiki's lock, except before anybody else can have it."""
        self._by_id: dict[UUID, Project] = {project.id: project for project in self._wiki.projects()}
        self._workspaces: list[Workspace] = list(self._wiki.workspaces())
        former = [
            former
            for workspace in self._workspaces
            for tombstone in self._wiki.gone.get(workspace.id, {}).values()
            if (former := former_of(workspace, tombstone))
        ]
        #: Project that was merged into another one -> that one.
        self._became = {each.was: each.project.id for each in former if not each.purged and each.was != each.project.id}
        self._purged = [each for each in former if each.purged]
        #: What was moved away from a workspace, as it was there, with the id that it has now.
        self._moved = [
            replace(each.project, id=now.id)
            for each in former
            if not each.purged and (now := self.now(each.project.id))
        ]
        # A new mapping, so that who computes an answer right now cannot put it in here.
        self._found = {}

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

    def former_ids(self) -> list[UUID]:
        """List the ids that no project has any more: of purged ones, and of those that were merged into another."""
        return [*(each.was for each in self._purged), *self._became]

    def ids_of(self, project_id: UUID) -> list[UUID]:
        """List the ids under which git's history holds a project: its own, and those of projects merged into it."""
        merged = [was for was in self._became if (now := self.now(was)) and now.id == project_id]
        return [project_id, *merged]

    def now(self, project_id: UUID) -> Project | None:
        """Find what a project is now, also after it was merged into another; None when it is gone."""
        seen = set()
        while project_id not in self._by_id and project_id not in seen:
            seen.add(project_id)
            project_id = self._became.get(project_id, project_id)
        return self._by_id.get(project_id)

    def home(self, project: Project, session_id: UUID) -> Project | None:
        """Find where a session of `project` belongs now: there, where it moved to, or nowhere (it was purged)."""
        seen = set()
        while tombstone := self._wiki.gone.get(project.id, {}).get(str(session_id)):
            target = tombstone.what.rpartition(" ")[2]
            moved = self.now(UUID(target)) if tombstone.verb == "move-session" else None
            if moved is None or project.id in seen:
                return None
            seen.add(project.id)
            project = moved
        return project

    def was_purged(self, routing: Routing, at: datetime, session: Sequence[Project] = ()) -> bool:
        """Tell whether what happened at a place at a time belongs to a project that was purged since."""
        purged = [each for each in self._purged if each.at >= at]
        if not purged:
            return False
        # A project that began at the same place afterwards is another one.
        newest = max(each.at for each in purged)
        ghosts = [each.project for each in purged]
        older = [project for project in self.all() if minted_at(project.id) < newest]
        try:
            found = resolve(self._as_named(routing), [*older, *ghosts], self._as_now(), session)
        except ScopeUnresolvedError:
            return False
        return isinstance(found, Resolved) and found.project in ghosts

    def workspace(self, name: str) -> Workspace | None:
        """Find a workspace by its name, or by one that it had before; a present name comes first."""
        wanted = name.casefold()
        present = (each for each in self._workspaces if each.name.casefold() == wanted)
        former = (each for each in self._workspaces if wanted in map(str.casefold, each.aliases))
        return next(present, None) or next(former, None)

    def workspaces(self) -> list[Workspace]:
        """List all workspaces."""
        return list(self._workspaces)

    def _as_named(self, routing: Routing) -> Routing:
        """Say where a client is in present names."""
        workspace = self.workspace(routing.workspace) if routing.workspace else None
        return replace(routing, workspace=workspace.name) if workspace else routing

    def _as_now(self) -> Defaults:
        workspace = self.workspace(self._defaults.workspace)
        return replace(self._defaults, workspace=workspace.name) if workspace else self._defaults

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
        found = self.called(workspace, project)
        if found:
            return found
        known = ", ".join(sorted(candidate.label for candidate in self.all())) or "none yet"
        raise NotFoundError(f"there is no project {workspace}/{project} (known: {known})")

    def called(self, workspace: str, project: str) -> Project | None:
        """Find a project by its names, or by those that it had before; a present name comes first."""
        place = self.workspace(workspace)
        here, wanted = (place.name if place else workspace).casefold(), project.casefold()
        former = None
        for candidate in [*self.all(), *self._moved]:
            if candidate.workspace.casefold() != here:
                continue
            if candidate.name.casefold() == wanted:
                return self._by_id[candidate.id]
            if wanted in map(str.casefold, candidate.aliases):
                former = former or self._by_id[candidate.id]
        return former

    def reload(self) -> None:
        """Read the manifests again: somebody else may have changed them, or a project has moved."""
        with self._wiki.lock:
            self._read()

    def look_up(self, routing: Routing, session: Sequence[Project] = ()) -> Resolved | New:
        """Find the project of a question, without creating one: `New` says what a writer would create.

        Raises:
            BadRequestError: the scope cannot be told, or a name is not legal.
        """
        candidates = [*self.all(), *self._moved]
        found = resolve(self._as_named(routing), candidates, self._as_now(), session)
        return found if isinstance(found, New) else Resolved(self._by_id[found.project.id], found.by)

    def ensure(self, routing: Routing, session: Sequence[Project] = ()) -> Resolved:
        """Find the project of an event, and create it when there is none.

        Raises:
            BadRequestError: the scope cannot be told, or a name is not legal; nothing was created.
            StorageError: the manifest could not be written.
        """
        question = (routing, tuple(project.id for project in session))
        with self._lock:
            remembered = self._found
            if known := remembered.get(question):
                return known
            found = self._ensured(routing, session)
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            # Not where somebody else changed the manifests meanwhile: this may be a project as it was.
            remembered[question] = found
            return found

    def create(self, workspace: str, name: str) -> Project:
        """Make a project that somebody named, and its workspace when that is new.

        Raises:
            BadNameError: a name is not legal.
            StorageError: the manifest could not be written.
        """
        checked_name(workspace, "workspace")
        checked_name(name, "project")
        with self._wiki.lock:
            home = self.workspace(workspace) or Workspace(new_id(self._clock()), workspace)
            project = Project(new_id(self._clock()), home.id, home.name, name)
            self._save(project)
            return project

    def _ensured(self, routing: Routing, session: Sequence[Project]) -> Resolved:
        found = self.look_up(routing, session)
        if isinstance(found, New):
            workspace = self.workspace(found.workspace) or Workspace(new_id(self._clock()), found.workspace)
            project = Project(
                id=new_id(self._clock()),
                workspace_id=workspace.id,
                workspace=workspace.name,
                name=found.name,
                identity=found.identity,
                roots=found.roots,
            )
            self._save(project)
            return Resolved(project, found.by)
        if found.by in ("git-remote", "repo-root", "name") and (wider := widened(found.project, routing)):
            return Resolved(self._widen(wider), found.by)
        return found

    def _widen(self, wider: Project) -> Project:
        with self._wiki.lock:
            # It may have been renamed or moved since it was found.
            present = self._by_id.get(wider.id)
            if present:
                wider = replace(present, identity=wider.identity, roots=wider.roots)
                self._save(wider)
            return wider

    def _save(self, project: Project) -> None:
        with self._wiki.lock:
            self._wiki.write_manifest(project, self._clock())
            self._by_id = {**self._by_id, project.id: project}
            if self.workspace(project.workspace) is None:
                self._workspaces = [*self._workspaces, Workspace(project.workspace_id, project.workspace)]
            self._found.clear()
