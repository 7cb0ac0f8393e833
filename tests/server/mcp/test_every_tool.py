"""The official Python client drives every tool over all three transports, in the older protocol and the newest."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from ai_memory.client import routing
from ai_memory.server.mcp.toolsets import WIKI

BRIDGE = Path(__file__).resolve().parents[3] / "ai_memory" / "client" / "__main__.py"
NAMED = {"workspace": "default", "project": "shop"}
SCOPE = {**NAMED, "resolved_by": "explicit"}


def over_http(server, _):
    return str(server.make_url("/mcp"))


def over_sse(server, _):
    return sse_client(str(server.make_url("/mcp/sse?toolset=wiki")))


def over_stdio(server, folder):
    told = ["--server-url", str(server.make_url("/")), "--data-dir", str(folder)]
    return StdioServerParameters(command=sys.executable, args=["-I", "-S", str(BRIDGE), "mcp", *told], cwd=folder)


class Caller:
    """Calls tools as a model does, and remembers which."""

    def __init__(self, client):
        self._client = client
        self.called = set()

    async def __call__(self, tool, **arguments):
        answer = await self._client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        assert json.loads(answer.content[0].text) == answer.structured_content
        self.called.add(tool)
        return answer.structured_content


async def all_requests_are_over():
    """Wait until the server has let go of the client: a stream that it still holds would end in another test."""
    async with asyncio.timeout(10):
        while any("RequestHandler" in task.get_coro().__qualname__ for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)


def part(answer, *keys):
    return {key: answer[key] for key in keys}


@pytest.fixture
async def session(server, agent):
    """A session of the project shop that is over."""
    worked = agent(server)
    await worked.works()
    await worked.says("session-end")
    return worked.id


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("transport", [over_http, over_sse, over_stdio], ids=["http", "sse", "stdio"])
async def test_the_official_client_drives_every_tool(server, session, tmp_path, transport, mode):
    async with Client(transport(server, tmp_path), mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        assert client.instructions == routing.INSTRUCTIONS
        listed = [tool.name for tool in (await client.list_tools()).tools]
        call = Caller(client)
        await writes_and_reads_pages(call)
        await hands_over(call)
        await looks_after(call, session)
        refused = await client.call_tool("memory_query", {"query": "x", "workspace": "default", "project": "nowhere"})
    await server.session.close()
    await all_requests_are_over()
    assert listed == [tool.name for tool in WIKI.tools]
    assert call.called == set(listed)
    assert refused.is_error
    assert "default/shop" in refused.content[0].text


async def writes_and_reads_pages(call):
    page = {**NAMED, "path": "decisions/rounding.md"}
    written = await call("memory_write_page", **page, body="# Rounding\n\nPer invoice, half up: größer.\n")
    read = await call("memory_read_page", **page)
    found = await call("memory_query", **NAMED, query="how is an invoice rounded")
    recent = await call("memory_recent", **NAMED, limit=5)
    rated = await call("memory_feedback", **page, signal="stale", reason="It is per line now.")
    deleted = await call("memory_delete_page", **NAMED, path="decisions/never.md")
    assert part(written, "path", "created", "scope") == {"path": page["path"], "created": True, "scope": SCOPE}
    assert read["revision"] == written["checkpoint"]
    assert "Per invoice, half up: größer." in read["body"]
    assert page["path"] in [hit["path"] for hit in found["hits"]]
    assert page["path"] in [hit["path"] for hit in recent["hits"]]
    assert part(rated, "recorded", "routed_to_lint") == {"recorded": True, "routed_to_lint": True}
    assert part(deleted, "deleted", "existed") == {"deleted": True, "existed": False}


async def hands_over(call):
    first = await call("memory_handoff_begin", **NAMED, summary="Half of it is done.", next_steps=["the other half"])
    second = await call("memory_handoff_begin", **NAMED, summary="A mistake.")
    cancelled = await call("memory_handoff_cancel", **NAMED, handoff_id=second["handoff_id"])
    waiting = await call("memory_handoff_list", **NAMED)
    taken = await call("memory_handoff_accept", **NAMED, handoff_id=first["handoff_id"])
    assert part(cancelled, "cancelled", "state") == {"cancelled": True, "state": "cancelled"}
    assert first["handoff_id"] in [each["id"] for each in waiting["handoffs"]]
    assert second["handoff_id"] not in [each["id"] for each in waiting["handoffs"]]
    assert "Half of it is done." in taken["handoff"]["summary"]


async def looks_after(call, session):
    status = await call("memory_status", **NAMED)
    briefing = await call("memory_briefing", **NAMED)
    explored = await call("memory_explore", **NAMED, focus="rounding")
    observed = await call("memory_read_session_observations", **NAMED, session_id=session, kinds=["user-prompt"])
    consolidated = await call("memory_consolidate", **NAMED, session_id=session)
    checked = await call("memory_lint", **NAMED, dry_run=True)
    swept = await call("memory_forget_sweep", **NAMED, dry_run=True)
    texts = await call("memory_install_self_routing")
    assert status["counts"]["sessions"] == 1
    assert briefing["scope"] == SCOPE
    assert explored["prose"] is None
    assert explored["briefing"]["recent_pages"] == briefing["recent_pages"]
    assert ["Please fix the rounding." in each["body"] for each in observed["observations"]] == [True]
    assert part(consolidated, "consolidated", "session_id") == {"consolidated": False, "session_id": session}
    assert ["decisions/rounding.md" in json.dumps(each) for each in checked["findings"]] == [True]
    assert swept["dry_run"] is True
    assert texts["markered_block"].startswith(routing.MARKER_START)
