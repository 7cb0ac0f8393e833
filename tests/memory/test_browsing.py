"""Lists to look through: workspaces, folders, what changed last, what somebody should look at, sessions, handoffs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ai_memory.errors import NotFoundError
from ai_memory.memory.browsing import Facets, FolderRow, WorkspaceRow
from ai_memory.memory.pages import Fields, Target, Writer
from tests.memory.conftest import older_index

ANA = Writer(user="ana")
T0 = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
EXPIRED = "---\nexpires_at: 2026-11-20T10:00:00Z\n---\nSale.\n"


def minutes(count):
    return T0 + timedelta(minutes=count)


@pytest.fixture
def shop(world):
    return world.memory.projects.create("default", "shop")


@pytest.fixture
def browsing(world):
    return world.memory.browsing


def write(world, project, path, body="Text.", **fields):
    """Write a page a minute after what was written before."""
    world.passes(minutes=1)
    world.memory.pages.write(project, path, body, Fields(**fields), ANA, revive=True)


def paths(pages):
    return [page.row.path for page in pages]


def gone(world, project, path):
    """Take a file away that git has, behind the back of the program."""
    world.memory.stores.wiki.file(project, path).unlink()
    world.memory.indexing.files(project, [path])


def times_that_differ(world):
    """List the pages whose times as they are kept are not those that follow from all the rest."""
    return world.memory.stores.database.all(
        "SELECT p.path, p.spoke, t.spoke, p.committed, t.committed, p.changed, p.mtime FROM pages p "
        "JOIN page_times t USING (project, path) WHERE p.spoke IS NOT t.spoke OR p.committed IS NOT t.committed "
        "OR p.changed IS NOT coalesce(t.spoke, t.committed, p.mtime / 1000)"
    )


# Workspaces and pages


def test_workspaces_are_listed_by_name_with_their_projects_pages_and_last_change(world, browsing, shop):
    bank = world.memory.projects.create("money", "bank")
    world.memory.projects.create("default", "empty")
    write(world, shop, "notes/a.md")
    write(world, shop, "notes/b.md")
    world.memory.projects.create("bare", "nothing")
    write(world, bank, "notes/a.md")
    assert browsing.workspaces() == [
        WorkspaceRow("bare", 1, 0, None),
        WorkspaceRow("default", 2, 2, minutes(2)),
        WorkspaceRow("money", 1, 1, minutes(3)),
    ]


def test_a_store_without_anything_has_no_lists(world, browsing):
    assert browsing.workspaces() == []
    assert browsing.health([], 5).as_json()["orphan_pages"] == []
    assert browsing.overview([], 5).as_json()["handoff"] is None
    assert browsing.facets([]) == Facets([], [])


def test_all_pages_come_by_path_with_when_they_changed_and_none_that_expired_or_is_missing(world, browsing, shop):
    write(world, shop, "notes/b.md", title="B")
    write(world, shop, "a.md")
    write(world, shop, "notes/lost.md")
    write(world, shop, "notes/old.md", EXPIRED)
    gone(world, shop, "notes/lost.md")
    pages = browsing.pages(shop)
    assert [(page.row.path, page.row.title, page.changed, page.project) for page in pages] == [
        ("a.md", "a", minutes(2), shop),
        ("notes/b.md", "B", minutes(1), shop),
    ]
    assert pages == browsing.pages(shop)
    assert browsing.pages(world.memory.projects.create("default", "empty")) == []


# Folders


def test_a_folder_has_its_folders_with_all_that_is_below_and_its_own_pages_in_parts(world, browsing, shop):
    for path in ("z.md", "a/one.md", "a/two.md", "a/deep/er/three.md", "a0.md", "b/x.md", "a!.md"):
        write(world, shop, path)
    write(world, shop, "a/old.md", EXPIRED)
    root = browsing.folder(shop, "", limit=2, offset=0)
    assert (root.path, root.total, paths(root.pages)) == ("", 3, ["a!.md", "a0.md"])
    assert root.folders == [FolderRow("a", "a", 3, minutes(4)), FolderRow("b", "b", 1, minutes(6))]
    assert paths(browsing.folder(shop, "", limit=2, offset=2).pages) == ["z.md"]
    inner = browsing.folder(shop, "a", limit=10, offset=0)
    assert (inner.path, inner.total, paths(inner.pages)) == ("a", 2, ["a/one.md", "a/two.md"])
    assert inner.folders == [FolderRow("deep", "a/deep", 1, minutes(4))]
    assert browsing.folder(shop, "a/", limit=10, offset=0) == inner


def test_a_folder_of_any_name_shows_what_is_in_it_alone(world, browsing, shop):
    names = ["日本語", "a%b_c", "it's", "*", "[ab]", "🗂", "ab"]
    for name in names:
        inner = world.memory.stores.wiki.folder(shop) / name / "inner"
        inner.mkdir(parents=True)
        (inner / "x.md").write_text("# X\n", "utf-8")
        (inner.parent / "y.md").write_text("# Y\n", "utf-8")
    world.memory.outside.reconcile()
    found = [browsing.folder(shop, name, limit=10, offset=0) for name in names]
    assert [paths(each.pages) for each in found] == [[f"{name}/y.md"] for name in names]
    assert [[(row.name, row.path, row.pages) for row in each.folders] for each in found] == [
        [("inner", f"{name}/inner", 1)] for name in names
    ]
    assert [row.name for row in browsing.folder(shop, "", limit=0, offset=0).folders] == sorted(names)


def test_a_folder_that_is_not_there_is_empty(browsing, shop):
    found = browsing.folder(shop, "no/such", limit=10, offset=0)
    assert (found.path, found.folders, found.pages, found.total) == ("no/such", [], [], 0)


# What changed last


def test_what_changed_last_comes_first_and_what_changed_together_by_path(world, browsing, shop):
    write(world, shop, "notes/a.md")
    world.memory.pages.write(shop, "notes/0.md", "Text.", Fields(), ANA)
    write(world, shop, "notes/b.md")
    write(world, shop, "notes/old.md", EXPIRED)
    assert paths(browsing.recent(shop, 10)) == ["notes/b.md", "notes/0.md", "notes/a.md"]
    assert paths(browsing.recent(shop, 2)) == ["notes/b.md", "notes/0.md"]
    assert paths(browsing.recent(shop, 10, since=minutes(1))) == ["notes/b.md", "notes/0.md", "notes/a.md"]
    assert paths(browsing.recent(shop, 10, since=minutes(2))) == ["notes/b.md"]


def test_a_list_goes_on_behind_any_place_without_a_gap_or_a_repetition(world, browsing, shop):
    for name in "abc":
        write(world, shop, f"notes/{name}.md")
        world.memory.pages.write(shop, f"notes/{name}2.md", "Text.", Fields(), ANA)
    whole = browsing.recent(shop, 10)
    found, after = [], None
    while part := browsing.recent(shop, 1, after=after, since=T0, machinery=False):
        found += part
        after = part[-1].changed, part[-1].row.path
    assert found == whole
    assert len(whole) == 6


def test_knowledge_and_machinery_are_lists_of_their_own(world, browsing, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    write(world, shop, "notes/a.md", title="Same")
    write(world, shop, "notes/b.md", title="Same")
    world.memory.lint.run(shop)
    assert paths(browsing.recent(shop, 10, machinery=False)) == ["notes/b.md", "notes/a.md"]
    machinery = browsing.recent(shop, 10, machinery=True)
    assert paths(machinery) == ["_lint/report.md", f"sessions/{ids[0]}.md"]
    assert len(browsing.recent(shop, 10)) == 4


def test_what_several_projects_know_comes_last_changed_first_without_machinery(world, browsing, shop):
    bank, other = (world.memory.projects.create("money", name) for name in ("bank", "other"))
    write(world, shop, "notes/a.md")
    write(world, bank, "notes/a.md")
    write(world, shop, "_prompts/curate.md")
    write(world, other, "notes/a.md")
    write(world, shop, "notes/old.md", EXPIRED)
    write(world, shop, "notes/b.md")
    found = browsing.latest([shop, bank], 2)
    assert [(each.project, each.row.path, each.changed) for each in found] == [
        (shop, "notes/b.md", minutes(6)),
        (bank, "notes/a.md", minutes(2)),
    ]
    assert browsing.latest([], 2) == []
    wanted = [(bank.id, "notes/a.md"), (shop.id, "notes/a.md"), (shop.id, "notes/none.md")]
    assert browsing.changed(wanted) == {wanted[0]: minutes(2), wanted[1]: minutes(1)}


def test_the_page_of_a_session_changed_when_the_session_spoke(world, browsing, ids):
    world.works(ids[0])
    world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    path = f"sessions/{ids[0]}.md"
    began, spoke = world.now - timedelta(seconds=3), world.now
    assert browsing.dates(shop, path) == (began, spoke)
    world.passes(hours=1)
    world.says(ids[0], "user-prompt", prompt="And the till?")
    assert browsing.dates(shop, path) == (began, world.now)
    assert paths(browsing.recent(shop, 1)) == [path]


# Dates


def test_a_page_is_as_old_as_its_first_version_since_it_was_last_deleted(world, browsing, shop):
    write(world, shop, "notes/a.md", "One.")
    write(world, shop, "notes/a.md", "Two.")
    assert browsing.dates(shop, "notes/a.md") == (minutes(1), minutes(2))
    world.memory.pages.delete(shop, "notes/a.md", ANA)
    with pytest.raises(NotFoundError, match=r"default/shop has no page notes/a\.md"):
        browsing.dates(shop, "notes/a.md")
    write(world, shop, "notes/a.md", "Three.")
    write(world, shop, "notes/a.md", "Four.")
    assert browsing.dates(shop, "notes/a.md") == (minutes(3), minutes(4))


def test_the_times_that_are_kept_follow_whatever_happens_to_pages_versions_and_sessions(world, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    bank = world.memory.projects.create("default", "bank")
    write(world, shop, "notes/a.md", "One.")
    write(world, shop, "notes/b.md", "B.")
    assert times_that_differ(world) == []
    # By hand, not yet committed; then back to what git has.
    file, pages = world.memory.stores.wiki.file(shop, "notes/a.md"), world.memory.stores.pages
    text = file.read_text()
    for content in ("By hand.\n", text):
        file.write_text(content)
        world.memory.indexing.files(shop, ["notes/a.md"])
        assert times_that_differ(world) == []
    world.memory.pages.delete(shop, "notes/b.md", ANA)
    write(world, shop, "notes/b.md", "Again.")
    assert times_that_differ(world) == []
    world.memory.stores.index.move_project(shop.id, bank.id)
    assert times_that_differ(world) == []
    world.memory.stores.index.move_project(bank.id, shop.id)
    assert times_that_differ(world) == []
    world.memory.stores.index.forget(shop.id, UUID(ids[0]))
    assert times_that_differ(world) == []
    world.memory.indexing.session(shop, UUID(ids[0]))
    assert times_that_differ(world) == []
    pages.forget_versions()
    assert times_that_differ(world) == []
    assert len(world.memory.stores.pages.pages(shop.id)) == 4


def test_an_index_without_these_times_gets_them_at_the_next_start(world, ids):
    world.works(ids[0])
    world.says(ids[0], "session-end")
    world.memory.sessions.settle()
    (shop,) = world.memory.projects.all()
    write(world, shop, "notes/a.md")
    before = [(page.row, page.changed) for page in world.memory.browsing.pages(shop)]
    world.close()
    older_index(world.data, 6)
    world.open()
    assert times_that_differ(world) == []
    assert [(page.row, page.changed) for page in world.memory.browsing.pages(shop)] == before


# Health


def test_health_counts_what_is_old_what_has_one_title_and_what_nothing_links_to(world, browsing, shop):
    bank = world.memory.projects.create("money", "bank")
    write(world, shop, "notes/a.md", "[[notes/b]]", title="Same", tier="episodic")
    write(world, shop, "notes/b.md", "Text.", title="Same")
    write(world, shop, "notes/alone.md", "[[notes/alone]] and [[shop:notes/alone]]", title="Same")
    write(world, shop, "notes/known.md", "Text.", title="Known elsewhere")
    write(world, bank, "notes/x.md", "[[default/shop:notes/known]]", title="Same")
    write(world, shop, "notes/old.md", EXPIRED, title="Same")
    write(world, shop, "packets/one.md", "Text.", title="Same")
    assert browsing.health([shop], 2).as_json() == {
        "stale": 0,
        "duplicates": 1,
        "contradictions": 0,
        "orphans": 0,
        "audited_at": None,
        "stale_pages": [],
        "duplicate_pages": [
            {"workspace": "default", "project": "shop", "path": f"notes/{name}.md", "title": "Same", "kind": "note"}
            for name in ("a", "alone")
        ],
        "orphan_pages": [],
    }
    world.passes(days=31)
    write(world, shop, "notes/alone.md", "[[notes/alone]]", title="Alone")
    told = browsing.health([shop, bank], 10)
    assert (told.stale, told.duplicates, told.orphans) == (1, 1, 1)
    assert [(each.project, each.row.path) for each in told.stale_pages] == [(shop, "notes/a.md")]
    assert [each.row.path for each in told.duplicate_pages] == ["notes/a.md", "notes/b.md"]
    assert [each.as_json() for each in told.orphan_pages] == [
        {"workspace": "default", "project": "shop", "path": "notes/alone.md", "title": "Alone", "kind": "note"}
    ]


def test_health_that_names_no_pages_counts_all_the_same(world, browsing, shop):
    for name in "abc":
        write(world, shop, f"notes/{name}.md", tier="episodic", title="Same")
    world.passes(days=31)
    told = browsing.health([shop], 0)
    assert (told.stale, told.duplicates, told.orphans) == (3, 1, 3)
    assert [*told.stale_pages, *told.duplicate_pages, *told.orphan_pages] == []
    assert [each.row.path for each in browsing.health([shop], 2).stale_pages] == ["notes/a.md", "notes/b.md"]


# Overview


def test_the_overview_of_a_project_is_its_briefing_its_health_and_its_newest_open_handoff(world, browsing, shop):
    write(world, shop, "_rules/style.md")
    begin = world.memory.handoffs.begin
    begin(shop, summary="Old.", from_agent="codex")
    world.passes(minutes=1)
    begin(shop, summary="Half done.", open_questions=["FTS?"], next_steps=["Test"], from_agent="codex")
    world.passes(minutes=1)
    handoffs = world.memory.handoffs
    handoffs.cancel(shop, begin(shop, summary="Withdrawn.").id)
    assert browsing.overview([shop], 3).as_json() == {
        "handoff": {
            "agent": "codex",
            "at": "2026-11-20T10:02:00Z",
            "project": "shop",
            "summary": "Half done.",
            "open_questions": ["FTS?"],
            "next_steps": ["Test"],
        },
        "briefing": world.memory.briefing.of(shop, 3).as_json(),
        "health": browsing.health([shop], 3).as_json(),
    }
    assert world.memory.stores.state.count_open([shop.id]) == {shop.id: 2}


def test_the_overview_of_a_workspace_adds_up_its_projects(world, browsing, shop, ids):
    world.works(ids[0])
    world.memory.sessions.settle()
    bank = world.memory.projects.create("default", "bank")
    far = world.memory.projects.create("money", "far")
    shop = next(each for each in world.memory.projects.all() if each.name == "shop" and each.workspace == "default")
    write(world, shop, "_rules/a.md", "[[bank:_rules/b]]")
    write(world, bank, "_rules/b.md", "[[money/far:notes/x]]")
    write(world, far, "notes/x.md", "[[default/shop:_rules/a]]")
    write(world, shop, "notes/new.md")
    told = browsing.overview([shop, bank], 2)
    one, two = (world.memory.briefing.of(each, 2) for each in (shop, bank))
    assert told.snapshot.counts == {key: one.counts[key] + two.counts[key] for key in one.counts}
    assert told.snapshot.activity[0]["pages_updated"] == 4
    assert told.snapshot.last_observation == one.last_observation
    assert [(each.project.name, each.row.path) for each in told.snapshot.rules] == [
        ("shop", "_rules/a.md"),
        ("bank", "_rules/b.md"),
    ]
    assert [(each.project.name, each.row.path) for each in told.snapshot.recent] == [
        ("shop", "notes/new.md"),
        ("bank", "_rules/b.md"),
    ]
    # What leads from one to the other is inside.
    assert [each.project for each in told.snapshot.dependencies] == [far]
    assert [each.project for each in told.snapshot.dependents] == [far]
    assert told.handoff
    assert told.as_json()["handoff"]["project"] == "shop"
    assert told.snapshot.pending_handoffs == 1


# Sessions and handoffs


def test_sessions_come_newest_first_in_parts_with_how_many_there_are(world, browsing, ids):
    for session in ids[:3]:
        world.works(session)
        world.says(session, "session-end")
    world.works(ids[3])
    (shop,) = world.memory.projects.all()
    found, total = browsing.sessions(shop, limit=2, offset=1, include_open=False)
    assert ([str(each.id) for each in found], total) == ([ids[1], ids[0]], 3)
    found, total = browsing.sessions(shop, limit=2, offset=0, include_open=True)
    assert ([str(each.id) for each in found], total) == ([ids[3], ids[2]], 4)
    assert browsing.sessions(shop, limit=2, offset=4, include_open=True) == ([], 4)


def test_handoffs_come_newest_first_all_or_those_in_one_state(world, browsing, shop):
    left = []
    for summary in ("one", "two", "three"):
        world.passes(minutes=1)
        left.append(world.memory.handoffs.begin(shop, summary=summary))
    cancelled = world.memory.handoffs.cancel(shop, left[1].id)
    assert browsing.handoffs([shop], limit=10) == [left[2], cancelled, left[0]]
    assert browsing.handoffs([shop], limit=1) == [left[2]]
    assert browsing.handoffs([shop], states=["open"], limit=10) == [left[2], left[0]]
    assert browsing.handoffs([shop], states=["expired", "cancelled"], limit=10) == [cancelled]
    assert browsing.handoffs([shop], states=["accepted"], limit=10) == []
    assert browsing.handoffs([world.memory.projects.create("default", "bank")], limit=10) == []


# What to narrow a search to


def test_facets_count_kinds_and_tags_the_most_frequent_first(world, browsing, shop):
    bank = world.memory.projects.create("default", "bank")
    write(world, shop, "notes/a.md", tags=["till", "euro"])
    write(world, shop, "decisions/b.md", tags=["till"])
    write(world, bank, "notes/c.md", tags=["till", 'Ärger, "quoted"'])
    write(world, shop, "notes/old.md", EXPIRED, tags=["sale"])
    assert browsing.facets([shop]) == Facets([("decision", 1), ("note", 1)], [("till", 2), ("euro", 1)])
    assert browsing.facets([shop, bank]) == Facets(
        [("note", 2), ("decision", 1)], [("till", 3), ("euro", 1), ('Ärger, "quoted"', 1)]
    )


def test_a_link_says_of_which_kind_the_page_is_that_it_leads_to(world, shop):
    write(world, shop, "decisions/b.md", title="B")
    write(world, shop, "gotchas/a.md", "[[decisions/b]] [[notes/none]]", title="A")
    view = world.memory.pages.read(shop, "gotchas/a.md")
    assert view.links == [
        Target("default", "shop", "decisions/b.md", "B", "decision", exists=True),
        Target("default", "shop", "notes/none.md", "notes/none.md", "", exists=False),
    ]
    assert world.memory.pages.read(shop, "decisions/b.md").backlinks == [
        Target("default", "shop", "gotchas/a.md", "A", "gotcha", exists=True)
    ]
