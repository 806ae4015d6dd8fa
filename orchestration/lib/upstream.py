"""What stands above a step, all the way up to the lake.

A step asks for more than the tables it reads. Staging is made of views, so what the lake holds now
reaches every layer below; and what failed far above must not be carried further by a later run that
selects only a part.

What belongs here: which layers stand above which. What does not: whether they passed (``siyu.ops``).
"""

from __future__ import annotations

from functools import cache

from expectations.suites.scores import SCORES
from orchestration.lib.dbt import layer_tables, read_manifest
from orchestration.lib.lake import lake_tables
from siyu.transform import ensure_manifest

IDENTITY_TABLES = (
    "identity.customer_identifier",
    "identity.identity_event",
    "identity.identity_refused_edge",
    "identity.customer_identifier_past",
    "identity.identity_quality",
)

_ABOVE: dict[str, tuple[str, ...]] = {
    "staging": ("lake",),
    "identity": ("lake", "staging"),
    "unified": ("lake", "staging", "identity"),
    "marts": ("lake", "staging", "identity", "unified"),
    "features": ("lake", "staging", "identity", "unified"),
    "ops": ("lake", "staging", "identity", "unified"),
    # The features themselves are asked for by day.
    "models": ("lake", "staging", "identity", "unified"),
    "ml": ("lake", "staging", "identity", "unified"),
    "serving": ("lake", "staging", "identity", "unified", "marts", "features", "ops", "ml"),
}


def tables_above(group: str) -> tuple[str, ...]:
    """``schema.table`` of everything above a group of assets, from the lake down."""
    return tuple(table for layer in _ABOVE[group] for table in _tables(layer))


# A dozen definitions ask; the manifest they were loaded from does not change under them.
@cache
def _tables(layer: str) -> tuple[str, ...]:
    if layer == "lake":
        return lake_tables()
    if layer == "identity":
        return IDENTITY_TABLES
    if layer == "ml":
        return (SCORES,)
    return layer_tables(read_manifest(ensure_manifest()), layer)
