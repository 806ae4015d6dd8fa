"""Each rule across rows is fed rows that break it, and every violation shows both sides."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import MAPPED
from tiny_lake import Shop, at, line, order, shop

from siyu.config import REPO
from siyu.contracts import contracts
from siyu.transform import run_dbt

WHEN = "2026-01-09 03:00"
ENTITIES = (*MAPPED, "payments", "inventory", "coupons", "feedback", "groups", "experiments",
            "assignments")  # fmt: skip


def payment(payment_id: str, order_id: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"payment_id": payment_id, "order_id": order_id, "amount": amount, "currency": "CNY",
            "status": "succeeded", "paid_at": at(WHEN), **more}  # fmt: skip


def refund(refund_id: str, order_id: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"refund_id": refund_id, "order_id": order_id, "amount": amount, "currency": "CNY",
            "status": "completed", "requested_at": at(WHEN), **more}  # fmt: skip


def fill_bad(made: Shop) -> None:
    """Land good rows of everything, and one row for each way to break a rule."""
    made.land("members", [{"member_id": "crm:1"}])
    made.land("stores", [{"store_id": "s1"}])
    made.land("staff", [{"staff_id": "e1", "store_id": "s1"}])
    made.land("products", [{"product_id": "p1"}])
    made.land("campaigns", [{"campaign_id": "k1"}])
    made.land(
        "orders",
        [
            order("good", WHEN, 10.0, shipping_amount=2.0, member_id="crm:1", store_id="s1"),
            order("lines", WHEN, 10.0),
            order("paid", WHEN, 10.0, tax_amount=1.0),
            order("refunded", WHEN, 10.0, shipping_amount=2.0),
            order("dollars", WHEN, 10.0),
            order("unpaid", WHEN, 10.0, status="unpaid"),
            order("strangers", WHEN, 10.0, member_id="crm:9", store_id="s9", staff_id="e9"),
            order("twice", WHEN, 10.0, updated_at=at(WHEN)),
            order("twice", WHEN, 11.0, updated_at=at(WHEN)),
            order("newer", WHEN, 10.0, updated_at=at(WHEN)),
            order("newer", WHEN, 11.0, updated_at=at("2026-01-10 03:00")),
        ],
        superseding=2,
    )
    made.land(
        "order_lines",
        [
            line("good", 1, WHEN, 4.0),
            line("good", 2, WHEN, 6.0),
            line("lines", 1, WHEN, 9.98),
            line("strangers", 1, WHEN, 9.99, product_id="p9"),
            line("nowhere", 1, WHEN, 5.0),
            # A credit note is no order, and an adjustment sells nothing.
            line("note", 1, WHEN, -5.0),
            line("good", 3, WHEN, 5.0, line_type="adjustment", product_id="p9"),
        ],
    )
    made.land(
        "payments",
        [
            payment("1", "good", 5.0),
            payment("2", "good", 7.0),
            payment("3", "good", 99.0, status="failed"),
            payment("4", "paid", 10.0),
            payment("5", "dollars", 10.0, currency="USD"),
            payment("6", "nowhere", 1.0),
            payment("7", "unpaid", 3.0),
        ],
    )
    made.land(
        "refunds",
        [
            refund("1", "good", 12.0),
            refund("2", "refunded", 12.0),
            refund("3", "refunded", 0.5),
            refund("4", "lines", 99.0, status="rejected"),
            refund("5", "nowhere", 1.0),
        ],
    )
    made.land(
        "points",
        [{"entry_id": "t1", "member_id": "crm:9", "change": 4, "occurred_at": at(WHEN)}],
    )


def built(made: Shop) -> list[dict[str, Any]]:
    """The violations of a shop."""
    made.register()
    run = run_dbt(made.settings, ["run", "--select", "+integrity_violation"], made.variables())
    assert run.success, [result.message for result in run.results]
    return made.rows("SELECT * FROM ops.integrity_violation ORDER BY rule, entity_key")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = shop(tmp_path_factory.mktemp("bad"), ENTITIES)
    fill_bad(made)
    return made


@pytest.fixture(scope="module")
def found(bad: Shop) -> list[dict[str, Any]]:
    return built(bad)


def test_every_rule_finds_its_rows_and_no_others(found: list[dict[str, Any]]) -> None:
    assert [(row["rule"], row["severity"], row["entity_key"]) for row in found] == [
        ("order_lines_order_id_known", "ERROR", "nowhere|1"),
        ("order_lines_product_id_known", "WARN", "strangers|1"),
        ("order_net_is_sum_of_lines", "ERROR", "lines"),
        ("orders_key_unique", "ERROR", "twice"),
        ("orders_member_id_known", "WARN", "strangers"),
        ("orders_staff_id_known", "WARN", "strangers"),
        ("orders_store_id_known", "WARN", "strangers"),
        ("payments_are_order_total", "ERROR", "dollars"),
        ("payments_are_order_total", "ERROR", "paid"),
        ("payments_order_id_known", "ERROR", "6"),
        ("points_member_id_known", "WARN", "t1"),
        ("refunds_order_id_known", "ERROR", "5"),
        ("refunds_within_order_total", "ERROR", "refunded"),
    ]


def test_a_violation_shows_both_sides(found: list[dict[str, Any]]) -> None:
    sides = {
        (row["rule"], row["entity_key"]): (
            row["other_entity"], row["other_key"], row["left_value"], row["right_value"],
            row["difference"],
        )
        for row in found
    }  # fmt: skip

    assert sides["order_net_is_sum_of_lines", "lines"] == (
        "order_lines", "lines", "10.0000 CNY", "9.9800 CNY in 1 lines", Decimal("0.0200")
    )  # fmt: skip
    assert sides["payments_are_order_total", "paid"] == (
        "payments", "paid", "11.0000 CNY", "10.0000 CNY in 1 payments", Decimal("1.0000")
    )  # fmt: skip
    assert sides["payments_are_order_total", "dollars"] == (
        "payments", "dollars", "10.0000 CNY", "10.0000 USD in 1 payments", None
    )  # fmt: skip
    assert sides["refunds_within_order_total", "refunded"] == (
        "refunds", "refunded", "12.0000 CNY", "12.5000 CNY in 2 refunds", Decimal("-0.5000")
    )  # fmt: skip
    assert sides["order_lines_order_id_known", "nowhere|1"] == (
        "orders", "nowhere", "nowhere", None, None
    )  # fmt: skip
    assert sides["orders_key_unique", "twice"] == (
        "orders", "twice", "rows:8", "rows:9", Decimal("1.0000")
    )  # fmt: skip


def test_a_violation_names_the_input_and_the_batch_of_its_row(found: list[dict[str, Any]]) -> None:
    assert {row["source"] for row in found} == {"made-up"}
    assert all(row["batch_id"] == f"{row['entity']}-0" for row in found)


def test_what_a_retailer_does_not_supply_is_not_missed(tmp_path: Path) -> None:
    made = shop(tmp_path, ["order_lines"])
    made.land("order_lines", [line("i1", 1, WHEN, 9.0, member_id="crm:1", store_id="s1")])

    assert built(made) == []


@pytest.mark.spark
def test_spark_finds_the_same_violations(bad: Shop, found: list[dict[str, Any]]) -> None:
    assert built(Shop(replace(bad.settings, engine="spark"), bad.retailer)) == found


def test_every_reference_of_the_contracts_is_a_rule() -> None:
    macro = (REPO / "dbt_project/macros/quality/references.sql").read_text("utf-8")
    listed = re.findall(r"'entity': '(\w+)', 'column': '(\w+)', 'to': '(\w+)'", macro)

    assert listed == [
        (name, column, reference.entity)
        for name, found in contracts().items()
        for reference in found.references
        for column in reference.columns
    ]
