"""That something changed is told once to whoever asks, and where the choke points are."""

import threading
from uuid import UUID

import pytest

from ai_memory.memory import changes as module
from ai_memory.memory.changes import Change, Changes
from ai_memory.memory.pages import Fields, Writer

ANA = Writer(user="ana")
SHOP, ATLAS = UUID(int=1), UUID(int=2)


def test_each_change_is_told_once_and_the_oldest_first():
    changes = Changes(100)
    assert (changes.newest, changes.since(100)) == (100, (100, []))
    for project, what in ((SHOP, "pages"), (ATLAS, "pages"), (SHOP, "sessions"), (SHOP, "pages")):
        changes.note(project, what)
    told = [Change(ATLAS, "pages"), Change(SHOP, "sessions"), Change(SHOP, "pages")]
    assert changes.since(100) == (104, told)
    assert changes.since(102) == (104, told[1:])
    assert changes.since(104) == (104, [])


def test_a_number_of_another_run_counts_as_none():
    changes = Changes(100)
    changes.note(SHOP, "pages")
    for number in (-1, 0, 99, 102, 10**30):
        assert changes.since(number) == (101, [])


def test_what_was_too_long_ago_may_be_anything(monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    changes = Changes(0)
    for number in range(5):
        changes.note(UUID(int=number), "pages")
    assert changes.since(1) == (5, [Change(None, "all")])
    assert changes.since(2) == (5, [Change(UUID(int=number), "pages") for number in (2, 3, 4)])


def test_changes_of_many_threads_are_all_counted():
    changes = Changes(0)

    def note(project):
        for _ in range(500):
            changes.note(project, "pages")
            changes.since(changes.newest - 1)

    threads = [threading.Thread(target=note, args=(UUID(int=number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert changes.newest == 4000
    assert set(changes.since(0)[1]) == {Change(UUID(int=number), "pages") for number in range(8)}


@pytest.fixture
def told(world):
    """Say what changed since it was last asked: names of projects, and what."""
    number = world.memory.stores.changes.newest

    def told():
        nonlocal number
        number, found = world.memory.stores.changes.since(number)
        projects = {project.id: project.name for project in world.memory.projects.all()}
        return {(projects.get(each.project_id, "gone"), each.what) for each in found}

    return told


def test_pages_projects_and_what_happens_to_them_are_noted(world, told):
    memory = world.memory
    shop = memory.projects.create("default", "shop")
    assert told() == {("shop", "projects")}
    memory.pages.write(shop, "notes/a.md", "Text.", Fields(), ANA)
    assert told() == {("shop", "pages")}
    memory.pages.read(shop, "notes/a.md")
    assert told() == set()
    (memory.projects.folder(shop) / "notes" / "a.md").write_text("Somebody's edit.\n")
    memory.outside.reconcile()
    assert told() == {("shop", "pages")}
    memory.pages.delete(shop, "notes/a.md", ANA)
    assert told() == {("shop", "pages")}
    memory.moves.rename_project(shop, "store")
    assert told() == {("store", "projects")}
    memory.purge.project(memory.projects.named("default", "store"), confirm=True)
    assert ("gone", "projects") in told()


def test_events_and_handoffs_are_noted(world, told, ids):
    world.says(ids[0], "session-start")
    assert told() == {("shop", "projects"), ("shop", "sessions")}
    world.works(ids[0])
    assert told() == {("shop", "sessions")}
    world.memory.sessions.settle()
    assert told() == {("shop", "pages"), ("shop", "handoffs")}
    assert world.starts(ids[1])
    assert told() == {("shop", "handoffs")}
    world.says(ids[1], "session-start", agent="codex")
    world.says(ids[1], "session-end", agent="codex")
    world.memory.sessions.settle()
    assert ("shop", "handoffs") in told()
    (shop,) = world.memory.projects.all()
    begun = world.memory.handoffs.begin(shop, summary="Go on.")
    assert told() == {("shop", "handoffs")}
    world.memory.handoffs.cancel(shop, begun.id)
    assert told() == {("shop", "handoffs")}


def test_a_session_that_moves_changes_both_projects(world, told, ids):
    world.works(ids[0])
    world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    world.memory.projects.create("default", "atlas")
    told()
    world.memory.moves.move_session(shop, UUID(ids[0]), "atlas", confirm=True, force=True)
    assert {("shop", "sessions"), ("atlas", "sessions")} <= told()


@pytest.mark.parametrize("what", ["session", "page", "project"])
def test_the_last_change_of_a_purge_comes_when_nothing_is_left(world, monkeypatch, ids, what):
    world.works(ids[0])
    memory = world.memory
    (shop,) = memory.projects.all()
    memory.pages.write(shop, "notes/a.md", "Text.", Fields(), ANA)
    memory.sessions.settle()
    left = []
    note = memory.stores.changes.note

    def looking(project_id, what):
        note(project_id, what)
        left.append((memory.browsing.pages(shop), memory.sessions.known(shop, ids[0])))

    monkeypatch.setattr(memory.stores.changes, "note", looking)
    if what == "session":
        memory.purge.session(shop, UUID(ids[0]), confirm=True, force=True)
    elif what == "page":
        memory.purge.page(shop, "notes/a.md", confirm=True)
    else:
        memory.purge.project(shop, confirm=True, force=True)
    pages, session = left[-1]
    kept = {
        "session": (["notes/a.md"], False),
        "page": ([f"sessions/{ids[0]}.md"], True),
        "project": ([], False),
    }
    assert ([page.row.path for page in pages], session is not None) == kept[what]


def test_a_later_run_has_greater_numbers(world):
    world.memory.projects.create("default", "shop")
    newest = world.memory.stores.changes.newest
    world.close()
    world.passes(seconds=1)
    assert world.open().stores.changes.newest > newest
