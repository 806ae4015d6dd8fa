"""Figures of a training, for MLflow.

What belongs here: drawing. What does not: computing metrics (``ml.evaluation``) or keeping figures
(``ml.registry``). Figures are made without pyplot, so that no global state stays behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ml.catalog import Feature
from ml.dataset import Floats
from ml.evaluation import reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMPORTANT = 20


def evaluation_figures(
    label: Floats, probabilities: Mapping[str, Floats], rankings: Mapping[str, Floats]
) -> dict[str, Figure]:
    """ROC, precision-recall, reliability and lift of all models on one test set, by file name.

    Args:
        label: Outcomes, of both classes.
        probabilities: Predicted probabilities by model.
        rankings: Scores that only order, by name; left out of the reliability plot.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    scores = {**probabilities, **rankings}
    roc, axes = _figure("ROC", "false positive rate", "true positive rate")
    for name, score in scores.items():
        false, true, _ = roc_curve(label, score)
        axes.plot(false, true, label=name)
    axes.plot([0, 1], [0, 1], "k:", linewidth=0.8)
    _legend(axes)

    pr, axes = _figure("Precision and recall", "recall", "precision")
    for name, score in scores.items():
        precision, recall, _ = precision_recall_curve(label, score)
        axes.step(recall, precision, where="post", label=name)
    axes.set_ylim(0, 1.02)
    _legend(axes)

    calibration, axes = _figure("Reliability", "mean predicted probability", "realised rate")
    for name, probability in probabilities.items():
        predicted, realised, _ = reliability(label, probability)
        axes.plot(predicted, realised, "o-", markersize=4, label=name)
    axes.plot([0, 1], [0, 1], "k:", linewidth=0.8)
    _legend(axes)

    gains, axes = _figure("Cumulative lift", "share of customers, best first", "lift")
    share = np.arange(1, len(label) + 1) / len(label)
    shown = slice(max(len(label) // 100, 1) - 1, None)
    for name, score in scores.items():
        ordered = label[np.argsort(-score, kind="stable")]
        axes.plot(
            share[shown],
            (np.cumsum(ordered) / len(label) / share / label.mean())[shown],
            label=name,
        )
    axes.axhline(1, color="k", linestyle=":", linewidth=0.8)
    _legend(axes)
    return {"roc.png": roc, "pr.png": pr, "reliability.png": calibration, "lift.png": gains}


def importance_figure(contributions: Floats, features: Sequence[Feature]) -> Figure:
    """Mean absolute contribution of the strongest features.

    Args:
        contributions: Log-odds that each feature adds, ``rows x features``.
        features: Descriptions, in the same order.
    """
    strength = np.abs(contributions).mean(axis=0)
    order = np.argsort(strength)[-IMPORTANT:]
    figure, axes = _figure("What moves the score", "mean |contribution| to the log-odds", "")
    axes.barh([features[place].en for place in order], strength[order])
    axes.tick_params(axis="y", labelsize=7)
    return figure


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=8)
