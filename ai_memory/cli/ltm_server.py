"""`ltm-server`: packets under an address of their own, and the tokens of those who use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from ai_memory.cli.place import json_option
from ai_memory.cli.remote import Remote, data_dir_option, settings_of
from ai_memory.cli.shown import local, quiet, say
from ai_memory.config import Settings
from ai_memory.errors import AiMemoryError, DirectoryInUseError, ServerUnreachableError

if TYPE_CHECKING:
    from ai_memory.memory.accounts import Accounts

_ROUTE = "/admin/ltm-tokens"


@click.group(invoke_without_command=True)
@click.option("--addr", default="127.0.0.1:8080", show_default=True, help="Address and port; :8080 is all addresses.")
@click.option(
    "--external-url", envvar="LTM_EXTERNAL_URL", help="Address under which others reach it (LTM_EXTERNAL_URL)."
)
@data_dir_option
@click.pass_context
def ltm_server(ctx: click.Context, addr: str, external_url: str | None, data_dir: Path | None) -> None:
    """Serve packets alone, under an address of their own, until told to stop.

    `serve` answers the same requests beside everything else; this is for a machine that is
    nothing but a server of packets. Every request needs a token of a user.

    \b
      ai-memory ltm-server init                       the first token, on standard output
      ai-memory ltm-server --addr 0.0.0.0:8080        run it
      ai-memory ltm-server issue-token ana            a token for somebody else

    Encryption is a proxy's business: put one before it, and name its address with
    --external-url.
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    if data_dir:
        ctx.find_root().obj = (data_dir, (ctx.find_root().obj or (None, None))[1])
    if ctx.invoked_subcommand:
        return
    from ai_memory.server.run import serve_packets

    # As the reference writes it.
    address = f"0.0.0.0{addr}" if addr.startswith(":") else addr  # noqa: S104 - the caller's wish
    settings = settings_of(ctx, bind=address, external_url=external_url)
    try:
        serve_packets(settings)
    except DirectoryInUseError as error:
        raise DirectoryInUseError(f"{error}. A server that runs there answers /v1 too, at its own address") from None


@ltm_server.command()
@data_dir_option
@click.pass_context
def init(ctx: click.Context, data_dir: Path | None) -> None:
    """Make the data directory, and print a token of yours: alone on standard output.

    Run again it prints one more.
    """
    settings = settings_of(ctx, data_dir)
    given = _issued(settings, {"label": "ltm-server init"})
    quiet(f"data directory: {settings.data_dir}")
    quiet("your token is shown once; sign a machine in with: ai-memory auth http://HOST:PORT -")
    click.echo(given["token"])


@ltm_server.command()
@click.argument("name")
@click.option("--email", help="Of the user: the same address is the same user.")
@click.option("--user", help="The id of the user who gets one more token, for example for another machine.")
@data_dir_option
@click.pass_context
def issue_token(ctx: click.Context, name: str, email: str | None, user: str | None, data_dir: Path | None) -> None:
    """Print a token for somebody: alone on standard output.

    Without --email and --user it makes a new user, who sees nobody's packets. For one more
    machine of the same person name the person.
    """
    body = {"label": name, "email": email, "user": user, "new_user": not email and not user}
    given = _issued(settings_of(ctx, data_dir), body)
    quiet(f'issued token for "{name}" (shown once)')
    quiet(f"the user is {given['user_id']} ({given['display']}); one more machine: --user {given['user_id']}")
    click.echo(given["token"])


@ltm_server.command("tokens")
@json_option
@data_dir_option
@click.pass_context
def list_tokens(ctx: click.Context, as_json: bool, data_dir: Path | None) -> None:
    """List all tokens: the first digits of their digests, whose they are, what for, since when."""
    from ai_memory.server.tokens import listed

    found = _answer(settings_of(ctx, data_dir), lambda accounts: {"tokens": listed(accounts)}, "GET", _ROUTE)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for row in found["tokens"]:
        say(f"{row['hash8']}  {local(row['created_at'])}  {row['user_id']}  {row['display']}  {row['label']}")
    if not found["tokens"]:
        quiet("there are no tokens: `ai-memory ltm-server init` makes the first one")


@ltm_server.command()
@click.argument("hash8")
@data_dir_option
@click.pass_context
def revoke(ctx: click.Context, hash8: str, data_dir: Path | None) -> None:
    """Take a token away, named as `tokens` lists it; its user keeps the packets."""
    from ai_memory.server.tokens import revoked

    path = f"{_ROUTE}/{quote(hash8, safe='')}"
    gone = _answer(settings_of(ctx, data_dir), lambda accounts: {"revoked": revoked(accounts, hash8)}, "DELETE", path)[
        "revoked"
    ]
    say(f"revoked {gone['hash8']} ({gone['label']}) of {gone['user_id']}")


def _issued(settings: Settings, body: dict[str, Any]) -> dict[str, str]:
    from ai_memory.server.tokens import issued

    said = {key: value for key, value in body.items() if value}
    given: dict[str, str] = _answer(settings, lambda accounts: issued(accounts, **said), "POST", _ROUTE, said)
    return given


def _answer(
    settings: Settings,
    direct: Callable[[Accounts], dict[str, Any]],
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask the data directory, or the server that has it."""
    from ai_memory.memory.memory import Memory

    try:
        memory = Memory(settings)
    except DirectoryInUseError as taken:
        content = json.dumps(body).encode() if body else None
        return _asked(settings, taken, lambda remote: json.loads(remote.send(method, path, content)))
    try:
        return direct(memory.accounts)
    finally:
        memory.close()


def _asked(settings: Settings, taken: AiMemoryError, ask: Callable[[Remote], dict[str, Any]]) -> dict[str, Any]:
    """Ask the server that has the directory: an `ltm-server`, which leaves a note there, else that of the settings."""
    from ai_memory.server.run import noted

    if note := noted(settings):
        values = {**settings.values, "server_url": note["url"], "auth.bearer_token": note["token"]}
        sources = {**settings.sources, "server_url": "the note of ltm-server"}
        with suppress(ServerUnreachableError):
            return ask(Remote(replace(settings, values=values, sources=sources)))
    try:
        return ask(Remote(settings))
    except ServerUnreachableError as error:
        raise ServerUnreachableError(f"{taken}; it gives out the tokens, but {error}") from None
