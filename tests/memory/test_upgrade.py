"""Change of format: a directory that an older version wrote, in format 1, meets this one."""

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import StorageError
from ai_memory.memory.backup import restore
from ai_memory.memory.memory import Memory
from ai_memory.memory.upgrade import upgrade
from ai_memory.model.page import is_sealed, with_keys
from ai_memory.store import steps
from ai_memory.store.format import FORMAT, NewerFormatError
from ai_memory.store.git import Git
from ai_memory.store.sqlite import NewerDatabaseError, newest_schema
from ai_memory.store.steps import Step
from ai_memory.store.swap import clear_leftovers
from ai_memory.store.wiki import LEDGER_HEAD

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURE = ROOT / "tests" / "fixtures" / "format-1" / "data.tar.gz"
#: The commit whose program made the fixture.
OLD_PROGRAM = "4937c23"
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
MANIFEST = f"---\ntype: Memory\nformat: {FORMAT}\n---\n"
BEFORE = [
    "Say where the rates are",
    "pre-compact(session 00000000): checkpoint",
    "session 00000000: Name the tax rates.",
    "session 00000000: Refunds come out one cent high.",
    "session 00000000: Round invoice totals once, at the end.",
]
AFTER = [
    "outside edit default/shop: sessions/00000000-0000-4000-8000-000000000003.md",
    f"upgrade: wiki format {FORMAT}",
    *BEFORE,
]
UPGRADE_POINTS = {step for step in Step if step.value.startswith(("upgrade:", "backup:"))} | {Step.COMMIT_STAGED}


def laid_out(archive, folder):
    folder.mkdir(mode=0o700)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(tmp_path):
    """A data directory in format 1."""
    return laid_out(FIXTURE, tmp_path / "old")


def started(world, data):
    """Open a data directory as this program does; the world closes it."""
    world.close()
    world.data, world.now = data, NOW
    return world.open()


def started_and_closed(data):
    Memory(load_settings(data), clock=lambda: NOW).close()


def contents(data, *trees):
    """Every file's bytes, by its path; without the repository."""
    files = (file for tree in trees for file in (data / tree).rglob("*") if file.is_file() and ".git" not in file.parts)
    return {file.relative_to(data).as_posix(): file.read_bytes() for file in files}


def handed_over(data):
    with sqlite3.connect(data / "db" / "state.db") as state:
        return sorted(state.execute("SELECT * FROM handoffs").fetchall())


def subjects(data):
    return [commit.subject for commit in Git(data / "wiki").recent(50)]


def sessions_sealed(data):
    return {file.stem[-1]: is_sealed(file.read_text()) for file in (data / "wiki").glob("*/*/sessions/*.md")}


def events_in_ledgers(data):
    lines = [line for file in (data / "wiki").glob("*/*/log-*.md") for line in file.read_text().splitlines()]
    return [line for line in lines if line.startswith("## [")]


def everything(data):
    """What a start could touch: every file but the databases' own, with its time and size, and every name."""
    files = [file for file in data.rglob("*") if file.is_file() and file.name != ".lock" and "db" not in file.parts]
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in files}, sorted(os.listdir(data / "db"))


# What it does


def test_pages_that_the_program_wrote_are_sealed_and_those_of_people_are_left_alone(old, world):
    before = contents(old, "wiki", "raw")
    memory = started(world, old)
    after = contents(old, "wiki", "raw")

    assert sessions_sealed(old) == {"1": True, "2": True, "3": False, "4": False, "5": True}
    assert after.pop("wiki/_meta.md").decode() == MANIFEST
    unsealed = {path: with_keys(text.decode(), {"seal": None}).encode() for path, text in after.items()}
    (ledger,) = [path for path in after if "/log-" in path]
    assert unsealed == {**before, ledger: LEDGER_HEAD.encode() + before[ledger]}
    assert subjects(old) == AFTER
    assert memory.status(bind="")["counts"] == {
        "projects": 2,
        "pages_latest": 5,
        "pages_all": 9,
        "sessions": 5,
        "observations": 28,
        "handoffs": {"expired": 2, "open": 3},
        "packets": {"saved": 0, "drafts": 0, "waiting": 0},
        "jobs": {"queued": 0, "leased": 0, "done": 0, "failed": 0, "poison": 0, "dropped": 0},
    }
    backup = old / "backups" / "before-format-2.tar.gz"
    assert memory.status(bind="")["wiki_format"] == {
        "format": FORMAT,
        "upgraded_from": 1,
        "backup_archive": str(backup),
        "backup_archive_bytes": backup.stat().st_size,
    }
    assert not (old / "db" / "upgrade.json").exists()
    assert not (old / "db" / "index.db.damaged").exists()


def test_only_what_git_had_is_committed_with_the_new_number(old):
    started_and_closed(old)
    git = Git(old / "wiki")
    upgraded = git.recent(2)[1]
    assert (upgraded.author, upgraded.at) == (("ai-memory", "ai-memory@local"), NOW)
    assert sorted(change.path.rpartition("/")[2] for change in upgraded.changes) == [
        "00000000-0000-4000-8000-000000000001.md",
        "_meta.md",
        "log-2026-11.md",
    ]
    # A page that is newer than its ledger lines is committed together with them, by its next checkpoint.
    assert sorted(path[-6:] for path in git.dirty()) == ["002.md", "005.md", "eta.md"]


def test_sessions_go_on_and_each_event_is_in_the_ledger_once(old, world, ids):
    started(world, old)
    for session, cwd in ((ids[1], "/srv/shop"), (ids[4], "/srv/docs"), (ids[2], "/srv/shop")):
        world.works(session, prompt="And now the rest.", cwd=cwd)
        world.says(session, "session-end", cwd=cwd)
    world.memory.sessions.settle()

    pages = world.pages()
    assert ["And now the rest." in pages[session] for session in (ids[1], ids[4], ids[2])] == [True, True, False]
    assert pages[ids[2]].endswith("\nFixed for good in March.\n")
    ledger = events_in_ledgers(old)
    stored = world.memory.status(bind="")["counts"]["observations"]
    assert (len(ledger), len(set(ledger))) == (stored, stored)


def test_a_commit_that_was_killed_in_the_old_program_is_undone_first(old, world, ids):
    wiki = old / "wiki"
    (ledger,) = wiki.glob("*/*/log-*.md")
    (page,) = wiki.glob(f"*/*/sessions/{ids[1]}.md")
    place = ledger.relative_to(wiki).as_posix()
    head = Git(wiki).head()
    intent = {"head": head, "sizes": {place: ledger.stat().st_size}, "pages": [page.relative_to(wiki).as_posix()]}
    (old / "db" / "commit-intent.json").write_text(json.dumps(intent))
    with ledger.open("a") as lines:
        lines.write("## [2026-11-20T10:00:21Z] user-prompt | Now the orders, too.\n")
    subprocess.run(["git", "add", "--", place, page.relative_to(wiki)], cwd=wiki, check=True)

    started(world, old)
    world.says(ids[1], "session-end")
    world.memory.sessions.settle()
    ledger = events_in_ledgers(old)
    assert (len(ledger), len(set(ledger))) == (25, 25)
    assert subjects(old)[1:] == AFTER


def test_a_start_and_an_end_are_logged(old, caplog):
    with caplog.at_level(logging.INFO, logger="ai_memory.memory.upgrade"):
        started_and_closed(old)
    assert caplog.messages == [
        f"upgrading {old}; as it is now it is kept in {old}/backups/before-format-2.tar.gz",
        f"upgraded {old}: wiki format {FORMAT}, state schema {newest_schema('state')}",
    ]


# The second start


def test_a_second_start_does_nothing(old, world):
    started_and_closed(old)
    before, head = everything(old), Git(old / "wiki").head()
    memory = started(world, old)
    assert "upgraded_from" not in memory.status(bind="")["wiki_format"]
    assert memory.stores.rebuilt == ""
    world.close()
    assert (everything(old), Git(old / "wiki").head()) == (before, head)


def test_an_old_state_alone_is_saved_and_upgraded(old, world):
    started_and_closed(old)
    head = Git(old / "wiki").head()
    with tarfile.open(FIXTURE) as tar:
        tar.extract("db/state.db", old, filter="data")
    memory = started(world, old)
    assert "upgraded_from" not in memory.status(bind="")["wiki_format"]
    backups = {"before-format-2.tar.gz", f"before-schema-{newest_schema('state')}.tar.gz"}
    assert {file.name for file in (old / "backups").iterdir()} == backups
    assert Git(old / "wiki").head() == head


# The backup


def test_the_backup_holds_the_old_files_byte_for_byte(old, tmp_path):
    before, rows = contents(old, "wiki", "raw"), handed_over(old)
    head = Git(old / "wiki").head()
    started_and_closed(old)
    saved = laid_out(old / "backups" / "before-format-2.tar.gz", tmp_path / "saved")
    assert contents(saved, "wiki", "raw") == before
    assert (handed_over(saved), Git(saved / "wiki").head()) == (rows, head)
    assert json.loads((saved / "manifest.json").read_text())["format"] == 1
    assert (old / "backups" / "before-format-2.tar.gz").stat().st_mode & 0o777 == 0o600


def test_the_old_program_opens_the_backup(old, tmp_path):
    program = tmp_path / "program"
    program.mkdir()
    fetched = subprocess.run(["git", "archive", OLD_PROGRAM, "ai_memory"], cwd=ROOT, capture_output=True, check=False)
    if fetched.returncode:
        pytest.skip(f"this clone does not reach back to {OLD_PROGRAM}")
    subprocess.run(["tar", "x"], cwd=program, input=fetched.stdout, check=True)
    # The one library that it had and this one has not; it asked for nothing but `parse`.
    (program / "frontmatter.py").write_text(
        "import re, yaml\n"
        "def parse(text):\n"
        "    found = re.match(r'---\\n(.*?\\n)---\\n(.*)', text, re.DOTALL)\n"
        "    return (yaml.safe_load(found[1]), found[2]) if found else ({}, text)\n"
    )
    started_and_closed(old)
    saved = laid_out(old / "backups" / "before-format-2.tar.gz", tmp_path / "saved")
    script = (
        "import sys, json, pathlib, ai_memory; from ai_memory.config import load_settings\n"
        "from ai_memory.memory.memory import Memory\n"
        "assert ai_memory.__file__.startswith(sys.argv[1])\n"
        "memory = Memory(load_settings(pathlib.Path(sys.argv[2])))\n"
        "print(json.dumps(memory.status(bind='')['counts'])); memory.close()"
    )
    environment = {**os.environ, "PYTHONPATH": str(program)}
    command = [sys.executable, "-c", script, str(program), str(saved)]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert said.returncode == 0, said.stderr.decode()
    counts = json.loads(said.stdout)
    assert (counts["sessions"], counts["pages_latest"], counts["handoffs"]) == (5, 5, {"expired": 2, "open": 3})


def test_what_is_restored_from_the_backup_is_upgraded_again(old, tmp_path):
    started_and_closed(old)
    target = tmp_path / "restored"
    restore(target, old / "backups" / "before-format-2.tar.gz", force=False, at=NOW)
    started_and_closed(target)
    assert contents(target, "wiki", "raw") == contents(old, "wiki", "raw")
    assert subjects(target) == AFTER


def test_a_backup_is_made_anew_where_the_old_program_has_run_since(old, tmp_path):
    killed_at(Step.UPGRADE_BACKED_UP, shutil.copytree(old, tmp_path / "again"))
    data = tmp_path / "again"
    (log,) = data.glob("raw/*/*/*5.jsonl")
    with log.open("a") as lines:
        lines.write(log.read_text().splitlines()[-1].replace('"stop"', '"session-end"') + "\n")
    started_and_closed(data)
    assert sorted(file.name for file in (data / "backups").iterdir()) == [
        "before-format-2-2.tar.gz",
        "before-format-2.tar.gz",
    ]
    saved = laid_out(data / "backups" / "before-format-2-2.tar.gz", tmp_path / "saved")
    assert contents(saved, "raw") == contents(data, "raw")


def test_the_newest_three_backups_are_kept(old):
    folder = old / "backups"
    folder.mkdir()
    for age, name in enumerate(("before-format-2", "before-format-2-2", "before-schema-2"), start=1):
        (folder / f"{name}.tar.gz").write_bytes(b"old")
        os.utime(folder / f"{name}.tar.gz", (1_000_000 - age, 1_000_000 - age))
    (folder / "before-format-2-9.tar.gz.partial").write_bytes(b"half")
    (folder / "mine.tar.gz").write_bytes(b"another's")
    started_and_closed(old)
    assert sorted(file.name for file in folder.iterdir()) == [
        "before-format-2-2.tar.gz",
        "before-format-2-3.tar.gz",
        "before-format-2.tar.gz",
        "mine.tar.gz",
    ]


# Refusals


def test_without_room_for_the_backup_nothing_is_changed(old, monkeypatch):
    before = contents(old, "wiki", "raw", "db")
    room = SimpleNamespace(free=200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    with pytest.raises(StorageError, match=r"the upgrade, .* needs about 17 MB of free space, .* has 0 MB") as refused:
        started_and_closed(old)
    assert refused.value.exit_code == 3
    after = contents(old, "wiki", "raw", "db")
    assert after.pop("db/upgrade.json")
    assert (after, list((old / "backups").iterdir())) == (before, [])
    monkeypatch.undo()
    started_and_closed(old)
    assert subjects(old) == AFTER


def test_a_full_disk_leaves_no_half_backup_and_the_next_start_goes_on(old, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ai_memory.store.archive.write", full)
        with pytest.raises(StorageError, match="No space left on device"):
            started_and_closed(old)
    assert (list((old / "backups").iterdir()), subjects(old)) == ([], BEFORE)
    started_and_closed(old)
    assert subjects(old) == AFTER


def test_a_newer_wiki_is_refused_by_its_number(old):
    (old / "wiki" / "_meta.md").write_text("---\ntype: Memory\nformat: 7\n---\n")
    before = contents(old, "wiki", "raw", "db")
    with pytest.raises(NewerFormatError, match=rf"has format 7, this program knows {FORMAT}: install the newer"):
        started_and_closed(old)
    assert contents(old, "wiki", "raw", "db") == before
    assert not (old / "backups").exists()


def test_a_newer_state_is_refused_before_anything_is_upgraded(old):
    with sqlite3.connect(old / "db" / "state.db") as state:
        state.execute("PRAGMA user_version = 99")
    before = contents(old, "wiki", "raw")
    with pytest.raises(NewerDatabaseError, match=rf"schema version 99, this program knows {newest_schema('state')}"):
        started_and_closed(old)
    assert contents(old, "wiki", "raw") == before
    assert not (old / "backups").exists()


def test_the_server_refuses_a_newer_format_in_one_line(old, free_port):
    (old / "wiki" / "_meta.md").write_text("---\ntype: Memory\nformat: 7\n---\n")
    command = [sys.executable, "-m", "ai_memory", "serve", "--data-dir", str(old), "--bind", f"127.0.0.1:{free_port}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (said.returncode, said.stdout) == (3, b"")
    (line,) = said.stderr.decode().splitlines()
    assert line.startswith(f"error: {old}/wiki has format 7, this program knows {FORMAT}: install the newer ai-memory")


def test_a_manifest_that_does_not_say_its_number_is_not_taken_for_an_old_one(old):
    (old / "wiki" / "_meta.md").write_text("---\ntype: Memory\nformat: two\n---\n")
    with pytest.raises(StorageError, match="does not say which format the wiki has: put the line"):
        started_and_closed(old)
    assert subjects(old) == BEFORE


@pytest.mark.parametrize("damage", [None, "<<<<<<< ours\n---\nformat: 2\n"])
def test_a_manifest_that_is_lost_on_disk_is_known_from_git(old, damage):
    started_and_closed(old)
    manifest = old / "wiki" / "_meta.md"
    manifest.write_text(damage) if damage else manifest.unlink()
    started_and_closed(old)
    assert subjects(old) == AFTER
    assert manifest.read_text() == (damage or MANIFEST)


# New directories


def test_a_new_directory_has_its_number_at_once_and_in_its_first_commit(world, ids):
    assert (world.data / "wiki" / "_meta.md").read_text() == MANIFEST
    assert world.memory.status(bind="")["wiki_format"] == {
        "format": FORMAT,
        "backup_archive": None,
        "backup_archive_bytes": None,
    }
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert world.subjects() == ["session 00000000: Please fix the rounding."]
    assert world.memory.stores.wiki.git.show("_meta.md") == MANIFEST
    assert not (world.data / "backups").exists()


def test_an_old_directory_without_any_commit_is_an_old_one(old):
    git = old / "wiki" / ".git"
    shutil.rmtree(git)
    started_and_closed(old)
    # Without a history nobody knows who wrote last: what looks as it was compiled, is.
    assert sessions_sealed(old) == {"1": True, "2": True, "3": False, "4": False, "5": True}
    assert subjects(old)[-1] == f"upgrade: wiki format {FORMAT}"


# Kills


def upgraded(data):
    clear_leftovers(data)
    upgrade(data, lambda: NOW)


def passed_by(data):
    """Every point that an upgrade passes, in order."""
    passed = []
    steps.listen(passed.append)
    try:
        upgraded(data)
    finally:
        steps._listeners.clear()
    return passed


def killed_at(point, data):
    """Upgrade in a child that is killed at a point: the n-th, or the first of a name."""
    child = os.fork()
    if child == 0:
        count = iter(range(1_000))
        steps.listen(lambda step: point in (next(count), step) and os.kill(os.getpid(), signal.SIGKILL))
        try:
            upgraded(data)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status


def outcome(data):
    """Everything that an upgrade leaves."""
    saved = {}
    for file in sorted((data / "backups").iterdir()):
        with tarfile.open(file) as tar:
            members = {member.name: member for member in tar if member.isreg() and member.name != "checksums.json"}
            saved[file.name] = {name: tar.extractfile(member).read() for name, member in members.items()}
    git = Git(data / "wiki")
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=data / "wiki", capture_output=True, check=False)
    assert (fsck.returncode, fsck.stderr) == (0, b"")
    names = sorted(child.name for child in (*data.iterdir(), *(data / "db").iterdir()) if child.name != ".lock")
    return contents(data, "wiki", "raw"), git.head(), git.dirty(), handed_over(data), saved, names


def test_a_kill_at_any_point_is_made_good_by_the_next_start(old, tmp_path):
    whole = shutil.copytree(old, tmp_path / "whole")
    points = passed_by(whole)
    expected = outcome(whole)
    assert set(points) == UPGRADE_POINTS
    for number, point in enumerate(points):
        data = shutil.copytree(old, tmp_path / f"at{number}")
        killed_at(number, data)
        upgraded(data)
        assert outcome(data) == expected, point
        assert passed_by(data) == [], point


def test_a_start_after_a_kill_is_killed_again_and_the_third_makes_it_good(old, tmp_path):
    whole = shutil.copytree(old, tmp_path / "whole")
    upgraded(whole)
    data = shutil.copytree(old, tmp_path / "twice")
    killed_at(Step.UPGRADE_PAGE_SEALED, data)
    killed_at(Step.UPGRADE_COMMITTED, data)
    upgraded(data)
    assert outcome(data) == outcome(whole)
