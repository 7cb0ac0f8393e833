"""`list-projects`, and what renames, moves and purges projects, workspaces and sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.confirm import confirmed, mode, tell_unconfirmed
from ai_memory.cli.place import Place, json_option, placed, writer
from ai_memory.cli.remote import remote_of
from ai_memory.cli.shown import local, many, say

_force = click.option("--force", is_flag=True, help="Also while a session is at work in it.")
_history = click.option("--history", is_flag=True, help="Take it out of the wiki's git history, too.")
_compact = click.option("--compact", is_flag=True, help="Take it out of the free space of the databases, too.")


@click.command()
@json_option
@click.pass_context
def list_projects(ctx: click.Context, as_json: bool) -> None:
    """List the projects of all workspaces: pages, the last change, and the repository that leads to them."""
    answer = remote_of(ctx).get("/admin/projects")
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    rows = answer["projects"]
    width = max((len(f"{row['workspace_name']}/{row['project_name']}") for row in rows), default=0)
    for row in rows:
        label = f"{row['workspace_name']}/{row['project_name']}"
        updated = local(row["last_updated"]) if row["last_updated"] else "never written"
        leads = row["identity"] or ", ".join(row["roots"])
        pages = many(row["page_count"], "page")
        say(f"{label:<{width}}  {pages:>11}  {updated:<16}  {leads}".rstrip())
    if not rows:
        click.echo("no project yet")


@click.command()
@click.option("--from", "name", help="The project; otherwise this directory's.")
@click.option("--to", required=True, help="Its new name.")
@click.option("--workspace", help="Its workspace, instead of the directory's.")
@json_option
@click.pass_context
def rename_project(ctx: click.Context, name: str | None, to: str, workspace: str | None, as_json: bool) -> None:
    """Give a project another name. No file moves; hooks, markers and links with the old one go on leading to it."""
    remote = remote_of(ctx)
    scope = _place(workspace, name).scope(remote)
    answer = remote.post(
        "/admin/rename-project", {"workspace": scope.workspace, "from": scope.project, "to": to, **writer()}
    )
    _tell(
        answer,
        as_json,
        f"{scope.workspace}/{answer['from']} is called {answer['to']} now ({many(answer['pages'], 'page')})",
    )


@click.command()
@click.option("--from", "name", required=True, help="The workspace.")
@click.option("--to", required=True, help="Its new name.")
@json_option
@click.pass_context
def rename_workspace(ctx: click.Context, name: str, to: str, as_json: bool) -> None:
    """Give a workspace another name. No file moves, and what says the old name goes on leading to it."""
    answer = remote_of(ctx).post("/admin/rename-workspace", {"from": name, "to": to, **writer()})
    _tell(
        answer,
        as_json,
        f"workspace {answer['from']} is called {answer['to']} now ({many(answer['projects'], 'project')})",
    )


@click.command()
@click.option("--from-workspace", help="The project's workspace, instead of the directory's.")
@click.option("--project", help="The project; otherwise this directory's.")
@click.option("--to-workspace", required=True, help="Where it goes; made when it is new.")
@click.option(
    "--on-conflict",
    type=click.Choice(["block", "overwrite", "duplicate"]),
    default="block",
    show_default=True,
    help="When the workspace has a project of this name with pages of the same names.",
)
@_force
@confirmed
@json_option
@click.pass_context
def move_project(
    ctx: click.Context,
    from_workspace: str | None,
    project: str | None,
    to_workspace: str,
    on_conflict: str,
    force: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """Move a project to another workspace; one of the same name there takes it in."""
    remote = remote_of(ctx)
    scope = _place(from_workspace, project).scope(remote)
    asked = {"from_workspace": scope.workspace, "project": scope.project, "to_workspace": to_workspace}
    asked_how = {"on_conflict": on_conflict, "force": force, **mode(confirm), **writer()}
    answer = remote.post("/admin/move-project", {**asked, **asked_how}, patient=True)
    to = f"{answer['to']['workspace']}/{answer['to']['project']}"
    how = f"merged into {to}" if answer["merged_into_existing"] else f"moved to {to}"
    lines = [f"{scope.workspace}/{scope.project} {'is' if confirm else 'would be'} {how}: {_counts(answer, '_moved')}"]
    for conflict in answer["conflicts"]:
        path, moved_to = conflict["path"], conflict["moved_to"]
        kept = "the moved one takes its place" if moved_to == path else f"the moved one is kept as {moved_to}"
        lines += [f"  {path} is in both{f': {kept}' if moved_to else ''}"]
    if changed := answer["links_changed"]:
        lines += [
            f"  {many(changed, 'link')} of its pages: the new workspace has a project of that name, where they lead"
        ]
    if answer.get("blocked"):
        lines += ["it cannot be as it is: say --on-conflict overwrite or --on-conflict duplicate"]
    _tell(answer, as_json, "\n".join(lines), confirm=confirm or "blocked" in answer)


@click.command()
@click.argument("session_id")
@click.option("--from-workspace", default="", help="The workspace that it is in, where --from-project is given.")
@click.option("--from-project", default="", help="The project that it is in, where it worked in several.")
@click.option("--to", required=True, help="The project that gets it.")
@click.option("--to-workspace", default="", help="That project's workspace, when it is another one.")
@click.option("--create", is_flag=True, help="Make the project when there is none.")
@_force
@confirmed
@json_option
@click.pass_context
def move_session(
    ctx: click.Context,
    session_id: str,
    from_workspace: str,
    from_project: str,
    to: str,
    to_workspace: str,
    create: bool,
    force: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """Move a session to another project: what was recorded, its page, its ledger lines and its handoffs."""
    asked = {
        "session_id": session_id,
        "from_workspace": from_workspace,
        "from_project": from_project,
        "project": to,
        "workspace": to_workspace,
        "create": create,
        "force": force,
        **mode(confirm),
        **writer(),
    }
    answer = remote_of(ctx).post("/admin/move-session", asked)
    places = [f"{answer[side]['workspace']}/{answer[side]['project']}" for side in ("from", "to")]
    summary = answer["summary"]
    line = (
        f"session {session_id[:8]} {'is' if confirm else 'would be'} moved from {places[0]} to {places[1]}: "
        f"{many(summary['observations'], 'observation')}, {many(summary['handoffs'], 'handoff')}, page {answer['page']}"
    )
    if answer["would_create_project"] and not confirm:
        line += f"; {answer['would_create_project']} would be made"
    _tell(answer, as_json, line, confirm=confirm)


@click.command()
@click.option("--session-id", required=True, help="The session (its whole UUID).")
@_history
@_compact
@_force
@confirmed
@placed
@json_option
@click.pass_context
def purge_session(
    ctx: click.Context,
    place: Place,
    session_id: str,
    history: bool,
    compact: bool,
    force: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """Delete what a session left in a project, for good: nothing that comes late brings it back."""
    asked = {"session_id": session_id, "history": history, "compact": compact, "force": force}
    purge(ctx, place, "purge-session", asked, confirm=confirm, as_json=as_json)


@click.command()
@_history
@_compact
@_force
@confirmed
@placed
@json_option
@click.pass_context
def purge_project(
    ctx: click.Context, place: Place, history: bool, compact: bool, force: bool, confirm: bool, as_json: bool
) -> None:
    """Delete a project with all that it holds, for good. Work that goes on in its directory begins a new one."""
    asked = {"history": history, "compact": compact, "force": force}
    purge(ctx, place, "purge-project", asked, confirm=confirm, as_json=as_json)


def purge(
    ctx: click.Context, place: Place, verb: str, asked: Mapping[str, object], *, confirm: bool, as_json: bool
) -> None:
    """Ask for a purge, or for what it would do, and tell what went and what remains."""
    remote = remote_of(ctx)
    scope = place.scope(remote)
    answer = remote.post(f"/admin/{verb}", {**scope.query, **asked, **mode(confirm), **writer()}, patient=True)
    what = asked.get("session_id") or asked.get("path") or f"{scope.workspace}/{scope.project}"
    done = "is purged" if confirm else "would be purged"
    remains = f"what remains: {answer['remains']}"
    if not asked.get("compact"):
        remains += "; the databases have it in their free space and logs until `ai-memory compact` takes it out"
    lines = [f"{what} {done}: {_counts(answer, '_deleted')}", remains]
    if answer.get("at_work") and not confirm:
        lines.append(f"at work right now: {', '.join(answer['at_work'])} (it would need --force)")
    _tell(answer, as_json, "\n".join(lines), confirm=confirm)


def _place(workspace: str | None, project: str | None) -> Place:
    return Place(Path(), workspace, project)


def _counts(answer: Mapping[str, Any], suffix: str) -> str:
    counts = {
        key.removesuffix(suffix).removesuffix("s").replace("_", " "): value
        for key, value in answer.items()
        if key.endswith(suffix)
    }
    return ", ".join(many(value, name) for name, value in counts.items() if value) or "nothing"


def _tell(answer: object, as_json: bool, text: str, *, confirm: bool = True) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    say(text)
    if not confirm:
        tell_unconfirmed()
