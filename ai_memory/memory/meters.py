"""Meters: every stage counts what it did and keeps its last error, so that silence is never ambiguous."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

from ai_memory.model.handoff import stamp


class Meter:
    """The counters of one stage, for the life of the process.

    Counters are kinds of outcome ("stored", "replayed"); the last error has its time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last_error = ""
        self._last_error_at: datetime | None = None
        self._last_done_at: datetime | None = None

    def count(self, outcome: str, at: datetime, number: int = 1) -> None:
        """Count an outcome."""
        with self._lock:
            self._counts[outcome] += number
            self._last_done_at = at

    def failed(self, error: Exception, at: datetime) -> None:
        """Count a failure and keep it as the last error."""
        with self._lock:
            self._counts["failed"] += 1
            self._last_error = f"{type(error).__name__}: {error}"
            self._last_error_at = at

    def __getitem__(self, outcome: str) -> int:
        """Give the count of one outcome."""
        return self._counts[outcome]

    def report(self) -> dict[str, object]:
        """Give all counts, the time of the last outcome, and the last error or null."""
        with self._lock:
            return {
                **dict(sorted(self._counts.items())),
                "last_at": stamp(self._last_done_at) if self._last_done_at else None,
                "last_error": self._last_error or None,
                "last_error_at": stamp(self._last_error_at) if self._last_error_at else None,
            }
