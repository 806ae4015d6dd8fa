"""A shop that has nothing but lines of orders in one file goes through the same job as any other."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from whole_job import Run, State, WholeJob, whole_job

LINES = 200
CUSTOMERS = 23
FIRST = date(2026, 1, 5)
SETTINGS = """
name: market_stall
en: Market stall
zh: 集市摊位
timezone: Europe/London
currency: GBP
phone_region: GB
history_from: 2026-01-01
identifiers:
  stall: {type: member_id}
inputs:
  takings:
    format: csv
    location: ${SIYU_HOME}/takings.csv
    required: true
    columns: {receipt: VARCHAR, customer: VARCHAR, item: VARCHAR, quantity: BIGINT, price: VARCHAR, sold_at: TIMESTAMP}
entities:
  order_lines: {line_no: occurrence}
models:
  repurchase: {horizon_days: 30}
  churn: {horizon_days: 30, active_days: 60}
"""
MAPPING = """
SELECT
    receipt AS order_id,
    'sale' AS line_type,
    item AS product_id,
    quantity,
    try_decimal(price) AS unit_price,
    quantity * try_decimal(price) AS gross_amount,
    0 AS discount_amount,
    quantity * try_decimal(price) AS net_amount,
    'GBP' AS currency,
    ident('stall', customer) AS member_id,
    'store' AS channel,
    local_to_utc(sold_at) AS ordered_at
FROM takings
"""


def _takings() -> list[dict[str, Any]]:
    """Two lines a receipt, a receipt a day; each seventh customer is not known."""
    return [
        {
            "receipt": f"R{number // 2:03}",
            "customer": "" if number // 2 % 7 == 0 else str(number // 2 % CUSTOMERS),
            "item": f"tea-{number % 5}",
            "quantity": 1 + number % 3,
            "price": f"{3 + number % 4}.50",
            "sold_at": f"{FIRST + timedelta(days=number // 2)} 10:{number % 60:02}:00",
        }
        for number in range(LINES)
    ]


@pytest.fixture(scope="module")
def stall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeJob]:
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("retailers") / "market_stall"
    folder.mkdir()
    (folder / "retailer.yaml").write_text(SETTINGS, "utf-8")
    (folder / "order_lines.sql").write_text(MAPPING, "utf-8")
    rows = _takings()
    with (home / "takings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with whole_job(home, "market_stall", SIYU_RETAILERS=str(folder.parent)) as made:
        yield made


@pytest.fixture(scope="module")
def landed(stall: WholeJob) -> Run:
    return stall.run("land")


@pytest.fixture(scope="module")
def refreshed(stall: WholeJob, landed: Run) -> Run:
    assert landed.success, landed.failures
    return stall.run("rebuild", stall.last_complete_day())


@pytest.fixture(scope="module")
def state(stall: WholeJob, refreshed: Run) -> State:
    assert refreshed.success, (refreshed.failures, refreshed.failed_checks)
    return stall.state()


def test_what_is_absent_is_empty_and_not_broken(state: State) -> None:
    absent = ("dim_staff", "dim_campaign", "dim_content", "fct_interaction", "fct_message",
              "fct_consent", "fct_point_entry", "fct_refund", "fct_payment", "dim_exchange_rate",
              "order_reconciliation", "fct_wecom_relationship", "fct_group_membership",
              "dim_customer_history", "fct_session", "staff_identifier")  # fmt: skip
    assert {name: state.published[f"unified.{name}"][0] for name in absent} == dict.fromkeys(
        absent, 0
    )
    # There is no CRM to be in step with.
    assert state.published["marts.sync_rate"][0] == state.published["marts.sync_unmatched"][0] == 0


@pytest.mark.usefixtures("state")
def test_orders_products_and_customers_are_derived_from_the_lines(stall: WholeJob) -> None:
    with stall.published() as connection:
        assert connection.execute(
            "SELECT count(*), sum(net_revenue), count(customer_id) FROM unified.fct_order"
        ).fetchone() == (
            LINES // 2,
            sum(row["quantity"] * float(row["price"]) for row in _takings()),
            sum(1 for row in _takings() if row["customer"]) // 2,
        )
        assert connection.execute("SELECT count(*) FROM unified.dim_product").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM unified.dim_customer").fetchone() == (
            len({row["customer"] for row in _takings()} - {""}),
        )


@pytest.mark.parametrize(
    "mart",
    [
        "customer_360",
        "customer_lifecycle_history",
        "customer_rfm",
        "kpi_weekly",
        "revenue_daily",
        "cohort_retention",
    ],
)
def test_every_mart_has_what_lines_can_tell(state: State, mart: str) -> None:
    rows, _ = state.published[f"marts.{mart}"]
    assert rows > 0


def test_a_history_too_short_to_learn_from_does_not_stop_the_publication(state: State) -> None:
    assert state.publication is not None
    assert state.blocks == {}


def test_the_last_complete_day_is_the_one_before_the_last_sale(
    stall: WholeJob, state: State
) -> None:
    with stall.published() as connection:
        found = connection.execute(
            "SELECT CAST(max(ordered_date) AS VARCHAR) FROM unified.fct_order"
        )
        (last,) = found.fetchone() or ("",)
    assert stall.last_complete_day() == str(date.fromisoformat(last) - timedelta(days=1))
