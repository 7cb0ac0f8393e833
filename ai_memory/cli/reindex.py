"""`reindex`: the index made anew from the files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.cli.shown import many, quiet
from ai_memory.errors import NotFoundError

_PHASES = {"versions": "former versions", "pages": "pages", "sessions": "sessions"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
@click.pass_context
def reindex(ctx: click.Context, as_json: bool, data_dir: Path | None) -> None:
    """Make the index anew from the pages, their history and the raw log.

    Works on the disk, while no server runs. Nothing is lost by it: the index holds only
    what follows from the files. A server does the same by itself when the index is missing
    or damaged.
    """
    from ai_memory.memory.memory import Memory
    from ai_memory.memory.upgrade import wiki_format

    settings = settings_of(ctx, data_dir)
    folder = settings.data_dir
    if not (folder / "wiki").is_dir():
        raise NotFoundError(f"there is no memory in {folder}: name another with --data-dir")
    begun = time.perf_counter()
    with _progress() as show:
        memory = Memory(settings, reindexing=show)
    about = wiki_format(folder, memory.upgraded_from)
    if memory.upgraded_from:
        quiet(
            f"upgraded {folder} from format {memory.upgraded_from} to {about['format']}; as it was it is kept in "
            f"{about['backup_archive']}"
        )
    try:
        seconds = time.perf_counter() - begun
        sessions, pages = memory.stores.index.counts(), memory.stores.pages.counts()
        counts = {
            "projects": len(memory.projects.all()),
            **{name: pages[name] for name in ("pages", "versions", "links")},
            **{name: sessions[name] for name in ("sessions", "observations")},
        }
    finally:
        memory.close()
    if as_json:
        click.echo(json.dumps({"data_dir": str(folder), **counts, "seconds": round(seconds, 3)}, indent=2))
        return
    found = ", ".join(many(number, name.removesuffix("s")) for name, number in counts.items())
    click.echo(f"reindexed {folder} in {seconds:.1f} s")
    click.echo(found)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far it is: bars on a terminal, elsewhere a line for each kind of thing."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        waiting = progress.add_task("history", total=None)
        tasks = {name: progress.add_task(text, total=None, visible=False) for name, text in _PHASES.items()}

        def show(what: str, done: int, total: int) -> None:
            progress.update(waiting, visible=False)
            progress.update(tasks[what], completed=done, total=total, visible=True)

        yield show


def _lines() -> Callable[[str, int, int], None]:
    told: set[str] = set()

    def show(what: str, done: int, total: int) -> None:
        del done
        if what not in told:
            told.add(what)
            click.echo(f"reading {total:,} {_PHASES[what]}", err=True)

    return show
