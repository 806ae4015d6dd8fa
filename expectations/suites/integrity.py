"""The suite of what does not fit together across rows: how many cases of each rule there are.

What belongs here: how many are too many. What does not: finding them, which is SQL
(``dbt_project/models/quality``), and each case with both sides is in the table itself.

Every rule warns from the first case on. ``gates: {max_<rule>: 100}`` in retailer.yaml says above how
many it blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from expectations.rules import Rule, Suite, filled, literal, measured, one_of, row_count
from siyu.contracts import integrity_rules
from siyu.retailer import Retailer

INTEGRITY = "ops.integrity_violation"


def integrity_suite(retailer: Retailer) -> Suite:
    """What the table must satisfy for this retailer."""
    return Suite(INTEGRITY, ("rule", "entity_key"), tuple(_rules(retailer)))


def _rules(retailer: Retailer) -> Iterator[Rule]:
    yield row_count()
    yield from filled("rule", "severity", "entity", "entity_key", "other_entity")
    yield one_of("rule", integrity_rules())
    yield one_of("severity", ("WARN", "ERROR"))
    for rule in integrity_rules():
        broken = f"rule = {literal(rule)}"
        cases = f"count(*) FILTER (WHERE {broken})"
        yield measured(
            rule, f"{rule} holds everywhere", cases,
            most=0, severity="WARN", broken=broken, counts_rows=True,
        )  # fmt: skip
        most = retailer.gates.get(f"max_{rule}")
        if most is not None:
            yield measured(
                f"max_{rule}", f"{rule} is broken at most {most:,.0f} times", cases,
                most=most, broken=broken, counts_rows=True,
            )  # fmt: skip
