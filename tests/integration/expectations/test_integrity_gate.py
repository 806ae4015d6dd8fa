"""Cases of broken integrity warn; more of them than the retailer allows block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from gate_samples import sample_retailer

from expectations.catalog import suite_for
from expectations.runner import judge
from expectations.suites.integrity import INTEGRITY
from siyu.contracts import integrity_rules
from siyu.ops import GateResult


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("CREATE SCHEMA ops")
        opened.execute(
            f"CREATE TABLE {INTEGRITY} (rule VARCHAR, severity VARCHAR, entity VARCHAR, "
            "entity_key VARCHAR, other_entity VARCHAR)"
        )
        yield opened


def insert(connection: duckdb.DuckDBPyConnection, rule: str | None, *keys: str) -> None:
    for key in keys:
        connection.execute(
            f"INSERT INTO {INTEGRITY} VALUES (?, 'ERROR', 'orders', ?, 'payments')", [rule, key]
        )


def broken(connection: duckdb.DuckDBPyConnection, folder: Path, **gates: float) -> list[GateResult]:
    retailer = sample_retailer(folder).model_copy(update={"gates": gates})
    suite = suite_for(INTEGRITY, retailer)
    assert suite is not None
    return [result for result in judge(suite, connection) if result.outcome != "passed"]


def test_an_empty_table_passes(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert broken(connection, tmp_path, max_orders_key_unique=0) == []


@pytest.mark.parametrize("rule", integrity_rules())
def test_each_rule_warns_and_names_the_keys(
    rule: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    insert(connection, rule, "o1", "o2")

    (result,) = broken(connection, tmp_path)

    assert (result.rule, result.failed_count, result.blocks) == (rule, 2, False)
    assert result.example_keys == (f"rule={rule}, entity_key=o1", f"rule={rule}, entity_key=o2")


def test_more_than_the_retailer_allows_blocks(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    insert(connection, "payments_are_order_total", "o1", "o2")

    allowed = broken(connection, tmp_path, max_payments_are_order_total=2)
    assert [result.rule for result in allowed] == ["payments_are_order_total"]
    blocked = broken(connection, tmp_path, max_payments_are_order_total=1)
    assert [result.rule for result in blocked if result.blocks] == ["max_payments_are_order_total"]


def test_a_rule_that_nobody_knows_blocks(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    insert(connection, "moon_is_full", "o1")

    assert [result.rule for result in broken(connection, tmp_path) if result.blocks] == [
        "rule_known"
    ]


def test_a_case_without_a_rule_blocks(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    insert(connection, None, "o1")

    assert "rule_filled" in {r.rule for r in broken(connection, tmp_path) if r.blocks}
