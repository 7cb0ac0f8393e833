"""`mcp`: the server over stdin and stdout, for clients that start a program."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.client import reach
from ai_memory.client.bridge import TOOLSETS, Bridge
from ai_memory.client.own_server import OwnServer

#: A server of one's own reads models and recovers what was left before it answers.
_PATIENCE_SECONDS = 20.0


@click.command()
@click.option("--server-url", help="The server to pass everything on to, default as the hooks have it.")
@click.option("--toolset", type=click.Choice(list(TOOLSETS)), default="wiki", show_default=True, help="Tools to offer.")
@click.option("--embedded", is_flag=True, help="Start a server if none runs, and stop it at the end.")
@data_dir_option
@click.pass_context
def mcp(ctx: click.Context, server_url: str | None, toolset: str, embedded: bool, data_dir: Path | None) -> None:
    """Speak MCP on stdin and stdout, for clients that start a program (`install-mcp` writes the entry).

    Everything is passed on to the running server. What install-mcp writes starts faster than this command
    and does the same.
    """
    if server_url and embedded:
        raise click.UsageError("say either --server-url or --embedded, which has a server of its own")
    settings = settings_of(ctx, data_dir, server_url=server_url)
    where = str(settings.data_dir)
    named = settings.sources["server_url"] != "default"
    url = settings["server_url"] if named else reach.server_url(where)
    token = settings["auth.bearer_token"].strip()
    if not embedded:
        Bridge(lambda: url, where, toolset, token=token).run()
        return
    command = [sys.executable, "-m", "ai_memory", "serve", "--data-dir", where, "--bind", "127.0.0.1:0"]
    server = OwnServer(command, where, url)
    try:
        Bridge(server.url, where, toolset, token=token, patience=_PATIENCE_SECONDS).run()
    finally:
        server.stop()
