"""Gates on what an input landed: a bad landing is not diluted, and a thin day is measured rightly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from gate_samples import sample_retailer, suite

from expectations.rules import Suite
from expectations.runner import judge
from siyu.ops import GateResult
from siyu.retailer import Retailer

SHARES = ("quarantined_share", "feed_quarantined_share",
          "feed_newest_quarantined_share_low", "feed_newest_quarantined_share")  # fmt: skip
VOLUMES = ("feed_volume_usual", "feed_volume_kept")


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    return sample_retailer(tmp_path)


@pytest.fixture
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    """No batch and no order yet."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA lake")
        connection.execute(
            "CREATE TABLE lake.batch (batch_id VARCHAR, entity VARCHAR, source VARCHAR, "
            "rows_in BIGINT, quarantined BIGINT, complete_through DATE, loaded_at TIMESTAMP)"
        )
        connection.execute("CREATE TABLE lake.released (batch_id VARCHAR, rows BIGINT)")
        connection.execute(
            "CREATE TABLE lake.orders (order_id VARCHAR, _source VARCHAR, _event_date DATE)"
        )
        yield connection


def land(
    connection: duckdb.DuckDBPyConnection, at: str, rows: int, quarantined: int, name: str = "new"
) -> None:
    connection.execute(
        "INSERT INTO lake.batch VALUES (?, 'orders', 'feed', ?, ?, ?, ?)",
        [name, rows, quarantined, at[:10], at],
    )


def land_two_good_years(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "INSERT INTO lake.batch SELECT 'day ' || day, 'orders', 'feed', 1000, 0, NULL, "
        "TIMESTAMP '2024-01-01 06:00' + to_days(day::INTEGER) FROM range(700) AS days(day)"
    )


def failed(
    connection: duckdb.DuckDBPyConnection, retailer: Retailer, ids: tuple[str, ...]
) -> dict[str, GateResult]:
    """Of some rules of ``lake.orders`` those that do not hold."""
    whole = suite("lake.orders", retailer)
    chosen = Suite(whole.table, whole.key, tuple(rule for rule in whole.rules if rule.id in ids))
    assert {rule.id for rule in chosen.rules} == set(ids)
    return {r.rule: r for r in judge(chosen, connection) if r.outcome != "passed"}


# --- what is quarantined ------------------------------------------------------------------------


def test_a_day_rejected_in_full_stops_however_long_the_good_history(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land_two_good_years(lake)
    land(lake, "2025-12-01 06:00", 1000, 1000)

    found = failed(lake, retailer, SHARES)

    assert set(found) == {"feed_newest_quarantined_share_low", "feed_newest_quarantined_share"}
    assert found["feed_newest_quarantined_share"].blocks
    assert found["feed_newest_quarantined_share"].observed == "100.00%"


def test_a_large_good_batch_of_the_same_day_hides_no_bad_one(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land(lake, "2025-12-01 06:00", 100, 100)
    land(lake, "2025-12-01 07:00", 100_000, 0)

    assert failed(lake, retailer, SHARES)["feed_newest_quarantined_share"].blocks


def test_the_next_days_landing_is_judged_by_itself(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land_two_good_years(lake)
    land(lake, "2025-12-01 06:00", 1000, 1000)
    land(lake, "2025-12-02 06:00", 1000, 0)

    assert failed(lake, retailer, SHARES) == {}


def test_more_than_half_of_the_allowed_share_warns(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land(lake, "2025-12-01 06:00", 10_000, 60)

    (warning,) = failed(lake, retailer, SHARES).values()

    assert (warning.rule, warning.blocks) == ("feed_newest_quarantined_share_low", False)
    assert "at most 0.50% of the rows" in warning.message


@pytest.mark.parametrize(("rows", "rejected"), [(3, 1), (9, 9)])
def test_a_handful_of_rejected_rows_warns_and_stops_nothing(
    rows: int, rejected: int, lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land_two_good_years(lake)
    land(lake, "2025-12-01 06:00", rows, rejected)

    assert [r.blocks for r in failed(lake, retailer, SHARES).values()] == [False]


def test_rows_that_came_in_since_count_no_more(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land(lake, "2025-12-01 06:00", 1000, 1000, name="bad")
    land(lake, "2025-12-01 07:00", 1000, 0, name="mended")
    assert set(failed(lake, retailer, SHARES)) == set(SHARES)

    lake.execute("INSERT INTO lake.released VALUES ('bad', 1000)")

    assert failed(lake, retailer, SHARES) == {}


# --- how much came ------------------------------------------------------------------------------


def sell(connection: duckdb.DuckDBPyConnection, day: str, orders: int) -> None:
    connection.execute(
        f"INSERT INTO lake.orders SELECT '', 'feed', DATE '{day}' FROM range({orders})"
    )


def sell_every_week(connection: duckdb.DuckDBPyConnection, orders: int) -> None:
    """On eight Sundays before the last of June."""
    connection.execute(
        "INSERT INTO lake.orders SELECT '', 'feed', DATE '2024-06-30' - 7 * week::INTEGER "
        f"FROM range(1, 9) AS weeks(week), range({orders})"
    )


def feeding(retailer: Retailer, **changes: object) -> Retailer:
    inputs = {"feed": retailer.inputs["feed"].model_copy(update=changes)}
    others = {"till": retailer.inputs["feed"]}
    return retailer.model_copy(update={"inputs": {**inputs, **others}})


def test_a_steady_day_that_retailer_yaml_names_is_as_usual_however_many_batches(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    for day in range(1, 7):
        land(lake, f"2024-06-0{day} 06:00", 100, 0)
    sell_every_week(lake, 20)
    sell(lake, "2024-06-30", 20)
    dated = feeding(retailer, complete_through="2024-06-30")

    assert failed(lake, dated, VOLUMES) == {}

    lake.execute("DELETE FROM lake.orders WHERE _event_date = '2024-06-30'")
    assert set(failed(lake, dated, VOLUMES)) == set(VOLUMES)


def test_a_thin_day_of_an_input_that_nothing_waits_for_warns_only(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land(lake, "2024-06-30 06:00", 100, 0)
    sell_every_week(lake, 20)
    optional = feeding(retailer, required=False)

    (warning,) = failed(lake, optional, VOLUMES[:1]).values()

    assert not warning.blocks
    assert "feed_volume_kept" not in suite("lake.orders", optional).ids


def test_a_day_without_rows_is_nothing_where_rows_do_not_come_every_week(
    lake: duckdb.DuckDBPyConnection, retailer: Retailer
) -> None:
    land(lake, "2024-06-30 06:00", 100, 0)
    sell_every_week(lake, 20)
    lake.execute("DELETE FROM lake.orders WHERE _event_date = '2024-06-09'")

    assert failed(lake, feeding(retailer, required=False), VOLUMES[:1]) == {}
