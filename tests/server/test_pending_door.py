"""Reviews and proposals through the doors, with a model on loopback."""

import json
import threading
import uuid

import pytest

from tests.llm.model_vendors import KEY, ModelVendors

SHOP = {"workspace": "default", "project": "shop"}
PATHS = ("decisions/rounding.md", "gotchas/cart.md", "concepts/vat.md")


def item(path):
    return {
        "operation": "create_or_update",
        "path": path,
        "title": f"Rounding {path[:4]}",
        "kind": "decision",
        "confidence": 0.9,
        "rationale": "Invoices have to agree.",
        "evidence": [{"page": "session", "quote": "Rounded per invoice."}],
        "edit_mode": "full",
        "body_markdown": "Rounded per invoice.",
        "edits": [],
        "expected_base_body_sha256": "",
    }


ANSWER = {
    "summary": "VAT.",
    "proposals": [*map(item, PATHS), item("notes/x.md")],
    "rejected_candidates": ["Tests."],
    "warnings": ["Look."],
}


@pytest.fixture(scope="module")
def running():
    server = ModelVendors()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
async def door(server_with, running, no_blocking):
    running.reset()
    running.script = [("say", json.dumps(ANSWER), "whole")]
    return await server_with(
        llm_provider="openai-compat", llm_base_url=running.url, llm_model="some-model", llm_api_key=KEY
    )


async def get(server, path, status=200, /, **query):
    answer = await server.get(f"/admin/{path}", params={**SHOP, **query})
    assert answer.status == status, await answer.text()
    return await answer.json()


async def post(server, path, status=200, /, **body):
    answer = await server.post(f"/admin/{path}", json={**SHOP, **body})
    assert answer.status == status, await answer.text()
    return await answer.json()


async def decide(server, proposal_id, verb, status=200, /, **body):
    answer = await server.post(
        f"/admin/pending-writes/{proposal_id}/{verb}", params=SHOP, **({"json": body} if body else {})
    )
    assert answer.status == status, await answer.text()
    return await answer.json()


async def over(agent, server):
    session = agent(server)
    await session.works()
    await session.says("session-end")
    return session.id


async def test_a_session_is_reviewed_and_each_proposal_shown_approved_rejected_or_in_conflict(door, agent):
    session = await over(agent, door)
    told = await post(door, "auto-improve", session_id=session)
    ids = [each["id"] for each in told["proposals"]]
    run_id = told.pop("run_id")
    assert told == {
        "approval_required": True,
        "approval_policy": "manual",
        "session_id": session,
        "summary": "VAT.",
        "warnings": ["Look."],
        "rejected_candidates_count": 2,
        "refused": told["refused"],
        "proposals": [
            {
                "id": id_,
                "path": path,
                "title": f"Rounding {path[:4]}",
                "sidecar_path": None,
                "status": "pending",
                "page_id": None,
            }
            for id_, path in zip(ids, PATHS, strict=True)
        ],
        "skipped": [],
        "scope": "default/shop",
    }
    listed = await get(door, "pending-writes", status="pending")
    assert {each["id"] for each in listed} == set(ids)
    assert len(await get(door, "pending-writes", limit="1")) == 1
    shown = await get(door, f"pending-writes/{ids[0]}")
    summary = shown.pop("summary")
    assert {**summary, "workspace_id": None, "project_id": None, "staged_at": None} == {
        "id": ids[0],
        "run_id": run_id,
        "workspace_id": None,
        "project_id": None,
        "status": "pending",
        "operation": "create",
        "target_path": PATHS[0],
        "kind": "decision",
        "title": "Rounding deci",
        "confidence": 0.9,
        "staged_at": None,
        "decided_at": None,
    }
    assert summary in listed
    assert shown == {
        "session_id": session,
        "rationale": "Invoices have to agree.",
        "evidence": [{"page": "session", "quote": "Rounded per invoice."}],
        "body_markdown": "# Rounding deci\n\nRounded per invoice.\n",
        "artifact_path": None,
        "edit_mode": "full",
        "decision_reason": None,
        "checkpoint": None,
        "staged_by_actor_user": None,
    }
    compared = await get(door, f"pending-writes/{ids[0]}/diff")
    assert (compared["proposal_id"], "+Rounded per invoice.\n" in compared["diff"]) == (ids[0], True)

    done = await decide(door, ids[0], "approve")
    page = await get(door, "read-page", path=PATHS[0])
    assert done == {
        "status": "approved",
        "page_id": str(uuid.uuid5(uuid.UUID(summary["project_id"]), PATHS[0])),
        "path": PATHS[0],
        "revision": page["revision"],
    }
    assert (await get(door, f"pending-writes/{ids[0]}"))["checkpoint"] == page["revision"]
    assert "is approved already" in (await decide(door, ids[0], "approve", 409))["error"]

    assert await decide(door, ids[1], "reject", reason="No.") == {"status": "rejected"}
    (rejected,) = await get(door, "pending-writes", status="rejected")
    assert (rejected["id"], rejected["decided_at"] >= rejected["staged_at"]) == (ids[1], True)
    assert (await get(door, f"pending-writes/{ids[1]}"))["decision_reason"] == "No."

    await post(door, "write-page", path=PATHS[2], body="Mine.")
    conflict = await decide(door, ids[2], "approve", 409)
    assert conflict == {
        "status": "conflict",
        "error": f"{PATHS[2]} was not written: a person or an agent wrote it",
    }
    assert [each["id"] for each in await get(door, "pending-writes", status="conflict")] == [ids[2]]


async def test_what_cannot_be_reviewed_or_decided_says_why(door, agent, running):
    session = await over(agent, door)
    assert "there is no session" in (await post(door, "auto-improve", 404, session_id=str(uuid.uuid4())))["error"]
    elsewhere = agent(door, cwd="/srv/atlas", repo_root="/srv/atlas")
    await elsewhere.works()
    assert "it is in default/atlas" in (await post(door, "auto-improve", 422, session_id=elsewhere.id))["error"]
    at_work = agent(door)
    await at_work.works()
    assert "is not over" in (await post(door, "auto-improve", 409, session_id=at_work.id))["error"]
    for gone in ("dry_run", "stage", "mode"):
        refused = await post(door, "auto-improve", 400, session_id=session, **{gone: True})
        assert f"{gone} is no option" in refused["error"]
    assert "from 0 to 1" in (await post(door, "auto-improve", 400, session_id=session, min_confidence=2))["error"]
    assert "session_id is missing" in (await post(door, "auto-improve", 400))["error"]
    assert "no status 'new'" in (await get(door, "pending-writes", 400, status="new"))["error"]
    assert "no id of a proposal" in (await get(door, "pending-writes/first", 400))["error"]
    assert "there is no proposal" in (await get(door, f"pending-writes/{uuid.uuid4()}", 404))["error"]
    assert "there is no proposal" in (await decide(door, uuid.uuid4(), "reject", 404))["error"]
    running.script = [("say", "In prose.", "whole")]
    failed = await post(door, "auto-improve", 502, session_id=session)
    assert failed["error"].startswith("no review: ")
    assert "is failed)" in failed["error"]
    assert await get(door, "pending-writes") == []


async def test_without_a_model_a_review_is_refused_with_how_to_have_one(server, agent):
    session = await over(agent, server)
    assert "none is set: write llm_provider" in (await post(server, "auto-improve", 503, session_id=session))["error"]
    assert await get(server, "pending-writes") == []
