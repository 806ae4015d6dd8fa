"""A day of a table that is kept by day: judged by itself, and unfit until it is made again.

The scores, the publication, and which days of features a run builds are the real ones; what they read
and write is a row or two.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from small_workspace import failures, open_corner_shop

import ml.steps
from expectations.rules import Suite, between
from orchestration.defs.models import features, scores
from orchestration.defs.serving import publication
from orchestration.environment import Environment
from orchestration.lib import gates
from orchestration.lib.gates import asset_key
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.ops import GateResult, Ledger
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.serving import status
from siyu.warehouse import Warehouse

MONDAY, TUESDAY = date(2026, 6, 29), date(2026, 6, 30)
ORDERS, MART = "unified.fct_order", "marts.customer_360"
FEATURES, SCORES = "features.customer_features", scores.TABLE
TABLES = (ORDERS, MART, FEATURES, SCORES)
PASSED = GateResult("gx", "rows", "ERROR", "passed", "")


class Days:
    """A retailer whose scores of some days are no probabilities.

    Attributes:
        bad: These days.
        built: Days that features were built for, run by run.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        settings = Settings.from_env()
        self.paths = Paths.of(settings)
        self.ledger = Ledger(self.paths.ops)
        self.warehouse = Warehouse.of(settings)
        self.bad: set[date] = set()
        self.built: list[list[date]] = []
        self._instance = instance

    def refresh(self, day: date) -> dg.ExecuteInProcessResult:
        """Every table as of a day, and the publication."""
        self.write(ORDERS, day)
        self.write(MART, day)
        return self.run("refresh", day)

    def run(self, job: str, day: date) -> dg.ExecuteInProcessResult:
        """A job as of a day."""
        definition = self._definitions().resolve_job_def(job)
        return definition.execute_in_process(
            instance=self._instance,
            partition_key=day.isoformat() if definition.partitions_def else None,
            raise_on_error=False,
        )

    def write(self, table: str, day: date, *, by_day: bool = False) -> None:
        """A version of a table that passed its gate."""
        version = self.ledger.begin_write(table, "above", ["gx"], as_of=day, by_day=by_day)
        rows = pa.table({"customer_id": ["c1"], "as_of_date": [day]})
        self.warehouse.replace(table, rows, {"as_of_date": day} if by_day else None)
        self.ledger.end_write(table, version, 1)
        self.ledger.record(table, version, "gx", [PASSED], "above")

    def _definitions(self) -> dg.Definitions:
        @dg.asset(
            key=asset_key(FEATURES),
            partitions_def=Environment.load().as_of_partitions(),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def customer_features(context: dg.AssetExecutionContext, workspace: Workspace) -> None:
            self.built.append(features.feature_days(context, workspace))
            for day in self.built[-1]:
                self.write(FEATURES, day, by_day=True)

        chosen = dg.AssetSelection.assets
        everything = dg.Definitions(
            assets=[customer_features],
            jobs=[
                dg.define_asset_job("refresh", dg.AssetSelection.all()),
                dg.define_asset_job("score", chosen(asset_key(FEATURES), asset_key(SCORES))),
                dg.define_asset_job("publish", chosen(publication.KEY)),
            ],
            resources={"workspace": Workspace()},
            executor=dg.in_process_executor,
        )
        return dg.Definitions.merge(scores.scores(), publication.publication(), everything)

    def score(self, _: Any, __: Any, name: str, day: date, run_id: str) -> ml.steps.ScoringOutcome:
        """Stands in for a champion."""
        row = {"customer_id": ["c1"], "as_of_date": [day], "p": [7.0 if day in self.bad else 0.5]}
        self.warehouse.replace(SCORES, pa.table(row), {"as_of_date": day})
        return ml.steps.ScoringOutcome("churn", day, 1, None, "models:/churn/1", 0.5)


def _suite(table: str, _: Retailer, day: date | None) -> Suite:
    where = f"as_of_date = DATE '{day}'" if day else None
    return Suite(table, ("customer_id", "as_of_date"), (between("p", 0, 1),), where)


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    open_corner_shop(tmp_path, monkeypatch)
    monkeypatch.setattr("orchestration.resources.workspace.last_complete_day", lambda _: TUESDAY)
    monkeypatch.setattr(scores, "tables_above", lambda _: (MART,))
    monkeypatch.setattr(scores, "configured_tasks", lambda _: ("churn",))
    monkeypatch.setattr(publication, "tables_above", lambda _: TABLES)
    monkeypatch.setattr(publication, "published_tables", lambda: TABLES)
    monkeypatch.setattr(gates, "suite_for", _suite)
    monkeypatch.setattr(ml.steps, "champion_uri", lambda *_: "models:/churn/1")
    with dg.DagsterInstance.ephemeral() as instance:
        made = Days(instance)
        monkeypatch.setattr(ml.steps, "score", made.score)
        yield made


def _stopped(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    return "; ".join(failures(result).values())


def test_a_day_whose_scores_failed_is_not_published_with_a_later_one(days: Days) -> None:
    assert days.refresh(TUESDAY).success
    up = status(days.paths).folder
    days.bad = {MONDAY}
    assert not days.run("score", MONDAY).success
    days.refresh(TUESDAY)

    said = _stopped(days.run("publish", TUESDAY))
    assert "ml.customer_scores as of 2026-06-29: failed gx:p_in_range" in said
    assert "backfill that day alone (run the score job as of it)" in said
    assert status(days.paths).folder == up

    days.bad = set()
    assert days.run("score", MONDAY).success
    assert days.run("publish", TUESDAY).success


def test_the_refresh_of_the_next_day_makes_a_day_again_that_failed(days: Days) -> None:
    days.bad = {MONDAY}
    assert not days.refresh(MONDAY).success
    days.bad = set()

    result = days.refresh(TUESDAY)

    assert result.success, failures(result)
    assert days.built == [[MONDAY], [MONDAY, TUESDAY]]
    assert days.ledger.blocks([FEATURES, SCORES]) == []
    scored = {
        event.partition for event in result.get_asset_materialization_events()
        if event.asset_key == asset_key(SCORES)
    }  # fmt: skip
    assert scored == {MONDAY.isoformat(), TUESDAY.isoformat()}


@pytest.mark.parametrize("table", [FEATURES, SCORES])
def test_the_refresh_of_the_next_day_makes_a_day_again_that_a_kill_left(
    days: Days, table: str
) -> None:
    days.ledger.begin_write(table, "killed", ["gx"], as_of=MONDAY, by_day=True)

    result = days.refresh(TUESDAY)

    assert result.success, failures(result)
    assert days.built == [[MONDAY, TUESDAY]]


def test_what_a_refresh_left_that_was_cut_short_is_not_published(days: Days) -> None:
    assert days.refresh(MONDAY).success
    up = status(days.paths).folder

    days.write(ORDERS, MONDAY)
    said = _stopped(days.run("publish", MONDAY))
    assert f"{MART}, {FEATURES}, {SCORES}: older than the unified layer" in said

    days.write(ORDERS, TUESDAY)
    said = _stopped(days.run("publish", MONDAY))
    assert f"{ORDERS}: as of 2026-06-30" in said
    assert "run the refresh job to its end" in said

    days.write(MART, TUESDAY)
    said = _stopped(days.run("publish", MONDAY))
    assert f"{FEATURES}, {SCORES}: without anything as of 2026-06-30" in said

    assert status(days.paths).folder == up
    assert days.refresh(TUESDAY).success
    assert status(days.paths).folder != up
