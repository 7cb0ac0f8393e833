"""Recall: finding pages and sessions by what they say or mean, now or as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from ai_memory.compile.session_page import session_of, session_path
from ai_memory.errors import BadRequestError
from ai_memory.memory.embedding import Embedding
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.filters import SESSION, Filters
from ai_memory.model.handoff import stamp
from ai_memory.model.scope import GLOBAL_PROJECT, Project
from ai_memory.model.tombstone import Tombstone
from ai_memory.search.authority import authority_of
from ai_memory.search.fusion import (
    LINKS,
    VECTORS,
    Candidate,
    Key,
    Stream,
    fused,
    seeds,
    weighed,
    with_neighbours,
)
from ai_memory.search.query import Query, query_of
from ai_memory.search.snippets import around, descriptor, marked_run
from ai_memory.store.page_index import MISSING, PageRow
from ai_memory.store.vectors import Near

#: So many of each stream go into the fusion, however few are asked for: one hit is the first of fifty.
_POOL = 100
#: What is farther from a question in meaning has nothing to do with it, in any model that we know.
_FAR = 0.2
#: A question that names a project means it: so much more do its hits count where others are searched, too.
_NAMED = 1.2
#: What sessions that have no page yet are taken for.
_SESSION_TIER = "episodic"
#: What each stream means, for people.
_WHY = {
    "pages": "its words",
    "sessions": "the words of the session",
    "turns": "the words of a turn",
    VECTORS: "its meaning",
    LINKS: "a link",
}


@dataclass(frozen=True, slots=True)
class QuotedTurn:
    """Which turn of a session is quoted: its place in the raw log, when it was, and prompt, answer, tool or summary."""

    n: int
    at: datetime
    kind: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result: a page or a session, and the place in it that fits best (`<mark>` around the words).

    Attributes:
        project: where.
        path: the page; of a session the one that it has or will have.
        kind: of the page; "session" for sessions.
        title, heading: of the page, and of the place in it.
        snippet: the place, or what the page says of itself where only its meaning fits.
        score: greater is better.
        why: what it was found by, in words.
        details: rank, score and share in each stream, and the factors.
        turn: of a session: the turn that is quoted.
        is_page: whether the page is there to be read; that of a session may not be written yet.
        passage: all of the place that the snippet is from.
    """

    project: Project
    path: str
    kind: str
    title: str
    heading: str
    snippet: str
    score: float
    why: str = ""
    details: dict[str, object] = field(default_factory=dict)
    turn: QuotedTurn | None = None
    is_page: bool = True
    passage: str = ""

    def as_json(self, *, explain: bool = False) -> dict[str, object]:
        """Give the hit as the wire has it; there a smaller rank is better."""
        session = session_of(self.path)
        answer: dict[str, object] = {
            "workspace": self.project.workspace,
            "project": self.project.name,
            "path": self.path,
            "kind": self.kind,
            "title": self.title,
            "heading": self.heading,
            "snippet": self.snippet,
            "rank": -round(self.score, 6),
            "why": self.why,
        }
        if session:
            answer["session_id"] = str(session)
        if self.turn:
            answer["turn"] = {"n": self.turn.n, "at": stamp(self.turn.at), "kind": self.turn.kind}
        return answer | ({"score_details": self.details} if explain else {})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found, best first; the streams that took part; and why meaning did not, "" if it did or is off."""

    hits: list[Hit]
    streams: list[str]
    degraded: str = ""


class Recall:
    """Search over the pages and sessions of all projects."""

    def __init__(self, stores: Stores, projects: Projects, embedding: Embedding) -> None:
        self._stores = stores
        self._projects = projects
        self._embedding = embedding
        self._gone: Mapping[UUID, Mapping[str, Tombstone]] = {}
        self._without: list[int] = []
        self._beside = ThreadPoolExecutor(thread_name_prefix="meaning")

    def close(self) -> None:
        """Wait for the questions that are asked just now."""
        self._beside.shutdown()

    def search(
        self, text: str, projects: Sequence[Project] = (), *, limit: int = 10, at: datetime | None = None
    ) -> list[Hit]:
        """Find pages and sessions, best first; see `ask`."""
        return self.ask(text, projects, limit=limit, at=at).hits

    def ask(
        self,
        text: str,
        projects: Sequence[Project] = (),
        *,
        limit: int = 10,
        at: datetime | None = None,
        expired: bool = False,
        filters: Filters | None = None,
        pages_alone: bool = False,
    ) -> Answer:
        """Find pages and sessions, best first; what has expired is found by its path alone.

        Args:
            text: anything that somebody types; its content words and its meaning are looked for, and `path:`, `kind:`,
                `tag:`, `since:`, `before:` narrow that. With filters alone it lists the newest.
            projects: where to look, beside the preferences that hold everywhere; none means all.
            limit: how many hits.
            at: search the pages as they were then, by words alone, without those that had expired by then.
            expired: also pages that have expired.
            filters: what is narrowed to beside what the text says.
            pages_alone: only pages that are there to be opened, of these projects alone: no session without its page,
                none of the preferences that hold everywhere.

        Raises:
            BadRequestError: filters that former versions do not know.
        """
        now = self._stores.clock()
        query = query_of(text, now)
        if filters:
            query = replace(query, filters=filters.also(query.filters))
        scope = [project.id for project in projects] if pages_alone else self._scope(projects)
        if at:
            return self._as_of(query, scope, limit, at, now)
        if not query.match and query.filters != Filters():
            return self._listing(query.filters, scope, limit, now, expired=expired)
        # Meaning takes three times as long as words, mostly outside of Python.
        near = self._beside.submit(self._near, query, scope) if self._embedding.is_on else None
        lexical, chunks, turns = self._lexical(query, scope, now, expired=expired)
        found_near, degraded = near.result() if near else (None, "")
        vectors = self._vectors(found_near, chunks, turns) if found_near is not None else None
        found = self._to_be_shown(fused(lexical, vectors, exact=query.exact), scope)
        if query.filters != Filters():
            fitting = self._rows(found, query.filters, now, expired=expired)
            found = [each for each in found if each.key in fitting]
        found = with_neighbours(found, self._stores.page_search.neighbours(seeds(found)))[:_POOL]
        found = self._to_be_shown(found, scope)
        rows = self._rows(found, query.filters, now, expired=expired)
        if pages_alone:
            rows = {key: row for key, row in rows.items() if row and row.size != MISSING}
        named = self._named(query.text) if len(scope) != 1 else set()
        present = ((*key, row.blob) for key, row in rows.items() if row)
        saliences = self._stores.state.feedback.saliences(present)
        factors = {
            key: _standing(key, row, saliences.get(key, 1.0)) * (_NAMED if key[0] in named else 1.0)
            for key, row in rows.items()
        }
        best = weighed((each for each in found if each.key in rows), factors)[:limit]
        streams = [stream.name for stream in (*lexical, *([vectors] if vectors else ())) if stream.found]
        return Answer(self._hits(best, query, rows, chunks, turns, factors), streams, degraded)

    def _scope(self, projects: Sequence[Project]) -> list[UUID]:
        """Name where to look: the projects, and the one whose preferences hold everywhere; [] is everywhere."""
        if not projects:
            return []
        everywhere = [each.id for each in self._projects.all() if each.name == GLOBAL_PROJECT]
        return list(dict.fromkeys([*(project.id for project in projects), *everywhere]))

    def recent(self, project: Project, limit: int) -> list[tuple[Hit, datetime]]:
        """List the pages of a project that have not expired, the last changed first, each with when that was."""
        return self._newest(Filters(), [project.id], limit, self._stores.clock(), expired=False)

    # The streams

    def _lexical(
        self, query: Query, scope: Sequence[UUID], now: datetime, *, expired: bool
    ) -> tuple[list[Stream], dict[Key, int], dict[Key, int]]:
        """Ask by words; gives the streams, and the chunk or turn by which each hit was found."""
        streams: list[Stream] = []
        chunks: dict[Key, int] = {}
        turns: dict[Key, int] = {}
        if not query.match:
            return streams, chunks, turns
        words, filters = self._stores.words, query.filters
        sought = words.sought("chunks", query.terms)
        pages = self._stores.page_search.find(sought.match, scope, _POOL, now=now, filters=filters, expired=expired)
        chunks = {(each.project_id, each.path): each.chunk for each in pages}
        found = [((each.project_id, each.path), each.score) for each in pages]
        streams.append(Stream("pages", found, sought.ceiling))
        if filters.take_sessions:
            since, before, hidden = filters.since, filters.before, self._hidden()
            sought = words.sought("sessions", query.terms)
            sessions = self._stores.turns.sessions(
                sought.match, scope, _POOL, since=since, before=before, without=hidden
            )
            found = [(_key(each.project_id, each.session_id), each.score) for each in sessions]
            streams.append(Stream("sessions", found, sought.ceiling))
            sought = words.sought("turns", query.terms)
            spoken = self._stores.turns.turns(sought.match, scope, _POOL, since=since, before=before, without=hidden)
            turns = {_key(each.project_id, each.session_id): each.turn for each in spoken}
            found = [(_key(each.project_id, each.session_id), each.score) for each in spoken]
            streams.append(Stream("turns", found, sought.ceiling))
        return streams, chunks, turns

    def _near(self, query: Query, scope: Sequence[UUID]) -> tuple[list[Near] | None, str]:
        """Ask by meaning, in a thread of its own; None where that cannot be said in time, and why."""
        # Signs alone mean nothing.
        vector, degraded = self._embedding.query(query.text) if any(map(str.isalnum, query.text)) else (None, "")
        # One long session has many turns, and filters fit few of what is near.
        return (self._embedding.nearest(vector, scope, 4 * _POOL) if vector is not None else None), degraded

    def _vectors(self, near: Sequence[Near], chunks: dict[Key, int], turns: dict[Key, int]) -> Stream:
        """Make a stream of what is near; adds the chunks and turns of what only that finds."""
        by_chunk = self._stores.page_search.chunks(each.chunk for each in near if each.chunk)
        by_turn = self._stores.turns.homes(each.turn for each in near if each.turn)
        found: dict[Key, float] = {}
        for each in near:
            chunk, home = by_chunk.get(each.chunk), by_turn.get(each.turn)
            if chunk:
                key = chunk.project_id, chunk.path
                chunks.setdefault(key, each.chunk)
            elif home:
                key = _key(*home)
                turns.setdefault(key, each.turn)
            else:
                continue
            if each.similarity >= _FAR:
                found.setdefault(key, each.similarity)
        return Stream(VECTORS, list(found.items())[:_POOL])

    def _to_be_shown(self, found: Iterable[Candidate], scope: Sequence[UUID]) -> list[Candidate]:
        """Leave out what is not in the scope, or is deleted: of a session without its page nothing is shown."""
        known, is_gone = self._projects.known, self._stores.wiki.is_gone
        return [
            each
            for each in found
            if (not scope or each.key[0] in scope) and known(each.key[0]) is not None and not is_gone(*each.key)
        ]

    def _rows(
        self, found: Iterable[Candidate], filters: Filters, now: datetime, *, expired: bool
    ) -> dict[Key, PageRow | None]:
        """Give the page of each hit that filters fit, None for a session that has none (yet)."""
        places = {each.key: each.places for each in found}
        search = self._stores.page_search
        known = search.fitting(places, Filters())
        fitting = known if filters == Filters() else search.fitting(places, filters)
        rows: dict[Key, PageRow | None] = {}
        for key, place in places.items():
            row = known.get(key)
            if row and row.expires_at and row.expires_at <= now and not expired:
                continue
            # What a session said was narrowed by its turns; its page may not be written, or say less.
            if key in fitting or (
                session_of(key[1])
                and filters.take_sessions
                and filters.take(key[1])
                and ("turns" in place or self._is_within(key, filters))
            ):
                rows[key] = row
        return rows

    def _is_within(self, key: Key, filters: Filters) -> bool:
        session = self._stores.index.session(key[0], _session_id(key))
        if session is None:
            return False
        return (not filters.since or session.last >= filters.since) and (
            not filters.before or session.started < filters.before
        )

    def _hidden(self) -> list[int]:
        """Name the rows of sessions whose pages somebody deleted, or that went cold; read when tombstones change."""
        gone = dict(self._stores.wiki.gone)
        if self._gone.keys() != gone.keys() or any(self._gone[scope] is not gone[scope] for scope in gone):
            sessions = (
                (scope, session) for scope, stones in gone.items() for path in stones if (session := session_of(path))
            )
            self._without = self._stores.turns.rows(sessions)
            self._gone = gone
        return self._without

    def _named(self, text: str) -> set[UUID]:
        """Name the projects whose names are in a question."""
        return {
            each.id
            for each in self._projects.all()
            if each.name in text.lower()
            and re.search(rf"(?<![\w-]){re.escape(each.name)}(?![\w-])", text, re.IGNORECASE)
        }

    # The hits

    def _hits(
        self,
        best: Sequence[Candidate],
        query: Query,
        rows: dict[Key, PageRow | None],
        chunks: dict[Key, int],
        turns: dict[Key, int],
        factors: dict[Key, float],
    ) -> list[Hit]:
        search = self._stores.page_search
        # A page that came by a link is quoted from its beginning.
        came = [each.key for each in best if each.key not in chunks and each.key not in turns]
        chunks = chunks | search.beginnings(came)
        texts = search.chunks(chunks[each.key] for each in best if each.key in chunks)
        said = self._stores.turns.texts(turns[each.key] for each in best if each.key in turns)
        places = [(said.get(turns.get(each.key, 0)), texts.get(chunks.get(each.key, 0))) for each in best]
        quoted = [turn.text if turn else chunk.body if chunk else "" for turn, chunk in places]
        snippets = self._snippets(query, quoted)
        hits = []
        for each, (turn, chunk), text, snippet in zip(best, places, quoted, snippets, strict=True):
            row = rows[each.key]
            title = row.title if row else self._session_title(each.key)
            summary = row.summary if row and not turn else ""
            hits.append(
                Hit(
                    project=self._projects.get(each.key[0]),
                    path=each.key[1],
                    kind=row.kind if row else SESSION,
                    title=title,
                    heading=chunk.heading if chunk and not turn else "",
                    snippet=snippet or descriptor(around(text, ()), "" if turn else title, summary),
                    score=each.score,
                    why=self._why(each),
                    details=self._details(each, factors[each.key]),
                    turn=QuotedTurn(turn.n, turn.at, turn.kind) if turn else None,
                    is_page=row is not None,
                    passage=text,
                )
            )
        return hits

    def _snippets(self, query: Query, texts: Sequence[str]) -> list[str]:
        """Quote of each text the place that fits a question; "" where it has none of the words."""
        if not query.match:
            return [""] * len(texts)
        parts = [around(text, query.terms) for text in texts]
        quotes = self._stores.words.quotes(query.match, parts)
        return [quote or marked_run(part, query.terms) for quote, part in zip(quotes, parts, strict=True)]

    def _session_title(self, key: Key) -> str:
        session = self._stores.index.session(key[0], _session_id(key))
        return session.title if session and session.title else f"Session {_session_id(key)}"

    def _why(self, found: Candidate) -> str:
        reasons = [_WHY[name] for name in found.places if name != LINKS]
        if found.via:
            reasons.append(f"a link to or from {found.via[1]}")
        return ", ".join(reasons)

    def _details(self, found: Candidate, factor: float) -> dict[str, object]:
        streams = {
            name: {"rank": place.rank, "score": round(place.score, 6), "share": round(place.share, 4)}
            for name, place in found.places.items()
        }
        via = {"via": found.via[1]} if found.via else {}
        return {"streams": streams, **via, "factor": round(factor, 4), "fused": round(found.score, 6)}

    # Without the streams

    def _as_of(self, query: Query, scope: Sequence[UUID], limit: int, at: datetime, now: datetime) -> Answer:
        filters = query.filters
        if filters.kinds or filters.tags or filters.since or filters.before:
            raise BadRequestError("of the filters only path: works on former versions")
        if not query.match:
            raise BadRequestError("former versions are searched by words: say some")
        pages = self._stores.page_search.find(query.match, scope, _POOL, now=now, at=at, filters=filters)
        pages = [each for each in pages if filters.take(each.path) and self._projects.known(each.project_id)][:limit]
        texts = self._stores.page_search.chunks(each.chunk for each in pages)
        snippets = self._snippets(query, [texts[each.chunk].body for each in pages])
        hits = [
            Hit(
                project=self._projects.get(each.project_id),
                path=each.path,
                kind=SESSION if session_of(each.path) else "page",
                title=texts[each.chunk].title,
                heading=texts[each.chunk].heading,
                snippet=snippet or descriptor(texts[each.chunk].body, texts[each.chunk].title, ""),
                score=each.score,
                why=f"its words on {stamp(at)}",
                passage=texts[each.chunk].body,
            )
            for each, snippet in zip(pages, snippets, strict=True)
        ]
        return Answer(hits, ["pages"] if hits else [])

    def _listing(self, filters: Filters, scope: Sequence[UUID], limit: int, now: datetime, *, expired: bool) -> Answer:
        return Answer([hit for hit, _ in self._newest(filters, scope, limit, now, expired=expired)], [])

    def _newest(
        self, filters: Filters, scope: Sequence[UUID], limit: int, now: datetime, *, expired: bool
    ) -> list[tuple[Hit, datetime]]:
        search = self._stores.page_search
        changed = search.newest(scope, limit, now=now, filters=filters, expired=expired)
        rows = search.fitting(changed, Filters())
        beginnings = search.beginnings(list(changed))
        texts = search.chunks(beginnings.values())
        bodies = {key: texts[number].body for key, number in beginnings.items() if number in texts}
        return [
            (
                Hit(
                    project=self._projects.get(key[0]),
                    path=key[1],
                    kind=rows[key].kind,
                    title=rows[key].title,
                    heading="",
                    snippet=descriptor(around(bodies.get(key, ""), ()), rows[key].title, rows[key].summary),
                    score=0.0,
                    why="the filters; the last changed first" if filters != Filters() else "the last changed first",
                    passage=bodies.get(key, ""),
                ),
                at,
            )
            for key, at in changed.items()
            if key in rows and rows[key].size != MISSING and self._projects.known(key[0])
        ]


def _standing(key: Key, row: PageRow | None, salience: float) -> float:
    """Give what a hit's page is beside what it says."""
    if row is None:
        return authority_of(key[1], SESSION, _SESSION_TIER, (), pinned=False)
    return authority_of(key[1], row.kind, row.tier, row.tags, pinned=row.pinned, salience=salience)


def _key(project_id: UUID, session_id: UUID) -> Key:
    return project_id, session_path(session_id)


def _session_id(key: Key) -> UUID:
    session_id = session_of(key[1])
    if session_id is None:
        raise ValueError(f"{key[1]} is no session's page")
    return session_id
