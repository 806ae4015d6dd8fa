"""A shop with one row for each way to break a rule across rows, and what is found in it.

What belongs here: the rows, and asking for the violations. What does not: which are expected; that is
in the tests.
"""

from __future__ import annotations

from typing import Any

from full_shop import MAPPED
from tiny_lake import Shop, at, line, order

from siyu.transform import run_dbt

WHEN = "2026-01-09 03:00"
ENTITIES = (*MAPPED, "inventory", "coupons", "feedback", "groups", "experiments", "assignments")


def payment(payment_id: str, order_id: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"payment_id": payment_id, "order_id": order_id, "amount": amount, "currency": "CNY",
            "status": "succeeded", "paid_at": at(WHEN), **more}  # fmt: skip


def refund(refund_id: str, order_id: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"refund_id": refund_id, "order_id": order_id, "amount": amount, "currency": "CNY",
            "status": "completed", "requested_at": at(WHEN), **more}  # fmt: skip


def fill(made: Shop) -> None:
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
            order("bare", WHEN, 10.0),
            order("before lines", "2026-01-01 03:00", 10.0),
            *(order(name, WHEN, 10.0) for name in ("euros", "overpaid", "kept", "fraction")),
        ],
        superseding=2,
    )
    # Nobody expects lines of an input that has none.
    made.land("orders", [order("headers only", WHEN, 10.0)], source="headers")
    made.land(
        "order_lines",
        [
            line("good", 1, WHEN, 4.0),
            line("good", 2, WHEN, 6.0),
            line("lines", 1, WHEN, 9.98),
            *(line(name, 1, WHEN, 10.0) for name in ("paid", "refunded", "dollars")),
            line("twice", 1, WHEN, 1.0, line_type="adjustment"),
            line("newer", 1, WHEN, 11.0),
            line("strangers", 1, WHEN, 9.99, product_id="p9"),
            line("nowhere", 1, WHEN, 5.0),
            line("euros", 1, WHEN, 10.0, currency="EUR"),
            *(line(name, 1, WHEN, 10.0) for name in ("overpaid", "kept")),
            line("fraction", 1, WHEN, 9.9975),
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
            payment("8", "overpaid", 12.0),
            payment("9", "kept", 5.0),
            payment("10", "ghost", 4.0),
            *(payment(name, name, 10.0) for name in ("euros", "fraction", "lines")),
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
            refund("6", "euros", 1.0, currency="EUR"),
            refund("7", "kept", 6.0),
            refund("8", "ghost", 3.0),
        ],
    )
    made.land(
        "points",
        [{"entry_id": "t1", "member_id": "crm:9", "change": 4, "occurred_at": at(WHEN)}],
    )


def violations(made: Shop) -> list[dict[str, Any]]:
    """What breaks a rule."""
    made.register()
    run = run_dbt(made.settings, ["run", "--select", "+integrity_violation"], made.variables())
    assert run.success, [result.message for result in run.results]
    return made.rows("SELECT * FROM ops.integrity_violation ORDER BY rule, entity_key")
