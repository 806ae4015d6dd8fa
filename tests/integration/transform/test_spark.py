"""Both engines make the same of the same lake, and Spark finds again what it wrote.

All that needs Spark is in this file, so that one process, and with it one Spark, runs all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from broken_shop import violations
from tiny_lake import AS_OF, Shop, shop

from expectations.catalog import Stage, judged_tables, suite_for
from expectations.runner import judge
from siyu.config import REPO
from siyu.lake import Lake
from siyu.serving import publish
from siyu.serving.publication import FILE_NAME
from siyu.transform import dbt_vars, drop_warehouse
from siyu.warehouse import Warehouse

LAYERS = ("staging", "unified", "marts", "features", "ops")
PUBLISHED = ("unified", "marts", "features")
STAGES: tuple[Stage, ...] = ("unified", "features")
TOLERANCE = 1e-9
SHOWN = 3


@pytest.fixture(scope="module")
def on_spark(built: Shop) -> Shop:
    """The same shop, lake and identity map, built by Spark."""
    made = Shop(replace(built.settings, engine="spark"), built.retailer)
    made.register()
    run = made.build(*layers(), variables=variables(made))
    assert run.success, [r for r in run.results if r.status in ("error", "fail")]
    return made


@pytest.fixture(scope="module")
def on_duckdb(built: Shop) -> Shop:
    """The shop on DuckDB, with the layers that build on unified."""
    run = built.build(*layers()[2:], variables=variables(built))
    assert run.success, [r for r in run.results if r.status in ("error", "fail")]
    return built


def layers() -> list[str]:
    models = REPO / "dbt_project" / "models"
    return [layer for layer in LAYERS if any((models / layer).rglob("*.sql"))]


def variables(made: Shop) -> dict[str, Any]:
    return dbt_vars(made.retailer, AS_OF, [AS_OF - timedelta(days=30), AS_OF])


@pytest.mark.spark
def test_spark_and_duckdb_make_the_same_rows(on_duckdb: Shop, on_spark: Shop) -> None:
    expected, found = tables(on_duckdb), tables(on_spark)

    assert found.keys() == expected.keys()
    unlike = [
        difference
        for name in sorted(expected)
        for difference in differences(name, expected[name], found[name])
    ]
    assert not unlike, "\n".join(unlike)


@pytest.mark.spark
def test_gates_say_the_same_of_the_tables_of_both_engines(on_duckdb: Shop, on_spark: Shop) -> None:
    expected = verdicts(on_duckdb)

    assert verdicts(on_spark) == expected
    assert "errored" not in {outcome for outcome, _ in expected.values()}


def verdicts(made: Shop) -> dict[tuple[str, str], tuple[str, str]]:
    """What each rule said, and of how much, by table and rule."""
    judged = [table for stage in STAGES for table in judged_tables(stage)]
    found = {}
    with Warehouse.of(made.settings).connect() as connection:
        if made.settings.engine == "spark":
            Lake(made.paths).register(connection, made.retailer)
        for table in judged:
            suite = suite_for(table, made.retailer)
            assert suite is not None
            found |= {
                (table, said.rule): (said.outcome, said.observed)
                for said in judge(suite, connection)
            }
    return found


@pytest.mark.spark
def test_both_engines_publish_the_same_tables(on_duckdb: Shop, on_spark: Shop) -> None:
    assert published(on_spark) == published(on_duckdb)


def published(made: Shop) -> dict[str, tuple[int, list[tuple[str, str]]]]:
    """Rows and columns of each table of a publication."""
    names = [
        name
        for name in sorted(Warehouse.of(made.settings).tables())
        if name.partition(".")[0] in PUBLISHED
    ]
    warehouse = Warehouse.of(made.settings)
    publication = publish(made.paths, warehouse, names, {}, {}, made.settings.engine, AS_OF)
    with duckdb.connect(str(publication.folder / FILE_NAME), read_only=True) as connection:
        return {
            table: (
                rows,
                sorted(
                    (str(column[0]), str(column[1]))
                    for column in connection.execute(f"DESCRIBE {table}").fetchall()
                ),
            )
            for table, rows in publication.rows.items()
        }


def tables(made: Shop) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table of the layers; one connection, since each costs as much as a table."""
    warehouse = Warehouse.of(made.settings)
    names = [name for name in warehouse.tables() if name.partition(".")[0] in layers()]
    with warehouse.connect() as connection:
        return {
            name: connection.execute(f"FROM {name}").to_arrow_table().to_pylist() for name in names
        }


def differences(
    table: str, expected: list[dict[str, Any]], found: list[dict[str, Any]]
) -> Iterator[str]:
    """What differs, in words a person can act on."""
    if len(expected) != len(found):
        yield f"{table}: {len(expected)} rows on DuckDB, {len(found)} on Spark"
        return
    if expected and set(expected[0]) != set(found[0]):
        yield f"{table}: columns differ: {sorted(set(expected[0]) ^ set(found[0]))}"
        return
    columns = sorted(expected[0]) if expected else []
    pairs = zip(in_order(expected, columns), in_order(found, columns), strict=True)
    unlike = [
        f"{table}.{column}: {one[column]!r} on DuckDB, {other[column]!r} on Spark in {one}"
        for one, other in pairs
        for column in columns
        if not same(one[column], other[column])
    ]
    yield from unlike[:SHOWN]


def in_order(rows: list[dict[str, Any]], columns: list[str]) -> list[dict[str, Any]]:
    """Rows sorted by everything exact, so that a last digit cannot change the order."""
    exact = [c for c in columns if not any(isinstance(row[c], float) for row in rows)]
    return sorted(rows, key=lambda row: [(row[c] is not None, str(row[c])) for c in exact])


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE, nan_ok=True))
    return type(one) is type(other) and bool(one == other)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([{"a": 1}], [{"a": 1}], 0),
        ([{"a": 1}], [{"a": 2}], 1),
        ([{"a": 1}], [], 1),
        ([{"a": 1.0}], [{"a": 1.0 + 1e-12}], 0),
        ([{"a": 1.0}], [{"a": 1.001}], 1),
        ([{"a": 1}], [{"a": 1.0}], 1),
        ([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}], 0),
    ],
)
def test_the_comparison_sees_a_difference(
    one: list[dict[str, Any]], other: list[dict[str, Any]], said: int
) -> None:
    assert len(list(differences("t", one, other))) == said


@pytest.mark.spark
def test_spark_finds_the_same_violations(broken: Shop, found: list[dict[str, Any]]) -> None:
    assert violations(Shop(replace(broken.settings, engine="spark"), broken.retailer)) == found


@pytest.mark.spark
def test_a_session_finds_what_earlier_ones_finished_and_nothing_that_was_dropped(
    tmp_path: Path,
) -> None:
    from siyu.spark import keep_columns, session

    made = shop(tmp_path, [])
    made = Shop(replace(made.settings, engine="spark"), made.retailer)
    folder = made.paths.spark_warehouse / "features.db" / "kept"
    first = session(made.paths)
    first.sql("CREATE SCHEMA features")
    first.sql(
        f"CREATE TABLE features.kept USING parquet PARTITIONED BY (as_of_date) "
        f"LOCATION '{folder}' AS SELECT '007' AS name, DATE '2026-01-31' AS as_of_date"
    )
    first.sql(
        "CREATE TABLE features.empty USING parquet PARTITIONED BY (as_of_date) "
        f"LOCATION '{folder.with_name('empty')}' AS SELECT * FROM features.kept WHERE 1 = 0"
    )
    keep_columns(made.paths)
    first.stop()
    scores = pa.table({"as_of_date": [AS_OF], "task": ["churn"], "p_calibrated": [0.5]})
    warehouse = Warehouse.of(made.settings)
    warehouse.replace("ml.customer_scores", scores, where={"as_of_date": AS_OF, "task": "churn"})
    for unfinished in ("kept/.spark-staging-1/as_of_date=2026-02-28", "begun/_temporary/0"):
        (folder.parent / unfinished).mkdir(parents=True)
        (folder.parent / unfinished / "part-0.parquet").write_bytes(b"PAR1")

    second = session(made.paths)

    second.sql(
        "INSERT OVERWRITE features.kept PARTITION (as_of_date = DATE '2026-02-28') SELECT '008'"
    )
    rows = second.sql("SELECT name, as_of_date FROM features.kept ORDER BY name").collect()
    assert [(row[0], str(row[1])) for row in rows] == [("007", "2026-01-31"), ("008", "2026-02-28")]
    assert warehouse.read("FROM features.kept").num_rows == 2
    assert warehouse.read("SELECT name, as_of_date FROM features.empty").num_rows == 0
    assert second.table("ml.customer_scores").count() == 1

    drop_warehouse(made.settings)

    assert warehouse.tables() == set()
    third = session(made.paths)
    assert not third.catalog.databaseExists("features")
    third.stop()
