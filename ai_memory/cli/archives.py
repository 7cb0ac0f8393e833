"""Archives that commands fetch from a server: into a file, whole or not at all, or into a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from ai_memory.errors import StorageError


@contextmanager
def into_pipe() -> Iterator[IO[bytes]]:
    """Give standard output for an archive.

    Raises:
        click.UsageError: it is a terminal.
    """
    if sys.stdout.isatty():
        raise click.UsageError("the archive would go to the terminal: name a file, or pipe it somewhere")
    with click.open_file("-", "wb") as out:
        yield out


@contextmanager
def into_file(target: Path) -> Iterator[IO[bytes]]:
    """Give a file that becomes `target` when all went well, synced and readable for its owner alone.

    Until then it is beside it, and `name` of the file says where.

    Raises:
        StorageError: it could not be written; `target` is as it was.
    """
    from ai_memory.store.files import sync_folder

    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(0o600, exist_ok=False)
        with partial.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
        sync_folder(target.absolute().parent)
    except OSError as error:
        raise StorageError(f"{target} could not be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
