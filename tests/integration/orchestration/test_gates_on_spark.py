"""Gates on Spark's tables, which are folders: the lake that suites read besides is there all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from small_workspace import open_corner_shop

from orchestration.defs.transform import layers
from orchestration.lib.gates import GATE, asset_key
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.lake import Lake, Manifest, commit
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.warehouse import Warehouse

LINES = "unified.fct_order_line"
RULE = "net_amount_reconciles"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A shop on Spark with one order line in its lake, worth 10.00."""
    shop = open_corner_shop(tmp_path, monkeypatch)
    (shop / "order_lines.sql").write_text("SELECT 1", "utf-8")
    monkeypatch.setenv("SIYU_ENGINE", "spark")
    settings = Settings.from_env()
    folder = Lake(Paths.of(settings)).folder("order_lines")
    landed = lines(Decimal("10.0000")).append_column("_source", pa.array(["till"]))
    manifest = Manifest(
        batch_id="b1", entity="order_lines", source="till", rows_in=1, accepted=1,
        loaded_at=datetime(2026, 7, 1, tzinfo=UTC),
    )  # fmt: skip
    commit(folder, landed.to_reader(), manifest)
    return settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def lines(net_amount: Decimal) -> pa.Table:
    return pa.table(
        {
            "order_id": ["o1"],
            "line_no": pa.array([1], pa.int64()),
            "net_amount": pa.array([net_amount], pa.decimal128(18, 4)),
        }
    )


@pytest.mark.parametrize(("net_amount", "outcome"), [("10.00", "passed"), ("9.99", "failed")])
def test_a_table_on_spark_is_judged_beside_the_lake(
    settings: Settings, instance: dg.DagsterInstance, net_amount: str, outcome: str
) -> None:
    Warehouse.of(settings).replace(LINES, lines(Decimal(net_amount)))
    ledger = Ledger(Paths.of(settings).ops)
    version = ledger.begin_write(LINES, "earlier", [GATE])
    ledger.end_write(LINES, version, 1)

    judge(instance)

    found = {result.rule: result.outcome for result in ledger.results(LINES, version, GATE)}
    assert found[RULE] == outcome


def judge(instance: dg.DagsterInstance) -> None:
    """The gate of the table, as a job runs it."""
    key = dg.AssetCheckKey(asset_key(LINES), GATE)
    definitions = dg.Definitions.merge(
        layers.layers(),
        dg.Definitions(
            resources={"workspace": Workspace()},
            executor=dg.in_process_executor,
            jobs=[dg.define_asset_job("judge", dg.AssetSelection.checks(key))],
        ),
    )
    definitions.resolve_job_def("judge").execute_in_process(instance=instance, raise_on_error=False)
