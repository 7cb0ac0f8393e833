"""Gemini CLI: `settings.json`, timeouts in milliseconds, no approval needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai_memory.client.agents import AGENTS
from ai_memory.install import nested
from ai_memory.install.target import Site


def config_file(site: Site) -> Path:
    """`$GEMINI_CLI_HOME/.gemini/settings.json`, else `~/.gemini/settings.json`.

    The variable stands for the home directory, not for the folder in it.
    """
    return site.folder("GEMINI_CLI_HOME", site.home) / ".gemini" / "settings.json"


def group(_event: str, command: str) -> dict[str, Any]:
    """One entry, under the name by which `/hooks` lists it."""
    handler = {"name": "ai-memory", "type": "command", "command": command, "timeout": 10_000}
    return {"matcher": "*", "hooks": [handler]}


def advice(_path: Path, _site: Site) -> tuple[str, ...]:
    """What is left to do: sessions that run already have read the old settings."""
    return ("Gemini CLI needs no approval. Start a new session: one that runs already keeps its old hooks.",)


TARGET = nested.target(AGENTS["gemini-cli"], config_file=config_file, group=group, advice=advice)
