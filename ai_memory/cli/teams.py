"""`teams`, `invite` and `join`: packets that several people share."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from ai_memory.cli.credentials import Credentials, token_typed
from ai_memory.cli.packet_server import PacketServer, Reply, credentials_of, host_option, packet_server, part
from ai_memory.cli.place import json_option
from ai_memory.cli.shown import quiet, say, say_exactly
from ai_memory.errors import BadRequestError

_INVITES = "/v1/invites/"
_EMPTY = b"{}"


@click.group()
def teams() -> None:
    """Teams, whose members see each other's packets that were pushed with `--team NAME`."""


@teams.command(short_help="Make a team, which is yours.")
@click.argument("name")
@host_option
@click.pass_context
def create(ctx: click.Context, name: str, host: str | None) -> None:
    """Make a team, which is yours; its name is a-z, 0-9, underscores and hyphens."""
    packet_server(ctx, host).ask("POST", "/v1/teams", body=json.dumps({"name": name}).encode())
    say(f"created team {name}")


@teams.command("ls", short_help="List your teams.")
@json_option
@host_option
@click.pass_context
def list_teams(ctx: click.Context, as_json: bool, host: str | None) -> None:
    """List the teams that you are a member of, oldest first."""
    reply = packet_server(ctx, host).ask("GET", "/v1/teams")
    if not _told_as_json(reply, as_json):
        _tell(("NAME", "CREATED", "OWNER"), _rows(reply, "teams", ("name", "created_at", "owner_id")))


@teams.command(short_help="List who is in a team.")
@click.argument("name")
@json_option
@host_option
@click.pass_context
def members(ctx: click.Context, name: str, as_json: bool, host: str | None) -> None:
    """List the members of a team in the order in which they joined; --json has their ids."""
    reply = packet_server(ctx, host).ask("GET", f"/v1/teams/{part(name)}/members")
    if not _told_as_json(reply, as_json):
        _tell(("DISPLAY", "ROLE", "JOINED", "ID"), _rows(reply, "members", ("display", "role", "joined_at", "user_id")))


@teams.command("rm", short_help="Delete a team of yours, with its packets.")
@click.argument("name")
@host_option
@click.pass_context
def remove(ctx: click.Context, name: str, host: str | None) -> None:
    """Delete a team of yours, with its packets and open invites."""
    server = packet_server(ctx, host)
    if sys.stdin.isatty():
        click.confirm(f"Delete the team {name} and all of its packets?", abort=True, err=True)
    server.ask("DELETE", f"/v1/teams/{part(name)}")
    say(f"deleted team {name}")


@teams.command(short_help="Leave a team.")
@click.argument("name")
@host_option
@click.pass_context
def leave(ctx: click.Context, name: str, host: str | None) -> None:
    """Leave a team; what you pushed for it stays there."""
    packet_server(ctx, host).ask("POST", f"/v1/teams/{part(name)}/leave", body=_EMPTY)
    say(f"left team {name}")


@teams.command("remove-member", short_help="Take somebody out of a team of yours.")
@click.argument("name")
@click.argument("user_id")
@host_option
@click.pass_context
def remove_member(ctx: click.Context, name: str, user_id: str, host: str | None) -> None:
    """Take somebody out of a team of yours, by the id that `teams members NAME` shows."""
    packet_server(ctx, host).ask("DELETE", f"/v1/teams/{part(name)}/members/{part(user_id)}")
    say(f"removed {user_id} from team {name}")


@click.command()
@click.option("--team", "-t", required=True, metavar="NAME", help="The team.")
@host_option
@click.pass_context
def invite(ctx: click.Context, team: str, host: str | None) -> None:
    """Invite one person to a team: prints a link that works once, for seven days.

    Whoever has the link can join, so send it as you would send a password.
    """
    found = packet_server(ctx, host).ask("POST", f"/v1/teams/{part(team)}/invites", body=_EMPTY).json()
    say(str(found.get("url") or found.get("code") or ""))
    quiet(f"expires: {found.get('expires_at', '')}")


@click.command()
@click.argument("link", metavar="URL|CODE")
@click.option("--yes", "-y", is_flag=True, help="Keep what the server gives, and use it from now on, without asking.")
@host_option
@click.pass_context
def join(ctx: click.Context, link: str, yes: bool, host: str | None) -> None:
    """Join a team with the link, or the code, of an invite.

    Your token goes along only to the server that it belongs to. Any other makes you a new user and
    gives you a token, which is kept for that server; it is used from now on only if you say so.
    """
    named, cut, code = link.strip().rstrip("/").rpartition(_INVITES)
    if not re.fullmatch(r"[0-9A-Za-z_-]+", code):
        raise BadRequestError(f"{link!r} is no invite: it is a link with {_INVITES}CODE, or the code alone")
    server = packet_server(ctx, named if cut else host)
    if server.can_renew:
        # Of this machine's own server we are somebody already.
        server.sign_in()
    found = server.ask_openly("POST", f"{_INVITES}{part(code)}/accept", _EMPTY).json()
    if isinstance(found.get("token"), str) and found["token"]:
        _keep(credentials_of(ctx), server, token_typed(found["token"]), yes=yes)
    say(f"✓ joined team {_named(found.get('team'))}")


def _keep(credentials: Credentials, server: PacketServer, token: str, *, yes: bool) -> None:
    """Keep the token of a new user; another one is replaced, and the usual server changed, only with consent."""
    if server.token and not _agreed(f"Replace the token that you have for {server.host}?", yes=yes):
        # It is the only thing that opens what was just joined.
        say(token)
        quiet(f"the token above is a new user's at {server.host}; `ai-memory auth {server.host} -` takes it")
        return
    usual = credentials.default()
    default = usual == server.host or _agreed(
        f"Use {server.host} from now on, instead of {usual or 'your own'}?", yes=yes
    )
    credentials.keep(server.host, token, default=default)
    say("✓ authenticated")
    if default:
        say(f"✓ default host set to {server.host}")
    else:
        quiet(f"the default host stays; name this one with --host {server.host}")


def _agreed(question: str, *, yes: bool) -> bool:
    return yes or (sys.stdin.isatty() and click.confirm(question, err=True))


def _told_as_json(reply: Reply, as_json: bool) -> bool:
    if as_json:
        say_exactly(reply.body.decode("utf-8", "replace"))
    return as_json


def _rows(reply: Reply, name: str, keys: Sequence[str]) -> list[list[str]]:
    found = reply.json().get(name)
    return [[str(row.get(key, "")) for key in keys] for row in found or () if isinstance(row, dict)]


def _tell(heads: Sequence[str], rows: list[list[str]]) -> None:
    """Print a table; two blanks stand between columns."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _named(team: Any) -> str:
    return str(team.get("name", "")) if isinstance(team, dict) else ""
