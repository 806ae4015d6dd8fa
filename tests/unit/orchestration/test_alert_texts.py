"""What an alert says of a run: the rules that were broken, what stops, what to do, and nobody's phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from siyu.alerts import Alert, run_alert
from siyu.ops import GateResult, Ledger, Severity

RUN = "3f2a"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ops.sqlite3")
    made.begin_run(RUN, "land")
    return made


def _judge(
    ledger: Ledger, table: str, *rules: str, severity: Severity = "ERROR", run: str = RUN
) -> None:
    version = ledger.begin_write(table, run, ["gx"])
    ledger.end_write(table, version, 10)
    ledger.record(
        table,
        version,
        "gx",
        [
            GateResult("gx", rule, severity, "failed", "seen 13800138000", 3, example_keys=("k1",))
            for rule in rules
        ]
        or [GateResult("gx", "fine", "ERROR", "passed", "fine")],
        run,
    )


def _alert(ledger: Ledger, *, succeeded: bool, recovered: bool = False) -> Alert | None:
    return run_alert(ledger, "shop", "land", RUN, succeeded=succeeded, recovered=recovered)


def test_a_run_in_which_all_is_well_is_not_worth_an_alert(ledger: Ledger) -> None:
    _judge(ledger, "lake.orders")
    assert _alert(ledger, succeeded=True) is None


def test_a_failed_gate_is_one_alert_with_every_failed_rule(ledger: Ledger) -> None:
    _judge(ledger, "lake.orders", "key_filled", "total_min")
    _judge(ledger, "lake.members", "phone_token_is_token")
    ledger.end_run(RUN, "failed", "lake/orders: stopped")
    alert = _alert(ledger, succeeded=False)
    assert alert is not None
    assert alert.severity == "ERROR"
    assert alert.what == "land failed: lake/orders: stopped"
    assert [(rule.table, rule.rule, rule.rows) for rule in alert.failed_rules] == [
        ("lake.members", "gx:phone_token_is_token", 3),
        ("lake.orders", "gx:key_filled", 3),
        ("lake.orders", "gx:total_min", 3),
    ]
    assert "mend the source or retract the batch" in alert.what_to_do
    assert "siyu status" in alert.what_to_do


def test_a_verdict_of_an_earlier_run_that_still_stops_is_named(ledger: Ledger) -> None:
    _judge(ledger, "lake.orders", "key_filled", run="earlier")
    ledger.end_run(RUN, "failed", "blocked")
    alert = _alert(ledger, succeeded=False)
    assert alert is not None
    assert [rule.table for rule in alert.failed_rules] == ["lake.orders"]


def test_a_warning_is_an_alert_of_its_own_kind(ledger: Ledger) -> None:
    _judge(ledger, "unified.fct_order", "coverage", severity="WARN")
    alert = _alert(ledger, succeeded=True)
    assert alert is not None
    assert alert.severity == "WARN"
    assert "nothing is stopped" in alert.what_to_do


def test_what_warned_in_an_earlier_run_is_not_said_again(ledger: Ledger) -> None:
    _judge(ledger, "unified.fct_order", "coverage", severity="WARN", run="earlier")
    assert _alert(ledger, succeeded=True) is None


def test_success_after_a_failure_is_said(ledger: Ledger) -> None:
    alert = _alert(ledger, succeeded=True, recovered=True)
    assert alert is not None
    assert (alert.severity, alert.what) == ("INFO", "land succeeds again")


def test_a_killed_run_is_called_so(ledger: Ledger) -> None:
    ledger.end_run(RUN, "killed")
    alert = _alert(ledger, succeeded=False)
    assert alert is not None
    assert alert.what == "land was killed"


def test_a_run_that_never_began_is_called_so(tmp_path: Path) -> None:
    alert = _alert(Ledger(tmp_path / "other.sqlite3"), succeeded=False)
    assert alert is not None
    assert alert.what == "land failed before its first step"


def test_many_failed_rules_are_counted_not_listed(ledger: Ledger) -> None:
    _judge(ledger, "lake.orders", *(f"rule_{number:02}" for number in range(25)))
    alert = _alert(ledger, succeeded=False)
    assert alert is not None
    assert len(alert.failed_rules) == 20
    assert alert.omitted_rules == 5
    assert "5 more" in alert.text


@pytest.mark.parametrize("personal", ["13800138000", "+86 138 0013 8000", "li.lei@example.com"])
def test_neither_messages_of_rules_nor_personal_data_leave_the_machine(
    ledger: Ledger, personal: str
) -> None:
    _judge(ledger, "lake.orders", "key_filled")
    ledger.end_run(RUN, "failed", f"lake/orders: {personal} is odd on 2026-06-30")
    alert = _alert(ledger, succeeded=False)
    assert alert is not None
    for said in (alert.text, repr(alert)):
        assert personal not in said
        assert "seen" not in said
        assert "k1" not in said
    assert "2026-06-30" in alert.text
