"""Fifty spoilt files: each lands in full or is refused by name, and nothing crashes or hangs."""

from collections import Counter

import pytest

from benchmarks import fuzz


@pytest.fixture(scope="module")
def outcomes() -> list[fuzz.Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        # The simulated retailer's files only, so that the draws are the same everywhere.
        patch.delenv("SIYU_DATA", raising=False)
        return fuzz.run(files=50, seed=1)


def test_every_spoilt_file_has_a_right_outcome(outcomes: list[fuzz.Outcome]) -> None:
    assert len(outcomes) == 50
    assert [(one.case, one.said, one.faults) for one in outcomes if one.faults] == []


def test_some_land_with_rows_in_quarantine_and_some_are_refused(
    outcomes: list[fuzz.Outcome],
) -> None:
    assert min(Counter(one.outcome for one in outcomes).values()) >= 5
    assert any(one.rules for one in outcomes)
