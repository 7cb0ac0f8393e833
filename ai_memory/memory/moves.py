"""Moves: projects and workspaces get other names, projects another workspace, sessions another project.

Names are lines of manifests: no file moves for them. What was the old name, or the old place, goes on leading to the
project, so that hooks, links and markers that still say it land where the pages are.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from ai_memory.errors import BadRequestError, ConflictError, NotFoundError, StorageError
from ai_memory.memory import ledgers
from ai_memory.memory.indexing import Indexing
from ai_memory.memory.intake import Intake
from ai_memory.memory.pages import Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.sessions import Sessions
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Observation
from ai_memory.model.former import merged, moved_line
from ai_memory.model.ids import new_id
from ai_memory.model.page import collision_key
from ai_memory.model.scope import BadNameError, Project, Workspace, checked_name
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.files import TEMPORARY_PREFIX, private_folder, sync_folder
from ai_memory.store.operations import Order
from ai_memory.store.page_index import is_page
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import MANIFEST

ON_CONFLICT = ("block", "overwrite", "duplicate")
MOVE_SESSION = "move-session"


class NameTakenError(ConflictError):
    """Another one has this name already."""

    status = 422


class PathsInBothError(ConflictError):
    """Both projects have a page of such a name; `details` lists them."""


@dataclass(frozen=True, slots=True)
class _Merge:
    """Where the files of a project go in another one.

    Attributes:
        files: file of the project -> file of the other one.
        replaced: file of the other one that goes -> the file of the project that takes its place.
        conflicts: what both have, as the answer tells it.
    """

    files: dict[str, str]
    replaced: dict[str, str]
    conflicts: list[dict[str, str | None]]


class Moves:
    """Renames and moves of one memory."""

    def __init__(
        self,
        stores: Stores,
        projects: Projects,
        pages: Pages,
        indexing: Indexing,
        sessions: Sessions,
        intake: Intake,
        *,
        quiet: timedelta,
    ) -> None:
        """Compose; a session that is in a turn and spoke within `quiet` is at work."""
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._indexing = indexing
        self._sessions = sessions
        self._intake = intake
        self._quiet = quiet
        stores.operations.teach("rename-project", self._do_rename_project)
        stores.operations.teach("rename-workspace", self._do_rename_workspace)
        stores.operations.teach("move-project", self._do_move_project)
        stores.operations.teach("merge-project", self._do_merge_project)
        stores.operations.teach(MOVE_SESSION, self._do_move_session)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._stores.intake_lock, self._stores.wiki.lock:
            yield

    # Names

    def rename_project(self, project: Project, to: str) -> dict[str, object]:
        """Give a project another name; the old one goes on leading to it until another project is called so.

        Returns:
            the answer of `/admin/rename-project`.

        Raises:
            BadNameError: the name is not legal.
            NameTakenError: another project of the workspace has it.
            StorageError: it could not be written; the next start finishes it.
        """
        _check_name(to, "project")
        with self._held():
            project = self._projects.get(project.id)
            for other in self._projects.all():
                if other.workspace_id == project.workspace_id and other.id != project.id and _same(other.name, to):
                    raise NameTakenError(f"{other.label} exists already")
            report = {
                "workspace": project.workspace,
                "from": project.name,
                "to": to,
                "pages": len(self._stores.pages.pages(project.id)),
            }
            oid = ""
            if to != project.name:
                order = {
                    "project": str(project.id),
                    "to": to,
                    "aliases": _former_names(project.aliases, project.name, to),
                    "subject": f"rename-project {project.label} -> {project.workspace}/{to}",
                    "at": self._now(),
                }
                oid = self._stores.operations.run("rename-project", order)
            return {**report, "checkpoint": oid}

    def _do_rename_project(self, order: Order) -> str:
        at = datetime.fromisoformat(order["at"])
        project = self._projects.get(UUID(order["project"]))
        project = replace(project, name=order["to"], aliases=tuple(order["aliases"]))
        self._stores.wiki.write_manifest(project, at)
        manifests = self._claim(project, at)
        reached(Step.RENAME_WRITTEN)
        oid = self._stores.wiki.git.commit(manifests, order["subject"], at=at)
        reached(Step.RENAME_COMMITTED)
        self._projects.reload()
        self._intake.forget()
        return oid

    def _claim(self, project: Project, at: datetime) -> list[str]:
        """Take a project's name from those that had it once; gives all manifests of its workspace."""
        for other in self._projects.all():
            if other.workspace_id == project.workspace_id and other.id != project.id:
                kept = tuple(name for name in other.aliases if not _same(name, project.name))
                if kept != other.aliases:
                    self._stores.wiki.write_manifest(replace(other, aliases=kept), at)
        return self._manifests(project.workspace_id)

    def _manifests(self, workspace_id: UUID) -> list[str]:
        ids = [project.id for project in self._projects.all() if project.workspace_id == workspace_id]
        return [f"{workspace_id}/{MANIFEST}", *(f"{workspace_id}/{each}/{MANIFEST}" for each in ids)]

    def rename_workspace(self, workspace: str, to: str) -> dict[str, object]:
        """Give a workspace another name; the old one goes on leading to it.

        Returns:
            the answer of `/admin/rename-workspace`.

        Raises:
            BadNameError: the name is not legal.
            NotFoundError: there is no such workspace.
            NameTakenError: another workspace has the name.
            StorageError: it could not be written; the next start finishes it.
        """
        _check_name(to, "workspace")
        with self._held():
            found = self._workspace(workspace)
            for other in self._projects.workspaces():
                if other.id != found.id and _same(other.name, to):
                    raise NameTakenError(f"a workspace {other.name} exists already: move its projects one by one")
            projects = [project for project in self._projects.all() if project.workspace_id == found.id]
            oid = ""
            if to != found.name:
                order = {
                    "workspace": str(found.id),
                    "to": to,
                    "aliases": _former_names(found.aliases, found.name, to),
                    "subject": f"rename-workspace {found.name} -> {to}",
                    "at": self._now(),
                }
                oid = self._stores.operations.run("rename-workspace", order)
            return {
                "from": found.name,
                "to": to,
                "projects": len(projects),
                "manifests_refreshed": len(projects) + 1,
                "checkpoint": oid,
            }

    def _workspace(self, name: str) -> Workspace:
        found = self._projects.workspace(name)
        if found is None:
            known = ", ".join(sorted(each.name for each in self._projects.workspaces())) or "none yet"
            raise NotFoundError(f"there is no workspace {name} (known: {known})")
        return found

    def _do_rename_workspace(self, order: Order) -> str:
        at, workspace = datetime.fromisoformat(order["at"]), UUID(order["workspace"])
        wiki = self._stores.wiki
        wiki.write_workspace(Workspace(workspace, order["to"], tuple(order["aliases"])))
        manifests = self._manifests(workspace)
        for project in self._projects.all():
            if project.workspace_id == workspace:
                wiki.write_manifest(replace(project, workspace=order["to"]), at)
        for other in self._projects.workspaces():
            kept = tuple(name for name in other.aliases if not _same(name, order["to"]))
            if other.id != workspace and kept != other.aliases:
                wiki.write_workspace(replace(other, aliases=kept))
            manifests.append(f"{other.id}/{MANIFEST}")
        reached(Step.RENAME_WRITTEN)
        oid = wiki.git.commit(manifests, order["subject"], at=at)
        reached(Step.RENAME_COMMITTED)
        self._projects.reload()
        self._intake.forget()
        return oid

    # A project to another workspace

    def move_project(
        self, project: Project, to_workspace: str, *, confirm: bool, force: bool = False, on_conflict: str = "block"
    ) -> dict[str, object]:
        """Move a project to another workspace, which is made when it is new; one of its name there takes it in.

        Args:
            project: which.
            to_workspace: the workspace's name.
            confirm: do it; else only say what would happen.
            force: also while a session is at work in it.
            on_conflict: where both projects have a page of one name: "block" moves nothing, "overwrite" lets the
                moved page win, "duplicate" gives the moved page a name of its own.

        Returns:
            the answer of `/admin/move-project`.

        Raises:
            BadRequestError: a name or `on_conflict` is not legal, or the project is there already.
            ConflictError: a session is at work, or worked in both projects; the folder exists there.
            PathsInBothError: both have a page of one name, and `on_conflict` is "block".
            StorageError: a step failed; the next start finishes it.
        """
        if on_conflict not in ON_CONFLICT:
            raise BadRequestError(f"on_conflict {on_conflict!r} is not one of {', '.join(ON_CONFLICT)}")
        with self._held():
            project = self._projects.get(project.id)
            workspace = self._projects.workspace(to_workspace)
            if workspace is None:
                _check_name(to_workspace, "workspace")
                workspace = Workspace(new_id(self._stores.clock()), to_workspace)
            if workspace.id == project.workspace_id:
                error = BadRequestError(f"{project.label} is in the workspace {workspace.name} already")
                error.status = 422
                raise error
            target = self._named_there(project, workspace)
            if confirm:
                self._check_quiet(project, force=force)
            if target:
                return self._merge_project(project, target, workspace, on_conflict, confirm=confirm)
            return self._move_whole(project, workspace, confirm=confirm)

    def _named_there(self, project: Project, workspace: Workspace) -> Project | None:
        there = [each for each in self._projects.all() if each.workspace_id == workspace.id]
        return next((each for each in there if _same(each.name, project.name)), None)

    def _report(self, project: Project, workspace: Workspace, *, confirm: bool) -> dict[str, object]:
        sessions = self._stores.index.recent(project_id=project.id, limit=-1)
        return {
            "from": {"workspace": project.workspace, "project": project.name},
            "to": {"workspace": workspace.name, "project": project.name},
            "dry_run": not confirm,
            "pages_moved": len(self._stores.pages.pages(project.id)),
            "sessions_moved": len(sessions),
            "observations_moved": sum(each.observations for each in sessions),
            "handoffs_moved": self._stores.state.count_handoffs(project.id),
            "at_work": [str(each) for each in self._at_work(project)],
        }

    def _move_whole(self, project: Project, workspace: Workspace, *, confirm: bool) -> dict[str, object]:
        report = self._report(project, workspace, confirm=confirm)
        report |= {"merged_into_existing": False, "moved_via": "true-move", "conflicts": []}
        if (self._stores.wiki.root / str(workspace.id) / str(project.id)).exists():
            raise ConflictError(
                f"the workspace {workspace.name} has a folder {project.id} already, which is no project"
            )
        if not confirm:
            return report
        order = {
            "project": str(project.id),
            "from": str(project.workspace_id),
            "to": str(workspace.id),
            "to_name": workspace.name,
            "what": moved_line(project, project.id, self._stores.clock()).what,
            "subject": f"move-project {project.label} -> {workspace.name}/{project.name}",
            "at": self._now(),
        }
        return {**report, "checkpoint": self._stores.operations.run("move-project", order)}

    def _do_move_project(self, order: Order) -> str:
        stores, wiki, at = self._stores, self._stores.wiki, datetime.fromisoformat(order["at"])
        project_id, old, new = UUID(order["project"]), UUID(order["from"]), UUID(order["to"])
        source, target = wiki.root / str(old) / str(project_id), wiki.root / str(new) / str(project_id)
        if not (target.parent / MANIFEST).exists():
            wiki.write_workspace(Workspace(new, order["to_name"]))
        _rename(source, target)
        reached(Step.MOVE_FILES)
        if wiki.is_gone(new, str(project_id)):
            wiki.revive(target.parent, [str(project_id)])
        wiki.bury(source.parent, [_tombstone("move-project", order["what"], at)])
        self._projects.reload()
        project = self._projects.get(project_id)
        wiki.write_manifest(project, at)
        manifests = self._claim(project, at)
        self._projects.reload()
        wiki.git.move(f"{old}/{project_id}", f"{new}/{project_id}")
        oid = wiki.git.commit([*manifests, f"{old}/{MANIFEST}"], order["subject"], at=at)
        reached(Step.MOVE_COMMITTED)
        wiki.unmarked = {path.replace(f"{old}/{project_id}/", f"{new}/{project_id}/") for path in wiki.unmarked}
        stores.rawlog.move_project(project_id, old, new)
        reached(Step.MOVE_RAW)
        stores.state.move_handoffs(project_id, project)
        reached(Step.MOVE_STATE)
        self._indexing.commits()
        reached(Step.MOVE_INDEX)
        self._intake.forget()
        return oid

    # A project into another one

    def _merge_project(
        self, project: Project, target: Project, workspace: Workspace, on_conflict: str, *, confirm: bool
    ) -> dict[str, object]:
        self._check_sessions_apart(project, target)
        if confirm:
            self._bring_up_to_date(project)
            self._pages.commit_outside(project)
            self._pages.commit_outside(target)
        merge = self._planned(project, target, on_conflict)
        report = self._report(project, workspace, confirm=confirm)
        report |= {
            "to": {"workspace": workspace.name, "project": target.name},
            "merged_into_existing": True,
            "moved_via": "merge",
            "conflicts": merge.conflicts,
        }
        if merge.conflicts and on_conflict == "block":
            if not confirm:
                return {**report, "blocked": True}
            names = ", ".join(str(conflict["path"]) for conflict in merge.conflicts[:3])
            error = PathsInBothError(
                f"{target.label} has {len(merge.conflicts)} of the pages already ({names}): "
                "say on_conflict overwrite or duplicate"
            )
            error.details = {"conflicts": merge.conflicts}
            raise error
        if not confirm:
            return report
        folder = self._stores.wiki.folder(target)
        logs = _ledgers_in(self._stores.wiki.folder(project))
        order = {
            "source": str(project.id),
            "from": str(project.workspace_id),
            "target": str(target.id),
            "to": str(target.workspace_id),
            "files": merge.files,
            "replaced": merge.replaced,
            "digests": ledgers.digests_of(folder, logs),
            "what": moved_line(project, target.id, self._stores.clock()).what,
            "subject": f"move-project {project.label} -> {target.label}",
            "at": self._now(),
        }
        return {**report, "checkpoint": self._stores.operations.run("merge-project", order)}

    def _check_sessions_apart(self, project: Project, target: Project) -> None:
        ids = Counter(
            file.session_id for file in self._stores.rawlog.files() if file.project_id in (project.id, target.id)
        )
        both = [str(each) for each, times in ids.items() if times > 1]
        gone = [each for each in map(str, ids) if self._stores.wiki.is_gone(target.id, each)]
        if both:
            raise ConflictError(
                f"session {both[0]} worked in {project.label} and in {target.label}: purge it in one of them"
            )
        if gone:
            raise ConflictError(f"session {gone[0]} was purged from {target.label}: purge it in {project.label}, too")

    def _bring_up_to_date(self, project: Project, session_id: UUID | None = None) -> None:
        """Commit pages and ledger lines of a project's sessions, so that nothing is half done when they move."""
        for session in self._stores.index.unfinished():
            if session.project_id == project.id and session_id in (None, session.id):
                self._sessions.checkpoint(project.id, session.id, label="moved")

    def _planned(self, project: Project, target: Project, on_conflict: str) -> _Merge:
        wiki = self._stores.wiki
        there = {collision_key(path): path for path in _files_in(wiki.folder(target))}
        folders = {"/".join(key.split("/")[:depth]) for key in there for depth in range(1, key.count("/") + 1)}
        merge = _Merge({}, {}, [])
        for path in _files_in(wiki.folder(project)):
            key = collision_key(path)
            parents = {"/".join(key.split("/")[:depth]) for depth in range(1, key.count("/") + 1)}
            if key in folders or parents & there.keys():
                raise ConflictError(
                    f"{path} is a folder in one of the projects and a file in the other: rename it first"
                )
            taken = key in there or (is_page(path) and wiki.is_gone(target.id, path))
            if not taken:
                merge.files[path] = path
                there[key] = path
                continue
            moved_to = path
            if not is_page(path) or on_conflict != "overwrite":
                moved_to = _name_beside(path, project.workspace, there)
                there[collision_key(moved_to)] = moved_to
            elif key in there:
                merge.replaced[there[key]] = path
            merge.files[path] = moved_to
            merge.conflicts.append({"path": path, "moved_to": None if on_conflict == "block" else moved_to})
        return merge

    def _do_merge_project(self, order: Order) -> str:
        stores, wiki, at = self._stores, self._stores.wiki, datetime.fromisoformat(order["at"])
        source_id, target_id = UUID(order["source"]), UUID(order["target"])
        old, new = f"{order['from']}/{source_id}", f"{order['to']}/{target_id}"
        source, target = wiki.root / old, wiki.root / new
        committed = _committed_below(stores, old)
        files: dict[str, str] = order["files"]
        logs = list(order["digests"])
        for path, by in order["replaced"].items():
            # Not when that has moved already: on some systems it is the same file, whatever its letters.
            if (source / by).exists():
                (target / path).unlink(missing_ok=True)
        for path, moved_to in files.items():
            _rename(source / path, target / moved_to)
        ledgers.add(target, {path: ledgers.entries(source, path) for path in logs}, order["digests"])
        reached(Step.MOVE_FILES)
        self._merge_manifests(order, at)
        if source.exists():
            shutil.rmtree(source)
        self._projects.reload()
        paths = [f"{old}/{path}" for path in [*files, *logs, MANIFEST]] + committed
        paths += [f"{new}/{path}" for path in [*files.values(), *order["replaced"], *logs, MANIFEST]]
        paths += [f"{order['from']}/{MANIFEST}", f"{order['to']}/{MANIFEST}"]
        oid = wiki.git.commit(paths, order["subject"], at=at)
        reached(Step.MOVE_COMMITTED)
        homes = (UUID(order["from"]), source_id), (UUID(order["to"]), target_id)
        for file in list(stores.rawlog.files()):
            if (file.workspace_id, file.project_id) == homes[0]:
                stores.rawlog.move_session(file.session_id, *homes)
        _drop_empty(stores.rawlog.path(*homes[0], source_id).parent)
        reached(Step.MOVE_RAW)
        stores.state.move_handoffs(source_id, self._projects.get(target_id))
        for path, moved_to in files.items():
            stores.state.reads.move(source_id, target_id, path, moved_to)
        stores.state.reads.forget(source_id)
        reached(Step.MOVE_STATE)
        stores.index.move_project(source_id, target_id)
        self._indexing.commits()
        stores.pages.forget(source_id)
        self._indexing.files(self._projects.get(target_id), [*files.values(), *order["replaced"]])
        reached(Step.MOVE_INDEX)
        self._sessions.forget(source_id)
        self._intake.forget()
        return oid

    def _merge_manifests(self, order: Order, at: datetime) -> None:
        """Bring names, roots and tombstones of the source to the target; the source's workspace keeps its place."""
        wiki, source = self._stores.wiki, self._projects.known(UUID(order["source"]))
        target = self._projects.get(UUID(order["target"]))
        folder = wiki.folder(target)
        if source:
            there = set(order["files"].values())
            wiki.revive(folder, there)
            own = wiki.gone.get(target.id, {})
            more = [each for key, each in wiki.gone.get(source.id, {}).items() if key not in own and key not in there]
            wiki.bury(folder, [each for each in more if not (folder / each.key).is_file()])
            wiki.write_manifest(merged(target, source), at)
        wiki.bury(wiki.root / order["from"], [_tombstone("move-project", order["what"], at)])

    # A session to another project

    def only_home(self, session_id: UUID) -> Project:
        """Find the project that has a session.

        Raises:
            NotFoundError: none has.
            BadRequestError: several have; one of them has to be named.
        """
        parts = self._stores.index.sessions_of(session_id)
        homes = [project for part in parts if (project := self._projects.known(part.project_id))]
        if not homes:
            raise NotFoundError(f"there is no session {session_id}")
        if len(homes) > 1:
            raise BadRequestError(
                f"session {session_id} worked in {', '.join(p.label for p in homes)}: say from_project"
            )
        return homes[0]

    def move_session(
        self,
        source: Project,
        session_id: UUID,
        to: str,
        *,
        to_workspace: str = "",
        confirm: bool,
        force: bool = False,
        create: bool = False,
    ) -> dict[str, object]:
        """Move a session to another project: raw log, page, ledger lines and handoffs.

        Args:
            source: where it is.
            session_id: which.
            to: the name of the project that gets it.
            to_workspace: its workspace, "" for the source's.
            confirm: do it; else only say what would happen.
            force: also while it is at work.
            create: make the project when there is none.

        Returns:
            the answer of `/admin/move-session`.

        Raises:
            NotFoundError: the source has no such session, or there is no such project and no `create`.
            BadRequestError: it is in that project already.
            ConflictError: it is at work; the target has a session, a page or a tombstone of it.
            StorageError: a step failed; the next start finishes it.
        """
        with self._held():
            source = self._projects.get(source.id)
            path = self._stores.rawlog.path(source.workspace_id, source.id, session_id)
            session = self._stores.index.session(source.id, session_id)
            if session is None:
                raise NotFoundError(f"{source.label} has no session {session_id}")
            workspace = to_workspace or source.workspace
            target = self._projects.called(workspace, to)
            if target is None and not create:
                raise NotFoundError(f"there is no project {workspace}/{to}: say --create to make it")
            if target and target.id == source.id:
                error = BadRequestError(f"session {session_id} is in {source.label} already")
                error.status = 422
                raise error
            if target:
                self._check_free(target, session_id)
            if confirm:
                self._check_quiet(source, session_id, force=force)
                self._bring_up_to_date(source, session_id)
                session = self._stores.index.session(source.id, session_id) or session
            page = f"sessions/{session_id}.md"
            observations = _observations(self._stores, path)
            report: dict[str, object] = {
                "session_id": str(session_id),
                "dry_run": not confirm,
                "session_moved": confirm,
                "from": {"workspace": source.workspace, "project": source.name},
                "to": {
                    "workspace": target.workspace if target else workspace,
                    "project": target.name if target else to,
                },
                "summary": {
                    "observations": session.observations,
                    "handoffs": self._stores.state.count_handoffs(source.id, session_id),
                },
                "page": "moved" if (self._stores.wiki.folder(source) / page).is_file() else "none",
                "would_create_project": None if target else f"{workspace}/{to}",
                "cwd": session.cwd,
                "at_work": [str(each) for each in self._at_work(source, session_id)],
            }
            if not confirm:
                return report
            target = target or self._projects.create(workspace, to)
            order = self._session_order(source, target, session_id, observations[: session.committed])
            order["keys"] = [each.key for each in observations if each.key]
            return {**report, "checkpoint": self._stores.operations.run(MOVE_SESSION, order)}

    def _check_free(self, target: Project, session_id: UUID) -> None:
        page = f"sessions/{session_id}.md"
        tombstones = self._stores.wiki.gone.get(target.id, {})
        if any(key in tombstones and tombstones[key].verb != MOVE_SESSION for key in (str(session_id), page)):
            raise ConflictError(
                f"session {session_id} or its page was deleted from {target.label}: it cannot come back"
            )
        if self._stores.index.session(target.id, session_id):
            raise ConflictError(f"session {session_id} worked in {target.label}, too: its parts stay where they are")
        if self._stores.pages.page(target.id, page):
            raise ConflictError(f"{target.label} has a page {page} already")

    def _session_order(
        self, source: Project, target: Project, session_id: UUID, observations: Sequence[Observation]
    ) -> dict[str, object]:
        wiki, page = self._stores.wiki, f"sessions/{session_id}.md"
        recorded = ledgers.lines_of(observations, self._stores.scrubber.scrub)
        lines = ledgers.found_in(wiki.folder(source), recorded)
        grave = wiki.gone.get(source.id, {}).get(page)
        return {
            "session": str(session_id),
            "source": str(source.id),
            "from": str(source.workspace_id),
            "target": str(target.id),
            "to": str(target.workspace_id),
            "lines": lines,
            "taken": ledgers.digests_of(wiki.folder(source), lines),
            "given": ledgers.digests_of(wiki.folder(target), lines),
            "grave": grave.line if grave and grave.verb != MOVE_SESSION else "",
            "subject": f"move-session {str(session_id)[:8]}: {source.label} -> {target.label}",
            "at": self._now(),
        }

    def _do_move_session(self, order: Order) -> str:
        stores, wiki, at = self._stores, self._stores.wiki, datetime.fromisoformat(order["at"])
        session, page = UUID(order["session"]), f"sessions/{order['session']}.md"
        source_id, target_id = UUID(order["source"]), UUID(order["target"])
        old, new = f"{order['from']}/{source_id}", f"{order['to']}/{target_id}"
        wiki.revive(wiki.root / new, [str(session), page])
        if order["grave"]:
            # Its page was deleted before it moved, and stays deleted.
            _, when, verb, what = order["grave"].split(" ", 3)
            wiki.bury(wiki.root / new, [Tombstone(datetime.fromisoformat(when), verb, what)])
        moved = [_tombstone(MOVE_SESSION, f"{what} {target_id}", at) for what in (session, page)]
        wiki.bury(wiki.root / old, moved)
        _rename(wiki.root / old / page, wiki.root / new / page)
        ledgers.remove(wiki.root / old, order["lines"], order["taken"])
        ledgers.add(wiki.root / new, order["lines"], order["given"])
        reached(Step.MOVE_FILES)
        paths = [f"{home}/{path}" for home in (old, new) for path in (page, *order["lines"], MANIFEST)]
        oid = wiki.git.commit([*paths, f"{order['to']}/{MANIFEST}"], order["subject"], at=at)
        reached(Step.MOVE_COMMITTED)
        stores.rawlog.move_session(session, (UUID(order["from"]), source_id), (UUID(order["to"]), target_id))
        reached(Step.MOVE_RAW)
        target = self._projects.get(target_id)
        stores.state.move_handoffs(source_id, target, session)
        stores.state.reads.move(source_id, target_id, page)
        reached(Step.MOVE_STATE)
        stores.index.move(session, source_id, target_id, order["keys"])
        self._indexing.commits()
        self._indexing.files(self._projects.get(source_id), [page])
        self._indexing.files(target, [page])
        reached(Step.MOVE_INDEX)
        self._sessions.forget(source_id, session)
        self._intake.forget()
        return oid

    # What all ask

    def _now(self) -> str:
        return self._stores.clock().isoformat()

    def _at_work(self, project: Project, session_id: UUID | None = None) -> list[UUID]:
        at_work = self._stores.index.mid_turn(project.id, self._stores.clock() - self._quiet)
        return sorted(each for each in at_work if session_id in (None, each))

    def _check_quiet(self, project: Project, session_id: UUID | None = None, *, force: bool) -> None:
        if not force and (at_work := self._at_work(project, session_id)):
            raise ConflictError(
                f"session {at_work[0]} is at work in {project.label}: wait until its turn ends, or --force"
            )


def _check_name(name: str, what: str) -> None:
    try:
        checked_name(name, what)
    except BadNameError as error:
        error.status = 422
        raise


def _same(name: str, other: str) -> bool:
    return name.casefold() == other.casefold()


def _former_names(aliases: Sequence[str], name: str, to: str) -> list[str]:
    """Give the names that a thing had once it is called `to`."""
    return [each for each in dict.fromkeys([*aliases, name]) if not _same(each, to)]


def _tombstone(verb: str, what: str, at: datetime) -> Tombstone:
    return Tombstone(at.replace(microsecond=0), verb, what)


def _observations(stores: Stores, path: Path) -> list[Observation]:
    try:
        return list(stores.rawlog.observations(path))
    except NotFoundError:
        return []


def _committed_below(stores: Stores, folder: str) -> list[str]:
    return list(stores.wiki.git.tree("HEAD", folder)) if stores.wiki.git.head() else []


def _ledgers_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("log-*.md"))


def _files_in(folder: Path) -> list[str]:
    """List the files of a project that are neither its manifest, nor its ledgers, nor made by an export."""
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = (Path(top) / name).relative_to(folder).as_posix()
            ours = path in (MANIFEST, "index.md") or re.fullmatch(r"log-[^/]*\.md", path)
            if not ours and not name.startswith(TEMPORARY_PREFIX):
                found.append(path)
    return sorted(found)


def _name_beside(path: str, workspace: str, taken: dict[str, str]) -> str:
    """Name a page that cannot keep its name: `<stem>-from-<workspace>.md`, then `-1` and so on."""
    head, dot, suffix = path.rpartition(".")
    slug = re.sub(r"[^a-z0-9]+", "-", workspace.casefold()).strip("-") or "elsewhere"
    stem, suffix = (head, dot + suffix) if dot and "/" not in suffix else (path, "")
    candidate, number = f"{stem}-from-{slug}{suffix}", 0
    while collision_key(candidate) in taken:
        number += 1
        candidate = f"{stem}-from-{slug}-{number}{suffix}"
    return candidate


def _rename(source: Path, target: Path) -> None:
    """Rename a file or folder unless that is done already."""
    try:
        if source.exists() or source.is_symlink():
            private_folder(target.parent)
            source.replace(target)
            sync_folder(target.parent)
            sync_folder(source.parent)
    except OSError as error:
        raise StorageError(f"{source} could not be moved to {target}: {error.strerror}") from error


def _drop_empty(folder: Path) -> None:
    with suppress(OSError):
        (folder / "transcripts").rmdir()
    with suppress(OSError):
        folder.rmdir()
