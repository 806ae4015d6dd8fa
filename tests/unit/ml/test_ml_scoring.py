from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.catalog import CatalogError, Feature, describe, read_catalog
from ml.dataset import Dataset
from ml.predictor import CLIP, LogisticScorer, Predictor
from ml.scores_schema import SCORE_COLUMNS, SCORES_KEY, SCORES_SCHEMA
from ml.scoring import ModelIdentity, deciles, row_hashes, score_rows
from ml.tasks import Task
from siyu.retailer import ModelSettings

NAMES = ("recency_days", "order_count", "tenure_days")
TASK = Task("repurchase", "demo", ModelSettings(horizon_days=30))
MODEL = ModelIdentity("demo_repurchase", 3, "abc")


def predictor() -> Predictor:
    scorer = LogisticScorer(
        NAMES, [50, 4, 1, 3, 5, 0.5], [30, 1, 0.5, 2, 1, 0.3], [-1, 0, 1, 0, 0, 0.1], -0.4
    )
    about = [
        Feature(name, name, f"{name} {{value:.0f}}", f"{name} {{value:.0f}}", name, name)
        for name in NAMES
    ]
    return Predictor(scorer, about={"features": [feature.as_dict() for feature in about]})


def customers(rows: int = 100) -> Dataset:
    matrix = np.random.default_rng(8).integers(1, 200, size=(rows, 4)).astype(float)
    return Dataset(
        customer_id=pa.array([f"c{row:03}" for row in range(rows)]),
        as_of=np.full(rows, "2024-06-30", dtype="datetime64[D]"),
        features=("unused", *NAMES),
        matrix=matrix,
        label=np.empty(0),
    )


def test_scores_have_the_declared_columns_and_are_the_same_again() -> None:
    first = score_rows(TASK, MODEL, predictor(), customers())
    assert first.schema == SCORES_SCHEMA
    assert first.equals(score_rows(TASK, MODEL, predictor(), customers()))
    row = first.to_pylist()[0]
    assert (row["model_name"], row["model_version"], row["run_id"]) == ("demo_repurchase", 3, "abc")
    assert row["horizon_days"] == 30
    assert row["reason_1"].split()[0] in NAMES
    required = [column.name for column in SCORE_COLUMNS if column.required]
    assert all(first[name].null_count == 0 for name in required)
    assert set(SCORES_KEY) <= set(required)


def test_reasons_are_ordered_by_strength_and_add_up_to_the_score() -> None:
    table = score_rows(TASK, MODEL, predictor(), customers())
    added = np.column_stack(
        [
            np.nan_to_num(np.array(table[f"reason_{rank}_contribution"].to_pylist(), float))
            for rank in (1, 2, 3)
        ]
    )
    assert (np.diff(np.abs(added), axis=1) <= 1e-12).all()
    p = table["p_raw"].to_numpy()
    told = 1 / (1 + np.exp(0.4 - added.sum(axis=1)))
    assert p == pytest.approx(np.clip(told, CLIP, 1 - CLIP))


def test_no_customers_are_no_rows() -> None:
    empty = score_rows(TASK, MODEL, predictor(), customers().where(np.zeros(100, dtype=bool)))
    assert empty.num_rows == 0
    assert empty.schema == SCORES_SCHEMA


@given(st.lists(st.floats(0, 1), max_size=200))
def test_deciles_are_even_and_follow_the_probability(values: list[float]) -> None:
    probability = np.array(values)
    found = deciles(probability)
    sizes = np.bincount(found, minlength=11)
    assert sizes[0] == 0
    assert np.ptp(sizes[1:]) <= 1
    for decile in range(1, 10):
        here, below = probability[found == decile], probability[found > decile]
        if len(here) and len(below):
            assert here.min() >= below.max()


def test_risk_is_of_not_buying_whichever_way_the_task_asks() -> None:
    churn = Task("churn", "demo", ModelSettings(horizon_days=30))
    p = np.array([0.9, 0.5, 0.1])
    assert churn.risk_band(p).tolist() == ["high", "medium", "low"]
    assert TASK.risk_band(p).tolist() == ["low", "medium", "high"]


def test_equal_rows_have_equal_hashes_and_others_not() -> None:
    first, second, third = row_hashes(
        np.array([[1.0, np.nan], [1.0, np.nan], [1.0, 2.0]])
    ).to_pylist()
    assert first == second != third


YAML = """
models:
  - name: customer_features
    columns:
      - name: recency_days
        description: Days since the last order
        config:
          meta: {group: recency, reason_en: "No purchase for {value:.0f} days", reason_zh: "%s", zh: 天数,
                 label_en: Silence, label_zh: 沉默天数, unknown_en: Never bought}
      - name: customer_id
  - name: customer_labels
    columns: [{name: other, meta: {group: none}}]
"""


def test_features_are_described_by_the_meta_beside_their_sql(tmp_path: Path) -> None:
    (tmp_path / "_features.yml").write_text(YAML % "{value:.0f} 天未购买", "utf-8")
    catalog = read_catalog(tmp_path)
    assert list(catalog) == ["recency_days"]
    known, unknown = describe(["recency_days", "likes"], catalog)
    assert (known.en, known.zh) == ("Silence", "沉默天数")
    assert (known.say_en(float("nan")), known.say_zh(float("nan"))) == (
        "Never bought",
        "沉默天数：未知",
    )
    assert known.reason_zh.format(value=12.0) == "12 天未购买"
    assert (unknown.group, unknown.reason_en.format(value=2.0)) == ("likes", "likes is 2")


def test_a_sentence_with_an_unknown_blank_is_refused_by_file_and_column(tmp_path: Path) -> None:
    (tmp_path / "_features.yml").write_text(YAML % "{days} 天", "utf-8")
    with pytest.raises(CatalogError, match=r"_features\.yml: recency_days: reason_zh '{days} 天'"):
        read_catalog(tmp_path)


def test_every_feature_of_the_project_has_a_label_of_its_own_and_speaks_both_languages() -> None:
    features = read_catalog().values()
    assert len(features) > 50
    for labels in ([f.en for f in features], [f.zh for f in features]):
        assert len(set(labels)) == len(labels)
    for feature in features:
        assert feature.en != feature.name
        assert len(feature.en) <= 60
        assert not feature.zh.isascii()
        for value in (0.0, 1.0, 2.5, float("nan")):
            assert all("{" not in said for said in (feature.say_en(value), feature.say_zh(value)))
