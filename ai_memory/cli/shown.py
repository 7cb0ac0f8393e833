"""How commands show stored text: without anything that a terminal would act upon, times in the local zone."""

from __future__ import annotations

import re
import sys
from datetime import datetime

import click

from ai_memory.capture.plain import harmless

#: A time of an answer: RFC 3339, UTC.
_STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MARK = re.compile(r"<mark>(.*?)</mark>", re.DOTALL)


def say(text: str) -> None:
    """Print text that may hold stored text."""
    click.echo(harmless(text))


def quiet(text: str) -> None:
    """Say something aside, on stderr."""
    click.secho(harmless(text), dim=True, err=True)


def say_exactly(text: str) -> None:
    """Print a stored text: byte for byte into a file or pipe, harmless on a terminal."""
    if sys.stdout.isatty():
        click.echo(harmless(text), nl=False)
    else:
        with click.open_file("-", "wb") as out:
            out.write(text.encode())


def many(number: int, what: str) -> str:
    """Say how many of something there are: "1 page", "2 pages"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def marked(snippet: str) -> str:
    """Show a search result's words in colour; where there is no colour the marks are left out."""
    line = " ".join(harmless(snippet).split())
    return _MARK.sub(lambda match: click.style(match[1], fg="yellow", bold=True), line)


def local(stamp: str) -> str:
    """Show a time of an answer (RFC 3339) in the local zone, to the minute."""
    return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M}"


def with_local_times(text: str) -> str:
    """Show the times in a sentence of the server in the local zone, as everything else here does."""
    return _STAMP.sub(lambda match: local(match[0]), text)


def coloured(diff: str) -> str:
    """Show a unified diff in colour, where there is colour."""
    return "".join(_line(line) for line in harmless(diff).splitlines(keepends=True))


def _line(line: str) -> str:
    if line.startswith(("---", "+++")):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line
