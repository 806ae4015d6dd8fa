"""Writing one training down: a run for each model and baseline, under the same names.

What belongs here: which metrics, parameters, tags and figures a run carries. What does not: calling
MLflow (``ml.registry``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ml import plots
from ml.candidates import Candidates, Metrics
from ml.catalog import Feature
from ml.evaluation import Difference
from ml.promotion import Decision
from ml.registry import LoggedRun, Registry, RunRecord
from ml.snapshots import SnapshotPlan
from ml.tasks import Task
from ml.training import PARAMETERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What each kind of model is, for whoever reads its run.
_KINDS = {
    "xgboost": "Boosted trees on every feature.",
    "logistic": "Baseline: logistic regression on recency, frequency and tenure.",
    "prior": "Baseline: the same probability for everyone, the rate in training.",
    "recency": "Baseline: customers ordered by the days since their last purchase.",
    "frequency": "Baseline: customers ordered by how many orders they have placed.",
}
_VERSUS = "_vs_"
_VALIDATION_LOG_LOSS = "validation_log_loss"
_SHOWN = {"auc": "AUC", "pr_auc": "PR-AUC", "log_loss": "log-loss", "ece": "calibration error"}


@dataclass(frozen=True)
class Training:
    """Everything that is known of one training once it is judged.

    Attributes:
        task: What is predicted.
        plan: The cuts.
        candidates: Models and predictions.
        metrics: Metrics on the test cut by model.
        differences: The leader minus each baseline.
        decision: What the gate said.
        tags: Provenance, shared by all runs.
        dropped: Why features were left out, by name.
    """

    task: Task
    plan: SnapshotPlan
    candidates: Candidates
    metrics: Mapping[str, Metrics]
    differences: Mapping[str, Mapping[str, Difference]]
    decision: Decision
    tags: Mapping[str, str]
    dropped: Mapping[str, str]


def record_training(registry: Registry, training: Training) -> dict[str, LoggedRun]:
    """Keep one run for each model and baseline.

    The leader's run stands for the training: it carries the figures, the differences and the
    gate's reason. It is written last, so that it heads MLflow's list, the newest first. A model is
    kept with the leader and with what goes into the registry.
    """
    candidates = training.candidates
    kept = {candidates.leader, training.decision.kind}
    runs: dict[str, LoggedRun] = {}
    for name, metrics in reversed(list(training.metrics.items())):
        record = RunRecord(
            name=f"{name} {training.plan.test}",
            metrics=metrics,
            params={"model": name, **_plan_params(training.plan)},
            tags={
                **training.tags,
                "model": name,
                "role": "model" if name == "xgboost" else "baseline",
            },
            note=_note(training, name),
            predictor=candidates.predictors[name] if name in kept else None,
        )
        if name == candidates.leader:
            record = replace(
                record,
                metrics={**metrics, **_fit_metrics(training)},
                params={**record.params, **_fit_params(training)},
                tags={**record.tags, **_fit_tags(training)},
                figures=_figures(candidates),
            )
        runs[name] = registry.log_run(training.task.experiment, record, training.task.question)
    return runs


def decided(training: Training) -> str:
    """What came of a training, in a sentence."""
    decision = training.decision
    verdict = "Promoted" if decision.promoted else "Not promoted"
    return f"{verdict}: {decision.reason}. Tested on the customers of {training.plan.test}."


def version_tags(training: Training) -> dict[str, str]:
    """What the registry says of the version that this training made."""
    decision = training.decision
    return {
        **training.tags,
        "model": decision.kind,
        "fallback": str(decision.kind == "logistic").lower(),
        "promoted": str(decision.promoted).lower(),
        "promotion_reason": decision.reason,
        "test_log_loss": f"{training.metrics[decision.kind]['log_loss']:.4f}",
        "test_auc": f"{training.metrics[decision.kind]['auc']:.4f}",
    }


def _figures(candidates: Candidates) -> dict[str, Figure]:
    test = candidates.test
    predictor = candidates.predictors[candidates.leader]
    contributions = predictor.scorer.contributions(test.select(predictor.features).matrix)
    features = [Feature(**said) for said in predictor.about["features"]]
    return {
        **plots.evaluation_figures(test.label, candidates.probabilities, candidates.rankings),
        "importance.png": plots.importance_figure(contributions, features),
    }


def _note(training: Training, name: str) -> str:
    """A run's description: what it is, what came of it, and all models beside one another."""
    if name != training.candidates.leader:
        return f"{_KINDS[name]} Judged on the same customers as the model beside it."
    lines = [
        f"| model | {' | '.join(_SHOWN.values())} |",
        f"|---|{'---:|' * len(_SHOWN)}",
    ]
    for model, metrics in training.metrics.items():
        cells = (f"{metrics[metric]:.4f}" if metric in metrics else "–" for metric in _SHOWN)
        lines.append(f"| {model} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"{training.task.question} {_KINDS[name]}\n\n{decided(training)}\n\n{table}"


def _plan_params(plan: SnapshotPlan) -> dict[str, Any]:
    cuts = {"train_cuts": plan.train, "gap_cuts": plan.gap, "validation_cuts": plan.validation}
    said = {name: ", ".join(map(str, days)) for name, days in cuts.items() if days}
    return {**said, "test_cut": plan.test}


def _fit_params(training: Training) -> dict[str, Any]:
    candidates, fitted = training.candidates, training.candidates.fitted
    params: dict[str, Any] = {
        "dropped_features": ", ".join(sorted(training.dropped)) or "none",
        "feature_count": len(candidates.predictors[candidates.leader].features),
    }
    if fitted:
        kind = fitted.predictor.calibrator.kind
        params |= {
            **PARAMETERS,
            "rounds": fitted.rounds,
            "calibration": "none" if kind == "identity" else kind,
        }
    return params


def _fit_tags(training: Training) -> dict[str, str]:
    fitted = training.candidates.fitted
    said = {"promotion_reason": training.decision.reason}
    return {**said, "calibration_reason": fitted.calibration_reason} if fitted else said


def _fit_metrics(training: Training) -> dict[str, float]:
    fitted = training.candidates.fitted
    found = _difference_metrics(training.differences)
    return {**found, _VALIDATION_LOG_LOSS: fitted.validation_log_loss} if fitted else found


def of_the_test_cut(metrics: Mapping[str, float]) -> dict[str, float]:
    """A run's metrics without what a leader's carries besides (``_fit_metrics``)."""
    return {
        name: value
        for name, value in metrics.items()
        if _VERSUS not in name and name != _VALIDATION_LOG_LOSS
    }


def _difference_metrics(
    differences: Mapping[str, Mapping[str, Difference]],
) -> dict[str, float]:
    found: dict[str, float] = {}
    for baseline, by_metric in differences.items():
        for metric, difference in by_metric.items():
            stem = f"{metric}{_VERSUS}{baseline}"
            found |= {
                stem: difference.mean,
                f"{stem}_low": difference.low,
                f"{stem}_high": difference.high,
            }
    return found
