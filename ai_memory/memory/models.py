"""Models that answer questions: who is asked, what that has cost, and when it has cost enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, date
from typing import Any, Protocol

from ai_memory.compile.request import Budget
from ai_memory.config import Settings
from ai_memory.llm.chat import Answer, Ask, Call, Chat, ModelError, never, warning_of
from ai_memory.memory.meters import Meter
from ai_memory.memory.stores import Stores
from ai_memory.store.calls import CallSum

#: What needs a model, for who has none.
FEATURES = (
    "pages written up from sessions (memory_consolidate, before a compaction, consolidate_on_session_end)",
    "the narrative of a project, and packets made clearer",
    "bootstrap of a project from its repository",
    "reviews of sessions (auto-improve, pending-writes)",
    "contradictions between pages (lint)",
    "answers in words (search --answer, memory_query answer, memory_explore; answer_with_model)",
)
HINT = (
    "write llm_provider into config.toml (anthropic, openai, gemini or openai-compat), put its key into the server's "
    "environment (for example ANTHROPIC_API_KEY), and start the server again; `ai-memory llm-test` tries it"
)


class ChatOf(Protocol):
    """Gives the model of the settings, as `llm.chat.chat_of` does."""

    def __call__(self, settings: Settings, record: Callable[[Call], None], /) -> Chat | None:
        """Give it, None where none is asked for."""


class Models:
    """The model of one memory, with its meter and its budget. Any thread may ask, holding no lock."""

    def __init__(self, stores: Stores, settings: Settings, chat_of: ChatOf) -> None:
        """Compose; nobody is asked yet.

        Raises:
            ConfigError: the settings do not go together.
        """
        self._stores = stores
        self._budget: float = settings["llm.monthly_budget"]
        chat = chat_of(settings, self._record)
        #: Of one request.
        self.budget = Budget(
            settings["consolidation.max_input_tokens"],
            settings["consolidation.input_token_safety_margin"],
            settings["consolidation.max_output_tokens"],
        )
        self.chat: Chat | None = _Watched(chat, self._check_budget, self._failed) if chat else None
        self.meter = Meter()
        self._recording = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Use the stores no more, also not when a vendor answers at last."""
        with self._recording:
            self._closed = True

    def sure(self, what: str) -> Chat:
        """Give the model.

        Args:
            what: wants it; the error's sentence begins with it.

        Raises:
            ModelError: there is none; the message says how to switch one on.
        """
        if self.chat is None:
            raise ModelError(f"{what} needs a model, and none is set: {HINT}", "unconfigured")
        return self.chat

    def answer(self, what: str, ask: Ask, cancelled: Callable[[], bool] = never) -> Any:
        """Ask, and give the JSON value of the answer without secrets: it may repeat what nobody has recognised before.

        Raises:
            ModelError: there is none.
        """
        return self._stores.scrubber.scrub_all(self.sure(what).ask(ask, cancelled=cancelled).value)

    def _record(self, call: Call) -> None:
        now = self._stores.clock()
        with self._recording:
            if not self._closed:
                self._stores.state.calls.add(
                    now.date(),
                    call.purpose,
                    call.provider,
                    call.model,
                    call.outcome,
                    tokens_in=call.tokens_in,
                    tokens_out=call.tokens_out,
                    cost=call.cost,
                )
        self.meter.count(call.outcome, now)

    def _failed(self, error: ModelError) -> None:
        self.meter.failed(error, self._stores.clock())

    def _check_budget(self) -> None:
        spent = self._spent()
        if self._is_over(spent):
            raise ModelError(
                f"no model is asked any more in {self._month():%B %Y}: ${spent:.2f} of llm.monthly_budget "
                f"${self._budget:.2f} are spent (`ai-memory llm-usage`). Raise it in config.toml and start the server "
                "again, or wait for the next month",
                "over-budget",
            )

    def _is_over(self, spent: float) -> bool:
        return 0 < self._budget <= spent

    def _spent(self) -> float:
        return self._stores.state.calls.cost_since(self._month())

    def _month(self) -> date:
        return self._stores.clock().astimezone(UTC).date().replace(day=1)

    # Reports

    def report(self) -> dict[str, object]:
        """Say who is asked and what that has cost this month, or what is off without a model, for `status`."""
        if self.chat is None:
            return {"configured": False, "off": list(FEATURES), "hint": HINT}
        month = _summed(self._stores.state.calls.since(self._month()))
        spent = self._spent()
        trouble = self.meter.report()
        return {
            "configured": True,
            "provider": self.chat.provider,
            "model": self.chat.model,
            "warning": warning_of(self.chat.provider) or None,
            "month": {**month, "budget": self._budget or None, "over_budget": self._is_over(spent)},
            "last_error": trouble["last_error"],
            "last_error_at": trouble["last_error_at"],
        }

    def usage(self) -> dict[str, object]:
        """List what was asked this month by purpose, model and outcome (the answer of `/admin/llm-usage`)."""
        month = self._month()
        rows = self._stores.state.calls.since(month)
        return {
            "month": f"{month:%Y-%m}",
            "budget": self._budget or None,
            "over_budget": self._is_over(self._spent()),
            "total": _summed(rows),
            "calls": [
                {
                    "purpose": row.purpose,
                    "provider": row.provider,
                    "model": row.model,
                    "outcome": row.outcome,
                    **_summed([row]),
                }
                for row in rows
            ],
        }


class _Watched:
    """A model that is asked while there is a budget, and whose failures are shown; see `Chat`."""

    def __init__(self, chat: Chat, check: Callable[[], None], failed: Callable[[ModelError], None]) -> None:
        self._chat = chat
        self._check = check
        self._failed = failed

    @property
    def provider(self) -> str:
        """Who is asked first."""
        return self._chat.provider

    @property
    def model(self) -> str:
        """By which name of a model."""
        return self._chat.model

    def ask(self, ask: Ask, *, cancelled: Callable[[], bool] = never) -> Answer:
        """Ask; see `Chat.ask`."""
        try:
            self._check()
            return self._chat.ask(ask, cancelled=cancelled)
        except ModelError as error:
            if not cancelled():
                self._failed(error)
            raise


def _summed(rows: Iterable[CallSum]) -> dict[str, object]:
    rows = list(rows)
    return {
        "calls": sum(row.calls for row in rows),
        "tokens_in": sum(row.tokens_in for row in rows),
        "tokens_out": sum(row.tokens_out for row in rows),
        "cost": round(sum(row.cost for row in rows), 6),
        "unpriced_calls": sum(row.unpriced for row in rows),
    }
