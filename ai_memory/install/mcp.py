"""The MCP server as something to install: one entry in a client's list of servers.

An entry names the server's address, or the bridge that runs on this machine. Of an entry that is there only what leads
to the server is brought up to date; what the user changed besides stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ai_memory.client.agents import MCP_SERVER_NAMES
from ai_memory.client.bridge import TOOLSETS
from ai_memory.errors import BadRequestError, ConfigError
from ai_memory.install import origin as notes
from ai_memory.install import staging, toml_text
from ai_memory.install.json_text import Document
from ai_memory.install.mcp_check import check
from ai_memory.install.mcp_clients import Client
from ai_memory.install.origin import Origin
from ai_memory.install.staging import Connection, StagedFile
from ai_memory.install.target import Edit, SelfTest, Site, Target

KIND = "mcp"
FLAVORS = ("moonshot", "bedrock", "gemini")

#: Where the doors of a server stand, below its address.
_DOORS = (*TOOLSETS.values(), "/mcp/sse")
_ADDRESSES = ("url", "httpUrl", "serverUrl")
#: What says how the server is reached: of these nothing stays that is not wanted any more.
_ROUTE = (*_ADDRESSES, "type", "transport", "command", "args")
#: What is sent to the server: that stays as long as the server is the same.
_SENT = ("headers", "http_headers", "bearer_token_env_var", "env")
_BRIDGE = "/hooks/client/__main__.py"


@dataclass(frozen=True, slots=True)
class Door:
    """Which server a client is given, and which part of it.

    Attributes:
        server_url: the server's origin.
        token: the bearer token, or "".
        toolset: a key of `TOOLSETS`.
        name: what the server is called in the client; "" for the usual name.
        flavor: a dialect of schemas, or "".
        bridged: through the program on this machine, which says the session and the directory, too.
    """

    server_url: str
    token: str = ""
    toolset: str = "wiki"
    name: str = ""
    flavor: str = ""
    bridged: bool = False

    @property
    def called(self) -> str:
        """What the server is called in the client."""
        return self.name or ("ai-memory" if self.toolset == "wiki" else f"ai-memory-{self.toolset}")

    @property
    def address(self) -> str:
        """The address to connect to."""
        flavor = f"?flavor={self.flavor}" if self.flavor else ""
        return self.server_url + TOOLSETS[self.toolset] + flavor


def target(client: Client, door: Door) -> Target:
    """Make the target of a client.

    Raises:
        BadRequestError: the client cannot be given such an entry.
    """
    bridged = door.bridged or not client.address
    if door.bridged and client.name not in ("claude-code", "claude-desktop"):
        raise BadRequestError(f"{client.title} says no session to a program it starts: --session-aware gains nothing.")
    if bridged and door.toolset == "memories":
        raise BadRequestError(
            f"The entry for {client.title} would start a program that sends the token of the data directory, which is "
            "the owner's; --toolset memories takes the token of a user. Give it to a client that connects to an "
            "address, without --session-aware, or let the client start mcp-remote as docs/mcp.md shows."
        )
    if bridged and door.flavor:
        raise BadRequestError("--flavor is a part of an address, and this entry has none: it starts a program.")
    form = _Toml(client.parents[0]) if client.form == "toml" else _Json(client.parents, client.form == "relaxed")

    def wanted(site: Site) -> dict[str, Any]:
        if bridged:
            first = {"type": "stdio"} if client.first else {}
            return {**first, "command": str(staging.base_interpreter()), "args": _arguments(site, door)}
        entry = {**client.first, client.address: door.address, **client.more}
        headers = {**client.says, **({"Authorization": f"Bearer {door.token}"} if door.token else {})}
        return entry | ({client.headers: headers} if headers else {})

    def own(path: Path, text: str, site: Site) -> dict[str, Mapping[str, Any]]:
        servers = form.servers(text, str(path))
        known = addresses(path, site)
        return {name: entry for name, entry in servers.items() if _is_ours(name, entry, known, site)}

    def addresses(path: Path, site: Site) -> tuple[str, ...]:
        """Where our entries of this file lead: to the server that is meant now, or was at an earlier install."""
        noted = notes.load(site.data_dir).get(str(path))
        return (door.server_url, *(noted.servers if noted else ()))

    def data_dirs(path: Path, text: str, site: Site) -> list[Path]:
        # A file that names no server of ours may be of any form: it is not our business.
        mentioned = (*MCP_SERVER_NAMES, door.server_url, _BRIDGE)
        return [site.data_dir] if any(name in text for name in mentioned) and own(path, text, site) else []

    def installed(path: Path, text: str | None, site: Site) -> Edit:
        old = form.servers(text or "", str(path)).get(door.called)
        if old is not None and not _is_ours(door.called, old, addresses(path, site), site):
            raise ConfigError(
                f"{path} has a server {door.called!r} that is not ai-memory's: it does not lead to {door.server_url}, "
                "nor to where an earlier install has led it. Name its address with --server-url if it is, or give "
                "ours another name with --name."
            )
        entry = _merged(old, wanted(site))
        private = any(key in entry for key in _SENT) and (bool(door.token) or _sends_token(entry))
        if old == entry and text is not None:
            return Edit(text, Origin(str(path), servers=(door.server_url,)), private)
        after, origin = form.put(text, path, door.called, entry)
        return Edit(after, replace(origin, servers=(door.server_url,)), private)

    def removed(path: Path, text: str, site: Site, origin: Origin | None) -> Edit:
        origin = origin or Origin(str(path))
        for name in own(path, text, site):
            text = form.drop(text, path, name, origin)
        if form.is_empty(text, str(path)):
            if origin.absent:
                return Edit(None)
            if origin.blank is not None:
                return Edit(origin.blank)
        return Edit(text)

    def stage(site: Site, connection: Connection) -> list[StagedFile]:
        return staging.client_files(site.data_dir, connection) if bridged else []

    def advice(path: Path, _site: Site) -> tuple[str, ...]:
        known = door.called in MCP_SERVER_NAMES
        return (
            *client.advice,
            *([f"The token stands in {path}, which only you can read. Keep it out of version control."] * bool(token)),
            *(
                []
                if known
                else [f"Hooks know its tools by the usual names only, so calls of {door.called} are recorded."]
            ),
        )

    token = door.token and not bridged

    def tried(path: Path, site: Site) -> SelfTest:
        entry = form.servers(path.read_text("utf-8"), str(path))[door.called]
        return check(entry, site.data_dir)

    return Target(
        KIND,
        client.name,
        client.title,
        client.files,
        data_dirs,
        installed,
        removed,
        stage=stage,
        advice=advice,
        check=tried,
    )


def _arguments(site: Site, door: Door) -> list[str]:
    arguments = ["-I", "-S", f"{site.data_dir}{_BRIDGE}", "mcp", "--data-dir", str(site.data_dir)]
    return arguments + ([] if door.toolset == "wiki" else ["--toolset", door.toolset])


def _is_ours(name: str, entry: object, servers: tuple[str, ...], site: Site) -> bool:
    """Tell an entry of ours: it starts our bridge or leads to a door of ours.

    Under another name than ours it must be the bridge of this data directory, or a door of the first server.
    """
    if not isinstance(entry, Mapping):
        return False
    words = [entry.get("command"), entry.get("args")]
    program = [str(word) for some in words for word in (some if isinstance(some, list) else [some])]
    address = _address(entry)
    if f"{site.data_dir}{_BRIDGE}" in program or _is_door(address, servers[0]):
        return True
    if name not in MCP_SERVER_NAMES:
        return False
    if any(word.endswith(_BRIDGE) for word in program) or _is_program(program):
        return True
    # Programs that pass everything on, as mcp-remote does, are told the address.
    return any(_is_door(word, server) for word in (address, *program) for server in servers)


def _is_program(words: list[str]) -> bool:
    """Tell the command `ai-memory mcp` however it is started."""
    return "mcp" in words and (Path(words[0]).name == "ai-memory" or "ai_memory" in words)


def _is_door(address: str, server: str) -> bool:
    path = _split(server).path
    return _same_server(address, server) and _split(address).path.rstrip("/") in [path + door for door in _DOORS]


def _sends_token(entry: Mapping[str, Any]) -> bool:
    headers = [entry[key] for key in _SENT if isinstance(entry.get(key), Mapping)]
    return any(name.lower() == "authorization" for each in headers for name in each)


def _split(address: str) -> SplitResult:
    """The parts of an address; all empty for one that is none, as a neighbour's may be."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _address(entry: Mapping[str, Any]) -> str:
    return next((entry[key] for key in _ADDRESSES if isinstance(entry.get(key), str)), "")


def _same_server(one: str, other: str) -> bool:
    parts = _split(one)[:2]
    return all(parts) and parts == _split(other)[:2]


def _merged(old: Mapping[str, Any] | None, wanted: dict[str, Any]) -> dict[str, Any]:
    """Bring an entry up to date; what the user may change is written only into a new one."""
    if old is None:
        return wanted
    same = _same_server(_address(old), _address(wanted)) or bool(old.get("command") and wanted.get("command"))
    merged: dict[str, Any] = {}
    for key, value in old.items():
        if key in wanted and key in (*_ROUTE, *_SENT):
            sent = isinstance(value, Mapping) and isinstance(wanted[key], Mapping) and same
            merged[key] = {**value, **wanted[key]} if sent else wanted[key]
        elif key not in _ROUTE and (key not in _SENT or same):
            merged[key] = value
    return {key: value for key, value in wanted.items() if key in (*_ROUTE, *_SENT)} | merged


class _Json:
    """Entries in a JSON file, below some keys."""

    def __init__(self, parents: tuple[str, ...], relaxed: bool) -> None:
        self._parents = parents
        self._relaxed = relaxed

    def servers(self, text: str, source: str) -> dict[str, Any]:
        """The entries by name; ConfigError when the file cannot be understood."""
        if not text.strip("\ufeff \t\r\n"):
            return {}
        document = self._document(text, source)
        node = document.at(self._parents)
        return dict(document.value(node)) if node else {}

    def put(self, text: str | None, path: Path, name: str, entry: dict[str, Any]) -> tuple[str, Origin]:
        """Write an entry; gives the text, and what to note for taking it out."""
        blank = text if text is not None and not text.strip("\ufeff \t\r\n") else None
        document = self._document("{}\n" if text is None or blank is not None else text, str(path))
        if document.at((*self._parents, name)) is not None:
            return document.replace((*self._parents, name), entry).text, Origin(str(path))
        empties = {}
        value: Any = entry
        keys = (*self._parents, name)
        there = next(n for n in range(len(self._parents), -1, -1) if document.at(keys[:n]) is not None)
        if not document.at(keys[:there]).children:  # type: ignore[union-attr] # it was looked up just now
            empties["/".join(keys[:there])] = document.inside(keys[:there])
        for key in reversed(keys[there + 1 :]):
            value = {key: value}
        document = document.append(keys[:there], value, key=keys[there])
        return document.text, Origin(str(path), absent=text is None, blank=blank, empties=empties)

    def drop(self, text: str, path: Path, name: str, origin: Origin) -> str:
        """Take an entry out, with the containers that it alone filled."""
        document = self._document(text, str(path))
        pointer: tuple[str, ...] = (*self._parents, name)
        while pointer:
            parent = pointer[:-1]
            place = "/".join(parent)
            document = document.remove(pointer, inside=origin.empties.get(place, ""))
            left = document.at(parent)
            if not parent or (left and left.children) or place in origin.empties or document.inside(parent).strip():
                break
            pointer = parent
        return document.text

    def is_empty(self, text: str, source: str) -> bool:
        """Tell whether nothing is left that anybody wrote."""
        document = self._document(text, source)
        return not document.root.children and not document.inside(()).strip()

    def _document(self, text: str, source: str) -> Document:
        document = Document(text, source, self._relaxed)
        for n in range(len(self._parents) + 1):
            node = document.at(self._parents[:n])
            if node is not None and node.members is None:
                place = ".".join(self._parents[:n]) or "the whole file"
                raise ConfigError(
                    f"{source}, line {document.line(node)}: {place} must be a JSON object. Nothing was written."
                )
        return document


class _Toml:
    """Entries in a TOML file, each a table of its own."""

    def __init__(self, parent: str) -> None:
        self._parent = parent

    def servers(self, text: str, source: str) -> dict[str, Any]:
        """The entries by name; ConfigError when the file cannot be understood."""
        found = toml_text.read(text, source).get(self._parent, {})
        return found if isinstance(found, dict) else {}

    def put(self, text: str | None, path: Path, name: str, entry: dict[str, Any]) -> tuple[str, Origin]:
        """Write an entry; gives the text, and what to note for taking it out."""
        if name in self.servers(text or "", str(path)):
            return toml_text.changed(text or "", str(path), (self._parent, name), entry), Origin(str(path))
        after, gap = toml_text.added(text or "", str(path), (self._parent, name), entry)
        return after, Origin(str(path), absent=text is None, gaps={name: gap})

    def drop(self, text: str, path: Path, name: str, origin: Origin) -> str:
        """Take an entry out, with the containers that it alone filled."""
        return toml_text.removed(text, str(path), (self._parent, name), origin.gaps.get(name))

    def is_empty(self, text: str, _source: str) -> bool:
        """Tell whether nothing is left that anybody wrote."""
        return not text
