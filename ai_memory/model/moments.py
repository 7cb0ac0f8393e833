"""Moments as people say them: `2026-11-21`, `2026-11-21 10:00`, `yesterday`, `3 days ago`, in the local time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

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


@dataclass(frozen=True, slots=True)
class Moment:
    """What a moment covers, in UTC: a day its first and its last microsecond, and so an hour, a minute, a second."""

    first: datetime
    last: datetime


def moment_of(said: str, now: datetime) -> Moment | None:
    """Read a moment.

    Args:
        said: what somebody typed.
        now: the present, with a zone.

    Returns:
        None for what does not look like a moment at all.

    Raises:
        ValueError: it looks like one, and there is none such.
    """
    words = " ".join(said.lower().split())
    ago = _AGO.fullmatch(words)
    try:
        if ago and ago[2] in ("minute", "hour"):
            then = now.astimezone(UTC) - timedelta(**{f"{ago[2]}s": int(ago[1])})
            return Moment(then, then)
        if ago:
            return _day(now.astimezone().date() - timedelta(**{f"{ago[2]}s": int(ago[1])}))
        if words in ("today", "yesterday"):
            return _day(now.astimezone().date() - timedelta(days=words == "yesterday"))
        if not _DATE.fullmatch(words):
            return None
        if len(words) == len("2026-11-21"):
            return _day(date.fromisoformat(words))
        first = datetime.fromisoformat(words.upper()).astimezone(UTC)
        return Moment(first, first + _LASTS.get(len(_ZONE.sub("", words)), _INSTANT) - _INSTANT)
    except (ValueError, OverflowError):
        raise ValueError(f"there is no {said!r}") from None


def _day(day: date) -> Moment:
    first, last = (datetime.combine(day, of_day).astimezone(UTC) for of_day in (time.min, time.max))
    return Moment(first, last)
