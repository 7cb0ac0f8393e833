"""Search over `/api/v1`: every way to say where to look, and whatever somebody types."""

import pytest

from tests.server.api.api_world import TWO

HITS = {"workspace", "project", "path", "title", "kind", "snippet", "rank"}
ATLAS, INFRA = {"workspace": "default", "project": "atlas"}, {"workspace": "default", "project": "infra"}
SESSION = f"sessions/{TWO}.md"


def places(hits):
    return [(hit["project"], hit["path"]) for hit in hits]


def test_hits_are_a_bare_list_the_best_first(client):
    answer = client.get("/search", q="saffron sorted", **ATLAS)
    assert answer.headers["Cache-Control"] == "private, max-age=30"
    best = answer.json[0]
    assert best == {
        **ATLAS,
        "path": "concepts/index.md",
        "title": "Index",
        "kind": "concept",
        "snippet": "The <mark>saffron</mark> is <mark>sorted</mark>.",
        "rank": best["rank"],
    }
    assert best["rank"] < 0
    assert [hit["rank"] for hit in answer.json] == sorted(hit["rank"] for hit in answer.json)


def test_each_hit_can_be_opened(client):
    hits = client.get("/search", q="saffron", limit=100).json
    assert {SESSION, "notes/only.md"} <= {hit["path"] for hit in hits}
    for hit in hits:
        client.get(f"/workspaces/{hit['workspace']}/projects/{hit['project']}/pages/{hit['path']}")


def test_query_is_another_name_of_q(client):
    assert client.get("/search", query="saffron").json == client.get("/search", q="saffron").json
    assert client.post("/search", {"query": "saffron"}).json == client.post("/search", {"q": "saffron"}).json


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"scope": ["default/atlas", "default/infra"]}, {"scopes": [ATLAS, INFRA]}),
        ({"scope": "default/atlas,default/infra"}, {"scopes": [INFRA, ATLAS, INFRA]}),
    ],
    ids=["repeated", "with-a-comma"],
)
def test_several_projects_are_searched_at_once(client, query, body):
    by_query = client.get("/search", q="saffron", **query).json
    assert places(by_query)[:2] == [("atlas", "concepts/index.md"), ("infra", "runbooks/wal.md")]
    assert {hit["project"] for hit in by_query} == {"atlas", "infra"}
    by_body = client.post("/search", {"q": "saffron", **body})
    assert (by_body.json, by_body.headers["Cache-Control"]) == (by_query, "private, no-store")


def test_one_project_is_searched_without_the_others(client):
    by_query = client.get("/search", q="saffron", **INFRA).json
    assert {hit["project"] for hit in by_query} == {"infra"}
    assert client.post("/search", {"q": "saffron", **INFRA}).json == by_query


def test_no_scopes_at_all_find_nothing(client):
    assert client.post("/search", {"q": "saffron", "scopes": []}).json == []


def test_a_search_is_cut_to_its_limit(client):
    everything = client.get("/search", q="saffron").json
    assert len(everything) > 2
    assert client.get("/search", q="saffron", limit=2).json == everything[:2]
    assert client.post("/search", {"q": "saffron", "limit": 2}).json == everything[:2]
    assert client.post("/search", {"q": "saffron", "limit": -1}).json == everything[:1]
    assert client.post("/search", {"q": "saffron", "limit": 10**30}).json == everything


@pytest.mark.parametrize("said", ["", " ", "...", '"', "(((", "*", "\x00", "-", "^", "''", "{}:", "\\", '"" ""'])
def test_what_says_nothing_finds_nothing(client, said):
    assert client.get("/search", q=said).json == []
    assert client.post("/search", {"q": said}).json == []


@pytest.mark.parametrize(
    "said",
    ['"saffron', 'saffron"', "saffron (", "saffron AND", "saffron*", "title:saffron OR", "NEAR(saffron", "saffron\x00"],
)
def test_what_is_half_typed_finds_what_it_can(client, said):
    assert ("atlas", "concepts/index.md") in places(client.get("/search", q=said).json)


def test_filters_alone_list_the_newest(client):
    hits = client.get("/search", q="kind:decision").json
    assert [(hit["path"], hit["rank"]) for hit in hits] == [
        ("decisions/0003-index.md", 0),
        ("decisions/0002-tree.md", 0),
    ]


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ({"workspace": "default"}, 400, "workspace and project must be provided together"),
        ({"project": "atlas"}, 400, "workspace and project must be provided together"),
        ({"scope": "default/atlas", **ATLAS}, 400, "name workspace and project, or scopes, not both"),
        ({"scope": ["default/atlas"] * 26}, 400, "at most 25 scopes can be searched at once"),
        ({"scope": ",".join(["default/atlas"] * 26)}, 400, "at most 25 scopes can be searched at once"),
        ({"scope": "atlas"}, 400, "a scope is written workspace/project"),
        ({"scope": "a/b/c"}, 400, "a scope is written workspace/project"),
        ({"scope": ""}, 400, "a scope is written workspace/project"),
        ({"scope": "default/"}, 400, "each scope needs both, a workspace and a project"),
        ({"limit": "many"}, 400, "limit must be a whole number, not 'many'"),
        (
            {"scope": "default/nowhere"},
            404,
            "there is no project default/nowhere: /api/v1/projects lists those that there are",
        ),
        (
            {"workspace": "nowhere", "project": "atlas"},
            404,
            "there is no project nowhere/atlas: /api/v1/projects lists those that there are",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(client, query, status, problem):
    for question in ("saffron", ""):
        assert client.get("/search", status, q=question, **query).json == {"error": problem}


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"workspace": "default"}, 400, "workspace and project must be provided together"),
        ({"scopes": [ATLAS], **ATLAS}, 400, "name workspace and project, or scopes, not both"),
        ({"scopes": [ATLAS] * 26}, 400, "at most 25 scopes can be searched at once"),
        ({"scopes": ["default/atlas"]}, 400, "scopes must be a list of objects with a workspace and a project"),
        ({"scopes": ATLAS}, 400, "scopes must be a list of objects with a workspace and a project"),
        ({"scopes": [{"workspace": "default"}]}, 400, "each scope needs both, a workspace and a project"),
        ({"scopes": [{**ATLAS, "project": 1}]}, 400, "project must be a text"),
        ({"limit": "3"}, 400, "limit must be a whole number"),
        ({"limit": True}, 400, "limit must be a whole number"),
        ({"q": ["saffron"]}, 400, "q must be a text"),
        (
            {"scopes": [ATLAS, {**ATLAS, "project": "nowhere"}]},
            404,
            "there is no project default/nowhere: /api/v1/projects lists those that there are",
        ),
    ],
)
def test_a_body_that_cannot_be_asked_is_refused_with_the_reason(client, body, status, problem):
    assert client.post("/search", {"q": "saffron", **body}, status).json == {"error": problem}


@pytest.mark.parametrize("body", [b"", b"[]", b"saffron", b"\xff", b"[" * 100_000, b'"q"'])
def test_a_body_that_is_no_object_is_refused(client, body):
    assert client.post("/search", body, 400).json["error"].startswith("the body ")


def test_a_body_that_is_too_large_is_refused(client):
    answer = client.post("/search", b" " * (10 * 1024 * 1024 + 1), 413)
    assert answer.json == {"error": "the body is larger than 10 MiB"}


@pytest.mark.parametrize("path", ["/search?q=%", "/search?q=%zz", "/search?q=%ff", "/search?%C3=x"])
def test_what_is_badly_encoded_is_refused(client, path):
    answer = client.plain("GET", f"/api/v1{path}")
    problem = "the address is not percent-encoded UTF-8: write each byte of a sign as % and two digits"
    assert (answer.status, answer.json) == (400, {"error": problem})
