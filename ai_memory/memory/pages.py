"""Pages: read, write, delete, and as they were. Every writer of pages comes through here: the one write gate.

The gate keeps names portable and apart, keeps what was deleted deleted, lets no automatic writer touch what a person
or an agent wrote, and commits what was edited outside before our own write goes over it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff
from uuid import UUID

from ai_memory.client.agents import agent_named
from ai_memory.errors import BadRequestError, ConflictError, NotFoundError, StorageError, TooLargeError
from ai_memory.memory.indexing import PAGE_LIMIT, Indexing, read_page
from ai_memory.memory.meters import Meter
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Scrubbed
from ai_memory.model.handoff import shortened, stamp
from ai_memory.model.links import Link
from ai_memory.model.page import CONFLICT, TIERS, PageChange, composed, page_path, sealed, with_keys, writable_page_path
from ai_memory.model.scope import Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.git import COMMITTER, Commit
from ai_memory.store.page_index import MISSING, PageRow, Version
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import Append

OUTSIDE = ("outside edit", "outside@local")
#: At most so many pages may go missing at once, or half of a project, before somebody has to say that it is meant.
_BREAKER_PAGES = 3
_REVISION = re.compile(r"[0-9a-f]{7,40}")


class PageChangedError(ConflictError):
    """The page is not what the writer thought it was; `details` holds both sides."""


class PageDeletedError(ConflictError):
    """The page was deleted, and is written again only when somebody says so."""


class PathCollisionError(ConflictError):
    """Some systems could not keep two pages of such names apart."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: an agent, a user, or both."""

    agent: str = ""
    user: str = ""

    @property
    def author(self) -> tuple[str, str]:
        """Name and address for git: "ana, Claude Code <claude-code@local>"."""
        agent = agent_named(self.agent) if self.agent else None
        title = (agent.title if agent.name == self.agent else self.agent) if agent else ""
        name = ", ".join(part for part in (self.user, title) if part) or "ai-memory"
        address = re.sub(r"[^a-z0-9._-]+", "-", (self.agent or self.user or "ai-memory").lower()).strip("-.")
        return re.sub(r"[<>\n\r\0]", "", name).strip() or "ai-memory", f"{address or 'ai-memory'}@local"


@dataclass(frozen=True, slots=True)
class Fields:
    """Front matter that a writer asks for; None keeps what the page has."""

    title: str | None = None
    kind: str | None = None
    tier: str | None = None
    tags: Sequence[str] | None = None
    pinned: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what no page may hold, before anything is made for it.

        Raises:
            BadRequestError: there is no such tier.
        """
        if self.tier is not None and self.tier not in TIERS:
            raise _unknown_tier(self.tier)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write: the page's path and revision, and whether that was new."""

    path: str
    revision: str
    changed: bool
    created: bool


@dataclass(frozen=True, slots=True)
class Target:
    """Where a link leads: the project (None when its name is not known), the path, and whether a page is there."""

    project: Project | None
    path: str
    title: str
    exists: bool


@dataclass(frozen=True, slots=True)
class View:
    """A page as somebody reads it.

    Attributes:
        project, path: where.
        text: the whole file as it is (or was).
        title, kind, tier, pinned, body, front: what it says; `front` is all of the front matter.
        problem: what is wrong with it, "" when nothing is.
        version: the commit that made this content, None while it is not committed.
        links, backlinks: of the page as it is today; none for a former version.
    """

    project: Project
    path: str
    text: str
    title: str
    kind: str
    tier: str
    pinned: bool
    body: str
    front: Mapping[str, object]
    problem: str
    version: Version | None
    links: Sequence[Target] = ()
    backlinks: Sequence[Target] = ()


class Pages:
    """Pages of all projects."""

    def __init__(self, stores: Stores, projects: Projects, indexing: Indexing) -> None:
        self._stores = stores
        self._projects = projects
        self._indexing = indexing
        self.meter = Meter()

    # Reading

    def read(self, project: Project, path: str, *, revision: str = "", at: datetime | None = None) -> View:
        """Read a page as it is, as a commit saw it, or as it was at a moment.

        Raises:
            NotFoundError: there is no such page, or was none then.
        """
        if revision or at:
            version = self._version(project, path, revision, at)
            return self._view(project, path, self._stores.wiki.git.blob(version.blob), version)
        row = self._stores.pages.page(project.id, path)
        text = self._stores.wiki.read(project, path) if row and row.size != MISSING else None
        if row is None or text is None:
            raise NotFoundError(self._absence(project, path, row))
        newest = self._stores.pages.newest(project.id, path)
        return self._view(
            project,
            path,
            text.encode(),
            newest if newest and newest.blob == row.blob else None,
            links=[self._target(project, link) for link in self._stores.pages.links(project.id, path)],
            backlinks=self.backlinks(project, path),
        )

    def _view(
        self,
        project: Project,
        path: str,
        content: bytes,
        version: Version | None,
        links: Sequence[Target] = (),
        backlinks: Sequence[Target] = (),
    ) -> View:
        """Show a page; what a person wrote into it by hand is scrubbed before it leaves."""
        page, problem = read_page(path, content, self._stores.scrubber.scrub)
        text = content.decode("utf-8", "replace")
        return View(
            project=project,
            path=path,
            text=text if page.sealed else self._stores.scrubber.scrub(text),
            title=page.title,
            kind=page.kind,
            tier=page.tier,
            pinned=page.pinned,
            body=page.body,
            front=page.front,
            problem=problem,
            version=version,
            links=links,
            backlinks=backlinks,
        )

    def _version(self, project: Project, path: str, revision: str, at: datetime | None) -> Version:
        oid = self._stores.wiki.git.resolve(revision) if revision else ""
        version = self._stores.pages.version_at(project.id, path, revision=oid, at=at)
        if version is None or not version.blob:
            when = f"at revision {revision}" if revision else f"on {stamp(at)}" if at else ""
            raise NotFoundError(
                f"{project.label} had no page {path} {when} (`ai-memory history {path}` lists its versions)"
            )
        return version

    def _absence(self, project: Project, path: str, row: PageRow | None) -> str:
        if row is not None:
            folder = self._stores.wiki.folder(project)
            return f"the file of {path} is missing in {folder}; git still has it (`ai-memory restore-page`)"
        tombstone = self._tombstone(project, path)
        if tombstone:
            when = f"{stamp(tombstone.at)} ({tombstone.verb})"
            return f"{path} was deleted on {when}; `ai-memory history {path}` shows what git has"
        return f"{project.label} has no page {path}"

    def backlinks(self, project: Project, path: str) -> list[Target]:
        """List the pages that link to a page, from all projects."""
        found = []
        for link in self._stores.pages.links_to(path):
            source = self._projects.known(link.project_id)
            if (
                source
                and self._leads_to(source, link.link) == project.id
                and (source.id, link.path) != (project.id, path)
            ):
                row = self._stores.pages.page(source.id, link.path)
                found.append(Target(source, link.path, row.title if row else link.path, exists=True))
        return found

    def unresolved(self, project: Project | None = None) -> list[tuple[Project, str, Link]]:
        """List the links that lead nowhere: the page's project and path, and the link as written."""
        found = []
        there = {(each.id, path) for each in self._projects.all() for path in self._stores.pages.files(each.id)}
        for link in self._stores.pages.all_links():
            source = self._projects.known(link.project_id)
            if source is None or (project and source.id != project.id):
                continue
            if (self._leads_to(source, link.link), link.link.path) not in there:
                found.append((source, link.path, link.link))
        return found

    def _leads_to(self, source: Project, link: Link) -> UUID | None:
        if not link.project:
            return source.id
        target = self._projects.called(link.workspace or source.workspace, link.project)
        return target.id if target else None

    def _target(self, source: Project, link: Link) -> Target:
        project_id = self._leads_to(source, link)
        row = self._stores.pages.page(project_id, link.path) if project_id else None
        project = self._projects.known(project_id) if project_id else None
        return Target(project, link.path, row.title if row else link.path, exists=row is not None)

    # Time travel

    def history(self, project: Project, path: str, limit: int = 50) -> list[Version]:
        """List the versions of a page, newest first, its deletions among them.

        Raises:
            NotFoundError: git never had such a page.
        """
        versions = self._stores.pages.history(project.id, path, limit)
        if not versions:
            row = self._stores.pages.page(project.id, path)
            raise NotFoundError(f"{path} is not committed yet" if row else f"{project.label} never had a page {path}")
        return versions

    def diff(self, project: Project, path: str, old: str, new: str) -> str:
        """Compare two revisions of a page; an empty `new` means the page as it is. Gives a unified diff."""
        before = self.read(project, path, revision=old)
        after = self.read(project, path, revision=new)
        names = (
            f"{path}@{before.version.revision[:12]}" if before.version else path,
            f"{path}@{after.version.revision[:12]}" if new and after.version else path,
        )
        lines = unified_diff(before.text.splitlines(keepends=True), after.text.splitlines(keepends=True), *names)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def checkpoints(self, limit: int) -> list[Commit]:
        """List the newest commits of the wiki."""
        return self._stores.wiki.git.recent(limit)

    # Writing on purpose

    def write(
        self,
        project: Project,
        path: str,
        body: str,
        fields: Fields,
        writer: Writer,
        *,
        expected: str | None = None,
        create_only: bool = False,
        revive: bool = False,
        reason: str = "",
    ) -> Written:
        """Write a page because somebody asked for it.

        Args:
            project: where.
            path: the page.
            body: the new text; it may begin with front matter of its own.
            fields: front matter to set.
            writer: who asks.
            expected: the revision that the writer has seen; "" means that it saw no page.
            create_only: write only if there is no page yet.
            revive: write although the page was deleted.
            reason: one line for the commit.

        Raises:
            BadPagePathError, BadRequestError: the path or a field is not usable.
            TooLargeError: the page is too large.
            PageChangedError: `expected` or `create_only` does not hold.
            PageDeletedError, PathCollisionError: see there.
            StorageError: it could not be written.
        """
        path = writable_page_path(path)
        with self._stores.wiki.lock:
            # It may have been renamed, moved or purged since somebody found it.
            project = self._projects.get(project.id)
            self._read_again(project, [path])
            self._check_tombstone(project, path, revive=revive)
            self._check_collision(project, path)
            self.commit_outside(project, [path])
            row = self._stores.pages.page(project.id, path)
            newest = self._stores.pages.newest(project.id, path)
            self._check_expectation(project, path, row, newest, expected, body, create_only=create_only)
            old = self._stores.wiki.read(project, path)
            text = self._stores.scrubber.scrub(
                composed(
                    old,
                    body,
                    path=path,
                    title=fields.title,
                    kind=fields.kind,
                    tier=fields.tier,
                    tags=fields.tags,
                    pinned=fields.pinned,
                )
            )
            if len(text.encode()) > PAGE_LIMIT:
                raise TooLargeError(
                    f"a page holds at most {PAGE_LIMIT // 1024} KiB, {path} would have {len(text.encode()) // 1024}"
                )
            if old == text and newest and newest.blob:
                return Written(path, newest.revision, changed=False, created=False)
            buried = self._stores.wiki.is_gone(project.id, path)
            if buried:
                self._stores.wiki.revive(self._stores.wiki.folder(project), [path])
            subject = f"write-page {project.label}: {path}"
            oid = self._commit(
                project, {path: text}, _message(subject, reason or fields.title or ""), author=writer.author
            )
            self.meter.count("written", self._stores.clock())
            return Written(path, oid, changed=True, created=row is None)

    def delete(
        self, project: Project, path: str, writer: Writer, *, verb: str = "delete-page", reason: str = ""
    ) -> str:
        """Delete a page: its file, and a tombstone, in one commit. Git keeps its history.

        Returns:
            the commit, "" when there was nothing to delete.
        """
        return self.delete_many(project, [path], writer, verb=verb, reason=reason)

    def delete_many(
        self, project: Project, paths: Sequence[str], writer: Writer, *, verb: str, reason: str = ""
    ) -> str:
        """Delete pages in one commit; "" when there was none of them.

        Raises:
            BadPagePathError: a path is not one of a page.
        """
        # A path that leads out of the project's folder would be read and deleted there.
        paths = [page_path(path) for path in paths]
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            self._read_again(project, paths)
            there = [path for path in paths if self._stores.pages.page(project.id, path)]
            if not there:
                return ""
            self.commit_outside(project, there)
            self._bury(project, there, verb)
            subject = f"{verb} {project.label}: {_some(there)}"
            oid = self._commit(project, {}, _message(subject, reason), deletes=there, author=writer.author)
            self.meter.count("deleted", self._stores.clock(), len(there))
            return oid

    def traces(self, project: Project, path: str) -> tuple[bool, int, int]:
        """Say what a delete would meet: whether the page is there, its versions in git, the pages that link to it.

        Raises:
            BadPagePathError: the path is not one of a page.
        """
        is_there = self._stores.pages.page(project.id, page_path(path)) is not None
        versions = [each for each in self._stores.pages.history(project.id, path) if each.blob]
        return is_there, len(versions), len(self.backlinks(project, path))

    def sweep(
        self, project: Project, paths: Sequence[str], *, ledgers: Sequence[str], forgotten: Sequence[str], reason: str
    ) -> str:
        """Delete pages and old ledgers, and let go of tombstones, in one commit; "" when there was nothing to do.

        Args:
            project: where.
            paths: the pages; each gets a tombstone.
            ledgers: names of ledgers.
            forgotten: deleted pages that need not be remembered any longer.
            reason: one line for the commit.
        """
        with self._stores.wiki.lock:
            self._read_again(project, paths)
            there = [path for path in paths if self._stores.pages.page(project.id, path)]
            if not (there or ledgers or forgotten):
                return ""
            self.commit_outside(project, there)
            self._stores.wiki.revive(self._stores.wiki.folder(project), forgotten)
            self._bury(project, there, "forget-sweep")
            subject = f"forget-sweep {project.label}: {_some([*there, *ledgers]) or 'tombstones'}"
            oid = self._commit(project, {}, _message(subject, reason), deletes=[*there, *ledgers], author=COMMITTER)
            for path in forgotten:
                self._stores.pages.remove(project.id, path, buried=False)
            self.meter.count("swept", self._stores.clock(), len(there))
            return oid

    def restore(self, project: Project, path: str, revision: str, writer: Writer) -> Written:
        """Write a page as it was in a revision, as a new version. This is what undoes a delete.

        Raises:
            NotFoundError: the page was not there.
            PageDeletedError: it was purged.
        """
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            version = self._version(project, path, revision, None)
            self._read_again(project, [path])
            self._check_tombstone(project, path, revive=True)
            self._check_collision(project, path)
            self.commit_outside(project, [path])
            row = self._stores.pages.page(project.id, path)
            former = self._stores.wiki.git.blob(version.blob).decode("utf-8", "replace")
            # Without its seal, so that no automatic writer replaces what somebody brought back.
            text = self._stores.scrubber.scrub(with_keys(former, {"seal": None}))
            if self._stores.wiki.is_gone(project.id, path):
                self._stores.wiki.revive(self._stores.wiki.folder(project), [path])
            subject = f"restore-page {project.label}: {path} from {version.revision[:12]}"
            oid = self._commit(
                project, {path: text}, _message(subject, f"as of {stamp(version.at)}"), author=writer.author
            )
            newest = self._stores.pages.newest(project.id, path)
            self.meter.count("restored", self._stores.clock())
            return Written(path, oid or (newest.revision if newest else ""), changed=bool(oid), created=row is None)

    # Writing by rules

    def keep(
        self,
        project: Project,
        change: PageChange,
        *,
        subject: str = "",
        author: tuple[str, str],
        appends: Sequence[Append] = (),
        mark: Callable[[], None] = lambda: None,
    ) -> str:
        """Write a page that was compiled, unless somebody else has taken it over; a subject makes it a commit.

        Returns:
            the commit, "" when none was made.
        """
        with self._stores.wiki.lock:
            pages: dict[str, Scrubbed] = {}
            if refusal := self._refusal(project, change.path):
                self.meter.count(f"left alone ({refusal})", self._stores.clock())
            else:
                # A seal is a digest of what was scrubbed: it can hold no secret.
                pages[change.path] = Scrubbed(sealed(self._stores.scrubber.scrub(change.text)))
            if subject:
                return self._commit(project, pages, subject, author=author, appends=appends, mark=mark)
            self._stores.wiki.write(project, pages)
            self._index(project, list(pages))
            mark()
            return ""

    def _refusal(self, project: Project, path: str) -> str:
        """Say why an automatic writer may not write a page, "" when it may."""
        if self._tombstone(project, path):
            return "deleted"
        if (self._stores.wiki.folder(project) / path).is_symlink():
            return "a link"
        text = self._stores.wiki.read(project, path)
        if text is None:
            return ""
        page, _ = read_page(path, text.encode())
        if page.pinned:
            return "pinned"
        return "" if page.sealed else "edited by hand"

    # Edits from outside

    def commit_outside(
        self, project: Project, paths: Sequence[str] | None = None, *, before: datetime | None = None
    ) -> str:
        """Commit what was edited outside and is not in git yet, as such.

        Args:
            project: where.
            paths: only these; None means all.
            before: only files that were last changed before this time.

        Returns:
            the commit, "" when there was nothing.
        """
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            wanted = [
                row.path
                for row in self._stores.pages.uncommitted(project.id)
                if not row.sealed
                and row.size != MISSING
                and CONFLICT not in row.problem
                and (paths is None or row.path in paths)
                and (before is None or row.mtime < before.timestamp() * 1e9)
            ]
            if not wanted:
                return ""
            subject = f"outside edit {project.label}: {_some(wanted)}"
            oid = self._commit(project, {}, subject, author=OUTSIDE, files=wanted)
            self.meter.count("outside edits", self._stores.clock(), len(wanted))
            return oid

    def accept_missing(self, project: Project, paths: Sequence[str]) -> str:
        """Take it that pages whose files are missing were deleted on purpose: a commit with tombstones."""
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            self._bury(project, paths, "outside-delete")
            subject = f"outside delete {project.label}: {_some(paths)}"
            oid = self._commit(project, {}, subject, author=OUTSIDE, files=paths)
            self.meter.count("outside deletes", self._stores.clock(), len(paths))
            return oid

    def finish_delete(self, project: Project, paths: Sequence[str]) -> str:
        """Delete what has a tombstone and is there all the same: a crash, or a merge, came between."""
        with self._stores.wiki.lock:
            subject = f"delete-page {project.label}: {_some(paths)} (finished)"
            return self._commit(project, {}, subject, author=COMMITTER, deletes=paths)

    def commit_all(self, message: str, writer: Writer) -> str:
        """Commit everything as it is on disk, in all projects: edits, working pages, deleted files. "" without any."""
        with self._stores.wiki.lock:
            found = self._indexing.walk()
            oid = ""
            for project in self._projects.all():
                rows = [
                    row
                    for row in self._stores.pages.uncommitted(project.id)
                    if row.size != MISSING and CONFLICT not in row.problem
                ]
                missing = found.missing.get(project.id, [])
                if missing:
                    self._bury(project, missing, "outside-delete")
                files = [row.path for row in rows] + missing
                if files:
                    oid = self._commit(project, {}, _message(message, _some(files)), author=writer.author, files=files)
            return oid

    # The steps

    def _bury(self, project: Project, paths: Sequence[str], verb: str) -> None:
        at = self._stores.clock().replace(microsecond=0)
        with self._telling():
            self._stores.wiki.bury(self._stores.wiki.folder(project), [Tombstone(at, verb, path) for path in paths])
        reached(Step.DELETE_BURIED)

    def _commit(
        self,
        project: Project,
        pages: Mapping[str, Scrubbed],
        message: str,
        *,
        author: tuple[str, str],
        deletes: Sequence[str] = (),
        files: Sequence[str] = (),
        appends: Sequence[Append] = (),
        mark: Callable[[], None] = lambda: None,
    ) -> str:
        with self._telling():
            oid = self._stores.wiki.commit(
                project,
                pages,
                message,
                at=self._stores.clock(),
                deletes=deletes,
                files=files,
                appends=appends,
                author=author,
                mark=mark,
            )
        self._index(project, [*pages, *deletes, *files])
        return oid

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Keep what the disk or git refused for `status`; the caller hears of it, too."""
        try:
            yield
        except StorageError as error:
            self.meter.failed(error, self._stores.clock())
            raise

    def _index(self, project: Project, paths: Sequence[str]) -> None:
        """Bring the index up to date; the page is safe already: the next walk makes good what cannot be done now."""
        try:
            self._indexing.files(project, paths)
            self._indexing.commits()
        except StorageError as error:
            self._indexing.failed(error)

    def _read_again(self, project: Project, paths: Sequence[str]) -> None:
        self._indexing.commits()
        self._indexing.files(project, paths)

    # The gate

    def _tombstone(self, project: Project, path: str) -> Tombstone | None:
        return self._stores.wiki.gone.get(project.id, {}).get(path)

    def _check_tombstone(self, project: Project, path: str, *, revive: bool) -> None:
        tombstone = self._tombstone(project, path)
        if tombstone is None:
            return
        if tombstone.is_purge:
            raise PageDeletedError(f"{path} was purged on {stamp(tombstone.at)} and cannot come back")
        if not revive:
            raise PageDeletedError(
                f"{path} was deleted on {stamp(tombstone.at)} ({tombstone.verb}): say `revive` to write it anew, "
                "or restore a former version (restore-page)"
            )

    def _check_collision(self, project: Project, path: str) -> None:
        other = self._stores.pages.colliding(project.id, path)
        if other:
            raise PathCollisionError(
                f"{path} and the page {other} differ only in letter case or Unicode form: on some systems they are one "
                "file. Use the existing spelling, or another name"
            )

    def _check_expectation(
        self,
        project: Project,
        path: str,
        row: PageRow | None,
        newest: Version | None,
        expected: str | None,
        body: str,
        *,
        create_only: bool,
    ) -> None:
        if expected is None and not create_only:
            return
        if expected and not _REVISION.fullmatch(expected):
            raise BadRequestError(f"expected_revision {expected!r} is not a revision (7 to 40 hexadecimal digits)")
        if row is None:
            if not expected:
                return
            problem = f"{path} is not there any more"
        elif create_only:
            problem = f"{path} exists already"
        elif newest and expected and newest.revision.startswith(expected) and newest.blob == row.blob:
            return
        elif newest and newest.blob == row.blob:
            problem = f"{path} was changed by {newest.author} on {stamp(newest.at)} (revision {newest.revision[:12]})"
        else:
            problem = f"{path} is not committed yet: it belongs to a session that goes on, or to a merge"
        text = (self._stores.wiki.read(project, path) or "") if row else ""
        error = PageChangedError(f"{problem}: read it again, merge, and write with its revision")
        error.details = {
            "path": path,
            "current": {
                "revision": newest.revision if newest and row and newest.blob == row.blob else None,
                "text": self._stores.scrubber.scrub(text) if row else None,
            },
            "yours": {"expected_revision": expected, "text": body},
        }
        raise error


def breaker_trips(missing: int, known: int) -> bool:
    """Tell whether so many pages are missing that the disk is more likely at fault than a person's hand."""
    return missing > max(_BREAKER_PAGES, known // 2)


def _unknown_tier(tier: str) -> BadRequestError:
    error = BadRequestError(f"tier {tier!r} is not one of {', '.join(TIERS)}")
    error.status = 422
    return error


def _message(subject: str, body: str) -> str:
    return f"{subject}\n\n{body}" if body and body not in subject else subject


def _some(paths: Sequence[str]) -> str:
    named = ", ".join(shortened(path, 60) for path in paths[:2])
    return f"{named} and {len(paths) - 2} more" if len(paths) > 2 else named
