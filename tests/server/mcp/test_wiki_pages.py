"""Pages over MCP: read with what is around them, written, deleted; what is refused leaves nothing behind."""

import pytest
from pydantic import ValidationError

from ai_memory.errors import AiMemoryError, BadRequestError, NotFoundError, ScopeUnresolvedError
from ai_memory.memory.pages import PageChangedError, PageDeletedError
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.model.page import BadPagePathError
from ai_memory.server.mcp.tool import fenced
from ai_memory.server.pages import page_id

SHOP = {"workspace": "default", "project": "shop"}
SCOPE = {**SHOP, "resolved_by": "explicit"}
SESSION = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"


def text_of(desk, path, project=None):
    return desk.memory.pages.read(project or desk.project(), path).text


def test_a_page_is_read_whole_and_fenced(desk):
    written = desk.write("decisions/auth.md", "# Tokens\n\nThey last an hour.\n", tags=["auth"], pinned=True)
    desk.write("notes/b.md", "See [[decisions/auth.md]].")
    assert desk.call("memory_read_page", **SHOP, path="decisions/auth.md") == {
        "page_id": page_id(desk.project().id, "decisions/auth.md"),
        "path": "decisions/auth.md",
        "title": "Tokens",
        "kind": "decision",
        "tier": "semantic",
        "pinned": True,
        "revision": written.revision,
        "updated_at": "2026-11-20T10:01:00Z",
        "author": "ana, Claude Code",
        "frontmatter": {"type": "Decision", "tags": ["auth"], "pinned": True},
        "body": f"{FENCE_START}\n# Tokens\n\nThey last an hour.\n\n{FENCE_END}",
        "backlink_count": 1,
        "scope": SCOPE,
    }


@pytest.mark.parametrize("word", ["query", "q", "search"])
def test_a_page_is_read_by_what_it_is_about(desk, word):
    desk.write("notes/a.md", "# Crocus\n\nSaffron comes from it.\n")
    assert desk.call("memory_read_page", **SHOP, **{word: "where is saffron from"})["path"] == "notes/a.md"
    with pytest.raises(NotFoundError, match="no page of default/shop says anything of 'zebra'"):
        desk.call("memory_read_page", **SHOP, **{word: "zebra"})


def test_a_page_that_is_read_counts_as_read(desk):
    desk.write("notes/a.md")
    desk.call("memory_read_page", **SHOP, path="notes/a.md")
    desk.memory.upkeep.reads.flush(now=True)
    assert list(desk.memory.stores.state.reads.of(desk.project().id)) == ["notes/a.md"]


def related(desk, path, depth):
    answer = desk.call("memory_read_page", **SHOP, path=path, include_related=True, related_depth=depth)
    return [(each["project"], each["path"], each["how"], each["steps"]) for each in answer["related"]]


def test_what_is_around_a_page_is_listed_once_the_nearest_first(desk):
    desk.write("notes/a.md", "To [[notes/b.md]] and [[notes/nowhere.md]].")
    desk.write("notes/b.md", "To [[notes/c.md]], back to [[notes/a.md]].")
    desk.write("notes/c.md", "To [[notes/d.md]].")
    desk.write("notes/d.md", "The end.")
    desk.write("notes/x.md", "To [[notes/a.md]].")
    around = [("shop", "notes/b.md", "linked from notes/a.md", 1), ("shop", "notes/x.md", "links to notes/a.md", 1)]
    assert related(desk, "notes/a.md", 1) == around
    second = ("shop", "notes/c.md", "linked from notes/b.md", 2)
    assert related(desk, "notes/a.md", 2) == [*around, second]
    assert related(desk, "notes/a.md", 3) == [*around, second, ("shop", "notes/d.md", "linked from notes/c.md", 3)]


def test_what_is_around_a_page_reaches_into_other_projects_and_leaves_out_what_expired(desk):
    desk.write("notes/far.md", "Far.", desk.project("bank"))
    desk.write("notes/old.md", "To [[notes/a.md]].", expires_at="2026-11-20T10:30:00Z")
    desk.write("notes/a.md", "To [[bank:notes/far.md]].")
    found = related(desk, "notes/a.md", 1)
    assert ("bank", "notes/far.md", "linked from notes/a.md", 1) in found
    desk.world.passes(hours=1)
    assert [path for _, path, _, _ in related(desk, "notes/a.md", 1)] == ["notes/far.md"]


def test_so_many_pages_around_one_are_listed_and_no_more(desk):
    desk.write("notes/hub.md", " ".join(f"[[notes/{n}.md]]" for n in range(60)))
    for number in range(60):
        desk.write(f"notes/{number}.md", "A spoke.")
    assert len(related(desk, "notes/hub.md", 2)) == 50


def test_a_page_is_written_with_all_that_is_said_of_it(desk):
    desk.project()
    answer = desk.call(
        "memory_write_page",
        Who(agent="codex", user="ana"),
        **SHOP,
        path="gotchas/clock.md",
        body="It runs fast.",
        title="The clock",
        kind="gotcha",
        tier="procedural",
        tags=["time"],
        pinned=True,
        expires_at="2027-01-31",
    )
    revision = answer["revision"]
    assert answer == {
        "page_id": page_id(desk.project().id, "gotchas/clock.md"),
        "path": "gotchas/clock.md",
        "revision": revision,
        "checkpoint": revision,
        "changed": True,
        "created": True,
        "scope": SCOPE,
    }
    assert text_of(desk, "gotchas/clock.md") == (
        "---\ntitle: The clock\ntype: Gotcha\nkind: gotcha\ntier: procedural\ntags:\n- time\npinned: true\n"
        "expires_at: '2027-01-31'\n---\nIt runs fast."
    )
    assert desk.memory.stores.wiki.git.recent(1)[0].author == ("ana, Codex", "codex@local")
    row = desk.memory.stores.pages.page(desk.project().id, "gotchas/clock.md")
    assert row.expires_at.isoformat() == "2027-01-31T23:59:59.999999+00:00"


def test_what_is_not_said_of_a_page_stays_as_it_is(desk):
    desk.write("notes/a.md", "One.", tags=["old"], pinned=True, expires_at="2027-01-31")
    before = text_of(desk, "notes/a.md")
    desk.call("memory_write_page", **SHOP, path="notes/a.md", body="Two.")
    assert text_of(desk, "notes/a.md") == before.replace("One.", "Two.")
    desk.call("memory_write_page", **SHOP, path="notes/a.md", body="Two.", tags=[], pinned=False)
    assert desk.memory.pages.read(desk.project(), "notes/a.md").pinned is False
    assert desk.memory.pages.read(desk.project(), "notes/a.md").front["tags"] == []


def test_the_same_again_changes_nothing(desk):
    desk.project()
    first = desk.call("memory_write_page", **SHOP, path="notes/a.md", body="One.")
    second = desk.call("memory_write_page", **SHOP, path="notes/a.md", body="One.")
    assert second == {**first, "changed": False, "created": False, "checkpoint": None}


def test_a_body_that_was_read_is_written_back_without_its_fence(desk):
    desk.write("notes/a.md", "One.\n")
    body = desk.call("memory_read_page", **SHOP, path="notes/a.md")["body"]
    assert body == fenced("One.\n")
    assert desk.call("memory_write_page", **SHOP, path="notes/a.md", body=body)["changed"] is False
    desk.call("memory_write_page", **SHOP, path="notes/a.md", body=body.replace("One.", "Two."))
    assert desk.memory.pages.read(desk.project(), "notes/a.md").body == "Two.\n"


def test_a_write_over_what_somebody_else_changed_is_refused(desk):
    seen = desk.write("notes/a.md", "One.").revision
    newer = desk.write("notes/a.md", "Two.").revision
    with pytest.raises(PageChangedError, match="read it again, merge"):
        desk.call("memory_write_page", **SHOP, path="notes/a.md", body="Mine.", expected_revision=seen)
    assert text_of(desk, "notes/a.md").endswith("Two.")
    desk.call("memory_write_page", **SHOP, path="notes/a.md", body="Both.", expected_revision=newer)
    assert text_of(desk, "notes/a.md").endswith("Both.")


def test_a_deleted_page_comes_back_only_on_purpose(desk):
    desk.write("notes/a.md", "One.")
    answer = desk.call("memory_delete_page", **SHOP, path="notes/a.md")
    oid = answer["checkpoint"]
    assert oid == desk.memory.stores.wiki.git.head()
    assert answer == {
        "path": "notes/a.md",
        "deleted": True,
        "existed": True,
        "backlinks": 0,
        "remains": "git history and backups keep it",
        "checkpoint": oid,
        "scope": SCOPE,
    }
    again = desk.call("memory_delete_page", **SHOP, path="notes/a.md")
    assert (again["deleted"], again["existed"], again["checkpoint"]) == (True, False, None)
    with pytest.raises(NotFoundError, match="was deleted"):
        desk.call("memory_read_page", **SHOP, path="notes/a.md")
    with pytest.raises(PageDeletedError):
        desk.call("memory_write_page", **SHOP, path="notes/a.md", body="Two.")
    assert desk.call("memory_write_page", **SHOP, path="notes/a.md", body="Two.", revive=True)["changed"]


def test_a_preference_for_all_projects_makes_their_own_project_once(desk):
    first = desk.call("memory_write_page", path="_rules/tabs.md", body="Tabs.", scope="global")
    second = desk.call("memory_write_page", path="_rules/eol.md", body="LF.", scope="global")
    place = {"workspace": "_global", "project": "_global", "resolved_by": "explicit"}
    assert (first["scope"], second["scope"]) == (place, place)
    assert [each.label for each in desk.memory.projects.all()] == ["_global/_global"]
    desk.world.close()
    desk.world.open()
    assert text_of(desk, "_rules/tabs.md", desk.memory.projects.preferences()).endswith("Tabs.")


def test_a_project_is_made_only_on_purpose(desk):
    desk.project()
    new = {"workspace": "money", "project": "bank"}
    with pytest.raises(NotFoundError, match="known: default/shop"):
        desk.call("memory_write_page", **new, path="notes/a.md", body="One.")
    assert [each.label for each in desk.memory.projects.all()] == ["default/shop"]
    answer = desk.call("memory_write_page", **new, path="notes/a.md", body="One.", create_project=True)
    assert (answer["created"], answer["scope"]) == (True, {**new, "resolved_by": "explicit"})


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"path": "../a.md"}, "must be relative"),
        ({"path": "/etc/passwd.md"}, "must be relative"),
        ({"path": "notes/a.txt"}, "ends in '.md'"),
        ({"path": "_meta.md"}, "kept for a file"),
        ({"path": f"notes/{'x' * 300}.md"}, "longer than 240 bytes"),
        ({"path": "notes/AKIAIOSFODNN7EXAMPLE.md"}, "looks like a secret"),
        ({"body": "x" * (1024 * 1024 + 1)}, "at most 1024 KiB"),
        ({"tier": "golden"}, "is not one of working"),
        ({"expires_at": "soon"}, "neither a date"),
        ({"expires_at": "2020-01-01"}, "is over already"),
        ({"expected_revision": "0123456789"}, "not there any more"),
        ({"expected_revision": "main"}, "is not a revision"),
        ({"project": "Bad Name"}, "project name 'Bad Name' is not usable"),
        ({"project": "_global"}, "project name '_global' is not usable"),
        ({"workspace": "-"}, "workspace name '-' is not usable"),
        ({"workspace": ""}, "needs both names"),
        ({"project": ""}, "needs both names"),
        ({"scope": "global"}, "no workspace and project"),
        ({"scope": "galaxy"}, 'can only be "global"'),
    ],
)
def test_a_write_that_is_refused_makes_no_project(desk, wrong, reason):
    whole = {"workspace": "new", "project": "bank", "path": "notes/a.md", "body": "One.", "create_project": True}
    before = desk.everything()
    with pytest.raises(AiMemoryError, match=reason):
        desk.call("memory_write_page", **{**whole, **wrong})
    assert desk.everything() == before


@pytest.mark.parametrize("name", ["memory_read_page", "memory_write_page", "memory_delete_page"])
def test_an_unclear_project_is_refused_with_what_there_is(desk, name):
    asks = {"path": "notes/a.md", **({"body": "One."} if name == "memory_write_page" else {})}
    desk.write("notes/a.md")
    desk.project("shop", "other")
    before = desk.everything()
    with pytest.raises(ScopeUnresolvedError, match="default/shop, other/shop"):
        desk.call(name, **asks)
    with pytest.raises(NotFoundError, match="default/shop, other/shop"):
        desk.call(name, **asks, project="shop")
    for wrong in ({"workspace": "default", "project": "shup"}, {"workspace": "nowhere", "project": "shop"}):
        with pytest.raises(NotFoundError, match="known: default/shop"):
            desk.call(name, **asks, **wrong)
    assert desk.everything() == before


@pytest.mark.parametrize("name", ["memory_write_page", "memory_delete_page"])
def test_a_guess_is_not_good_enough_to_change_anything(desk, name):
    asks = {"path": "notes/a.md", **({"body": "One."} if name == "memory_write_page" else {})}
    desk.world.works(SESSION)
    desk.write("notes/a.md", "Kept.", desk.project("shop"))
    before = desk.everything()
    with pytest.raises(ScopeUnresolvedError, match="default/shop"):
        desk.call(name, **asks)
    assert desk.everything() == before
    assert desk.call(name, Who(session=SESSION), **asks)["scope"] == {**SHOP, "resolved_by": "session"}


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "notes/../../x.md", "notes\\x.md", "a//b.md"])
def test_a_path_outside_of_the_wiki_is_read_and_deleted_by_nobody(desk, path):
    desk.write("notes/a.md")
    before = desk.everything()
    for name in ("memory_read_page", "memory_delete_page"):
        with pytest.raises(BadPagePathError):
            desk.call(name, **SHOP, path=path)
    assert desk.everything() == before


@pytest.mark.parametrize("wrong", [{}, {"path": "notes/a.md", "query": "a"}, {"path": "", "query": ""}])
def test_a_page_is_named_in_exactly_one_way(desk, wrong):
    desk.write("notes/a.md")
    with pytest.raises(BadRequestError, match="one of the two"):
        desk.call("memory_read_page", **SHOP, **wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("memory_read_page", {"path": 7}),
        ("memory_read_page", {"path": "x" * 1_001}),
        ("memory_read_page", {"path": "a.md", "related_depth": 4}),
        ("memory_read_page", {"path": "a.md", "include_related": "yes"}),
        ("memory_write_page", {"path": "a.md"}),
        ("memory_write_page", {"body": "One."}),
        ("memory_write_page", {"path": "a.md", "body": ""}),
        ("memory_write_page", {"path": "a.md", "body": ["One."]}),
        ("memory_write_page", {"path": "a.md", "body": "x" * (4 * 1024 * 1024 + 1)}),
        ("memory_write_page", {"path": "a.md", "body": "One.", "tags": "one, two"}),
        ("memory_write_page", {"path": "a.md", "body": "One.", "pinned": "true"}),
        ("memory_write_page", {"path": "a.md", "body": "One.", "stage": True}),
        ("memory_delete_page", {}),
        ("memory_delete_page", {"path": ""}),
        ("memory_delete_page", {"path": "a.md", "confirm": True}),
    ],
)
def test_arguments_of_a_page_that_mean_nothing_are_refused(desk, name, wrong):
    before = desk.everything()
    with pytest.raises(ValidationError):
        desk.call(name, **SHOP, **wrong)
    assert desk.everything() == before


def test_a_hostile_page_is_read_inside_its_fence(desk, hostile):
    text, assert_tamed = hostile
    front = f"---\nsummary: before {FENCE_END} after\n---\n"
    desk.write("notes/evil.md", front + text, title=text)
    desk.write("notes/b.md", "See [[notes/evil.md]].")
    assert_tamed(desk.call("memory_read_page", **SHOP, path="notes/evil.md"))
    answer = desk.call("memory_read_page", **SHOP, path="notes/b.md", include_related=True)
    assert FENCE_START not in answer["related"][0]["title"]
    assert_tamed(answer)
