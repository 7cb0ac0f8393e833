"""Merges: a project that moves to a workspace which has one of its name goes into that one."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ai_memory.errors import ConflictError
from ai_memory.memory import ledgers
from ai_memory.memory.at_work import AtWork
from ai_memory.memory.indexing import Indexing
from ai_memory.memory.pages import Pages
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.former import MOVE_PROJECT, merged, moved_line
from ai_memory.model.page import collision_key, is_ledger, is_page
from ai_memory.model.scope import Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.files import TEMPORARY_PREFIX, rename_once
from ai_memory.store.operations import Order, author_of
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import MANIFEST


class PathsInBothError(ConflictError):
    """Both projects have a page of such a name; `details` lists them."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the files of a project go in another one.

    Attributes:
        files: file of the project -> file of the other one.
        replaced: file of the other one that goes -> the file of the project that takes its place.
        conflicts: what both have, as the answer tells it.
    """

    files: dict[str, str]
    replaced: dict[str, str]
    conflicts: list[dict[str, str | None]]


class Merge:
    """Puts projects of one memory into others."""

    def __init__(self, stores: Stores, projects: Projects, pages: Pages, indexing: Indexing, at_work: AtWork) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._indexing = indexing
        self._at_work = at_work
        stores.operations.teach("merge-project", self._do)

    def prepare(self, project: Project, target: Project, *, confirm: bool) -> None:
        """See whether a project can go into another one; one that is going to is brought up to date.

        Raises:
            ConflictError: a session worked in both, or was purged from the other one.
            StorageError: what was not committed yet could not be.
        """
        self._check_sessions_apart(project, target)
        if confirm:
            self._at_work.bring_up_to_date(project)
            self._pages.commit_outside(project)
            self._pages.commit_outside(target)

    def run(
        self,
        project: Project,
        target: Project,
        on_conflict: str,
        report: dict[str, object],
        asked: Mapping[str, object],
        *,
        confirm: bool,
    ) -> dict[str, object]:
        """Put a project into another one; it was prepared before, and the caller holds the locks.

        Args:
            project: what goes.
            target: where it goes.
            on_conflict: as for `Moves.move_project`.
            report: what is known of the move.
            asked: when, and who; for the order.
            confirm: do it; else only say what would happen.

        Returns:
            the report with what is to be said of a merge.

        Raises:
            ConflictError: one has a file where the other has a folder.
            LinkedPathError: a symbolic link stands where a file would go.
            PathsInBothError: both have a page of one name, and `on_conflict` is "block".
            StorageError: a step failed; the next start finishes it.
        """
        plan = self._planned(project, target, on_conflict)
        report = {
            **report,
            "to": {"workspace": target.workspace, "project": target.name},
            "merged_into_existing": True,
            "moved_via": "copy-purge",
            "pages_copied": sum(map(is_page, plan.files)),
            "source_purged": True,
            "conflicts": plan.conflicts,
        }
        if plan.conflicts and on_conflict == "block":
            if not confirm:
                return {**report, "blocked": True}
            names = ", ".join(str(conflict["path"]) for conflict in plan.conflicts[:3])
            error = PathsInBothError(
                f"{target.label} has {len(plan.conflicts)} of the pages already ({names}): "
                "say on_conflict overwrite or duplicate"
            )
            error.details = {"conflicts": plan.conflicts}
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
            "files": plan.files,
            "replaced": plan.replaced,
            "digests": ledgers.digests_of(folder, logs),
            "what": moved_line(project, target.id, self._stores.clock()).what,
            "subject": f"move-project {project.label} -> {target.label}",
            **asked,
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

    def _planned(self, project: Project, target: Project, on_conflict: str) -> _Plan:
        wiki = self._stores.wiki
        there = {collision_key(path): path for path in _files_in(wiki.folder(target))}
        folders = {"/".join(key.split("/")[:depth]) for key in there for depth in range(1, key.count("/") + 1)}
        plan = _Plan({}, {}, [])
        for path in _files_in(wiki.folder(project)):
            key = collision_key(path)
            parents = {"/".join(key.split("/")[:depth]) for depth in range(1, key.count("/") + 1)}
            if key in folders or parents & there.keys():
                raise ConflictError(
                    f"{path} is a folder in one of the projects and a file in the other: rename it first"
                )
            taken = key in there or (is_page(path) and wiki.is_gone(target.id, path))
            if not taken:
                plan.files[path] = path
                there[key] = path
                continue
            moved_to = path
            purged = wiki.is_gone(target.id, path) and not wiki.is_buried(target.id, path)
            if not is_page(path) or on_conflict != "overwrite" or purged:
                moved_to = _name_beside(path, project.workspace, there)
                there[collision_key(moved_to)] = moved_to
            elif key in there:
                plan.replaced[there[key]] = path
            plan.files[path] = moved_to
            plan.conflicts.append({"path": path, "moved_to": None if on_conflict == "block" else moved_to})
        for path in (*plan.files.values(), *_ledgers_in(wiki.folder(project))):
            wiki.inside(f"{target.workspace_id}/{target.id}/{path}")
        return plan

    def _do(self, order: Order) -> str:
        stores, wiki, at = self._stores, self._stores.wiki, datetime.fromisoformat(order["at"])
        source_id, target_id = UUID(order["source"]), UUID(order["target"])
        old, new = f"{order['from']}/{source_id}", f"{order['to']}/{target_id}"
        source, target = wiki.root / old, wiki.root / new
        committed = wiki.committed(old)
        files: dict[str, str] = order["files"]
        logs = list(order["digests"])
        for path, by in order["replaced"].items():
            # Not when that has moved already: on some systems it is the same file, whatever its letters.
            if (source / by).exists():
                (target / path).unlink(missing_ok=True)
                stores.operations.changed()
        for path, moved_to in files.items():
            rename_once(source / path, target / moved_to)
            stores.operations.changed()
        ledgers.add(target, {path: ledgers.entries(source, path) for path in logs}, order["digests"])
        stores.operations.changed()
        reached(Step.MOVE_FILES)
        self._merge_manifests(order, at)
        if source.exists():
            shutil.rmtree(source)
        self._projects.reload()
        paths = [f"{old}/{path}" for path in [*files, *logs, MANIFEST]] + committed
        paths += [f"{new}/{path}" for path in [*files.values(), *order["replaced"], *logs, MANIFEST]]
        paths += [f"{order['from']}/{MANIFEST}", f"{order['to']}/{MANIFEST}"]
        oid = wiki.git.commit(paths, order["subject"], author=author_of(order), at=at)
        reached(Step.MOVE_COMMITTED)
        homes = (UUID(order["from"]), source_id), (UUID(order["to"]), target_id)
        for file in list(stores.rawlog.files()):
            if (file.workspace_id, file.project_id) == homes[0]:
                stores.rawlog.move_session(file.session_id, *homes)
        _drop_empty(stores.rawlog.path(*homes[0], source_id).parent)
        reached(Step.MOVE_RAW)
        stores.state.move_handoffs(source_id, self._projects.get(target_id))
        stores.state.inbox.move(source_id, target_id)
        for path, moved_to in files.items():
            stores.state.reads.move(source_id, target_id, path, moved_to)
            stores.state.feedback.move(source_id, target_id, path, moved_to)
        stores.state.reads.forget(source_id)
        stores.state.feedback.forget(source_id)
        stores.state.bootstraps.forget(source_id)
        stores.state.jobs.move(source_id, target_id)
        stores.state.proposals.move(source_id, target_id, moved=files)
        stores.state.forget_purged(source_id)
        reached(Step.MOVE_STATE)
        stores.index.move_project(source_id, target_id)
        # While the source's are there: pages of the same text bring their vectors.
        self._indexing.files(self._projects.get(target_id), files.values())
        self._indexing.commits()
        stores.pages.forget(source_id)
        self._indexing.files(self._projects.get(target_id), [*files.values(), *order["replaced"]])
        stores.changes.note(target_id, "sessions")
        reached(Step.MOVE_INDEX)
        self._at_work.forget(source_id)
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
        wiki.bury(wiki.root / order["from"], [Tombstone(at.replace(microsecond=0), MOVE_PROJECT, order["what"])])


def _ledgers_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("log-*.md") if is_ledger(file.name))


def _files_in(folder: Path) -> list[str]:
    """List the files of a project that are neither its manifest, nor its ledgers, nor made by an export."""
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = (Path(top) / name).relative_to(folder).as_posix()
            ours = path in (MANIFEST, "index.md") or is_ledger(path)
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


def _drop_empty(folder: Path) -> None:
    with suppress(OSError):
        (folder / "transcripts").rmdir()
    with suppress(OSError):
        folder.rmdir()
