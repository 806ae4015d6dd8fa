"""What `siyu ui` starts follows the settings that everything else obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from siyu.config import REPO, Settings
from siyu.paths import Paths
from siyu.servers import Server, mlflow_elsewhere, ui_environment, ui_servers


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, "shop", REPO / "retailers", "duckdb", None)


def _store(started: list[Server]) -> str:
    (mlflow,) = (server for server in started if server.name == "MLflow")
    return mlflow.command[mlflow.command.index("--backend-store-uri") + 1]


def test_mlflow_shows_what_trainings_keep_under_the_home(settings: Settings) -> None:
    started = ui_servers(settings, 3000, 5000, {})
    assert [server.port for server in started] == [3000, None, 5000]
    assert _store(started) == f"sqlite:///{settings.home}/mlflow/mlflow.db"


def test_mlflow_shows_the_store_that_trainings_are_told_to_keep_theirs_in(
    settings: Settings,
) -> None:
    env = {"MLFLOW_TRACKING_URI": "postgresql://mlflow@db/mlflow"}
    assert _store(ui_servers(settings, 3000, 5000, env)) == env["MLFLOW_TRACKING_URI"]


def test_no_mlflow_is_started_where_a_server_is_named(settings: Settings) -> None:
    env = {"MLFLOW_TRACKING_URI": "https://mlflow.example"}
    started = ui_servers(settings, 3000, 5000, env)
    assert [server.name for server in started] == ["Dagster", "Dagster's daemon"]
    assert mlflow_elsewhere(env) == "https://mlflow.example"


@pytest.mark.parametrize("env", [{}, {"DAGSTER_HOME": ""}])
def test_dagsters_home_is_the_retailers_unless_one_is_named(
    settings: Settings, env: dict[str, str]
) -> None:
    said = ui_environment(settings, env)
    assert said["DAGSTER_HOME"] == str(Paths.of(settings).dagster)
    named = ui_environment(settings, {"DAGSTER_HOME": "/srv/dagster"})
    assert named["DAGSTER_HOME"] == "/srv/dagster"
