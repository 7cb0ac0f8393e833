import json

import pytest

from ai_memory.memory.pages import Writer
from ai_memory.server.web import templates
from tests.own_server import served
from tests.server.web.screens import ask, look

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
TEXTS = {
    "decisions/new.md": "---\nsupersedes: decisions/old.md\n---\n# New\n\n[[decisions/old.md]], [[notes/hostile.md]]\n",
    "decisions/old.md": "# Old\n\n[[odd folder/a&b.md]]\n",
    "notes/hostile.md": f"---\ntitle: {HOSTILE!r}\n---\n\u202eText.\n",
    "odd folder/a&b.md": "# Odd\n",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with served(tmp_path_factory) as own:
        memory = own.memory
        shop = memory.projects.create("default", "shop")
        memory.pages.write_several(shop, TEXTS, Writer("codex"), subject="pages")
        bank = memory.projects.create("work", "bank")
        text = "# Of the bank\n\n[[default/shop:decisions/old.md]]\n"
        memory.pages.write_several(bank, {"notes/b.md": text}, Writer("codex"), subject="b")
        memory.projects.create("default", "empty")
        yield own


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    with served(tmp_path_factory) as own:
        yield own


def data(own, query=""):
    status, headers, body = ask(own, f"/web/graph.json{query}")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    return json.loads(body)


def rows(screen):
    """The addresses of the list, in its order."""
    return [said["href"] for said in screen.elements("a") if "data-page" in said]


def test_the_data_has_every_page_with_its_address_and_every_link_with_its_type(own):
    told = data(own, "?workspace=default&project=shop")
    at = {node["address"]: place for place, node in enumerate(told["nodes"])}
    new, old, hostile, odd = (
        at[f"/web/w/default/shop/p/{path}"]
        for path in ("decisions/new.md", "decisions/old.md", "notes/hostile.md", "odd%20folder/a%26b.md")
    )
    assert sorted(map(tuple, told["edges"])) == sorted(
        [(new, old, "links"), (new, old, "supersedes"), (new, hostile, "links"), (old, odd, "links")]
    )
    node = told["nodes"][old]
    assert (node["title"], node["kind"], node["project"], told["left_out"]) == ("Old", "decision", "default/shop", 0)
    assert node["importance"] > told["nodes"][odd]["importance"]


def test_the_list_shows_the_same_as_the_drawing_those_with_most_links_first(own):
    screen, told = look(own, "/web/graph?project=shop"), data(own, "?project=shop")
    assert rows(screen)[:2] == ["/web/w/default/shop/p/decisions/old.md", "/web/w/default/shop/p/decisions/new.md"]
    for said in (said for said in screen.elements("a") if "data-page" in said):
        assert told["nodes"][int(said["data-page"])]["address"] == said["href"]
        assert look(own, said["href"]).status == 200
    assert "4 pages, 4 links" in screen.text
    assert screen.elements("div", id="graph")[0]["data-from"] == "/web/graph.json?project=shop"


def test_all_projects_hang_together(own):
    told = data(own)
    titles = [node["title"] for node in told["nodes"]]
    assert [titles.index("Of the bank"), titles.index("Old"), "links"] in told["edges"]
    assert "5 pages, 5 links" in look(own, "/web/graph").text


def test_what_is_stored_is_shown_and_never_obeyed(own):
    screen = look(own, "/web/graph")
    assert HOSTILE in screen.text
    assert not screen.elements("img", src="x")
    assert [said for name, said in screen.tags if name == "script" and "src" not in said] == []
    assert HOSTILE in [node["title"] for node in data(own)["nodes"]]


def test_the_answer_is_nobody_elses_and_fetched_once(own):
    _, headers, _ = ask(own, "/web/graph.json")
    assert (headers["Cache-Control"], headers["Vary"]) == ("private, no-cache", "Authorization, Cookie")
    status, _, body = ask(own, "/web/graph.json", **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, "")


def test_every_script_is_our_own_and_there(own):
    screen = look(own, "/web/graph")
    scripts = [said["src"] for said in screen.elements("script")]
    assert [each.rpartition("/")[2].partition("?")[0] for each in scripts[-5:]] == [
        "d3-dispatch.min.js",
        "d3-quadtree.min.js",
        "d3-timer.min.js",
        "d3-force.min.js",
        "graph.js",
    ]
    for script in scripts:
        status, headers, _ = ask(own, script)
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")


def test_each_vendored_library_is_named_with_its_version_and_has_its_licence():
    files = templates.static_files()
    told = files["vendor/README.md"].decode()
    for name in ("d3-dispatch", "d3-force", "d3-quadtree", "d3-timer"):
        script = files[f"vendor/{name}/{name}.min.js"].decode()
        version = script.partition(" v")[2].partition(" ")[0]
        assert f"`{name}` {version}" in " ".join(told.split())
        assert b"Permission to use, copy, modify" in files[f"vendor/{name}/LICENSE"]


@pytest.mark.parametrize("path", ["/web/graph", "/web/graph.json"])
@pytest.mark.parametrize("query", ["?workspace=nowhere", "?workspace=default&project=nothing"], ids=["ws", "project"])
def test_an_unknown_project_is_not_found(own, path, query):
    assert ask(own, path + query)[0] == 404


def test_a_project_without_pages_says_how_they_come(own, bare):
    screen = look(own, "/web/graph?workspace=default&project=empty")
    assert "There are no pages to draw." in screen.text
    assert rows(screen) == []
    assert not screen.elements("canvas")
    assert "There are no pages to draw." in look(bare, "/web/graph").text
    assert data(bare) == {"nodes": [], "edges": [], "left_out": 0}
