"""What the unified layer makes of hand-written rows: revenue, identity, time, derived rows."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from tiny_lake import Shop, at, shop


def by_id(made: Shop, table: str, key: str) -> dict[str, dict[str, object]]:
    return {row[key]: row for row in made.rows(f"SELECT * FROM {table}")}


def test_the_latest_version_of_an_order_counts_and_every_version_is_kept(built: Shop) -> None:
    versions = built.rows(
        "SELECT status, net_amount, _superseded_at FROM staging.stg_order_versions "
        "WHERE order_id = 'o1' ORDER BY _known_at"
    )

    assert by_id(built, "unified.fct_order", "order_id")["o1"]["net_amount"] == Decimal(90)
    assert versions == [
        {"status": "paid", "net_amount": Decimal(100), "_superseded_at": at("2026-01-12 03:00")},
        {"status": "completed", "net_amount": Decimal(90), "_superseded_at": None},
    ]


def test_net_revenue_takes_off_completed_refunds_and_leaves_out_what_does_not_count(
    built: Shop,
) -> None:
    orders = by_id(built, "unified.fct_order", "order_id")

    assert {key: row["net_revenue"] for key, row in orders.items()} == {
        "o1": Decimal(60),  # 90 less a completed refund of 30
        "o2": Decimal(50),  # its refund is only requested
        "o3": Decimal(0),  # cancelled
        "o4": Decimal(20),
        "o5": Decimal(40),  # header derived from lines; its postage is not goods
        "usd": Decimal(10),
    }
    assert orders["o5"]["shipping_amount"] == Decimal(5)
    assert orders["o5"]["is_derived"] is True


def test_a_refund_is_dated_by_its_own_day_and_counts_only_when_its_order_does(built: Shop) -> None:
    refunds = by_id(built, "unified.fct_refund", "refund_id")

    assert refunds["r1"]["refunded_date"] == date(2026, 2, 3)
    assert refunds["r1"]["product_id"] == "p2"
    assert {key: row["is_counted"] for key, row in refunds.items()} == {
        "r1": True,
        "r2": False,  # not completed
        "r3": False,  # of a cancelled order
        "c6:1": True,  # a credit note
    }


def test_a_credit_note_is_a_refund_of_an_unknown_order_and_not_an_order(built: Shop) -> None:
    refund = by_id(built, "unified.fct_refund", "refund_id")["c6:1"]

    assert refund["order_id"] is None
    assert refund["document_id"] == "c6"
    assert refund["amount"] == Decimal(15)
    assert refund["is_resolved"] is True
    assert built.one("SELECT count(*) FROM unified.fct_order WHERE order_id IN ('c6', 'a7')") == 0


def test_revenue_by_orders_equals_revenue_by_lines_and_refunds(built: Shop) -> None:
    by_orders = built.one("SELECT sum(net_revenue) FROM unified.fct_order")
    lines = built.one("SELECT sum(net_amount) FROM unified.fct_order_line WHERE is_counted")
    refunds = built.one(
        "SELECT sum(amount) FROM unified.fct_refund WHERE is_counted AND order_id IS NOT NULL"
    )

    assert by_orders == lines - refunds


def test_no_line_is_dropped_whatever_its_type(built: Shop) -> None:
    assert built.one("SELECT count(*) FROM unified.fct_order_line") == 10
    assert built.one("SELECT sum(net_amount) FROM unified.fct_order_line") == Decimal("228")


def test_orders_resolve_by_the_strongest_identifier_and_stay_when_unresolved(built: Shop) -> None:
    orders = by_id(built, "unified.fct_order", "order_id")

    assert {key: row["resolved_by"] for key, row in orders.items()} == {
        "o1": "member_id",
        "o2": "unionid",
        "o3": "phone",
        "o4": None,
        "o5": "member_id",
        "usd": None,
    }
    assert orders["o1"]["customer_id"] == orders["o2"]["customer_id"]
    assert orders["o4"]["is_resolved"] is False


def test_a_local_day_is_the_retailers_and_not_utcs(built: Shop) -> None:
    order = by_id(built, "unified.fct_order", "order_id")["o1"]

    assert order["ordered_at"] == at("2026-01-09 18:00")
    assert order["ordered_date"] == date(2026, 1, 10)


def test_a_customer_joins_member_wecom_and_mini_program(built: Shop) -> None:
    customers = by_id(built, "unified.dim_customer", "member_id")
    first = customers["crm:1"]

    assert (first["has_unionid"], first["has_openid"], first["has_external_userid"]) == (
        True,
        True,
        True,
    )
    assert (first["wecom_staff_count"], first["wecom_active_staff_count"]) == (2, 1)
    assert first["group_count"] == 1
    assert first["age_band"] == "35-44"
    assert first["first_order_date"] == date(2026, 1, 10)
    assert customers["crm:2"]["referrer_customer_id"] == first["customer_id"]


def test_an_identifier_without_any_link_is_a_customer_of_its_own(built: Shop) -> None:
    customer = built.rows(
        "SELECT d.* FROM unified.dim_customer AS d JOIN unified.customer_identifier AS i "
        "USING (customer_id) WHERE i.identifier = 'phone:c'"
    )

    assert [(row["is_member"], row["identifier_count"]) for row in customer] == [(False, 1)]


def test_an_identifier_was_a_customer_of_its_own_until_its_link_was_known(built: Shop) -> None:
    known = built.rows(
        "SELECT * FROM unified.customer_identifier_history WHERE identifier = 'mini:1' "
        "ORDER BY recorded_from"
    )
    member = built.one(
        "SELECT customer_id FROM unified.customer_identifier WHERE identifier = 'crm:1'"
    )
    alone, linked = at("2026-01-08 03:00"), at("2026-01-10 03:00")

    assert [(row["recorded_from"], row["recorded_to"], row["is_current"]) for row in known] == [
        (alone, linked, False), (linked, None, True)
    ]  # fmt: skip
    assert [(row["effective_from"], row["effective_to"]) for row in known] == [
        (alone, linked), (linked, None)
    ]  # fmt: skip
    assert known[0]["customer_id"] != known[1]["customer_id"] == member
    assert built.rows(
        "SELECT recorded_from FROM unified.customer_identifier "
        "WHERE identifier IN ('mini:1', 'crm:1') ORDER BY recorded_from"
    ) == [{"recorded_from": at("2026-01-02 03:00")}, {"recorded_from": linked}]


def test_a_link_was_known_when_a_version_first_showed_it(tmp_path: Path) -> None:
    """The newest version of a member is of yesterday, as its tier changed; its phone is no news."""
    made = shop(tmp_path, ["members"])
    member = {
        "member_id": "crm:1",
        "phone_token": "phone:a",
        "registered_at": at("2026-01-02 03:00"),
    }
    first, later = at("2026-01-03 03:00"), at("2026-02-20 03:00")
    made.land("members", [member | {"updated_at": first, "_known_at": first}])
    made.land("members", [member | {"updated_at": later, "_known_at": later}], superseding=1)
    made.land(
        "members",
        [{"member_id": "crm:2", "phone_token": "phone:wrong", "_known_at": first},
         {"member_id": "crm:2", "updated_at": later, "_known_at": later}],
        superseding=1,
    )  # fmt: skip
    made.register()
    made.make("+stg_identity_edge", "+stg_identifier")

    assert made.rows("SELECT identifier_b, known_at FROM staging.stg_identity_edge") == [
        {"identifier_b": "phone:a", "known_at": first}
    ]
    assert made.rows("SELECT identifier, known_at FROM staging.stg_identifier ORDER BY 1") == [
        {"identifier": name, "known_at": first} for name in ("crm:1", "crm:2", "phone:a")
    ]


def test_a_contact_that_ends_without_a_word_of_who_it_was_is_still_who_it_was(
    tmp_path: Path,
) -> None:
    """WeCom says of a customer who is gone only that she is; a corrected union id does replace another."""
    made = shop(tmp_path, ["contacts"])
    contact = {"staff_id": "s1", "added_at": at("2026-01-03 03:00")}
    told, gone = at("2026-01-03 03:00"), at("2026-02-20 03:00")

    def edges() -> list[tuple[str, str]]:
        made.register()
        made.make("+stg_identity_edge", "+stg_identifier")
        found = made.rows("FROM staging.stg_identity_edge ORDER BY identifier_a, identifier_b")
        return [(row["identifier_a"], row["identifier_b"]) for row in found]

    made.land(
        "contacts",
        [contact | {"external_userid": name, "unionid": union, "updated_at": told}
         for name, union in [("wecom:1", "wx:1"), ("wecom:2", "wx:wrong")]],
    )  # fmt: skip
    assert edges() == [("wecom:1", "wx:1"), ("wecom:2", "wx:wrong")]
    made.land(
        "contacts",
        [contact | {"external_userid": "wecom:1", "deleted_at": gone, "updated_at": gone},
         contact | {"external_userid": "wecom:2", "unionid": "wx:2", "updated_at": gone}],
        superseding=2,
    )  # fmt: skip
    by_batch = edges()
    made.make("+stg_identity_edge", "+stg_identifier", anew=True)

    assert by_batch == edges() == [("wecom:1", "wx:1"), ("wecom:2", "wx:2")]


def test_edges_carry_the_priority_of_their_rule(built: Shop) -> None:
    edges = built.rows("SELECT rule_id, priority FROM staging.stg_identity_edge")
    priority = {row["rule_id"]: row["priority"] for row in edges}

    assert priority["contact_unionid"] == 30
    assert priority["member_phone"] == 20
    assert priority["contact_remark_phone"] == 10
    assert (
        built.one(
            "SELECT count(*) FROM staging.stg_identity_edge WHERE identifier_a >= identifier_b"
        )
        == 0
    )


def test_staff_in_a_group_are_no_customers(built: Shop) -> None:
    assert (
        built.one("SELECT count(*) FROM staging.stg_identifier WHERE identifier = 'wecom:s1'") == 0
    )


def test_interactions_without_identifiers_stay(built: Shop) -> None:
    events = by_id(built, "unified.fct_interaction", "event_id")

    assert events["e1"]["customer_id"] == events["e2"]["customer_id"]
    assert events["e3"]["is_resolved"] is False


def test_products_and_stores_that_no_master_knows_are_derived(built: Shop) -> None:
    products = by_id(built, "unified.dim_product", "product_id")
    stores = by_id(built, "unified.dim_store", "store_id")

    assert (products["p2"]["name"], products["p2"]["is_derived"]) == ("Cup", True)
    assert products["p1"]["is_derived"] is False
    assert "POST" not in products
    assert (stores["shop1"]["is_derived"], stores["shop2"]["is_derived"]) == (False, True)


def test_dates_span_history_and_weeks_start_on_monday(built: Shop) -> None:
    days = {row["date_day"]: row for row in built.rows("SELECT * FROM unified.dim_date")}

    assert (min(days), max(days)) == (date(2026, 1, 1), date(2027, 12, 31))
    assert days[date(2026, 1, 4)]["weekday_zh"] == "星期日"
    assert days[date(2026, 1, 4)]["week_start"] == date(2025, 12, 29)


def test_points_tell_whose_an_order_was_that_names_no_member(built: Shop) -> None:
    credited = built.rows("SELECT * FROM staging.stg_credited_order")
    edges = built.rows(
        "SELECT identifier_a, identifier_b, rule_id, known_at FROM staging.stg_identity_edge "
        "WHERE rule_id LIKE 'points%'"
    )

    # The order of the other entry names its member itself.
    assert [row["order_id"] for row in credited] == ["o2"]
    assert edges == [
        {"identifier_a": "crm:1", "identifier_b": "wx:1", "rule_id": "points_member_unionid",
         "known_at": at("2026-01-15 04:00")},
    ]  # fmt: skip


def test_a_payment_belongs_to_the_customer_of_its_order(built: Shop) -> None:
    orders = by_id(built, "unified.fct_order", "order_id")
    payments = by_id(built, "unified.fct_payment", "payment_id")

    assert payments["y1"]["customer_id"] == orders["o1"]["customer_id"]
    assert (payments["y1"]["identifier"], payments["y1"]["is_resolved"]) == ("crm:1", True)
    assert (payments["y1"]["amount"], payments["y1"]["method"]) == (Decimal(98), "cash")


def test_a_day_without_a_rate_has_the_last_one_before_it_and_none_before_the_first(
    built: Shop,
) -> None:
    rates = by_id(built, "unified.dim_exchange_rate", "date_day")

    assert (min(rates), max(rates), len(rates)) == (date(2026, 1, 10), date(2026, 2, 28), 50)
    assert (rates[date(2026, 1, 19)]["rate"], rates[date(2026, 1, 19)]["age_days"]) == (
        Decimal("7.12345678"),
        9,
    )
    assert rates[date(2026, 2, 28)]["rate"] == Decimal("7.1")


def test_identity_quality_counts_what_is_tied_to_nobody_too(built: Shop) -> None:
    (found,) = built.rows("SELECT * FROM unified.identity_quality")
    mapped = built.rows("SELECT customer_id, identifier FROM unified.customer_identifier")

    assert found["as_of_date"] == date(2026, 2, 28)
    assert found["identifier_count"] == len(mapped)
    assert found["customer_count"] == len({row["customer_id"] for row in mapped})
    # Two orders name nobody, one of them in dollars; o3 is cancelled.
    assert (found["order_count"], found["unresolved_order_count"]) == (5, 2)
    assert found["order_coverage"] == 0.6
    assert found["net_revenue"] == Decimal("241.2346")
    assert found["unresolved_net_revenue"] == Decimal("91.2346")
    assert found["revenue_coverage"] == pytest.approx(150 / 241.2346)
    assert (found["interaction_count"], found["unresolved_interaction_count"]) == (4, 1)
    # Nothing was ordered in the last 28 days.
    assert (found["recent_order_coverage"], found["earlier_order_coverage"]) == (None, 0.6)
    # Everybody is new.
    assert (found["customer_count_before"], found["merge_rate"]) == (0, None)
    assert found["created_customer_count"] == found["customer_count"]
