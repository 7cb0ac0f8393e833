"""Named points between two steps whose order a crash could tell apart.

They do nothing, except in the fault tests, which kill the process at each of them in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """Every such point: the operation, and what is done by then."""

    COMPRESS_STAGED = "compress:staged"
    COMPRESS_BOTH = "compress:both-forms"
    COMPRESS_DONE = "compress:done"
    THAW_STAGED = "thaw:staged"
    THAW_BOTH = "thaw:both-forms"
    THAW_DONE = "thaw:done"
    RAW_REMOVE_FILE = "raw-remove:file-gone"
    RAW_REMOVE_PROJECT = "raw-remove:project-gone"
    RAW_MOVE_FILE = "raw-move:file-moved"
    RAW_MOVE_PROJECT = "raw-move:project-moved"

    UPKEEP_RAW_REMOVED = "upkeep:raw-removed"

    INGEST_APPENDED = "ingest:appended"
    INGEST_INDEXED = "ingest:indexed"
    CHECKPOINT_HANDED_OVER = "checkpoint:handed-over"
    CHECKPOINT_WRITTEN = "checkpoint:written"
    PACKETS_STORED = "packets:stored"
    PACKETS_WRITTEN = "packets:written"
    PACKETS_SETTLED = "packets:settled"
    JOB_QUEUED = "job:queued"
    JOB_LEASED = "job:leased"
    JOB_ANSWERED = "job:answered"
    JOB_WRITTEN = "job:written"
    TEAM_ENDED = "team:ended"
    TEAM_CLEARED = "team:cleared"
    DELETE_BURIED = "delete:buried"
    DELETE_UNLINKED = "delete:unlinked"
    COMMIT_INTENT_NOTED = "commit:intent-noted"
    COMMIT_WRITTEN = "commit:written"
    COMMIT_STAGED = "commit:staged"
    COMMIT_MADE = "commit:made"
    COMMIT_MARKED = "commit:marked"
    INDEX_COMMITS_READ = "index:commits-read"
    INDEX_SESSION_READ = "index:session-read"
    BACKUP_LINKED = "backup:linked"
    BACKUP_STATE_COPIED = "backup:state-copied"
    BACKUP_WRITTEN = "backup:written"
    RESTORE_LAID_OUT = "restore:laid-out"
    REWRITE_WRITTEN = "rewrite:commits-written"
    REWRITE_STAGED = "rewrite:index-set"
    REWRITE_MOVED = "rewrite:refs-moved"
    REWRITE_FORGOTTEN = "rewrite:reflogs-gone"
    REWRITE_PACKED = "rewrite:repacked"
    SWAP_NOTED = "swap:noted"
    SWAP_OLD_AWAY = "swap:old-away"
    SWAP_NEW_IN = "swap:new-in"
    SWAP_DONE = "swap:done"
    UPGRADE_NOTED = "upgrade:noted"
    UPGRADE_BACKED_UP = "upgrade:backed-up"
    UPGRADE_INDEX_DROPPED = "upgrade:index-dropped"
    UPGRADE_PAGE_SEALED = "upgrade:page-sealed"
    UPGRADE_LEDGER_HEADED = "upgrade:ledger-headed"
    UPGRADE_NUMBERED = "upgrade:numbered"
    UPGRADE_COMMITTED = "upgrade:committed"
    UPGRADE_STATE_DONE = "upgrade:state-done"
    OPERATION_NOTED = "operation:noted"
    OPERATION_DONE = "operation:done"
    RENAME_WRITTEN = "rename:written"
    RENAME_COMMITTED = "rename:committed"
    MOVE_FILES = "move:files"
    MOVE_COMMITTED = "move:committed"
    MOVE_RAW = "move:raw"
    MOVE_STATE = "move:state"
    MOVE_INDEX = "move:index"
    PURGE_BURIED = "purge:buried"
    PURGE_FILES = "purge:files"
    PURGE_COMMITTED = "purge:committed"
    PURGE_RAW = "purge:raw"
    PURGE_STATE = "purge:state"
    PURGE_INDEX = "purge:index"
    PURGE_SPOOL = "purge:spool"
    PURGE_REWRITTEN = "purge:rewritten"


_listeners: list[Callable[[Step], None]] = []


def reached(step: Step) -> None:
    """Say that a point is reached."""
    for listener in _listeners:
        listener(step)


def listen(listener: Callable[[Step], None]) -> None:
    """Hear of every point from now on."""
    _listeners.append(listener)
