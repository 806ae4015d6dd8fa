"""Customers whose next purchase depends on what they put into their cart, for tests of the steps."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from ml.snapshots import snapshot_dates
from siyu.config import Settings
from siyu.retailer import ModelSettings, Retailer
from siyu.warehouse import Warehouse

AS_OF = date(2024, 12, 31)
TASK = ModelSettings(horizon_days=30, snapshot_every_days=30, retrain_every_days=7)
CHURN = ModelSettings(horizon_days=30, active_days=90, snapshot_every_days=30)


def retailer(folder: Path, **models: ModelSettings) -> Retailer:
    return Retailer(
        name="made_up",
        en="Made up",
        zh="虚构",
        timezone="Asia/Shanghai",
        currency="CNY",
        history_from=date(2024, 5, 1),
        identifiers={},
        inputs={},
        models=models or {"repurchase": TASK, "churn": CHURN},
        folder=folder,
    )


def settings(folder: Path) -> Settings:
    return Settings(folder, "made_up", folder, "duckdb", None)


def days(as_of: date = AS_OF) -> list[date]:
    """Days that training and scoring as of a day need."""
    return [*snapshot_dates(TASK, as_of, date(2024, 5, 1)).dates, as_of]


def fill(warehouse: Warehouse, *, each: int = 700, permuted: bool = False) -> None:
    """Write features and labels; permuted labels have no relation to the features of their cut."""
    generator = np.random.default_rng(11)
    features, labels = [], []
    for day in days():
        table, bought = _cut(generator, day, each)
        if permuted:
            bought = generator.permutation(bought)
        features.append(table)
        labels.append(_labels(table["customer_id"], day, bought))
    warehouse.replace("features.customer_features", pa.concat_tables(features))
    warehouse.replace("features.customer_labels", pa.concat_tables(labels))


def _cut(generator: np.random.Generator, day: date, each: int) -> tuple[pa.Table, np.ndarray]:
    recency = generator.exponential(60, each).round()
    carts = generator.poisson(0.8, each).astype(float)
    log_odds = 0.9 - recency / 25 + 2.0 * (carts > 0) - 1.5 * (carts > 2)
    bought = generator.random(each) < 1 / (1 + np.exp(-log_odds))
    unknown = generator.random(each) < 0.2
    return pa.table(
        {
            "customer_id": [f"c{number:04}" for number in range(each)],
            "as_of_date": pa.array([day] * each),
            "recency_days": recency,
            "order_count": 1.0 + generator.poisson(2, each),
            "tenure_days": recency + generator.exponential(100, each).round(),
            "carts_30d": pa.array(carts, mask=unknown & (carts == 0)),
            "noise": generator.normal(size=each),
            "wecom_groups": pa.nulls(each, pa.float64()),
        }
    ), bought


def _labels(customer_id: pa.ChunkedArray, day: date, bought: np.ndarray) -> pa.Table:
    matures = day + timedelta(days=30)
    unknown = np.full(len(bought), matures > AS_OF)
    return pa.table(
        {
            "customer_id": customer_id,
            "as_of_date": pa.array([day] * len(bought)),
            "repurchase_label": pa.array(bought.astype("int32"), mask=unknown),
            "churn_label": pa.array((~bought).astype("int32"), mask=unknown),
            "repurchase_matures_on": pa.array([matures] * len(bought)),
            "churn_matures_on": pa.array([matures] * len(bought)),
        }
    )
