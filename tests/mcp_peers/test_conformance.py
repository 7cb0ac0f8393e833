"""The public conformance suite and the inspector against a running server."""

import json
from pathlib import Path

import pytest

from tests.mcp_peers.conftest import INSPECTOR, NEXT, STABLE, TOKEN

pytestmark = pytest.mark.agents
HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("suite", "version", "absent"),
    [(STABLE, "", "absent.yml"), (NEXT, "2025-11-25", "absent.yml"), (NEXT, "2026-07-28", "absent-2026-07-28.yml")],
    ids=["stable", "next, 2025-11-25", "next, 2026-07-28"],
)
def test_only_what_is_absent_on_purpose_fails_of_the_conformance_suite(
    peers, address, tmp_path, suite, version, absent
):
    chosen = ["--suite", "all", "--expected-failures", str(HERE / absent)]
    done = peers(
        suite,
        "server",
        "--url",
        f"{address}/mcp",
        *chosen,
        *(["--spec-version", version] if version else []),
        cwd=tmp_path,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for passed in ("tools-list", "tools-call-simple-text", "tools-call-error", "tools-call-with-progress"):
        assert f"✓ {passed}:" in said


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize(
    ("toolset", "tool", "arguments", "told"),
    [
        ("wiki", "memory_write_page", ["path=notes/a.md", "body=Hello."], "no scope"),
        ("records", "memory_search", ["query=hello"], '"memories":[]'),
        ("memories", "list_memories", [], '"count":0'),
        ("packets", "ls", [], "No packets on server."),
    ],
)
def test_the_inspector_lists_and_calls_tools(peers, address, tmp_path, transport, toolset, tool, arguments, told):
    path = {"wiki": "/mcp", "records": "/mcp/records", "memories": "/mcp/memories", "packets": "/mcp/packets"}[toolset]
    url = f"{address}/mcp/sse?toolset={toolset}" if transport == "sse" else f"{address}{path}"
    where = ["--cli", url, "--transport", transport, "--header", f"Authorization: Bearer {TOKEN}"]
    listed = peers(INSPECTOR, *where, "--method", "tools/list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert tool in [each["name"] for each in json.loads(listed.stdout)["tools"]]
    given = [part for argument in arguments for part in ("--tool-arg", argument)]
    called = peers(INSPECTOR, *where, "--method", "tools/call", "--tool-name", tool, *given, cwd=tmp_path)
    assert told in json.loads(called.stdout)["content"][0]["text"], called.stdout + called.stderr
