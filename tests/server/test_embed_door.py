"""Vectors through the doors: made by the server in the background, and on demand."""

import asyncio
import threading
import time

import pytest

from ai_memory.search.pieces import pieces_of
from ai_memory.server.app import create_app
from tests.search.vendors import KEY, Vendors

SHOP = {"workspace": "default", "project": "shop"}


@pytest.fixture
def vendor():
    server = Vendors()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def door(server_with, vendor, no_blocking):
    return await server_with(
        embedding_provider="openai-compat",
        embedding_base_url=vendor.url,
        embedding_model="m",
        embedding_dim=vendor.dim,
        embedding_api_key=KEY,
    )


async def post(server, verb, status=200, /, **body):
    answer = await server.post(f"/admin/{verb}", json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def embedding_of(server):
    report = await (await server.get("/admin/status")).json()
    return report["providers"]["embedding"], report["derived"]


async def until(server, condition):
    """Wait until the status of the embedding is as wanted."""
    for _ in range(600):
        embedding, derived = await embedding_of(server)
        if condition(embedding):
            return embedding, derived
        await asyncio.sleep(0.05)
    pytest.fail(f"it stays like this: {embedding}")


async def test_what_is_written_is_embedded_by_itself_and_counted(door):
    await post(door, "write-page", **SHOP, path="notes/a.md", body="Round per invoice.")
    embedding, derived = await until(door, lambda found: found["embedded"] == 1 and found["spend"]["today"]["tokens"])
    pieces = len(pieces_of("a\n\nRound per invoice."))
    spend = {"requests": 1, "tokens": 3 * pieces}
    assert embedding == {
        "configured": True,
        "provider": "openai-compat",
        "model": "m",
        "dim": 8,
        "state": "ready",
        "embedded": 1,
        "waiting": 0,
        "failed": 0,
        "last_error": None,
        "spend": {"today": spend, "days_30": spend},
    }
    assert derived["latest_pages_missing_embeddings"] == 0
    assert derived["embedding_triples"] == [{"provider": "openai-compat", "model": "m", "dim": 8, "count": pieces}]
    assert derived["embedding_rows"] == pieces


async def test_a_vendor_that_fails_hurts_no_write_and_no_search_and_is_named(door, vendor):
    vendor.fails = (503, {"error": {"message": "overloaded"}})
    await post(door, "write-page", **SHOP, path="notes/a.md", body="Round per invoice.")
    embedding, _ = await until(door, lambda found: found["last_error"])
    assert embedding["state"] == "failed: openai-compat is busy or not well (HTTP 503: overloaded)"
    assert (embedding["embedded"], embedding["waiting"], embedding["failed"]) == (0, 1, 0)
    answer = await door.get("/admin/search", params={"q": "invoice", **SHOP})
    assert answer.status == 200
    assert "notes/a.md" in await answer.text()
    assert "overloaded" in (await post(door, "embed", 502, **SHOP))["error"]
    vendor.fails = None
    assert (await post(door, "embed", **SHOP))["embedded"] == 1


async def test_a_server_stops_while_its_vendor_hangs(memory_with, aiohttp_client, vendor):
    memory = memory_with(
        embedding_provider="openai-compat",
        embedding_base_url=vendor.url,
        embedding_model="m",
        embedding_dim=vendor.dim,
        embedding_api_key=KEY,
    )
    client = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    vendor.fails = "hang"
    await post(client, "write-page", **SHOP, path="notes/a.md", body="Round per invoice.")
    while not vendor.requests:
        await asyncio.sleep(0.02)
    begun = time.monotonic()
    await client.close()
    await asyncio.to_thread(memory.close)
    assert time.monotonic() - begun < 15


async def test_embedding_on_demand_answers_as_the_wire_says(door, vendor):
    vendor.fails = (500, {})
    for project in ("shop", "mill"):
        await post(door, "write-page", workspace="default", project=project, path="a.md", body=f"All about {project}.")
    await until(door, lambda found: found["last_error"])
    vendor.fails = None
    about = {"failed": 0, "provider": "openai-compat", "model": "m", "dim": 8}
    dry = {**about, "embedded": 0, "skipped": 0, "dry_run": True}
    everything = {"workspace": "default", "project": "nobody's", "all_projects": True}
    assert await post(door, "embed", **SHOP, dry_run=True) == {**dry, "would_embed": 1, "waiting": 1}
    assert await post(door, "embed", **everything, dry_run=True) == {**dry, "would_embed": 2, "waiting": 2}
    done = {**about, "would_embed": 0, "waiting": 0, "dry_run": False}
    assert await post(door, "embed", **SHOP) == {**done, "embedded": 1, "skipped": 0}
    assert await post(door, "embed", **everything) == {**done, "embedded": 1, "skipped": 1}
    assert await post(door, "embed", **SHOP, reembed=True, seconds=5) == {**done, "embedded": 1, "skipped": 0}
    assert await post(door, "embed", **everything) == {**done, "embedded": 0, "skipped": 2}
    assert "there is no project" in (await post(door, "embed", 404, workspace="default", project="x"))["error"]
    assert "workspace x" in (await post(door, "embed", 404, workspace="x", all_projects=True))["error"]
    for seconds in (0, -1, True, "5"):
        assert "seconds" in (await post(door, "embed", 400, **SHOP, seconds=seconds))["error"]


async def test_without_an_embedder_there_is_nothing_to_do_it(server):
    await post(server, "write-page", **SHOP, path="a.md", body="Text.")
    assert await post(server, "embed", 503, **SHOP) == {
        "error": "no embedding_provider is set: search goes by words alone"
    }
    embedding, derived = await embedding_of(server)
    assert embedding == {"configured": False}
    assert derived["latest_pages_missing_embeddings"] == 1
