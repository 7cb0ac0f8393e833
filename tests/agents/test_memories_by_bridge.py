"""The bridge of npm that turns stdin and stdout into HTTP reaches the memories of its token's user."""

import os
import subprocess
import sys
import time

import programs
import pytest
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from ai_memory.store import user_tokens

pytestmark = pytest.mark.agents


@pytest.fixture
def bridge():
    programs.install_all([programs.BRIDGE])
    return str(programs.BRIDGE.path)


@pytest.fixture
def server(tmp_path, free_port):
    log = tmp_path / "log"
    command = [sys.executable, "-m", "ai_memory", "serve", "--data-dir", str(tmp_path / "data")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--bind", f"127.0.0.1:{free_port}"],
            cwd=tmp_path,
            stderr=out,
            env={**os.environ, "PYTHONPATH": str(programs.ROOT)},
        )
    deadline = time.monotonic() + 30
    while "listening on" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{free_port}"
    process.terminate()
    assert process.wait(10) == 0


async def test_the_bridge_falls_back_to_sse_and_each_user_has_memories_of_their_own(bridge, server, tmp_path):
    found = {}
    for user in ("ana", "bob"):
        token = user_tokens.add(tmp_path / "data" / "user_tokens.json", user)
        asked = StdioServerParameters(
            command=bridge,
            args=[f"{server}/mcp/sse", "--header", "Authorization:${AUTH}"],
            env={**os.environ, "AUTH": f"Bearer {token}", "MCP_REMOTE_CONFIG_DIR": str(tmp_path / "bridge")},
        )
        with (tmp_path / f"bridge-{user}.log").open("w") as log:
            async with stdio_client(asked, errlog=log) as streams, ClientSession(*streams) as session:
                about = await session.initialize()
                assert about.server_info.name == "ai-memory"
                listed = {tool.name for tool in (await session.list_tools()).tools}
                assert listed == {"store_memory", "retrieve_memory", "list_memories", "delete_memory"}
                await session.call_tool("store_memory", {"repo_id": "shop", "content": f"Of {user}.", "key": "k"})
                answer = await session.call_tool("retrieve_memory", {"repo_id": "shop"})
                found[user] = [memory["content"].splitlines()[1] for memory in answer.structured_content["memories"]]
    assert found == {"ana": ["Of ana."], "bob": ["Of bob."]}
