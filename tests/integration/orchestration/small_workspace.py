"""A workspace with two tables and their gates, for tests of how gates stop what is below.

What belongs here: definitions small enough to run in a second, made of the same parts as the real
ones. What does not: the real tables.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.lib.gates import (
    GATE,
    Connector,
    Evidence,
    asset_key,
    gate_checks,
    open_warehouse,
    require_passed,
)
from orchestration.resources import Workspace

STAFF = "unified.dim_staff"
REPORT = "marts.report"
GOOD = "SELECT 's' || i AS staff_id, 'active' AS status FROM range(5) AS t(i)"
BAD = "SELECT 's1' AS staff_id, 'active' AS status FROM range(5)"


# Without inputs: a test that has some says so after it.
CORNER_SHOP = """
name: corner_shop
en: Corner shop
zh: 街角小店
timezone: Asia/Shanghai
currency: CNY
history_from: 2026-01-01
identifiers: {}
models: {}
"""


def open_corner_shop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, inputs: str = "inputs: {}", staff: str = ""
) -> Path:
    """Have the environment name a retailer that supplies staff and nothing else.

    Args:
        folder: Holds its settings and its home.
        monkeypatch: Sets the environment.
        inputs: The part of retailer.yaml that says what staff is made of.
        staff: The mapping.

    Returns:
        The folder of its settings.
    """
    shop = folder / "retailers" / "corner_shop"
    shop.mkdir(parents=True)
    (shop / "retailer.yaml").write_text(CORNER_SHOP + inputs, "utf-8")
    (shop / "staff.sql").write_text(staff, "utf-8")
    monkeypatch.setenv("SIYU_RETAILERS", str(shop.parent))
    monkeypatch.setenv("SIYU_RETAILER", "corner_shop")
    monkeypatch.setenv("SIYU_HOME", str(folder / "home"))
    return shop


def small_definitions(
    rows: Callable[[], str],
    connect: Connector = open_warehouse,
    evidence: Evidence | None = None,
    version: str | None = None,
) -> dg.Definitions:
    """Staff, the gate behind them, and a report that reads them.

    Args:
        rows: The query that staff are made with, asked for at every run.
        connect: How the gate opens the warehouse.
        evidence: What the gate takes staff to hold.
        version: Name of the version that every run writes; each its own by default.
    """

    @dg.asset(key=asset_key(STAFF))
    def staff(context: dg.AssetExecutionContext, workspace: Workspace) -> None:
        written = workspace.ledger.begin_write(STAFF, context.run.run_id, [GATE], version=version)
        with duckdb.connect() as connection:
            workspace.warehouse.replace(STAFF, connection.execute(rows()).to_arrow_table())
        workspace.ledger.end_write(STAFF, written, 5)

    @dg.asset(key=asset_key(REPORT), deps=[staff])
    def report(workspace: Workspace) -> None:
        require_passed(workspace, [STAFF])

    gate = gate_checks("staff_gates", [STAFF], connect, evidence=evidence)
    return dg.Definitions(
        assets=[staff, report],
        asset_checks=[gate],
        jobs=[dg.define_asset_job("all_assets")],
        resources={"workspace": Workspace()},
        executor=dg.in_process_executor,
    )


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, *only: str
) -> dg.ExecuteInProcessResult:
    """Run everything, or only the tables named."""
    return definitions.resolve_job_def("all_assets").execute_in_process(
        instance=instance,
        raise_on_error=False,
        asset_selection=[asset_key(table) for table in only] or None,
    )


def materialised(result: dg.ExecuteInProcessResult) -> set[str]:
    """``schema.table`` of what a run made."""
    return {".".join(event.asset_key.path) for event in result.get_asset_materialization_events()}


def failures(result: dg.ExecuteInProcessResult) -> Mapping[str, str]:
    """What each failed step said."""
    found = {}
    for event in result.all_node_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            cause = error.cause if error is not None and error.cause else error
            found[event.step_key or ""] = "" if cause is None else cause.message
    return found
