"""Upkeep through the door: a sweep on demand, compacting, and what the worker does by itself."""

import logging
from uuid import UUID, uuid5

import pytest

from ai_memory.config import load_settings
from ai_memory.errors import ConfigError, StorageError
from ai_memory.memory.outside import Outside
from ai_memory.memory.upkeep import Upkeep
from ai_memory.server.app import create_app
from ai_memory.server.worker import Watcher, Worker

SHOP = {"workspace": "default", "project": "shop"}


async def post(server, path, status=200, /, **body):
    answer = await server.post(f"/admin/{path}", json=body)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def write(server, path, body="Text.\n"):
    await post(server, "write-page", **SHOP, path=path, body=body)


async def test_a_sweep_says_what_it_would_delete_and_then_deletes_exactly_that(server_with):
    # The daily upkeep begins soon after the start and would be first.
    server = await server_with(maintenance__enabled=False)
    await write(server, "notes/a.md", "---\nexpires_at: 2020-01-01\n---\nOver.\n")
    await write(server, "notes/b.md")
    where = await (await server.get("/admin/where", params={**SHOP, "project_src": ""})).json()
    project = UUID(where["pages"].rsplit("/", 1)[1])
    report = {
        "scope": "default/shop",
        "candidates_evaluated": 0,
        "evicted": [],
        "expired": [
            {"id": str(uuid5(project, "notes/a.md")), "path": "notes/a.md", "expired_at": "2020-01-01T23:59:59Z"}
        ],
        "hard_deleted": 0,
        "ledgers_deleted": [],
    }

    def said(deleted):
        return {**report, "dry_run": not deleted, "expired": [{**report["expired"][0], "deleted": deleted}]}

    assert await post(server, "forget-sweep", **SHOP, dry_run=True) == said(False)
    assert await post(server, "forget-sweep", **SHOP, confirm=False) == said(False)
    assert "either confirm" in (await post(server, "forget-sweep", 400, **SHOP, confirm=True, dry_run=True))["error"]
    assert await post(server, "forget-sweep", **SHOP) == said(True)
    assert await post(server, "forget-sweep", **SHOP) == {**report, "dry_run": False, "expired": []}
    assert (await server.get("/admin/read-page", params={**SHOP, "path": "notes/a.md"})).status == 404
    assert (await server.get("/admin/read-page", params={**SHOP, "path": "notes/b.md"})).status == 200


async def test_a_sweep_of_no_project_is_refused_and_creates_none(server):
    assert "there is no project" in (await post(server, "forget-sweep", 404, **SHOP))["error"]
    assert (await post(server, "forget-sweep", 400))["error"] == "name both, workspace and project"
    assert (await (await server.get("/admin/projects")).json())["projects"] == []
    await write(server, "notes/a.md")
    assert (await post(server, "forget-sweep", 400, **SHOP, dry_run="yes"))["error"] == "dry_run must be true or false"


async def test_compacting_says_what_it_freed(server):
    await write(server, "notes/a.md")
    freed = await post(server, "compact")
    assert freed.keys() == {"freed_bytes", "index_bytes", "state_bytes", "git_bytes"}
    assert freed["freed_bytes"] == freed["index_bytes"] + freed["state_bytes"] + freed["git_bytes"]
    assert (await server.get("/admin/read-page", params={**SHOP, "path": "notes/a.md"})).status == 200


async def test_a_page_that_somebody_reads_is_counted_and_a_look_at_the_past_is_not(memory_with, aiohttp_client):
    memory = memory_with()
    client = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    await write(client, "notes/a.md")
    await write(client, "notes/b.md")
    for path, query in (("a", {}), ("a", {}), ("b", {"revision": "HEAD"})):
        answer = await client.get("/admin/read-page", params={**SHOP, "path": f"notes/{path}.md", **query})
        assert answer.status == 200
    memory.upkeep.reads.flush(now=True)
    (project,) = memory.projects.all()
    assert {path: read.count for path, read in memory.stores.state.reads.of(project.id).items()} == {"notes/a.md": 1}


def test_the_worker_does_the_upkeep_and_says_when_there_is_no_more(memory_with):
    memory = memory_with()
    assert Worker(memory)._upkeep() is False
    assert memory.status(bind="")["stages"]["upkeep"]["done"] == 1


def test_an_upkeep_that_fails_again_and_again_is_logged_once(memory_with, monkeypatch, caplog):
    memory = memory_with()

    def full(self, seconds):
        raise StorageError("no space")

    monkeypatch.setattr(Upkeep, "step", full)
    worker = Worker(memory)
    with caplog.at_level(logging.DEBUG):
        assert [worker._upkeep() for _ in range(20)] == [False] * 20
    assert len(caplog.records) == 1
    report = memory.status(bind="")["stages"]["upkeep"]
    assert (report["failed"], report["last_error"]) == (20, "StorageError: no space")


def test_a_wiki_that_cannot_be_read_is_logged_once_until_it_can(memory_with, monkeypatch, caplog):
    memory = memory_with()
    watcher = Watcher(memory)

    def gone(self):
        raise OSError("no medium")

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(Outside, "reconcile", gone)
                for _ in range(20):
                    watcher._step(frozenset())
            watcher._step(frozenset())
    assert [record.message for record in caplog.records] == ["the wiki could not be read"] * 2
    assert memory.status(bind="")["stages"]["indexing"]["failed"] == 40


@pytest.mark.parametrize(("key", "value"), [("decay.lambda", "nan"), ("maintenance.raw_keep_days", "-1")])
def test_a_limit_that_makes_no_sense_is_refused(monkeypatch, tmp_path, key, value):
    monkeypatch.setenv("AI_MEMORY_" + key.upper().replace(".", "__"), value)
    with pytest.raises(ConfigError, match=f"{key} must be at least 0"):
        load_settings(tmp_path)
