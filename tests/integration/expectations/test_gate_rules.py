"""Every rule of every suite: good data passes it, bad data fails it, on both ways of judging."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from gate_samples import (
    ROWS,
    TABLES,
    column_types,
    fill,
    how_to_break,
    sample_retailer,
    suite,
)

from expectations import runner
from expectations.rules import Rule, Suite
from siyu.ops import GateResult
from siyu.retailer import Retailer


@pytest.fixture(scope="module")
def retailer(tmp_path_factory: pytest.TempPathFactory) -> Retailer:
    return sample_retailer(tmp_path_factory.mktemp("retailer"))


@pytest.fixture(scope="module")
def good() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        fill(connection)
        yield connection


@pytest.fixture
def spoiled(good: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The good tables, to be spoiled; as they were afterwards."""
    good.execute("BEGIN")
    yield good
    good.execute("ROLLBACK")


def _spoils_whole_table(found: Suite, rule: Rule) -> bool:
    spoil = how_to_break(found, rule)
    assert spoil is not None, f"nobody wrote how to break {found.table}: {rule.id}"
    return any(
        statement.startswith(("DELETE", f"UPDATE {found.table} ")) and "rowid =" not in statement
        for statement in spoil(found, rule, 0)
    )


def _one_at_a_time() -> list[tuple[str, str]]:
    """Rules whose bad data would hide what others break."""
    with tempfile.TemporaryDirectory() as folder:
        retailer = sample_retailer(Path(folder))
        return [
            (table, rule.id)
            for table in TABLES
            for found in (suite(table, retailer),)
            for rule in found.rules
            if how_to_break(found, rule) and _spoils_whole_table(found, rule)
        ]


def _spoil(
    connection: duckdb.DuckDBPyConnection, found: Suite, rules: list[Rule]
) -> dict[str, str]:
    """Break each rule in a row of its own; afterwards the key of that row, by rule."""
    own_row = {rule.id: place for place, rule in enumerate(rules)}
    assert len(own_row) <= ROWS
    for rule in rules:
        spoil = how_to_break(found, rule)
        assert spoil is not None, f"nobody wrote how to break {found.table}: {rule.id}"
        for statement in spoil(found, rule, own_row[rule.id]):
            connection.execute(statement)
    keys = ", ".join(found.key)
    rows = {
        row[0]: row[1:]
        for row in connection.execute(f"SELECT rowid, {keys} FROM {found.table}").fetchall()
    }
    return {
        rule_id: ", ".join(
            f"{name}={value}" for name, value in zip(found.key, rows[row], strict=True)
        )
        for rule_id, row in own_row.items()
        if row in rows
    }


def _assert_fails(result: GateResult, rule: Rule) -> None:
    assert result.outcome == "failed", result
    assert result.severity == rule.severity
    assert result.blocks == (rule.severity == "ERROR")
    assert rule.expected in result.message
    assert result.observed in result.message
    if rule.broken is not None:
        assert result.failed_count is None or result.failed_count >= 1
        assert 1 <= len(result.example_keys) <= runner.MAX_EXAMPLES


@pytest.mark.parametrize("table", TABLES)
def test_good_table_passes_every_rule_in_the_suites_order(
    table: str, retailer: Retailer, good: duckdb.DuckDBPyConnection
) -> None:
    found = suite(table, retailer)

    results = runner.judge(found, good)

    assert [result.rule for result in results] == [rule.id for rule in found.rules]
    assert [result for result in results if result.outcome != "passed"] == []


@pytest.mark.parametrize("table", TABLES)
def test_no_rule_is_without_a_way_to_break_it(table: str, retailer: Retailer) -> None:
    found = suite(table, retailer)
    assert [rule.id for rule in found.rules if how_to_break(found, rule) is None] == []


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_fails_on_bad_rows_and_both_ways_of_judging_say_the_same(
    table: str,
    retailer: Retailer,
    spoiled: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = suite(table, retailer)
    rules = [rule for rule in found.rules if not _spoils_whole_table(found, rule)]
    keys = _spoil(spoiled, found, rules)

    in_pandas = runner.judge(found, spoiled)
    monkeypatch.setattr(runner, "PANDAS_MAX_ROWS", -1)
    # Measures are SQL either way.
    in_duckdb = runner.judge(Suite(found.table, found.key, found.row_rules, found.where), spoiled)

    results = {result.rule: result for result in in_pandas}
    assert [results[rule.id] for rule in found.row_rules] == in_duckdb
    for rule in rules:
        _assert_fails(results[rule.id], rule)
        if rule.broken is not None and results[rule.id].failed_count == 1:
            assert results[rule.id].example_keys == (keys[rule.id],)


@pytest.mark.parametrize(("table", "rule_id"), _one_at_a_time())
def test_rule_fails_on_a_bad_table(
    table: str, rule_id: str, retailer: Retailer, spoiled: duckdb.DuckDBPyConnection
) -> None:
    found = suite(table, retailer)
    (rule,) = (rule for rule in found.rules if rule.id == rule_id)
    _spoil(spoiled, found, [rule])
    # The others have tests of their own; one suite of 30 rules costs a third of a second.
    alone = Suite(found.table, found.key, (rule,), found.where)

    (result,) = runner.judge(alone, spoiled)

    _assert_fails(result, rule)


@pytest.mark.parametrize("table", TABLES)
def test_suite_asks_only_for_columns_that_the_table_declares(
    table: str, retailer: Retailer
) -> None:
    found, declared = suite(table, retailer), set(column_types(table))
    asked = {rule.arguments["column"] for rule in found.row_rules if "column" in rule.arguments}
    assert {*asked, *found.key} - declared == set()
