"""`embed`: vectors on demand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ai_memory.cli.place import Place, json_option, placed
from ai_memory.cli.remote import RefusedError, Remote, remote_of
from ai_memory.cli.shown import quiet
from ai_memory.model.scope import DEFAULT_WORKSPACE

#: So often the bar moves.
_SECONDS = 2


@click.command()
@click.option("--force", is_flag=True, help="Drop all vectors first, also those of other models, and make them anew.")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@json_option
@placed
@click.pass_context
def embed(ctx: click.Context, place: Place, force: bool, dry_run: bool, as_json: bool) -> None:
    """Turn texts into vectors now, for search by meaning.

    The server does it by itself in the background, as soon as an embedding_provider is set;
    this waits for it. With --force and no --project all projects of the workspace are
    embedded anew, which a vendor charges for.
    """
    remote = remote_of(ctx)
    body = {**_asked(place, remote, force=force), "dry_run": dry_run, "seconds": _SECONDS}
    report = remote.post("/admin/embed", {**body, "reembed": force}, patient=True)
    embedded, skipped = report["embedded"], report["skipped"]
    with _progress() as show:
        while report["waiting"] and not dry_run:
            show(embedded, embedded + report["waiting"])
            report = remote.post("/admin/embed", body, patient=True)
            embedded += report["embedded"]
        show(embedded, embedded)
    if as_json:
        click.echo(json.dumps({**report, "embedded": embedded, "skipped": skipped}, indent=2))
        return
    model = f"{report['provider']} {report['model']}, {report['dim']} numbers each"
    if dry_run:
        click.echo(f"would embed {report['would_embed']:,} texts ({model}); {skipped:,} have vectors")
        return
    click.echo(f"embedded {embedded:,} texts ({model}); {skipped:,} had vectors")
    if report["failed"]:
        click.echo(f"{report['failed']:,} were refused: `ai-memory status` tells the last error")


def _asked(place: Place, remote: Remote, *, force: bool) -> dict[str, object]:
    """Name what is embedded: a project, or all of the workspace that a directory belongs to."""
    if not force or place.project:
        return {**place.scope(remote).query}
    try:
        workspace = remote.get("/admin/where", place.routing())["workspace"]
    except RefusedError as error:
        # A home directory belongs to no project.
        if error.status != 400:
            raise
        workspace = place.workspace or DEFAULT_WORKSPACE
    return {"workspace": workspace, "all_projects": True}


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show how far it is: a bar on a terminal, elsewhere one line."""
    if not sys.stderr.isatty():
        told: list[int] = []

        def tell(done: int, total: int) -> None:
            if done < total and not told:
                told.append(total)
                quiet(f"embedding {total:,} texts")

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("embedding", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
