"""Which as-of days a model is trained, validated and tested on.

What belongs here: the calendar of cuts, as pure arithmetic on days. What does not: reading the
features of those days (``ml.dataset``) or fitting anything (``ml.training``).

A cut is an as-of day: features know what was known at its end, the label looks at the ``horizon``
days that begin ``lead`` days later. A label is mature ``lead + horizon`` days after its cut. Two
cuts are *embargoed* when the earlier one's label is mature by the later one, so that no purchase is
a label of the one and could be history of the other.

Training and validation cuts lie on a grid counted from the first day of history, not from
``as_of``: a weekly training then reuses the feature partitions of the last one, and two tasks of
one retailer share theirs. Only the test cut moves with ``as_of``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from siyu.retailer import ModelSettings

MAX_CUTS = 12
MAX_VALIDATION_CUTS = 3
MAX_GAP_CUTS = 3
# With little history behind it, a cut says more about the first day of the data than of customers.
# A cut has at least so many days, or the horizon where that is less, and at least two steps.
MIN_HISTORY_DAYS = 60
MIN_HISTORY_STEPS = 2


class HistoryTooShort(Exception):
    """There are not enough days for a training, a validation and a test cut under the embargo."""


@dataclass(frozen=True)
class SnapshotPlan:
    """The cuts of one training, each list in rising order.

    Attributes:
        train: Cuts that the number of trees is found on; embargoed from ``validation``.
        gap: Cuts that the embargo keeps out of ``train``; used only in the final refit.
        validation: Cuts for early stopping and calibration; embargoed from ``test``.
        test: The newest cut whose labels are mature; seen by nothing but the evaluation.
    """

    train: tuple[date, ...]
    gap: tuple[date, ...]
    validation: tuple[date, ...]
    test: date

    @property
    def fit(self) -> tuple[date, ...]:
        """Cuts of the final refit: everything embargoed from the test cut."""
        return self.train + self.gap + self.validation

    @property
    def dates(self) -> tuple[date, ...]:
        """Every day that features and labels are needed for."""
        return (*self.fit, self.test)


def label_days(settings: ModelSettings) -> int:
    """Days from a cut until its label is mature."""
    return settings.lead_days + settings.horizon_days


def snapshot_dates(settings: ModelSettings, as_of: date, history_from: date) -> SnapshotPlan:
    """Lay the cuts of a training out.

    The test cut is the newest mature one. Of the grid's days embargoed from it the last validate,
    as many as ``MAX_VALIDATION_CUTS`` while training keeps at least as many. ``MAX_CUTS`` bounds
    the whole, the oldest going first.

    Args:
        settings: The task's horizon, lead and distance between cuts.
        as_of: Last complete local day.
        history_from: First local day of the retailer's data.

    Raises:
        HistoryTooShort: saying from which day on there is enough.
    """
    matures = timedelta(days=label_days(settings))
    test = as_of - matures
    grid = _grid(settings, history_from, until=test - matures)
    for count in range(min(MAX_VALIDATION_CUTS, len(grid)), 0, -1):
        validation = grid[-count:]
        train = tuple(cut for cut in grid if cut + matures <= validation[0])
        if len(train) >= count:
            gap = grid[len(train) : -count][-MAX_GAP_CUTS:]
            return SnapshotPlan(train[count + len(gap) - MAX_CUTS :], gap, validation, test)
    enough = _enough_from(settings, history_from)
    raise HistoryTooShort(
        f"history from {history_from} to {as_of} is too short for a horizon of "
        f"{settings.horizon_days} days (lead {settings.lead_days}): training, validation and test "
        f"cuts must each be {matures.days} days apart, which is possible from {enough} on; wait "
        f"until then or set a shorter horizon_days in retailer.yaml"
    )


def _grid(settings: ModelSettings, history_from: date, until: date) -> tuple[date, ...]:
    """Days of the grid up to ``until``: the last day of every step of history."""
    step = settings.snapshot_every_days
    steps = ((until - history_from).days + 1) // step
    return tuple(
        history_from + timedelta(days=step * number - 1)
        for number in range(_first_step(settings), steps + 1)
    )


def _first_step(settings: ModelSettings) -> int:
    """Number of the first step with enough history behind its last day."""
    days = min(MIN_HISTORY_DAYS, settings.horizon_days)
    return max(MIN_HISTORY_STEPS, -(-days // settings.snapshot_every_days))


def _enough_from(settings: ModelSettings, history_from: date) -> date:
    """The first ``as_of`` for which there is one training and one validation cut."""
    step = settings.snapshot_every_days
    first = history_from + timedelta(days=step * _first_step(settings) - 1)
    steps_between = -(-label_days(settings) // step)
    return first + timedelta(days=step * steps_between + 2 * label_days(settings))
