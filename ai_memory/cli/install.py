"""`install-hooks` and `uninstall`: show what would change, and change it with --apply."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.cli.shown import say
from ai_memory.client.agents import agent_named
from ai_memory.config import agent_environment, home_directory
from ai_memory.errors import BadRequestError
from ai_memory.install.command_line import check_data_dir
from ai_memory.install.plan import TARGETS, Applied, Plan, apply, plan_install, plan_uninstall
from ai_memory.install.staging import STRATEGIES, Connection, bundle_folder
from ai_memory.install.target import Site, Target
from ai_memory.install.verify import SelfTest, verify

_SIGNS = {"arrived": "✓", "spooled": "!", "failed": "✗"}


def _targets(names: Iterable[str]) -> list[Target]:
    """Find the agents that were named, each once."""
    found: dict[str, Target] = {}
    for name in names:
        target = TARGETS.get(agent_named(name).name)
        if target is None:
            raise BadRequestError(f"There are no hooks for {name!r}. Known agents: {', '.join(TARGETS)}.")
        found[target.agent.name] = target
    return list(found.values())


def _site(data_dir: Path) -> Site:
    return Site(Path(home_directory()), agent_environment(), check_data_dir(data_dir), bundle_folder())


@click.command("install-hooks")
@click.option("--agent", "agents", multiple=True, metavar="NAME", help=f"One of {', '.join(TARGETS)}. Repeatable.")
@click.option("--apply", "apply_", is_flag=True, help="Change the files; without it they are only shown.")
@click.option("--server-url", metavar="URL", help="Where the hooks find the server.")
@click.option("--auth-token", metavar="TOKEN", help="The server's token; stored in a file of mode 0600.")
@data_dir_option
@click.option("--config-file", type=click.Path(path_type=Path, dir_okay=False), help="The agent's hooks file.")
@click.option("--project-strategy", type=click.Choice(STRATEGIES), help="How a directory names its project.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def install_hooks(
    ctx: click.Context,
    *,
    agents: tuple[str, ...],
    apply_: bool,
    server_url: str | None,
    auth_token: str | None,
    data_dir: Path | None,
    config_file: Path | None,
    project_strategy: str | None,
    as_json: bool,
) -> None:
    """Wire ai-memory into coding agents. Shows what would change; --apply does it and tests it."""
    targets = _targets(agents)
    if not targets:
        raise BadRequestError(f"Name an agent with --agent. Known agents: {', '.join(TARGETS)}.")
    if config_file is not None and len(targets) > 1:
        raise BadRequestError("--config-file goes with one --agent only.")
    flags = {"server_url": server_url, "auth.bearer_token": auth_token}
    settings = settings_of(ctx, data_dir, **flags)
    given = settings.sources["server_url"] != "default"
    connection = Connection(
        # The default address must not replace one that an earlier install was given.
        server_url=settings["server_url"] if given else None,
        token=settings["auth.bearer_token"] or None,
        project_strategy=project_strategy,
    )
    site = _site(settings.data_dir)
    plans = plan_install(targets, site, connection, config_file and config_file.absolute())
    if not apply_:
        _show(plans, as_json)
        return
    now = int(time.time())
    tests = []
    for plan in plans:
        applied = apply(plan, site.data_dir, now)
        test = verify(plan.agent, site.data_dir)
        tests.append(_report(applied, site, test))
        if not as_json:
            _tell_installed(applied, site, test)
    if as_json:
        click.echo(json.dumps({"applied": True, "agents": tests}, indent=2))
    if any(test["self_test"] == "failed" for test in tests):
        sys.exit(1)


@click.command("uninstall")
@click.option("--agent", "agents", multiple=True, metavar="NAME", help="Default: all. Repeatable.")
@click.option("--apply", "apply_", is_flag=True, help="Change the files; without it they are only shown.")
@click.option("--only", type=click.Choice(["hooks"]), help="Remove only this kind of entries.")
@data_dir_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def uninstall(
    ctx: click.Context,
    *,
    agents: tuple[str, ...],
    apply_: bool,
    only: str | None,  # noqa: ARG001 - hooks are all there is to remove so far
    data_dir: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove ai-memory from coding agents. What was recorded, the settings and the token stay."""
    settings = settings_of(ctx, data_dir)
    site = _site(settings.data_dir)
    plans = plan_uninstall(_targets(agents or TARGETS), site)
    if not apply_:
        _show(plans, as_json)
        return
    changing = [plan for plan in plans if plan.changes]
    if changing and not yes and sys.stdin.isatty():
        _show(plans, as_json=False)
        click.confirm("Change these files?", abort=True)
    now = int(time.time())
    done = [apply(plan, site.data_dir, now) for plan in changing]
    if as_json:
        click.echo(json.dumps({"applied": True, "agents": [_report(one, site) for one in done]}, indent=2))
        return
    for one in done:
        _tell_removed(one)
    click.echo(f"What was recorded stays in {site.data_dir}." if done else "Nothing to remove.")


def _show(plans: list[Plan], as_json: bool) -> None:
    """Print what would change."""
    if as_json:
        agents = [_describe(plan) for plan in plans]
        click.echo(json.dumps({"applied": False, "agents": agents}, indent=2))
        return
    for plan in plans:
        if plan.changes:
            click.echo(f"{plan.agent.title}: {plan.config}")
            click.echo(plan.diff() or "  (the file stays as it is)\n", nl=False)
            for file in plan.stage:
                click.echo(f"  would write {file.path}")
            for path in plan.unstage:
                click.echo(f"  would remove {path}")
            click.echo()
        else:
            click.echo(f"{plan.agent.title}: nothing to do in {plan.config}.")
    if any(plan.changes for plan in plans):
        click.echo("Nothing was changed. Run it again with --apply to do so.")


def _tell_installed(applied: Applied, site: Site, test: SelfTest) -> None:
    plan = applied.plan
    click.echo(plan.agent.title)
    if plan.before == plan.after:
        click.echo(f"  ✓ {plan.config} is up to date already")
    else:
        click.echo(f"  ✓ hooks written to {plan.config} ({_backup(applied)})")
    if plan.stage:
        click.echo(f"  ✓ {len(plan.stage)} files staged in {site.data_dir}")
    say(f"  {_SIGNS[test.state]} {test.detail}")
    for sentence in plan.target.advice(plan.config, site):
        click.echo(f"  → {sentence}")


def _tell_removed(applied: Applied) -> None:
    plan = applied.plan
    click.echo(plan.agent.title)
    if plan.after is None and plan.before is not None:
        click.echo(f"  ✓ deleted {plan.config}")
    elif plan.before != plan.after:
        click.echo(f"  ✓ hooks removed from {plan.config} ({_backup(applied)})")
    for path in plan.unstage:
        click.echo(f"  ✓ removed {path}")


def _backup(applied: Applied) -> str:
    return f"backup: {applied.backup}" if applied.backup else "a new file"


def _describe(plan: Plan) -> dict[str, Any]:
    return {
        "agent": plan.agent.name,
        "config_file": str(plan.config),
        "changes": plan.changes,
        "diff": plan.diff(),
        "staged": [str(file.path) for file in plan.stage],
        "removed": [str(path) for path in plan.unstage],
    }


def _report(applied: Applied, site: Site, test: SelfTest | None = None) -> dict[str, Any]:
    backup = str(applied.backup) if applied.backup else None
    report = {**_describe(applied.plan), "backup": backup}
    if test is not None:
        advice = applied.plan.target.advice(applied.plan.config, site)
        report |= {"self_test": test.state, "detail": test.detail, "next": list(advice)}
    return report
