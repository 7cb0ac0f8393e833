"""Change of format: brings a data directory that an older version wrote to the present format.

It is saved first, before anything in it is opened for writing. Each step is a function of what it finds and does
nothing the second time, and a note says that an upgrade is under way; so whenever the process is killed, the next start
does the steps again and comes to the same end.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ai_memory.memory.pages import OUTSIDE
from ai_memory.model.page import front_matter, is_ledger, is_sealed, sealed
from ai_memory.store import archive
from ai_memory.store.files import is_plain, private_folder, sync_folder, write_whole
from ai_memory.store.format import FORMAT, format_of, write_format
from ai_memory.store.git import Git
from ai_memory.store.snapshot import STATE, Snapshot
from ai_memory.store.sqlite import newest_schema, schema_of
from ai_memory.store.state import State
from ai_memory.store.steps import Step, reached
from ai_memory.store.wiki import LEDGER_HEAD, MANIFEST, Wiki

BACKUPS = "backups"
_KEPT_BACKUPS = 3
_NOTE = "db/upgrade.json"
_PARTIAL = ".partial"

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SESSION_PAGE = re.compile(rf"{_ID}/{_ID}/sessions/({_ID})\.md")
#: How every page of a session ended in format 1.
_LAST_LINE = "*Compiled by rules from what the hooks recorded; no model was asked.*"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the note says: from which format, where the backup is, and how long the raw logs were when it was made."""

    format: int
    backup: str
    raw_bytes: int


def upgrade(data_dir: Path, clock: Callable[[], datetime]) -> int | None:
    """Bring a data directory whose lock is held, and of which no store is open, to the present format.

    Returns:
        the format it had before, None when it had the present one.

    Raises:
        NewerFormatError, NewerDatabaseError: a newer program wrote it; nothing was changed.
        StorageError, OSError: there is no room for the backup, and nothing but a note was written; or the disk
            refused later. The next start goes on.
    """
    root, note = data_dir / "wiki", data_dir / _NOTE
    number, schema = format_of(root), schema_of(data_dir / STATE, "state")
    before = None
    if (number or FORMAT) < FORMAT or 0 < schema < newest_schema("state") or note.exists():
        before = _upgraded(data_dir, number or FORMAT, clock())
    if not (root / MANIFEST).exists():
        write_format(root, FORMAT)
    return before


def wiki_format(data_dir: Path, upgraded_from: int | None) -> dict[str, object]:
    """Report the format, and the newest backup that an upgrade has made (part of the wire's StatusReport)."""
    newest = next(iter(_backups(data_dir)), None)
    return {
        "format": FORMAT,
        **({"upgraded_from": upgraded_from} if upgraded_from else {}),
        "backup_archive": str(newest) if newest else None,
        "backup_archive_bytes": newest.stat().st_size if newest else None,
    }


def _upgraded(data_dir: Path, number: int, at: datetime) -> int | None:
    plan = _planned(data_dir, number)
    _log.info("upgrading %s; as it is now it is kept in %s", data_dir, data_dir / BACKUPS / plan.backup)
    _back_up(data_dir, plan, at)
    if plan.format < FORMAT:
        _upgrade_wiki(data_dir, plan.format, at)
    State(data_dir / STATE).close()
    reached(Step.UPGRADE_STATE_DONE)
    (data_dir / _NOTE).unlink()
    for old in (*_backups(data_dir)[_KEPT_BACKUPS:], *(data_dir / BACKUPS).glob(f"*{_PARTIAL}")):
        old.unlink()
    _log.info("upgraded %s: wiki format %d, state schema %d", data_dir, FORMAT, newest_schema("state"))
    return plan.format if plan.format < FORMAT else None


# The note, and the backup


def _planned(data_dir: Path, number: int) -> _Plan:
    """Take the plan of an upgrade that was cut short, or note a new one."""
    note = data_dir / _NOTE
    raw_bytes = sum(file.stat().st_size for file in (data_dir / "raw").glob("*/*/*"))
    if note.exists():
        plan = _Plan(**json.loads(note.read_text("utf-8")))
        if plan.raw_bytes == raw_bytes:
            return plan
        # An older program has run since: its backup would be without what was recorded then.
        number = min(number, plan.format)
    plan = _Plan(number, _unused_name(data_dir / BACKUPS, number), raw_bytes)
    write_whole(note, json.dumps(asdict(plan)).encode())
    reached(Step.UPGRADE_NOTED)
    return plan


def _unused_name(folder: Path, number: int) -> str:
    stem = f"before-format-{FORMAT}" if number < FORMAT else f"before-schema-{newest_schema('state')}"
    name, again = f"{stem}.tar.gz", 1
    while (folder / name).exists():
        again += 1
        name = f"{stem}-{again}.tar.gz"
    return name


def _back_up(data_dir: Path, plan: _Plan, at: datetime) -> None:
    """Make the backup and read it once, unless it is there: it gets its name when it is whole."""
    target = private_folder(data_dir / BACKUPS) / plan.backup
    if target.exists():
        return
    partial = target.with_name(target.name + _PARTIAL)
    snapshot = Snapshot(data_dir)
    try:
        pages = sum(file.size for file in snapshot.files if file.name.endswith(".md"))
        archive.check_room(data_dir, archive.room_for(snapshot) + pages, "the upgrade, with the backup before it,")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            archive.write(out, snapshot, at=at, format_number=plan.format)
            out.flush()
            os.fsync(out.fileno())
        archive.read(partial)
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    finally:
        snapshot.remove()
    sync_folder(target.parent)
    reached(Step.UPGRADE_BACKED_UP)


def _backups(data_dir: Path) -> list[Path]:
    """List the backups that upgrades have made, newest first."""
    found = (data_dir / BACKUPS).glob("before-*.tar.gz")
    return sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True)


# The wiki


def _upgrade_wiki(data_dir: Path, number: int, at: datetime) -> None:
    """Do the steps from a format to the present one, and commit what they changed with the new number."""
    for derived in (data_dir / "db").glob("index.db*"):
        derived.unlink()
    reached(Step.UPGRADE_INDEX_DROPPED)
    wiki = Wiki(data_dir / "wiki", data_dir / "db" / "commit-intent.json")
    # What a commit that was cut short has staged would go into ours.
    if dirty := wiki.git.dirty():
        wiki.git.unstage(sorted(dirty))
    paths = [path for step in _STEPS[number - 1 :] for path in step(wiki)]
    write_format(wiki.root, FORMAT)
    reached(Step.UPGRADE_NUMBERED)
    wiki.git.commit([*paths, MANIFEST], f"upgrade: wiki format {FORMAT}", at=at)
    reached(Step.UPGRADE_COMMITTED)


def _to_2(wiki: Wiki) -> list[str]:
    """Seal the pages of sessions, and begin each ledger with what it is; gives the files to commit."""
    return [*_sealed_pages(wiki), *_headed_ledgers(wiki.root)]


#: Each brings a wiki from one format to the next.
_STEPS: tuple[Callable[[Wiki], list[str]], ...] = (_to_2,)


def _sealed_pages(wiki: Wiki) -> list[str]:
    """Seal what the program wrote; gives the pages of which git has that version.

    A page that is newer than git's is sealed, too, but its next checkpoint commits it, together with its ledger lines.
    """
    tree = wiki.git.tree("HEAD") if wiki.git.head() else {}
    blobs: dict[str, list[str]] = {}
    for path, blob in tree.items():
        if _SESSION_PAGE.fullmatch(path):
            blobs.setdefault(blob, []).append(path)
    others = _written_by_others(wiki.git)
    committed = [
        path
        for blob, content in wiki.git.blobs(blobs)
        for path in blobs[blob]
        if _seal(wiki, path, content, is_ours=path not in others)
    ]
    for file in sorted(wiki.root.glob("*/*/sessions/*.md")):
        path = file.relative_to(wiki.root).as_posix()
        if path not in tree and _SESSION_PAGE.fullmatch(path):
            _seal(wiki, path, b"", is_ours=False)
    return committed


def _written_by_others(git: Git) -> set[str]:
    """List the files whose last commit a person made, or one that took in a person's edit."""
    others: set[str] = set()
    for commit in git.chain():
        paths = {change.path for change in commit.changes}
        address = commit.author[1]
        if address.endswith("@local") and address != OUTSIDE[1]:
            others -= paths
        else:
            others |= paths
    return others


def _seal(wiki: Wiki, path: str, committed: bytes, *, is_ours: bool) -> bool:
    """Seal a page if the program wrote it: as git has it, or newer. Tells whether it is git's version, and sealed."""
    if not is_plain(wiki.root, path):
        return False
    file = wiki.root / path
    content = file.read_bytes()
    in_git = _observations(file.stem, committed)
    if is_ours and in_git:
        wanted = sealed(committed.decode()).encode()
        if content in (committed, wanted):
            _replace(file, content, wanted)
            return True
    if _observations(file.stem, content) > in_git and not is_sealed(content.decode()):
        _replace(file, content, sealed(content.decode()).encode())
    return False


def _replace(file: Path, old: bytes, new: bytes) -> None:
    if old != new:
        write_whole(file, new)
        reached(Step.UPGRADE_PAGE_SEALED)


def _observations(session: str, content: bytes) -> int:
    """Read how many observations a page covers that looks as it was compiled, 0 from any other."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return 0
    front = front_matter(text)
    number = front.get("observations")
    compiled = str(front.get("session_id")) == session and text.rstrip().endswith(_LAST_LINE)
    return number if compiled and isinstance(number, int) else 0


def _headed_ledgers(root: Path) -> list[str]:
    found = (file for file in root.glob("*/*/log-*.md") if is_ledger(file.name))
    ledgers = sorted(file for file in found if is_plain(root, file.relative_to(root).as_posix()))
    for ledger in ledgers:
        content = ledger.read_bytes()
        if not content.startswith(b"---"):
            write_whole(ledger, LEDGER_HEAD.encode() + content)
            reached(Step.UPGRADE_LEDGER_HEADED)
    return [ledger.relative_to(root).as_posix() for ledger in ledgers]
