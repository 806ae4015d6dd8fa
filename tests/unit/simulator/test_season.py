from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siyu.simulator.season import season


def factor_on(day: date) -> float:
    return float(season(day, 1).factor[0])


@pytest.mark.parametrize("festival", [date(2025, 1, 29), date(2026, 2, 17)])
def test_spring_festival_moves_with_the_moon(festival: date) -> None:
    # The same weekday two weeks before the festival and on it.
    before = date.fromordinal(festival.toordinal() - 14)
    assert factor_on(before) > 3 * factor_on(festival)


def test_singles_day_is_the_busiest_day_of_the_year() -> None:
    year = season(date(2025, 1, 1), 365)
    assert date.fromordinal(year.first_day.toordinal() + int(year.factor.argmax())) in (
        date(2025, 11, 10),
        date(2025, 11, 11),
    )


def test_a_weekend_beats_a_weekday() -> None:
    assert factor_on(date(2025, 4, 12)) > factor_on(date(2025, 4, 9))


def test_days_outside_the_known_festivals_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="add the year to SPRING_FESTIVALS"):
        season(date(1999, 1, 1), 10)


@given(start=st.integers(0, 380), length=st.integers(1, 380), seed=st.integers(0, 99))
def test_a_drawn_day_lies_in_its_bounds_and_in_the_season(
    start: int, length: int, seed: int
) -> None:
    year = season(date(2025, 1, 1), 400)
    starts, ends = np.array([start]), np.array([start + length])
    (day,) = year.draw(np.random.default_rng(seed), starts, ends)
    assert start <= day < min(start + length, year.days)


def test_drawn_days_follow_the_factors() -> None:
    year = season(date(2025, 11, 1), 20)
    count = 40_000
    drawn = year.draw(np.random.default_rng(1), np.zeros(count, int), np.full(count, 20))
    shares = np.bincount(drawn, minlength=20) / count
    np.testing.assert_allclose(shares, year.factor / year.factor.sum(), atol=0.01)
