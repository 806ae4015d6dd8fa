"""The table ``ml.model_metrics``: what each training measured, in long form, for BI and reports.

What belongs here: the table's columns and how an outcome becomes its rows. What does not: taking
the measures (``ml.evaluation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from ml.steps import TrainingOutcome

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


def metric_rows(outcome: TrainingOutcome, run_id: str) -> pa.Table:
    """One row per model and metric; none when nothing was trained."""
    return pa.Table.from_pylist(
        [
            {
                "task": outcome.task,
                "as_of_date": outcome.as_of,
                "test_date": outcome.plan.test if outcome.plan else None,
                "model": model,
                "metric": metric,
                "value": value,
                "promoted": outcome.promoted,
                "decision": outcome.reason,
                "run_id": run_id,
            }
            for model, metrics in outcome.metrics.items()
            for metric, value in metrics.items()
        ],
        METRICS_SCHEMA,
    )
