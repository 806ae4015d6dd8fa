"""The ledger: a table blocks from its first written row until every gate has passed."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
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


# --- tables kept by as-of day ------------------------------------------------------------------


def _write_day(ledger: Ledger, day: date, *results: GateResult, table: str = "features.f") -> str:
    version = ledger.begin_write(table, "run", ["gx"], as_of=day, by_day=True)
    ledger.end_write(table, version, 5)
    if results:
        ledger.record(table, version, "gx", results, "run")
    return version


MONDAY, TUESDAY = date(2026, 6, 29), date(2026, 6, 30)


def test_days_are_judged_apart(ledger: Ledger) -> None:
    _write_day(ledger, MONDAY, FAIL)
    _write_day(ledger, TUESDAY, PASS)
    ledger.require_passed(["features.f"], as_of=TUESDAY)
    with pytest.raises(GateBlocked):
        ledger.require_passed(["features.f"], as_of=MONDAY)


def test_a_bad_day_blocks_who_reads_all_of_them_though_a_later_day_passed(ledger: Ledger) -> None:
    _write_day(ledger, MONDAY, FAIL)
    _write_day(ledger, TUESDAY, PASS)
    (block,) = ledger.blocks(["features.f"])
    assert (block.place, block.reason) == ("features.f as of 2026-06-29", "failed gx:rows")
    assert "backfill that day alone (run the score job as of it)" in block.remedy
    assert ledger.amiss(["features.f"]) == [("features.f", "gx:rows failed")]


def test_a_day_whose_write_did_not_end_blocks_though_a_later_day_passed(ledger: Ledger) -> None:
    ledger.begin_write("features.f", "killed", ["gx"], as_of=MONDAY, by_day=True)
    _write_day(ledger, TUESDAY, PASS)
    (block,) = ledger.blocks(["features.f"])
    assert (block.day, block.reason) == (MONDAY, "its last write did not end")
    assert "backfill that day" in block.remedy


def test_every_bad_day_is_named(ledger: Ledger) -> None:
    _write_day(ledger, TUESDAY, FAIL)
    _write_day(ledger, MONDAY)
    assert [(block.day, block.reason) for block in ledger.blocks(["features.f"])] == [
        (MONDAY, "not judged yet by gx"), (TUESDAY, "failed gx:rows"),
    ]  # fmt: skip


def test_days_that_block_for_the_same_reason_are_said_in_one_breath(ledger: Ledger) -> None:
    for day in (MONDAY, TUESDAY):
        _write_day(ledger, day, FAIL)
    with pytest.raises(GateBlocked) as blocked:
        ledger.require_passed(["features.f"])
    said = str(blocked.value)
    assert said.startswith("features.f as of 2026-06-29, features.f as of 2026-06-30: failed gx:")
    assert said.count("retract the batch") == 1


def test_a_bad_day_that_is_written_again_blocks_no_more(ledger: Ledger) -> None:
    _write_day(ledger, MONDAY, FAIL)
    _write_day(ledger, TUESDAY, PASS)
    _write_day(ledger, MONDAY, PASS)
    ledger.require_passed(["features.f"])


def test_the_day_of_a_table_that_is_one_takes_the_place_of_every_earlier_one(
    ledger: Ledger,
) -> None:
    for day, result in ((MONDAY, FAIL), (TUESDAY, PASS)):
        version = ledger.begin_write("marts.kpi", "run", ["gx"], as_of=day)
        ledger.end_write("marts.kpi", version, 5)
        ledger.record("marts.kpi", version, "gx", [result], "run")
    ledger.require_passed(["marts.kpi"])
    assert ledger.effects() == {"passed": 1}


def test_a_rule_counts_once_and_as_it_went_on_its_worst_day(ledger: Ledger) -> None:
    _write(ledger, PASS, WARN)
    for day, result in ((MONDAY, FAIL), (TUESDAY, PASS)):
        _write_day(ledger, day, result)
        _write_day(ledger, day, PASS, table="ml.s")
    assert ledger.effects() == {"passed": 2, "warns": 1, "blocks": 1}


def test_ledger_tables_come_out_as_arrow_even_when_empty(ledger: Ledger) -> None:
    assert ledger.arrow("gate_result").num_rows == 0
    _write(ledger, FAIL)
    assert ledger.arrow("gate_result")["failed_count"].to_pylist() == [1]


def test_a_ledger_that_was_put_in_place_of_another_is_the_one_that_is_asked(
    ledger: Ledger, tmp_path: Path
) -> None:
    _write(ledger, PASS)
    restored = Ledger(tmp_path / "backup" / "ops.sqlite3")
    _write(restored, FAIL)
    restored.close()
    file = tmp_path / "r" / "ops.sqlite3"
    for left in file.parent.glob("ops.sqlite3-*"):
        left.unlink()
    (tmp_path / "backup" / "ops.sqlite3").replace(file)
    assert ledger.blocks(["marts.kpi"])
    file.unlink()
    with pytest.raises(GateBlocked, match="never written"):
        ledger.require_passed(["marts.kpi"])


def test_what_one_thread_or_process_writes_another_reads(ledger: Ledger, tmp_path: Path) -> None:
    _write(ledger, PASS)
    other = Ledger(tmp_path / "r" / "ops.sqlite3")
    assert other.blocks(["marts.kpi"]) == []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_write, ledger, FAIL).result()
    assert ledger.blocks(["marts.kpi"])
    assert other.blocks(["marts.kpi"])


def test_a_question_that_breaks_leaves_nothing_behind(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.OperationalError):
        ledger.rows("SELECT no_such_column FROM table_version")
    _write(ledger, PASS)
    ledger.require_passed(["marts.kpi"])
