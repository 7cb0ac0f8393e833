"""Backup archives: a tar.gz of `manifest.json`, the durable files, and last the checksums of all of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from ai_memory import __version__
from ai_memory.errors import AiMemoryError, StorageError
from ai_memory.model.handoff import stamp
from ai_memory.model.page import is_page
from ai_memory.store.format import FORMAT
from ai_memory.store.snapshot import CONFIG, NOTES, STATE, TREES, Linked, Snapshot, is_appended
from ai_memory.store.steps import Step, reached

#: The number of this form of archive.
VERSION = 1
_MANIFEST = "manifest.json"
_CHECKSUMS = "checksums.json"
_LEVEL = 4
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 1 << 20
#: Left free whatever the estimate says.
_RESERVE = 16 << 20

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PROJECT = re.compile(rf"wiki/{_ID}/({_ID})/_meta\.md")
_FILE = re.compile(rf"wiki/{_ID}/{_ID}/(.+)", re.DOTALL)
_SESSION = re.compile(rf"raw/{_ID}/({_ID}/{_ID})\.jsonl(?:\.gz)?")
_PACKED = re.compile(r"wiki/\.git/objects/.*|.*\.gz")


class ArchiveError(AiMemoryError):
    """The file is not a backup that this program can use; nothing was changed."""


@dataclass(slots=True)
class Tally:
    """What there is, counted by the names of the files."""

    projects: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    pages: int = 0
    files: int = 0
    bytes: int = 0

    def add(self, name: str, size: int) -> None:
        """Count one file by its path in the data directory."""
        self.files += 1
        self.bytes += size
        if project := _PROJECT.fullmatch(name):
            self.projects.add(project[1])
        elif session := _SESSION.fullmatch(name):
            self.sessions.add(session[1])
        elif (file := _FILE.fullmatch(name)) and is_page(file[1]):
            self.pages += 1


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive says of itself, and what is in it."""

    format: int
    program: str
    created: str
    left_out: int
    tally: Tally


def tally_of(data_dir: Path) -> Tally:
    """Count what a data directory holds in its durable folders; links are not followed."""
    tally = Tally()
    for tree in (*TREES, "db"):
        for folder, _, files in os.walk(data_dir / tree):
            for name in files:
                file = Path(folder, name)
                tally.add(file.relative_to(data_dir).as_posix(), file.lstat().st_size)
    return tally


# Writing


def write(out: IO[bytes], snapshot: Snapshot, *, at: datetime, format_number: int = FORMAT) -> None:
    """Write a snapshot as an archive.

    Args:
        out: a file on the disk of the data directory.
        snapshot: what is kept.
        at: when the snapshot was made, UTC.
        format_number: of the data, when that is not this program's.

    Raises:
        OSError: it could not be written.
    """
    manifest = {
        "archive": VERSION,
        "format": format_number,
        "program": __version__,
        "created": stamp(at),
        "files": len(snapshot.files),
        "bytes": snapshot.size,
        "left_out": snapshot.left_out,
    }
    sums: dict[str, str] = {}
    with (
        gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        sums[_MANIFEST] = _add_text(tar, _MANIFEST, json.dumps(manifest, indent=1), at)
        for name in snapshot.folders:
            tar.addfile(_info(name, 0, int(at.timestamp()), folder=True))
        for file in snapshot.files:
            sums[file.name] = _add(tar, snapshot, file)
            # A tar file object remembers every member, which nobody asks for here.
            tar.members.clear()  # type: ignore[attr-defined]
        _add_text(tar, _CHECKSUMS, json.dumps({"sha256": sums}, indent=0), at)
    reached(Step.BACKUP_WRITTEN)


def room_for(snapshot: Snapshot) -> int:
    """Estimate the bytes of an archive, not too low: text shrinks to less than half, packed objects do not shrink."""
    return sum(file.size if _PACKED.fullmatch(file.name) else file.size // 2 for file in snapshot.files)


def check_room(data_dir: Path, needed: int, what: str) -> None:
    """Refuse what will not fit.

    Raises:
        StorageError: the message has the figures.
    """
    free = shutil.disk_usage(data_dir).free
    if needed + _RESERVE > free:
        raise StorageError(
            f"{what} needs about {(needed + _RESERVE) / 1e6:,.0f} MB of free space, and the disk of {data_dir} has "
            f"{free / 1e6:,.0f} MB: make room and try again"
        )


class _Summed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on, and hash what was read."""
        data = self._file.read(size)
        self.sha.update(data)
        return data


def _add(tar: tarfile.TarFile, snapshot: Snapshot, file: Linked) -> str:
    # Somebody may have put a link where the file was when it was linked.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(snapshot.path(file), flags), "rb") as opened:
        # An editor that writes in place may have changed a page since: then the page as it is now.
        size = file.size if is_appended(file.name) else os.fstat(opened.fileno()).st_size
        summed = _Summed(opened)
        tar.addfile(_info(file.name, size, file.written), summed)
    return summed.sha.hexdigest()


def _add_text(tar: tarfile.TarFile, name: str, text: str, at: datetime) -> str:
    data = text.encode()
    tar.addfile(_info(name, len(data), int(at.timestamp())), io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def _info(name: str, size: int, written: int, *, folder: bool = False) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, written
    info.type, info.mode = (tarfile.DIRTYPE, 0o700) if folder else (tarfile.REGTYPE, 0o600)
    return info


# Reading


def read(path: Path, into: Path | None = None) -> Contents:
    """Check an archive from its first byte to its last, and lay out its files if that is asked for.

    Args:
        path: the archive.
        into: an existing folder with nothing but empty trees in it; None only checks.

    Raises:
        ArchiveError: it is damaged, incomplete, newer than this program, or holds what no backup does.
        StorageError: the disk refused.
    """
    try:
        with gzip.open(path) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                contents = _Reading(path, into).whole(tar)
            # gzip's own checksum stands at the very end, behind the padding.
            while rest := packed.read(_CHUNK):
                if rest.strip(b"\0"):
                    raise ArchiveError(f"{path} is damaged: something stands behind its end. Nothing was changed")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ArchiveError(
            f"{path} is not a whole backup, it is damaged or cut off ({error}). Nothing was changed"
        ) from (error)
    except OSError as error:
        raise StorageError(
            f"{path} could not be read or laid out: {error.strerror or error} ({error.filename})"
        ) from error
    return contents


class _Reading:
    """One pass over an archive."""

    def __init__(self, path: Path, into: Path | None) -> None:
        self._path = path
        self._into = into
        self._sums: dict[str, str] = {}
        self._folders: set[str] = set()
        self._tally = Tally()

    def whole(self, tar: tarfile.TarFile) -> Contents:
        """Read the manifest, every entry, and the checksums, which must be the last one."""
        members = _members(tar)
        manifest = self._manifest(tar, next(members, None))
        for member in members:
            if member.name == _CHECKSUMS and member.isreg():
                self._compare(json.loads(self._text(tar, member)))
                if after := next(members, None):
                    raise self._refusal(f"{after.name!r} stands behind the checksums")
                return Contents(
                    format=manifest["format"],
                    program=str(manifest.get("program", "")),
                    created=str(manifest.get("created", "")),
                    left_out=int(manifest.get("left_out", 0)),
                    tally=self._tally,
                )
            self._entry(tar, member)
        raise self._refusal("it ends before its checksums, so it is cut off")

    def _manifest(self, tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> dict[str, Any]:
        if member is None or member.name != _MANIFEST or not member.isreg() or member.size > _LARGEST_MANIFEST:
            raise self._refusal(f"it does not begin with {_MANIFEST}, so `ai-memory backup` did not make it")
        manifest = json.loads(self._text(tar, member))
        if not isinstance(manifest, dict):
            raise self._refusal(f"its {_MANIFEST} is not an object")
        for key, known in (("archive", VERSION), ("format", FORMAT)):
            number = manifest.get(key)
            if not isinstance(number, int) or number < 1:
                raise self._refusal(f"its {_MANIFEST} does not say which {key} it is")
            if number > known:
                raise self._refusal(
                    f"it was made by a newer ai-memory ({manifest.get('program', 'unknown')}): it has {key} {number}, "
                    f"this program knows {known}. Upgrade ai-memory first"
                )
        if self._into:
            size = manifest.get("bytes")
            check_room(self._into, size if isinstance(size, int) else 0, f"laying out {self._path}")
        return manifest

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = member.name
        if problem := _problem(member):
            raise self._refusal(f"{name!r} {problem}")
        if name in self._sums or name in self._folders:
            raise self._refusal(f"{name!r} is in it twice")
        target = self._into / name if self._into else None
        if member.isdir():
            self._folders.add(name)
            if target:
                target.mkdir(mode=0o700, parents=True, exist_ok=True)
            return
        if target:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(target) as out:
            self._sums[name] = self._copy(tar, member, out)
        if target:
            written = min(max(int(member.mtime), 0), 1 << 33)
            os.utime(target, (written, written))
        self._tally.add(name, member.size)

    def _text(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        out = io.BytesIO()
        digest = self._copy(tar, member, out)
        if member.name == _MANIFEST:
            self._sums[_MANIFEST] = digest
        return out.getvalue()

    def _copy(self, tar: tarfile.TarFile, member: tarfile.TarInfo, out: BinaryIO) -> str:
        source = tar.extractfile(member)
        if source is None:
            raise self._refusal(f"{member.name!r} has no content")
        sha = hashlib.sha256()
        while chunk := source.read(_CHUNK):
            sha.update(chunk)
            out.write(chunk)
        return sha.hexdigest()

    def _compare(self, stated: Any) -> None:
        sums = stated.get("sha256") if isinstance(stated, dict) else None
        if not isinstance(sums, dict):
            raise self._refusal(f"its {_CHECKSUMS} cannot be read")
        if sums != self._sums:
            wrong = sorted(name for name in sums.keys() | self._sums if sums.get(name) != self._sums.get(name))
            raise self._refusal(f"{wrong[0]!r} is not what it was when the backup was made ({len(wrong)} files differ)")

    def _refusal(self, reason: str) -> ArchiveError:
        return ArchiveError(f"{self._path} cannot be used: {reason}. Nothing was changed")


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while member := tar.next():
        yield member
        tar.members.clear()  # type: ignore[attr-defined]


def _problem(member: tarfile.TarInfo) -> str:
    """Say why an entry is none of a backup's, "" when it is one."""
    if not member.isreg() and not member.isdir():
        return "is a link or a special file, which no backup holds"
    parts = member.name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts) or (os.name == "nt" and _is_odd(member.name)):
        return "is not a plain relative path"
    if parts[0] in TREES:
        return "" if len(parts) > 1 or member.isdir() else "is not a folder"
    known = member.name == "db" if member.isdir() else member.name in {STATE, *NOTES, CONFIG}
    return "" if known else "is none of a backup's"


def _is_odd(name: str) -> bool:
    """Tell whether a name means more to Windows than a path: a drive, a stream, another separator."""
    return any(sign in name for sign in '\\:*?"<>|')


def _opened(target: Path | None) -> BinaryIO:
    """Open a new file; on a disk that ignores case two names may be one, which must not mix them."""
    if target is None:
        return _Nowhere()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(target, flags, stat.S_IRUSR | stat.S_IWUSR), "wb")


class _Nowhere(io.BytesIO):
    """Takes everything and keeps nothing."""

    def write(self, data: Any) -> int:
        """Say that all of it was written."""
        return len(data)
