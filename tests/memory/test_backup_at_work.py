"""Backups of a memory that is at work, and what is answered after a restore."""

import json
import shutil
import subprocess
import threading
import uuid

import pytest

from ai_memory.config import load_settings
from ai_memory.memory import backup, pages
from ai_memory.memory.intake import Delivery
from ai_memory.memory.memory import Memory
from ai_memory.store.snapshot import Snapshot

WRITERS = 4


def saved(world, tmp_path, name="backup.tar.gz"):
    with backup.save(world.data, world.memory.stores) as made:
        (tmp_path / name).write_bytes(made.read())
    return tmp_path / name


def opened(world, folder):
    return Memory(load_settings(folder), clock=lambda: world.now)


def answers(memory, folder):
    """What a memory says of what it holds."""
    memory.sessions.settle(10)
    report = memory.status(bind="")
    return {
        "counts": report["counts"],
        "derived": {key: value for key, value in report["derived"].items() if key != "index_rebuilt"},
        "projects": sorted((p.workspace, p.name, p.identity) for p in memory.projects.all()),
        "open": sorted(h.summary for h in memory.handoffs.open(None, 50)),
        "pages": {f.relative_to(folder): f.read_bytes() for f in (folder / "wiki").rglob("*.md")},
        "log": memory.stores.wiki.git.recent(100),
    }


def answers_of(world, folder):
    memory = opened(world, folder)
    try:
        return answers(memory, folder)
    finally:
        memory.close()


@pytest.fixture
def worked(world, ids):
    world.works(ids[0])
    world.works(ids[1], cwd="/srv/other", prompt="Write the letter.")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle(10)
    return world


def test_a_backup_of_a_running_memory_answers_the_same_after_a_restore(worked, tmp_path):
    archive = saved(worked, tmp_path)
    before = answers(worked.memory, worked.data)
    restored = backup.restore(tmp_path / "new", archive, force=False, at=worked.now)
    assert (len(restored.contents.tally.sessions), restored.contents.tally.pages) == (2, 3)
    assert answers_of(worked, tmp_path / "new") == before
    assert list(worked.data.glob(".snapshot*")) == []


def test_a_plain_copy_of_a_stopped_data_directory_is_a_backup_too(worked, tmp_path):
    before = answers(worked.memory, worked.data)
    worked.close()
    subprocess.run(["cp", "-a", str(worked.data), str(tmp_path / "copy")], check=True)
    assert answers_of(worked, tmp_path / "copy") == before
    shutil.rmtree(tmp_path / "copy" / "db")
    shutil.copytree(worked.data / "db", tmp_path / "copy" / "db", ignore=shutil.ignore_patterns("index.db*"))
    assert answers_of(worked, tmp_path / "copy") == before


def test_a_start_finishes_what_a_killed_restore_began_and_clears_what_a_killed_backup_left(worked, tmp_path):
    before = answers(worked.memory, worked.data)
    Snapshot(worked.data)
    archive = saved(worked, tmp_path)
    worked.close()
    assert list(worked.data.glob(".snapshot*"))
    assert answers_of(worked, worked.data) == before
    assert list(worked.data.glob(".snapshot*")) == []
    backup.restore(worked.data, archive, force=True, at=worked.now)
    kept = worked.data / "before-restore-20261120T1000"
    (kept,) = worked.data.glob(f"{kept.name}*")
    # As a kill between the first two renames would leave it.
    staging = worked.data / ".restore-staging-x"
    staging.mkdir()
    for name in ("wiki", "raw", "db"):
        (worked.data / name).rename(staging / name)
    (kept / "raw").rename(worked.data / "raw")
    (kept / "db").rename(worked.data / "db")
    (worked.data / ".swap.json").write_text(json.dumps({"new": staging.name, "old": kept.name}))
    assert answers_of(worked, worked.data) == before
    assert sorted(p.name for p in kept.iterdir()) == ["db", "raw", "wiki"]


class Writer(threading.Thread):
    """Records events until it is told to stop; notes what was acknowledged."""

    def __init__(self, world, number, stop):
        super().__init__()
        self.world, self.stop = world, stop
        self.cwd, self.session = f"/srv/project{number}", str(uuid.UUID(int=number, version=4))
        self.acknowledged = []

    def run(self):
        intake, lock = self.world.memory.intake, self.world.memory.stores.intake_lock
        while not self.stop.is_set():
            key = uuid.uuid4().hex
            event = ("user-prompt", "stop")[len(self.acknowledged) % 2]
            query = {"agent": "codex", "event": event, "cwd": self.cwd, "repo_root": self.cwd, "ingest_key": key}
            body = json.dumps({"session_id": self.session, "prompt": key, "last_assistant_message": "x" * 5000})
            with lock:
                ((outcome,),) = intake.record([Delivery(query, body.encode())])
            assert outcome.what == "stored", outcome
            self.acknowledged.append(key)


def settling(memory, stop):
    while not stop.is_set():
        memory.sessions.settle(0.1)


def test_a_backup_under_load_holds_everything_that_was_acknowledged_before_it(worked, tmp_path):
    stop = threading.Event()
    writers = [Writer(worked, number, stop) for number in range(WRITERS)]
    compiler = threading.Thread(target=settling, args=(worked.memory, stop))
    archives, keys = [], []
    for thread in (*writers, compiler):
        thread.start()
    try:
        for number in range(6):
            worked.passes(seconds=1)
            keys.append({key for writer in writers for key in list(writer.acknowledged)})
            archives.append(saved(worked, tmp_path, f"{number}.tar.gz"))
    finally:
        stop.set()
        for thread in (*writers, compiler):
            thread.join()
    assert len(keys[-1]) > len(keys[0])
    for number, archive in enumerate(archives):
        folder = tmp_path / f"restored{number}"
        backup.restore(folder, archive, force=False, at=worked.now)
        files = [file.read_bytes() for file in (folder / "raw").rglob("*.jsonl")]
        assert all(content.endswith(b"\n") for content in files)
        rows = [json.loads(line) for content in files for line in content.splitlines()]
        held = [row["key"] for row in rows if "key" in row]
        assert keys[number] <= set(held)
        assert len(held) == len(set(held))
        fsck = subprocess.run(["git", "fsck", "--strict"], cwd=folder / "wiki", capture_output=True, text=True)
        assert (fsck.returncode, fsck.stdout) == (0, "")
        memory = opened(worked, folder)
        counts = memory.status(bind="")["counts"]
        assert (counts["observations"], counts["sessions"]) == (len(held), len(files))
        assert memory.stores.rawlog.damaged == {}
        memory.close()


def test_a_repository_in_a_backup_can_run_nothing_here_and_keeps_its_remotes(worked, tmp_path):
    git = worked.data / "wiki" / ".git"
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    for key, value in (
        ("core.fsmonitor", program),
        ("core.hooksPath", git / "hooks"),
        ("filter.evil.clean", program),
        ("include.path", tmp_path / "more"),
        ("remote.origin.url", "https://git.example/wiki.git"),
    ):
        subprocess.run(["git", "config", "--file", str(git / "config"), key, str(value)], check=True)
    (git / "info").mkdir(exist_ok=True)
    (git / "info" / "attributes").write_text("*.md filter=evil\n")
    (git / "hooks").mkdir(exist_ok=True)
    shutil.copy(program, git / "hooks" / "reference-transaction")
    archive = saved(worked, tmp_path)
    ran.unlink(missing_ok=True)
    backup.restore(tmp_path / "new", archive, force=False, at=worked.now)
    restored = tmp_path / "new" / "wiki" / ".git"
    memory = opened(worked, tmp_path / "new")
    (project, *_) = memory.projects.all()
    memory.pages.write(project, "notes/a.md", "After the restore.", pages.Fields(), pages.Writer(user="ana"))
    memory.stores.wiki.git.dirty()
    memory.close()
    assert not ran.exists()
    config = (restored / "config").read_text()
    assert "https://git.example/wiki.git" in config
    assert "evil" not in config
    assert "include" not in config
