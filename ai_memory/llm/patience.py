"""Asking again where that may help, and asking somebody else where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ai_memory.llm.asking import Answer, Ask, Chat, ModelError, never

_ATTEMPTS = 3
_PAUSE = 2.0
_LONGEST_PAUSE = 60.0
#: So often a pause looks whether anybody still waits.
_STEP = 0.5
#: Whoever failed is left alone for so long.
_REST = 30.0
#: Failures of the vendor; the others are about the question, and somebody else would be paid for the same.
_OF_VENDOR = frozenset({"transient", "terminal", "unconfigured"})


class Patient:
    """Several models as one: the first that can answers; see `Chat`."""

    def __init__(
        self, chats: Sequence[Chat], *, sleep: Callable[[float], None], monotonic: Callable[[], float]
    ) -> None:
        """Take the models in the order in which they are asked, at least one."""
        self._chats = chats
        self._sleep, self._monotonic = sleep, monotonic
        self._rested = [float("-inf")] * len(chats)

    @property
    def provider(self) -> str:
        """That of the model that is asked first."""
        return self._chats[0].provider

    @property
    def model(self) -> str:
        """Its name."""
        return self._chats[0].model

    def ask(self, ask: Ask, *, cancelled: Callable[[], bool] = never) -> Answer:
        """Ask one after the other; see `Chat.ask`. Of their failures one that passes is told first."""
        now = self._monotonic()
        order = [n for n, until in enumerate(self._rested) if until <= now] or range(len(self._chats))
        failures = []
        for n in order:
            try:
                return self._patiently(self._chats[n], ask, cancelled)
            except ModelError as error:
                if error.kind not in _OF_VENDOR or cancelled():
                    raise
                failures.append(error)
                self._rested[n] = self._monotonic() + _REST
        raise next((error for error in failures if error.kind == "transient"), failures[0])

    def _patiently(self, chat: Chat, ask: Ask, cancelled: Callable[[], bool]) -> Answer:
        for _ in range(_ATTEMPTS - 1):
            try:
                return chat.ask(ask, cancelled=cancelled)
            except ModelError as error:
                if error.kind != "transient" or not self._waited(error.retry_after, cancelled):
                    raise
        return chat.ask(ask, cancelled=cancelled)

    def _waited(self, wanted: float | None, cancelled: Callable[[], bool]) -> bool:
        """Pause, unless nobody waits any more."""
        left = min(_PAUSE if wanted is None else wanted, _LONGEST_PAUSE)
        while left > 0 and not cancelled():
            self._sleep(min(left, _STEP))
            left -= _STEP
        return not cancelled()
