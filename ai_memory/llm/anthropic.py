"""Anthropic: the Messages API, with a key, or with the token of a subscription."""

from __future__ import annotations

import re
from typing import Any

from ai_memory.llm.asking import Ask
from ai_memory.llm.vendor import Reply, Vendor, as_text, count
from ai_memory.llm.wire import Wire

#: Before Claude 4.7 a temperature was welcome; later models, and those that nobody knows yet, may refuse it.
_WARM = re.compile(r"claude-(?:[23]|instant|(?:opus|sonnet|haiku)-4(?:-[0-6])?(?:-\d{8}|-latest)?$)")
_ENDS = {"max_tokens": "cut", "model_context_window_exceeded": "cut", "refusal": "refused"}
_TOOL = "result"
#: That the token of a subscription is for, beside the version of the API.
SUBSCRIPTION_BETAS = "oauth-2025-04-20,claude-code-20250219"


class AnthropicMessages(Vendor):
    """A model of Anthropic; see `Chat`."""

    def _send(self, wire: Wire, ask: Ask) -> Any:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": ask.max_tokens,
            "system": ask.system,
            "messages": [{"role": "user", "content": ask.user}],
        }
        if _WARM.match(self.model):
            body["temperature"] = ask.temperature
        if ask.schema is not None:
            body["tools"] = [{"name": _TOOL, "description": "Give the answer.", "input_schema": ask.schema}]
            body["tool_choice"] = {"type": "tool", "name": _TOOL}
        return wire.post("/v1/messages", body)

    def _tokens(self, came: Any) -> tuple[int, int]:
        usage = came["usage"]
        read = count(usage, "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        return read, count(usage, "output_tokens")

    def _reply(self, came: Any) -> Reply:
        end: Any = _ENDS.get(came["stop_reason"], "whole")
        used = [block["input"] for block in came["content"] if block["type"] == "tool_use"]
        if used:
            return Reply(as_text(used[0]), end, used[0])
        return Reply("".join(block["text"] for block in came["content"] if block["type"] == "text"), end)
