"""Fitting boosted trees on rolling snapshots.

What belongs here: hyper-parameters, early stopping, the final refit and the choice of a calibrator.
What does not: which cuts are used (``ml.snapshots``), judging the result (``ml.evaluation``) or
keeping it (``ml.registry``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from ml.dataset import Dataset, Floats
from ml.evaluation import row_log_loss
from ml.predictor import CLIP, BoosterScorer, Calibrator, Predictor, threads
from ml.snapshots import SnapshotPlan

# Shallow and strongly regularised: snapshots of one customer repeat each other, and deep trees
# learn customers by heart.
PARAMETERS: Mapping[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": "logloss",
    "tree_method": "hist",
    "max_depth": 3,
    "min_child_weight": 20,
    "eta": 0.05,
    "subsample": 0.7,
    "colsample_bynode": 0.5,
    "reg_lambda": 5.0,
    "seed": 20260101,
}
MAX_ROUNDS = 600
PATIENCE = 40

# Rows of the rarer class under which trees have nothing to split on that is not chance.
MIN_RARER_ROWS = 200


@dataclass(frozen=True)
class Fitted:
    """Boosted trees with how they came about.

    Attributes:
        predictor: The refitted trees with their calibrator.
        rounds: Number of trees, found by early stopping.
        validation_log_loss: Log-loss on the validation cuts before the refit.
        calibration_reason: Why its calibrator was chosen.
    """

    predictor: Predictor
    rounds: int
    validation_log_loss: float
    calibration_reason: str


def too_small(train: Dataset) -> str | None:
    """Why there is too little data for trees, or None when there is enough."""
    rarer = int(min(train.label.sum(), len(train) - train.label.sum()))
    if rarer >= MIN_RARER_ROWS:
        return None
    return f"the rarer outcome has {rarer} rows in the training cuts, fewer than {MIN_RARER_ROWS}"


def fit_boosted(dataset: Dataset, plan: SnapshotPlan, matures: timedelta) -> Fitted:
    """Find the number of trees out of time, then fit them on every cut before the test cut.

    The base score is the rate in training and no class is weighted, so that probabilities are
    natural. The calibrator is chosen on predictions made before the refit, when the validation
    cuts were still unseen.

    Args:
        dataset: Rows of all cuts of the plan.
        plan: The cuts.
        matures: Time from a cut until its label is mature.
    """
    train, validation = dataset.at(plan.train), dataset.at(plan.validation)
    stopped, rounds, loss = _fit_until_stopped(train, validation)
    calibrator, why = choose_calibrator(
        validation, Predictor(BoosterScorer(stopped, dataset.features)), matures
    )
    booster = _fit(dataset.at(plan.fit), rounds)
    predictor = Predictor(BoosterScorer(booster, dataset.features), calibrator)
    return Fitted(predictor, rounds, loss, why)


def choose_calibrator(
    validation: Dataset, predictor: Predictor, matures: timedelta
) -> tuple[Calibrator, str]:
    """The calibrator that beats identity on a later cut than it was fitted on, else identity.

    It must win by more than one standard error of the log-loss; the winner is fitted again on all
    validation cuts.

    Args:
        validation: Rows the predictor has not seen.
        predictor: Uncalibrated.
        matures: Time from a cut until its label is mature; labels of the cuts that fit must be
            mature by the cut that judges.

    Returns:
        The calibrator, and one sentence that says why.
    """
    last = validation.as_of.max()
    earlier = validation.where(validation.as_of + np.timedelta64(matures.days, "D") <= last)
    if not len(earlier) or not 0 < earlier.label.mean() < 1:
        return Calibrator(), "no earlier validation cut to fit a calibrator on"
    later = validation.where(validation.as_of == last)
    raw_earlier, raw_later = predictor.raw(earlier.matrix), predictor.raw(later.matrix)
    identity = row_log_loss(later.label, raw_later)
    gains = {}
    for fit in (fit_platt, fit_isotonic):
        fitted = fit(raw_earlier, earlier.label)
        gain = identity - row_log_loss(later.label, fitted(raw_later))
        error = gain.std() / np.sqrt(len(gain))
        gains[fitted.kind] = (float(gain.mean()), float(gain.mean()) > float(error))
    said = ", ".join(f"{kind} {gain:+.4f}" for kind, (gain, _) in gains.items())
    kind = max(gains, key=lambda name: gains[name][0])
    if not gains[kind][1]:
        return Calibrator(), f"none gains more than a standard error out of time ({said})"
    refit = fit_platt if kind == "platt" else fit_isotonic
    return (
        refit(predictor.raw(validation.matrix), validation.label),
        f"{kind} gains log-loss out of time ({said})",
    )


def fit_platt(raw: Floats, label: Floats) -> Calibrator:
    """A line in log-odds."""
    from sklearn.linear_model import LogisticRegression

    log_odds = np.log(raw / (1 - raw))
    line = LogisticRegression(C=np.inf).fit(log_odds[:, None], label)
    return Calibrator("platt", (float(line.coef_[0, 0]), float(line.intercept_[0])))


def fit_isotonic(raw: Floats, label: Floats) -> Calibrator:
    """Rising steps."""
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression(y_min=CLIP, y_max=1 - CLIP, out_of_bounds="clip").fit(raw, label)
    return Calibrator(
        "isotonic", tuple(steps.X_thresholds_.tolist()), tuple(steps.y_thresholds_.tolist())
    )


def _fit_until_stopped(train: Dataset, validation: Dataset) -> tuple[Any, int, float]:
    """Booster, number of trees and validation log-loss at the best round."""
    import xgboost

    rows = _matrix(train)
    booster = xgboost.train(
        _parameters(train),
        rows,
        num_boost_round=MAX_ROUNDS,
        evals=[(_matrix(validation, like=rows), "validation")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    rounds = booster.best_iteration + 1
    return booster[:rounds], rounds, float(booster.best_score)


def _fit(train: Dataset, rounds: int) -> Any:
    import xgboost

    return xgboost.train(_parameters(train), _matrix(train), num_boost_round=rounds)


def _parameters(train: Dataset) -> dict[str, Any]:
    return {
        **PARAMETERS,
        "base_score": float(train.label.mean()),
        "nthread": threads(train.matrix),
    }


def _matrix(rows: Dataset, like: Any = None) -> Any:
    import xgboost

    return xgboost.QuantileDMatrix(
        rows.matrix,
        rows.label,
        feature_names=list(rows.features),
        ref=like,
        nthread=threads(rows.matrix),
    )
