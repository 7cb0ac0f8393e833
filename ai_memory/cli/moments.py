"""Moments on the command line: what was typed means the end of it, and what is none is refused with the forms."""

from __future__ import annotations

from datetime import datetime

from ai_memory.errors import BadRequestError
from ai_memory.model import moments

FORMS = "2026-11-21, 2026-11-21T10:00, today, yesterday, '3 days ago' (or minutes, hours, weeks)"


def moment_of(said: str, now: datetime) -> datetime | None:
    """Read a moment; a day means its end, and so does a minute or a second.

    Args:
        said: what somebody typed.
        now: the present, with a zone.

    Returns:
        the moment in UTC, None for what is no moment but perhaps a revision.

    Raises:
        BadRequestError: it looks like a date, and is none.
    """
    try:
        moment = moments.moment_of(said, now)
    except ValueError:
        raise no_time(said) from None
    return moment.last if moment else None


def no_time(said: str) -> BadRequestError:
    """Say that something is not a time, and how to write one."""
    return BadRequestError(f"{said!r} is not a time: write {FORMS}")
