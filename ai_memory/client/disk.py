"""Reading files that somebody else made: never a device, a pipe or a terminal, which would hold the agent up."""

from __future__ import annotations

import os
import stat


def read_regular(path: str, most: int) -> bytes:
    """Read up to `most` bytes of a regular file.

    Raises:
        OSError: there is none, it cannot be read, or it is no regular file (a repository can link to `/dev/tty`).
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(f"{path} is not a regular file")
        chunks = []
        while most > 0 and (chunk := os.read(file, most)):
            chunks.append(chunk)
            most -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(file)
