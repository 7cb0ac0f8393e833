"""`briefing` and `lint`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from ai_memory.cli.place import Place, json_option, placed
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import local, many, quiet, say


@click.command()
@click.option("--limit", "-n", type=click.IntRange(1, 100), default=10, show_default=True, help="How many new pages.")
@placed
@json_option
@click.pass_context
def briefing(ctx: click.Context, place: Place, limit: int, as_json: bool) -> None:
    """Show how a project stands: rules, slots, pinned pages, what changed last, and how busy it was.

    The same, as a text for the model, stands at the start of each session where the
    project's .ai-memory.toml says `[briefing] inject_on_session_start = true`.
    """
    remote = remote_of(ctx)
    told = remote.get("/admin/briefing", {**place.scope(remote).query, "limit": str(limit)})
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    counts = told["counts"]
    say(f"{told['scope']}: {many(counts['pages_latest'], 'page')}, {many(counts['sessions'], 'session')}")
    for days in (7, 30):
        activity = told[f"activity_{days}d"]
        sessions, pages = many(activity["sessions"], "session"), many(activity["pages_updated"], "page")
        say(f"last {days} days: {sessions}, {pages} changed")
    if told["pending_handoff_count"]:
        say(f"open: {many(told['pending_handoff_count'], 'handoff')} (`ai-memory handoffs`)")
    for key, heading in (
        ("rules", "Rules"),
        ("slots", "Slots"),
        ("pinned", "Pinned"),
        ("recent_pages", "Changed last"),
    ):
        _list(heading, [f"{local(page['updated_at'])}  {page['path']}  {page['title']}" for page in told[key]])
    for key, heading in (
        ("cross_project_dependencies", "Links to"),
        ("cross_project_dependents", "Linked from"),
    ):
        _list(heading, [f"{each['workspace']}/{each['project']}  {each['links']} times" for each in told[key]])


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what is found; write no report page.")
@click.option("--no-llm", is_flag=True, help="By rules alone: ask no model for contradictions.")
@placed
@json_option
@click.pass_context
def lint(ctx: click.Context, place: Place, dry_run: bool, no_llm: bool, as_json: bool) -> None:
    """Say what somebody should look at in a project's pages.

    Rules find pages with the same title, links to projects and pages that are not there,
    pinned pages that expire, pages that readers called stale or wrong, rules that stand in
    no file that agents read, and what nobody reads. Warnings are listed in _lint/report.md,
    which the server brings up to date once a day (maintenance.enabled).

    Where the server has a model, that is asked which pages contradict each other, with each
    lint by hand; what it found stays listed while both pages stay as they are.
    """
    remote = remote_of(ctx)
    asked = {**place.scope(remote).query, "dry_run": dry_run, "no_llm": no_llm}
    report = remote.post("/admin/lint", asked, patient=True)
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for finding in report["findings"]:
        _show(finding)
    if not report["findings"]:
        say("nothing to look at")
    if model := report.get("model"):
        pairs = many(model["pairs"], "pair")
        quiet(f"no model's help: {model['problem']}" if model["problem"] else f"a model compared {pairs} of pages")
    if report["report"]:
        quiet(f"listed in {report['report']}")


def _show(finding: Mapping[str, Any]) -> None:
    say(f"{finding['severity']:<8} {finding['message']}")
    for path in finding["pages"]:
        say(f"         {path}")
    if finding.get("detail"):
        say(f"         {' '.join(finding['detail'].split())}")


def _list(heading: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"\n{heading}")
    for line in lines:
        say(f"  {line}")
