"""Finding over MCP: which projects answer, what a hit looks like, and what is said of the scope."""

import pytest
from pydantic import ValidationError

from ai_memory.errors import BadRequestError, NotFoundError, ScopeUnresolvedError
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.server.pages import page_id

SHOP = {"workspace": "default", "project": "shop"}
SCOPE = {**SHOP, "resolved_by": "explicit"}
SESSION = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"


def paths(hits):
    return [hit["path"] for hit in hits]


def test_a_hit_says_where_it_is_and_quotes_inside_the_fence(desk):
    desk.write("notes/a.md", "# Crocus\n\nSaffron comes from it.\n")
    answer = desk.call("memory_query", **SHOP, query="saffron")
    (hit,) = answer.pop("hits")
    assert hit.pop("rank") < 0
    assert hit == {
        "id": page_id(desk.project().id, "notes/a.md"),
        **SHOP,
        "path": "notes/a.md",
        "kind": "note",
        "title": "Crocus",
        "heading": "Crocus",
        "snippet": f"{FENCE_START}\n<mark>Saffron</mark> comes from it.\n{FENCE_END}",
        "why": "its words",
    }
    assert answer == {"streams_active": ["fts"], "scope": SCOPE}


@pytest.mark.parametrize("word", ["query", "q", "search"])
@pytest.mark.parametrize("count", ["limit", "n", "top_k"])
def test_models_may_use_the_words_that_they_are_used_to(desk, word, count):
    for name in ("a", "b", "c"):
        desk.write(f"notes/{name}.md", "saffron")
    assert len(desk.call("memory_query", **SHOP, **{word: "saffron", count: 2})["hits"]) == 2


@pytest.mark.parametrize(("limit", "hits"), [(-3, 1), (0, 1), (1000, 2)])
def test_a_limit_beyond_the_bounds_is_taken_for_the_bound(desk, limit, hits):
    desk.write("notes/a.md", "saffron")
    desk.write("notes/b.md", "saffron")
    assert len(desk.call("memory_query", **SHOP, query="saffron", limit=limit)["hits"]) == hits
    assert len(desk.call("memory_recent", **SHOP, limit=limit)["hits"]) == hits


def test_several_projects_are_searched_and_no_other(desk):
    for name in ("shop", "bank", "attic"):
        desk.write(f"notes/{name}.md", "saffron", desk.project(name))
    scopes = [{"workspace": "default", "project": name} for name in ("shop", "bank")]
    answer = desk.call("memory_query", query="saffron", scopes=scopes)
    assert sorted(paths(answer["hits"])) == ["notes/bank.md", "notes/shop.md"]
    assert "scope" not in answer


def test_a_search_of_all_projects_has_its_hits_apart(desk):
    desk.write("notes/a.md", "saffron", desk.project("bank", "money"))
    answer = desk.call("memory_query", query="saffron", **{"global": True})
    (hit,) = answer["global_hits"]
    assert (hit["workspace_name"], hit["project_name"], hit["path"]) == ("money", "bank", "notes/a.md")
    assert answer["hits"] == []


def test_preferences_that_hold_everywhere_are_told_apart_from_the_project(desk):
    desk.write("notes/a.md", "Tabs were discussed.")
    desk.call("memory_write_page", path="_rules/tabs.md", body="Always indent with tabs.", scope="global")
    answer = desk.call("memory_query", **SHOP, query="tabs")
    assert paths(answer["hits"]) == ["notes/a.md"]
    assert paths(answer["global_scope_hits"]) == ["_rules/tabs.md"]
    here = desk.call("memory_query", query="tabs", workspace="_global", project="_global")
    assert (paths(here["hits"]), "global_scope_hits" in here) == (["_rules/tabs.md"], False)


def test_what_has_expired_is_found_when_somebody_asks_for_it(desk):
    desk.write("notes/sale.md", "saffron sale", expires_at="2026-11-20T11:00:00Z")
    assert paths(desk.call("memory_query", **SHOP, query="saffron")["hits"]) == ["notes/sale.md"]
    desk.world.passes(hours=2)
    assert desk.call("memory_query", **SHOP, query="saffron")["hits"] == []
    assert paths(desk.call("memory_query", **SHOP, query="saffron", include_expired=True)["hits"]) == ["notes/sale.md"]
    assert desk.call("memory_recent", **SHOP)["hits"] == []


def test_the_past_is_searched_as_it_was_and_counts_as_no_read(desk):
    desk.write("notes/a.md", "saffron")
    desk.world.passes(days=2)
    desk.write("notes/a.md", "vouchers")
    assert paths(desk.call("memory_query", **SHOP, query="saffron", as_of="2026-11-20")["hits"]) == ["notes/a.md"]
    desk.memory.upkeep.reads.flush(now=True)
    assert desk.memory.stores.state.reads.of(desk.project().id) == {}


def test_a_page_that_is_found_counts_as_read(desk):
    desk.write("notes/a.md", "saffron")
    desk.call("memory_query", **SHOP, query="saffron")
    desk.memory.upkeep.reads.flush(now=True)
    assert {path: read.count for path, read in desk.memory.stores.state.reads.of(desk.project().id).items()} == {
        "notes/a.md": 1
    }


def test_a_hit_explains_its_rank_when_somebody_asks(desk):
    desk.write("notes/a.md", "saffron")
    (hit,) = desk.call("memory_query", **SHOP, query="saffron", explain=True)["hits"]
    assert hit["score_details"]["streams"]["pages"]["rank"] == 1


def test_an_embedder_that_is_not_there_is_told_beside_the_hits(desk, monkeypatch):
    desk.write("notes/a.md", "saffron")
    monkeypatch.setattr(type(desk.memory.embedding), "is_on", True)
    monkeypatch.setattr(desk.memory.embedding, "query", lambda _: (None, "the embedder does not answer"))
    answer = desk.call("memory_query", **SHOP, query="saffron")
    assert (paths(answer["hits"]), answer["degraded"]) == (["notes/a.md"], "the embedder does not answer")


def test_what_changed_last_comes_first_with_its_time(desk):
    desk.write("notes/a.md", "One.")
    desk.write("notes/b.md", "Two.")
    answer = desk.call("memory_recent", **SHOP)
    first, second = answer["hits"]
    assert (first["path"], first["updated_at"]) == ("notes/b.md", "2026-11-20T10:02:00Z")
    assert first["rank"] == int(desk.world.now.timestamp() * 1e6)
    assert (second["path"], second["snippet"]) == ("notes/a.md", f"{FENCE_START}\nOne.\n{FENCE_END}")
    assert answer["scope"] == SCOPE


def test_status_counts_what_the_project_holds_and_no_other(desk):
    desk.world.works(SESSION)
    desk.memory.sessions.settle()
    desk.write("notes/a.md", "One.")
    desk.write("notes/a.md", "Two.")
    desk.write("notes/other.md", "x", desk.project("bank"))
    assert desk.call("memory_status", **SHOP) == {
        "counts": {"pages_latest": 2, "pages_all": 3, "sessions": 1, "observations": 4},
        "warnings": [],
        "scope": SCOPE,
    }


def test_status_says_what_waits_for_somebody(desk):
    desk.write("notes/a.md", "---\nexpires_at: soon\n---\nOne.")
    desk.memory.upkeep.put_off = "the clock is 99 days beyond the last upkeep"
    problem = "expires_at 'soon' is neither a date (2026-12-31) nor a time (2026-12-31T10:00:00Z)"
    assert desk.call("memory_status", **SHOP)["warnings"] == [
        "the clock is 99 days beyond the last upkeep",
        f"pages with a problem: 1 (default/shop/notes/a.md: {problem})",
    ]


def test_without_names_the_callers_session_tells_the_project(desk):
    desk.world.works(SESSION)
    desk.write("notes/a.md", "saffron", desk.project("shop"))
    scope = desk.call("memory_query", Who(session=SESSION), query="saffron")["scope"]
    assert scope == {**SHOP, "resolved_by": "session"}


def test_a_guess_is_good_enough_to_read_and_is_called_one(desk):
    desk.world.works(SESSION)
    for name, arguments in (("memory_query", {"query": "saffron"}), ("memory_recent", {}), ("memory_status", {})):
        assert desk.call(name, **arguments)["scope"] == {**SHOP, "resolved_by": "last-active"}


@pytest.mark.parametrize("name", ["memory_query", "memory_recent", "memory_status"])
def test_where_nothing_tells_the_project_there_is_no_empty_success(desk, name):
    asks = {"query": "saffron"} if name == "memory_query" else {}
    desk.project()
    desk.project("shop", "other")
    before = desk.everything()
    with pytest.raises(ScopeUnresolvedError, match="default/shop, other/shop"):
        desk.call(name, **asks)
    with pytest.raises(NotFoundError, match="default/shop, other/shop"):
        desk.call(name, **asks, project="shop")
    for wrong in ({"workspace": "default", "project": "shup"}, {"workspace": "nowhere", "project": "shop"}):
        with pytest.raises(NotFoundError, match="known: default/shop"):
            desk.call(name, **asks, **wrong)
    with pytest.raises(NotFoundError, match="there is no workspace nowhere"):
        desk.call(name, **asks, workspace="nowhere")
    assert desk.everything() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"query": ""},
        {"query": 7},
        {"query": "x" * 10_001},
        {"query": "a", "limit": "10"},
        {"query": "a", "limit": 1.5},
        {"query": "a", "depth": 3},
        {"query": "a", "scopes": [{"workspace": "default"}]},
        {"query": "a", "scopes": [SHOP] * 26},
        {"query": "a", "project": "x" * 300},
    ],
)
def test_arguments_of_a_search_that_mean_nothing_are_refused(desk, wrong):
    desk.project()
    with pytest.raises(ValidationError):
        desk.call("memory_query", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"global": True, **SHOP},
        {"global": True, "scopes": [SHOP]},
        {"scopes": [SHOP], **SHOP},
        {"as_of": "yesterday", **SHOP},
    ],
)
def test_arguments_of_a_search_that_contradict_each_other_are_refused(desk, wrong):
    desk.project()
    with pytest.raises(BadRequestError):
        desk.call("memory_query", query="a", **wrong)


def test_null_means_that_nothing_was_said(desk):
    desk.write("notes/a.md", "saffron")
    assert desk.call("memory_query", **SHOP, query="saffron", limit=None, scopes=None)["hits"]


def test_an_unknown_project_among_several_is_refused(desk):
    desk.write("notes/a.md", "saffron")
    with pytest.raises(NotFoundError, match="there is no project default/attic"):
        desk.call("memory_query", query="saffron", scopes=[SHOP, {"workspace": "default", "project": "attic"}])


def test_a_hostile_page_is_found_inside_its_fence(desk, hostile):
    text, assert_tamed = hostile
    desk.write("notes/a.md", text, title=text)
    assert_tamed(desk.call("memory_query", **SHOP, query="saffron"))
    assert_tamed(desk.call("memory_recent", **SHOP))
