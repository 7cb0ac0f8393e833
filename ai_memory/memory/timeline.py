"""The timeline: what happened in projects, the last first: sessions, and what was done to pages."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from uuid import UUID

from ai_memory.compile.session_page import session_path, title_of
from ai_memory.errors import BadRequestError
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.packet_page import FOLDER
from ai_memory.model.page import kind_of_folder
from ai_memory.model.scope import Project
from ai_memory.model.session import Session
from ai_memory.store.page_index import Version
from ai_memory.store.sqlite import micros

#: The kind of an entry that is a session.
SESSION = "session"
#: The greatest number that a database takes.
_MOST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands in the timeline.

    Attributes:
        at: microseconds since 1970.
        commit: the number of the commit in the wiki's history, 0 for a session.
        project: its id.
        name: the path of a page, the id of a session.
    """

    at: int
    commit: int
    project: UUID
    name: str

    @property
    def order(self) -> tuple[int, int, UUID, str]:
        """What entries are sorted by: the last first, and of one commit by project and path."""
        return -self.at, -self.commit, self.project, self.name

    @property
    def text(self) -> str:
        """The place as a text that can stand in a URL; nobody has to understand it."""
        told = json.dumps([self.at, self.commit, self.project.hex, self.name], separators=(",", ":"))
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> Place:
        """Read a place from its text.

        Raises:
            BadRequestError: it is none.
        """
        try:
            at, commit, project, name = json.loads(base64.b64decode(f"{text}===", b"-_"))
            place = cls(at, commit, UUID(project), name)
            is_one = all(type(number) is int and 0 <= number <= _MOST for number in (at, commit)) and bool(
                name.encode()
            )
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
            is_one = False
        if not is_one:
            raise BadRequestError("before is no place in the timeline: take it from the answer before, as it is")
        return place


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened.

    Attributes:
        at: when the session last spoke, or the page's commit was made.
        kind: "session", or the kind of the page.
        project: where.
        title: of the session or the page.
        path: of the page, "" for a session.
        session: the session, None for a page.
        version: the version of the page, None for a session.
        place: where the entry stands in the timeline; what follows it comes `before` that place.
    """

    at: datetime
    kind: str
    project: Project
    title: str
    path: str
    session: Session | None
    version: Version | None
    place: Place

    @property
    def deleted(self) -> bool:
        """Whether the page was deleted by that."""
        return self.version is not None and not self.version.blob


class Timeline:
    """The timeline of all projects."""

    def __init__(self, stores: Stores, projects: Projects) -> None:
        self._stores = stores
        self._projects = projects

    def entries(
        self,
        projects: Sequence[Project],
        *,
        kinds: Collection[str] = (),
        before: Place | None = None,
        limit: int = 50,
    ) -> list[Entry]:
        """List what happened, the last first: sessions that did something, and what each commit did to each page.

        Args:
            projects: where; () means everywhere.
            kinds: only sessions ("session") and pages of these kinds; () is sessions and knowledge, without what
                machinery writes. A page that is gone has the kind of its folder.
            before: go on behind this entry.
            limit: so many.
        """
        chosen = {project.id: project for project in projects or self._projects.all()}
        of_pages = [kind for kind in kinds if kind != SESSION]
        streams: list[Iterator[Entry]] = []
        if not kinds or SESSION in kinds:
            streams.append(self._sessions(chosen, before))
        if not kinds or of_pages:
            streams.append(self._pages(chosen, before, of_pages))
        # Of either no more is read than what comes into the list.
        return list(islice(merge(*streams, key=lambda entry: entry.place.order), limit))

    def _sessions(self, projects: Mapping[UUID, Project], before: Place | None) -> Iterator[Entry]:
        at, behind = (before.at, _behind(before)) if before else (_MOST, ("", ""))
        if before and before.commit:
            # At one time the pages come first.
            behind = "", ""
        for session in self._stores.index.until(list(projects), at, behind):
            if self._stores.wiki.is_gone(session.project_id, session_path(session.id)):
                # Somebody deleted it: nothing tells of it any more.
                continue
            place = Place(micros(session.last), 0, session.project_id, str(session.id))
            project, title = projects[session.project_id], title_of(session, ())
            yield Entry(session.last, SESSION, project, title, "", session, None, place)

    def _pages(self, projects: Mapping[UUID, Project], before: Place | None, kinds: Collection[str]) -> Iterator[Entry]:
        at, commit, behind = (before.at, before.commit, _behind(before)) if before else (_MOST, 0, ("", ""))
        now = self._stores.clock()
        for row in self._stores.page_changes.until(list(projects), at, commit, behind, now=now, kinds=kinds):
            kind = row.kind or _kind_of(row.path)
            if kinds and kind not in kinds:
                continue
            title = row.title or row.path.rpartition("/")[2].removesuffix(".md")
            place = Place(micros(row.version.at), row.n, row.project_id, row.path)
            yield Entry(row.version.at, kind, projects[row.project_id], title, row.path, None, row.version, place)


def _behind(place: Place) -> tuple[str, str]:
    return str(place.project), place.name


def _kind_of(path: str) -> str:
    """Give the kind of a page that is gone."""
    return "packet" if path.startswith(f"{FOLDER}/") else kind_of_folder(path)
