"""What a screen asks beside the page or the session itself: where links lead, what a deletion took, what was left."""

import uuid

import pytest

from ai_memory.errors import NotFoundError
from ai_memory.memory.pages import NOBODY, Fields, Target
from ai_memory.model.links import Link

SESSION = "20aae216-a587-4b26-abcd-b279d1fd7e1e"


def writes(world, project, path, body):
    world.passes(minutes=1)
    return world.memory.pages.write(project, path, body, Fields(), NOBODY).revision


def test_links_lead_to_pages_of_any_project_and_missing_ones_say_so(world):
    memory = world.memory
    shop, atlas = memory.projects.create("default", "shop"), memory.projects.create("work", "atlas")
    writes(world, shop, "decisions/vat.md", "# VAT\n")
    writes(world, atlas, "map.md", "# The map\n")
    links = [Link("", "", "decisions/vat.md"), Link("work", "atlas", "map.md"), Link("", "atlas", "map.md")]
    links += [Link("", "", "map.md"), Link("", "shop", "decisions/vat.md")]
    assert memory.pages.targets(shop, links) == {
        links[0]: Target("default", "shop", "decisions/vat.md", "VAT", "decision", exists=True),
        links[1]: Target("work", "atlas", "map.md", "The map", "fact", exists=True),
        links[2]: Target("", "atlas", "map.md", "map.md", "", exists=False),
        links[3]: Target("default", "shop", "map.md", "map.md", "", exists=False),
        links[4]: Target("default", "shop", "decisions/vat.md", "VAT", "decision", exists=True),
    }
    assert memory.pages.targets(shop, []) == {}


def test_a_link_to_a_page_whose_file_is_missing_leads_nowhere(world):
    shop = world.memory.projects.create("default", "shop")
    writes(world, shop, "a.md", "# A\n")
    file = world.memory.projects.folder(shop) / "a.md"
    file.unlink()
    world.memory.indexing.files(shop, ["a.md"])
    (target,) = world.memory.pages.targets(shop, [Link("", "", "a.md")]).values()
    assert target.exists is False


def test_a_deletion_compares_as_an_empty_page(world):
    shop = world.memory.projects.create("default", "shop")
    written = writes(world, shop, "a.md", "One.\nTwo.\n")
    deleted = world.memory.pages.delete(shop, "a.md", NOBODY)
    diff = world.memory.pages.diff(shop, "a.md", written, deleted)
    text = world.memory.pages.read(shop, "a.md", revision=written).text
    assert diff.splitlines()[2:] == [
        f"@@ -1,{len(text.splitlines())} +0,0 @@",
        *(f"-{line}" for line in text.splitlines()),
    ]
    assert world.memory.pages.diff(shop, "a.md", deleted, deleted) == ""
    with pytest.raises(NotFoundError, match="was deleted"):
        world.memory.pages.diff(shop, "a.md", written, "")


def test_a_page_says_its_tags_and_when_it_expires(world):
    shop = world.memory.projects.create("default", "shop")
    writes(world, shop, "a.md", "---\ntags: [vat, money]\nexpires_at: 2026-12-01\n---\nText.\n")
    view = world.memory.pages.read(shop, "a.md")
    assert (view.tags, f"{view.expires_at:%Y-%m-%d}") == (("vat", "money"), "2026-12-01")


def test_pages_say_in_short_what_they_say_and_how_many_links_they_have(world):
    memory = world.memory
    shop = memory.projects.create("default", "shop")
    writes(world, shop, "a.md", "# A\n\nThe beginning.\n\nAnd [[b]], [[c]].\n")
    writes(world, shop, "b.md", "---\nsummary: In short.\n---\n# B\n\nBack to [[a]].\n")
    writes(world, shop, "c.md", "")
    places = [(shop.id, path) for path in ("a.md", "b.md", "c.md", "d.md")]
    assert memory.stores.page_lists.previews(places) == {
        (shop.id, "a.md"): ("The beginning.\n\nAnd [[b]], [[c]].", 3),
        (shop.id, "b.md"): ("In short.", 2),
        (shop.id, "c.md"): ("", 1),
    }


def test_a_session_knows_what_it_left_and_where_else_it_was(world):
    world.works(SESSION)
    world.says(SESSION, "user-prompt", cwd="/srv/atlas", prompt="And there.")
    world.says(SESSION, "session-end")
    world.memory.sessions.settle()
    shop = world.memory.projects.named("default", "shop")
    session = world.memory.sessions.named(shop, SESSION)
    assert [(home.label, part.prompts) for home, part in world.memory.sessions.elsewhere(session)] == [
        ("default/atlas", 1)
    ]
    (left,) = world.memory.stores.state.left_by(uuid.UUID(SESSION), shop.id)
    assert (left.from_session, left.project_id) == (uuid.UUID(SESSION), shop.id)
    path = world.memory.sessions.packet_page(shop, session)
    assert world.memory.pages.read(shop, path).kind == "packet"


def test_the_timeline_leaves_out_a_session_that_was_deleted(world):
    world.works(SESSION)
    world.memory.sessions.settle()
    shop = world.memory.projects.named("default", "shop")
    assert [each.kind for each in world.memory.timeline.entries([shop])] == ["session"]
    world.memory.pages.delete(shop, f"sessions/{SESSION}.md", NOBODY)
    assert world.memory.timeline.entries([shop]) == []
