"""Sessions that are brought in from old transcripts: recorded with their own times, handed over to nobody."""

import json
from datetime import timedelta

from ai_memory.memory.backfilling import standing
from ai_memory.memory.intake import Delivery


def brought_in(world, session, ends=True):
    """What a backfill sends of a session of half a year ago."""
    events = [
        ("session-start", {"source": "backfill"}),
        ("user-prompt", {"prompt": "Fix the rounding."}),
        ("stop", {"last_assistant_message": "Rounded per invoice."}),
        ("session-end", {"reason": "backfill"}),
    ]
    at = world.now - timedelta(days=180)
    outcomes = []
    for number, (event, body) in enumerate(events if ends else events[:-1]):
        query = {
            "agent": "claude-code",
            "event": event,
            "ingest_key": f"{session[-4:]}{number}",
            "repo_root": "/srv/shop",
        }
        moment = (at + timedelta(minutes=number)).isoformat()
        payload = {"session_id": session, "cwd": "/srv/shop", "occurred_at": moment, **body}
        (results,) = world.memory.intake.record([Delivery(query, json.dumps(payload).encode())])
        outcomes += [each.what for each in results]
    return outcomes


def keys(session):
    return f"{session[-4:]}0", f"{session[-4:]}3"


def test_a_session_of_long_ago_has_its_page_and_hands_nothing_over(world, ids):
    heard = []
    world.memory.sessions.on_checkpoint = lambda *checkpoint: heard.append(checkpoint)
    assert brought_in(world, ids[0]) == ["stored"] * 4
    world.memory.sessions.settle()
    assert heard == []
    page = world.pages()[ids[0]]
    assert "2026-05-24T10:00:00Z" in page
    assert "Fix the rounding." in page
    assert (world.memory.handoffs.open(None), world.starts(ids[1])) == ([], "")
    assert not list((world.data / "wiki").rglob("packets/*.md"))


def test_one_that_is_opened_again_hands_over_what_it_does_then(world, ids):
    brought_in(world, ids[0])
    world.memory.sessions.settle()
    world.works(ids[0], prompt="And now the totals.")
    world.memory.sessions.settle()
    assert "And now the totals." in world.starts(ids[1])


def test_a_backfill_that_was_cut_off_is_begun_and_a_whole_one_is_known(world, ids):
    stores = world.memory.stores
    assert standing(stores, ids[0], *keys(ids[0])) == "new"
    brought_in(world, ids[0], ends=False)
    assert standing(stores, ids[0], *keys(ids[0])) == "begun"
    assert brought_in(world, ids[0]) == ["replayed"] * 3 + ["stored"]
    assert standing(stores, ids[0], *keys(ids[0])) == "known"
    assert brought_in(world, ids[0]) == ["replayed"] * 4


def test_what_hooks_recorded_is_known(world, ids):
    world.works(ids[0])
    assert standing(world.memory.stores, ids[0], *keys(ids[0])) == "known"
