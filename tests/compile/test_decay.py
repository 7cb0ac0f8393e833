import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_memory.compile.decay import Decay

DECAY = Decay(age_rate=0.02, use=0.6, use_rate=0.04, cold=0.2)
days = st.floats(0, 10_000)


def test_a_new_page_weighs_one_and_a_page_that_nobody_reads_is_cold_after_eighty_days():
    assert DECAY.retention(0) == 1
    assert not DECAY.is_cold(DECAY.retention(80))
    assert DECAY.is_cold(DECAY.retention(81))


def test_the_weight_is_the_formula():
    expected = math.exp(-0.02 * 100) + 0.6 * math.log(1 + 3) * math.exp(-0.04 * 10)
    assert DECAY.retention(100, 3, 10) == pytest.approx(expected)


def test_reading_keeps_a_page_and_is_forgotten_too():
    assert not DECAY.is_cold(DECAY.retention(300, 1, 1))
    assert DECAY.is_cold(DECAY.retention(300, 1, 100))


def test_what_readers_said_weighs_in_the_age_alone():
    expected = 0.25 * math.exp(-0.02 * 100) + 0.6 * math.log(1 + 3) * math.exp(-0.04 * 10)
    assert DECAY.retention(100, 3, 10, salience=0.25) == pytest.approx(expected)
    assert (DECAY.is_cold(DECAY.retention(12, salience=0.25)), DECAY.is_cold(DECAY.retention(115, salience=2))) == (
        True,
        False,
    )


def test_no_threshold_means_that_nothing_goes_cold():
    assert not Decay(0.02, 0.6, 0.04, 0).is_cold(0.0)


@given(days, days, st.integers(0, 10**9), days)
def test_weight_never_grows_with_age_and_never_shrinks_with_reads(age, more, reads, since):
    assert DECAY.retention(age + more, reads, since) <= DECAY.retention(age, reads, since)
    assert DECAY.retention(age, reads + 1, since) >= DECAY.retention(age, reads, since) > 0


def test_a_clock_that_goes_back_makes_nothing_heavier_than_new():
    assert DECAY.retention(-5) == 1
