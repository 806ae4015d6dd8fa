"""How long it takes to decide who is who among millions, and in how much memory.

``python -m benchmarks identity_scale`` decides for 5 million identifiers and 10 million edges;
``python -m benchmarks.identity_scale 500000`` is a trial, whose goals shrink with the size.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks._report import at_most, measured, report
from siyu.identity.resolution import MAP_SCHEMA, Resolution, resolve

IDENTIFIERS = 5_000_000
EDGES_EACH = 2
SECONDS = 30.0
MOST_BYTES = 4_000_000_000
# What a run that takes in a day finds.
FRESH_EDGES = 0.001

# What a customer of so many identifiers has, in order; most have four.
_KINDS = ("crm", "phone", "wxopen", "wxa", "wecom", "yz", "email", "phone")
_SIZES, _SHARES = (1, 2, 3, 4, 5, 6, 8), (0.15, 0.15, 0.15, 0.25, 0.15, 0.1, 0.05)
_CAPS = {"crm": 1, "wxopen": 1, "wxa": 1}
# Edges that lead to somebody else: a family's phone, a colleague's, a device in a shop.
_ASTRAY = 0.002
_RULES = tuple((f"rule_{number:02}", (40, 30, 20, 10)[number % 4]) for number in range(23))
_DAY = 86_400_000_000
_BEGIN = 1_704_067_200_000_000

Ints = NDArray[np.int64]


def main(identifiers: int = IDENTIFIERS) -> bool:
    """Decide from nothing, then again with a few more edges.

    Returns:
        Whether the first took at most 30 seconds for 5 million identifiers, or that share of it, and
        neither ever held 4 GB, what it reads included.
    """
    rng = np.random.default_rng(7)
    people = _People(identifiers, rng)
    edges = people.edges(identifiers * EDGES_EACH, _ASTRAY, rng)
    seen = people.identifiers(rng)
    with measured() as whole:
        decided = _resolve(seen, edges, MAP_SCHEMA.empty_table(), "first")
    fresh = people.edges(int(len(edges) * FRESH_EDGES), 0.1, rng)
    more = pa.concat_tables([edges, fresh])
    with measured() as again:
        later = _resolve(seen, more, decided.customer_identifier, "second")
    peak = max(whole.peak_bytes, again.peak_bytes)
    share = identifiers / IDENTIFIERS
    return report(
        name="identity_scale",
        value=whole.cpu_seconds,
        unit="CPU s",
        goal=at_most(SECONDS * share, provided=peak < max(MOST_BYTES * share, 500_000_000)),
        compared_with="the time on the clock of a quiet machine, which is less: little runs in parallel",
        wall_seconds=whole.wall_seconds,
        cpu_seconds=whole.cpu_seconds,
        peak_bytes=peak,
        most_peak_bytes=MOST_BYTES,
        identifiers=len(seen),
        edges=len(edges),
        customers=decided.quality.customer_count,
        largest_customer=decided.quality.identifiers_max,
        refused_edges=len(decided.refused_edges),
        again_wall_seconds=again.wall_seconds,
        again_cpu_seconds=again.cpu_seconds,
        again_events=len(later.events),
    )


class _People:
    """Customers with their identifiers, numbered through."""

    def __init__(self, identifiers: int, rng: np.random.Generator) -> None:
        sizes = rng.choice(_SIZES, identifiers, p=_SHARES)
        sizes = sizes[: np.searchsorted(np.cumsum(sizes), identifiers)]
        self._owner = np.repeat(np.arange(len(sizes)), sizes)
        self._first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._size = sizes
        rank = np.arange(len(self._owner)) - self._first[self._owner]
        self._kind = pa.array(_KINDS).take(pa.array(rank))
        value = pa.array(rng.permutation(len(self._owner)) * 977 + 10**9).cast(pa.string())
        self._name = pc.binary_join_element_wise(self._kind, value, ":")

    def identifiers(self, rng: np.random.Generator) -> pa.Table:
        """As ``staging.stg_identifier`` has them."""
        moment = _moments(len(self._owner), rng)
        return pa.table(
            {
                "identifier": self._name, "namespace": self._kind, "first_seen_at": moment,
                "last_seen_at": moment, "known_at": moment,
            }
        )  # fmt: skip

    def edges(self, count: int, astray: float, rng: np.random.Generator) -> pa.Table:
        """So many edges, each once, as ``staging.stg_identity_edge`` has them."""
        drawn = count * 3
        a = rng.integers(0, len(self._owner), drawn)
        owner = self._owner[a]
        b = self._first[owner] + rng.integers(0, 10**9, drawn) % self._size[owner]
        lost = rng.random(drawn) < astray
        b[lost] = rng.integers(0, len(self._owner), lost.sum())
        rule = rng.integers(0, len(_RULES), drawn)
        low, high = np.minimum(a, b), np.maximum(a, b)
        key = ((low * len(self._owner)) + high) * len(_RULES) + rule
        _, once = np.unique(key[low < high], return_index=True)
        chosen = np.flatnonzero(low < high)[rng.permutation(once)[:count]]
        one, other = (self._name.take(pa.array(side[chosen])) for side in (low, high))
        moment = _moments(len(chosen), rng)
        return pa.table(
            {
                "identifier_a": pc.min_element_wise(one, other),
                "identifier_b": pc.max_element_wise(one, other),
                "rule_id": pa.array([name for name, _ in _RULES]).take(pa.array(rule[chosen])),
                "priority": np.array([priority for _, priority in _RULES])[rule[chosen]],
                "evidence_count": rng.geometric(0.3, len(chosen)),
                "first_seen_at": moment, "last_seen_at": moment, "known_at": moment,
            }
        )  # fmt: skip


def _moments(count: int, rng: np.random.Generator) -> pa.Array:
    return pa.array(_BEGIN + rng.integers(0, 730, count) * _DAY, pa.timestamp("us"))


def _resolve(seen: pa.Table, edges: pa.Table, previous: pa.Table, run_id: str) -> Resolution:
    return resolve(
        seen, edges, previous, _CAPS, {"crm"}, [f"phone:{n}" for n in range(300)], run_id
    )


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
