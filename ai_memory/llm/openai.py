"""OpenAI's Chat Completions, which GitHub Copilot and many servers speak, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ai_memory.llm.asking import Answer, Ask, never
from ai_memory.llm.prose import without_thoughts
from ai_memory.llm.vendor import Reply, Vendor, as_text, count
from ai_memory.llm.wire import ShapeRefusedError, Wire

_ENDPOINT = "/chat/completions"
_VERSIONED = re.compile(r"/v\d{1,2}$")
#: The models that still want the former name of the limit, which no newer one has to know.
_FORMER = re.compile(r"(?:gpt-3\.5|gpt-4|chatgpt-4o|claude-|gemini-)")
_MOST_OF_FORMER = 16_384
#: Models that think before they speak unless they are told not to, with the least that each takes.
_THINKERS = re.compile(r"gpt-5(?:-mini|-nano)?(?:-\d{4}-\d\d-\d\d)?$")
_ENDS = {"length": "cut", "content_filter": "refused"}


class OpenAIChat(Vendor):
    """A model of OpenAI, or of Copilot; see `Chat`."""

    def _send(self, wire: Wire, ask: Ask) -> Any:
        return wire.post(_ENDPOINT, {**self._body(ask), **_shape(ask)})

    def _body(self, ask: Ask) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": _messages(ask.system, ask.user)}
        if _FORMER.match(self.model):
            return {**body, "max_tokens": min(ask.max_tokens, _MOST_OF_FORMER), "temperature": ask.temperature}
        if _THINKERS.match(self.model):
            body["reasoning_effort"] = "minimal"
        return {**body, "max_completion_tokens": ask.max_tokens}

    def _tokens(self, came: Any) -> tuple[int, int]:
        return count(came["usage"], "prompt_tokens"), count(came["usage"], "completion_tokens")

    def _read(self, wire: Wire, came: Any) -> Reply:
        # A router says in an answer of status 200 that the server behind it failed.
        if isinstance(came, dict) and came.get("error"):
            raise wire.broken(as_text(came["error"]))
        return super()._read(wire, came)

    def _reply(self, came: Any) -> Reply:
        choice = came["choices"][0]
        message = choice["message"]
        end: Any = "refused" if message.get("refusal") else _ENDS.get(choice.get("finish_reason"), "whole")
        return Reply(message.get("content") or "", end)


class CompatChat(OpenAIChat):
    """A model of a server that speaks like OpenAI, and knows this or that of it; see `Chat`.

    The shape of an answer is told in words as well: some servers take the strict way and pay no heed to it.
    """

    _strict = True

    def be_lenient(self) -> None:
        """Ask for no shape but in words."""
        self._strict = False

    def ask(self, ask: Ask, *, cancelled: Callable[[], bool] = never) -> Answer:
        """Ask once, and once more in words alone where the server says that it knows no other way; see `Chat.ask`."""
        try:
            return super().ask(ask, cancelled=cancelled)
        except ShapeRefusedError:
            if not self._strict or ask.schema is None:
                raise
        self.be_lenient()
        return super().ask(ask, cancelled=cancelled)

    def _send(self, wire: Wire, ask: Ask) -> Any:
        shape = _shape(ask) if self._strict else {}
        return wire.post(_ENDPOINT, {**self._body(ask), **shape})

    def _body(self, ask: Ask) -> dict[str, Any]:
        system = ask.system
        if ask.schema is not None:
            system += "\n\nAnswer with one JSON object and nothing else; it has to fit this JSON schema:\n" + as_text(
                ask.schema
            )
        return {
            "model": self.model,
            "messages": _messages(system, ask.user),
            "max_tokens": ask.max_tokens,
            "temperature": ask.temperature,
        }

    def _reply(self, came: Any) -> Reply:
        reply = super()._reply(came)
        return Reply(without_thoughts(reply.text), reply.end)


def root_of(url: str) -> str:
    """Give the root of a server as people write its URL: with the endpoint, with the version, or with neither."""
    url = url.rstrip("/")
    if url.endswith(_ENDPOINT):
        return url.removesuffix(_ENDPOINT)
    return url if _VERSIONED.search(url) else f"{url}/v1"


def _messages(system: str, user: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _shape(ask: Ask) -> dict[str, Any]:
    if ask.schema is None:
        return {}
    named = {"name": "Result", "schema": ask.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
