"""Features and labels of customers whose history is written by hand."""

from __future__ import annotations

import pytest
from busy_shop import EARLY, LATE, MIDDLE, STAFF, FeatureShop


def test_purchase_features_of_a_written_history(busy: FeatureShop) -> None:
    found = busy.customer(MIDDLE, "crm:90")
    # January 5, 15 (twice) and 25, seen at the end of the 31st; the cancelled order does not count.
    expected = {
        "recency_days": 6, "tenure_days": 26, "order_count": 4, "orders_30d": 4, "orders_365d": 4,
        "net_revenue": 190, "net_revenue_30d": 190, "average_order_value": 50,
        "max_order_value": 100, "first_purchase_value": 100, "last_purchase_value": 20,
        "gap_mean_days": 10, "gap_median_days": 10, "gap_std_days": 0, "last_gap_days": 10,
        "recency_to_gap": 0.6, "orders_trend": 1, "stores_365d": 1, "channels_365d": 2,
        "discount_share_365d": 25 / 225, "discounted_order_share_365d": 0.25, "refunds_365d": 1,
        "refunded_share_365d": 0.05,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["orders_ewma"] == pytest.approx(
        sum(count * 0.5 ** (age / 60) for age, count in ((26, 1), (16, 2), (6, 1))), abs=1e-6
    )


def test_an_order_paid_for_after_the_date_does_not_count_yet(busy: FeatureShop) -> None:
    assert busy.customer(MIDDLE, "crm:91")["order_count"] == 1
    assert busy.customer(LATE, "crm:91")["order_count"] == 2


def test_a_feature_is_null_where_its_source_is_missing_or_had_not_begun(busy: FeatureShop) -> None:
    early, middle = busy.customer(EARLY, "crm:90"), busy.customer(MIDDLE, "crm:90")
    assert early["order_count"] == 1
    assert early["events_30d"] is None
    assert middle["events_30d"] == 0
    assert middle["wecom_groups"] is None
    assert middle["orders_season_last_year"] is None


def test_what_staff_look_at_is_no_feature(busy: FeatureShop) -> None:
    seen = busy.one(
        "SELECT count(*) FROM unified.fct_interaction JOIN unified.customer_identifier i "
        f"USING (customer_id) WHERE i.identifier = '{STAFF}' AND occurred_date > DATE '{MIDDLE}'"
    )
    assert seen > 0
    assert busy.customer(LATE, STAFF)["events_90d"] == 0


def test_every_source_that_the_shop_has_yields_features(busy: FeatureShop) -> None:
    filled = busy.rows(
        "SELECT max(products_365d) AS products_365d, max(categories_365d) AS categories_365d, "
        "max(refunds_365d) AS refunds_365d, max(events_30d) AS events_30d, "
        "max(sessions_30d) AS sessions_30d, max(carts_30d) AS carts_30d, "
        "max(messages_30d) AS messages_30d, max(wecom_contacts) AS wecom_contacts, "
        "max(wecom_deletions_90d) AS wecom_deletions_90d, "
        "max(marketing_refusals_180d) AS marketing_refusals_180d, "
        "max(points_balance) AS points_balance, max(coupons_open) AS coupons_open, "
        "max(coupons_redeemed_180d) AS coupons_redeemed_180d, "
        "max(days_since_registration) AS days_since_registration "
        f"FROM features.customer_features WHERE as_of_date = DATE '{MIDDLE}'"
    )[0]
    assert [name for name, value in filled.items() if not value] == []


def test_labels_look_at_the_window_of_their_task_and_wait_for_its_end(busy: FeatureShop) -> None:
    def label(day: str) -> dict[str, object]:
        return busy.rows(
            "SELECT l.* EXCLUDE (customer_id, as_of_date) FROM features.customer_labels l "
            "JOIN unified.customer_identifier i USING (customer_id) "
            f"WHERE i.identifier = 'crm:90' AND l.as_of_date = DATE '{day}'"
        )[0]

    # Repurchase: the 21 days after January 6, until the 27th: 50 + 30 + 20.
    # Churn: the 14 days after the 13th, in which they bought.
    early = label(str(EARLY))
    assert (early["repurchase_label"], float(str(early["spend_next_h"]))) == (1, 100.0)
    assert early["churn_label"] == 0
    # After January 31: bought on February 10, inside both windows (1st to 21st, 8th to 21st).
    middle = label(str(MIDDLE))
    assert (middle["repurchase_label"], middle["churn_label"]) == (1, 0)
    assert str(middle["label_matures_on"]) == "2026-02-21"
    late = label(str(LATE))
    assert (late["repurchase_label"], late["churn_label"], late["spend_next_h"]) == (None,) * 3


def test_customers_who_were_not_active_get_no_churn_label(busy: FeatureShop) -> None:
    found = busy.rows(
        "SELECT f.recency_days < 20 AS active, l.churn_label IS NOT NULL AS labelled, "
        "count(*) AS customers FROM features.customer_features f "
        "JOIN features.customer_labels l USING (customer_id, as_of_date) "
        f"WHERE as_of_date = DATE '{EARLY}' OR as_of_date = DATE '{MIDDLE}' GROUP BY ALL"
    )
    # A label sees later versions: an order since cancelled makes someone active in features only.
    assert {(row["active"], row["labelled"]) for row in found} >= {(True, True), (False, False)}
