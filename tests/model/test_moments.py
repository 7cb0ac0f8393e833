from datetime import UTC, datetime

import pytest

from ai_memory.model.moments import moment_of

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("2026-11-21", "2026-11-21T00:00:00+00:00", "2026-11-21T23:59:59.999999+00:00"),
        ("yesterday", "2026-11-20T00:00:00+00:00", "2026-11-20T23:59:59.999999+00:00"),
        ("3 days ago", "2026-11-18T00:00:00+00:00", "2026-11-18T23:59:59.999999+00:00"),
        ("2026-11-21T10", "2026-11-21T10:00:00+00:00", "2026-11-21T10:59:59.999999+00:00"),
        ("2026-11-21 10:00Z", "2026-11-21T10:00:00+00:00", "2026-11-21T10:00:59.999999+00:00"),
        ("2026-11-21T10:00:00.5Z", "2026-11-21T10:00:00.500000+00:00", "2026-11-21T10:00:00.500000+00:00"),
        ("45 minutes ago", "2026-11-21T08:45:00+00:00", "2026-11-21T08:45:00+00:00"),
    ],
)
def test_a_moment_lasts_from_its_first_to_its_last_microsecond(said, first, last):
    moment = moment_of(said, NOW)
    assert (moment.first.isoformat(), moment.last.isoformat()) == (first, last)


@pytest.mark.parametrize("said", ["2026-02-30", "2026-11-21T25:00", "9999-12-31T23:59:59-10:00"])
def test_there_is_no_such_moment(said):
    with pytest.raises(ValueError, match=said):
        moment_of(said, NOW)


def test_what_does_not_look_like_a_moment_is_none():
    assert [moment_of(said, NOW) for said in ("", "main", "20261121")] == [None, None, None]
