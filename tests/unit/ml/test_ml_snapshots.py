from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.snapshots import MAX_CUTS, HistoryTooShort, SnapshotPlan, label_days, snapshot_dates
from siyu.retailer import ModelSettings

tasks = st.builds(
    ModelSettings,
    horizon_days=st.integers(1, 180),
    lead_days=st.integers(0, 21),
    snapshot_every_days=st.integers(1, 60),
)


def test_uci_horizon_of_90_days_tests_at_the_newest_mature_cut() -> None:
    plan = snapshot_dates(ModelSettings(horizon_days=90), date(2011, 12, 8), date(2010, 12, 1))
    assert plan == SnapshotPlan(
        train=(date(2011, 1, 29), date(2011, 2, 28)),
        gap=(date(2011, 3, 30), date(2011, 4, 29)),
        validation=(date(2011, 5, 29),),
        test=date(2011, 9, 9),
    )


def test_complete_journey_horizon_of_30_days_has_three_validation_cuts() -> None:
    plan = snapshot_dates(ModelSettings(horizon_days=30), date(2017, 12, 31), date(2017, 1, 1))
    assert plan.test == date(2017, 12, 1)
    assert len(plan.validation) == 3
    assert len(plan.train) >= 3


@given(tasks, st.integers(0, 1500))
def test_every_label_is_mature_before_a_later_part_begins(task: ModelSettings, days: int) -> None:
    start = date(2020, 1, 1)
    as_of = start + timedelta(days=days)
    try:
        plan = snapshot_dates(task, as_of, start)
    except HistoryTooShort:
        return
    matures = timedelta(days=label_days(task))
    assert plan.test + matures == as_of
    assert all(cut + matures <= plan.test for cut in plan.fit)
    assert all(cut + matures <= plan.validation[0] for cut in plan.train)
    assert plan.train
    assert plan.validation
    assert list(plan.dates) == sorted(set(plan.dates))
    assert len(plan.fit) <= MAX_CUTS
    assert plan.train[0] >= start


@given(tasks)
def test_the_error_names_the_first_day_that_is_enough(task: ModelSettings) -> None:
    start = date(2020, 1, 1)
    with pytest.raises(HistoryTooShort) as error:
        snapshot_dates(task, start, start)
    enough = date.fromisoformat(str(error.value).split("possible from ")[1][:10])
    assert snapshot_dates(task, enough, start).train
    with pytest.raises(HistoryTooShort):
        snapshot_dates(task, enough - timedelta(days=1), start)


def test_training_and_validation_cuts_stay_when_as_of_moves_within_a_step() -> None:
    task = ModelSettings(horizon_days=30)
    start = date(2024, 1, 1)
    first = snapshot_dates(task, date(2025, 6, 1), start)
    later = snapshot_dates(task, date(2025, 6, 8), start)
    assert first.fit == later.fit
    assert first.test != later.test
