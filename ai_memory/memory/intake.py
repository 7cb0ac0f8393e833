"""Intake: events of any agent become observations in the raw log, each exactly once.

`record` takes what arrived in the meantime as one group: map, scrub, resolve, append, sync, then answer. A 2xx
that follows from it is durable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

from ai_memory.capture.payload import Skipped, cwd_of, observe, session_key, stem_of
from ai_memory.client.agents import Agent, agent_named
from ai_memory.errors import AiMemoryError, BadRequestError, BusyError, StorageError, TooLargeError
from ai_memory.memory.meters import Meter
from ai_memory.memory.projects import Projects
from ai_memory.memory.stores import Stores
from ai_memory.model.event import Kind, Observation
from ai_memory.model.ids import new_id
from ai_memory.model.scope import Project
from ai_memory.model.session import Session, advanced, begun
from ai_memory.search.turns import turns_of
from ai_memory.store.index import Row
from ai_memory.store.rawlog import Entry
from ai_memory.store.steps import Step, reached

BATCH_ITEMS = 256
KEY_DAYS = 30
_REMEMBERED = 8192
_FUTURE = timedelta(minutes=5)
_LONGEST_SESSION_ID = 512
#: What reading a payload of an unforeseen form can raise; a storage error is none of them.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_HEXADECIMAL = frozenset("0123456789abcdef")
_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
SELF_TEST = "_ai_memory_self_test"
PUT_OFF = "put_off"
#: Outcomes of events that were taken as they are, and of those that a policy keeps out.
_QUEUED = ("stored", "replayed", "ignored_end")
_BY_POLICY = ("dropped_policy", "dropped_subagent")
_ALWAYS_TOLD = (*_QUEUED, "dropped_invalid", "shed_saturated", "failed")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it arrived: `/hook` with its query, or `/hook/batch` (query None)."""

    query: Mapping[str, str] | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event.

    Attributes:
        what: "stored", "replayed", "ignored_end", "dropped_policy", "dropped_subagent", "dropped_invalid",
            "dropped_scope", "dropped_deleted", "self_test", or "put_off" (its delivery is refused for now).
        scope: the workspace and project, "" when there is none.
        by: how the scope was found, or why the event was dropped.
    """

    what: str
    scope: str = ""
    by: str = ""


@dataclass(slots=True)
class _Group:
    """What one call of `record` will append."""

    sessions: dict[tuple[UUID, UUID], Session] = field(default_factory=dict)
    observations: dict[tuple[UUID, UUID], list[Observation]] = field(default_factory=dict)
    projects: dict[UUID, Project] = field(default_factory=dict)
    keys: set[tuple[UUID, str]] = field(default_factory=set)
    homes: dict[UUID, tuple[UUID, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be captured at all (settings)."""

    prompts: bool = True
    answers: bool = True


class Intake:
    """Takes events in. One thread at a time calls `record`."""

    def __init__(
        self, stores: Stores, projects: Projects, policy: Policy, on_change: Callable[[Session, Kind], None]
    ) -> None:
        """Compose; `on_change` hears of each stored observation and the session that it advanced."""
        self._stores = stores
        self._projects = projects
        self._policy = policy
        self._on_change = on_change
        self.meter = Meter()
        self.self_tests: dict[str, datetime] = {}
        self._persisted_ms: int | None = None
        # What the index would answer for sessions that speak now: this thread alone changes it.
        self._sessions: dict[tuple[UUID, UUID], Session] = {}
        self._homes: dict[UUID, tuple[UUID, ...]] = {}

    def record(self, deliveries: Sequence[Delivery]) -> list[list[Outcome] | AiMemoryError]:
        """Store the events of several requests, synced when this returns.

        Returns:
            for each delivery its events' outcomes, or the error that refuses the whole delivery.
        """
        with self._stores.intake_lock:
            return self._record(deliveries)

    def _record(self, deliveries: Sequence[Delivery]) -> list[list[Outcome] | AiMemoryError]:
        group = _Group()
        answers: list[list[Outcome] | AiMemoryError] = []
        for delivery in deliveries:
            try:
                taken = [self._take_safely(query, payload, group) for query, payload in _events(delivery)]
                put_off = next((each.by for each in taken if each.what == PUT_OFF), "")
                # The client keeps all of them; what was taken is known by its key when it comes again.
                answers.append(BusyError(put_off) if put_off else taken)
            except AiMemoryError as error:
                answers.append(error)
        try:
            self._store(group)
        except StorageError as error:
            self.meter.failed(error, self._stores.clock())
            return [answer if isinstance(answer, AiMemoryError) else error for answer in answers]
        for answer in answers:
            if not isinstance(answer, AiMemoryError):
                for outcome in answer:
                    self.meter.count(outcome.what, self._stores.clock())
        return answers

    def shed(self) -> None:
        """Count a request that was refused because too many wait."""
        self.meter.count("shed_saturated", self._stores.clock())

    def report(self) -> dict[str, object]:
        """Give what the meter counted, with what the wire asks for at all times: `status` says it under `ingest`.

        Events, but for `shed_saturated`, which are requests; `accepted` ones were answered as queued.
        """
        meter = self.meter
        return {
            **dict.fromkeys(_ALWAYS_TOLD, 0),
            **meter.report(),
            "accepted": sum(meter[outcome] for outcome in _QUEUED),
            "dropped_by_policy": sum(meter[outcome] for outcome in _BY_POLICY),
            "last_persisted_ms": self._persisted_ms,
        }

    def failed(self, error: Exception) -> None:
        """Count a group that could not be taken, and keep its error for `status`."""
        self.meter.failed(error, self._stores.clock())

    def _take_safely(self, query: Mapping[str, str], payload: Any, group: _Group) -> Outcome:
        """Take one event; one that cannot be read is refused alone, never with its neighbours."""
        try:
            if problem := _problem(query, payload):
                return Outcome("dropped_invalid", by=problem)
            return self._take(query, payload, group)
        except _MALFORMED as error:
            self.meter.failed(error, self._stores.clock())
            return Outcome("dropped_invalid", by=f"the payload cannot be read ({type(error).__name__})")

    def _take(self, query: Mapping[str, str], payload: Mapping[str, Any], group: _Group) -> Outcome:
        now = self._stores.clock()
        if isinstance(nonce := payload.get(SELF_TEST), str) and nonce:
            self._remember_test(nonce, now)
            return Outcome("self_test")
        if _capture_policy(payload) == "drop":
            return Outcome("dropped_policy", by="the client's capture policy")
        agent = agent_named("cursor" if "cursor_version" in payload else query.get("agent", ""))
        event = query["event"]
        if not _is_known(event, agent, query):
            return Outcome("dropped_invalid", by=f"unknown event {event[:64]!r} of {agent.title}")
        cwd = cwd_of(payload)
        observed = observe(
            event=event,
            agent=agent,
            payload=payload,
            at=_time_of(payload, now),
            scrub=self._stores.scrubber.scrub,
            key=self._key_of(query),
            cwd=cwd or query.get("cwd", ""),
            extension=query.get("extension", ""),
            source_event=query.get("source_event", ""),
            prompts=self._policy.prompts,
            answers=self._policy.answers,
        )
        if isinstance(observed, Skipped):
            return Outcome(
                "dropped_subagent" if observed.reason == "subagent" else "dropped_policy", by=observed.reason
            )
        identified = session_key(payload, query.get("session_id", ""))
        if identified is None:
            if stem_of(event, agent) != "session-start":
                return Outcome("dropped_invalid", by="no session id")
            fresh = new_id(now)
            identified = (str(fresh), fresh)
        return self._place(observed, identified, query, cwd, group)

    def _place(
        self,
        observed: Observation,
        identified: tuple[str, UUID],
        query: Mapping[str, str],
        cwd: str,
        group: _Group,
    ) -> Outcome:
        native, session_id = identified
        native = native.encode("utf-8", "replace").decode()
        if len(native) > _LONGEST_SESSION_ID:
            return Outcome("dropped_invalid", by=f"the session id is longer than {_LONGEST_SESSION_ID} characters")
        works_in = self._session_projects(session_id, group)
        try:
            routing = self._projects.routing(query, cwd)
            if self._projects.was_purged(routing, observed.at, works_in):
                return Outcome("dropped_deleted", by="the project was purged since")
            resolved = self._projects.ensure(routing, works_in)
        except BadRequestError as error:
            return Outcome("dropped_scope", by=str(error))
        project = self._projects.home(resolved.project, session_id)
        for home in filter(None, (resolved.project, project)):
            if refusal := self._stores.operations.refusal(home.id):
                return Outcome(PUT_OFF, home.label, refusal)
        if project is None:
            return Outcome("dropped_deleted", resolved.project.label, "the session was purged")
        # A session that has moved may have stored the event where it was then.
        if observed.key and any(
            self._is_known(home, observed.key, group) for home in {project.id, *(other.id for other in works_in)}
        ):
            return Outcome("replayed", project.label, resolved.by)
        place = (project.id, session_id)
        session = group.sessions.get(place) or self._sessions.get(place) or self._stores.index.recorded(*place)
        if observed.kind is Kind.SESSION_END and (session is None or session.is_over):
            return Outcome("ignored_end", project.label, resolved.by)
        if session is None:
            native = native if native == str(session_id) else self._stores.scrubber.scrub(native)
            session = begun(observed, project_id=project.id, session_id=session_id, native=native)
        group.sessions[place] = advanced(session, observed)
        group.observations.setdefault(place, []).append(observed)
        group.projects[project.id] = project
        homes = group.homes.get(session_id) or self._homes.get(session_id, ())
        if homes[:1] != (project.id,):
            group.homes[session_id] = (project.id, *(home for home in homes if home != project.id))
        if observed.key:
            group.keys.add((project.id, observed.key))
        return Outcome("stored", project.label, resolved.by)

    def _session_projects(self, session_id: UUID, group: _Group) -> list[Project]:
        homes = group.homes.get(session_id) or self._homes.get(session_id)
        if homes is None:
            homes = tuple(part.project_id for part in self._stores.index.sessions_of(session_id))
            group.homes[session_id] = homes
        return [project for home in homes if (project := self._projects.known(home))]

    def _is_known(self, project_id: UUID, key: str, group: _Group) -> bool:
        return (project_id, key) in group.keys or self._stores.index.knows_key(project_id, key)

    def _store(self, group: _Group) -> None:
        places = list(group.observations)
        if not places:
            return
        entries = [
            Entry(group.projects[place[0]], place[1], group.sessions[place].native, group.observations[place])
            for place in places
        ]
        turns = [turns_of(group.sessions[place], group.observations[place]) for place in places]
        now = self._stores.clock()
        sizes = self._stores.rawlog.append(entries)
        reached(Step.INGEST_APPENDED)
        try:
            self._stores.index.save(
                Row(group.sessions[place], size, group.observations[place], said, now)
                for place, said, (_, size) in zip(places, turns, sizes, strict=True)
            )
        except StorageError:
            # The client will send these again: a line without its key in the index would be doubled.
            for entry, (size, _) in zip(entries, sizes, strict=True):
                self._stores.rawlog.cut(entry, size)
            raise
        reached(Step.INGEST_INDEXED)
        for project_id in group.projects:
            self._stores.changes.note(project_id, "sessions")
        self._persisted_ms = int(now.timestamp() * 1000)
        self._remember(group)
        for place in places:
            for observation in group.observations[place]:
                self._on_change(group.sessions[place], observation.kind)

    def forget(self) -> None:
        """Forget what was remembered of sessions: they were moved or purged. The caller holds the intake lock."""
        self._sessions.clear()
        self._homes.clear()

    def _key_of(self, query: Mapping[str, str]) -> str:
        key = query.get("ingest_key", "")
        if len(key) > 64 or not _KEY_CHARACTERS.issuperset(key):
            return ""
        # A key is stored as it is; ours are hexadecimal, and somebody else's may be anything.
        return key if _HEXADECIMAL.issuperset(key) or self._stores.scrubber.scrub(key) == key else ""

    def _remember(self, group: _Group) -> None:
        if len(self._sessions) + len(self._homes) > _REMEMBERED:
            self._sessions.clear()
            self._homes.clear()
        self._sessions.update(group.sessions)
        self._homes.update({session: group.homes[session] for _, session in group.sessions if session in group.homes})

    def _remember_test(self, nonce: str, now: datetime) -> None:
        self.self_tests[nonce[:64]] = now
        while len(self.self_tests) > 64:
            del self.self_tests[next(iter(self.self_tests))]


def _events(delivery: Delivery) -> list[tuple[Mapping[str, str], Any]]:
    """Take a delivery apart into (query, payload) pairs.

    Raises:
        BadRequestError: the body is not what the route takes.
        TooLargeError: a batch of more than 256 items.
    """
    try:
        body = json.loads(delivery.body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if delivery.query is not None:
        if not isinstance(body, dict):
            raise BadRequestError("the body must be a JSON object, the agent's payload")
        return [(delivery.query, body)]
    if not isinstance(body, list):
        raise BadRequestError('the body must be a JSON array of {"url": …, "body": …}')
    if len(body) > BATCH_ITEMS:
        raise TooLargeError(f"a batch holds at most {BATCH_ITEMS} items, this one has {len(body)}")
    events: list[tuple[Mapping[str, str], Any]] = []
    for number, item in enumerate(body):
        if not isinstance(item, dict) or not isinstance(item.get("url"), str):
            raise BadRequestError(f'item {number} must be an object with a "url" and a "body"')
        events.append((query_of(item["url"]), item.get("body")))
    return events


def query_of(url: str) -> dict[str, str]:
    """Read the query of a URL; the last of two values of one name counts, an empty value is none."""
    text = url.partition("?")[2].partition("#")[0]
    pairs = [pair.split("=", 1) for pair in text.split("&") if "=" in pair]
    if "%" in text or "+" in text:
        pairs = [[unquote_plus(part) for part in pair] for pair in pairs]
    return {name: value for name, value in pairs if value}


def _is_known(event: str, agent: Agent, query: Mapping[str, str]) -> bool:
    """Tell whether an event is one that its agent can send; an agent that we never met may send any."""
    if stem_of(event, agent) != "other" or query.get("extension"):
        return True
    return bool(query.get("agent")) and not agent.events


def _problem(query: Mapping[str, str], payload: Any) -> str:
    """Say what makes an event none at all, "" when nothing does."""
    if not query.get("event"):
        return "the query must name the event (event=session-start, user-prompt, stop, …)"
    return "" if isinstance(payload, dict) else "the payload must be a JSON object"


def _capture_policy(payload: Mapping[str, Any]) -> object:
    policy = payload.get("_ai_memory_capture")
    return policy.get("disposition") if isinstance(policy, dict) else None


def _time_of(payload: Mapping[str, Any], now: datetime) -> datetime:
    """Give the event's own time where the client sent one that can be true, else now."""
    text = payload.get("occurred_at")
    if isinstance(text, str):
        try:
            at = datetime.fromisoformat(text)
            at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return now
        if datetime(1970, 1, 2, tzinfo=UTC) < at <= now + _FUTURE:
            return at
    return now
