"""The steps that a pipeline calls: is training due, train, score.

What belongs here: putting the parts together, once for every retailer and task. What does not: the
parts themselves, gates in front of a step (``siyu.ops``) or schedules. Each step may be repeated:
scores are replaced, and a model that is trained again from the same data does not displace itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from ml import plots
from ml.baselines import fit_logistic, prior, rankings
from ml.catalog import FEATURES_TABLE, RECENCY, describe, read_catalog
from ml.dataset import Dataset, Floats, drop_unknown, read_features, read_training
from ml.evaluation import Difference, compare, probability_metrics, rank_metrics, sliced
from ml.predictor import Predictor
from ml.promotion import MAX_ECE, Decision, decide
from ml.provenance import task_tags, training_tags
from ml.registry import LoggedRun, RegisteredModel, Registry, RunRecord, as_of_of
from ml.scores_schema import SCORES_SCHEMA, SCORES_TABLE
from ml.scoring import ModelIdentity, score_rows
from ml.snapshots import HistoryTooShort, SnapshotPlan, label_days, snapshot_dates
from ml.tasks import Task, task_of
from ml.training import PARAMETERS, Fitted, fit_boosted, too_small
from siyu.config import Settings
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.warehouse import Warehouse, writer_lock

Metrics = dict[str, float]


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training did.

    Attributes:
        task: ``churn`` or ``repurchase``.
        as_of: Day of the training.
        promoted: Whether there is a new champion.
        reason: Why, or why nothing could be trained.
        kind: ``xgboost`` or ``logistic``: which model was registered; None when none was.
        metrics: Metrics on the test cut by model, baselines among them.
        differences: Boosted trees minus each baseline, by baseline and metric.
        plan: The cuts; None when history is too short.
        model_uri: The registered version.
        run_url: MLflow's page of the training.
    """

    task: str
    as_of: date
    promoted: bool
    reason: str
    kind: str | None = None
    metrics: Mapping[str, Metrics] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    plan: SnapshotPlan | None = None
    model_uri: str | None = None
    run_url: str | None = None


@dataclass(frozen=True)
class ScoringOutcome:
    """What a scoring did.

    Attributes:
        task: ``churn`` or ``repurchase``.
        as_of: Day of the scores.
        rows: Customers scored.
        reason: Why there are none, or None when there are some.
        model_uri: The champion.
        mean_probability: Mean calibrated probability.
    """

    task: str
    as_of: date
    rows: int
    reason: str | None = None
    model_uri: str | None = None
    mean_probability: float | None = None


@dataclass(frozen=True)
class _Trained:
    """Models of one training with their predictions on the test cut."""

    test: Dataset
    predictors: Mapping[str, Predictor]
    probabilities: Mapping[str, Floats]
    rankings: Mapping[str, Floats]
    fitted: Fitted | None
    note: str


def training_due(
    settings: Settings, retailer: Retailer, task: str, as_of: date
) -> tuple[bool, str]:
    """Whether to train, and why.

    Training is due when the task was never trained, its settings have changed, or the last
    training, promoted or not, is ``retrain_every_days`` old by ``as_of``.
    """
    found = task_of(retailer, task)
    try:
        snapshot_dates(found.settings, as_of, retailer.history_from)
    except HistoryTooShort as error:
        return False, str(error)
    newest = Registry(Paths.of(settings)).newest(found.model_name)
    if newest is None:
        return True, f"{found.model_name} was never trained"
    if misfit := _misfit(newest, found):
        return True, misfit
    age = (as_of - as_of_of(newest)).days
    every = found.settings.retrain_every_days
    return age >= every, f"last trained as of {as_of_of(newest)}; due every {every} days"


def train(
    settings: Settings, retailer: Retailer, task: str, as_of: date, run_id: str
) -> TrainingOutcome:
    """Train, judge, keep in MLflow, and promote what passes the gate.

    Args:
        settings: Where things lie.
        retailer: Whose data; ``gates: {model_max_ece: …}`` moves the calibration limit.
        task: ``churn`` or ``repurchase``.
        as_of: Last complete local day.
        run_id: The run that asks.

    Returns:
        What happened. Data that cannot be learned from is an outcome with its reason, not an error.

    Raises:
        DatasetError: features or labels of a cut are not built.
        TaskError: the retailer has no such task.
    """
    found = task_of(retailer, task)
    try:
        plan = snapshot_dates(found.settings, as_of, retailer.history_from)
    except HistoryTooShort as error:
        return TrainingOutcome(task, as_of, promoted=False, reason=str(error))
    paths = Paths.of(settings)
    read = read_training(Warehouse.of(settings), task, found.settings, plan.dates, as_of)
    if unfit := _unfit(read, plan):
        return TrainingOutcome(task, as_of, promoted=False, reason=unfit, plan=plan)
    dataset, dropped = drop_unknown(read, read.at(plan.fit))
    trained = _fit_all(found, dataset, plan)

    registry = Registry(paths)
    champion = registry.champion(found.model_name)
    rival = _rival(registry, champion, found, read.at([plan.test]))
    limit = retailer.gates.get("model_max_ece", MAX_ECE)
    decision = decide(trained.test.label, trained.probabilities, rival, limit)
    decision = replace(decision, reason="; ".join(filter(None, (trained.note, decision.reason))))

    tags = training_tags(found, plan, as_of, read, paths, run_id)
    metrics = _metrics(found, trained)
    differences = _differences(trained)
    runs = _log(registry, found, plan, trained, metrics, differences, decision, tags, dropped)
    model = registry.register(
        found.model_name, runs[decision.kind], _version_tags(tags, decision, metrics)
    )
    if decision.promoted:
        registry.promote(model)
    return TrainingOutcome(
        task=task,
        as_of=as_of,
        promoted=decision.promoted,
        reason=decision.reason,
        kind=decision.kind,
        metrics=metrics,
        differences=differences,
        plan=plan,
        model_uri=model.uri,
        run_url=next(iter(runs.values())).url,
    )


def score(
    settings: Settings, retailer: Retailer, task: str, as_of: date, run_id: str
) -> ScoringOutcome:
    """Score every customer of the task's population with the champion.

    The rows of this day and model are replaced; with no champion there are none.

    Args:
        settings: Where things lie.
        retailer: Whose data.
        task: ``churn`` or ``repurchase``.
        as_of: Day to score as of.
        run_id: The run that asks, for the error messages of a busy warehouse.

    Raises:
        DatasetError: the features table lacks a column of the model.
        TaskError: the retailer has no such task.
    """
    found = task_of(retailer, task)
    registry = Registry(Paths.of(settings))
    champion = registry.champion(found.model_name)
    reason = _misfit(champion, found) if champion else f"{found.model_name} has no champion yet"
    rows = SCORES_SCHEMA.empty_table()
    if champion and reason is None:
        customers = read_features(Warehouse.of(settings), found.settings, as_of)
        identity = ModelIdentity(champion.name, champion.version, champion.run_id)
        rows = score_rows(found, identity, registry.load(champion), customers)
        if not rows.num_rows:
            reason = f"{FEATURES_TABLE} has no customer of the population as of {as_of}"
    with writer_lock(Paths.of(settings)):
        Warehouse.of(settings).replace(
            SCORES_TABLE, rows, where={"as_of_date": as_of, "model_name": found.model_name}
        )
    return ScoringOutcome(
        task=task,
        as_of=as_of,
        rows=rows.num_rows,
        reason=reason,
        model_uri=champion.uri if champion else None,
        mean_probability=float(rows["p_calibrated"].to_numpy().mean()) if rows.num_rows else None,
    )


def _unfit(dataset: Dataset, plan: SnapshotPlan) -> str | None:
    """Why nothing can be learned or judged, or None."""
    parts = {"training": plan.train, "validation": plan.validation, "test": (plan.test,)}
    for name, days in parts.items():
        label = dataset.at(days).label
        if not len(label) or not 0 < label.mean() < 1:
            seen = "no customer" if not len(label) else "only one outcome"
            return f"{seen} in the {name} cuts ({days[0]}..{days[-1]}): nothing to learn from"
    return None


def _misfit(model: RegisteredModel, task: Task) -> str | None:
    """Why a version does not answer this task's question any more, or None."""
    wanted = task_tags(task)
    changed = {
        name: model.tags.get(name) for name in wanted if model.tags.get(name) != wanted[name]
    }
    if not changed:
        return None
    said = ", ".join(f"{name} {was} (now {wanted[name]})" for name, was in changed.items())
    return f"{model.name} version {model.version} was trained for {said}; train anew"


def _fit_all(task: Task, dataset: Dataset, plan: SnapshotPlan) -> _Trained:
    """Fit the baselines and, where the data suffices, the trees; predict the test cut."""
    catalog = read_catalog()

    def about(predictor: Predictor) -> Predictor:
        features = [feature.as_dict() for feature in describe(predictor.features, catalog)]
        return replace(predictor, about={**task_tags(task), "features": features})

    fit, test = dataset.at(plan.fit), dataset.at([plan.test])
    small = too_small(dataset.at(plan.train))
    predictors = {"logistic": about(fit_logistic(fit))}
    fitted = None
    if not small:
        fitted = fit_boosted(dataset, plan, timedelta(days=label_days(task.settings)))
        predictors = {"xgboost": about(fitted.predictor), **predictors}
    return _Trained(
        test=test,
        predictors=predictors,
        probabilities={
            **{
                name: p.calibrated(test.select(p.features).matrix) for name, p in predictors.items()
            },
            "prior": prior(fit, test),
        },
        rankings=rankings(task, test),
        fitted=fitted,
        note=f"no trees were fitted: {small}" if small else "",
    )


def _rival(
    registry: Registry, champion: RegisteredModel | None, task: Task, test: Dataset
) -> Floats | None:
    """The champion's probabilities on the test cut; None where it cannot answer any more."""
    if champion is None or _misfit(champion, task):
        return None
    predictor = registry.load(champion)
    if set(predictor.features) - set(test.features):
        return None
    return predictor.calibrated(test.select(predictor.features).matrix)


def _metrics(task: Task, trained: _Trained) -> dict[str, Metrics]:
    """Metrics of every model, on all rows and on those that bought within the last horizon."""
    label = trained.test.label
    active = trained.test.column(RECENCY) < task.settings.horizon_days
    found: dict[str, Metrics] = {}
    for scores, judge in (
        (trained.probabilities, probability_metrics),
        (trained.rankings, rank_metrics),
    ):
        for name, value in scores.items():
            found[name] = judge(label, value)
            if active.any():
                found[name] |= sliced(judge(label[active], value[active]), "active")
    return found


def _differences(trained: _Trained) -> dict[str, dict[str, Difference]]:
    """The strongest model minus each baseline."""
    label = trained.test.label
    strongest, *others = trained.probabilities.values()
    names = list(trained.probabilities)[1:]
    found = {
        name: compare(label, strongest, other) for name, other in zip(names, others, strict=True)
    }
    for name, ranking in trained.rankings.items():
        # A ranking has no probabilities to lose by: only the AUC compares.
        order = {"auc": _auc_difference(label, strongest, ranking)}
        found[name] = order
    return found


def _auc_difference(label: Floats, probability: Floats, ranking: Floats) -> Difference:
    from scipy.stats import rankdata

    # Ranks between 0 and 1 keep the order and let the same comparison serve.
    return compare(label, probability, rankdata(ranking) / (len(ranking) + 1))["auc"]


def _log(
    registry: Registry,
    task: Task,
    plan: SnapshotPlan,
    trained: _Trained,
    metrics: Mapping[str, Metrics],
    differences: Mapping[str, Mapping[str, Difference]],
    decision: Decision,
    tags: Mapping[str, str],
    dropped: Mapping[str, str],
) -> dict[str, LoggedRun]:
    """One run for each model and baseline, the strongest first."""
    label = trained.test.label
    strongest = next(iter(trained.probabilities))
    figures = plots.evaluation_figures(label, trained.probabilities, trained.rankings)
    runs: dict[str, LoggedRun] = {}
    for name in metrics:
        record = RunRecord(
            name=f"{name} {plan.test}",
            metrics=metrics[name],
            params={"model": name, **_plan_params(plan)},
            tags={**tags, "model": name, "role": "model" if name == "xgboost" else "baseline"},
            predictor=trained.predictors.get(name) if name in {strongest, decision.kind} else None,
        )
        if name == strongest:
            record = replace(
                record,
                metrics={**record.metrics, **_difference_metrics(differences)},
                params={**record.params, **_fit_params(trained, dropped)},
                tags={**record.tags, "promotion_reason": decision.reason},
                figures=figures | _importance(trained, strongest),
            )
        runs[name] = registry.log_run(task.experiment, record)
    return runs


def _importance(trained: _Trained, name: str) -> dict[str, Any]:
    predictor = trained.predictors[name]
    contributions = predictor.scorer.contributions(trained.test.select(predictor.features).matrix)
    features = describe(predictor.features, read_catalog())
    return {"importance.png": plots.importance_figure(contributions, features)}


def _plan_params(plan: SnapshotPlan) -> dict[str, Any]:
    return {
        "train_cuts": " ".join(map(str, plan.train)),
        "gap_cuts": " ".join(map(str, plan.gap)),
        "validation_cuts": " ".join(map(str, plan.validation)),
        "test_cut": plan.test,
    }


def _fit_params(trained: _Trained, dropped: Mapping[str, str]) -> dict[str, Any]:
    params: dict[str, Any] = {
        "dropped_features": " ".join(sorted(dropped)) or "none",
        "feature_count": len(next(iter(trained.predictors.values())).features),
    }
    if trained.fitted:
        params |= {
            **PARAMETERS,
            "rounds": trained.fitted.rounds,
            "calibration": trained.fitted.calibration,
            "validation_log_loss": trained.fitted.validation_log_loss,
        }
    return params


def _difference_metrics(
    differences: Mapping[str, Mapping[str, Difference]],
) -> dict[str, float]:
    found: dict[str, float] = {}
    for baseline, by_metric in differences.items():
        for metric, difference in by_metric.items():
            stem = f"{metric}_vs_{baseline}"
            found |= {
                stem: difference.mean,
                f"{stem}_low": difference.low,
                f"{stem}_high": difference.high,
            }
    return found


def _version_tags(
    tags: Mapping[str, str], decision: Decision, metrics: Mapping[str, Metrics]
) -> dict[str, str]:
    return {
        **tags,
        "model": decision.kind,
        "fallback": str(decision.kind == "logistic").lower(),
        "promoted": str(decision.promoted).lower(),
        "promotion_reason": decision.reason,
        "test_log_loss": f"{metrics[decision.kind]['log_loss']:.4f}",
        "test_auc": f"{metrics[decision.kind]['auc']:.4f}",
    }
