"""What a run knows of itself and of others: its days, runs that died, what is said while it runs."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.lib.progress import progress_logger
from orchestration.lib.reaper import (
    PROCESS_TAG,
    START_TIMEOUT,
    mark_process,
    process_name,
    reap_dead_runs,
)
from orchestration.lib.rebuild import REBUILDING, drop_warehouse_when_rebuilding
from orchestration.resources.workspace import asked_days
from siyu.config import REPO, Settings
from siyu.paths import Paths

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def small_job() -> None:
    """A job to have runs of."""
    nothing()


def _run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    process: str | None = None,
) -> str:
    run_id = instance.create_run_for_job(small_job, status=status).run_id
    if process is not None:
        instance.add_run_tags(run_id, {PROCESS_TAG: f"{run_id} {process}"})
    return run_id


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def _dead() -> str:
    """A process that never was: no number so high is given out."""
    return f"{2**22 + 1}@12345"


# --- days --------------------------------------------------------------------------------------


def test_a_partition_is_the_only_day() -> None:
    assert asked_days({"dagster/partition": "2026-02-28"}) == [date(2026, 2, 28)]


def test_a_range_is_every_day_from_first_to_last() -> None:
    days = asked_days(dict(zip(RANGE, ("2026-02-27", "2026-03-02"), strict=True)))
    assert [day.isoformat() for day in days] == [
        "2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02",
    ]  # fmt: skip


@pytest.mark.parametrize("tags", [{}, {RANGE[0]: "2026-02-27"}, {RANGE[1]: "2026-02-27"}])
def test_a_run_may_ask_for_no_day(tags: dict[str, str]) -> None:
    assert asked_days(tags) == []


# --- runs that died ----------------------------------------------------------------------------


def test_a_run_whose_process_is_gone_is_marked_as_failed(instance: dg.DagsterInstance) -> None:
    gone = _run(instance, process=_dead())
    assert reap_dead_runs(instance, current="me") == [gone]
    assert _status(instance, gone) == dg.DagsterRunStatus.FAILURE


def test_a_run_is_reaped_once(instance: dg.DagsterInstance) -> None:
    _run(instance, process=_dead())
    reap_dead_runs(instance, current="me")
    assert reap_dead_runs(instance, current="me") == []


def test_a_dead_run_gives_back_its_slots(instance: dg.DagsterInstance) -> None:
    slots = instance.event_log_storage
    slots.initialize_concurrency_limit_to_default("writer")
    slots.set_concurrency_slots("writer", 1)
    gone, waiting = _run(instance, process=_dead()), _run(instance)
    assert slots.claim_concurrency_slot("writer", gone, "step").is_claimed
    assert not slots.claim_concurrency_slot("writer", waiting, "step").is_claimed

    reap_dead_runs(instance, current=waiting)
    assert slots.claim_concurrency_slot("writer", waiting, "step").is_claimed


def test_a_reused_process_number_is_not_taken_for_the_run(instance: dg.DagsterInstance) -> None:
    gone = _run(instance, process=f"{os.getpid()}@1")
    assert reap_dead_runs(instance, current="me") == [gone]


def test_a_run_whose_process_lives_is_left_alone(instance: dg.DagsterInstance) -> None:
    alive = _run(instance)
    mark_process(instance, alive)
    assert reap_dead_runs(instance, current="me") == []
    assert _status(instance, alive) == dg.DagsterRunStatus.STARTED


def test_the_run_that_asks_is_never_reaped(instance: dg.DagsterInstance) -> None:
    me = _run(instance, process=_dead())
    assert reap_dead_runs(instance, current=me) == []


@pytest.mark.parametrize("status", ["STARTING", "SUCCESS", "FAILURE", "CANCELED"])
def test_what_is_being_started_or_has_ended_is_left_alone(
    instance: dg.DagsterInstance, status: str
) -> None:
    _run(instance, dg.DagsterRunStatus(status), _dead())
    assert reap_dead_runs(instance, current="me") == []


def test_a_run_killed_before_its_first_event_is_found_by_the_mark_it_was_made_with(
    instance: dg.DagsterInstance,
) -> None:
    gone = _run(instance, dg.DagsterRunStatus.NOT_STARTED, _dead())
    assert reap_dead_runs(instance, current="me") == [gone]


def _started_ago(instance: dg.DagsterInstance, ago: timedelta, tags: dict[str, str]) -> str:
    """A run that began a while ago and did not note its process."""
    made = instance.create_run_for_job(small_job, tags=tags)
    began = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, small_job.name)
    moment = (datetime.now(UTC) - ago).timestamp()
    instance.report_dagster_event(began, made.run_id, timestamp=moment)
    return made.run_id


@pytest.mark.parametrize("tags", [{}, {PROCESS_TAG: f"the-run-before-it {_dead()}"}])
@pytest.mark.parametrize(("grace", "dead"), [(timedelta(minutes=-1), False), (timedelta(1), True)])
def test_a_run_that_does_not_note_its_process_in_time_is_dead(
    instance: dg.DagsterInstance, tags: dict[str, str], grace: timedelta, dead: bool
) -> None:
    run = _started_ago(instance, START_TIMEOUT + grace, tags)
    assert reap_dead_runs(instance, current="me") == ([run] if dead else [])


def test_a_run_that_ends_as_it_is_looked_at_ended_as_it_says(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(instance, process=_dead())
    seen = instance.get_run_records

    def look(*arguments: Any, **named: Any) -> Sequence[dg.RunRecord]:
        found = seen(*arguments, **named)
        ended = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, small_job.name)
        instance.report_dagster_event(ended, run)
        return found

    monkeypatch.setattr(instance, "get_run_records", look)
    assert reap_dead_runs(instance, current="me") == []
    assert _status(instance, run) == dg.DagsterRunStatus.SUCCESS


def test_a_run_whose_start_waits_longer_than_the_daemon_allows_is_the_daemons() -> None:
    said = yaml.safe_load((REPO / "dagster.yaml").read_text("utf-8"))
    assert said["run_monitoring"]["start_timeout_seconds"] == START_TIMEOUT.total_seconds()


def test_a_process_is_its_number_and_when_it_began() -> None:
    number, _, began = process_name(os.getpid()).partition("@")
    assert int(number) == os.getpid()
    assert began.isdigit()


# --- rebuilding --------------------------------------------------------------------------------


@pytest.mark.parametrize(("tags", "dropped"), [({}, False), (REBUILDING, True)])
def test_the_warehouse_is_dropped_only_by_a_rebuild(
    tmp_path_factory: pytest.TempPathFactory, tags: dict[str, str], dropped: bool
) -> None:
    settings = _settings(tmp_path_factory)
    paths = Paths.of(settings)
    paths.warehouse.parent.mkdir(parents=True)
    paths.warehouse.touch()
    paths.lake.mkdir()
    assert drop_warehouse_when_rebuilding(settings, tags) is dropped
    assert paths.warehouse.exists() is not dropped
    assert paths.lake.exists()


def test_a_rebuild_may_begin_without_a_warehouse(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert drop_warehouse_when_rebuilding(_settings(tmp_path_factory), REBUILDING)


def _settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    return Settings(home, "shop", REPO / "retailers", "duckdb", None)


# --- what is said ------------------------------------------------------------------------------


def _said(capsys: pytest.CaptureFixture[str], *assets: dg.AssetsDefinition) -> list[str]:
    """What a person sees of a run of some assets."""
    definitions = dg.Definitions(
        assets=assets,
        executor=dg.in_process_executor,
        loggers={"console": progress_logger},
        jobs=[dg.define_asset_job("all_assets")],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        definitions.resolve_job_def("all_assets").execute_in_process(
            instance=instance, run_config={"loggers": {"console": {}}}, raise_on_error=False
        )
    return capsys.readouterr().out.splitlines()


def test_a_step_that_ends_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @dg.asset(key=["lake", "orders"])
    def orders(context: dg.AssetExecutionContext) -> None:
        context.log.info("reading")

    (line,) = _said(capsys, orders)
    assert line.split()[:2] == ["✓", "lake/orders"]
    assert line.endswith(" s")


def test_a_warning_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    @dg.asset
    def orders(context: dg.AssetExecutionContext) -> None:
        context.log.warning("2 files are still growing")

    assert "  ! 2 files are still growing" in _said(capsys, orders)


def test_a_failure_says_why_and_what_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    attempts = count()

    @dg.asset(key=["lake", "orders"])
    def orders() -> None:
        next(attempts)
        raise dg.Failure("orders.csv: no column order_id", allow_retries=False)

    @dg.asset(key=["staging", "stg_orders"], deps=[orders])
    def stg_orders() -> None:
        next(attempts)

    lines = _said(capsys, orders, stg_orders)
    assert "  ✗ lake/orders" in lines
    assert "    orders.csv: no column order_id" in lines
    assert any(line.split() == ["–", "staging/stg_orders", "not", "run"] for line in lines)
    assert next(attempts) == 1
    assert not any("Traceback" in line for line in lines)
