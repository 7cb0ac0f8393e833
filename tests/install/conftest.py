"""A machine in a temporary folder, with spaces in every path."""

import shutil
from dataclasses import replace

import pytest

from ai_memory.install.staging import bundle_folder
from ai_memory.install.target import Site

#: Stands in for the real stub: notes what it was given beside the data directory's hooks.
STUB = """#!/bin/sh
cat > "${0%/*}/../../seen-$1.json"
printf '%s' "$STUB_SAYS"
exit "${STUB_EXITS:-0}"
"""


@pytest.fixture(autouse=True)
def _no_real_home(tmp_path, monkeypatch):
    home = tmp_path / "my home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("STUB_SAYS", "{}")
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "AI_MEMORY_DATA_DIR", "AI_MEMORY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AI_MEMORY_SERVER_URL", "AI_MEMORY_HOOK_URL", "AI_MEMORY_PROJECT_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / f"xdg {name.lower()}"))


@pytest.fixture
def bundle(tmp_path):
    """Stand-in stubs for the four agents, and the real plugin template."""
    folder = tmp_path / "the bundle"
    for agent in ("claude-code", "codex", "gemini-cli", "open-code"):
        (folder / agent).mkdir(parents=True)
        (folder / agent / "hook.sh").write_text(STUB)
        (folder / agent / "hook.ps1").write_text("# stand-in\n")
    shutil.copy(bundle_folder() / "open-code" / "plugin.js", folder / "open-code")
    return folder


@pytest.fixture
def site(tmp_path, bundle):
    home = tmp_path / "my home"
    return Site(home, {"XDG_CONFIG_HOME": str(home / ".config")}, tmp_path / "data dir" / "ai-memory", bundle)


@pytest.fixture
def real_site(site):
    """The same machine with the real stubs of this checkout."""
    return replace(site, bundle=bundle_folder())
