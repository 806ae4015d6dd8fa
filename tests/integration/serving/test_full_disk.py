"""A full disk: what was there stays whole, the error says why, and with room again all goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from siyu.lake import Lake, Manifest, commit
from siyu.maintenance import FEW, compact
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.serving import publish
from siyu.warehouse import Warehouse

DAY = date(2026, 6, 30)
TABLES = ["marts.kpi"]
MANY = 200_000

FullDisk = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, "shop")


def table(number: int, rows: int) -> pa.Table:
    return pa.table(
        {
            # What is random does not compress, and so fills the disk.
            "change": np.random.default_rng(number).random(rows),
            "_source": ["till"] * rows,
            "_batch_id": [f"batch {number}"] * rows,
        }
    )


def land(paths: Paths, number: int, rows: int) -> None:
    said = Manifest(
        batch_id=f"batch {number}", entity="points", source="till", rows_in=rows, accepted=rows,
        loaded_at=datetime(2026, 6, 30, tzinfo=UTC),
    )  # fmt: skip
    commit(paths.lake / "points", table(number, rows).to_reader(), said)


def landed(paths: Paths) -> tuple[list[str], int]:
    """Batches, and rows that are read."""
    lake = Lake(paths)
    batches = [manifest.batch_id for manifest in lake.manifests("points")]
    with duckdb.connect() as connection:
        row = connection.execute(
            "SELECT count(*), sum(change) FROM read_parquet($files)",
            {"files": lake.files("points")},
        ).fetchone()
    assert row is not None
    return batches, int(row[0])


def published(paths: Paths) -> int:
    with duckdb.connect(str(paths.serving / "current" / "siyu.duckdb"), read_only=True) as file:
        row = file.execute("SELECT count(*), sum(change) FROM marts.kpi").fetchone()
    assert row is not None
    return int(row[0])


def test_a_batch_that_does_not_fit_is_not_in_the_lake(paths: Paths, full_disk: FullDisk) -> None:
    land(paths, 0, 10)
    with full_disk(), pytest.raises(DeltaError, match="File too large"):
        land(paths, 1, MANY)
    assert landed(paths) == (["batch 0"], 10)
    land(paths, 1, MANY)
    assert landed(paths) == (["batch 0", "batch 1"], 10 + MANY)


def test_a_compaction_that_does_not_fit_leaves_the_table_as_it_was(
    paths: Paths, full_disk: FullDisk
) -> None:
    for number in range(FEW + 1):
        land(paths, number, 1_000)
    before = landed(paths)
    with full_disk(), pytest.raises(DeltaError, match="File too large"):
        compact(paths.lake / "points")
    assert landed(paths) == before
    compact(paths.lake / "points")
    assert landed(paths) == before
    assert len(DeltaTable(str(paths.lake / "points")).file_uris()) == 1


def test_a_table_that_does_not_fit_leaves_the_warehouse_as_it_was(
    paths: Paths, full_disk: FullDisk
) -> None:
    warehouse = Warehouse(paths)
    warehouse.replace("marts.kpi", table(0, 10))
    with full_disk(), pytest.raises(duckdb.Error, match="File too large"):
        warehouse.replace("marts.kpi", table(1, MANY))
    assert warehouse.read("SELECT count(*) AS n FROM marts.kpi")["n"].to_pylist() == [10]
    warehouse.replace("marts.kpi", table(1, MANY))
    assert warehouse.read("SELECT count(*) AS n FROM marts.kpi")["n"].to_pylist() == [MANY]


def test_a_publication_that_does_not_fit_leaves_the_last_one_up(
    paths: Paths, full_disk: FullDisk
) -> None:
    warehouse = Warehouse(paths)
    warehouse.replace("marts.kpi", table(0, 10))
    first = publish(paths, warehouse, TABLES, {}, {}, "first", DAY)
    warehouse.replace("marts.kpi", table(1, MANY))
    with full_disk(), pytest.raises(duckdb.Error, match="File too large"):
        publish(paths, warehouse, TABLES, {}, {}, "second", DAY)
    assert published(paths) == 10
    assert {place.name for place in paths.serving.iterdir()} == {"current", first.folder.name}
    publish(paths, warehouse, TABLES, {}, {}, "second", DAY)
    assert published(paths) == MANY


def test_a_file_in_place_of_the_publications_is_named(paths: Paths) -> None:
    warehouse = Warehouse(paths)
    warehouse.replace("marts.kpi", table(0, 10))
    paths.serving.write_text("not a folder")
    with pytest.raises(OSError, match=str(paths.serving)):
        publish(paths, warehouse, TABLES, {}, {}, "first", DAY)
    assert paths.serving.read_text() == "not a folder"


def test_the_ledger_goes_on_from_what_it_said_before_the_disk_was_full(
    paths: Paths, full_disk: FullDisk
) -> None:
    ledger = Ledger(paths.ops)
    ledger.begin_write("marts.kpi", "run", ["gx"], version="before")
    # More in one write than there is room for.
    with full_disk(), pytest.raises(sqlite3.OperationalError, match="disk"):
        ledger.begin_write("marts.kpi", "run" * 50_000, ["gx"], version="too large")
    assert ledger.newest("marts.kpi") == "before"
    ledger.begin_write("marts.kpi", "run", ["gx"], version="after")
    assert ledger.newest("marts.kpi") == "after"
