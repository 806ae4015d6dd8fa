"""Rows of a shop with order headers, WeCom and versions of rows.

What belongs here: the rows. What does not: what the tables make of them; that is in the tests.
"""

from __future__ import annotations

from datetime import date

from tiny_lake import Shop, at, line, order

MAPPED = (
    "members", "contacts", "staff", "stores", "products", "orders", "order_lines", "refunds",
    "interactions", "campaigns", "messages", "group_members", "consents", "points", "payments",
    "exchange_rates",
)  # fmt: skip


def fill(made: Shop) -> None:
    """Land the rows of a shop with order headers, WeCom and versions of rows."""
    made.land(
        "members",
        [
            {"member_id": "crm:1", "phone_token": "phone:a", "unionid": "wx:1", "status": "closed",
             "gender": "female", "birth_year": 1990, "registered_at": at("2026-01-02 03:00")},
            {"member_id": "crm:2", "phone_token": "phone:b", "status": "active", "tier": "gold",
             "gender": "male", "registered_at": at("2026-01-05 03:00"),
             "referrer_member_id": "crm:1"},
        ],
    )  # fmt: skip
    made.land(
        "contacts",
        [
            {"external_userid": "wecom:1", "staff_id": "s1", "unionid": "wx:1",
             "added_at": at("2026-01-03 03:00")},
            {"external_userid": "wecom:1", "staff_id": "s2", "unionid": "wx:1",
             "added_at": at("2026-01-04 03:00"), "deleted_at": at("2026-01-20 03:00")},
            {"external_userid": "wecom:9", "staff_id": "s1", "remark_phone_token": "phone:b",
             "added_at": at("2026-01-04 03:00")},
        ],
    )  # fmt: skip
    made.land("staff", [{"staff_id": "s1"}, {"staff_id": "s2"}])
    made.land("stores", [{"store_id": "shop1", "name": "One", "type": "store"}])
    made.land("products", [{"product_id": "p1", "name": "Tea", "category_l1": "drinks"}])
    made.land(
        "orders",
        [
            # Late on the 9th by UTC is the 10th in Shanghai.
            order("o1", "2026-01-09 18:00", 100.0, member_id="crm:1", store_id="shop1",
                  status="paid", shipping_amount=8.0, updated_at=at("2026-01-09 18:00")),
            order("o2", "2026-01-15 03:00", 50.0, unionid="wx:1", store_id="shop2"),
            order("o3", "2026-01-16 03:00", 30.0, phone_token="phone:b", status="cancelled"),
            order("o4", "2026-01-17 03:00", 20.0),
            order("usd", "2026-01-18 03:00", 10.0, currency="USD"),
        ],
    )  # fmt: skip
    made.land(
        "orders",
        [
            order("o1", "2026-01-09 18:00", 90.0, member_id="crm:1", store_id="shop1",
                  updated_at=at("2026-01-12 03:00"), _known_at=at("2026-01-12 03:00")),
        ],
        superseding=1,
    )  # fmt: skip
    made.land(
        "order_lines",
        [
            line("o1", 1, "2026-01-09 18:00", 60.0),
            line("o1", 2, "2026-01-09 18:00", 30.0, product_id="p2", description="Cup"),
            line("o2", 1, "2026-01-15 03:00", 50.0),
            line("o3", 1, "2026-01-16 03:00", 30.0),
            line("o4", 1, "2026-01-17 03:00", 20.0),
            line("usd", 1, "2026-01-18 03:00", 10.0, currency="USD"),
            # An order that the headers lack, and a credit note.
            line("o5", 1, "2026-01-20 03:00", 40.0, member_id="crm:2", channel="web"),
            line("o5", 2, "2026-01-20 03:00", 5.0, product_id="POST", line_type="charge",
                 member_id="crm:2"),
            line("c6", 1, "2026-01-21 03:00", -15.0, member_id="crm:2"),
            line("a7", 1, "2026-01-22 03:00", -2.0, line_type="adjustment", product_id=None),
        ],
    )  # fmt: skip
    made.land(
        "refunds",
        [
            {"refund_id": "r1", "order_id": "o1", "line_no": 2, "amount": 30.0, "currency": "CNY",
             "status": "completed", "requested_at": at("2026-02-01 03:00"),
             "refunded_at": at("2026-02-03 03:00")},
            {"refund_id": "r2", "order_id": "o2", "amount": 50.0, "currency": "CNY",
             "status": "requested", "requested_at": at("2026-02-02 03:00")},
            {"refund_id": "r3", "order_id": "o3", "amount": 30.0, "currency": "CNY",
             "status": "completed", "requested_at": at("2026-02-02 03:00")},
        ],
    )  # fmt: skip
    made.land(
        "interactions",
        [
            {"event_id": "e1", "event_name": "view", "channel": "mini_program",
             "openid": "mini:1", "member_id": "crm:1", "product_id": "p1",
             "occurred_at": at("2026-01-10 03:00")},
            {"event_id": "e2", "event_name": "view", "channel": "mini_program",
             "openid": "mini:1", "occurred_at": at("2026-01-11 03:00")},
            {"event_id": "e3", "event_name": "view", "channel": "mini_program",
             "occurred_at": at("2026-01-11 03:00")},
            # Two days before anybody could know whose it is.
            {"event_id": "e4", "event_name": "view", "channel": "mini_program",
             "openid": "mini:1", "occurred_at": at("2026-01-08 03:00")},
        ],
    )  # fmt: skip
    made.land("campaigns", [{"campaign_id": "k1", "name": "Spring"}])
    made.land(
        "messages",
        [
            {"message_id": "m1", "external_userid": "wecom:1", "staff_id": "s1",
             "campaign_id": "k1", "channel": "wecom", "status": "sent",
             "created_at": at("2026-01-08 03:00"), "sent_at": at("2026-01-08 04:00")},
        ],
    )  # fmt: skip
    made.land(
        "group_members",
        [
            {"group_id": "g1", "userid": "wecom:1", "member_type": "customer",
             "joined_at": at("2026-01-06 03:00")},
            {"group_id": "g1", "userid": "wecom:s1", "member_type": "staff",
             "joined_at": at("2026-01-06 03:00")},
        ],
    )  # fmt: skip
    made.land(
        "consents",
        [
            {"consent_id": "n1", "identifier": "phone:c", "purpose": "marketing",
             "channel": "sms", "status": "granted", "effective_at": at("2026-01-02 03:00")},
        ],
    )  # fmt: skip
    made.land(
        "points",
        [
            {"entry_id": "t1", "member_id": "crm:2", "change": 40, "reason": "purchase",
             "order_id": "o5", "occurred_at": at("2026-01-20 03:00")},
            {"entry_id": "t2", "member_id": "crm:1", "change": 50, "reason": "purchase",
             "order_id": "o2", "occurred_at": at("2026-01-15 04:00")},
        ],
    )  # fmt: skip
    made.land(
        "payments",
        [
            {"payment_id": "y1", "order_id": "o1", "amount": 98.0, "currency": "CNY",
             "status": "succeeded", "paid_at": at("2026-01-09 18:01"), "method": "cash"},
            {"payment_id": "y2", "order_id": "o2", "amount": 49.0, "currency": "CNY",
             "status": "succeeded", "paid_at": at("2026-01-15 03:01")},
        ],
    )  # fmt: skip
    made.land(
        "exchange_rates",
        [
            {"from_currency": "USD", "to_currency": "CNY", "rate_date": date(2026, 1, day),
             "rate": rate}
            for day, rate in ((10, 7.12345678), (20, 7.1))
        ],
    )  # fmt: skip
