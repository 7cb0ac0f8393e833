"""The files that an agent's hooks need, copied to the data directory so that nothing else has to stay put.

<data_dir>/hooks/<agent>/hook.sh, hook.ps1    the stubs that the agents run
<data_dir>/hooks/client/*.py                  the capture client, byte-compiled
<data_dir>/hooks/python                       the interpreter, one line
<data_dir>/client.json                        {"server_url": …, "project_strategy": …}
<data_dir>/auth-token                         the bearer token, 0600
"""

from __future__ import annotations

import json
import py_compile
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import ai_memory
from ai_memory import client
from ai_memory.client import reach
from ai_memory.client.agents import Agent
from ai_memory.errors import ConfigError
from ai_memory.install.command_line import STUB
from ai_memory.install.files import make_folder, read_text, write_file

STRATEGIES = ("basename", "repo-root")


@dataclass(frozen=True, slots=True)
class Connection:
    """How the hooks reach the server; None keeps what an earlier install has set.

    Attributes:
        server_url: the server's origin.
        token: the bearer token.
        project_strategy: "basename" or "repo-root".
    """

    server_url: str | None = None
    token: str | None = None
    project_strategy: str | None = None


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file to stage."""

    path: Path
    content: bytes
    mode: int

    def differs(self) -> bool:
        """Whether the file is missing, holds something else or has other permissions."""
        if not self.path.is_file() or self.path.read_bytes() != self.content:
            return True
        return self.path.stat().st_mode & 0o777 != self.mode


def bundle_folder() -> Path:
    """The folder of stubs: inside the installed package, else in the checkout.

    Raises:
        ConfigError: there is none, so this copy of ai-memory is not whole.
    """
    package = Path(ai_memory.__file__).parent
    for folder in (package / "_bundle" / "hooks", package.parent / "hooks"):
        if folder.is_dir():
            return folder
    raise ConfigError(f"The hook scripts are missing from this installation of ai-memory ({package}).")


def base_interpreter() -> Path:
    """The interpreter behind a virtual environment, which may be deleted while the hooks stay."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Path(base if Path(base).is_file() else sys.executable).absolute()


def staged_files(agent: Agent, data_dir: Path, bundle: Path, connection: Connection) -> list[StagedFile]:
    """List what the agent's hooks need in the data directory, whether it is there already or not.

    Raises:
        ConfigError: the bundle has no stub for the agent, the client is not whole, or the address or token
            cannot be used.
    """
    stubs = sorted((bundle / agent.name).glob("hook.*"))
    if STUB not in [stub.name for stub in stubs]:
        raise ConfigError(f"Nothing to stage: {bundle / agent.name / STUB} does not exist.")
    folder = data_dir / "hooks" / agent.name
    files = [StagedFile(folder / stub.name, stub.read_bytes(), 0o755) for stub in stubs]
    return files + client_files(data_dir, connection)


def client_files(data_dir: Path, connection: Connection) -> list[StagedFile]:
    """List what the client needs that runs on this machine, for hooks and as a bridge.

    Raises:
        ConfigError: the client is not whole, or the address or token cannot be used.
    """
    hooks = data_dir / "hooks"
    sources = sorted(Path(client.__file__).parent.glob("*.py"))
    if "__main__.py" not in [source.name for source in sources]:
        raise ConfigError(f"Nothing to stage: {Path(client.__file__).parent / '__main__.py'} does not exist.")
    files = [StagedFile(hooks / "client" / source.name, source.read_bytes(), 0o644) for source in sources]
    files.append(StagedFile(hooks / "python", f"{base_interpreter()}\n".encode(), 0o644))
    files.append(StagedFile(data_dir / "client.json", _client_json(data_dir, connection), 0o600))
    if connection.token is not None:
        token = check_token(connection.token)
        files.append(StagedFile(data_dir / "auth-token", f"{token}\n".encode(), 0o600))
    return files


def stage(files: list[StagedFile]) -> None:
    """Write the files; the modules of the client are compiled, or the first hook would pay for it."""
    for file in files:
        make_folder(file.path.parent)
        write_file(file.path, file.content, file.mode)
        if file.path.suffix == ".py":
            py_compile.compile(str(file.path), doraise=True)


def unstage(paths: list[Path]) -> None:
    """Remove staged files and folders."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_server_url(url: str) -> str:
    """Reduce an address to what routes are appended to: no slash and no `/mcp` at its end.

    Raises:
        ConfigError: not an http address, or one that carries credentials or a query.
    """
    example = f"must look like {reach.DEFAULT_URL}"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"The server address {url!r} {example}: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"The server address {url!r} {example}.")
    if parts.username or parts.password:
        raise ConfigError("The server address must not carry a user name or password; use --auth-token.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/mcp").rstrip("/")
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "") + path


def check_token(token: str) -> str:
    """Give the token without white space around it; ConfigError when it cannot travel in a header."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("The token must be printable ASCII without spaces.")
    return token


def read_settings(data_dir: Path) -> dict[str, str]:
    """Read `client.json`; {} when there is none, ConfigError when it is damaged."""
    path = data_dir / "client.json"
    text = read_text(path)
    if text is None:
        return {}
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}. Mend or delete it.") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} must hold a JSON object. Mend or delete it.")
    return settings


def _client_json(data_dir: Path, connection: Connection) -> bytes:
    settings = {
        "server_url": reach.DEFAULT_URL,
        "project_strategy": STRATEGIES[0],
        **read_settings(data_dir),
    }
    if connection.server_url is not None:
        settings["server_url"] = check_server_url(connection.server_url)
    if connection.project_strategy is not None:
        if connection.project_strategy not in STRATEGIES:
            raise ConfigError(f"The project strategy must be one of {', '.join(STRATEGIES)}.")
        settings["project_strategy"] = connection.project_strategy
    return (json.dumps(settings, indent=2) + "\n").encode()
