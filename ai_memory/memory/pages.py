"""Pages: read, write, delete, and as they were. Every writer of pages comes through here: the one write gate.

The gate keeps names portable and apart, keeps what was deleted deleted, lets no automatic writer touch what a person
or an agent wrote, and commits what was edited outside before our own write goes over it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
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
from ai_memory.model.page import (
    TIERS,
    BadPagePathError,
    PageChange,
    collision_key,
    composed,
    expiry,
    page_path,
    sealed,
    with_keys,
    writable_page_path,
)
from ai_memory.model.scope import Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.store.git import COMMITTER, Commit
from ai_memory.store.operations import UnfinishedOperationError
from ai_memory.store.page_index import MISSING, PageRow, Version, Way, place_of
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import Append

OUTSIDE = ("outside edit", "outside@local")
#: At most so many pages may go missing at once, or half of a project, before somebody has to say that it is meant.
_BREAKER_PAGES = 3
#: So many of the pages that link to a page are listed.
_BACKLINKS = 100
#: So many pages around a page are listed.
_RELATED = 50
#: Characters of a commit's subject, and the fewest of a reason that are worth showing in it.
_SUBJECT = 100
_SHORTEST = 15
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


#: Where nobody says who asks.
NOBODY = Writer()


@dataclass(frozen=True, slots=True)
class Fields:
    """Front matter that a writer asks for; None keeps what the page has."""

    title: str | None = None
    kind: str | None = None
    tier: str | None = None
    tags: Sequence[str] | None = None
    pinned: bool | None = None
    expires_at: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no page may hold, before anything is made for it.

        Raises:
            BadRequestError: there is no such tier, or `expires_at` is no time.
        """
        if self.tier is not None and self.tier not in TIERS:
            raise _unknown_tier(self.tier)
        try:
            expiry(self.expires_at)
        except ValueError as error:
            raise BadRequestError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write: the page's path and revision, and whether that was new."""

    path: str
    revision: str
    changed: bool
    created: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A page that a commit of everything had to leave out, and why."""

    project: Project
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where a link leads: the names of workspace and project, the path, and whether a page is there, of which kind.

    Of a project that is not known they are as the link has them; "" is what it does not say, and the kind of no page.
    """

    workspace: str
    project: str
    path: str
    title: str
    kind: str
    exists: bool


@dataclass(frozen=True, slots=True)
class View:
    """A page as somebody reads it.

    Attributes:
        project, path: where.
        text: the whole file as it is (or was).
        title, kind, tier, pinned, tags, expires_at, body, front: what it says; `front` is all of the front matter.
        problem: what is wrong with it, "" when nothing is.
        version: the commit that made this content, None while it is not committed.
        links: of the page as it is today; none for a former version.
        backlinks: the first pages that link to the page as it is today; none for a former version.
        backlink_count: how many such pages there are.
    """

    project: Project
    path: str
    text: str
    title: str
    kind: str
    tier: str
    pinned: bool
    tags: Sequence[str]
    expires_at: datetime | None
    body: str
    front: Mapping[str, object]
    problem: str
    version: Version | None
    links: Sequence[Target] = ()
    backlinks: Sequence[Target] = ()
    backlink_count: int = 0


@dataclass(frozen=True, slots=True)
class Related:
    """A page that links lead to: by which page, in which way ("linked from", "links to"), after how many of them."""

    project: Project
    path: str
    title: str
    kind: str
    how: str
    via: str
    steps: int


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
            return self._former(project, path, self._version(project, path, revision, at))
        view = self._present(project, path)
        backlinks, count = self._backlinks(project, path, _BACKLINKS)
        return replace(
            view,
            links=self._links(project, path),
            backlinks=backlinks,
            backlink_count=count,
        )

    def listed(self, project: Project, path: str) -> PageRow | None:
        """Find a page as lists have it, None where it is not there."""
        row = self._stores.pages.page(project.id, path)
        return row if row and row.size != MISSING else None

    def _former(self, project: Project, path: str, version: Version) -> View:
        return self._view(project, path, self._stores.wiki.git.blob(version.blob), version)

    def _present(self, project: Project, path: str) -> View:
        """Show a page as it is, without its links."""
        row = self._stores.pages.page(project.id, path)
        text = self._stores.wiki.read(project, path) if row and row.size != MISSING else None
        if row is None or text is None:
            raise NotFoundError(self._absence(project, path, row))
        newest = self._stores.pages.newest(project.id, path)
        return self._view(project, path, text.encode(), newest if newest and newest.blob == row.blob else None)

    def _view(self, project: Project, path: str, content: bytes, version: Version | None) -> View:
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
            tags=page.tags,
            expires_at=page.expires_at,
            body=page.body,
            front=page.front,
            problem=problem,
            version=version,
        )

    def _version(
        self, project: Project, path: str, revision: str, at: datetime | None = None, *, or_deletion: bool = False
    ) -> Version:
        if at:
            version = self._stores.pages.version_at(project.id, path, at)
        else:
            version = self._version_in(project, path, self._stores.wiki.git.resolve(revision))
        if version is None or not (version.blob or or_deletion):
            when = f"on {stamp(at)}" if at else f"at revision {revision}"
            raise NotFoundError(
                f"{project.label} had no page {path} {when} (`ai-memory history {path}` lists its versions)"
                + (f"; before it moved it was in {source.label}" if (source := self.came_from(project, path)) else "")
            )
        return version

    def came_from(self, project: Project, path: str) -> Project | None:
        """Find the project that has the former versions of a session's page which moved, None where it did not."""
        for source in self._projects.all():
            tombstone = self._tombstone(source, path)
            if tombstone and tombstone.verb == "move-session" and source.id != project.id:
                target = self._projects.now(UUID(tombstone.what.rpartition(" ")[2]))
                if target and target.id == project.id:
                    return source
        return None

    def _version_in(self, project: Project, path: str, oid: str) -> Version | None:
        """Find the version of a page that a commit saw; git itself is asked about a commit of a merged branch."""
        if self._stores.pages.holds(oid):
            return self._stores.pages.version_in(project.id, path, oid)
        tombstone, git = self._tombstone(project, path), self._stores.wiki.git
        if tombstone and tombstone.is_purge:
            return None
        for file, blob in git.tree(oid).items():
            if place_of(file) == (str(project.id), path) and (made := git.changed(file, oid)):
                return Version(made.oid, made.at, *made.author, made.subject, blob)
        return None

    def _absence(self, project: Project, path: str, row: PageRow | None) -> str:
        if self._stores.wiki.is_linked(project, path):
            return f"{path} of {project.label} is a symbolic link or behind one, which is not followed"
        if row is not None:
            folder = self._stores.wiki.folder(project)
            return f"the file of {path} is missing in {folder}; git still has it (`ai-memory restore-page`)"
        tombstone = self._tombstone(project, path)
        if tombstone:
            when = f"{stamp(tombstone.at)} ({tombstone.verb})"
            return f"{path} was deleted on {when}; `ai-memory history {path}` shows what git has"
        return f"{project.label} has no page {path}"

    def _backlinks(self, project: Project, path: str, limit: int) -> tuple[list[Target], int]:
        """List the first pages of all projects that link to a page, and say how many there are."""
        ways = [way for way in self._stores.pages.ways_to(path) if self._leads_to(way) == project.id]
        found, count = self._stores.pages.linking(ways, project.id, path, limit)
        return [
            Target(source.workspace, source.name, each.path, each.title, each.kind, exists=True)
            for each in found
            if (source := self._projects.known(each.project_id))
        ], count

    def count_unresolved(self) -> int:
        """Count the links of all projects that lead nowhere."""
        pages = self._stores.pages
        return pages.count_unresolved() + sum(
            len(pages.unresolved_by(way, self._leads_to(way))) for way in pages.ways_out()
        )

    def _leads_to(self, way: Way) -> UUID | None:
        source = self._projects.known(way.project_id)
        if source is None or not way.project:
            return source.id if source else None
        target = self._projects.linked(source, way.workspace, way.project)
        return target.id if target else None

    def _links(self, project: Project, path: str) -> list[Target]:
        # Two spellings may lead to one page.
        return list(dict.fromkeys(self.targets(project, self._stores.pages.links(project.id, path)).values()))

    def targets(self, source: Project, links: Sequence[Link]) -> dict[Link, Target]:
        """Say where each of the links of a page of a project leads."""
        ways = {Way(source.id, link.workspace, link.project) for link in links}
        homes = {(way.workspace, way.project): self._leads_to(way) for way in ways}
        places = [(homes[link.workspace, link.project], link.path) for link in links]
        named = self._stores.pages.named([(home, path) for home, path in places if home])
        found = {}
        for link, (home, path) in zip(links, places, strict=True):
            project = self._projects.known(home) if home else None
            names = (project.workspace, project.name) if project else (link.workspace, link.project)
            title_and_kind = named.get((home, path)) if home else None
            found[link] = Target(*names, path, *(title_and_kind or (path, "")), exists=title_and_kind is not None)
        return found

    def related(self, project: Project, path: str, depth: int) -> list[Related]:
        """List the pages around a page, the nearest first: what it links to and what links to it, each once.

        Args:
            project, path: of the page.
            depth: so many links may be between the two.
        """
        found: dict[tuple[UUID, str], Related] = {}
        edge = [(project, path)]
        for steps in range(1, depth + 1):
            for here, via in edge:
                for each in self._around(here, via, steps):
                    if (each.project.id, each.path) != (project.id, path) and len(found) < _RELATED:
                        found.setdefault((each.project.id, each.path), each)
            edge = [(each.project, each.path) for each in found.values() if each.steps == steps]
        return list(found.values())

    def _around(self, project: Project, path: str, steps: int) -> Iterator[Related]:
        pages, now = self._stores.pages, self._stores.clock()
        out = (
            (self._leads_to(Way(project.id, link.workspace, link.project)), link.path, "linked from")
            for link in pages.links(project.id, path)
        )
        ways = [way for way in pages.ways_to(path) if self._leads_to(way) == project.id]
        back, _ = pages.linking(ways, project.id, path, _RELATED)
        for project_id, other, how in [*out, *((each.project_id, each.path, "links to") for each in back)]:
            home = self._projects.known(project_id) if project_id else None
            row = pages.page(home.id, other) if home else None
            # What has expired is found by its path alone.
            if home and row and row.size != MISSING and not (row.expires_at and row.expires_at <= now):
                yield Related(home, other, row.title, row.kind, how, path, steps)

    # Time travel

    def history(self, project: Project, path: str, limit: int = 50) -> list[Version]:
        """List the versions of a page, newest first, its deletions among them.

        Raises:
            NotFoundError: git never had such a page.
        """
        versions = self.versions(project, path, limit)
        if not versions:
            row = self._stores.pages.page(project.id, path)
            raise NotFoundError(f"{path} is not committed yet" if row else f"{project.label} never had a page {path}")
        return versions

    def versions(self, project: Project, path: str, limit: int) -> list[Version]:
        """List the versions of a page as `history` does, none where git never had it."""
        return self._stores.pages.history(project.id, path, limit)

    def diff(self, project: Project, path: str, old: str, new: str) -> str:
        """Compare two revisions of a page; an empty `new` means the page as it is, a deletion is an empty page.

        Gives a unified diff.
        """
        sides = [self._side(project, path, revision) for revision in (old, new) if revision]
        if not new:
            sides.append((path, self._present(project, path).text))
        (before, old_text), (after, new_text) = sides
        return self._stores.wiki.git.diff(old_text.encode(), new_text.encode(), before, after)

    def _side(self, project: Project, path: str, revision: str) -> tuple[str, str]:
        """Give name and text of a revision that is compared with another."""
        version = self._version(project, path, revision, or_deletion=True)
        name = f"{path}@{version.revision[:12]}"
        return name, self._former(project, path, version).text if version.blob else ""

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
            LinkedPathError: a symbolic link is on the way.
            TooLargeError: the page is too large.
            PageChangedError: `expected` or `create_only` does not hold.
            PageDeletedError, PathCollisionError: see there.
            StorageError: it could not be written.
        """
        path = self._new_path(path)
        with self._stores.wiki.lock:
            # It may have been renamed, moved or purged since somebody found it.
            project = self._projects.get(project.id)
            self._stores.wiki.file(project, path)
            self._read_again(project, [path])
            self._check_tombstone(project, path, revive=revive)
            self._check_collision(project, path)
            self.commit_outside(project, [path])
            row = self._stores.pages.page(project.id, path)
            newest = self._stores.pages.newest(project.id, path)
            self._check_expectation(project, path, row, newest, expected, body, create_only=create_only)
            old = self._stores.wiki.read(project, path)
            text = self._composed(old, path, body, fields)
            if old == text and newest and newest.blob:
                return Written(path, newest.revision, changed=False, created=False)
            buried = self._stores.wiki.is_gone(project.id, path)
            if buried:
                self._stores.wiki.revive(self._stores.wiki.folder(project), [path])
            why = self._stores.scrubber.scrub(reason) or (_title(path, text) if row is None else "")
            subject = f"write-page {project.label}: {path}"
            oid = self._commit(project, {path: text}, _message(subject, why), author=writer.author)
            self.meter.count("written", self._stores.clock())
            return Written(path, oid, changed=True, created=row is None)

    def write_several(
        self,
        project: Project,
        texts: Mapping[str, str],
        writer: Writer,
        *,
        moved: Sequence[str] = (),
        deleted: Mapping[str, str] = MappingProxyType({}),
        subject: str,
    ) -> str:
        """Write and delete pages because somebody asked for it, all in one commit. What was deleted comes back.

        Args:
            project: where.
            texts: path -> the whole page: front matter with a `type` and without a seal, and the body.
            writer: who asks.
            moved: pages that one of the texts replaces under another path: they leave no tombstone.
            deleted: pages to delete, each with the path under which it would be brought back: both stay deleted.
            subject: of the commit.

        Returns:
            the commit, "" when all was so already.

        Raises:
            BadPagePathError, LinkedPathError, TooLargeError, PageDeletedError, PathCollisionError, StorageError: as
                `write`; nothing was written.
        """
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            touched = [*texts, *moved, *deleted]
            for path in touched:
                self._stores.wiki.file(project, path)
            self._read_again(project, touched)
            for path in texts:
                self._check_tombstone(project, path, revive=True)
                self._check_collision(project, path)
            new = {path: self._fitting(path, text) for path, text in texts.items()}
            self.commit_outside(project, touched)
            if revived := [path for path in texts if self._stores.wiki.is_gone(project.id, path)]:
                self._stores.wiki.revive(self._stores.wiki.folder(project), revived)
            if deleted:
                self._bury(
                    project, list(dict.fromkeys(path for pair in deleted.items() for path in pair)), "delete-page"
                )
            oid = self._commit(project, new, subject, deletes=[*moved, *deleted], author=writer.author)
            # Without a tombstone these were only missing, until the commit was read.
            self._index(project, moved)
            self.meter.count("written", self._stores.clock(), len(texts))
            self.meter.count("deleted", self._stores.clock(), len(deleted))
            return oid

    def check_new(self, path: str, body: str, fields: Fields, *, expected: str | None) -> None:
        """Check what `write` would of a page in a project that is not there yet: a refusal makes none.

        Raises:
            BadPagePathError, BadRequestError, TooLargeError, PageChangedError, MergeUnfinishedError: as `write`.
        """
        self._stores.wiki.git.check_free()
        self._check_expectation(None, path, None, None, expected, body, create_only=False)
        self._composed(None, self._new_path(path), body, fields)

    def check_size(self, path: str, text: str) -> None:
        """Refuse the text of a page that is larger than `write_several` takes.

        Raises:
            TooLargeError: it is.
        """
        self._fitting(path, text)

    def _new_path(self, path: str) -> str:
        path = writable_page_path(path)
        if self._stores.scrubber.scrub(path) != path:
            # It would stand in git, in the index, in logs and in links, where nothing can be taken out again.
            raise BadPagePathError("the page path holds what looks like a secret: choose another")
        return path

    def _composed(self, old: str | None, path: str, body: str, fields: Fields) -> Scrubbed:
        scrub = self._stores.scrubber.scrub
        # One by one: what stands in place of a secret is a list in YAML, unless it is quoted.
        text = composed(
            old,
            body,
            path=path,
            title=scrub(fields.title) if fields.title else fields.title,
            kind=scrub(fields.kind) if fields.kind else fields.kind,
            tier=fields.tier,
            tags=fields.tags if fields.tags is None else [scrub(tag) for tag in fields.tags],
            pinned=fields.pinned,
            expires_at=fields.expires_at,
        )
        return self._fitting(path, text)

    def _fitting(self, path: str, text: str) -> Scrubbed:
        clean = self._stores.scrubber.scrub(text)
        if len(clean.encode()) > PAGE_LIMIT:
            raise TooLargeError(
                f"a page holds at most {PAGE_LIMIT // 1024} KiB, {path} would have {len(clean.encode()) // 1024}"
            )
        return clean

    def delete(self, project: Project, path: str, writer: Writer, *, reason: str = "") -> str:
        """Delete a page: its file, and a tombstone, in one commit. Git keeps its history.

        Returns:
            the commit, "" when there was nothing to delete.

        Raises:
            BadPagePathError: the path is not one of a page.
            LinkedPathError: a symbolic link is on the way.
        """
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            # A path that leads out of the project's folder would be read and deleted there.
            self._stores.wiki.file(project, path)
            self._read_again(project, [path])
            if self._stores.pages.page(project.id, path) is None:
                return ""
            self.commit_outside(project, [path])
            self._bury(project, [path], "delete-page")
            subject = f"delete-page {project.label}: {_some([path])}"
            why = self._stores.scrubber.scrub(reason)
            oid = self._commit(project, {}, _message(subject, why), deletes=[path], author=writer.author)
            self.meter.count("deleted", self._stores.clock())
            return oid

    def traces(self, project: Project, path: str) -> tuple[bool, int, int]:
        """Say what a delete would meet: whether the page is there, its versions in git, the pages that link to it.

        Raises:
            BadPagePathError: the path is not one of a page.
        """
        is_there = self._stores.pages.page(project.id, page_path(path)) is not None
        _, backlinks = self._backlinks(project, path, 0)
        return is_there, self._stores.pages.count_versions(project.id, path), backlinks

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
            LinkedPathError: a symbolic link is on the way.
            PageDeletedError: it was purged.
        """
        with self._stores.wiki.lock:
            project = self._projects.get(project.id)
            self._stores.wiki.file(project, path)
            version = self._version(project, path, revision)
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
        changes: Sequence[PageChange],
        *,
        subject: str = "",
        author: tuple[str, str],
        appends: Sequence[Append] = (),
        mark: Callable[[], None] = lambda: None,
    ) -> str:
        """Write pages that were compiled, but none that somebody else has taken over; a subject makes it a commit.

        Returns:
            the commit, "" when none was made.
        """
        with self._stores.wiki.lock:
            self._check_free(project)
            pages: dict[str, Scrubbed] = {}
            for change in changes:
                if refusal := self.refusal(project, change.path):
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

    def is_taken(self, project: Project, path: str) -> bool:
        """Tell whether a page is one that no automatic writer may write any more."""
        return bool(self.refusal(project, path))

    def refusal(self, project: Project, path: str) -> str:
        """Say why an automatic writer may not write a page, "" when it may."""
        if self._tombstone(project, path):
            return "deleted"
        if self._stores.wiki.is_linked(project, path):
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
                and not row.conflicted
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

    def commit_all(self, message: str, writer: Writer) -> tuple[str, list[LeftOut]]:
        """Commit everything as it is on disk, in all projects at once: edits, working pages, deleted files.

        Returns:
            the commit, "" when there was nothing; and what could not be part of it.
        """
        files: dict[Project, list[str]] = {}
        left_out: list[LeftOut] = []
        with self._stores.wiki.lock:
            self._stores.wiki.git.check_free()
            found = self._indexing.walk()
            for project in self._projects.all():
                rows = [row for row in self._stores.pages.uncommitted(project.id) if row.size != MISSING]
                missing = found.missing.get(project.id, [])
                refusal = self._stores.operations.refusal(project.id)
                why = {row.path: refusal or ("conflict markers" if row.conflicted else "") for row in rows}
                why |= dict.fromkeys(missing, refusal)
                left_out += [LeftOut(project, path, reason) for path, reason in why.items() if reason]
                if missing and not refusal:
                    self._bury(project, missing, "outside-delete")
                if paths := [path for path, reason in why.items() if not reason]:
                    files[project] = paths
            left_out += [
                LeftOut(place, path, "it was deleted: write-page --revive takes it back")
                for project_id, path in sorted(self._indexing.ignored)
                if (place := self._projects.known(project_id))
            ]
            if not files:
                return "", left_out
            whole = f"{message}\n\n" + "\n".join(f"{project.label}: {_some(paths)}" for project, paths in files.items())
            with self._telling():
                oid = self._stores.wiki.commit_as_is(
                    files,
                    self._stores.scrubber.scrub(whole),
                    at=self._stores.clock(),
                    author=self._signed(writer.author),
                )
            for project, paths in files.items():
                self._index(project, paths)
            return oid, left_out

    # The steps

    def _bury(self, project: Project, paths: Sequence[str], verb: str) -> None:
        self._check_free(project)
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
        self._check_free(project)
        with self._telling():
            oid = self._stores.wiki.commit(
                project,
                pages,
                self._stores.scrubber.scrub(message),
                at=self._stores.clock(),
                deletes=deletes,
                files=files,
                appends=appends,
                author=self._signed(author),
                mark=mark,
            )
        self._index(project, [*pages, *deletes, *files])
        return oid

    def _signed(self, author: tuple[str, str]) -> tuple[Scrubbed, Scrubbed]:
        """Give a name and an address as they may stand in git."""
        name, address = author
        return self._stores.scrubber.scrub(name), self._stores.scrubber.scrub(address)

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
        """Read what is about to be changed on purpose; in the middle of somebody's merge nothing is."""
        self._check_free(project)
        self._stores.wiki.git.check_free()
        self._indexing.commits()
        self._indexing.files(project, paths)

    # The gate

    def _check_free(self, project: Project) -> None:
        """Refuse what a purge or a move that is not finished would take along."""
        if refusal := self._stores.operations.refusal(project.id):
            raise UnfinishedOperationError(refusal)

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
            raise PathCollisionError(_collision(path, other))

    def _was(self, project: Project, path: str, revision: str, blob: str) -> bool:
        """Tell whether a page had this content in a revision, also where that is the commit of something else."""
        try:
            version = self._version_in(project, path, self._stores.wiki.git.resolve(revision))
        except NotFoundError:
            return False
        return version is not None and version.blob == blob

    def _check_expectation(
        self,
        project: Project | None,
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
        if row is None or project is None:
            if not expected:
                return
            problem = f"{path} is not there any more"
        elif create_only:
            problem = f"{path} exists already"
        elif expected and newest and newest.blob == row.blob and self._was(project, path, expected, row.blob):
            return
        elif newest and newest.blob == row.blob:
            problem = f"{path} was changed by {newest.author} on {stamp(newest.at)} (revision {newest.revision[:12]})"
        else:
            problem = f"{path} is not committed yet: it belongs to a session that goes on, or to a merge"
        text = (self._stores.wiki.read(project, path) or "") if project and row else ""
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


def _collision(path: str, other: str) -> str:
    """Say why there cannot be a page beside another one."""
    mine, theirs = collision_key(path), collision_key(other)
    if mine == theirs:
        return (
            f"{path} and the page {other} differ only in letter case or Unicode form: on some systems they are one "
            "file. Use the existing spelling, or another name"
        )
    if theirs.startswith(f"{mine}/"):
        return f"{path} cannot be a page: a folder of that name holds {other}. Use another name"
    if mine.startswith(f"{theirs}/"):
        return f"{path} cannot be a page: {other} is a page, where its folder would be. Use another name"
    ours, others = path.split("/"), other.split("/")
    depth = next(number for number, (one, two) in enumerate(zip(ours, others, strict=False), start=1) if one != two)
    spelled = "/".join(others[:depth])
    return (
        f"{path}: the folder is spelled {spelled}/ here (it holds {other}): on some systems the two are one folder. "
        "Use that spelling, or another name"
    )


def _title(path: str, text: str) -> str:
    """Give the title that a page says it has, "" where it is only its file's name."""
    title = read_page(path, text.encode())[0].title
    return "" if f"{title}.md" == path.rpartition("/")[2] else title


def _message(subject: str, reason: str) -> str:
    """Put the reason behind the subject, where every list of commits shows it; one that is too long is whole below."""
    if reason.strip() in ("", subject):
        return subject
    line = f"{subject} — {' '.join(reason.split())}"
    if len(line) <= _SUBJECT:
        return line
    # A subject that is long by itself stays as it is.
    short = shortened(line, _SUBJECT) if len(subject) + _SHORTEST <= _SUBJECT else subject
    return f"{short}\n\n{reason}"


def _some(paths: Sequence[str]) -> str:
    named = ", ".join(shortened(path, 60) for path in paths[:2])
    return f"{named} and {len(paths) - 2} more" if len(paths) > 2 else named
