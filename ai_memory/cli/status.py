"""`status`: what the server and this machine's hooks did, and what went wrong."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ai_memory.capture.plain import harmless
from ai_memory.cli.remote import Remote, settings_of
from ai_memory.cli.shown import many
from ai_memory.client.notes import summary
from ai_memory.client.reach import server_url
from ai_memory.config import Settings, agent_environment, home_directory
from ai_memory.errors import AiMemoryError
from ai_memory.install.codex import trust_hint
from ai_memory.install.staging import bundle_folder
from ai_memory.install.target import Site
from ai_memory.memory.reports import PUT_RIGHT, STAGES, TROUBLES, worth_compacting

#: Of what stands beside the labels.
_WIDTH = 62
#: What a vendor of vectors was asked for, since when.
_SPANS = (("today", "today"), ("days_30", "30 days"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show what the server and this machine's hooks did, and what went wrong.

    Exits with 4 when no server answers (this machine's hooks are shown all the same).
    """
    settings = settings_of(ctx)
    remote = Remote(settings)
    client = summary(str(settings.data_dir))
    hints = [hint for hint in (_codex_hint(settings), *client["hints"]) if hint]
    error: AiMemoryError | None = None
    report: dict[str, Any] = {}
    try:
        report = remote.get("/admin/status")
    except AiMemoryError as unreachable:
        error = unreachable
    if as_json:
        client = {**client, "hints": hints, "server_url": server_url(str(settings.data_dir))}
        click.echo(json.dumps({**report, "spool": client.pop("spool"), "client": client}, indent=2))
    else:
        if report:
            _print_server(report)
        _print_client(client, server_url(str(settings.data_dir)), hints)
    if error:
        raise error


def _codex_hint(settings: Settings) -> str | None:
    site = Site(Path(home_directory()), agent_environment(), settings.data_dir, bundle_folder())
    return trust_hint(site)


def _print_server(report: dict[str, Any]) -> None:
    counts, derived = report["counts"], report["derived"]
    handoffs = counts["handoffs"]
    _row("version", f"{report['version']} (server, process {report['pid']})")
    _row("data directory", report["data_dir"])
    _row("listening on", report["bind"])
    for warning in report["warnings"]:
        _warn("look", warning)
    _row("projects", counts["projects"])
    _row("sessions", f"{counts['sessions']}, with {counts['observations']} observations")
    uncompiled, uncommitted = derived["sessions_uncompiled"], derived["sessions_uncommitted"]
    if uncompiled or uncommitted:
        _row("", f"pages of {uncompiled} to write, of {uncommitted} to commit")
    _row("pages", f"{counts['pages_latest']} (all versions: {counts['pages_all']})")
    searched = {what: (derived[f"{what}_fts_rows"], derived[f"{what}_rows"]) for what in ("pages", "observations")}
    missing = [f"{what} {there}/{rows}" for what, (there, rows) in searched.items() if there != rows]
    if missing:
        _warn("fts", f"{', '.join(missing)}: searches miss the rest")
        _warn("", "stop the server and run `ai-memory reindex`: it makes the index anew")
    unresolved = derived["unresolved_links_from_latest_pages"]
    _row("links", f"{derived['links_from_latest_pages']} (unresolved: {unresolved})")
    _print_embedding(report["providers"]["embedding"], derived)
    _print_model(report["providers"]["llm"], counts["jobs"])
    _print_pages(report["pages"])
    if derived["index_rebuilt"]:
        _row("index", f"made anew at the start: {derived['index_rebuilt']}")
    if report["state_lost"]:
        _warn("handoffs", "db/state.db was gone at the start: what was open is lost")
    _row("handoffs", f"{handoffs.get('open', 0)} open, {handoffs.get('accepted', 0)} taken")
    packets = counts["packets"]
    waiting = f", {packets['waiting']} wait to become pages" if packets["waiting"] else ""
    _row("packets", f"{packets['saved']} saved, {many(packets['drafts'], 'draft')}{waiting}")
    for stage, label in STAGES.items():
        meter = report["stages"][stage]
        done = [f"{key} {value}" for key, value in meter.items() if isinstance(value, int)]
        _row(label, ", ".join(done) or "nothing yet")
        if meter["last_error"]:
            _row("", f"last error {meter['last_error_at']}: {meter['last_error']}", "red")
    _print_storage(report["storage"])
    if damaged := report["storage"]["damaged_raw_lines"]:
        _row("raw log", f"{damaged} damaged lines were passed over", "red")
    for key, source in report["settings"].items():
        _row("setting", f"{key} from {source}")
    for key in report["unknown_settings"]:
        _row("setting", f"{key} is not known and has no effect", "yellow")


def _print_embedding(embedding: dict[str, Any], derived: dict[str, Any]) -> None:
    """Say what makes vectors, how far it is, and what is left of other models."""
    present = tuple(embedding.get(key) for key in ("provider", "model", "dim"))
    if not embedding["configured"]:
        _row("embedding", "none: searches go by words")
    else:
        shown = " ".join(str(each) for each in present if each is not None)
        trouble = embedding["state"] not in ("ready", "loading")
        _row("embedding", f"{shown}: {embedding['state']}", "yellow" if trouble else "")
        _row("", f"{embedding['embedded']} texts embedded, {embedding['waiting']} wait, {embedding['failed']} failed")
        if spend := embedding.get("spend"):
            sums = (f"{span}: {spend[key]['requests']} requests, {spend[key]['tokens']} tokens" for key, span in _SPANS)
            _row("", "; ".join(sums))
    for triple in derived["embedding_triples"]:
        name = (triple["provider"], triple["model"], triple["dim"])
        # Before the model is loaded nobody can tell.
        if name != present and (embedding.get("model") or not embedding["configured"]):
            _warn("", f"{triple['count']} vectors of {' '.join(map(str, name))} are not used")
            if embedding["configured"]:
                _warn("", "`ai-memory embed --force` drops them and embeds everything anew")


def _print_model(model: dict[str, Any], jobs: dict[str, int]) -> None:
    """Say who answers questions and what that cost, or what is off without; and what came of the work that asks."""
    if not model["configured"]:
        _row("model", "none, so these are off:")
        for feature in model["off"]:
            _lines(f"- {feature}")
        _lines(f"to have one, {model['hint']}")
    else:
        month = model["month"]
        _row("model", f"{model['model']} of {model['provider']}")
        budget = f" of ${month['budget']:.2f}" if month["budget"] else ""
        tokens = month["tokens_in"] + month["tokens_out"]
        spent = f"{many(month['calls'], 'call')}, {tokens} tokens, ${month['cost']:.2f}"
        _row("", f"this month: {spent}{budget}")
        if month["over_budget"]:
            _lines("llm.monthly_budget is spent: no model is asked until next month, or until you raise it", "yellow")
        if month["unpriced_calls"]:
            _warn("", f"the price of {many(month['unpriced_calls'], 'call')} is not known: put it into prices.toml")
        if model["warning"]:
            _lines(model["warning"], "yellow")
        if model["last_error"]:
            _lines(f"last error {model['last_error_at']}: {model['last_error']}", "red")
    if waiting := jobs["queued"] + jobs["leased"]:
        _row("jobs", f"{waiting} to do" + ("" if model["configured"] else ": they wait for a model"))
    if broken := jobs["failed"] + jobs["poison"]:
        _warn("jobs", f"{broken} failed: `ai-memory jobs list` says why, `jobs retry ID` tries one again")


def _print_storage(storage: dict[str, Any]) -> None:
    """Say what takes how much space, and whether some of it can be had back."""
    sizes = {
        "raw": storage["raw"]["bytes"],
        "pages": storage["wiki_bytes"],
        "git": storage["git_bytes"],
        "databases": storage["database_bytes"],
    }
    _row("storage", ", ".join(f"{what} {_megabytes(size)}" for what, size in sizes.items()))
    if reclaimable := worth_compacting(storage):
        _warn("", f"{_megabytes(reclaimable)} of the databases are reclaimable: run `ai-memory compact`")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _print_pages(pages: dict[str, Any]) -> None:
    """Name the pages that somebody should look at."""
    for each in pages["problems"]:
        _warn_of("problem", each["page"], each["problem"])
    _more(pages["with_problems"], pages["problems"])
    if pages["problems"]:
        _warn("", PUT_RIGHT)
    for trouble in TROUBLES:
        for page in pages[trouble.key]["first"]:
            _warn_of(trouble.label, page, trouble.what)
        _more(pages[trouble.key]["count"], pages[trouble.key]["first"])
        if pages[trouble.key]["first"]:
            _warn("", trouble.way_out)


def _warn_of(label: str, page: str, what: str) -> None:
    """Say what is wrong with a page, on two lines where one would be too long."""
    if len(page) + len(what) <= 60:
        _warn(label, f"{page}: {what}")
    else:
        _warn(label, page)
        _warn("", f"  {what}")


def _warn(label: str, text: str) -> None:
    _row(label, text, "yellow")


def _more(count: int, named: list[Any]) -> None:
    if count > len(named):
        _row("", f"and {count - len(named)} more")


def _print_client(client: dict[str, Any], url: str, hints: list[str]) -> None:
    spool = client["spool"]
    _row("hooks deliver to", url)
    pending = f"{spool['pending']} events waiting"
    if spool["pending"]:
        pending += f", the oldest for {spool['oldest_age_secs']:.0f} s, {spool['bytes']} bytes"
    if not spool["writable"]:
        pending += " (the spool cannot be written)"
    _row("spool", pending, "" if spool["writable"] else "red")
    for reason, number in client["waiting"].items():
        _row("", f"{number} wait: {reason}")
    done = [f"{kind} {number}" for kind, number in sorted(client["counts"].items())]
    _row("hooks", ", ".join(done) or "nothing yet")
    if error := client["last_error"]:
        at = datetime.fromtimestamp(error["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        _row("last hook error", f"{at} {error['kind']}: {error['detail']}", "yellow")
    for hint in hints:
        _row("hint", hint, "yellow")


def _lines(text: str, colour: str = "") -> None:
    """Say a sentence below a row, on as many lines as 80 columns need."""
    for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  "):
        _row("", line, colour)


def _row(label: str, value: object, colour: str = "") -> None:
    text = harmless(str(value))
    click.echo(f"{label:<17} {click.style(text, fg=colour) if colour else text}")
