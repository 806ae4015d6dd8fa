"""The table ``ml.model_metrics``: what each training measured, in long form, for BI and reports.

MLflow is the record of trainings, and this a view of it: a warehouse made anew gets it back.

What belongs here: the table's columns and how MLflow's runs become its rows. What does not: taking
the measures (``ml.evaluation``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa

from ml.recording import of_the_test_cut
from ml.registry import FinishedRun, RegisteredModel, Registry, as_of_of

METRICS_TABLE = "ml.model_metrics"
METRICS_EN = (
    "Metrics of every model of every training on its untouched test cut, baselines included"
)
METRICS_ZH = "每次训练中各模型（含基线）在测试截面上的指标"
METRICS_COLUMNS: dict[str, tuple[pa.DataType, str, str]] = {
    "task": (pa.string(), "churn or repurchase", "任务"),
    "as_of_date": (pa.date32(), "Local day of the training", "训练日期"),
    "test_date": (pa.date32(), "As-of day of the test cut", "测试截面日期"),
    "model": (pa.string(), "xgboost, a baseline, or a ranking by one column", "模型"),
    "metric": (pa.string(), "Name of the metric, as in MLflow", "指标"),
    "value": (pa.float64(), "Value of the metric", "数值"),
    "promoted": (pa.bool_(), "Whether the training put a new champion in place", "是否晋级"),
    "decision": (pa.string(), "Why", "原因"),
    "run_id": (pa.string(), "Pipeline run that trained", "运行编号"),
}
METRICS_SCHEMA = pa.schema(
    [pa.field(name, type_) for name, (type_, _, _) in METRICS_COLUMNS.items()]
)


def metric_rows(registry: Registry, model_name: str) -> pa.Table:
    """One row per training, model and metric, from MLflow; of trainings as of one day the last.

    A training counts once it has registered a version; of one that was killed before there is none.
    """
    trainings = {model.tags["as_of"]: model for model in registry.versions(model_name)}
    return pa.Table.from_pylist(
        [row for model in trainings.values() for row in _rows(registry, model)], METRICS_SCHEMA
    )


def _rows(registry: Registry, model: RegisteredModel) -> Iterator[dict[str, Any]]:
    same = {name: model.tags[name] for name in ("dagster_run_id", "as_of")}
    # A training that was tried again has two runs of a model: the newest comes first.
    runs: dict[str, FinishedRun] = {}
    for run in registry.runs_beside(model, same):
        runs.setdefault(run.tags["model"], run)
    for name, run in runs.items():
        for metric, value in of_the_test_cut(run.metrics).items():
            yield {
                "task": model.tags["task"],
                "as_of_date": as_of_of(model),
                "test_date": date.fromisoformat(model.tags["test_as_of"]),
                "model": name,
                "metric": metric,
                "value": value,
                "promoted": model.tags["promoted"] == "true",
                "decision": model.tags["promotion_reason"],
                "run_id": model.tags["dagster_run_id"],
            }
