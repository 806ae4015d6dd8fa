"""Jobs, sensors and schedules: which there are, what they select, and when they ask for a run."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import pytest

JOBS = {
    # job: groups that it runs
    "land": {"lake"},
    "refresh": {
        "lake", "staging", "identity", "unified", "marts", "features", "models", "ml", "serving",
    },
    "train": {"features", "models"},
    "score": {"features", "ml"},
    "publish": {"serving"},
    "rebuild": {"staging", "identity", "unified", "marts", "features", "models", "ml", "serving"},
}  # fmt: skip
SENSORS = {"new_input_files", "refresh_after_landing"}
SCHEDULES = {
    "daily_landing": ("land", "0 6 * * *", "Asia/Shanghai"),
    "weekly_training": ("train", "0 3 * * 0", "Asia/Shanghai"),
}

SETTINGS = """
name: corner_shop
en: Corner shop
zh: 街角小店
timezone: Asia/Shanghai
currency: CNY
history_from: 2026-01-01
identifiers: {}
models: {}
inputs:
  tills: {format: csv, location: "${TILLS}/*.csv"}
"""


@pytest.fixture
def repository(demo: dg.Definitions) -> dg.RepositoryDefinition:
    return demo.get_repository_def()


@pytest.fixture
def tills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder that the only input of a small retailer names."""
    folder = tmp_path / "retailers" / "corner_shop"
    folder.mkdir(parents=True)
    (folder / "retailer.yaml").write_text(SETTINGS, "utf-8")
    monkeypatch.setenv("SIYU_RETAILERS", str(folder.parent))
    monkeypatch.setenv("SIYU_RETAILER", "corner_shop")
    dropped = tmp_path / "tills"
    dropped.mkdir()
    monkeypatch.setenv("TILLS", str(dropped))
    return dropped


def test_there_are_exactly_these_jobs(repository: dg.RepositoryDefinition) -> None:
    named = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert named == set(JOBS)


def test_there_are_exactly_these_sensors(repository: dg.RepositoryDefinition) -> None:
    assert {sensor.name for sensor in repository.sensor_defs} == SENSORS


def test_there_are_exactly_these_schedules(repository: dg.RepositoryDefinition) -> None:
    said = {
        schedule.name: (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone)
        for schedule in repository.schedule_defs
    }
    assert said == SCHEDULES


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_its_groups_and_says_what_it_is_for(demo: dg.Definitions, name: str) -> None:
    job = demo.resolve_job_def(name)
    assert {key.path[0] for key in job.asset_layer.selected_asset_keys} == JOBS[name]
    assert job.description


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_every_check_of_the_assets_it_selects(demo: dg.Definitions, name: str) -> None:
    job, graph = demo.resolve_job_def(name), demo.resolve_asset_graph()
    checks = graph.get_check_keys_for_assets(job.asset_layer.selected_asset_keys)
    assert set(checks) == set(job.asset_layer.asset_graph.asset_check_keys)


def test_only_train_and_rebuild_train_when_no_training_is_due(demo: dg.Definitions) -> None:
    always = {name for name in JOBS if demo.resolve_job_def(name).tags.get("siyu/training")}
    assert always == {"train", "rebuild"}


def test_only_rebuild_drops_the_warehouse(demo: dg.Definitions) -> None:
    dropping = {name for name in JOBS if demo.resolve_job_def(name).tags.get("siyu/rebuild")}
    assert dropping == {"rebuild"}


def _look(repository: dg.RepositoryDefinition, cursor: str | None = None) -> object:
    sensor = repository.get_sensor_def("new_input_files")
    return sensor(dg.build_sensor_context(cursor=cursor))


def test_no_source_file_is_no_reason_to_land(
    repository: dg.RepositoryDefinition, tills: Path
) -> None:
    looked = _look(repository)
    assert isinstance(looked, dg.SkipReason)
    assert looked.skip_message == "no source file found"


def test_a_new_source_file_is_landed_once(repository: dg.RepositoryDefinition, tills: Path) -> None:
    (tills / "monday.csv").write_text("order\n1\n")
    first = _look(repository)
    assert isinstance(first, dg.SensorResult)
    assert first.run_requests is not None
    assert len(first.run_requests) == 1
    again = _look(repository, first.cursor)
    assert isinstance(again, dg.SkipReason)
    assert again.skip_message == "no change in 1 source files"


@pytest.mark.parametrize("change", ["another", "rewritten", "removed"])
def test_a_change_of_the_source_files_is_landed(
    repository: dg.RepositoryDefinition, tills: Path, change: str
) -> None:
    for day in ("monday", "tuesday"):
        (tills / f"{day}.csv").write_text("order\n1\n")
    first = _look(repository)
    assert isinstance(first, dg.SensorResult)
    if change == "another":
        (tills / "wednesday.csv").write_text("order\n1\n")
    elif change == "rewritten":
        # The same size, only later: a till may correct a digit.
        os.utime(tills / "tuesday.csv", (2_000_000_000, 2_000_000_000))
    else:
        (tills / "tuesday.csv").unlink()
    second = _look(repository, first.cursor)
    assert isinstance(second, dg.SensorResult)
    assert second.run_requests is not None
    assert [request.run_key for request in second.run_requests] == [second.cursor]
    assert second.cursor != first.cursor


def test_a_location_that_cannot_be_filled_in_is_said_and_does_not_break_the_sensor(
    repository: dg.RepositoryDefinition, tills: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TILLS")
    looked = _look(repository)
    assert isinstance(looked, dg.SkipReason)
    assert "set TILLS" in str(looked.skip_message)


def test_a_landing_is_followed_by_a_refresh_of_one_day(
    demo: dg.Definitions,
    repository: dg.RepositoryDefinition,
    instance: dg.DagsterInstance,
    tills: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIYU_AS_OF", "2026-03-01")
    run = instance.create_run_for_job(
        demo.resolve_job_def("land"), status=dg.DagsterRunStatus.SUCCESS
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="refresh_after_landing",
        dagster_event=dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "land"),
        dagster_instance=instance,
        dagster_run=run,
    )
    asked = repository.get_sensor_def("refresh_after_landing")(context)
    assert isinstance(asked, dg.RunRequest)
    assert asked.job_name == "refresh"
    assert asked.partition_key == "2026-03-01"
    assert run.run_id in str(asked.run_key)
