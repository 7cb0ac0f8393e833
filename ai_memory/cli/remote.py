"""Asking a running server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from ai_memory.client.reach import server_url
from ai_memory.config import Settings, load_settings
from ai_memory.errors import AiMemoryError, ServerUnreachableError

_TIMEOUT_SECONDS = 10.0


class RefusedError(AiMemoryError):
    """The server refused the request."""


class Remote:
    """A server, as the settings name it."""

    def __init__(self, settings: Settings) -> None:
        named = settings.sources["server_url"] != "default"
        # Where nothing else is said, the server that this machine's hooks were installed for.
        self.url: str = (settings["server_url"] if named else server_url(str(settings.data_dir))).rstrip("/")
        self._token: str = settings["auth.bearer_token"].strip() or _stored_token(settings)
        self._source = settings.sources["server_url"] if named else "the hooks' client.json, or the default"

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Ask a question; gives the JSON of the answer."""
        return json.loads(self.send("GET", path + ("?" + urlencode(query) if query else "")))

    def post(self, path: str, body: object) -> Any:
        """Ask for a change; gives the JSON of the answer."""
        return json.loads(self.send("POST", path, json.dumps(body).encode()))

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request; gives the bytes of a 2xx answer.

        Raises:
            ServerUnreachableError: nothing answers at the address.
            RefusedError: the answer was not 2xx.
        """
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        if not parts.hostname:
            raise ServerUnreachableError(f"server_url {self.url!r} ({self._source}) is not a URL")
        connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, parts.path + path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachableError(
                f"no server answers at {self.url} (server_url: {self._source}): {error}. "
                "Start one with `ai-memory serve`, or set AI_MEMORY_SERVER_URL"
            ) from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise _refusal(method, path, response.status, answer)
        return answer


def _refusal(method: str, path: str, status: int, answer: bytes) -> RefusedError:
    text = answer.decode("utf-8", "replace").strip()
    try:
        text = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        text = text or "no explanation"
    hint = ": set AI_MEMORY_AUTH_TOKEN to the server's token" if status == 401 else ""
    error = RefusedError(f"{method} {path.partition('?')[0]}: server returned {status}: {text}{hint}")
    error.exit_code = 2 if status in (400, 422) else 1
    return error


def _stored_token(settings: Settings) -> str:
    file = settings.data_dir / "auth-token"
    return file.read_text("utf-8").strip() if file.is_file() else ""


#: The global option once more, behind the command, where people write it.
data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept."
)


def settings_of(ctx: click.Context, data_dir: Path | None = None, **flags: object) -> Settings:
    """Load the settings for a command: global options, then its own flags (None means not given)."""
    named, config_file = ctx.find_root().obj or (None, None)
    return load_settings(data_dir or named, config_file, flags)


def remote_of(ctx: click.Context) -> Remote:
    """Give the server that this command talks to."""
    return Remote(settings_of(ctx))
