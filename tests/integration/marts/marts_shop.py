"""Rows of a shop whose marts can be worked out by hand: Shanghai, seen at the end of 2026-02-28.

What belongs here: the rows. What does not: what the marts make of them; that is in the tests.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tiny_lake import Shop, at, line, order

MAPPED = (
    "members", "contacts", "products", "orders", "order_lines", "refunds", "interactions",
    "consents", "points", "coupons", "staff",
)  # fmt: skip

# A week on the web: a member's session, an anonymous one, one of staff, one that ran away, and what is in
# no session.
WEB_EVENTS = [
    {"event_id": f"{event_id}{n}", "event_name": name, "channel": "web", **who,
     "occurred_at": at("2026-02-10 03:00") + timedelta(minutes=29 * n)}
    for event_id, count, name, who in (
        ("known", 2, "launch", {"member_id": "crm:4"}),
        ("anonymous", 1, "launch", {"openid": "mini:unknown"}),
        ("staff", 3, "launch", {"member_id": "crm:2"}),
        ("runaway", 20, "launch", {"openid": "mini:robot"}),
        ("received", 1, "message_sent", {"member_id": "crm:4"}),
        ("nobody", 1, "launch", {}),
    )
    for n in range(count)
]  # fmt: skip

# Who bought when, for how much. Gaps: 10 and 10 (member 1), 20 (member 2), 4 (member 3).
PURCHASES = {
    "crm:1": (("2026-01-05", 100.0), ("2026-01-15", 50.0), ("2026-01-25", 50.0)),
    "crm:2": (("2026-02-05", 40.0), ("2026-02-25", 60.0)),
    "crm:3": (("2026-02-10", 10.0), ("2026-02-14", 10.0)),
    "crm:4": (("2026-02-27", 500.0),),
    None: (("2026-02-11", 70.0),),
}


def fill(made: Shop) -> None:
    """Land the rows."""
    made.land(
        "members",
        [
            {"member_id": f"crm:{n}", "unionid": f"wx:{n}", "status": "active",
             "openid": f"mini:{n}", "registered_at": at(f"2026-01-0{n} 03:00")}
            for n in range(1, 6)
        ],
    )  # fmt: skip
    made.land("products", [{"product_id": "p1", "category_l1": "tea"},
                           {"product_id": "p2", "category_l1": "cups"}])  # fmt: skip
    orders: list[dict[str, Any]] = []
    for member, bought in PURCHASES.items():
        for day, amount in bought:
            orders.append(
                order(f"{member}-{day}", f"{day} 03:00", amount, member_id=member, store_id="shop1")
            )
    # Neither counts; one is placed after the as-of day.
    orders.append(order("off", "2026-02-20 03:00", 999.0, member_id="crm:1", status="cancelled"))
    orders.append(order("next", "2026-03-01 03:00", 999.0, member_id="crm:1"))
    made.land("orders", orders)
    made.land(
        "order_lines",
        [
            line(made_order["order_id"], 1, str(made_order["ordered_at"]),
                 made_order["net_amount"], product_id="p2" if number == 0 else "p1")
            for number, made_order in enumerate(orders)
        ],
    )  # fmt: skip
    made.land(
        "refunds",
        [
            {"refund_id": "r1", "order_id": "crm:1-2026-01-05", "amount": 30.0, "currency": "CNY",
             "status": "completed", "requested_at": at("2026-02-08 03:00"),
             "refunded_at": at("2026-02-12 03:00")},
        ],
    )  # fmt: skip
    made.land(
        "interactions",
        [
            {"event_id": f"e{n}", "event_name": "launch", "channel": "mini_program",
             "member_id": "crm:5", "occurred_at": at(f"2026-{day} 03:00")}
            for n, day in enumerate(("01-10", "02-10", "02-11"))
        ]
        + WEB_EVENTS,
    )  # fmt: skip
    # The second member works here.
    made.land("staff", [{"staff_id": "s1", "member_id": "crm:2"}])
    said = (
        # Allowed by text, then by everything, then text taken back: only the others stay granted.
        ("n1", "crm:1", "sms", "granted", "2026-01-05"),
        ("n2", "crm:1", "all", "granted", "2026-01-10"),
        ("n3", "crm:1", "sms", "withdrawn", "2026-01-20"),
        # Two identifiers of one person disagree: the stricter holds, though it is older.
        ("n4", "crm:2", "wecom", "denied", "2026-01-05"),
        ("n5", "wx:2", "wecom", "granted", "2026-01-20"),
        ("n7", "mini:4", "mini_program", "granted", "2026-01-20"),
    )
    made.land(
        "consents",
        [
            {"consent_id": key, "identifier": who, "purpose": "marketing", "channel": channel,
             "status": status, "effective_at": at(f"{day} 03:00")}
            for key, who, channel, status, day in said
        ] + [
            {"consent_id": "n6", "identifier": "crm:3", "purpose": "marketing", "channel": "email",
             "status": "granted", "effective_at": at("2026-01-05 03:00"),
             "expires_at": at("2026-02-01 03:00")},
        ],
    )  # fmt: skip
    made.land(
        "points",
        [
            {"entry_id": "t1", "member_id": "crm:1", "change": 100, "balance_after": 100,
             "occurred_at": at("2026-01-06 03:00")},
            {"entry_id": "t2", "member_id": "crm:1", "change": -30, "balance_after": 75,
             "occurred_at": at("2026-01-07 03:00")},
            {"entry_id": "t3", "member_id": "crm:2", "change": 10,
             "occurred_at": at("2026-01-07 03:00")},
            {"entry_id": "t4", "member_id": "crm:2", "change": 5,
             "occurred_at": at("2026-01-08 03:00")},
        ],
    )  # fmt: skip
    made.land(
        "coupons",
        [
            {"coupon_id": "k1", "member_id": "crm:1", "status": "issued",
             "issued_at": at("2026-01-06 03:00"), "expires_at": at("2026-02-06 03:00")},
            {"coupon_id": "k2", "member_id": "crm:1", "status": "issued",
             "issued_at": at("2026-01-06 03:00"), "expires_at": at("2026-04-06 03:00")},
            {"coupon_id": "k3", "member_id": "crm:1", "status": "redeemed",
             "issued_at": at("2026-01-06 03:00"), "redeemed_at": at("2026-01-25 03:00")},
        ],
    )  # fmt: skip
