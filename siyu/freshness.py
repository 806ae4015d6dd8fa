"""How old the data is, judged by the last day each input is complete for, not by when it landed.

What belongs here: comparing ages with what retailer.yaml allows. What does not: finding out how far
an input is complete (``siyu.lake``), or stopping what reads it (``siyu.ops``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from siyu.ops import GateResult
from siyu.retailer import Freshness, Retailer

GATE = "freshness"


def judged_inputs(retailer: Retailer, inputs: Iterable[str]) -> tuple[str, ...]:
    """Those of some inputs that retailer.yaml sets an age for."""
    return tuple(name for name in inputs if retailer.inputs[name].freshness is not None)


def judge_freshness(
    retailer: Retailer, inputs: Iterable[str], through: Mapping[str, date], today: date
) -> list[GateResult]:
    """What is to be said of the age of each judged input.

    Args:
        retailer: Sets the ages.
        inputs: Inputs to judge; those without an age are left out.
        through: Last local day each input is complete for.
        today: The retailer's local day.
    """
    found = []
    for name in judged_inputs(retailer, inputs):
        allowed = retailer.inputs[name].freshness
        if allowed is not None:
            found.append(_judged(name, allowed, through.get(name), today))
    return found


def _judged(name: str, allowed: Freshness, through: date | None, today: date) -> GateResult:
    limits = " and ".join(
        f"{verb} above {days} days"
        for verb, days in (("warns", allowed.warn_days), ("stops", allowed.fail_days))
        if days is not None
    )
    if through is None:
        return GateResult(
            GATE, name, "WARN" if allowed.fail_days is None else "ERROR", "failed",
            f"{name}: nothing that dates it has landed ({limits}); see whether its source delivers",
        )  # fmt: skip
    age = max((today - timedelta(days=1) - through).days, 0)
    late = allowed.fail_days is not None and age > allowed.fail_days
    old = allowed.warn_days is not None and age > allowed.warn_days
    advice = "; see whether its source delivers" if late or old else ""
    return GateResult(
        GATE,
        name,
        "ERROR" if late or allowed.warn_days is None else "WARN",
        "failed" if late or old else "passed",
        f"{name}: complete through {through}, {age} days old ({limits}){advice}",
        observed=str(age),
    )
