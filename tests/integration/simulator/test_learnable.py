"""Interactions must say something about the future that past orders do not."""

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest

from siyu.simulator import simulate

# Features of an as-of day: what orders say, and what the mini-program adds.
_FEATURES = """
WITH orders AS (
    SELECT person_id, ordered_at_local AS happened FROM '{folder}/truth/orders.parquet'
    WHERE NOT cancelled
), events AS (
    SELECT person_id, session_id, event_name, make_timestamp(server_ts * 1000) + INTERVAL 8 HOUR AS happened
    FROM read_json('{folder}/mini_program/events_*.jsonl', columns = {{openid: 'VARCHAR',
        session_id: 'VARCHAR', event_name: 'VARCHAR', server_ts: 'BIGINT'}})
    JOIN '{folder}/truth/identifiers.parquet' ON value = openid AND namespace = 'wxa'
), past AS (
    SELECT person_id, count(*) AS bought, date_diff('day', max(happened), DATE '{day}') AS recency,
        date_diff('day', min(happened), DATE '{day}') AS age
    FROM orders WHERE happened < DATE '{day}' GROUP BY 1
), seen AS (
    SELECT person_id, count(DISTINCT session_id) AS sessions,
        count(*) FILTER (event_name IN ('add_to_cart', 'begin_checkout')) AS carts
    FROM events WHERE happened < DATE '{day}' AND happened >= DATE '{day}' - 30 GROUP BY 1
)
SELECT ln(1 + bought) AS bought, ln(1 + recency) AS recency, ln(1 + age) AS age,
    ln(1 + coalesce(sessions, 0)) AS sessions, ln(1 + coalesce(carts, 0)) AS carts,
    EXISTS (FROM orders AS o WHERE o.person_id = past.person_id AND o.happened >= DATE '{day}'
        AND o.happened < DATE '{day}' + 30) AS buys
FROM past LEFT JOIN seen USING (person_id) WHERE recency <= 90 ORDER BY person_id
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("learnable") / "sources", 3_000).folder


def snapshot(folder: Path, day: date) -> dict[str, np.ndarray]:
    return duckdb.sql(_FEATURES.format(folder=folder, day=day)).fetchnumpy()


def test_interactions_rank_next_months_buyers_better_than_orders_alone(folder: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    days = [date(2025, month, 1) for month in (3, 5, 7, 9, 11)]
    training = [snapshot(folder, day) for day in days]
    tests = [snapshot(folder, day) for day in (date(2026, 2, 1), date(2026, 4, 1))]

    def auc(columns: list[str]) -> float:
        def matrix(found: dict[str, np.ndarray]) -> np.ndarray:
            return np.column_stack([found[column] for column in columns])

        model = LogisticRegression().fit(
            np.vstack([matrix(found) for found in training]),
            np.concatenate([found["buys"] for found in training]),
        )
        return float(
            np.mean(
                [
                    roc_auc_score(found["buys"], model.predict_proba(matrix(found))[:, 1])
                    for found in tests
                ]
            )
        )

    orders_alone = ["bought", "recency", "age"]
    base = auc(orders_alone)
    assert 0.65 < base < 0.9
    assert auc([*orders_alone, "sessions", "carts"]) > base + 0.01
