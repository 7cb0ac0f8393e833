"""Asking a server of packets: ours, or any other that speaks the same protocol."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import click

from ai_memory.capture.plain import harmless
from ai_memory.cli.credentials import Credentials, host_named
from ai_memory.cli.remote import RefusedError, Remote, settings_of
from ai_memory.client.reach import without_credentials
from ai_memory.config import ltm_folder
from ai_memory.errors import AiMemoryError, ServerUnreachableError

_TIMEOUT_SECONDS = 30.0
#: A list of 500 packets has a tenth of this.
_LARGEST_ANSWER = 8 << 20
_LARGEST_ERROR = 4096
_REDIRECTS = 3
#: How every client of the protocol names a wrong place: the path is the same, the method stays.
_MOVED = (307, 308)


class NotSignedInError(AiMemoryError):
    """This machine has no token for the server."""

    status = 401


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was 2xx; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Give the body as a JSON object.

        Raises:
            RefusedError: it is none, so that no server of packets answered.
        """
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise RefusedError(
                f"server returned {self.status} with something that is no JSON object: is the host right?"
            )
        return found


class PacketServer:
    """One server of packets, and this machine's token for it, which is sent to no other host.

    Args:
        host: as `credentials.host_named` gives it.
        token: the token, "" for none.
        renew: gets a token where there is none or the server refuses it; None where only a person can.
    """

    def __init__(self, host: str, token: str = "", renew: Callable[[], str] | None = None) -> None:
        self.host, self.token = host, token
        self._renew = renew

    @property
    def can_renew(self) -> bool:
        """Whether a token comes without asking anybody."""
        return self._renew is not None

    def sign_in(self) -> None:
        """Make sure that there is a token.

        Raises:
            NotSignedInError: there is none, and only a person can get one.
        """
        if not self.token and self._renew:
            self.token = self._renew()
        if not self.token:
            raise NotSignedInError(f"not signed in at {self.host}: run `ai-memory auth {self.host}`")

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None) -> Reply:
        """Send one request with the token; where the server refuses a token that can be renewed, once more.

        Args:
            method, path: the request; what stands in the path is encoded already (`part`).
            query: parameters; those that are "" are left out.
            body: JSON.

        Raises:
            NotSignedInError: there is no token for this server.
            ServerUnreachableError: nothing answers there.
            RefusedError: the answer was not 2xx.
        """
        self.sign_in()
        given = {name: value for name, value in (query or {}).items() if value}
        asked = path + (f"?{urlencode(given)}" if given else "")
        status, headers, answer = self._exchange(method, asked, body, self.token)
        if status == 401 and self._renew:
            self.token = self._renew()
            status, headers, answer = self._exchange(method, asked, body, self.token)
        return self._judged(status, headers, answer)

    def ask_openly(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        bearer: bool = True,
        seconds: float = _TIMEOUT_SECONDS,
    ) -> Reply:
        """Send one request that needs no token.

        Args:
            method, path, body: the request.
            bearer: whether the token goes along, where there is one.
            seconds: how long the server may be silent.

        Raises:
            ServerUnreachableError: nothing answers there.
            RefusedError: the answer was not 2xx.
        """
        return self._judged(*self._exchange(method, path, body, self.token if bearer else "", seconds=seconds))

    def post_form(self, path: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Post a form without a token; gives the status and the JSON object of the answer, {} where it is none.

        Raises:
            ServerUnreachableError: nothing answers there.
        """
        kind = "application/x-www-form-urlencoded"
        status, _, answer = self._exchange("POST", path, urlencode(form).encode(), "", kind)
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            found = {}
        return status, found if isinstance(found, dict) else {}

    def _judged(self, status: int, headers: Mapping[str, str], answer: bytes) -> Reply:
        if 200 <= status < 300:
            return Reply(status, headers, answer)
        error = RefusedError(f"server returned {status}: {_explained(answer)}{self._hint(status, headers)}")
        error.exit_code = 2 if status in (400, 422) else 1
        error.status = status
        raise error

    def _hint(self, status: int, headers: Mapping[str, str]) -> str:
        if status == 401:
            return f": run `ai-memory auth {self.host}`"
        if 300 <= status < 400 and "location" in headers and not _below(self.host, headers["location"]):
            # Followed, it would be told the token.
            return f": it points to {headers['location']}, which is another address; name that one with --host"
        return ""

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        token: str,
        kind: str = "application/json",
        seconds: float = _TIMEOUT_SECONDS,
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Accept": "application/json"}
        headers |= {"Content-Type": kind} if body else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        target = urlsplit(self.host).path + path
        for _ in range(_REDIRECTS):
            status, answered, answer = self._once(method, target, body, headers, seconds)
            moved = _below(self.host + path, answered.get("location", "")) if status in _MOVED else ""
            if not moved:
                break
            target = moved
        return status, answered, answer

    def _once(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(self.host)
        connected = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connected(parts.hostname or "", parts.port, timeout=seconds)
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            answer = response.read(_LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachableError(
                f"no server answers at {self.host}: {error or type(error).__name__}"
            ) from error
        finally:
            connection.close()
        if len(answer) > _LARGEST_ANSWER:
            raise RefusedError(
                f"{self.host} answered with more than {_LARGEST_ANSWER >> 20} MiB, which no packet needs"
            )
        return response.status, {name.lower(): value for name, value in response.headers.items()}, answer


def _below(address: str, location: str) -> str:
    """Give path and query of where a redirect points, "" where it is another host's."""
    try:
        here, there = urlsplit(address), urlsplit(urljoin(address, location))
    except ValueError:
        return ""
    if (there.scheme, there.netloc) != (here.scheme, here.netloc):
        return ""
    return there.path + (f"?{there.query}" if there.query else "")


def _explained(answer: bytes) -> str:
    text = answer[:_LARGEST_ERROR].decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    said = found.get("error") if isinstance(found, dict) else None
    return harmless(said if isinstance(said, str) and said else text) or "no explanation"


def part(text: str) -> str:
    """Encode an id or a name for a path: a slash in it is a sign like any other."""
    return quote(text, safe="")


host_option = click.option(
    "--host",
    envvar="LTM_HOST",
    metavar="URL",
    help="Another server of packets than the usual one (LTM_HOST).",
)
team_option = click.option(
    "--team", "-t", default="", metavar="NAME", help="For a team, or of one, instead of your own."
)


def credentials_of(ctx: click.Context) -> Credentials:
    """Give the tokens of this machine."""
    return Credentials(settings_of(ctx).data_dir, ltm_folder())


def packet_server(ctx: click.Context, host: str | None) -> PacketServer:
    """Give the server that a command asks: the one named, else the one of `auth`, else this machine's ai-memory server.

    Whoever may use the other commands there gets a token for its packets without being asked anything.

    Raises:
        BadRequestError: what was named is no address.
        ConfigError: the tokens or the settings cannot be used.
    """
    settings = settings_of(ctx)
    credentials, remote = Credentials(settings.data_dir, ltm_folder()), Remote(settings)
    own = host_named(without_credentials(remote.url))
    named = host_named(host or credentials.default() or own)

    def renew() -> str:
        token = str(remote.post("/admin/ltm-tokens", {"label": socket.gethostname()})["token"])
        credentials.keep(named, token)
        return token

    return PacketServer(named, credentials.token(named), renew if named == own else None)
