"""Two customers who were linked by hand and are no longer leave no trace below."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from full_shop import MAPPED
from shifting_shop import SCHEMAS, content
from tiny_lake import AS_OF, Shop, at, shop

from siyu.identity_rules import Action, IdentityRule
from siyu.transform import dbt_vars

Content = dict[str, list[tuple[Any, ...]]]


def _refreshed(made: Shop, *rules: IdentityRule) -> Content:
    """Every table after a refresh that finds nothing new but the rules."""
    made.identify(rules=rules)
    made.register()
    days = dbt_vars(made.retailer, AS_OF, [AS_OF])["feature_dates"]
    made.make(*(f"tag:{layer}" for layer in SCHEMAS[1:]), feature_dates=days)
    tables = content(made)
    # What tells what has happened goes on to tell it.
    return {name: rows for name, rows in tables.items() if not name.endswith("_history")}


def _rule(action: Action) -> IdentityRule:
    return IdentityRule(action, "crm:2", "mini:1", "zhang", at("2026-03-01"), "knows them")


def test_linking_two_customers_and_unlinking_them_restores_every_table_and_id(
    built: Shop, tmp_path: Path
) -> None:
    made = shop(tmp_path, MAPPED)
    shutil.copytree(built.settings.home, tmp_path, dirs_exist_ok=True)
    ids = "SELECT identifier, customer_id FROM unified.customer_identifier ORDER BY 1"
    apart, whose = _refreshed(made), made.rows(ids)

    linked = _refreshed(made, _rule("link"))
    for table in ("unified.dim_customer", "unified.fct_order", "marts.customer_360",
                  "features.customer_features", "features.customer_labels"):  # fmt: skip
        assert linked[table] != apart[table], table

    undone = _refreshed(made, _rule("unlink"))
    assert made.rows(ids) == whose
    for table in apart:
        assert undone[table] == apart[table], table
    assert [row["event_type"] for row in made.rows(
        "SELECT event_type FROM unified.identity_event WHERE event_type <> 'create' ORDER BY 1"
    )] == ["manual_link", "manual_unlink", "merge", "split"]  # fmt: skip
