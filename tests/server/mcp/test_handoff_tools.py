"""Handoffs over MCP: left, listed, taken once by whom it is meant for, withdrawn; never by a guess."""

import pytest
from pydantic import ValidationError

from ai_memory.errors import AiMemoryError, BadRequestError, NotFoundError, ScopeUnresolvedError
from ai_memory.memory.scopes import Who
from ai_memory.model.handoff import FENCE_END, FENCE_START, ITEM_LIMIT, SUMMARY_LIMIT
from ai_memory.model.packet_text import resume_block

SHOP = {"workspace": "default", "project": "shop"}
SCOPE = {**SHOP, "resolved_by": "explicit"}
SESSION = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001"
OTHER = "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0002"


def fence(text):
    return f"{FENCE_START}\n{text}\n{FENCE_END}"


@pytest.fixture
def shop(desk):
    return desk.project()


def begin(desk, who=None, /, **more):
    desk.world.passes(seconds=1)
    return desk.call("memory_handoff_begin", who, **{**SHOP, "summary": "VAT is done", **more})["handoff_id"]


def test_what_is_left_is_given_once_with_its_texts_inside_the_fence(desk, shop):
    left = desk.call(
        "memory_handoff_begin",
        Who(agent="claude-code"),
        **SHOP,
        summary="VAT is done",
        open_questions=["Keep cents?"],
        next_steps=["refunds"],
        files_touched=["cart.py"],
        cwd="/srv/shop/",
    )
    assert left["scope"] == SCOPE
    answer = desk.call("memory_handoff_accept", Who(agent="codex"), **SHOP)
    assert answer == {
        "handoff": {
            "id": left["handoff_id"],
            "workspace_id": str(shop.workspace_id),
            "project_id": str(shop.id),
            "from_session_id": None,
            "from_agent": "claude-code",
            "to_agent": None,
            "cwd": "/srv/shop",
            "summary": fence("VAT is done"),
            "open_questions": [fence("Keep cents?")],
            "next_steps": [fence("refunds")],
            "files_touched": ["cart.py"],
            "state": "accepted",
            "created_at": "2026-11-20T10:00:00Z",
            "accepted_by": "codex",
            "accepted_at": "2026-11-20T10:00:00Z",
            "accepted_by_session": None,
            "owner_user": None,
            "accepted_by_user": None,
            "packet_id": None,
        },
        "scope": SCOPE,
    }
    assert desk.call("memory_handoff_accept", **SHOP) == {"handoff": None, "scope": SCOPE}


def test_an_automatic_handoff_is_bound_to_the_session_that_takes_it(desk):
    desk.world.works(SESSION)
    desk.world.says(OTHER, "session-start", agent="codex")
    desk.world.says(OTHER, "user-prompt", agent="codex", prompt="go on")
    taken = desk.call("memory_handoff_accept", Who(agent="codex", session=OTHER))
    assert taken["scope"] == {**SHOP, "resolved_by": "session"}
    assert (taken["handoff"]["from_session_id"], taken["handoff"]["accepted_by_session"]) == (SESSION, OTHER)


def test_a_session_that_no_hook_tells_of_keeps_what_it_took(desk, shop):
    begin(desk)
    assert desk.call("memory_handoff_accept", Who(session=OTHER), **SHOP)["handoff"]["accepted_by_session"] is None
    desk.world.passes(days=2)
    desk.memory.sessions.close_idle(60)
    assert desk.call("memory_handoff_list", **SHOP)["handoffs"] == []


def test_what_waits_is_listed_and_not_taken(desk, shop):
    ids = [begin(desk, summary=f"number {n}") for n in range(3)]
    for limit, shown in ((2, ids[:2]), (0, ids[:1]), (1_000, ids), (50, ids)):
        listed = desk.call("memory_handoff_list", **SHOP, limit=limit)
        assert [each["id"] for each in listed["handoffs"]] == shown
    assert listed["handoffs"][0]["summary"] == fence("number 0")
    assert listed["scope"] == SCOPE


def test_the_one_named_is_taken(desk, shop):
    first, second = begin(desk), begin(desk)
    assert desk.call("memory_handoff_accept", **SHOP, handoff_id=first)["handoff"]["id"] == first
    with pytest.raises(AiMemoryError, match="not open any more: it is accepted"):
        desk.call("memory_handoff_accept", **SHOP, handoff_id=first)
    assert desk.call("memory_handoff_accept", **SHOP)["handoff"]["id"] == second


def test_what_was_withdrawn_stays_so_and_is_said_twice(desk, shop):
    left = begin(desk)
    told = {"handoff_id": left, "cancelled": True, "state": "cancelled", "scope": SCOPE}
    assert desk.call("memory_handoff_cancel", **SHOP, handoff_id=left) == told
    assert desk.call("memory_handoff_cancel", **SHOP, handoff_id=left) == {**told, "cancelled": False}
    assert desk.call("memory_handoff_accept", **SHOP)["handoff"] is None


def test_a_handoff_of_another_project_is_none_of_this_one(desk, shop):
    desk.project("bank")
    left = begin(desk)
    for tool in ("memory_handoff_accept", "memory_handoff_cancel"):
        with pytest.raises(NotFoundError):
            desk.call(tool, workspace="default", project="bank", handoff_id=left)
        with pytest.raises(BadRequestError, match="memory_handoff_list"):
            desk.call(tool, **SHOP, handoff_id="the last one")
    assert len(desk.call("memory_handoff_list", **SHOP)["handoffs"]) == 1


def test_a_guess_takes_leaves_and_withdraws_nothing(desk):
    desk.world.works(SESSION)
    desk.memory.sessions.settle()
    (waiting,) = desk.call("memory_handoff_list")["handoffs"]
    before = desk.everything()
    for tool, arguments in (
        ("memory_handoff_accept", {}),
        ("memory_handoff_accept", {"handoff_id": waiting["id"]}),
        ("memory_handoff_cancel", {"handoff_id": waiting["id"]}),
        ("memory_handoff_begin", {"summary": "x"}),
    ):
        with pytest.raises(ScopeUnresolvedError, match="default/shop"):
            desk.call(tool, Who(agent="codex"), **arguments)
    assert desk.call("memory_handoff_list")["handoffs"] == [waiting]
    assert desk.everything() == before


def test_a_project_is_made_only_on_demand_and_for_a_handoff_that_says_something(desk):
    for refused, arguments in (
        (BadRequestError, {**SHOP, "summary": " \n", "create_project": True}),
        (BadRequestError, {"project": "shop", "summary": "x", "create_project": True}),
        (BadRequestError, {"workspace": "A B", "project": "shop", "summary": "x", "create_project": True}),
        (NotFoundError, {**SHOP, "summary": "x"}),
        (ValidationError, {**SHOP, "create_project": True}),
        (ValidationError, {**SHOP, "summary": "x" * 20_001, "create_project": True}),
        (ValidationError, {**SHOP, "summary": "x", "next_steps": "refunds", "create_project": True}),
    ):
        with pytest.raises(refused):
            desk.call("memory_handoff_begin", **arguments)
    assert desk.memory.projects.all() == []
    begin(desk, create_project=True)
    assert [each.label for each in desk.memory.projects.all()] == ["default/shop"]


def test_long_texts_are_cut_to_what_a_start_takes(desk, shop):
    begin(desk, summary="x" * 4_000, next_steps=["y" * 2_000])
    (waiting,) = desk.call("memory_handoff_list", **SHOP)["handoffs"]
    assert waiting["summary"] == fence("x" * (SUMMARY_LIMIT - 1) + "…")
    assert waiting["next_steps"] == [fence("y" * (ITEM_LIMIT - 1) + "…")]


def test_what_is_handed_back_as_it_was_given_has_its_marks_once(desk, shop):
    begin(desk, summary=fence("VAT is done"), next_steps=[fence("refunds")])
    (waiting,) = desk.call("memory_handoff_list", **SHOP)["handoffs"]
    assert (waiting["summary"], waiting["next_steps"]) == (fence("VAT is done"), [fence("refunds")])


def test_a_hostile_handoff_is_tamed(desk, shop, hostile):
    text, assert_tamed = hostile
    begin(desk, summary=text, open_questions=[text], next_steps=[text], files_touched=[text], cwd=text)
    assert_tamed(desk.call("memory_handoff_list", **SHOP))
    assert_tamed(desk.call("memory_handoff_accept", **SHOP))


def test_a_handoff_gives_the_packet_of_its_session_inside_the_fence(desk):
    desk.world.works(SESSION)
    desk.world.says(SESSION, "session-end")
    desk.memory.sessions.settle()
    taken = desk.call("memory_handoff_accept", Who(agent="codex"), **SHOP, packet=True)
    packet = desk.memory.packets.get("owner", taken["handoff"]["packet_id"]).packet
    assert taken["packet"] == fence(resume_block(packet))
    assert taken["packet_problem"] is None


def test_a_packet_that_may_not_leave_is_not_given_and_the_answer_says_why(desk, shop):
    desk.world.works(SESSION, prompt="Move /etc/shop/rates to the database.")
    taken = desk.call("memory_handoff_accept", Who(agent="codex"), **SHOP, packet=True)
    assert taken["packet"] is None
    assert "stays here, as it holds what may not travel: goal/abs-path: /etc/shop/rates" in taken["packet_problem"]
    begin(desk)
    taken = desk.call("memory_handoff_accept", **SHOP, packet=True)
    assert (taken["packet"], taken["packet_problem"]) == (None, "the handoff names no packet")


def test_a_handoff_that_is_left_can_name_a_packet_that_its_user_may_read(desk):
    desk.world.works(SESSION)
    desk.world.says(SESSION, "session-end")
    desk.memory.sessions.settle()
    (draft,) = desk.memory.packets.drafts("owner")
    begin(desk, packet_id=draft.id)
    assert desk.call("memory_handoff_accept", **SHOP)["handoff"]["packet_id"] == draft.id
    with pytest.raises(NotFoundError, match=f"there is no packet '{draft.id}'"):
        begin(desk, Who(user="ana"), packet_id=draft.id)
    with pytest.raises(NotFoundError, match="there is no packet 'nothing-like-it'"):
        begin(desk, packet_id="nothing-like-it", workspace="new", project="new", create_project=True)
    assert desk.memory.projects.called("new", "new") is None
