"""Moments as people say them: `2026-11-21`, `2026-11-21T10:00`, `yesterday`, `3 days ago`, in the local time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from ai_memory.errors import BadRequestError

_DATE = re.compile(r"\d{4}-\d\d-\d\d.*")
_AGO = re.compile(r"(\d{1,5}) days? ago")


def moment_of(said: str, now: datetime) -> datetime | None:
    """Read a moment; a day means its end.

    Args:
        said: what somebody typed.
        now: the present, with a zone.

    Returns:
        the moment in UTC, None for what is no moment but perhaps a revision.

    Raises:
        BadRequestError: it looks like a date, and is none.
    """
    words = " ".join(said.lower().split())
    ago = _AGO.fullmatch(words)
    try:
        if ago or words == "yesterday":
            return _end_of(now.astimezone().date() - timedelta(days=int(ago[1]) if ago else 1))
        if not _DATE.fullmatch(words):
            return None
        if len(words) == len("2026-11-21"):
            return _end_of(date.fromisoformat(words))
        return datetime.fromisoformat(words.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequestError(
            f"{said!r} is not a time: write 2026-11-21, 2026-11-21T10:00, yesterday or '3 days ago'"
        ) from None


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max).astimezone(UTC)
