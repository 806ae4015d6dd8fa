"""Dirt: what goes wrong between what happened and what is delivered, counted as it is made.

What belongs here: choosing rows by rate, and spoiling Arrow tables. What does not: which feed gets
which kind (the feeds themselves), or the rates (``parameters``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from siyu.simulator.draws import Bools, Ints, Streams
from siyu.simulator.parameters import DIRT


class Dirt:
    """Chooses rows to spoil and remembers how many.

    Attributes:
        counts: Rows, or persons where it is they who have it, that are delivered with dirt, by (feed,
            kind). Who drops some of what was marked counts again.
    """

    def __init__(self, streams: Streams, multiplier: float) -> None:
        self._rates = DIRT.times(multiplier)
        self._streams = streams
        self.counts: Counter[tuple[str, str]] = Counter()

    def mark(self, feed: str, kind: str, count: int, among: Bools | None = None) -> Bools:
        """Which of ``count`` rows of ``feed`` get dirt of ``kind``.

        The share is exact, and at least one row where the rate is not zero, so that the smallest
        simulation shows every kind.

        Args:
            feed: Name of the feed, for the count and the random stream.
            kind: Attribute of ``parameters.DirtRates``.
            count: Rows of the feed.
            among: Rows that can get it; the rate is a share of these.
        """
        possible = np.arange(count) if among is None else np.flatnonzero(among)
        rate: float = getattr(self._rates, kind)
        wanted = min(len(possible), max(1, round(rate * len(possible)))) if rate else 0
        rng = self._streams.of(f"dirt {feed} {kind}")
        marked = np.zeros(count, dtype=bool)
        marked[rng.choice(possible, wanted, replace=False)] = True
        self.counts[feed, kind] += wanted
        return marked

    def sprinkle(
        self, rng: np.random.Generator, feed: str, kind: str, count: int, closing: bool
    ) -> Bools:
        """Like ``mark`` for a feed made in parts: each row by chance; whoever delivers them counts.

        Args:
            rng: Random stream of the part.
            feed: Name of the feed.
            kind: Attribute of ``parameters.DirtRates``.
            count: Rows of the part.
            closing: Whether chance had its time: the first row gets it where no row did before.
        """
        rate: float = getattr(self._rates, kind)
        marked = rng.random(count) < rate
        if closing and rate and not self.counts[feed, kind] and not marked.any():
            marked[:1] = True
        return marked

    def repeat(self, feed: str, table: pa.Table) -> pa.Table:
        """The table with some rows delivered once more, some way further down."""
        again = np.flatnonzero(self.mark(feed, "duplicate", table.num_rows))
        rows_later = self._streams.of(f"dirt {feed} again").integers(
            0, max(1, table.num_rows // 100), len(again)
        )
        return _put_behind(table, [table.take(pa.array(again))], [again + rows_later])

    def spoil(
        self, feed: str, table: pa.Table, faults: Mapping[str, Mapping[str, object]]
    ) -> pa.Table:
        """The table with extra rows that break the contract.

        Each fault copies some rows and overwrites columns of the copies, which come behind their
        originals; ``{n}`` in a text becomes a number, so that a copy has a key of its own.

        Args:
            feed: Name of the feed.
            table: Its rows.
            faults: By name of the fault, the new values by column; None for a missing value.
        """
        spoilt, places = [], []
        for name, values in faults.items():
            chosen = np.flatnonzero(self.mark(f"{feed} {name}", "invalid", table.num_rows))
            copies = table.take(pa.array(chosen))
            for column, value in values.items():
                at = copies.schema.get_field_index(column)
                texts = [
                    value.format(n=n) if isinstance(value, str) else value
                    for n in range(copies.num_rows)
                ]
                field = copies.schema.field(column)
                copies = copies.set_column(at, field, pa.array(texts, field.type))
            spoilt.append(copies)
            places.append(chosen)
        return _put_behind(table, spoilt, places)


def _put_behind(table: pa.Table, added: Sequence[pa.Table], places: Sequence[Ints]) -> pa.Table:
    """The table with more rows, each behind the row at its place, or at the end."""
    order = np.argsort(np.concatenate([np.arange(table.num_rows), *places]), kind="stable")
    return pa.concat_tables([table, *added]).take(pa.array(order))
