"""`install-hooks`, `install-mcp` and `uninstall`: show what would change, and change it with --apply."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from ai_memory.cli.installing import carry_out, show, site_of, take_out, tell_removed
from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.client import reach
from ai_memory.client.agents import agent_named
from ai_memory.client.bridge import TOOLSETS
from ai_memory.config import Settings
from ai_memory.errors import BadRequestError
from ai_memory.install import hooks, instructions, mcp, skills
from ai_memory.install.mcp_clients import CLIENTS, client_named
from ai_memory.install.plan import TARGETS, plan_install, plan_uninstall
from ai_memory.install.staging import STRATEGIES, Connection, check_server_url, check_token
from ai_memory.install.target import Site, Target

_KINDS = (hooks.KIND, mcp.KIND, instructions.KIND, skills.KIND)

apply_option = click.option("--apply", "apply_", is_flag=True, help="Change the files; without it they are only shown.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
token_option = click.option("--auth-token", metavar="TOKEN", help="The server's token; stored in a file of mode 0600.")


def _hook_targets(names: Iterable[str]) -> list[Target]:
    """Find the agents that were named, each once."""
    found: dict[str, Target] = {}
    for name in names:
        target = TARGETS.get(agent_named(name).name)
        if target is None:
            raise BadRequestError(f"There are no hooks for {name!r}. Known agents: {', '.join(TARGETS)}.")
        found[target.name] = target
    return list(found.values())


def _connection(settings: Settings, project_strategy: str | None = None) -> Connection:
    given = settings.sources["server_url"] != "default"
    return Connection(
        # The default address must not replace one that an earlier install was given.
        server_url=settings["server_url"] if given else None,
        token=settings["auth.bearer_token"] or None,
        project_strategy=project_strategy,
    )


def _server_url(settings: Settings) -> str:
    given = settings.sources["server_url"] != "default"
    return check_server_url(settings["server_url"] if given else reach.server_url(str(settings.data_dir)))


@click.command("install-hooks")
@click.option("--agent", "agents", multiple=True, metavar="NAME", help=f"One of {', '.join(TARGETS)}. Repeatable.")
@apply_option
@click.option("--server-url", metavar="URL", help="Where the hooks find the server.")
@token_option
@data_dir_option
@click.option("--config-file", type=click.Path(path_type=Path, dir_okay=False), help="The agent's hooks file.")
@click.option("--project-strategy", type=click.Choice(STRATEGIES), help="How a directory names its project.")
@json_option
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
    targets = _hook_targets(agents)
    if not targets:
        raise BadRequestError(f"Name an agent with --agent. Known agents: {', '.join(TARGETS)}.")
    if config_file is not None and len(targets) > 1:
        raise BadRequestError("--config-file goes with one --agent only.")
    settings = settings_of(ctx, data_dir, **{"server_url": server_url, "auth.bearer_token": auth_token})
    site = site_of(settings.data_dir)
    plans = plan_install(targets, site, _connection(settings, project_strategy), config_file and config_file.absolute())
    if apply_:
        carry_out(plans, site, as_json=as_json)
    else:
        show(plans, as_json=as_json)


@click.command("install-mcp")
@click.option("--client", "clients", multiple=True, metavar="NAME", help=f"One of {', '.join(CLIENTS)}. Repeatable.")
@apply_option
@click.option("--server-url", metavar="URL", help="Where the server is.")
@token_option
@click.option("--name", default="", help="What the server is called in the client; default ai-memory.")
@click.option("--toolset", type=click.Choice(list(TOOLSETS)), default="wiki", show_default=True, help="Tools to offer.")
@click.option("--flavor", type=click.Choice(mcp.FLAVORS), help="A dialect of schemas that the model's vendor wants.")
@click.option(
    "--session-aware",
    is_flag=True,
    help="Claude Code only: through a program on this machine, which says session and directory.",
)
@data_dir_option
@click.option("--config-file", type=click.Path(path_type=Path, dir_okay=False), help="The client's file.")
@json_option
@click.pass_context
def install_mcp(
    ctx: click.Context,
    *,
    clients: tuple[str, ...],
    apply_: bool,
    server_url: str | None,
    auth_token: str | None,
    name: str,
    toolset: str,
    flavor: str | None,
    session_aware: bool,
    data_dir: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Add ai-memory to MCP clients. Shows what would change; --apply does it and tries it."""
    known = {client.name: client for client in map(client_named, clients)}
    if not known:
        raise BadRequestError(f"Name a client with --client. Known clients: {', '.join(CLIENTS)}.")
    if config_file is not None and len(known) > 1:
        raise BadRequestError("--config-file goes with one --client only.")
    settings = settings_of(ctx, data_dir, **{"server_url": server_url, "auth.bearer_token": auth_token})
    if toolset == "memories" and settings.sources["auth.bearer_token"] not in ("flag", "AI_MEMORY_AUTH_TOKEN"):
        # The token at hand is the owner's, whom this door does not know.
        raise BadRequestError(
            f"--toolset {toolset} takes the token of a user: give it with --auth-token or AI_MEMORY_AUTH_TOKEN "
            "(`ai-memory user add NAME` makes one)."
        )
    token = settings["auth.bearer_token"].strip() or reach.tokens(str(settings.data_dir))[0]
    door = mcp.Door(
        server_url=_server_url(settings),
        token=check_token(token) if token else "",
        toolset=toolset,
        name=name,
        flavor=flavor or "",
        bridged=session_aware,
    )
    site = site_of(settings.data_dir)
    targets = [mcp.target(client, door) for client in known.values()]
    plans = plan_install(targets, site, _connection(settings), config_file and config_file.absolute())
    if apply_:
        carry_out(plans, site, as_json=as_json)
    else:
        show(plans, as_json=as_json)


@click.command("uninstall")
@click.option("--agent", "agents", multiple=True, metavar="NAME", help="An agent or MCP client. Default: everything.")
@apply_option
@click.option("--only", type=click.Choice(_KINDS), help="Remove only this.")
@click.option("--server-url", metavar="URL", help="Remove the MCP entries of this server, too.")
@data_dir_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def uninstall(
    ctx: click.Context,
    *,
    agents: tuple[str, ...],
    apply_: bool,
    only: str | None,
    server_url: str | None,
    data_dir: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove ai-memory from agents, clients and this project. What was recorded, settings and token stay."""
    settings = settings_of(ctx, data_dir, server_url=server_url)
    site = site_of(settings.data_dir)
    by_kind = _removable(agents, mcp.Door(_server_url(settings)), site)
    groups = [targets for kind, targets in by_kind.items() if only in (None, kind)]
    plans = [plan for targets in groups for plan in plan_uninstall(targets, site) if plan.changes or plan.refused]
    if not apply_ and (plans or as_json):
        show(plans, as_json=as_json)
        if any(plan.refused for plan in plans):
            sys.exit(1)
        return
    if not plans:
        click.echo(json.dumps({"applied": True, "agents": []}) if as_json else "Nothing to remove.")
        return
    if not yes and sys.stdin.isatty():
        show(plans, as_json=False)
        click.confirm("Change these files?", abort=True)
    # Hooks and servers may stand in one file: what comes second is planned on what came first.
    parts = [take_out(plan_uninstall(targets, site), site) for targets in groups]
    refused = list(dict.fromkeys(why for _, left in parts for why in left))
    tell_removed([one for done, _ in parts for one in done], refused, as_json=as_json)
    if not as_json:
        click.echo(f"What was recorded stays in {site.data_dir}.")
    if refused:
        sys.exit(1)


def _removable(agents: tuple[str, ...], door: mcp.Door, site: Site) -> dict[str, list[Target]]:
    """What an uninstall looks at, by kind; with agents named only their hooks and servers."""
    here = Path.cwd()
    if not agents:
        every = tuple(skills.ROOTS)
        roots = (*skills.project_roots(every, here), *skills.global_roots(every, site))
        return {
            hooks.KIND: list(TARGETS.values()),
            mcp.KIND: [mcp.target(client, door) for client in CLIENTS.values()],
            instructions.KIND: [instructions.target(instructions.files_in(here))],
            skills.KIND: [skills.target(roots)],
        }
    clients = {client.name: client for client in map(client_named, agents)}
    return {
        hooks.KIND: _hook_targets(name for name in agents if agent_named(name).name in TARGETS),
        mcp.KIND: [mcp.target(client, door) for client in clients.values()],
    }
