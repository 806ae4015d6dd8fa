"""CRM and selling systems beside each other: each way to miss a record is fed, listed and counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tiny_lake import Shop, at, order, shop

from siyu.transform import DbtRun, run_dbt
from siyu.warehouse import Warehouse


def points(entry_id: str, member_id: str, day: str, **more: Any) -> dict[str, Any]:
    return {"entry_id": entry_id, "member_id": member_id, "change": 10, "reason": "purchase",
            "occurred_at": at(f"{day} 03:00"), **more}  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose points begin on 10 February; the as-of day is the 28th, and 60 % is enough."""
    made = shop(tmp_path_factory.mktemp("compared"), ("members", "orders", "points", "coupons"))
    made = replace(
        made, retailer=made.retailer.model_copy(update={"gates": {"min_sync_rate": 0.6}})
    )
    made.land(
        "members",
        [{"member_id": f"crm:{n}", "registered_at": at(f"2026-01-0{n} 03:00")} for n in (1, 2, 4)]
        + [{"member_id": "crm:3", "registered_at": at("2026-02-20 03:00")}],
    )
    made.land(
        "orders",
        [
            order(name, f"2026-02-{day} 03:00", 10.0, member_id=member)
            for name, day, member in (
                ("before points", "01", "crm:1"), ("fine", "10", "crm:1"),
                ("forgotten", "11", "crm:1"), ("by coupon", "12", "crm:1"),
                ("not yet a member", "12", "crm:3"), ("a guest's", "12", None),
                ("a stranger's", "13", "crm:9"), ("another's", "14", "crm:1"),
                ("fresh", "27", "crm:2"),
            )
        ]
        + [order("off", "2026-02-15 03:00", 10.0, member_id="crm:1", status="cancelled")],
    )  # fmt: skip
    made.land(
        "points",
        [
            points("t1", "crm:1", "2026-02-10", order_id="fine"),
            points("t2", "crm:2", "2026-02-14", order_id="another's"),
            points("t3", "crm:1", "2026-02-15", order_id="off"),
            points("t4", "crm:2", "2026-02-16"),
            points("t5", "crm:4", "2026-02-17", order_id="ghost"),
            points("t6", "crm:2", "2026-02-27", order_id="under way"),
            points("t7", "crm:1", "2026-02-18", change=-5, reason="redeem"),
        ],
    )
    made.land(
        "coupons",
        [{"coupon_id": "k1", "member_id": "crm:1", "status": "redeemed", "order_id": "by coupon",
          "issued_at": at("2026-02-01 03:00"), "redeemed_at": at("2026-02-12 03:00")}],
    )  # fmt: skip
    made.refresh()
    made.make("sync_rate", "sync_unmatched")
    return made


def test_every_record_that_is_missed_is_listed_with_its_reason_and_age(compared: Shop) -> None:
    found = compared.rows(
        "SELECT kind, direction, record_id, reason, age_days FROM marts.sync_unmatched ORDER BY ALL"
    )

    assert [tuple(row.values()) for row in found] == [
        ("members", "crm_to_erp", "crm:4", "no_order_of_member", 11),
        ("members", "erp_to_crm", "crm:9", "member_unknown_to_crm", 15),
        ("orders", "crm_to_erp", "ghost", "order_unknown_to_erp", 11),
        ("orders", "crm_to_erp", "under way", "not_yet_synchronised", 1),
        ("orders", "erp_to_crm", "a stranger's", "member_unknown_to_crm", 15),
        ("orders", "erp_to_crm", "forgotten", "order_unknown_to_crm", 17),
        ("orders", "erp_to_crm", "fresh", "not_yet_synchronised", 1),
        ("points", "crm_to_erp", "t2", "points_of_another_customer", 14),
        ("points", "crm_to_erp", "t3", "order_not_counted", 13),
        ("points", "crm_to_erp", "t4", "points_without_order", 12),
        ("points", "crm_to_erp", "t5", "order_unknown_to_erp", 11),
        ("points", "crm_to_erp", "t6", "not_yet_synchronised", 1),
        ("points", "erp_to_crm", "a stranger's", "member_unknown_to_crm", 15),
        ("points", "erp_to_crm", "another's", "points_of_another_customer", 14),
        ("points", "erp_to_crm", "by coupon", "no_points_for_order", 16),
        ("points", "erp_to_crm", "forgotten", "no_points_for_order", 17),
        ("points", "erp_to_crm", "fresh", "not_yet_synchronised", 1),
    ]


def test_a_weeks_rate_is_what_both_hold_of_what_is_not_under_way(compared: Shop) -> None:
    found = compared.rows(
        "SELECT kind, direction, week_start, records, matched, pending, unmatched, sync_rate, "
        "is_complete_week FROM marts.sync_rate WHERE kind <> 'members' ORDER BY ALL"
    )

    ninth, sixteenth, last = date(2026, 2, 9), date(2026, 2, 16), date(2026, 2, 23)
    assert [tuple(row.values()) for row in found] == [
        ("orders", "crm_to_erp", ninth, 4, 4, 0, 0, 1.0, True),
        ("orders", "crm_to_erp", sixteenth, 1, 0, 0, 1, 0.0, True),
        ("orders", "crm_to_erp", last, 1, 0, 1, 0, None, False),
        ("orders", "erp_to_crm", ninth, 5, 3, 0, 2, 0.6, True),
        ("orders", "erp_to_crm", last, 1, 0, 1, 0, None, False),
        ("points", "crm_to_erp", ninth, 3, 1, 0, 2, pytest.approx(1 / 3), True),
        ("points", "crm_to_erp", sixteenth, 2, 0, 0, 2, 0.0, True),
        ("points", "crm_to_erp", last, 1, 0, 1, 0, None, False),
        ("points", "erp_to_crm", ninth, 5, 1, 0, 4, 0.2, True),
        ("points", "erp_to_crm", last, 1, 0, 1, 0, None, False),
    ]


def judged(made: Shop, *tables: str) -> DbtRun:
    return run_dbt(made.settings, ["test", "--select", *tables], made.variables())


def test_weeks_below_the_target_warn_and_stop_nothing(compared: Shop) -> None:
    run = judged(compared, "sync_rate", "sync_unmatched")

    assert run.success
    (warned,) = (result for result in run.tests if result.status == "warn")
    assert warned.name == "marts_sync_rate_reaches_target"
    # Six of the ten weeks with a rate: members, orders and points, in both directions.
    assert warned.failures == 6


def test_the_target_is_the_retailers_and_is_met_at_it(compared: Shop) -> None:
    (week,) = compared.rows(
        "SELECT sync_rate, is_on_target FROM marts.sync_rate WHERE kind = 'orders' AND records = 5"
    )

    assert week == {"sync_rate": 0.6, "is_on_target": True}


def test_rows_that_break_the_tables_promises_stop(compared: Shop) -> None:
    with Warehouse.of(compared.settings).connect(read_only=False) as connection:
        connection.execute("INSERT INTO marts.sync_rate FROM marts.sync_rate WHERE records = 5")
        connection.execute("UPDATE marts.sync_rate SET sync_rate = 1.5 WHERE records = 2")
        connection.execute(
            "INSERT INTO marts.sync_unmatched FROM marts.sync_unmatched WHERE record_id = 't4'"
        )
        connection.execute(
            "UPDATE marts.sync_unmatched SET reason = 'who knows' WHERE record_id = 't5'"
        )
    run = judged(compared, "sync_rate", "sync_unmatched")
    compared.make("sync_rate", "sync_unmatched")

    failed = {result.name for result in run.tests if result.status == "fail"}
    for prefix in (
        "unique_key_sync_rate", "between_sync_rate", "unique_key_sync_unmatched",
        "accepted_values_sync_unmatched_reason",
    ):  # fmt: skip
        assert any(name.startswith(prefix) for name in failed), prefix
