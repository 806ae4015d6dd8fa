"""What the runner does when a table cannot be judged, and what a result may say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import duckdb
import pytest
from gate_samples import ROWS, TABLES, fill, sample_retailer, suite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations import runner
from expectations.catalog import suite_for
from expectations.rules import Rule, Suite, between, columns, filled, measured, one_of, row_count
from siyu.contracts import contract, contracts

PHONE = "13800138000"


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute(
            "CREATE TABLE shop.visits AS SELECT 'v-' || i AS visit_id, i AS pages, "
            f"CASE WHEN i = 3 THEN '{PHONE}' END AS note FROM range(10) r(i)"
        )
        yield connection


def _suite(*rules: Rule) -> Suite:
    return Suite("shop.visits", ("visit_id",), rules)


@pytest.fixture(params=["pandas", "duckdb"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test holds on both ways of judging."""
    if request.param == "duckdb":
        monkeypatch.setattr(runner, "PANDAS_MAX_ROWS", -1)


def test_missing_column_is_errored_and_leaves_the_other_rules_alone(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    results = runner.judge(_suite(*filled("visit_id", "gone"), row_count(1)), connection)

    assert [result.outcome for result in results] == ["passed", "errored", "passed"]
    assert "there is no column gone" in results[1].message
    assert results[1].blocks


def test_missing_table_errors_every_rule(connection: duckdb.DuckDBPyConnection) -> None:
    results = runner.judge(Suite("shop.gone", ("a",), (row_count(1), *filled("a"))), connection)

    assert [result.outcome for result in results] == ["errored", "errored"]
    assert "shop.gone cannot be read" in results[0].message


def test_share_of_nothing_is_errored_not_passed(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("DELETE FROM shop.visits")
    rule = measured("share", "half are long", "count(*) / nullif(count(*), 0)", least=0.5)

    (result,) = runner.judge(_suite(rule), connection)

    assert result.outcome == "errored"
    assert result.blocks


def test_measure_whose_sql_fails_is_errored_and_leaves_the_others_alone(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    good = measured("rows", "there are rows", "count(*)", least=1)
    bad = measured("lost", "nothing is lost", "(SELECT count(*) FROM shop.gone)", most=0)

    results = runner.judge(_suite(bad, good), connection)

    assert [result.outcome for result in results] == ["errored", "passed"]


def test_failure_inside_the_library_is_errored(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> dict[str, bool]:
        raise RuntimeError(f"could not convert {PHONE}")

    monkeypatch.setattr(runner, "judge_frame", broken)
    monkeypatch.setattr(runner, "judge_query", broken)

    (result,) = runner.judge(_suite(row_count(1)), connection)

    assert result.outcome == "errored"
    assert "RuntimeError" in result.message
    assert PHONE not in result.message


def test_results_quote_keys_and_no_other_value(
    connection: duckdb.DuckDBPyConnection,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    results = runner.judge(
        _suite(one_of("note", ["none"]), between("note", 1), columns(["note"])), connection
    )

    (known, *_) = results
    assert known.outcome == "failed"
    assert known.example_keys == ("visit_id=v-3",)
    said = json.dumps([asdict(result) for result in results])
    out, err = capfd.readouterr()
    assert PHONE not in said + out + err + caplog.text


def test_warning_that_fails_does_not_block(connection: duckdb.DuckDBPyConnection) -> None:
    (result,) = runner.judge(_suite(one_of("note", ["none"], severity="WARN")), connection)

    assert result.outcome == "failed"
    assert not result.blocks


def test_only_the_partition_is_judged(connection: duckdb.DuckDBPyConnection) -> None:
    rules = (row_count(2), between("pages", most=5))
    whole = runner.judge(Suite("shop.visits", ("visit_id",), rules), connection)
    part = runner.judge(Suite("shop.visits", ("visit_id",), rules, "pages < 2"), connection)

    assert [result.outcome for result in whole] == ["passed", "failed"]
    assert [result.outcome for result in part] == ["passed", "passed"]
    assert part[0].observed == "2 rows"


def test_judging_leaves_the_connection_usable_and_nothing_behind(
    connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    runner.judge(_suite(row_count(1), *filled("visit_id")), connection)

    assert connection.execute("SELECT count(*) FROM shop.visits").fetchone() == (10,)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_file_opened_for_reading_only_can_be_judged(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    with duckdb.connect(file) as writer:
        writer.execute("CREATE SCHEMA shop; CREATE TABLE shop.visits AS SELECT 'v' AS visit_id")
    with duckdb.connect(file, read_only=True, config={"threads": 1}) as reader:
        results = runner.judge(_suite(row_count(1), *filled("visit_id")), reader)

    assert [result.outcome for result in results] == ["passed", "passed"]


def test_table_that_only_lacking_entities_fill_must_be_empty(tmp_path: Path) -> None:
    retailer = sample_retailer(tmp_path, lacking=tuple(contracts()))
    with duckdb.connect() as connection:
        fill(connection)
        for table in (name for name in TABLES if name != "ml.customer_scores"):
            found = suite(table, retailer)
            (with_rows, *_) = runner.judge(found, connection)
            connection.execute(f"DELETE FROM {table}")
            (without_rows, *_) = runner.judge(found, connection)

            assert with_rows.rule == "no_rows"
            assert with_rows.outcome == "failed"
            assert with_rows.blocks
            assert f"{ROWS} rows" in with_rows.message
            assert without_rows.outcome == "passed"


def test_facts_derived_from_lines_must_not_be_empty(tmp_path: Path) -> None:
    others = tuple(name for name in contracts() if name != "order_lines")
    retailer = sample_retailer(tmp_path, lacking=others)
    with duckdb.connect() as connection:
        fill(connection)
        connection.execute("DELETE FROM unified.fct_order")
        results = runner.judge(suite("unified.fct_order", retailer), connection)

    assert results[0].rule == "row_count"
    assert results[0].blocks


def test_features_of_a_source_that_began_later_may_be_empty(tmp_path: Path) -> None:
    retailer = sample_retailer(tmp_path)
    with duckdb.connect() as connection:
        fill(connection)
        connection.execute("UPDATE features.customer_features SET carts_30d = NULL")
        connection.execute("UPDATE lake.interactions SET _known_at = TIMESTAMP '2024-07-15'")
        results = runner.judge(suite("features.customer_features", retailer), connection)

    (result,) = (r for r in results if r.rule == "interactions_features_filled")
    assert result.outcome == "passed"


def test_reconciliation_counts_the_latest_version_of_a_line_once(tmp_path: Path) -> None:
    retailer = sample_retailer(tmp_path)
    with duckdb.connect() as connection:
        fill(connection)
        connection.execute(
            "INSERT INTO lake.order_lines BY NAME SELECT * REPLACE (99 AS net_amount, "
            "updated_at - INTERVAL 1 DAY AS updated_at) FROM lake.order_lines LIMIT 5"
        )
        found = suite("unified.fct_order_line", retailer)
        older = _only(runner.judge(found, connection), "net_amount_reconciles")
        connection.execute("UPDATE lake.order_lines SET net_amount = 11 WHERE net_amount = 99")
        connection.execute(
            "UPDATE lake.order_lines SET updated_at = TIMESTAMP '2025-01-01' WHERE net_amount = 11"
        )
        newer = _only(runner.judge(found, connection), "net_amount_reconciles")

    assert older.outcome == "passed"
    assert newer.outcome == "failed"
    assert newer.observed == "5"


def _only(results: list[runner.GateResult], rule_id: str) -> runner.GateResult:
    (result,) = (result for result in results if result.rule == rule_id)
    return result


def test_lake_keys_hold_no_direct_identifier(tmp_path: Path) -> None:
    retailer = sample_retailer(tmp_path)
    for name in contracts():
        stored = {column.name: column for column in contract(name).lake_columns}
        found = suite_for(f"lake.{name}", retailer)
        assert found is not None
        assert {stored[column].pii for column in found.key} <= {"none", "pseudonymous"}


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from(["a", "b", "c"])),
            st.one_of(st.none(), st.decimals(-5, 5, places=2)),
            st.one_of(st.none(), st.integers(-5, 5)),
        ),
        max_size=20,
    )
)
def test_failed_counts_are_those_of_the_rows_that_break_the_rule(
    rows: list[tuple[object, object, object]],
) -> None:
    rules = (*filled("kind"), one_of("kind", ["a", "b"]), between("price", 0), between("n", -1, 3))
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER, kind VARCHAR, price DECIMAL(18,4), n BIGINT)"
        )
        for place, row in enumerate(rows):
            connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", [place, *row])
        results = runner.judge(Suite("t", ("id",), rules), connection)

    broken = [
        [kind is None for kind, _, _ in rows],
        [kind == "c" for kind, _, _ in rows],
        [price is not None and price < 0 for _, price, _ in rows],  # type: ignore[operator]
        [n is not None and not -1 <= n <= 3 for _, _, n in rows],  # type: ignore[operator]
    ]
    for result, flags in zip(results, broken, strict=True):
        assert result.failed_count == sum(flags)
        assert result.outcome == ("failed" if any(flags) else "passed")
        assert (
            result.example_keys
            == tuple(f"id={place}" for place, flag in enumerate(flags) if flag)[
                : runner.MAX_EXAMPLES
            ]
        )
