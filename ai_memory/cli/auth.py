"""`auth` and `whoami`: signing in at a server of packets."""

from __future__ import annotations

import json
import sys
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import click

from ai_memory.capture.plain import harmless
from ai_memory.cli.credentials import hash8, token_typed
from ai_memory.cli.llm_auth import WithSubscriptions
from ai_memory.cli.packet_server import PacketServer, credentials_of, host_option, packet_server
from ai_memory.cli.remote import RefusedError
from ai_memory.cli.shown import quiet, say
from ai_memory.errors import AiMemoryError, ServerUnreachableError

_CLIENT = "ltm-cli"
_SCOPE = "read write"
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_CHECK_SECONDS = 10.0
#: What RFC 8628 says where the server says nothing.
_EXPIRES, _INTERVAL, _SLOWER = 300.0, 5.0, 5.0
#: No code holds for longer than a day, and no sleep may be endless.
_LONGEST = 86_400.0


class NotApprovedError(AiMemoryError):
    """Nobody approved this machine."""

    status = 403


@click.command(cls=WithSubscriptions)
@click.argument("host", metavar="[HOST]", required=False, default="")
@click.argument("token", metavar="[TOKEN|-]", required=False, default="")
@click.pass_context
def auth(ctx: click.Context, host: str, token: str) -> None:
    """Sign in at a server of packets, and use it from now on.

    With a host alone you approve this machine in your browser. With `-` the token is read from
    standard input, or asked for without being shown. A token as an argument works, but stays
    in your shell's history. Without a host it is the server that is used anyhow: this
    machine's ai-memory server needs no signing in. `auth login`, `auth logout` and `auth status`
    are about the subscriptions that models are paid with.

    \b
      ai-memory auth https://ltm.example.org           in the browser
      ai-memory auth https://ltm.example.org -         with a token
      ai-memory auth whoami                            where, and with which token
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    if host == "whoami" and not token:
        _tell_who(packet_server(ctx, None))
        return
    server = packet_server(ctx, host or None)
    if token:
        _sign_in_with(ctx, server.host, _token(token))
    elif host or not server.can_renew:
        _approve(ctx, server.host)
    else:
        server.sign_in()
        server.ask("GET", "/v1/packets", {"limit": "1"})
        say("✓ authenticated")


@click.command()
@host_option
@click.pass_context
def whoami(ctx: click.Context, host: str | None) -> None:
    """Say which server of packets is used, and name the token without showing it."""
    _tell_who(packet_server(ctx, host))


def _tell_who(server: PacketServer) -> None:
    click.echo(json.dumps({"host": server.host, "token_hash8": hash8(server.token)}, indent=2))


def _token(said: str) -> str:
    if said != "-":
        quiet("the token stands in your shell's history now; `ai-memory auth HOST -` asks for it")
        return token_typed(said)
    if sys.stdin.isatty():
        return token_typed(click.prompt("Token", hide_input=True, err=True))
    return token_typed(sys.stdin.readline())


def _sign_in_with(ctx: click.Context, host: str, token: str) -> None:
    """Keep a token, once the server is seen to be one of packets and to take it."""
    server = PacketServer(host, token)
    try:
        server.ask_openly("GET", "/v1/healthz", bearer=False, seconds=_CHECK_SECONDS)
    except ServerUnreachableError as error:
        raise ServerUnreachableError(f"server unreachable: {error}") from error
    except RefusedError as error:
        raise RefusedError(f"unexpected health response: {error.status} ({error})") from error
    try:
        server.ask_openly("GET", "/v1/packets?limit=1", seconds=_CHECK_SECONDS)
    except RefusedError as error:
        if error.status != 401:
            raise
        raise RefusedError(f"token rejected by server: {error}") from error
    _keep(ctx, host, token)


def _approve(ctx: click.Context, host: str) -> None:
    """Get a token by the device flow (RFC 8628): somebody signed in approves a code in a browser."""
    server = PacketServer(host)
    status, grant = server.post_form("/oauth/authorize_device", {"client_id": _CLIENT, "scope": _SCOPE})
    code, user_code, page, complete = (
        _text(grant, key) for key in ("device_code", "user_code", "verification_uri", "verification_uri_complete")
    )
    if status != 200 or not (code and user_code and page):
        raise RefusedError(
            f"device-code request rejected ({status}): {_reason(grant)}. A server without it takes a token: "
            f"`ai-memory auth {host} -`"
        )
    say(f"Open {page}\nand enter the code {_spaced(user_code)}")
    if sys.stdout.isatty() and urlsplit(complete or page).scheme in ("http", "https"):
        click.launch(complete or page)
    token = _polled(server, code, _number(grant, "interval", _INTERVAL), _number(grant, "expires_in", _EXPIRES))
    _keep(ctx, host, token)


def _polled(server: PacketServer, code: str, interval: float, lasts: float) -> str:
    """Ask until somebody approved or denied; gives the token.

    Raises:
        NotApprovedError: it was denied, or nobody came in time.
    """
    form = {"grant_type": _GRANT, "device_code": code, "client_id": _CLIENT}
    until = monotonic() + lasts
    while monotonic() < until:
        sleep(interval)
        status, answer = server.post_form("/oauth/token", form)
        if token := _text(answer, "access_token"):
            return token_typed(token)
        if answer.get("error") == "slow_down":
            interval += _SLOWER
        elif answer.get("error") != "authorization_pending":
            raise NotApprovedError(f"not signed in at {server.host} ({status}): {_reason(answer)}")
    raise NotApprovedError(f"not signed in at {server.host}: nobody approved the code in time; run the command again")


def _keep(ctx: click.Context, host: str, token: str) -> None:
    credentials_of(ctx).keep(host, token, default=True)
    say(f"✓ authenticated\n✓ default host set to {host}")


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    return value if isinstance(value, str) else ""


def _number(grant: dict[str, Any], key: str, default: float) -> float:
    value = grant.get(key)
    return float(min(value, _LONGEST)) if isinstance(value, int | float) and value > 0 else default


def _reason(answer: dict[str, Any]) -> str:
    said = answer.get("error_description") or answer.get("error") or "no explanation"
    return harmless(str(said))


def _spaced(code: str) -> str:
    code = code.upper()
    return f"{code[:4]}-{code[4:]}" if len(code) == 8 and code.isalnum() else code
