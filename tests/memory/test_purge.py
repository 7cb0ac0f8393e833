"""Purges: what is gone is gone from every file and every table, and stays gone."""

import json
import subprocess
import uuid
from datetime import timedelta
from urllib.parse import urlencode

import apsw
import pytest

from ai_memory.client import spool
from ai_memory.errors import BusyError, ConflictError, NotFoundError, StorageError
from ai_memory.memory.embedding import Embedding
from ai_memory.memory.intake import Delivery
from ai_memory.memory.packets import OWNER
from ai_memory.memory.pages import Fields, PageDeletedError, Writer
from ai_memory.store import steps
from ai_memory.store.operations import UnfinishedOperationError
from ai_memory.store.packet_inbox import Waiting
from ai_memory.store.proposals import Staged
from ai_memory.store.state import State
from ai_memory.store.steps import Step
from tests.memory.meaning import Meaning
from tests.memory.test_moves import (
    assert_sound,
    content,
    drop_index,
    ends,
    killed_at,
    labels,
    project,
    read,
    reopen,
    send,
    state_of,
    write,
)
from tests.mirror import assert_rebuild_is_equal

CANARY = "xanthippe"


def told(world, session, **where):
    """A session that says the canary wherever a session can say something."""
    ends(world, session, prompt=f"Ask {CANARY} about the {CANARY}.", answer=f"It is {CANARY}.", **where)


def objects(world):
    """Everything that git has, unpacked."""
    wiki = world.data / "wiki"
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    return subprocess.run(command, cwd=wiki, capture_output=True, check=True).stdout


def where_is(world, text):
    """List the files of a closed data directory that hold a word, in their names or their bytes, or in git's objects."""
    # The full-text tables cut its end off, and share its beginning with the word before it.
    middle = text[2:-1].encode()
    found = [
        file.relative_to(world.data).as_posix()
        for file in world.data.rglob("*")
        if text in file.name or (file.is_file() and middle in file.read_bytes())
    ]
    return sorted(found) + (["git objects"] if text.encode() in objects(world) else [])


def compact(world):
    """What `compact` does to the databases."""
    world.memory.stores.pages.rebuild_search()
    world.memory.stores.turns.optimize()
    world.memory.stores.database.compact()
    world.memory.stores.state.compact()


def purge_session(world, session, name="shop", **how):
    return world.memory.purge.session(project(world, name), uuid.UUID(session), confirm=True, **how)


# A session


def test_a_purge_says_first_exactly_what_it_then_does(world, ids):
    told(world, ids[0])
    ends(world, ids[1])
    before = content(world)
    dry = world.memory.purge.session(project(world), uuid.UUID(ids[0]), confirm=False)
    assert content(world) == before
    answer = purge_session(world, ids[0])
    assert {**answer, "dry_run": True, "checkpoint": ""} == {**dry, "checkpoint": ""}
    counts = {key: value for key, value in answer.items() if key.endswith("_deleted")}
    assert counts == {
        "observations_deleted": 5,
        "pages_deleted": 2,
        "versions_deleted": 0,
        "ledger_lines_deleted": 5,
        "handoffs_deleted": 1,
        "spooled_events_deleted": 0,
    }
    assert "git history" in answer["remains"]
    assert world.subjects()[0] == f"purge-session default/shop: {ids[0][:8]}"


def test_a_purged_session_leaves_the_others_as_they_were(world, ids):
    world.says(ids[2], "session-start")
    ends(world, ids[1], prompt="Others stay.", cwd="/srv/shop/web")
    before = content(world)["default/shop"]
    told(world, ids[0])
    purge_session(world, ids[0])
    assert content(world)["default/shop"] == before
    assert_sound(world)
    assert content(world)["default/shop"] == before
    assert world.memory.recall.search(CANARY) == []


def test_two_sessions_that_did_the_same_in_the_same_second_keep_their_own_lines(world, ids):
    ends(world, ids[1])
    begun = world.now
    world.now = begun - timedelta(seconds=5)
    ends(world, ids[0])
    ledger = next((world.data / "wiki").glob("*/*/log-*.md"))
    assert ledger.read_text().count("] stop |") == 2
    purge_session(world, ids[0], history=True)
    assert ledger.read_text().count("] stop |") == 1
    assert_sound(world)


def test_nothing_that_comes_late_brings_a_purged_session_back(world, ids):
    told(world, ids[0])
    purge_session(world, ids[0])
    gone = content(world)
    shop = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}
    assert send(world, ids[0], **shop) == ("dropped_deleted", "default/shop")
    assert send(world, ids[0], at=world.now - timedelta(hours=1), **shop) == ("dropped_deleted", "default/shop")
    reopen(world)
    assert send(world, ids[0], **shop) == ("dropped_deleted", "default/shop")
    world.memory.sessions.settle()
    assert content(world) == gone
    with pytest.raises(PageDeletedError):
        write(world, f"sessions/{ids[0]}.md", revive=True)
    with pytest.raises(NotFoundError, match="already"):
        purge_session(world, ids[0])


def test_a_session_that_is_due_is_forgotten_with_it(world, ids):
    world.works(ids[0])
    purge_session(world, ids[0])
    world.memory.sessions.settle()
    assert content(world)["default/shop"]["pages"] == {}


def test_a_session_at_work_is_not_purged_without_force(world, ids):
    world.works(ids[0])
    world.says(ids[0], "user-prompt", prompt="And now?")
    with pytest.raises(ConflictError, match="at work"):
        purge_session(world, ids[0])
    with pytest.raises(ConflictError, match="at work"):
        world.memory.purge.project(project(world), confirm=True)
    purge_session(world, ids[0], force=True)
    assert world.says(ids[0], "stop") == "dropped_deleted"


def spooled(world, session, **place):
    payload = {"session_id": session, "prompt": CANARY}
    header = {"created_ms": 1, "key": uuid.uuid4().hex, "agent": "codex", "event": "user-prompt", "place": place}
    return spool.put(str(world.data), header, json.dumps(payload).encode())


@pytest.mark.parametrize("what", ["session", "project"])
def test_with_history_and_compaction_a_purge_leaves_no_trace_of_what_was_said(world, ids, what):
    ends(world, ids[1], prompt="Others stay.", cwd="/srv/other")
    told(world, ids[0])
    told(world, ids[0])
    world.memory.pages.write(
        project(world), f"sessions/{ids[0]}.md", f"A person on {CANARY}.", Fields(), Writer("codex"), reason=CANARY
    )
    told(world, ids[0])
    spooled(world, ids[0])
    spooled(world, ids[1])
    if what == "session":
        answer = purge_session(world, ids[0], history=True)
    else:
        answer = world.memory.purge.project(project(world), confirm=True, history=True)
    assert answer["spooled_events_deleted"] == 1
    assert "git history" not in answer["remains"]
    assert any("Others stay." in subject for subject in world.subjects())
    compact(world)
    world.close()
    (left,) = where_is(world, CANARY)
    assert left.startswith("hook-spool/")
    spool.remove(str(world.data), spool.names(str(world.data))[0])
    assert where_is(world, CANARY) == []
    subprocess.run(["git", "fsck", "--strict"], cwd=world.data / "wiki", check=True)
    world.open()
    assert_sound(world)
    world.close()
    assert where_is(world, CANARY) == []


def test_history_can_be_purged_later(world, ids):
    told(world, ids[0])
    purge_session(world, ids[0])
    compact(world)
    world.close()
    assert where_is(world, CANARY) == ["db/index.db", "git objects"]
    world.open()
    purge_session(world, ids[0], history=True)
    compact(world)
    world.close()
    assert where_is(world, CANARY) == []


def test_a_session_that_had_moved_is_purged_from_the_history_of_both_projects(world, ids):
    told(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    world.memory.moves.move_session(project(world), uuid.UUID(ids[0]), "other", confirm=True)
    purge_session(world, ids[0], name="other", history=True)
    shop = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}
    assert send(world, ids[0], **shop)[0] == "dropped_deleted"
    compact(world)
    world.close()
    assert where_is(world, CANARY) == []


def test_a_project_that_was_merged_in_is_purged_from_history_with_the_other(world, ids):
    told(world, ids[0])
    ends(world, ids[1], cwd="/srv/far")
    world.memory.moves.move_project(project(world, "far"), "team", confirm=True)
    world.memory.moves.rename_project(project(world, "far", "team"), "shop")
    world.memory.moves.move_project(project(world), "team", confirm=True)
    world.memory.purge.project(project(world, "shop", "team"), confirm=True, history=True)
    compact(world)
    world.close()
    assert where_is(world, CANARY) == []


def test_a_page_is_purged_from_history_and_the_other_pages_keep_theirs(world, ids):
    ends(world, ids[0])
    write(world, "notes/a.md", f"One {CANARY}.", reason=CANARY)
    write(world, "notes/b.md", "First.")
    write(world, "notes/b.md", "Second.")
    answer = world.memory.purge.page(project(world), "notes/a.md", confirm=True)
    assert (answer["pages_deleted"], answer["versions_deleted"]) == (1, 1)
    assert len(world.memory.pages.history(project(world), "notes/b.md")) == 2
    with pytest.raises(PageDeletedError):
        write(world, "notes/a.md", revive=True)
    compact(world)
    assert_sound(world)
    world.close()
    assert where_is(world, CANARY) == []


# A project


def test_a_purged_project_is_gone_and_what_happened_before_stays_away(world, ids):
    told(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    others = content(world)["default/other"]
    dry = world.memory.purge.project(project(world), confirm=False)
    answer = world.memory.purge.project(project(world), confirm=True)
    assert {**answer, "dry_run": True, "checkpoint": ""} == {**dry, "checkpoint": ""}
    assert (answer["pages_deleted"], answer["sessions_deleted"], answer["observations_deleted"]) == (2, 1, 5)
    assert (answer["handoffs_deleted"], answer["files_deleted"]) == (1, 5)
    assert content(world) == {"default/other": others}
    early = {"at": world.now - timedelta(hours=1), "cwd": "/srv/shop"}
    assert send(world, ids[0], repo_root="/srv/shop", **early)[0] == "dropped_deleted"
    assert send(world, ids[2], **early)[0] == "dropped_deleted"
    assert send(world, ids[2], **{**early, "cwd": "/srv/shop/sub"})[0] == "dropped_deleted"
    marker = {"project": "shop", "project_src": "marker"}
    assert send(world, ids[2], **{**early, "cwd": "/x"}, **marker)[0] == "dropped_deleted"
    assert send(world, ids[3], **{**early, "cwd": "/srv/other"}) == ("stored", "default/other")
    assert send(world, ids[4], **{**early, "cwd": "/srv/unknown"}) == ("stored", "default/unknown")
    assert "default/shop" not in labels(world)


def test_work_that_goes_on_in_the_place_of_a_purged_project_begins_a_new_one(world, ids):
    told(world, ids[0])
    world.memory.purge.project(project(world), confirm=True)
    world.passes(seconds=2)
    shop = {"cwd": "/srv/shop", "repo_root": "/srv/shop"}
    assert send(world, ids[1], **shop) == ("stored", "default/shop")
    assert send(world, ids[2], at=world.now - timedelta(hours=1), **shop)[0] == "dropped_deleted"
    reopen(world)
    world.says(ids[1], "session-end")
    world.memory.sessions.settle()
    assert content(world)["default/shop"]["sessions"] == [ids[1]]
    assert len(list((world.data / "wiki").glob("*/_meta.md"))) == 1
    assert_sound(world)


def test_a_project_purged_under_a_new_name_is_known_by_all_its_names(world, ids):
    told(world, ids[0])
    world.memory.moves.rename_project(project(world), "My-Store".casefold())
    world.memory.purge.project(project(world, "my-store"), confirm=True)
    early = {"at": world.now - timedelta(hours=1)}
    assert send(world, ids[1], cwd="/y", project="shop", project_src="marker", **early)[0] == "dropped_deleted"
    assert send(world, ids[1], cwd="/srv/shop", repo_root="/srv/shop", **early)[0] == "dropped_deleted"


# What comes back by itself


def test_raw_logs_of_what_was_purged_are_not_read_and_are_named(world, ids):
    told(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    raw = {file: file.read_bytes() for file in (world.data / "raw").rglob("*.jsonl")}
    purge_session(world, ids[0])
    world.memory.purge.project(project(world, "other"), confirm=True)
    world.close()
    for file, old in raw.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(old)
    world.open()
    assert [session.id for session in world.memory.stores.index.recent()] == []
    left_out = world.memory.status(bind="")["pages"]["raw_logs_of_purged"]
    assert (left_out["count"], sorted(left_out["first"])) == (2, sorted(map(str, raw)))
    assert labels(world) == ["default/shop"]


# Every table and every file


def scoped_tables(file):
    """Give each table of a database with the columns that name a project, a workspace or a session."""
    connection = apsw.Connection(str(file))
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {}
    for name in names:
        columns = {str(row[1]) for row in connection.execute(f'PRAGMA table_info("{name}")')}
        if scoped := columns & {"project", "workspace", "session", "from_session", "accepted_by_session", "scope"}:
            found[name] = scoped
    connection.close()
    return found


#: Tables that the story below fills. A new one with a scope has to be filled there, and to be moved and purged.
FILLED = {
    "index.db": {
        *("sessions", "observations", "turns", "ingest_keys", "versions", "texts", "pages", "links"),
        *("vectors", "embedding_failures", "records", "relations", "packets", "ties", "session_days"),
    },
    "state.db": {
        "handoffs",
        "page_reads",
        "page_feedback",
        "purged",
        "packet_inbox",
        "bootstrap_answers",
        "model_jobs",
        "proposals",
    },
}


def packet(number):
    said = {"ltm_version": "0.2", "id": f"PACKET{number:04}", "goal": CANARY, "next_step": "Go on."}
    return json.dumps({**said, "created_at": "2026-11-20T10:00:00Z"})


def proposal(project_id, session, path, quoted, now):
    texts = {"title": CANARY, "kind": "gotcha", "body": CANARY, "rationale": CANARY, "edit_mode": "full", "base": ""}
    whose = {"run_id": uuid.uuid4(), "project_id": project_id, "session_id": uuid.UUID(session)}
    return Staged(
        id=uuid.uuid4(), **whose, path=path, **texts, confidence=1.0, evidence=[(quoted, CANARY)], staged_at=now
    )


def story(world, ids):
    """A project with rows in every table that has a scope; a second one beside it."""
    told(world, ids[0])
    told(world, ids[1], cwd="/srv/other")
    page = f"sessions/{ids[0]}.md"
    front = "---\nsupersedes: notes/older.md\n---\n"
    write(world, "notes/a.md", f"{front}{CANARY}: see [the session](../{page}).")
    for each in ("notes/a.md", page):
        world.memory.stores.state.reads.add([(project(world).id, each, world.now)])
        world.memory.feedback.give(project(world), each, "wrong", f"it says {CANARY}")
    first, second = (
        world.memory.records.store(
            "shop", Writer(user="ana"), type_="note", content=f"{CANARY} {word}", importance=5
        ).uuid
        for word in ("first", "second")
    )
    world.memory.records.connect(first, second, "related_to", Writer(user="ana"))
    world.starts(ids[2])
    write(world, "notes/secret.md")
    world.memory.purge.page(project(world), "notes/secret.md", confirm=True)
    meaning = Meaning()
    # The page that links to the session is refused.
    meaning.poison = "the session]"
    embedding = Embedding(world.memory.stores, meaning.provider, lambda: meaning)
    embedding.embed([project(world).id, project(world, "other").id])
    packets = [
        Waiting(0, f"PACKET{number:04}", OWNER, "", each.id, "2026", "2026-11-20T10:00:00Z", CANARY, packet(number))
        for number, each in enumerate([project(world), project(world, "other")])
    ]
    for each in (project(world), project(world, "other")):
        world.memory.stores.state.bootstraps.keep(each.id, "of its sources", 0, {"rationale": CANARY})
    for number, session in enumerate((ids[0], ids[1])):
        place = project(world, "other" if number else "shop").id
        how = {"session_id": uuid.UUID(session), "generation": 1, "payload": {"instructions": CANARY}}
        job = world.memory.jobs.add("test", session, place, **how)
        world.memory.stores.state.jobs.keep(job.id, "part 1 of 2", CANARY)
        for path, quoted in (("concepts/vat.md", "session"), ("gotchas/a.md", "notes/a.md")):
            world.memory.stores.state.proposals.stage(proposal(place, session, path, quoted, world.now))
    world.close()
    # What waits becomes pages when a memory is closed.
    state = State(world.data / "db" / "state.db")
    state.inbox.add(packets)
    state.close()
    for name, filled in FILLED.items():
        scoped = scoped_tables(world.data / "db" / name)
        assert set(scoped) == filled, f"{name}: fill the new table in `story`, and let moves and purges take it along"
        connection = apsw.Connection(str(world.data / "db" / name))
        for table in scoped:
            assert connection.execute(f'SELECT count(*) FROM "{table}"').fetchall() != [(0,)], f"{table} has no row"
        connection.close()
    world.open()


#: Where the state keeps what was purged.
TOMBSTONE = {("purged", "key"), ("purged", "what")}


def rows_with(world, text):
    """List table and column of each row of the databases that holds a text."""
    found = set()
    for file in (world.data / "db").glob("*.db"):
        connection = apsw.Connection(str(file))
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                hit = f'SELECT 1 FROM "{table}" WHERE instr(CAST("{column}" AS TEXT), ?) LIMIT 1'
                if connection.execute(hit, (text,)).fetchall():
                    found.add((table, column))
        connection.close()
    return found


def files_with(world, text):
    """List the files outside the databases and git whose name or content holds a text; empty folders count as well."""
    return sorted(
        file.relative_to(world.data).as_posix()
        for file in world.data.rglob("*")
        if ".git" not in file.parts
        and "db" not in file.relative_to(world.data).parts[:1]
        and (text in str(file.relative_to(world.data)) or (file.is_file() and text.encode() in file.read_bytes()))
    )


def test_a_purged_project_is_in_no_table_and_no_file_but_its_tombstone(world, ids):
    story(world, ids)
    shop = project(world)
    world.memory.purge.project(shop, confirm=True, history=True)
    world.close()
    assert rows_with(world, str(shop.id)) == TOMBSTONE
    assert files_with(world, str(shop.id)) == [f"wiki/{shop.workspace_id}/_meta.md"]


def test_a_purged_session_is_in_no_table_and_no_file_but_its_tombstone(world, ids):
    story(world, ids)
    shop = project(world)
    purge_session(world, ids[0])
    world.close()
    # What a page of somebody else says of it is theirs.
    said = {("links", "to_path"), ("chunks", "body"), ("chunks_fts", "body")}
    assert rows_with(world, ids[0]) == said | TOMBSTONE
    manifest, page = (f"wiki/{shop.workspace_id}/{shop.id}/{name}" for name in ("_meta.md", "notes/a.md"))
    assert files_with(world, ids[0]) == [manifest, page]


def test_a_moved_project_is_in_no_table_and_no_file_of_the_old_workspace(world, ids):
    story(world, ids)
    world.memory.purge.project(project(world, "other"), confirm=True)
    shop = project(world)
    world.memory.moves.move_project(shop, "team", confirm=True)
    world.close()
    # The project that was purged there.
    assert rows_with(world, str(shop.workspace_id)) == {("purged", "scope")}
    left = files_with(world, str(shop.workspace_id))
    assert left == [f"raw/{shop.workspace_id}", f"wiki/{shop.workspace_id}", f"wiki/{shop.workspace_id}/_meta.md"]


def test_a_merged_project_is_in_no_table_and_no_file_but_its_tombstone(world, ids):
    story(world, ids)
    other, shop = project(world, "other"), project(world)
    world.memory.moves.move_project(other, "team", confirm=True)
    world.memory.moves.rename_project(project(world, "other", "team"), "shop")
    world.memory.moves.move_project(shop, "team", confirm=True)
    target = project(world, "shop", "team")
    assert list(world.memory.stores.state.purged()[target.id]) == ["notes/secret.md"]
    world.close()
    assert rows_with(world, str(shop.id)) == set()
    assert files_with(world, str(shop.id)) == [f"wiki/{shop.workspace_id}/_meta.md"]


def test_a_moved_session_is_in_no_table_of_the_old_project(world, ids):
    story(world, ids)
    shop, other = project(world), project(world, "other")
    state = world.memory.stores.state
    world.memory.moves.move_session(shop, uuid.UUID(ids[0]), "other", confirm=True)
    assert [state.count_handoffs(each.id, uuid.UUID(ids[0])) for each in (shop, other)] == [0, 1]
    assert set(state.reads.of(other.id)) == {f"sessions/{ids[0]}.md"}
    assert [s.project_id for s in world.memory.stores.index.sessions_of(uuid.UUID(ids[0]))] == [other.id]
    world.close()
    connection = apsw.Connection(str(world.data / "db" / "index.db"))
    keys = dict(connection.execute("SELECT project, count(*) FROM ingest_keys GROUP BY project").fetchall())
    connection.close()
    assert keys == {str(other.id): 10}


# Crashes


def session(world, ids):
    purge_session(world, ids[0])


def session_history(world, ids):
    purge_session(world, ids[0], history=True)


def whole_project(world, ids):
    world.memory.purge.project(project(world), confirm=True)


def project_history(world, ids):
    world.memory.purge.project(project(world), confirm=True, history=True)


def page_history(world, ids):
    world.memory.purge.page(project(world), "notes/a.md", confirm=True)


@pytest.mark.parametrize("purge", [session, session_history, whole_project, project_history, page_history])
def test_a_purge_that_was_killed_anywhere_is_finished_at_the_next_start(world, ids, purge, monkeypatch, tmp_path):
    import shutil

    told(world, ids[0])
    ends(world, ids[1])
    ends(world, ids[2], cwd="/srv/other")
    write(world, "notes/a.md", f"A page about {CANARY}.")
    world.close()
    shutil.copytree(world.data, tmp_path / "before", symlinks=True)
    begun = world.now
    monkeypatch.setattr(steps, "_listeners", [])
    point, wanted = 0, None
    while True:
        shutil.rmtree(world.data)
        shutil.copytree(tmp_path / "before", world.data, symlinks=True)
        world.now = begun
        world.open()
        if point == 0:
            reached = []
            monkeypatch.setattr(steps, "_listeners", [reached.append])
            purge(world, ids)
            monkeypatch.setattr(steps, "_listeners", [])
            assert reached[0] is Step.OPERATION_NOTED
            wanted, killed = state_of(world), True
        else:
            killed = killed_at(point, lambda: purge(world, ids), monkeypatch)
            world.crash()
            if point % 2:
                drop_index(world)
            world.open()
            assert state_of(world) == wanted, f"killed at {reached[point - 1] if killed else 'the end'}"
            assert world.memory.stores.operations.pending() is None
        world.close()
        if not killed:
            break
        if "history" in purge.__name__:
            said = "A page about" if purge is page_history else "Ask"
            assert f"{said} {CANARY}".encode() not in objects(world)
        point += 1
    assert point == len(reached) + 1
    assert_rebuild_is_equal(world.data, lambda: (world.open(), world.close()))


def test_a_history_that_git_does_not_rewrite_is_told_of_and_all_else_is_purged(world, ids):
    told(world, ids[0])
    tree = world.data.parent / "tree"
    subprocess.run(["git", "worktree", "add", "-q", tree], cwd=world.data / "wiki", check=True)
    with pytest.raises(ConflictError, match=r"git's history: .*work tree"):
        purge_session(world, ids[0], history=True)
    assert content(world)["default/shop"]["sessions"] == []
    assert world.memory.stores.operations.pending() is None
    subprocess.run(["git", "worktree", "remove", tree], cwd=world.data / "wiki", check=True)
    subprocess.run(["git", "branch", "-q", "-D", "tree"], cwd=world.data / "wiki", check=True)
    purge_session(world, ids[0], history=True)
    assert CANARY.encode() not in objects(world)


def fails(*_):
    raise StorageError("the disk is full")


def test_a_purge_that_was_refused_is_not_carried_out_later(world, ids, monkeypatch):
    told(world, ids[0])
    with monkeypatch.context() as broken:
        broken.setattr(world.memory.stores.wiki, "bury", fails)
        with pytest.raises(StorageError, match="nothing was changed"):
            world.memory.purge.project(project(world), confirm=True)
    write(world, "notes/precious.md", "Written since.")
    reopen(world)
    assert read(world, "notes/precious.md") == "Written since."
    assert content(world)["default/shop"]["sessions"] == [ids[0]]


def test_while_a_purge_is_half_done_nothing_is_written_for_it_to_take_along(world, ids, monkeypatch):
    told(world, ids[0])
    ends(world, ids[1], cwd="/srv/other")
    with monkeypatch.context() as broken:
        broken.setattr(world.memory.stores.rawlog, "remove_project", fails)
        with pytest.raises(UnfinishedOperationError, match="the disk is full"):
            world.memory.purge.project(project(world), confirm=True)
    with pytest.raises(UnfinishedOperationError, match="purge-project"):
        write(world, "notes/precious.md")
    late = {"event": "user-prompt", "agent": "codex", "cwd": "/srv/shop", "repo_root": "/srv/shop"}
    item = {"url": f"/hook?{urlencode(late)}", "body": {"session_id": ids[2], "prompt": "Go on."}}
    other = {"url": f"/hook?{urlencode(late | {'cwd': '/srv/other', 'repo_root': ''})}", "body": item["body"]}
    (answer,) = world.memory.intake.record([Delivery(None, json.dumps([item, other]).encode())])
    assert isinstance(answer, BusyError)
    assert [each.project_id for each in world.memory.stores.index.sessions_of(uuid.UUID(ids[2]))] == [
        project(world, "other").id
    ]
    assert "purge-project" in world.memory.status(bind="")["warnings"][0]
    world.memory.finish_operation()
    assert world.memory.stores.operations.pending() is None
    assert labels(world) == ["default/other"]


def test_a_purge_says_who_asked_for_it_and_what_still_leaves_the_history(world, ids):
    told(world, ids[0])
    who = Writer(user="ana")
    world.memory.purge.session(project(world), uuid.UUID(ids[0]), who, confirm=True)
    assert world.memory.pages.checkpoints(1)[0].author == ("ana", "ana@local")
    answer = world.memory.purge.session(project(world), uuid.UUID(ids[0]), who, confirm=False, history=True)
    assert (answer["pages_deleted"], answer["versions_deleted"]) == (0, 2)


def test_data_that_a_restore_has_kept_is_named_among_what_remains(world, ids):
    told(world, ids[0])
    (world.data / "before-restore-20261120T100000Z").mkdir()
    answer = world.memory.purge.session(project(world), uuid.UUID(ids[0]), confirm=False, history=True)
    assert "before-restore-20261120T100000Z" in answer["remains"]
    (world.data / "backups").mkdir()
    answer = world.memory.purge.session(project(world), uuid.UUID(ids[0]), confirm=False)
    assert "(in this directory: before-restore-20261120T100000Z, backups)" in answer["remains"]
