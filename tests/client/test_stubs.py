import re
import subprocess
import sys
from pathlib import Path

import pytest

from ai_memory.client import datadir

HOOKS = Path(__file__).resolve().parents[2] / "hooks"
AGENTS = ("claude-code", "codex", "gemini-cli", "open-code")


@pytest.mark.parametrize("name", ["hook.sh", "hook.ps1"])
def test_every_agent_has_the_same_short_stub(name):
    texts = {(HOOKS / agent / name).read_text() for agent in AGENTS}
    assert len(texts) == 1
    assert len(texts.pop().splitlines()) <= 20


def test_the_stubs_pass_shellcheck_as_plain_sh():
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", "-s", "sh", HOOKS / "codex" / "hook.sh"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_client_compiles_for_old_interpreters():
    import ast

    for path in (HOOKS.parent / "ai_memory" / "client").glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_the_fast_path_imports_nothing_dear(client_dir):
    code = (
        f"import sys; sys.path.insert(0, {str(client_dir)!r}); before = set(sys.modules)\n"
        "from client import hook\nprint(' '.join(sorted(set(sys.modules) - before)))"
    )
    python = (client_dir / "python").read_text().strip()
    done = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not re.findall(r"\b(json|re|typing|dataclasses|pathlib|subprocess|socket|http|tomllib|enum)\b", done.stdout)


def test_the_data_directory_is_named_or_staged_or_the_platforms(monkeypatch, tmp_path, own_home):
    monkeypatch.delenv("XDG_DATA_HOME")
    assert datadir.data_dir() == str(own_home / ".local/share/ai-memory")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert datadir.default_data_dir() == str(own_home / ".local/share/ai-memory")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert datadir.default_data_dir() == str(tmp_path / "ai-memory")
    assert datadir.staged_in("/data/hooks/client") == "/data"
    assert datadir.staged_in("/src/ai_memory/client") == ""
    monkeypatch.setenv("AI_MEMORY_DATA_DIR", "~/memory")
    assert datadir.data_dir() == str(own_home / "memory")
