"""The raw log: what happened, one append-only file a session. The truth.

`raw/<workspace>/<project>/<session>.jsonl`: the first line says whose session it is, each further line is
one observation. A line that does not end in a newline was never acknowledged and is cut off.

A session that is silent may be compressed to `<session>.jsonl.gz`; it keeps the name of its `.jsonl`, and its size in
bytes is that of its lines. Where both files exist the `.jsonl` is complete and the `.gz` is a leftover of a crash: a
form is only given up when the other one is whole and on disk.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import secrets
import shutil
import stat
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from ai_memory.errors import ConflictError, NotFoundError, StorageError
from ai_memory.model.event import Kind, Observation, Scrubbed, ToolCall
from ai_memory.model.scope import Project
from ai_memory.store.files import TEMPORARY_PREFIX, private_folder, sync_folder, write_whole
from ai_memory.store.steps import Step, reached

_SYNCERS = 8
#: Files that a group holds open at a time: a process may often have no more than 1,024.
_OPEN_FILES = 128
_BLOCK = 65_536
#: A gzip file without content: header and trailer.
_SMALLEST_GZIP = 18
#: What reading a damaged gzip file raises.
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)

#: A workspace's id and a project's id: the folder that a session's file is in.
Home = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class RawFile:
    """Where one session's raw log is.

    Attributes:
        workspace_id, project_id, session_id: whose it is.
        path: its name, that of the `.jsonl` also while it is compressed.
        size: bytes of its lines; a damaged compressed file may say anything.
        written: when it was last appended to.
        compressed: it is a `.jsonl.gz` now.
        stored: bytes on disk.
    """

    workspace_id: UUID
    project_id: UUID
    session_id: UUID
    path: Path
    size: int
    written: datetime
    compressed: bool
    stored: int


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
        """Open the folder, and remove what crashes left in it.

        Raises:
            OSError: it cannot be written.
        """
        self._root = private_folder(root)
        self._syncers = ThreadPoolExecutor(_SYNCERS, "rawlog-sync")
        #: Lines that could not be read, by file: they are passed over, and `status` tells of them.
        self.damaged: dict[Path, int] = {}
        # One compression, removal or move at a time; taken before `_writing`.
        self._upkeep = threading.Lock()
        # Held while lines are written and while a file takes another form.
        self._writing = threading.RLock()
        # The log that is being compressed; a write to it clears this, and its compression is given up.
        self._compressing = ""
        self._clear_leftovers()

    def path(self, workspace_id: UUID, project_id: UUID, session_id: UUID) -> Path:
        """Say where a session's file is."""
        return self._root / str(workspace_id) / str(project_id) / f"{session_id}.jsonl"

    def holds(self, workspace_id: UUID, project_id: UUID, session_id: UUID) -> bool:
        """Tell whether there is a log of a session, in either form."""
        path = self.path(workspace_id, project_id, session_id)
        # A form is given up after the other one is there.
        return any(_status(file) for file in (path, _packed(path), path))

    def append(self, entries: Sequence[Entry]) -> list[tuple[int, int]]:
        """Append to several sessions at once, and sync; returns each file's size in bytes before and after.

        Raises:
            StorageError: nothing of it was kept: each file has its former length again.
        """
        sizes: list[tuple[int, int]] = []
        with self._writing:
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
        if path == self._compressing:
            self._compressing = ""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            folder = private_folder(Path(path).parent)
            self._thaw(Path(path))
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
        path = self.path(entry.project.workspace_id, entry.project.id, entry.session_id)
        with self._writing:
            self._compressing = ""
            # It may have been compressed since it was appended to.
            self._thaw(path)
            os.truncate(path, size)

    def files(self) -> Iterator[RawFile]:
        """List every session's file; what is not named after ids is none of ours and passed over."""
        for folder in self.projects():
            stems = {name.partition(".")[0] for name in _names(folder) if name.endswith((".jsonl", ".jsonl.gz"))}
            for stem in sorted(stems):
                if _is_id(stem) and (file := self._file(folder, stem)):
                    yield file

    def sizes(self) -> dict[str, int]:
        """Add up what is there: files, their bytes on disk, compressed files, and bytes that are not compressed."""
        files = list(self.files())
        return {
            "files": len(files),
            "bytes": sum(file.stored for file in files),
            "compressed_files": sum(file.compressed for file in files),
            "compressible_bytes": sum(file.stored for file in files if not file.compressed),
        }

    def projects(self) -> Iterator[Path]:
        """List the folders `<workspace>/<project>` that hold raw logs; also such that are none of ours."""
        for workspace in _folders(self._root):
            yield from _folders(workspace)

    def _file(self, folder: Path, stem: str) -> RawFile | None:
        """Look at one session's file in either form, None when there is none."""
        path = folder / f"{stem}.jsonl"
        look = _look(path)
        if look is None:
            # It may take its other form between two looks, unless nobody may write.
            with self._writing:
                look = _look(path)
        if look is None:
            return None
        about, size, compressed = look
        if compressed and about.st_size < _SMALLEST_GZIP:
            self._note_damage(path, 1)
        return RawFile(
            UUID(folder.parent.name),
            UUID(folder.name),
            UUID(stem),
            path,
            size,
            datetime.fromtimestamp(about.st_mtime, UTC),
            compressed,
            about.st_size,
        )

    # Two forms

    def compress(self, path: Path) -> int:
        """Compress a session's log; returns the bytes that it takes less on disk.

        That is 0, and nothing changes, where there is no such log or it is compressed already, where it would not
        become smaller, where its last line is torn, and where somebody appended to it meanwhile.

        Raises:
            StorageError: it could not be written; the log is whole.
        """
        with self._upkeep, _telling(f"the raw log {path} could not be compressed"):
            with self._writing:
                self._compressing = str(path)
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return 0
            with file:
                about = os.fstat(file.fileno())
                if not about.st_size or not _ends_line(file, about.st_size):
                    return 0
                file.seek(0)
                staged = _stage(path, about, _compressed(file))
            try:
                return self._swap(path, staged, about.st_size - staged.stat().st_size)
            finally:
                staged.unlink(missing_ok=True)

    def _swap(self, path: Path, staged: Path, saved: int) -> int:
        with self._writing:
            # Lines that were appended since it was read are not in the staged file.
            if saved <= 0 or self._compressing != str(path):
                return 0
            reached(Step.COMPRESS_STAGED)
            staged.replace(_packed(path))
            sync_folder(path.parent)
            reached(Step.COMPRESS_BOTH)
            path.unlink()
            sync_folder(path.parent)
            reached(Step.COMPRESS_DONE)
            return saved

    def _thaw(self, path: Path) -> None:
        """Give a compressed log its plain form again; nothing happens where it has that or is not there at all.

        What cannot be read of a damaged one is kept beside it as `.jsonl.gz.damaged`.
        """
        packed = _packed(path)
        about = _status(packed)
        if about is None or path.exists():
            return
        with gzip.open(packed) as file:
            lines = _WholeLines(file)
            staged = _stage(path, about, lines)
        try:
            if lines.damaged:
                self._note_damage(path, 1)
                write_whole(packed.with_name(f"{packed.name}.damaged"), packed.read_bytes())
            reached(Step.THAW_STAGED)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        sync_folder(path.parent)
        reached(Step.THAW_BOTH)
        packed.unlink()
        reached(Step.THAW_DONE)

    def _clear_leftovers(self) -> None:
        """Remove files that were not finished, and the compressed form of logs that have their plain one."""
        for folder in self.projects():
            names = _names(folder)
            for name in names:
                stem, _, suffix = name.rpartition(".")
                is_second = suffix == "gz" and stem in names and stem.endswith(".jsonl")
                if is_second or name.startswith(TEMPORARY_PREFIX):
                    (folder / name).unlink()

    # Removals and moves

    def remove(self, workspace_id: UUID, project_id: UUID, session_id: UUID) -> bool:
        """Remove all files of a session, its transcripts too; tells whether there were any.

        Raises:
            StorageError: one could not be removed; do it again.
        """
        path = self.path(workspace_id, project_id, session_id)
        with self._upkeep, self._writing, _telling(f"the raw log {path} could not be removed"):
            files = _files_of(path)
            for file in files:
                file.unlink()
                reached(Step.RAW_REMOVE_FILE)
            for folder in {file.parent for file in files}:
                sync_folder(folder)
            self.damaged.pop(path, None)
            return bool(files)

    def remove_project(self, workspace_id: UUID, project_id: UUID) -> bool:
        """Remove all files of a project; tells whether there were any.

        Raises:
            StorageError: one could not be removed; do it again.
        """
        folder = self._folder((workspace_id, project_id))
        with self._upkeep, self._writing, _telling(f"the raw logs in {folder} could not be removed"):
            if not folder.exists():
                return False
            shutil.rmtree(folder)
            reached(Step.RAW_REMOVE_PROJECT)
            sync_folder(folder.parent)
            self._forget_damage(folder)
            return True

    def move_session(self, session_id: UUID, old: Home, new: Home) -> bool:
        """Move all files of a session to another project; tells whether there were any left to move.

        Raises:
            ConflictError: the session has a log there already; nothing was moved.
            StorageError: a file could not be moved; do it again.
        """
        path, target = self.path(*old, session_id), self.path(*new, session_id)
        if path == target:
            return False
        with self._upkeep, self._writing, _telling(f"the raw log {path} could not be moved to {target.parent}"):
            if path.exists():
                _packed(path).unlink(missing_ok=True)
            files = _files_of(path)
            moves = {file: target.parent / file.relative_to(path.parent) for file in files}
            forms = (target, _packed(target)) if path in moves or _packed(path) in moves else ()
            if taken := [file for file in (*forms, *moves.values()) if file.exists()]:
                raise ConflictError(f"session {session_id} has files in both projects ({taken[0]}): nothing was moved")
            for source, destination in moves.items():
                private_folder(destination.parent)
                source.rename(destination)
                reached(Step.RAW_MOVE_FILE)
            for folder in {file.parent for pair in moves.items() for file in pair}:
                sync_folder(folder)
            self.damaged.pop(path, None)
            return bool(moves)

    def move_project(self, project_id: UUID, old_workspace: UUID, new_workspace: UUID) -> bool:
        """Move all files of a project to another workspace; tells whether there were any left to move.

        Raises:
            ConflictError: the project has files there already; nothing was moved.
            StorageError: they could not be moved; do it again.
        """
        folder, target = self._folder((old_workspace, project_id)), self._folder((new_workspace, project_id))
        if folder == target:
            return False
        with self._upkeep, self._writing, _telling(f"the raw logs in {folder} could not be moved to {target}"):
            if not folder.exists():
                return False
            if target.exists():
                raise ConflictError(f"project {project_id} has raw logs in both workspaces ({target}): none was moved")
            private_folder(target.parent)
            folder.rename(target)
            reached(Step.RAW_MOVE_PROJECT)
            sync_folder(target.parent)
            sync_folder(folder.parent)
            self._forget_damage(folder)
            return True

    def _folder(self, home: Home) -> Path:
        return self._root / str(home[0]) / str(home[1])

    def _note_damage(self, path: Path, lines: int) -> None:
        self.damaged[path] = max(lines, self.damaged.get(path, 0))

    def _forget_damage(self, folder: Path) -> None:
        for path in [path for path in self.damaged.copy() if path.parent == folder]:
            self.damaged.pop(path, None)

    # Reading

    def mend(self, path: Path) -> int:
        """Cut off a last line without an end, which was never acknowledged; gives the size in bytes then.

        Only for a log that nobody appends to: between two parts of a write every line looks torn. A compressed log
        has none.

        Raises:
            FileNotFoundError: there is no such log.
        """
        with self._writing:
            if not path.exists():
                return _unpacked_size(_packed(path))
            with path.open("r+b") as file:
                size = end = file.seek(0, os.SEEK_END)
                while size and not _ends_line(file, size):
                    size = _last_line_start(file, size)
                # Also to the same length this would change the file's time, which says how old its keys are.
                if size < end:
                    file.truncate(size)
            return size

    def native_id(self, path: Path) -> str:
        """Read the agent's own session id from a file's first line, "" when it cannot be read.

        Raises:
            NotFoundError: there is no such file.
        """
        with self._opened(path) as file:
            try:
                row = _row(file.readline())
            except _DAMAGE:
                row = None
        return str(row.get("native", "")) if row else ""

    def observations(self, path: Path, start: int = 0) -> Iterator[Observation]:
        """Read a session's whole lines from byte `start` on; a line that is damaged is passed over.

        Raises:
            NotFoundError: there is no such file.
        """
        damaged = 0
        with self._opened(path) as file:
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
            except _DAMAGE:
                # A compressed file: nothing can be read behind this.
                damaged += 1
            finally:
                if damaged:
                    self._note_damage(path, damaged)

    def _opened(self, path: Path) -> BinaryIO | gzip.GzipFile:
        file = _open_either(path)
        if file is None:
            with self._writing:
                file = _open_either(path)
        if file is None:
            raise NotFoundError(f"the raw log has no file {path}")
        return file


class _WholeLines:
    """The whole lines of a file, up to where it is damaged."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.damaged = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for line in self._file:
                if line.endswith(b"\n"):
                    yield line
        except _DAMAGE:
            self.damaged = True


def _packed(path: Path) -> Path:
    """Say where the compressed form of a log is."""
    return path.with_name(f"{path.name}.gz")


def _unpacked_size(packed: Path) -> int:
    """Read from a gzip file's last four bytes how many it holds; exact below 4 GiB."""
    with packed.open("rb") as file:
        if file.seek(0, os.SEEK_END) < _SMALLEST_GZIP:
            return 0
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")


def _open_either(path: Path) -> BinaryIO | gzip.GzipFile | None:
    with contextlib.suppress(FileNotFoundError):
        return path.open("rb")
    with contextlib.suppress(FileNotFoundError):
        return gzip.open(_packed(path))
    return None


def _look(path: Path) -> tuple[os.stat_result, int, bool] | None:
    """Look at a log in either form: the file's status, the bytes of its lines, whether it is compressed."""
    if about := _status(path):
        return about, about.st_size, False
    with contextlib.suppress(FileNotFoundError):
        if about := _status(_packed(path)):
            return about, _unpacked_size(_packed(path)), True
    return None


def _compressed(file: BinaryIO) -> Iterator[bytes]:
    """Give a file's content as one gzip member, without name and time."""
    packer = zlib.compressobj(wbits=31)
    while block := file.read(_BLOCK):
        yield packer.compress(block)
    yield packer.flush()


def _stage(path: Path, about: os.stat_result, content: Iterable[bytes]) -> Path:
    """Write a private file beside a log, on disk and dated like the log, for the caller to rename or remove."""
    staged = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(content)
            file.flush()
            os.utime(staged, ns=(about.st_atime_ns, about.st_mtime_ns))
            os.fsync(file.fileno())
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    return staged


def _files_of(path: Path) -> list[Path]:
    """List all files of a session, the plain log last: as long as it is there, no other form counts."""
    folders = (path.parent / "transcripts", path.parent)
    files = [file for folder in folders for file in folder.glob(f"{path.stem}.*")]
    return sorted(files, key=lambda file: (file == path, file))


def _status(path: Path) -> os.stat_result | None:
    """Look at a regular file, None where there is none."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return None
    return about if stat.S_ISREG(about.st_mode) else None


@contextlib.contextmanager
def _telling(problem: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{problem}: {error.strerror}") from error


def _folders(path: Path) -> Iterator[Path]:
    for child in sorted(path.iterdir()):
        if _is_id(child.name) and child.is_dir() and not child.is_symlink():
            yield child


def _names(folder: Path) -> set[str]:
    try:
        return {child.name for child in folder.iterdir()}
    except FileNotFoundError:
        # Removed since it was listed.
        return set()


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
        start = max(0, size - _BLOCK)
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
