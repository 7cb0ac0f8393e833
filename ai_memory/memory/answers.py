"""Answers in words: what memory says to a question, with citations, and where a project stands; only if switched on.

A model is given texts that were found for the caller, and nothing else. What it answers is held against them. Whatever
fails, what was found is there all the same, with a sentence on why there is no answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ai_memory.compile.projection import shortened_within
from ai_memory.compile.request import BudgetTooSmallError
from ai_memory.compile.session_page import session_of
from ai_memory.compile.telling import Answered, Source, answer, explore, read_answer, read_prose
from ai_memory.config import Settings
from ai_memory.errors import NotFoundError
from ai_memory.llm.chat import Ask, ModelError
from ai_memory.memory.briefing import Snapshot
from ai_memory.memory.models import Models
from ai_memory.memory.pages import Pages
from ai_memory.memory.recall import Hit
from ai_memory.memory.stores import Stores
from ai_memory.model.handoff import stamp
from ai_memory.model.record import NARRATIVE_PAGE
from ai_memory.model.scope import Project

SETTING = "answer_with_model"
_ANSWER, _PROSE = "an answer in words", "an account in words"
_OFF = f"answers in words are switched off: write {SETTING} = true into config.toml and start the server again"
#: So many of the best hits are sent, and so many characters of each page of a briefing.
_SOURCES, _PAGE = 12, 2_000
#: Characters of a turn, and of what was said before and after it.
_TURN, _BESIDE = 1_600, 600
#: Clients wait a minute.
_PATIENCE = 50.0
_STEP = 0.25
#: So many are asked for at once: a model may hang, and the doors have few threads.
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Cited:
    """What an answer rests on.

    Attributes:
        number: of the citation in the text.
        hit: what is cited.
        revision: the commit of the page that was quoted, "" for a turn of a session and for what is not committed yet.
        quote: words that occur there.
    """

    number: int
    hit: Hit
    revision: str
    quote: str

    def as_json(self) -> dict[str, object]:
        """Give the citation as the wire has it."""
        hit = self.hit
        told: dict[str, object] = {
            "number": self.number,
            "workspace": hit.project.workspace,
            "project": hit.project.name,
            "path": hit.path,
            "revision": self.revision or None,
            "quote": self.quote,
        }
        return told | ({"turn": hit.turn.n} if hit.turn else {})


@dataclass(frozen=True, slots=True)
class Told:
    """An answer in words: its text, "" for none; what it rests on; and in a sentence why there is none, else ""."""

    text: str
    citations: tuple[Cited, ...] = ()
    missing: str = ""


class Answers:
    """Answers of one memory. Any thread may ask, holding no lock; it waits for less than a minute."""

    def __init__(self, stores: Stores, pages: Pages, models: Models, settings: Settings) -> None:
        self._stores = stores
        self._pages = pages
        self._models = models
        self._is_on: bool = settings[SETTING]
        self._free = threading.Semaphore(_AT_ONCE)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let nobody wait for an answer any more."""
        self._stopping.set()

    def to(self, question: str, hits: Sequence[Hit], at: datetime | None = None) -> Told:
        """Answer a question from what was found.

        Args:
            question: as it was asked.
            hits: what was found for the caller, the best first.
            at: the moment as of which it was searched, None for now.
        """
        found = [hit for hit in hits[:_SOURCES] if hit.passage.strip()]
        try:
            self._check(_ANSWER)
            if not found:
                return Told("", missing="nothing was found that could answer it")
            known = [self._source(hit, at) for hit in found]
            question = self._stores.scrubber.scrub(question)
            asked, used = answer(question, [source for source, _ in known], self._models.budget)
            said = read_answer(self._answer(_ANSWER, asked), used)
        except (ModelError, BudgetTooSmallError) as error:
            return Told("", missing=str(error))
        cited = tuple(
            Cited(each.number, found[each.number - 1], known[each.number - 1][1], each.quote) for each in said.citations
        )
        return Told(said.text, cited, _why(said))

    def about(self, project: Project, snapshot: Snapshot, focus: str = "", hits: Sequence[Hit] = ()) -> Told:
        """Say in words where a project stands.

        Args:
            project: which.
            snapshot: its briefing.
            focus: what the reader is about to work on, or "".
            hits: what was found for that.
        """
        try:
            self._check(_PROSE)
            briefing, paths = self._briefing(project, snapshot, hits)
            asked, ground = explore(briefing, self._stores.scrubber.scrub(focus), self._models.budget)
            said = read_prose(self._answer(_PROSE, asked), ground, paths)
        except (ModelError, BudgetTooSmallError) as error:
            return Told("", missing=str(error))
        return Told(said.text, (), _why(said))

    def gap(self, snapshot: Snapshot) -> str | None:
        """Say roughly how long nobody has worked on a project, for example "3 days"; None where nobody ever has."""
        last = snapshot.last_observation
        return _in_words(self._stores.clock() - last) if last else None

    def _source(self, hit: Hit, at: datetime | None) -> tuple[Source, str]:
        if hit.turn:
            return Source(hit.path, stamp(hit.turn.at), self._exchange(hit, hit.turn.n)), ""
        pages, project_id = self._stores.pages, hit.project.id
        version = pages.version_at(project_id, hit.path, at) if at else pages.newest(project_id, hit.path)
        row = pages.page(project_id, hit.path)
        if version is None or not (at or (row and row.blob == version.blob)):
            return Source(hit.path, "not committed yet", hit.passage), ""
        return Source(hit.path, stamp(version.at), hit.passage), version.revision

    def _exchange(self, hit: Hit, n: int) -> str:
        """Write a turn with what was said around it: a question is found by its words, and answered by others."""
        session_id = session_of(hit.path)
        around = self._stores.turns.exchange(hit.project.id, session_id, n) if session_id else []
        cut = (f"{kind}: {shortened_within(text, _TURN if place == n else _BESIDE)}" for place, kind, text in around)
        return "\n\n".join(cut) or hit.passage

    def _briefing(self, project: Project, snapshot: Snapshot, hits: Sequence[Hit]) -> tuple[str, list[str]]:
        """Write what is known of a project, and list the pages in it."""
        last = snapshot.last_observation
        since = f"{stamp(last)}, {self.gap(snapshot)} ago" if last else "never"
        parts = [f"Project {project.label}\nLast work: {since}\nOpen handoffs: {snapshot.pending_handoffs}\n"]
        listed = [*snapshot.rules, *snapshot.slots, *snapshot.pinned, *snapshot.recent]
        when = {NARRATIVE_PAGE: "", **{each.row.path: f", changed {stamp(each.changed)}" for each in listed}}
        paths = []
        for path, changed in when.items():
            with suppress(NotFoundError):
                view = self._pages.read(project, path)
                body = shortened_within(view.body.strip(), _PAGE)
                parts.append(f"# {view.title} ({path}, {view.kind}{changed})\n\n{body}\n")
                paths.append(path)
        parts += [f"# Fits the focus: {hit.title} ({hit.path})\n\n{hit.passage}\n" for hit in hits]
        return "\n".join(parts), [*paths, *(hit.path for hit in hits)]

    def _check(self, what: str) -> None:
        """See that a model may be asked for this.

        Raises:
            ModelError: there is none, or it may not.
        """
        self._models.sure(what)
        if not self._is_on:
            raise ModelError(_OFF, "unconfigured")

    def _answer(self, what: str, ask: Ask) -> Any:
        """Ask in a thread that nobody has to wait for.

        Raises:
            ModelError: there is no answer, or not in time.
        """
        if not self._free.acquire(blocking=False):
            raise ModelError("so many answers are being written that this one is not: ask again soon", "transient")
        late = threading.Event()
        reply: Future[Any] = Future()

        def run() -> None:
            try:
                reply.set_result(self._models.answer(what, ask, late.is_set))
            except BaseException as error:
                reply.set_exception(error)
                if not isinstance(error, ModelError):
                    raise
            finally:
                self._free.release()

        threading.Thread(target=run, name="answer", daemon=True).start()
        end = time.monotonic() + _PATIENCE
        while not reply.done() and not self._stopping.is_set() and time.monotonic() < end:
            with suppress(TimeoutError):
                reply.exception(_STEP)
        if not reply.done():
            late.set()
            why = "the server ends" if self._stopping.is_set() else f"the model takes longer than {_PATIENCE:.0f} s"
            raise ModelError(f"{what} did not come: {why}", "transient")
        return reply.result()


def _in_words(span: timedelta) -> str:
    seconds = max(span.total_seconds(), 0)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if count := int(seconds // length):
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def _why(said: Answered) -> str:
    if said.text:
        return ""
    if said.refused:
        return "what the model wrote is left out, because it does not stand on what was found"
    return "what was found does not answer it"
