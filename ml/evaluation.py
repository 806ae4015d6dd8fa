"""How good predicted probabilities are.

What belongs here: metrics, slices and paired bootstrap intervals, over arrays. What does not: which
rows are predicted (``ml.dataset``), or what follows from a metric (``ml.promotion``). Every model is
judged by the same names, so that runs line up beside one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ECE_BINS = 10
LIFT_SHARES = (5, 10, 20)
_BOOTSTRAP_WORK = 20_000_000
_EPSILON = 1e-15


@dataclass(frozen=True)
class Difference:
    """How much one model differs from another on the same rows, candidate minus reference.

    Attributes:
        metric: ``log_loss`` (negative is better) or ``auc`` (positive is better).
        mean: The difference on the rows as they are.
        low: Lower end of the 95 % bootstrap interval.
        high: Upper end.
    """

    metric: Literal["log_loss", "auc"]
    mean: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether the candidate is better and the interval leaves zero out."""
        return self.high < 0 if self.metric == "log_loss" else self.low > 0

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def rank_metrics(label: Floats, score: Floats) -> dict[str, float]:
    """Metrics that need only an order: ``auc``, ``pr_auc``, ``lift_at_*``; and what is judged.

    Args:
        label: 1.0 or 0.0.
        score: Anything that rises with the chance of 1.0.

    Returns:
        Values by name; ``rows`` and ``base_rate`` alone where only one class is present.
    """
    from sklearn.metrics import average_precision_score

    judged = {"rows": float(len(label)), "base_rate": float(label.mean())}
    if not 0 < judged["base_rate"] < 1:
        return judged
    # The AUC goes first: MLflow opens a comparison with the first metric.
    return {
        "auc": auc(label, score),
        "pr_auc": float(average_precision_score(label, score)),
        **{f"lift_at_{share}": lift(label, score, share / 100) for share in LIFT_SHARES},
        **judged,
    }


def probability_metrics(label: Floats, probability: Floats) -> dict[str, float]:
    """All metrics of predicted probabilities, ``rank_metrics`` among them; none is NaN."""
    line = dict(
        zip(
            ("calibration_slope", "calibration_intercept"),
            calibration_line(label, probability),
            strict=True,
        )
    )
    return {
        **rank_metrics(label, probability),
        "log_loss": float(row_log_loss(label, probability).mean()),
        "brier": float(np.mean((probability - label) ** 2)),
        "ece": expected_calibration_error(label, probability),
        "mean_p": float(probability.mean()),
        **{name: value for name, value in line.items() if np.isfinite(value)},
    }


def sliced(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    """The same metrics under the name of a slice."""
    return {f"{name}_{metric}": value for metric, value in metrics.items()}


def auc(label: Floats, score: Floats) -> float:
    """Area under the ROC curve, ties counting half."""
    return float(_WeightedAuc(label, score)(np.ones(len(label))))


def lift(label: Floats, score: Floats, share: float) -> float:
    """Rate of 1.0 in the top share of the ranking, over the rate in all.

    Rows that tie at the edge count by the tie's own rate, so that their order does not matter.
    """
    top = max(1, round(share * len(label)))
    edge = np.partition(score, len(score) - top)[len(score) - top]
    above, tied = score > edge, score == edge
    hits = label[above].sum() + (top - above.sum()) * label[tied].mean()
    return float(hits / top / label.mean())


def row_log_loss(label: Floats, probability: Floats) -> Floats:
    """Log-loss of each row."""
    p = np.clip(probability, _EPSILON, 1 - _EPSILON)
    loss: Floats = -np.where(label == 1, np.log(p), np.log1p(-p))
    return loss


def expected_calibration_error(label: Floats, probability: Floats) -> float:
    """Mean gap between predicted and realised rate over bins of equal mass."""
    predicted, realised, mass = reliability(label, probability)
    return float(np.abs(predicted - realised) @ mass)


def calibration_error_by_chance(probability: Floats) -> float:
    """The calibration error that perfectly calibrated predictions stay under in 95 % of samples.

    On a few hundred rows, ten bins of true probabilities miss by more than a usual limit.
    """
    place, mass = _bins(probability)
    variance = np.bincount(place, probability * (1 - probability), minlength=len(mass))
    deviation = np.sqrt(variance) / len(probability)
    drawn = np.random.default_rng(20260101).normal(0, deviation, size=(2000, len(deviation)))
    return float(np.quantile(np.abs(drawn).sum(axis=1), 0.95))


def reliability(label: Floats, probability: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean prediction, realised rate and share of rows in bins of equal mass.

    Equal predictions share a bin, so a constant prediction has one.
    """
    place, mass = _bins(probability)
    held = mass > 0
    predicted = np.bincount(place, probability, minlength=len(mass))[held] / mass[held]
    realised = np.bincount(place, label, minlength=len(mass))[held] / mass[held]
    return predicted, realised, mass[held] / len(label)


def _bins(probability: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Bin of each row, and rows in each bin."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, ECE_BINS + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="left")
    return place, np.bincount(place, minlength=len(edges) + 1).astype(float)


def calibration_line(label: Floats, probability: Floats) -> tuple[float, float]:
    """Slope and intercept of a logistic regression of the label on the predicted log-odds.

    (1, 0) is perfect; a slope under 1 means overconfidence. NaN where it is not defined.
    """
    from sklearn.linear_model import LogisticRegression

    p = np.clip(probability, _EPSILON, 1 - _EPSILON)
    log_odds = np.log(p / (1 - p))
    if not 0 < label.mean() < 1 or np.ptp(log_odds) == 0:
        return float("nan"), float("nan")
    line = LogisticRegression(C=np.inf).fit(log_odds[:, None], label)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def compare(label: Floats, candidate: Floats, reference: Floats) -> dict[str, Difference]:
    """Paired bootstrap of the differences in log-loss and AUC.

    Args:
        label: 1.0 or 0.0; one row per customer, so that rows are independent.
        candidate: Probabilities of the one model.
        reference: Probabilities of the other, for the same rows.

    Returns:
        Differences by metric. Deterministic.
    """
    loss = row_log_loss(label, candidate) - row_log_loss(label, reference)
    aucs = (_WeightedAuc(label, candidate), _WeightedAuc(label, reference))
    rows = len(label)
    resamples = int(np.clip(_BOOTSTRAP_WORK // max(rows, 1), 100, 1000))
    drawn = np.empty((resamples, 2))
    generator = np.random.default_rng(20260101)
    for number in range(resamples):
        weight = np.bincount(generator.integers(0, rows, rows), minlength=rows).astype(float)
        drawn[number] = (loss @ weight / rows, aucs[0](weight) - aucs[1](weight))
    # As Python's own numbers: what follows from them is shown and kept by others than NumPy.
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0).tolist()
    whole = np.ones(rows)
    return {
        "log_loss": Difference("log_loss", float(loss.mean()), low[0], high[0]),
        "auc": Difference("auc", float(aucs[0](whole) - aucs[1](whole)), low[1], high[1]),
    }


class _WeightedAuc:
    """AUC of one ranking under row weights; sorts once, however many weights follow."""

    def __init__(self, label: Floats, score: Floats) -> None:
        self._order = np.argsort(score, kind="stable")
        ordered = score[self._order]
        self._ties = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._label = label[self._order]

    def __call__(self, weight: Floats) -> float:
        ordered = weight[self._order]
        ones = np.add.reduceat(ordered * self._label, self._ties)
        zeros = np.add.reduceat(ordered * (1 - self._label), self._ties)
        below = np.cumsum(zeros) - zeros
        pairs = ones.sum() * zeros.sum()
        return float(ones @ (below + zeros / 2) / pairs) if pairs else float("nan")
