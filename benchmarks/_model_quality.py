"""What the model benchmarks share: the whole job on a public data set, and what its model measured.

What belongs here: running the job in a home of its own and reading the metrics it wrote. What does
not: any judgement of a model, which is ``ml``'s.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from benchmarks._report import at_least, measured, report
from ml.metrics_schema import METRICS_TABLE
from orchestration.__main__ import main as run_job
from siyu.config import Settings
from siyu.warehouse import Warehouse

TASK = "repurchase"
TRIVIAL = ("recency", "frequency")


class NoData(Exception):
    """The public data set is not on this machine."""


def benchmark_model(name: str, retailer: str, folder: str) -> bool:
    """Run the whole job for a retailer and compare its repurchase model with trivial rankings.

    Args:
        name: The benchmark.
        retailer: Folder under ``retailers``.
        folder: Folder of its data under ``SIYU_DATA``.

    Returns:
        Whether the model in the registry orders customers better than recency and frequency alone,
        on the same test cut.

    Raises:
        NoData: ``SIYU_DATA`` does not name a folder with the data.
        RuntimeError: the job failed, or trained nothing.
    """
    data = os.environ.get("SIYU_DATA", "")
    if not (Path(data) / folder).is_dir():
        raise NoData(f"{name}: set SIYU_DATA to the folder that holds {folder}/")
    with tempfile.TemporaryDirectory() as home, measured() as cost:
        os.environ |= {"SIYU_HOME": home, "SIYU_RETAILER": retailer}
        # Standard output is for the benchmark's own line.
        with redirect_stdout(sys.stderr):
            failed = run_job(["refresh"])
        if failed:
            raise RuntimeError(f"{name}: the job failed; its lines above say where")
        metrics = _metrics(Settings.from_env())
    if not metrics:
        raise RuntimeError(f"{name}: nothing was trained")
    leader = metrics.get("xgboost") or metrics["logistic"]
    shown = ("log_loss", "ece", "active_auc", "base_rate", "rows")
    return report(
        name=name,
        value=leader["auc"],
        unit="ROC-AUC",
        goal=at_least(max(metrics[ranking]["auc"] for ranking in TRIVIAL)),
        compared_with="the better of ordering by recency alone and by frequency alone, same cut",
        **{ranking: metrics[ranking]["auc"] for ranking in (*TRIVIAL, "logistic")},
        **{metric: leader[metric] for metric in shown},
        logistic_log_loss=metrics["logistic"]["log_loss"],
        prior_log_loss=metrics["prior"]["log_loss"],
        wall_seconds=cost.wall_seconds,
    )


def _metrics(settings: Settings) -> dict[str, dict[str, float]]:
    """Metrics of the training by model."""
    rows = Warehouse.of(settings).read(
        f"SELECT model, metric, value FROM {METRICS_TABLE} WHERE task = ?", [TASK]
    )
    found: dict[str, dict[str, float]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["model"], {})[row["metric"]] = row["value"]
    return found
