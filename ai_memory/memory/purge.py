"""Purge: a session, a project or a page goes for good, and a tombstone keeps it away.

Without `history` git keeps what it has; with it, the wiki's history is rewritten so that nobody finds it there either.
Each purge counts first what would go; the same counts are then what went.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ai_memory.capture.payload import session_key
from ai_memory.client import spool
from ai_memory.compile.consolidate import FOLDERS
from ai_memory.compile.packet import is_of_session
from ai_memory.compile.session_page import session_path
from ai_memory.errors import ConflictError, NotFoundError, StorageError
from ai_memory.memory import ledgers
from ai_memory.memory.at_work import AtWork
from ai_memory.memory.backup import kept_folders
from ai_memory.memory.indexing import Indexing
from ai_memory.memory.pages import NOBODY, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Observation
from ai_memory.model.former import PURGE_PROJECT, purged_line, up
from ai_memory.model.packet_page import page_path
from ai_memory.model.page import front_matter, is_ledger, writable_page_path
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.model.scope import Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.git import Commit, GitError
from ai_memory.store.operations import Order, author_of
from ai_memory.store.page_index import PageRow
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import LEDGER_HEAD, MANIFEST


class Purge:
    """Purges of one memory."""

    def __init__(
        self,
        stores: Stores,
        projects: Projects,
        indexing: Indexing,
        at_work: AtWork,
        *,
        data_dir: Path,
    ) -> None:
        """Compose.

        Args:
            stores, projects, indexing, at_work: what it purges from, and who could be in its way.
            data_dir: where the spool of this machine's hooks is.
        """
        self._stores = stores
        self._projects = projects
        self._indexing = indexing
        self._at_work = at_work
        self._data_dir = data_dir
        self._refusal = ""
        stores.operations.teach("purge-session", self._do_session)
        stores.operations.teach("purge-project", self._do_project)
        stores.operations.teach("purge-page", self._do_page)

    # What is asked for

    def session(
        self,
        project: Project,
        session_id: UUID,
        writer: Writer = NOBODY,
        *,
        confirm: bool,
        force: bool = False,
        history: bool = False,
    ) -> dict[str, object]:
        """Purge what a session left in a project.

        Args:
            project, session_id: which.
            writer: who asks.
            confirm: do it; else only say what would go.
            force: also while the session is at work.
            history: take it out of git's history, too.

        Returns:
            the answer of `/admin/purge-session`.

        Raises:
            NotFoundError: the project has nothing of such a session.
            LinkedPathError: a symbolic link is on the way to its page.
            ConflictError: it is at work; or the history could not be rewritten (all else is done).
            StorageError: a step failed; the next start finishes it.
        """
        with self._at_work.held():
            project = self._projects.get(project.id)
            folder = self._stores.wiki.folder(project)
            observations, committed = self._recorded(project, session_id)
            pages = self._pages_of(project, session_id)
            for page in pages:
                self._stores.wiki.file(project, page)
            files = self._session_files(project, session_id, pages)
            # What was purged before may still have to leave the history.
            again = history and self._stores.wiki.is_gone(project.id, str(session_id))
            if not files and not again and self._stores.index.session(project.id, session_id) is None:
                raise NotFoundError(self._absence(project, session_id))
            recorded = ledgers.lines_of(observations[:committed], self._stores.scrubber.scrub)
            lines = ledgers.found_in(folder, recorded)
            spooled = self._spooled(project, {session_id})
            report: dict[str, object] = {
                "session_id": str(session_id),
                "workspace": project.workspace,
                "project": project.name,
                "dry_run": not confirm,
                "history": history,
                "observations_deleted": len(observations),
                "pages_deleted": sum(self._stores.wiki.has(project, page) for page in pages),
                "versions_deleted": self._versions(project, session_id, pages) if history else 0,
                "ledger_lines_deleted": sum(map(len, lines.values())),
                "handoffs_deleted": self._stores.state.count_handoffs(project.id, session_id),
                "spooled_events_deleted": len(spooled),
                "removed_paths": [str(file.relative_to(self._data_dir)) for file in files],
                "at_work": [str(each) for each in self._at_work.ids(project, session_id)],
                "remains": self._remains(history=history) + self._narrated(project, session_id),
            }
            if not confirm:
                return report
            self._at_work.check(project, session_id, force=force)
            order = {
                **self._scope(project, writer),
                "session": str(session_id),
                "pages": pages,
                "lines": lines,
                "former_lines": [] if observations else self._lines_of_purge(project, session_id),
                "digests": ledgers.digests_of(folder, lines),
                "keys": [each.key for each in observations if each.key],
                "spooled": spooled,
            }
            return {**report, "checkpoint": self._run("purge-session", order, history=history)}

    def project(
        self,
        project: Project,
        writer: Writer = NOBODY,
        *,
        confirm: bool,
        force: bool = False,
        history: bool = False,
    ) -> dict[str, object]:
        """Purge a project with everything in it; arguments as for `session`.

        Returns:
            the answer of `/admin/purge-project`.

        Raises:
            NotFoundError: there is no such project (any more).
            ConflictError: sessions are at work in it; or the history could not be rewritten (all else is done).
            StorageError: a step failed; the next start finishes it.
        """
        with self._at_work.held():
            project = self._projects.get(project.id)
            self._stores.wiki.inside(f"{project.workspace_id}/{project.id}")
            sessions = self._stores.index.recent(project_id=project.id, limit=None)
            raw = [file for file in self._stores.rawlog.files() if file.project_id == project.id]
            folder = self._stores.wiki.folder(project)
            files = [
                file for file in [*folder.rglob("*"), *_raw_folder(self._stores, project).rglob("*")] if file.is_file()
            ]
            spooled = self._spooled(project, {file.session_id for file in raw} | {each.id for each in sessions})
            report: dict[str, object] = {
                "label": project.label,
                "workspace": project.workspace,
                "project": project.name,
                "dry_run": not confirm,
                "history": history,
                "pages_deleted": len(self._stores.pages.pages(project.id)),
                "sessions_deleted": len(sessions),
                "observations_deleted": sum(each.observations for each in sessions),
                "handoffs_deleted": self._stores.state.count_handoffs(project.id),
                "embeddings_deleted": self._stores.vectors.count(project.id),
                "spooled_events_deleted": len(spooled),
                "files_deleted": len(files),
                "at_work": [str(each) for each in self._at_work.ids(project)],
                "remains": self._remains(history=history),
            }
            if not confirm:
                return report
            self._at_work.check(project, force=force)
            order = {
                **self._scope(project, writer),
                "ids": [str(each) for each in self._projects.ids_of(project.id)],
                "what": purged_line(project, self._stores.clock()).what,
                "spooled": spooled,
            }
            return {**report, "checkpoint": self._run("purge-project", order, history=history)}

    def page(self, project: Project, path: str, writer: Writer = NOBODY, *, confirm: bool) -> dict[str, object]:
        """Purge one page with all its versions; git's history is rewritten.

        Returns:
            the answer of `/admin/purge-page`.

        Raises:
            NotFoundError: there never was such a page.
            LinkedPathError: a symbolic link is on the way to it.
            ConflictError: the history could not be rewritten (all else is done).
            StorageError: a step failed; the next start finishes it.
        """
        path = writable_page_path(path)
        with self._at_work.held():
            project = self._projects.get(project.id)
            self._stores.wiki.file(project, path)
            versions = self._stores.pages.count_versions(project.id, path)
            row = self._stores.pages.page(project.id, path)
            if not versions and row is None and not self._stores.wiki.is_gone(project.id, path):
                raise NotFoundError(f"{project.label} never had a page {path}")
            report: dict[str, object] = {
                "path": path,
                "workspace": project.workspace,
                "project": project.name,
                "dry_run": not confirm,
                "history": True,
                "pages_deleted": int(row is not None),
                "versions_deleted": versions,
                "remains": self._remains(history=True),
            }
            if not confirm:
                return report
            order = {
                **self._scope(project, writer),
                "ids": [str(each) for each in self._projects.ids_of(project.id)],
                "page": path,
            }
            return {**report, "checkpoint": self._run("purge-page", order, history=True)}

    def _remains(self, *, history: bool) -> str:
        """Say in plain words where it still is afterwards."""
        git = "" if history else "the wiki's git history (--history takes it out), "
        here = [folder.name for folder in kept_folders(self._data_dir)]
        named = f" (in this directory: {', '.join(here)})" if here else ""
        return f"{git}backups{named} and clones of the wiki still have it"

    def _narrated(self, project: Project, session_id: UUID) -> str:
        """Say whether the project's narrative was written from a session, among others."""
        covers = front_matter(self._stores.wiki.read(project, NARRATIVE_PAGE) or "").get("covers")
        if not isinstance(covers, dict) or str(session_id) not in covers:
            return ""
        return f", and {NARRATIVE_PAGE} was written from it, among others: read whether it still says something of it"

    def _scope(self, project: Project, writer: Writer) -> dict[str, object]:
        return {
            "author": [self._stores.scrubber.scrub(each) for each in writer.author],
            "workspace": str(project.workspace_id),
            "project": str(project.id),
            "label": project.label,
            "at": self._stores.clock().isoformat(),
        }

    def _run(self, name: str, order: dict[str, object], *, history: bool) -> str:
        self._refusal = ""
        oid = self._stores.operations.run(name, {**order, "purge": name, "history": history})
        if self._refusal:
            raise ConflictError(f"everything is purged but git's history: {self._refusal}")
        return oid

    # What there is

    def _recorded(self, project: Project, session_id: UUID) -> tuple[list[Observation], int]:
        """Give a session's observations, and how many of them are in the ledgers."""
        path = self._stores.rawlog.path(project.workspace_id, project.id, session_id)
        try:
            observations = list(self._stores.rawlog.observations(path))
        except NotFoundError:
            return [], 0
        session = self._stores.index.session(project.id, session_id)
        return observations, session.committed if session else 0

    def _lines_of_purge(self, project: Project, session_id: UUID) -> list[str]:
        """Find in git which ledger lines a former purge of a session took out."""
        git, found = self._stores.wiki.git, []
        subject = _subject("purge-session", {"label": project.label, "session": str(session_id)})
        for commit in git.commits():
            for change in commit.changes if commit.subject == subject else ():
                if _is_ledger(change.path):
                    before = (git.show(change.path, f"{commit.oid}^") or "").split("\n")
                    after = (git.show(change.path, commit.oid) or LEDGER_HEAD).split("\n")
                    found += [line for line in (Counter(before) - Counter(after)).elements() if line]
        return found

    def _versions(self, project: Project, session_id: UUID, pages: Collection[str]) -> int:
        """Count the versions that a session's pages have in git, also where they were purged before."""
        home = f"{project.workspace_id}/{project.id}/"
        return sum(
            bool(change.blob)
            and change.path.startswith(home)
            and (change.path[len(home) :] in pages or is_of_session(session_id, change.path[len(home) :]))
            for commit in self._stores.wiki.git.commits()
            for change in commit.changes
        )

    def _pages_of(self, project: Project, session_id: UUID) -> list[str]:
        """List the pages of a session.

        They are its own, whether or not that is there, those of its packets, those that a model made of it and nobody
        has taken over, and those that went when it was purged before.
        """
        page = session_path(session_id)
        there = [
            row.path
            for row in self._stores.pages.pages(project.id)
            if is_of_session(session_id, row.path) or self._is_made_of(project, row, session_id)
        ]
        return [page, *sorted({*there, *self._purged_with(project, session_id)} - {page})]

    def _is_made_of(self, project: Project, row: PageRow, session_id: UUID) -> bool:
        if not row.sealed or row.path.partition("/")[0] not in FOLDERS:
            return False
        front = front_matter(self._stores.wiki.read(project, row.path) or "")
        return front.get("sources") == [str(session_id)]

    def _purged_with(self, project: Project, session_id: UUID) -> set[str]:
        """Find in git which pages a former purge of a session took along."""
        if not self._stores.wiki.is_gone(project.id, str(session_id)):
            return set()
        subject = _subject("purge-session", {"label": project.label, "session": str(session_id)})
        home = f"{project.workspace_id}/{project.id}/"
        return {
            change.path[len(home) :]
            for commit in self._stores.wiki.git.commits()
            if commit.subject == subject
            for change in commit.changes
            if not change.blob and change.path.startswith(home) and not _is_ledger(change.path)
        }

    def _session_files(self, project: Project, session_id: UUID, pages: Sequence[str]) -> list[Path]:
        raw, folder = _raw_folder(self._stores, project), self._stores.wiki.folder(project)
        files = [*raw.glob(f"{session_id}.*"), *(raw / "transcripts").glob(f"{session_id}.*")]
        return [file for file in [*files, *(folder / page for page in pages)] if file.is_file()]

    def _absence(self, project: Project, session_id: UUID) -> str:
        if self._stores.wiki.is_gone(project.id, str(session_id)):
            return f"session {session_id} was purged from {project.label} already, or moved to another project"
        return f"{project.label} has nothing of a session {session_id}"

    def _spooled(self, project: Project, sessions: Collection[UUID]) -> list[str]:
        """List the events of sessions that wait in this machine's spool; not of those that also work elsewhere."""
        here = {
            each
            for each in sessions
            if all(part.project_id == project.id for part in self._stores.index.sessions_of(each))
        }
        folder = str(self._data_dir)
        return [name for name in spool.names(folder) if _session_of(folder, name) in here]

    # The steps

    def _do_session(self, order: Order) -> str:
        stores, at = self._stores, datetime.fromisoformat(order["at"])
        workspace, project, session = UUID(order["workspace"]), UUID(order["project"]), UUID(order["session"])
        # An order of a former version knows no packets.
        pages = order.get("pages", [session_path(session)])
        folder, when = stores.wiki.root / order["workspace"] / order["project"], at.replace(microsecond=0)
        stores.wiki.bury(folder, [Tombstone(when, "purge-session", what) for what in (str(session), *pages)])
        stores.operations.changed()
        reached(Step.PURGE_BURIED)
        for page in pages:
            stores.wiki.remove(f"{workspace}/{project}/{page}")
        ledgers.remove(folder, order["lines"], order["digests"])
        reached(Step.PURGE_FILES)
        paths = [*pages, *order["lines"], MANIFEST]
        oid = self._commit(order, [f"{workspace}/{project}/{path}" for path in paths], _subject("purge-session", order))
        stores.wiki.unmarked.discard(f"{workspace}/{project}/{session_path(session)}")
        stores.rawlog.remove(workspace, project, session)
        reached(Step.PURGE_RAW)
        stores.state.forget_handoffs(project, session)
        stores.state.reads.forget(project, pages)
        stores.state.feedback.forget(project, pages)
        stores.state.jobs.forget(project, session)
        stores.state.proposals.forget(project, session)
        stores.state.proposals.forget_pages(project, pages)
        stores.state.jobs.forget_said(project)
        inbox = stores.state.inbox
        waiting = [each.id for each in inbox.for_project(project) if is_of_session(session, page_path(each.id))]
        inbox.forget(project, waiting)
        reached(Step.PURGE_STATE)
        self._indexing.commits()
        stores.index.forget(project, session)
        stores.index.drop_keys(project, order["keys"])
        stores.pages.forget_pages([(project, page) for page in pages])
        stores.changes.note(project, "sessions")
        stores.changes.note(project, "pages")
        reached(Step.PURGE_INDEX)
        self._clear_spool(order)
        self._at_work.forget(project, session)
        return self._rewritten(order) or oid

    def _do_project(self, order: Order) -> str:
        stores, at = self._stores, datetime.fromisoformat(order["at"])
        workspace, project = UUID(order["workspace"]), UUID(order["project"])
        folder = stores.wiki.root / order["workspace"] / order["project"]
        stores.wiki.bury(folder.parent, [Tombstone(up(at), PURGE_PROJECT, order["what"])])
        stores.operations.changed()
        reached(Step.PURGE_BURIED)
        _remove_tree(folder)
        reached(Step.PURGE_FILES)
        paths = [f"{workspace}/{MANIFEST}", *stores.wiki.committed(f"{workspace}/{project}")]
        oid = self._commit(order, paths, _subject("purge-project", order))
        stores.rawlog.remove_project(workspace, project)
        reached(Step.PURGE_RAW)
        stores.state.forget_handoffs(project)
        stores.state.reads.forget(project)
        stores.state.feedback.forget(project)
        stores.state.bootstraps.forget(project)
        stores.state.jobs.forget(project)
        stores.state.proposals.forget(project)
        stores.state.inbox.forget(project)
        stores.state.forget_purged(project)
        reached(Step.PURGE_STATE)
        self._projects.reload()
        self._indexing.ignored = {place for place in self._indexing.ignored if place[0] != project}
        self._indexing.commits()
        stores.index.forget(project)
        stores.pages.forget(project)
        stores.changes.note(project, "projects")
        reached(Step.PURGE_INDEX)
        self._clear_spool(order)
        self._at_work.forget(project)
        return self._rewritten(order) or oid

    def _do_page(self, order: Order) -> str:
        stores, at = self._stores, datetime.fromisoformat(order["at"])
        project, page = UUID(order["project"]), order["page"]
        folder = stores.wiki.root / order["workspace"] / order["project"]
        stores.wiki.bury(folder, [Tombstone(at.replace(microsecond=0), "purge-page", page)])
        stores.operations.changed()
        reached(Step.PURGE_BURIED)
        prefix = f"{order['workspace']}/{order['project']}/"
        stores.wiki.remove(prefix + page)
        reached(Step.PURGE_FILES)
        oid = self._commit(order, [prefix + page, prefix + MANIFEST], _subject("purge-page", order))
        stores.state.reads.forget(project, [page])
        stores.state.feedback.forget(project, [page])
        stores.state.proposals.forget_pages(project, [page])
        stores.state.jobs.forget_said(project)
        inbox = stores.state.inbox
        inbox.forget(project, [each.id for each in inbox.for_project(project) if page_path(each.id) == page])
        reached(Step.PURGE_STATE)
        self._indexing.commits()
        stores.pages.forget_pages([(project, page)])
        stores.changes.note(project, "pages")
        reached(Step.PURGE_INDEX)
        return self._rewritten(order) or oid

    def _commit(self, order: Order, paths: list[str], message: str) -> str:
        self._projects.keep_purged()
        oid = self._stores.wiki.git.commit(
            paths, message, author=author_of(order), at=datetime.fromisoformat(order["at"])
        )
        reached(Step.PURGE_COMMITTED)
        return oid

    def _clear_spool(self, order: Order) -> None:
        for name in order["spooled"]:
            spool.remove(str(self._data_dir), name)
        reached(Step.PURGE_SPOOL)

    # History

    def _rewritten(self, order: Order) -> str:
        """Take what an order purged out of git's history, if it says so; what git refuses is kept for the caller."""
        stores = self._stores
        if not order["history"]:
            return ""
        gone = self._gone(order)
        lines = {line for some in order.get("lines", {}).values() for line in some} | {*order.get("former_lines", ())}
        kept = {str(each) for each in self._kept(order)}
        edit = _LedgerEdit(stores.wiki.root, lines, kept)
        renamed = _messages(stores.wiki.git.commits(), gone, order)
        try:
            stores.wiki.git.rewrite(gone, edit, edit.concerns, lambda text: _message(text, renamed, order))
        except GitError as error:
            self._refusal = str(error)
            return ""
        reached(Step.PURGE_REWRITTEN)
        stores.pages.forget_versions()
        self._indexing.commits()
        if order["purge"] == "purge-session":
            # Also what it said in the projects that it moved away from.
            session = UUID(order["session"])
            pages = [page for page in order.get("pages", [session_path(session)]) if is_of_session(session, page)]
            elsewhere = [each.id for each in self._projects.all() if str(each.id) not in kept]
            stores.pages.forget_pages([(each, page) for each in elsewhere for page in pages])
        elif order["purge"] == "purge-page":
            stores.pages.forget_pages([(UUID(each), order["page"]) for each in order["ids"]])
        return stores.wiki.git.head()

    def _kept(self, order: Order) -> list[UUID]:
        """List the other projects that a purged session goes on in: their history is theirs."""
        if order["purge"] != "purge-session":
            return []
        return [part.project_id for part in self._stores.index.sessions_of(UUID(order["session"]))]

    def _gone(self, order: Order) -> Callable[[str], bool]:
        if order["purge"] == "purge-session":
            session, kept = UUID(order["session"]), {str(each) for each in self._kept(order)}
            made = {f"{order['project']}/{page}" for page in order.get("pages", [])}
            # Also where it was before it moved.
            return lambda path: (
                path.partition("/")[2] in made
                or (_project_of(path) not in kept and is_of_session(session, path.split("/", 2)[-1]))
            )
        ids = set(order["ids"])
        if order["purge"] == "purge-page":
            return lambda path: _project_of(path) in ids and path.split("/", 2)[2:] == [order["page"]]
        return lambda path: _project_of(path) in ids


class _LedgerEdit:
    """Takes a purged session's lines out of every version of the ledgers; twice is as once."""

    def __init__(self, root: Path, lines: Collection[str], kept: Collection[str]) -> None:
        self._root = root
        self._lines = lines
        self._kept = kept
        self._gone: dict[str, set[str]] = {}

    def concerns(self, path: str) -> bool:
        """Tell whether a file is a ledger that may have such lines."""
        return bool(self._lines) and _is_ledger(path) and _project_of(path) not in self._kept

    def __call__(self, path: str, content: bytes) -> bytes:
        """Give the ledger without the lines; one that another session also has is in today's ledger, and stays."""
        if path not in self._gone:
            file = self._root / path
            today = file.read_bytes().decode("utf-8", "surrogateescape").split("\n") if file.is_file() else []
            self._gone[path] = set(self._lines) - set(today)
        gone = self._gone[path]
        text = content.decode("utf-8", "surrogateescape")
        return "\n".join(line for line in text.split("\n") if line not in gone).encode("utf-8", "surrogateescape")


def _messages(commits: Iterator[Commit], gone: Callable[[str], bool], order: Order) -> dict[str, str]:
    """Give what the subjects of commits that told of something purged become."""
    short = order.get("session", "")[:8]
    renamed = {}
    for commit in commits:
        if commit.subject.startswith("purge-"):
            continue
        touched = [change.path for change in commit.changes]
        pages = [path for path in touched if path.rpartition("/")[2] != MANIFEST and not _is_ledger(path)]
        if any(map(gone, touched)):
            alone = order["purge"] == "purge-project" or all(map(gone, pages))
            renamed[commit.subject] = _purged(short) if alone else ""
        elif short and not pages and f"session {short}" in commit.subject:
            # A commit of its ledger lines alone: somebody else had taken the page over.
            renamed[commit.subject] = _purged(short)
    return renamed


def _purged(short: str) -> str:
    return f"session {short}: purged" if short else "purged"


def _message(text: str, renamed: dict[str, str], order: Order) -> str:
    new = renamed.get(text.partition("\n")[0])
    if new is None:
        return text
    if new:
        return f"{new}\n"
    page = session_path(UUID(order["session"])) if order["purge"] == "purge-session" else order["page"]
    return text.replace(page, "a purged page")


def _is_ledger(path: str) -> bool:
    """Tell whether a file of the wiki is an event ledger."""
    return path.count("/") == 2 and is_ledger(path.rpartition("/")[2])


def _project_of(path: str) -> str:
    return path.split("/", 2)[1] if path.count("/") > 1 else ""


def _subject(verb: str, order: Order) -> str:
    what = {"purge-session": f": {order.get('session', '')[:8]}", "purge-page": ": one page"}.get(verb, "")
    return f"{verb} {order['label']}{what}"


def _raw_folder(stores: Stores, project: Project) -> Path:
    return stores.rawlog.path(project.workspace_id, project.id, project.id).parent


def _session_of(data_dir: str, name: str) -> UUID | None:
    try:
        payload = json.loads(spool.read(data_dir, name)[1])
    except (OSError, ValueError, RecursionError):
        return None
    found = session_key(payload) if isinstance(payload, dict) else None
    return found[1] if found else None


def _remove_tree(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(f"{folder} could not be removed: {error.strerror}") from error
