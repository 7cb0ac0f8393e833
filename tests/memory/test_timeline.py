"""What happened in projects, in the order of time: sessions, and what was done to pages."""

import base64
from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.errors import BadRequestError
from ai_memory.memory.pages import Fields, Writer
from ai_memory.memory.timeline import Place
from ai_memory.model.page import PageChange
from tests.memory.conftest import older_index
from tests.mirror import assert_rebuild_is_equal, rows_of

ANA = Writer(user="ana")


@pytest.fixture
def shop(world, ids):
    """A project with a session, and pages that were written, changed and deleted; another one with a page."""
    memory = world.memory
    world.works(ids[0], prompt="Fix the rounding of invoices.")
    world.says(ids[0], "session-end")
    memory.sessions.settle()
    (shop,) = memory.projects.all()
    write(world, shop, "decisions/tax.md", "# Round per invoice\n\nOnce.")
    write(world, shop, "notes/till.md", "# The till\n\nIt is old.")
    write(world, shop, "decisions/tax.md", "# Round per line\n\nTwice.")
    write(world, shop, "gotchas/sum.md", "# Sums\n\nOne.")
    world.passes(minutes=1)
    memory.pages.delete(shop, "gotchas/sum.md", ANA)
    write(world, memory.projects.create("default", "atlas"), "notes/map.md", "# The map\n\nNorth.")
    return shop


def write(world, project, path, body, **fields):
    world.passes(minutes=1)
    world.memory.pages.write(project, path, body, Fields(**fields), ANA)


def told(entries):
    return [
        (each.kind, each.project.name, each.path or each.title, "deleted" if each.deleted else "") for each in entries
    ]


SESSION = ("session", "shop", "Fix the rounding of invoices.", "")
ALL = [
    ("note", "atlas", "notes/map.md", ""),
    ("gotcha", "shop", "gotchas/sum.md", "deleted"),
    ("gotcha", "shop", "gotchas/sum.md", ""),
    ("decision", "shop", "decisions/tax.md", ""),
    ("note", "shop", "notes/till.md", ""),
    ("decision", "shop", "decisions/tax.md", ""),
    SESSION,
]


def test_the_last_comes_first_everywhere_or_in_a_project_and_what_machinery_writes_is_left_out(world, shop, ids):
    world.says(ids[3], "session-start")  # which is nothing that was done
    assert told(world.memory.timeline.entries([])) == ALL
    assert told(world.memory.timeline.entries([shop])) == ALL[1:]
    other = world.memory.projects.named("default", "atlas")
    assert told(world.memory.timeline.entries([other])) == ALL[:1]
    assert told(world.memory.timeline.entries([shop, other])) == ALL


def test_a_filter_by_kind_knows_deleted_pages_by_their_folder_and_an_entry_says_who_did_it(world, shop):
    timeline = world.memory.timeline
    assert told(timeline.entries([], kinds=["decision"])) == [ALL[3], ALL[5]]
    assert told(timeline.entries([], kinds=["session"])) == [SESSION]
    assert told(timeline.entries([], kinds=["gotcha", "session"])) == [ALL[1], ALL[2], SESSION]
    assert told(timeline.entries([], kinds=["rule"])) == []
    changed, first = world.memory.timeline.entries([shop], kinds=["decision"])
    newest, oldest = world.memory.stores.pages.history(shop.id, "decisions/tax.md", 2)
    assert (changed.version, first.version) == (newest, oldest)
    assert (changed.at, changed.version.author, changed.title) == (newest.at, "ana", "Round per line")
    deleted = world.memory.timeline.entries([shop], limit=1)[0]
    assert (deleted.title, deleted.version.blob) == ("Sums", "")
    (session,) = world.memory.timeline.entries([shop], kinds=["session"])
    assert session.session == world.memory.stores.index.recent()[0]
    assert session.at == session.session.last


def test_every_entry_comes_once_however_small_the_pieces_are(world, shop, ids):
    now = world.now
    for name, session in (("one", ids[1]), ("two", ids[2])):
        # All of this happens at one moment, in two projects and with two pages a commit.
        project = world.memory.projects.create("default", name)
        pages = [PageChange(path, f"# In {name}\n") for path in ("notes/a.md", "notes/b.md")]
        world.memory.pages.keep(project, pages, subject="two at once", author=("ana", "ana@localhost"))
        world.works(session, cwd=f"/srv/{name}x")
        world.now = now
    whole = world.memory.timeline.entries([], limit=100)
    assert len({each.place for each in whole}) == len(whole) == len(ALL) + 6
    for size in (1, 2, 3, 13):
        pieces, place = [], None
        while piece := world.memory.timeline.entries([], before=place, limit=size):
            assert len(piece) <= size
            pieces += piece
            place = Place.of(piece[-1].place.text)
        assert pieces == whole


def test_expired_pages_are_not_told_of(world, shop):
    write(world, shop, "notes/brief.md", "# Brief", expires_at="2026-11-21")
    assert told(world.memory.timeline.entries([shop], limit=1)) == [("note", "shop", "notes/brief.md", "")]
    world.passes(days=3)
    assert told(world.memory.timeline.entries([shop])) == ALL[1:]


def test_a_project_that_moves_has_no_changes_of_pages(world, shop):
    world.memory.projects.create("elsewhere", "else")
    world.memory.moves.move_project(shop, "elsewhere", confirm=True)
    moved = world.memory.projects.get(shop.id)
    assert moved.workspace == "elsewhere"
    assert told(world.memory.timeline.entries([moved])) == ALL[1:]


def test_an_index_that_is_rebuilt_or_from_before_the_timeline_has_the_same(world, shop):
    write(world, shop, "decisions/new.md", "---\nsupersedes: decisions/tax.md\n---\n# New\n")
    world.close()
    assert_rebuild_is_equal(world.data, lambda: (world.open(), world.close()))
    before = rows_of(world.data)
    older_index(world.data, 7)
    assert told(world.open().timeline.entries([]))[1:] == ALL
    world.close()
    after = rows_of(world.data)
    for table in ("versions", "session_days", "ties"):
        assert after[table] == before[table] != []


@given(
    st.integers(0, (1 << 63) - 1),
    st.integers(0, (1 << 63) - 1),
    st.uuids(),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_a_place_survives_a_url(at, commit, project, name):
    place = Place(at, commit, project, name)
    assert Place.of(place.text) == place
    assert set(place.text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_place_or_refused(text):
    place = None
    with suppress(BadRequestError):
        place = Place.of(text)
    assert place is None or Place.of(place.text) == place


@pytest.mark.parametrize(
    "told_place",
    ["[1,2,3]", '[1,2,"x","y"]', '[-1,0,"{id}","y"]', '[1.5,0,"{id}","y"]', '[true,0,"{id}","y"]', '[1,0,"{id}",""]',
     '[1,0,"{id}",7]', '[1,0,"{id}","\\ud800"]', '[9223372036854775808,0,"{id}","y"]', "{}", "[" * 100_000],
    ids=["short", "no-id", "negative", "fraction", "boolean", "no-name", "number", "half-a-pair", "too-large", "empty", "deep"],
)  # fmt: skip
def test_a_place_that_somebody_made_up_is_refused(told_place):
    text = base64.urlsafe_b64encode(told_place.replace("{id}", UUID(int=1).hex).encode()).decode()
    with pytest.raises(BadRequestError, match="before is no place in the timeline"):
        Place.of(text)
