from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.predictor import (
    CLIP,
    BoosterScorer,
    Calibrator,
    LogisticScorer,
    ModelFileError,
    Predictor,
    load,
    save,
)
from ml.training import fit_isotonic, fit_platt


def booster() -> tuple[Predictor, np.ndarray]:
    import xgboost

    generator = np.random.default_rng(3)
    matrix = generator.normal(size=(500, 3))
    matrix[generator.random(matrix.shape) < 0.1] = np.nan
    label = (np.nan_to_num(matrix).sum(axis=1) > 0).astype(float)
    rows = xgboost.DMatrix(matrix, label, feature_names=["a", "b", "c"])
    trees = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, rows, 20)
    calibrator = Calibrator("platt", (0.8, 0.1))
    return Predictor(BoosterScorer(trees, ("a", "b", "c")), calibrator, {"task": "churn"}), matrix


def logistic() -> tuple[Predictor, np.ndarray]:
    scorer = LogisticScorer(
        features=("recency_days", "order_count", "tenure_days"),
        mean=[50.0, 3.0, 1.0, 3.0, 5.0, 0.5],
        scale=[30.0, 1.0, 0.5, 2.0, 1.0, 0.3],
        weights=[-0.2, -0.6, 0.9, 0.1, -0.1, 0.3],
        intercept=-0.4,
    )
    matrix = np.random.default_rng(4).integers(1, 300, size=(50, 3)).astype(float)
    matrix[0, 1] = np.nan
    return Predictor(scorer, about={"task": "churn"}), matrix


@pytest.mark.parametrize("made", [booster, logistic])
def test_contributions_and_bias_sum_to_the_log_odds(made) -> None:
    predictor, matrix = made()
    left = predictor.scorer.log_odds(matrix) - predictor.scorer.contributions(matrix).sum(axis=1)
    assert left == pytest.approx(np.full(len(matrix), left[0]), abs=1e-5)


def test_contributions_of_trees_are_those_of_xgboost() -> None:
    import xgboost

    predictor, matrix = booster()
    rows = xgboost.DMatrix(matrix, feature_names=["a", "b", "c"])
    expected = predictor.scorer.booster.predict(rows, pred_contribs=True)
    assert predictor.scorer.contributions(matrix) == pytest.approx(expected[:, :-1])
    assert predictor.raw(matrix) == pytest.approx(predictor.scorer.booster.predict(rows), abs=1e-6)


@pytest.mark.parametrize("made", [booster, logistic])
def test_a_saved_model_predicts_the_same(made, tmp_path: Path) -> None:
    predictor, matrix = made()
    save(predictor, tmp_path)
    loaded = load(tmp_path)
    assert loaded.features == predictor.features
    assert loaded.about == {"task": "churn"}
    assert loaded.calibrated(matrix).tolist() == predictor.calibrated(matrix).tolist()
    assert (
        loaded.scorer.contributions(matrix).tolist()
        == predictor.scorer.contributions(matrix).tolist()
    )


def test_a_folder_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.json: no such file"):
        load(tmp_path)


def test_an_unknown_value_counts_as_the_average_in_the_logistic_baseline() -> None:
    predictor, _ = logistic()
    nothing = predictor.scorer.log_odds(np.full((1, 3), np.nan))
    assert nothing == pytest.approx([-0.4])


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([fit_platt, fit_isotonic]))
def test_calibrators_keep_the_order_and_never_claim_certainty(seed: int, fit) -> None:
    generator = np.random.default_rng(seed)
    raw = generator.uniform(0.01, 0.99, 300)
    label = (generator.random(300) < raw).astype(float)
    calibrated = fit(raw, label)(np.linspace(CLIP, 1 - CLIP, 50))
    assert (np.diff(calibrated) >= -1e-12).all()
    assert (calibrated > 0).all()
    assert (calibrated < 1).all()
