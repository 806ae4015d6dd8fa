"""Orders of which header, lines, payments and refunds do not agree: each way is fed, listed and added up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tiny_lake import Shop

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def listed(broken: Shop, found: Found) -> Found:
    """What is listed of the broken shop, which the violations are taken from."""
    assert found
    return broken.rows(
        "SELECT * FROM unified.order_reconciliation ORDER BY reason, order_id"
    )  # fmt: skip


def test_every_way_to_differ_is_listed_with_its_difference(listed: Found) -> None:
    assert [(row["reason"], row["order_id"], row["difference"]) for row in listed] == [
        ("header_vs_lines", "fraction", Decimal("0.0025")),
        ("header_vs_lines", "lines", Decimal("0.02")),
        ("header_vs_lines", "strangers", Decimal("0.01")),
        ("lines_in_other_currency", "euros", None),
        ("lines_without_header", "nowhere", Decimal(-5)),
        ("order_without_lines", "bare", Decimal(10)),
        ("order_without_payment", "bare", Decimal(10)),
        ("order_without_payment", "newer", Decimal(11)),
        ("order_without_payment", "refunded", Decimal(12)),
        ("order_without_payment", "strangers", Decimal(10)),
        # Which of its two headers counts is for nobody to say; the file's later one does.
        ("order_without_payment", "twice", Decimal(11)),
        ("overpaid", "overpaid", Decimal(-2)),
        ("paid_but_not_counted", "unpaid", Decimal(-3)),
        ("payment_without_order", "ghost", Decimal(-4)),
        ("payments_in_other_currency", "dollars", None),
        ("refund_exceeds_order", "refunded", Decimal("-0.5")),
        ("refund_exceeds_payment", "kept", Decimal(-1)),
        ("refund_without_order", "ghost", Decimal(-3)),
        ("refunds_in_other_currency", "euros", None),
        ("unpaid_balance", "kept", Decimal(5)),
        ("unpaid_balance", "nowhere", Decimal(4)),
        ("unpaid_balance", "paid", Decimal(1)),
    ]


def test_an_order_is_listed_with_all_that_was_compared(listed: Found) -> None:
    (kept,) = (row for row in listed if row["reason"] == "refund_exceeds_payment")
    expected = {
        "order_status": "completed", "currency": "CNY", "other_currency": "CNY",
        "header_amount": Decimal(10), "due_amount": Decimal(10), "lines_amount": Decimal(10),
        "paid_amount": Decimal(5), "refunded_amount": Decimal(6),
        "line_count": 1, "payment_count": 1, "refund_count": 1,
    }  # fmt: skip
    assert {name: kept[name] for name in expected} == expected


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("one", "other", "reasons"),
    [
        ("SELECT sum(net_amount) FROM unified.fct_order WHERE order_id IN "
         "(SELECT order_id FROM unified.fct_order_line WHERE line_type = 'sale' AND currency = 'CNY')",
         "SELECT sum(net_amount) FROM unified.fct_order_line WHERE line_type = 'sale' "
         "AND currency = 'CNY'",
         ("header_vs_lines",)),
        ("SELECT sum(net_amount + shipping_amount + tax_amount) FROM unified.fct_order "
         "WHERE is_counted AND order_id NOT IN ('dollars', 'before lines', 'headers only')",
         "SELECT sum(amount) FROM unified.fct_payment WHERE is_counted AND currency = 'CNY'",
         ("unpaid_balance", "overpaid", "order_without_payment", "paid_but_not_counted",
          "payment_without_order")),
    ],
)  # fmt: skip
def test_totals_differ_by_exactly_what_is_listed(
    broken: Shop, one: str, other: str, reasons: tuple[str, ...]
) -> None:
    named = "', '".join(reasons)
    listed = f"SELECT sum(difference) FROM unified.order_reconciliation WHERE reason IN ('{named}')"
    assert broken.one(f"SELECT ({one}) - ({other})") == broken.one(listed)
