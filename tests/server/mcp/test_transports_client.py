"""The official Python client against the MCP doors: old and new versions of the protocol, over both transports."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest
import toy
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation

from ai_memory.server.mcp import toolsets

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture
def gate():
    gate = toy.Gate()
    yield gate
    gate.go_on.set()


@pytest.fixture(autouse=True)
def toys(monkeypatch, gate):
    monkeypatch.setattr(toolsets, "ADDRESSES", {"/mcp": toy.toolset("wiki", gate)})


@pytest.fixture(params=["2025-11-25 http", "2026-07-28 http", "2025-11-25 sse", "2026-07-28 sse", "sessions"])
async def client(request, server_with, no_blocking):
    """Connect as a client of some version over some transport; it calls itself Codex."""
    version, _, transport = request.param.partition(" ")
    server = await server_with(http_stateful=version == "sessions")
    address = str(server.make_url("/mcp"))
    about = Implementation(name="codex-mcp-client", version="1")
    mode = "auto" if version == "2026-07-28" else "legacy"
    where = sse_client(f"{address}/sse?toolset=wiki") if transport == "sse" else streamable_http_client(address)
    holding, done = asyncio.Event(), asyncio.Event()
    made = []

    async def hold():
        async with Client(where, mode=mode, client_info=about) as opened:
            made.append(opened)
            holding.set()
            await done.wait()

    # Opened and closed in one task, as its cancel scopes want it.
    task = asyncio.create_task(hold())
    task.add_done_callback(lambda _: holding.set())
    await holding.wait()
    if not made:
        await task
    assert made[0].protocol_version == ("2025-11-25" if version == "sessions" else version)
    yield made[0]
    done.set()
    await task


async def test_a_client_learns_what_there_is_and_calls_it(client):
    assert (client.server_info.name, client.server_info.title) == ("ai-memory", "ai-memory")
    assert client.instructions == "Instructions of wiki."
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["echo", "told", "who", "steps", "missing", "broken", "long", "wait"]
    answer = await client.call_tool("echo", {"text": "hello"})
    assert answer.structured_content == {"text": "hello", "limit": 10, "parts": []}
    assert json.loads(answer.content[0].text) == answer.structured_content
    refused = await client.call_tool("missing", {})
    assert (refused.is_error, refused.content[0].text) == (True, "there is no page a.md: there are one and two")
    with pytest.raises(MCPError, match="there is no tool 'nope'"):
        await client.call_tool("nope", {})


async def test_a_client_hears_of_progress_in_order(client):
    heard = []

    async def hear(*step):
        heard.append(step)

    answer = await client.call_tool("steps", {}, progress_callback=hear)
    assert answer.structured_content == {"steps": 3}
    assert heard == [(1.0, 3.0, "step 1"), (2.0, 3.0, "step 2"), (3.0, 3.0, "step 3")]


async def test_a_client_that_gives_up_leaves_the_call_to_end_by_itself(client, gate):
    async def wait():
        await client.call_tool("wait", {})

    waiting = asyncio.create_task(wait())
    assert await asyncio.to_thread(gate.begun.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await client.call_tool("echo", {"text": "next"})).structured_content["text"] == "next"
    gate.go_on.set()
    assert await asyncio.to_thread(gate.ended.wait, 10)
    # The answer that nobody waits for comes before this one.
    await client.call_tool("echo", {"text": "last"})


async def test_a_client_of_the_newest_version_or_with_a_session_is_known_by_its_name(client, request):
    told = (await client.call_tool("who", {})).structured_content
    # A stateless call of an older version says nothing of what was said in the handshake.
    is_told = request.node.callspec.params["client"] != "2025-11-25 http"
    assert told["agent"] == ("codex" if is_told else "")


async def test_a_wrong_token_ends_a_client_at_once(server_with):
    server = await server_with(auth__bearer_token="right")
    with pytest.raises(Exception, match=r"401|unhandled errors"):
        async with Client(str(server.make_url("/mcp"))):
            pytest.fail("it was let in")
    async with create_mcp_http_client(headers={"Authorization": "Bearer right"}) as right:
        transport = streamable_http_client(str(server.make_url("/mcp")), http_client=right)
        async with Client(transport) as client:
            assert (await client.call_tool("echo", {"text": "x"})).is_error is False


def test_a_stream_that_is_open_does_not_keep_the_server(tmp_path, free_port):
    command = [sys.executable, "-m", "ai_memory", "serve", "--data-dir", str(tmp_path / "data")]
    log = tmp_path / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen([*command, "--bind", f"127.0.0.1:{free_port}"], cwd=ROOT, stderr=stream)
    try:
        deadline = time.monotonic() + 30
        while "listening on" not in log.read_text():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

        async def listen():
            async with Client(
                sse_client(f"http://127.0.0.1:{free_port}/mcp/sse?toolset=wiki"), mode="legacy"
            ) as client:
                assert (await client.list_tools()).tools[0].name == "memory_query"
                begun = time.monotonic()
                server.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(server.wait, 10)
                return code, time.monotonic() - begun

        code, seconds = anyio.run(listen)
        assert code == 0, log.read_text()
        assert seconds < 2
        assert "Traceback" not in log.read_text()
    finally:
        server.kill()
        server.wait(10)


@pytest.mark.parametrize("command", [["--help"], ["serve", "--help"], ["hook", "--event", "stop", "--agent", "codex"]])
def test_only_the_server_loads_the_sdk(command, own_home):
    loaded = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    code = f"import atexit, runpy, sys; atexit.register(lambda: exec({loaded!r})); runpy.run_module('ai_memory', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=ROOT, input=b"{}", capture_output=True, timeout=30
    )
    names = set(done.stderr.decode().split())
    assert "click" in names or "ai_memory" in names
    assert names & {"mcp", "mcp_types", "pydantic", "starlette", "aiohttp"} == set()
