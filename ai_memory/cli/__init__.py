"""The command line: click groups, one file a noun, loaded when asked for."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from ai_memory import __version__
from ai_memory.errors import AiMemoryError

#: command -> (module, object, one line of help). The line stands here, so that `--help` loads no command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("demo", "demo", "See the whole thing work in a few seconds, on data of its own."),
    "init": ("serve", "init", "Make the data directory and its config.toml."),
    "serve": ("serve", "serve", "Run the server."),
    "mcp": ("mcp", "mcp", "Speak MCP on stdin and stdout, for clients that start a program."),
    "status": ("status", "status", "Show what the server and this machine's hooks did, and what went wrong."),
    "where": ("place", "where", "Say which workspace and project a directory belongs to, and why."),
    "briefing": ("care", "briefing", "Show how a project stands: rules, slots, what changed last, how busy it was."),
    "search": ("search", "search", "Find pages and sessions by what they say or mean."),
    "read-page": ("pages", "read_page", "Read a page, by its path or by what it is about."),
    "write-page": ("pages", "write_page", "Write a page."),
    "delete-page": ("pages", "delete_page", "Delete a page; git keeps its history."),
    "history": ("history", "history", "List the versions of a page."),
    "show": ("history", "show", "Print a page, as it is or as it was; or a packet, by its id."),
    "diff": ("history", "diff", "Compare two revisions of a page."),
    "restore-page": ("history", "restore_page", "Write a page as it was; also what undoes a delete."),
    "checkpoints": ("history", "checkpoints", "List the newest commits of the wiki."),
    "commit": ("history", "commit", "Commit everything of the wiki as it is on disk."),
    "export-okf": ("export", "export_okf", "Write a project as an Open Knowledge Format bundle."),
    "import-records": ("records", "import_records", "Bring in a folder of records, a JSON file each, as pages."),
    "bootstrap": ("bootstrap", "bootstrap", "Write a project's first pages from its repository, with a model."),
    "backfill": ("backfill", "backfill", "Bring in sessions that agents had before their hooks were installed."),
    "reindex": ("reindex", "reindex", "Make the index anew from the files (while no server runs)."),
    "embed": ("embed", "embed", "Turn texts into vectors now, for search by meaning."),
    "llm-test": ("llm", "llm_test", "Ask the configured model one question, and show what it cost."),
    "llm-usage": ("jobs", "llm_usage", "Show what models were asked this month, and what that cost."),
    "jobs": ("jobs", "jobs", "List the work that asks a model, try it again, or give it up."),
    "narrative": ("jobs", "narrative", "Say how far a project's narrative goes, and bring it up to date."),
    "auto-improve": ("pending", "auto_improve", "Have a model propose what the pages should learn from a session."),
    "pending-writes": ("pending", "pending_writes", "List what a model proposes to write down, and decide about it."),
    "models": ("models", "models", "Install, list and remove models of this machine, for search by meaning."),
    "install-hooks": (
        "install",
        "install_hooks",
        "Wire agents: register the capture hooks (dry run without --apply).",
    ),
    "install-mcp": ("install", "install_mcp", "Add the MCP server to clients (dry run without --apply)."),
    "install-instructions": (
        "instructions",
        "install_instructions",
        "Write the block about ai-memory into CLAUDE.md, AGENTS.md and GEMINI.md, and the skills.",
    ),
    "install-skills": ("instructions", "install_skills", "Write the skills about ai-memory."),
    "uninstall": (
        "install",
        "uninstall",
        "Remove everything that was installed into agents (dry run without --apply).",
    ),
    "handoffs": ("handoffs", "handoffs", "List the handoffs that wait for the next session."),
    "handoff": ("handoffs", "handoff", "Begin, accept or cancel a handoff by hand."),
    "finalize-session": (
        "handoffs",
        "finalize_session",
        "Close sessions whose agent never said that they were over.",
    ),
    "save": ("packets", "save", "Save where the work stands as a packet, which any agent anywhere can go on from."),
    "resume": ("packets", "resume", "Give what the next agent should read to go on from a packet."),
    "ls": ("packets", "list_packets", "List packets."),
    "pull": ("packets", "pull", "Print a packet as JSON."),
    "push": ("packets", "push", "Send a packet from a file."),
    "write": ("packets", "write", "Make a packet of a session, or of a JSON file."),
    "rm": ("packets", "remove", "Delete a packet."),
    "example": ("packets", "example", "Print a packet that has every field."),
    "packet": ("packets", "packet_group", "Check and clean packets in files, without a server."),
    "auth": ("auth", "auth", "Sign in at a server of packets."),
    "whoami": ("auth", "whoami", "Say which server of packets is used, and with which token."),
    "teams": ("teams", "teams", "Make teams, whose members share packets."),
    "invite": ("teams", "invite", "Invite somebody to a team."),
    "join": ("teams", "join", "Join a team by an invite."),
    "ltm-server": ("ltm_server", "ltm_server", "Serve packets alone, and give out the tokens of those who use them."),
    "list-projects": ("projects", "list_projects", "List the projects of all workspaces."),
    "rename-project": ("projects", "rename_project", "Give a project another name; the old one goes on leading to it."),
    "rename-workspace": ("projects", "rename_workspace", "Give a workspace another name."),
    "move-project": ("projects", "move_project", "Move a project to another workspace (dry run without --confirm)."),
    "move-session": ("projects", "move_session", "Move a session to another project (dry run without --confirm)."),
    "purge-session": ("projects", "purge_session", "Delete a session for good (dry run without --confirm)."),
    "purge-project": ("projects", "purge_project", "Delete a project for good (dry run without --confirm)."),
    "lint": ("care", "lint", "Say what somebody should look at in a project's pages."),
    "forget-sweep": ("upkeep", "forget_sweep", "Delete pages that expired or went cold (dry run without --confirm)."),
    "compact": ("upkeep", "compact", "Give the disk space back that deleted things still take."),
    "backup": ("backup", "backup", "Save everything durable of the running server in one archive."),
    "restore": ("backup", "restore", "Put a backup in the place of the data directory's pages, logs and handoffs."),
    "reset": ("backup", "reset", "Delete all pages, logs and handoffs (dry run without --confirm)."),
    "user": ("users", "user", "Add, list and remove users, whose agents keep memories of their own."),
    "generate-auth-token": ("serve", "generate_auth_token", "Print a new random token."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the commands in the order of the table: the way a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"ai_memory.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept (AI_MEMORY_DATA_DIR).",
)
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="Another config.toml.")
@click.version_option(__version__, prog_name="ai-memory")
@click.pass_context
def cli(ctx: click.Context, data_dir: Path | None, config_file: Path | None) -> None:
    """One long-term memory that your coding agents share.

    \b
    Start here:
      ai-memory demo                                    see it work
      ai-memory serve                                   run the server
      ai-memory install-hooks --agent claude-code --apply
      ai-memory install-hooks --agent codex --apply     wire your agents

    Then work as always. Quit one agent in the middle, start the other in the same
    directory: it begins with the handoff.

    Exit codes: 0 done, 1 not found or refused, 2 wrong usage or settings,
    3 data directory not usable, 4 no server answers.
    """  # noqa: D301 - \b is click's mark for a paragraph that is not re-wrapped
    ctx.obj = (data_dir, config_file)


def main() -> None:
    """Run the command line; an expected error is one line and its exit code, never a traceback."""
    try:
        try:
            cli(prog_name="ai-memory")
        finally:
            # What waits in the buffer may still be refused.
            sys.stdout.flush()
    except AiMemoryError as error:
        from ai_memory.capture.plain import harmless

        # It may name what is stored, or what an archive says of itself.
        click.echo(f"error: {harmless(str(error))}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Somebody read the first lines (`ai-memory status | head`) and closed the pipe.
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        if error.filename is not None:
            raise
        # Of standard output: /dev/full, a disk without room. What is left of it must not be tried again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"error: standard output cannot be written: {error.strerror}", err=True)
        sys.exit(1)
