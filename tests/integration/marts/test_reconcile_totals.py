"""The benchmark `reconcile` sees every amount that a layer gains or loses."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
from tiny_lake import Shop

from benchmarks.reconcile import totals
from siyu.warehouse import Warehouse


def apart(connection: duckdb.DuckDBPyConnection) -> dict[str, Decimal]:
    """Layers whose totals are not the lake's, by amount."""
    return {
        f"{one.amount} in {one.layer}": one.difference
        for one in totals(connection)
        if one.difference
    }


def test_totals_of_a_shop_are_the_lakes_in_every_layer(sold: Shop) -> None:
    with Warehouse.of(sold.settings).connect() as connection:
        found = list(totals(connection))
        assert apart(connection) == {}
    (revenue,) = {one.lake for one in found if one.amount == "net revenue"}
    # 890 sold up to the as-of day, 30 of it sent back.
    assert revenue == Decimal(860)


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("UPDATE unified.fct_order SET net_amount = net_amount + 0.01 WHERE order_id = 'off'",
         {"orders.net_amount in unified.fct_order": Decimal("0.01")}),
        ("DELETE FROM unified.fct_order_line WHERE order_id = 'crm:4-2026-02-27'",
         {f"order_lines.{name} in unified.fct_order_line": Decimal(500)
          for name in ("gross_amount", "net_amount")}),
        ("UPDATE marts.kpi_weekly SET net_revenue = net_revenue + 1 WHERE week_start = '2026-01-05'",
         {"net revenue in marts.kpi_weekly": Decimal(1)}),
        ("UPDATE marts.revenue_daily SET net_revenue_by_order_date = 0 "
         "WHERE revenue_date = '2026-02-27'",
         {"net revenue in marts.revenue_daily, by order date": Decimal(500)}),
    ],
)  # fmt: skip
def test_an_amount_that_a_layer_gains_or_loses_is_seen(
    sold: Shop, statement: str, seen: dict[str, Decimal]
) -> None:
    with Warehouse.of(sold.settings).connect(read_only=False) as connection:
        connection.execute("BEGIN")
        connection.execute(statement)
        assert apart(connection) == seen
        connection.execute("ROLLBACK")
