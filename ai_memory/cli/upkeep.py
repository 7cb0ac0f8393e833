"""`forget-sweep` and `compact`."""

from __future__ import annotations

import json

import click

from ai_memory.cli.confirm import confirmed, mode, tell_unconfirmed
from ai_memory.cli.place import Place, json_option, placed
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import many, say


@click.command("forget-sweep")
@confirmed
@json_option
@placed
@click.pass_context
def forget_sweep(ctx: click.Context, place: Place, confirm: bool, as_json: bool) -> None:
    """Delete a project's pages that expired, compiled pages that went cold, and old event ledgers.

    The server does the same once a day (maintenance.enabled). Pages that you or an agent
    wrote, edited or pinned never go cold; expires_at holds for every page. Git keeps what
    is deleted: `ai-memory restore-page` brings it back.
    """
    remote = remote_of(ctx)
    scope = place.scope(remote)
    report = remote.post("/admin/forget-sweep", {**scope.query, **mode(confirm)}, patient=True)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for page in report["expired"]:
        say(f"expired  {page['path']}  on {page['expired_at']}")
    for page in report["evicted"]:
        read = f"read {page['access_count']} times" if page["access_count"] else "never read"
        say(f"cold     {page['path']}  {page['age_days']:.0f} days old, {read}")
    for name in report["ledgers_deleted"]:
        say(f"old      {name}")
    number = len(report["expired"]) + len(report["evicted"]) + len(report["ledgers_deleted"])
    say(
        f"{'deleted' if confirm else 'would delete'} {many(number, 'file')} in {report['scope']}, "
        f"{many(report['hard_deleted'], 'tombstone')} let go"
    )
    if confirm:
        click.echo("git history and backups keep them")
    elif number or report["hard_deleted"]:
        tell_unconfirmed()


@click.command()
@json_option
@click.pass_context
def compact(ctx: click.Context, as_json: bool) -> None:
    """Give the disk space back that deleted things still take.

    The search tables and both databases are written anew, and the wiki's repository is
    packed; afterwards nothing of what was deleted is left in a database. Events wait
    meanwhile, in the server or in the hooks' spool.
    """
    freed = remote_of(ctx).post("/admin/compact", {}, patient=True)
    if as_json:
        click.echo(json.dumps(freed, indent=2))
        return
    parts = ((name, freed[f"{name}_bytes"]) for name in ("index", "state", "git"))
    click.echo(
        f"freed {freed['freed_bytes'] / 1e6:,.1f} MB ("
        + ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts)
        + ")"
    )
