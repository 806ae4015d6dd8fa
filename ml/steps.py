"""The steps that a pipeline calls: is training due, train, show what trainings measured, score.

What belongs here: putting the parts together, once for every retailer and task. What does not: the
parts themselves, gates in front of a step (``siyu.ops``) or schedules. Each step may be repeated:
scores are replaced, and a model that is trained again from the same data does not displace itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import duckdb

from ml.candidates import Metrics, fit_candidates
from ml.catalog import FEATURES_TABLE, LABELS_TABLE
from ml.dataset import Dataset, Floats, drop_unknown, read_features, read_training
from ml.evaluation import Difference
from ml.metrics_schema import METRICS_TABLE, metric_rows
from ml.promotion import decide
from ml.provenance import task_tags, training_tags
from ml.recording import Training, decided, record_training, version_tags
from ml.registry import ModelNotes, RegisteredModel, Registry, as_of_of
from ml.scores_schema import SCORES_SCHEMA, SCORES_TABLE
from ml.scoring import ModelIdentity, score_rows
from ml.snapshots import HistoryTooShort, SnapshotPlan, snapshot_dates
from ml.tasks import Task, task_of
from siyu.config import Settings
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.warehouse import Warehouse, WarehouseError, writer_lock

_log = logging.getLogger(__name__)


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


def training_due(
    settings: Settings, retailer: Retailer, task: str, as_of: date
) -> tuple[bool, str]:
    """Whether to train, and why.

    Training is due when the task was never trained, its settings have changed, the last training
    was killed before its model came into use, the warehouse has lost the days that it learned from
    (scores are judged by the labels of those days too), or the last training, promoted or not, is
    ``retrain_every_days`` old by ``as_of``.
    """
    found = task_of(retailer, task)
    try:
        snapshot_dates(found.settings, as_of, retailer.history_from)
    except HistoryTooShort as error:
        return False, str(error)
    registry = Registry(Paths.of(settings))
    newest = registry.newest(found.model_name)
    if newest is None:
        return True, f"{found.model_name} was never trained"
    if misfit := _misfit(newest, found):
        return True, misfit
    # A version that won is a challenger only until the champion's alias has moved to it.
    challenger = registry.challenger(found.model_name)
    won = newest.tags.get("promoted") == "true"
    if won and challenger is not None and challenger.version == newest.version:
        return True, "the last training was killed before its model came into use"
    last = snapshot_dates(found.settings, as_of_of(newest), retailer.history_from)
    if not set(last.dates) <= _days_held(Warehouse.of(settings)):
        return True, "the warehouse, made anew, lacks days that the last training learned from"
    age = (as_of - as_of_of(newest)).days
    every = found.settings.retrain_every_days
    return age >= every, f"last trained as of {as_of_of(newest)}; due every {every} days"


def _days_held(warehouse: Warehouse) -> set[date]:
    """As-of days for which there are labels."""
    try:
        held = warehouse.read(f"SELECT DISTINCT as_of_date FROM {LABELS_TABLE}")
    except (WarehouseError, duckdb.CatalogException):
        return set()
    return set(held["as_of_date"].to_pylist())


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
    candidates = fit_candidates(found, dataset, plan)

    registry = Registry(paths)
    champion = registry.champion(found.model_name)
    rival = _rival(registry, champion, found, read.at([plan.test]))
    limit = retailer.threshold("model_max_ece")
    decision = decide(candidates.test.label, candidates.probabilities, rival, limit)
    training = Training(
        task=found,
        plan=plan,
        candidates=candidates,
        metrics=candidates.metrics(found),
        differences=candidates.differences(),
        decision=decision.noted(candidates.note),
        tags=training_tags(found, plan, as_of, read, run_id),
        dropped=dropped,
    )
    runs = record_training(registry, training)
    model = registry.register(
        found.model_name,
        runs[decision.kind],
        version_tags(training),
        ModelNotes(found.question, decided(training)),
    )
    # The alias moves last: a training that is killed before leaves the champion as it was.
    if decision.promoted:
        registry.promote(model)
    return TrainingOutcome(
        task=task,
        as_of=as_of,
        promoted=decision.promoted,
        reason=training.decision.reason,
        kind=decision.kind,
        metrics=training.metrics,
        differences=training.differences,
        plan=plan,
        model_uri=model.uri,
        run_url=runs[candidates.leader].url,
    )


def show_metrics(settings: Settings, retailer: Retailer, task: str) -> None:
    """Have ``ml.model_metrics`` say what MLflow holds of a task's trainings.

    Does nothing when the table has what the newest training measured.

    Raises:
        TaskError: the retailer has no such task.
    """
    found, paths, warehouse = task_of(retailer, task), Paths.of(settings), Warehouse.of(settings)
    registry = Registry(paths)
    newest = registry.newest(found.model_name)
    if warehouse.exists(METRICS_TABLE) and (newest is None or _is_shown(warehouse, newest)):
        return
    with writer_lock(paths):
        warehouse.replace(
            METRICS_TABLE, metric_rows(registry, found.model_name), where={"task": task}
        )


def _is_shown(warehouse: Warehouse, model: RegisteredModel) -> bool:
    """Whether the table has what the training of a version measured."""
    held = warehouse.read(
        f"SELECT 1 FROM {METRICS_TABLE} WHERE task = ? AND as_of_date = ? AND run_id = ? LIMIT 1",
        [model.tags["task"], as_of_of(model), model.tags["dagster_run_id"]],
    )
    return bool(held.num_rows)


def champion_uri(settings: Settings, retailer: Retailer, task: str) -> str | None:
    """The version that a task is scored with, or None where none is in use.

    Raises:
        TaskError: the retailer has no such task.
    """
    champion = Registry(Paths.of(settings)).champion(task_of(retailer, task).model_name)
    return champion.uri if champion else None


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
        run_id: The run that asks; goes to the log, not into the rows, so that scoring again
            gives the same rows.

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
    _log.info("run %s: %s scored %d customers as of %s", run_id, task, rows.num_rows, as_of)
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
