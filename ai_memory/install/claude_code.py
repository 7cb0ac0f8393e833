"""Claude Code: `settings.json`, timeouts in seconds, no approval needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ai_memory.client.agents import AGENTS
from ai_memory.install import nested
from ai_memory.install.target import Site


def config_file(site: Site) -> Path:
    """`$CLAUDE_CONFIG_DIR/settings.json`, else `~/.claude/settings.json`."""
    return site.folder("CLAUDE_CONFIG_DIR", site.home / ".claude") / "settings.json"


def group(_event: str, command: str) -> dict[str, Any]:
    """One entry; without a matcher it fires for every source and tool.

    SessionEnd is cut off after 1.5 s unless it says how long it may take.
    """
    return {"hooks": [{"type": "command", "command": command, "timeout": 10}]}


def advice(_path: Path, _site: Site) -> tuple[str, ...]:
    """What is left to do: sessions that run already have read the old settings."""
    return ("Claude Code needs no approval. Start a new session: one that runs already keeps its old hooks.",)


TARGET = nested.target(AGENTS["claude-code"], config_file=config_file, group=group, advice=advice)
