"""`auth login`, `auth logout` and `auth status`: the subscriptions that models are paid with."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.credentials import token_typed
from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.cli.shown import local, quiet, say
from ai_memory.errors import NotFoundError
from ai_memory.llm.chat import warning_of
from ai_memory.llm.logins import Login, Logins
from ai_memory.llm.sign_in import Patience, copilot_by_code, openai_by_browser, openai_by_code
from ai_memory.llm.ways import ADDRESSES

_PROVIDER = click.argument("provider", type=click.Choice(["openai-oauth", "copilot"]))


@click.command(short_help="Sign in at a subscription.")
@_PROVIDER
@click.option("--device", is_flag=True, help="With a code that is typed in anywhere; copilot knows no other way.")
@click.option("--github-token", is_flag=True, help="copilot: read a token of GitHub from standard input instead.")
@click.option("--client-id", default="", help="copilot: another client than the usual one (copilot_client_id).")
@click.option("--timeout-secs", default=600.0, show_default=True, help="Time that you have.")
@data_dir_option
@click.pass_context
def login(
    ctx: click.Context,
    provider: str,
    device: bool,
    github_token: bool,
    client_id: str,
    timeout_secs: float,
    data_dir: Path | None,
) -> None:
    """Sign in at a ChatGPT subscription or at GitHub Copilot; the tokens are kept in auth.json.

    \b
      ai-memory auth login openai-oauth            in the browser of this machine
      ai-memory auth login openai-oauth --device   with a code
      ai-memory auth login copilot
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    settings = settings_of(ctx, data_dir)
    quiet(f"warning: {warning_of(provider)}")
    patience = Patience(timeout_secs)
    kept: Login
    if provider == "copilot" and github_token:
        kept = {"github_token": token_typed(_typed())}
    elif provider == "copilot":
        kept = copilot_by_code(ADDRESSES, client_id or settings["copilot_client_id"].strip(), _show, patience)
    elif device:
        kept = openai_by_code(ADDRESSES, _show, patience)
    else:
        kept = openai_by_browser(ADDRESSES, _open, patience)
    logins = Logins(settings.data_dir)
    logins.keep(provider, kept)
    say(f"✓ signed in at {provider}; kept in {logins.file}")
    if settings["llm_provider"].strip() != provider:
        click.echo(f'next: llm_provider = "{provider}" in config.toml, then start the server again')


@click.command(short_help="Forget a subscription's tokens.")
@_PROVIDER
@data_dir_option
@click.pass_context
def logout(ctx: click.Context, provider: str, data_dir: Path | None) -> None:
    """Forget the tokens of a subscription; the vendor is not told."""
    logins = Logins(settings_of(ctx, data_dir).data_dir)
    if not logins.forget(provider):
        raise NotFoundError(f"nobody is signed in at {provider} (in {logins.file})")
    say(f"signed out of {provider}")


@click.command("status", short_help="Show where somebody is signed in.")
@data_dir_option
@click.pass_context
def login_status(ctx: click.Context, data_dir: Path | None) -> None:
    """Show at which subscriptions somebody is signed in, without the tokens."""
    logins = Logins(settings_of(ctx, data_dir).data_dir)
    for provider in ("openai-oauth", "copilot"):
        say(f"{provider:<13} {_state(logins.of(provider))}")


class WithSubscriptions(click.Command):
    """A command whose first argument may be login, logout or status, which are commands of their own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand over to the command that the first argument names."""
        inside = {"login": login, "logout": logout, "status": login_status}.get(args[0] if args else "")
        if inside is None:
            return super().make_context(info_name, args, parent, **extra)
        return inside.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


def _state(kept: Login | None) -> str:
    if kept is None:
        return "not signed in"
    until = kept.get("expires_at")
    if not isinstance(until, (int, float)):
        return "signed in"
    held = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"signed in; the token holds until {local(held)}, then it is renewed"


def _typed() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Token of GitHub", hide_input=True, err=True))
    return sys.stdin.readline()


def _show(page: str, code: str) -> None:
    say(f"Open {page}\nand enter the code {code}")
    if sys.stdout.isatty():
        click.launch(page)


def _open(page: str) -> None:
    say(f"Open {page}")
    if sys.stdout.isatty():
        click.launch(page)
