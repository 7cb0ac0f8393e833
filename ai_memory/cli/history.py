"""`history`, `show` (of pages, and of packets), `diff`, `checkpoints`, `commit`, `restore-page`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import click

from ai_memory.capture.plain import harmless
from ai_memory.cli.moments import FORMS, moment_of
from ai_memory.cli.packet_server import host_option
from ai_memory.cli.pages import page_named
from ai_memory.cli.place import Place, Scope, json_option, placed, writer
from ai_memory.cli.remote import Remote, remote_of
from ai_memory.cli.shown import coloured, local, quiet, say, say_exactly
from ai_memory.errors import BadRequestError

_WHEN = f"a revision, or a time: {FORMS}"
#: Git names no commit with these; who writes one means a time.
_NO_REVISION = re.compile(r"[\s:]")
#: Of a packet.
_SHORTEST_ID = 10


def _split(page: str) -> tuple[str, str]:
    """Cut PATH@WHEN; a path may hold an @ itself, but it ends in `.md`, which nobody has to type."""
    path, at, when = page.rpartition("@")
    return (page_named(path), when) if at and not page.endswith(".md") else (page_named(page), "")


def _asked(when: str) -> dict[str, str]:
    """Give the parameter that asks for a page as of a revision or a time, {} for the page as it is."""
    at = moment_of(when, datetime.now(UTC))
    if at:
        return {"at": at.isoformat()}
    if _NO_REVISION.search(when):
        raise BadRequestError(f"{when!r} is neither a revision, as `ai-memory history` shows them, nor a time: {FORMS}")
    return {"revision": when} if when else {}


def _revision(remote: Remote, scope: Scope, path: str, when: str) -> str:
    """Give the revision that a page had at a time; a revision is one already."""
    asked = _asked(when)
    if "at" not in asked:
        return when
    return str(remote.get("/admin/read-page", {**scope.query, "path": path, **asked})["revision"])


@click.command()
@click.argument("path")
@click.option("--limit", "-n", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many versions.")
@placed
@json_option
@click.pass_context
def history(ctx: click.Context, place: Place, path: str, limit: int, as_json: bool) -> None:
    """List the versions of a page, newest first: revision, time, who, and why."""
    remote, path = remote_of(ctx), page_named(path)
    answer = remote.get("/admin/history", {**place.scope(remote).query, "path": path, "limit": str(limit)})
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    rows = [(each, harmless(each["author"])[:24]) for each in answer["versions"]]
    width = max(len(author) for _, author in rows)
    for each, author in rows:
        gone = click.style("deleted  ", fg="red") if each["deleted"] else ""
        line = f"{each['revision'][:12]}  {local(each['at'])}  {author:<{width}}  "
        click.echo(f"{line}{gone}{harmless(each['subject'])}")
    if before := answer["before"]:
        where = f"--workspace {before['workspace']} --project {before['project']}"
        quiet(f"it moved here: `ai-memory history {path} {where}` lists what was before")


@click.command()
@click.argument("named", metavar="PATH[@REV|@DATE] | ID")
@placed
@json_option
@host_option
@click.pass_context
def show(ctx: click.Context, place: Place, named: str, as_json: bool, host: str | None) -> None:
    """Print a page as it is, as a commit saw it, or as it was at a time; or a packet.

    What has a slash, an @ or `.md` is a page, and so is what is too short for a packet's id,
    which has ten signs or more.

    \b
      ai-memory show notes/vat.md
      ai-memory show notes/vat.md@4be1c0ffee12
      ai-memory show "notes/vat.md@3 days ago"
      ai-memory show 01K7Q6D3ZJ8VY5N0RTB2XWMA9C        a packet, with those that it continues
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    if len(named) >= _SHORTEST_ID and not re.search(r"[/@]|\.md$", named):
        from ai_memory.cli.packets import show_packet

        show_packet(ctx, named, host, as_json=as_json)
        return
    path, when = _split(named)
    asked = _asked(when)
    remote = remote_of(ctx)
    answer = remote.get("/admin/read-page", {**place.scope(remote).query, "path": path, **asked})
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    say_exactly(answer["text"])


@click.command()
@click.argument("path")
@click.argument("old", metavar="REV")
@click.argument("new", metavar="[REV]", required=False, default="")
@placed
@click.pass_context
def diff(ctx: click.Context, place: Place, path: str, old: str, new: str) -> None:
    """Compare two revisions of a page, or one with the page as it is; a time will do for a revision."""
    remote, path = remote_of(ctx), page_named(path)
    scope = place.scope(remote)
    revisions = {"old": _revision(remote, scope, path, old), "new": _revision(remote, scope, path, new)}
    answer = remote.get("/admin/diff", {**scope.query, "path": path, **revisions})
    if answer["diff"]:
        click.echo(coloured(answer["diff"]), nl=False)
    else:
        quiet("no difference")


@click.command()
@click.option("--limit", "-n", type=click.IntRange(1, 100), default=20, show_default=True, help="How many.")
@json_option
@click.pass_context
def checkpoints(ctx: click.Context, limit: int, as_json: bool) -> None:
    """List the newest commits of the wiki, all projects together."""
    rows = remote_of(ctx).get("/admin/checkpoints", {"limit": str(limit)})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        at = local(datetime.fromtimestamp(row["time"], UTC).isoformat())
        say(f"{row['short_oid']}  {at}  {row['author']}: {row['summary']}")
    if not rows:
        say("nothing is committed yet")


@click.command()
@click.option("--message", "-m", default="manual commit", show_default=True, help="The subject of the commit.")
@click.pass_context
def commit(ctx: click.Context, message: str) -> None:
    """Commit everything of the wiki as it is on disk: edits by hand, pages of sessions that go on, deleted files."""
    answer = remote_of(ctx).post("/admin/commit", {"message": message, **writer()})
    say(f"✓ committed {answer['oid'][:12]}" if answer["committed"] else answer["reason"])
    for each in answer.get("left_out", ()):
        say(f"left out: {each['page']} ({each['reason']})")


@click.command()
@click.option("--path", required=True, help="The page.")
@click.option("--from", "when", required=True, help=f"As it was: {_WHEN}.")
@placed
@json_option
@click.pass_context
def restore_page(ctx: click.Context, place: Place, path: str, when: str, as_json: bool) -> None:
    """Write a page as it was, as a new version; this also brings back a page that was deleted."""
    remote, path = remote_of(ctx), page_named(path)
    scope = place.scope(remote)
    asked = {**scope.query, "path": path, "rev": _revision(remote, scope, path, when), **writer()}
    answer = remote.post("/admin/restore-page", asked)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    did = "✓ restored" if answer["changed"] else "nothing to do, it is so already:"
    say(
        f"{did} {answer['path']} as of {answer['restored_from'][:12]} "
        f"(revision {answer['revision'][:12]}) under {answer['scope']}"
    )
