"""Moments as people say them: `2026-11-21`, `2026-11-21 10:00`, `yesterday`, `3 days ago`, in the local time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from ai_memory.errors import BadRequestError

FORMS = "2026-11-21, 2026-11-21T10:00, today, yesterday, '3 days ago' (or minutes, hours, weeks)"
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*")
_AGO = re.compile(r"(\d{1,5}) (minute|hour|day|week)s? ago")
_ZONE = re.compile(r"(z|[+-]\d\d:?\d\d)$")
#: How long a time lasts that says no more, by the length of its text: `history` shows minutes.
_LASTS = {
    len("2026-11-21T10"): timedelta(hours=1),
    len("2026-11-21T10:00"): timedelta(minutes=1),
    len("2026-11-21T10:00:00"): timedelta(seconds=1),
}
_INSTANT = timedelta(microseconds=1)


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
    words = " ".join(said.lower().split())
    ago = _AGO.fullmatch(words)
    try:
        if ago and ago[2] in ("minute", "hour"):
            return now.astimezone(UTC) - timedelta(**{f"{ago[2]}s": int(ago[1])})
        if ago:
            return _end_of(now.astimezone().date() - timedelta(**{f"{ago[2]}s": int(ago[1])}))
        if words in ("today", "yesterday"):
            return _end_of(now.astimezone().date() - timedelta(days=words == "yesterday"))
        if not _DATE.fullmatch(words):
            return None
        if len(words) == len("2026-11-21"):
            return _end_of(date.fromisoformat(words))
        lasts = _LASTS.get(len(_ZONE.sub("", words)), _INSTANT)
        return datetime.fromisoformat(words.upper()).astimezone(UTC) + lasts - _INSTANT
    except (ValueError, OverflowError):
        raise no_time(said) from None


def no_time(said: str) -> BadRequestError:
    """Say that something is not a time, and how to write one."""
    return BadRequestError(f"{said!r} is not a time: write {FORMS}")


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max).astimezone(UTC)
