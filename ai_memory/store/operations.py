"""Operations of several steps: noted before the first one and done again after a crash, until the last one is done.

An operation is a function of what its note holds (ids, times, choices made before the first change), and each of its
steps may be done twice. So there is one direction only: forward.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ai_memory.errors import AiMemoryError, StorageError
from ai_memory.store.files import sync_folder, write_whole
from ai_memory.store.git import COMMITTER
from ai_memory.store.steps import Step, reached

#: What a note holds: JSON values only.
Order = Mapping[str, Any]
#: What of an order names a project.
_PROJECTS = ("project", "source", "target")


def author_of(order: Order) -> tuple[str, str]:
    """Give name and address of who asked for an operation, for its commit."""
    name, address = order.get("author", COMMITTER)
    return name, address


class UnfinishedOperationError(StorageError):
    """An operation was begun and could not be finished yet; it will be, and no other one begins before."""

    status = 409


class Operations:
    """`db/operation.json`: the one operation that is under way. The caller holds the locks that it needs."""

    def __init__(self, file: Path, check: Callable[[], None] = lambda: None) -> None:
        """Compose; `check` raises an error as long as no operation may be begun or gone on with."""
        self._file = file
        self._check = check
        #: Why the operation that is under way could not be finished at the last try, "" without one.
        self.problem = ""
        #: Ids of the projects that it concerns: nothing is written into them meanwhile.
        self._concerned: frozenset[str] = frozenset()
        self._has_changed = False
        self._ways: dict[str, Callable[[Order], str]] = {}

    def teach(self, name: str, way: Callable[[Order], str]) -> None:
        """Say how an operation is done; `way` gives the commit that it made, "" without one."""
        self._ways[name] = way

    def changed(self) -> None:
        """Say that the first change is made: from here on an operation that fails is finished later."""
        self._has_changed = True

    def refusal(self, project_id: object) -> str:
        """Say why nothing may be written into a project now: what is not finished concerns it; "" when it may."""
        return self.problem if str(project_id) in self._concerned else ""

    def run(self, name: str, order: Order) -> str:
        """Do an operation, after one that an error has left half done; gives its commit.

        Raises:
            UnfinishedOperationError: a step failed, of this one or of one before; see `settle`.
            StorageError: nothing was changed, and nothing will be.
        """
        self.finish()
        self._check()
        self._note(name, order)
        self._has_changed = False
        try:
            return self.finish()
        except UnfinishedOperationError as error:
            if self._has_changed:
                raise
            # Who was told no would not expect it to be done some day, with all that was written since.
            self._drop()
            self.problem, self._concerned = "", frozenset()
            raise StorageError(f"{name} was not begun, and nothing was changed: {error.__cause__}") from error

    def pending(self) -> tuple[str, Order] | None:
        """Give the name and the order of the operation that is not finished, None without one.

        Raises:
            StorageError: the note cannot be read.
        """
        try:
            note = json.loads(self._file.read_text("utf-8"))
            return note["operation"], note["order"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self._file} cannot be read ({error}): restore a backup") from error

    def finish(self) -> str:
        """Do the noted operation, again where a crash or an error cut it short; gives its commit, "" without one.

        Raises:
            UnfinishedOperationError: a step failed; the note stays.
            StorageError: the note cannot be read, or this version does not know the operation; the note stays.
        """
        try:
            oid = self._finished()
        except AiMemoryError as error:
            self.problem = str(error)
            raise
        self.problem, self._concerned = "", frozenset()
        return oid

    def settle(self) -> bool:
        """Try to do what is noted; tells whether something was. What is in its way is in `problem`."""
        if not self._file.exists():
            return False
        try:
            self.finish()
        except AiMemoryError:
            return False
        return True

    def _finished(self) -> str:
        found = self.pending()
        if found is None:
            return ""
        name, order = found
        if name not in self._ways:
            raise StorageError(f"{self._file} asks for {name!r}: install the newer version that began it, to finish it")
        try:
            self._check()
            oid = self._ways[name](order)
        except (AiMemoryError, OSError) as error:
            self._concerned = frozenset(str(order[key]) for key in _PROJECTS if key in order)
            raise UnfinishedOperationError(
                f"{name}, begun at {order.get('at', 'some time')}, is not finished: {error}. It is tried again every "
                "minute and at each start; until then nothing is written into its project, and no other such operation "
                "is begun"
            ) from error
        reached(Step.OPERATION_DONE)
        self._drop()
        return oid

    def _drop(self) -> None:
        try:
            self._file.unlink()
            sync_folder(self._file.parent)
        except OSError as error:
            raise StorageError(f"{self._file} could not be removed: {error.strerror}") from error

    def _note(self, name: str, order: Order) -> None:
        try:
            write_whole(self._file, json.dumps({"operation": name, "order": order}, ensure_ascii=False).encode())
        except OSError as error:
            raise StorageError(f"{self._file} could not be written: {error.strerror}") from error
        reached(Step.OPERATION_NOTED)
