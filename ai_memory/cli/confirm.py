"""Commands that destroy or move: they show what would happen until somebody says `--confirm`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def confirmed(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--confirm` and `--dry-run`, which exclude each other; it is called with `confirm`.

    Without either it only shows, as with `--dry-run`.
    """

    @functools.wraps(command)
    def with_confirm(*args: Any, confirm: bool, dry_run: bool, **options: Any) -> None:
        if confirm and dry_run:
            raise click.UsageError("--confirm and --dry-run exclude each other")
        command(*args, confirm=confirm, **options)

    with_confirm = click.option("--dry-run", is_flag=True, help="Only show what would happen.")(with_confirm)
    return click.option("--confirm", is_flag=True, help="Do it; without this it is only shown.")(with_confirm)


def mode(confirm: bool) -> dict[str, bool]:
    """Say in the body of a request whether it is to be done, or only to be shown."""
    return {"confirm": True} if confirm else {"dry_run": True}


def tell_unconfirmed() -> None:
    """Say that this was not done yet, and how it would be."""
    click.echo("nothing was changed: say it again with --confirm to do it")
