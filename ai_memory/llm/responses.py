"""OpenAI's Responses, as the back end of ChatGPT subscriptions speaks them: always in events."""

from __future__ import annotations

from typing import Any

from ai_memory.llm.asking import Ask, ModelError
from ai_memory.llm.vendor import Reply, Vendor, count
from ai_memory.llm.wire import Wire

_ENDS = {"max_output_tokens": "cut", "content_filter": "refused"}
#: Failures in the middle of an answer that are the question's or the account's fault, not the moment's.
_LASTING = frozenset(
    {"context_length_exceeded", "insufficient_quota", "invalid_prompt", "usage_not_included", "model_not_found"}
)


class OpenAIResponses(Vendor):
    """A model of a ChatGPT subscription; see `Chat`.

    That back end takes no limit of tokens and no temperature.
    """

    def _send(self, wire: Wire, ask: Ask) -> Any:
        content = [{"type": "input_text", "text": ask.user}]
        body: dict[str, Any] = {
            "model": self.model,
            "instructions": ask.system,
            "input": [{"type": "message", "role": "user", "content": content}],
            "store": False,
            "stream": True,
        }
        if ask.schema is not None:
            shape = {"type": "json_schema", "name": "Result", "schema": ask.schema, "strict": True}
            body["text"] = {"format": shape}
        items: list[Any] = []
        for event in wire.events("/responses", body):
            if not isinstance(event, dict):
                raise wire.strange()
            kind = event.get("type")
            if kind == "response.output_item.done":
                items.append(event.get("item"))
            elif kind in ("response.completed", "response.incomplete", "response.failed"):
                return {"kind": kind, "items": items, "response": event.get("response")}
            elif kind == "error":
                return {"kind": "response.failed", "items": [], "response": {"error": event}}
        raise wire.broken()

    def _tokens(self, came: Any) -> tuple[int, int]:
        usage = came["response"]["usage"]
        return count(usage, "input_tokens"), count(usage, "output_tokens")

    def _read(self, wire: Wire, came: Any) -> Reply:
        if came["kind"] == "response.failed":
            failed = _object(_object(came["response"]).get("error"))
            error = wire.broken(str(failed.get("message") or ""))
            code = failed.get("code")
            if isinstance(code, str) and code in _LASTING:
                lasting = ModelError(f"{self.provider} refused: {code}", "terminal")
                lasting.said = error.said
                raise lasting
            raise error
        return super()._read(wire, came)

    def _reply(self, came: Any) -> Reply:
        end: Any = "whole"
        if came["kind"] == "response.incomplete":
            end = _ENDS.get(came["response"]["incomplete_details"]["reason"], "cut")
        parts = [part for item in came["items"] if item["type"] == "message" for part in item["content"]]
        if any(part["type"] == "refusal" for part in parts):
            end = "refused"
        return Reply("".join(part["text"] for part in parts if part["type"] == "output_text"), end)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
