"""Signing in at a subscription: in the browser of this machine, or with a code that is typed in anywhere."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from ai_memory.errors import AiMemoryError
from ai_memory.llm import web
from ai_memory.llm.asking import ModelError
from ai_memory.llm.bearer import OPENAI_CLIENT, openai_login
from ai_memory.llm.ways import Addresses

#: The port of this machine to which OpenAI sends the browser back.
_PORT = 1455
_SCOPE = "openid profile email offline_access"
#: The client as which editors ask for Copilot.
_COPILOT_CLIENT = "Iv1.b507a08c87ecfe98"
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL, _SLOWER = 5.0, 5.0


class SignInError(AiMemoryError):
    """Nobody signed in."""

    status = 403


@dataclass(frozen=True, slots=True)
class Patience:
    """How long somebody has time to sign in, and the clock by which that is told.

    Attributes:
        seconds: from the start.
        sleep, monotonic: the clock.
        now: seconds since 1970.
    """

    seconds: float = 600.0
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


def copilot_by_code(
    addresses: Addresses, client: str, show: Callable[[str, str], None], patience: Patience
) -> dict[str, Any]:
    """Get a token of GitHub; gives what is kept for copilot.

    Args:
        addresses: where GitHub is.
        client: the id of the client that asks, "" for the usual one.
        show: called with the page to open and the code to type in there.
        patience: how long somebody has time.

    Raises:
        SignInError: nobody approved it.
        ModelError: GitHub is away.
    """
    client = client or _COPILOT_CLIENT
    grant = _granted(
        *web.ask(f"{addresses.github}/login/device/code", form={"client_id": client, "scope": "read:user"}),
        ("device_code", "user_code", "verification_uri"),
    )
    show(grant["verification_uri"], grant["user_code"])
    form = {"client_id": client, "device_code": grant["device_code"], "grant_type": _GRANT}
    interval = _number(grant.get("interval"))
    until = patience.monotonic() + patience.seconds
    while patience.monotonic() < until:
        patience.sleep(interval)
        _, answer = web.ask(f"{addresses.github}/login/oauth/access_token", form=form)
        if token := answer.get("access_token"):
            return {"github_token": str(token)}
        said = answer.get("error")
        if said == "slow_down":
            interval = max(_number(answer.get("interval")), interval + _SLOWER)
        elif said != "authorization_pending":
            raise SignInError(f"GitHub ended the signing in: {_word(said)}")
    raise _late()


def openai_by_code(addresses: Addresses, show: Callable[[str, str], None], patience: Patience) -> dict[str, Any]:
    """Get tokens of a ChatGPT subscription with a code; gives what is kept for openai-oauth. As `copilot_by_code`."""
    issuer = addresses.openai_sign_in
    accounts = f"{issuer}/api/accounts/deviceauth"
    grant = _granted(
        *web.ask(f"{accounts}/usercode", body={"client_id": OPENAI_CLIENT}), ("device_auth_id", "user_code")
    )
    show(f"{issuer}/codex/device", grant["user_code"])
    interval = _number(grant.get("interval"))
    until = patience.monotonic() + patience.seconds
    while patience.monotonic() < until:
        patience.sleep(interval)
        body = {"device_auth_id": grant["device_auth_id"], "user_code": grant["user_code"]}
        status, answer = web.ask(f"{accounts}/token", body=body)
        if status in (403, 404):
            # Not yet.
            continue
        approved = _granted(status, answer, ("authorization_code", "code_verifier"))
        return _exchanged(
            issuer,
            approved["authorization_code"],
            approved["code_verifier"],
            f"{issuer}/deviceauth/callback",
            patience.now(),
        )
    raise _late()


def openai_by_browser(
    addresses: Addresses, show: Callable[[str], None], patience: Patience, port: int = _PORT
) -> dict[str, Any]:
    """Get tokens of a ChatGPT subscription in a browser of this machine; gives what is kept for openai-oauth.

    Args:
        addresses: where OpenAI is.
        show: called with the page to open.
        patience: how long somebody has time.
        port: of this machine, to which the browser is sent back.

    Raises:
        SignInError: nobody approved it, or the port is taken.
        ModelError: OpenAI is away.
    """
    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    back = f"http://localhost:{port}/auth/callback"
    query = {
        "response_type": "code",
        "client_id": OPENAI_CLIENT,
        "redirect_uri": back,
        "scope": _SCOPE,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": state,
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
    }
    try:
        door = _Door(port, state)
    except OSError as error:
        raise SignInError(
            f"port {port} of this machine, to which the browser is sent back, cannot be used: {error.strerror}; "
            "`ai-memory auth login openai-oauth --device` needs none"
        ) from error
    with door:
        show(f"{addresses.openai_sign_in}/oauth/authorize?{urlencode(query)}")
        until = patience.monotonic() + patience.seconds
        while not door.came and patience.monotonic() < until:
            door.handle_request()
    if not door.came:
        raise _late()
    code = door.came.get("code", "")
    if not code:
        raise SignInError(f"OpenAI ended the signing in: {_word(door.came.get('error'))}")
    return _exchanged(addresses.openai_sign_in, code, verifier, back, patience.now())


class _Door(HTTPServer):
    """Waits on this machine for the browser to come back with the code."""

    timeout = 0.5

    def __init__(self, port: int, state: str) -> None:
        super().__init__(("127.0.0.1", port), _Back)
        self.state = state
        self.came: dict[str, str] = {}


class _Back(BaseHTTPRequestHandler):
    """Answers the browser."""

    server: _Door
    timeout = 5

    def do_GET(self) -> None:
        """Take the code, from a browser that was sent from here."""
        parts = urlsplit(self.path)
        said = {name: values[0] for name, values in parse_qs(parts.query).items()}
        ours = parts.path == "/auth/callback" and secrets.compare_digest(
            said.get("state", "").encode(), self.server.state.encode()
        )
        if ours:
            self.server.came = said
        text = "You may close this page, and go back to the terminal." if ours else "This page is not for you."
        body = text.encode()
        self.send_response(200 if ours else 400)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the standard library
        """Say nothing: the code stands in the path."""


def _exchanged(issuer: str, code: str, verifier: str, back: str, now: float) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "client_id": OPENAI_CLIENT,
        "code_verifier": verifier,
    }
    status, answer = web.ask(f"{issuer}/oauth/token", form=form)
    if status != 200:
        raise SignInError(f"OpenAI gave no token (HTTP {status}): {_word(answer.get('error'))}")
    try:
        return openai_login(answer, now)
    except ModelError as error:
        raise SignInError(str(error)) from error


def _granted(status: int, answer: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    if status != 200 or not all(isinstance(answer.get(key), str) and answer[key] for key in keys):
        raise SignInError(f"signing in was refused (HTTP {status}): {_word(answer.get('error'))}")
    return dict(answer)


def _number(said: Any) -> float:
    """Read the seconds between two questions; a text of digits is as good as a number."""
    try:
        return min(max(float(said), 0.0), 60.0)
    except (TypeError, ValueError):
        return _INTERVAL


def _word(said: Any) -> str:
    """Give the short name of an error, nothing longer that somebody else has written."""
    return said if isinstance(said, str) and len(said) <= 60 and said.isprintable() else "no reason was given"


def _late() -> SignInError:
    return SignInError("nobody signed in in time: nothing was changed")
