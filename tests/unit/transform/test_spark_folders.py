"""Tables as Spark leaves them: folders of Parquet files, which DuckDB reads without a JVM."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from siyu.paths import Paths
from siyu.warehouse import COLUMNS, Warehouse

MAY, JUNE = date(2026, 5, 31), date(2026, 6, 30)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, "shop")


@pytest.fixture
def warehouse(paths: Paths) -> Warehouse:
    return Warehouse(paths, "spark")


def write(paths: Paths, file: str, rows: dict[str, Any]) -> None:
    """A file of a table, as Spark writes one."""
    place = paths.spark_warehouse / file
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), place)


def half_write(paths: Paths, file: str) -> None:
    """What a killed process leaves of a file that it was writing."""
    place = paths.spark_warehouse / file
    place.parent.mkdir(parents=True)
    place.write_bytes(b"PAR1")


def test_every_folder_is_a_table_of_its_schema(paths: Paths, warehouse: Warehouse) -> None:
    write(paths, "unified.db/dim_store/part-0.parquet", {"store_id": ["s1"]})
    write(paths, "unified.db/dim_store/part-1.parquet", {"store_id": ["s2"]})
    write(paths, "marts.db/kpi_weekly/part-0.parquet", {"orders": [7]})
    (paths.spark_warehouse / "marts.db" / "not_yet_built").mkdir()

    assert warehouse.tables() == {"unified.dim_store", "marts.kpi_weekly"}
    stores = warehouse.read("SELECT store_id FROM unified.dim_store ORDER BY 1")
    assert stores["store_id"].to_pylist() == ["s1", "s2"]


def test_the_day_of_a_partition_is_a_column(paths: Paths, warehouse: Warehouse) -> None:
    for day, customer in ((MAY, "c1"), (JUNE, "c2")):
        folder = f"features.db/customer_features/as_of_date={day}"
        write(paths, f"{folder}/part-0.parquet", {"customer_id": [customer]})

    found = warehouse.read("FROM features.customer_features WHERE as_of_date = ?", [JUNE])

    assert found.to_pylist() == [{"customer_id": "c2", "as_of_date": JUNE}]


def test_what_a_killed_write_left_behind_is_not_read(paths: Paths, warehouse: Warehouse) -> None:
    write(paths, "unified.db/dim_staff/part-0.parquet", {"staff_id": ["s1"]})
    half_write(paths, "unified.db/dim_staff/.spark-staging-7/part-0.parquet")
    half_write(paths, "unified.db/dim_store/_temporary/0/part-0.parquet")

    assert warehouse.tables() == {"unified.dim_staff"}
    assert warehouse.read("FROM unified.dim_staff").num_rows == 1


def test_a_table_without_a_row_has_its_columns(paths: Paths, warehouse: Warehouse) -> None:
    table = "features.db/customer_features"
    write(paths, f"{table}/{COLUMNS}", {"customer_id": pa.array([], pa.string())})

    assert warehouse.read("SELECT customer_id FROM features.customer_features").num_rows == 0

    write(paths, f"{table}/as_of_date={JUNE}/part-0.parquet", {"customer_id": ["c1"]})
    rows = warehouse.read("FROM features.customer_features").to_pylist()
    assert rows == [{"customer_id": "c1", "as_of_date": JUNE}]


def test_a_part_is_replaced_and_the_others_stay(warehouse: Warehouse) -> None:
    for day, score in ((MAY, 0.1), (JUNE, 0.2), (JUNE, 0.3)):
        rows = pa.table({"as_of_date": [day], "score": [score]})
        warehouse.replace("ml.customer_scores", rows, where={"as_of_date": day})

    scores = warehouse.read("FROM ml.customer_scores ORDER BY as_of_date").to_pylist()
    assert scores == [{"as_of_date": MAY, "score": 0.1}, {"as_of_date": JUNE, "score": 0.3}]


def test_a_dropped_warehouse_holds_nothing_and_may_be_filled_again(warehouse: Warehouse) -> None:
    rows = pa.table({"staff_id": ["s1"]})
    warehouse.replace("unified.dim_staff", rows)

    warehouse.drop()

    assert warehouse.tables() == set()
    warehouse.drop()
    warehouse.replace("unified.dim_staff", rows)
    assert warehouse.tables() == {"unified.dim_staff"}
