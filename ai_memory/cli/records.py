"""`import-records`: a folder of record files brought in."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.place import json_option, writer
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import many, quiet, say
from ai_memory.errors import NotFoundError

_CONFLICT = ".sync-conflict"
#: A request holds so many records, and about so many bytes of files.
_RECORDS, _BYTES = 200, 1024 * 1024
#: No page is as large as this. In a request a letter may take three times the bytes of a file.
_LARGEST = 2 * 1024 * 1024
_DONE = {"new": "new", "updated": "updated", "unchanged": "there already", "deleted": "deleted here before"}
_WOULD = {**_DONE, "new": "would be new", "updated": "would be updated"}


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@json_option
@click.pass_context
def import_records(ctx: click.Context, directory: Path, dry_run: bool, as_json: bool) -> None:
    """Bring in a folder of records: one JSON file each, named by its uuid.

    DIR is the folder of the files, or the one above its records/. Each record becomes a page
    of the project that it names. Once more brings in only what is new or was edited; what was
    deleted here stays deleted. Conflict files of a file synchroniser are left alone and named,
    and so is what cannot be read: then the exit code is 1.
    """
    folder = directory / "records" if (directory / "records").is_dir() else directory
    files = sorted(each for each in folder.glob("*.json") if each.is_file())
    if not files:
        raise NotFoundError(f"there are no records (*.json) in {folder}")
    conflicts = [each.name for each in files if _CONFLICT in each.name]
    wanted = [each for each in files if _CONFLICT not in each.name]
    remote = remote_of(ctx)
    counts: Counter[str] = Counter()
    broken: list[dict[str, str]] = []
    with _progress(len(wanted)) as show:
        for batch, unread, done in _batches(wanted):
            broken += unread
            if batch:
                asked = {"records": batch, "dry_run": dry_run, **writer()}
                for each in remote.post("/admin/import-records", asked, patient=True)["outcomes"]:
                    if each["outcome"] == "refused":
                        broken.append({"file": f"{each['name']}.json", "reason": each["reason"]})
                    else:
                        counts[each["outcome"]] += 1
            show(done)
    report = {"dry_run": dry_run, "found": len(files), **{did: counts[did] for did in _DONE}}
    if as_json:
        click.echo(json.dumps({**report, "conflicts": conflicts, "broken": broken}, indent=2))
    else:
        _tell(report, conflicts, broken)
    if broken:
        ctx.exit(1)


def _tell(report: dict[str, Any], conflicts: Sequence[str], broken: Sequence[dict[str, str]]) -> None:
    words = _WOULD if report["dry_run"] else _DONE
    for name in conflicts:
        say(f"conflict  {name}: left alone; put what you want to keep into the file without the conflict's name")
    for each in broken:
        say(f"broken    {each['file']}: {each['reason']}")
    counted = ", ".join(f"{report[did]:,} {word}" for did, word in words.items())
    say(f"{many(report['found'], 'file')}: {counted}, {many(len(conflicts), 'conflict')}, {len(broken)} broken")


def _batches(files: Sequence[Path]) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, str]], int]]:
    """Read files a request's worth at a time; gives them, those that cannot be read, and how many that were so far."""
    batch: list[dict[str, Any]] = []
    broken: list[dict[str, str]] = []
    size = 0
    for done, file in enumerate(files, start=1):
        try:
            content = file.read_bytes()
            if len(content) > _LARGEST:
                broken.append({"file": file.name, "reason": f"it is larger than {_LARGEST // 1024 // 1024} MiB"})
            else:
                batch.append({"name": file.stem, "record": json.loads(content)})
                size += len(content)
        except OSError as error:
            broken.append({"file": file.name, "reason": f"it cannot be read: {error.strerror}"})
        except (ValueError, RecursionError) as error:
            broken.append({"file": file.name, "reason": f"it is not JSON: {error}"})
        if len(batch) == _RECORDS or size >= _BYTES or done == len(files):
            yield batch, broken, done
            batch, broken, size = [], [], 0


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how far it is: a bar on a terminal, elsewhere one line."""
    if not sys.stderr.isatty():
        quiet(f"importing {total:,} records")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("importing", total=total)
        yield lambda done: progress.update(task, completed=done)
