"""`export-okf`: a project as a bundle for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import click

from ai_memory.cli.archives import into_file, into_pipe
from ai_memory.cli.place import Place, placed
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import many, quiet
from ai_memory.errors import ConflictError


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The archive, or -; by default <project>.okf.tar.gz here.",
)
@click.option("--skip-broken", is_flag=True, help="Leave pages out that cannot be part of a bundle, and say which.")
@placed
@click.pass_context
def export_okf(ctx: click.Context, place: Place, output: Path | None, skip_broken: bool) -> None:
    """Write a project as an Open Knowledge Format bundle (version 0.2), a tar.gz.

    The bundle is at the root of the archive: `mkdir shop && tar -xzf shop.okf.tar.gz -C shop`.
    Pages with conflict markers, broken front matter or another encoding than UTF-8 cannot be
    part of one: they are named, and nothing is written without --skip-broken.
    """
    remote = remote_of(ctx)
    scope = place.scope(remote)
    query = {**scope.query, **({"skip_broken": "true"} if skip_broken else {})}
    target = output or Path(f"{scope.project.replace('/', '-')}.okf.tar.gz")
    to_pipe = str(target) == "-"
    if not to_pipe and target.exists():
        raise ConflictError(f"{target} is there already: name another file with -o")
    heads: dict[str, str] = {}
    pieces = (piece for piece, _ in remote.download("POST", f"/admin/export-okf?{urlencode(query)}", heads.update))
    with into_pipe() if to_pipe else into_file(target) as out:
        out.writelines(pieces)
    left_out = json.loads(heads.get("X-Memory-Left-Out", "[]"))
    for each in left_out:
        quiet(f"left out: {each}")
    quiet(f"wrote {target}: {many(int(heads['X-Memory-Pages']), 'file')} of {scope.workspace}/{scope.project}")
