import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.catalog import Feature
from ml.reasons import top_reasons

FEATURES = [
    Feature(
        "recency_days",
        "recency",
        "No purchase for {value:.0f} days",
        "{value:.0f} 天未购买",
        "Days",
        "天数",
    ),
    Feature(
        "recency_to_gap",
        "recency",
        "{value:.1f} times the usual gap",
        "间隔 {value:.1f} 倍",
        "Gaps",
        "间隔",
    ),
    Feature(
        "order_count", "frequency", "{value:.0f} orders", "{value:.0f} 笔订单", "Orders", "订单数"
    ),
    Feature(
        "carts",
        "interest",
        "{value:.0f} carts",
        "加购 {value:.0f} 次",
        "Carts in 30 days",
        "加购次数",
    ),
]


def test_features_of_one_group_are_one_reason_said_by_the_strongest() -> None:
    matrix = np.array([[120.0, 3.04, 2.0, 0.0]])
    contributions = np.array([[-0.5, -0.7, 0.9, 0.1]])
    first, second, third = top_reasons(matrix, contributions, FEATURES)
    assert first.en.to_pylist() == ["3.0 times the usual gap"]
    assert first.zh.to_pylist() == ["间隔 3.0 倍"]
    assert first.contribution == pytest.approx([-1.2])
    assert second.en.to_pylist() == ["2 orders"]
    assert third.en.to_pylist() == ["0 carts"]


def test_the_group_is_said_by_a_feature_that_pulls_its_way() -> None:
    matrix = np.array([[5.0, 0.2, 1.0, 0.0]])
    first, *_ = top_reasons(matrix, np.array([[-0.3, 0.8, 0.1, 0.0]]), FEATURES)
    assert first.en.to_pylist() == ["0.2 times the usual gap"]
    assert first.contribution == pytest.approx([0.5])


def test_a_known_value_speaks_before_an_unknown_one() -> None:
    matrix = np.array([[30.0, np.nan, 1.0, np.nan]])
    first, _, third = top_reasons(matrix, np.array([[-0.1, -0.9, 0.2, 0.15]]), FEATURES)
    assert first.en.to_pylist() == ["No purchase for 30 days"]
    assert third.en.to_pylist() == ["Carts in 30 days: not known"]
    assert third.zh.to_pylist() == ["加购次数：未知"]


def test_an_empty_value_that_means_something_is_said_by_what_it_means() -> None:
    gap = Feature(
        "gap", "rhythm", "{value}", "{value}", "Gap", "间隔", "Has bought only once", "仅购买一次"
    )
    found, *_ = top_reasons(np.array([[np.nan]]), np.array([[0.4]]), [gap])
    assert found.en.to_pylist() == ["Has bought only once"]
    assert found.zh.to_pylist() == ["仅购买一次"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0 days"), (-0.001, "0 days"), (1.0, "1 day"), (1.2, "1 day"), (30.0, "30 days")],
)
def test_one_is_not_said_in_the_plural(value: float, said: str) -> None:
    age = Feature("age", "age", "{value:.0f} day{s}", "{value:.0f} 天", "Age", "天数")
    found, *_ = top_reasons(np.array([[value]]), np.array([[0.4]]), [age])
    assert found.en.to_pylist() == [said]


def test_a_group_that_adds_nothing_is_no_reason() -> None:
    found = top_reasons(np.zeros((1, 4)), np.array([[0.0, 0.0, 0.3, 0.0]]), FEATURES)
    assert [reason.en.to_pylist()[0] for reason in found] == ["0 orders", None, None]
    assert np.isnan(found[1].contribution[0])


def test_a_model_with_one_group_has_one_reason() -> None:
    found = top_reasons(np.array([[4.0]]), np.array([[1.0]]), FEATURES[:1])
    assert [reason.en.to_pylist() for reason in found] == [
        ["No purchase for 4 days"],
        [None],
        [None],
    ]


@given(st.integers(0, 2**32 - 1))
def test_reasons_are_the_strongest_group_sums_in_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix, contributions = generator.normal(size=(2, 7, 4))
    found = top_reasons(matrix, contributions, FEATURES)
    groups = np.column_stack(
        [contributions[:, :2].sum(axis=1), contributions[:, 2], contributions[:, 3]]
    )
    expected = -np.sort(-np.abs(groups), axis=1)
    assert np.abs(np.column_stack([r.contribution for r in found])) == pytest.approx(expected)
    assert np.sum([r.contribution for r in found], axis=0) == pytest.approx(
        contributions.sum(axis=1)
    )
