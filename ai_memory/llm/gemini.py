"""Google's Gemini: its own call, through the SDK's client, which knows how connections fail."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from ai_memory.llm.asking import Ask
from ai_memory.llm.closed import for_gemini
from ai_memory.llm.vendor import Reply, Vendor, count
from ai_memory.llm.wire import Wire

#: Later models are to be left at the temperature that they were made for.
_WARM = re.compile(r"gemini-(?:1\.5|2\.0|2\.5)-")
#: Models that think before they speak, with the least that each can be told: their thoughts count as tokens out.
_THINKERS = ((re.compile(r"gemini-2\.5-flash(?!.*image)"), 0), (re.compile(r"gemini-2\.5-pro"), 128))
_ENDS = {"STOP": "whole", "MAX_TOKENS": "cut"}
_REFUSALS = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"})


class GeminiChat(Vendor):
    """A model of Google; see `Chat`."""

    def _send(self, wire: Wire, ask: Ask) -> Any:
        # Google's own lists call models so.
        model = self.model.removeprefix("models/")
        limits: dict[str, Any] = {"maxOutputTokens": ask.max_tokens}
        if _WARM.match(model):
            limits["temperature"] = ask.temperature
        for name, budget in _THINKERS:
            if name.match(model):
                limits["thinkingConfig"] = {"thinkingBudget": budget}
        if ask.schema is not None:
            limits |= {"responseMimeType": "application/json", "responseSchema": for_gemini(ask.schema)}
        body = {
            "systemInstruction": {"parts": [{"text": ask.system}]},
            "contents": [{"role": "user", "parts": [{"text": ask.user}]}],
            "generationConfig": limits,
        }
        return wire.post(f"/models/{quote(model, safe='')}:generateContent", body)

    def _tokens(self, came: Any) -> tuple[int, int]:
        usage = came["usageMetadata"]
        read = count(usage, "promptTokenCount", "toolUsePromptTokenCount")
        return read, count(usage, "candidatesTokenCount", "thoughtsTokenCount")

    def _reply(self, came: Any) -> Reply:
        if not came.get("candidates") and came["promptFeedback"]["blockReason"]:
            return Reply("", "refused")
        candidate = came["candidates"][0]
        reason = candidate.get("finishReason")
        end: Any = "refused" if reason in _REFUSALS else _ENDS.get(reason, "whole")
        parts = (candidate.get("content") or {}).get("parts") or ()
        return Reply("".join(part.get("text", "") for part in parts if not part.get("thought")), end)
