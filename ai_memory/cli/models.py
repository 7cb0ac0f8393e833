"""`models`: the models of this machine, for search by meaning."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.confirm import confirmed, tell_unconfirmed
from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.cli.shown import say
from ai_memory.errors import NotFoundError
from ai_memory.store.models import MODELS, Model, Part, faults_of, files_in, folder_of, remove
from ai_memory.store.models import install as put_in_place

_name = click.argument("name", default=MODELS[0].name)


@click.group()
def models() -> None:
    """The models of this machine, which turn texts into vectors for search by meaning.

    \b
      pip install 'ai-memory[local]'
      ai-memory models install --from DIR      (or: ai-memory models pull)
      AI_MEMORY_EMBEDDING_PROVIDER=local ai-memory serve

    Without one search goes by words alone. These commands work on the disk, with or
    without a server; a server takes a new model when it is started again.
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped


@models.command("list", short_help="List the known models.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
@click.pass_context
def list_models(ctx: click.Context, as_json: bool, data_dir: Path | None) -> None:
    """List the known models, and read the installed ones to the end: are they whole?"""
    folder = settings_of(ctx, data_dir).data_dir
    rows = [_row(folder, model) for model in MODELS]
    if as_json:
        click.echo(json.dumps({"models": rows}, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row['name']}  {row['state']}  {row['dim']} numbers, {row['bytes'] / 1e6:.1f} MB, {row['licence']}"
        )
        for fault in row["faults"]:
            say(f"  {fault}")


def _row(data_dir: Path, model: Model) -> dict[str, Any]:
    folder = folder_of(data_dir, model)
    installed = folder.exists()
    faults = faults_of(data_dir, model) if installed else []
    return {
        "name": model.name,
        "state": ("damaged" if faults else "installed") if installed else "not installed",
        "dim": model.dim,
        "bytes": model.size,
        "licence": model.licence,
        "folder": str(folder),
        "faults": faults,
    }


@models.command(short_help="Take a model from a folder.")
@_name
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder with the files of the model.",
)
@data_dir_option
@click.pass_context
def install(ctx: click.Context, name: str, source: Path, data_dir: Path | None) -> None:
    """Take a model from a folder; its files must be the known ones, bit for bit."""
    _install(settings_of(ctx, data_dir).data_dir, _model(name), files_in(source))


@models.command(short_help="Download a model.")
@_name
@data_dir_option
@click.pass_context
def pull(ctx: click.Context, name: str, data_dir: Path | None) -> None:
    """Download a model from models_url/MODEL/FILE; its files must be the known ones, bit for bit.

    The project publishes no models itself yet: name an address where somebody has put the
    files, or use `models install`.
    """
    from ai_memory.search.embed.pull import files_at

    settings = settings_of(ctx, data_dir)
    model = _model(name)
    read = files_at(settings["models_url"].strip(), model)
    with _progress(model) as show:

        def shown(part: Part) -> Iterator[bytes]:
            for piece in read(part):
                show(len(piece))
                yield piece

        _install(settings.data_dir, model, shown)


@models.command("remove")
@_name
@confirmed
@data_dir_option
@click.pass_context
def remove_model(ctx: click.Context, name: str, confirm: bool, data_dir: Path | None) -> None:
    """Delete a model's files (a dry run without --confirm)."""
    data, model = settings_of(ctx, data_dir).data_dir, _model(name)
    folder = folder_of(data, model)
    if not folder.exists():
        raise NotFoundError(f"{model.name} is not installed in {folder.parent}")
    if confirm:
        say(f"deleted {folder}: {remove(data, model):,} bytes")
        return
    say(f"would delete {folder}")
    tell_unconfirmed()


def _model(name: str) -> Model:
    for model in MODELS:
        if model.name == name:
            return model
    raise NotFoundError(f"no model {name!r} is known; there is {', '.join(model.name for model in MODELS)}")


def _install(data_dir: Path, model: Model, read: Callable[[Part], Iterable[bytes]]) -> None:
    if folder_of(data_dir, model).exists() and not faults_of(data_dir, model):
        say(f"{model.name} is installed and whole; nothing changed")
        return
    put_in_place(data_dir, model, read)
    say(f"installed {model.name} in {folder_of(data_dir, model)}: {model.size / 1e6:.1f} MB ({model.licence})")
    click.echo('next: embedding_provider = "local" in config.toml, then start the server again')


@contextmanager
def _progress(model: Model) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far the download is; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(model.name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=model.size)
        yield lambda size: progress.update(task, advance=size)
