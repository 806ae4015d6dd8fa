"""Suites of the feature layer: what models learn from.

What belongs here: what must hold of features and labels before a model reads them. What does not:
whether they predict anything (``ml``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from expectations.rules import (
    ROWS,
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
from siyu.retailer import Retailer

FEATURES = ("features.customer_features", "features.customer_labels")
_KEY = ("customer_id", "as_of_date")
_PURCHASES = ("orders", "order_lines")


def features_suite(table: str, retailer: Retailer, as_of: date | None) -> Suite:
    """What features or labels must satisfy, those of one day or of all."""
    where = f"as_of_date = DATE '{as_of}'" if as_of else None
    if not any(entity in retailer.mappings for entity in _PURCHASES):
        return Suite(table, _KEY, (no_rows(f"{retailer.name} supplies no purchases"),), where)
    rules = _feature_rules(retailer) if table == FEATURES[0] else _label_rules(retailer)
    return Suite(table, _KEY, tuple(rules), where)


def _feature_rules(retailer: Retailer) -> Iterator[Rule]:
    yield row_count(int(retailer.gates.get("min_customers", 1)))
    yield from filled(*_KEY)
    yield unique(_KEY)
    for name in ("recency_days", "order_count", "tenure_days"):
        yield between(name, 0)
    yield never(
        "recency_follows_orders",
        "recency_days is known exactly for customers with orders",
        "(recency_days IS NULL) = (coalesce(order_count, 0) > 0)",
    )


def _label_rules(retailer: Retailer) -> Iterator[Rule]:
    yield row_count()
    yield from filled(*_KEY)
    yield unique(_KEY)
    for task in retailer.models:
        yield never(
            f"{task}_label_known",
            f"{task}_label is 0 or 1",
            f"CAST({task}_label AS DOUBLE) NOT IN (0, 1)",
        )
    yield measured(
        "features_known",
        "every labelled customer has features of the same day",
        f"(SELECT count(*) FROM ({ROWS}) ANTI JOIN features.customer_features"
        " USING (customer_id, as_of_date))",
        most=0,
        counts_rows=True,
    )
