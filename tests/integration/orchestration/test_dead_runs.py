"""Runs that died while no other begins: the daemon finds them, and what waits in the queue starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import DefaultRunLauncher, LaunchRunContext
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)
from filelock import FileLock
from small_workspace import GOOD, open_corner_shop, run, small_definitions

from orchestration.__main__ import main
from orchestration.defs.dead_runs import dead_runs_found
from orchestration.lib.alerting import ALERTED_TAG
from orchestration.lib.reaper import PROCESS_TAG, process_name, reap_dead_runs
from siyu import dagster_home
from siyu.alerts import run_alert
from siyu.config import Settings
from siyu.ops import Ledger
from siyu.paths import Paths

DEAD = f"{2**22 + 1}@12345"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    open_corner_shop(tmp_path, monkeypatch)
    return Paths.of(Settings.from_env())


@pytest.fixture
def ledger(paths: Paths) -> Ledger:
    return Ledger(paths.ops)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that keeps nothing."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def ui(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance that ``siyu ui`` starts, with the settings of this repository."""
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home.lay_out(Settings.from_env())))
    with dg.DagsterInstance.get() as opened:
        assert paths.dagster.is_dir()
        yield opened


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that the queue has started."""
    found: list[str] = []

    def launch(_self: object, context: LaunchRunContext) -> None:
        found.append(context.dagster_run.run_id)

    monkeypatch.setattr(DefaultRunLauncher, "launch_run", launch)
    return found


def _run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    job = small_definitions(lambda: GOOD).resolve_job_def("all_assets")
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("siyu"), "__repository__")
    origin = RemoteJobOrigin(place, job.name)
    return instance.create_run_for_job(job, status=status, remote_job_origin=origin).run_id


def _dead(instance: dg.DagsterInstance, ledger: Ledger) -> str:
    run_id = _run(instance, dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(run_id, {PROCESS_TAG: f"{run_id} {DEAD}"})
    ledger.begin_run(run_id, "all_assets")
    return run_id


def _look(instance: dg.DagsterInstance) -> str:
    """What the sensor says."""
    (sensor,) = dead_runs_found().sensors or ()
    said: Any = sensor(dg.build_sensor_context(instance=instance))
    return str(said.skip_message)


def _ended(ledger: Ledger, run_id: str) -> str:
    (row,) = ledger.rows("SELECT status FROM run WHERE run_id = ?", [run_id])
    return str(row["status"])


def _queue(instance: dg.DagsterInstance) -> None:
    """Let the daemon's queue start what it may."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    list(daemon.run_iteration(context))


def test_what_is_queued_behind_a_run_that_died_starts_once_it_is_found_dead(
    ui: dg.DagsterInstance, ledger: Ledger, launched: list[str]
) -> None:
    _dead(ui, ledger)
    waiting = _run(ui, dg.DagsterRunStatus.QUEUED)
    _queue(ui)
    assert launched == []
    assert _look(ui) == "1 runs had died"
    _queue(ui)
    assert launched == [waiting]


def test_a_run_that_died_is_ended_and_told_of_although_no_other_begins(
    instance: dg.DagsterInstance, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    dead = _dead(instance, ledger)
    assert _look(instance) == "1 runs had died"
    assert _ended(ledger, dead) == "killed"
    seen = instance.get_run_by_id(dead)
    assert seen is not None
    assert seen.status is dg.DagsterRunStatus.FAILURE
    # Somebody is told, as the run could not tell of itself.
    assert seen.tags[ALERTED_TAG] == "ERROR"
    assert "all_assets was killed" in caplog.text
    assert _look(instance) == "no run has died"


def test_a_dead_process_that_nobody_has_waited_for_is_gone(instance: dg.DagsterInstance) -> None:
    run_id = _run(instance, dg.DagsterRunStatus.STARTED)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        mark = f"{run_id} {process_name(process.pid)}"
        instance.add_run_tags(run_id, {PROCESS_TAG: mark})
        assert reap_dead_runs(instance) == []
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert reap_dead_runs(instance) == [run_id]


def test_nothing_is_ended_in_the_ledger_while_a_run_is_at_work(
    instance: dg.DagsterInstance, paths: Paths, ledger: Ledger
) -> None:
    ledger.begin_run("at work", "land")
    with FileLock(paths.lock):
        assert _look(instance) == "no run has died"
    assert _ended(ledger, "at work") == "started"


def test_a_run_that_dagster_found_dead_first_is_ended_in_the_ledger_too(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    ledger.begin_run(_run(instance, dg.DagsterRunStatus.FAILURE), "all_assets")
    (dead,) = ledger.open_runs()
    alert = run_alert(ledger, "shop", "land", dead, succeeded=False, recovered=False)
    assert alert is not None
    assert alert.what == "land was killed"
    assert run(small_definitions(lambda: GOOD), instance).success
    assert _ended(ledger, dead) == "killed"
    assert ledger.open_runs() == []


def test_a_run_from_the_command_line_is_marked_before_it_starts(
    ui: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_definitions(lambda: GOOD).resolve_job_def("all_assets")
    monkeypatch.setattr("orchestration.__main__._job", lambda _: job)
    monkeypatch.setattr("orchestration.resources.workspace.mark_process", lambda *_: None)
    assert main(["land"]) == 0
    (landing,) = ui.get_runs()
    assert landing.tags[PROCESS_TAG].startswith(f"{landing.run_id} ")


def test_the_sensor_is_on_from_the_start() -> None:
    (sensor,) = dead_runs_found().sensors or ()
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
