"""Projects: the registry that the manifests make, and how a request finds its project in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from ai_memory.capture.scope import ROUTING_KEYS, Defaults, New, resolve, routing_of, widened
from ai_memory.errors import BadRequestError, NotFoundError, ScopeUnresolvedError, StorageError
from ai_memory.memory.stores import Stores
from ai_memory.model.former import Former, former_of, up
from ai_memory.model.ids import minted_at, new_id
from ai_memory.model.scope import (
    GLOBAL_PROJECT,
    BadNameError,
    Project,
    Resolved,
    Routing,
    Workspace,
    checked_name,
    legal_name,
)
from ai_memory.store.manifests import ManifestUnreadableError, WikiAwayError

_REMEMBERED = 4096
#: What an event takes from the agent to us, at most, when nothing is in its way.
_ON_ITS_WAY = timedelta(seconds=5)
_LONGEST = 4096


class Projects:
    """All projects of the wiki, in memory; the manifests are the truth."""

    def __init__(self, stores: Stores, defaults: Defaults) -> None:
        self._wiki = stores.wiki
        self._pages = stores.pages
        self._state = stores.state
        self._clock = stores.clock
        self._changes = stores.changes
        self._operations = stores.operations
        self._scrub = stores.scrubber.scrub
        self._defaults = defaults
        # A session says the same with each of its events.
        self._routing = lru_cache(1024)(self._routing_of_values)
        # Taken before the wiki's lock, never under it.
        self._lock = threading.Lock()
        self._found: dict[tuple[Routing, tuple[UUID, ...]], Resolved] = {}
        #: Purged projects whose tombstones are in the future, with the time when that was first seen.
        self._ahead: dict[UUID, tuple[Former, datetime]] = {}
        #: What was purged and had come back, as `git pull` can do it, so that its tombstones were written again.
        self.purged_again: list[str] = []
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
        for each in self._purged:
            self._seen(each)
        #: What was moved away from a workspace, as it was there, with the id that it has now.
        self._moved = [
            replace(each.project, id=now.id)
            for each in former
            if not each.purged and (now := self.now(each.project.id))
        ]
        self.keep_purged()
        self._write_lost_purges()
        # A new mapping, so that who computes an answer right now cannot put it in here.
        self._found = {}

    def keep_purged(self) -> None:
        """Keep what was purged in the state, too: a manifest may be replaced by one that does not know of it.

        Raises:
            StorageError: the state could not be written.
        """
        kept = self._wiki.purged
        new = [
            (scope, each)
            for scope in (*self._by_id, *(workspace.id for workspace in self._workspaces))
            for each in self._wiki.gone.get(scope, {}).values()
            if each.is_purge and kept.get(scope, {}).get(each.key) != each
        ]
        if new:
            self._state.keep_purged(new)
        for scope, each in new:
            kept.setdefault(scope, {})[each.key] = each

    def _write_lost_purges(self) -> None:
        """Write what was purged into manifests that have lost it; one that cannot be written now is when it can be."""
        for folder, lost in list(self._wiki.forgetful.items()):
            with suppress(StorageError):
                self._wiki.bury(folder, ())
                self.purged_again += [f"{folder.relative_to(self._wiki.root)}: {key}" for key in lost]

    def _seen(self, former: Former) -> Former:
        """Correct the time of a purge by a clock that was ahead: nothing is purged before it happens."""
        now = self._clock()
        if former.was not in self._ahead and former.at > up(now):
            self._ahead[former.was] = (former, now - _ON_ITS_WAY)
        return replace(former, at=self._ahead[former.was][1]) if former.was in self._ahead else former

    def purged_ahead(self) -> list[Former]:
        """List the purged projects whose tombstones were in the future when they were first seen."""
        return [former for former, _ in self._ahead.values()]

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

    def listing(self) -> list[tuple[Project, int, datetime | None]]:
        """List all projects by workspace and name, each with its number of pages and its last change."""
        totals = self._pages.totals()
        by_name = sorted(self.all(), key=lambda each: (each.workspace, each.name))
        return [(project, *totals.get(project.id, (0, None))) for project in by_name]

    def folder(self, project: Project) -> Path:
        """Say where a project's pages are on disk."""
        return self._wiki.folder(project)

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
        purged = [each for each in map(self._seen, self._purged) if each.at >= at]
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

    def of_workspace(self, name: str) -> list[Project]:
        """List the projects of a workspace, which is found by its name or by one that it had before.

        Raises:
            NotFoundError: there is no such workspace.
        """
        found = self.workspace(name)
        if found is None:
            raise NotFoundError(f"there is no workspace {name}")
        return [project for project in self.all() if project.workspace_id == found.id]

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

    def linked(self, source: Project, workspace: str, project: str) -> Project | None:
        """Find the project that a page of `source` names; without a workspace that is one beside it, now or before."""
        before = (each.workspace for each in self._moved if each.id == source.id)
        places = [workspace] if workspace else dict.fromkeys([source.workspace, *before])
        return next((found for place in places if (found := self.called(place, project))), None)

    def reload(self) -> None:
        """Read the manifests again: somebody else may have changed them, or a project has moved."""
        with self._wiki.lock:
            # A disk that is not mounted looks like a wiki without projects.
            if not self._wiki.away():
                before = self._by_id
                self._read()
                for project_id in before.keys() | self._by_id.keys():
                    if before.get(project_id) != self._by_id.get(project_id):
                        self._changes.note(project_id, "projects")

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
            BadNameError: a name is not legal, or holds a secret.
            StorageError: the manifest could not be written.
        """
        self.check_name(workspace, "workspace")
        self.check_name(name, "project")
        with self._wiki.lock:
            home = self.workspace(workspace) or Workspace(new_id(self._clock()), workspace)
            project = Project(new_id(self._clock()), home.id, home.name, name)
            return self._save(project)

    def preferences(self) -> Project | None:
        """Find the project of the preferences that hold everywhere, None where nobody wrote any."""
        return next((each for each in self.all() if each.name == GLOBAL_PROJECT), None)

    def ensure_preferences(self) -> Project:
        """Find the project of the preferences that hold everywhere, or make it, in a workspace of its own.

        Raises:
            StorageError: the manifest could not be written.
        """
        with self._wiki.lock:
            found = self.preferences()
            if found is None:
                home = self.workspace(GLOBAL_PROJECT) or Workspace(new_id(self._clock()), GLOBAL_PROJECT)
                found = self._save(Project(new_id(self._clock()), home.id, home.name, GLOBAL_PROJECT))
            return found

    def of_user(self, user: str) -> list[Project]:
        """List the projects that hold a user's memories, one a repository, the oldest first."""
        homes = {each.id for each in self._workspaces if user and each.user == user}
        return sorted((each for each in self.all() if each.repo and each.workspace_id in homes), key=lambda one: one.id)

    def ensure_of_user(self, user: str, repo: str) -> Project:
        """Find the project of a user's memories of a repository, or make it, under names that nothing else has.

        Args:
            user, repo: any texts without a secret; the manifests keep them, so that names say nothing.

        Raises:
            StorageError: the manifest could not be written.
        """
        with self._wiki.lock:
            if found := next((each for each in self.of_user(user) if each.repo == repo), None):
                return found
            home = next((each for each in self._workspaces if each.user == user), None)
            if home is None:
                name = legal_name(user, lambda name: self.workspace(name) is not None, prefix="user-")
                home = Workspace(new_id(self._clock()), name, user=user)
                self._wiki.write_workspace(home)
                self._workspaces = [*self._workspaces, home]
            workspace = home.name
            name = legal_name(repo, lambda name: self.called(workspace, name) is not None)
            return self._save(Project(new_id(self._clock()), home.id, home.name, name, repo=repo))

    def users(self) -> dict[UUID, str]:
        """Say for every project whose it is: the user of its workspace where it is a user's, else ""."""
        users = {each.id: each.user for each in self._workspaces}
        return {each.id: users.get(each.workspace_id, "") if each.repo else "" for each in self.all()}

    def check_name(self, name: str, what: str) -> None:
        """Refuse what cannot be the name of a "project" or "workspace"; names stand in manifests and commits.

        Raises:
            BadNameError: it is not legal, or holds a secret.
        """
        if self._scrub(name) != name:
            raise BadNameError(f"the {what} name holds what looks like a secret: choose another")
        checked_name(name, what)

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
            return Resolved(self._save(project), found.by)
        if found.by in ("git-remote", "repo-root", "name") and (wider := widened(found.project, routing)):
            return Resolved(self._widen(wider), found.by)
        return found

    def _widen(self, wider: Project) -> Project:
        with self._wiki.lock:
            # It may have been renamed or moved since it was found.
            present = self._by_id.get(wider.id)
            if present and self._operations.refusal(present.id):
                return present
            if present is None:
                return wider
            try:
                return self._save(replace(present, identity=wider.identity, roots=wider.roots))
            except (ManifestUnreadableError, WikiAwayError):
                # What happens there is recorded all the same.
                return present

    def _save(self, project: Project) -> Project:
        with self._wiki.lock:
            project = self._wiki.write_manifest(project, self._clock())
            self._by_id = {**self._by_id, project.id: project}
            if self.workspace(project.workspace) is None:
                self._workspaces = [*self._workspaces, Workspace(project.workspace_id, project.workspace)]
            self._found.clear()
            self._changes.note(project.id, "projects")
            return project
