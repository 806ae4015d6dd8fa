"""The models of one training beside their baselines, on one test cut.

What belongs here: fitting them all on the same rows and comparing them on the same rows. What does
not: reading the rows (``ml.dataset``), the rule of promotion (``ml.promotion``) or keeping the
result (``ml.recording``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from ml.baselines import fit_logistic, prior, rankings
from ml.catalog import RECENCY, describe, read_catalog
from ml.dataset import Dataset, Floats
from ml.evaluation import Difference, compare, probability_metrics, rank_metrics, sliced
from ml.predictor import Predictor
from ml.provenance import task_tags
from ml.snapshots import SnapshotPlan, label_days
from ml.tasks import Task
from ml.training import Fitted, fit_boosted, too_small

Metrics = dict[str, float]


@dataclass(frozen=True)
class Candidates:
    """Models of one training with their predictions on the test cut.

    Attributes:
        test: Rows of the test cut.
        predictors: Models by kind, the leader first: ``xgboost`` where there are trees, then
            ``logistic``.
        probabilities: Predictions of these and of ``prior``.
        rankings: Orders by one number.
        fitted: How the trees came about; None where there are none.
        note: Why there are none, or empty.
    """

    test: Dataset
    predictors: Mapping[str, Predictor]
    probabilities: Mapping[str, Floats]
    rankings: Mapping[str, Floats]
    fitted: Fitted | None
    note: str

    @property
    def leader(self) -> str:
        """The strongest kind of model that was fitted."""
        return next(iter(self.predictors))

    def metrics(self, task: Task) -> dict[str, Metrics]:
        """Metrics by model, on all rows and on those that bought within the last horizon."""
        label = self.test.label
        active = self.test.column(RECENCY) < task.settings.horizon_days
        found: dict[str, Metrics] = {}
        for scores, judge in (
            (self.probabilities, probability_metrics),
            (self.rankings, rank_metrics),
        ):
            for name, score in scores.items():
                found[name] = judge(label, score)
                if active.any():
                    found[name] |= sliced(judge(label[active], score[active]), "active")
        return found

    def differences(self) -> dict[str, dict[str, Difference]]:
        """The leader minus each baseline, by baseline and metric."""
        label = self.test.label
        leading = self.probabilities[self.leader]
        found = {
            name: compare(label, leading, other)
            for name, other in self.probabilities.items()
            if name != self.leader
        }
        for name, ranking in self.rankings.items():
            # A ranking has no probabilities to lose by: only the AUC compares.
            found[name] = {"auc": compare(label, leading, _as_probability(ranking))["auc"]}
        return found


def fit_candidates(task: Task, dataset: Dataset, plan: SnapshotPlan) -> Candidates:
    """Fit the baselines and, where the data suffices, the trees; predict the test cut."""
    catalog = read_catalog()

    def described(predictor: Predictor) -> Predictor:
        features = [feature.as_dict() for feature in describe(predictor.features, catalog)]
        return replace(predictor, about={**task_tags(task), "features": features})

    fit, test = dataset.at(plan.fit), dataset.at([plan.test])
    predictors = {"logistic": described(fit_logistic(fit))}
    fitted = None
    small = too_small(dataset.at(plan.train))
    if not small:
        fitted = fit_boosted(dataset, plan, timedelta(days=label_days(task.settings)))
        predictors = {"xgboost": described(fitted.predictor), **predictors}
    predicted = {
        name: predictor.calibrated(test.select(predictor.features).matrix)
        for name, predictor in predictors.items()
    }
    return Candidates(
        test=test,
        predictors=predictors,
        probabilities={**predicted, "prior": prior(fit, test)},
        rankings=rankings(task, test),
        fitted=fitted,
        note=f"no trees were fitted: {small}" if small else "",
    )


def _as_probability(ranking: Floats) -> Floats:
    """Ranks between 0 and 1, which keep the order."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(ranking) / (len(ranking) + 1)
    return ranks
