"""`install-hooks` and `uninstall` as a person or a script calls them."""

import json
import os
import shutil

import click.testing
import pytest

from ai_memory.cli import install as cli
from ai_memory.cli import installing
from ai_memory.cli import instructions as texts
from ai_memory.client.routing import BLOCK, COMPACT_BLOCK, SKILLS, markered
from ai_memory.errors import BadRequestError, ConfigError
from ai_memory.install.staging import bundle_folder


@pytest.fixture
def run(tmp_path, bundle, monkeypatch):
    """Call a command with a home of its own; gives (exit code, output)."""
    for stub in bundle_folder().glob("*/hook.*"):
        shutil.copy(stub, bundle / stub.parent.name)
    monkeypatch.setattr(installing, "bundle_folder", lambda: bundle)
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "my home" / ".config"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")

    def call(command, *arguments):
        line = ["--data-dir", str(tmp_path / "data"), *arguments]
        result = click.testing.CliRunner().invoke(command, line, catch_exceptions=False)
        return result.exit_code, result.output

    return call


def files(tmp_path):
    """Every file but those of the client, whose delivery may still run beside the test."""
    every = (path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    return sorted(str(path) for path in every if not {"hook-state", "hook-spool"} & set(path.parts))


def test_a_dry_install_shows_the_diff_and_every_file_and_writes_nothing(run, tmp_path):
    before = files(tmp_path)
    code, said = run(cli.install_hooks, "--agent", "codex", "--auth-token", "s3cret-t0ken")
    hooks = tmp_path / "my home" / ".codex" / "hooks.json"
    assert code == 0
    assert said.startswith(f"Codex: {hooks}\n--- /dev/null\n+++ {hooks}\n@@ ")
    assert f'"command": "{tmp_path}/data/hooks/codex/hook.sh session-start"' in said
    for path in ("hooks/codex/hook.sh", "hooks/client/__main__.py", "hooks/python", "client.json", "auth-token"):
        assert f"  would write {tmp_path}/data/{path}\n" in said
    assert said.endswith("Nothing was changed. Run it again with --apply to do so.\n")
    assert "s3cret" not in said
    assert files(tmp_path) == before


def test_a_dry_uninstall_shows_the_diff_and_every_file_and_writes_nothing(run, tmp_path):
    run(cli.install_hooks, "--agent", "codex", "--apply")
    before = files(tmp_path)
    code, said = run(cli.uninstall)
    assert code == 0
    assert "+++ /dev/null\n" in said
    for path in ("hooks/codex", "hooks/client", "hooks/python"):
        assert f"  would remove {tmp_path}/data/{path}\n" in said
    assert "Claude Code" not in said
    assert files(tmp_path) == before


def test_apply_says_what_was_done_what_became_of_the_test_and_what_is_left(run, tmp_path):
    code, said = run(cli.install_hooks, "--agent", "codex", "--server-url", "http://127.0.0.1:9", "--apply")
    assert code == 0
    lines = said.splitlines()
    assert lines[:2] == ["Codex", f"  ✓ hooks written to {tmp_path}/my home/.codex/hooks.json (a new file)"]
    assert lines[3].startswith("  ! No server answers at http://127.0.0.1:9: the test event is spooled")
    assert lines[4].startswith("  → Codex runs no hook before you approve it")
    code, said = run(cli.install_hooks, "--agent", "codex", "--apply")
    assert said.splitlines()[1] == f"  ✓ {tmp_path}/my home/.codex/hooks.json is up to date already"


def test_a_failed_self_test_is_an_error(run, bundle, tmp_path):
    (bundle / "codex" / "hook.sh").write_text("#!/bin/sh\nexit 1\n")
    code, said = run(cli.install_hooks, "--agent", "codex", "--apply")
    assert code == 1
    assert "  ✗ The hook did not work: it ended with exit code 1." in said


def test_json_tells_the_same_to_a_script(run, tmp_path):
    url = ("--server-url", "http://127.0.0.1:9")
    code, said = run(cli.install_hooks, "--agent", "claude", "--agent", "opencode", *url, "--json")
    planned = json.loads(said)
    assert (code, planned["applied"]) == (0, False)
    assert [(one["agent"], one["changes"]) for one in planned["agents"]] == [("claude-code", True), ("open-code", True)]
    code, said = run(cli.install_hooks, "--agent", "claude", "--agent", "opencode", *url, "--apply", "--json")
    done = json.loads(said)
    assert [(one["agent"], one["self_test"], one["backup"]) for one in done["agents"]] == [
        ("claude-code", "spooled", None),
        ("open-code", "spooled", None),
    ]
    assert [one["staged"] for one in done["agents"]] == [one["staged"] for one in planned["agents"]]
    code, said = run(cli.uninstall, "--apply", "--json")
    assert [(one["agent"], one["changes"]) for one in json.loads(said)["agents"]] == [
        ("claude-code", True),
        ("open-code", True),
    ]


def test_an_unknown_agent_is_answered_with_the_known_ones(run):
    with pytest.raises(BadRequestError) as refused:
        run(cli.install_hooks, "--agent", "clippy")
    assert (
        str(refused.value)
        == "There are no hooks for 'clippy'. Known agents: claude-code, codex, gemini-cli, open-code."
    )
    assert refused.value.exit_code == 2
    with pytest.raises(BadRequestError, match="Name an agent"):
        run(cli.install_hooks)


def test_another_config_file_goes_with_one_agent_only(run, tmp_path):
    with pytest.raises(BadRequestError, match="one --agent only"):
        run(cli.install_hooks, "--agent", "codex", "--agent", "claude", "--config-file", "x.json")
    code, _ = run(cli.install_hooks, "--agent", "codex", "--config-file", str(tmp_path / "x.json"), "--apply")
    assert code == 0
    assert "SessionStart" in json.loads((tmp_path / "x.json").read_text())["hooks"]


def test_one_file_that_is_refused_keeps_every_agent_from_being_changed(run, tmp_path):
    settings = tmp_path / "my home" / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text("// mine\n{}")
    before = files(tmp_path)
    with pytest.raises(ConfigError, match="line 1: there is a comment"):
        run(cli.install_hooks, "--agent", "codex", "--agent", "gemini", "--apply")
    assert files(tmp_path) == before


def test_an_uninstall_with_nothing_installed_says_so(run):
    assert run(cli.uninstall, "--apply") == (0, "Nothing to remove.\n")
    assert run(cli.uninstall) == (0, "Nothing to remove.\n")
    assert run(cli.uninstall, "--json", "--apply") == (0, '{"applied": true, "agents": []}\n')


def test_uninstall_leaves_what_was_recorded_and_the_settings(run, tmp_path):
    run(cli.install_hooks, "--agent", "codex", "--auth-token", "tok", "--apply")
    code, said = run(cli.uninstall, "--apply", "--only", "hooks", "--yes")
    assert code == 0
    assert said.endswith(f"What was recorded stays in {tmp_path}/data.\n")
    assert sorted(os.listdir(tmp_path / "data")) == ["auth-token", "client.json", "hook-spool", "hook-state"]


def test_the_relocating_variables_reach_the_installer(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "moved"))
    run(cli.install_hooks, "--agent", "codex", "--apply")
    assert (tmp_path / "moved" / "hooks.json").is_file()


URL = "http://127.0.0.1:9"


def test_a_dry_install_of_the_server_shows_the_diff_without_the_token_and_writes_nothing(run, tmp_path):
    before = files(tmp_path)
    code, said = run(cli.install_mcp, "--client", "codex", "--auth-token", "s3cret-t0ken")
    config = tmp_path / "my home" / ".codex" / "config.toml"
    assert code == 0
    assert said == (
        f"Codex: {config}\n--- /dev/null\n+++ {config}\n@@ -0,0 +1,4 @@\n"
        f'+[mcp_servers.ai-memory]\n+url = "{URL}/mcp"\n+default_tools_approval_mode = "approve"\n'
        '+http_headers = { Authorization = "Bearer …" }\n\n'
        "Nothing was changed. Run it again with --apply to do so.\n"
    )
    assert files(tmp_path) == before


def test_the_server_is_added_and_what_no_server_answered_is_told(run, tmp_path):
    code, said = run(cli.install_mcp, "--client", "cursor", "--server-url", f"{URL}/mcp/", "--apply")
    config = tmp_path / "my home" / ".cursor" / "mcp.json"
    assert code == 0
    lines = said.splitlines()
    assert lines[:2] == ["Cursor", f"  ✓ server entry written to {config} (a new file)"]
    assert lines[2].startswith(f"  ! No server answers at {URL}/mcp (")
    assert lines[3:] == ["  → Switch the server on in Cursor's settings, MCP."]
    assert json.loads(config.read_text()) == {"mcpServers": {"ai-memory": {"url": f"{URL}/mcp"}}}
    code, said = run(cli.install_mcp, "--client", "cursor", "--apply", "--json")
    (report,) = json.loads(said)["agents"]
    assert (report["kind"], report["agent"], report["changes"], report["self_test"]) == (
        "mcp",
        "cursor",
        False,
        "unreachable",
    )


def test_the_servers_address_and_token_of_the_hooks_are_taken_where_nothing_is_said(run, tmp_path, monkeypatch):
    monkeypatch.delenv("AI_MEMORY_SERVER_URL")
    run(cli.install_hooks, "--agent", "codex", "--server-url", "http://127.0.0.1:10", "--auth-token", "tok", "--apply")
    run(cli.install_mcp, "--client", "windsurf", "--apply")
    config = tmp_path / "my home" / ".codeium" / "windsurf" / "mcp_config.json"
    assert json.loads(config.read_text())["mcpServers"]["ai-memory"] == {
        "serverUrl": "http://127.0.0.1:10/mcp",
        "headers": {"Authorization": "Bearer tok"},
    }


def test_one_client_that_is_refused_keeps_every_other_from_being_changed(run, tmp_path):
    settings = tmp_path / "my home" / ".cursor" / "mcp.json"
    settings.parent.mkdir()
    settings.write_text("// mine\n{}")
    before = files(tmp_path)
    with pytest.raises(ConfigError, match="line 1: there is a comment"):
        run(cli.install_mcp, "--client", "codex", "--client", "cursor", "--apply")
    assert files(tmp_path) == before


def test_a_client_has_to_be_named_and_known(run):
    with pytest.raises(BadRequestError, match="Name a client with --client"):
        run(cli.install_mcp)
    with pytest.raises(BadRequestError, match="There is no client 'clippy'"):
        run(cli.install_mcp, "--client", "clippy")
    with pytest.raises(BadRequestError, match="one --client only"):
        run(cli.install_mcp, "--client", "codex", "--client", "zed", "--config-file", "x")
    with pytest.raises(ConfigError, match="must not carry a user name"):
        run(cli.install_mcp, "--client", "zed", "--server-url", "http://a:b@127.0.0.1:9")


def everything(run, tmp_path):
    """Install one of each kind; gives what stood there before."""
    (tmp_path / "project" / "AGENTS.md").write_text("# Mine")
    before = {path: path.read_bytes() for path in tmp_path.joinpath("project").rglob("*")}
    run(cli.install_hooks, "--agent", "gemini", "--apply")
    run(cli.install_mcp, "--client", "gemini", "--client", "codex", "--apply")
    run(texts.install_instructions)
    return before


def test_an_uninstall_removes_every_kind_and_leaves_the_project_as_it_was(run, tmp_path):
    before = everything(run, tmp_path)
    code, said = run(cli.uninstall)
    heads = ("Gemini CLI: ", "Codex: ", "Instructions: ")
    assert [line for line in said.splitlines() if line.startswith(heads)] == [
        f"Gemini CLI: {tmp_path}/my home/.gemini/settings.json",
        f"Codex: {tmp_path}/my home/.codex/config.toml",
        f"Gemini CLI: {tmp_path}/my home/.gemini/settings.json",
        f"Instructions: {tmp_path}/project/AGENTS.md",
    ]
    code, said = run(cli.uninstall, "--apply", "--yes")
    assert (code, said.count("SKILL.md")) == (0, 10)
    left = {path: path.read_bytes() for path in tmp_path.joinpath("project").rglob("*") if ".bak-" not in path.name}
    assert left == before
    assert [path for path in files(tmp_path) if path.startswith("my home") and ".bak-" not in path] == []
    assert run(cli.uninstall) == (0, "Nothing to remove.\n")


@pytest.mark.parametrize("only", ["hooks", "mcp", "instructions", "skills"])
def test_an_uninstall_of_one_kind_leaves_the_others(run, tmp_path, only):
    everything(run, tmp_path)
    run(cli.uninstall, "--only", only, "--apply")
    _, said = run(cli.uninstall, "--json")
    assert {one["kind"] for one in json.loads(said)["agents"]} == {"hooks", "mcp", "instructions", "skills"} - {only}


def test_an_uninstall_of_one_agent_leaves_the_others_and_the_project(run, tmp_path):
    everything(run, tmp_path)
    run(cli.uninstall, "--agent", "gemini", "--apply")
    _, said = run(cli.uninstall, "--json")
    left = [(one["kind"], one["agent"]) for one in json.loads(said)["agents"]]
    assert (left[:2], {kind for kind, _ in left[2:]}) == ([("mcp", "codex"), ("instructions", "")], {"skills"})


def test_a_server_under_another_name_is_found_by_its_address(run, tmp_path):
    run(cli.install_mcp, "--client", "zed", "--name", "mine", "--server-url", "http://127.0.0.1:10", "--apply")
    assert run(cli.uninstall, "--only", "mcp") == (0, "Nothing to remove.\n")
    _, said = run(cli.uninstall, "--only", "mcp", "--server-url", "http://127.0.0.1:10", "--apply")
    assert said.splitlines()[:2] == ["Zed", f"  ✓ deleted {tmp_path}/my home/.config/zed/settings.json"]


@pytest.mark.parametrize("only", [(), ("--only", "mcp")])
def test_a_file_that_is_refused_keeps_no_other_from_being_cleaned(run, tmp_path, only):
    run(cli.install_mcp, "--client", "cursor", "--client", "codex", "--apply")
    settings = tmp_path / "my home" / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{ // mine\n"mcpServers": {"ai-memory": {"httpUrl": "http://127.0.0.1:9/mcp"}}}')
    reason = f"{settings}, line 1: there is a comment, which strict JSON does not allow. Nothing was written."
    code, said = run(cli.uninstall, *only)
    assert (code, f"Gemini CLI: {reason}\n" in said) == (1, True)
    code, said = run(cli.uninstall, *only, "--apply", "--yes", "--json")
    report = json.loads(said)
    assert (code, report["refused"]) == (1, [reason])
    assert [one["agent"] for one in report["agents"]] == ["codex", "cursor"]
    assert files(tmp_path / "my home") == [".gemini/settings.json"]
    assert run(cli.uninstall, *only, "--apply") == (
        1,
        f"✗ {reason}\nWhat was recorded stays in {tmp_path}/data.\n",
    )
    settings.write_text('{"theme": "// mine and https://example.org/mcp"}')
    assert run(cli.uninstall, *only, "--apply") == (0, "Nothing to remove.\n")


def test_a_file_that_cannot_be_written_keeps_no_other_from_being_cleaned(run, tmp_path, monkeypatch):
    run(cli.install_hooks, "--agent", "codex", "--agent", "claude", "--apply")
    hooks = tmp_path / "my home" / ".claude" / "settings.json"
    hooks.write_text(hooks.read_text().replace("{", '{"theme": 1,', 1))
    draft = hooks.with_name(f".settings.json.{os.getpid()}.tmp")
    draft.write_text("in the way")
    code, said = run(cli.uninstall, "--only", "hooks", "--apply", "--yes")
    assert (code, f"✗ {hooks} cannot be written: File exists.\n" in said) == (1, True)
    assert not (tmp_path / "my home" / ".codex").exists()
    assert (tmp_path / "data" / "hooks" / "claude-code" / "hook.sh").is_file()
    assert (tmp_path / "data" / "hooks" / "client" / "__main__.py").is_file()
    draft.unlink()
    assert run(cli.uninstall, "--only", "hooks", "--apply", "--yes")[0] == 0
    assert not (tmp_path / "data" / "hooks").exists()


def test_a_token_that_others_can_read_is_told_and_shut_away(run, tmp_path):
    token = ("--client", "cursor", "--auth-token", "tok")
    run(cli.install_mcp, *token, "--apply")
    config = tmp_path / "my home" / ".cursor" / "mcp.json"
    config.chmod(0o644)
    _, said = run(cli.install_mcp, *token)
    assert said.splitlines()[1:3] == [
        "  (the file stays as it is)",
        "  would keep others from reading it (mode 0600)",
    ]
    assert config.stat().st_mode & 0o777 == 0o644
    _, said = run(cli.install_mcp, *token, "--apply")
    assert said.splitlines()[1] == f"  ✓ {config} is up to date already, and now yours alone to read"
    assert config.stat().st_mode & 0o777 == 0o600


def test_instructions_are_short_beside_skills_and_whole_without_them(run, tmp_path):
    path = tmp_path / "project" / "CLAUDE.md"
    code, said = run(texts.install_instructions)
    assert (code, path.read_text()) == (0, markered(COMPACT_BLOCK))
    assert said.splitlines()[:3] == ["Instructions", f"  ✓ instructions written to {path} (a new file)", "Skills"]
    code, said = run(texts.install_instructions, "--no-skills")
    assert (code, path.read_text()) == (0, markered(BLOCK))
    code, said = run(texts.install_instructions, "--remove")
    assert [path for path in files(tmp_path) if path.startswith("project/") and ".bak-" not in path] == []
    assert run(texts.install_instructions, "--remove") == (0, "Nothing to remove.\n")


def test_printing_writes_nothing(run, tmp_path):
    before = files(tmp_path)
    assert run(texts.install_instructions, "--print") == (0, markered(COMPACT_BLOCK))
    assert run(texts.install_instructions, "--print", "--no-skills") == (0, markered(BLOCK))
    _, said = run(texts.install_skills, "--print")
    assert [skill.content in said for skill in SKILLS] == [True] * 5
    assert files(tmp_path) == before


def test_instructions_go_into_the_file_that_is_named(run, tmp_path):
    path = tmp_path / "project" / "docs" / "RULES.md"
    run(texts.install_instructions, "--target", str(path), "--no-skills")
    assert path.read_text() == markered(BLOCK)
    run(texts.install_instructions, "--target", str(path), "--no-skills", "--remove")
    assert not path.parent.exists()


def test_skills_go_where_they_are_wanted(run, tmp_path):
    run(texts.install_skills, "--scope", "global", "--agent", "claude-code")
    run(texts.install_skills, "--target-dir", str(tmp_path / "project" / "s"))
    name = SKILLS[0].relative_path
    assert [path for path in files(tmp_path) if path.endswith(name)] == [
        f"my home/.claude/skills/{name}",
        f"project/s/{name}",
    ]
    run(texts.install_skills, "--scope", "global", "--remove")
    assert [path for path in files(tmp_path) if path.endswith(name)] == [f"project/s/{name}"]
    with pytest.raises(BadRequestError, match="--force does not go with it"):
        run(texts.install_skills, "--remove", "--force")
