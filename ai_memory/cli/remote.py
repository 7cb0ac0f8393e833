"""Asking a running server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from ai_memory.capture.plain import harmless
from ai_memory.cli.shown import with_local_times
from ai_memory.client.reach import server_url
from ai_memory.config import Settings, load_settings
from ai_memory.errors import AiMemoryError, ConfigError, ServerUnreachableError

_TIMEOUT_SECONDS = 10.0
#: A server packs a large memory for minutes before it sends the first byte.
_MAKING_SECONDS = 3600.0
_CHUNK = 1 << 18


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

    def get(
        self,
        path: str,
        query: Mapping[str, str | list[str]] | None = None,
        headed: Callable[[Mapping[str, str]], None] = lambda _: None,
    ) -> Any:
        """Ask a question; gives the JSON of the answer. `headed` is called with its headers."""
        asked = path + ("?" + urlencode(query, doseq=True) if query else "")
        with self._connected(_TIMEOUT_SECONDS) as connection:
            response = self._asked(connection, "GET", asked, None)
            headed(dict(response.headers))
            return json.loads(response.read())

    def post(self, path: str, body: object, *, patient: bool = False) -> Any:
        """Ask for a change; gives the JSON of the answer. A patient caller waits for what takes minutes."""
        return json.loads(self.send("POST", path, json.dumps(body).encode(), patient=patient))

    def lines(self, path: str, body: object) -> Iterator[Any]:
        """Ask for a change that tells how far it is; gives the JSON of each line, and waits as long as it takes."""
        with self._connected(_MAKING_SECONDS) as connection:
            data = json.dumps(body).encode()
            with self._asked(connection, "POST", path, data, accept="application/x-ndjson") as response:
                for line in response:
                    yield json.loads(line)

    def send(self, method: str, path: str, body: bytes | None = None, *, patient: bool = False) -> bytes:
        """Send one request; gives the bytes of a 2xx answer.

        Raises:
            ConfigError: the address is none.
            ServerUnreachableError: nothing answers at the address.
            RefusedError: the answer was not 2xx.
        """
        with self._connected(_MAKING_SECONDS if patient else _TIMEOUT_SECONDS) as connection:
            return self._asked(connection, method, path, body).read()

    def download(
        self, method: str, path: str, headed: Callable[[Mapping[str, str]], None] = lambda _: None
    ) -> Iterator[tuple[bytes, int]]:
        """Send one request and give its answer in pieces, each with the bytes of the whole; waits long for the first.

        Args:
            method, path: the request.
            headed: called with the answer's headers before the first piece.

        Raises:
            ServerUnreachableError: nothing answers at the address, or the answer was cut off.
            RefusedError: the answer was not 2xx.
        """
        with self._connected(_MAKING_SECONDS) as connection:
            response = self._asked(connection, method, path, None)
            headed(dict(response.headers))
            total = int(response.headers.get("Content-Length") or 0)
            got = 0
            while chunk := response.read(_CHUNK):
                got += len(chunk)
                yield chunk, total
            if got < total:
                raise http.client.IncompleteRead(b"", total - got)

    @contextmanager
    def _connected(self, timeout: float) -> Iterator[http.client.HTTPConnection]:
        secure, host, port = self._address()
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, port, timeout=timeout)
        try:
            yield connection
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachableError(
                f"no server answers at {self.url} (server_url: {self._source}): {error}. "
                "Start one with `ai-memory serve`, or set AI_MEMORY_SERVER_URL"
            ) from error
        finally:
            connection.close()

    def _address(self) -> tuple[bool, str, int | None]:
        """Read the URL: whether to encrypt, the host, the port."""
        # A port that is no number, and a bracket that nobody closes, are errors of urllib's only here.
        with suppress(ValueError):
            parts = urlsplit(self.url)
            if parts.scheme in ("http", "https") and parts.hostname:
                return parts.scheme == "https", parts.hostname, parts.port
        raise ConfigError(
            f"server_url {self.url!r} ({self._source}) is not a URL: write one like http://127.0.0.1:49374"
        )

    def _asked(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, accept: str = "*/*"
    ) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": accept}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(method, urlsplit(self.url).path + path, body, headers)
        response = connection.getresponse()
        if not 200 <= response.status < 300:
            raise _refusal(method, path, response.status, response.read())
        return response


def _refusal(method: str, path: str, status: int, answer: bytes) -> RefusedError:
    text = answer.decode("utf-8", "replace").strip()
    details: dict[str, object] = {}
    try:
        details = dict(json.loads(text))
        text = str(details.pop("error"))
    except (ValueError, KeyError, TypeError):
        text = text or "no explanation"
    hint = ": set AI_MEMORY_AUTH_TOKEN to the server's token" if status == 401 else ""
    said = harmless(with_local_times(text))
    error = RefusedError(f"{method} {path.partition('?')[0]}: server returned {status}: {said}{hint}")
    error.exit_code = 2 if status in (400, 422) else 1
    error.status, error.details = status, details
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
