"""Each important dbt test is fed rows that break it and must stop what is below."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest
from full_shop import MAPPED
from tiny_lake import Shop, at, line, order, shop

from siyu.transform import DbtError, DbtRun, run_dbt
from siyu.warehouse import Warehouse


def failed(run: DbtRun) -> dict[str, str]:
    """Tests that failed: what dbt calls them and the keys shown."""
    return {
        result.name: "; ".join(result.example_keys)
        for result in run.tests
        if result.status == "fail"
    }


def build(made: Shop, select: str) -> DbtRun:
    """Build a few models with what they read, and their tests."""
    return run_dbt(made.settings, ["build", "--select", select], made.variables())


@pytest.fixture
def copy(built: Shop, tmp_path: Path) -> Shop:
    """A copy of the built shop's warehouse, to spoil; it reads the same lake."""
    made = shop(tmp_path, MAPPED)
    made.paths.warehouse.parent.mkdir(parents=True)
    shutil.copyfile(built.paths.warehouse, made.paths.warehouse)
    return made


def judge(made: Shop, *spoil: str, select: str = "tag:unified") -> DbtRun:
    """Spoil tables, then run the tests of a layer."""
    with Warehouse.of(made.settings).connect(read_only=False) as connection:
        for sql in spoil:
            connection.execute(sql)
    return run_dbt(made.settings, ["test", "--select", select], made.variables())


def test_unified_gates_stop_rows_that_break_them(copy: Shop) -> None:
    run = judge(
        copy,
        "INSERT INTO unified.fct_order SELECT * FROM unified.fct_order WHERE order_id = 'o4'",
        "UPDATE unified.fct_refund SET amount = amount + 0.01 WHERE refund_id = 'r2'",
        "UPDATE unified.fct_order_line SET line_no = 1 WHERE order_id = 'o5'",
        "UPDATE unified.fct_refund SET amount = -1 WHERE refund_id = 'r1'",
        "UPDATE unified.dim_customer SET status = 'asleep' WHERE member_id = 'crm:1'",
        "UPDATE unified.fct_interaction SET occurred_at = NULL WHERE event_id = 'e1'",
        "DELETE FROM unified.fct_message",
        "INSERT INTO unified.identity_refused_edge (identifier_a, identifier_b, rule_id, reason) "
        "SELECT 'crm:1', 'phone:a', 'member_phone', 'a whim' FROM range(2)",
        "UPDATE unified.customer_identifier_history SET recorded_to = TIMESTAMP '2026-01-09' "
        "WHERE identifier = 'mini:1' AND NOT is_current",
        "INSERT INTO unified.fct_payment FROM unified.fct_payment WHERE payment_id = 'y2'",
        "UPDATE unified.fct_payment SET paid_date = NULL WHERE payment_id = 'y1'",
        "INSERT INTO unified.dim_exchange_rate FROM unified.dim_exchange_rate "
        "WHERE date_day = '2026-02-01'",
        "UPDATE unified.dim_exchange_rate SET rate = NULL WHERE date_day = '2026-02-02'",
        "INSERT INTO unified.order_reconciliation FROM unified.order_reconciliation "
        "WHERE order_id = 'o2'",
        "UPDATE unified.order_reconciliation SET reason = 'bad luck' WHERE order_id = 'usd'",
        "UPDATE unified.fct_session SET event_count = 2 WHERE session_key = 'e1'",
        "INSERT INTO unified.staff_identifier BY NAME SELECT 'crm:1' AS identifier FROM range(2)",
        "INSERT INTO unified.identity_quality (as_of_date) SELECT as_of_date FROM unified.identity_quality",
    )

    assert not run.success
    by_name = failed(run)
    expected = {
        "unique_fct_order_order_id": "unique_field=o4",
        "same_rows_fct_order": "rows_here=7",
        "reconciles_fct_refund_amount": "total_here=94.0100",
        "unique_key_fct_order_line": "order_id=o5, line_no=1",
        "not_negative_fct_refund_amount": "refund_id=r1",
        "accepted_values_dim_customer_status": "asleep",
        "required_fct_interaction": "event_id=e1",
        "unique_key_identity_refused_edge": "identifier_a=crm:1",
        "required_identity_refused_edge": "identifier_a=crm:1",
        "accepted_values_identity_refused_edge_reason": "a whim",
        "unique_identity_quality_as_of_date": "unique_field=2026-02-28",
        "required_identity_quality": "as_of_date=2026-02-28",
        "row_per_key_fct_message": "rows_here=0, rows_there=1",
        "unified_customer_identifier_history_is_whole": "identifier=mini:1",
        "row_per_key_fct_payment": "rows_here=3, rows_there=2",
        "unique_fct_payment_payment_id": "unique_field=y2",
        "required_fct_payment": "payment_id=y1",
        "reconciles_fct_payment_amount": "total_here=196.0000",
        "unique_key_dim_exchange_rate": "from_currency=USD, date_day=2026-02-01",
        "required_dim_exchange_rate": "date_day=2026-02-02",
        "unique_key_order_reconciliation": "order_id=o2, reason=unpaid_balance",
        "accepted_values_order_reconciliation": "bad luck",
        "sessions_hold_every_event_fct_session": "events_here=4, events_there=3",
        "unique_staff_identifier": "unique_field=crm:1",
    }
    for prefix, key in expected.items():
        name = next((name for name in by_name if name.startswith(prefix)), None)
        assert name is not None, f"{prefix} did not fail; failed: {sorted(by_name)}"
        assert key in by_name[name]


def test_a_repeated_key_that_the_manifests_deny_fails_the_build(tmp_path: Path) -> None:
    made = shop(tmp_path, MAPPED)
    made.land("orders", [order("o1", "2026-01-09 03:00", 10.0)])
    made.land("orders", [order("o1", "2026-01-09 03:00", 12.0)], superseding=0)
    made.register()

    run = build(made, "+fct_order_line")

    assert not run.success
    assert "unique_fct_order_order_id" in failed(run)
    skipped = {result.name for result in run.models if result.status == "skipped"}
    assert skipped == {"fct_order_line"}


def test_a_lost_key_fails_staging(tmp_path: Path) -> None:
    made = shop(tmp_path, ["members"])
    made.land("members", [{"member_id": "crm:1"}, {"member_id": "crm:2"}])
    made.register()
    assert build(made, "+stg_members").success
    with Warehouse.of(made.settings).connect(read_only=False) as connection:
        connection.execute(
            "CREATE OR REPLACE VIEW staging.stg_members AS "
            "SELECT * FROM lake.members WHERE member_id = 'crm:1'"
        )

    run = run_dbt(made.settings, ["test", "--select", "stg_members"], made.variables())

    assert any(name.startswith("keeps_every_key_stg_members") for name in failed(run))


def test_staging_gates_stop_rows_that_are_made_up_or_lost(copy: Shop) -> None:
    run = judge(
        copy,
        "INSERT INTO staging.identity_observation FROM staging.identity_observation LIMIT 1",
        "INSERT INTO staging.stg_orders_from_lines (order_id, _known_at) "
        "SELECT 'o0', TIMESTAMP '2026-02-01' FROM range(2)",
        "INSERT INTO staging.stg_products_from_lines (product_id) SELECT 'p0' FROM range(2)",
        "INSERT INTO staging.stg_refunds_from_lines (refund_id) SELECT 'r0' FROM range(2)",
        "INSERT INTO staging.stg_refunds_from_lines (refund_id, _superseded_at) "
        "SELECT 'r1', TIMESTAMP '2026-02-01' FROM range(2)",
        "CREATE OR REPLACE VIEW staging.stg_order_versions AS "
        "SELECT false AS is_derived FROM lake.orders AS one, range(2)",
        "CREATE OR REPLACE VIEW staging.stg_refund_versions AS "
        "SELECT true AS is_derived FROM lake.refunds",
        select="tag:staging",
    )

    by_name = failed(run)
    expected = {
        "unique_key_identity_observation": "seen_in=",
        "unique_key_stg_orders_from_lines": "order_id=o0",
        "unique_key_stg_products_from_lines": "product_id=p0",
        "unique_key_stg_refunds_from_lines": "refund_id=r0",
        "same_rows_stg_order_versions": "rows_here=",
        "same_rows_stg_refund_versions": "rows_here=0",
    }
    for prefix, key in expected.items():
        assert any(name.startswith(prefix) and key in keys for name, keys in by_name.items()), (
            prefix
        )
    assert "refund_id=r1" not in str(by_name)


def test_lines_that_do_not_add_up_to_their_header_warn(tmp_path: Path) -> None:
    made = shop(tmp_path, ["orders", "order_lines"])
    made.land("orders", [order("o1", "2026-01-09 03:00", 10.0)])
    made.land("order_lines", [line("o1", 1, "2026-01-09 03:00", 9.0)])
    made.register()

    run = build(made, "+order_reconciliation")

    assert run.success
    (warned,) = [r for r in run.tests if r.name.startswith("lines_add_up")]
    assert (warned.status, warned.severity) == ("warn", "WARN")
    assert "order_id=o1" in warned.example_keys[0]


def test_a_retailer_with_nothing_but_lines_gets_every_table(tmp_path: Path) -> None:
    made = shop(tmp_path, ["order_lines"])
    made.land("order_lines", [line("i1", 1, "2026-01-09 03:00", 9.0, member_id="crm:1")])
    made.register()
    assert made.build("staging").success
    made.identify()
    made.register()

    assert made.build("unified").success
    assert made.one("SELECT count(*) FROM unified.fct_order WHERE is_resolved") == 1
    assert made.one("SELECT count(*) FROM unified.fct_interaction") == 0


def test_the_version_that_counted_at_a_moment_is_the_latest_known_before_it(built: Shop) -> None:
    known = built.rows(
        "SELECT net_amount FROM staging.stg_order_versions WHERE order_id = 'o1' "
        "AND _known_at < TIMESTAMP '2026-01-12 03:00' "
        "AND (_superseded_at IS NULL OR _superseded_at >= TIMESTAMP '2026-01-12 03:00')"
    )

    assert [float(row["net_amount"]) for row in known] == [100.0]


def test_a_late_version_that_became_known_out_of_order_never_counts_twice(tmp_path: Path) -> None:
    made = shop(tmp_path, ["orders"])
    versions = [(1, "2026-01-10"), (3, "2026-01-11"), (2, "2026-01-20")]
    made.land(
        "orders",
        [
            order("o1", "2026-01-09 03:00", float(number), updated_at=at(f"2026-01-0{number}"),
                  _known_at=at(known))
            for number, known in versions
        ],
        superseding=2,
    )  # fmt: skip
    made.register()
    assert build(made, "+stg_order_versions").success

    for moment, expected in [("10", 0), ("11", 1), ("12", 3), ("21", 3), ("28", 3)]:
        found = made.rows(
            "SELECT net_amount FROM staging.stg_order_versions "
            f"WHERE _known_at < TIMESTAMP '2026-01-{moment}' AND "
            f"(_superseded_at IS NULL OR _superseded_at >= TIMESTAMP '2026-01-{moment}')"
        )
        assert [int(row["net_amount"]) for row in found] == ([expected] if expected else [])


def test_dbt_that_cannot_run_says_why(tmp_path: Path) -> None:
    made = shop(tmp_path, [])

    with pytest.raises(DbtError, match="register the lake"):
        made.build("staging")


def test_an_error_of_the_engine_is_told_without_the_value_that_it_quotes(copy: Shop) -> None:
    run = judge(
        copy,
        "ALTER TABLE unified.fct_message RENAME TO kept",
        "CREATE VIEW unified.fct_message AS SELECT * REPLACE "
        "(CAST('13800138000 ' || message_id AS TIMESTAMP) AS created_at) FROM unified.kept",
    )

    errors = [result for result in run.tests if result.status == "error"]
    assert errors
    for error in errors:
        assert re.fullmatch(
            r"Runtime Error in test \w+ \(models/.*\): Conversion Error", error.message
        )


def test_dbt_lets_go_of_the_warehouse_also_after_an_error(built: Shop) -> None:
    with pytest.raises(DbtError, match="no-such-option"):
        run_dbt(built.settings, ["build", "--no-such-option"], built.variables())

    with duckdb.connect(str(built.paths.warehouse)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_events_name_each_node_as_it_starts_and_ends(built: Shop) -> None:
    seen: list[dict[str, object]] = []

    run_dbt(built.settings, ["run", "--select", "dim_date"], built.variables(), seen.append)

    assert [(event["name"], event["unique_id"]) for event in seen] == [
        ("NodeStart", "model.siyu.dim_date"),
        ("NodeFinished", "model.siyu.dim_date"),
    ]


def test_a_layer_that_does_not_fit_on_the_disk_leaves_its_tables_as_they_were(
    copy: Shop, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    def days() -> int:
        with Warehouse.of(copy.settings).connect() as connection:
            (count,) = connection.execute("SELECT count(*) FROM unified.dim_date").fetchall()
        return int(count[0])

    whole = days()
    with Warehouse.of(copy.settings).connect(read_only=False) as connection:
        connection.execute("DELETE FROM unified.dim_date WHERE year = 2026")
    before = days()
    assert before < whole
    with full_disk():
        run = build(copy, "dim_date")
    (stopped,) = [result for result in run.results if result.status == "error"]
    assert stopped.name == "dim_date"
    assert "File too large" in stopped.message
    assert str(copy.paths.warehouse) in stopped.message
    assert days() == before
    assert build(copy, "dim_date").success
    assert days() == whole
