"""Archives of a data directory, without a server: what is in them, what is refused, what a kill leaves."""

import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from ai_memory.errors import AiMemoryError, ConflictError, DirectoryInUseError, StorageError
from ai_memory.memory import backup
from ai_memory.model.handoff import Handoff
from ai_memory.store import archive, snapshot, steps, swap
from ai_memory.store.archive import ArchiveError
from ai_memory.store.git import Git
from ai_memory.store.lock import DirectoryLock
from ai_memory.store.snapshot import Snapshot
from ai_memory.store.state import State
from ai_memory.store.steps import Step

AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
WORKSPACE, PROJECT, SESSION, OTHER = (f"{digit * 8}-1111-4111-8111-{digit * 12}" for digit in "1234")
PLACE = f"{WORKSPACE}/{PROJECT}"


def make_data(folder, mark):
    """A data directory as a stopped server leaves it; `mark` is in everything."""
    folder.mkdir(mode=0o700)
    git = Git(folder / "wiki")
    files = {
        f"wiki/{WORKSPACE}/_meta.md": "---\nname: default\n---\n",
        f"wiki/{PLACE}/_meta.md": "---\nname: shop\n---\n",
        f"wiki/{PLACE}/log-2026-11.md": f"- {mark}\n",
        f"wiki/{PLACE}/notes/näme with 'quotes'.md": f"{mark}\r\n",
        f"wiki/{PLACE}/notes/{mark}.md": mark,
        f"raw/{PLACE}/{SESSION}.jsonl": f'{{"v":1}}\n{{"body":"{mark}"}}\n',
        f"raw/{PLACE}/{OTHER}.jsonl.gz": gzip.compress(mark.encode(), mtime=0),
        "db/index.db": f"derived {mark}",
        "hook-spool/1.event": "waits",
        "auth-token": "secret",
    }
    for name, content in files.items():
        write(folder / name, content)
    git.commit([name[5:] for name in files if name.startswith("wiki/")], f"all of {mark}")
    state = State(folder / "db" / "state.db")
    ids = [UUID(text) for text in (OTHER, WORKSPACE, PROJECT)]
    state.publish(Handoff(*ids, None, "codex", "/srv/shop", mark, AT), replacing_cwd=False)
    state.close()
    with sqlite3.connect(folder / "db" / "state.db") as rows:
        rows.execute("CREATE TABLE kept (mark TEXT)")
        rows.execute("INSERT INTO kept VALUES (?)", (mark,))
    rows.close()
    return folder


def write(file, content):
    missing = [parent for parent in file.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(0o600)


def durable(folder):
    """Everything that counts of a data directory: the files of its trees, and the rows of its state."""
    found = {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for tree in ("wiki", "raw")
        for file in (folder / tree).rglob("*")
        if file.is_file()
    }
    state = folder / "db" / "state.db"
    if state.exists():
        rows = sqlite3.connect(state)
        found["state"] = list(rows.iterdump())
        rows.close()
    return found


def hidden(folder):
    return sorted(child.name for child in folder.iterdir() if child.name.startswith(".") and child.name != ".lock")


def save(data, target, **options):
    taken = Snapshot(data)
    with target.open("wb") as out:
        archive.write(out, taken, at=AT, **options)
    taken.remove()
    return target


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path / "data", "one")


@pytest.fixture
def saved(data, tmp_path):
    return save(data, tmp_path / "backup.tar.gz")


def restore(data, file, *, force=False):
    return backup.restore(data, file, force=force, at=AT)


def names(file):
    with tarfile.open(file) as tar:
        return [member.name for member in tar.getmembers()]


# What is in it


def test_an_archive_holds_the_durable_files_between_its_manifest_and_its_checksums(saved):
    held = names(saved)
    assert (held[0], held[-1]) == ("manifest.json", "checksums.json")
    assert {name.partition("/")[0] for name in held[1:-1]} == {"wiki", "raw", "db"}
    assert {name for name in held if name.startswith("db/")} == {"db/state.db"}
    with tarfile.open(saved) as tar:
        assert {(m.isdir(), m.mode) for m in tar.getmembers()} == {(True, 0o700), (False, 0o600)}
        manifest = json.loads(tar.extractfile("manifest.json").read())
    assert (manifest["archive"], manifest["format"], manifest["created"]) == (1, 2, "2026-11-21T10:00:00Z")
    assert manifest["files"] == len([m for m in held if not m.endswith(".json")]) - sum(
        1 for m in tarfile.open(saved).getmembers() if m.isdir()
    )


def test_what_is_restored_is_what_was_saved_private_and_with_its_times(data, saved, tmp_path):
    done = restore(tmp_path / "new", saved)
    assert done.kept is None
    assert durable(tmp_path / "new") == durable(data)
    tally = done.contents.tally
    assert (len(tally.projects), tally.pages, len(tally.sessions)) == (1, 2, 2)
    for path in (tmp_path / "new").rglob("*"):
        about = path.lstat()
        assert stat.S_IMODE(about.st_mode) == (0o700 if path.is_dir() else 0o600), path
        original = data / path.relative_to(tmp_path / "new")
        # A restored repository is disarmed: its settings and attributes are written anew.
        if path.is_file() and path.name not in ("state.db", ".lock", "config", "attributes"):
            assert int(about.st_mtime) == int(original.stat().st_mtime)
    assert hidden(tmp_path / "new") == []
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=tmp_path / "new" / "wiki", capture_output=True, text=True)
    assert (fsck.returncode, fsck.stdout) == (0, "")


def test_an_archive_that_was_restored_can_be_saved_and_restored_again(data, saved, tmp_path):
    restore(tmp_path / "new", saved)
    again = save(tmp_path / "new", tmp_path / "again.tar.gz")
    restore(tmp_path / "third", again)
    assert durable(tmp_path / "third") == durable(data)


def test_config_is_taken_over_only_where_there_is_none(data, tmp_path):
    write(data / "config.toml", "a = 1\n")
    saved = save(data, tmp_path / "backup.tar.gz")
    restore(tmp_path / "new", saved)
    assert (tmp_path / "new" / "config.toml").read_text() == "a = 1\n"
    assert (tmp_path / "new" / "config.toml").stat().st_mode & 0o777 == 0o600
    write(tmp_path / "other" / "config.toml", "b = 2\n")
    restore(tmp_path / "other", saved)
    assert (tmp_path / "other" / "config.toml").read_text() == "b = 2\n"


def test_an_unfinished_operation_travels_with_the_trees_that_it_is_about(data, tmp_path):
    write(data / "db" / "operation.json", "{}")
    saved = save(data, tmp_path / "backup.tar.gz")
    write(tmp_path / "new" / "db" / "commit-intent.json", "old")
    restore(tmp_path / "new", saved, force=True)
    assert sorted(file.name for file in (tmp_path / "new" / "db").iterdir()) == ["operation.json", "state.db"]


def test_links_and_special_files_are_left_out_and_counted(data, tmp_path):
    write(tmp_path / "secret" / "file.md", "not yours")
    (data / "wiki" / WORKSPACE / "link.md").symlink_to(tmp_path / "secret" / "file.md")
    (data / "wiki" / WORKSPACE / "folder").symlink_to(tmp_path / "secret")
    (data / "raw" / "gone.jsonl").symlink_to("nowhere")
    os.mkfifo(data / "raw" / "pipe.jsonl")
    contents = archive.read(save(data, tmp_path / "backup.tar.gz"))
    assert contents.left_out == 4
    assert not [name for name in names(tmp_path / "backup.tar.gz") if "link.md" in name or "/folder" in name]


@pytest.mark.parametrize("tree", ["wiki", "raw", "db"])
def test_a_tree_that_is_a_link_is_refused_not_followed_and_not_skipped(data, saved, tmp_path, tree):
    (data / tree).rename(tmp_path / "elsewhere")
    (data / tree).symlink_to(tmp_path / "elsewhere")
    before = durable(data)
    if tree != "db":
        with pytest.raises(StorageError, match=f"{tree} is a symbolic link"):
            Snapshot(data)
    for change in (lambda: restore(data, saved, force=True), lambda: backup.reset(data)):
        with pytest.raises(StorageError, match=f"{tree} is a symbolic link or a mount"):
            change()
    assert (durable(data), hidden(data)) == (before, [])


def test_locks_and_files_that_are_being_written_are_not_in_it(data, tmp_path):
    passing = ["wiki/.git/index.lock", "wiki/.git/objects/aa/tmp_obj_x", "wiki/.git/gc.pid", "raw/.ai-memory-tmp.ab"]
    for name in passing:
        write(data / name, "x")
    write(data / f"wiki/{PLACE}/tmp_notes.md", "a page")
    held = names(save(data, tmp_path / "backup.tar.gz"))
    assert set(passing) & set(held) == set()
    assert f"wiki/{PLACE}/tmp_notes.md" in held


def test_a_link_that_takes_a_files_place_meanwhile_is_not_followed(data, tmp_path):
    taken = Snapshot(data)
    (page,) = (file for file in taken.files if file.name.endswith("one.md"))
    taken.path(page).unlink()
    taken.path(page).symlink_to("/etc/passwd")
    with (tmp_path / "backup.tar.gz").open("wb") as out, pytest.raises(OSError, match="symbolic"):
        archive.write(out, taken, at=AT)


# Under writers


def test_what_is_appended_after_the_moment_is_not_in_it(data, tmp_path):
    raw, ledger = data / f"raw/{PLACE}/{SESSION}.jsonl", data / f"wiki/{PLACE}/log-2026-11.md"
    page, reflog = data / f"wiki/{PLACE}/notes/one.md", data / "wiki/.git/logs/HEAD"
    before = {file: file.read_bytes() for file in (raw, ledger, reflog)}
    taken = Snapshot(data)
    for file in (raw, ledger, reflog, page):
        with file.open("ab") as out:
            out.write(b"later")
    with (tmp_path / "backup.tar.gz").open("wb") as out:
        archive.write(out, taken, at=AT)
    restore(tmp_path / "new", tmp_path / "backup.tar.gz")
    for file, content in before.items():
        assert (tmp_path / "new" / file.relative_to(data)).read_bytes() == content
    assert (tmp_path / "new" / page.relative_to(data)).read_bytes() == b"onelater"


def between(monkeypatch, change, when):
    """Do something once, just before a certain file is linked."""
    link, done = os.link, []

    def linked(source, target):
        if not done and when(str(source)):
            done.append(source)
            change()
        link(source, target)

    monkeypatch.setattr(snapshot.os, "link", linked)
    return done


@pytest.mark.parametrize("seen", [SESSION, OTHER])
def test_a_log_that_is_compressed_while_it_is_linked_is_in_it(data, tmp_path, monkeypatch, seen):
    log = data / f"raw/{PLACE}/{SESSION}.jsonl"

    def compress():
        log.with_suffix(".jsonl.gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()

    done = between(monkeypatch, compress, lambda source: seen in source)
    content = log.read_bytes()
    restore(tmp_path / "new", save(data, tmp_path / "backup.tar.gz"))
    found = list((tmp_path / "new" / "raw" / PLACE).glob(f"{SESSION}.jsonl*"))
    assert done
    assert content in [gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes() for f in found]


@pytest.mark.parametrize("place", ["/.git/refs/", "/.git/objects/", "/.git/HEAD", "/.git/index"])
def test_a_repository_that_is_packed_while_it_is_linked_is_whole(data, tmp_path, monkeypatch, place):
    def pack():
        subprocess.run(["git", "gc", "--quiet", "--prune=now"], cwd=data / "wiki", check=True)

    # What an earlier packing left is read, too; then a commit that only loose files know.
    pack()
    write(data / f"wiki/{PLACE}/notes/new.md", "new")
    head = Git(data / "wiki").commit([f"{PLACE}/notes/new.md"], "new")
    done = between(monkeypatch, pack, lambda source: place in source)
    restore(tmp_path / "new", save(data, tmp_path / "backup.tar.gz"))
    assert done
    assert Git(tmp_path / "new" / "wiki").head() == head
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=tmp_path / "new" / "wiki", capture_output=True, text=True)
    assert (fsck.returncode, fsck.stdout) == (0, "")


def test_a_folder_that_never_rests_is_told_of(data, monkeypatch):
    count = iter(range(1_000_000))
    scandir = os.scandir

    def restless(path):
        if str(path).endswith(PLACE) and "/raw/" in str(path):
            write(Path(path) / f"{next(count)}.x", "")
        return scandir(path)

    monkeypatch.setattr(snapshot.os, "scandir", restless)
    with pytest.raises(StorageError, match="is being changed by another program all the time"):
        Snapshot(data)
    assert hidden(data) == []


def test_where_nothing_can_be_linked_it_is_copied(data, tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(snapshot.os, "link", refused)
    saved = save(data, tmp_path / "backup.tar.gz")
    restore(tmp_path / "new", saved)
    assert durable(tmp_path / "new") == durable(data)


def test_the_state_is_copied_with_what_is_committed_while_it_is_open(data, tmp_path):
    rows = sqlite3.connect(data / "db" / "state.db")
    rows.execute("INSERT INTO kept VALUES ('committed')")
    rows.commit()
    rows.execute("INSERT INTO kept VALUES ('not yet')")
    saved = save(data, tmp_path / "backup.tar.gz")
    rows.close()
    restore(tmp_path / "new", saved)
    rows = sqlite3.connect(tmp_path / "new" / "db" / "state.db")
    assert rows.execute("SELECT mark FROM kept").fetchall() == [("one",), ("committed",)]
    rows.close()


# What is refused


def test_an_archive_that_is_cut_off_changes_nothing(data, saved, tmp_path):
    target, before = make_data(tmp_path / "target", "two"), None
    before, whole = durable(target), saved.read_bytes()
    rng = random.Random(7)
    places = [0, 1, 10, 300, len(whole) - 1, len(whole) - 8, len(whole) - 9]
    for cut in [*places, *(rng.randrange(len(whole)) for _ in range(20))]:
        saved.write_bytes(whole[:cut])
        with pytest.raises(ArchiveError, match=r"backup\.tar\.gz .*Nothing was changed"):
            restore(target, saved, force=True)
    assert (durable(target), hidden(target)) == (before, [])


def test_an_archive_with_any_wrong_byte_changes_nothing(saved, tmp_path):
    target = make_data(tmp_path / "target", "two")
    before, whole = durable(target), saved.read_bytes()
    rng = random.Random(8)
    for _ in range(150):
        damaged, place = bytearray(whole), rng.randrange(10, len(whole))
        damaged[place] ^= 1 << rng.randrange(8)
        saved.write_bytes(damaged)
        try:
            # A few bits of a compressed stream mean nothing.
            assert gzip.decompress(damaged) == gzip.decompress(whole)
        except (OSError, EOFError, zlib.error):
            with pytest.raises(ArchiveError):
                restore(target, saved, force=True)
    assert (durable(target), hidden(target)) == (before, [])


def test_a_tar_with_any_wrong_byte_is_found_by_its_checksums(saved):
    whole = gzip.decompress(saved.read_bytes())
    rng = random.Random(9)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        contents = [range(m.offset_data, m.offset_data + m.size) for m in tar.getmembers() if m.isreg() and m.size]
    for place in [*map(rng.choice, contents), *(rng.randrange(len(whole) - 10_240) for _ in range(150))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        saved.write_bytes(gzip.compress(damaged))
        try:
            archive.read(saved)
        except AiMemoryError:
            continue
        assert not any(place in content for content in contents), "only padding may be wrong"


def test_bytes_behind_the_end_are_refused(saved):
    whole = saved.read_bytes()
    for tail in (b"tail", gzip.compress(b"more")):
        saved.write_bytes(whole + tail)
        with pytest.raises(ArchiveError):
            archive.read(saved)
    saved.write_bytes(whole + bytes(512))
    archive.read(saved)


def rewritten(saved, *, manifest=None, extra=(), without=()):
    """An archive with other entries whose checksums are right."""
    out, sums = io.BytesIO(), {}
    with tarfile.open(saved) as old, tarfile.open(fileobj=out, mode="w:gz") as new:
        members = [m for m in old.getmembers() if m.name not in {"checksums.json", *without}]
        for member, held in [
            *((m, old.extractfile(m).read() if m.isreg() else None) for m in members),
            *extra,
        ]:
            is_manifest = manifest and member.name == "manifest.json"
            content = json.dumps({**json.loads(held), **manifest}).encode() if is_manifest else held
            if content is not None:
                member.size = len(content)
                sums[member.name] = hashlib.sha256(content).hexdigest()
            new.addfile(member, io.BytesIO(content) if content is not None else None)
        if "checksums.json" not in without:
            text = json.dumps({"sha256": sums}).encode()
            last = tarfile.TarInfo("checksums.json")
            last.size = len(text)
            new.addfile(last, io.BytesIO(text))
    saved.write_bytes(out.getvalue())
    return saved


def entry(name, kind=tarfile.REGTYPE, content=b"x", link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, content if kind == tarfile.REGTYPE else None


PLANTED = [
    (entry("wiki/link.md", tarfile.SYMTYPE, link="/etc/passwd"), "link or a special file"),
    (entry("wiki/link", tarfile.SYMTYPE, link=".."), "link or a special file"),
    (entry("wiki/hard.md", tarfile.LNKTYPE, link="config.toml"), "link or a special file"),
    (entry("raw/pipe", tarfile.FIFOTYPE), "link or a special file"),
    (entry("raw/device", tarfile.CHRTYPE), "link or a special file"),
    (entry("../outside.md"), "not a plain relative path"),
    (entry("wiki/../../outside.md"), "not a plain relative path"),
    (entry("/tmp/outside.md"), "not a plain relative path"),
    (entry("wiki/./a.md"), "not a plain relative path"),
    (entry("wiki//a.md"), "not a plain relative path"),
    (entry("hooks/claude-code/hook.sh"), "none of a backup's"),
    (entry("auth-token"), "none of a backup's"),
    (entry("db/index.db"), "none of a backup's"),
    (entry("db/state.db-wal"), "none of a backup's"),
    (entry("config.toml", tarfile.DIRTYPE), "none of a backup's"),
    (entry("wiki"), "not a folder"),
    (entry("db/state.db"), "is in it twice"),
    (entry("manifest.json"), "none of a backup's"),
]


@pytest.mark.parametrize(("planted", "reason"), PLANTED, ids=[f"{p[0].name}-{p[0].type}" for p, _ in PLANTED])
def test_an_entry_that_no_backup_holds_is_refused_by_name(saved, tmp_path, planted, reason):
    rewritten(saved, extra=[planted])
    before = {path for path in tmp_path.rglob("*") if "/data/" not in str(path)}
    with pytest.raises(ArchiveError) as refusal:
        restore(tmp_path / "new", saved)
    assert repr(planted[0].name) in str(refusal.value)
    assert reason in str(refusal.value)
    after = {path for path in tmp_path.rglob("*") if "/data/" not in str(path)}
    assert after - before == {tmp_path / "new", tmp_path / "new" / ".lock"}


def test_names_that_are_one_file_on_this_disk_are_not_mixed(saved, tmp_path):
    rewritten(saved, extra=[entry("wiki/a/b", content=b"1"), entry("wiki/a/b/c", content=b"2")])
    with pytest.raises(StorageError):
        restore(tmp_path / "new", saved)
    assert durable(tmp_path / "new") == {}


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"format": 3, "program": "9.9.9"}, r"newer ai-memory \(9\.9\.9\): it has format 3, this program knows 2"),
        ({"archive": 2}, r"it has archive 2, this program knows 1"),
        ({"format": "2"}, "does not say which format"),
        ({"format": None}, "does not say which format"),
    ],
)
def test_an_archive_of_another_format_is_refused_by_name(saved, tmp_path, manifest, reason):
    rewritten(saved, manifest=manifest)
    target = make_data(tmp_path / "target", "two")
    before = durable(target)
    with pytest.raises(ArchiveError, match=reason):
        restore(target, saved, force=True)
    assert (durable(target), hidden(target)) == (before, [])


def test_an_archive_without_its_manifest_or_checksums_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    for name, reason in (("manifest.json", "does not begin with"), ("checksums.json", "cut off")):
        saved.write_bytes(whole)
        with pytest.raises(ArchiveError, match=reason):
            archive.read(rewritten(saved, without=[name]))
    saved.write_text("no archive")
    with pytest.raises(ArchiveError, match="not a whole backup"):
        archive.read(saved)


def test_an_archive_with_a_damaged_or_newer_state_changes_nothing(data, tmp_path):
    target = make_data(tmp_path / "target", "two")
    before = durable(target)
    rows = sqlite3.connect(data / "db" / "state.db")
    rows.execute("PRAGMA user_version = 99")
    rows.close()
    with pytest.raises(StorageError, match="newer"):
        restore(target, save(data, tmp_path / "newer.tar.gz"), force=True)
    saved = save(make_data(tmp_path / "third", "three"), tmp_path / "damaged.tar.gz")
    rewritten(saved, without=["db/state.db"], extra=[entry("db/state.db", content=b"no database" * 1000)])
    with pytest.raises(StorageError, match="is damaged"):
        restore(target, saved, force=True)
    assert (durable(target), hidden(target)) == (before, [])


def test_without_room_a_backup_and_a_restore_say_how_much_is_missing(data, saved, tmp_path, monkeypatch):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(StorageError, match=r"needs about \d+ MB of free space, and the disk of .* has 1 MB"):
        archive.check_room(data, archive.room_for(Snapshot(data)), "the backup")
    with pytest.raises(StorageError, match=r"laying out .* needs about"):
        restore(tmp_path / "new", saved)
    assert durable(tmp_path / "new") == {}


# Restore and reset


def test_data_is_replaced_only_with_force_and_kept(saved, tmp_path):
    target = make_data(tmp_path / "target", "two")
    before = durable(target)
    with pytest.raises(ConflictError, match=r"holds data \(pages, a raw log, handoffs\): say --force"):
        restore(target, saved)
    assert (durable(target), hidden(target)) == (before, [])
    done = restore(target, saved, force=True)
    assert done.kept == target / "before-restore-20261121T100000Z"
    assert durable(done.kept) == before
    assert not (done.kept / "db" / "index.db").exists()
    assert "one.md" in " ".join(durable(target))
    assert not (target / "db" / "index.db").exists()
    assert (target / "hook-spool" / "1.event").read_text() == "waits"
    assert restore(target, saved, force=True).kept.name == "before-restore-20261121T100000Z-2"


def test_after_a_reset_there_is_nothing_to_keep(saved, tmp_path):
    target = make_data(tmp_path / "target", "two")
    backup.reset(target)
    assert restore(target, saved).kept is None
    assert list(target.glob("before-restore-*")) == []
    assert "one.md" in " ".join(durable(target))


def test_a_directory_in_which_a_server_only_ran_is_empty(saved, tmp_path):
    Git(tmp_path / "new" / "wiki")
    State(tmp_path / "new" / "db" / "state.db").close()
    (tmp_path / "new" / "raw").mkdir()
    write(tmp_path / "new" / "wiki" / "_meta.md", "---\nformat: 2\n---\n")
    restore(tmp_path / "new", saved)
    assert "one.md" in " ".join(durable(tmp_path / "new"))


def test_while_a_server_runs_nothing_is_restored_or_reset(data, saved):
    lock, before = DirectoryLock(data), durable(data)
    lock.hold()
    try:
        for change in (lambda: restore(data, saved, force=True), lambda: backup.reset(data)):
            with pytest.raises(DirectoryInUseError, match=f"process id {os.getpid()}"):
                change()
    finally:
        lock.release()
    assert durable(data) == before


def test_a_reset_deletes_the_data_and_nothing_else(data):
    write(data / "config.toml", "a = 1\n")
    tally = backup.reset(data)
    assert (len(tally.projects), tally.pages, len(tally.sessions)) == (1, 2, 2)
    left = {file.relative_to(data).as_posix() for file in data.rglob("*") if file.is_file()}
    assert left == {".lock", "config.toml", "hook-spool/1.event", "auth-token"}
    assert (hidden(data), sorted(p.name for p in data.iterdir() if p.is_dir())) == (
        [],
        ["db", "hook-spool", "raw", "wiki"],
    )


# Kills


def occurrences(action, path):
    """Every point that an action passes, in order."""
    passed = []
    steps.listen(passed.append)
    try:
        action(path)
    finally:
        steps._listeners.clear()
    return passed


def killed_at(number, action, path):
    """Do it in a child that is killed at the n-th point."""
    child = os.fork()
    if child == 0:
        count = iter(range(number))
        steps.listen(lambda _: next(count, None) is not None or os.kill(os.getpid(), signal.SIGKILL))
        try:
            action(path)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status


def start(path):
    swap.finish_restore(path)
    swap.clear_leftovers(path)


@pytest.fixture
def actions(saved, tmp_path):
    return {
        "backup": lambda path: save(path, tmp_path / f"{path.name}.tar.gz"),
        "restore": lambda path: restore(path, saved, force=True),
        "reset": backup.reset,
    }


@pytest.mark.parametrize("name", ["backup", "restore", "reset"])
def test_a_kill_at_any_point_leaves_the_old_or_the_new_data_never_a_mix(actions, tmp_path, name):
    action, model = actions[name], make_data(tmp_path / "model", "two")
    old = durable(model)
    whole = shutil.copytree(model, tmp_path / "whole")
    points = occurrences(action, whole)
    new, decided = durable(whole), points.index(Step.SWAP_NOTED) if name != "backup" else len(points)
    for number in range(len(points)):
        path = shutil.copytree(model, tmp_path / f"at{number}")
        killed_at(number, action, path)
        start(path)
        assert durable(path) == (new if number >= decided else old), points[number]
        assert hidden(path) == []
        action(path)
        assert durable(path) == new


def test_a_kill_while_a_start_finishes_a_restore_is_finished_by_the_next(actions, tmp_path):
    model = make_data(tmp_path / "model", "two")
    new = durable(actions["restore"](shutil.copytree(model, tmp_path / "whole")) and tmp_path / "whole")
    first = shutil.copytree(model, tmp_path / "first")
    killed_at(2, actions["restore"], first)
    points = occurrences(start, shutil.copytree(first, tmp_path / "finish"))
    for number in range(len(points)):
        path = shutil.copytree(first, tmp_path / f"again{number}")
        killed_at(number, start, path)
        start(path)
        assert (durable(path), hidden(path)) == (new, [])
        assert durable(path / "before-restore-20261121T100000Z") == durable(model)


def test_every_point_of_backup_restore_and_reset_is_passed(actions, tmp_path):
    passed = set()
    for name, action in actions.items():
        passed |= set(occurrences(action, make_data(tmp_path / name, "two")))
    assert {step for step in Step if step.value.partition(":")[0] in ("backup", "restore", "swap")} == passed
