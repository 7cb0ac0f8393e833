"""Lint over real pages: what it takes from them, and the page that it keeps."""

import pytest

from ai_memory.compile.lint import REPORT
from ai_memory.memory.pages import Fields, Writer
from ai_memory.store.git import MergeUnfinishedError

ANA = Writer(user="ana")


@pytest.fixture
def shop(world):
    return world.memory.projects.create("default", "shop")


def write(world, project, path, body="Text.", **fields):
    world.passes(minutes=1)
    world.memory.pages.write(project, path, body, Fields(**fields), ANA)


def kinds(world, project):
    return [(each.kind, list(each.pages)) for each in world.memory.lint.look(project)]


def report(world, project):
    return world.memory.stores.wiki.read(project, REPORT)


def test_links_to_other_projects_are_followed_by_every_name_they_have(world, shop):
    bank = world.memory.projects.create("money", "bank")
    write(world, bank, "notes/there.md")
    body = "[[money/bank:notes/there]] [[money/bank:notes/gone]] [[nowhere:x]] [[notes/unwritten]]"
    write(world, shop, "notes/a.md", body)
    (found,) = world.memory.lint.look(shop)
    assert (found.kind, found.detail) == ("broken_link", "nowhere:x.md, money/bank:notes/gone.md")
    world.memory.moves.rename_project(bank, "vault", ANA)
    assert world.memory.lint.look(shop) == [found]


def test_a_session_page_that_nobody_reads_is_stale_after_a_month_and_one_that_is_read_is_not(world, ids):
    for session in ids[:2]:
        world.works(session)
        world.says(session, "session-end")
        world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    world.passes(days=31)
    first, second = (f"sessions/{session}.md" for session in ids[:2])
    drafts = [f"packets/{row.id}.md" for row in reversed(world.memory.packets.drafts("owner"))]
    assert kinds(world, shop) == [("stale", [*drafts, first, second])]
    world.memory.upkeep.reads.note(shop.id, first)
    world.memory.upkeep.reads.flush(now=True)
    assert kinds(world, shop) == [("stale", [*drafts, second])]


def test_looking_writes_nothing(world, shop):
    write(world, shop, "notes/a.md", title="VAT")
    write(world, shop, "notes/b.md", title="VAT")
    before = world.subjects()
    assert kinds(world, shop) == [("duplicate", ["notes/a.md", "notes/b.md"])]
    assert (world.subjects(), report(world, shop)) == (before, None)


def test_the_report_is_committed_once_and_says_when_all_is_well_again(world, shop):
    write(world, shop, "notes/a.md", title="VAT")
    write(world, shop, "notes/b.md", title="VAT")
    before = world.subjects()
    assert world.memory.lint.run(shop).page == REPORT
    assert world.memory.lint.run(shop).page == REPORT
    assert world.subjects() == ["lint default/shop: 1 warning", *before]
    assert "`notes/a.md`, `notes/b.md`" in report(world, shop)
    write(world, shop, "notes/b.md", title="Refunds")
    assert world.memory.lint.run(shop).findings == []
    assert "Nothing to look at." in report(world, shop)


def test_notes_alone_begin_no_report(world, shop):
    write(world, shop, "_rules/style.md", "Tabs.")
    found = world.memory.lint.run(shop)
    assert ([each.kind for each in found.findings], found.page, report(world, shop)) == (["rule_suggestion"], "", None)


def test_a_report_that_somebody_took_over_or_deleted_is_left_alone(world, shop):
    write(world, shop, "notes/a.md", title="VAT")
    write(world, shop, "notes/b.md", title="VAT")
    world.memory.lint.run(shop)
    write(world, shop, REPORT, "Mine now.")
    mine = report(world, shop)
    assert world.memory.lint.run(shop).page == ""
    assert report(world, shop) == mine
    world.memory.pages.delete(shop, REPORT, ANA)
    found = world.memory.lint.run(shop)
    assert ([each.kind for each in found.findings], found.page, report(world, shop)) == (["duplicate"], "", None)


def test_in_the_middle_of_a_merge_nothing_is_written(world, shop):
    write(world, shop, "notes/a.md", title="VAT")
    write(world, shop, "notes/b.md", title="VAT")
    (world.data / "wiki" / ".git" / "MERGE_HEAD").write_text(world.memory.stores.wiki.git.head() + "\n")
    with pytest.raises(MergeUnfinishedError):
        world.memory.lint.run(shop)
    assert report(world, shop) is None


def test_the_daily_upkeep_lints_every_project(world, shop):
    bank = world.memory.projects.create("default", "bank")
    for project in (shop, bank):
        write(world, project, "notes/a.md", title="VAT")
        write(world, project, "notes/b.md", title="VAT")
    while world.memory.upkeep.step(60):
        pass
    assert [report(world, project) is not None for project in (shop, bank)] == [True, True]
    assert world.memory.upkeep.meter["failed"] == 0
