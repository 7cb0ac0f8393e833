"""Records: notes, logs of sessions and narratives as the record tools know them. Each is a page, kept by `Pages`.

A project has one narrative that holds; a new one takes its place, and the former stays as an archived page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from ai_memory.capture.scope import Defaults
from ai_memory.errors import AiMemoryError, BadRequestError, NotFoundError
from ai_memory.memory.indexing import read_page
from ai_memory.memory.pages import Fields, Pages, Writer
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.front import parts
from ai_memory.model.ids import new_id
from ai_memory.model.record import (
    NARRATIVE,
    NARRATIVE_PAGE,
    SUPERSEDES,
    BadRecordError,
    Connection,
    Record,
    check_relationship,
    former_path,
    new_record,
    parsed_file,
    paths_of,
    record_of,
    retold,
    text_of,
)
from ai_memory.model.scope import Project, Resolved
from ai_memory.search.query import all_words
from ai_memory.store.record_index import RecordRow, Relation
from ai_memory.store.transcripts import Transcripts

#: Who says the same again within this time has said it.
_AGAIN = timedelta(hours=1)
#: So many records are shown around one, and so many connections.
_AROUND = 200
_WAYS = 1_000
_DEEPEST = 3
_NO_NAME = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A record, and the project whose page it is."""

    record: Record
    project: Project


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a record to store: its uuid, or that of the one that says so already; and where it is."""

    uuid: str
    is_new: bool
    scope: Resolved


@dataclass(frozen=True, slots=True)
class Connected:
    """A record with its connections; of one that leads to a record that is gone the other end is None.

    Attributes:
        found: the record.
        outgoing, incoming: connections, each with the other record.
        truncated: whether there are more than are listed.
    """

    found: Found
    outgoing: Sequence[tuple[Relation, Found | None]]
    incoming: Sequence[tuple[Relation, Found | None]]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Around:
    """The records around one, itself first, and the connections between them; some may lead further."""

    records: Sequence[Found]
    relations: Sequence[Relation]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which transcripts of a project its narrative was made from.

    Attributes:
        narrative: None where the project has none.
        on_disk: the transcripts that this machine has.
        processed: those that the narrative names.
        unprocessed: those on disk that it does not name.
        stale: those that it names, and that are gone.
        folder: where they are looked for.
        is_there: whether this machine has that folder.
    """

    narrative: Found | None
    on_disk: Sequence[str]
    processed: Sequence[str]
    unprocessed: Sequence[str]
    stale: Sequence[str]
    folder: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file that was to be brought in: "new", "updated", "unchanged", "deleted" or "refused"."""

    name: str
    did: str
    scope: str = ""
    reason: str = ""


class Records:
    """The records among the pages of all projects."""

    def __init__(
        self, stores: Stores, projects: Projects, pages: Pages, defaults: Defaults, transcripts: Transcripts
    ) -> None:
        self._stores = stores
        self._projects = projects
        self._pages = pages
        self._defaults = defaults
        self._transcripts = transcripts

    # Projects

    def find(self, project: str) -> Resolved:
        """Find the project that a name means: the one that is called so, or "workspace/name".

        Raises:
            NotFoundError: none is called so, or several are; the message says which there are.
        """
        home = self._home(project)
        if home is None and "/" not in project and (spelled := _NO_NAME.sub("-", project.casefold()).strip("._-")):
            # A folder that was brought in called its project "My Shop", and its agents go on to.
            home = self._home(spelled)
        if home is None:
            raise self._unknown(project)
        return home

    def _unknown(self, project: str) -> NotFoundError:
        known = ", ".join(sorted(each.label for each in self._projects.all() if not each.repo)) or "none yet"
        return NotFoundError(f"there is no project {'/'.join(self._names(project))} (known: {known})")

    def _names(self, project: str) -> tuple[str, str]:
        """Give the names of workspace and project that a project's name stands for where there is none yet."""
        workspace, slash, name = project.rpartition("/")
        if slash and not (workspace and name):
            raise BadRequestError(f"{project!r} is no project: write its name, or workspace/name")
        return (workspace if slash else self._defaults.workspace), name or self._defaults.project

    def _home(self, project: str) -> Resolved | None:
        if project and "/" not in project:
            called = self._called(project)
            if len(called) > 1:
                labels = " or ".join(sorted(each.label for each in called))
                raise NotFoundError(f"several projects are called {project}: say {labels}")
            if called:
                return Resolved(called[0], "explicit")
        names = self._names(project)
        workspace = self._projects.workspace(names[0])
        if workspace and workspace.user:
            # A user's own memories are nobody else's records.
            raise self._unknown(project)
        found = self._projects.called(*names)
        if found and found.repo:
            raise self._unknown(project)
        return Resolved(found, "explicit" if project else "default") if found else None

    def _called(self, name: str) -> list[Project]:
        """List the projects of a name, without those that hold a user's own memories."""
        return [each for each in self._projects.all() if each.name.casefold() == name.casefold() and not each.repo]

    def name_of(self, project: Project) -> str:
        """Give the name by which `find` finds a project."""
        return project.name if len(self._called(project.name)) == 1 else project.label

    def _made(self, project: str) -> Resolved:
        return Resolved(self._projects.create(*self._names(project)), "explicit" if project else "default")

    # Reading

    def get(self, uuid: str) -> Found:
        """Find a record, also an archived one.

        Raises:
            NotFoundError: there is none.
        """
        found = self._read(self._row(uuid))
        if found is None:
            raise _no_record(uuid)
        return found

    def search(self, query: str, project: Project | None, type_: str, limit: int) -> list[Found]:
        """Find records that hold and have all the words of a query, the best first.

        Args:
            query: words; a type or the name of a project is one that all of its records have.
            project: only in this one.
            type_: only of this type; "" means all.
            limit: so many.

        Raises:
            BadRequestError: the query has no words.
        """
        terms = all_words(query)
        if not terms:
            raise BadRequestError("query has no word that could be searched: say what is looked for")
        named = [[each.id for each in self._called(term)] for term in terms]
        return self._all(self._stores.records.having(terms, named, project.id if project else None, type_, limit))

    def recent(self, project: Project | None, type_: str, limit: int) -> list[Found]:
        """List the records that hold, the newest first; see `search`."""
        return self._all(self._stores.records.newest(project.id if project else None, type_, limit))

    def connected(self, uuid: str) -> Connected:
        """Find a record with what it leads to and what leads to it.

        Raises:
            NotFoundError: there is none.
        """
        found = self.get(uuid)
        relations = self._stores.records.relations([uuid], limit=_AROUND + 1)
        truncated = len(relations) > _AROUND
        relations = relations[:_AROUND]
        others = self._by_uuid({end for each in relations for end in (each.from_uuid, each.to_uuid)})
        return Connected(
            found,
            [(each, others.get(each.to_uuid)) for each in relations if each.from_uuid == uuid],
            [(each, others.get(each.from_uuid)) for each in relations if each.to_uuid == uuid],
            truncated,
        )

    def around(self, uuid: str, depth: int) -> Around:
        """Walk from a record along connections in both directions.

        Args:
            uuid: where to begin.
            depth: so many connections far, at most 3.

        Raises:
            NotFoundError: there is no such record.
        """
        found = {uuid: self.get(uuid)}
        relations: dict[Relation, None] = {}
        edge, truncated = [uuid], False
        for _ in range(min(depth, _DEEPEST)):
            more = self._stores.records.relations(edge, limit=_WAYS + 1)
            relations |= dict.fromkeys(more)
            truncated = truncated or len(relations) > _WAYS
            ends = (end for each in more for end in (each.from_uuid, each.to_uuid))
            new = [end for end in dict.fromkeys(ends) if end not in found]
            truncated = truncated or len(found) + len(new) > _AROUND
            there = self._by_uuid(new[: _AROUND - len(found)])
            found |= there
            edge = list(there)
        return Around(list(found.values()), list(relations)[:_WAYS], truncated)

    def coverage(self, project: Project) -> Coverage:
        """Compare the transcripts on this machine's disk with those that a project's narrative names."""
        on_disk = self._transcripts.of([project.name, *project.aliases], project.roots)
        narratives = self._all(self._stores.records.narratives(project.id))
        narrative = narratives[0] if narratives else None
        processed = list(narrative.record.transcripts) if narrative else []
        named = {ref: self._in_full(ref) for ref in processed}
        return Coverage(
            narrative=narrative,
            on_disk=on_disk,
            processed=processed,
            unprocessed=[file for file in on_disk if file not in named.values()],
            stale=[ref for ref, file in named.items() if self._transcripts.is_gone(file)],
            folder=str(self._transcripts.folder),
            is_there=self._transcripts.is_there(),
        )

    def _in_full(self, ref: str) -> str:
        return f"{self._defaults.home}{ref[1:]}" if ref.startswith("~/") else ref

    def _all(self, rows: Iterable[RecordRow]) -> list[Found]:
        return [found for row in rows if (found := self._read(row))]

    def _by_uuid(self, uuids: Iterable[str]) -> dict[str, Found]:
        rows = self._stores.records.rows(uuids)
        return {uuid: found for uuid, row in rows.items() if (found := self._read(row))}

    def _read(self, row: RecordRow) -> Found | None:
        """Read a record, None when its page went or became something else since it was indexed."""
        project = self._projects.known(row.project_id)
        record = self._record_at(project, row.path) if project else None
        return Found(record, project) if record and project else None

    def _record_at(self, project: Project, path: str) -> Record | None:
        text = self._stores.wiki.read(project, path)
        return record_of(read_page(path, text.encode(), self._stores.scrubber.scrub)[0]) if text else None

    # Writing

    def store(
        self,
        project: str,
        writer: Writer,
        *,
        type_: str,
        content: str,
        importance: int,
        session_id: str = "",
        transcript_ref: Sequence[str] = (),
        tags: str = "",
        connections: Sequence[Connection] = (),
    ) -> Stored:
        """Keep a record, unless the project has one of its type that began so within the last hour.

        Args:
            project: a name, "" for the project of what belongs nowhere; it is made when it is new.
            writer: who asks.
            type_, content, importance, session_id, transcript_ref, tags, connections: of the record. A narrative takes
                the place of the one that the project has.

        Raises:
            BadRecordError: a field is not what it may be.
            NotFoundError: several projects are called so, or a connection leads nowhere.
            BadNameError, TooLargeError, StorageError: see `Pages.write`. Nothing was made or written.
        """
        now = self._stores.clock()
        record = self._scrubbed(
            new_record(
                uuid=new_id(now).hex,
                type=type_,
                content=content,
                created_at=now,
                importance=importance,
                session_id=session_id,
                transcript_ref=transcript_ref,
                tags=tags,
                connections=connections,
            )
        )
        if record.type == NARRATIVE and not project:
            raise BadRecordError("a narrative needs a project: say which one it tells of")
        self._check_there(each.to_uuid for each in record.connections)
        with self._stores.wiki.lock:
            home = self._home(project)
            if home is None:
                self._pages.check_new(record.path, text_of(record), Fields(), expected=None)
                home = self._made(project)
            if record.type != NARRATIVE:
                known = self._stores.records.alike(home.project.id, record.type, record.head, after=now - _AGAIN)
                if known:
                    return Stored(known, is_new=False, scope=home)
            former = self._holding(home.project) if record.type == NARRATIVE else {}
            superseded = [Connection(each.uuid, SUPERSEDES) for each in former.values()]
            record = replace(record, connections=(*record.connections, *superseded))
            archived = {path: replace(each, archived=True, archived_in=record.uuid) for path, each in former.items()}
            self._keep(home.project, [record], archived, writer, "store")
            return Stored(record.uuid, is_new=True, scope=home)

    def connect(self, from_uuid: str, to_uuid: str, relationship: str, writer: Writer) -> Found:
        """Connect two records; gives the first one as it is then. Once more changes nothing.

        Raises:
            BadRecordError: there is no such relationship.
            NotFoundError: one of the records is not there.
        """
        check_relationship(relationship)
        with self._stores.wiki.lock:
            row, found = self._row(from_uuid), self.get(from_uuid)
            self._check_there([to_uuid])
            connection = Connection(to_uuid, relationship)
            if connection in found.record.connections:
                return found
            record = replace(found.record, connections=(*found.record.connections, connection))
            subject = f"connect-record {found.project.label}: {from_uuid}"
            texts = {row.path: self._changed(found.project, row.path, record)}
            self._write(found.project, texts, writer, subject=subject)
            return replace(found, record=record)

    def delete(self, uuid: str, writer: Writer) -> Found:
        """Delete a record and the connections from and to it; gives it as it was. Git keeps its history.

        Whatever else says to be the same record goes with it: it would take its place.

        Raises:
            NotFoundError: there is none.
        """
        with self._stores.wiki.lock:
            row, found = self._row(uuid), self.get(uuid)
            leading = {each.from_uuid for each in self._stores.records.relations([uuid]) if each.to_uuid == uuid}
            rows = self._stores.records.rows(leading - {uuid})
            loosened: dict[UUID, dict[str, str]] = {found.project.id: {}}
            for other in rows.values():
                if source := self._read(other):
                    left = tuple(each for each in source.record.connections if each.to_uuid != uuid)
                    texts = loosened.setdefault(source.project.id, {})
                    loose = replace(source.record, connections=left)
                    texts[other.path] = self._changed(source.project, other.path, loose)
            gone: dict[UUID, dict[str, str]] = {}
            for each in self._stores.records.pages_of(uuid):
                gone.setdefault(each.project_id, {})[each.path] = each.path
                loosened.setdefault(each.project_id, {})
            if found.record.type == NARRATIVE:
                gone[found.project.id][row.path] = former_path(uuid)
            for project_id, texts in loosened.items():
                project = self._projects.get(project_id)
                deleted = gone.get(project_id, {})
                subject = f"delete-record {project.label}: {uuid}"
                self._write(project, texts, writer, deleted=deleted, subject=subject)
            return found

    def _row(self, uuid: str) -> RecordRow:
        row = self._stores.records.rows([uuid]).get(uuid)
        if row is None:
            raise _no_record(uuid)
        return row

    def _check_there(self, uuids: Iterable[str]) -> None:
        wanted = list(uuids)
        there = self._stores.records.rows(wanted)
        if missing := [uuid for uuid in wanted if uuid not in there]:
            raise NotFoundError(
                f"nothing was written: there is no record {', '.join(missing)} to connect with; memory_search and "
                "memory_recent give the uuids"
            )

    def _holding(self, project: Project) -> dict[str, Record]:
        """Give the narratives of a project that hold, by path; a page in their place that somebody wrote is one."""
        rows = self._stores.records.narratives(project.id)
        found = {row.path: each.record for row in rows if (each := self._read(row))}
        text = None if NARRATIVE_PAGE in found else self._stores.wiki.read(project, NARRATIVE_PAGE)
        if text:
            page, _ = read_page(NARRATIVE_PAGE, text.encode(), self._stores.scrubber.scrub)
            newest = self._stores.pages.newest(project.id, NARRATIVE_PAGE)
            at = newest.at if newest else self._stores.clock()
            if page.body.strip():
                found[NARRATIVE_PAGE] = new_record(
                    uuid=new_id(at).hex, type=NARRATIVE, content=page.body, created_at=at, tags=",".join(page.tags)
                )
        return found

    def _keep(
        self, project: Project, new: Sequence[Record], changed: Mapping[str, Record], writer: Writer, verb: str
    ) -> None:
        """Write new records, and changed ones that are at these paths, in one commit."""
        texts = {self._place(project, record): text_of(record) for record in new}
        for path, record in changed.items():
            # After a merge of projects a narrative that holds may be beside another one, whose place it must not take.
            moves = record.type == NARRATIVE and record.archived
            texts[self._place(project, record) if moves else path] = self._changed(project, path, record)
        moved = [path for path in changed if path not in texts]
        records = [*new, *changed.values()]
        named = records[0].uuid + (f" and {len(records) - 1} more" if len(records) > 1 else "")
        subject = f"{verb}-record {project.label}: {named}"
        self._write(project, texts, writer, moved=moved, subject=subject)

    def _write(
        self,
        project: Project,
        texts: Mapping[str, str],
        writer: Writer,
        *,
        moved: Sequence[str] = (),
        deleted: Mapping[str, str] = MappingProxyType({}),
        subject: str,
    ) -> None:
        """Write pages as `Pages.write_several`; what readers said of a content holds while only connections change."""
        before = {path: parts(text).body for path in texts if (text := self._stores.wiki.read(project, path))}
        blobs = self._blobs(project, before)
        self._pages.write_several(project, texts, writer, moved=moved, deleted=deleted, subject=subject)
        same = [path for path, body in before.items() if parts(texts[path]).body == body]
        after = self._blobs(project, same)
        self._stores.state.feedback.carry(project.id, {path: (blobs[path], after[path]) for path in same})

    def _blobs(self, project: Project, paths: Iterable[str]) -> dict[str, str]:
        rows = {path: self._stores.pages.page(project.id, path) for path in paths}
        return {path: row.blob if row else "" for path, row in rows.items()}

    def _changed(self, project: Project, path: str, record: Record) -> str:
        """Write the page of a record that changed; where its content did not, all that somebody added to it stays."""
        old = self._stores.wiki.read(project, path) or ""
        return retold(old, record) if parts(old).body.strip() == record.content else text_of(record)

    def _place(self, project: Project, record: Record) -> str:
        """Say where a record's page goes; where a narrative was purged from its place no other one may stand there."""
        tombstone = self._stores.wiki.gone.get(project.id, {}).get(record.path)
        if record.type == NARRATIVE and tombstone and tombstone.is_purge:
            return former_path(record.uuid)
        return record.path

    def _scrubbed(self, record: Record) -> Record:
        """Scrub each field by itself: what is put in the place of a secret must be quoted in the front matter."""
        scrub = self._stores.scrubber.scrub
        return replace(
            record,
            content=scrub(record.content),
            session_id=scrub(record.session_id),
            transcripts=tuple(map(scrub, record.transcripts)),
            tags=tuple(map(scrub, record.tags)),
        )

    # Bringing in

    def bring_in(self, files: Sequence[tuple[str, object]], writer: Writer, *, dry_run: bool) -> list[Outcome]:
        """Bring in the files of a folder of records: name without ending, and the JSON. Again, it does nothing more.

        What was deleted here stays so; a file that changed since it was brought in counts anew, and its connections are
        put together with those that were made here. Of the narratives of a project the newest one holds.
        """
        outcomes: dict[int, Outcome] = {}
        wanted: dict[str, list[tuple[int, Record]]] = {}
        for number, (name, value) in enumerate(files):
            try:
                record, project = parsed_file(value, name)
                record = self._scrubbed(record)
                self._pages.check_size(record.path, text_of(record))
                wanted.setdefault(project, []).append((number, record))
            except AiMemoryError as error:
                outcomes[number] = Outcome(name, "refused", reason=str(error))
        with self._stores.wiki.lock:
            uuids = [record.uuid for records in wanted.values() for _, record in records]
            known = self._stores.records.rows(uuids)
            for project, records in wanted.items():
                outcomes |= self._bring_in(project, records, known, writer, dry_run=dry_run)
        return [outcomes[number] for number in range(len(files))]

    def _bring_in(
        self,
        named: str,
        records: Sequence[tuple[int, Record]],
        known: Mapping[str, RecordRow],
        writer: Writer,
        *,
        dry_run: bool,
    ) -> dict[int, Outcome]:
        """Bring in records of one project's name; those that are there already may be in others by now."""
        outcomes: dict[int, Outcome] = {}
        new: dict[int, Record] = {}
        changed: dict[UUID, dict[str, Record]] = {}
        for number, record in records:
            row = known.get(record.uuid)
            if row and (before := self._read(row)):
                did = "unchanged" if before.record.imported == record.imported else "updated"
                outcomes[number] = Outcome(record.uuid, did, before.project.label)
                if did == "updated":
                    changed.setdefault(before.project.id, {})[row.path] = _merged(before.record, record)
            elif self._is_buried(record):
                outcomes[number] = Outcome(record.uuid, "deleted", reason="it was deleted here, and stays so")
            else:
                new[number] = record
        home: Resolved | None = None
        try:
            for number, record in dict(new).items():
                if self._was_purged(named, record):
                    outcomes[number] = Outcome(record.uuid, "deleted", reason="its project was purged since")
                    del new[number]
            home = self._home_of_file(named, dry_run=dry_run) if new else None
            for number, record in dict(new).items():
                if home and self._is_narrative_buried(home.project, record):
                    outcomes[number] = Outcome(record.uuid, "deleted", reason="the narrative was deleted after it")
                    del new[number]
                else:
                    label = home.project.label if home else "/".join(self._names(_spelled(named)))
                    outcomes[number] = Outcome(record.uuid, "new", label)
        except AiMemoryError as error:
            outcomes |= {number: Outcome(each.uuid, "refused", reason=str(error)) for number, each in new.items()}
            new = {}
        if not dry_run:
            if home and new:
                changed.setdefault(home.project.id, {})
            for project_id, texts in changed.items():
                is_home = home is not None and home.project.id == project_id
                self._settle(self._projects.get(project_id), list(new.values()) if is_home else [], texts, writer)
        return outcomes

    def _home_of_file(self, named: str, *, dry_run: bool) -> Resolved | None:
        """Find the project of records from files, and make it when it is new; None where it is only looked at."""
        spelled = _spelled(named)
        home = (self._home(named) if "/" not in named else None) or self._home(spelled)
        if home:
            return home
        if not dry_run:
            return self._made(spelled)
        for name, what in zip(self._names(spelled), ("workspace", "project"), strict=True):
            self._projects.check_name(name, what)
        return None

    def _is_buried(self, record: Record) -> bool:
        """Tell whether a record was deleted here, in whatever project it was."""
        return any(path in gone for gone in self._stores.wiki.gone.values() for path in paths_of(record.uuid))

    def _was_purged(self, named: str, record: Record) -> bool:
        """Tell whether the project of a record from a file was purged after the record was made."""
        workspace, project = self._names(_spelled(named))
        routing = self._projects.routing({"workspace": workspace, "project": project})
        return self._projects.was_purged(routing, record.created_at)

    def _is_narrative_buried(self, project: Project, record: Record) -> bool:
        """Tell whether the narrative of a project was deleted, as a page, after this one was made."""
        tombstone = self._stores.wiki.gone.get(project.id, {}).get(NARRATIVE_PAGE)
        return record.path == NARRATIVE_PAGE and tombstone is not None and tombstone.at > record.created_at

    def _settle(self, project: Project, new: Sequence[Record], changed: Mapping[str, Record], writer: Writer) -> None:
        """Write records that were brought in; of the narratives the newest one holds."""
        here = dict(changed)
        if any(each.path == NARRATIVE_PAGE for each in [*new, *here.values()]):
            uuids = {each.uuid for each in here.values()}
            here |= {path: each for path, each in self._holding(project).items() if each.uuid not in uuids}
            holding = [each for each in [*new, *here.values()] if each.path == NARRATIVE_PAGE]
            newest = max(holding, key=lambda each: (each.created_at, each.uuid))
            new = [_archived(each, newest) for each in new]
            here = {path: _archived(each, newest) for path, each in here.items()}
        self._keep(project, new, here, writer, "import")


def _no_record(uuid: str) -> NotFoundError:
    return NotFoundError(f"there is no record {uuid[:80]}: memory_search and memory_recent give the uuids")


def _merged(before: Record, file: Record) -> Record:
    """Take a file's record for the one that is here, with the connections of both; what was archived here stays so."""
    connections = tuple(dict.fromkeys([*file.connections, *before.connections]))
    if before.archived and not file.archived:
        return replace(file, connections=connections, archived=True, archived_in=before.archived_in)
    return replace(file, connections=connections)


def _archived(record: Record, newest: Record) -> Record:
    if record.path != NARRATIVE_PAGE or record.uuid == newest.uuid:
        return record
    return replace(record, archived=True, archived_in=newest.uuid)


def _spelled(project: str) -> str:
    """Spell a name as a project can be called: "My Shop" is "my-shop"."""
    spelled = _NO_NAME.sub("-", project.casefold()).strip("._-")
    if project and not spelled:
        raise BadRequestError(f"the project's name {project[:40]!r} has neither letters nor digits of ASCII")
    return spelled
