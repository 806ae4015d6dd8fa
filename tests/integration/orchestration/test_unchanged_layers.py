"""A layer stands as long as nothing that it follows from has changed, and is built on what passed only.

The layer is run as the real ones are; only dbt is stood in for, by something that notes that it was
called.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from small_workspace import CORNER_SHOP, failures, open_corner_shop

from orchestration.lib import dbt, standing
from orchestration.lib.dbt import DBT_GATE, Translator, run_layer
from orchestration.lib.gates import GATE, asset_key
from orchestration.lib.lake import sync_lake_versions
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.ingestion import land_entity, retract_batch
from siyu.lake import Lake
from siyu.maintenance import maintain
from siyu.ops import GateResult, Ledger
from siyu.paths import Paths
from siyu.retailer import load_retailer
from siyu.transform import DbtRun, NodeResult
from siyu.warehouse import Warehouse

INPUTS = """
inputs:
  roster: {format: csv, location: "${ROSTER}/*.csv", columns: {id: VARCHAR, state: VARCHAR}}
"""
MAPPING = "SELECT id AS staff_id, state AS status, _file, _row FROM roster"
DAY = date(2026, 6, 30)
STAGED, REPORT, LIST = "staging.stg_staff", "marts.report", "marts.list"
TEST = "report_has_rows"


def _model(table: str, *reads: str) -> dict[str, Any]:
    layer, _, name = table.partition(".")
    return {
        "resource_type": "model", "schema": layer, "name": name, "tags": [layer],
        "unique_id": f"model.siyu.{name}", "depends_on": {"nodes": list(reads)},
        "config": {"materialized": "table"},
    }  # fmt: skip


MANIFEST = {
    "nodes": {
        # What is above comes last here, and first in Dagster.
        "model.siyu.list": _model(LIST, "model.siyu.report"),
        "model.siyu.report": _model(REPORT, "model.siyu.stg_staff"),
        "model.siyu.stg_staff": _model(STAGED),
        f"test.siyu.{TEST}": {
            "resource_type": "test", "name": TEST, "unique_id": f"test.siyu.{TEST}",
            "config": {"severity": "ERROR"}, "attached_node": "model.siyu.report",
            "depends_on": {"nodes": ["model.siyu.report"]},
        },
    },
    "sources": {},
}  # fmt: skip


@dataclass
class Shop:
    """A shop with staff in its lake, a staging table, and a layer of two tables.

    Attributes:
        folder: Holds its files.
        day: What a run works as of.
        reads: What the layer asks for.
        broken: Whether the layer's test fails.
        built: The tables that dbt was asked for, call by call.
        anew: Whether it was to build whole what is kept batch by batch, call by call.
    """

    folder: Path
    instance: dg.DagsterInstance
    day: date = DAY
    reads: tuple[str, ...] = ("lake.staff",)
    broken: bool = False
    built: list[list[str]] = field(default_factory=list)
    anew: list[bool] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings.from_env()

    @property
    def ledger(self) -> Ledger:
        return Ledger(Paths.of(self.settings).ops)

    def land(self, name: str) -> None:
        """Land a file with one row."""
        (self.folder / "roster" / f"{name}.csv").write_text(f"id,state\n{name},active\n", "utf-8")
        settings = self.settings
        land_entity(settings, load_retailer(settings), "staff", "landing", datetime.now(UTC))

    def run(self, *only: str, tags: dict[str, str] = standing.STANDS) -> dg.ExecuteInProcessResult:
        """Run the layer, or some of its tables."""
        specs = [
            dg.AssetSpec(asset_key(LIST), deps=[asset_key(REPORT)], skippable=True),
            dg.AssetSpec(asset_key(REPORT), skippable=True),
        ]
        check = dg.AssetCheckSpec(TEST, asset=asset_key(REPORT))
        return self._run("marts", self.reads, specs, [check], only, tags)

    def stage(self) -> dg.ExecuteInProcessResult:
        """Build the staging table on what the lake holds now."""
        specs = [dg.AssetSpec(asset_key(STAGED), skippable=True)]
        return self._run("staging", ["lake.staff"], specs, [], [], {})

    def _run(
        self,
        layer: str,
        reads: Sequence[str],
        specs: Sequence[dg.AssetSpec],
        checks: Sequence[dg.AssetCheckSpec],
        only: Sequence[str],
        tags: dict[str, str],
    ) -> dg.ExecuteInProcessResult:
        return (
            self._definitions(layer, reads, specs, checks)
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=self.instance,
                tags=tags,
                asset_selection=[asset_key(table) for table in only] or None,
                raise_on_error=False,
            )
        )

    def _definitions(
        self,
        layer: str,
        reads: Sequence[str],
        specs: Sequence[dg.AssetSpec],
        checks: Sequence[dg.AssetCheckSpec],
    ) -> dg.Definitions:
        manifest = self.folder / "manifest.json"
        manifest.write_text(json.dumps(MANIFEST), "utf-8")

        @dg.multi_asset(name=layer, specs=specs, check_specs=checks, can_subset=True)
        def tables(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[Any]:
            sync_lake_versions(workspace, context.run.run_id)
            self._pass("lake.staff", context.run.run_id)
            yield from run_layer(
                context, workspace, manifest, Translator("duckdb", {}), layer, reads,
                [self.day], self.day,
            )  # fmt: skip

        return dg.Definitions(
            assets=[tables], resources={"workspace": Workspace()}, executor=dg.in_process_executor
        )

    def _pass(self, table: str, run_id: str) -> None:
        version = self.ledger.newest(table)
        assert version is not None
        passed = GateResult(GATE, "judged", "ERROR", "passed", "")
        self.ledger.record(table, version, GATE, [passed], run_id)

    def dbt(self, settings: Settings, args: list[str], variables: dict[str, Any]) -> DbtRun:
        """Stands in for dbt: makes the tables, and says how their test went."""
        tables = [
            table
            for table in (STAGED, REPORT, LIST)
            for layer, _, name in [table.partition(".")]
            if f"tag:{layer}" in args or name in args
        ]
        names = [table.partition(".")[2] for table in tables]
        self.built.append(names)
        self.anew.append(variables["anew"])
        with Warehouse.of(settings).connect(read_only=False) as connection:
            for table in tables:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
                connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT 1 AS one")
        result = partial(NodeResult, seconds=0.1, message="")
        made = [
            result(f"model.siyu.{name}", name, "model", "success", failures=None, severity="",
                   table=table)
            for table, name in zip(tables, names, strict=True)
        ]  # fmt: skip
        tested = result(
            f"test.siyu.{TEST}", TEST, "test", "fail" if self.broken else "pass",
            failures=int(self.broken), severity="ERROR", table=REPORT,
        )  # fmt: skip
        return DbtRun(not self.broken, (*made, *([tested] if "report" in names else [])))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    open_corner_shop(tmp_path, monkeypatch, INPUTS, MAPPING)
    (tmp_path / "roster").mkdir()
    monkeypatch.setenv("ROSTER", str(tmp_path / "roster"))
    with dg.DagsterInstance.ephemeral() as instance:
        made = Shop(tmp_path, instance)
        monkeypatch.setattr(dbt, "run_dbt", made.dbt)
        made.land("s1")
        yield made


def _shown(result: dg.ExecuteInProcessResult, table: str) -> dict[str, Any]:
    (event,) = (
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key == asset_key(table)
    )
    return {name: said.value for name, said in event.materialization.metadata.items()}


def test_what_nothing_changed_under_is_not_built_again(shop: Shop) -> None:
    first, second = shop.run(), shop.run()

    assert first.success
    assert second.success
    assert shop.built == [["report", "list"]]
    for table in (REPORT, LIST):
        said = _shown(second, table)
        assert said["made_in_run"] == first.run_id
        assert said["dagster/row_count"] == 1
        assert said["standing_since"]


def test_upkeep_of_the_lake_is_no_change(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siyu.maintenance.FEW", 1)
    shop.land("s2")
    shop.run()
    (done,) = maintain(Paths.of(shop.settings))
    shop.run()

    assert (done.table, done.files_after) == ("lake.staff", 1)
    assert shop.built == [["report", "list"]]


def test_what_stands_still_says_what_its_tests_found(shop: Shop) -> None:
    first, second = shop.run(), shop.run()

    (check,) = second.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (TEST, True)
    assert check.metadata["judged_in_run"].value == first.run_id
    assert shop.ledger.blocks([REPORT, LIST]) == []


# --- what makes it be built --------------------------------------------------------------------


def _new_batch(shop: Shop, _: pytest.MonkeyPatch) -> None:
    shop.land("s2")


def _retracted_batch(shop: Shop, _: pytest.MonkeyPatch) -> None:
    (batch,) = Lake(Paths.of(shop.settings)).manifests("staff")
    retract_batch(shop.settings, batch.batch_id, datetime.now(UTC))


def _other_code(_: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "code_sha256", lambda: "other SQL")


def _other_threshold(shop: Shop, _: pytest.MonkeyPatch) -> None:
    settings = shop.folder / "retailers" / "corner_shop" / "retailer.yaml"
    settings.write_text(f"{CORNER_SHOP}{INPUTS}gates: {{min_order_coverage: 0.6}}\n", "utf-8")


def _other_day(shop: Shop, _: pytest.MonkeyPatch) -> None:
    shop.day = date(2026, 7, 1)


def _dropped_table(shop: Shop, _: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(Paths.of(shop.settings).warehouse)) as connection:
        connection.execute(f"DROP TABLE {LIST}")


def _dropped_warehouse(shop: Shop, _: pytest.MonkeyPatch) -> None:
    Paths.of(shop.settings).warehouse.unlink()


def _table_of_an_earlier_backup(shop: Shop, _: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(Paths.of(shop.settings).warehouse)) as connection:
        connection.execute("UPDATE applied.table_version SET version = 'earlier'")


def _killed_write(shop: Shop, _: pytest.MonkeyPatch) -> None:
    shop.ledger.begin_write(LIST, "killed", [DBT_GATE], as_of=DAY)


def _killed_judging(shop: Shop, _: pytest.MonkeyPatch) -> None:
    version = shop.ledger.begin_write(LIST, "killed", [DBT_GATE], as_of=DAY)
    shop.ledger.end_write(LIST, version, 1)


@pytest.mark.parametrize(
    "change",
    [_new_batch, _retracted_batch, _other_code, _other_threshold, _other_day, _dropped_table,
     _dropped_warehouse, _table_of_an_earlier_backup, _killed_write, _killed_judging],
)  # fmt: skip
def test_it_is_built_after(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, change: Callable[[Shop, pytest.MonkeyPatch], None]
) -> None:
    shop.run()
    change(shop, monkeypatch)

    assert shop.run().success
    assert len(shop.built) == 2
    assert shop.run().success
    assert len(shop.built) == 2


def test_what_failed_a_test_is_built_again(shop: Shop) -> None:
    shop.broken = True
    assert not shop.run().success
    assert not shop.run().success
    assert len(shop.built) == 2

    shop.broken = False
    assert shop.run().success
    assert len(shop.built) == 3


def test_a_test_that_nobody_ran_has_the_layer_built(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run()
    monkeypatch.setattr(dbt, "layer_tests", lambda *_: (TEST, "another"))
    shop.run()

    assert len(shop.built) == 2


def test_a_day_that_was_worked_on_before_another_is_built_again(shop: Shop) -> None:
    shop.run()
    shop.day = date(2026, 7, 1)
    shop.run()
    shop.day = DAY

    assert shop.run().success
    assert len(shop.built) == 3


@pytest.mark.parametrize("tags", [{}, standing.MADE_ANEW], ids=["another job", "--full"])
def test_only_a_refresh_leaves_anything_standing(shop: Shop, tags: dict[str, str]) -> None:
    shop.run()
    shop.run(tags=tags)

    assert len(shop.built) == 2


def test_only_a_full_refresh_builds_whole_what_is_kept_batch_by_batch(shop: Shop) -> None:
    for tags in (standing.STANDS, {}, standing.MADE_ANEW):
        shop.run(tags=tags)

    assert shop.anew == [False, False, True]


def test_what_is_asked_for_by_name_is_built(shop: Shop) -> None:
    shop.run()
    shop.run(LIST)

    assert shop.built == [["report", "list"], ["list"]]


def test_a_layer_that_was_built_in_parts_is_built_whole_once(shop: Shop) -> None:
    shop.run(REPORT)
    shop.run(LIST)
    shop.run()
    shop.run()

    assert shop.built == [["report"], ["list"], ["report", "list"]]


# --- what it may be built on -------------------------------------------------------------------


def _said(result: dg.ExecuteInProcessResult) -> str:
    """What the only step that failed said."""
    assert not result.success
    (said,) = failures(result).values()
    return said


def test_part_of_a_layer_is_not_built_on_a_part_that_failed(shop: Shop) -> None:
    shop.broken = True
    shop.run(REPORT)
    refused = shop.run(LIST)

    assert f"blocked by a gate: {REPORT}: failed dbt:{TEST}" in _said(refused)
    assert shop.built == [["report"]]


def test_part_of_a_layer_is_not_built_on_a_part_that_was_never_built(shop: Shop) -> None:
    assert f"{REPORT}: never written (materialise it first)" in _said(shop.run(LIST))
    assert shop.built == []


def test_a_layer_is_not_built_on_staging_whose_tests_saw_another_lake(shop: Shop) -> None:
    shop.reads = ("lake.staff", STAGED)
    assert shop.stage().success
    shop.land("s2")

    said = _said(shop.run(tags={}))
    assert "staging: 1 of 1 tables: their tests have not seen what the lake holds" in said
    assert "materialise all of staging first" in said
    assert shop.stage().success
    assert shop.run(tags={}).success
    assert shop.built == [["stg_staff"], ["stg_staff"], ["report", "list"]]


def test_what_was_staged_of_the_same_lake_is_built_on_whatever_the_day_and_the_code(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.reads = ("lake.staff", STAGED)
    shop.stage()
    _other_day(shop, monkeypatch)
    _other_code(shop, monkeypatch)
    _other_threshold(shop, monkeypatch)

    assert shop.run(tags={}).success
