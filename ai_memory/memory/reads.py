"""Reads: which pages somebody looked at. Noted in memory, and written down once a minute at most."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from uuid import UUID

from ai_memory.errors import StorageError
from ai_memory.memory.stores import Stores

_PAUSE = timedelta(seconds=60)


class Reads:
    """Counts reads of pages. However often a page is read within a minute, that is one read and one write."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._noted: dict[tuple[UUID, str], datetime] = {}
        self._flushed = stores.clock()

    def note(self, project_id: UUID, path: str) -> None:
        """Note that somebody reads a page."""
        with self._lock:
            self._noted[project_id, path] = self._stores.clock()

    def flush(self, *, now: bool = False) -> None:
        """Write down what was noted, if the last time is a minute ago (or at once).

        Raises:
            StorageError: it could not be written; it stays noted.
        """
        at = self._stores.clock()
        with self._lock:
            if not self._noted or not (now or at - self._flushed >= _PAUSE):
                return
            noted, self._noted, self._flushed = self._noted, {}, at
        try:
            self._stores.state.reads.add(
                (project_id, path, when)
                for (project_id, path), when in noted.items()
                # It may have been purged since: then nothing may name it.
                if self._stores.pages.page(project_id, path)
            )
        except StorageError:
            with self._lock:
                self._noted = {**noted, **self._noted}
            raise
