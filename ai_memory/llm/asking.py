"""What a model is asked, what it answers, how asking can fail, and what each request has cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ai_memory.errors import AiMemoryError

#: How asking fails. Only "transient" passes by itself; the same request would meet the others again.
Kind = Literal["transient", "terminal", "refused", "truncated", "unparsable", "unconfigured", "over-budget"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question.

    Attributes:
        purpose: what the meter counts it by, for example "consolidation".
        system: who the model is, and what it is to do.
        user: what it is to do it with.
        schema: the shape of the answer, a closed JSON schema (see `closed.faults`); None: the answer is a text.
        max_tokens: of the answer, hidden reasoning included.
        temperature: 0 is the most likely words; not told to models that refuse it.
    """

    purpose: str
    system: str
    user: str
    schema: Mapping[str, Any] | None = None
    max_tokens: int = 4096
    temperature: float = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: as it came.
        value: the JSON object in it, with the keys that the schema asks for; what is inside of them is for the caller
            to check (`closed.problems`), item by item. None where no schema was given.
        provider, model: who answered.
        tokens_in, tokens_out: as the vendor counted them, 0 where it counts none.
        seconds: how long that took.
    """

    text: str
    value: Any
    provider: str
    model: str
    tokens_in: int
    tokens_out: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One request that went out to a model, for the meter.

    Attributes:
        purpose: that of the `Ask`.
        provider, model: who was asked.
        tokens_in, tokens_out: as the vendor counted them, 0 where it said nothing, as in most failures.
        cost: in dollars by the table of prices, None for a model that the table does not know.
        outcome: "ok", or the kind of the failure.
    """

    purpose: str
    provider: str
    model: str
    tokens_in: int
    tokens_out: int
    cost: float | None
    outcome: Literal["ok"] | Kind


class ModelError(AiMemoryError):
    """A model gave no answer that can be used.

    Attributes:
        kind: why; see `Kind`.
        retry_after: seconds that the vendor asked to wait, None when it named none.
        tokens_in, tokens_out: what was paid all the same.
        said: the vendor's own words, shortened and without keys, "" where it said nothing. The message does not hold
            them: they may repeat what was asked, and the message is logged and shown by `status`.
    """

    def __init__(
        self,
        message: str,
        kind: Kind,
        *,
        retry_after: float | None = None,
        tokens_in: int = 0,
        tokens_out: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.retry_after = retry_after
        self.tokens_in, self.tokens_out = tokens_in, tokens_out
        self.said = ""
        self.status = 503 if kind in ("transient", "unconfigured", "over-budget") else 502


def never() -> bool:
    """Say that nobody wants to stop."""
    return False


class Chat(Protocol):
    """A model that answers; may be used by several threads at once, and takes as long as the vendor does."""

    @property
    def provider(self) -> str:
        """Who is asked first, for example "anthropic"."""

    @property
    def model(self) -> str:
        """By which name of a model."""

    def ask(self, ask: Ask, *, cancelled: Callable[[], bool] = never) -> Answer:
        """Ask, with patience where the vendor is busy.

        Args:
            ask: the question.
            cancelled: whether the caller gave up; looked at before each request and while waiting for the next one.

        Raises:
            ModelError: there is no answer; every request that went out is in the meter.
        """
