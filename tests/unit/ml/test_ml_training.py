from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from ml.baselines import fit_logistic, rankings
from ml.dataset import Dataset, DatasetError, drop_unknown
from ml.predictor import Calibrator, Predictor
from ml.snapshots import SnapshotPlan
from ml.tasks import Task
from ml.training import choose_calibrator, fit_boosted, too_small
from siyu.retailer import ModelSettings

NAMES = ("recency_days", "order_count", "tenure_days", "carts_30d")
MONTH = timedelta(days=30)
CUTS = tuple(date(2024, 1, 31) + MONTH * number for number in range(6))
PLAN = SnapshotPlan(CUTS[:3], (), CUTS[3:5], CUTS[5])


def customers(seed: int = 1, each: int = 400) -> Dataset:
    """Customers whose carts say more than their recency."""
    generator = np.random.default_rng(seed)
    rows = each * len(CUTS)
    matrix = generator.integers(1, 200, size=(rows, 4)).astype(float)
    matrix[:, 3] = generator.poisson(1.0, rows)
    log_odds = 1.5 * (matrix[:, 3] > 0) - matrix[:, 0] / 100
    return Dataset(
        customer_id=pa.array([f"c{row % each}" for row in range(rows)]),
        as_of=np.repeat(np.array(CUTS, dtype="datetime64[D]"), each),
        features=NAMES,
        matrix=matrix,
        label=(generator.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(float),
    )


class Fixed:
    """A scorer that reads its log-odds from the first column."""

    features = NAMES

    def log_odds(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        return matrix


def validation(distortion: float, seed: int = 2, each: int = 3000) -> Dataset:
    """Two cuts whose true log-odds are ``distortion`` times what the scorer says."""
    generator = np.random.default_rng(seed)
    matrix = generator.normal(0, 1.5, size=(2 * each, 4))
    truth = 1 / (1 + np.exp(-distortion * matrix[:, 0]))
    return Dataset(
        customer_id=pa.array([str(row) for row in range(2 * each)]),
        as_of=np.repeat(np.array(CUTS[:2], dtype="datetime64[D]"), each),
        features=NAMES,
        matrix=matrix,
        label=(generator.random(2 * each) < truth).astype(float),
    )


def test_training_twice_gives_the_same_model() -> None:
    rows = customers()
    first, second = (fit_boosted(rows, PLAN, MONTH) for _ in range(2))
    assert first.rounds == second.rounds
    assert first.predictor.raw(rows.matrix).tolist() == second.predictor.raw(rows.matrix).tolist()


def test_the_test_cut_is_not_seen_by_training() -> None:
    rows = customers()
    other = rows.label.copy()
    other[rows.as_of == np.datetime64(PLAN.test)] = 0
    changed = Dataset(rows.customer_id, rows.as_of, rows.features, rows.matrix, other)
    first, second = (fit_boosted(data, PLAN, MONTH).predictor for data in (rows, changed))
    assert first.raw(rows.matrix).tolist() == second.raw(rows.matrix).tolist()


def test_probabilities_are_natural() -> None:
    rows = customers()
    test = rows.at([PLAN.test])
    predicted = fit_boosted(rows, PLAN, MONTH).predictor.calibrated(test.matrix)
    assert predicted.mean() == pytest.approx(test.label.mean(), abs=0.05)


def test_a_calibrator_is_taken_when_it_wins_out_of_time() -> None:
    calibrator, why = choose_calibrator(validation(0.4), Predictor(Fixed()), MONTH)
    assert calibrator.kind in ("platt", "isotonic")
    assert "gains log-loss" in why


def test_calibrated_predictions_stay_as_they_are() -> None:
    calibrator, why = choose_calibrator(validation(1.0), Predictor(Fixed()), MONTH)
    assert calibrator == Calibrator()
    assert "none gains" in why


def test_no_calibrator_is_judged_on_labels_that_overlap_its_own() -> None:
    calibrator, why = choose_calibrator(validation(0.4), Predictor(Fixed()), MONTH * 2)
    assert calibrator == Calibrator()
    assert "no earlier validation cut" in why


def test_too_few_outcomes_of_a_kind_are_said() -> None:
    rows = customers(each=40)
    assert "fewer than 200" in str(too_small(rows.at(PLAN.train)))
    assert too_small(customers().at(PLAN.train)) is None


def test_columns_without_information_are_dropped_with_the_reason() -> None:
    rows = customers()
    matrix = np.column_stack([rows.matrix, np.full(len(rows), np.nan), np.ones(len(rows))])
    wide = Dataset(
        rows.customer_id, rows.as_of, (*NAMES, "wecom_groups", "stores"), matrix, rows.label
    )
    kept, dropped = drop_unknown(wide, wide.at(PLAN.train))
    assert kept.features == NAMES
    assert dropped == {
        "wecom_groups": "the retailer has no source for it",
        "stores": "the same for every customer",
    }


def test_a_model_asks_by_name_for_a_feature_that_is_gone() -> None:
    with pytest.raises(DatasetError, match="no column likes"):
        customers().select(["recency_days", "likes"])


def test_the_hash_sees_one_changed_value_or_label() -> None:
    rows = customers()
    matrix, label = rows.matrix.copy(), rows.label.copy()
    matrix[7, 1] += 1e-9
    label[3] = 1 - label[3]
    seen = {
        data.sha256()
        for data in (
            rows,
            Dataset(rows.customer_id, rows.as_of, rows.features, matrix, rows.label),
            Dataset(rows.customer_id, rows.as_of, rows.features, rows.matrix, label),
        )
    }
    assert len(seen) == 3
    assert rows.sha256() == customers().sha256()


@pytest.mark.parametrize(("task", "sign"), [("repurchase", 1), ("churn", -1)])
def test_trivial_rankings_put_the_likely_first(task, sign) -> None:
    rows = customers()
    found = rankings(Task(task, "demo", ModelSettings(horizon_days=30)), rows)
    recency, frequency = rows.column("recency_days"), rows.column("order_count")
    assert np.corrcoef(found["recency"], recency)[0, 1] == pytest.approx(-sign)
    assert np.corrcoef(found["frequency"], frequency)[0, 1] == pytest.approx(sign)


def test_the_logistic_baseline_finds_that_recency_matters() -> None:
    rows = customers()
    predictor = fit_logistic(rows)
    recent, silent = predictor.raw(np.array([[5.0, 3.0, 100.0], [180.0, 3.0, 190.0]]))
    assert recent > silent + 0.1
