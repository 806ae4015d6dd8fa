import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from ml.evaluation import (
    auc,
    calibration_error_by_chance,
    calibration_line,
    compare,
    expected_calibration_error,
    lift,
    probability_metrics,
    rank_metrics,
)


def outcomes(rows: int = 4000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from their own probabilities."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 3, rows)
    return (generator.random(rows) < probability).astype(float), probability


@given(
    hnp.arrays(np.float64, st.integers(2, 60), elements=st.sampled_from([0.0, 1.0])),
    st.integers(0, 2**32 - 1),
)
def test_auc_equals_scikit_learn_with_ties(label: np.ndarray, seed: int) -> None:
    score = np.random.default_rng(seed).integers(0, 5, len(label)) / 5
    if 0 < label.mean() < 1:
        assert auc(label, score) == pytest.approx(roc_auc_score(label, score))
    else:
        assert rank_metrics(label, score) == {"rows": len(label), "base_rate": label.mean()}


def test_a_constant_probability_has_no_calibration_line_and_no_metric_is_nan() -> None:
    label, _ = outcomes()
    found = probability_metrics(label, np.full(len(label), 0.3))
    assert "calibration_slope" not in found
    assert np.isfinite(list(found.values())).all()


def test_metrics_equal_scikit_learn() -> None:
    label, probability = outcomes()
    found = probability_metrics(label, probability)
    assert next(iter(found)) == "auc"
    assert found["auc"] == pytest.approx(roc_auc_score(label, probability))
    assert found["pr_auc"] == pytest.approx(average_precision_score(label, probability))
    assert found["log_loss"] == pytest.approx(log_loss(label, probability))
    assert found["brier"] == pytest.approx(brier_score_loss(label, probability))
    assert found["rows"] == 4000
    assert found["mean_p"] == pytest.approx(probability.mean())
    assert found["base_rate"] == pytest.approx(label.mean())


def test_true_probabilities_are_found_calibrated_and_distorted_ones_are_not() -> None:
    label, probability = outcomes(40_000)
    slope, intercept = calibration_line(label, probability)
    assert slope == pytest.approx(1, abs=0.05)
    assert intercept == pytest.approx(0, abs=0.05)
    assert expected_calibration_error(label, probability) < 0.01
    assert expected_calibration_error(label, probability**2) > 0.05
    odds = (probability / (1 - probability)) ** 2
    assert calibration_line(label, odds / (1 + odds))[0] == pytest.approx(0.5, abs=0.03)


def test_calibration_error_of_two_bins_by_hand() -> None:
    label = np.array([0, 0, 0, 1, 1, 1, 1, 0], dtype=float)
    probability = np.array([0.1] * 4 + [0.7] * 4)
    # |.1 - .25| and |.7 - .75|, half of the rows each.
    assert expected_calibration_error(label, probability) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_calibration_error_by_chance_is_what_calibrated_predictions_reach() -> None:
    generator = np.random.default_rng(9)
    for rows in (150, 5000):
        probability = generator.beta(1, 3, rows)
        seen = [
            expected_calibration_error(
                (generator.random(rows) < probability).astype(float), probability
            )
            for _ in range(400)
        ]
        bound = calibration_error_by_chance(probability)
        assert np.mean(np.array(seen) < bound) == pytest.approx(0.95, abs=0.04)


def test_a_constant_prediction_is_one_bin() -> None:
    label = np.array([1.0, 0.0, 0.0, 0.0])
    assert expected_calibration_error(label, np.full(4, 0.25)) == pytest.approx(0)


def test_lift_by_hand_and_without_regard_to_the_order_of_ties() -> None:
    label = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], dtype=float)
    score = np.linspace(1, 0, 10)
    assert lift(label, score, 0.1) == pytest.approx(5)
    assert lift(label, score, 0.2) == pytest.approx(5)
    assert lift(label, np.ones(10), 0.2) == pytest.approx(1)
    assert lift(label[::-1], np.ones(10), 0.2) == pytest.approx(1)


def test_comparison_of_a_model_with_itself_is_no_difference() -> None:
    label, probability = outcomes()
    for difference in compare(label, probability, probability.copy()).values():
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
        assert not difference.better


def test_comparison_sees_that_the_truth_beats_a_guess_and_the_reverse() -> None:
    label, probability = outcomes()
    guess = np.clip(probability + np.random.default_rng(2).normal(0, 0.15, len(label)), 0.01, 0.99)
    forward, backward = compare(label, probability, guess), compare(label, guess, probability)
    for metric in ("log_loss", "auc"):
        assert forward[metric].better
        assert not backward[metric].better
        assert forward[metric].low < forward[metric].mean < forward[metric].high


def test_bootstrap_interval_agrees_with_the_normal_approximation() -> None:
    label, probability = outcomes()
    other = np.full(len(label), label.mean())
    found = compare(label, probability, other)["log_loss"]
    loss = np.where(
        label == 1, np.log(other) - np.log(probability), np.log1p(-other) - np.log1p(-probability)
    )
    error = 1.96 * loss.std() / np.sqrt(len(label))
    assert found.low == pytest.approx(loss.mean() - error, rel=0.1)
    assert found.high == pytest.approx(loss.mean() + error, rel=0.1)
