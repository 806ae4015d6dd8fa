import numpy as np
import pytest

from ml.promotion import decide


@pytest.fixture
def world() -> dict[str, np.ndarray]:
    """Outcomes, with predictions that know all, some or nothing of the true probabilities."""
    generator = np.random.default_rng(5)
    truth = generator.beta(1, 2, 3000)

    def blurred(amount: float) -> np.ndarray:
        log_odds = np.log(truth / (1 - truth)) + generator.normal(0, amount, 3000)
        return 1 / (1 + np.exp(-log_odds))

    return {
        "label": (generator.random(3000) < truth).astype(float),
        "truth": truth,
        "fair": blurred(0.5),
        "poor": blurred(1.0),
        "prior": np.full(3000, 1 / 3),
    }


def test_the_first_model_that_beats_its_baselines_is_promoted(world) -> None:
    found = decide(
        world["label"],
        {"xgboost": world["truth"], "logistic": world["fair"], "prior": world["prior"]},
        champion=None,
    )
    assert (found.kind, found.promoted) == ("xgboost", True)
    assert "beats logistic and prior" in found.reason
    assert "there was no champion" in found.reason


def test_trees_that_only_equal_the_baseline_give_way_to_it(world) -> None:
    found = decide(
        world["label"],
        {"xgboost": world["fair"], "logistic": world["fair"], "prior": world["prior"]},
        champion=None,
    )
    assert (found.kind, found.promoted) == ("logistic", True)
    assert "xgboost refused" in found.reason
    assert "fallback" in found.reason


def test_a_worse_challenger_is_refused_with_the_interval(world) -> None:
    found = decide(
        world["label"],
        {"xgboost": world["fair"], "logistic": world["poor"], "prior": world["prior"]},
        champion=world["truth"],
    )
    assert not found.promoted
    assert found.kind == "xgboost"
    assert "the champion stays" in found.reason
    assert "log-loss against the champion +" in found.reason


def test_the_same_model_again_does_not_displace_itself(world) -> None:
    found = decide(
        world["label"],
        {"xgboost": world["truth"], "logistic": world["fair"], "prior": world["prior"]},
        champion=world["truth"],
    )
    # Dagster shows a bool, and no NumPy one.
    assert found.promoted is False


def test_a_better_challenger_displaces_the_champion(world) -> None:
    found = decide(
        world["label"],
        {"xgboost": world["truth"], "logistic": world["poor"], "prior": world["prior"]},
        champion=world["fair"],
    )
    assert found.promoted is True


def test_a_model_that_misses_the_calibration_limit_is_refused(world) -> None:
    shifted = world["truth"] * 0.8
    found = decide(
        world["label"],
        {"xgboost": shifted, "logistic": world["prior"] * 0.5, "prior": world["prior"] * 0.3},
        champion=None,
        max_ece=0.02,
    )
    assert not found.promoted
    assert "calibration error" in found.reason
    assert "there is no champion" in found.reason


def test_without_signal_nothing_is_promoted(world) -> None:
    generator = np.random.default_rng(6)
    label = generator.permutation(world["label"])
    found = decide(
        label,
        {"xgboost": world["truth"], "logistic": world["fair"], "prior": world["prior"]},
        champion=None,
    )
    assert not found.promoted
    assert "xgboost refused" in found.reason
    assert "logistic refused" in found.reason
