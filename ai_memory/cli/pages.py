"""`write-page`, `read-page`, `delete-page`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.confirm import confirmed
from ai_memory.cli.moments import FORMS, moment_of, no_time
from ai_memory.cli.place import Place, json_option, placed, tell_scope, writer
from ai_memory.cli.projects import purge
from ai_memory.cli.remote import RefusedError, remote_of
from ai_memory.cli.shown import coloured, local, many, quiet, say
from ai_memory.errors import BadRequestError, StorageError

at_option = click.option("--at", "said", help=f"As it was then: {FORMS}.")


def page_named(path: str) -> str:
    """Give a page's path as it is, also where somebody left the `.md` away."""
    return path if path.endswith(".md") else f"{path}.md"


@click.command()
@click.option("--path", required=True, help="The page, for example decisions/0007-rounding.md.")
@click.option("--body", help="Its text; - reads it from standard input.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its text is in this file.")
@click.option("--title", help="Its title; otherwise its first heading is one.")
@click.option("--kind", help="decision, gotcha, procedure, concept, rule, fact, note…")
@click.option("--tag", "-t", "tags", multiple=True, help="A tag (repeatable).")
@click.option("--tier", help="working, episodic, semantic or procedural.")
@click.option("--pinned/--no-pinned", default=None, help="Keep it at hand, and away from automatic writers.")
@click.option("--expect", help="Write only if this is still its revision (as read-page and history show it).")
@click.option("--create-only", is_flag=True, help="Write only if there is no such page yet.")
@click.option("--revive", is_flag=True, help="Write it although it was deleted.")
@click.option("--reason", help="Why, for the commit.")
@placed
@json_option
@click.pass_context
def write_page(
    ctx: click.Context,
    /,
    place: Place,
    body: str | None,
    file: Path | None,
    tags: tuple[str, ...],
    expect: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Write a page: the whole text anew, while its front matter stays as far as nothing else is said.

    The text may bring front matter of its own. What is not given is kept, and former
    versions are too: see history, diff and restore-page. Where somebody was faster than
    --expect allows, both sides are compared, nothing is written, and the exit code is 1.
    """
    text = _text_of(body, file)
    wanted = {"body": text, "tags": list(tags) or None, "expected_revision": expect, **asked, **writer()}
    given = {key: value for key, value in wanted.items() if value is not None}
    try:
        answer = remote_of(ctx).post("/admin/write-page", {"routing": place.routing(), **given})
    except RefusedError as error:
        if as_json and error.details:
            click.echo(json.dumps({"error": str(error), **error.details}, indent=2))
        elif "current" in error.details:
            _show_both(error.details)
        raise
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    tell_scope(answer["scope"], answer["resolved_by"])
    did = "wrote" if answer["changed"] else "already so:"
    say(f"✓ {did} {answer['path']} (revision {answer['revision'][:12]}) under {answer['scope']}")


def _text_of(body: str | None, file: Path | None) -> str:
    if (body is None) == (file is None):
        raise click.UsageError("give the text: either --body TEXT, --body - (standard input), or --file FILE")
    try:
        if file:
            return file.read_bytes().decode()
        if body == "-":
            with click.open_file("-", "rb") as stdin:
                return bytes(stdin.read()).decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the text is not UTF-8: {error}") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}") from error
    # Nobody can type the end of the last line.
    return f"{body}\n" if body and not body.endswith("\n") else body or ""


def _show_both(details: Mapping[str, Any]) -> None:
    """Compare what is there with what was to be written."""
    from difflib import unified_diff

    from ai_memory.model.front import parts

    current, yours = details["current"]["text"] or "", details["yours"]["text"]
    if not parts(yours).front:
        current = parts(current).body
    there = f"{details['path']} as it is ({(details['current']['revision'] or 'uncommitted')[:12]})"
    lines = unified_diff(current.splitlines(), yours.splitlines(), there, "yours", lineterm="")
    click.echo(coloured("\n".join(lines)))


@click.command()
@click.argument("question", required=False, default="", metavar="[QUERY]")
@click.option("--path", default="", help="This page, instead of the best one for a query.")
@at_option
@placed
@json_option
@click.pass_context
def read_page(ctx: click.Context, place: Place, question: str, path: str, said: str | None, as_json: bool) -> None:
    """Read a page: the one that is named, or the one that fits a query best; as it is, or as it was."""
    if bool(question) == bool(path):
        raise click.UsageError("name a page with --path, or say what it is about")
    remote = remote_of(ctx)
    query = {**place.scope(remote).query, **({"path": page_named(path)} if path else {"q": question}), **at_query(said)}
    page = remote.get("/admin/read-page", query)
    if as_json:
        click.echo(json.dumps(page, indent=2))
        return
    say("\n".join([*_head(page), "", page["body"].strip("\r\n"), *_links(page)]))


def _head(page: Mapping[str, Any]) -> list[str]:
    version = (
        f"revision {page['revision'][:12]}, {local(page['committed_at'])}, {page['author']}"
        if page["revision"]
        else "not committed yet"
    )
    lines = [page["title"], f"{page['workspace']}/{page['project']}  {page['path']}", version]
    about = [page["kind"], page["tier"], *(["pinned"] if page["pinned"] else [])]
    lines.append(", ".join(part for part in about if part))
    return [*lines, f"problem: {page['problem']}"] if page["problem"] else lines


def _links(page: Mapping[str, Any]) -> list[str]:
    lines = []
    for heading, key in (("Links:", "links"), ("Linked from:", "backlinks")):
        rows = []
        for each in page[key]:
            names = [name for name in (each["workspace"], each["project"]) if name]
            scope = "" if names == [page["workspace"], page["project"]] else f"{'/'.join(names)}: "
            rows.append(f"  - {scope}{each['path']}{'' if each['exists'] else '  (no such page)'}")
        lines += ["", heading, *rows] if rows else []
    more = page["backlink_count"] - len(page["backlinks"])
    return [*lines, f"  and {more} more"] if more > 0 else lines


def at_query(said: str | None) -> dict[str, str]:
    """Give the parameter of a request about the past, {} for the present.

    Raises:
        BadRequestError: it is not a time.
    """
    if said is None:
        return {}
    at = moment_of(said, datetime.now(UTC))
    if at is None:
        raise no_time(said)
    return {"at": at.isoformat()}


@click.command()
@click.option("--path", required=True, help="The page.")
@click.option("--reason", default="", help="Why, for the commit.")
@click.option("--history", is_flag=True, help="For good: out of git, too (only shown without --confirm).")
@confirmed
@placed
@json_option
@click.pass_context
def delete_page(
    ctx: click.Context,
    place: Place,
    path: str,
    reason: str,
    history: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """Delete a page. It stays deleted: nothing automatic writes it again; restore-page brings it back.

    Because it can be undone it needs no --confirm; with --history it does.
    """
    path = page_named(path)
    if history:
        purge(ctx, place, "purge-page", {"path": path}, confirm=confirm, as_json=as_json)
        return
    dry_run = ctx.params["dry_run"]
    remote = remote_of(ctx)
    asked = {**place.scope(remote).query, "path": path, "dry_run": dry_run, "reason": reason, **writer()}
    answer = remote.post("/admin/delete-page", asked)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    if dry_run:
        is_there = answer["would_delete"]
        say(f"{'would delete' if is_there else 'nothing to delete:'} {path} under {answer['scope']}")
        say(f"{many(answer['versions'], 'version')} in git, linked to by {many(answer['backlinks'], 'page')}")
    else:
        say(f"{'✓ deleted' if answer['deleted'] else 'nothing to delete:'} {path} under {answer['scope']}")
    if answer["remains"]:
        quiet(f"what remains: {answer['remains']} (`ai-memory restore-page` brings it back)")
