"""Capture hooks as something to install: entries in an agent's file, and the client that they run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ai_memory.client.agents import Agent
from ai_memory.errors import ConfigError
from ai_memory.install import staging
from ai_memory.install.origin import Origin
from ai_memory.install.staging import Connection, StagedFile
from ai_memory.install.target import Edit, Site, Target
from ai_memory.install.verify import verify

KIND = "hooks"


def target(
    agent: Agent,
    *,
    config_file: Callable[[Site], Path],
    data_dirs: Callable[[Path, str, Site], list[Path]],
    installed: Callable[[Path, str | None, Site], Edit],
    removed: Callable[[Path, str, Site, Origin | None], Edit],
    advice: Callable[[Path, Site], tuple[str, ...]],
) -> Target:
    """Make the target of an agent's hooks from what its own file needs."""

    def stage(site: Site, connection: Connection) -> list[StagedFile]:
        if sys.platform == "win32":
            raise ConfigError("Hooks cannot be installed on Windows yet: no agent was seen running them there.")
        return staging.staged_files(agent, site.data_dir, site.bundle, connection)

    return Target(
        KIND,
        agent.name,
        agent.title,
        lambda site: (config_file(site),),
        data_dirs,
        installed,
        removed,
        stage=stage,
        unstage=lambda data_dir: (data_dir / "hooks" / agent.name,),
        advice=advice,
        check=lambda _path, site: verify(agent, site.data_dir),
    )
