"""`bootstrap`: a project's first pages, from what its repository says of itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ai_memory.capture.scrub import Scrubber
from ai_memory.cli.bootstrap_sources import Wanted, collect, repository_root, since_day
from ai_memory.cli.place import json_option, project_option, routing_here, workspace_option, writer
from ai_memory.cli.remote import RefusedError, remote_of, settings_of
from ai_memory.cli.shown import many, quiet, say
from ai_memory.compile.sources import Plan, Source, planned
from ai_memory.config import Settings
from ai_memory.errors import ServerUnreachableError


@click.command()
@click.option(
    "--repo-path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="A folder of the repository.",
)
@click.option("--max-input-tokens", type=int, default=150_000, show_default=True, help="Send at most so much.")
@click.option(
    "--chunk-input-tokens",
    type=int,
    default=24_000,
    show_default=True,
    help="Send so much in one question; 0 asks once.",
)
@click.option("--since", default="", help='Only history from then on: "90 days ago", "3 months ago", 2026-01-31.')
@click.option("--exclude-git", is_flag=True, help="Leave the history out.")
@click.option("--exclude-readme", is_flag=True, help="Leave the README out.")
@click.option("--exclude-docs", is_flag=True, help="Leave docs/ out.")
@click.option("--exclude-code", is_flag=True, help="Leave the headers of source files out.")
@click.option("--dry-run", is_flag=True, help="Only show what would be sent and what it costs; needs no server.")
@click.option("--force", is_flag=True, help="Do it again; pages that it wrote before and nobody changed are replaced.")
@json_option
@workspace_option
@project_option
@click.pass_context
def bootstrap(
    ctx: click.Context,
    repo_path: Path,
    max_input_tokens: int,
    chunk_input_tokens: int,
    since: str,
    exclude_git: bool,
    exclude_readme: bool,
    exclude_docs: bool,
    exclude_code: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
    workspace: str | None,
    project: str | None,
) -> None:
    """Write a project's first pages from what its repository says of itself.

    This machine reads the rules files, the README, docs/**/*.md, the commits that say why, and
    the headers of source files; what git ignores, what links lead to, vendored and generated
    folders are not read, and secrets are taken out. The server asks its model about that, and
    keeps of the answers what the sources say. Each answer is kept as it comes: after a failure
    the same command goes on where it was.
    """
    settings = settings_of(ctx)
    root = repository_root(repo_path)
    wanted = Wanted(
        most_tokens=max_input_tokens,
        since=since_day(since, datetime.now().astimezone().date()),
        git=not exclude_git,
        readme=not exclude_readme,
        docs=not exclude_docs,
        code=not exclude_code,
    )
    found = collect(root, wanted)
    scrub = Scrubber(settings["sanitize.extra_patterns"], settings["sanitize.allowlist"]).scrub
    limits = {"max_input_tokens": max_input_tokens, "chunk_input_tokens": chunk_input_tokens}
    first = planned(found.sources, **limits, collected=found.collected)
    sent = [Source(each.kind, scrub(each.label), scrub(each.text)) for each in first.sources]
    plan = planned(sent, **limits, collected=found.collected)
    if dry_run:
        _tell_plan(plan, settings, root, as_json=as_json)
        return
    if not as_json:
        quiet(_sending(plan, root))
    body = {
        "routing": routing_here(root, workspace, project),
        "sources": [asdict(each) for each in plan.sources],
        "sources_collected": plan.collected,
        **limits,
        "force": force,
        **writer(),
    }
    try:
        outcome = _run(remote_of(ctx).lines("/admin/bootstrap", body))
    except KeyboardInterrupt:
        quiet(
            "stopped: nothing more is asked when the question under way is answered; the same again goes on behind it"
        )
        raise
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
        return
    pages = outcome["pages_written"]
    resumed = outcome["llm_chunks_resumed"]
    kept = f"; {many(resumed, 'answer')} of before went into them" if resumed else ""
    say(f"wrote {many(len(pages), 'page')} of {outcome['scope']}{kept}")
    for path in pages:
        say(f"  {path}")
    for each in outcome["pages_refused"]:
        say(f"not kept: {each['what']}: {each['why']}")


def _run(lines: Iterator[Any]) -> dict[str, Any]:
    """Follow the server to the end; gives the outcome."""
    with _progress() as show:
        for line in lines:
            if "outcome" in line:
                return dict(line["outcome"])
            if "error" in line:
                error = RefusedError(f"POST /admin/bootstrap: {line['error']}")
                error.status = line["status"]
                raise error
            show(line["done"], line["of"], line["pages"])
    raise ServerUnreachableError(
        "the server went away in the middle: start it and say the same again, what was answered is kept"
    )


def _sending(plan: Plan, root: Path) -> str:
    kinds = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in plan.by_kind.items() if count)
    return (
        f"{plan.sent:,} of {many(plan.collected, 'source')} of {root} ({kinds or 'nothing'}), about {plan.tokens:,} "
        f"tokens in {many(len(plan.chunks), 'question')}"
    )


def _tell_plan(plan: Plan, settings: Settings, root: Path, *, as_json: bool) -> None:
    from ai_memory.compile.bootstrap import cost_of
    from ai_memory.llm.chat import chat_of
    from ai_memory.llm.prices import prices_of

    chat = chat_of(settings)
    cost = cost_of(plan, chat.provider, chat.model, prices_of(settings.data_dir)) if chat else None
    if as_json:
        report = {
            **plan.as_json(),
            "pages_written": [],
            "rationale": "",
            "dry_run": True,
            "provider": chat.provider if chat else None,
            "model": chat.model if chat else None,
            "estimated_cost": {"sent": cost[0], "at_most": cost[1]} if cost else None,
        }
        click.echo(json.dumps(report, indent=2))
        return
    say(f"would send {_sending(plan, root)}")
    for number, chunk in enumerate(plan.chunks, start=1):
        say(f"question {number}: about {sum(each.tokens for each in chunk):,} tokens")
        for each in chunk:
            say(f"  {each.tokens:>7,}  {each.label}")
    if chat is None:
        say("cost: not known here, as no llm_provider is set on this machine; the server may have one")
    elif cost is None:
        say(f"cost: not known, as no price of {chat.provider} {chat.model} is in prices.toml")
    else:
        say(f"cost: ${cost[0]:.2f} for what is sent, ${cost[1]:.2f} with the longest answers ({chat.model})")


@contextmanager
def _progress() -> Iterator[Callable[[int, int, int], None]]:
    """Show how far it is: a bar on a terminal, elsewhere a line for each answer."""
    if not sys.stderr.isatty():
        yield lambda done, total, pages: quiet(f"{done} of {many(total, 'answer')}, {many(pages, 'page')} so far")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("asking", total=None)
        yield lambda done, total, pages: progress.update(
            task, completed=done, total=total, description=f"asking, {many(pages, 'page')} so far"
        )
