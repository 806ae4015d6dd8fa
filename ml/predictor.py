"""A trained model as a folder of plain files, and the arithmetic of using it.

What belongs here: everything needed to go from features to probabilities and contributions, and
nothing else. A copy of this file travels inside every model that MLflow keeps, so that it can be
loaded where siyu is not installed: it imports NumPy and, for boosted trees, XGBoost only. What does
not: fitting (``ml.training``) or MLflow (``ml.registry``).

The folder holds ``model.json`` and, for boosted trees, ``booster.ubj``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FORMAT = 1
# Certainty is never claimed: one surprise would cost an infinite log-loss.
CLIP = 1e-4


# Under this many values a second thread costs more than it brings: a waiting thread spins, and on a
# machine that is busy with something else the first then waits for it, round after round.
_ONE_THREAD_VALUES = 5_000_000


class ModelFileError(Exception):
    """A model's folder cannot be read."""


class Scorer(Protocol):
    """Turns features into log-odds, and says what each feature added."""

    @property
    def features(self) -> tuple[str, ...]:
        """Columns the matrix must have, in order."""
        ...

    def log_odds(self, matrix: Floats) -> Floats:
        """Log-odds of each row."""
        ...

    def contributions(self, matrix: Floats) -> Floats:
        """What each feature adds to the log-odds, ``rows x features``; the bias left out."""
        ...


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from raw to calibrated probability.

    Attributes:
        kind: ``identity``, ``platt`` (line in log-odds) or ``isotonic`` (steps).
        x: Platt: slope and intercept. Isotonic: raw probabilities, rising.
        y: Isotonic: calibrated probability at each ``x``.
    """

    kind: Literal["identity", "platt", "isotonic"] = "identity"
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __call__(self, raw: Floats) -> Floats:
        """Calibrated probabilities."""
        if self.kind == "platt":
            slope, intercept = self.x
            return _sigmoid(slope * _logit(raw) + intercept)
        if self.kind == "isotonic":
            return np.clip(np.interp(raw, self.x, self.y), CLIP, 1 - CLIP)
        return raw


@dataclass(frozen=True)
class Predictor:
    """A scorer with its calibrator.

    Attributes:
        scorer: Where the log-odds come from.
        calibrator: Out-of-time calibration, or identity.
        about: What else the model remembers: task, horizon, descriptions of features.
    """

    scorer: Scorer
    calibrator: Calibrator = field(default_factory=Calibrator)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns the matrix must have, in order."""
        return self.scorer.features

    def raw(self, matrix: Floats) -> Floats:
        """Probability before calibration."""
        return np.clip(_sigmoid(self.scorer.log_odds(matrix)), CLIP, 1 - CLIP)

    def calibrated(self, matrix: Floats) -> Floats:
        """Probability after calibration."""
        return self.calibrator(self.raw(matrix))


@dataclass(frozen=True)
class BoosterScorer:
    """Boosted trees.

    Attributes:
        booster: An ``xgboost.Booster`` for ``binary:logistic``.
        features: Columns it was trained on, in order.
    """

    booster: Any
    features: tuple[str, ...]

    def log_odds(self, matrix: Floats) -> Floats:
        """Log-odds of each row."""
        return self._predict(matrix, output_margin=True)

    def contributions(self, matrix: Floats) -> Floats:
        """Shapley values of each feature (TreeSHAP, exact)."""
        return self._predict(matrix, pred_contribs=True)[:, :-1]

    def _predict(self, matrix: Floats, **how: bool) -> Floats:
        import xgboost

        count = threads(matrix)
        self.booster.set_param({"nthread": count})
        frame = xgboost.DMatrix(matrix, feature_names=list(self.features), nthread=count)
        return np.asarray(self.booster.predict(frame, **how), dtype=np.float64)


# Standard deviations from which on a term of the recency-frequency baseline says no more.
OUTLIER = 3.0

# The six terms of the recency-frequency baseline, each with the feature that it is credited to.
TERMS = (
    ("recency", 0),
    ("log recency", 0),
    ("log frequency", 1),
    ("log recency x log frequency", 1),
    ("log tenure", 2),
    ("recency / tenure", 2),
)


def recency_frequency_terms(matrix: Floats) -> Floats:
    """The six terms, from columns recency (days), frequency (orders), tenure (days)."""
    recency, frequency, tenure = np.maximum(matrix, 0).T
    log_recency, log_frequency = np.log1p(recency), np.log1p(frequency)
    return np.column_stack(
        [
            recency,
            log_recency,
            log_frequency,
            log_recency * log_frequency,
            np.log1p(tenure),
            recency / (tenure + 1),
        ]
    )


def standardised(terms: Floats, mean: Sequence[float], scale: Sequence[float]) -> Floats:
    """Terms in standard deviations from the mean, at most three.

    A wholesaler a hundred times the size of the average customer would else be all but certain. An
    unknown value says nothing: it counts as the average.
    """
    standard: Floats = np.nan_to_num((terms - np.array(mean)) / np.array(scale))
    return standard.clip(-OUTLIER, OUTLIER)


@dataclass(frozen=True)
class LogisticScorer:
    """The recency-frequency logistic regression.

    Attributes:
        features: Names of the recency, frequency and tenure columns, in that order.
        mean: Mean of each term in training.
        scale: Standard deviation of each term in training.
        weights: Weight of each standardised term.
        intercept: Log-odds of the average customer.
    """

    features: tuple[str, ...]
    mean: Sequence[float]
    scale: Sequence[float]
    weights: Sequence[float]
    intercept: float

    def log_odds(self, matrix: Floats) -> Floats:
        """Log-odds of each row."""
        sums: Floats = self._parts(matrix).sum(axis=1)
        return sums + self.intercept

    def contributions(self, matrix: Floats) -> Floats:
        """What each feature's terms add, against the average customer."""
        parts = self._parts(matrix)
        columns = [
            parts[:, [place for place, (_, owner) in enumerate(TERMS) if owner == feature]].sum(1)
            for feature in range(len(self.features))
        ]
        return np.column_stack(columns)

    def _parts(self, matrix: Floats) -> Floats:
        terms = recency_frequency_terms(matrix)
        parts: Floats = standardised(terms, self.mean, self.scale) * np.array(self.weights)
        return parts


def threads(matrix: Floats) -> int:
    """How many threads XGBoost should use for a matrix."""
    return 1 if matrix.size < _ONE_THREAD_VALUES else os.cpu_count() or 1


def save(predictor: Predictor, folder: Path) -> None:
    """Write the model's files into a folder that exists."""
    said: dict[str, Any] = {
        "format": FORMAT,
        "features": list(predictor.features),
        "calibrator": {
            "kind": predictor.calibrator.kind,
            "x": list(predictor.calibrator.x),
            "y": list(predictor.calibrator.y),
        },
        "about": dict(predictor.about),
    }
    scorer = predictor.scorer
    if isinstance(scorer, BoosterScorer):
        said["kind"] = "xgboost"
        scorer.booster.save_model(str(folder / "booster.ubj"))
    elif isinstance(scorer, LogisticScorer):
        said["kind"] = "logistic"
        said["logistic"] = {
            "mean": list(scorer.mean),
            "scale": list(scorer.scale),
            "weights": list(scorer.weights),
            "intercept": scorer.intercept,
        }
    else:
        raise TypeError(f"{type(scorer).__name__} cannot be saved")
    (folder / "model.json").write_text(json.dumps(said, indent=1, ensure_ascii=False), "utf-8")


def load(folder: Path) -> Predictor:
    """Read a model that ``save`` wrote.

    Raises:
        ModelFileError: the folder holds no model of this format.
    """
    file = folder / "model.json"
    if not file.is_file():
        raise ModelFileError(f"{file}: no such file")
    said = json.loads(file.read_text("utf-8"))
    if said["format"] != FORMAT:
        raise ModelFileError(f"{file}: format {said['format']}, this version reads {FORMAT}")
    features = tuple(said["features"])
    scorer: Scorer
    if said["kind"] == "xgboost":
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(str(folder / "booster.ubj"))
        scorer = BoosterScorer(booster, features)
    else:
        scorer = LogisticScorer(features=features, **said["logistic"])
    return Predictor(scorer, _calibrator(said["calibrator"]), said["about"])


def _calibrator(said: Mapping[str, Any]) -> Calibrator:
    return Calibrator(said["kind"], tuple(said["x"]), tuple(said["y"]))


def _sigmoid(log_odds: Floats) -> Floats:
    odds: Floats = 1 / (1 + np.exp(-log_odds))
    return odds


def _logit(probability: Floats) -> Floats:
    log_odds: Floats = np.log(probability / (1 - probability))
    return log_odds
