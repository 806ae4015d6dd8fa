"""The ledger: a table blocks from its first written row until every gate has passed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from siyu.ops import GateBlocked, GateResult, Ledger

PASS = GateResult("gx", "rows", "ERROR", "passed", "at least 1 row: found 5")
FAIL = GateResult("gx", "rows", "ERROR", "failed", "at least 1 row: found 0", failed_count=1)
WARN = GateResult("gx", "age", "WARN", "failed", "fresh: 3 days old")
ERRORED = GateResult("gx", "rows", "ERROR", "errored", "no such column")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "r" / "ops.sqlite3")


def _write(ledger: Ledger, *results: GateResult, run: str = "run") -> str:
    version = ledger.begin_write("marts.kpi", run, ["gx"])
    ledger.end_write("marts.kpi", version, 5)
    if results:
        ledger.record("marts.kpi", version, "gx", results, run)
    return version


def test_a_table_that_passed_blocks_nothing(ledger: Ledger) -> None:
    _write(ledger, PASS)
    ledger.require_passed(["marts.kpi"])


def test_a_table_never_written_blocks(ledger: Ledger) -> None:
    with pytest.raises(GateBlocked, match="never written"):
        ledger.require_passed(["marts.kpi"])


def test_a_write_that_did_not_end_blocks_although_the_version_before_passed(ledger: Ledger) -> None:
    _write(ledger, PASS)
    ledger.begin_write("marts.kpi", "killed", ["gx"])
    with pytest.raises(GateBlocked, match="did not end"):
        ledger.require_passed(["marts.kpi"])


def test_a_version_no_gate_has_judged_blocks(ledger: Ledger) -> None:
    _write(ledger, PASS)
    _write(ledger)
    with pytest.raises(GateBlocked, match="not judged yet by gx"):
        ledger.require_passed(["marts.kpi"])


@pytest.mark.parametrize("result", [FAIL, ERRORED])
def test_a_failed_or_errored_rule_blocks_and_says_what_to_do(
    ledger: Ledger, result: GateResult
) -> None:
    _write(ledger, result)
    with pytest.raises(GateBlocked, match=r"failed gx:rows .*retract the batch") as blocked:
        ledger.require_passed(["marts.kpi"])
    assert blocked.value.blocks[0].results == (result,)


def test_a_warning_does_not_block(ledger: Ledger) -> None:
    _write(ledger, PASS, WARN)
    ledger.require_passed(["marts.kpi"])


def test_a_good_version_after_a_bad_one_unblocks(ledger: Ledger) -> None:
    _write(ledger, FAIL)
    _write(ledger, PASS)
    ledger.require_passed(["marts.kpi"])


def test_a_gate_without_results_is_not_a_pass(ledger: Ledger) -> None:
    version = _write(ledger)
    with pytest.raises(ValueError, match="that is not a pass"):
        ledger.record("marts.kpi", version, "gx", [], "run")


def test_judging_again_replaces_what_the_gate_said(ledger: Ledger) -> None:
    version = _write(ledger, FAIL)
    ledger.record("marts.kpi", version, "gx", [PASS], "again")
    ledger.require_passed(["marts.kpi"])


def test_partitions_are_judged_apart(ledger: Ledger) -> None:
    good, bad = date(2026, 6, 30), date(2026, 5, 31)
    for day, result in ((good, PASS), (bad, FAIL)):
        version = ledger.begin_write("features.f", "run", ["gx"], as_of=day)
        ledger.end_write("features.f", version, 5)
        ledger.record("features.f", version, "gx", [result], "run")
    ledger.require_passed(["features.f"], as_of=good)
    with pytest.raises(GateBlocked):
        ledger.require_passed(["features.f"], as_of=bad)


def test_ledger_tables_come_out_as_arrow_even_when_empty(ledger: Ledger) -> None:
    assert ledger.arrow("gate_result").num_rows == 0
    _write(ledger, FAIL)
    assert ledger.arrow("gate_result")["failed_count"].to_pylist() == [1]
