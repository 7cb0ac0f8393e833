"""A data directory stays bounded by itself, nothing goes that is the last copy, and the index never shows the difference."""

import os
import shutil
import uuid
from datetime import UTC, datetime, timedelta

import apsw
import pytest

from ai_memory.compile.packet import mark_in
from ai_memory.errors import NotFoundError, StorageError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.page import with_keys
from ai_memory.store import steps
from ai_memory.store.rawlog import RawLog
from ai_memory.store.state import State
from ai_memory.store.steps import Step
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(user="ana")


class Shop:
    """One project over months."""

    def __init__(self, world):
        self.world = world

    @property
    def memory(self):
        return self.world.memory

    @property
    def project(self):
        (project,) = self.memory.projects.all()
        return project

    @property
    def folder(self):
        return self.memory.stores.wiki.folder(self.project)

    def session(self, session, prompt="Please fix the rounding."):
        self.world.works(session, prompt=prompt)
        self.world.says(session, "session-end")
        self.memory.sessions.settle()

    def write(self, path, body="Text.\n", **fields):
        return self.memory.pages.write(self.project, path, body, Fields(**fields), ANA)

    def tend(self):
        """Do the daily upkeep, whether it is due or not."""
        for _ in self.memory.upkeep._parts():
            pass

    def pages(self):
        return no_drafts(row.path for row in self.memory.stores.pages.pages(self.project.id))

    def raw(self):
        return {str(file.session_id): file.compressed for file in self.memory.stores.rawlog.files()}

    def gone(self):
        gone = self.memory.stores.wiki.gone.get(self.project.id, {})
        return {key: gone[key].verb for key in no_drafts(gone)}

    def found(self, words, at=None):
        return [hit.path for hit in self.memory.recall.search(words, at=at)]

    def sessions(self):
        return self.memory.stores.index.recent()

    def rebuilds(self):
        """Check that the index is what a rebuild gives; the memory is open afterwards."""

        def restart():
            self.world.open()
            self.world.close()

        # Keys are as old as the file that holds them, and files know nothing of the test's clock.
        for file in self.memory.stores.rawlog.files():
            last = self.memory.stores.index.session(file.project_id, file.session_id).last.timestamp()
            os.utime(file.path.with_name(f"{file.path.name}.gz") if file.compressed else file.path, (last, last))
        self.world.close()
        assert_rebuild_is_equal(self.world.data, restart)
        self.world.open()


@pytest.fixture
def shop(world):
    return Shop(world)


def no_drafts(paths):
    """Leave out the drafts of packets, which go as the pages of their sessions do."""
    return [path for path in paths if not mark_in(path)]


def page_of(session):
    return f"sessions/{session}.md"


# The sweep


def test_what_expired_is_deleted_in_one_commit_also_when_it_is_pinned(world, shop, ids):
    shop.session(ids[0])
    shop.write("notes/a.md", "---\nexpires_at: 2026-12-01\n---\nUntil December.\n", pinned=True)
    shop.write("notes/b.md", "---\nexpires_at: 2026-12-01\n---\nThis too.\n")
    shop.write("notes/c.md", "---\nexpires_at: 2027-12-01\n---\nNot yet.\n")
    world.passes(days=12)
    before = world.subjects()
    plan = shop.memory.upkeep.sweep.plan(shop.project)
    assert world.subjects() == before
    done = shop.memory.upkeep.sweep.run(shop.project)
    assert done.pages == plan.pages == ["notes/a.md", "notes/b.md"]
    assert world.subjects() == ["forget-sweep default/shop: notes/a.md, notes/b.md — 2 expired", *before]
    assert shop.pages() == ["notes/c.md", page_of(ids[0])]
    assert shop.gone() == {"notes/a.md": "forget-sweep", "notes/b.md": "forget-sweep"}
    assert shop.memory.stores.wiki.git.dirty() == set()
    shop.rebuilds()


def test_a_compiled_page_that_nobody_reads_goes_cold_and_git_keeps_it(world, shop, ids):
    shop.session(ids[0])
    world.passes(days=79)
    shop.tend()
    assert shop.pages() == [page_of(ids[0])]
    world.passes(days=3)
    shop.tend()
    assert shop.pages() == []
    assert "Rounded per invoice." in shop.memory.pages.read(shop.project, page_of(ids[0]), revision="HEAD~1").text
    shop.rebuilds()
    shop.memory.pages.restore(shop.project, page_of(ids[0]), "HEAD~1", ANA)
    world.passes(days=100)
    shop.tend()
    assert shop.pages() == [page_of(ids[0])]


def test_nothing_that_somebody_wrote_edited_pinned_or_read_goes_cold(world, shop, ids):
    for session in ids[:4]:
        shop.session(session)
    edited, pinned, read, cold = (page_of(session) for session in ids[:4])
    (shop.folder / edited).write_text((shop.folder / edited).read_text() + "\nMy own line.\n")
    (shop.folder / pinned).write_text(with_keys((shop.folder / pinned).read_text(), {"pinned": True}))
    shop.write("notes/agent.md", tier="episodic")
    world.passes(days=400)
    shop.memory.outside.reconcile()
    shop.memory.upkeep.reads.note(shop.project.id, read)
    shop.memory.upkeep.reads.flush(now=True)
    plan = shop.memory.upkeep.sweep.run(shop.project)
    assert no_drafts(plan.pages) == [cold]
    # Two of them are pages of sessions, and nobody edited, pinned or read a draft.
    assert plan.candidates == 2 + 4


def test_a_page_that_was_edited_a_moment_ago_is_not_swept(world, shop, ids):
    shop.session(ids[0])
    world.passes(days=100)
    file = shop.folder / page_of(ids[0])
    file.write_text(file.read_text() + "\nMy own line.\n")
    assert no_drafts(shop.memory.upkeep.sweep.run(shop.project).pages) == []
    assert file.exists()


def test_a_wiki_that_is_not_there_is_not_swept(world, shop, ids):
    shop.session(ids[0])
    folder = shop.folder
    folder.joinpath("sessions").rename(world.data / "away")
    world.passes(days=100)
    assert no_drafts(shop.memory.upkeep.sweep.run(shop.project).pages) == []
    assert shop.memory.stores.wiki.git.show(f"{shop.project.workspace_id}/{shop.project.id}/{page_of(ids[0])}")


def test_many_pages_go_in_several_commits(world, shop, ids, monkeypatch):
    monkeypatch.setattr("ai_memory.memory.sweep._AT_ONCE", 2)
    shop.session(ids[0])
    for number in range(5):
        shop.write(f"notes/{number}.md", f"---\nexpires_at: 2026-12-01\n---\nNote {number}.\n")
    world.passes(days=12)
    assert len(shop.memory.upkeep.sweep.run(shop.project).pages) == 5
    assert [subject[:12] for subject in world.subjects()[:4]] == ["forget-sweep"] * 3 + ["write-page d"]
    assert shop.memory.upkeep.sweep.plan(shop.project).is_empty


def test_a_lost_index_brings_nothing_of_a_swept_session_back(world, shop, ids):
    shop.session(ids[0])
    world.passes(days=90)
    shop.tend()
    ledger, subjects = world.ledger(), world.subjects()
    world.passes(days=190)
    shop.tend()
    shop.rebuilds()
    shop.memory.sessions.settle()
    assert (world.ledger(), world.subjects()) == (ledger, subjects)
    assert shop.pages() == []


def test_tombstones_go_in_time_and_with_them_the_text_of_what_was_deleted(world, shop, ids):
    shop.session(ids[0])
    shop.write("notes/a.md", "The parrot.\n")
    seen = world.now
    world.passes(days=1)
    shop.memory.pages.delete(shop.project, "notes/a.md", ANA)
    world.passes(days=100)
    shop.tend()
    assert shop.gone() == {"notes/a.md": "delete-page", page_of(ids[0]): "forget-sweep"}
    assert shop.found("parrot", at=seen) == ["notes/a.md"]
    shop.rebuilds()
    world.passes(days=90)
    shop.tend()
    # The session has a raw log: without the tombstone its page could be compiled again.
    assert shop.gone() == {page_of(ids[0]): "forget-sweep"}
    assert shop.found("parrot", at=seen) == []
    shop.rebuilds()
    assert shop.found("parrot", at=seen) == []
    world.passes(days=180)
    shop.tend()
    shop.tend()
    assert (shop.gone(), shop.raw(), shop.sessions()) == ({}, {}, [])
    shop.rebuilds()
    assert (shop.gone(), shop.raw(), shop.sessions()) == ({}, {}, [])


def test_a_tombstone_stays_where_a_file_stands_and_where_something_was_purged(world, shop, ids):
    shop.session(ids[0])
    shop.write("notes/a.md")
    shop.write("notes/b.md")
    shop.memory.pages.delete(shop.project, "notes/a.md", ANA)
    shop.memory.purge.page(shop.project, "notes/b.md", confirm=True)
    (shop.folder / "notes" / "a.md").write_text("Put back.\n")
    world.passes(days=200)
    shop.tend()
    gone = shop.gone()
    assert (gone["notes/a.md"], gone["notes/b.md"]) == ("delete-page", "purge-page")


def test_what_was_purged_cannot_be_found_in_former_versions(world, shop, ids):
    shop.session(ids[0])
    shop.write("notes/a.md", "The parrot.\n")
    seen = world.now
    shop.memory.purge.page(shop.project, "notes/a.md", confirm=True)
    assert shop.found("parrot", at=seen) == []
    shop.rebuilds()
    assert shop.found("parrot", at=seen) == []


def test_ledgers_leave_the_folder_after_a_year_and_stay_in_git(world, shop, ids):
    shop.session(ids[0])
    world.passes(days=365)
    shop.session(ids[1])
    shop.tend()
    assert sorted(file.name for file in shop.folder.glob("log-*")) == ["log-2026-11.md", "log-2027-11.md"]
    world.passes(days=12)
    shop.tend()
    assert [file.name for file in shop.folder.glob("log-*")] == ["log-2027-11.md"]
    name = f"{shop.project.workspace_id}/{shop.project.id}/log-2026-11.md"
    assert "user-prompt" in shop.memory.stores.wiki.git.show(name, "HEAD~1")
    assert shop.memory.stores.wiki.git.dirty() == set()


# Raw logs


def test_a_finished_sessions_raw_log_is_compressed_after_a_day(world, shop, ids):
    shop.session(ids[0])
    world.works(ids[1])
    shop.memory.sessions.settle()
    world.says(ids[2], "session-start")
    world.passes(hours=23)
    shop.tend()
    assert set(shop.raw().values()) == {False}
    world.passes(hours=2)
    shop.tend()
    assert shop.raw()[ids[0]] is True
    assert shop.raw()[ids[1]] is False
    shop.rebuilds()


def test_a_raw_log_goes_after_a_year_and_the_session_is_known_from_its_page(world, shop, ids):
    world.passes(seconds=0.5)
    shop.session(ids[0])
    shop.write("notes/a.md")
    # Somebody reads the page now and then, so that it stays.
    for _ in range(12):
        world.passes(days=31)
        shop.memory.upkeep.reads.note(shop.project.id, page_of(ids[0]))
        shop.memory.upkeep.reads.flush(now=True)
        shop.tend()
    assert shop.raw() == {}
    (session,) = shop.sessions()
    assert (str(session.id), session.agent, session.cwd, session.title) == (
        ids[0],
        "claude-code",
        "/srv/shop",
        "Please fix the rounding.",
    )
    assert (session.observations, session.prompts, session.tools, session.is_over) == (5, 1, 1, True)
    assert (session.compiled, session.committed) == (5, 5)
    before = shop.memory.status(bind="")
    shop.rebuilds()
    after = shop.memory.status(bind="")
    assert (after["counts"], shop.sessions()) == (before["counts"], [session])


def keeps_reading(world, shop, days, *paths):
    """Let time pass, while somebody reads these pages now and then, and upkeep is done."""
    for _ in range(days // 30):
        world.passes(days=30)
        for path in paths:
            shop.memory.upkeep.reads.note(shop.project.id, path)
        shop.memory.upkeep.reads.flush(now=True)
        shop.tend()


def test_the_last_copy_is_never_removed(world, shop, ids):
    shop.session(ids[0])
    world.says(ids[0], "user-prompt", prompt="One more thing.")
    shop.session(ids[1])
    file = shop.folder / page_of(ids[1])
    # A page that somebody took over does not follow its session any longer.
    file.write_text(file.read_text() + "\nMy own line.\n")
    world.says(ids[1], "user-prompt", prompt="And another one.")
    world.says(ids[1], "session-end")
    world.passes(minutes=1)
    shop.memory.outside.reconcile()
    shop.memory.sessions.settle()
    keeps_reading(world, shop, 420, page_of(ids[0]), page_of(ids[1]))
    assert sorted(shop.raw()) == ids[:2]


def test_a_session_that_did_nothing_leaves_no_trace_after_a_year(world, shop, ids):
    shop.session(ids[0])
    world.says(ids[1], "session-start")
    world.says(ids[1], "session-end")
    keeps_reading(world, shop, 390, page_of(ids[0]))
    assert shop.raw() == {}
    assert [str(session.id) for session in shop.sessions()] == ids[:1]
    shop.rebuilds()
    assert [str(session.id) for session in shop.sessions()] == ids[:1]


def test_raw_logs_may_be_kept_for_ever(world, shop, ids, monkeypatch):
    world.close()
    monkeypatch.setenv("AI_MEMORY_MAINTENANCE__RAW_KEEP_DAYS", "0")
    world.open()
    shop.session(ids[0])
    world.passes(days=4000)
    shop.tend()
    assert list(shop.raw()) == ids[:1]


def test_a_session_that_goes_on_after_its_log_is_gone_begins_anew(world, shop, ids):
    shop.session(ids[0])
    keeps_reading(world, shop, 390, page_of(ids[0]))
    assert shop.raw() == {}
    shop.session(ids[0], prompt="A year later.")
    (session,) = shop.sessions()
    assert (session.observations, session.committed) == (5, 5)
    assert "A year later." in world.pages()[ids[0]]
    assert len([line for line in world.ledger() if "A year later." in line]) == 1
    shop.rebuilds()
    assert shop.sessions() == [session]


def test_a_new_part_that_was_not_compiled_before_the_index_was_lost_is_compiled_then(world, shop, ids):
    shop.session(ids[0])
    keeps_reading(world, shop, 390, page_of(ids[0]))
    world.works(ids[0], prompt="A year later.")
    world.says(ids[0], "session-end")
    world.crash()
    for file in (world.data / "db").glob("index.db*"):
        file.unlink()
    world.open()
    shop.memory.sessions.settle()
    assert "A year later." in world.pages()[ids[0]]
    assert len([line for line in world.ledger() if "A year later." in line]) == 1


def test_a_page_that_is_deleted_after_the_log_takes_the_session_with_it(world, shop, ids):
    shop.session(ids[0])
    keeps_reading(world, shop, 390, page_of(ids[0]))
    shop.memory.pages.delete(shop.project, page_of(ids[0]), ANA)
    assert shop.sessions() == []
    shop.rebuilds()
    assert shop.sessions() == []


def test_a_crash_between_removing_the_log_and_the_index_is_made_good(world, shop, ids, monkeypatch):
    shop.session(ids[0])
    keeps_reading(world, shop, 330, page_of(ids[0]))

    def crash(*_):
        raise KeyboardInterrupt

    world.passes(days=40)
    with monkeypatch.context() as patch:
        patch.setattr(type(shop.memory.indexing), "session", crash)
        with pytest.raises(KeyboardInterrupt):
            shop.tend()
    world.crash()
    world.open()
    assert [session.committed for session in shop.sessions()] == [5]
    shop.rebuilds()


# Rows


def test_a_handoff_that_was_taken_is_dropped_after_half_a_year_and_does_not_come_back(world, shop, ids):
    shop.session(ids[0])
    assert world.starts(ids[1])
    shop.session(ids[2])
    world.passes(days=179)
    shop.tend()
    assert shop.memory.stores.state.counts() == {"accepted": 1, "open": 1}
    world.passes(days=2)
    shop.tend()
    assert shop.memory.stores.state.counts() == {"open": 1}
    shop.rebuilds()
    shop.memory.sessions.settle()
    assert shop.memory.stores.state.counts() == {"open": 1}


def test_open_handoffs_are_bounded_by_directories(world, shop):
    for number in range(60):
        session = str(uuid.uuid4())
        cwd = f"/srv/shop/part-{number % 6}"
        world.works(session, cwd=cwd)
        world.says(session, "session-end", cwd=cwd)
        shop.memory.sessions.settle()
        world.passes(days=1)
    assert len(shop.memory.handoffs.open(None, 500)) == 6


def test_a_hundred_reads_in_a_minute_are_one_write(world, shop, ids, monkeypatch):
    shop.session(ids[0])
    page = page_of(ids[0])
    writes = []
    add = type(shop.memory.stores.state.reads).add

    def counted(self, pages):
        pages = list(pages)
        writes.append([path for _, path, _ in pages])
        add(self, pages)

    monkeypatch.setattr(type(shop.memory.stores.state.reads), "add", counted)
    world.passes(minutes=2)
    for _ in range(100):
        shop.memory.upkeep.reads.note(shop.project.id, page)
        shop.memory.upkeep.reads.flush()
    world.passes(minutes=1)
    shop.memory.upkeep.reads.flush()
    shop.memory.upkeep.reads.flush()
    assert writes == [[page], [page]]
    shop.memory.upkeep.reads.note(shop.project.id, page)
    world.close()
    world.open()
    assert shop.memory.stores.state.reads.of(shop.project.id)[page].count == 3


def test_reads_that_could_not_be_written_are_kept(world, shop, ids, monkeypatch):
    shop.session(ids[0])
    page = page_of(ids[0])
    reads = shop.memory.upkeep.reads
    reads.note(shop.project.id, page)

    def full(*_):
        raise StorageError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(type(shop.memory.stores.state.reads), "add", full)
        with pytest.raises(StorageError):
            reads.flush(now=True)
    reads.flush(now=True)
    assert shop.memory.stores.state.reads.of(shop.project.id)[page].count == 1


def test_reads_of_pages_that_are_gone_are_forgotten(world, shop, ids):
    shop.session(ids[0])
    page = page_of(ids[0])
    shop.write("notes/b.md")
    for path in (page, "notes/b.md", "notes/never.md"):
        shop.memory.upkeep.reads.note(shop.project.id, path)
    shop.memory.upkeep.reads.flush(now=True)
    assert list(shop.memory.stores.state.reads.of(shop.project.id)) == ["notes/b.md", page]
    shop.memory.pages.delete(shop.project, "notes/b.md", ANA)
    shop.tend()
    assert list(shop.memory.stores.state.reads.of(shop.project.id)) == [page]


# What comes round


def runs(shop):
    return shop.memory.upkeep.meter["done"]


def test_upkeep_comes_round_once_a_day_also_over_restarts(world, shop, ids):
    shop.session(ids[0])
    assert shop.memory.upkeep.step(60) is False
    assert runs(shop) == 1
    world.passes(hours=23)
    shop.memory.upkeep.step(60)
    world.close()
    world.open()
    shop.memory.upkeep.step(60)
    assert runs(shop) == 0
    world.passes(hours=1)
    shop.memory.upkeep.step(60)
    assert runs(shop) == 1


def test_upkeep_is_done_in_small_parts(world, shop, ids):
    for session in ids[:3]:
        shop.session(session)
    world.passes(days=2)
    steps = 1
    while shop.memory.upkeep.step(0):
        steps += 1
        assert runs(shop) == 0
    # Three logs, lint, and the end.
    assert steps == 5
    assert runs(shop) == 1
    assert set(shop.raw().values()) == {True}


def test_upkeep_that_failed_is_shown_and_tried_again(world, shop, ids, monkeypatch):
    shop.session(ids[0])

    def full(*_):
        raise StorageError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(State, "forget_settled", full)
        with pytest.raises(StorageError):
            shop.memory.upkeep.step(60)
    assert shop.memory.upkeep.step(60) is False
    assert runs(shop) == 0
    world.passes(hours=1)
    shop.memory.upkeep.step(60)
    assert runs(shop) == 1


def test_one_log_that_cannot_be_compressed_keeps_no_other_from_it(world, shop, ids, monkeypatch):
    for session in ids[:3]:
        shop.session(session)
    world.passes(days=2)
    compress = RawLog.compress

    def poisoned(self, path):
        if path.stem == ids[1]:
            raise StorageError(f"the raw log {path} could not be compressed")
        return compress(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(RawLog, "compress", poisoned)
        assert shop.memory.upkeep.step(60) is False
    assert shop.raw() == {ids[0]: True, ids[1]: False, ids[2]: True}
    assert runs(shop) == 0
    assert "could not be compressed" in shop.memory.status(bind="")["stages"]["upkeep"]["last_error"]
    world.passes(hours=1)
    shop.memory.upkeep.step(60)
    assert (runs(shop), shop.raw()[ids[1]]) == (1, True)


def test_upkeep_can_be_switched_off(world, shop, ids, monkeypatch):
    shop.session(ids[0])
    world.close()
    monkeypatch.setenv("AI_MEMORY_MAINTENANCE__ENABLED", "false")
    world.open()
    assert shop.memory.upkeep.step(60) is False
    assert runs(shop) == 0


# Space


def test_after_a_delete_and_compact_no_database_holds_a_word_of_it(world, shop, ids):
    canary = "xylophonecanary"
    shop.session(ids[0])
    shop.write("notes/a.md", f"The {canary}, again and again.\n")
    shop.memory.handoffs.begin(shop.project, summary=f"About the {canary}.")
    (handoff,) = [each for each in shop.memory.handoffs.open(None) if each.from_session is None]
    shop.memory.purge.page(shop.project, "notes/a.md", confirm=True)
    with shop.memory.stores.state._database.writing() as connection:
        connection.execute("DELETE FROM handoffs WHERE id = ?", (str(handoff.id),))
    # Some that stay, so that the tables are not empty.
    shop.write("notes/b.md", "Something else.\n")
    freed = shop.memory.upkeep.compact()
    assert freed.keys() == {"freed_bytes", "index_bytes", "state_bytes", "git_bytes"}
    holding = [file.name for file in (world.data / "db").iterdir() if canary.encode() in file.read_bytes()]
    assert holding == []
    connection = apsw.Connection(str(world.data / "db" / "index.db"))
    connection.execute("INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)")
    connection.close()
    assert shop.found("else") == ["notes/b.md"]


def test_compacting_leaves_the_history_whole_and_drops_what_nothing_leads_to(world, shop, ids):
    shop.session(ids[0])
    git = shop.memory.stores.wiki.git
    (world.data / "stray").write_text("stray content")
    stray = git._run("hash-object", "-w", str(world.data / "stray"))
    before = world.subjects()
    shop.memory.upkeep.compact()
    assert world.subjects() == before
    with pytest.raises(NotFoundError):
        git.blob(stray)
    assert "Rounded per invoice." in shop.memory.pages.read(shop.project, page_of(ids[0])).text


def test_storage_says_what_takes_space(world, shop, ids):
    shop.session(ids[0])
    (world.data / "hook-spool").mkdir()
    (world.data / "hook-spool" / "1.event").write_bytes(b"x" * 10)
    storage = shop.memory.status(bind="")["storage"]
    assert storage["raw"]["files"] == 1
    assert storage["spool_bytes"] == 10
    assert storage["wiki_bytes"] >= len((shop.folder / page_of(ids[0])).read_bytes())
    assert storage["database_bytes"] == storage["index_bytes"] + storage["state_bytes"]
    assert 0 <= storage["reclaimable_bytes"] < storage["database_bytes"]
    assert storage["git_bytes"] > 0
    # Files are not counted again for each question.
    (world.data / "hook-spool" / "2.event").write_bytes(b"x" * 10)
    assert shop.memory.status(bind="")["storage"]["spool_bytes"] == 10


def test_a_start_removes_what_writers_left_behind(world, shop, ids):
    shop.session(ids[0])
    leftover = shop.folder / "sessions" / ".ai-memory-tmp.0123"
    leftover.write_text("half a page")
    world.close()
    world.open()
    assert not leftover.exists()


def test_the_time_of_a_job_is_remembered(world, shop):
    state = shop.memory.stores.state
    at = datetime(2026, 11, 21, 10, 0, 0, 5, tzinfo=UTC)
    assert state.done_at("sweeping") is None
    state.note_done("sweeping", at)
    state.note_done("sweeping", at + timedelta(days=1))
    assert state.done_at("sweeping") == at + timedelta(days=1)


# Crashes


class Killed(BaseException):
    """The process ends here."""


def state_of(shop):
    git = shop.memory.stores.wiki.git
    return {
        "pages": shop.pages(),
        "gone": shop.gone(),
        "raw": shop.raw(),
        "ledgers": sorted(file.name for file in shop.folder.glob("log-*")),
        "sessions": {str(each.id): (each.observations, each.committed) for each in shop.sessions()},
        "git": git.dirty(),
        "tree": sorted(path.rpartition(f"{shop.project.id}/")[2] for path in git.tree("HEAD")),
    }


def prepare(world, shop, ids):
    """Make it so that an upkeep has something of every kind to do."""
    shop.session(ids[0])
    shop.session(ids[1])
    shop.write("notes/old.md", "The parrot.\n")
    shop.memory.pages.delete(shop.project, "notes/old.md", ANA)
    for _ in range(4):
        world.passes(days=100)
        shop.memory.upkeep.reads.note(shop.project.id, page_of(ids[0]))
        shop.memory.upkeep.reads.flush(now=True)
    shop.write("notes/a.md", "---\nexpires_at: 2027-01-01\n---\nOver.\n")
    shop.session(ids[2])
    world.passes(days=2)


def test_an_upkeep_that_was_killed_anywhere_is_finished_by_the_next(world, shop, ids, monkeypatch):
    prepare(world, shop, ids)
    world.close()
    prepared = world.data
    wanted, point, reached = None, 0, []
    while point <= len(reached):
        world.data = prepared.with_name(f"killed-{point}")
        shutil.copytree(prepared, world.data)
        world.open()
        calls = []

        def listen(step, calls=calls, point=point):
            calls.append(step)
            if len(calls) == point:
                raise Killed

        monkeypatch.setattr(steps, "_listeners", [listen])
        if point == 0:
            shop.tend()
            reached = calls
        else:
            with pytest.raises(Killed):
                shop.tend()
        monkeypatch.setattr(steps, "_listeners", [])
        world.crash()
        world.open()
        shop.tend()
        shop.tend()
        found = state_of(shop)
        wanted = wanted or found
        assert found == wanted, f"killed at {reached[point - 1]}"
        shop.rebuilds()
        assert state_of(shop) == wanted
        world.close()
        point += 1
    assert wanted["git"] == set()
    assert wanted["raw"] == {ids[2]: True}
    assert wanted["ledgers"] == ["log-2027-12.md"]
    assert wanted["gone"] == {"notes/a.md": "forget-sweep", page_of(ids[1]): "forget-sweep"}
    assert {Step.DELETE_BURIED, Step.RAW_REMOVE_FILE, Step.UPKEEP_RAW_REMOVED, Step.COMPRESS_DONE} <= set(reached)
