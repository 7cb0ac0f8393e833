"""One model of one vendor: what all families have in common, above all that every request is in the meter."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ai_memory.llm.asking import Answer, Ask, Call, Kind, ModelError, never
from ai_memory.llm.closed import misshapen
from ai_memory.llm.prices import Prices, cost
from ai_memory.llm.prose import object_in
from ai_memory.llm.wire import Wire

#: What reading an answer of another form than the vendor's raises.
STRANGE = (KeyError, IndexError, TypeError, ValueError, AttributeError)
#: No vendor counts as many for one request.
_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class Reply:
    """What a vendor's answer says.

    Attributes:
        text: what the model wrote.
        end: whether that is "whole", was "cut" at the limit of tokens, or "refused".
        value: the object that the vendor itself took out of the answer, None where it is in the text.
    """

    text: str
    end: Literal["whole", "cut", "refused"]
    value: Any = None


@dataclass(frozen=True, slots=True)
class Meter:
    """Where requests are recorded, with what they cost."""

    record: Callable[[Call], None]
    prices: Prices


class Vendor(ABC):
    """A model that is asked once; see `Chat`."""

    def __init__(self, provider: str, model: str, meter: Meter, wire: Callable[[], Wire]) -> None:
        """Take who is asked, where it is recorded, and what opens the way: the SDK comes with the first question."""
        self.provider, self.model = provider, model
        self._meter, self._wire = meter, wire

    def ask(self, ask: Ask, *, cancelled: Callable[[], bool] = never) -> Answer:
        """Ask once; see `Chat.ask`."""
        if cancelled():
            raise ModelError(f"{self.provider} was not asked: nobody waits for the answer any more", "transient")
        try:
            wire = self._wire()
            begun = time.monotonic()
            return self._asked(wire, ask, begun)
        except ModelError as error:
            # What it was raised from holds the headers, and with them the key.
            error.__context__ = None
            raise

    @abstractmethod
    def _send(self, wire: Wire, ask: Ask) -> Any:
        """Make one request and give what came, as JSON.

        Raises:
            ModelError: nothing came.
        """

    @abstractmethod
    def _tokens(self, came: Any) -> tuple[int, int]:
        """Read the tokens in and out; of another form it may raise `STRANGE`."""

    @abstractmethod
    def _reply(self, came: Any) -> Reply:
        """Read what the vendor says; of another form it may raise `STRANGE`."""

    def _asked(self, wire: Wire, ask: Ask, begun: float) -> Answer:
        tokens = (0, 0)
        outcome: Literal["ok"] | Kind = "terminal"
        try:
            came = self._send(wire, ask)
            tokens = self._counted(came)
            reply = self._read(wire, came)
            answer = self._answer(ask, reply, tokens, time.monotonic() - begun)
            outcome = "ok"
        except ModelError as error:
            error.tokens_in, error.tokens_out = tokens
            outcome = error.kind
            raise
        else:
            return answer
        finally:
            dollars = cost(self.provider, self.model, *tokens, self._meter.prices)
            self._meter.record(Call(ask.purpose, self.provider, self.model, *tokens, dollars, outcome))

    def _counted(self, came: Any) -> tuple[int, int]:
        try:
            return self._tokens(came)
        except STRANGE:
            return 0, 0

    def _read(self, wire: Wire, came: Any) -> Reply:
        try:
            reply = self._reply(came)
        except STRANGE:
            raise wire.strange() from None
        if not isinstance(reply.text, str):
            raise wire.strange()
        return reply

    def _answer(self, ask: Ask, reply: Reply, tokens: tuple[int, int], seconds: float) -> Answer:
        who = f"{self.model} of {self.provider}"
        if reply.end == "refused":
            raise ModelError(f"{who} refused to answer ({ask.purpose})", "refused")
        if reply.end == "cut" or (reply.value is None and not reply.text.strip()):
            what = "needs more tokens than it was given" if reply.end == "cut" else "said nothing"
            raise ModelError(
                f"{who} {what} ({ask.purpose}, at most {ask.max_tokens:,} tokens): hidden reasoning counts, too, so "
                "a model that thinks less may do",
                "truncated",
            )
        value = None
        if ask.schema is not None:
            value = object_in(reply.text) if reply.value is None else reply.value
            if wrong := misshapen(value, ask.schema):
                raise ModelError(
                    f"{who} did not answer in the shape that was asked for ({ask.purpose}): {wrong}", "unparsable"
                )
        return Answer(reply.text, value, self.provider, self.model, *tokens, seconds)


def count(usage: Mapping[str, Any] | None, *keys: str) -> int:
    """Add up some of the tokens that a vendor counted; what is missing, or no such number, is 0."""
    said = [(usage or {}).get(key) for key in keys]
    return sum(number for number in said if type(number) is int and 0 < number < _MOST_TOKENS)


def as_text(value: Any) -> str:
    """Write a value as a text of JSON."""
    return json.dumps(value, ensure_ascii=False)
