"""`/api/v1`, field by field: workspaces, projects, pages, briefing, overview, health, the graph. And its errors."""

import hashlib

import pytest

from ai_memory.server.api.mount import TABLE
from tests.server.api.api_world import ONE

ATLAS = "/workspaces/default/projects/atlas"
INFRA = "/workspaces/default/projects/infra"
SHOP = "/workspaces/default/projects/shop"
PAGE = f"{ATLAS}/pages/decisions/0003-index.md"
LISTS, NOT_KEPT = "private, max-age=30", "private, no-store"
EARLY, LATE = "2026-01-01T08:00:00Z", "2026-02-10T08:02:00Z"


def summary(path, title, kind, updated_at, tier="semantic"):
    return {"path": path, "title": title, "kind": kind, "tier": tier, "updated_at": updated_at}


def in_atlas(path, title, kind):
    return {"workspace": "default", "project": "atlas", "path": path, "title": title, "kind": kind}


RULE = summary("_rules/style.md", "Style", "rule", "2026-02-10T08:00:00Z")
INDEX = summary("concepts/index.md", "Index", "concept", EARLY)
TREE = summary("decisions/0002-tree.md", "Tree choice", "decision", EARLY)
CHOICE = summary("decisions/0003-index.md", "Index choice", "decision", LATE)
OLD = summary("notes/old.md", "Old", "session_log", EARLY, "episodic")
OLD_PAGE = in_atlas("notes/old.md", "Old", "session_log")
STYLE_PAGE = in_atlas("_rules/style.md", "Style", "rule")
TREE_PAGE = in_atlas("decisions/0002-tree.md", "Tree choice", "decision")


# Lists


def test_workspaces_are_a_bare_list_by_name(client):
    answer = client.get("/workspaces")
    assert answer.headers["Cache-Control"] == LISTS
    assert answer.json == [
        {"workspace_name": "default", "project_count": 4, "page_count": 10, "last_updated": "2026-02-10T08:03:09Z"},
        {"workspace_name": "lab", "project_count": 2, "page_count": 1, "last_updated": "2026-02-10T08:03:00Z"},
    ]


LAB = [
    {"workspace_name": "lab", "project_name": "empty", "page_count": 0, "last_updated": None},
    {"workspace_name": "lab", "project_name": "solo", "page_count": 1, "last_updated": "2026-02-10T08:03:00Z"},
]


def test_projects_are_a_bare_list_of_one_workspace_or_of_all(client):
    everywhere = client.get("/projects")
    assert everywhere.headers["Cache-Control"] == LISTS
    assert [row["project_name"] for row in everywhere.json] == ["atlas", "infra", "shop", "twins", "empty", "solo"]
    assert client.get("/projects", workspace="lab").json == LAB
    assert client.get("/projects", workspace="").json == everywhere.json
    assert client.get("/projects", workspace="nowhere").json == []


def test_pages_are_a_bare_list_by_path(client):
    answer = client.get(f"{ATLAS}/pages")
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert answer.json == [RULE, INDEX, TREE, CHOICE, OLD]
    assert client.get("/workspaces/lab/projects/empty/pages").json == []


def test_recent_pages_are_a_bare_list_the_last_changed_first(client):
    answer = client.get(f"{ATLAS}/recent", limit=2)
    assert (answer.headers["Cache-Control"], answer.json) == (LISTS, [CHOICE, RULE])


def test_what_changed_since_is_paged_by_a_cursor_and_kept_nowhere(client):
    first = client.get(f"{ATLAS}/recent", limit=1, updated_since="2026-02-10T09:00:00+01:00")
    assert first.headers["Cache-Control"] == NOT_KEPT
    assert (first.json["pages"], first.json["next_cursor"] is None) == ([CHOICE], False)
    # The cursor says since when, too.
    second = client.get(f"{ATLAS}/recent", limit=1, cursor=first.json["next_cursor"])
    assert second.json == {"pages": [RULE], "next_cursor": None}


def test_a_cursor_passes_over_no_page_of_those_that_changed_together(client):
    found, cursor = [], ""
    for _ in range(10):
        answer = client.get(f"{ATLAS}/recent", limit=1, cursor=cursor, updated_since="2026-01-01T00:00:00Z").json
        found += answer["pages"]
        cursor = answer["next_cursor"]
        if not cursor:
            break
    assert found == [CHOICE, RULE, INDEX, TREE, OLD]


def test_a_cursor_of_another_list_is_refused(client):
    cursor = client.get(f"{ATLAS}/recent", limit=1, updated_since=EARLY).json["next_cursor"]
    for there, query in (
        (INFRA, {"cursor": cursor}),
        (ATLAS, {"cursor": cursor, "updated_since": LATE}),
        (ATLAS, {"cursor": cursor[:-4]}),
        (ATLAS, {"cursor": "WzEsMl0"}),
        (ATLAS, {"cursor": "Я"}),
    ):
        problem = client.get(f"{there}/recent", 400, **query).json
        assert problem == {"error": "cursor is none of this list: take it from the answer before, as it is"}


@pytest.mark.parametrize("said", ["yesterday", "2026-02-30T00:00:00Z", "2026-02-10", "0001-01-01T00:00:00+23:59"])
def test_a_time_that_there_is_not_is_refused(client, said):
    problem = client.get(f"{ATLAS}/recent", 400, updated_since=said).json["error"]
    assert problem == f"updated_since {said!r} is no time: write one like 2026-01-31T09:30:00Z"


# A page


def test_a_page_has_every_field(client):
    answer = client.get(PAGE)
    assert answer.headers["Cache-Control"] == "private, max-age=300"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.text.encode()).hexdigest()}"'
    assert answer.json == {
        "workspace": "default",
        "project": "atlas",
        "path": "decisions/0003-index.md",
        "title": "Index choice",
        "kind": "decision",
        "tier": "semantic",
        "pinned": True,
        "created_at": LATE,
        "updated_at": LATE,
        "supersedes": "decisions/0002-tree.md",
        "frontmatter": {
            "supersedes": "decisions/0002-tree.md",
            "since": "2026-01-05",
            "type": "Decision",
            "tags": ["adr"],
            "pinned": True,
        },
        "body_markdown": "# Index choice\n\n"
        "See [[concepts/index.md]], [[infra:runbooks/wal.md]] and [[nowhere/at-all.md]].\n",
        # A client opens them in the same project: neither the page of another one nor the one that is missing.
        "links": [{"path": "concepts/index.md", "title": "Index", "kind": "concept"}],
        "backlinks": [],
        "author": {"username": "ana, Claude Code", "email": "claude-code@local"},
    }


def test_a_page_names_those_of_its_project_that_link_to_it(client):
    page = client.get(f"{ATLAS}/pages/concepts/index.md").json
    assert page["backlinks"] == [{"path": "decisions/0003-index.md", "title": "Index choice", "kind": "decision"}]
    assert (page["links"], page["supersedes"]) == ([], None)
    assert client.get(f"{INFRA}/pages/runbooks/wal.md").json["backlinks"] == []


def test_a_path_may_have_its_slashes_encoded(client):
    assert client.plain("GET", f"/api/v1{ATLAS}/pages/decisions%2F0003%2Dindex.md").json == client.get(PAGE).json


@pytest.mark.parametrize("said", ['"{}"', 'W/"{}"', '"x", "{}"', "*"])
def test_who_has_a_page_does_not_get_it_again(client, said):
    tag = client.get(PAGE).headers["ETag"]
    answer = client.get(PAGE, 304, {"If-None-Match": said.format(tag.strip('"'))})
    assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (tag, "private, max-age=300")


@pytest.mark.parametrize("said", ['"x"', "x", '"', "", "Я".encode().decode("latin-1")])
def test_who_has_another_page_gets_it(client, said):
    assert client.get(PAGE, headers={"If-None-Match": said}).json["title"] == "Index choice"


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("notes/none.md", 404, "page not found"),
        ("notes", 404, "page not found"),
        ("notes%2F..%2F..%2Fsecret", 400, "invalid path: page path 'notes/../../secret' must be relative"),
        ("a%2F%2Fb.md", 400, "invalid path: "),
        ("a%00.md", 400, "invalid path: "),
        ("a%0A.md", 400, "invalid path: "),
        ("a%ff.md", 400, "the address is not percent-encoded UTF-8"),
        ("a%.md", 400, "the address is not percent-encoded UTF-8"),
    ],
    ids=["none", "a-folder", "escaping", "empty-segment", "nul", "line-break", "no-utf8", "no-digits"],
)
def test_what_is_no_page_is_refused(client, path, status, problem):
    assert client.get(f"{ATLAS}/pages/{path}", status).json["error"].startswith(problem)


# How it stands


def briefing(counts, **more):
    quiet = {"sessions": 0, "observations": 0}
    return {
        "counts": counts,
        "activity_7d": {"days": 7, **quiet, "pages_updated": 2},
        "activity_30d": {"days": 30, **quiet, "pages_updated": 2},
        "last_observation_at": None,
        "pending_handoff_count": 0,
        "pending_message_count": 0,
        "narrative": None,
        "rules": [],
        "slots": [],
        "pinned": [],
        "recent_pages": [],
        "cross_project_dependents": [],
        "cross_project_dependencies": [],
        **more,
    }


BRIEFING = briefing(
    {"pages_latest": 5, "pages_all": 5, "sessions": 0, "observations": 0},
    rules=[RULE],
    pinned=[CHOICE],
    recent_pages=[CHOICE, RULE],
    cross_project_dependencies=[{"workspace": "default", "project": "infra", "links": 1}],
)


def test_a_briefing_has_every_field(client):
    answer = client.get(f"{ATLAS}/briefing", limit=2)
    assert (answer.headers["Cache-Control"], answer.json) == (NOT_KEPT, BRIEFING)


def test_an_overview_has_briefing_and_health_and_no_handoff_where_none_is_open(client):
    answer = client.get(f"{ATLAS}/overview", limit=2)
    assert answer.headers["Cache-Control"] == NOT_KEPT
    health = {
        "stale": 1,
        "duplicates": 0,
        "contradictions": 0,
        "orphans": 3,
        "audited_at": None,
        "stale_pages": [OLD_PAGE],
        "duplicate_pages": [],
        "orphan_pages": [STYLE_PAGE, TREE_PAGE],
    }
    assert answer.json == {"handoff": None, "briefing": BRIEFING, "health": health}


HANDOFF = {
    "agent": "codex",
    "at": "2026-02-10T08:03:09Z",
    "project": "shop",
    "summary": "Asked: Round the saffron bill.\n\nLast answer: Rounded per invoice.\n\n"
    "Details: sessions/6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0002.md",
    "open_questions": [],
    "next_steps": [],
}


def test_an_overview_shows_the_newest_open_handoff_again_and_again(client):
    for _ in range(2):
        assert client.get(f"{SHOP}/overview").json["handoff"] == HANDOFF
    whole = client.get("/workspaces/default/overview").json
    assert (whole["handoff"], whole["briefing"]["pending_handoff_count"]) == (HANDOFF, 2)
    assert whole["briefing"]["counts"] == {"pages_latest": 10, "pages_all": 10, "sessions": 2, "observations": 9}


def test_the_overview_of_a_workspace_has_nothing_of_another(client):
    lab = client.get("/workspaces/lab/overview").json
    assert (lab["handoff"], lab["briefing"]["counts"]["pages_latest"]) == (None, 1)
    assert lab["health"]["orphan_pages"] == [
        {"workspace": "lab", "project": "solo", "path": "notes/only.md", "title": "Only", "kind": "note"}
    ]


def test_health_can_be_looked_into(client):
    stale = client.get(f"{ATLAS}/health/stale")
    assert (stale.headers["Cache-Control"], stale.json) == (NOT_KEPT, [OLD_PAGE])
    assert client.get(f"{ATLAS}/health/orphans", limit=1).json == [STYLE_PAGE]
    twins = client.get("/workspaces/default/health/duplicates").json
    assert [(row["project"], row["path"]) for row in twins] == [("twins", "notes/a.md"), ("twins", "notes/b.md")]
    assert client.get("/workspaces/lab/health/duplicates").json == []


def test_the_graph_has_the_links_between_projects_alone(client):
    answer = client.get("/graph")
    edge = {
        "from_workspace": "default",
        "from_project": "atlas",
        "from_path": "decisions/0003-index.md",
        "to_workspace": "default",
        "to_project": "infra",
        "to_path": "runbooks/wal.md",
    }
    assert (answer.headers["Cache-Control"], answer.json) == (LISTS, {"edges": [edge]})


# Errors


@pytest.mark.parametrize(
    "route",
    ["pages", "pages/a.md", "recent", "briefing", "overview", "health/stale", "sessions", "handoffs"],
)
def test_a_project_that_is_not_there_is_missed_without_naming_others(client, route):
    answer = client.get(f"/workspaces/default/projects/nowhere/{route}", 404)
    assert answer.json == {"error": "there is no project default/nowhere: /api/v1/projects lists those that there are"}
    assert answer.headers["Cache-Control"] == NOT_KEPT


@pytest.mark.parametrize("route", ["overview", "health/orphans"])
def test_a_workspace_that_is_not_there_is_missed(client, route):
    answer = client.get(f"/workspaces/nowhere/{route}", 404)
    assert answer.json == {"error": "there is no workspace nowhere"}


@pytest.mark.parametrize(
    ("limit", "count"), [("0", 1), ("-7", 1), ("3", 3), ("101", 5), ("9" * 5000, 5), ("-" + "9" * 5000, 1)]
)
def test_a_limit_is_cut_to_what_is_allowed(client, limit, count):
    assert len(client.get(f"{ATLAS}/recent", limit=limit).json) == count


@pytest.mark.parametrize("limit", ["", "ten", "1.5", "1_0", "٣", " 1", "0x1"])
def test_a_limit_that_is_no_whole_number_is_refused(client, limit):
    problem = client.get(f"{ATLAS}/recent", 400, limit=limit).json["error"]
    assert problem == f"limit must be a whole number, not {limit!r}"


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/workspaces", "/auth/x"]
)
def test_what_is_not_there_is_missed_in_json(client, path):
    answer = client.plain("GET", path, {"Accept": "text/html"})
    told = f"there is no GET {path} here: /api/v1/openapi.json lists what there is"
    assert (answer.status, answer.json) == (404, {"error": told})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/workspaces", "GET, HEAD"),
        ("DELETE", f"/api/v1{PAGE}", "GET, HEAD"),
        ("PUT", f"/api/v1{PAGE}", "GET, HEAD"),
        ("PATCH", "/api/v1/search", "GET, HEAD, POST"),
        ("OPTIONS", "/api/v1/search", "GET, HEAD, POST"),
        ("POST", "/auth/me", "GET, HEAD"),
        ("HEAD", "/api/v1/events", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_refused_with_those_that_it_does(client, method, path, allowed):
    answer = client.plain(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    told = {"error": f"{path} does not take {method}: it takes {allowed}"}
    assert answer.json == (None if method == "HEAD" else told)


def test_the_head_of_an_answer_can_be_asked_for_alone(client):
    whole, head = client.get(PAGE), client.plain("HEAD", f"/api/v1{PAGE}")
    assert (head.status, head.text, head.headers["ETag"]) == (200, "", whole.headers["ETag"])


def test_a_fault_says_nothing_of_itself(client, own, monkeypatch, caplog):
    monkeypatch.setattr(own.memory.browsing, "workspaces", lambda: 1 / 0)
    assert client.get("/workspaces", 500).json == {"error": "internal server error"}
    assert "ZeroDivisionError" in caplog.text


def test_the_document_names_every_route(client):
    routes = {path for path in client.document["paths"] if not path.startswith("/workspaces/{workspace}/projects/")}
    assert routes == {
        "/workspaces",
        "/projects",
        "/workspaces/{workspace}/overview",
        "/workspaces/{workspace}/health/stale",
        "/workspaces/{workspace}/health/duplicates",
        "/workspaces/{workspace}/health/orphans",
        "/graph",
        "/search",
        "/events",
        "/openapi.json",
    }
    assert client.document["servers"] == [{"url": "/api/v1"}]


async def test_no_answer_is_made_in_the_loop(server):
    page = {"workspace": "default", "project": "atlas", "path": "notes/a.md"}
    assert (await server.post("/admin/write-page", json={**page, "body": "text"})).status == 200
    statuses = {}
    for route in TABLE:
        if route.door is None:
            path = f"/api/v1{route.path.format(**page, session=ONE)}"
            answer = await server.request(route.method, path, json={"q": "text"} if route.body else None)
            statuses[route.name] = answer.status
    assert statuses.pop("observations") == 404
    assert set(statuses.values()) == {200}
