"""`user`: who may keep memories of their own on this machine's server."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from ai_memory.cli.place import json_option
from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.cli.shown import quiet, say
from ai_memory.store import user_tokens


@click.group()
def user() -> None:
    """Users, whose agents keep memories of their own at /mcp/sse.

    These commands edit user_tokens.json in the data directory (or where MCP_TOKENS_PATH
    says), with or without a server; a running one takes a change at the next request.
    """


@user.command(short_help="Give a user one more token.")
@click.argument("name")
@json_option
@data_dir_option
@click.pass_context
def add(ctx: click.Context, name: str, as_json: bool, data_dir: Path | None) -> None:
    """Give a user one more token; it is printed once, and kept nowhere else in words."""
    file = settings_of(ctx, data_dir).user_tokens
    token = user_tokens.add(file, name)
    if as_json:
        click.echo(json.dumps({"user": name, "token": token, "file": str(file)}, indent=2))
        return
    click.echo(token)
    quiet(f"the token of {name}: it is not shown again. Clients send it as `Authorization: Bearer TOKEN`")


@user.command("list", short_help="List the users.")
@json_option
@data_dir_option
@click.pass_context
def list_users(ctx: click.Context, as_json: bool, data_dir: Path | None) -> None:
    """List the users, each with the number of their tokens."""
    file = settings_of(ctx, data_dir).user_tokens
    tokens = user_tokens.read(file) if file.exists() else {}
    counts = sorted(Counter(tokens.values()).items())
    if as_json:
        users = [{"user": name, "tokens": count} for name, count in counts]
        click.echo(json.dumps({"users": users, "file": str(file)}, indent=2))
        return
    for name, count in counts:
        say(f"{name}  {count} token{'s' if count > 1 else ''}")
    if not counts:
        quiet(f"there are no users ({file})")


@user.command(short_help="Take all tokens away from a user.")
@click.argument("name")
@json_option
@data_dir_option
@click.pass_context
def remove(ctx: click.Context, name: str, as_json: bool, data_dir: Path | None) -> None:
    """Take all tokens away from a user; what the user's agents stored stays."""
    file = settings_of(ctx, data_dir).user_tokens
    count = user_tokens.remove(file, name)
    if as_json:
        click.echo(json.dumps({"user": name, "tokens_removed": count, "file": str(file)}, indent=2))
        return
    say(f"{name} has no token any more ({count} removed); the memories stay, as pages of the user's workspace")
