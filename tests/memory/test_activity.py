"""How much goes on in projects, by day, and when something last did."""

from datetime import timedelta
from uuid import UUID

import pytest

from ai_memory.compile.lint import REPORT
from ai_memory.memory.pages import Fields, Writer

ANA = Writer(user="ana")


@pytest.fixture
def shop(world):
    return world.memory.projects.create("default", "shop")


def write(world, project, path, body="Text."):
    world.memory.pages.write(project, path, body, Fields(), ANA)


def test_observations_and_changes_of_knowledge_count_on_their_days(world, shop, ids):
    empty = world.memory.projects.create("default", "empty")
    write(world, shop, "notes/a.md")
    write(world, shop, "notes/a.md", "Other.")
    world.works(ids[0])
    world.memory.sessions.settle()
    world.passes(days=2)
    world.works(ids[0])
    write(world, shop, "notes/b.md")
    days = world.memory.activity.days([shop, empty], 4)
    assert days == {shop.id: [0, 6, 0, 5], empty.id: [0, 0, 0, 0]}
    world.passes(days=2)
    assert world.memory.activity.days([shop], 4) == {shop.id: [0, 5, 0, 0]}
    assert world.memory.activity.days([], 4) == {}


def test_a_day_begins_at_midnight_utc(world, shop, ids):
    world.now = world.now.replace(hour=23, minute=59, second=58)
    world.says(ids[0], "session-start")
    world.says(ids[0], "user-prompt", prompt="Hello.")
    assert world.memory.activity.days([shop], 2) == {shop.id: [1, 1]}


def test_what_a_clock_that_was_ahead_wrote_is_no_error(world, shop, ids):
    world.works(ids[0])
    write(world, shop, "notes/a.md")
    world.now -= timedelta(days=3)
    assert world.memory.activity.days([shop], 2) == {shop.id: [0, 0]}


def test_what_moves_or_goes_takes_its_days_along(world, shop, ids):
    world.works(ids[0])
    other = world.memory.projects.create("default", "other")
    world.memory.sessions.settle()
    world.passes(hours=1)
    world.memory.moves.move_session(shop, UUID(ids[0]), "other", confirm=True, force=True)
    assert world.memory.activity.days([shop, other], 1) == {shop.id: [0], other.id: [4]}
    world.memory.purge.session(other, UUID(ids[0]), confirm=True, force=True)
    assert world.memory.activity.days([shop, other], 1) == {shop.id: [0], other.id: [0]}


def test_the_last_moment_of_a_project_is_that_of_a_session_or_a_page(world, shop, ids):
    world.memory.projects.create("default", "empty")
    assert world.memory.activity.last() == {}
    write(world, shop, "notes/a.md", "It says [[elsewhere:notes/none]].")
    assert world.memory.activity.last() == {shop.id: world.now}
    world.works(ids[0])
    spoke = world.now
    world.passes(days=1)
    # Neither the page of a session nor a report of lint is something that happened.
    world.memory.sessions.settle()
    assert world.memory.lint.run(shop).page == REPORT
    assert world.memory.activity.last() == {shop.id: spoke}
    world.passes(days=1)
    write(world, shop, "notes/a.md", "Other.")
    assert world.memory.activity.last() == {shop.id: world.now}
