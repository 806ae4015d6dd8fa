"""What one Spark process wrote, the next one finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_lake import Shop, shop

from siyu.warehouse import Warehouse


@pytest.mark.spark
def test_a_new_session_finds_tables_and_partitions_of_an_earlier_one(tmp_path: Path) -> None:
    from siyu.spark import session

    made = shop(tmp_path, [])
    made = Shop(replace(made.settings, engine="spark"), made.retailer)
    folder = made.paths.spark_warehouse / "features.db" / "kept"
    first = session(made.paths)
    first.sql("CREATE SCHEMA features")
    first.sql(
        f"CREATE TABLE features.kept USING parquet PARTITIONED BY (as_of_date) "
        f"LOCATION '{folder}' AS SELECT '007' AS name, DATE '2026-01-31' AS as_of_date"
    )
    first.stop()

    second = session(made.paths)

    second.sql(
        "INSERT OVERWRITE features.kept PARTITION (as_of_date = DATE '2026-02-28') SELECT '008'"
    )
    rows = second.sql("SELECT name, as_of_date FROM features.kept ORDER BY name").collect()
    assert [(row[0], str(row[1])) for row in rows] == [("007", "2026-01-31"), ("008", "2026-02-28")]
    assert Warehouse.of(made.settings).read("FROM features.kept").num_rows == 2
    second.stop()
