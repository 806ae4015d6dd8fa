"""Data is as old as the last day its input is complete for, whenever it landed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from siyu.freshness import judge_freshness, judged_inputs
from siyu.ops import GateResult
from siyu.retailer import Freshness, Retailer

TODAY = date(2026, 7, 1)


def _retailer(**freshness: Any) -> Retailer:
    tills = {"format": "csv", "location": "/tills/*.csv", "freshness": freshness or None}
    return Retailer.model_validate(
        {
            "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
            "currency": "CNY", "history_from": "2026-01-01", "identifiers": {}, "models": {},
            "inputs": {"tills": tills, "staff": {"format": "csv", "location": "/staff.csv"}},
            "folder": Path("/shop"),
        }
    )  # fmt: skip


def _judge(through: date | None, **freshness: Any) -> GateResult:
    known = {} if through is None else {"tills": through}
    (result,) = judge_freshness(_retailer(**freshness), ["tills", "staff"], known, TODAY)
    return result


@pytest.mark.parametrize(
    ("through", "outcome", "severity", "age"),
    [
        (date(2026, 6, 30), "passed", "WARN", "0"),
        (date(2026, 6, 28), "passed", "WARN", "2"),
        (date(2026, 6, 27), "failed", "WARN", "3"),
        (date(2026, 6, 23), "failed", "WARN", "7"),
        (date(2026, 6, 22), "failed", "ERROR", "8"),
        (date(2026, 7, 5), "passed", "WARN", "0"),
    ],
)
def test_old_data_warns_and_then_stops(
    through: date, outcome: str, severity: str, age: str
) -> None:
    found = _judge(through, warn_days=2, fail_days=7)
    assert (found.outcome, found.severity, found.observed) == (outcome, severity, age)
    assert found.blocks is (severity == "ERROR")


def test_an_input_that_only_warns_never_stops() -> None:
    assert not _judge(date(2026, 1, 1), warn_days=2).blocks


def test_an_input_without_a_date_is_as_old_as_can_be() -> None:
    assert _judge(None, warn_days=2, fail_days=7).blocks
    found = _judge(None, warn_days=2)
    assert found.outcome == "failed"
    assert not found.blocks
    assert "nothing that dates it has landed" in found.message


def test_the_message_says_how_old_and_what_is_allowed() -> None:
    said = _judge(date(2026, 6, 20), warn_days=2, fail_days=7).message
    assert said == (
        "tills: complete through 2026-06-20, 10 days old (warns above 2 days and stops above "
        "7 days); see whether its source delivers"
    )


def test_an_input_without_an_age_is_not_judged() -> None:
    assert judged_inputs(_retailer(), ["tills", "staff"]) == ()
    assert judge_freshness(_retailer(), ["tills", "staff"], {}, TODAY) == []


@pytest.mark.parametrize("said", [{}, {"warn_days": 3, "fail_days": 2}, {"warn_days": -1}])
def test_ages_that_make_no_sense_are_refused(said: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Freshness.model_validate(said)
