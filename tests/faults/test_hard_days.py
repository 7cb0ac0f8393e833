"""Days on which something is wrong: each has an outcome that is known, is told, and passes."""

import os
import subprocess
import threading
import uuid

import apsw
import pytest

from ai_memory.config import load_settings
from ai_memory.errors import DirectoryInUseError, StorageError
from ai_memory.memory.memory import Memory
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.handoff import Receiver
from ai_memory.model.scope import Routing
from tests.faults.test_every_step import assert_sound
from tests.memory.conftest import World

ANA = Writer(user="ana")
SHOP = Routing(cwd="/srv/shop", repo_root="/srv/shop")
LOCKS = ["index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", "config.lock"]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder]).returncode:
        pytest.skip("cannot mount a small file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def project(world):
    return world.memory.projects.ensure(SHOP).project


def write(world, path, body):
    return world.memory.pages.write(project(world), path, body, Fields(), ANA)


def found(world, words):
    return [hit.path for hit in world.memory.recall.search(words, limit=100)]


def last_error(world, stage):
    return world.memory.status(bind="")["stages"][stage]["last_error"]


def test_of_fifty_who_claim_one_handoff_at_once_one_gets_it(world):
    world.memory.handoffs.begin(project(world), summary="Look at the refunds.")
    texts, ready = [], threading.Barrier(50)

    def claim(number):
        receiver = Receiver(uuid.UUID(int=number + 1, version=4), "codex", "/srv/shop")
        ready.wait()
        texts.append(world.memory.handoffs.for_start(receiver, SHOP, lambda: True).text)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(texts), sum("Look at the refunds." in text for text in texts)) == (50, 1)
    assert texts.count("") == 49
    assert world.memory.status(bind="")["counts"]["handoffs"] == {"accepted": 1}


def test_a_second_start_is_refused_and_names_the_first(world):
    with pytest.raises(DirectoryInUseError, match=f"in use by the server with process id {os.getpid()}") as refused:
        Memory(load_settings(world.data))
    assert refused.value.exit_code == 3
    assert write(world, "notes/a.md", "Saffron.").changed


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_git_has_left_behind_is_gone_after_the_next_start(world, lock):
    write(world, "notes/a.md", "Saffron.")
    world.close()
    (world.data / "wiki" / ".git" / lock).touch()
    world.open()
    assert write(world, "notes/a.md", "Nutmeg.").changed
    assert found(world, "nutmeg") == ["notes/a.md"]
    world.close()
    assert_sound(world.data)


def test_a_lock_of_another_git_refuses_a_write_by_name_until_it_is_gone(world):
    write(world, "notes/a.md", "Saffron.")
    lock = world.data / "wiki" / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(StorageError, match=r"index\.lock"):
        write(world, "notes/b.md", "Nutmeg.")
    assert "index.lock" in last_error(world, "pages")
    lock.unlink()
    assert write(world, "notes/b.md", "Nutmeg.").revision
    assert world.memory.stores.wiki.git.dirty() == set()


def filled(folder):
    """Leave no room on a small disk; gives the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def pages_on(world):
    folder = world.memory.stores.wiki.folder(project(world))
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*.md")} - {"_meta.md"}


@pytest.fixture
def small(small_disk):
    world = World(small_disk)
    yield world
    world.close()


def test_a_full_disk_refuses_a_page_leaves_no_half_of_it_and_takes_it_when_there_is_room(small, small_disk):
    write(small, "notes/a.md", "Saffron.")
    before = small.memory.stores.wiki.git.head()
    filler = filled(small_disk)
    big = "nutmeg and cardamom " * 20_000
    with pytest.raises(StorageError, match="No space left on device") as refused:
        write(small, "notes/b.md", big)
    assert refused.value.status == 507
    with pytest.raises(StorageError, match="could not be written: No space left on device"):
        write(small, "notes/a.md", big)
    assert (pages_on(small), small.memory.stores.wiki.git.head()) == ({"notes/a.md"}, before)
    assert small.memory.pages.read(project(small), "notes/a.md").body.strip() == "Saffron."
    assert found(small, "saffron") == ["notes/a.md"]
    assert "No space left on device" in last_error(small, "pages")
    filler.unlink()
    assert write(small, "notes/b.md", big).created
    assert found(small, "nutmeg") == ["notes/b.md"]
    small.close()
    assert_sound(small.data)


def test_a_disk_that_becomes_read_only_refuses_a_page_and_takes_it_when_it_is_writable_again(small, small_disk):
    write(small, "notes/a.md", "Saffron.")
    before = small.memory.stores.wiki.git.head()
    # The databases are open for writing, so the disk itself cannot be made so; the wiki can.
    wiki = small.data / "wiki"
    subprocess.run(["mount", "--bind", wiki, wiki], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", wiki], check=True)
    try:
        with pytest.raises(StorageError, match="Read-only file system") as refused:
            write(small, "notes/b.md", "Nutmeg.")
        assert refused.value.status == 507
        with pytest.raises(StorageError, match="Read-only file system"):
            small.memory.pages.delete(project(small), "notes/a.md", ANA)
        assert small.memory.pages.read(project(small), "notes/a.md").body.strip() == "Saffron."
        assert found(small, "saffron") == ["notes/a.md"]
        assert "Read-only file system" in last_error(small, "pages")
    finally:
        subprocess.run(["umount", wiki], check=True)
    assert (pages_on(small), small.memory.stores.wiki.git.head()) == ({"notes/a.md"}, before)
    assert write(small, "notes/b.md", "Nutmeg.").created
    assert small.memory.pages.delete(project(small), "notes/a.md", ANA)
    small.close()
    assert_sound(small.data)


def spoiled(file):
    """Put garbage over all of a database but its head, past every cache of whoever has it open."""
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(file.stat().st_size - 4096))
        opened.flush()
        os.fsync(opened.fileno())


def test_an_index_that_is_damaged_at_work_is_told_and_made_anew_by_the_next_start(world, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    for number in range(20):
        write(world, f"notes/{number}.md", f"Saffron {number}. " * 100)
    before = (sorted(found(world, "saffron")), world.memory.status(bind="")["counts"])
    index = world.data / "db" / "index.db"
    spoiled(index)
    said = []

    def look():
        # A thread of its own reads through a connection of its own, which has nothing in its cache.
        try:
            world.memory.recall.search("saffron")
        except StorageError as error:
            said.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(30)
    (problem,) = said
    assert "index.db is damaged" in problem
    assert "restart the server, it is made anew from the files" in problem
    assert (world.data / "db" / "index.db.damaged").exists()
    world.crash()
    world.open()
    status = world.memory.status(bind="")
    assert status["derived"]["index_rebuilt"] == "it was damaged"
    assert (sorted(found(world, "saffron")), status["counts"]) == before
    assert not (world.data / "db" / "index.db.damaged").exists()
    world.close()
    world.open()
    assert world.memory.status(bind="")["derived"]["index_rebuilt"] is None


@pytest.fixture
def ids():
    return [str(uuid.UUID(int=n + (4 << 76) + (2 << 62))) for n in range(1, 3)]


def test_ten_thousand_pages_of_one_project_are_opened_listed_found_and_walked(world):
    write(world, "notes/first.md", "See [[many/00/0001]].")
    folder = world.memory.stores.wiki.folder(project(world)) / "many"
    for number in range(9_999):
        file = folder / f"{number % 100:02}" / f"{number:04}.md"
        if number < 100:
            file.parent.mkdir(parents=True)
        file.write_text(f"---\ntype: Note\n---\n# Page {number}\n\nNutmeg{number} and saffron, see [[notes/first]].\n")
    world.now = world.now.replace(year=2099)
    walk = world.memory.outside.reconcile()
    assert len(walk.changed) == 9_999
    shop = project(world)
    assert len(world.memory.stores.pages.pages(shop.id)) == 10_000
    assert found(world, "nutmeg4321") == ["many/21/4321.md", "notes/first.md"]
    first = world.memory.pages.read(shop, "notes/first.md")
    assert (first.backlink_count, len(first.backlinks)) == (9_999, 100)
    assert world.memory.stores.wiki.git.dirty() == set()
    counts = world.memory.status(bind="")["counts"]
    assert (counts["pages_latest"], counts["pages_all"]) == (10_000, 10_000)
    world.close()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    world.open()
    assert world.memory.status(bind="")["counts"] == counts
    assert found(world, "nutmeg4321") == ["many/21/4321.md", "notes/first.md"]
    assert world.memory.outside.reconcile().changed == []
