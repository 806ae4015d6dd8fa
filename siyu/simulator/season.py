"""The Chinese retail year as factors by day.

What belongs here: weekdays, shopping festivals, and drawing days by them. What does not: people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from siyu.simulator.draws import Floats, Ints
from siyu.simulator.parameters import SPRING_FESTIVALS

_WEEKDAY = (0.90, 0.88, 0.90, 0.93, 1.08, 1.28, 1.22)


@dataclass(frozen=True)
class Season:
    """Demand by day relative to an ordinary day, and its running total.

    Attributes:
        first_day: Local day 0.
        factor: One number a day.
        total: Sum of factors before each day; one longer than ``factor``.
    """

    first_day: date
    factor: Floats
    total: Floats

    @property
    def days(self) -> int:
        """How many days there are."""
        return len(self.factor)

    def between(self, start: Ints, end: Ints) -> Floats:
        """Sum of factors of the days in ``[start, end)``; zero where there are none."""
        last = self.days
        low, high = np.clip(start, 0, last), np.clip(end, 0, last)
        return np.maximum(self.total[high] - self.total[low], 0.0)

    def draw(self, rng: np.random.Generator, start: Ints, end: Ints) -> Ints:
        """One day in each ``[start, end)``, by the factors."""
        last = self.days
        low, high = self.total[np.clip(start, 0, last)], self.total[np.clip(end, 0, last)]
        aim = low + rng.random(len(low)) * (high - low)
        found = np.searchsorted(self.total, aim, side="right") - 1
        return np.clip(found, start, np.minimum(end, last) - 1).astype(np.int64)


def season(first_day: date, days: int) -> Season:
    """The season of ``days`` days.

    Raises:
        ValueError: the days leave the years whose Spring Festival is known.
    """
    known = {festival.year: festival for festival in SPRING_FESTIVALS}
    last_day = first_day + timedelta(days=days - 1)
    for year in (first_day.year, last_day.year):
        if year not in known:
            raise ValueError(
                f"{year}: Spring Festival is known for {min(known)} to {max(known)}; "
                "choose days within, or add the year to SPRING_FESTIVALS"
            )
    each = [first_day + timedelta(days=n) for n in range(days)]
    factor = np.array([_factor(day, known[day.year]) for day in each])
    return Season(first_day, factor, np.concatenate([[0.0], np.cumsum(factor)]))


def _factor(day: date, festival: date) -> float:
    return _WEEKDAY[day.weekday()] * _spring_festival(day, festival) * _shopping_festival(day)


def _spring_festival(day: date, festival: date) -> float:
    """People stock up for three weeks, then stay with their families for one."""
    distance = (day - festival).days
    if -24 <= distance <= -4:
        return 1.6
    if -3 <= distance <= 6:
        return 0.4
    return 1.0


def _shopping_festival(day: date) -> float:
    when = (day.month, day.day)
    if when in ((11, 10), (11, 11)):
        return 3.4
    if (11, 1) <= when <= (11, 9):
        return 1.5
    if (6, 16) <= when <= (6, 18):
        return 2.8
    if (6, 1) <= when <= (6, 15):
        return 1.4
    if when == (12, 12):
        return 1.9
    if (3, 5) <= when <= (3, 8):
        return 1.4
    if (10, 1) <= when <= (10, 7):
        return 1.3
    return 1.0
