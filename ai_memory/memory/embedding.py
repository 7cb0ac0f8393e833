"""Embedding: the texts of pages and sessions become vectors in the background, and a question one while it is asked.

A text without vectors waits, whoever wrote it and whatever was in the way before; so there is nothing to repair. Search
by words never waits for any of this.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from ai_memory.errors import AiMemoryError
from ai_memory.memory.meters import Meter
from ai_memory.memory.stores import Stores
from ai_memory.search.embed.embedder import Embedder, EmbeddingError
from ai_memory.search.pieces import pieces_of
from ai_memory.store.vectors import Coverage, Near, Waiting

#: How long a search waits for the vector of its question: from a model of this machine, and from a vendor.
_LOCAL_SECONDS, _VENDOR_SECONDS = 0.5, 1.5
#: After a question without an answer the next ones do not wait for so long.
_BREAK_SECONDS = 30.0
_QUESTIONS_KEPT = 128
#: Texts that are looked up at once, and pieces that are embedded at once.
_AHEAD, _BATCH = 128, 32
#: Of a text. A tool's result begins with what it is about.
_PIECES, _PIECES_OF_TOOL = 16, 2
#: Rests when there is nothing to do: until something is written, and until it is looked all the same.
_POLL_SECONDS, _LOOK_SECONDS = 2.0, 60.0
#: Waits after a vendor's own trouble, and after the refusal of one text.
_TROUBLE = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1))
_REFUSED = (timedelta(hours=1), timedelta(days=1))
_SPEND_SECONDS = 60.0
_SPEND_DAYS = timedelta(days=29)
#: What no embedder has anything against.
_HARMLESS = "memory"
_ERROR_LIMIT = 500
_STATUS = re.compile(r"\(HTTP (\d{3})")
_RATE_LIMITED = "429"


class NoEmbedderError(AiMemoryError):
    """There is nothing that turns texts into vectors."""

    status = 503


class _StoppedError(AiMemoryError):
    """The server is stopping."""

    status = 503


class Embedding:
    """Vectors of one memory. Any thread may ask; one at a time embeds texts."""

    def __init__(self, stores: Stores, provider: str, factory: Callable[[], Embedder] | None) -> None:
        """Compose; nothing is loaded yet.

        Args:
            stores: what is embedded, and where the vectors go.
            provider: what the settings name.
            factory: makes the embedder, which may take seconds; None where nobody wants one.
        """
        self._stores = stores
        self._provider = provider
        self._factory = factory
        self._embedder: Embedder | None = None
        #: Its number in the index.
        self._model = 0
        self._stopping = False
        self._closed = False
        self.meter = Meter()
        # Whoever embeds texts holds the first for a batch, and the second only while the stores are used for it: a
        # vendor that hangs does not keep them from being closed.
        self._turn = threading.Lock()
        self._storing = threading.Lock()
        self._ahead: list[Waiting] = []
        #: Commits of the index, and when, at the last time when nothing waited.
        self._settled = (-1, 0.0)
        self._strikes = 0
        self._not_before = stores.clock()
        self._trouble = ""
        # Questions.
        self._asking = threading.Lock()
        self._questions: OrderedDict[str, bytes] = OrderedDict()
        self._broken_until = 0.0
        self._broken = ""
        self._requests = 0
        self._spent = time.monotonic()

    @property
    def is_on(self) -> bool:
        """Whether the settings name who makes vectors."""
        return self._factory is not None

    def stop(self) -> None:
        """Let whoever embeds end after the batch that it is at."""
        self._stopping = True

    def close(self) -> None:
        """Stop, and keep what was spent; no store is used by it afterwards, also not when a vendor answers at last."""
        self.stop()
        with self._storing:
            if not self._closed:
                self._closed = True
                self._note_spend()

    @contextmanager
    def _stores_open(self) -> Iterator[Stores]:
        with self._storing:
            if self._stopping:
                raise _StoppedError
            yield self._stores

    # Questions

    def query(self, text: str, budget: float | None = None) -> tuple[bytes | None, str]:
        """Give the vector of a question, or None and why there is none; "" when nobody wants one.

        Args:
            text: what is asked.
            budget: seconds to wait; None: as long as is sensible for who makes the vectors.
        """
        # One piece says what is asked; a question that is too long would be refused.
        text = next(iter(pieces_of(text.strip())), "")
        if self._factory is None or not text:
            return None, ""
        embedder = self._embedder
        if embedder is None:
            return None, self._trouble or "the embedding model is being loaded"
        with self._asking:
            if text in self._questions:
                self._questions.move_to_end(text)
                return self._questions[text], ""
            if time.monotonic() < self._broken_until:
                return None, self._broken
        if budget is None:
            budget = _LOCAL_SECONDS if embedder.provider == "local" else _VENDOR_SECONDS
        answer: Future[bytes] = Future()
        # A daemon: one that hangs must not keep the server from ending.
        threading.Thread(target=self._ask, args=(embedder, text, answer), name="question", daemon=True).start()
        try:
            vector = answer.result(budget)
        except TimeoutError:
            error = EmbeddingError(f"{embedder.provider} gave no vector of the question in {budget:g} s", "later")
        except EmbeddingError as refused:
            error = refused
        else:
            return vector, ""
        reason = str(error)
        # What is refused for itself says nothing about the next question.
        if error.retry == "later":
            with self._asking:
                self._broken_until, self._broken = time.monotonic() + _BREAK_SECONDS, reason
        self.meter.failed(error if error.retry == "later" else _without_detail(embedder, error), self._stores.clock())
        return None, reason

    def _ask(self, embedder: Embedder, text: str, answer: Future[bytes]) -> None:
        try:
            with self._asking:
                self._requests += 1
            vector = embedder.query(text)
        except EmbeddingError as error:
            answer.set_exception(error)
        except BaseException as error:
            answer.set_exception(error)
            raise
        else:
            # Also one that comes too late: it is asked again soon.
            with self._asking:
                self._questions[text] = vector
                if len(self._questions) > _QUESTIONS_KEPT:
                    self._questions.popitem(last=False)
            answer.set_result(vector)

    def nearest(self, vector: bytes, projects: Sequence[UUID], limit: int) -> list[Near]:
        """Find what is nearest to a question's vector; no projects means everywhere."""
        return self._stores.vectors.nearest(self._model, vector, projects, limit, self._stores.clock())

    # Texts

    def step(self) -> float:
        """Embed a batch of what waits; gives the seconds to rest until the next step.

        Raises:
            StorageError: the index could not be written.
        """
        if self._factory is None or self._stopping:
            return _LOOK_SECONDS
        # A clock that was wrong once must not put this off for years.
        if timedelta() < self._not_before - self._stores.clock() <= _TROUBLE[-1]:
            return _POLL_SECONDS
        with self._turn:
            commits, begun = self._stores.database.commits, time.monotonic()
            settled, at = self._settled
            try:
                if begun - self._spent >= _SPEND_SECONDS:
                    with self._stores_open():
                        self._note_spend()
                if settled == commits and begun - at < _LOOK_SECONDS:
                    return _POLL_SECONDS
                embedder = self._loaded()
                if not self._batch(embedder, self._ahead, ()):
                    self._settled = commits, begun
                    # To look through 100,000 texts takes 0.2 s.
                    return max(_POLL_SECONDS, 20 * (time.monotonic() - begun))
            except _StoppedError:
                return _LOOK_SECONDS
            except EmbeddingError as error:
                self.failed(error)
                return _POLL_SECONDS
            # A model of this machine leaves half of it to who takes events in and who searches.
            return time.monotonic() - begun if embedder.provider == "local" else 0.0

    def failed(self, error: Exception) -> None:
        """Count a step that could not be done, keep its error for `status`, and do none for a while."""
        now = self._stores.clock()
        wait = _TROUBLE[min(self._strikes, len(_TROUBLE) - 1)]
        if isinstance(error, EmbeddingError):
            wait = min(max(wait, timedelta(seconds=min(error.after, 1e6))), _TROUBLE[-1])
        self._strikes += 1
        self._not_before = now + wait
        self._trouble = str(error)[:_ERROR_LIMIT]
        self.meter.failed(error, now)

    def embed(
        self, projects: Sequence[UUID], *, reembed: bool = False, dry_run: bool = False, seconds: float | None = None
    ) -> dict[str, object]:
        """Embed what waits in projects.

        Args:
            projects: which, at least one.
            reembed: drop all vectors of them first, also those of other models.
            dry_run: only count.
            seconds: for about so long; None: until nothing waits.

        Returns:
            the answer of `/admin/embed`.

        Raises:
            NoEmbedderError: there is nothing that embeds.
            EmbeddingError: it has trouble of its own; what was embedded until then is kept.
        """
        end = time.monotonic() + seconds if seconds is not None else None
        with self._turn:
            try:
                embedder = self._loaded()
            except EmbeddingError as error:
                raise NoEmbedderError(str(error)) from error
            with self._stores_open() as stores:
                before = stores.vectors.coverage(self._model, stores.clock(), projects)
            if reembed and not dry_run:
                # What there is must not be lost to an embedder that gives nothing instead.
                self._asked(embedder, [_HARMLESS])
                with self._stores_open() as stores:
                    stores.vectors.drop(projects)
        embedded, ahead = 0, list[Waiting]()
        while not (dry_run or self._stopping or (end is not None and time.monotonic() >= end)):
            with self._turn:
                taken = self._batch(embedder, ahead, projects)
                # They may be the same.
                self._ahead.clear()
            if not taken:
                break
            embedded += taken
        with self._stores_open() as stores:
            after = stores.vectors.coverage(self._model, stores.clock(), projects)
        return {
            "embedded": embedded,
            "skipped": 0 if reembed else before.embedded,
            "failed": after.failed,
            "would_embed": before.waiting + (before.embedded + before.failed if reembed else 0) if dry_run else 0,
            "waiting": after.waiting,
            "provider": embedder.provider,
            "model": embedder.model,
            "dim": embedder.dim,
            "dry_run": dry_run,
        }

    def _loaded(self) -> Embedder:
        if self._factory is None:
            raise NoEmbedderError("no embedding_provider is set: search goes by words alone")
        if self._embedder is None:
            embedder = self._factory()
            with self._stores_open() as stores:
                self._model = stores.vectors.model(embedder.provider, embedder.model, embedder.dim)
            self._embedder = embedder
            self._trouble = ""
        return self._embedder

    def _batch(self, embedder: Embedder, ahead: list[Waiting], projects: Sequence[UUID]) -> int:
        """Embed some of the texts that were looked up, or look up more of them; gives how many that were."""
        if not ahead:
            with self._stores_open() as stores:
                ahead += stores.vectors.waiting(self._model, _AHEAD, stores.clock(), projects)
        batch: list[tuple[Waiting, list[str]]] = []
        size = 0
        while ahead and size < _BATCH:
            text = ahead.pop()
            pieces = pieces_of(text.text)[: _PIECES_OF_TOOL if text.is_tool else _PIECES]
            batch.append((text, pieces))
            size += len(pieces)
        if not batch:
            return 0
        try:
            found = self._embedded(embedder, batch)
        except BaseException:
            # Those ahead are looked up again: some may be gone by then.
            ahead.clear()
            raise
        with self._stores_open() as stores:
            self._strikes, self._trouble, self._not_before = 0, "", stores.clock()
            self.meter.count("embedded", stores.clock(), stores.vectors.save(self._model, found))
        return len(batch)

    def _embedded(
        self, embedder: Embedder, batch: Sequence[tuple[Waiting, Sequence[str]]]
    ) -> list[tuple[Waiting, list[bytes]]]:
        """Embed texts in their pieces, without those that went or fail by themselves: the latter are noted as failed.

        Raises:
            EmbeddingError: it is not the texts.
        """
        with self._stores_open() as stores:
            # What was purged since it was looked up must reach no vendor.
            now = stores.clock()
            batch = [(text, pieces) for text, pieces in batch if stores.vectors.is_wanted(text, now)]
        if not batch:
            return []
        try:
            vectors = iter(self._asked(embedder, [piece for _, pieces in batch for piece in pieces]))
            return [(text, [next(vectors) for _ in pieces]) for text, pieces in batch]
        except EmbeddingError as error:
            status = _STATUS.search(str(error))
            if status and status[1] == _RATE_LIMITED:
                raise
            # A key that is wrong, a model that nobody has, or a vendor that is away: then this fails as well.
            self._asked(embedder, [_HARMLESS])
            if len(batch) > 1:
                middle = len(batch) // 2
                return [*self._embedded(embedder, batch[:middle]), *self._embedded(embedder, batch[middle:])]
            with self._stores_open() as stores:
                now = stores.clock()
                told = _without_detail(embedder, error)
                stores.vectors.fail(self._model, batch[0][0], str(told), now, _REFUSED, for_good=error.retry == "never")
            self.meter.failed(told, now)
            return []

    def _asked(self, embedder: Embedder, pieces: Sequence[str]) -> list[bytes]:
        with self._asking:
            self._requests += 1
        return embedder.documents(pieces)

    # Status

    def _note_spend(self) -> None:
        """Write down what was asked of a vendor since the last time."""
        self._spent = time.monotonic()
        embedder = self._embedder
        with self._asking:
            requests, self._requests = self._requests, 0
        # Of a request that was under way the last time only the tokens are missing.
        tokens = embedder.used_tokens() if embedder else 0
        if embedder and (requests or tokens) and embedder.provider != "local":
            day = self._stores.clock().date()
            self._stores.state.spend.add(day, embedder.provider, embedder.model, requests=requests, tokens=tokens)

    def coverage(self) -> Coverage:
        """Count the texts by what the present model has of them."""
        return self._stores.vectors.coverage(self._model, self._stores.clock())

    def derived(self, coverage: Coverage) -> dict[str, object]:
        """Give what there is of vectors, for `status`."""
        triples = self._stores.vectors.triples()
        return {
            "latest_pages_missing_embeddings": coverage.pages_missing,
            "embedding_rows": sum(count for *_, count in triples),
            "embedding_triples": [
                {"provider": provider, "model": model, "dim": dim, "count": count}
                for provider, model, dim, count in triples
            ],
        }

    def report(self, coverage: Coverage) -> dict[str, object]:
        """Say what makes the vectors, and how far it is, for `status`."""
        if self._factory is None:
            return {"configured": False}
        embedder = self._embedder
        state = "ready" if embedder else "loading"
        report: dict[str, object] = {
            "configured": True,
            "provider": embedder.provider if embedder else self._provider,
            "model": embedder.model if embedder else None,
            "dim": embedder.dim if embedder else None,
            "state": f"failed: {self._trouble}" if self._trouble else state,
            "embedded": coverage.embedded,
            "waiting": coverage.waiting,
            "failed": coverage.failed,
            "last_error": self.meter.report()["last_error"],
        }
        if embedder and embedder.provider != "local":
            self._note_spend()
            today, spend = self._stores.clock().date(), self._stores.state.spend
            model = (embedder.provider, embedder.model)
            report["spend"] = {"today": spend.since(today, *model), "days_30": spend.since(today - _SPEND_DAYS, *model)}
        return report


def _without_detail(embedder: Embedder, error: EmbeddingError) -> EmbeddingError:
    """Say that one text failed without what the vendor says of it: that may quote the text, and outlive its purge."""
    status = _STATUS.search(str(error))
    return EmbeddingError(
        f"{embedder.provider} gave no vector of a text{f' (HTTP {status[1]})' if status else ''}", error.retry
    )
