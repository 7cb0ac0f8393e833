"""The public programs that check MCP servers, pinned, from npm; and a server for them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.agents import programs
from tests.agents.programs import ROOT, Program

NODE = Program("node-22", "node", "node", "22.23.3")
STABLE = Program("mcp-conformance", "conformance", "@modelcontextprotocol/conformance", "0.1.16")
NEXT = Program("mcp-conformance-next", "conformance", "@modelcontextprotocol/conformance", "0.2.0-alpha.12")
INSPECTOR = Program("mcp-inspector", "mcp-inspector", "@modelcontextprotocol/inspector", "2.12.0")
TOKEN = "token-of-a-user"


@pytest.fixture(scope="session")
def peers():
    """Run one of the programs with the Node that it needs; gives what it did."""
    programs.install_all((NODE, STABLE, NEXT, INSPECTOR))

    def run(program, *arguments, cwd):
        command = [str(NODE.path), str(program.path.resolve()), *arguments]
        path = f"{NODE.path.parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "NO_COLOR": "1"}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """A running server with all toolsets, and with the tools that the conformance suite calls; gives its address."""
    home = tmp_path_factory.mktemp("peers")
    data = home / "data"
    data.mkdir()
    tokens = data / "user_tokens.json"
    tokens.write_text(json.dumps({TOKEN: "ann"}))
    tokens.chmod(0o600)
    log = home / "log"
    # It serves several tests, so it has a home of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AI_MEMORY_", "XDG_", "MCP_"))}
    command = [sys.executable, "-m", "tests.mcp_peers.offering", "serve", "--data-dir", str(data)]
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [*command, "--bind", "127.0.0.1:0"], cwd=ROOT, stderr=stream, env={**env, "HOME": str(home)}
        )
    try:
        deadline = time.monotonic() + 30
        while not (listening := re.search(r"listening on (\S+)", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield listening[1]
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        assert "Traceback" not in log.read_text()
    finally:
        server.kill()
        server.wait(10)
