"""Marts worked out by hand, and dbt's own tests against rows that break them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tiny_lake import Shop

from siyu.transform import run_dbt
from siyu.warehouse import Warehouse


def customer(sold: Shop, table: str, member: str) -> dict[str, Any]:
    """One customer's row of a mart."""
    (found,) = sold.rows(
        f"SELECT m.* FROM {table} m JOIN unified.customer_identifier i USING (customer_id) "
        f"WHERE i.identifier = '{member}'"
    )
    return found


def test_customer_360_adds_up_what_a_customer_bought_and_got_back(sold: Shop) -> None:
    found = customer(sold, "marts.customer_360", "crm:1")
    expected = {
        "first_order_date": date(2026, 1, 5), "last_order_date": date(2026, 1, 25),
        "days_since_last_order": 34, "median_gap_days": 10.0, "orders_lifetime": 3,
        "orders_30d": 0, "orders_90d": 3, "net_revenue_lifetime": Decimal(170),
        # The refund came back in the last 30 days; what it was for did not.
        "net_revenue_30d": Decimal(-30), "refunded_amount_lifetime": Decimal(30),
        "average_order_value": Decimal("66.6667"), "favourite_category": "cups",
        "favourite_store_id": "shop1", "points_balance": 75, "coupons_open": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert customer(sold, "marts.customer_360", "crm:2")["points_balance"] == 15


@pytest.mark.parametrize(
    ("member", "channel", "reason"),
    [
        ("crm:1", "sms", "withdrawn"),
        ("crm:1", "wecom", "not_a_friend"),
        ("crm:2", "wecom", "denied"),
        ("crm:2", "sms", "never_asked"),
        ("crm:3", "email", "expired"),
        ("crm:4", "mini_program", "granted"),
        ("crm:5", "phone", "never_asked"),
    ],
)
def test_customer_360_says_who_may_be_contacted_as_contactability_does(
    sold: Shop, member: str, channel: str, reason: str
) -> None:
    (found,) = sold.rows(
        "SELECT reason FROM unified.contactability AS c "
        "JOIN unified.customer_identifier AS i USING (customer_id) "
        f"WHERE i.identifier = '{member}' AND channel = '{channel}' AND purpose = 'marketing'"
    )
    assert found["reason"] == reason
    said = customer(sold, "marts.customer_360", member)[f"is_contactable_{channel}"]
    assert said == (reason == "granted")


@pytest.mark.parametrize(
    ("member", "stage"),
    [("crm:1", "lapsed"), ("crm:2", "active"), ("crm:3", "at_risk"), ("crm:4", "new"),
     ("crm:5", "prospect")],
)  # fmt: skip
def test_lifecycle_follows_the_shops_own_gaps(sold: Shop, member: str, stage: str) -> None:
    found = customer(sold, "marts.customer_360", member)
    # Gaps 4, 10, 10 and 20 days: three quarters are below 12.5, and 95 % below 18.5.
    assert found["at_risk_after_days"] == pytest.approx(12.5)
    assert found["lapsed_after_days"] == pytest.approx(18.5)
    assert found["lifecycle_stage"] == stage


def test_a_life_has_one_stage_at_a_time_up_to_the_as_of_day(sold: Shop) -> None:
    found = sold.rows(
        "SELECT strftime(valid_from, '%m-%d'), strftime(valid_to, '%m-%d'), h.lifecycle_stage, is_current "
        "FROM marts.customer_lifecycle_history AS h JOIN marts.customer_360 USING (customer_id) "
        "WHERE member_id = 'crm:1' ORDER BY valid_from"
    )

    # Registered on the 1st, bought on the 5th, 15th and 25th; silence counts from the 13th and 19th day.
    assert [tuple(row.values()) for row in found] == [
        ("01-01", "01-05", "prospect", False),
        ("01-05", "01-15", "new", False),
        ("01-15", "02-07", "active", False),
        ("02-07", "02-13", "at_risk", False),
        ("02-13", None, "lapsed", True),
    ]


def test_equal_values_get_equal_scores(sold: Shop) -> None:
    split = sold.rows(
        "SELECT frequency_orders FROM marts.customer_rfm GROUP BY frequency_orders "
        "HAVING count(DISTINCT frequency_score) > 1"
    )
    assert split == []
    best = customer(sold, "marts.customer_rfm", "crm:4")
    assert (best["recency_score"], best["frequency_score"], best["monetary_score"]) == (5, 1, 5)
    assert best["segment_zh"] == "重要发展客户"


def test_a_week_shows_what_it_could_not_tie_to_a_customer(sold: Shop) -> None:
    (week,) = sold.rows("SELECT * FROM marts.kpi_weekly WHERE week_start = DATE '2026-02-09'")
    # The 10th and 14th of member 3, the 11th of nobody, and the refund of the 12th.
    expected = {
        "orders": 3, "active_customers": 1, "net_sales": Decimal(90),
        "refunded_amount": Decimal(30), "net_revenue": Decimal(60), "unresolved_orders": 1,
        "unresolved_net_sales": Decimal(70), "members": 5, "new_members": 0,
    }  # fmt: skip
    assert {name: week[name] for name in expected} == expected
    assert week["order_coverage"] == pytest.approx(2 / 3)
    assert week["refund_rate"] == pytest.approx(1 / 3)


def test_a_customer_who_bought_in_the_days_before_the_week_returns(sold: Shop) -> None:
    rates = sold.rows(
        "SELECT week_start, active_customers, returning_customers FROM marts.kpi_weekly "
        "WHERE returning_customers > 0 ORDER BY week_start"
    )
    assert [tuple(row.values()) for row in rates] == [
        (date(2026, 1, 12), 1, 1),
        (date(2026, 1, 19), 1, 1),
        (date(2026, 2, 23), 2, 1),
    ]


def test_weeks_that_stick_out_of_the_history_are_not_complete(sold: Shop) -> None:
    partial = sold.rows(
        "SELECT week_start FROM marts.kpi_weekly WHERE NOT is_complete_week ORDER BY 1"
    )
    assert [row["week_start"] for row in partial] == [date(2025, 12, 29), date(2026, 2, 23)]


def test_cohorts_are_followed_month_by_month(sold: Shop) -> None:
    found = sold.rows(
        "SELECT cohort_month, months_since, customers, active_customers, net_revenue, "
        "cumulative_revenue_per_customer FROM marts.cohort_retention ORDER BY 1, 2"
    )
    assert [tuple(row.values()) for row in found] == [
        (date(2026, 1, 1), 0, 1, 1, Decimal(200), Decimal(200)),
        (date(2026, 1, 1), 1, 1, 0, Decimal(-30), Decimal(170)),
        (date(2026, 2, 1), 0, 3, 3, Decimal(620), Decimal("206.6667")),
    ]


@contextmanager
def broken(sold: Shop, statement: str, table: str) -> Iterator[None]:
    """The shop with one statement run on a table, put back afterwards."""
    warehouse = Warehouse.of(sold.settings)
    before = warehouse.read(f"SELECT * FROM {table}")
    with warehouse.connect(read_only=False) as connection:
        connection.execute(statement)
    try:
        yield
    finally:
        with warehouse.connect(read_only=False) as connection:
            connection.register("before", before)
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"INSERT INTO {table} BY NAME FROM before")


@pytest.mark.parametrize(
    ("table", "statement", "test"),
    [
        ("marts.kpi_weekly", "UPDATE marts.kpi_weekly SET net_revenue = net_revenue + 1",
         "marts_kpi_weekly_reconciles_with_facts"),
        ("marts.kpi_weekly", "DELETE FROM marts.kpi_weekly WHERE week_start = DATE '2026-01-26'",
         "marts_kpi_weekly_has_every_week"),
        ("marts.customer_360", "UPDATE marts.customer_360 SET orders_lifetime = 9",
         "marts_customer_360_reconciles_with_facts"),
        ("marts.customer_360", "UPDATE marts.customer_360 SET is_contactable_sms = true",
         "marts_customer_360_says_who_is_contactable"),
        ("marts.cohort_retention", "UPDATE marts.cohort_retention SET customers = customers + 1",
         "marts_cohort_retention_starts_whole"),
        ("marts.interaction_weekly",
         "INSERT INTO marts.interaction_weekly FROM marts.interaction_weekly",
         "unique_key_interaction_weekly_week_start__channel"),
    ],
)  # fmt: skip
def test_a_mart_that_does_not_add_up_fails_its_test(
    sold: Shop, table: str, statement: str, test: str
) -> None:
    with broken(sold, statement, table):
        run = run_dbt(sold.settings, ["test", "--select", test], sold.variables())
    assert [(result.name, result.status) for result in run.tests] == [(test, "fail")]


def test_every_interaction_of_a_week_is_in_one_count(sold: Shop) -> None:
    (week,) = sold.rows("SELECT * FROM marts.interaction_weekly WHERE channel = 'web'")
    assert week == {
        "week_start": date(2026, 2, 9), "channel": "web", "sessions": 2, "known_sessions": 1,
        "bounced_sessions": 1, "staff_sessions": 1, "runaway_sessions": 1, "visitors": 2,
        "known_visitors": 1, "events": 3, "known_events": 2, "known_event_share": 2 / 3,
        "staff_events": 3, "runaway_events": 20, "received_events": 1, "unidentified_events": 1,
    }  # fmt: skip
    total = sold.one(
        "SELECT sum(events + staff_events + runaway_events + received_events + unidentified_events) "
        "FROM marts.interaction_weekly"
    )
    assert total == sold.one("SELECT count(*) FROM unified.fct_interaction") == 31


def test_what_staff_look_at_is_no_customers_interest(sold: Shop) -> None:
    assert customer(sold, "marts.customer_360", "crm:4")["interactions_30d"] == 3
    assert customer(sold, "marts.customer_360", "crm:2")["interactions_30d"] == 0
