"""SQLite as this program opens it: apsw, write-ahead log, numbered migrations."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import apsw

from ai_memory.errors import StorageError
from ai_memory.store.files import private_folder

MIGRATIONS = resources.files("ai_memory.store") / "migrations"


class NewerDatabaseError(StorageError):
    """The database was written by a newer version of this program."""


def open_database(path: Path, kind: str, *, durable: bool) -> apsw.Connection:
    """Open (or make) a database and bring it to the newest schema.

    Args:
        path: the file; it gets mode 0600.
        kind: the folder of its migrations, `0001_name.sql` and so on; each runs once, in one
            transaction with the note that it ran (`user_version`).
        durable: whether a commit must survive a power cut. A derived database need not.

    Raises:
        NewerDatabaseError: it has migrations that this version does not know.
        apsw.Error: it cannot be opened or is damaged.
    """
    private_folder(path.parent)
    path.touch(mode=0o600, exist_ok=True)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys = ON")
    scripts = sorted(
        (script for script in (MIGRATIONS / kind).iterdir() if script.name.endswith(".sql")),
        key=lambda script: script.name,
    )
    version: int = connection.pragma("user_version")
    if version > len(scripts):
        connection.close()
        raise NewerDatabaseError(
            f"{path} has schema version {version}, this program knows {len(scripts)}: install the newer version again"
        )
    for number, script in enumerate(scripts[version:], start=version + 1):
        with connection:
            connection.execute(script.read_text("utf-8"))
            connection.execute(f"PRAGMA user_version = {number}")
    return connection
