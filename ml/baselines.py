"""What a model must beat.

What belongs here: the prior, the recency-frequency logistic regression, and rankings by one number.
What does not: judging them (``ml.evaluation``).
"""

from __future__ import annotations

import numpy as np

from ml.catalog import FREQUENCY, RECENCY, TENURE
from ml.dataset import Dataset, Floats
from ml.predictor import LogisticScorer, Predictor, recency_frequency_terms, standardised
from ml.tasks import Task

LOGISTIC_FEATURES = (RECENCY, FREQUENCY, TENURE)


def prior(train: Dataset, test: Dataset) -> Floats:
    """The same probability for everyone: the rate in training."""
    return np.full(len(test), train.label.mean())


def fit_logistic(train: Dataset) -> Predictor:
    """A logistic regression on six terms of recency, frequency and tenure.

    The terms are recency, its log, the log of frequency, the product of the two logs, the log of
    tenure, and recency over tenure; standardised, outliers drawn in to three standard deviations,
    with a light L2 penalty.

    Args:
        train: Rows of both classes.
    """
    from sklearn.linear_model import LogisticRegression

    terms = recency_frequency_terms(train.select(LOGISTIC_FEATURES).matrix)
    mean, scale = np.nanmean(terms, axis=0), np.nanstd(terms, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(
        standardised(terms, mean.tolist(), scale.tolist()), train.label
    )
    return Predictor(
        LogisticScorer(
            features=LOGISTIC_FEATURES,
            mean=mean.tolist(),
            scale=scale.tolist(),
            weights=fitted.coef_[0].tolist(),
            intercept=float(fitted.intercept_[0]),
        )
    )


def rankings(task: Task, rows: Dataset) -> dict[str, Floats]:
    """Order by recency alone and by frequency alone, likely first; ranks, not probabilities."""
    sign = 1.0 if task.buying else -1.0
    return {
        "recency": -sign * np.nan_to_num(rows.column(RECENCY), nan=np.inf),
        "frequency": sign * np.nan_to_num(rows.column(FREQUENCY)),
    }
