"""Taking in batch by batch gives what one full load gives, whatever arrives in whatever order."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from shifting_shop import ENTITIES, JUNK, content, increments, land, rows
from tiny_lake import Row, Shop, shop


def fresh(folder: str, name: str) -> Shop:
    return shop(Path(folder) / name, ENTITIES)


def assert_same(one: Shop, other: Shop) -> None:
    here, there = content(one), content(other)
    assert here.keys() == there.keys()
    for table in here:
        assert here[table] == there[table], table


# Shrinking would build dozens of warehouses; the seed says it all.
@settings(
    max_examples=1, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(seed=st.integers(0, 10**6), parts=st.just(3))
def test_any_increments_in_any_order_with_replays_give_what_one_full_load_gives(
    seed: int, parts: int
) -> None:
    random = Random(seed)
    made = rows(random)
    with TemporaryDirectory() as folder:
        whole, piecewise = fresh(folder, "whole"), fresh(folder, "piecewise")
        land(whole, made, {})
        whole.refresh(JUNK)
        known: dict[str, list[Row]] = {}
        for part in increments(made, parts, random):
            land(piecewise, part, known)
            piecewise.refresh(JUNK)
        assert_same(piecewise, whole)
