"""`GET /api/v1/events`: browsers hear that something changed, and nobody waits for them."""

import asyncio
import json

import pytest

from ai_memory.memory.pages import Fields, Writer
from ai_memory.server.api import events
from ai_memory.server.keys import MEMORY

ANA = Writer(user="ana")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(events, "_LOOK", 0.01)


@pytest.fixture
def memory(server):
    return server.server.app[MEMORY]


@pytest.fixture
async def shop(memory):
    return await asyncio.to_thread(memory.projects.create, "default", "shop")


async def write(memory, project, path="notes/a.md", body="Text."):
    await asyncio.to_thread(memory.pages.write, project, path, body, Fields(), ANA)


class Stream:
    """An open stream, read message by message."""

    def __init__(self, answer):
        self.answer = answer

    async def message(self):
        """Give the fields of the next message."""
        fields = {}
        async with asyncio.timeout(20):
            while line := (await self.answer.content.readline()).decode():
                if line == "\n":
                    return fields
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value
        return None

    async def change(self):
        """Give what the next message says that changed, in one text."""
        while (fields := await self.message()) is not None:
            if "data" in fields:
                assert fields["event"] == "changed"
                told = json.loads(fields["data"])
                return f"{told['workspace']}/{told['project']} {told['what']}"


async def opened(server, last="", **query):
    answer = await server.get("/api/v1/events", params=query, headers={"Last-Event-ID": last} if last else {})
    assert answer.status == 200
    return Stream(answer)


async def test_a_reader_hears_what_changed_and_where_to_go_on_from(server, memory, shop):
    stream = await opened(server)
    headers = stream.answer.headers
    assert headers["Content-Type"] == "text/event-stream"
    assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")
    assert await stream.message() == {"retry": "3000", "id": str(memory.stores.changes.newest)}
    await write(memory, shop)
    changed = {"workspace": "default", "project": "shop", "what": "pages"}
    fields = await stream.message()
    assert json.loads(fields.pop("data")) == changed
    assert fields.keys() == {"event", "id"}


async def test_a_reader_of_a_project_hears_of_that_project_alone(server, memory, shop):
    other = await asyncio.to_thread(memory.projects.create, "default", "other")
    stream = await opened(server, workspace="default", project="other")
    await stream.message()
    await write(memory, shop)
    await write(memory, other)
    assert await stream.change() == "default/other pages"
    await asyncio.to_thread(memory.moves.rename_project, other, "another")
    # A page changes with its file, and again with its commit: who looks in between hears of both.
    while (told := await stream.change()).endswith(" pages"):
        assert told in ("default/other pages", "default/another pages")
    assert told == "default/another projects"


async def test_a_project_that_cannot_be_told_is_refused(server, shop):
    wrong = [{"workspace": "default", "project": "none"}, {"workspace": "default"}, {"project": "shop"}]
    answers = [await server.get("/api/v1/events", params=query) for query in wrong]
    told = "workspace and project must be provided together"
    assert [(answer.status, (await answer.json())["error"]) for answer in answers] == [
        (404, "there is no project default/none: /api/v1/projects lists those that there are"),
        (400, told),
        (400, told),
    ]


async def test_whoever_comes_back_hears_what_was_missed_and_of_another_run_nothing(server, memory, shop):
    first = await opened(server)
    number = (await first.message())["id"]
    first.answer.close()
    await write(memory, shop)
    memory.handoffs.begin(shop, summary="Go on.")
    again = await opened(server, number)
    assert [await again.change(), await again.change()] == ["default/shop pages", "default/shop handoffs"]
    for last in ("1", "9" * 30, "-1", "x", "²"):
        fresh = await opened(server, last)
        assert await fresh.message() == {"retry": "3000", "id": str(memory.stores.changes.newest)}
        fresh.answer.close()


async def test_a_project_that_is_gone_has_no_name(server, memory, shop):
    stream = await opened(server)
    await stream.message()
    await asyncio.to_thread(memory.purge.project, shop, confirm=True)
    seen = set()
    while "None/None projects" not in seen:
        seen.add(await stream.change())


async def test_a_reader_to_whom_nothing_happens_sees_that_the_server_is_there(server, memory, monkeypatch):
    monkeypatch.setattr(events, "_SIGN_OF_LIFE", 0.02)
    stream = await opened(server)
    await stream.message()
    assert await stream.message() == {"": "nothing new", "id": str(memory.stores.changes.newest)}


async def test_beyond_the_limit_a_reader_is_sent_away_until_another_leaves(server, monkeypatch):
    monkeypatch.setattr(events, "_MOST_READERS", 2)
    first, _ = await opened(server), await opened(server)
    refused = await server.get("/api/v1/events")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
    assert await refused.json() == {"error": "2 readers listen already: come back later"}
    first.answer.close()
    async with asyncio.timeout(20):
        while (await server.get("/api/v1/events")).status != 200:
            await asyncio.sleep(0.01)


async def test_open_streams_do_not_keep_the_server_from_ending(server, monkeypatch):
    # A server that waited for them would look again only then.
    monkeypatch.setattr(events, "_LOOK", 600.0)
    streams = [await opened(server) for _ in range(50)]
    for stream in streams:
        await stream.message()
    async with asyncio.timeout(10):
        await server.server.close()
    assert [await stream.message() for stream in streams] == [None] * 50


async def test_who_signs_out_hears_no_more(server_with):
    server = await server_with(auth__bearer_token="the-servers-own")
    form = {"token": "the-servers-own"}
    entered = await server.post("/web/sign-in", data=form, allow_redirects=False)
    cookie = {"Cookie": entered.headers["Set-Cookie"].partition(";")[0]}
    answer = await server.get("/api/v1/events", headers=cookie)
    stream = Stream(answer)
    assert (await stream.message())["retry"] == "3000"
    await server.post("/web/sign-out", headers=cookie, allow_redirects=False)
    assert await stream.message() is None
    assert (await server.get("/api/v1/events", headers=cookie)).status == 401
