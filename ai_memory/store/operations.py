"""Operations of several steps: noted before the first one and done again after a crash, until the last one is done.

An operation is a function of what its note holds (ids, times, choices made before the first change), and each of its
steps may be done twice. So there is one direction only: forward.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ai_memory.errors import StorageError
from ai_memory.store.files import sync_folder, write_whole
from ai_memory.store.steps import Step, reached

#: What a note holds: JSON values only.
Order = Mapping[str, Any]


class Operations:
    """`db/operation.json`: the one operation that is under way. The caller holds the locks that it needs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ways: dict[str, Callable[[Order], str]] = {}

    def teach(self, name: str, way: Callable[[Order], str]) -> None:
        """Say how an operation is done; `way` gives the commit that it made, "" without one."""
        self._ways[name] = way

    def run(self, name: str, order: Order) -> str:
        """Do an operation, after one that an error has left half done; gives its commit.

        Raises:
            StorageError: a step failed; the next operation, or the next start, finishes it.
        """
        self.finish()
        self._note(name, order)
        return self.finish()

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
            StorageError: a step failed, or this version does not know the operation; the note stays.
        """
        found = self.pending()
        if found is None:
            return ""
        name, order = found
        if name not in self._ways:
            raise StorageError(f"{self._file} asks for {name!r}: install the newer version that began it, to finish it")
        oid = self._ways[name](order)
        reached(Step.OPERATION_DONE)
        try:
            self._file.unlink()
            sync_folder(self._file.parent)
        except OSError as error:
            raise StorageError(f"{self._file} could not be removed: {error.strerror}") from error
        return oid

    def _note(self, name: str, order: Order) -> None:
        try:
            write_whole(self._file, json.dumps({"operation": name, "order": order}, ensure_ascii=False).encode())
        except OSError as error:
            raise StorageError(f"{self._file} could not be written: {error.strerror}") from error
        reached(Step.OPERATION_NOTED)
