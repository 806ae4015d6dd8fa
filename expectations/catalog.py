"""Which tables are judged, and by which suite.

What belongs here: names. Dagster makes one blocking check of each name, so nothing here is slow to
import or touches a disk beyond the retailer's folder.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

from expectations.rules import Suite
from expectations.suites.features import FEATURES, features_suite
from expectations.suites.integrity import INTEGRITY, integrity_suite
from expectations.suites.lake import lake_suite
from expectations.suites.scores import SCORES, scores_suite
from expectations.suites.unified import TABLES, unified_suite
from siyu.contracts import contract, contracts
from siyu.retailer import Retailer

Stage = Literal["lake", "unified", "ops", "features", "scores"]
STAGES: tuple[Stage, ...] = get_args(Stage)


def judged_tables(stage: Stage) -> tuple[str, ...]:
    """Every table of the stage that has a suite, as ``schema.table``."""
    names: dict[Stage, tuple[str, ...]] = {
        "lake": tuple(f"lake.{entity}" for entity in contracts()),
        "unified": tuple(f"unified.{name}" for name in TABLES),
        "ops": (INTEGRITY,),
        "features": FEATURES,
        "scores": (SCORES,),
    }
    return names[stage]


def suite_for(table: str, retailer: Retailer, as_of: date | None = None) -> Suite | None:
    """The suite of a table for this retailer, or None where the table is not judged.

    Args:
        table: ``schema.table``.
        retailer: Decides which entities there are, and the thresholds.
        as_of: The partition to judge, for tables kept by as-of date; all of them when None.
    """
    schema, _, name = table.partition(".")
    if schema == "lake" and name in contracts():
        return lake_suite(contract(name), retailer)
    if schema == "unified" and name in TABLES:
        return unified_suite(name, retailer)
    if table in FEATURES:
        return features_suite(table, retailer, as_of)
    if table == INTEGRITY:
        return integrity_suite(retailer)
    if table == SCORES:
        return scores_suite(retailer, as_of)
    return None
