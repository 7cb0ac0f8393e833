"""The one table of MCP clients: where each keeps its servers, and what an entry looks like there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ai_memory.errors import BadRequestError
from ai_memory.install import codex, gemini_cli
from ai_memory.install.target import Site


@dataclass(frozen=True, slots=True)
class Client:
    """One client's facts.

    Attributes:
        name: how it is called here.
        title: the name a person knows.
        files: its own configuration file; () on a system where it has none.
        parents: the keys under which the servers stand.
        form: "json", "relaxed" (with comments and trailing commas) or "toml".
        aliases: other names.
        address: the key of the server's address; "" for a client that starts a program.
        first: what an entry begins with.
        more: what an entry has besides, and the user may change.
        headers: the key of the headers.
        says: headers that tell the server who asks, for a client that does not say it.
        advice: what the user still has to do or know, one sentence each.
    """

    name: str
    title: str
    files: Callable[[Site], tuple[Path, ...]]
    parents: tuple[str, ...] = ("mcpServers",)
    form: str = "json"
    aliases: tuple[str, ...] = ()
    address: str = "url"
    first: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: str = "headers"
    says: Mapping[str, str] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


def _at(*parts: str) -> Callable[[Site], tuple[Path, ...]]:
    """A file below the home directory."""
    return lambda site: (site.home.joinpath(*parts),)


def _claude_code(site: Site) -> tuple[Path, ...]:
    """`$CLAUDE_CONFIG_DIR/.claude.json`, else `~/.claude.json`: not the file of the hooks."""
    return (site.folder("CLAUDE_CONFIG_DIR", site.home) / ".claude.json",)


def _opencode(site: Site) -> tuple[Path, ...]:
    """`opencode.json`; where there is only an `opencode.jsonc`, that."""
    folder = site.folder("XDG_CONFIG_HOME", site.home / ".config") / "opencode"
    plain, commented = folder / "opencode.json", folder / "opencode.jsonc"
    return (commented if commented.exists() and not plain.exists() else plain,)


def _of_program(site: Site, *, mac: str, windows: str, linux: str) -> tuple[Path, ...]:
    """A file of a program that follows the custom of each system; "" where it has none."""
    if sys.platform == "darwin":
        return (site.home / "Library" / "Application Support" / mac,)
    if sys.platform == "win32":
        return (site.folder("APPDATA", site.home / "AppData" / "Roaming") / windows,)
    return (site.folder("XDG_CONFIG_HOME", site.home / ".config") / linux,) if linux else ()


def _zed(site: Site) -> tuple[Path, ...]:
    """Zed keeps to `~/.config` on a Mac, too."""
    if sys.platform == "darwin":
        return (site.home / ".config" / "zed" / "settings.json",)
    return _of_program(site, mac="", windows="Zed/settings.json", linux="zed/settings.json")


_RESTART = "Start a new session: one that runs already does not know the server."

_TABLE = (
    Client(
        "claude-code",
        "Claude Code",
        _claude_code,
        aliases=("claude", "claude_code"),
        first={"type": "http"},
        advice=(_RESTART, "/mcp shows the server and its tools."),
    ),
    Client(
        "codex",
        "Codex",
        lambda site: (codex.home(site) / "config.toml",),
        ("mcp_servers",),
        "toml",
        more={"default_tools_approval_mode": "approve"},
        headers="http_headers",
        advice=(_RESTART, "Codex calls the tools without asking (default_tools_approval_mode)."),
    ),
    Client(
        "opencode",
        "OpenCode",
        _opencode,
        ("mcp",),
        "relaxed",
        aliases=("open-code", "open_code"),
        first={"type": "remote"},
        # Without it a server that refuses a token is taken for one that wants a browser login.
        more={"enabled": True, "oauth": False},
        advice=("Start OpenCode again: it reads its configuration only once.",),
    ),
    Client(
        "gemini-cli",
        "Gemini CLI",
        lambda site: (gemini_cli.config_file(site),),
        aliases=("gemini", "gemini_cli"),
        address="httpUrl",
        # Without it no tool is called where nobody can be asked.
        more={"trust": True},
        # Its requests carry the name of a library.
        says={"User-Agent": "gemini-cli"},
        advice=(_RESTART, "Gemini CLI calls the tools without asking (trust)."),
    ),
    Client("cursor", "Cursor", _at(".cursor", "mcp.json"), advice=("Switch the server on in Cursor's settings, MCP.",)),
    Client(
        "claude-desktop",
        "Claude Desktop",
        lambda site: _of_program(
            site, mac="Claude/claude_desktop_config.json", windows="Claude/claude_desktop_config.json", linux=""
        ),
        address="",
        advice=("Quit Claude Desktop and start it again.",),
    ),
    Client(
        "vscode",
        "VS Code",
        lambda site: _of_program(
            site, mac="Code/User/mcp.json", windows="Code/User/mcp.json", linux="Code/User/mcp.json"
        ),
        ("servers",),
        "relaxed",
        aliases=("vs-code", "code", "copilot", "vscode-copilot", "github-copilot"),
        first={"type": "http"},
        advice=("Start the server in VS Code: command palette, MCP: List Servers.",),
    ),
    Client("zed", "Zed", _zed, ("context_servers",), "relaxed", advice=("Zed connects as soon as the file is saved.",)),
    Client(
        "windsurf",
        "Windsurf",
        _at(".codeium", "windsurf", "mcp_config.json"),
        address="serverUrl",
        advice=("Refresh the MCP servers in Cascade's settings.",),
    ),
    Client(
        "antigravity-cli",
        "Antigravity",
        _at(".gemini", "config", "mcp_config.json"),
        aliases=("antigravity", "agy"),
        address="serverUrl",
        advice=(_RESTART,),
    ),
    Client(
        "openclaw",
        "OpenClaw",
        _at(".openclaw", "openclaw.json"),
        ("mcp", "servers"),
        "relaxed",
        aliases=("open-claw",),
        # It takes an address without it for one of the older transport.
        first={"transport": "streamable-http"},
        advice=(_RESTART,),
    ),
    Client(
        "omp",
        "OMP",
        lambda site: (site.folder("PI_CODING_AGENT_DIR", site.home / ".omp" / "agent") / "mcp.json",),
        aliases=("oh-my-pi",),
        first={"type": "http"},
        more={"enabled": True},
        advice=(_RESTART,),
    ),
)

CLIENTS: dict[str, Client] = {client.name: client for client in _TABLE}
_BY_SPELLING = {spelling: client for client in _TABLE for spelling in (client.name, *client.aliases)}


def client_named(spelling: str) -> Client:
    """Find a client by name or alias.

    Raises:
        BadRequestError: there is none.
    """
    wanted = spelling.strip().lower()
    if wanted == "pi":
        raise BadRequestError("Pi keeps no list of MCP servers, so there is nothing to install.")
    if wanted not in _BY_SPELLING:
        raise BadRequestError(f"There is no client {spelling!r}. Known clients: {', '.join(CLIENTS)}.")
    return _BY_SPELLING[wanted]
