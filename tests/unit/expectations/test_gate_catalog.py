"""Which tables have suites, and what holds of every suite before it meets data."""

from __future__ import annotations

import ast
from datetime import date
from pathlib import Path

import pytest

import expectations
from expectations.catalog import STAGES, judged_tables, suite_for
from expectations.rules import Suite, filled, row_count
from siyu.contracts import contracts
from siyu.retailer import Retailer

PACKAGE = Path(expectations.__file__).parent
HEAVY = {"great_expectations", "pandas", "sqlalchemy", "duckdb_engine"}


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    for name in contracts():
        (tmp_path / f"{name}.sql").touch()
    return Retailer.model_validate(
        {
            "name": "sample", "en": "Sample", "zh": "样例", "timezone": "Asia/Shanghai",
            "currency": "CNY", "history_from": "2024-01-01", "folder": tmp_path,
            "identifiers": {}, "inputs": {},
            "models": {"churn": {"horizon_days": 90}},
            "entities": {"orders": {"min_rows": 1234, "max_quarantined_share": 0.02}},
            "gates": {"min_order_coverage": 0.75},
        }
    )  # fmt: skip


def test_every_contract_has_a_lake_suite() -> None:
    assert judged_tables("lake") == tuple(f"lake.{name}" for name in contracts())


def test_no_table_is_judged_in_two_stages() -> None:
    tables = [table for stage in STAGES for table in judged_tables(stage)]
    assert len(tables) == len(set(tables))


def test_every_judged_table_has_a_suite_that_names_it(retailer: Retailer) -> None:
    for stage in STAGES:
        for table in judged_tables(stage):
            found = suite_for(table, retailer)
            assert found is not None
            assert found.table == table
            assert {rule.id for rule in found.rules} & {"row_count", "no_rows"}


@pytest.mark.parametrize("table", ["lake.unicorns", "unified.unicorns", "staging.stg_orders", "x"])
def test_table_that_is_not_judged_has_no_suite(table: str, retailer: Retailer) -> None:
    assert suite_for(table, retailer) is None


def test_thresholds_come_from_the_retailer(retailer: Retailer) -> None:
    lake = suite_for("lake.orders", retailer)
    unified = suite_for("unified.fct_order", retailer)
    assert lake is not None
    assert unified is not None
    by_id = {rule.id: rule for rule in (*lake.rules, *unified.measures)}
    assert by_id["row_count"].arguments["min_value"] == 1234
    assert by_id["quarantined_share"].arguments["max_value"] == 0.02
    assert by_id["order_coverage"].arguments["min_value"] == 0.75


def test_as_of_narrows_the_suite_to_its_partition(retailer: Retailer) -> None:
    for table in (*judged_tables("features"), *judged_tables("scores")):
        found = suite_for(table, retailer, date(2026, 6, 30))
        assert found is not None
        assert found.where == "as_of_date = DATE '2026-06-30'"
        assert found.rows == f"SELECT * FROM {table} WHERE as_of_date = DATE '2026-06-30'"


def test_suite_refuses_two_rules_of_one_id() -> None:
    with pytest.raises(ValueError, match="a_filled"):
        Suite("s.t", ("a",), (*filled("a"), *filled("a")))


def test_suite_refuses_to_have_no_rules() -> None:
    with pytest.raises(ValueError, match="would pass anything"):
        Suite("s.t", ("a",), ())


def test_text_in_a_rule_cannot_end_its_sql() -> None:
    from expectations.rules import one_of

    assert one_of("a", ["it's"]).broken == "a NOT IN ('it''s')"
    assert row_count(1).broken is None


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.name)
def test_heavy_libraries_are_imported_inside_functions_only(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    at_import = [
        name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    ]
    assert HEAVY.isdisjoint(at_import)
