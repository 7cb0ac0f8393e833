"""`search`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import click

from ai_memory.cli.pages import at_option, at_query
from ai_memory.cli.place import Place, json_option, placed
from ai_memory.cli.remote import Remote, remote_of
from ai_memory.cli.shown import local, marked, quiet, say

_DEGRADED = "X-Memory-Degraded"


@click.command()
@click.argument("question", metavar="QUERY")
@click.option("--limit", "-n", type=click.IntRange(1, 100), default=10, show_default=True, help="How many hits.")
@click.option("--all", "everywhere", is_flag=True, help="In all projects, not this directory's alone.")
@click.option("--scope", "-s", "scopes", multiple=True, metavar="WORKSPACE/PROJECT", help="In these (repeatable).")
@click.option("--expired", is_flag=True, help="Also pages that have expired.")
@click.option("--explain", is_flag=True, help="Say how each hit came to its place.")
@click.option("--answer", is_flag=True, help="Have the server's model answer from the hits (see answer_with_model).")
@at_option
@placed
@json_option
@click.pass_context
def search(
    ctx: click.Context,
    place: Place,
    question: str,
    limit: int,
    everywhere: bool,
    scopes: tuple[str, ...],
    expired: bool,
    explain: bool,
    answer: bool,
    said: str | None,
    as_json: bool,
) -> None:
    """Find pages and sessions by what they say, best first.

    It looks in this directory's project, elsewhere in all of them. Type words, a question,
    an identifier or a file's name; more words make it surer. With an embedder configured
    it also finds what means the same in other words (see `ai-memory models`).

    \b
      "exact words"         as a phrase
      path:decisions/       pages below a folder; or a pattern: path:*-plan.md
      kind:gotcha           pages of a kind, or kind:session
      tag:money             pages with a tag; tag:"two words"
      since:2026-11-01      changed then or later; also yesterday, since:"3 days ago"
      before:2026-11-21     changed before that day

    Filters alone list the newest. With --at only words and path: can be asked for.
    """  # noqa: D301 - click reads the backspace
    if sum((everywhere, bool(scopes), bool(place.workspace or place.project))) > 1:
        raise click.UsageError("say where to look in one way: --all, --scope, or --project with --workspace")
    remote = remote_of(ctx)
    query: dict[str, str | list[str]] = {"q": question, "limit": str(limit), **at_query(said)}
    if scopes:
        query["scope"] = list(scopes)
    elif not everywhere and (scope := place.scope_or_all(remote)):
        query |= scope.query
    query |= {key: "true" for key, chosen in (("expired", expired), ("explain", explain)) if chosen}
    found = _answered(remote, query) if answer else _found(remote, query)
    if degraded := found.get("degraded"):
        quiet(f"by words alone: {degraded}")
    hits = found["hits"]
    if as_json:
        click.echo(json.dumps(found if answer else hits, indent=2))
        return
    if answer:
        _show_answer(found)
    if not hits:
        say(f"no page or session says anything of {question!r}")
    for number, hit in enumerate(hits):
        if number:
            click.echo()
        _show(hit, explain=explain)


def _found(remote: Remote, query: Mapping[str, str | list[str]]) -> dict[str, Any]:
    headers: dict[str, str] = {}
    hits = remote.get("/admin/search", query, headers.update)
    return {"hits": hits, "degraded": headers.get(_DEGRADED)}


def _answered(remote: Remote, query: Mapping[str, str | list[str]]) -> dict[str, Any]:
    found: dict[str, Any] = remote.post(f"/admin/search?{urlencode(query, doseq=True)}", {}, patient=True)
    return found


def _show_answer(found: Mapping[str, Any]) -> None:
    """Show the answer with what it rests on, or why there is none; the hits follow."""
    if missing := found.get("answer_unavailable"):
        quiet(f"no answer: {missing}")
        return
    say(f"{found['answer']['text']}\n")
    for each in found["answer"]["citations"]:
        revision = f"@{each['revision'][:10]}" if each["revision"] else ""
        say(f"[{each['number']}] {each['workspace']}/{each['project']}  {each['path']}{revision}")
        say(f"    {each['quote']}")
    click.echo()


def _show(hit: Mapping[str, Any], *, explain: bool) -> None:
    heading = hit["heading"].removeprefix(hit["title"]).removeprefix("; ")
    say(f"{hit['title']} > {heading}" if heading else hit["title"])
    say(f"  {hit['workspace']}/{hit['project']}  {hit['path']}")
    if hit["snippet"]:
        who = f"{hit['turn']['kind']}, {local(hit['turn']['at'])}: " if "turn" in hit else ""
        click.echo(f"  {who}{marked(hit['snippet'])}")
    if explain:
        quiet(f"  found by {hit['why']}")
        for line in _details(hit.get("score_details") or {}):
            quiet(f"    {line}")


def _details(details: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{name}: number {place['rank']}, score {place['score']:.3f}, share {place['share']:.2f}"
        for name, place in details.get("streams", {}).items()
    ]
    return [*lines, f"standing × {details['factor']:.2f} = {details['fused']:.3f}"] if details else lines
