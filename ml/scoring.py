"""From features and a model to rows of ``ml.customer_scores``.

What belongs here: probabilities, deciles, bands, reasons and hashes of one day's customers, as a
pure function. What does not: reading features (``ml.dataset``), finding the champion
(``ml.registry``) or writing the table (``ml.steps``). The rows hold no wall-clock time, so
scoring again gives the same rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.catalog import Feature
from ml.dataset import Dataset, Floats
from ml.predictor import Predictor
from ml.reasons import top_reasons
from ml.scores_schema import SCORES_SCHEMA
from ml.tasks import Task

# Contributions of one block are held at once: 100,000 rows of 50 features are 40 MB.
BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class ModelIdentity:
    """Which model scores.

    Attributes:
        name: Registered name.
        version: Version in the registry.
        run_id: MLflow run that trained it.
    """

    name: str
    version: int
    run_id: str


def score_rows(task: Task, model: ModelIdentity, predictor: Predictor, rows: Dataset) -> pa.Table:
    """Score customers.

    Args:
        task: What the probability speaks of.
        model: Which model it is.
        predictor: The model, whose ``about`` holds the descriptions of its features.
        rows: Customers of one day, with at least the model's features.

    Returns:
        Rows of ``SCORES_SCHEMA``, in the order of ``rows``.

    Raises:
        DatasetError: a feature of the model is missing.
    """
    rows = rows.select(predictor.features)
    features = [Feature(**said) for said in predictor.about["features"]]
    calibrated = predictor.calibrated(rows.matrix)
    count = len(rows)
    columns: dict[str, Any] = {
        "customer_id": rows.customer_id,
        "as_of_date": pa.array(rows.as_of, pa.date32()),
        "model_name": pa.repeat(model.name, count),
        "model_version": pa.repeat(model.version, count),
        "task": pa.repeat(task.name, count),
        "horizon_days": pa.repeat(task.settings.horizon_days, count),
        "p_raw": predictor.raw(rows.matrix),
        "p_calibrated": calibrated,
        "decile": deciles(calibrated),
        "risk_band": pa.array(task.risk_band(calibrated)),
        **_reasons(predictor, rows, features),
        "feature_hash": row_hashes(rows.matrix),
        "run_id": pa.repeat(model.run_id, count),
    }
    arrays = [pa.array(columns[field.name]) if isinstance(columns[field.name], np.ndarray)
              else columns[field.name] for field in SCORES_SCHEMA]  # fmt: skip
    return pa.table(
        [array.cast(field.type) for array, field in zip(arrays, SCORES_SCHEMA, strict=True)],
        schema=SCORES_SCHEMA,
    )


def deciles(probability: Floats) -> npt.NDArray[np.int64]:
    """1 for the tenth with the highest probability, 10 for the lowest; ties in row order."""
    rank = np.empty(len(probability), dtype=np.int64)
    rank[np.argsort(-probability, kind="stable")] = np.arange(len(probability))
    return rank * 10 // max(len(probability), 1) + 1


def row_hashes(matrix: Floats) -> pa.Array:
    """16 hex digits for each row of values; equal rows have equal hashes."""
    rows = np.ascontiguousarray(matrix)
    return pa.array(
        [hashlib.blake2b(row.data, digest_size=8).hexdigest() for row in rows], pa.string()
    )


def _reasons(predictor: Predictor, rows: Dataset, features: list[Feature]) -> dict[str, pa.Array]:
    blocks = [
        top_reasons(block, predictor.scorer.contributions(block), features)
        for start in range(0, max(len(rows), 1), BLOCK_ROWS)
        for block in (rows.matrix[start : start + BLOCK_ROWS],)
    ]
    columns: dict[str, pa.Array] = {}
    for rank, parts in enumerate(zip(*blocks, strict=True), start=1):
        columns[f"reason_{rank}"] = pa.concat_arrays([part.en for part in parts])
        columns[f"reason_{rank}_zh"] = pa.concat_arrays([part.zh for part in parts])
        columns[f"reason_{rank}_contribution"] = pa.array(
            np.concatenate([part.contribution for part in parts]), from_pandas=True
        )
    return columns
