"""Jobs and what models cost through the doors; and a server with a model that works, fails and hangs."""

import asyncio
import json
import threading
import time

import pytest

from tests.llm.model_vendors import KEY, USED, ModelVendors

SHOP = {"workspace": "default", "project": "shop"}
OWN = {"title": "Rounding", "summary": "", "body_markdown": "Rounded per invoice.", "tags": []}


@pytest.fixture(scope="module")
def running():
    server = ModelVendors()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def vendor(running):
    running.reset()
    running.script = [("say", json.dumps(OWN), "whole")]
    yield running
    running.go_on.set()


@pytest.fixture
async def door(server_with, vendor, no_blocking):
    return await server_with(
        llm_provider="openai-compat", llm_base_url=vendor.url, llm_model="some-model", llm_api_key=KEY
    )


async def get(server, path, status=200, /, **query):
    answer = await server.get(f"/admin/{path}", params=query)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def post(server, path, status=200, /, **body):
    answer = await server.post(f"/admin/{path}", json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def job_in(server, *states):
    """Wait until the one job is in one of these states."""
    for _ in range(600):
        if (found := (await get(server, "jobs"))["jobs"]) and found[0]["state"] in states:
            return found[0]
        await asyncio.sleep(0.02)
    pytest.fail(f"it stays like this: {found}")


async def page_in(server, path):
    """Wait until a page is there."""
    for _ in range(600):
        answer = await server.get("/admin/read-page", params={**SHOP, "path": path})
        if answer.status == 200:
            return await answer.json()
        await asyncio.sleep(0.02)
    pytest.fail(f"{path} never came")


async def compacts(agent, server):
    session = agent(server)
    await session.works()
    await session.says("pre-compact")
    return session.id


async def test_what_a_session_brings_before_a_compaction_is_written_up_by_itself_and_paid_for_once(door, agent):
    session = await compacts(agent, door)
    job = await job_in(door, "done")
    assert (job["kind"], job["scope"], job["session_id"]) == ("consolidation", "default/shop", session)
    assert job["outcome"]["outcomes"] == [{"path": f"sessions/{session}.md", "new_title": "Rounding", "tags": []}]
    page = await get(door, "read-page", **SHOP, path=f"sessions/{session}.md")
    assert page["title"] == "Rounding"
    used = {"calls": 1, "tokens_in": USED[0], "tokens_out": USED[1], "cost": 0, "unpriced_calls": 1}
    who = {"purpose": "consolidation", "provider": "openai-compat", "model": "some-model", "outcome": "ok"}
    usage = await get(door, "llm-usage")
    assert usage.pop("month") == time.strftime("%Y-%m", time.gmtime())
    assert usage == {"budget": None, "over_budget": False, "total": used, "calls": [{**who, **used}]}
    report = (await get(door, "status"))["providers"]["llm"]
    assert report == {
        "configured": True,
        "provider": "openai-compat",
        "model": "some-model",
        "warning": None,
        "month": {**used, "budget": None, "over_budget": False},
        "last_error": None,
        "last_error_at": None,
    }


async def test_a_job_that_failed_is_listed_tried_again_and_dropped(door, vendor, agent):
    vendor.script = [("say", "In prose.", "whole")]
    await compacts(agent, door)
    failed = await job_in(door, "failed")
    assert "did not answer in the shape" in failed["error"]
    assert (await get(door, "jobs", state="done"))["jobs"] == []
    assert (await get(door, "jobs"))["counts"]["failed"] == 1
    assert "no state" in (await get(door, "jobs", 400, state="over"))["error"]
    status = await get(door, "status")
    assert (status["counts"]["jobs"]["failed"], status["providers"]["llm"]["last_error"]) == (
        1,
        f"ModelError: {failed['error']}",
    )
    vendor.script = [("say", json.dumps(OWN), "whole")]
    assert (await post(door, "jobs/retry", id=failed["id"]))["state"] == "queued"
    assert (await job_in(door, "done"))["id"] == failed["id"]
    assert "is done" in (await post(door, "jobs/drop", 409, id=failed["id"]))["error"]
    assert "no job" in (await post(door, "jobs/drop", 404, id="0" * 32))["error"]
    assert "is no id" in (await post(door, "jobs/retry", 400, id="first"))["error"]


async def test_a_model_that_hangs_keeps_nobody_waiting_not_even_the_end(door, vendor, agent):
    vendor.script = ["hang"]
    session = await compacts(agent, door)
    job = await job_in(door, "leased")
    # Everything else goes on, the page that rules make of the session, too.
    assert (await (await door.get("/health")).text()) != ""
    assert (await page_in(door, f"sessions/{session}.md"))["title"]
    assert (await post(door, "jobs/drop", id=job["id"]))["state"] == "dropped"
    begun = time.monotonic()
    await door.close()
    assert time.monotonic() - begun < 5


async def test_without_a_model_status_says_what_is_off_and_how_to_have_one(server):
    report = (await get(server, "status"))["providers"]["llm"]
    assert report["configured"] is False
    assert "memory_consolidate" in report["off"][0]
    assert all(word in report["hint"] for word in ("llm_provider", "config.toml", "ANTHROPIC_API_KEY"))
    assert (await get(server, "llm-usage"))["total"]["calls"] == 0
    assert (await get(server, "jobs"))["jobs"] == []


TOLD = {
    "idea": ["A shop."],
    **{key: [] for key in ("approach", "done", "operations", "learnt", "goals", "suggested", "dropped")},
    "resuming": {"status": "complete", "text": ""},
}


async def test_a_narrative_is_looked_at_and_brought_up_to_date(door, vendor, agent):
    vendor.script = [("say", json.dumps(TOLD), "whole")]
    session = agent(door)
    await session.works()
    await session.says("session-end")
    for _ in range(200):
        seen = await get(door, "narrative", **SHOP)
        if seen["sessions_behind"]:
            break
        await asyncio.sleep(0.02)
    assert [each["session_id"] for each in seen.pop("sessions_behind")] == [session.id]
    assert seen.pop("estimated_tokens") > 10
    assert seen == {
        "scope": "default/shop",
        "path": None,
        "kept_by_a_model": False,
        "taken": None,
        "sessions_covered": 0,
        "questions": 1,
    }
    assert (await post(door, "narrative", **SHOP))["kind"] == "narrative"
    await job_in(door, "done")
    seen = await get(door, "narrative", **SHOP)
    assert (seen["path"], seen["kept_by_a_model"], seen["sessions_covered"]) == ("narrative.md", True, 1)
    assert "knows every session" in (await post(door, "narrative", 409, **SHOP))["error"]


async def test_without_a_model_no_narrative_is_begun(server, agent):
    session = agent(server)
    await session.works()
    assert "none is set" in (await post(server, "narrative", 503, **SHOP))["error"]
