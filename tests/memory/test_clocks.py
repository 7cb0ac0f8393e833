"""A clock that is wrong for a while costs nothing that cannot be had back."""

import uuid
from datetime import timedelta

from ai_memory.memory.pages import Fields, Writer
from tests.memory.test_moves import project

WRITER = Writer("codex")


def ends(world, session, **said):
    world.works(session, **said)
    world.says(session, "session-end")
    world.memory.sessions.settle()


def tend(world):
    while world.memory.upkeep.step(10):
        pass


def kept(world):
    """What upkeep would remove in time: raw logs, pages, tombstones, idempotency keys, settled handoffs."""
    stores = world.memory.stores
    return {
        "raw": [str(file.session_id) for file in stores.rawlog.files()],
        "pages": sorted(world.pages()),
        "gone": sorted(key for gone in stores.wiki.gone.values() for key in gone),
        "keys": stores.database.all("SELECT count(*) FROM ingest_keys")[0][0],
        "handoffs": stores.state.counts(),
    }


def test_a_clock_that_leaps_ahead_removes_nothing_and_says_so(world, ids):
    ends(world, ids[0])
    world.memory.pages.write(project(world), "notes/a.md", "A note.\n", Fields(), WRITER)
    world.memory.pages.delete(project(world), "notes/a.md", WRITER)
    tend(world)
    before = kept(world)
    world.passes(days=3650)
    tend(world)
    world.close()
    world.open()
    tend(world)
    assert kept(world) == before
    assert "3650 days beyond the last upkeep" in world.memory.status(bind="")["warnings"][0]
    world.passes(days=-3650)
    tend(world)
    assert kept(world) == before
    world.passes(days=1)
    tend(world)
    assert (kept(world), world.memory.status(bind="")["warnings"]) == (before, [])


def test_a_clock_that_leaps_before_the_first_upkeep_removes_nothing(world, ids):
    ends(world, ids[0])
    before = kept(world)
    world.passes(days=3650)
    tend(world)
    assert kept(world) == before


def test_what_is_old_goes_a_day_later_when_the_server_was_off_for_months(world, ids):
    ends(world, ids[0])
    (draft,) = world.memory.packets.drafts("owner")
    gone = [f"packets/{draft.id}.md", f"sessions/{ids[0]}.md"]
    tend(world)
    world.close()
    world.passes(days=400)
    world.open()
    tend(world)
    assert kept(world)["raw"] == [ids[0]]
    world.passes(days=1)
    tend(world)
    world.passes(days=1)
    tend(world)
    assert kept(world) == {"raw": [], "pages": [], "gone": gone, "keys": 0} | {
        "handoffs": world.memory.stores.state.counts()
    }


def test_what_is_old_goes_when_the_process_ran_for_an_hour_under_the_new_time(world, ids, monkeypatch):
    ends(world, ids[0])
    tend(world)
    world.passes(days=400)
    tend(world)
    assert sorted(world.pages()) == [ids[0]]
    world.passes(minutes=61)
    monkeypatch.setattr(world.memory.upkeep, "_leapt", world.memory.upkeep._leapt - 3600)
    tend(world)
    assert world.pages() == {}


def test_a_project_that_was_purged_by_a_clock_that_was_ahead_may_begin_again(world, ids):
    ends(world, ids[0])
    purged = project(world).id
    world.passes(days=300)
    world.memory.purge.project(project(world), confirm=True, force=True)
    world.passes(days=-299)
    assert world.says(ids[1], "user-prompt", prompt="New work.") == "stored"
    assert project(world).id != purged
    (warning,) = world.memory.status(bind="")["warnings"]
    assert warning.startswith("default/shop was purged at 2027-09-16")
    world.close()
    world.open()
    world.passes(minutes=1)
    assert world.says(ids[2], "user-prompt", prompt="More of it.") == "stored"


def test_what_happened_before_such_a_purge_stays_away(world, ids):
    ends(world, ids[0])
    then = world.now
    world.passes(days=300)
    world.memory.purge.project(project(world), confirm=True, force=True)
    world.passes(days=-299)
    world.close()
    world.open()
    late = world.says(str(uuid.uuid4()), "user-prompt", prompt="Late.", occurred_at=then.isoformat())
    assert late == "dropped_deleted"
    assert world.memory.projects.all() == []
    assert world.now - then < timedelta(days=2)
