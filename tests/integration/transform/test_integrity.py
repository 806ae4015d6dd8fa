"""Each rule across rows is fed rows that break it, and every violation shows both sides."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from broken_shop import WHEN, violations
from tiny_lake import line, order, shop

from siyu.config import REPO
from siyu.contracts import contracts


def test_every_rule_finds_its_rows_and_no_others(found: list[dict[str, Any]]) -> None:
    assert [(row["rule"], row["severity"], row["entity_key"]) for row in found] == [
        ("order_lines_order_id_known", "ERROR", "nowhere|1"),
        ("order_lines_product_id_known", "WARN", "strangers|1"),
        ("order_net_is_sum_of_lines", "ERROR", "euros"),
        ("order_net_is_sum_of_lines", "ERROR", "lines"),
        ("orders_have_lines", "WARN", "bare"),
        ("orders_key_unique", "ERROR", "twice"),
        ("orders_member_id_known", "WARN", "strangers"),
        ("orders_staff_id_known", "WARN", "strangers"),
        ("orders_store_id_known", "WARN", "strangers"),
        ("payments_are_order_total", "ERROR", "dollars"),
        ("payments_are_order_total", "ERROR", "kept"),
        ("payments_are_order_total", "ERROR", "overpaid"),
        ("payments_are_order_total", "ERROR", "paid"),
        ("payments_order_id_known", "ERROR", "10"),
        ("payments_order_id_known", "ERROR", "6"),
        ("points_member_id_known", "WARN", "t1"),
        ("refunds_order_id_known", "ERROR", "5"),
        ("refunds_order_id_known", "ERROR", "8"),
        ("refunds_within_order_total", "ERROR", "euros"),
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
    assert sides["orders_have_lines", "bare"] == (
        "order_lines", "bare", "10.0000 CNY", None, Decimal("10.0000")
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

    assert violations(made) == []


def test_every_reference_of_the_contracts_is_a_rule() -> None:
    macro = (REPO / "dbt_project/macros/quality/references.sql").read_text("utf-8")
    listed = re.findall(r"'entity': '(\w+)', 'column': '(\w+)', 'to': '(\w+)'", macro)

    assert listed == [
        (name, column, reference.entity)
        for name, found in contracts().items()
        for reference in found.references
        for column in reference.columns
    ]


def test_lines_that_come_late_end_the_case_of_an_order_without_any(tmp_path: Path) -> None:
    made = shop(tmp_path, ["orders", "order_lines"])
    made.land("orders", [order("whole", WHEN, 10.0), order("bare", WHEN, 10.0)])
    made.land("order_lines", [line("whole", 1, WHEN, 10.0)])
    before = violations(made)
    made.land("order_lines", [line("bare", 1, WHEN, 10.0)])

    assert [(row["rule"], row["entity_key"]) for row in before] == [("orders_have_lines", "bare")]
    assert violations(made) == []
