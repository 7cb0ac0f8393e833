"""The command lines that agents run: how one is written, and how one of ours is told from any other.

A line names the staged stub and the event's stem and nothing else: no token that the process table would
show, no address that may change. Codex's approval covers the very line, so it must stay the same for ever.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from ai_memory.client.agents import STEMS
from ai_memory.errors import ConfigError

STUB = "hook.sh"
_FOLDER = "ai-memory"


@dataclass(frozen=True, slots=True)
class HookCommand:
    """One command line of ours.

    Attributes:
        data_dir: the data directory that the stub was staged to, absolute.
        agent: the agent's wire name.
        stem: the event's stem.
    """

    data_dir: Path
    agent: str
    stem: str

    def __str__(self) -> str:
        return f"{shlex.quote(str(self.stub))} {self.stem}"

    @property
    def stub(self) -> Path:
        """The staged stub that the agent runs."""
        return self.data_dir / "hooks" / self.agent / STUB


def read_command(line: str, agent: str, data_dir: Path) -> HookCommand | None:
    """Recognise a command line of ours for this agent; None for anything else.

    The whole line must have our shape, and the directory must be ours: the given data directory, one that
    holds a staged client, or one that bears our name (its files may be gone already).
    """
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if len(words) != 2 or words[1] not in STEMS:
        return None
    stub = Path(words[0])
    if not stub.is_absolute() or stub.parts[-3:] != ("hooks", agent, STUB):
        return None
    command = HookCommand(stub.parents[2], agent, words[1])
    home = command.data_dir
    ours = home == data_dir or home.name == _FOLDER
    return command if ours or (home / "hooks" / "client" / "__main__.py").is_file() else None


def check_data_dir(data_dir: Path) -> Path:
    """Make a data directory absolute; ConfigError for one that a configuration file cannot name."""
    try:
        str(data_dir).encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"The data directory {data_dir!r} is not valid UTF-8.") from None
    return data_dir.absolute()
