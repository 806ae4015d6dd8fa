"""The simulated world as one value, and how its clock is written down.

What belongs here: putting the parts together in the order in which they depend on each other. What
does not: files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from siyu.simulator.catalogue import Catalogue, make_catalogue
from siyu.simulator.dirt import Dirt
from siyu.simulator.draws import Bools, Ints, Streams
from siyu.simulator.identities import Identities, make_identities
from siyu.simulator.marketing import Marketing, make_marketing
from siyu.simulator.parameters import DAY, UTC_OFFSET_SECONDS
from siyu.simulator.people import People, make_people
from siyu.simulator.purchases import STORE, Purchases, make_purchases
from siyu.simulator.season import Season, season
from siyu.simulator.sessions import Sessions, make_sessions


@dataclass(frozen=True)
class Clock:
    """Turns simulated seconds and days into what systems write.

    Seconds count from local midnight of the first day.

    Attributes:
        first_day: Local day 0.
        days: How many days are simulated.
    """

    first_day: date
    days: int

    @property
    def end(self) -> int:
        """The first second that is not simulated."""
        return self.days * DAY

    def local(self, seconds: Ints, missing: Bools | None = None) -> pa.Array:
        """Local timestamps without a zone."""
        return pa.array(seconds + self._epoch, pa.timestamp("s"), mask=missing)

    def text(self, seconds: Ints, missing: Bools | None = None) -> pa.Array:
        """Local timestamps as ``YYYY-MM-DD HH:MM:SS``."""
        return self.local(seconds, missing).cast(pa.string())

    def unix(self, seconds: Ints) -> Ints:
        """Seconds since 1970 in UTC."""
        return seconds + self._epoch - UTC_OFFSET_SECONDS

    def day(self, days: Ints, missing: Bools | None = None) -> pa.Array:
        """Local days."""
        since = (days + self._epoch // DAY).astype(np.int32)
        return pa.array(since, pa.int32(), mask=missing).cast(pa.date32())

    def month_starts(self) -> Ints:
        """Day on which each month begins; the first month begins on day 0."""
        each = [self.first_day + timedelta(days=n) for n in range(self.days)]
        return np.array([n for n, day in enumerate(each) if n == 0 or day.day == 1])

    def month_names(self) -> list[str]:
        """``YYYY-MM`` of each of ``month_starts``."""
        return [f"{self.first_day + timedelta(days=int(n)):%Y-%m}" for n in self.month_starts()]

    def month(self, seconds: Ints) -> Ints:
        """Number of the month that each second lies in."""
        return np.searchsorted(self.month_starts() * DAY, seconds, side="right") - 1

    @property
    def _epoch(self) -> int:
        return (self.first_day - date(1970, 1, 1)).days * DAY


@dataclass(frozen=True)
class World:
    """Everything that is true, before any system writes it down.

    Attributes:
        anonymous: Orders rung up without the member's code.
    """

    streams: Streams
    dirt: Dirt
    clock: Clock
    season: Season
    catalogue: Catalogue
    people: People
    identities: Identities
    marketing: Marketing
    purchases: Purchases
    sessions: Sessions
    anonymous: Bools


def make_world(members: int, seed: int, first_day: date, days: int, dirt: float) -> World:
    """Simulate everything."""
    streams = Streams(seed)
    spoiler = Dirt(streams, dirt)
    year = season(first_day, days)
    catalogue = make_catalogue(streams, members, year)
    people = make_people(streams, members, catalogue, year)
    marketing = make_marketing(streams, catalogue, people, year)
    purchases = make_purchases(streams, catalogue, people, marketing, year)
    return World(
        streams=streams,
        dirt=spoiler,
        clock=Clock(first_day, days),
        season=year,
        catalogue=catalogue,
        people=people,
        identities=make_identities(streams, people, spoiler),
        marketing=marketing,
        purchases=purchases,
        sessions=make_sessions(streams, catalogue, people, marketing, purchases, year),
        anonymous=spoiler.mark(
            "pos.orders",
            "anonymous_sale",
            purchases.orders.count,
            purchases.orders.channel == STORE,
        ),
    )


def yuan(fen: Ints) -> pa.Array:
    """Whole fen as a yuan text with two decimals."""
    whole = pa.array(fen // 100).cast(pa.string())
    cents = pa.array([f"{n:02d}" for n in range(100)]).take(pa.array(fen % 100))
    return pc.binary_join_element_wise(whole, cents, ".")


def label(values: tuple[str, ...] | list[str], index: npt.NDArray[Any]) -> pa.Array:
    """A text for each index; null for negative ones."""
    return pa.array(values, pa.string()).take(pa.array(index, mask=index < 0))


def struct(columns: dict[str, Any]) -> pa.StructArray:
    """Columns side by side as one value a row."""
    return pa.StructArray.from_arrays(
        [_one_chunk(column) for column in columns.values()], names=list(columns)
    )


def _one_chunk(column: Any) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else pa.array(column)
