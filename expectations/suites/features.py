"""Suites of the feature layer: what models learn from.

What belongs here: what must hold of features and labels before a model reads them. What does not:
whether they predict anything (``ml``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from expectations.rules import (
    Rule,
    Suite,
    between,
    filled,
    measured,
    never,
    no_rows,
    row_count,
    unique,
)
from siyu.retailer import ModelSettings, Retailer

CUSTOMER_FEATURES = "features.customer_features"
CUSTOMER_LABELS = "features.customer_labels"
FEATURES = (CUSTOMER_FEATURES, CUSTOMER_LABELS)

_KEY = ("customer_id", "as_of_date")
_PURCHASES = ("orders", "order_lines")
# Customers in the table have bought, so these are known of each of them.
_KNOWN = ("recency_days", "tenure_days", "order_count", "net_revenue", "average_order_value",
          "max_order_value", "channels_365d")  # fmt: skip
# Features that an entity fills: 0, not empty, for a customer without rows of it.
_FED: Mapping[str, tuple[str, ...]] = {
    "order_lines": ("products_365d", "units_per_order_365d"),
    "refunds": ("refunds_365d", "refunded_share_365d"),
    "interactions": ("events_7d", "events_30d", "events_90d", "browses_30d",
                     "carts_30d", "shares_90d"),
    "messages": ("messages_30d", "messages_90d"),
    "contacts": ("wecom_contacts", "wecom_deletions_90d"),
    "group_members": ("wecom_groups", "group_exits_90d"),
    "consents": ("marketing_refusals_180d",),
    "points": ("points_balance", "points_used_180d"),
    "coupons": ("coupons_open", "coupons_redeemed_180d"),
}  # fmt: skip


def features_suite(table: str, retailer: Retailer, as_of: date | None) -> Suite:
    """What features or labels must satisfy, those of one day or of all."""
    where = f"as_of_date = DATE '{as_of}'" if as_of else None
    if not any(entity in retailer.mappings for entity in _PURCHASES):
        return Suite(table, _KEY, (no_rows(f"{retailer.name} supplies no purchases"),), where)
    rules = _feature_rules(retailer) if table == CUSTOMER_FEATURES else _label_rules(retailer)
    return Suite(table, _KEY, tuple(rules), where)


def _feature_rules(retailer: Retailer) -> Iterator[Rule]:
    yield row_count(int(retailer.threshold("min_customers")))
    yield from filled(*_KEY, *_KNOWN)
    yield unique(_KEY)
    yield between("recency_days", 0)
    yield between("tenure_days", 0)
    yield between("order_count", 1)
    yield never(
        "recency_within_tenure",
        "a customer's last order is not before the first one",
        "recency_days > tenure_days",
    )
    for entity, names in _FED.items():
        if entity in retailer.mappings:
            yield _fed(entity, names)


def _fed(entity: str, names: tuple[str, ...]) -> Rule:
    """Whole columns of nothing, on days by which the entity had rows."""
    empty = " + ".join(f"CAST(count({name}) = 0 AS INTEGER)" for name in names)
    # Before the source began its features are unknown, not 0; one day of slack for time zones.
    began = (
        f"(SELECT min(greatest(_known_at, coalesce(_event_at, _known_at))) FROM lake.{entity})"
        " < max(as_of_date)"
    )
    return measured(
        f"{entity}_features_filled",
        f"none of {', '.join(names)} is empty for every customer once {entity} has rows",
        f"CASE WHEN {began} THEN {empty} ELSE 0 END",
        most=0,
    )


def _label_rules(retailer: Retailer) -> Iterator[Rule]:
    yield row_count(1)
    yield from filled(*_KEY, "label_matures_on")
    yield unique(_KEY)
    for task in retailer.models:
        yield never(
            f"{task}_label_known",
            f"{task}_label is 0 or 1",
            f"{task}_label NOT IN (0, 1)",
        )
    churn, repurchase = retailer.models.get("churn"), retailer.models.get("repurchase")
    if churn and repurchase and _within(repurchase, churn):
        yield never(
            "labels_agree",
            "nobody who buys again within the churn window is lost in it",
            "churn_label = 1 AND repurchase_label = 1",
        )


def _within(inner: ModelSettings, outer: ModelSettings) -> bool:
    """Whether every day of one label's window lies in the other's."""
    return (
        inner.lead_days >= outer.lead_days
        and inner.lead_days + inner.horizon_days <= outer.lead_days + outer.horizon_days
    )
