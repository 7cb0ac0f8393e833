"""Moves: projects and workspaces get other names, projects another workspace, sessions another project.

Names are lines of manifests: no file moves for them. What was the old name, or the old place, goes on leading to the
project, so that hooks, links and markers that still say it land where the pages are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ai_memory.compile.packet import is_of_session
from ai_memory.compile.session_page import session_path
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError
from ai_memory.memory import ledgers
from ai_memory.memory.at_work import AtWork
from ai_memory.memory.indexing import Indexing
from ai_memory.memory.merge import Merge
from ai_memory.memory.pages import NOBODY, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Observation
from ai_memory.model.former import MOVE_PROJECT, moved_line
from ai_memory.model.ids import new_id
from ai_memory.model.scope import BadNameError, Project, Workspace
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.files import rename_once
from ai_memory.store.operations import Order, author_of
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import MANIFEST

ON_CONFLICT = ("block", "overwrite", "duplicate")
MOVE_SESSION = "move-session"


class NameTakenError(ConflictError):
    """Another one has this name already."""

    status = 422


class Moves:
    """Renames and moves of one memory."""

    def __init__(
        self,
        stores: Stores,
        projects: Projects,
        indexing: Indexing,
        merge: Merge,
        at_work: AtWork,
    ) -> None:
        self._stores = stores
        self._projects = projects
        self._indexing = indexing
        self._merge = merge
        self._at_work = at_work
        stores.operations.teach("rename-project", self._do_rename_project)
        stores.operations.teach("rename-workspace", self._do_rename_workspace)
        stores.operations.teach("move-project", self._do_move_project)
        stores.operations.teach(MOVE_SESSION, self._do_move_session)

    # Names

    def rename_project(self, project: Project, to: str, writer: Writer = NOBODY) -> dict[str, object]:
        """Give a project another name; the old one goes on leading to it until another project is called so.

        Returns:
            the answer of `/admin/rename-project`.

        Raises:
            BadNameError: the name is not legal.
            NameTakenError: another project of the workspace has it.
            StorageError: it could not be written; the next start finishes it.
        """
        self._check_name(to, "project")
        with self._at_work.held():
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
                    **self._asked(writer),
                }
                oid = self._stores.operations.run("rename-project", order)
            return {**report, "checkpoint": oid}

    def _do_rename_project(self, order: Order) -> str:
        at = datetime.fromisoformat(order["at"])
        project = self._projects.get(UUID(order["project"]))
        project = replace(project, name=order["to"], aliases=tuple(order["aliases"]))
        self._stores.wiki.write_manifest(project, at)
        self._stores.operations.changed()
        manifests = self._claim(project, at)
        reached(Step.RENAME_WRITTEN)
        oid = self._stores.wiki.git.commit(manifests, order["subject"], author=author_of(order), at=at)
        reached(Step.RENAME_COMMITTED)
        self._projects.reload()
        self._at_work.forget()
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
        homes = [str(workspace_id), *(f"{workspace_id}/{each}" for each in ids)]
        return self._stores.wiki.committable(f"{home}/{MANIFEST}" for home in homes)

    def rename_workspace(self, workspace: str, to: str, writer: Writer = NOBODY) -> dict[str, object]:
        """Give a workspace another name; the old one goes on leading to it.

        Returns:
            the answer of `/admin/rename-workspace`.

        Raises:
            BadNameError: the name is not legal.
            NotFoundError: there is no such workspace.
            NameTakenError: another workspace has the name.
            StorageError: it could not be written; the next start finishes it.
        """
        self._check_name(to, "workspace")
        with self._at_work.held():
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
                    **self._asked(writer),
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
        self._stores.operations.changed()
        for project in self._projects.all():
            if project.workspace_id == workspace:
                wiki.write_manifest(replace(project, workspace=order["to"]), at)
        manifests = self._manifests(workspace)
        for other in self._projects.workspaces():
            kept = tuple(name for name in other.aliases if not _same(name, order["to"]))
            if other.id != workspace and kept != other.aliases:
                wiki.write_workspace(replace(other, aliases=kept))
            manifests += wiki.committable([f"{other.id}/{MANIFEST}"])
        reached(Step.RENAME_WRITTEN)
        oid = wiki.git.commit(manifests, order["subject"], author=author_of(order), at=at)
        reached(Step.RENAME_COMMITTED)
        self._projects.reload()
        self._at_work.forget()
        return oid

    # A project to another workspace

    def move_project(
        self,
        project: Project,
        to_workspace: str,
        writer: Writer = NOBODY,
        *,
        confirm: bool,
        force: bool = False,
        on_conflict: str = "block",
    ) -> dict[str, object]:
        """Move a project to another workspace, which is made when it is new; one of its name there takes it in.

        Args:
            project: which.
            to_workspace: the workspace's name.
            writer: who asks.
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
        with self._at_work.held():
            project = self._projects.get(project.id)
            workspace = self._projects.workspace(to_workspace)
            if workspace is None:
                self._check_name(to_workspace, "workspace")
                workspace = Workspace(new_id(self._stores.clock()), to_workspace)
            if project.repo and workspace.user:
                raise BadRequestError(
                    f"{project.label} cannot be moved to {workspace.name}: it would be memories of another user then"
                )
            if workspace.id == project.workspace_id:
                error = BadRequestError(f"{project.label} is in the workspace {workspace.name} already")
                error.status = 422
                raise error
            target = self._named_there(project, workspace)
            if confirm:
                self._at_work.check(project, force=force)
            if target:
                self._merge.prepare(project, target, confirm=confirm)
            report = self._report(project, workspace, confirm=confirm)
            if target:
                return self._merge.run(project, target, on_conflict, report, self._asked(writer), confirm=confirm)
            return self._move_whole(project, workspace, report, writer, confirm=confirm)

    def _named_there(self, project: Project, workspace: Workspace) -> Project | None:
        there = [each for each in self._projects.all() if each.workspace_id == workspace.id]
        return next((each for each in there if _same(each.name, project.name)), None)

    def _report(self, project: Project, workspace: Workspace, *, confirm: bool) -> dict[str, object]:
        sessions = self._stores.index.recent(project_id=project.id, limit=None)
        return {
            "from": {"workspace": project.workspace, "project": project.name},
            "to": {"workspace": workspace.name, "project": project.name},
            "dry_run": not confirm,
            "pages_moved": len(self._stores.pages.pages(project.id)),
            "sessions_moved": len(sessions),
            "observations_moved": sum(each.observations for each in sessions),
            "handoffs_moved": self._stores.state.count_handoffs(project.id),
            "links_changed": self._links_changed(project, workspace),
            "at_work": [str(each) for each in self._at_work.ids(project)],
        }

    def _links_changed(self, project: Project, workspace: Workspace) -> int:
        """Count the links of a project whose names mean another one, which is in the new workspace."""
        changed = 0
        for way in self._stores.pages.ways_out():
            if way.project_id == project.id and not way.workspace:
                was = self._projects.linked(project, "", way.project)
                becomes = self._projects.called(workspace.name, way.project)
                changed += self._stores.pages.count_links(way) * (was is not None and becomes not in (None, was))
        return changed

    def _move_whole(
        self, project: Project, workspace: Workspace, report: dict[str, object], writer: Writer, *, confirm: bool
    ) -> dict[str, object]:
        whole = {"merged_into_existing": False, "moved_via": "true-move", "pages_copied": 0, "source_purged": False}
        report |= {**whole, "conflicts": []}
        self._stores.wiki.inside(f"{project.workspace_id}/{project.id}")
        if self._stores.wiki.inside(f"{workspace.id}/{project.id}").exists():
            raise ConflictError(
                f"the workspace {workspace.name} has a folder {project.id} already, which is no project"
            )
        raw = self._stores.rawlog.path(workspace.id, project.id, project.id).parent
        if raw.exists():
            raise ConflictError(f"{raw} is there already, with raw logs of {project.label}: move or remove it first")
        if not confirm:
            return report
        order = {
            "project": str(project.id),
            "from": str(project.workspace_id),
            "to": str(workspace.id),
            "to_name": workspace.name,
            "what": moved_line(project, project.id, self._stores.clock()).what,
            "subject": f"move-project {project.label} -> {workspace.name}/{project.name}",
            **self._asked(writer),
        }
        return {**report, "checkpoint": self._stores.operations.run("move-project", order)}

    def _do_move_project(self, order: Order) -> str:
        stores, wiki, at = self._stores, self._stores.wiki, datetime.fromisoformat(order["at"])
        project_id, old, new = UUID(order["project"]), UUID(order["from"]), UUID(order["to"])
        source, target = wiki.root / str(old) / str(project_id), wiki.root / str(new) / str(project_id)
        if not (target.parent / MANIFEST).exists():
            wiki.write_workspace(Workspace(new, order["to_name"]))
            stores.operations.changed()
        rename_once(source, target)
        stores.operations.changed()
        reached(Step.MOVE_FILES)
        if wiki.is_gone(new, str(project_id)):
            wiki.revive(target.parent, [str(project_id)])
        wiki.bury(source.parent, [_tombstone(MOVE_PROJECT, order["what"], at)])
        self._projects.reload()
        project = self._projects.get(project_id)
        wiki.write_manifest(project, at)
        manifests = self._claim(project, at)
        self._projects.reload()
        wiki.git.move(f"{old}/{project_id}", f"{new}/{project_id}")
        oid = wiki.git.commit([*manifests, f"{old}/{MANIFEST}"], order["subject"], author=author_of(order), at=at)
        reached(Step.MOVE_COMMITTED)
        wiki.unmarked = {path.replace(f"{old}/{project_id}/", f"{new}/{project_id}/") for path in wiki.unmarked}
        stores.rawlog.move_project(project_id, old, new)
        reached(Step.MOVE_RAW)
        stores.state.move_handoffs(project_id, project)
        reached(Step.MOVE_STATE)
        self._indexing.commits()
        reached(Step.MOVE_INDEX)
        self._at_work.forget()
        return oid

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
        writer: Writer = NOBODY,
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
            writer: who asks.
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
            LinkedPathError: a symbolic link is on the way to its page, here or there.
            StorageError: a step failed; the next start finishes it.
        """
        with self._at_work.held():
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
            page = session_path(session_id)
            self._stores.wiki.file(source, page)
            if target:
                self._check_free(target, session_id)
            if confirm:
                self._at_work.check(source, session_id, force=force)
                self._at_work.bring_up_to_date(source, session_id)
                session = self._stores.index.session(source.id, session_id) or session
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
                "at_work": [str(each) for each in self._at_work.ids(source, session_id)],
            }
            if not confirm:
                return report
            target = target or self._projects.create(workspace, to)
            order = self._session_order(source, target, session_id, observations[: session.committed])
            order |= self._asked(writer)
            order["keys"] = [each.key for each in observations if each.key]
            return {**report, "checkpoint": self._stores.operations.run(MOVE_SESSION, order)}

    def _check_free(self, target: Project, session_id: UUID) -> None:
        page = session_path(session_id)
        self._stores.wiki.file(target, page)
        tombstones = self._stores.wiki.gone.get(target.id, {})
        if any(key in tombstones and tombstones[key].verb != MOVE_SESSION for key in (str(session_id), page)):
            raise ConflictError(
                f"session {session_id} or its page was deleted from {target.label}: it cannot come back"
            )
        if self._stores.index.session(target.id, session_id):
            raise ConflictError(f"session {session_id} worked in {target.label}, too: its parts stay where they are")
        if self._stores.rawlog.holds(target.workspace_id, target.id, session_id):
            log = self._stores.rawlog.path(target.workspace_id, target.id, session_id)
            raise ConflictError(f"{target.label} has a raw log of session {session_id} already: remove {log} first")
        for row in self._stores.pages.pages(target.id):
            if is_of_session(session_id, row.path):
                raise ConflictError(f"{target.label} has a page {row.path} already")

    def _session_order(
        self, source: Project, target: Project, session_id: UUID, observations: Sequence[Observation]
    ) -> dict[str, object]:
        wiki = self._stores.wiki
        known = {row.path for row in self._stores.pages.pages(source.id)} | wiki.gone.get(source.id, {}).keys()
        pages = {session_path(session_id), *(path for path in known if is_of_session(session_id, path))}
        recorded = ledgers.lines_of(observations, self._stores.scrubber.scrub)
        lines = ledgers.found_in(wiki.folder(source), recorded)
        graves = [grave for path, grave in wiki.gone.get(source.id, {}).items() if path in pages]
        return {
            "session": str(session_id),
            "pages": sorted(pages),
            "source": str(source.id),
            "from": str(source.workspace_id),
            "target": str(target.id),
            "to": str(target.workspace_id),
            "lines": lines,
            "taken": ledgers.digests_of(wiki.folder(source), lines),
            "given": ledgers.digests_of(wiki.folder(target), lines),
            "graves": [grave.line for grave in graves if grave.verb != MOVE_SESSION],
            "subject": f"move-session {str(session_id)[:8]}: {source.label} -> {target.label}",
        }

    def _do_move_session(self, order: Order) -> str:
        stores, wiki, at = self._stores, self._stores.wiki, datetime.fromisoformat(order["at"])
        session = UUID(order["session"])
        # An order of a former version knows no packets, and one grave.
        pages = order.get("pages", [session_path(session)])
        graves = order.get("graves", [each for each in [order.get("grave")] if each])
        source_id, target_id = UUID(order["source"]), UUID(order["target"])
        old, new = f"{order['from']}/{source_id}", f"{order['to']}/{target_id}"
        wiki.revive(wiki.root / new, [str(session), *pages])
        stores.operations.changed()
        for grave in graves:
            # What was deleted before it moved stays deleted.
            _, when, verb, what = grave.split(" ", 3)
            wiki.bury(wiki.root / new, [Tombstone(datetime.fromisoformat(when), verb, what)])
        moved = [_tombstone(MOVE_SESSION, f"{what} {target_id}", at) for what in (session, *pages)]
        wiki.bury(wiki.root / old, moved)
        for page in pages:
            rename_once(wiki.root / old / page, wiki.root / new / page)
        ledgers.remove(wiki.root / old, order["lines"], order["taken"])
        ledgers.add(wiki.root / new, order["lines"], order["given"])
        reached(Step.MOVE_FILES)
        paths = [f"{home}/{path}" for home in (old, new) for path in (*pages, *order["lines"], MANIFEST)]
        oid = wiki.git.commit([*paths, f"{order['to']}/{MANIFEST}"], order["subject"], author=author_of(order), at=at)
        reached(Step.MOVE_COMMITTED)
        stores.rawlog.move_session(session, (UUID(order["from"]), source_id), (UUID(order["to"]), target_id))
        reached(Step.MOVE_RAW)
        target = self._projects.get(target_id)
        stores.state.move_handoffs(source_id, target, session)
        stores.state.jobs.move(source_id, target_id, session)
        stores.state.proposals.move(source_id, target_id, session)
        for page in pages:
            stores.state.reads.move(source_id, target_id, page)
            stores.state.feedback.move(source_id, target_id, page)
        reached(Step.MOVE_STATE)
        stores.index.move(session, source_id, target_id, order["keys"])
        self._indexing.commits()
        self._indexing.files(self._projects.get(source_id), pages)
        self._indexing.files(target, pages)
        for project_id in (source_id, target_id):
            stores.changes.note(project_id, "sessions")
        reached(Step.MOVE_INDEX)
        self._at_work.forget(source_id, session)
        return oid

    # What all ask

    def _check_name(self, name: str, what: str) -> None:
        try:
            self._projects.check_name(name, what)
        except BadNameError as error:
            error.status = 422
            raise

    def _asked(self, writer: Writer) -> dict[str, object]:
        scrub = self._stores.scrubber.scrub
        return {"at": self._stores.clock().isoformat(), "author": [scrub(each) for each in writer.author]}


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
