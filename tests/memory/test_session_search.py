"""What was said and done in sessions is in the index as long as the raw log has it, and no longer."""

import json
import uuid
from datetime import timedelta

from ai_memory.memory.intake import Delivery
from tests.memory.test_moves import ends, project, send
from tests.mirror import assert_rebuild_is_equal

SHOP = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}


def turns(world, match, *projects):
    index = world.memory.stores.turns
    found = [each.turn for each in index.turns(match, [each.id for each in projects], 10)]
    texts = index.texts(found)
    return [texts[number].text for number in found]


def named(world, match, *projects):
    found = world.memory.stores.turns.sessions(match, [each.id for each in projects], 10)
    return [str(each.session_id) for each in found]


def rebuilt(world):
    """Close it, and compare the index with one that is made anew from the files."""
    world.close()

    def open_and_close():
        world.open()
        world.close()

    assert_rebuild_is_equal(world.data, open_and_close)
    world.open()


def test_what_was_said_is_found_as_soon_as_it_is_stored_and_the_same_after_a_rebuild(world, ids):
    world.works(ids[0], prompt="Why is the total wrong?", answer="Half cents.")
    world.says(ids[0], "user-prompt", prompt="And the vouchers?")
    world.says(ids[1], "user-prompt", prompt="An open question")
    for _ in range(2):
        assert turns(world, "vouchers") == ["And the vouchers?"]
        assert turns(world, "cart") == ["Edit /srv/shop/cart.py\nedited cart.py"]
        assert (named(world, "cents"), named(world, "vouchers"), named(world, "open")) == ([ids[0]], [], [])
        assert turns(world, "open") == ["An open question"]
        rebuilt(world)


def test_a_doubled_delivery_is_indexed_once(world, ids):
    query = {"agent": "codex", "event": "user-prompt", "ingest_key": uuid.uuid4().hex, **SHOP}
    delivery = Delivery(query, json.dumps({"session_id": ids[0], "prompt": "Only once"}).encode())
    answers = [world.memory.intake.record([delivery, delivery]), world.memory.intake.record([delivery])]
    told = [outcome.what for each in answers for outcomes in each for outcome in outcomes]
    assert told == ["stored", "replayed", "replayed"]
    assert world.memory.stores.turns.counts() == {"turns": 1, "searchable": 1}


def test_events_that_come_late_are_found_and_the_same_after_a_rebuild(world, ids):
    world.works(ids[0], prompt="The first", answer="Done.")
    assert send(world, ids[0], at=world.now - timedelta(minutes=2), **SHOP)[0] == "stored"
    index = world.memory.stores.turns
    (late,) = index.texts(each.turn for each in index.turns("late", (), 10)).values()
    assert (late.n, late.at, late.text) == (4, world.now - timedelta(minutes=2), "late words")
    rebuilt(world)
    send(world, ids[0], event="session-end", at=world.now - timedelta(days=2), **SHOP)
    assert named(world, "late") == [ids[0]]
    rebuilt(world)


def test_what_was_stored_before_a_crash_and_not_indexed_is_found_after_it(world, ids):
    world.works(ids[0], prompt="The first", answer="Done.")
    stores = world.memory.stores
    file = next(stores.rawlog.files())
    with file.path.open("ab") as log:
        log.write(
            json.dumps(
                {"at": world.now.isoformat(), "kind": "stop", "agent": "codex", "title": "stop", "body": "Recovered."}
            ).encode()
            + b"\n"
        )
    world.crash()
    world.open()
    assert (turns(world, "recovered"), named(world, "recovered")) == (["Recovered."], [ids[0]])
    rebuilt(world)


def test_a_moved_session_is_found_in_its_new_project(world, ids):
    ends(world, ids[0], prompt="Where do I belong?")
    ends(world, ids[1], cwd="/srv/other")
    shop = project(world)
    world.memory.moves.move_session(shop, uuid.UUID(ids[0]), "other", confirm=True)
    other = project(world, "other")
    assert (turns(world, "belong", shop), named(world, "belong", shop)) == ([], [])
    assert (turns(world, "belong", other), named(world, "belong", other)) == (["Where do I belong?"], [ids[0]])
    rebuilt(world)


def test_a_purged_session_is_found_no_more(world, ids):
    ends(world, ids[0], prompt="Forget the xanthippe")
    ends(world, ids[1], prompt="Keep the xanthippe")
    world.memory.purge.session(project(world), uuid.UUID(ids[0]), confirm=True)
    assert (turns(world, "xanthippe"), named(world, "xanthippe")) == (["Keep the xanthippe"], [ids[1]])
    world.memory.purge.project(project(world), confirm=True)
    assert (turns(world, "xanthippe"), named(world, "xanthippe")) == ([], [])
    assert world.memory.stores.turns.counts() == {"turns": 0, "searchable": 0}


def test_turns_go_with_an_aged_raw_log_and_are_not_there_after_a_rebuild_either(world, ids):
    ends(world, ids[0], prompt="Long ago")
    assert turns(world, "long") == ["Long ago"]
    for _ in range(13):
        world.passes(days=30)
        world.memory.upkeep.reads.note(project(world).id, f"sessions/{ids[0]}.md")
        world.memory.upkeep.reads.flush(now=True)
        while world.memory.upkeep.step(1):
            pass
    assert list(world.memory.stores.rawlog.files()) == []
    assert (turns(world, "long"), named(world, "long")) == ([], [])
    assert [str(each.id) for each in world.memory.stores.index.recent()] == [ids[0]]
    rebuilt(world)
