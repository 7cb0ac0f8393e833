"""Models of this machine: which are known, and their files in `<data_dir>/models/<name>/`."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ai_memory.errors import AiMemoryError, StorageError
from ai_memory.store.files import bytes_below, private_folder, sync_folder

_CHUNK = 1 << 20


class ModelFileError(AiMemoryError):
    """A file of a model is missing, or is not the one that this program knows."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model: its name, its bytes and their SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model that this program knows.

    Attributes:
        name: also that of its folder.
        dim: numbers in a vector.
        tokens: so many of a text are read, the rest is not.
        licence: of its weights, as SPDX writes it.
        parts: its files.
    """

    name: str
    dim: int
    tokens: int
    licence: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.size for part in self.parts)


#: The first one is what is meant where no name is said.
MODELS: tuple[Model, ...] = (
    Model(
        "all-MiniLM-L6-v2-int8",
        384,
        256,
        "Apache-2.0",
        (
            Part("model.onnx", 23_459_199, "e63dbaa2fdfe77f73fd4f8505ab5491fcab8b098bffe71249dfe50ddc176a51c"),
            Part("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ),
    ),
)


def folder_of(data_dir: Path, model: Model) -> Path:
    """Give the folder of a model, whether it is installed or not."""
    return data_dir / "models" / model.name


def faults_of(data_dir: Path, model: Model) -> list[str]:
    """Read all files of an installed model; gives what is wrong with them, nothing when it is whole."""
    folder = folder_of(data_dir, model)
    return [fault for part in model.parts if (fault := _fault(part, *_digest(folder / part.name), folder))]


def install(data_dir: Path, model: Model, read: Callable[[Part], Iterable[bytes]]) -> None:
    """Put a model in its folder: all of its files, each the known one, or nothing.

    Args:
        data_dir: the data directory.
        model: which one.
        read: gives the bytes of a file in pieces; its errors go through.

    Raises:
        ModelFileError: a file is missing, or another one; what was installed is as it was.
        StorageError: the disk refused; the same.
    """
    folder = folder_of(data_dir, model)
    staging = folder.with_name(f".{model.name}.partial")
    try:
        # Of an install that was killed.
        shutil.rmtree(staging, ignore_errors=True)
        private_folder(staging)
        for part in model.parts:
            _write(staging / part.name, part, read)
        sync_folder(staging)
        if folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"{folder} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def files_in(source: Path) -> Callable[[Part], Iterable[bytes]]:
    """Read the files of a model from a folder, for `install`."""

    def read(part: Part) -> Iterable[bytes]:
        try:
            with (source / part.name).open("rb") as file:
                while piece := file.read(_CHUNK):
                    yield piece
        except OSError as error:
            file_name = source / part.name
            raise ModelFileError(f"{file_name} cannot be read: {error.strerror}: nothing was installed") from error

    return read


def remove(data_dir: Path, model: Model) -> int:
    """Remove a model; gives the bytes that are free now, 0 when it was not installed.

    Raises:
        StorageError: the disk refused.
    """
    folder = folder_of(data_dir, model)
    size = bytes_below(folder)
    try:
        if folder.exists():
            shutil.rmtree(folder)
            sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"{folder} could not be removed: {error.strerror}") from error
    return size


def _write(target: Path, part: Part, read: Callable[[Part], Iterable[bytes]]) -> None:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for piece in read(part):
            size += len(piece)
            # Whoever sends more sends something else, and perhaps without an end.
            if size > part.size:
                break
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if fault := _fault(part, size, digest.hexdigest()):
        raise ModelFileError(f"{fault}: nothing was installed")


def _digest(file: Path) -> tuple[int, str]:
    """Read a file; gives its bytes and their SHA-256, -1 where there is none."""
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
            return opened.tell(), digest.hexdigest()
    except OSError:
        return -1, ""


def _fault(part: Part, size: int, sha256: str, folder: Path | None = None) -> str:
    """Say what is wrong with a file, "" when it is the known one."""
    name = folder / part.name if folder else part.name
    if size < 0:
        return f"{name} is missing"
    if size > part.size:
        return f"{name} is larger than the {part.size:,} bytes of the one that this program knows"
    if sha256 != part.sha256:
        return (
            f"{name} is not the file that this program knows: its SHA-256 is {sha256} ({size:,} bytes), "
            f"wanted is {part.sha256} ({part.size:,} bytes)"
        )
    return ""
