"""Customers in features and labels are those that were known on the date."""

from __future__ import annotations

from busy_shop import EARLY, LATE, MIDDLE, FeatureShop, Row


def customer(busy: FeatureShop, identifier: str) -> str:
    """Whom an identifier stands for now."""
    (row,) = busy.rows(
        f"SELECT customer_id FROM unified.customer_identifier WHERE identifier = '{identifier}'"
    )
    return str(row["customer_id"])


def alone(busy: FeatureShop) -> str:
    """What the buyer of the mall was called before anybody knew that it is member 95."""
    (row,) = busy.rows(
        "SELECT customer_id FROM unified.customer_identifier_history "
        "WHERE identifier = 'mall:95' AND NOT is_current"
    )
    return str(row["customer_id"])


def by_customer(busy: FeatureShop, table: str, columns: str, day: object) -> dict[str, Row]:
    """Rows of member 95 and of the buyer of the mall on a day."""
    rows = busy.rows(
        f"SELECT customer_id, {columns} FROM features.{table} WHERE as_of_date = DATE '{day}' "
        f"AND customer_id IN ('{customer(busy, 'crm:95')}', '{alone(busy)}')"
    )
    return {row.pop("customer_id"): row for row in rows}


def test_who_turns_out_to_be_one_later_is_two_with_the_orders_of_each(busy: FeatureShop) -> None:
    member, buyer = customer(busy, "crm:95"), alone(busy)
    assert customer(busy, "mall:95") == member != buyer
    columns = "order_count, net_revenue"

    assert by_customer(busy, "customer_features", columns, EARLY) == {}
    assert by_customer(busy, "customer_features", columns, MIDDLE) == {
        member: {"order_count": 1, "net_revenue": 70}, buyer: {"order_count": 1, "net_revenue": 40},
    }  # fmt: skip
    assert by_customer(busy, "customer_features", columns, LATE) == {
        member: {"order_count": 3, "net_revenue": 140}
    }


def test_nobody_looks_lost_who_was_merged(busy: FeatureShop) -> None:
    member, buyer = customer(busy, "crm:95"), alone(busy)
    bought = {"repurchase_label": 1, "churn_label": 0, "current_customer_id": member}

    assert by_customer(busy, "customer_labels", ", ".join(bought), MIDDLE) == {
        member: bought, buyer: bought,
    }  # fmt: skip
    assert list(by_customer(busy, "customer_labels", ", ".join(bought), LATE)) == [member]


def test_everybody_with_features_has_labels_under_the_same_name(busy: FeatureShop) -> None:
    """But who had nothing but an order that a later version takes back."""
    unlabelled = busy.rows(
        "SELECT f.customer_id, f.as_of_date FROM features.customer_features f "
        "ANTI JOIN features.customer_labels l USING (customer_id, as_of_date)"
    )
    for row in unlabelled:
        assert not busy.one(
            "SELECT count(*) FROM unified.fct_order o "
            "JOIN unified.customer_identifier_history h USING (identifier) "
            f"WHERE h.customer_id = '{row['customer_id']}' AND o.is_counted "
            f"AND o.ordered_date <= DATE '{row['as_of_date']}'"
        )
