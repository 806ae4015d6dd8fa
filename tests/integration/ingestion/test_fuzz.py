"""Fifty spoilt files: each lands in full or is refused by name, and nothing crashes or hangs."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fuzz
from siyu.paths import Paths
from siyu.quality import quarantine
from siyu.retailer import load_retailer

# The case of seed 1 that cuts lines of the stores: it lands, with records in quarantine.
CUT_LINES = 2


@pytest.fixture(scope="module", autouse=True)
def _simulated_only() -> Any:
    """The simulated retailer's files only, so that the draws are the same everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SIYU_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def outcomes() -> list[fuzz.Outcome]:
    return fuzz.run(files=50, seed=1)


def test_every_spoilt_file_has_a_right_outcome(outcomes: list[fuzz.Outcome]) -> None:
    assert len(outcomes) == 50
    assert [(one.case, one.said, one.faults) for one in outcomes if one.faults] == []


def test_some_land_with_rows_in_quarantine_and_some_are_refused(
    outcomes: list[fuzz.Outcome],
) -> None:
    assert min(Counter(one.outcome for one in outcomes).values()) >= 5
    assert any(one.rules for one in outcomes)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [({"file": "another.csv"}, "said to be of another.csv"), ({"rules": []}, "name no rule")],
)
def test_a_row_in_quarantine_without_its_file_or_a_rule_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str
) -> None:
    corpus = fuzz.Corpus.make(tmp_path / "whole")
    right = fuzz.land_case(corpus, tmp_path / "right", seed=1, case=CUT_LINES)
    assert right.rules
    assert right.faults == []
    opened = fuzz.open_quarantine
    monkeypatch.setattr(
        fuzz, "open_quarantine", lambda *of: [{**row, **changed} for row in opened(*of)]
    )
    (found,) = fuzz.land_case(corpus, tmp_path / "wrong", seed=1, case=CUT_LINES).faults
    assert fault in found


def test_what_is_kept_can_be_looked_at_in_one_home(tmp_path: Path) -> None:
    settings = fuzz.keep(tmp_path, files=8)
    found = quarantine(Paths.of(settings), load_retailer(settings))
    assert len(set(found["source"].to_pylist())) > 1
