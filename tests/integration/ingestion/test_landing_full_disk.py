"""A landing on a full disk: said for the input it stopped, nothing half-written, and made good later."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from made_up_shop import POINTS, POINTS_CSV, Shop

from siyu.ingestion import LandingError

ROWS = 20_000
HEADER = "id,member,change,reason,happened\n"


def lines(first: int, rows: int) -> str:
    numbers = range(first, first + rows)
    return HEADER + "".join(f"{n},{n},{n + 1},purchase,2026-06-01 10:00:00\n" for n in numbers)


def test_a_full_disk_stops_the_input_and_leaves_nothing(
    points_shop: Shop, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    shop = points_shop
    shop.write("ledger/a.csv", lines(0, 5))
    shop.landed("points")
    version = shop.lake.version("points")
    shop.write("ledger/b.csv", lines(100, ROWS))
    with full_disk(), pytest.raises(LandingError) as stopped:
        shop.land("points")
    said = str(stopped.value)
    assert "points from ledger: nothing was committed" in said
    assert str(shop.paths.root) in said
    assert shop.lake.version("points") == version
    assert len(shop.rows("points", "entry_id")) == 5
    assert list(shop.paths.scratch.iterdir()) == []
    assert shop.landed("points").accepted == ROWS


def test_other_inputs_of_the_entity_land_beside_one_that_does_not_fit(
    points_shop: Shop, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    shop = points_shop
    shop.input("small", **{**POINTS_CSV, "location": "small/*.csv"})
    union = f"{POINTS} UNION ALL BY NAME {POINTS.replace('FROM ledger', 'FROM small')}"
    shop.mapping("points", union)
    shop.write("ledger/a.csv", lines(100, ROWS))
    shop.write("small/a.csv", lines(0, 5))
    with full_disk(), pytest.raises(LandingError) as stopped:
        shop.land("points")
    assert set(stopped.value.errors) == {"ledger"}
    assert [report.source for report in stopped.value.reports] == ["small"]
    assert len(shop.rows("points", "entry_id")) == 5
