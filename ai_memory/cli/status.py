"""`status`: what the server and this machine's hooks did, and what went wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.remote import Remote, settings_of
from ai_memory.client.notes import summary
from ai_memory.client.reach import server_url
from ai_memory.config import Settings, agent_environment, home_directory
from ai_memory.errors import AiMemoryError
from ai_memory.install.codex import trust_hint
from ai_memory.install.staging import bundle_folder
from ai_memory.install.target import Site

_STAGES = {"ingest": "events", "compile": "checkpoints", "handoffs": "session starts", "catch_up": "read at start"}


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
    _row("projects", counts["projects"])
    _row("sessions", f"{counts['sessions']}, with {counts['observations']} observations")
    waiting = f"{derived['sessions_uncompiled']} to write, {derived['sessions_uncommitted']} to commit"
    _row("pages", f"{counts['pages_latest']} of sessions, {waiting if any(derived.values()) else 'all committed'}")
    _row("handoffs", f"{handoffs.get('open', 0)} open, {handoffs.get('accepted', 0)} taken")
    for stage, label in _STAGES.items():
        meter = report["stages"][stage]
        done = [f"{key} {value}" for key, value in meter.items() if isinstance(value, int)]
        _row(label, ", ".join(done) or "nothing yet")
        if meter["last_error"]:
            _row("", click.style(f"last error {meter['last_error_at']}: {meter['last_error']}", fg="red"))
    if damaged := report["storage"]["damaged_raw_lines"]:
        _row("raw log", click.style(f"{damaged} damaged lines were passed over", fg="red"))
    for key, source in report["settings"].items():
        _row("setting", f"{key} from {source}")
    for key in report["unknown_settings"]:
        _row("setting", click.style(f"{key} is not known and has no effect", fg="yellow"))


def _print_client(client: dict[str, Any], url: str, hints: list[str]) -> None:
    spool = client["spool"]
    _row("hooks deliver to", url)
    pending = f"{spool['pending']} events waiting"
    if spool["pending"]:
        pending += f", the oldest for {spool['oldest_age_secs']:.0f} s, {spool['bytes']} bytes"
    if not spool["writable"]:
        pending += click.style(" (the spool cannot be written)", fg="red")
    _row("spool", pending)
    for reason, number in client["waiting"].items():
        _row("", f"{number} wait: {reason}")
    done = [f"{kind} {number}" for kind, number in sorted(client["counts"].items())]
    _row("hooks", ", ".join(done) or "nothing yet")
    if error := client["last_error"]:
        at = datetime.fromtimestamp(error["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        _row("last hook error", click.style(f"{at} {error['kind']}: {error['detail']}", fg="yellow"))
    for hint in hints:
        _row("hint", click.style(hint, fg="yellow"))


def _row(label: str, value: object) -> None:
    click.echo(f"{label:<17} {value}")
