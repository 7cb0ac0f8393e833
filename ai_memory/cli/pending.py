"""`auto-improve` and `pending-writes`: what a model proposes to write down, and the decisions about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import click

from ai_memory.cli.place import Place, json_option, placed, writer
from ai_memory.cli.remote import Remote, remote_of
from ai_memory.cli.shown import coloured, local, quiet, say

#: As a server says them; this program loads nothing of it for `--help`.
_STATUSES = ("pending", "approved", "rejected", "conflict")


@click.command("auto-improve")
@click.option("--session-id", required=True, help="The session, which has to be over.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Refuse proposals of less (0.75).")
@click.option("--max-proposals", type=click.IntRange(1, 50), help="So many at most (5).")
@placed
@json_option
@click.pass_context
def auto_improve(
    ctx: click.Context,
    place: Place,
    session_id: str,
    min_confidence: float | None,
    max_proposals: int | None,
    as_json: bool,
) -> None:
    """Have a model review a session that is over, and propose what the pages should learn from it.

    What it proposes becomes a page when you approve it: see `ai-memory pending-writes`.
    """
    remote = remote_of(ctx)
    asked: dict[str, object] = {**place.scope(remote).query, "session_id": session_id}
    asked |= {} if min_confidence is None else {"min_confidence": min_confidence}
    asked |= {} if max_proposals is None else {"max_proposals": max_proposals}
    told = remote.post("/admin/auto-improve", asked, patient=True)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    if told["summary"]:
        say(told["summary"])
    for each in told["proposals"]:
        say(f"{each['id']}  {each['status']:<8}  {each['path']}  {each['title']}")
    if not told["proposals"]:
        say("nothing to propose")
    for warning in told["warnings"]:
        quiet(f"warning: {warning}")
    for each in told["skipped"]:
        quiet(f"left out: {each['path']} ({each['reason']})")
    for each in told["refused"]:
        quiet(f"refused: {each['what']} ({each['why']})")
    if any(each["status"] == "pending" for each in told["proposals"]):
        quiet("`ai-memory pending-writes diff ID` shows one, `approve ID` writes it")


@click.group("pending-writes", invoke_without_command=True)
@click.pass_context
def pending_writes(ctx: click.Context) -> None:
    """List what a model proposes to write down, look at it, and decide.

    An approved proposal is written as a page, in a commit of yours that says why. One whose
    page is yours by now, or has changed since, is a conflict and is not written. What you
    reject is not proposed again.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_pending)


@pending_writes.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many.")
@placed
@json_option
@click.pass_context
def list_pending(ctx: click.Context, place: Place, status: str | None, limit: int, as_json: bool) -> None:
    """List proposals, the newest first."""
    remote = remote_of(ctx)
    query = {**place.scope(remote).query, "limit": str(limit), **({"status": status} if status else {})}
    told = remote.get("/admin/pending-writes", query)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for each in told:
        _show(each)
    if not told:
        say("no proposals")


@pending_writes.command()
@click.argument("proposal_id", metavar="ID")
@placed
@json_option
@click.pass_context
def show(ctx: click.Context, place: Place, proposal_id: str, as_json: bool) -> None:
    """Show a proposal: the text, why, and what it rests on."""
    remote = remote_of(ctx)
    told = remote.get(_path(proposal_id), place.scope(remote).query)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    _show(told["summary"])
    say(f"why       {told['rationale']}")
    for each in told["evidence"]:
        say(f"because   {each['page']}: {each['quote']}")
    if told["decision_reason"]:
        say(f"decision  {told['decision_reason']}")
    if told["checkpoint"]:
        say(f"written   {told['checkpoint'][:12]}")
    say(f"\n{told['body_markdown']}")


@pending_writes.command()
@click.argument("proposal_id", metavar="ID")
@placed
@json_option
@click.pass_context
def diff(ctx: click.Context, place: Place, proposal_id: str, as_json: bool) -> None:
    """Compare the page as it is with what a proposal would make of it."""
    remote = remote_of(ctx)
    told = remote.get(f"{_path(proposal_id)}/diff", place.scope(remote).query)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif told["diff"]:
        click.echo(coloured(told["diff"]), nl=False)
    else:
        quiet("no difference")


@pending_writes.command()
@click.argument("proposal_id", metavar="ID")
@placed
@json_option
@click.pass_context
def approve(ctx: click.Context, place: Place, proposal_id: str, as_json: bool) -> None:
    """Write the page of a proposal."""
    told = _decide(remote_of(ctx), place, proposal_id, "approve", writer())
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        say(f"✓ wrote {told['path']} (revision {told['revision'][:12]})")


@pending_writes.command()
@click.argument("proposal_id", metavar="ID")
@click.option("--reason", default="rejected by reviewer", show_default=True, help="Why; `show` says it.")
@placed
@json_option
@click.pass_context
def reject(ctx: click.Context, place: Place, proposal_id: str, reason: str, as_json: bool) -> None:
    """Refuse a proposal: it is not made again."""
    told = _decide(remote_of(ctx), place, proposal_id, "reject", {"reason": reason})
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        say("✓ rejected")


def _decide(remote: Remote, place: Place, proposal_id: str, what: str, body: Mapping[str, str]) -> Any:
    return remote.post(f"{_path(proposal_id)}/{what}?{urlencode(place.scope(remote).query)}", body)


def _path(proposal_id: str) -> str:
    return f"/admin/pending-writes/{quote(proposal_id, safe='')}"


def _show(each: Mapping[str, Any]) -> None:
    at = local(datetime.fromtimestamp(each["staged_at"] / 1_000_000, UTC).isoformat())
    say(f"{each['id']}  {each['status']:<8}  {at}  {each['operation']} {each['target_path']}  {each['title']}")
