"""Publications: whole, readable, commented, swapped atomically."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import siyu.serving.publication as publication_module
from siyu.paths import Paths
from siyu.serving import TableText, prune, publish
from siyu.serving.publication import PublicationError
from siyu.warehouse import Warehouse

DAY = date(2026, 6, 30)
TEXTS = {"marts.kpi": TableText("Figures a week", "每周指标", {"orders": ("Orders", "订单数")})}
TABLES = ["marts.kpi"]
OPS = {"gate_result": pa.table({"table_name": ["marts.kpi"]})}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, "r")


def _fill(paths: Paths, orders: int) -> Warehouse:
    warehouse = Warehouse(paths)
    warehouse.replace("marts.kpi", pa.table({"week": [1], "orders": [orders]}))
    warehouse.replace("staging.stg_orders", pa.table({"order_id": ["1"]}))
    return warehouse


def _orders(paths: Paths) -> int:
    with duckdb.connect(
        str(paths.serving / "current" / "siyu.duckdb"), read_only=True
    ) as open_file:
        row = open_file.execute("SELECT orders FROM marts.kpi").fetchone()
    assert row is not None
    return int(row[0])


def test_a_publication_holds_the_tables_asked_for_and_ops_and_nothing_else(paths: Paths) -> None:
    found = publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY)
    assert found.rows == {"marts.kpi": 1, "ops.gate_result": 1}
    assert _orders(paths) == 7
    assert (paths.serving / "current" / "parquet" / "marts" / "kpi.parquet").is_file()


def test_tables_and_columns_carry_comments_in_both_languages(paths: Paths) -> None:
    publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY)
    with duckdb.connect(str(paths.serving / "current" / "siyu.duckdb"), read_only=True) as file:
        table = file.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'kpi'")
        assert table.fetchall() == [("Figures a week | 每周指标",)]
        column = file.execute("SELECT comment FROM duckdb_columns() WHERE column_name = 'orders'")
        assert column.fetchall() == [("Orders | 订单数",)]


def test_the_file_is_in_a_storage_version_that_old_clients_read(paths: Paths) -> None:
    publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY)
    header = (paths.serving / "current" / "siyu.duckdb").read_bytes()[8:20]
    # Bytes 12..20 of a DuckDB file are the storage version; 64 is that of DuckDB 0.9 to 1.1.
    assert int.from_bytes(header[4:12], "little") == 64


def test_a_copy_that_lost_rows_is_not_published(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY)
    counts = iter([5, 4, 5])
    monkeypatch.setattr(publication_module, "_count", lambda *_: next(counts))
    with pytest.raises(PublicationError, match=r"marts\.kpi: the warehouse has 5 rows, the copy 4"):
        publish(paths, _fill(paths, 8), TABLES, TEXTS, OPS, "run2", DAY)
    assert _orders(paths) == 7
    assert [path.name for path in paths.serving.glob(".*")] == []


def test_a_warehouse_that_lacks_a_table_is_not_published(paths: Paths) -> None:
    Warehouse(paths).replace("staging.stg_orders", pa.table({"order_id": ["1"]}))
    with pytest.raises(PublicationError, match=r"does not hold marts\.kpi; run the refresh"):
        publish(paths, Warehouse(paths), TABLES, TEXTS, OPS, "run1", DAY)


def test_the_same_run_again_publishes_beside_what_it_published(paths: Paths) -> None:
    first = publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY)
    second = publish(paths, _fill(paths, 8), TABLES, TEXTS, OPS, "run1", DAY)
    assert _orders(paths) == 8
    assert first.folder != second.folder
    # Who has it open goes on reading.
    assert first.folder.is_dir()


def test_what_killed_publications_left_is_swept_away(paths: Paths) -> None:
    (paths.serving / ".2026-06-29_run0.partial" / "parquet").mkdir(parents=True)
    (paths.serving / ".current.0123abcd").symlink_to("2026-06-29_run0")
    publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY)
    assert list(paths.serving.glob(".*")) == []


def test_old_publications_are_pruned_but_never_the_current_one(paths: Paths) -> None:
    old = publish(paths, _fill(paths, 7), TABLES, TEXTS, OPS, "run1", DAY).folder
    current = publish(paths, _fill(paths, 8), TABLES, TEXTS, OPS, "run2", DAY).folder
    for folder in (old, current):
        os.utime(folder, (0, 0))
    assert prune(paths, timedelta(days=30), now=timedelta(days=31).total_seconds()) == [old]
    assert _orders(paths) == 8


# What a publication does to folders and links.
_STEPS = [
    (Path, "mkdir"), (Path, "rename"), (Path, "replace"), (Path, "symlink_to"), (Path, "unlink"),
    (shutil, "rmtree"),
]  # fmt: skip


def test_at_every_step_of_a_publication_there_is_one_to_read(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(paths, _fill(paths, 1), TABLES, TEXTS, OPS, "run1", DAY)
    warehouse, seen = _fill(paths, 2), []

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def take(*arguments: Any, **named: Any) -> Any:
            seen.append(_orders(paths))
            done = step(*arguments, **named)
            seen.append(_orders(paths))
            return done

        return take

    for place, name in _STEPS:
        monkeypatch.setattr(place, name, watched(getattr(place, name)))
    publish(paths, warehouse, TABLES, TEXTS, OPS, "run1", DAY)

    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


_READER = textwrap.dedent(
    """
    import pathlib
    import sys
    import duckdb
    link, stop = sys.argv[1], sys.argv[2]
    while not pathlib.Path(stop).exists():
        with duckdb.connect(link, read_only=True) as file:
            ((orders,),) = file.execute("SELECT orders FROM marts.kpi").fetchall()
        print(orders, flush=True)
    """
)


def test_a_reader_that_loops_during_publications_never_fails(paths: Paths, tmp_path: Path) -> None:
    publish(paths, _fill(paths, 0), TABLES, TEXTS, OPS, "run0", DAY)
    stop = tmp_path / "stop"
    link = paths.serving / "current" / "siyu.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", _READER, str(link), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        seen = [int(reader.stdout.readline())]
        for i in range(1, 9):
            publish(paths, _fill(paths, i), TABLES, TEXTS, OPS, f"run{i}", DAY)
            # Until it has read this one; all it read before were read meanwhile.
            while seen[-1] != i and (line := reader.stdout.readline()):
                seen.append(int(line))
        stop.touch()
        _, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    assert sorted(set(seen)) == list(range(9))
    assert seen == sorted(seen)
