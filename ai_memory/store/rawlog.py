"""The raw log: what happened, one append-only file a session. The truth.

`raw/<workspace>/<project>/<session>.jsonl`: the first line says whose session it is, each further line is
one observation. A line that does not end in a newline was never acknowledged and is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from ai_memory.errors import NotFoundError, StorageError
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.scope import Project
from ai_memory.store.files import private_folder, sync_folder

_SYNCERS = 8
#: Files that a group holds open at a time: a process may often have no more than 1,024.
_OPEN_FILES = 128


@dataclass(frozen=True, slots=True)
class RawFile:
    """Where one session's raw log is: its ids, its path, its size in bytes, and when it was last written to."""

    workspace_id: UUID
    project_id: UUID
    session_id: UUID
    path: Path
    size: int
    written: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """New observations of one session; `native` is the agent's own session id, for a file's first line."""

    project: Project
    session_id: UUID
    native: str
    observations: Sequence[Observation]


class RawLog:
    """The `raw/` folder of a data directory."""

    def __init__(self, root: Path) -> None:
        self._root = private_folder(root)
        self._syncers = ThreadPoolExecutor(_SYNCERS, "rawlog-sync")
        #: Lines that could not be read, by file: they are passed over, and `status` tells of them.
        self.damaged: dict[Path, int] = {}

    def path(self, workspace_id: UUID, project_id: UUID, session_id: UUID) -> Path:
        """Say where a session's file is."""
        return self._root / str(workspace_id) / str(project_id) / f"{session_id}.jsonl"

    def append(self, entries: Sequence[Entry]) -> list[tuple[int, int]]:
        """Append to several sessions at once, and sync; returns each file's size in bytes before and after.

        Raises:
            StorageError: nothing of it was kept: each file has its former length again.
        """
        sizes: list[tuple[int, int]] = []
        try:
            for first in range(0, len(entries), _OPEN_FILES):
                self._append_some(entries[first : first + _OPEN_FILES], sizes)
        except OSError as error:
            for entry, (before, _) in zip(entries, sizes, strict=False):
                self.cut(entry, before)
            raise StorageError(f"the raw log could not be written: {error.strerror} ({self._root})") from error
        return sizes

    def _append_some(self, entries: Sequence[Entry], sizes: list[tuple[int, int]]) -> None:
        """Append to as many files as may be open at once; adds to `sizes` what is written, also when it fails."""
        opened: list[int] = []
        try:
            for entry in entries:
                descriptor, before, after = self._append_one(entry)
                opened.append(descriptor)
                sizes.append((before, after))
            self._sync(opened)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _sync(self, descriptors: Sequence[int]) -> None:
        # Syncs that wait for the disk together cost little more than one: 32 files 3 ms in turn, 1 ms so.
        shares = [descriptors[first::_SYNCERS] for first in range(min(_SYNCERS, len(descriptors)))]
        if len(shares) > 1:
            list(self._syncers.map(_sync, shares))
        else:
            _sync(descriptors)

    def _append_one(self, entry: Entry) -> tuple[int, int, int]:
        path = f"{self._root}/{entry.project.workspace_id}/{entry.project.id}/{entry.session_id}.jsonl"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            folder = private_folder(Path(path).parent)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            sync_folder(folder)
        size = os.fstat(descriptor).st_size
        lines = [line_of(observation) for observation in entry.observations]
        if size == 0:
            lines.insert(0, {"v": 1, "session": str(entry.session_id), "native": entry.native})
        data = b"".join(
            json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
            for line in lines
        )
        try:
            _write_all(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, size)
            os.close(descriptor)
            raise
        return descriptor, size, size + len(data)

    def cut(self, entry: Entry, size: int) -> None:
        """Take back what was appended beyond `size` bytes."""
        os.truncate(self.path(entry.project.workspace_id, entry.project.id, entry.session_id), size)

    def files(self) -> Iterator[RawFile]:
        """List every session's file; what is not named after ids is none of ours and passed over."""
        for workspace in _folders(self._root):
            for project in _folders(workspace):
                with os.scandir(project) as children:
                    for child in children:
                        stem, _, suffix = child.name.rpartition(".")
                        if suffix == "jsonl" and _is_id(stem) and child.is_file(follow_symlinks=False):
                            about = child.stat(follow_symlinks=False)
                            yield RawFile(
                                UUID(workspace.name),
                                UUID(project.name),
                                UUID(stem),
                                Path(child.path),
                                about.st_size,
                                datetime.fromtimestamp(about.st_mtime, UTC),
                            )

    def mend(self, path: Path) -> int:
        """Cut off a last line without an end, which was never acknowledged; gives the file's size then.

        Only for a log that nobody appends to: between two parts of a write every line looks torn.
        """
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            while size and not _ends_line(file, size):
                size = _last_line_start(file, size)
            file.truncate(size)
        return size

    def native_id(self, path: Path) -> str:
        """Read the agent's own session id from a file's first line, "" when it cannot be read."""
        with path.open("rb") as file:
            row = _row(file.readline())
        return str(row.get("native", "")) if row else ""

    def observations(self, path: Path, start: int = 0) -> Iterator[Observation]:
        """Read a session's whole lines from byte `start` on; a line that is damaged is passed over.

        Raises:
            NotFoundError: there is no such file.
        """
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise NotFoundError(f"the raw log has no file {path}") from None
        damaged = 0
        try:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                row = _row(line)
                observation = _observation(row) if row and "session" not in row else None
                if observation:
                    yield observation
                elif row is None or "session" not in row:
                    damaged += 1
        finally:
            file.close()
            if damaged:
                self.damaged[path] = max(damaged, self.damaged.get(path, 0))


def _folders(path: Path) -> Iterator[Path]:
    for child in sorted(path.iterdir()):
        if _is_id(child.name) and child.is_dir() and not child.is_symlink():
            yield child


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _observation(row: Mapping[str, Any]) -> Observation | None:
    try:
        return observation_of(row)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _ends_line(file: BinaryIO, size: int) -> bool:
    file.seek(size - 1)
    return file.read(1) == b"\n"


def _last_line_start(file: BinaryIO, size: int) -> int:
    """Find where the line begins that ends at `size`."""
    while size:
        start = max(0, size - 65_536)
        file.seek(start)
        found = file.read(size - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        getattr(os, "fdatasync", os.fsync)(descriptor)


def line_of(observation: Observation) -> dict[str, Any]:
    """Give an observation as the raw log's JSON object; empty fields are left out."""
    tool = observation.tool
    row = {
        "at": observation.at.isoformat(timespec="microseconds"),
        "kind": observation.kind.value,
        "agent": observation.agent,
        "event": observation.source_event,
        "title": observation.title,
        "body": observation.body,
        "key": observation.key,
        "cwd": observation.cwd,
        "note": observation.note,
        "tool": None
        if tool is None
        else {
            name: value
            for name, value in (
                ("name", tool.name),
                ("outcome", tool.outcome),
                ("command", tool.command),
                ("files", list(tool.files)),
                ("writes", tool.writes),
            )
            if value
        },
    }
    return {name: value for name, value in row.items() if value}


def observation_of(row: Mapping[str, Any]) -> Observation:
    """Read an observation back from the raw log's JSON object."""
    tool = row.get("tool")
    return Observation(
        at=datetime.fromisoformat(row["at"]).astimezone(UTC),
        kind=Kind(row["kind"]),
        agent=row.get("agent", "other"),
        source_event=row.get("event", ""),
        title=Scrubbed(row.get("title", "")),
        body=Scrubbed(row.get("body", "")),
        key=row.get("key", ""),
        cwd=row.get("cwd", ""),
        note=row.get("note", ""),
        tool=None
        if tool is None
        else ToolCall(
            name=tool.get("name", ""),
            outcome=tool.get("outcome", "unknown"),
            command=Scrubbed(tool.get("command", "")),
            files=tuple(Scrubbed(file) for file in tool.get("files", ())),
            writes=tool.get("writes", False),
        ),
    )
