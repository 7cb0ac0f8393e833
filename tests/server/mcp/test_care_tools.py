"""Keeping pages good over MCP: lint, and what readers say of a page."""

import pytest
from pydantic import ValidationError

from ai_memory.errors import NotFoundError, ScopeUnresolvedError
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.server.pages import page_id

SHOP = {"workspace": "default", "project": "shop"}
SCOPE = {**SHOP, "resolved_by": "explicit"}
SESSION = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"


def fence(text):
    return f"{FENCE_START}\n{text}\n{FENCE_END}"


def test_what_a_reader_says_is_recorded_and_lint_tells_it_until_the_page_is_rewritten(desk):
    desk.write("notes/a.md", "The port is 8080.")
    said = desk.call("memory_feedback", **SHOP, path="notes/a.md", signal="wrong", reason="it is 9090")
    assert said == {
        "recorded": True,
        "path": "notes/a.md",
        "page_id": page_id(desk.project().id, "notes/a.md"),
        "signal": "wrong",
        "salience": 0.25,
        "routed_to_lint": True,
        "scope": SCOPE,
    }
    finding = {
        "kind": "feedback_flagged",
        "severity": "warning",
        "message": "Readers called it wrong once: rewrite it, or delete it",
        "pages": ["notes/a.md"],
        "detail": fence("it is 9090"),
    }
    assert desk.call("memory_lint", **SHOP, dry_run=True) == {"findings": [finding], "report": None, "scope": SCOPE}
    desk.write("notes/a.md", "The port is 9090.")
    assert desk.call("memory_lint", **SHOP) == {"findings": [], "report": None, "scope": SCOPE}


@pytest.mark.parametrize(("signal", "salience"), [("helpful", 1.25), ("not_helpful", 0.75)])
def test_a_page_that_helped_or_not_is_no_matter_for_lint(desk, signal, salience):
    desk.write("notes/a.md")
    said = desk.call("memory_feedback", **SHOP, path="notes/a.md", signal=signal)
    assert (said["salience"], said["routed_to_lint"]) == (salience, False)
    assert desk.call("memory_lint", **SHOP, no_llm=True)["findings"] == []


def test_lint_keeps_a_report_and_a_dry_run_writes_none(desk):
    desk.write("notes/a.md", title="VAT")
    desk.write("notes/b.md", title="VAT")
    before = desk.everything()
    dry = desk.call("memory_lint", **SHOP, dry_run=True)
    assert (dry["report"], desk.everything()) == (None, before)
    done = desk.call("memory_lint", **SHOP)
    assert done == {**dry, "report": "_lint/report.md"}
    assert "`notes/a.md`" in desk.call("memory_read_page", **SHOP, path="_lint/report.md")["body"]


def test_of_very_many_findings_the_first_are_given_and_the_rest_counted(desk):
    for number in range(103):
        desk.write(f"_rules/{number:03}.md")
    answer = desk.call("memory_lint", **SHOP)
    assert (len(answer["findings"]), answer["findings_left_out"]) == (100, 3)


def test_a_guess_is_enough_to_look_and_not_to_write(desk):
    desk.world.works(SESSION)
    desk.write("notes/a.md")
    before = desk.everything()
    assert desk.call("memory_lint", Who(agent="codex"), dry_run=True)["scope"]["resolved_by"] == "last-active"
    for tool, arguments in (("memory_lint", {}), ("memory_feedback", {"path": "notes/a.md", "signal": "wrong"})):
        with pytest.raises(ScopeUnresolvedError, match="default/shop"):
            desk.call(tool, Who(agent="codex"), **arguments)
    assert desk.everything() == before
    assert desk.memory.stores.state.feedback.of(desk.project().id) == []


def test_what_cannot_be_done_leaves_nothing(desk):
    desk.write("notes/a.md")
    before = desk.everything()
    for tool, refused, arguments in (
        ("memory_feedback", NotFoundError, {**SHOP, "path": "notes/none.md", "signal": "wrong"}),
        ("memory_feedback", NotFoundError, {"project": "none", "path": "notes/a.md", "signal": "wrong"}),
        ("memory_feedback", ValidationError, {**SHOP, "path": "notes/a.md", "signal": "great"}),
        ("memory_feedback", ValidationError, {**SHOP, "path": "notes/a.md"}),
        ("memory_feedback", ValidationError, {**SHOP, "path": "notes/a.md", "signal": "wrong", "reason": "x" * 501}),
        ("memory_lint", NotFoundError, {"project": "none"}),
        ("memory_lint", ValidationError, {**SHOP, "dry_run": "yes"}),
    ):
        with pytest.raises(refused):
            desk.call(tool, **arguments)
    assert desk.everything() == before
    assert desk.memory.stores.state.feedback.of(desk.project().id) == []


def test_hostile_texts_are_tamed(desk, hostile):
    text, assert_tamed = hostile
    desk.write("notes/a.md", title=text)
    desk.write("notes/b.md", title=text)
    desk.call("memory_feedback", **SHOP, path="notes/a.md", signal="stale", reason=text)
    assert_tamed(desk.call("memory_lint", **SHOP))
    assert_tamed(desk.call("memory_read_page", **SHOP, path="_lint/report.md"))
