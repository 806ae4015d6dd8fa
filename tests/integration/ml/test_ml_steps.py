import os
import shutil
from datetime import timedelta
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from synthetic_customers import AS_OF, CHURN, TASK, days, fill, retailer, settings

from ml.dataset import DatasetError
from ml.metrics_schema import METRICS_SCHEMA, METRICS_TABLE
from ml.registry import Registry, RunRecord
from ml.steps import score, show_metrics, train, training_due
from siyu.paths import Paths
from siyu.retailer import ModelSettings
from siyu.warehouse import Warehouse

SCORES = "ml.customer_scores"


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose MLflow is empty; making its tables is the slow part of a first use."""
    folder = tmp_path_factory.mktemp("empty")
    assert Registry(Paths.of(settings(folder))).champion("made_up_repurchase") is None
    return folder


@pytest.fixture(scope="module")
def home(empty_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with features that trainings of this module share."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(empty_home, folder, dirs_exist_ok=True)
    fill(Warehouse.of(settings(folder)))
    return folder


@pytest.fixture
def new_home(empty_home: Path, tmp_path: Path) -> Path:
    """A home folder of one test's own."""
    shutil.copytree(empty_home, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def trained(home: Path):
    return train(settings(home), retailer(home), "repurchase", AS_OF, "run-1")


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(Paths.of(settings(home)))


def runs(home: Path, experiment: str) -> pd.DataFrame:
    import mlflow

    Registry(Paths.of(settings(home))).champion("made_up_repurchase")
    return mlflow.search_runs(experiment_names=[experiment]).set_index("tags.model")


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_model_with_signal_beats_its_baselines_and_becomes_champion(trained, registry) -> None:
    assert trained.promoted, trained.reason
    assert trained.kind == "xgboost"
    metrics = trained.metrics
    assert metrics["xgboost"]["auc"] > metrics["logistic"]["auc"] > metrics["prior"]["auc"] == 0.5
    assert metrics["xgboost"]["log_loss"] < metrics["logistic"]["log_loss"]
    assert trained.differences["recency"]["auc"].better
    assert trained.differences["logistic"]["log_loss"].better
    champion = registry.champion("made_up_repurchase")
    assert champion is not None
    assert champion.uri == trained.model_uri
    assert champion.tags["promotion_reason"] == trained.reason
    assert champion.tags["fallback"] == "false"


def test_every_model_has_a_run_with_the_same_names(home, trained) -> None:
    found = runs(home, "made_up/repurchase_h30")
    assert set(found.index) == {"xgboost", "logistic", "prior", "recency", "frequency"}
    assert (found["status"] == "FINISHED").all()
    for metric in ("auc", "log_loss", "brier", "ece", "lift_at_10", "active_auc"):
        assert found.loc[["xgboost", "logistic", "prior"], f"metrics.{metric}"].notna().all()
    assert found["metrics.auc"].notna().all()
    assert found["tags.data_sha256"].nunique() == 1
    for tag in ("as_of", "horizon_days", "lead_days", "git_sha", "dbt_manifest_sha"):
        assert found[f"tags.{tag}"].notna().all()
    assert (found["tags.dagster_run_id"] == "run-1").all()
    leader = found.loc["xgboost"]
    assert leader["params.dropped_features"] == "wecom_groups"
    assert leader["metrics.log_loss_vs_logistic_high"] < 0
    assert leader["tags.promotion_reason"] == trained.reason
    assert leader["params.calibration"] in ("none", "platt", "isotonic")
    assert leader["tags.calibration_reason"]
    assert (found["metrics.base_rate"] == leader["metrics.base_rate"]).all()
    assert leader["start_time"] == found["start_time"].max()


def test_runs_experiments_and_models_say_what_they_are(home, trained, registry) -> None:
    import mlflow

    question = "Probability that a customer buys at least once in the 30 days after the as-of day."
    found = runs(home, "made_up/repurchase_h30")["tags.mlflow.note.content"]
    assert found["xgboost"].startswith(question)
    assert "| logistic |" in found["xgboost"]
    assert "Baseline" in found["recency"]
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("made_up/repurchase_h30")
    assert experiment.tags["mlflow.note.content"] == question
    assert client.get_registered_model("made_up_repurchase").description == question
    champion = registry.champion("made_up_repurchase")
    version = client.get_model_version("made_up_repurchase", str(champion.version))
    assert version.description.startswith("Promoted: ")


def test_figures_are_kept_with_the_leader(home, trained) -> None:
    import mlflow

    leader = runs(home, "made_up/repurchase_h30").loc["xgboost", "run_id"]
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(leader, "plots")}
    assert files == {
        f"plots/{name}.png" for name in ("roc", "pr", "reliability", "lift", "importance")
    }


def test_scores_are_those_of_the_model_that_mlflow_loads_by_alias(home, trained, registry) -> None:
    outcome = score(settings(home), retailer(home), "repurchase", AS_OF, "run-1")
    warehouse = Warehouse.of(settings(home))
    scores = warehouse.read(f"FROM {SCORES} ORDER BY customer_id").to_pandas()
    assert outcome.rows == len(scores) == 700
    assert outcome.mean_probability == pytest.approx(scores["p_calibrated"].mean())
    assert set(scores["decile"]) == set(range(1, 11))

    import mlflow

    registry.champion("made_up_repurchase")
    model = mlflow.pyfunc.load_model("models:/made_up_repurchase@champion")
    features = warehouse.read(
        f"FROM features.customer_features WHERE as_of_date = DATE '{AS_OF}' ORDER BY customer_id"
    ).to_pandas()
    assert model.predict(features) == pytest.approx(scores["p_calibrated"].to_numpy())
    assert {column.type.name for column in model.metadata.signature.inputs} == {"double"}


def test_a_kept_model_carries_the_code_it_needs(trained, registry) -> None:
    import mlflow

    registry.champion("made_up_repurchase")
    folder = Path(mlflow.artifacts.download_artifacts("models:/made_up_repurchase@champion"))
    code = (folder / "code" / "ml" / "predictor.py").read_text("utf-8")
    assert "import siyu" not in code
    assert "from siyu" not in code
    assert "from ml" not in code
    assert "xgboost-cpu==" in (folder / "requirements.txt").read_text("utf-8")


def test_scoring_again_gives_the_same_rows_and_keeps_other_days(home, trained) -> None:
    warehouse = Warehouse.of(settings(home))
    earlier = days()[-2]
    for day in (earlier, AS_OF):
        score(settings(home), retailer(home), "repurchase", day, "run-1")
    first = warehouse.read(f"FROM {SCORES} ORDER BY as_of_date, customer_id")
    score(settings(home), retailer(home), "repurchase", AS_OF, "run-2")
    assert warehouse.read(f"FROM {SCORES} ORDER BY as_of_date, customer_id").equals(first)
    assert first.num_rows == 1400


def test_the_same_training_again_does_not_displace_the_champion(home, trained, registry) -> None:
    again = train(settings(home), retailer(home), "repurchase", AS_OF, "run-3")
    assert not again.promoted
    assert "the champion stays" in again.reason
    assert again.metrics["xgboost"] == trained.metrics["xgboost"]
    champion, newest = (
        registry.champion("made_up_repurchase"),
        registry.newest("made_up_repurchase"),
    )
    assert champion is not None
    assert newest is not None
    assert champion.uri == trained.model_uri
    assert newest.version > champion.version
    assert newest.tags["promoted"] == "false"


def test_training_is_due_by_age_and_by_changed_settings(home, trained) -> None:
    there, here = settings(home), retailer(home)
    assert training_due(there, here, "churn", AS_OF) == (True, "made_up_churn was never trained")
    assert not training_due(there, here, "repurchase", AS_OF + timedelta(days=6))[0]
    assert training_due(there, here, "repurchase", AS_OF + timedelta(days=7))[0]
    longer = retailer(home, repurchase=TASK.model_copy(update={"horizon_days": 45}))
    due, reason = training_due(there, longer, "repurchase", AS_OF)
    assert due
    assert "horizon_days 30 (now 45)" in reason
    assert "is too short" in training_due(there, here, "churn", AS_OF - timedelta(days=150))[1]


def test_a_training_killed_before_its_model_came_into_use_is_due_again(
    new_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = settings(new_home), retailer(new_home)
    fill(Warehouse.of(there))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Registry, "promote", _killed)
        train(there, here, "repurchase", AS_OF, "run-1")
    due, reason = training_due(there, here, "repurchase", AS_OF)
    assert due
    assert "killed before its model came into use" in reason
    assert train(there, here, "repurchase", AS_OF, "run-2").promoted
    assert not training_due(there, here, "repurchase", AS_OF)[0]


def test_training_is_due_where_the_warehouse_was_lost_until_its_days_are_there_again(
    home, trained, tmp_path: Path
) -> None:
    shutil.copytree(home / "mlflow", tmp_path / "mlflow")
    there, here = settings(tmp_path), retailer(tmp_path)
    due, reason = training_due(there, here, "repurchase", AS_OF)
    assert due
    assert "lacks days that the last training learned from" in reason
    fill(Warehouse.of(there))
    assert not training_due(there, here, "repurchase", AS_OF)[0]


def test_what_a_training_measured_is_shown_as_a_table(home, trained) -> None:
    there, here = settings(home), retailer(home)
    assert train(there, here, "repurchase", AS_OF, "run-1").metrics == trained.metrics
    show_metrics(there, here, "repurchase")
    rows = Warehouse.of(there).read(f"FROM {METRICS_TABLE}").to_pylist()
    assert {
        model: {row["metric"]: row["value"] for row in rows if row["model"] == model}
        for model in trained.metrics
    } == trained.metrics
    assert len(rows) == sum(map(len, trained.metrics.values()))
    assert {row["test_date"] for row in rows} == {trained.plan.test}


def test_a_training_killed_before_it_registered_a_version_is_not_shown(home, trained) -> None:
    there, here = settings(home), retailer(home)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Registry, "register", _killed)
        train(there, here, "churn", AS_OF, "run-killed")
    for task in ("churn", "repurchase"):
        show_metrics(there, here, task)
    rows = Warehouse.of(there).read(f"SELECT DISTINCT task FROM {METRICS_TABLE}")
    assert rows["task"].to_pylist() == ["repurchase"]


def test_a_warehouse_made_anew_gets_back_what_trainings_measured(
    home, trained, tmp_path: Path
) -> None:
    shutil.copytree(home / "mlflow", tmp_path / "mlflow")
    for folder in (home, tmp_path):
        show_metrics(settings(folder), retailer(folder), "repurchase")
    before, after = (
        Warehouse.of(settings(folder)).read(f"FROM {METRICS_TABLE} ORDER BY ALL")
        for folder in (home, tmp_path)
    )
    assert before.num_rows
    assert after.equals(before)


def test_metrics_that_are_shown_are_not_written_again(
    home, trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_metrics(settings(home), retailer(home), "repurchase")
    monkeypatch.setattr(Warehouse, "replace", _killed)
    show_metrics(settings(home), retailer(home), "repurchase")


def test_without_a_training_there_is_a_typed_table_of_no_metrics(new_home: Path) -> None:
    show_metrics(settings(new_home), retailer(new_home), "churn")
    table = Warehouse.of(settings(new_home)).read(f"FROM {METRICS_TABLE}")
    assert (table.num_rows, table.schema.names) == (0, METRICS_SCHEMA.names)


def test_a_champion_of_another_horizon_does_not_score(home, trained) -> None:
    longer = retailer(home, repurchase=TASK.model_copy(update={"horizon_days": 45}))
    outcome = score(settings(home), longer, "repurchase", days()[0], "run-1")
    assert outcome.rows == 0
    assert "train anew" in str(outcome.reason)


def test_without_a_champion_there_is_a_typed_table_of_no_rows(new_home: Path) -> None:
    fill(Warehouse.of(settings(new_home)), each=20)
    outcome = score(settings(new_home), retailer(new_home), "churn", AS_OF, "run-1")
    assert (outcome.rows, outcome.reason) == (0, "made_up_churn has no champion yet")
    table = Warehouse.of(settings(new_home)).read(f"FROM {SCORES}")
    assert table.num_rows == 0
    assert "p_calibrated" in table.column_names


def test_labels_permuted_within_each_cut_leave_no_skill_and_no_champion(new_home: Path) -> None:
    fill(Warehouse.of(settings(new_home)), each=1200, permuted=True)
    outcome = train(settings(new_home), retailer(new_home), "repurchase", AS_OF, "run-1")
    assert outcome.metrics["xgboost"]["auc"] == pytest.approx(0.5, abs=0.05)
    assert outcome.metrics["logistic"]["auc"] == pytest.approx(0.5, abs=0.05)
    assert not outcome.promoted
    assert "there is no champion" in outcome.reason
    assert Registry(Paths.of(settings(new_home))).champion("made_up_repurchase") is None


def test_little_data_falls_back_to_the_logistic_baseline_and_says_so(new_home: Path) -> None:
    fill(Warehouse.of(settings(new_home)), each=200)
    outcome = train(settings(new_home), retailer(new_home), "churn", AS_OF, "run-1")
    assert outcome.promoted, outcome.reason
    assert outcome.kind == "logistic"
    assert "no trees were fitted" in outcome.reason
    assert "xgboost" not in outcome.metrics
    scored = score(settings(new_home), retailer(new_home), "churn", AS_OF, "run-1")
    recent = Warehouse.of(settings(new_home)).read(
        "SELECT count(*) AS n FROM features.customer_features "
        f"WHERE as_of_date = DATE '{AS_OF}' AND recency_days < {CHURN.active_days}"
    )
    assert scored.rows == recent["n"][0].as_py()


def test_a_day_whose_features_are_not_built_is_named(new_home: Path) -> None:
    warehouse = Warehouse.of(settings(new_home))
    fill(warehouse, each=30)
    missing = days()[1]
    kept = warehouse.read(f"FROM features.customer_features WHERE as_of_date <> DATE '{missing}'")
    warehouse.replace("features.customer_features", kept)
    with pytest.raises(DatasetError, match=f"on {missing}; build the features"):
        train(settings(new_home), retailer(new_home), "repurchase", AS_OF, "run-1")


def test_history_that_is_too_short_is_an_outcome_with_its_reason(new_home: Path) -> None:
    long = retailer(new_home, repurchase=ModelSettings(horizon_days=180))
    outcome = train(settings(new_home), long, "repurchase", AS_OF, "run-1")
    assert not outcome.promoted
    assert "is too short" in outcome.reason
    assert outcome.plan is None


def test_a_second_home_does_not_write_into_the_first(home, trained, new_home: Path) -> None:
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert Registry(Paths.of(settings(new_home))).champion("made_up_repurchase") is None
    assert Registry(Paths.of(settings(home))).champion("made_up_repurchase") is not None


def test_a_run_that_was_killed_is_told_apart_once_the_next_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(Paths.of(settings(tmp_path)))
    first = registry.log_run("churn", RunRecord("first", {"auc": 0.5}), "about churn")
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_terminated", lambda *_, **__: None)
        killed = registry.log_run("churn", RunRecord("killed", {"auc": 0.6}), "about churn")

    after = registry.log_run("churn", RunRecord("after", {"auc": 0.7}), "about churn")

    client = mlflow.MlflowClient()
    states = [client.get_run(run.run_id).info.status for run in (first, killed, after)]
    assert states == ["FINISHED", "KILLED", "FINISHED"]
