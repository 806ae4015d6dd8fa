"""A verdict stands as long as nothing that it follows from has changed, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from small_workspace import (
    BAD,
    GOOD,
    REPORT,
    STAFF,
    failures,
    materialised,
    open_corner_shop,
    run,
    small_definitions,
)

from expectations import runner
from expectations.catalog import suite_for
from expectations.rules import Suite, never
from orchestration.lib import gates
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.ops import GateResult, Ledger
from siyu.paths import Paths
from siyu.retailer import Retailer


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of a retailer that supplies staff and nothing else."""
    open_corner_shop(tmp_path, monkeypatch)
    return Ledger(Paths.of(Settings.from_env()).ops)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Suite]:
    """Every suite that is judged."""
    seen: list[Suite] = []
    judge = runner.judge

    def watched(suite: Suite, connection: duckdb.DuckDBPyConnection) -> list[GateResult]:
        seen.append(suite)
        return judge(suite, connection)

    monkeypatch.setattr(gates, "judge", watched)
    return seen


def _definitions(rows: str = GOOD, *, holds: str = "five", version: str = "1") -> dg.Definitions:
    def evidence(workspace: Workspace, connection: duckdb.DuckDBPyConnection, table: str) -> str:
        return f"{table} {holds}"

    return small_definitions(lambda: rows, evidence=evidence, version=version)


def test_what_has_not_changed_is_not_judged_again(
    instance: dg.DagsterInstance, ledger: Ledger, judged: list[Suite]
) -> None:
    first = run(_definitions(), instance)
    second = run(_definitions(), instance)

    assert second.success, failures(second)
    assert len(judged) == 1
    assert materialised(second) == {STAFF, REPORT}
    (check,) = second.get_asset_check_evaluations()
    assert check.passed
    assert check.metadata["judged_in_run"].value == first.run_id
    said = ledger.rows("SELECT DISTINCT run_id, outcome FROM gate_result")
    assert said == [{"run_id": first.run_id, "outcome": "passed"}]


def test_a_failed_verdict_that_stands_still_stops_what_is_below(
    instance: dg.DagsterInstance, judged: list[Suite]
) -> None:
    run(_definitions(BAD), instance)
    second = run(_definitions(BAD), instance)

    assert len(judged) == 1
    assert not second.success
    assert materialised(second) == {STAFF}
    (check,) = second.get_asset_check_evaluations()
    assert not check.passed
    assert "s1" in str(check.metadata["results"])
    assert not run(_definitions(BAD), instance, REPORT).success


def test_a_new_version_is_judged(instance: dg.DagsterInstance, judged: list[Suite]) -> None:
    run(_definitions(), instance)
    second = run(_definitions(BAD, version="2"), instance)

    assert len(judged) == 2
    assert not second.success


def test_other_evidence_is_judged(instance: dg.DagsterInstance, judged: list[Suite]) -> None:
    run(_definitions(), instance)
    second = run(_definitions(BAD, holds="other rows"), instance)

    assert len(judged) == 2
    assert not second.success


def test_another_rule_is_judged(
    instance: dg.DagsterInstance, judged: list[Suite], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(_definitions(), instance)

    def stricter(table: str, retailer: Retailer, day: date | None) -> Suite:
        found = suite_for(table, retailer, day)
        assert found is not None
        further = never("no_s1", "nobody is s1", "staff_id = 's1'")
        return Suite(found.table, found.key, (*found.rules, further))

    monkeypatch.setattr(gates, "suite_for", stricter)
    second = run(_definitions(), instance)

    assert len(judged) == 2
    assert not second.success


def test_a_verdict_that_could_not_be_had_is_asked_for_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[GateResult]:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(gates, "judge", broken)
        assert not run(_definitions(), instance).success
    assert run(_definitions(), instance).success


def test_evidence_that_cannot_be_had_leaves_the_table_to_its_judge(
    instance: dg.DagsterInstance, judged: list[Suite]
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise duckdb.CatalogException("no such view")

    definitions = small_definitions(lambda: GOOD, evidence=broken, version="1")
    assert run(definitions, instance).success
    assert run(definitions, instance).success
    assert len(judged) == 2
