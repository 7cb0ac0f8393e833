"""`jobs`, `llm-usage` and `narrative`: the work that asks a model, and what all of it has cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from ai_memory.cli.place import Place, json_option, placed
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import local, many, quiet, say

#: As a server says them; this program loads nothing of it for `--help`.
_STATES = ("queued", "leased", "done", "failed", "poison", "dropped")


@click.group(invoke_without_command=True)
@click.pass_context
def jobs(ctx: click.Context) -> None:
    """List the work that asks a model, try it again, or give it up.

    A job is queued, leased (at work), done, failed, poison (it took the server down three
    times) or dropped. Without a model those that are queued wait.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_jobs)


@jobs.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many.")
@json_option
@click.pass_context
def list_jobs(ctx: click.Context, state: str | None = None, limit: int = 50, as_json: bool = False) -> None:
    """List jobs, the last changed first."""
    told = remote_of(ctx).get("/admin/jobs", {"limit": str(limit), **({"state": state} if state else {})})
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for job in told["jobs"]:
        _show(job)
    if not told["jobs"]:
        say("no jobs")


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.pass_context
def retry(ctx: click.Context, job_id: str) -> None:
    """Let a job that failed, or rests, be done at once. What it has paid for is not asked again."""
    _show(remote_of(ctx).post("/admin/jobs/retry", {"id": job_id}))


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.pass_context
def drop(ctx: click.Context, job_id: str) -> None:
    """Give a job up, also one that is at work: it writes nothing any more."""
    _show(remote_of(ctx).post("/admin/jobs/drop", {"id": job_id}))


@click.command("llm-usage")
@json_option
@click.pass_context
def llm_usage(ctx: click.Context, as_json: bool) -> None:
    """Show what models were asked this month, and what that cost.

    The server counts each request, also failed ones, as the vendor does. Costs are by the
    table of prices; rows of your own go into prices.toml in the data directory.
    """
    told = remote_of(ctx).get("/admin/llm-usage")
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    budget = f" of ${told['budget']:.2f}" if told["budget"] else ""
    say(f"{told['month']}: {_sum(told['total'])}{budget}")
    for row in told["calls"]:
        say(f"  {row['purpose']}, {row['model']} of {row['provider']}, {row['outcome']}: {_sum(row)}")
    if told["total"]["unpriced_calls"]:
        quiet(f"the price of {many(told['total']['unpriced_calls'], 'call')} is not known: put it into prices.toml")
    if told["over_budget"]:
        quiet("llm.monthly_budget is spent: no model is asked until next month, or until you raise it")


@click.command()
@click.option("--update", is_flag=True, help="Have it brought up to date by the model, or begun.")
@placed
@json_option
@click.pass_context
def narrative(ctx: click.Context, place: Place, update: bool, as_json: bool) -> None:
    """Say how far a project's narrative goes, and bring it up to date.

    A narrative (narrative.md) says what the project is, how it got here and where it goes. A
    model writes it from what was said in sessions, and loses nothing of it without a reason.
    One that a person or an agent wrote is theirs: no model changes it.
    """
    remote = remote_of(ctx)
    scope = place.scope(remote).query
    told = remote.post("/admin/narrative", scope) if update else remote.get("/admin/narrative", scope)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif update:
        _show(told)
    else:
        kept = f"not for a model to change: {told['taken']}" if told["taken"] else "kept by a model"
        say(f"{told['scope']}: " + (f"{told['path']}, {kept}" if told["path"] else told["taken"] or "no narrative"))
        behind = told["sessions_behind"]
        say(f"knows {many(told['sessions_covered'], 'session')}, and does not know {many(len(behind), 'session')}")
        if behind and (not told["taken"] or told["path"] is None):
            questions = many(told["questions"], "question")
            say(f"`ai-memory narrative --update` asks {questions} with about {told['estimated_tokens']:,} tokens")


def _sum(row: Mapping[str, Any]) -> str:
    return (
        f"{many(row['calls'], 'call')}, {row['tokens_in']:,} tokens in, {row['tokens_out']:,} out, ${row['cost']:.4f}"
    )


def _show(job: Mapping[str, Any]) -> None:
    about = f"{job['kind']} {job['session_id'] or ''}".strip()
    say(f"{job['id']}  {job['state']:<7}  {local(job['updated_at'])}  {about} in {job['scope'] or 'no project'}")
    if job["error"]:
        say(f"  {job['error']}")
    if job["state"] == "queued" and job["error"]:
        say(f"  again at {local(job['not_before'])}")
