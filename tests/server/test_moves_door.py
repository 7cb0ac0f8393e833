"""`/admin` renames, moves and purges over a real socket."""

import json
from datetime import UTC, datetime, timedelta

import pytest

SHOP = {"workspace": "default", "project": "shop"}


async def post(server, verb, **body):
    answer = await server.post(f"/admin/{verb}", json=body)
    return answer.status, await answer.json()


@pytest.fixture
async def shop(server, agent):
    """A project with one ended session; gives the session's agent."""
    one = agent(server)
    await one.works()
    await one.says("session-end")
    # Listing brings pages up to date.
    assert (await server.get("/admin/handoffs")).status == 200
    return one


async def names(server):
    rows = (await (await server.get("/admin/projects")).json())["projects"]
    return [f"{row['workspace_name']}/{row['project_name']}" for row in rows]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("purge-session", {**SHOP, "session_id": "7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11"}),
        ("purge-project", SHOP),
        ("purge-page", {**SHOP, "path": "notes/a.md"}),
        ("move-project", {"from_workspace": "default", "project": "shop", "to_workspace": "team"}),
    ],
)
async def test_what_cannot_be_undone_asks_for_a_word(server, shop, verb, body):
    status, answer = await post(server, verb, **body)
    assert (status, "confirm: true" in answer["error"]) == (400, True)
    status, answer = await post(server, verb, **body, confirm=True, dry_run=True)
    assert status == 400
    status, _ = await post(server, verb, **{**body, "project": "nowhere"}, confirm=True)
    assert status == 404
    assert await names(server) == ["default/shop"]


async def test_a_rename_answers_what_it_did_and_refuses_what_is_taken(server, shop, agent):
    other = agent(server, cwd="/srv/other", repo_root="/srv/other")
    await other.works()
    status, answer = await post(server, "rename-project", workspace="default", **{"from": "shop"}, to="store")
    assert (status, answer["from"], answer["to"], answer["pages"]) == (200, "shop", "store", 2)
    assert len(answer["checkpoint"]) == 40
    for to in ("other", "No/Name"):
        status, _ = await post(server, "rename-project", workspace="default", **{"from": "store"}, to=to)
        assert status == 422
    status, _ = await post(server, "rename-project", workspace="default", **{"from": "nowhere"}, to="x")
    assert status == 404
    status, answer = await post(server, "rename-workspace", **{"from": "default"}, to="home")
    assert (status, answer["projects"]) == (200, 2)
    assert await names(server) == ["home/other", "home/store"]
    assert (await shop.says("user-prompt", prompt="more")).headers["X-Memory-Scope"] == "home/store; by=repo-root"


async def test_a_move_says_first_what_it_does(server, shop):
    asked = {"from_workspace": "default", "project": "shop", "to_workspace": "team"}
    _, dry = await post(server, "move-project", **asked, dry_run=True)
    assert await names(server) == ["default/shop"]
    status, answer = await post(server, "move-project", **asked, confirm=True)
    assert (status, await names(server)) == (200, ["team/shop"])
    assert {**answer, "dry_run": True} == {**dry, "checkpoint": answer["checkpoint"]}
    status, _ = await post(server, "move-project", **{**asked, "from_workspace": "team"}, confirm=True)
    assert status == 422
    status, _ = await post(server, "move-project", **asked, confirm=True, on_conflict="guess")
    assert status == 400


async def test_a_session_is_found_where_it_is_and_moved_from_there(server, shop, agent):
    other = agent(server, cwd="/srv/other", repo_root="/srv/other")
    await other.works()
    status, dry = await post(server, "move-session", session_id=shop.id, project="other")
    assert (status, dry["dry_run"], dry["from"]["project"], dry["summary"]["observations"]) == (200, True, "shop", 5)
    asked = {"session_id": shop.id, "project": "other"}
    assert await post(server, "move-session", **asked, dry_run=True) == (200, dry)
    assert await post(server, "move-session", **asked, confirm=False) == (200, dry)
    assert (await post(server, "move-session", **asked, confirm=True, dry_run=True))[0] == 400
    status, answer = await post(server, "move-session", session_id=shop.id, project="other", confirm=True)
    assert (status, answer["session_moved"], answer["page"]) == (200, True, "moved")
    status, _ = await post(server, "move-session", session_id=shop.id, project="other", confirm=True)
    assert status == 422
    status, _ = await post(server, "move-session", session_id="7b0e5f9e-3a52-4c55-9a0e-0f2d8b1c9a11", project="other")
    assert status == 404
    status, _ = await post(server, "move-session", session_id="no uuid", project="other")
    assert status == 400


async def test_a_late_event_of_something_purged_is_answered_and_dropped(server, shop):
    status, answer = await post(server, "purge-session", **SHOP, session_id=shop.id, confirm=True)
    assert (status, answer["observations_deleted"], answer["pages_deleted"]) == (200, 5, 2)
    late = await shop.says("user-prompt", prompt="late")
    assert (late.status, "purged" in await late.text()) == (202, True)
    item = {"url": "/hook?event=stop&agent=codex&cwd=/srv/shop&repo_root=/srv/shop", "body": {"session_id": shop.id}}
    batch = await (await server.post("/hook/batch", json=[item])).json()
    assert batch["results"][0]["outcome"] == "dropped_deleted"
    status, answer = await post(server, "purge-project", **SHOP, confirm=True)
    assert (status, await names(server)) == (200, [])
    item["body"] |= {"occurred_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(), "session_id": "another"}
    batch = await (await server.post("/hook/batch", data=json.dumps([item]))).json()
    assert batch["results"][0]["outcome"] == "dropped_deleted"
    assert await names(server) == []


async def test_a_session_at_work_is_a_conflict(server, agent):
    one = agent(server)
    await one.works()
    await one.says("user-prompt", prompt="and now?")
    status, answer = await post(server, "purge-session", **SHOP, session_id=one.id, confirm=True)
    assert (status, one.id in answer["error"]) == (409, True)
    status, answer = await post(server, "purge-session", **SHOP, session_id=one.id, dry_run=True)
    assert (status, answer["at_work"]) == (200, [one.id])
    status, _ = await post(server, "purge-session", **SHOP, session_id=one.id, confirm=True, force=True)
    assert status == 200


async def test_a_page_is_purged_with_its_history(server, shop):
    page = {**SHOP, "path": "notes/a.md"}
    assert (await server.post("/admin/write-page", json={**page, "body": "Secret."})).status == 200
    status, answer = await post(server, "purge-page", **page, confirm=True)
    assert (status, answer["versions_deleted"], answer["pages_deleted"]) == (200, 1, 1)
    assert (await server.post("/admin/write-page", json={**page, "body": "Secret.", "revive": True})).status == 409
