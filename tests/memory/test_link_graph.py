"""How pages hang together: what leads from one to another, and which of them matter."""

import json

import pytest

from ai_memory.compile.lint import REPORT
from ai_memory.memory.graph import Graph, importance_of
from ai_memory.memory.packets import OWNER, Push
from ai_memory.memory.pages import Fields, Writer
from ai_memory.model.record import Connection
from tests.mirror import assert_rebuild_is_equal

ANA = Writer(user="ana")
OLD, NEW = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"


@pytest.fixture
def shop(world):
    return world.memory.projects.create("default", "shop")


@pytest.fixture
def atlas(world):
    return world.memory.projects.create("elsewhere", "atlas")


def write(world, project, path, body="Text.", **fields):
    world.memory.pages.write(project, path, body, Fields(**fields), ANA)


def record(world, content, *connections):
    how = {"type_": "note", "content": content, "importance": 5, "connections": connections}
    return world.memory.records.store("shop", ANA, **how).uuid


def packet(world, packet_id, **more):
    made = {
        "ltm_version": "0.2",
        "id": packet_id,
        "created_at": "2026-11-20T10:00:00Z",
        "goal": "go",
        "next_step": "on",
    }
    (pushed,) = world.memory.packets.push([Push(OWNER, json.dumps(made | more).encode(), "")])
    assert pushed.id == packet_id


def edges(graph):
    def name(place):
        return f"{graph.nodes[place].project.name}:{graph.nodes[place].path}"

    return sorted((name(edge.source), edge.type, name(edge.target)) for edge in graph.edges)


def test_links_lead_to_pages_that_are_there_by_whatever_names(world, shop, atlas):
    write(world, shop, "notes/a.md", "[[notes/b]] [b](b.md) [[shop:notes/b]] [[notes/none]] [[notes/a]] [[nowhere:x]]")
    write(world, shop, "notes/b.md", "[[elsewhere/atlas:map]]")
    write(world, atlas, "map.md", "[[default/shop:notes/a]] [[default/shop:notes/none]]")
    within = [("shop:notes/a.md", "links", "shop:notes/b.md")]
    between = [
        ("atlas:map.md", "links", "shop:notes/a.md"),
        ("shop:notes/b.md", "links", "atlas:map.md"),
    ]
    graph = world.memory.graph
    assert edges(graph.of([])) == edges(graph.of([shop, atlas])) == sorted(within + between)
    assert edges(graph.of([shop])) == within
    assert graph.across() == [
        (shop, "notes/b.md", atlas, "map.md"),
        (atlas, "map.md", shop, "notes/a.md"),
    ]


def test_front_matter_records_and_packets_say_how_they_are_tied(world, shop):
    write(world, shop, "decisions/old.md")
    write(world, shop, "decisions/new.md", "---\nsupersedes: decisions/old.md\n---\nNew.")
    write(
        world, shop, "decisions/odd.md", "---\nsupersedes: [decisions/old.md, 7, ../x.md, decisions/none.md]\n---\nOdd."
    )
    one = record(world, "One.")
    two = record(world, "Two.", Connection(one, "related_to"))
    packet(world, OLD)
    packet(world, NEW, parent_id=OLD)
    world.memory.packets.settle()
    told = [
        (source.partition(":")[2], type_, target.partition(":")[2])
        for source, type_, target in edges(world.memory.graph.of([]))
    ]
    assert sorted(told) == [
        ("decisions/new.md", "supersedes", "decisions/old.md"),
        ("decisions/odd.md", "supersedes", "decisions/old.md"),
        (f"notes/records/{two}.md", "related_to", f"notes/records/{one}.md"),
        (f"packets/{NEW}.md", "parent", f"packets/{OLD}.md"),
    ]
    world.close()
    assert_rebuild_is_equal(world.data, lambda: (world.open(), world.close()))


def test_what_a_page_no_longer_says_is_not_told(world, shop):
    write(world, shop, "decisions/old.md")
    write(world, shop, "decisions/new.md", "---\nsupersedes: decisions/old.md\n---\nNew.")
    write(world, shop, "decisions/new.md", "---\ntitle: New\n---\nNew.")
    assert world.memory.graph.of([shop]).edges == []
    write(world, shop, "decisions/new.md", "---\nsupersedes: decisions/old.md\n---\nNew.")
    world.memory.pages.delete(shop, "decisions/new.md", ANA)
    assert edges(world.memory.graph.of([shop])) == []
    assert world.memory.stores.database.all("SELECT * FROM ties") == []


def test_expired_pages_and_reports_have_no_part_in_it(world, shop, atlas):
    write(world, shop, "notes/a.md", "[[notes/brief]] [[elsewhere/atlas:map]] [[elsewhere/atlas:none]]")
    write(world, shop, "notes/brief.md", "[[notes/a]] [[elsewhere/atlas:map]]", expires_at="2026-11-21")
    write(world, atlas, "map.md", expires_at="2026-12-21")
    assert world.memory.lint.run(shop).page == REPORT
    assert len(world.memory.graph.across()) == 2
    world.passes(days=2)
    graph = world.memory.graph.of([])
    assert {node.path for node in graph.nodes} == {"notes/a.md", "map.md"}
    assert edges(graph) == [("shop:notes/a.md", "links", "atlas:map.md")]
    assert world.memory.graph.across() == [(shop, "notes/a.md", atlas, "map.md")]
    world.passes(days=40)
    assert edges(world.memory.graph.of([])) == []
    assert world.memory.graph.across() == []


def test_beyond_the_limit_the_most_important_pages_stay(world, shop, atlas):
    write(world, shop, "_rules/r.md")
    write(world, shop, "notes/hub.md", "[[notes/leaf]]")
    write(world, shop, "notes/leaf.md", "[[notes/hub]] [[_rules/r]]")
    write(world, shop, "notes/other.md", "[[notes/hub]]")
    write(world, shop, "notes/pinned.md", pinned=True)
    write(world, atlas, "map.md", "[[default/shop:notes/hub]]")
    whole = world.memory.graph.of([shop])
    assert [(node.path, node.importance) for node in whole.nodes] == [
        ("_rules/r.md", importance_of("rule", 1, pinned=False)),
        ("notes/pinned.md", importance_of("note", 0, pinned=True)),
        ("notes/hub.md", importance_of("note", 3, pinned=False)),
        ("notes/leaf.md", importance_of("note", 1, pinned=False)),
        ("notes/other.md", importance_of("note", 0, pinned=False)),
    ]
    few = world.memory.graph.of([shop], limit=3)
    assert few.nodes == whole.nodes[:3]
    assert few.left_out == 2
    assert few.edges == []
    assert whole.left_out == 0
    assert len(whole.edges) == 4


def test_importance_is_between_nothing_and_one():
    assert importance_of("session", 0, pinned=False) == 0.1
    assert importance_of("whatever", 32, pinned=False) == 0.6
    assert importance_of("rule", 10_000, pinned=True) == 1.0
    assert importance_of("note", 1, pinned=False) < importance_of("note", 2, pinned=False)


def test_nothing_is_a_graph_too(world, shop):
    assert world.memory.graph.of([]) == world.memory.graph.of([shop]) == Graph([], [], 0)
    assert world.memory.graph.across() == []
