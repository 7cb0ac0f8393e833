"""Codex: `hooks.json`, timeouts in seconds, and no hook runs until the user has approved it."""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_memory.client.agents import AGENTS
from ai_memory.errors import ConfigError
from ai_memory.install import nested
from ai_memory.install.files import read_text, target_of
from ai_memory.install.json_text import Document
from ai_memory.install.target import Site

AGENT = AGENTS["codex"]

#: Codex cuts these two to 3 s whatever an entry says.
_SHORT = ("SessionEnd", "Interrupt")


@dataclass(frozen=True, slots=True)
class Approval:
    """Whether Codex has an approval on record for one entry.

    Attributes:
        event: Codex's name of the event.
        state: "approved", "missing" or "off". An approval is bound to a hash of the entry that only Codex can
            compute, so "approved" means that there is one, not that it is still good.
    """

    event: str
    state: str


def home(site: Site) -> Path:
    """`$CODEX_HOME`, else `~/.codex`."""
    return site.folder("CODEX_HOME", site.home / ".codex")


def config_file(site: Site) -> Path:
    """The file of the user's own hooks."""
    return home(site) / "hooks.json"


def group(event: str, command: str) -> dict[str, Any]:
    """One entry; nothing in it may ever change, or every user has to approve it again."""
    return {"hooks": [{"type": "command", "command": command, "timeout": 3 if event in _SHORT else 10}]}


def approvals(site: Site, path: Path | None = None) -> list[Approval]:
    """Tell for each entry of ours whether its approval is on record; nothing is run.

    Args:
        site: where Codex and the data directory are.
        path: the hooks file, when it is not the default one.

    Raises:
        ConfigError: hooks.json is not strict JSON, or config.toml is not TOML.
    """
    path = path or config_file(site)
    text = read_text(path)
    if not text or not text.strip():
        return []
    entries = nested.own_entries(Document(text, str(path)), AGENT, site.data_dir)
    states = _hook_states(home(site) / "config.toml")
    # Codex writes the path as it opened it: through CODEX_HOME as given, or with its links resolved.
    names = dict.fromkeys((path, path.parent.resolve() / path.name, target_of(path)))
    found = []
    for entry in entries:
        _, event, position, _, handler = entry.at
        keys = [f"{name}:{_snake(str(event))}:{position}:{handler}" for name in names]
        state = next((states[key] for key in keys if key in states), {})
        approved = "approved" if state.get("trusted_hash") else "missing"
        found.append(Approval(entry.event, "off" if state.get("enabled") is False else approved))
    return found


def trust_hint(site: Site, path: Path | None = None) -> str | None:
    """Say in one sentence what keeps our Codex hooks from running; None when nothing is known to."""
    try:
        known = approvals(site, path)
    except ConfigError as error:
        return f"Codex's hooks could not be checked: {error}"
    missing = [approval.event for approval in known if approval.state == "missing"]
    off = [approval.event for approval in known if approval.state == "off"]
    if missing:
        which = "the hooks" if len(missing) == len(known) else f"these hooks: {', '.join(missing)}"
        return f"Codex has not approved {which}. Open Codex, type /hooks and approve them."
    if off:
        return f"These hooks are switched off in Codex: {', '.join(off)}. Open Codex, type /hooks."
    return None


def advice(path: Path, site: Site) -> tuple[str, ...]:
    """What is left to do: the approval, and how to see it."""
    if trust_hint(site, path) is None:
        return ("Codex has an approval on record for every hook. Should it ask again, look at /hooks.",)
    seen = f'Approvals stand in {home(site) / "config.toml"} under [hooks.state."{path}:…"].'
    if shutil.which("codex", path=site.env.get("PATH")) is None:
        seen += " No codex program is on PATH, so do this where you use Codex."
    return (
        "Codex runs no hook before you approve it: start codex and trust the hooks there, or type /hooks.",
        f"{seen} `ai-memory status` tells whether they are there.",
    )


def _hook_states(path: Path) -> dict[str, dict[str, Any]]:
    try:
        hooks = tomllib.loads(read_text(path) or "").get("hooks", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    states = hooks.get("state", {}) if isinstance(hooks, dict) else {}
    if not isinstance(states, dict):
        return {}
    return {key: state for key, state in states.items() if isinstance(state, dict)}


def _snake(event: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", event).lower()


TARGET = nested.target(AGENT, config_file=config_file, group=group, advice=advice)
