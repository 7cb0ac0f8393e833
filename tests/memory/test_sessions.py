import shutil

import pytest

from ai_memory.errors import StorageError


def test_a_turns_end_writes_the_page_and_commits_nothing(world, ids):
    world.works(ids[0])
    world.memory.sessions.settle()
    assert "Rounded per invoice." in world.pages()[ids[0]]
    assert world.memory.stores.wiki.git.head() == ""


def test_the_end_of_a_session_is_one_commit_with_page_and_ledger(world, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert world.subjects() == [f"session {ids[0][:8]}: Please fix the rounding."]
    assert world.ledger() == [
        "session-start | session-start",
        "user-prompt | Please fix the rounding.",
        "post-tool-use | Edit",
        "stop | stop",
        "session-end | session-end",
    ]


def test_a_compaction_is_a_checkpoint_in_git(world, ids):
    world.works(ids[0])
    world.says(ids[0], "pre-compact", trigger="auto")
    world.memory.sessions.settle()
    assert world.subjects() == [f"pre-compact(session {ids[0][:8]}): checkpoint"]


def test_a_session_that_falls_silent_is_closed_and_lives_again_when_it_speaks(world, ids):
    world.works(ids[0])
    world.memory.sessions.settle()
    assert world.memory.sessions.close_idle() == 0
    world.passes(minutes=31)
    assert world.memory.sessions.close_idle() == 1
    assert world.memory.sessions.close_idle() == 0
    world.says(ids[0], "user-prompt", prompt="and the refunds")
    world.says(ids[0], "stop", last_assistant_message="refunds done")
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    assert world.subjects() == [
        f"session {ids[0][:8]}: Please fix the rounding.",
        f"session {ids[0][:8]}: Please fix the rounding. (closed: silent)",
    ]
    assert "refunds done" in world.starts(ids[1])


def test_a_receiver_that_stays_silent_gives_its_handoff_back(world, ids):
    world.works(ids[0])
    world.says(ids[1], "session-start", agent="codex")
    assert world.starts(ids[1])
    world.passes(minutes=31)
    world.memory.sessions.close_idle()
    assert "Rounded per invoice." in world.starts(ids[2])


def test_open_handoffs_stay_few_over_months_of_sessions(world, ids):
    import uuid

    for day in range(60):
        session = str(uuid.uuid4())
        world.works(session, answer=f"day {day}", cwd=f"/srv/shop/{'api' if day % 2 else 'web'}")
        world.says(session, "session-end", cwd=f"/srv/shop/{'api' if day % 2 else 'web'}")
        world.memory.sessions.settle()
        world.passes(days=1)
    assert len(world.memory.handoffs.open(None)) == 2
    assert "day 58" in world.starts(ids[0], cwd="/srv/shop/web")


def test_a_page_names_the_session_that_it_continues(world, ids):
    world.works(ids[0])
    world.starts(ids[1])
    world.works(ids[1], agent="codex")
    world.memory.sessions.settle()
    assert f"Continues [[sessions/{ids[0]}.md]]." in world.pages()[ids[1]]


def test_a_crash_before_the_checkpoint_is_made_good_at_the_next_start(world, ids):
    world.works(ids[0])
    world.crash()
    world.open()
    world.memory.sessions.settle()
    assert list(world.pages()) == ids[:1]
    assert "Rounded per invoice." in world.starts(ids[1])


def test_a_crash_between_commit_and_mark_doubles_no_ledger_line(world, ids, monkeypatch):
    world.works(ids[0])
    world.says(ids[0], "session-end")

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(world.memory.stores.index), "mark", crash)
        with pytest.raises(KeyboardInterrupt):
            world.memory.sessions.settle()
    world.crash()
    world.open()
    world.memory.sessions.settle()
    assert len(world.ledger()) == 5
    assert len(world.subjects()) == 1


def test_a_checkpoint_that_could_not_be_written_is_done_later(world, ids, monkeypatch):
    world.works(ids[0])

    def full(*_, **__):
        raise StorageError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(type(world.memory.stores.wiki), "write", full)
        with pytest.raises(StorageError):
            world.memory.sessions.settle()
    assert world.pages() == {}
    world.memory.sessions.settle()
    assert list(world.pages()) == ids[:1]


@pytest.mark.parametrize("damage", ["deleted", "garbage", "emptied"])
def test_without_its_index_a_memory_answers_as_before(world, ids, damage):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.works(ids[1], answer="live session")
    world.memory.sessions.settle()
    before = (world.memory.stores.index.recent(), world.memory.status(bind="")["counts"], world.pages(), world.ledger())
    world.close()
    files = list((world.data / "db").glob("index.db*"))
    for file in files:
        file.unlink()
    if damage == "garbage":
        (world.data / "db" / "index.db").write_bytes(b"not a database" * 1000)
    elif damage == "emptied":
        (world.data / "db" / "index.db").touch()
    world.open()
    world.memory.sessions.settle()
    after = (world.memory.stores.index.recent(), world.memory.status(bind="")["counts"], world.pages(), world.ledger())
    assert after == before


def test_an_event_that_was_stored_before_the_index_was_lost_is_not_stored_again(world, ids):
    import json

    from ai_memory.memory.intake import Delivery

    delivery = Delivery(
        {"event": "user-prompt", "agent": "codex", "cwd": "/srv/shop", "ingest_key": "k1"},
        json.dumps({"session_id": ids[0], "prompt": "hello"}).encode(),
    )
    world.memory.intake.record([delivery])
    world.crash()
    shutil.rmtree(world.data / "db")
    world.open()
    ((outcome,),) = world.memory.intake.record([delivery])
    assert outcome.what == "replayed"


def test_names_and_scopes_are_rebuilt_from_the_files_alone(world, ids):
    world.works(ids[0])
    project = world.memory.projects.all()
    world.close()
    shutil.rmtree(world.data / "db")
    world.open()
    assert world.memory.projects.all() == project


def test_a_session_that_moves_to_another_repository_has_a_page_in_each(world, ids):
    world.works(ids[0])
    assert world.says(ids[0], "user-prompt", prompt="look at the notes", cwd="/srv/shop/web") == "stored"
    project_ids = {
        part.project_id for part in world.memory.stores.index.sessions_of(world.memory.stores.index.recent()[0].id)
    }
    assert len(project_ids) == 1
