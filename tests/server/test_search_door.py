"""Search over HTTP: scopes, what is asked besides the words, and what the answer lacks."""

import pytest

from ai_memory.server.app import create_app


async def write(server, project, path, body):
    sent = {"workspace": "default", "project": project, "path": path, "body": body}
    assert (await server.post("/admin/write-page", json=sent)).status == 200


async def search(server, text, status=200, /, **query):
    answer = await server.get("/admin/search", params=[("q", text), *pairs(query)])
    assert answer.status == status, await answer.text()
    return await answer.json()


def pairs(query):
    return [(key, each) for key, value in query.items() for each in (value if isinstance(value, list) else [value])]


@pytest.fixture
async def three(server):
    for project in ("shop", "bank", "infra"):
        await write(server, project, "notes/a.md", f"# {project}\n\nsaffron\n")
    return server


async def test_several_projects_are_searched_at_once(three):
    hits = await search(three, "saffron", scope=["default/shop", "default/bank"])
    assert {hit["project"] for hit in hits} == {"shop", "bank"}


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ({"scope": "shop"}, 400, "a scope is written workspace/project"),
        ({"scope": ["default/shop"] * 26}, 400, "at most 25 scopes"),
        ({"scope": "default/shop", "workspace": "default", "project": "shop"}, 400, "not both"),
        ({"scope": "default/nowhere"}, 404, "nowhere"),
        ({"explain": "yes"}, 400, "explain must be true or false"),
        ({"expired": "1"}, 400, "expired must be true or false"),
        ({"at": "2026-11-20", "limit": "3"}, 400, "only path: works"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_the_reason(three, query, status, problem):
    assert problem in (await search(three, "saffron tag:x", status, **query))["error"]


async def test_a_hit_explains_itself_on_request(three):
    (hit,) = await search(three, "saffron", scope="default/shop", explain="true")
    streams = hit["score_details"]["streams"]
    assert (streams["pages"]["rank"], set(streams), hit["why"]) == (1, {"pages"}, "its words")
    assert "score_details" not in (await search(three, "saffron", scope="default/shop"))[0]


async def test_what_has_expired_is_found_on_request(three):
    await write(three, "shop", "notes/sale.md", "---\nexpires_at: 2020-01-01\n---\n# Sale\n\nHalf price.\n")
    assert await search(three, "sale half price") == []
    assert [hit["path"] for hit in await search(three, "sale half price", expired="true")] == ["notes/sale.md"]


async def test_a_page_that_is_found_counts_as_read_and_the_past_does_not(memory_with, aiohttp_client):
    memory = memory_with(maintenance__enabled=False)
    server = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    await write(server, "shop", "notes/a.md", "saffron")
    await search(server, "saffron")
    await search(server, "saffron", at="2030-01-01")
    memory.upkeep.reads.flush(now=True)
    (project,) = memory.projects.all()
    assert {path: read.count for path, read in memory.stores.state.reads.of(project.id).items()} == {"notes/a.md": 1}


async def test_an_embedder_that_is_not_there_is_named_beside_the_hits(server_with):
    server = await server_with(
        embedding_provider="openai-compat",
        embedding_base_url="http://127.0.0.1:9",
        embedding_model="m",
        embedding_dim=8,
    )
    await write(server, "shop", "notes/a.md", "saffron")
    answer = await server.get("/admin/search", params={"q": "saffron"})
    assert [hit["path"] for hit in await answer.json()] == ["notes/a.md"]
    assert answer.headers["X-Memory-Degraded"]


async def test_a_page_is_read_by_what_it_is_about_although_a_session_fits_better(server):
    await write(server, "shop", "notes/a.md", "# Crocus\n\nSaffron comes from it.\n")
    body = {"session_id": "6f8a2f0c-5f63-4f0e-9d0c-0d8f6a3f0001", "cwd": "/srv/shop", "prompt": "Saffron saffron?"}
    query = {"agent": "codex", "event": "user-prompt", "cwd": "/srv/shop", "workspace": "default", "project": "shop"}
    assert (await server.post("/hook", params=query, json=body)).status == 202
    page = await server.get("/admin/read-page", params={"workspace": "default", "project": "shop", "q": "saffron"})
    assert (await page.json())["path"] == "notes/a.md"


async def test_whatever_a_vendor_says_the_hits_arrive(memory_with, aiohttp_client, monkeypatch):
    memory = memory_with(maintenance__enabled=False)
    monkeypatch.setattr(type(memory.embedding), "is_on", True)
    memory.embedding.query = lambda text: (None, "\x1b[31mневерный\x00\nключ\x7f")
    server = await aiohttp_client(create_app(memory, bind="127.0.0.1:0"))
    await write(server, "shop", "notes/a.md", "saffron")
    answer = await server.get("/admin/search", params={"q": "saffron"})
    assert [hit["path"] for hit in await answer.json()] == ["notes/a.md"]
    assert answer.headers["X-Memory-Degraded"] == "?[31m????????? ?????"
