"""memory_consolidate: a model writes a session up, and the caller sees what came of it."""

import threading
from contextlib import contextmanager

import pytest

from ai_memory.llm.chat import ModelError
from ai_memory.model.handoff import FENCE_END, FENCE_START
from ai_memory.server.mcp import tool
from ai_memory.server.pages import page_id
from tests.memory.conftest import World
from tests.memory.scripted import Scripted
from tests.server.mcp.conftest import Desk

SHOP = {"workspace": "default", "project": "shop"}
ONE = "00000000-0000-4000-8000-000000000001"
OWN = {"title": "Rounding", "summary": "", "body_markdown": "Rounded per invoice.", "tags": ["vat"]}
SMALL = {
    "path": "decisions/rounding.md",
    "title": "Rounding",
    "kind": "decision",
    "tier": "semantic",
    "summary": "",
    "body_markdown": "Rounded per invoice.",
    "tags": [],
    "evidence": ["Rounded per invoice."],
    "slot_kind": "none",
    "supersedes": "",
}


@pytest.fixture
def chat():
    return Scripted(OWN)


@pytest.fixture
def desk(tmp_path, chat):
    world = World(tmp_path, chat_of=chat)
    world.works(ONE)
    world.says(ONE, "session-end")
    world.memory.sessions.settle()
    yield Desk(world)
    world.close()


@contextmanager
def working(desk):
    """Do jobs in the background, as a server does."""
    over = threading.Event()

    def run():
        while not over.is_set():
            if not desk.memory.jobs.run_due():
                desk.memory.jobs.due.wait(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def test_the_answer_is_the_page_that_was_written(desk):
    with working(desk):
        answer = desk.call("memory_consolidate", **SHOP)
    path = f"sessions/{ONE}.md"
    body = answer.pop("new_body_markdown")
    assert body.startswith(f"{FENCE_START}\n# Rounding\n\nRounded per invoice.\n")
    assert body.endswith(FENCE_END)
    assert answer == {
        "consolidated": True,
        "path": path,
        "new_title": "Rounding",
        "page_id": page_id(desk.project().id, path),
        "tags": ["vat"],
        "refused": [],
        "session_id": ONE,
        "dry_run": False,
        "scope": {**answer["scope"], **SHOP},
    }


def test_small_pages_are_listed_with_what_was_refused_and_skipped(desk, chat):
    desk.write("gotchas/cart.md", "---\npinned: true\n---\nMine.")
    lie = {**SMALL, "title": "Lies", "body_markdown": "In 1999."}
    chat.answers = [{"updates": [SMALL, lie], "drop": [], "rationale": "Why."}]
    with working(desk):
        answer = desk.call("memory_consolidate", **SHOP, multi_page=True, instructions="Be terse.")
    assert [each["path"] for each in answer["outcomes"]] == ["decisions/rounding.md"]
    assert answer["refused"] == ["Lies: it names '1999', which is not in its input"]
    assert "Be terse." in chat.asked[0].user


def test_a_page_that_is_somebodys_is_named_with_the_reason(desk, chat):
    desk.write(f"sessions/{ONE}.md", "Mine.")
    with working(desk):
        answer = desk.call("memory_consolidate", **SHOP, session_id=ONE)
    assert (answer["consolidated"], answer["skipped_reason"]) == (False, "a person or an agent wrote it")
    assert chat.asked == []


def test_a_model_that_fails_is_told_and_the_page_is_named(desk, chat):
    before = desk.everything()
    chat.answers = [ModelError("m-1 refused to answer", "refused")]
    with working(desk):
        answer = desk.call("memory_consolidate", **SHOP)
    assert answer["reason"].startswith("m-1 refused to answer (job ")
    assert (answer["consolidated"], answer["path"]) == (False, f"sessions/{ONE}.md")
    (job,) = desk.memory.jobs.latest(["failed"])
    assert answer["job_id"] == str(job.id)
    assert desk.everything() == before
    assert desk.call("memory_status", **SHOP)["warnings"] == ["jobs that failed: 1 (`ai-memory jobs list` says why)"]


def test_who_waits_too_long_is_told_that_it_goes_on(desk, monkeypatch):
    monkeypatch.setattr(tool, "_TURNS", 2)
    monkeypatch.setattr(tool, "_TURN_SECONDS", 0.01)
    answer = desk.call("memory_consolidate", **SHOP)
    assert "goes on by itself" in answer["reason"]
    assert [job.state for job in desk.memory.jobs.latest()] == ["queued"]


def test_a_dry_run_says_how_much_would_be_asked(desk, chat):
    before = desk.everything()
    answer = desk.call("memory_consolidate", **SHOP, dry_run=True)
    assert (answer["path"], answer["new_title"], answer["new_body_markdown"]) == (f"sessions/{ONE}.md", "", "")
    assert (answer["questions"], answer["estimated_tokens"] > 500, answer["dry_run"]) == (1, True, True)
    assert desk.call("memory_consolidate", **SHOP, dry_run=True, multi_page=True)["outcomes"] == []
    assert (chat.asked, desk.memory.jobs.latest(), desk.everything()) == ([], [], before)
