"""Sessions over MCP: what one did piece by piece, what is said without a model, and what a sweep takes away."""

import json
from uuid import UUID, uuid5

import pytest
from pydantic import ValidationError

from ai_memory.errors import BadRequestError, NotFoundError, ScopeUnresolvedError
from ai_memory.memory.intake import Delivery
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.server.mcp.tool import fenced
from ai_memory.server.pages import page_id

SHOP = {"workspace": "default", "project": "shop"}
SCOPE = {**SHOP, "resolved_by": "explicit"}
ONE = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"
TWO = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0002"
READ = "memory_read_session_observations"


def finished(desk, session=ONE, **said):
    desk.world.works(session, **said)
    desk.world.says(session, "session-end")
    desk.memory.sessions.settle()


def bodies(answer):
    return [each["body"] for each in answer["observations"]]


def test_a_session_is_read_step_by_step(desk):
    desk.world.works(ONE, prompt="Which vouchers?", answer="The red ones.")
    answer = desk.call(READ, **SHOP, session_id=ONE)
    observations = answer.pop("observations")
    assert answer == {
        "session": {
            "session_id": ONE,
            "title": "Which vouchers?",
            "cwd": "/srv/shop",
            "agent_kind": "claude-code",
            "started_at": "2026-11-20T10:00:01Z",
            "ended_at": None,
            "observation_count": 4,
            "actor_user": None,
        },
        "total": 4,
        "offset": 0,
        "limit": 50,
        "order": "asc",
        "elided_other_scope": 0,
        "body_max_chars": 4000,
        "scope": SCOPE,
    }
    assert [each["kind"] for each in observations] == ["session-start", "user-prompt", "post-tool-use", "stop"]
    assert observations[1] == {
        "id": str(uuid5(desk.project().id, f"{ONE}/1")),
        "session_id": ONE,
        "kind": "user-prompt",
        "title": "Which vouchers?",
        "body": fenced("Which vouchers?"),
        "importance": 8,
        "created_at": "2026-11-20T10:00:02Z",
        "extension": None,
        "source_event": observations[1]["source_event"],
    }


def test_a_part_of_a_session_is_read_in_either_order(desk):
    for number in range(5):
        desk.world.says(ONE, "user-prompt", prompt=f"Question {number}")
    page = desk.call(READ, **SHOP, session_id=ONE, limit=2, offset=1)
    assert (bodies(page), page["total"]) == ([fenced("Question 1"), fenced("Question 2")], 5)
    newest = desk.call(READ, **SHOP, session_id=ONE, limit=2, order="desc")
    assert bodies(newest) == [fenced("Question 4"), fenced("Question 3")]
    assert newest["observations"][0]["id"] == str(uuid5(desk.project().id, f"{ONE}/4"))
    assert bodies(desk.call(READ, **SHOP, session_id=ONE, offset=5)) == []


def test_a_session_is_narrowed_by_kinds_and_words(desk):
    desk.world.works(ONE, prompt="Which vouchers?", answer="The RED ones.")
    assert bodies(desk.call(READ, **SHOP, session_id=ONE, kinds=["stop", "user-prompt"])) == [
        fenced("Which vouchers?"),
        fenced("The RED ones."),
    ]
    found = desk.call(READ, **SHOP, session_id=ONE, query="red one")
    assert (bodies(found), found["total"]) == ([fenced("The RED ones.")], 1)
    with pytest.raises(BadRequestError, match=r"no kind 'answer'.*session-start, user-prompt"):
        desk.call(READ, **SHOP, session_id=ONE, kinds=["answer"])


def test_a_long_text_of_a_session_says_how_much_is_left_out(desk):
    desk.world.says(ONE, "user-prompt", prompt="x" * 500)
    (body,) = bodies(desk.call(READ, **SHOP, session_id=ONE, body_max_chars=200))
    assert body == fenced("x" * 200 + "\n[body truncated; 300 chars omitted]")
    assert bodies(desk.call(READ, **SHOP, session_id=ONE, body_max_chars=500)) == [fenced("x" * 500)]


def test_the_session_that_is_not_named_is_the_callers_else_the_last_that_is_over(desk):
    finished(desk, ONE)
    desk.world.works(TWO)
    assert desk.call(READ, Who(session=TWO))["session"]["session_id"] == TWO
    assert desk.call(READ, **SHOP)["session"]["session_id"] == ONE
    stranger = desk.call(READ, Who(session="another"), **SHOP)
    assert stranger["session"]["session_id"] == ONE


def test_an_agents_own_id_names_its_session_too(desk):
    desk.world.says("ses_abc", "user-prompt", prompt="Hello there")
    answer = desk.call(READ, **SHOP, session_id="ses_abc")
    assert answer["session"]["session_id"] == desk.call(READ, Who(session="ses_abc"))["session"]["session_id"]


def test_what_a_session_did_in_another_project_is_counted_and_not_shown(desk):
    desk.world.works(ONE)
    elsewhere = {"agent": "claude-code", "event": "user-prompt", "cwd": "/srv/bank", "repo_root": "/srv/bank"}
    said = json.dumps({"session_id": ONE, "prompt": "The plan of the bank"}).encode()
    desk.memory.intake.record([Delivery({**elsewhere, "project": "bank", "project_src": "repo-root"}, said)])
    answer = desk.call(READ, **SHOP, session_id=ONE)
    assert (answer["total"], answer["elided_other_scope"]) == (4, 1)
    assert "plan" not in str(answer)


def test_a_session_of_another_project_is_named_with_its_place(desk):
    desk.world.works(ONE)
    desk.project("bank")
    for name in (READ, "memory_consolidate"):
        with pytest.raises(NotFoundError, match=f"no session {ONE} in default/bank: it is in default/shop"):
            desk.call(name, workspace="default", project="bank", session_id=ONE)
        with pytest.raises(NotFoundError, match=f"no session {TWO} in default/shop$"):
            desk.call(name, **SHOP, session_id=TWO)


def test_where_no_session_is_over_somebody_has_to_name_one(desk):
    desk.world.works(ONE)
    for name in (READ, "memory_consolidate"):
        with pytest.raises(NotFoundError, match="no session of default/shop is over yet"):
            desk.call(name, **SHOP)


def test_of_a_deleted_session_nothing_is_shown(desk):
    finished(desk)
    desk.call("memory_delete_page", **SHOP, path=f"sessions/{ONE}.md")
    for name in (READ, "memory_consolidate"):
        with pytest.raises(NotFoundError, match="was deleted"):
            desk.call(name, **SHOP, session_id=ONE)
        with pytest.raises(NotFoundError, match="no session of default/shop is over yet"):
            desk.call(name, **SHOP)


def test_of_a_session_whose_record_is_gone_the_page_is_named(desk):
    finished(desk)
    project = desk.project()
    desk.memory.stores.rawlog.remove(project.workspace_id, project.id, UUID(ONE))
    with pytest.raises(NotFoundError, match=f"its page sessions/{ONE}.md is what is left"):
        desk.call(READ, **SHOP, session_id=ONE)


def test_without_a_model_a_session_is_not_written_up_and_its_page_is_named(desk):
    finished(desk, ONE)
    desk.world.works(TWO)
    before = desk.everything()
    answer = desk.call("memory_consolidate", **SHOP)
    assert "no language model" in answer.pop("reason")
    assert answer == {
        "consolidated": False,
        "session_id": ONE,
        "path": f"sessions/{ONE}.md",
        "dry_run": False,
        "scope": SCOPE,
    }
    assert desk.call("memory_consolidate", **SHOP, session_id=TWO, dry_run=True)["path"] is None
    assert desk.everything() == before


def test_a_sweep_is_shown_before_it_is_done(desk):
    desk.write("notes/sale.md", "Half price.", expires_at="2026-11-20T11:00:00Z")
    desk.write("notes/kept.md", "For good.")
    desk.world.passes(days=1)
    before = desk.everything()
    report = {
        "dry_run": True,
        "candidates_evaluated": 0,
        "evicted": [],
        "expired": [
            {
                "id": page_id(desk.project().id, "notes/sale.md"),
                "path": "notes/sale.md",
                "expired_at": "2026-11-20T11:00:00Z",
                "deleted": False,
            }
        ],
        "hard_deleted": 0,
        "ledgers_deleted": [],
        "scope": SCOPE,
    }
    assert desk.call("memory_forget_sweep", **SHOP, dry_run=True) == report
    assert desk.everything() == before
    done = desk.call("memory_forget_sweep", **SHOP)
    assert done == {**report, "dry_run": False, "expired": [{**report["expired"][0], "deleted": True}]}
    assert desk.call("memory_forget_sweep", **SHOP)["expired"] == []
    assert [row.path for row in desk.memory.stores.pages.pages(desk.project().id)] == ["notes/kept.md"]


@pytest.mark.parametrize("name", [READ, "memory_consolidate", "memory_forget_sweep"])
def test_an_unclear_project_of_sessions_is_refused_with_what_there_is(desk, name):
    desk.project()
    desk.project("shop", "other")
    before = desk.everything()
    with pytest.raises(ScopeUnresolvedError, match="default/shop, other/shop"):
        desk.call(name)
    with pytest.raises(NotFoundError, match="default/shop, other/shop"):
        desk.call(name, project="shop")
    for wrong in ({"workspace": "default", "project": "shup"}, {"workspace": "nowhere", "project": "shop"}):
        with pytest.raises(NotFoundError, match="known: default/shop"):
            desk.call(name, **wrong)
    assert desk.everything() == before


def test_a_guess_is_not_good_enough_to_sweep_or_write_up(desk):
    finished(desk, ONE)
    desk.world.works(TWO)
    for name in ("memory_consolidate", "memory_forget_sweep"):
        with pytest.raises(ScopeUnresolvedError, match="default/shop"):
            desk.call(name)
        assert desk.call(name, Who(session=TWO))["scope"] == {**SHOP, "resolved_by": "session"}
    assert desk.call(READ)["scope"] == {**SHOP, "resolved_by": "last-active"}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (READ, {"session_id": 7}),
        (READ, {"session_id": "x" * 201}),
        (READ, {"limit": 0}),
        (READ, {"limit": 201}),
        (READ, {"offset": -1}),
        (READ, {"order": "newest"}),
        (READ, {"kinds": "stop"}),
        (READ, {"body_max_chars": 199}),
        (READ, {"body_max_chars": 16_385}),
        (READ, {"n": 5}),
        ("memory_consolidate", {"dry_run": "yes"}),
        ("memory_consolidate", {"multi_page": "yes"}),
        ("memory_consolidate", {"instructions": "x" * 2_001}),
        ("memory_forget_sweep", {"dry_run": 1}),
        ("memory_forget_sweep", {"confirm": True}),
    ],
)
def test_arguments_of_a_session_that_mean_nothing_are_refused(desk, name, wrong):
    desk.project()
    before = desk.everything()
    with pytest.raises(ValidationError):
        desk.call(name, **SHOP, **wrong)
    assert desk.everything() == before


def test_a_hostile_session_is_read_inside_its_fence(desk, hostile):
    text, assert_tamed = hostile
    # As a raw log may hold it that another version of this program wrote.
    desk.world.says(ONE, "user-prompt", prompt="A question")
    project = desk.project()
    log = desk.memory.stores.rawlog.path(project.workspace_id, project.id, UUID(ONE))
    escaped = text.replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
    log.write_text(log.read_text().replace("A question", escaped))
    answer = desk.call(READ, **SHOP, session_id=ONE)
    assert_tamed(answer)
    (said,) = answer["observations"]
    assert FENCE_END not in said["title"]
    assert FENCE_START not in said["title"]
