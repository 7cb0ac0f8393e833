"""How the server is reached: its address, the token, one request with a deadline that holds."""

from __future__ import annotations

import os
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from .quick_json import NotJsonError, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_URL = "http://127.0.0.1:49374"
_LARGEST_ANSWER = 1 << 20


class UnreachableError(OSError):
    """No answer came from an address."""


class Answer:
    """What a server answered: status, content type in lower case, body."""

    __slots__ = ("body", "kind", "status")

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        self.status = status
        self.kind = kind
        self.body = body

    def json(self) -> Any:
        """Give the body as JSON; None when it is not JSON."""
        try:
            return loads(self.body.decode("utf-8"))
        except (UnicodeDecodeError, NotJsonError):
            return None


def named_url() -> str:
    """Give the address that the environment names, without credentials, or ""."""
    for name in ("AI_MEMORY_HOOK_URL", "AI_MEMORY_SERVER_URL"):
        url = os.environ.get(name, "").strip()
        if url:
            return without_credentials(url)
    return ""


def without_credentials(url: str) -> str:
    """Take user and password out of an address; tokens travel in the header and rest in no spool."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path if separator else url


def client_settings(data_dir: str) -> dict[str, Any]:
    """Read what the installer wrote for this client (`client.json`): server_url, project_strategy; {} without one."""
    try:
        with open(os.path.join(data_dir, "client.json"), encoding="utf-8-sig") as file:
            found = loads(file.read())
    except (OSError, NotJsonError):
        return {}
    return found if isinstance(found, dict) else {}


def server_url(data_dir: str) -> str:
    """Give the server's address: environment, else `client.json`, else this machine's port 49374."""
    return named_url() or str(client_settings(data_dir).get("server_url") or DEFAULT_URL)


def tokens(data_dir: str) -> list[str]:
    """Give the tokens worth trying, best first, as they are now: the environment's, then the file's; or [""].

    An agent's daemon may hold an environment from before the token was changed, so the file is the second chance.
    """
    found = [os.environ.get("AI_MEMORY_AUTH_TOKEN", "").strip()]
    try:
        with open(os.path.join(data_dir, "auth-token"), encoding="utf-8-sig", errors="replace") as file:
            found.append(file.read(4096).strip())
    except OSError:
        # Without the file the server says 401, and `status` tells that the file cannot be read.
        pass
    usable = [token for token in found if token and token.isascii() and token.isprintable()]
    return list(dict.fromkeys(usable)) or [""]


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def ask(url: str, path: str, *, token: str, seconds: float, body: bytes | None = None) -> Answer:
    """Send one request: POST with a JSON body, else GET.

    Proxies of the environment are not used and redirects not followed: events go where the user said or nowhere.

    Args:
        url: the server's address, possibly with a path that it is mounted under.
        path: what to ask for there.
        token: the bearer token, or "".
        seconds: when the answer must be whole, name lookup included.
        body: the JSON to post.

    Raises:
        UnreachableError: the address cannot be used, refused, or did not answer in time.
    """
    if seconds <= 0:
        raise UnreachableError("the time is up")
    exchange = _Exchange(url, path, token, seconds, body)
    worker = threading.Thread(target=exchange.run, daemon=True)
    worker.start()
    worker.join(seconds)
    if exchange.answer:
        return exchange.answer
    exchange.abandon()
    raise UnreachableError(exchange.problem or f"no answer within {seconds:.1f} s")


class _Exchange:
    """One request and its answer, in a thread of its own: a socket's timeout starts anew with each byte."""

    def __init__(self, url: str, path: str, token: str, seconds: float, body: bytes | None) -> None:
        self.answer: Answer | None = None
        self.problem = ""
        self._url = url
        self._path = path
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._body = body
        self._until = time.monotonic() + seconds
        self._connection: HTTPConnection | None = None

    def run(self) -> None:
        """Ask; leave the answer or the problem behind."""
        try:
            self._connection = connection(self._url, self._until - time.monotonic())
            prefix = urlsplit(self._url).path.rstrip("/")
            method = "GET" if self._body is None else "POST"
            if self._body is not None:
                self._headers["Content-Type"] = "application/json"
            self._connection.request(method, prefix + self._path, self._body, self._headers)
            response = self._connection.getresponse()
            raw = response.read(_LARGEST_ANSWER + 1)
            if len(raw) > _LARGEST_ANSWER:
                self.problem = "the answer is larger than 1 MiB"
                return
            self.answer = Answer(response.status, (response.getheader("Content-Type") or "").lower(), raw)
        except (OSError, HTTPException, ValueError) as error:
            self.problem = str(error) or type(error).__name__
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the connection, which also ends a read that waits on it."""
        if self._connection:
            self._connection.close()


def connection(url: str, seconds: float) -> HTTPConnection:
    """Prepare a connection to a server.

    Args:
        url: its address.
        seconds: the timeout of each step.

    Raises:
        ValueError: it is not an address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is not an address: write http://HOST:PORT")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname, parts.port, timeout=max(seconds, 0.01))
