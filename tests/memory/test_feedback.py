"""What readers say of a page holds for the text that they read, moves with it, and goes when it is purged."""

import pytest

from ai_memory.compile.packet import mark_in
from ai_memory.errors import BadRequestError, NotFoundError, TooLargeError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.page import BadPagePathError

ANA = Writer(user="ana")


@pytest.fixture
def shop(world):
    return world.memory.projects.create("default", "shop")


def write(world, project, path="notes/a.md", body="saffron", **fields):
    world.passes(minutes=1)
    world.memory.pages.write(project, path, body, Fields(**fields), ANA)


def say(world, project, *signals, path="notes/a.md", reason=""):
    return [world.memory.feedback.give(project, path, signal, reason).salience for signal in signals]


def kept(world, project):
    return [(each.path, each.signal) for each in world.memory.stores.state.feedback.of(project.id)]


def flagged(world, project):
    return [(each.pages[0], each.detail) for each in world.memory.lint.look(project) if each.kind == "feedback_flagged"]


@pytest.mark.parametrize(
    ("signals", "saliences"),
    [
        (["helpful", "helpful"], [1.25, 1.5]),
        (["not_helpful", "helpful"], [0.75, 1.0]),
        (["helpful"] * 6, [1.25, 1.5, 1.75, 2.0, 2.0, 2.0]),
        (["not_helpful"] * 5, [0.75, 0.5, 0.25, 0.25, 0.25]),
        (["helpful", "stale", "helpful"], [1.25, 0.25, 0.5]),
        (["wrong"], [0.25]),
    ],
)
def test_salience_goes_by_steps_within_its_bounds(world, shop, signals, saliences):
    write(world, shop)
    assert say(world, shop, *signals) == saliences


def test_it_holds_for_the_text_that_was_read(world, shop):
    write(world, shop)
    say(world, shop, "wrong", reason="the port\n is  9090")
    assert flagged(world, shop) == [("notes/a.md", "the port is 9090")]
    write(world, shop, body="crocus")
    assert flagged(world, shop) == []
    assert say(world, shop, "helpful") == [1.25]
    assert kept(world, shop) == [("notes/a.md", "helpful")]


def test_of_one_page_only_the_newest_hundred_are_kept(world, shop):
    write(world, shop)
    say(world, shop, *["helpful"] * 101, "stale")
    assert len(kept(world, shop)) == 100
    assert kept(world, shop)[0] == ("notes/a.md", "stale")


def test_what_cannot_be_kept_is_refused_and_leaves_nothing(world, shop):
    write(world, shop)
    for refused, path, signal, reason in (
        (BadRequestError, "notes/a.md", "great", ""),
        (TooLargeError, "notes/a.md", "wrong", "x" * 501),
        (NotFoundError, "notes/none.md", "wrong", ""),
        (BadPagePathError, "../a.md", "wrong", ""),
    ):
        with pytest.raises(refused):
            world.memory.feedback.give(shop, path, signal, reason)
    assert kept(world, shop) == []


def test_a_secret_in_a_reason_is_taken_out(world, shop):
    write(world, shop)
    secret = "ghp_" + "a1B2" * 10
    said = world.memory.feedback.give(shop, "notes/a.md", "wrong", f"the token is {secret}")
    assert secret not in said.reason
    assert secret not in world.memory.lint.look(shop)[0].detail


def test_it_survives_a_rename_and_a_restart(world, shop):
    write(world, shop)
    say(world, shop, "stale", reason="old")
    world.memory.moves.rename_project(shop, "store", ANA)
    world.close()
    world.open()
    (store,) = world.memory.projects.all()
    assert (store.name, flagged(world, store)) == ("store", [("notes/a.md", "old")])


def test_it_moves_with_the_page_into_another_project(world, shop):
    write(world, shop)
    say(world, shop, "stale", reason="old")
    other = world.memory.projects.create("team", "shop")
    write(world, other, path="notes/b.md")
    world.memory.moves.move_project(shop, "team", ANA, confirm=True)
    assert flagged(world, other) == [("notes/a.md", "old")]
    assert kept(world, shop) == []


def test_a_purge_takes_it_along(world, shop):
    write(world, shop)
    say(world, shop, "wrong")
    world.memory.purge.project(shop, ANA, confirm=True)
    assert kept(world, shop) == []


def test_a_sweep_forgets_what_was_said_of_pages_that_are_gone(world, shop):
    write(world, shop)
    write(world, shop, path="notes/b.md")
    say(world, shop, "wrong")
    say(world, shop, "wrong", path="notes/b.md")
    world.memory.pages.delete(shop, "notes/a.md", ANA)
    world.memory.upkeep.sweep.run(shop)
    assert kept(world, shop) == [("notes/b.md", "wrong")]


def test_a_compiled_page_that_readers_called_wrong_goes_cold_sooner_and_a_helpful_one_later(world, ids):
    for session in ids[:3]:
        world.works(session)
        world.says(session, "session-end")
        world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    wrong, plain, helpful = (f"sessions/{session}.md" for session in ids[:3])
    say(world, shop, "wrong", path=wrong)
    say(world, shop, "helpful", "helpful", path=helpful)
    for days, cold in ((11, []), (1, [wrong]), (68, [wrong]), (1, [wrong, plain])):
        world.passes(days=days)
        found = [each.path for each in world.memory.upkeep.sweep.plan(shop).cold]
        # Of the drafts of their packets nobody said anything.
        assert sorted(path for path in found if not mark_in(path)) == sorted(cold)


def test_of_two_pages_that_say_the_same_the_helpful_one_is_first(world, shop):
    write(world, shop, path="notes/a.md", body="saffron crocus")
    write(world, shop, path="notes/b.md", body="saffron crocus")

    def found():
        return [hit.path for hit in world.memory.recall.search("saffron crocus", [shop])]

    assert found() == ["notes/a.md", "notes/b.md"]
    say(world, shop, "wrong")
    assert found() == ["notes/b.md", "notes/a.md"]
    say(world, shop, *["helpful"] * 4, path="notes/a.md")
    assert found() == ["notes/a.md", "notes/b.md"]
