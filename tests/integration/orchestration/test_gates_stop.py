"""A gate that fails, or cannot say, stops what is below: in its run and in every later one."""

from __future__ import annotations

from collections.abc import Iterator
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

from orchestration.lib import gates
from orchestration.lib.reaper import PROCESS_TAG
from orchestration.resources import Workspace
from siyu.config import Settings
from siyu.ops import Ledger
from siyu.paths import Paths
from siyu.serving import status


@pytest.fixture(autouse=True)
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The home of a retailer that supplies staff and nothing else."""
    open_corner_shop(tmp_path, monkeypatch)
    return Paths.of(Settings.from_env())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _only_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (check,) = result.get_asset_check_evaluations()
    return check


def test_a_table_that_passes_is_read(instance: dg.DagsterInstance) -> None:
    result = run(small_definitions(lambda: GOOD), instance)
    assert result.success, failures(result)
    assert _only_check(result).passed
    assert materialised(result) == {STAFF, REPORT}


def test_a_table_that_fails_stops_what_is_below_in_the_same_run(
    instance: dg.DagsterInstance,
) -> None:
    result = run(small_definitions(lambda: BAD), instance)
    assert not result.success
    check = _only_check(result)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.blocking
    assert materialised(result) == {STAFF}


def test_the_check_says_which_rule_failed_on_how_many_rows_with_examples(
    instance: dg.DagsterInstance,
) -> None:
    check = _only_check(run(small_definitions(lambda: BAD), instance))
    table = check.metadata["results"]
    assert isinstance(table, dg.TableMetadataValue)
    (broken,) = table.records
    assert broken.data["rule"] == "key_unique"
    assert broken.data["rows"]
    assert "s1" in str(broken.data["example_keys"])


def test_a_failure_stops_a_later_run_that_selects_only_what_is_below(
    instance: dg.DagsterInstance,
) -> None:
    definitions = small_definitions(lambda: BAD)
    run(definitions, instance)
    later = run(definitions, instance, REPORT)
    assert not later.success
    assert materialised(later) == set()
    (said,) = failures(later).values()
    assert "blocked by a gate: unified.dim_staff: failed gx:key_unique" in said
    assert "retract the batch" in said


def test_a_failure_is_known_to_a_run_on_another_instance(instance: dg.DagsterInstance) -> None:
    definitions = small_definitions(lambda: BAD)
    run(definitions, instance)
    with dg.DagsterInstance.ephemeral() as other:
        assert not run(definitions, other, REPORT).success


def test_a_good_version_opens_the_way_again(instance: dg.DagsterInstance) -> None:
    versions = iter([BAD, GOOD])
    definitions = small_definitions(lambda: next(versions))
    run(definitions, instance)
    assert run(definitions, instance).success
    assert run(definitions, instance, REPORT).success


def test_a_bad_version_closes_a_way_that_was_open(instance: dg.DagsterInstance) -> None:
    versions = iter([GOOD, BAD])
    definitions = small_definitions(lambda: next(versions))
    run(definitions, instance)
    run(definitions, instance)
    assert not run(definitions, instance, REPORT).success


def test_a_write_that_no_gate_judged_closes_the_way(
    instance: dg.DagsterInstance, paths: Paths
) -> None:
    definitions = small_definitions(lambda: GOOD)
    run(definitions, instance)
    # What a run leaves that is killed between the table and its gate.
    ledger = Ledger(paths.ops)
    ledger.end_write(STAFF, ledger.begin_write(STAFF, "killed", [gates.GATE]), 5)
    later = run(definitions, instance, REPORT)
    (said,) = failures(later).values()
    assert "not judged yet by gx (run its checks, or materialise it together with them)" in said


@pytest.mark.parametrize("part", ["suite_for", "judge"])
def test_a_suite_that_breaks_is_a_failed_check_and_no_silence(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("13800138000")

    monkeypatch.setattr(gates, part, broken)
    definitions = small_definitions(lambda: GOOD)
    result = run(definitions, instance)
    check = _only_check(result)
    assert not check.passed
    assert check.blocking
    assert "could not judge (ZeroDivisionError)" in str(check.description)
    assert "13800138000" not in str(check)
    assert materialised(result) == {STAFF}


def test_a_table_without_a_suite_is_a_failed_check(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "suite_for", lambda *_: None)
    check = _only_check(run(small_definitions(lambda: GOOD), instance))
    assert not check.passed
    assert "has no suite" in str(check.description)


def test_a_gate_that_cannot_open_its_tables_leaves_them_blocked(
    instance: dg.DagsterInstance, paths: Paths
) -> None:
    def closed(workspace: Workspace) -> duckdb.DuckDBPyConnection:
        raise duckdb.IOException("the file is locked")

    definitions = small_definitions(lambda: GOOD, closed)
    result = run(definitions, instance)
    assert not result.success
    assert materialised(result) == {STAFF}
    (block,) = Ledger(paths.ops).blocks([STAFF])
    assert block.reason == "not judged yet by gx"
    assert not run(definitions, instance, REPORT).success


def test_status_says_what_blocks_and_how_the_run_ended(
    instance: dg.DagsterInstance, paths: Paths
) -> None:
    run(small_definitions(lambda: BAD), instance)
    said = status(paths)
    assert [block.table for block in said.blocks] == [STAFF]
    assert said.last_runs[0]["status"] == "failed"
    assert "unified/dim_staff" in said.last_runs[0]["error"]


def test_a_run_that_died_is_ended_by_the_next(instance: dg.DagsterInstance, paths: Paths) -> None:
    definitions = small_definitions(lambda: GOOD)
    job = definitions.resolve_job_def("all_assets")
    dead = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(dead.run_id, {PROCESS_TAG: f"{dead.run_id} {2**22 + 1}@12345"})
    Ledger(paths.ops).begin_run(dead.run_id, "all_assets")
    assert run(definitions, instance).success
    ended = {row["run_id"]: row["status"] for row in status(paths).last_runs}
    assert ended[dead.run_id] == "killed"
    seen = instance.get_run_by_id(dead.run_id)
    assert seen is not None
    assert seen.status is dg.DagsterRunStatus.FAILURE
