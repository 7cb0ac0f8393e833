"""What an agent's module gives to the installer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_memory.client.agents import Agent
from ai_memory.install.origin import Origin


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are on this machine.

    Attributes:
        home: the user's home directory.
        env: the environment that relocates agents (`CODEX_HOME` and the like).
        data_dir: our data directory, absolute.
        bundle: the folder with one folder of stubs per agent.
    """

    home: Path
    env: Mapping[str, str]
    data_dir: Path
    bundle: Path

    def folder(self, variable: str, default: Path) -> Path:
        """The folder that a variable names, else the default; an empty value names nothing."""
        named = self.env.get(variable, "").strip()
        return Path(named).absolute() if named else default


@dataclass(frozen=True, slots=True)
class Edit:
    """What a configuration file is to become.

    Attributes:
        text: its new text; None when it is to be deleted.
        origin: the note to keep about what it was before; None after an uninstall.
    """

    text: str | None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One agent that ai-memory can be wired into.

    Attributes:
        agent: the row of the table of agents.
        config_file: where its hooks stand.
        data_dirs: (file, text, site) -> the data directories that entries of ours in it name.
        installed: (file, text or None, site) -> the file with our entries.
        removed: (file, text, site, origin) -> the file without them.
        advice: (file, site) -> what the user still has to do, one sentence each.
    """

    agent: Agent
    config_file: Callable[[Site], Path]
    data_dirs: Callable[[Path, str, Site], list[Path]]
    installed: Callable[[Path, str | None, Site], Edit]
    removed: Callable[[Path, str, Site, Origin | None], Edit]
    advice: Callable[[Path, Site], tuple[str, ...]]
