from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from ai_memory.model.handoff import Handoff
from ai_memory.store.state import State

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PROJECT = UUID(int=2)
SOURCE, RECEIVER = UUID(int=10), UUID(int=11)


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "db" / "state.db")
    yield state
    state.close()


def handoff(**more):
    fields = {
        "id": uuid4(),
        "workspace_id": UUID(int=1),
        "project_id": PROJECT,
        "from_session": SOURCE,
        "from_agent": "codex",
        "cwd": "/w/shop",
        "summary": "VAT",
        "created_at": NOW,
        "generation": 4,
        "open_questions": ("why?",),
        "next_steps": ("test",),
        "files_touched": ("a.py",),
    }
    return Handoff(**{**fields, **more})


def take(state, session=RECEIVER):
    return state.claim(PROJECT, lambda open_: (open_[0] if open_ else None, []), by="codex", session=session, at=NOW)


def test_a_handoff_comes_back_as_it_was_published(state):
    published = state.publish(handoff(), replacing_cwd=False)
    assert state.open_handoffs(PROJECT) == [published]


def test_a_new_generation_takes_the_place_of_the_sessions_open_one(state):
    first = state.publish(handoff(), replacing_cwd=False)
    second = state.publish(handoff(generation=9, summary="more"), replacing_cwd=False)
    assert state.open_handoffs(PROJECT) == [second]
    assert second.id == first.id


def test_a_generation_that_was_taken_is_not_opened_again(state):
    state.publish(handoff(), replacing_cwd=False)
    taken = take(state)
    assert state.publish(handoff(), replacing_cwd=False) == taken
    assert state.open_handoffs(PROJECT) == []


def test_a_source_that_goes_on_after_it_was_taken_opens_its_next_generation(state):
    state.publish(handoff(), replacing_cwd=False)
    taken = take(state)
    newer = state.publish(handoff(generation=9), replacing_cwd=False)
    assert newer.id != taken.id
    assert state.open_handoffs(PROJECT) == [newer]


def test_fifty_receivers_at_once_get_it_exactly_once(state):
    state.publish(handoff(), replacing_cwd=False)
    with ThreadPoolExecutor(50) as pool:
        got = list(pool.map(lambda _: take(state, uuid4()), range(50)))
    assert len([one for one in got if one]) == 1


def test_what_an_idle_receiver_took_goes_back(state):
    published = state.publish(handoff(), replacing_cwd=False)
    take(state)
    assert state.give_back(RECEIVER) == [published]
    assert state.open_handoffs(PROJECT) == [published]


def test_an_old_generation_does_not_go_back_when_there_is_a_newer_one(state):
    state.publish(handoff(), replacing_cwd=False)
    take(state)
    newer = state.publish(handoff(generation=9), replacing_cwd=False)
    assert state.give_back(RECEIVER) == []
    assert state.open_handoffs(PROJECT) == [newer]


def test_the_end_of_a_session_expires_older_automatic_ones_of_its_directory_only(state):
    older = state.publish(handoff(from_session=UUID(int=20)), replacing_cwd=False)
    elsewhere = state.publish(handoff(from_session=UUID(int=21), cwd="/w/shop/api"), replacing_cwd=False)
    manual = state.publish(handoff(from_session=None, cwd=""), replacing_cwd=False)
    ended = state.publish(handoff(created_at=NOW + timedelta(minutes=1)), replacing_cwd=True)
    assert {one.id for one in state.open_handoffs(PROJECT)} == {elsewhere.id, manual.id, ended.id}
    assert state.handoff(older.id) == replace(older, state="expired")


def test_rows_survive_a_restart(tmp_path):
    state = State(tmp_path / "state.db")
    published = state.publish(handoff(), replacing_cwd=False)
    state.close()
    again = State(tmp_path / "state.db")
    assert again.open_handoffs() == [published]
    again.close()
