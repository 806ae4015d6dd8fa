"""What came of it all, as pages for a person: the summary after a refresh, status, quarantine.

What belongs here: gathering figures from manifests, the ledger and the current publication, and
laying them out. What does not: computing a figure that a table should hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from siyu.config import Settings
from siyu.contracts import contracts
from siyu.lake import Lake
from siyu.ops import Ledger, by_reason
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.serving import Status, status

_METRICS = {"auc": "AUC", "pr_auc": "PR-AUC", "log_loss": "log-loss"}
_OUTCOMES = ("rows_in", "accepted", "duplicates", "quarantined", "suppressed")


def print_summary(settings: Settings, retailer: Retailer, console: Console | None = None) -> None:
    """Print the page for one retailer."""
    paths = Paths.of(settings)
    found = status(paths)
    console = console or Console()
    console.print(_landed(paths, retailer))
    if found.folder is not None:
        with duckdb.connect(str(found.folder / "siyu.duckdb"), read_only=True) as connection:
            console.print(_customers(connection, retailer))
            console.print(_models(connection))
    console.print(_gates(paths))
    # A path that is broken in the middle cannot be copied.
    console.print(status_page(found), soft_wrap=True)
    if found.folder is not None:
        console.print(_next(paths, found.folder), soft_wrap=True)


def _landed(paths: Paths, retailer: Retailer) -> Table:
    """Rows in, accepted and quarantined by entity."""
    lake = Lake(paths)
    table = Table(title=f"{retailer.en}: what landed", title_justify="left", expand=False)
    table.add_column("entity")
    for name in _OUTCOMES:
        table.add_column(name.replace("_", " "), justify="right")
    totals = dict.fromkeys(_OUTCOMES, 0)
    lacking = [entity for entity in contracts() if entity not in retailer.mappings]
    for entity in retailer.mappings:
        manifests = lake.manifests(entity)
        counts = {name: sum(getattr(m, name) for m in manifests) for name in _OUTCOMES}
        totals = {name: totals[name] + counts[name] for name in _OUTCOMES}
        table.add_row(entity, *(f"{counts[name]:,}" for name in _OUTCOMES))
    table.add_section()
    table.add_row("all", *(f"{totals[name]:,}" for name in _OUTCOMES), style="bold")
    if lacking:
        table.caption = f"not supplied by this retailer: {', '.join(lacking)}"
        table.caption_justify = "left"
    return table


def _customers(connection: duckdb.DuckDBPyConnection, retailer: Retailer) -> Table:
    """Customers, what they bought up to the as-of day, and how much of it is tied to one."""
    table = Table(title="Customers and coverage", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    identifiers = "SELECT count(customer_id) FROM unified.customer_identifier"
    table.add_row("customers", _whole(connection, "SELECT count(*) FROM unified.dim_customer"))
    table.add_row("identifiers resolved", _whole(connection, identifiers))
    (sold,) = _rows(
        connection,
        "SELECT sum(orders) AS orders, sum(net_sales) AS net_sales, "
        "sum(refunded_amount) AS refunded, sum(net_revenue) AS net_revenue, "
        "1 - sum(unresolved_orders) / nullif(sum(orders), 0) AS orders_known, "
        "1 - sum(unresolved_net_sales) / nullif(sum(net_sales), 0) AS sales_known "
        "FROM marts.kpi_weekly",
    )
    table.add_row("orders", f"{sold['orders'] or 0:,}")
    table.add_row(f"net sales, {retailer.currency}", f"{sold['net_sales'] or 0:,.2f}")
    table.add_row("refunds", f"{-(sold['refunded'] or 0):,.2f}")
    table.add_row("net revenue", f"{sold['net_revenue'] or 0:,.2f}", style="bold")
    interactions = "SELECT count(customer_id) / nullif(count(*), 0) FROM unified.fct_interaction"
    for label, share in (
        ("orders of a known customer", sold["orders_known"]),
        ("sales of a known customer", sold["sales_known"]),
        ("interactions of a known customer", _one(connection, interactions)),
    ):
        table.add_row(label, "none supplied" if share is None else f"{float(share):.1%}")
    return table


def _whole(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    return f"{_one(connection, sql):,}"


def _models(connection: duckdb.DuckDBPyConnection) -> RenderableType:
    """Each task's models beside their baselines on the newest test cut."""
    rows = _rows(
        connection,
        "SELECT * FROM ml.model_metrics QUALIFY as_of_date = max(as_of_date) OVER (PARTITION BY task)",
    )
    if not rows:
        return Text("Models: none trained yet")
    parts: list[RenderableType] = []
    for task in sorted({row["task"] for row in rows}):
        mine = [row for row in rows if row["task"] == task]
        table = Table(title=f"Model {task}, test cut {mine[0]['test_date']}", title_justify="left")
        table.add_column("model")
        for label in _METRICS.values():
            table.add_column(label, justify="right")
        for model in dict.fromkeys(row["model"] for row in mine):
            values = {row["metric"]: row["value"] for row in mine if row["model"] == model}
            table.add_row(model, *(f"{values[m]:.4f}" if m in values else "–" for m in _METRICS))
        table.caption = mine[0]["decision"]
        table.caption_justify = "left"
        parts.append(table)
    return Group(*parts)


def _gates(paths: Paths) -> Text:
    """How many rules passed, on the versions in force."""
    if not paths.ops.exists():
        return Text("Gates: nothing judged yet")
    found = Ledger(paths.ops).effects()
    return Text(
        f"Gates: {found['passed']} checks passed, {found['warns']} warn, {found['blocks']} block"
    )


def status_page(found: Status) -> RenderableType:
    """What ran last, what is published, what is blocked and what to do."""
    parts: list[RenderableType] = []
    for run in found.last_runs[:1]:
        said = f"Last run: {run['job']} {run['status']} {(run['ended_at'] or '')[:19]}"
        parts.append(Text(said + (f"\n  {run['error']}" if run["error"] else "")))
    if found.published is None:
        parts.append(Text("Published: nothing yet"))
    else:
        parts.append(Text(f"Published: as of {found.published['as_of_date']}, in {found.folder}"))
    if found.blocks:
        parts.append(Text("Blocked:", style="bold red"))
        parts += [
            Text(f"  {', '.join(places)}\n    {reason}\n    → {remedy}")
            for (reason, remedy), places in by_reason(found.blocks).items()
        ]
    else:
        parts.append(Text("Blocked: nothing"))
    return Group(*parts)


def quarantine_page(found: pa.Table) -> RenderableType:
    """What is and was in quarantine (``siyu.quality.quarantine``), newest first."""
    if not found.num_rows:
        return Text("Nothing has been rejected.")
    shown = [
        (
            str(row["loaded_date"]), row["source"], _place(row), row["rule"],
            row["status"], f"{row['rows']:,}", "" if row["share"] is None else f"{row['share']:.2%}",
        )
        for row in found.sort_by([("loaded_date", "descending")]).to_pylist()
    ]  # fmt: skip
    table = Table(title="Rows that broke a rule", title_justify="left", box=box.SIMPLE)
    names = ("day", "input", "column", "rule", "status", "rows", "share")
    for name, *values in zip(names, *shown, strict=True):
        # A name broken in the middle is no name: wider than the terminal is better.
        width = max(map(len, (name, *values)))
        justify: JustifyMethod = "right" if name in ("rows", "share") else "left"
        table.add_column(name, min_width=width, no_wrap=True, justify=justify)
    for row in shown:
        table.add_row(*row)
    return table


def _place(row: Mapping[str, Any]) -> str:
    """Entity and column; a record that cannot be read has no column."""
    return ".".join(part for part in (row["entity"], row["column"]) if part)


def _next(paths: Paths, folder: Path) -> Text:
    return Text(
        "Next:\n"
        "  make ui                       Dagster and MLflow on localhost\n"
        f"  duckdb -readonly {paths.serving / 'current' / 'siyu.duckdb'}\n"
        f"  {len(list(folder.rglob('*.parquet')))} Parquet files in "
        f"{paths.serving / 'current' / 'parquet'}"
    )


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return None if row is None else row[0]


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = connection.execute(sql).to_arrow_table().to_pylist()
    except duckdb.CatalogException:  # nothing was ever trained
        return []
    return rows
