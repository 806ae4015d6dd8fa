"""Features are judged day by day, and labels are as of the day that the orders are of.

Layer and gate are the real ones; dbt is stood in for by something that notes what it was asked for.
"""

from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from small_workspace import failures, open_corner_shop

from expectations.suites.features import CUSTOMER_FEATURES, CUSTOMER_LABELS
from orchestration.defs.models import features
from orchestration.lib import dbt, standing
from orchestration.lib.dbt import from_above, layer_tables, read_manifest
from orchestration.lib.gates import asset_key
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.ops import GateResult, Ledger
from siyu.paths import Paths
from siyu.transform import DbtRun, NodeResult, ensure_manifest
from siyu.warehouse import Warehouse

MONDAY, TUESDAY = date(2026, 6, 29), date(2026, 6, 30)
ORDERS = features.LABELLED_FROM
EVENTS = ("events_7d", "events_30d", "events_90d", "browses_30d", "carts_30d", "shares_90d")


class Layer:
    """A retailer with orders and interactions as of Tuesday, and its layer of features.

    Attributes:
        asked: The variables that dbt was called with, call by call.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        settings = Settings.from_env()
        self.ledger = Ledger(Paths.of(settings).ops)
        self.warehouse = Warehouse.of(settings)
        self.asked: list[dict[str, Any]] = []
        self._instance = instance
        manifest = read_manifest(ensure_manifest())
        self._tables = from_above(manifest, layer_tables(manifest, features.LAYER))
        self._definitions = dg.Definitions.merge(
            features.features(),
            dg.Definitions(
                resources={"workspace": Workspace()},
                executor=dg.in_process_executor,
                jobs=[
                    dg.define_asset_job(
                        "build", dg.AssetSelection.all() - dg.AssetSelection.all_asset_checks()
                    ),
                    dg.define_asset_job(
                        "judge",
                        dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(CUSTOMER_FEATURES), "gx")),
                    ),
                ],
            ),
        )  # fmt: skip

    def begin(self, table: str, day: date, run_id: str = "earlier", *, by_day: bool = False) -> str:
        """A whole version of a table that no gate has judged."""
        version = self.ledger.begin_write(table, run_id, ["gx"], as_of=day, by_day=by_day)
        self.ledger.end_write(table, version, 1)
        return version

    def hold(self, day: date, customers: int, events: float | None) -> None:
        """Have the warehouse hold features of a day, and interactions of long before."""
        since = pa.table({"_known_at": [date(2026, 1, 1)], "_event_at": [date(2026, 1, 1)]})
        self.warehouse.replace("lake.interactions", since)
        known = dict.fromkeys(
            ("tenure_days", "net_revenue", "average_order_value", "max_order_value", "order_count",
             "channels_365d", "recency_days"), 1.0,
        )  # fmt: skip
        row = {"as_of_date": day, **known, **dict.fromkeys(EVENTS, events)}
        rows = [{"customer_id": f"c{n}", **row} for n in range(customers)]
        kinds = {name: pa.float64() for name in EVENTS}
        table = pa.table(
            {name: pa.array([r[name] for r in rows], kinds.get(name)) for name in rows[0]}
        )
        self.warehouse.replace(CUSTOMER_FEATURES, table, {"as_of_date": day})

    def judge(self, run_id: str | None = None) -> dg.ExecuteInProcessResult:
        """The gate of features, in a run as of Tuesday."""
        return self._definitions.resolve_job_def("judge").execute_in_process(
            instance=self._instance, raise_on_error=False, run_id=run_id
        )

    def build(self, day: date) -> None:
        """The layer, in a refresh as of a day, and verdicts of its gates that it passed."""
        result = self._definitions.resolve_job_def("build").execute_in_process(
            instance=self._instance,
            partition_key=day.isoformat(),
            tags=standing.STANDS,
            raise_on_error=False,
        )
        assert result.success, failures(result)
        passed = GateResult("gx", "rows", "ERROR", "passed", "")
        for table, judged in ((CUSTOMER_FEATURES, day), (CUSTOMER_LABELS, None)):
            for version in self.ledger.versions_to_judge(table, result.run_id, judged):
                self.ledger.record(table, version, "gx", [passed], result.run_id)

    def dbt(self, _: Settings, __: list[str], variables: dict[str, Any]) -> DbtRun:
        """Stands in for dbt."""
        self.asked.append(variables)
        for table in self._tables:
            self.warehouse.replace(table, pa.table({"as_of_date": [TUESDAY]}))
        made = partial(NodeResult, kind="model", status="success", seconds=0.1, message="",
                       failures=None, severity="")  # fmt: skip
        names = {table: table.partition(".")[2] for table in self._tables}
        return DbtRun(True, tuple(
            made(unique_id=f"model.siyu.{name}", name=name, table=table)
            for table, name in names.items()
        ))  # fmt: skip


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layer]:
    shop = open_corner_shop(tmp_path, monkeypatch)
    for entity in ("orders", "interactions"):
        (shop / f"{entity}.sql").write_text("SELECT 1", "utf-8")
    monkeypatch.setenv("SIYU_AS_OF", TUESDAY.isoformat())
    monkeypatch.setattr("orchestration.resources.workspace.last_complete_day", lambda _: TUESDAY)
    monkeypatch.setattr(features, "tables_above", lambda _: (ORDERS,))
    monkeypatch.setattr(dbt, "layer_tests", lambda *_: ())
    with dg.DagsterInstance.ephemeral() as instance:
        made = Layer(instance)
        monkeypatch.setattr(dbt, "run_dbt", made.dbt)
        version = made.begin(ORDERS, TUESDAY)
        passed = GateResult("gx", "rows", "ERROR", "passed", "")
        made.ledger.record(ORDERS, version, "gx", [passed], "earlier")
        yield made


# --- judged by day -----------------------------------------------------------------------------


def test_a_new_day_without_its_features_fails_beside_an_old_one_that_has_them(layer: Layer) -> None:
    layer.hold(MONDAY, 60, 4.0)
    layer.hold(TUESDAY, 3, None)
    for day in (MONDAY, TUESDAY):
        layer.begin(CUSTOMER_FEATURES, day, by_day=True)

    (check,) = layer.judge().get_asset_check_evaluations()

    assert not check.passed
    assert check.blocking
    assert "once interactions has rows" in str(check.description)
    blocks = layer.ledger.blocks([CUSTOMER_FEATURES])
    assert [(block.day, block.reason) for block in blocks] == [
        (MONDAY, "not judged yet by gx"),
        (TUESDAY, "failed gx:interactions_features_filled"),
    ]


def test_a_day_that_a_training_built_is_judged_too(layer: Layer) -> None:
    run_id = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    layer.hold(MONDAY, 3, None)
    layer.hold(TUESDAY, 60, 4.0)
    for day in (MONDAY, TUESDAY):
        layer.begin(CUSTOMER_FEATURES, day, run_id, by_day=True)

    (check,) = layer.judge(run_id).get_asset_check_evaluations()

    assert not check.passed
    assert [block.day for block in layer.ledger.blocks([CUSTOMER_FEATURES])] == [MONDAY]


# --- labels are one table ----------------------------------------------------------------------


def test_a_backfill_of_an_earlier_day_takes_back_no_label(layer: Layer) -> None:
    layer.build(TUESDAY)
    layer.build(MONDAY)

    assert [said["as_of_date"] for said in layer.asked] == [TUESDAY.isoformat()] * 2
    assert [
        [day["as_of_date"] for day in said["feature_dates"]] for said in layer.asked
    ] == [[TUESDAY.isoformat()], [MONDAY.isoformat()]]  # fmt: skip
    (labels,) = layer.ledger.in_force([CUSTOMER_LABELS])
    assert labels.as_of == TUESDAY


def test_labels_of_other_orders_do_not_stand_in_a_refresh_of_the_same_day(layer: Layer) -> None:
    layer.build(TUESDAY)
    layer.build(TUESDAY)
    assert len(layer.asked) == 1
    # As if an earlier release had left them as of Monday.
    version = layer.begin(CUSTOMER_LABELS, MONDAY)
    passed = GateResult("gx", "rows", "ERROR", "passed", "")
    layer.ledger.record(CUSTOMER_LABELS, version, "gx", [passed], "earlier")

    layer.build(TUESDAY)

    assert len(layer.asked) == 2
