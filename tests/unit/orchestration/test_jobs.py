"""Jobs, sensors and schedules: which there are, what they select, and when they ask for a run."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.lib.standing import may_stand

JOBS = {
    # job: groups that it runs
    "land": {"lake"},  # and sources, where there are connections
    "replay": {"lake"},
    "refresh": {
        "lake", "staging", "identity", "unified", "marts", "features", "ops", "models", "ml",
        "serving",
    },
    "train": {"features", "models"},
    "score": {"features", "ml"},
    "publish": {"serving"},
    "rebuild": {
        "staging", "identity", "unified", "marts", "features", "ops", "models", "ml", "serving",
    },
}  # fmt: skip
SENSORS = {
    "new_input_files", "connections_due", "refresh_after_landing",
    "alert_failed_runs", "alert_warned_and_recovered_runs", "dead_runs",
}  # fmt: skip
SCHEDULES = {
    "daily_landing": ("land", "0 6 * * *", "Asia/Shanghai"),
    "weekly_maintenance": ("maintenance", "0 2 * * 0", "Asia/Shanghai"),
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


def _say(inputs: str, tills: Path) -> None:
    """Give the small retailer other inputs."""
    file = tills.parent / "retailers" / "corner_shop" / "retailer.yaml"
    file.write_text(SETTINGS.partition("inputs:")[0] + f"inputs:\n{inputs}\n", "utf-8")


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
    assert named == {*JOBS, "maintenance"}


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


@pytest.mark.parametrize("name", [*JOBS, "maintenance"])
def test_no_step_runs_outside_a_workspace_where_nobody_would_note_its_process(
    demo: dg.Definitions, name: str
) -> None:
    nodes = demo.resolve_job_def(name).all_node_defs
    steps = [node for node in nodes if isinstance(node, dg.OpDefinition)]
    assert steps
    assert [s.name for s in steps if "workspace" not in s.required_resource_keys] == []


def test_only_train_and_rebuild_train_when_no_training_is_due(demo: dg.Definitions) -> None:
    always = {name for name in JOBS if demo.resolve_job_def(name).tags.get("siyu/training")}
    assert always == {"train", "rebuild"}


def test_only_a_refresh_leaves_standing_what_nothing_changed_under(demo: dg.Definitions) -> None:
    leaving = {name for name in JOBS if may_stand(demo.resolve_job_def(name).tags)}
    assert leaving == {"refresh"}


def test_only_replay_says_what_stays_in_quarantine(demo: dg.Definitions) -> None:
    replaying = {name for name in JOBS if demo.resolve_job_def(name).tags.get("siyu/replay")}
    assert replaying == {"replay"}


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
    (request,) = second.run_requests
    assert request.tags["siyu/inputs"] == "tills"
    assert second.cursor != first.cursor


def test_a_file_that_comes_back_is_landed_again(
    repository: dg.RepositoryDefinition, tills: Path
) -> None:
    file = tills / "monday.csv"
    file.write_text("order\n1\n")
    keys, cursor = set(), None
    for here in (True, False, True):
        file = file.rename(tills / ("monday.csv" if here else "monday.away"))
        looked = _look(repository, cursor)
        assert isinstance(looked, dg.SensorResult)
        assert looked.run_requests is not None
        keys |= {request.run_key for request in looked.run_requests}
        cursor = looked.cursor
    assert len(keys) == 3


@pytest.mark.parametrize("name", ["monday.csv.part", ".monday.csv"])
def test_a_file_that_is_still_being_written_does_not_start_a_landing(
    repository: dg.RepositoryDefinition, tills: Path, name: str
) -> None:
    (tills / name).write_text("order\n1\n")
    assert isinstance(_look(repository), dg.SkipReason)


def test_a_drop_that_is_not_atomic_is_left_to_settle(
    repository: dg.RepositoryDefinition, tills: Path
) -> None:
    _say('  tills: {format: csv, location: "${TILLS}/*.csv", settle_seconds: 600}', tills)
    file = tills / "monday.csv"
    file.write_text("order\n1\n")
    assert isinstance(_look(repository), dg.SkipReason)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert isinstance(_look(repository), dg.SensorResult)


def test_the_run_names_the_inputs_that_changed_and_the_cursor_is_kept_for_each(
    repository: dg.RepositoryDefinition, tills: Path
) -> None:
    _say(
        "\n".join(
            f'  {name}: {{format: csv, location: "${{TILLS}}/{name}*.csv"}}'
            for name in ("tills", "stock", "staff")
        ),
        tills,
    )
    for name in ("tills", "stock", "staff"):
        (tills / f"{name}.csv").write_text("id\n1\n")
    first = _look(repository)
    assert isinstance(first, dg.SensorResult)
    assert set(json.loads(first.cursor or "")) == {"tills", "stock", "staff"}
    (tills / "stock2.csv").write_text("id\n2\n")
    (tills / "staff.csv").unlink()
    second = _look(repository, first.cursor)
    assert isinstance(second, dg.SensorResult)
    (request,) = second.run_requests or ()
    assert request.tags["siyu/inputs"] == "staff, stock"


def test_a_cursor_of_an_earlier_version_starts_anew(
    repository: dg.RepositoryDefinition, tills: Path
) -> None:
    (tills / "monday.csv").write_text("order\n1\n")
    assert isinstance(_look(repository, "9f86d081884c7d65"), dg.SensorResult)


def test_a_location_that_cannot_be_filled_in_is_said_and_does_not_break_the_sensor(
    repository: dg.RepositoryDefinition, tills: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TILLS")
    looked = _look(repository)
    assert isinstance(looked, dg.SkipReason)
    assert "set TILLS" in str(looked.skip_message)


def test_a_location_that_cannot_be_filled_in_does_not_hold_up_other_inputs(
    repository: dg.RepositoryDefinition, tills: Path
) -> None:
    _say(
        '  tills: {format: csv, location: "${TILLS}/*.csv"}\n'
        '  stock: {format: csv, location: "${NOWHERE}/*.csv"}',
        tills,
    )
    (tills / "monday.csv").write_text("order\n1\n")
    looked = _look(repository)
    assert isinstance(looked, dg.SensorResult)
    assert set(json.loads(looked.cursor or "")) == {"tills"}


# --- connections -------------------------------------------------------------------------------

CONNECTED = """connections:
  erp: {type: postgres, dsn: "postgresql://${ERP}/erp", every_minutes: 30}
  mall: {type: mall, client_id: a, client_secret: "${MALL}", shop_id: "1"}
  unused: {type: objects, bucket: b}
inputs:
  stock: {connection: erp, format: parquet, location: stock}
  trades: {connection: mall, format: jsonl, location: trades}
  refunds: {connection: mall, format: jsonl, location: refunds}
"""


@pytest.fixture
def connected(tills: Path) -> None:
    """The small retailer asks two systems and has no files."""
    file = tills.parent / "retailers" / "corner_shop" / "retailer.yaml"
    file.write_text(SETTINGS.partition("inputs:")[0] + CONNECTED, "utf-8")


def _poll(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, cursor: str | None = None
) -> object:
    sensor = repository.get_sensor_def("connections_due")
    return sensor(dg.build_sensor_context(instance=instance, cursor=cursor))


def _minutes_ago(**connections: int) -> str:
    now = datetime.now(UTC)
    return json.dumps(
        {name: (now - timedelta(minutes=ago)).isoformat() for name, ago in connections.items()}
    )


@pytest.mark.usefixtures("tills")
def test_files_alone_are_never_polled(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    asked = _poll(repository, instance)
    assert isinstance(asked, dg.SkipReason)
    assert "no connections" in str(asked.skip_message)


@pytest.mark.usefixtures("connected")
def test_a_connection_that_was_never_asked_is_due(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    asked = _poll(repository, instance)
    assert isinstance(asked, dg.SensorResult)
    (request,) = asked.run_requests or ()
    assert request.tags["siyu/connections"] == "erp, mall"
    assert set(json.loads(asked.cursor or "")) == {"erp", "mall"}
    keys = {key.to_user_string() for key in request.asset_selection or ()}
    assert {key for key in keys if not key.startswith("lake/")} == {
        "sources/stock", "sources/trades", "sources/refunds",
    }  # fmt: skip
    assert "lake/orders" in keys


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("erp", "mall", "due"),
    [(10, 50, ""), (31, 50, "erp"), (10, 61, "mall"), (31, 61, "erp, mall")],
)
def test_a_connection_is_due_when_its_minutes_are_over(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, erp: int, mall: int, due: str
) -> None:
    asked = _poll(repository, instance, _minutes_ago(erp=erp, mall=mall))
    if not due:
        assert isinstance(asked, dg.SkipReason)
        return
    assert isinstance(asked, dg.SensorResult)
    (request,) = asked.run_requests or ()
    assert request.tags["siyu/connections"] == due


@pytest.mark.usefixtures("connected")
def test_polls_do_not_pile_up_behind_a_landing(
    demo: dg.Definitions, repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    instance.create_run_for_job(demo.resolve_job_def("land"), status=dg.DagsterRunStatus.STARTED)
    asked = _poll(repository, instance)
    assert isinstance(asked, dg.SkipReason)
    assert "a landing is under way" in str(asked.skip_message)


# --- what follows a landing --------------------------------------------------------------------


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
        repository_def=repository,
    )
    asked = repository.get_sensor_def("refresh_after_landing")(context)
    assert isinstance(asked, dg.RunRequest)
    # What has just landed is neither pulled nor landed again.
    assert {key.path[0] for key in asked.asset_selection or ()} == JOBS["refresh"] - {"lake"}
    assert asked.job_name == "refresh"
    assert asked.partition_key == "2026-03-01"
    assert run.run_id in str(asked.run_key)
