"""What the installers have in common: a plan is shown, or carried out, tried and told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.shown import many, say
from ai_memory.config import agent_environment, home_directory
from ai_memory.errors import ConfigError
from ai_memory.install.command_line import check_data_dir
from ai_memory.install.plan import Applied, Plan, apply
from ai_memory.install.staging import bundle_folder
from ai_memory.install.target import SelfTest, Site

#: What stands in a file, by kind; the others are called as their kind.
_WHAT = {"mcp": "server entry"}
_SIGNS = {"arrived": "✓", "answered": "✓", "spooled": "!", "unreachable": "!", "failed": "✗"}


def site_of(data_dir: Path) -> Site:
    """Say where things are on this machine."""
    return Site(Path(home_directory()), agent_environment(), check_data_dir(data_dir), bundle_folder())


def show(plans: Sequence[Plan], *, as_json: bool) -> None:
    """Print what would change."""
    if as_json:
        agents = [_describe(plan) for plan in plans]
        click.echo(json.dumps({"applied": False, "agents": agents}, indent=2))
        return
    for plan in plans:
        if plan.changes:
            click.echo(f"{plan.target.title}: {plan.config}")
            click.echo(plan.diff() or "  (the file stays as it is)\n", nl=False)
            if plan.exposed:
                click.echo("  would keep others from reading it (mode 0600)")
            for file in plan.stage:
                click.echo(f"  would write {file.path}")
            for path in plan.unstage:
                click.echo(f"  would remove {path}")
            click.echo()
        elif plan.refused:
            click.echo(f"{plan.target.title}: {plan.refused}")
        else:
            click.echo(f"{plan.target.title}: nothing to do in {plan.config}.")
    if any(plan.changes for plan in plans):
        click.echo("Nothing was changed. Run it again with --apply to do so.")


def carry_out(plans: Sequence[Plan], site: Site, *, as_json: bool) -> None:
    """Change the files, try what was installed, and tell; a test that fails ends the program with 1."""
    now = int(time.time())
    reports = []
    title = ""
    for plan in plans:
        applied = apply(plan, site.data_dir, now)
        test = plan.target.check(plan.config, site)
        reports.append(_report(applied, site, test))
        if not as_json:
            title = _tell_title(plan, title)
            _tell_installed(applied, site, test)
    if as_json:
        click.echo(json.dumps({"applied": True, "agents": reports}, indent=2))
    if any(report.get("self_test") == "failed" for report in reports):
        sys.exit(1)


def take_out(plans: Sequence[Plan], site: Site) -> tuple[list[Applied], list[str]]:
    """Change the files; gives what was done, and for each file that was left alone the reason."""
    now = int(time.time())
    done: list[Applied] = []
    refused: list[str] = []
    broken = False
    for plan in plans:
        if not plan.changes and not plan.refused:
            continue
        try:
            # A file that could not be written still names programs of ours.
            done.append(apply(replace(plan, unstage=()) if broken else plan, site.data_dir, now))
        except ConfigError as error:
            refused.append(str(error))
            broken = broken or not plan.refused
    return done, refused


def tell_removed(done: Sequence[Applied], refused: Sequence[str], *, as_json: bool) -> None:
    """Tell what was taken out, and what was left alone and why."""
    if as_json:
        reports = [_describe(one.plan) | {"backup": _path(one.backup)} for one in done]
        left = {"refused": list(refused)} if refused else {}
        click.echo(json.dumps({"applied": True, "agents": reports, **left}, indent=2))
    else:
        _tell_taken_out(done)
        for sentence in refused:
            click.echo(f"✗ {sentence}")


def _tell_taken_out(done: Sequence[Applied]) -> None:
    title = ""
    for applied in done:
        plan = applied.plan
        title = _tell_title(plan, title)
        if plan.after is None and plan.before is not None:
            click.echo(f"  ✓ deleted {plan.config}")
        elif plan.before != plan.after:
            click.echo(f"  ✓ {_what(plan)} removed from {plan.config} ({_backup(applied)})")
        for path in plan.unstage:
            click.echo(f"  ✓ removed {path}")


def _tell_title(plan: Plan, last: str) -> str:
    """Head what is told next, if something else was told before; gives the head."""
    if plan.target.title != last:
        click.echo(plan.target.title)
    return plan.target.title


def _tell_installed(applied: Applied, site: Site, test: SelfTest | None) -> None:
    plan = applied.plan
    if plan.before == plan.after:
        click.echo(f"  ✓ {plan.config} is up to date already{', and now yours alone to read' * plan.exposed}")
    else:
        click.echo(f"  ✓ {_what(plan)} written to {plan.config} ({_backup(applied)})")
    if plan.stage:
        click.echo(f"  ✓ {many(len(plan.stage), 'file')} staged in {site.data_dir}")
    if test is not None:
        say(f"  {_SIGNS[test.state]} {test.detail}")
    for sentence in plan.target.advice(plan.config, site):
        click.echo(f"  → {sentence}")


def _what(plan: Plan) -> str:
    return _WHAT.get(plan.target.kind, plan.target.kind)


def _backup(applied: Applied) -> str:
    return f"backup: {applied.backup}" if applied.backup else "a new file"


def _path(path: Path | None) -> str | None:
    return str(path) if path else None


def _describe(plan: Plan) -> dict[str, Any]:
    return {
        "kind": plan.target.kind,
        "agent": plan.target.name,
        "config_file": str(plan.config),
        "changes": plan.changes,
        "diff": plan.diff(),
        "staged": [str(file.path) for file in plan.stage],
        "removed": [str(path) for path in plan.unstage],
        **({"refused": plan.refused} if plan.refused else {}),
    }


def _report(applied: Applied, site: Site, test: SelfTest | None) -> dict[str, Any]:
    advice = applied.plan.target.advice(applied.plan.config, site)
    report = {**_describe(applied.plan), "backup": _path(applied.backup), "next": list(advice)}
    return report | ({"self_test": test.state, "detail": test.detail} if test else {})
