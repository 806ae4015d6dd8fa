"""How far the totals of each retailer are apart, from the lake to the marts.

``SIYU_DATA=… python -m benchmarks reconcile`` takes the demo's 5,000 members and both public data sets;
``python -m benchmarks.reconcile 300`` is a trial with so many members.

Each retailer goes through the job ``refresh`` up to its features. Then every amount is added up in the
lake, over the latest version of each row, found here in SQL of its own, and again in each layer that holds
it; revenue is added up from the lake's rows by its definition (decision 020), and in the marts by every
table that shows it. The figure is the largest difference of any amount of any retailer between the lake and
a layer, in the retailer's currency.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from benchmarks._report import at_most, measured, report
from benchmarks._runs import DEMO_MEMBERS, bench_home, refreshed, refreshed_public
from siyu.config import REPO, Settings
from siyu.contracts import contract
from siyu.warehouse import Warehouse

PUBLIC = {"uci_online_retail": "uci_online_retail", "complete_journey": "completejourney"}


class NoData(Exception):
    """A public data set is not on this machine."""


@dataclass(frozen=True)
class Total:
    """One amount, added up in the lake and in a layer.

    Attributes:
        amount: What was added up.
        layer: Where, besides the lake.
        lake: The sum there.
        here: The sum in the layer.
    """

    amount: str
    layer: str
    lake: Decimal
    here: Decimal

    @property
    def difference(self) -> Decimal:
        """How far apart the two are."""
        return abs(self.lake - self.here)


def main(members: int = DEMO_MEMBERS) -> bool:
    """Refresh each retailer and add up.

    Returns:
        Whether no amount of any retailer differs between the lake and a layer.

    Raises:
        NoData: ``SIYU_DATA`` does not name a folder with the public data sets.
    """
    data = Path(os.environ.get("SIYU_DATA", ""))
    for name in PUBLIC.values():
        if not (data / name).is_dir():
            raise NoData(f"reconcile: set SIYU_DATA to the folder that holds {name}/")
    found: dict[str, list[Total]] = {}
    listed: dict[str, str] = {}
    with bench_home() as home, measured() as cost:
        homes = {"demo": refreshed(home, "tables", members).home}
        homes |= {name: refreshed_public(home, name).home for name in PUBLIC}
        for retailer, folder in homes.items():
            settings = Settings(folder, retailer, REPO / "retailers", "duckdb", None)
            with Warehouse.of(settings).connect() as connection:
                found[retailer] = list(totals(connection))
                listed[retailer] = _listed(connection)
    worst = max((one for totals in found.values() for one in totals), key=lambda t: t.difference)
    revenue = {
        f"{retailer}_net_revenue": f"{one.lake:,.2f}"
        for retailer, totals in found.items()
        for one in totals
        if (one.amount, one.layer) == ("net revenue", "marts.revenue_daily")
    }
    return report(
        name="reconcile",
        value=float(worst.difference),
        unit="of the retailer's currency",
        goal=at_most(0),
        compared_with="sums over the latest versions of the lake's rows",
        members=members,
        totals_compared=sum(len(totals) for totals in found.values()),
        totals_that_differ=sum(one.difference > 0 for totals in found.values() for one in totals),
        worst=f"{worst.amount} in {worst.layer}",
        **revenue,
        **{f"{retailer}_order_differences": said for retailer, said in listed.items()},
        wall_seconds=cost.wall_seconds,
    )


def totals(connection: duckdb.DuckDBPyConnection) -> Iterator[Total]:
    """Every amount of a warehouse up to its marts, beside what the lake says."""
    connection.execute("SET TimeZone = 'UTC'")
    for entity, amounts, layers in (
        ("orders", ("gross_amount", "discount_amount", "net_amount"),
         {"staging.stg_orders": "NOT is_derived", "unified.fct_order": "NOT is_derived"}),
        ("order_lines", ("gross_amount", "discount_amount", "net_amount"),
         {"staging.stg_order_lines": "true", "unified.fct_order_line": "true"}),
        ("payments", ("amount",), {"staging.stg_payments": "true", "unified.fct_payment": "true"}),
        ("refunds", ("amount",),
         {"staging.stg_refunds": "NOT is_derived", "unified.fct_refund": "NOT is_derived"}),
    ):  # fmt: skip
        for amount in amounts:
            lake = _sum(connection, amount, f"({latest(entity)})")
            for layer, where in layers.items():
                here = _sum(connection, amount, layer, where)
                yield Total(f"{entity}.{amount}", layer, lake, here)
    yield from _revenue(connection)


def _revenue(connection: duckdb.DuckDBPyConnection) -> Iterator[Total]:
    """Net revenue up to the as-of day, by its definition from the lake and as the marts show it."""
    (day,) = _row(connection, "SELECT max(as_of_date) FROM marts.customer_360")
    until = f"DATE '{day}'"
    sold = _sum(
        connection,
        "net",
        f"""(
            WITH header AS ({latest("orders")}), line AS ({latest("order_lines")})
            SELECT net_amount AS net FROM header
            WHERE status IN ('paid', 'shipped', 'completed') AND ordered_date <= {until}
            UNION ALL
            SELECT net_amount FROM line ANTI JOIN header USING (order_id)
            WHERE line_type = 'sale' AND ordered_date <= {until}
        )""",
    )
    returned = _sum(
        connection,
        "amount",
        f"""(
            WITH header AS ({latest("orders")}), line AS ({latest("order_lines")})
            SELECT refund.amount FROM ({latest("refunds")}) AS refund
            LEFT JOIN header USING (order_id)
            WHERE refund.status = 'completed'
            AND coalesce(header.status, 'paid') IN ('paid', 'shipped', 'completed')
            AND coalesce(refund.refunded_date, refund.requested_date) <= {until}
            UNION ALL
            SELECT -net_amount FROM line ANTI JOIN header USING (order_id)
            WHERE line_type = 'return' AND ordered_date <= {until}
        )""",
    )
    facts = {
        "unified.fct_order, fct_refund": f"""
            (SELECT net_amount AS net FROM unified.fct_order
             WHERE is_counted AND ordered_date <= {until}
             UNION ALL
             SELECT -amount FROM unified.fct_refund WHERE is_counted AND refunded_date <= {until})""",
        "marts.revenue_daily": "(SELECT net_revenue AS net FROM marts.revenue_daily)",
        "marts.revenue_daily, by order date": "(SELECT net_revenue_by_order_date AS net "
        "FROM marts.revenue_daily)",
        "marts.kpi_weekly": "(SELECT net_revenue AS net FROM marts.kpi_weekly)",
        "marts.customer_360, and what is nobody's": f"""
            (SELECT net_revenue_lifetime AS net FROM marts.customer_360
             UNION ALL
             SELECT net_amount FROM unified.fct_order
             WHERE is_counted AND customer_id IS NULL AND ordered_date <= {until}
             UNION ALL
             SELECT -amount FROM unified.fct_refund
             WHERE is_counted AND customer_id IS NULL AND refunded_date <= {until})""",
    }
    for layer, query in facts.items():
        yield Total("net revenue", layer, sold - returned, _sum(connection, "net", query))


def latest(entity: str) -> str:
    """A query of the latest version of each row of a lake entity, which owes nothing to dbt's."""
    found = contract(entity)
    newest = [f"{found.version} DESC NULLS LAST"] if found.version else []
    newest += [f"{name} DESC" for name in ("_known_at", "_loaded_at", "_batch_id", "_file", "_row")]
    return (
        f"SELECT * FROM lake.{entity} QUALIFY row_number() OVER "
        f"(PARTITION BY {', '.join(found.key)} ORDER BY {', '.join(newest)}) = 1"
    )


def _listed(connection: duckdb.DuckDBPyConnection) -> str:
    """How many orders differ, and by how much in sum, by reason."""
    rows = connection.execute(
        "SELECT reason, count(*), sum(difference) FROM unified.order_reconciliation "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    said: Mapping[str, list[object]] = {
        reason: [count, None if amount is None else f"{amount:,.2f}"]
        for reason, count, amount in rows
    }
    return json.dumps(said)


def _sum(
    connection: duckdb.DuckDBPyConnection, amount: str, relation: str, where: str = "true"
) -> Decimal:
    (found,) = _row(connection, f"SELECT coalesce(sum({amount}), 0) FROM {relation} WHERE {where}")
    return Decimal(str(found))


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[object, ...]:
    (row,) = connection.execute(query).fetchall()
    return tuple(row)


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
