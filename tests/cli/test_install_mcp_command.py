"""The MCP server added to clients with a server that runs: what was written is what answers."""

import json

import pytest

from ai_memory.client.routing import SKILLS
from ai_memory.server.mcp.toolsets import WIKI


@pytest.mark.parametrize("client", [("cursor",), ("codex",), ("claude-code", "--session-aware")])
def test_what_was_written_reaches_the_server_that_runs(desk, client):
    said = json.loads(desk.says("install-mcp", "--client", *client, "--apply", "--json"))
    (report,) = said["agents"]
    assert report["self_test"] == "answered"
    assert report["detail"].endswith(f"and offers {len(WIKI.tools)} tools.")
    assert (
        desk.says("uninstall", "--apply", "--yes").splitlines()[0]
        == {
            "cursor": "Cursor",
            "codex": "Codex",
            "claude-code": "Claude Code",
        }[client[0]]
    )


def test_instructions_are_of_the_project_that_the_terminal_stands_in(desk):
    (desk.shop / "CLAUDE.md").write_text("# Shop")
    desk.says("install-instructions")
    assert "memory_query" in (desk.shop / "CLAUDE.md").read_text()
    assert (desk.shop / ".claude" / "skills" / SKILLS[0].relative_path).is_file()
    desk.says("uninstall", "--apply", "--yes")
    assert (desk.shop / "CLAUDE.md").read_text() == "# Shop"
    assert not (desk.shop / ".claude").exists()
