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
from typing import Any
from uuid import UUID

from ai_memory.errors import StorageError
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.scope import Project
from ai_memory.store.files import private_folder, sync_folder

_SYNCERS = 8


@dataclass(frozen=True, slots=True)
class RawFile:
    """Where one session's raw log is: its ids, its path and its size in bytes."""

    workspace_id: UUID
    project_id: UUID
    session_id: UUID
    path: Path
    size: int


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

    def path(self, workspace_id: UUID, project_id: UUID, session_id: UUID) -> Path:
        """Say where a session's file is."""
        return self._root / str(workspace_id) / str(project_id) / f"{session_id}.jsonl"

    def append(self, entries: Sequence[Entry]) -> list[tuple[int, int]]:
        """Append to several sessions at once, and sync; returns each file's size in bytes before and after.

        Raises:
            StorageError: nothing of it was kept: each file has its former length again.
        """
        done: list[tuple[int, int, int]] = []
        try:
            for entry in entries:
                done.append(self._append_one(entry))  # noqa: PERF401 - what was opened before a failure must be known
            self._sync([descriptor for descriptor, _, _ in done])
            return [(before, after) for _, before, after in done]
        except OSError as error:
            for descriptor, before, _ in done:
                os.ftruncate(descriptor, before)
            raise StorageError(f"the raw log could not be written: {error.strerror} ({self._root})") from error
        finally:
            for descriptor, _, _ in done:
                os.close(descriptor)

    def _sync(self, descriptors: Sequence[int]) -> None:
        # Syncs that wait for the disk together cost little more than one: 32 files 3 ms in turn, 1 ms so.
        if len(descriptors) > 1:
            list(self._syncers.map(_sync, descriptors))
        else:
            _sync(descriptors[0])

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
        """List every session's file (unknown files are passed over)."""
        for workspace in _folders(self._root):
            for project in _folders(workspace):
                with os.scandir(project) as children:
                    for child in children:
                        stem, _, suffix = child.name.rpartition(".")
                        if suffix == "jsonl" and child.is_file(follow_symlinks=False):
                            yield RawFile(
                                UUID(workspace.name),
                                UUID(project.name),
                                UUID(stem),
                                Path(child.path),
                                child.stat(follow_symlinks=False).st_size,
                            )

    def read(self, path: Path, start: int = 0) -> tuple[str, list[Observation], int]:
        """Read a session's file from byte `start` on, cutting off a torn last line.

        Returns:
            the agent's own session id ("" when `start` is not 0), the observations, and the byte after
            the last whole line.
        """
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, start + whole)
        rows = [json.loads(line) for line in data[:whole].split(b"\n") if line]
        native = str(rows[0].get("native", "")) if rows and not start else ""
        return native, [observation_of(row) for row in rows if "kind" in row], start + whole


def _folders(path: Path) -> Iterator[Path]:
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.is_symlink():
            yield child


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(descriptor: int) -> None:
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
                ("call", tool.call_id),
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
            call_id=tool.get("call", ""),
            command=Scrubbed(tool.get("command", "")),
            files=tuple(Scrubbed(file) for file in tool.get("files", ())),
            writes=tool.get("writes", False),
        ),
    )
