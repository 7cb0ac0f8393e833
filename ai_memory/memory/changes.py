"""Changes: that something in a project is not as it was, told to whoever has it before their eyes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from uuid import UUID

#: So many are remembered: four of each of a thousand projects.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """What changed: "pages", "sessions", "handoffs" or "projects" of a project; "all" of none (None) is anything."""

    project_id: UUID | None
    what: str


_ANYTHING = Change(None, "all")


class Changes:
    """The changes of one run of the server. Each has a number, greater than those of all before; any thread may ask."""

    def __init__(self, first: int) -> None:
        """Begin to count; `first` is greater than every number of a former run: its time in microseconds is."""
        self._first = first
        self._newest = first
        #: Up to this number, what changed was forgotten.
        self._forgotten = first
        #: The number of each change when it was last noted, in the order of these.
        self._last: dict[Change, int] = {}
        self._lock = threading.Lock()

    @property
    def newest(self) -> int:
        """The number of the last change."""
        return self._newest

    def note(self, project_id: UUID, what: str) -> None:
        """Note that something changed, after it did: whoever hears of it looks at once."""
        change = Change(project_id, what)
        with self._lock:
            self._newest += 1
            self._last.pop(change, None)
            self._last[change] = self._newest
            if len(self._last) > _REMEMBERED:
                oldest = next(iter(self._last))
                self._forgotten = self._last.pop(oldest)

    def since(self, number: int) -> tuple[int, list[Change]]:
        """List what changed after a number, each once and the oldest first; and give the number to go on from.

        A number of another run counts as none: nothing has changed since. Where it was too long ago, anything has.
        """
        with self._lock:
            if not self._first <= number < self._newest:
                return self._newest, []
            if number < self._forgotten:
                return self._newest, [_ANYTHING]
            found = []
            for change, last in reversed(self._last.items()):
                if last <= number:
                    break
                found.append(change)
            return self._newest, found[::-1]
