"""Catching up over MCP: how a project stands, and what fits a focus."""

import pytest
from pydantic import ValidationError

from ai_memory.errors import NotFoundError, ScopeUnresolvedError
from ai_memory.memory.scopes import Who

SHOP = {"workspace": "default", "project": "shop"}
SCOPE = {**SHOP, "resolved_by": "explicit"}
SESSION = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"


def test_a_briefing_is_the_snapshot_and_the_scope(desk):
    desk.write("_rules/style.md", "# Style\n")
    desk.write("notes/a.md")
    answer = desk.call("memory_briefing", **SHOP, recent_pages_limit=1)
    assert answer == {**desk.memory.briefing.of(desk.project(), 1).as_json(), "scope": SCOPE}
    assert [page["path"] for page in answer["recent_pages"]] == ["notes/a.md"]


def test_without_a_model_exploring_is_the_briefing_and_says_why(desk):
    desk.write("notes/a.md")
    answer = desk.call("memory_explore", **SHOP)
    assert answer.keys() == {"prose", "reason", "briefing", "scope"}
    assert answer["prose"] is None
    assert "needs a model, and none is set" in answer["reason"]
    assert answer["briefing"] == desk.memory.briefing.of(desk.project(), 10).as_json()


def test_a_focus_gives_the_pages_that_fit_best_and_counts_as_reading_them(desk):
    desk.write("notes/a.md", "saffron")
    desk.write("notes/b.md", "vouchers")
    answer = desk.call("memory_explore", **SHOP, focus="saffron")
    assert [hit["path"] for hit in answer["hits"]] == ["notes/a.md"]
    desk.memory.upkeep.reads.flush(now=True)
    assert desk.memory.stores.state.reads.of(desk.project().id).keys() == {"notes/a.md"}


@pytest.mark.parametrize("tool", ["memory_briefing", "memory_explore"])
def test_a_guessed_project_is_told_as_such_and_nothing_is_created(desk, tool):
    with pytest.raises(ScopeUnresolvedError):
        desk.call(tool)
    desk.world.works(SESSION)
    assert desk.call(tool, Who(agent="codex"))["scope"] == {**SHOP, "resolved_by": "last-active"}
    assert desk.call(tool, Who(session=SESSION))["scope"] == {**SHOP, "resolved_by": "session"}
    before = desk.everything()
    for named in ({"project": "none"}, {"workspace": "none", "project": "shop"}):
        with pytest.raises(NotFoundError):
            desk.call(tool, **named)
    assert desk.everything() == before


@pytest.mark.parametrize("limit", [0, 101, "10", 2.5])
def test_a_limit_that_is_none_is_refused(desk, limit):
    with pytest.raises(ValidationError):
        desk.call("memory_briefing", **SHOP, recent_pages_limit=limit)


def test_a_hostile_page_is_tamed(desk, hostile):
    text, assert_tamed = hostile
    desk.write("notes/a.md", text, title=text)
    desk.write("_rules/b.md", f"---\nsummary: {text!r}\n---\nText.\n")
    assert_tamed(desk.call("memory_explore", **SHOP, focus="saffron"))
