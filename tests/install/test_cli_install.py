"""`install-hooks` and `uninstall` as a person or a script calls them."""

import json
import os
import shutil

import click.testing
import pytest

from ai_memory.cli import install as cli
from ai_memory.errors import BadRequestError, ConfigError
from ai_memory.install.staging import bundle_folder


@pytest.fixture
def run(tmp_path, bundle, monkeypatch):
    """Call a command with a home of its own; gives (exit code, output)."""
    for stub in bundle_folder().glob("*/hook.*"):
        shutil.copy(stub, bundle / stub.parent.name)
    monkeypatch.setattr(cli, "bundle_folder", lambda: bundle)
    monkeypatch.setenv("AI_MEMORY_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "my home" / ".config"))

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
    assert "Claude Code: nothing to do in " in said
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
    code, said = run(cli.uninstall)
    assert (code, said.count("nothing to do in")) == (0, 4)


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
