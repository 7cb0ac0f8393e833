"""`backup`, `restore`, `reset`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ai_memory.cli.archives import into_file, into_pipe
from ai_memory.cli.confirm import confirmed, tell_unconfirmed
from ai_memory.cli.remote import Remote, data_dir_option, remote_of, settings_of
from ai_memory.cli.shown import many, say
from ai_memory.errors import ConflictError

_UNDONE = "deletes and purges that were made after {created} are undone by it: make them again"


@click.command()
@click.option(
    "--to", "-o", "target", required=True, type=click.Path(path_type=Path, allow_dash=True), help="The archive, or -."
)
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.pass_context
def backup(ctx: click.Context, target: Path, force: bool) -> None:
    """Save everything durable of the running server in one archive.

    In it: the pages with their whole history, the raw log, the handoffs, and config.toml
    (which may hold your token: the file is readable for you alone).
    Not in it, because it is made anew or belongs to a machine: the index, models, the
    hooks with their spool, auth-token and client.json.

    The archive is checked from end to end before it gets its name. With - it goes to
    standard output unchecked. A copy of the data directory of a stopped server
    (cp -a, rsync) is a backup, too.
    """
    remote = remote_of(ctx)
    if str(target) == "-":
        with into_pipe() as out:
            _download(remote, out.write)
        return
    if target.is_dir():
        raise click.UsageError(f"{target} is a folder: name the file to write, for example {target / 'backup.tar.gz'}")
    if target.exists() and not force:
        raise ConflictError(f"{target} is there already: name another file, or say --force to overwrite it")
    _save(remote, target)


def _save(remote: Remote, target: Path) -> None:
    from ai_memory.store.archive import read

    with into_file(target) as out:
        _download(remote, out.write)
        out.flush()
        contents = read(Path(out.name))
        size = out.tell()
    tally = contents.tally
    say(
        f"saved {target}: {many(len(tally.projects), 'project')}, {many(tally.pages, 'page')}, "
        f"{many(len(tally.sessions), 'session')}; "
        f"{size / 1e6:,.1f} MB ({tally.bytes / 1e6:,.1f} MB unpacked)"
    )
    if contents.left_out:
        click.echo(f"left out: {contents.left_out} symbolic links or special files, which are not followed", err=True)


def _download(remote: Remote, write: Callable[[bytes], object]) -> None:
    with _progress() as show:
        got = 0
        for chunk, total in remote.download("POST", "/admin/backup"):
            write(chunk)
            got += len(chunk)
            show(got, total)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far the download is; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _got, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("the server packs", total=None)
        yield lambda got, total: progress.update(task, description="saving", completed=got, total=total or None)


@click.command()
@click.option(
    "--from",
    "-i",
    "archive",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An archive of `ai-memory backup`.",
)
@click.option("--force", is_flag=True, help="Also where there is data; it is kept in a folder beside.")
@click.option("--dry-run", is_flag=True, help="Check the archive and say what is in it; change nothing.")
@data_dir_option
@click.pass_context
def restore(ctx: click.Context, archive: Path, force: bool, dry_run: bool, data_dir: Path | None) -> None:
    """Put a backup in the place of the data directory's pages, raw log and handoffs.

    Works on the disk, while no server runs. The archive is laid out and checked beside
    your data first: one that is damaged, cut off or newer than this program changes
    nothing. What was there is kept as before-restore-<time>. A config.toml is taken over
    only where there is none; hooks, their spool and auth-token stay as they are.
    Restore only archives that you trust: the wiki's git configuration comes with them.
    """
    from ai_memory.memory.backup import restore as put_back
    from ai_memory.memory.stores import utc_now
    from ai_memory.store.archive import Contents, read

    folder = settings_of(ctx, data_dir).data_dir

    def tell(contents: Contents) -> None:
        tally = contents.tally
        say(
            f"made {contents.created} by ai-memory {contents.program}: {many(len(tally.projects), 'project')}, "
            f"{many(tally.pages, 'page')}, {many(len(tally.sessions), 'session')}, {tally.bytes / 1e6:,.1f} MB"
        )

    if dry_run:
        tell(contents := read(archive))
        say(f"the archive is whole; nothing was changed in {folder}")
        say(_UNDONE.format(created=contents.created))
        return
    done = put_back(folder, archive, force=force, at=utc_now())
    tell(done.contents)
    say(f"restored {archive} -> {folder}")
    if done.kept:
        say(f"the data before is kept in {done.kept}: delete that folder when you miss nothing")
    say(_UNDONE.format(created=done.contents.created))


@click.command()
@confirmed
@data_dir_option
@click.pass_context
def reset(ctx: click.Context, confirm: bool, data_dir: Path | None) -> None:
    """Delete all pages with their history, the raw log and the databases (a dry run without --confirm).

    Works on the disk, while no server runs. config.toml, the hooks and what waits in their
    spool stay, and so does older data that a restore or an upgrade has kept: it is named.
    """
    from ai_memory.memory.backup import kept_folders
    from ai_memory.memory.backup import reset as delete_all
    from ai_memory.store.archive import tally_of

    folder = settings_of(ctx, data_dir).data_dir
    tally = delete_all(folder) if confirm else tally_of(folder)
    say(
        f"{'deleted' if confirm else 'would delete'} in {folder}: {many(len(tally.projects), 'project')}, "
        f"{many(tally.pages, 'page')}, {many(len(tally.sessions), 'session')}; "
        f"{many(tally.files, 'file')}, {tally.bytes:,} bytes"
    )
    for kept in kept_folders(folder):
        say(f"stays: {kept}, with older data")
    if not confirm:
        tell_unconfirmed()
