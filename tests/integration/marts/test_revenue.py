"""Revenue by day in several currencies, and refunds by both of their days, worked out by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tiny_lake import Shop, at, order, shop

from siyu.transform import run_dbt
from siyu.warehouse import Warehouse


def refund(refund_id: str, order_id: str, amount: float, day: str, **more: Any) -> dict[str, Any]:
    return {"refund_id": refund_id, "order_id": order_id, "amount": amount, "currency": "CNY",
            "status": "completed", "requested_at": at("2026-01-06 03:00"),
            "refunded_at": at(f"{day} 03:00"), **more}  # fmt: skip


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop in Shanghai that sells for dollars and euros too, and knows what a dollar is worth."""
    made = shop(tmp_path_factory.mktemp("abroad"), ("orders", "refunds", "exchange_rates"))
    made.land(
        "orders",
        [
            order("yuan", "2026-01-05 03:00", 100.0, shipping_amount=8.0, tax_amount=6.0),
            order("dollars", "2026-01-12 03:00", 10.0, currency="USD"),
            order("before rates", "2026-01-08 03:00", 5.0, currency="USD"),
            order("euros", "2026-01-15 03:00", 8.0, currency="EUR"),
            order("late", "2026-02-01 03:00", 40.0),
            order("cancelled", "2026-01-07 03:00", 50.0, status="cancelled"),
            order("unpaid", "2026-01-07 03:00", 60.0, status="unpaid"),
        ],
    )
    made.land(
        "refunds",
        [
            refund("1", "yuan", 20.0, "2026-01-20"),
            refund("2", "yuan", 30.0, "2026-02-10"),
            refund("3", "dollars", 2.0, "2026-01-25", currency="USD"),
            refund("4", "cancelled", 50.0, "2026-01-21"),
            refund("5", "yuan", 9.0, "2026-01-20", status="rejected"),
            refund("6", "late", 40.0, "2026-03-05"),
            refund("7", "nowhere", 7.0, "2026-02-03"),
            refund("8", "euros", 1.0, "2026-01-20", currency="EUR"),
        ],
    )
    made.land(
        "exchange_rates",
        [
            {"from_currency": one, "to_currency": other, "rate_date": date(2026, 1, day),
             "rate": rate}
            for one, other, day, rate in (
                ("USD", "CNY", 10, 7.0), ("USD", "CNY", 20, 7.2), ("CNY", "EUR", 1, 0.13),
                # Neither is what a euro is worth.
                ("EUR", "USD", 1, 1.1), ("EUR", "CNY", 1, 0.0),
            )
        ],
    )  # fmt: skip
    made.register()
    made.make("+revenue_daily", "+kpi_weekly")
    return made


def days(made: Shop, *columns: str) -> dict[tuple[date, str], tuple[Any, ...]]:
    found = made.rows("SELECT * FROM marts.revenue_daily ORDER BY revenue_date, currency")
    return {
        (row["revenue_date"], row["currency"]): tuple(row[name] for name in columns)
        for row in found
    }


def test_refunds_are_taken_off_on_their_own_day_and_beside_that_on_their_orders(
    abroad: Shop,
) -> None:
    found = days(
        abroad, "net_sales", "refunded_amount", "refunded_amount_by_order_date", "net_revenue",
        "net_revenue_by_order_date",
    )  # fmt: skip

    assert {key: tuple(map(int, row)) for key, row in found.items() if key[1] == "CNY"} == {
        (date(2026, 1, 5), "CNY"): (100, 0, 50, 100, 50),
        (date(2026, 1, 20), "CNY"): (0, 20, 0, -20, 0),
        # The refund of March has not been made yet.
        (date(2026, 2, 1), "CNY"): (40, 0, 0, 40, 40),
        # Of no known order, so that it has no day but its own.
        (date(2026, 2, 3), "CNY"): (0, 7, 7, -7, -7),
        (date(2026, 2, 10), "CNY"): (0, 30, 0, -30, 0),
    }


def test_shipping_and_tax_stand_apart_from_revenue(abroad: Shop) -> None:
    found = days(abroad, "gross_amount", "shipping_amount", "tax_amount", "net_revenue")

    assert found[date(2026, 1, 5), "CNY"] == (100, 8, 6, 100)


def test_an_amount_is_converted_by_the_rate_of_the_day_on_which_it_moved(abroad: Shop) -> None:
    found = days(
        abroad, "net_sales", "net_sales_reporting", "refunded_amount_reporting",
        "refunded_amount_by_order_date_reporting", "net_revenue_by_order_date_reporting",
    )  # fmt: skip

    assert found[date(2026, 1, 12), "USD"] == (10, 70, 0, Decimal("14.4"), Decimal("55.6"))
    assert found[date(2026, 1, 25), "USD"] == (0, 0, Decimal("14.4"), 0, 0)


def test_an_amount_without_a_rate_is_empty_and_counted_and_never_taken_for_one(
    abroad: Shop,
) -> None:
    columns = ("net_sales", "net_sales_reporting", "net_revenue_reporting", "unconverted_orders")
    found = days(abroad, *columns)
    (refunds,) = abroad.rows(
        "SELECT sum(unconverted_refunds) AS n FROM marts.revenue_daily WHERE currency = 'EUR'"
    )

    assert found[date(2026, 1, 8), "USD"] == (5, None, None, 1)
    assert found[date(2026, 1, 15), "EUR"] == (8, None, None, 1)
    assert refunds["n"] == 1


def test_both_measures_of_refunds_are_in_sum_those_of_the_facts(abroad: Shop) -> None:
    sums = (
        "SELECT currency, sum(refunded_amount) AS own, sum(refunded_amount_by_order_date) AS by_order, "
        "sum(refunded_amount_reporting) AS own_cny, "
        "sum(refunded_amount_by_order_date_reporting) AS by_order_cny "
        "FROM marts.revenue_daily GROUP BY 1 ORDER BY 1"
    )
    facts = (
        "SELECT currency, sum(amount) AS amount FROM unified.fct_refund "
        "WHERE is_counted AND refunded_date <= '2026-02-28' GROUP BY 1 ORDER BY 1"
    )

    found = abroad.rows(sums)

    assert [(row["currency"], row["own"]) for row in found] == [
        (row["currency"], row["amount"]) for row in abroad.rows(facts)
    ]
    assert all(row["own"] == row["by_order"] for row in found)
    assert all(row["own_cny"] == row["by_order_cny"] for row in found if row["currency"] != "EUR")


def test_a_week_adds_up_what_could_be_converted_and_counts_the_rest(abroad: Shop) -> None:
    weeks = abroad.rows(
        "SELECT week_start, orders, net_sales, refunded_amount, average_order_value, "
        "unconverted_orders, unconverted_refunds FROM marts.kpi_weekly "
        "WHERE week_start BETWEEN '2026-01-05' AND '2026-01-19' ORDER BY 1"
    )

    assert [tuple(row.values())[1:] for row in weeks] == [
        (2, 100, 0, 100, 1, 0),
        (2, 70, 0, 70, 1, 0),
        (0, 0, Decimal("34.4"), None, 0, 1),
    ]


def test_gates_let_revenue_pass_and_warn_of_what_has_no_rate(abroad: Shop) -> None:
    run = run_dbt(
        abroad.settings, ["test", "--select", "revenue_daily", "kpi_weekly"], abroad.variables()
    )

    assert {result.name for result in run.tests if result.status == "fail"} == set()
    (warned,) = (result for result in run.tests if result.status == "warn")
    assert warned.name == "marts_revenue_daily_has_every_rate"
    assert sorted(warned.example_keys) == [
        "revenue_date=2026-01-08, currency=USD", "revenue_date=2026-01-15, currency=EUR"
    ]  # fmt: skip


def test_revenue_that_does_not_add_up_fails_its_gates(abroad: Shop) -> None:
    with Warehouse.of(abroad.settings).connect(read_only=False) as connection:
        connection.execute("CREATE TABLE kept AS FROM marts.revenue_daily")
        connection.execute(
            "UPDATE marts.revenue_daily SET refunded_amount_by_order_date = 51 "
            "WHERE refunded_amount_by_order_date = 50"
        )
        connection.execute("INSERT INTO marts.revenue_daily FROM kept WHERE currency = 'EUR'")
    run = run_dbt(abroad.settings, ["test", "--select", "revenue_daily"], abroad.variables())
    with Warehouse.of(abroad.settings).connect(read_only=False) as connection:
        connection.execute("DELETE FROM marts.revenue_daily")
        connection.execute("INSERT INTO marts.revenue_daily FROM kept")
        connection.execute("DROP TABLE kept")

    failed = {result.name for result in run.tests if result.status == "fail"}
    assert "marts_revenue_daily_reconciles_with_facts" in failed
    assert any(name.startswith("unique_key_revenue_daily") for name in failed)
