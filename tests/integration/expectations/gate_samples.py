"""A made-up retailer whose every judged table is good, and how to break each rule of each.

What belongs here: good rows, and one way to break every rule. What does not: judging them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from expectations.catalog import STAGES, judged_tables, suite_for
from expectations.rules import Rule, Suite
from expectations.suites.integrity import INTEGRITY
from siyu.contracts import contract, contracts
from siyu.retailer import Retailer

ROWS = 60
MODELS = Path(__file__).parents[3] / "dbt_project" / "models"
# The table of violations is at its best when empty: it has tests of its own.
TABLES = tuple(table for stage in STAGES for table in judged_tables(stage) if table != INTEGRITY)

_SETTINGS: dict[str, Any] = {
    "name": "sample",
    "en": "Sample",
    "zh": "样例",
    "timezone": "UTC",
    "currency": "CNY",
    "history_from": "2024-01-01",
    "identifiers": {"member": {"type": "member_id"}},
    "inputs": {"feed": {"format": "csv", "location": "feed.csv", "required": True}},
    "entities": {name: {"min_rows": ROWS} for name in contracts()},
    "models": {
        "churn": {"horizon_days": 90, "active_days": 365},
        "repurchase": {"horizon_days": 30},
    },
    "gates": {"min_customers": ROWS},
}


def sample_retailer(folder: Path, lacking: tuple[str, ...] = ()) -> Retailer:
    """A retailer that supplies every entity but those it lacks."""
    for name in contracts():
        if name not in lacking:
            (folder / f"{name}.sql").write_text("SELECT * FROM feed")
    return Retailer.model_validate({**_SETTINGS, "folder": folder})


def suite(table: str, retailer: Retailer) -> Suite:
    found = suite_for(table, retailer)
    assert found is not None
    return found


# --- good rows ---------------------------------------------------------------------------------

_SCORES = {
    "customer_id": "VARCHAR", "as_of_date": "DATE", "model_name": "VARCHAR",
    "model_version": "BIGINT", "task": "VARCHAR", "horizon_days": "BIGINT", "p_raw": "DOUBLE",
    "p_calibrated": "DOUBLE", "decile": "BIGINT", "risk_band": "VARCHAR", "reason_1": "VARCHAR",
    "reason_1_zh": "VARCHAR", "feature_hash": "VARCHAR", "run_id": "VARCHAR",
}  # fmt: skip
# By table and column: the SQL of a good value in row ``i``. Others follow from their type.
_VALUES: Mapping[str, Mapping[str, str]] = {
    "lake.orders": {"gross_amount": "10", "discount_amount": "0", "net_amount": "10"},
    "lake.order_lines": {"gross_amount": "10", "discount_amount": "0", "net_amount": "10"},
    "lake.feedback": {"rating": "3"},
    "unified.dim_customer": {"customer_id": "'c-' || i"},
    "unified.customer_identifier": {
        "identifier": "'member:' || i", "namespace": "'member'", "is_junk": "false",
        "customer_id": "'c-' || i",
    },
    "unified.identity_event": {"event_type": "'create'"},
    "unified.identity_quality": {
        "as_of_date": "DATE '2024-01-01' + CAST(i AS INTEGER)",
        **{
            f"{period}_{what}_coverage": "0.9"
            for period in ("recent", "earlier")
            for what in ("order", "revenue", "interaction")
        },
    },
    "unified.dim_date": {"date_day": "DATE '2024-01-01' + CAST(i AS INTEGER)"},
    "unified.fct_order": {
        "gross_amount": "10", "discount_amount": "0", "net_amount": "10", "refunded_amount": "0",
        "net_revenue": "10", "is_derived": "false",
    },
    "unified.fct_order_line": {
        "gross_amount": "10", "discount_amount": "0", "net_amount": "10",
    },
    "unified.fct_refund": {"status": "'completed'", "is_derived": "false"},
    "features.customer_features": {
        "customer_id": "'c-' || i", "as_of_date": "DATE '2024-06-30'", "recency_days": "1",
        "tenure_days": "2", "order_count": "3",
    },
    "features.customer_labels": {
        "customer_id": "'c-' || i", "as_of_date": "DATE '2024-06-30'",
        "churn_label": "CAST(i % 2 AS INTEGER)", "repurchase_label": "CAST((i + 1) % 2 AS INTEGER)",
    },
}  # fmt: skip


def fill(connection: duckdb.DuckDBPyConnection) -> None:
    """Every judged table and the lake's manifests, all good."""
    for schema in ("lake", "unified", "features", "ml"):
        connection.execute(f"CREATE SCHEMA {schema}")
    for table in TABLES:
        types, values = column_types(table), _VALUES.get(table, {})
        selected = ", ".join(
            f"CAST({values.get(name) or _good(table, name, kind)} AS {kind}) AS {name}"
            for name, kind in types.items()
        )
        connection.execute(f"CREATE TABLE {table} AS SELECT {selected} FROM range({ROWS}) r(i)")
    scores = " UNION ALL ".join(
        f"SELECT 'c-' || i, DATE '2024-06-30', 'sample_{task}', 1, '{task}', 30, 0.5, 0.5,"
        f" i * 10 // {ROWS} + 1, 'low', 'why', '为何', 'hash', 'run' FROM range({ROWS}) r(i)"
        for task in ("churn", "repurchase")
    )
    names = ", ".join(_SCORES)
    connection.execute(f"CREATE OR REPLACE TABLE ml.customer_scores AS FROM ({scores}) s({names})")
    connection.execute(
        "CREATE TABLE lake.batch (batch_id VARCHAR, entity VARCHAR, source VARCHAR, rows_in BIGINT,"
        " accepted BIGINT, duplicates BIGINT, quarantined BIGINT, suppressed BIGINT,"
        " complete_through DATE, loaded_at TIMESTAMP)"
    )
    connection.execute("CREATE TABLE lake.released (batch_id VARCHAR, rows BIGINT)")
    for name in contracts():
        connection.execute(
            "INSERT INTO lake.batch VALUES (?, ?, 'feed', 1000, 985, 4, 5, 6, DATE '2024-06-30',"
            " TIMESTAMP '2024-07-01')",
            [f"batch-{name}", name],
        )


@cache
def column_types(table: str) -> dict[str, str]:
    """Columns of a judged table with their DuckDB types, from where they are declared."""
    schema, _, name = table.partition(".")
    if schema == "lake":
        return {column.name: column.sql_type for column in contract(name).lake_columns}
    if table == "ml.customer_scores":
        return dict(_SCORES)
    for file in sorted((MODELS / schema).rglob("*.yml")):
        for model in yaml.safe_load(file.read_text("utf-8")).get("models") or ():
            if model["name"] == name:
                return {
                    column["name"]: column["data_type"].replace("string", "VARCHAR")
                    for column in model["columns"]
                }
    raise LookupError(f"no dbt model describes {table}")


def _good(table: str, name: str, kind: str) -> str:
    schema, _, entity = table.partition(".")
    if name in ("customer_id",):
        return "'c-' || i"
    values = _declared_values(schema, entity, name)
    if values:
        return f"'{values[0]}'"
    if name.endswith("_token"):
        return f"'{name.removesuffix('_token')}:' || printf('%032x', i)"
    if kind == "VARCHAR":
        return "'member:' || i" if _is_identifier(entity, name) else f"'{name}-' || i"
    if kind.upper() == "BOOLEAN":
        return "true"
    if kind.upper() == "DATE":
        return "DATE '2024-02-01'"
    if kind.upper() == "TIMESTAMP":
        return "TIMESTAMP '2024-03-01'" if name == "_loaded_at" else "TIMESTAMP '2024-02-01'"
    return "i + 1"


def _is_identifier(entity: str, name: str) -> bool:
    found = contracts().get(entity)
    return found is not None and any(
        column.name == name and column.type == "identifier" for column in found.columns
    )


def _declared_values(schema: str, entity: str, name: str) -> tuple[str, ...]:
    """Allowed values of a column, by its contract or by that of the entity it comes from."""
    sources = {
        "dim_customer": ("members",), "dim_product": ("products",), "dim_store": ("stores",),
        "dim_staff": ("staff",), "fct_order": ("orders",), "fct_order_line": ("order_lines",),
        "fct_refund": ("refunds",), "fct_message": ("messages",), "fct_consent": ("consents",),
        "fct_point_entry": ("points",),
    }  # fmt: skip
    for source in (entity,) if schema == "lake" else sources.get(entity, ()):
        for column in contract(source).columns:
            if column.name == name:
                return column.values
    return ()


# --- one way to break each rule ----------------------------------------------------------------

Break = Callable[[Suite, Rule, int], list[str]]


def _set(assignments: str) -> Break:
    """Spoil one row."""
    return lambda suite, _rule, row: [f"UPDATE {suite.table} SET {assignments} WHERE rowid = {row}"]


def _run(*statements: str) -> Break:
    """Spoil the table, or what it is compared with."""
    return lambda suite, _rule, _row: [
        statement.replace("{table}", suite.table) for statement in statements
    ]


def _by_column(assignment: str) -> Break:
    """Spoil one row's value of the column that names the rule."""

    def spoil(suite: Suite, rule: Rule, row: int) -> list[str]:
        column = re.sub(r"_(filled|known|in_range|is_token|namespaced|label_known)$", "", rule.id)
        return [
            f"UPDATE {suite.table} SET {assignment.replace('{column}', column)} WHERE rowid = {row}"
        ]

    return spoil


def _out_of_range(suite: Suite, rule: Rule, row: int) -> list[str]:
    least, column = rule.arguments["min_value"], rule.arguments["column"]
    return [f"UPDATE {suite.table} SET {column} = {least} - 1 WHERE rowid = {row}"]


def _too_few(suite: Suite, rule: Rule, _row: int) -> list[str]:
    return [f"DELETE FROM {suite.table} WHERE rowid >= {rule.arguments['min_value']} - 1"]


def _batch(assignment: str) -> Break:
    return lambda suite, _rule, _row: [
        f"UPDATE lake.batch SET {assignment} WHERE entity = '{suite.table.partition('.')[2]}'"
    ]


# Fifteen rows on each of the four weekdays before, none on the last complete day.
_THIN = _run(
    "UPDATE {table} SET _source = 'feed',"
    " _event_date = DATE '2024-06-30' - 7 * CAST(1 + rowid % 4 AS INTEGER)"
)


def _no_row_for(task: str) -> Break:
    return _run(f"UPDATE {{table}} SET task = 'none' WHERE task = '{task}'")


# Rules of every table that has them, by the end of their id.
_EVERYWHERE: Mapping[str, Break] = {
    "row_count": _too_few,
    "columns": _run("ALTER TABLE {table} ADD COLUMN surprise INTEGER"),
    "key_unique": lambda suite, _rule, row: [
        f"INSERT INTO {suite.table} SELECT * FROM {suite.table} WHERE rowid = {row}"
    ],
    "_filled": _by_column("{column} = NULL"),
    "_known": _by_column("{column} = 'nonsense'"),
    "_in_range": _out_of_range,
    "_is_token": _by_column("{column} = '13800138000'"),
    "_namespaced": _by_column("{column} = 'stranger:1'"),
    "event_in_history": _set("_event_date = DATE '2023-12-31'"),
    "quarantined_share": _batch("quarantined = 500, accepted = 490"),
    "_quarantined_share": _batch("quarantined = 500, accepted = 490"),
    "_quarantined_share_low": _batch("quarantined = 6, accepted = 984"),
    "_volume_usual": _THIN,
    "_volume_kept": _THIN,
    "batches_account": _batch("accepted = accepted + 1"),
    "complete_through_said": _run("UPDATE lake.batch SET complete_through = NULL"),
    "resolution_said": _set("is_resolved = false, customer_id = 'c-1'"),
    "net_is_gross_minus_discount": _set("gross_amount = gross_amount + 1"),
}  # fmt: skip

# Rules of one table; these come first.
_HERE: Mapping[tuple[str, str], Break] = {
    ("unified.fct_order", "event_not_in_future"): _set("ordered_at = TIMESTAMP '2030-01-01'"),
    ("unified.fct_order_line", "event_not_in_future"): _set("ordered_at = TIMESTAMP '2030-01-01'"),
    ("unified.fct_refund", "event_not_in_future"): _set("requested_at = TIMESTAMP '2030-01-01'"),
    ("unified.fct_interaction", "event_not_in_future"): _set("occurred_at = TIMESTAMP '2030-01-01'"),
    ("unified.fct_message", "event_not_in_future"): _set("created_at = TIMESTAMP '2030-01-01'"),
    ("unified.fct_point_entry", "event_not_in_future"): _set("occurred_at = TIMESTAMP '2030-01-01'"),
    ("unified.fct_order", "net_revenue_follows"): _set("net_revenue = net_revenue + 1"),
    ("unified.fct_order", "order_coverage"): _run(
        "UPDATE {table} SET is_resolved = false, customer_id = NULL WHERE rowid < 40"
    ),
    ("unified.fct_order", "revenue_coverage"): _run(
        "UPDATE {table} SET is_resolved = false, customer_id = NULL WHERE rowid < 40"
    ),
    ("unified.fct_order", "net_amount_reconciles"): _set(
        "net_amount = net_amount + 0.01, gross_amount = gross_amount + 0.01,"
        " net_revenue = net_revenue + 0.01"
    ),
    ("unified.fct_order_line", "net_amount_reconciles"): _set(
        "net_amount = net_amount + 0.01, gross_amount = gross_amount + 0.01"
    ),
    ("unified.fct_order_line", "only_sales_count"): _set("line_type = 'return'"),
    ("unified.fct_refund", "amount_reconciles"): _set("amount = amount + 0.01"),
    ("unified.fct_refund", "only_completed_count"): _set("status = 'requested'"),
    ("unified.fct_interaction", "interaction_coverage"): _run(
        "UPDATE {table} SET is_resolved = false, customer_id = NULL WHERE rowid < 55"
    ),
    ("unified.fct_consent", "expires_after_it_holds"): _set(
        "expires_at = TIMESTAMP '2024-01-01'"
    ),
    ("unified.dim_customer", "orders_in_order"): _set(
        "first_order_at = TIMESTAMP '2024-02-02', last_order_at = TIMESTAMP '2024-02-01'"
    ),
    ("unified.dim_customer", "members_found"): _run("UPDATE {table} SET is_member = false"),
    ("unified.customer_identifier", "namespace_said"): _set("namespace = 'card'"),
    ("unified.customer_identifier", "customer_known"): _set("customer_id = 'c-nobody'"),
    ("unified.customer_identifier", "junk_share"): _run(
        "UPDATE {table} SET is_junk = true WHERE rowid < 20"
    ),
    **{
        ("unified.identity_quality", f"{what}_coverage_kept"): _set(f"recent_{what}_coverage = 0.7")
        for what in ("order", "revenue", "interaction")
    },
    ("unified.dim_date", "no_day_missing"): _run(
        "DELETE FROM {table} WHERE date_day = DATE '2024-01-20'"
    ),
    ("unified.dim_date", "history_covered"): _run(
        "DELETE FROM {table} WHERE date_day = DATE '2024-01-01'"
    ),
    ("features.customer_features", "recency_within_tenure"): _set("recency_days = 99"),
    ("features.customer_labels", "churn_label_known"): _set("churn_label = 2"),
    ("features.customer_labels", "repurchase_label_known"): _set("repurchase_label = 2"),
    ("features.customer_labels", "labels_agree"): _set("churn_label = 1, repurchase_label = 1"),
    ("ml.customer_scores", "reason_given"): _set("reason_1 = NULL"),
    ("ml.customer_scores", "row_count"): _run("DELETE FROM {table}"),
    ("ml.customer_scores", "deciles_present"): _run("UPDATE {table} SET decile = 2 WHERE decile = 1"),
    ("ml.customer_scores", "churn_scored"): _no_row_for("churn"),
    ("ml.customer_scores", "repurchase_scored"): _no_row_for("repurchase"),
    ("ml.customer_scores", "churn_covers_population"): _run(
        "DELETE FROM {table} WHERE task = 'churn' AND customer_id = 'c-7'"
    ),
    ("ml.customer_scores", "repurchase_covers_population"): _run(
        "DELETE FROM {table} WHERE task = 'repurchase' AND customer_id = 'c-7'"
    ),
    ("ml.customer_scores", "churn_near_base_rate"): _run(
        "UPDATE {table} SET p_calibrated = 0.99 WHERE task = 'churn'"
    ),
    ("ml.customer_scores", "repurchase_near_base_rate"): _run(
        "UPDATE {table} SET p_calibrated = 0.01 WHERE task = 'repurchase'"
    ),
    ("features.customer_labels", "row_count"): _run("DELETE FROM {table}"),
    **{
        ("features.customer_features", f"{entity}_features_filled"): _run(
            f"UPDATE {{table}} SET {column} = NULL"
        )
        for entity, column in {
            "order_lines": "products_365d", "refunds": "refunds_365d",
            "interactions": "carts_30d", "messages": "messages_90d",
            "contacts": "wecom_contacts", "group_members": "group_exits_90d",
            "consents": "marketing_refusals_180d", "points": "points_balance",
            "coupons": "coupons_open",
        }.items()
    },
}  # fmt: skip


def how_to_break(suite: Suite, rule: Rule) -> Break | None:
    """A way to break the rule, or None when nobody wrote one."""
    here = _HERE.get((suite.table, rule.id))
    if here:
        return here
    if rule.id == "event_not_in_future" and suite.table.startswith("lake."):
        return _set("_event_at = TIMESTAMP '2030-01-01'")
    exact = _EVERYWHERE.get(rule.id)
    if exact:
        return exact
    return next(
        (found for end, found in _EVERYWHERE.items() if end[0] == "_" and rule.id.endswith(end)),
        None,
    )
