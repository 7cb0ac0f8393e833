"""What `status` counts: rows and what is indexed of them, the databases' space, and events; what a purge compacts."""

import asyncio

import pytest

from ai_memory.errors import StorageError
from ai_memory.server.app import create_app
from ai_memory.store.sqlite import Database

SHOP = {"workspace": "default", "project": "shop"}
LOGO = "the heron on the signboard"


async def status_of(server):
    answer = await server.get("/admin/status")
    assert answer.status == 200
    return await answer.json()


async def post(server, verb, status=200, /, **body):
    answer = await server.post(f"/admin/{verb}", json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


@pytest.fixture
def memory(memory_with):
    return memory_with()


@pytest.fixture
async def door(memory, aiohttp_client, no_blocking):
    return await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))


async def test_the_status_counts_rows_links_and_what_of_them_can_be_searched(door, agent):
    await post(door, "write-page", **SHOP, path="a.md", body="See [[b]] and [[nowhere]].")
    await post(door, "write-page", **SHOP, path="b.md", body="")
    await agent(door).works()
    assert (await door.get("/admin/handoffs")).status == 200
    derived = (await status_of(door))["derived"]
    assert derived == {
        "sessions_uncompiled": 0,
        "sessions_uncommitted": 1,
        "pages_rows": 3,
        "pages_fts_rows": 3,
        "observations_rows": 4,
        "observations_fts_rows": 4,
        "turns_rows": 3,
        "links_from_latest_pages": 2,
        "unresolved_links_from_latest_pages": 1,
        "latest_pages_missing_embeddings": 2,
        "embedding_rows": 0,
        "embedding_triples": [],
        "index_rebuilt": None,
    }


async def test_a_page_that_fell_out_of_the_search_tables_is_counted_as_missing_there(memory, door):
    for name in ("a", "b"):
        await post(door, "write-page", **SHOP, path=f"{name}.md", body=f"About {name}.")
    with memory.stores.database.writing() as connection:
        connection.execute(
            "INSERT INTO chunks_fts (chunks_fts, rowid, heading, body, words) SELECT 'delete', c.id, c.heading, c.body, "
            "c.words FROM chunks c JOIN texts t ON t.id = c.text WHERE t.path = 'a.md'"
        )
    derived = (await status_of(door))["derived"]
    assert (derived["pages_fts_rows"], derived["pages_rows"]) == (1, 2)
    await post(door, "compact")
    assert (await status_of(door))["derived"]["pages_fts_rows"] == 2


async def test_an_observation_that_fell_out_of_the_search_table_is_counted_as_missing_there(memory, door, agent):
    await agent(door).works()
    with memory.stores.database.writing() as connection:
        connection.execute("DELETE FROM turns_fts WHERE rowid = 2")
    derived = (await status_of(door))["derived"]
    assert (derived["observations_fts_rows"], derived["observations_rows"], derived["turns_rows"]) == (3, 4, 3)


async def test_a_page_in_conflict_is_no_fault_of_the_index(door):
    await post(door, "write-page", **SHOP, path="a.md", body="<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs")
    report = await status_of(door)
    assert report["pages"]["with_problems"] == 1
    assert (report["derived"]["pages_fts_rows"], report["derived"]["pages_rows"]) == (1, 1)


async def test_the_draft_of_a_packet_is_no_fault_of_the_index(memory, door, agent):
    claude = agent(door)
    await claude.works()
    await claude.says("session-end")
    memory.sessions.settle()
    report = await status_of(door)
    assert report["counts"]["packets"]["drafts"] == 1
    assert (report["derived"]["pages_fts_rows"], report["derived"]["pages_rows"]) == (2, 2)


async def test_the_space_of_the_databases_is_told_in_pages_and_in_bytes(memory, door):
    for number in range(40):
        await post(door, "write-page", **SHOP, path=f"{number}.md", body="word " * 4_000)
    await post(door, "purge-project", **SHOP, confirm=True)
    storage = (await status_of(door))["storage"]
    assert storage["page_count"] * storage["page_size"] == storage["database_bytes"]
    assert storage["freelist_count"] * storage["page_size"] == storage["reclaimable_bytes"]
    assert storage["freelist_count"] > 100
    await post(door, "compact")
    after = (await status_of(door))["storage"]
    files = [memory.settings.data_dir / "db" / name for name in ("index.db", "state.db")]
    assert (after["freelist_count"], after["database_bytes"]) == (0, sum(file.stat().st_size for file in files))


async def test_events_are_counted_by_what_became_of_them(door, agent):
    ingest = (await status_of(door))["ingest"]
    assert {name: value for name, value in ingest.items() if value is not None} == dict.fromkeys(
        ("accepted", "dropped_by_policy", "shed_saturated", "stored", "replayed", "ignored_end", "dropped_invalid", "failed"),
        0,
    )  # fmt: skip
    assert ingest["last_persisted_ms"] is None
    sender = agent(door)
    await sender.says("user-prompt", key="k1", prompt="hello")
    first = (await status_of(door))["ingest"]["last_persisted_ms"]
    await sender.says("user-prompt", key="k1", prompt="hello")
    await sender.says("post-tool-use", agent_id="sub", tool_name="Bash")
    await sender.says("post-tool-use", tool_name="Read", _ai_memory_capture={"disposition": "drop"})
    assert (await door.post("/hook?agent=codex", json={})).status == 400
    ingest = (await status_of(door))["ingest"]
    assert {name: ingest[name] for name in ("accepted", "stored", "replayed", "dropped_by_policy")} == {
        "accepted": 2,
        "stored": 1,
        "replayed": 1,
        "dropped_by_policy": 2,
    }
    # What was known already is not stored again.
    assert (ingest["dropped_invalid"], ingest["last_persisted_ms"]) == (1, first)
    assert isinstance(first, int)


async def test_requests_that_were_told_to_come_back_are_counted(server_with, agent):
    server = await server_with(hook_queue=2)
    answers = await asyncio.gather(*(agent(server).says("user-prompt", prompt="x") for _ in range(40)))
    shed = [answer.status for answer in answers].count(429)
    ingest = (await status_of(server))["ingest"]
    assert (ingest["shed_saturated"], ingest["accepted"]) == (shed, 40 - shed)
    assert shed > 0


@pytest.fixture
async def told(door, agent):
    """A session that said the words, over; gives its id."""
    one = agent(door)
    await one.works(prompt=f"Please draw {LOGO}.")
    await one.says("session-end")
    assert (await door.get("/admin/handoffs")).status == 200
    return one.id


def in_databases(memory):
    """Which files below `db` hold the words."""
    files = (memory.settings.data_dir / "db").glob("*.db*")
    return sorted(file.name for file in files if LOGO.encode() in file.read_bytes())


@pytest.mark.parametrize("what", ["purge-session", "purge-project"])
async def test_a_purge_that_compacts_leaves_nothing_in_the_free_space(memory, door, told, what):
    asked = {**SHOP, "session_id": told} if what == "purge-session" else SHOP
    dry = await post(door, what, **asked, compact=True, dry_run=True)
    assert (dry["compacted"], in_databases(memory) != []) == (False, True)
    answer = await post(door, what, **asked, compact=True, history=True, confirm=True)
    assert (answer["compacted"], in_databases(memory)) == (True, [])


async def test_a_purge_compacts_only_when_asked_to(memory, door, told):
    answer = await post(door, "purge-session", **SHOP, session_id=told, confirm=True)
    assert (answer["compacted"], memory.status(bind="")["stages"]["upkeep"].get("compacted")) == (False, None)


async def test_a_purge_that_could_not_be_compacted_says_that_all_is_purged(memory, door, told, monkeypatch):
    def busy(self):
        raise StorageError("index.db is being read all the time: compact it again later")

    monkeypatch.setattr(Database, "compact", busy)
    error = (await post(door, "purge-session", 507, **SHOP, session_id=told, compact=True, confirm=True))["error"]
    assert (
        error == "everything is purged, but not compacted: index.db is being read all the time: compact it again later"
    )
    assert "was purged" in (await post(door, "purge-session", 404, **SHOP, session_id=told, dry_run=True))["error"]


async def test_a_move_tells_whether_the_project_went_as_it_is_or_into_another(door):
    for workspace, path in (("default", "a.md"), ("default", "b.md"), ("team", "c.md")):
        await post(door, "write-page", workspace=workspace, project="shop", path=path, body="Text.")
    asked = {"from_workspace": "default", "project": "shop", "confirm": True}
    keys = ("moved_via", "merged_into_existing", "pages_moved", "pages_copied", "source_purged")
    whole = await post(door, "move-project", **asked, to_workspace="lab")
    assert tuple(whole[key] for key in keys) == ("true-move", False, 2, 0, False)
    merged = await post(door, "move-project", **{**asked, "from_workspace": "lab"}, to_workspace="team")
    assert tuple(merged[key] for key in keys) == ("copy-purge", True, 2, 2, True)
