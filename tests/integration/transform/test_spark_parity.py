"""Both engines make the same tables of the same lake, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tiny_lake import AS_OF, Shop

from siyu.config import REPO
from siyu.transform import dbt_vars
from siyu.warehouse import Warehouse

LAYERS = ("staging", "unified", "marts", "features", "ops")
TOLERANCE = 1e-9
SHOWN = 3


@pytest.fixture(scope="module")
def on_spark(built: Shop) -> Shop:
    """The same shop, lake and identity map, built by Spark."""
    shop = Shop(replace(built.settings, engine="spark"), built.retailer)
    shop.register()
    for layer in layers():
        run = shop.build(layer, variables(shop))
        assert run.success, [r for r in run.results if r.status in ("error", "fail")]
    return shop


@pytest.fixture(scope="module")
def on_duckdb(built: Shop) -> Shop:
    """The shop on DuckDB, with the layers that build on unified."""
    for layer in layers()[2:]:
        run = built.build(layer, variables(built))
        assert run.success, [r for r in run.results if r.status in ("error", "fail")]
    return built


def layers() -> list[str]:
    models = REPO / "dbt_project" / "models"
    return [layer for layer in LAYERS if any((models / layer).rglob("*.sql"))]


def variables(shop: Shop) -> dict[str, Any]:
    return dbt_vars(shop.retailer, AS_OF, [AS_OF - timedelta(days=30), AS_OF])


@pytest.mark.spark
def test_spark_and_duckdb_make_the_same_rows(on_duckdb: Shop, on_spark: Shop) -> None:
    expected = Warehouse.of(on_duckdb.settings)
    found = Warehouse.of(on_spark.settings)
    names = {name for name in expected.tables() if name.partition(".")[0] in layers()}

    assert {name for name in found.tables() if name.partition(".")[0] in layers()} == names
    unlike = [
        difference
        for name in sorted(names)
        for difference in differences(
            name, expected.read(f"FROM {name}").to_pylist(), found.read(f"FROM {name}").to_pylist()
        )
    ]
    assert not unlike, "\n".join(unlike)


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
