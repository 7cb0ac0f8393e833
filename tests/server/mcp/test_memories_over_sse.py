"""The memories of users over the wire: whose token reaches what, at which request it ends, and what a restart keeps."""

import asyncio
import json
import logging
import os
import re

import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client

from ai_memory.server.keys import MEMORY

ANA, BOB = ({"Authorization": f"Bearer token-of-{name}"} for name in ("ana", "bob"))
OWNER = {"Authorization": "Bearer of-the-owner"}
CHALLENGE = {"detail": "the token of a user is required: Authorization: Bearer <token>"}
JSON = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
def tokens(tmp_path):
    """Write who has which token."""
    file = tmp_path / "data" / "user_tokens.json"
    file.parent.mkdir(exist_ok=True)

    def write(content):
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        file.chmod(0o600)

    write({"token-of-ana": "ana", "token-of-bob": "bob"})
    write.file = file
    return write


class Stream:
    """An open stream of `/mcp/sse`."""

    def __init__(self, server, answer, headers):
        self.server, self.answer, self.headers = server, answer, headers
        self.path = ""

    async def event(self):
        lines = []
        while line := (await asyncio.wait_for(self.answer.content.readline(), 10)).decode().rstrip("\r\n"):
            lines.append(line.partition(": ")[::2])
        event = dict(lines)
        return (event["event"], event["data"]) if "event" in event else await self.event()

    async def send(self, method, params=None, *, number=1, headers=None):
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
        return await self.server.post(self.path, json=body, headers=self.headers if headers is None else headers)

    async def ask(self, method, params=None):
        answer = await self.send(method, params)
        assert (answer.status, await answer.text()) == (202, "Accepted")
        event, data = await self.event()
        assert event == "message"
        return json.loads(data)["result"]

    async def call(self, tool, **arguments):
        result = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result["isError"], result
        return json.loads(result["content"][0]["text"])


async def opened(server, headers, path="/mcp/sse"):
    answer = await server.get(path, headers={"Accept": "text/event-stream", **headers})
    assert (answer.status, answer.content_type) == (200, "text/event-stream"), await answer.text()
    stream = Stream(server, answer, headers)
    event, stream.path = await stream.event()
    assert event == "endpoint"
    about = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    result = await stream.ask("initialize", about)
    assert result["protocolVersion"] == "2024-11-05"
    await server.post(stream.path, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    return stream


async def test_two_users_of_one_repository_never_meet(server, tokens):
    ana, bob = await opened(server, ANA), await opened(server, BOB)
    one, two = await asyncio.gather(
        ana.call("store_memory", repo_id="shop", content="Ana knows saffron.", key="spice"),
        bob.call("store_memory", repo_id="shop", content="Bob knows crocus.", key="spice"),
    )
    assert (one["status"], two["status"]) == ("stored", "stored")
    found = await ana.call("retrieve_memory", repo_id="shop")
    assert [each["id"] for each in found["memories"]] == [one["id"]]
    assert "saffron" in found["memories"][0]["content"]
    assert (await bob.call("retrieve_memory", repo_id="shop", query="saffron"))["count"] == 0
    assert await bob.call("delete_memory", repo_id="shop", id=one["id"]) == {"deleted": 0}
    assert (await bob.call("list_memories"))["repositories"] == [{"repo_id": "shop", "count": 1}]
    assert await bob.call("delete_memory", repo_id="shop", key="spice") == {"deleted": 1}
    assert (await bob.call("list_memories"))["repositories"] == []
    assert (await ana.call("list_memories", repo_id="shop"))["total"] == 1


async def test_an_open_session_is_closed_to_everybody_else(server, tokens):
    ana = await opened(server, ANA)
    store = {"name": "store_memory", "arguments": {"repo_id": "shop", "content": "Not by Ana."}}
    refused = await ana.send("tools/call", store, headers=BOB)
    assert (refused.status, await refused.text()) == (404, "Could not find session")
    for headers in ({}, OWNER, {"Authorization": "Basic dG9rZW4tb2YtYW5h"}):
        refused = await ana.send("tools/call", store, headers=headers)
        assert (refused.status, await refused.json()) == (401, CHALLENGE)
    assert (await ana.call("list_memories"))["total"] == 0


@pytest.mark.parametrize("path", ["/m/mcp/sse", "/mcp/sse"], ids=["kept by the proxy", "stripped by the proxy"])
async def test_below_a_base_path_a_stream_says_where_to_send_to_from_outside(server_with, tokens, path):
    ana = await opened(await server_with(base_path="/m"), ANA, path)
    assert ana.path.startswith("/m/mcp/sse/messages?session_id=")
    assert (await ana.call("list_memories"))["total"] == 0


@pytest.mark.parametrize("other", ["/mcp/sse/wiki/messages", "/mcp/sse/messages?toolset=wiki", "/mcp/sse/messages"])
async def test_no_way_around_leads_into_a_users_session(server, tokens, other):
    ana = await opened(server, ANA)
    session = ana.path.partition("?")[2]
    path = f"{other}{'&' if '?' in other else '?'}{session}"
    body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "list_memories", "arguments": {}}}
    answer = await server.post(path, json=body)
    assert answer.status == (404 if "wiki/" in other else 401)
    answer = await server.post(path, json=body, headers=BOB)
    assert answer.status == 404


async def test_the_wiki_over_sse_is_for_the_owner_and_not_for_users(server_with, tokens):
    server = await server_with(auth__bearer_token="of-the-owner")
    wiki = await opened(server, OWNER, "/mcp/sse?toolset=wiki")
    assert wiki.path.startswith("/mcp/sse/wiki/messages?session_id=")
    names = {tool["name"] for tool in (await wiki.ask("tools/list"))["tools"]}
    assert ("memory_query" in names, "store_memory" in names) == (True, False)
    for path in ("/mcp/sse?toolset=wiki", "/admin/status"):
        assert (await server.get(path, headers=ANA)).status == 401
    assert (await wiki.send("ping", headers=ANA)).status == 401
    assert (await server.post("/mcp", json={}, headers=ANA)).status == 401


WRONG = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "token-of-ana"},
    {"Authorization": "Basic token-of-ana"},
    {"Authorization": "Bearer token-of-an"},
    {"Authorization": "Bearer TOKEN-OF-ANA"},
    {"Authorization": "Bearer ana"},
    {"Authorization": "Bearer tökén"},
    OWNER,
]


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("bearer", ["", "of-the-owner"])
async def test_without_a_users_token_nothing_is_told(server_with, tokens, bearer, headers):
    server = await server_with(auth__bearer_token=bearer)
    for method, path in [
        ("GET", "/mcp/sse"),
        ("GET", "/mcp/sse?toolset=memories"),
        ("GET", "/mcp/%73se"),
        ("POST", "/mcp/sse"),
        ("POST", "/mcp/sse/messages"),
        ("POST", "/mcp/sse/messages?session_id=00000000000000000000000000000000"),
        ("POST", "/mcp/memories"),
        ("GET", "/mcp/memories"),
    ]:
        answer = await server.request(method, path, headers=headers)
        assert (path, answer.status, answer.headers["WWW-Authenticate"]) == (path, 401, "Bearer")
        assert await answer.json() == CHALLENGE


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_scheme_is_written_in_any_case(server, tokens, scheme):
    answer = await server.post("/mcp/sse", headers={"Authorization": f"{scheme} token-of-ana"})
    # What makes clients that try the newer transport first fall back to this one.
    assert answer.status == 405


async def test_a_token_ends_and_begins_with_the_next_request(server, tokens):
    ana = await opened(server, ANA)
    tokens({"token-of-bob": "bob", "new": "ana"})
    refused = await ana.send("tools/list")
    assert (refused.status, await refused.json()) == (401, CHALLENGE)
    assert (await server.get("/mcp/sse", headers=ANA)).status == 401
    other = await opened(server, {"Authorization": "Bearer new"})
    assert (await other.call("list_memories"))["total"] == 0
    # Another token of the same user is the same user.
    ana.headers = other.headers
    assert (await ana.call("list_memories"))["total"] == 0


BROKEN = {
    "": "is not JSON",
    "{": "is not JSON",
    "[]": "has to be an object",
    '[["token-of-ana", "ana"]]': "has to be an object",
    '"token-of-ana"': "has to be an object",
    "null": "has to be an object",
    '{"token-of-ana": "ana", "": "bob"}': "a token or a user id is blank",
    '{"token-of-ana": "ana", "  ": "bob"}': "a token or a user id is blank",
    '{"token-of-ana": "ana", "x": ""}': "a token or a user id is blank",
    '{"token-of-ana": "ana", "x": 7}': "a token or a user id is blank",
    '{"token-of-ana": "ana", "x": {"a": "b"}}': "a token or a user id is blank",
    '{"token-of-ana": "ana", "token-of-ana": "bob"}': "a token is there twice",
    "[" * 100_000: "is not JSON",
}


@pytest.mark.parametrize("content", BROKEN)
async def test_a_file_that_is_wrong_lets_nobody_in_and_is_logged_once(server, tokens, caplog, content):
    await opened(server, ANA)
    caplog.clear()
    tokens(content)
    for _ in range(3):
        assert (await server.get("/mcp/sse", headers=ANA)).status == 401
    (line,) = [record.getMessage() for record in caplog.records if record.name == "ai_memory.server.users"]
    assert line.startswith("the memories of users are closed to everybody: ")
    assert BROKEN[content] in line
    assert "token-of-ana" not in line
    warnings = (await (await server.get("/admin/status")).json())["warnings"]
    assert [each for each in warnings if BROKEN[content] in each] == [line]
    tokens({"token-of-ana": "ana"})
    await opened(server, ANA)


async def test_a_file_that_is_missing_lets_nobody_in_and_says_so_at_the_start(server_with, tmp_path, caplog):
    caplog.set_level(logging.INFO, "ai_memory.server.users")
    server = await server_with()
    assert [record.getMessage() for record in caplog.records if "memories of users are closed" in record.getMessage()]
    assert (await server.get("/mcp/sse", headers=ANA)).status == 401
    assert (await (await server.get("/admin/status")).json())["warnings"] == []
    (tmp_path / "data" / "user_tokens.json").mkdir()
    assert (await server.get("/mcp/sse", headers=ANA)).status == 401


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
async def test_a_file_that_others_can_read_is_told_of(server, tokens, caplog):
    tokens.file.chmod(0o644)
    for _ in range(2):
        await opened(server, ANA)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "ai_memory.server.users"]
    assert "has the mode 0644" in line
    assert (await (await server.get("/admin/status")).json())["warnings"] == [line]


async def test_the_file_may_be_elsewhere(server_with, tmp_path, monkeypatch):
    (tmp_path / "elsewhere.json").write_text('{"token-of-ana": "ana"}')
    monkeypatch.setenv("MCP_TOKENS_PATH", str(tmp_path / "elsewhere.json"))
    await opened(await server_with(), ANA)


async def test_tokens_are_in_no_log(server, tokens, caplog):
    caplog.set_level(logging.DEBUG)
    ana = await opened(server, ANA)
    await ana.call("store_memory", repo_id="shop", content="x")
    await server.get("/mcp/sse", headers={"Authorization": "Bearer token-of-nobody"})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("ai_memory", "mcp"))]
    assert "token-of-" not in "\n".join(ours)


async def test_over_plain_posts_each_request_is_its_users(server, tokens):
    async def call(headers, tool, **arguments):
        params = {"name": tool, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await server.post("/mcp/memories", json=body, headers={**JSON, **headers})
        return json.loads((await answer.json())["result"]["content"][0]["text"])

    await call(ANA, "store_memory", repo_id="shop", content="Saffron.")
    assert (await call(ANA, "search_memories", repo_id="shop", q="saffron"))["count"] == 1
    assert (await call(BOB, "retrieve_memory", repo_id="shop"))["count"] == 0


async def test_a_stateful_session_is_closed_to_another_user(server_with, tokens):
    server = await server_with(http_stateful=True)
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    answer = await server.post("/mcp/memories", json=body, headers={**JSON, **ANA})
    session = {"Mcp-Session-Id": answer.headers["Mcp-Session-Id"]}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    refused = await server.post("/mcp/memories", json=listing, headers={**JSON, **BOB, **session})
    assert refused.status == 404
    assert (await server.post("/mcp/memories", json=listing, headers={**JSON, **ANA, **session})).status == 200


async def test_the_official_client_uses_every_tool(server, tokens):
    url = str(server.make_url("/mcp/sse"))
    async with sse_client(url, headers=ANA) as streams, ClientSession(*streams) as session:
        about = await session.initialize()
        assert "retrieve_memory" in (about.instructions or "")
        listed = await session.list_tools()
        assert [tool.name for tool in listed.tools] == [
            "store_memory",
            "retrieve_memory",
            "list_memories",
            "delete_memory",
        ]

        async def call(tool, **arguments):
            result = await session.call_tool(tool, arguments)
            assert not result.is_error
            return result.structured_content

        stored = await call("store_memory", repo_id="shop", content="Saffron.", tags=["a"], metadata={"n": 1})
        (memory,) = (await call("retrieve_memory", repo_id="shop", tags=["a"]))["memories"]
        assert (memory["id"], memory["metadata"]) == (stored["id"], {"n": 1})
        assert (await call("list_memories"))["repositories"] == [{"repo_id": "shop", "count": 1}]
        assert (await call("delete_memory", repo_id="shop", id=stored["id"]))["deleted"] == 1
        wrong = await session.call_tool("store_memory", {"content": "x"})
        assert wrong.is_error
        assert re.search("repo_id is missing", wrong.content[0].text)


async def test_a_restart_keeps_the_memories_and_no_session(server_with, tokens):
    server = await server_with()
    ana = await opened(server, ANA)
    stored = await ana.call("store_memory", repo_id="shop", content="Saffron.", key="k")
    path = ana.path
    await server.close()
    server.app[MEMORY].close()
    server = await server_with()
    gone = await server.post(path, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=ANA)
    assert gone.status == 404
    ana = await opened(server, ANA)
    (memory,) = (await ana.call("retrieve_memory", repo_id="shop"))["memories"]
    assert memory["id"] == stored["id"]
