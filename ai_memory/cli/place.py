"""`where`: what a directory resolves to; and how every command finds its workspace and project."""

from __future__ import annotations

import functools
import getpass
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ai_memory.capture.scope import Defaults, New, resolve, routing_of
from ai_memory.cli.remote import RefusedError, Remote, remote_of
from ai_memory.cli.shown import quiet, say
from ai_memory.client.marker import MarkerError
from ai_memory.client.place import look, query
from ai_memory.config import home_directory
from ai_memory.errors import BadRequestError, NotFoundError, ServerUnreachableError


def writer() -> dict[str, str]:
    """Say who writes: the person at this terminal."""
    try:
        return {"user": getpass.getuser(), "agent": ""}
    except (KeyError, OSError):  # a container's user may have no name
        return {"user": "", "agent": ""}


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
        # The repository of this directory is not that project's: it would answer for it from then on.
        routing = {key: routing[key] for key in ("cwd", "workspace") if key in routing}
        routing |= {"project": project, "project_src": ""}
    return routing


cwd_option = click.option(
    "--cwd",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The project's directory.",
)
workspace_option = click.option("--workspace", help="The workspace, instead of the directory's.")
project_option = click.option("--project", help="The project, instead of the directory's.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class Scope:
    """A workspace and project that exist."""

    workspace: str
    project: str

    @property
    def query(self) -> dict[str, str]:
        """The scope as parameters of a request."""
        return {"workspace": self.workspace, "project": self.project}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is told to work: a directory, and what its flags name instead."""

    cwd: Path
    workspace: str | None
    project: str | None

    def routing(self) -> dict[str, str]:
        """Give the routing parameters.

        Raises:
            BadRequestError: a marker file that decides holds something wrong.
        """
        return routing_here(self.cwd, self.workspace, self.project)

    def scope(self, remote: Remote) -> Scope:
        """Ask which project this leads to, and say so where nobody named it.

        Raises:
            NotFoundError: there is none; it is not created.
        """
        answer = remote.get("/admin/where", self.routing())
        scope = Scope(answer["workspace"], answer["project"])
        if not answer["exists"]:
            raise NotFoundError(
                f"there is no project {scope.workspace}/{scope.project} yet: go to its directory, or name it with "
                "--project and --workspace"
            )
        tell_scope(f"{scope.workspace}/{scope.project}", answer["resolved_by"])
        return scope

    def scope_or_all(self, remote: Remote) -> Scope | None:
        """Do the same for a search: a directory without a project means all projects, and that is said, too."""
        try:
            return self.scope(remote)
        except (NotFoundError, RefusedError) as error:
            if self.workspace or self.project or error.status not in (400, 404):
                raise
            quiet("in all projects: this directory belongs to none")
            return None


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where it works; it is called with `place`."""

    @functools.wraps(command)
    def with_place(*args: Any, cwd: Path, workspace: str | None, project: str | None, **options: Any) -> None:
        command(*args, place=Place(cwd, workspace, project), **options)

    for option in (cwd_option, project_option, workspace_option):
        with_place = option(with_place)
    return with_place


def tell_scope(label: str, by: str) -> None:
    """Say which project a command worked in, unless somebody named it."""
    if by != "explicit":
        quiet(f"in {label} ({by})")


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
        say(f"{key.replace('_', ' '):<17} {_WHY.get(str(value), value) if key == 'resolved_by' else value}")


_WHY = {
    "marker": "marker (.ai-memory.toml)",
    "git-remote": "git-remote (two clones are one project)",
    "repo-root": "repo-root (the main repository's folder)",
    "path": "path (inside a known repository)",
    "name": "name of the directory",
    "home": "nothing is recorded here: a home directory or the root of the disk is no project",
}
