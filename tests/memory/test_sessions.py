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


def test_work_that_arrives_after_the_end_of_its_turn_begins_no_other(world, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.says(ids[0], "post-tool-use", tool_name="Bash", occurred_at="2026-11-20T10:00:03Z")
    assert world.memory.stores.index.recent()[0].is_over
    assert "Rounded per invoice." in world.starts(ids[1])


def test_a_session_gets_the_handoff_of_the_project_that_it_asks_in(world, ids):
    world.works(ids[0], answer="shop's own")
    world.works(ids[1], answer="beta's own", cwd="/srv/beta")
    assert "shop's own" in world.starts(ids[2])
    assert "beta's own" in world.starts(ids[2], cwd="/srv/beta")


def test_an_event_that_was_stored_where_the_session_was_then_is_known_where_it_is_now(world, ids):
    import json

    from ai_memory.memory.intake import Delivery

    def send(key, cwd, root=""):
        query = {"event": "stop", "agent": "codex", "cwd": cwd, "ingest_key": key, "repo_root": root}
        ((outcome,),) = world.memory.intake.record([Delivery(query, json.dumps({"session_id": ids[0]}).encode())])
        return outcome.what

    assert [send("a", "/w/m1", "/w/m1"), send("b", "/w/m2", "/w/m2"), send("c", "/opt/x")] == ["stored"] * 3
    assert [send("d", "/w/m1", "/w/m1"), send("c", "/opt/x")] == ["stored", "replayed"]


def test_keys_are_remembered_from_when_an_event_came_not_from_when_it_happened(world, ids):
    import json

    from ai_memory.memory.intake import Delivery

    body = json.dumps({"session_id": ids[0], "prompt": "x", "occurred_at": "2026-09-01T00:00:00Z"}).encode()
    delivery = Delivery({"event": "user-prompt", "agent": "codex", "cwd": "/srv/shop", "ingest_key": "k1"}, body)
    world.memory.intake.record([delivery])
    world.close()
    world.open()
    assert world.memory.intake.record([delivery])[0][0].what == "replayed"


@pytest.mark.parametrize("gone", ["raw file", "project folder"])
def test_files_that_somebody_removed_stop_nobody_else(world, ids, gone):
    world.works(ids[0], cwd="/srv/other")
    world.works(ids[1])
    (first,) = [project for project in world.memory.projects.all() if project.name == "other"]
    if gone == "raw file":
        (world.data / "raw" / str(first.workspace_id) / str(first.id) / f"{ids[0]}.jsonl").unlink()
    else:
        shutil.rmtree(world.memory.stores.wiki.folder(first))
        world.crash()
        world.open()
    world.memory.sessions.settle()
    world.passes(hours=1)
    world.memory.sessions.close_idle()
    assert "Rounded per invoice." in world.starts(ids[2])
    assert world.starts(ids[3], cwd="/srv/other") == ""
    world.works(ids[0], cwd="/srv/other")


@pytest.mark.parametrize("field", ["session_id", "cwd", "repo_root", "project", "workspace", "ingest_key", "identity"])
def test_a_secret_in_a_field_that_names_something_reaches_no_file(world, field):
    import json

    from ai_memory.memory.intake import Delivery

    secret = "ghp_" + "CLHysUnTiAg79Bi3itn5Dx2vkLQJtftdhTwK"
    query = {"event": "user-prompt", "agent": "codex", "cwd": "/srv/shop", "ingest_key": "k1"}
    body = {"session_id": "s1", "prompt": "hello"}
    if field == "session_id":
        body["session_id"] = secret
    else:
        query[field] = f"/srv/{secret}" if field in ("cwd", "repo_root") else secret
    world.memory.intake.record([Delivery(query, json.dumps(body).encode())])
    world.memory.sessions.settle()
    stored = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
    assert secret[4:20].encode() not in stored
