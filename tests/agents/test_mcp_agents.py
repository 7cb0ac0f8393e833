"""The real agents call the memory's tools on their model's word, and were told by the server when to."""

import subprocess

import pytest
from model import Step, texts_of

from ai_memory.client import routing

# The time that npm needs is not the test's.
pytestmark = [pytest.mark.agents, pytest.mark.timeout(240, func_only=True)]

PAGE = "# Rounding\n\nPer invoice, half up.\n"
#: Client, its options, how the server knows its project: a session that hooks told of, or the agent's only one.
CLIENTS = [
    pytest.param("claude-code", [], "client", id="claude-code"),
    pytest.param("claude-code", ["--session-aware"], "session", id="claude-code-by-bridge"),
    pytest.param("codex", [], "session", id="codex"),
    pytest.param("gemini-cli", [], "client", id="gemini-cli"),
    pytest.param("opencode", [], "client", id="opencode"),
]


def page_in_git(desk):
    """Give the page as the wiki's newest commit of it has it."""
    found = subprocess.run(
        ["git", "log", "-1", "--format=%H", "--name-only", "--", "*/decisions/rounding.md"],
        cwd=desk.data / "wiki",
        env=desk.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found, "no commit has the page"
    shown = ["git", "show", ":".join(found)]
    return subprocess.run(shown, cwd=desk.data / "wiki", env=desk.environment, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("agent", "options", "resolved_by"), CLIENTS)
def test_the_model_searches_and_writes_without_naming_the_project(desk, agent, options, resolved_by):
    with desk.server():
        desk.install(agent)
        said = desk.install_mcp(agent, *options)
        if agent == "codex":
            desk.approve_codex_hooks()
        requests = desk.run(
            agent,
            Step(tool="memory_query", arguments={"query": "how is an invoice rounded"}),
            Step(tool="memory_write_page", arguments={"path": "decisions/rounding.md", "body": PAGE}),
            Step("It is written down."),
        )
    # Agents indent what they pass on.
    first, second, third = (" ".join(" ".join(texts_of(request)).split()) for request in requests[:3])
    assert " ".join(routing.INSTRUCTIONS.split()) in first
    assert '"hits":[' in second
    assert f'"resolved_by":"{resolved_by}"' in third
    assert page_in_git(desk).endswith(PAGE)
    assert f"ai-memory answered at http://{desk.address}/mcp" in said or options
