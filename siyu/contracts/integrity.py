"""Names of the rules that hold across rows, of one entity or of two.

What belongs here: what the rules are called. What does not: finding what breaks them, which is SQL
(``dbt_project/models/quality``), and how much of it is too much (``expectations.suites.integrity``).
"""

from __future__ import annotations

from siyu.contracts.model import contracts

ORDERS = (
    "order_net_is_sum_of_lines",
    "orders_have_lines",
    "payments_are_order_total",
    "refunds_within_order_total",
)


def integrity_rules() -> tuple[str, ...]:
    """Every rule that a row of ``ops.integrity_violation`` may name."""
    references = (
        f"{name}_{column}_known"
        for name, found in contracts().items()
        for reference in found.references
        for column in reference.columns
    )
    return (*ORDERS, *references, *(f"{name}_key_unique" for name in contracts()))
