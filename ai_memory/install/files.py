"""Configuration files of other programs: read whole, written atomically, backed up, through links."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ai_memory.errors import ConfigError


def read_text(path: Path) -> str | None:
    """Read a UTF-8 file exactly (byte order mark and line ends included); None when there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start}). Nothing was written.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def target_of(path: Path) -> Path:
    """Follow a chain of links to the file that a write must reach; it need not exist."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise ConfigError(f"{path} is a symbolic link that leads back to itself.")
    return target


def check_writable(path: Path) -> None:
    """Raise ConfigError for a file that its owner has made read-only.

    A rename would replace it all the same, and root may write anything: the mode bits are the user's word.
    """
    target = target_of(path)
    if target.exists() and not target.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{path} is read-only. Make it writable (chmod u+w) or give another --config-file.")


def make_folder(folder: Path, mode: int = 0o700) -> list[Path]:
    """Create a folder with its parents; gives those that were made, outermost first."""
    missing = [folder, *folder.parents]
    made = [path for path in reversed(missing) if not path.exists()]
    for path in made:
        try:
            path.mkdir(mode=mode)
        except OSError as error:
            raise ConfigError(f"The folder {path} cannot be made: {error.strerror}.") from None
    return made


def write_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Replace a file atomically, through links; its folder must exist.

    Args:
        path: the file, or a link to it.
        content: the whole new content.
        mode: permission bits; None keeps those of the old file (0600 for a new one).
    """
    target = target_of(path)
    old = target.stat() if target.exists() else None
    if mode is None:
        mode = stat.S_IMODE(old.st_mode) if old else 0o600
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        _write_new(draft, content, mode)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        if old:
            _give(draft, old)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def back_up(path: Path, now: int) -> Path:
    """Copy a file to `<file>.bak-<unix seconds>` beside it, for its owner alone, never over an older backup."""
    content = path.read_bytes()
    old = path.stat()
    for ending in (f".bak-{now}", *(f".bak-{now}-{n}" for n in range(1, 1000))):
        copy = path.with_name(path.name + ending)
        try:
            _write_new(copy, content, stat.S_IMODE(old.st_mode) & 0o700)
            _give(copy, old)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"The backup {copy} cannot be written: {error.strerror}.") from None
        return copy
    raise ConfigError(f"{path} has a thousand backups of this second.")


def remove_empty(folders: list[Path]) -> None:
    """Remove those folders that hold nothing any more, innermost first."""
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()


def is_exposed(path: Path) -> bool:
    """Whether others than its owner may open a file; False where there is none."""
    target = target_of(path)
    return os.name == "posix" and target.exists() and bool(target.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def shut(path: Path) -> None:
    """Keep everybody but its owner from opening a file."""
    target = target_of(path)
    try:
        target.chmod(stat.S_IMODE(target.stat().st_mode) & 0o700)
    except OSError as error:
        raise ConfigError(f"The mode of {path} cannot be changed: {error.strerror}.") from None


def _give(path: Path, old: os.stat_result) -> None:
    """Keep a file its owner's: run through sudo, the user's own would become root's."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.chown(path, old.st_uid, old.st_gid)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.chmod(path, mode)  # noqa: PTH101 - the umask has narrowed what open() was given
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # Half a copy on a full disk would pass for a whole one.
        path.unlink()
        raise
