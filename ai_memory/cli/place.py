"""`where`: what a directory resolves to; and the routing parameters of a command's directory."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ai_memory.capture.scope import Defaults, New, resolve, routing_of
from ai_memory.cli.remote import remote_of
from ai_memory.client.marker import MarkerError
from ai_memory.client.place import look, query
from ai_memory.config import home_directory
from ai_memory.errors import BadRequestError, ServerUnreachableError


def routing_here(cwd: Path, workspace: str | None = None, project: str | None = None) -> dict[str, str]:
    """Give the routing parameters of a directory, as the hooks would send them; flags win.

    Raises:
        BadRequestError: a marker file that decides holds something wrong.
    """
    try:
        routing = query(look(str(cwd.resolve()), home_directory()))
    except MarkerError as error:
        raise BadRequestError(str(error)) from error
    if workspace:
        routing["workspace"] = workspace
    if project:
        routing |= {"project": project, "project_src": ""}
    return routing


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def where(ctx: click.Context, directory: Path, as_json: bool) -> None:
    """Say which workspace and project a directory belongs to, and why.

    The running server is asked, because it knows the projects; without one the answer is what a
    new project would be called.
    """
    routing = routing_here(directory)
    answer: dict[str, object] = {"directory": routing["cwd"]}
    answer |= {key: value for key, value in routing.items() if key != "cwd"}
    if look(routing["cwd"], home_directory()).at_home and not routing.get("project"):
        answer |= {"project": None, "resolved_by": "home"}
    else:
        try:
            answer |= {"server": "asked", **remote_of(ctx).get("/admin/where", routing)}
        except ServerUnreachableError as error:
            answer |= _unasked(routing) | {"server": f"not asked: {error}"}
    _print(answer, as_json)


def _unasked(routing: dict[str, str]) -> dict[str, object]:
    found = resolve(routing_of(routing, ""), [], Defaults())
    if isinstance(found, New):
        return {"workspace": found.workspace, "project": found.name, "resolved_by": found.by}
    return {"workspace": found.project.workspace, "project": found.project.name, "resolved_by": found.by}


def _print(answer: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    for key, value in answer.items():
        click.echo(f"{key.replace('_', ' '):<17} {_WHY.get(str(value), value) if key == 'resolved_by' else value}")


_WHY = {
    "marker": "marker (.ai-memory.toml)",
    "git-remote": "git-remote (two clones are one project)",
    "repo-root": "repo-root (the main repository's folder)",
    "path": "path (inside a known repository)",
    "name": "name of the directory",
    "home": "nothing is recorded here: a home directory or the root of the disk is no project",
}
