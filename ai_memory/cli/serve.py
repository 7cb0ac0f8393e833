"""`serve`, `init`, `generate-auth-token`."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from ai_memory.cli.remote import data_dir_option, settings_of
from ai_memory.config import template
from ai_memory.errors import StorageError
from ai_memory.store.files import private_folder, write_whole


@click.command()
@click.option(
    "--transport", type=click.Choice(["http"]), default="http", show_default=True, help="How clients connect."
)
@click.option("--bind", help="Address and port, default 127.0.0.1:49374.")
@click.option("--workspace", help="Workspace of events that name none, default 'default'.")
@click.option("--project", help="Project of events that say nothing of their place, default 'scratch'.")
@click.option("--http-stateful", is_flag=True, default=None, help="Keep a session for each MCP client.")
@click.option("--enable-web/--no-enable-web", default=None, help="Serve the wiki at /web and the API at /api/v1 (on).")
@click.option("--web-ui-dir", help="Serve this front end (a folder with index.html) instead of the built-in wiki.")
@click.option("--base-path", help="Serve everything under this path, such as /memory.")
@click.option("--web-slug", help="Path of the wiki below the base path, default /web.")
@click.option("--cors-allow-origin", multiple=True, help="Origin whose pages may ask /api/v1; may be given again.")
@click.option("--allow-insecure-no-auth", is_flag=True, help="Listen beyond this machine without a token.")
@data_dir_option
@click.pass_context
def serve(
    ctx: click.Context,
    transport: str,
    bind: str | None,
    workspace: str | None,
    project: str | None,
    http_stateful: bool | None,
    enable_web: bool | None,
    web_ui_dir: str | None,
    base_path: str | None,
    web_slug: str | None,
    cors_allow_origin: tuple[str, ...],
    allow_insecure_no_auth: bool,
    data_dir: Path | None,
) -> None:
    """Run the server until it is told to stop (Ctrl-C, SIGTERM); people read the memory at /web.

    Without a token only this machine may connect. To share it on your network:

    \b
      export AI_MEMORY_AUTH_TOKEN=$(ai-memory generate-auth-token)
      ai-memory serve --bind 0.0.0.0:49374
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    from ai_memory.server.run import serve as run

    del transport  # one today; the option is the wire's
    flags = {
        "bind": bind,
        "workspace": workspace,
        "project": project,
        "http_stateful": http_stateful,
        "enable_web": enable_web,
        "web_ui_dir": web_ui_dir,
        "base_path": base_path,
        "web_slug": web_slug,
        "cors_allow_origins": list(cors_allow_origin) or None,
    }
    run(settings_of(ctx, data_dir, **flags), insecure=allow_insecure_no_auth)


@click.command()
@click.option("--force", is_flag=True, help="Write config.toml anew, even if there is one.")
@click.pass_context
def init(ctx: click.Context, force: bool) -> None:
    """Make the data directory and a config.toml with every setting explained; safe to run again."""
    settings = settings_of(ctx)
    file = settings.config_file
    try:
        private_folder(settings.data_dir)
        if file.exists() and not force:
            click.echo(f"{file} is there already; nothing changed")
            return
        write_whole(file, template().encode())
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {file}")
    click.echo("next: ai-memory serve")


@click.command()
@click.option("--bytes", "count", type=click.IntRange(16, 1024), default=32, show_default=True, help="Random bytes.")
def generate_auth_token(count: int) -> None:
    """Print a new random token in hex, for AI_MEMORY_AUTH_TOKEN or [auth] bearer_token."""
    click.echo(secrets.token_hex(count))
