"""Writes docs/reference/*.md from the program's own tables; `--check` fails when a page is not current."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ai_memory.cli import COMMANDS, cli
from ai_memory.client.agents import AGENTS
from ai_memory.config import SETTINGS

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by bin/docs from the program; do not edit. -->\n\n"


def commands() -> str:
    """Every command's help, as a terminal of 80 columns shows it."""
    root = click.Context(cli, info_name="ai-memory", terminal_width=80, max_content_width=80)
    parts = [f"# Commands\n\n```\n{cli.get_help(root)}\n```\n"]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None  # noqa: S101 - the table names it
        parts += _command(command, click.Context(command, root, name))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context) -> list[str]:
    parts = [f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None  # noqa: S101 - the group lists it
            parts += _command(inner, click.Context(inner, context, name))
    return parts


def settings() -> str:
    """The table of settings."""
    rows = [f"| `{s.key}` | {'' if s.secret else f'`{_shown(s.default)}`'} | `{s.env}` | {s.help} |" for s in SETTINGS]
    head = (
        "# Settings\n\nOrder: default, `<data dir>/config.toml` (or `--config`), environment, flags.\n"
        "A dot in a key separates section and key. `ai-memory status` names the source of every value that is not "
        "the default.\n\n| key | default | environment | meaning |\n| --- | --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def agents() -> str:
    """The table of agents."""
    rows = [
        f"| {a.title} | `{a.name}` | {', '.join(f'`{x}`' for x in a.aliases)} | "
        f"{'yes' if a.injects else 'no'} | {', '.join(a.installed) or '(sends events by other means)'} |"
        for a in AGENTS.values()
    ]
    head = (
        "# Agents\n\n*Handoff shown*: whether text that a hook prints at session start was seen in a request of the "
        "agent's model; an agent without it never takes a handoff.\n\n"
        "| agent | wire name | aliases | handoff shown | events that `install-hooks` registers |\n"
        "| --- | --- | --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Write or check the pages."""
    stale = []
    for name, make in (("commands", commands), ("settings", settings), ("agents", agents)):
        page = PAGES / f"{name}.md"
        text = NOTE + make()
        if page.is_file() and page.read_text("utf-8") == text:
            continue
        if "--check" in sys.argv[1:]:
            stale.append(str(page.relative_to(PAGES.parent.parent)))
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, "utf-8")
    if stale:
        print(f"error: not current, run bin/docs: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    sys.exit(main())
