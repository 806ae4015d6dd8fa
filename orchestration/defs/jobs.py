"""Jobs, and when they run by themselves."""

import hashlib
from pathlib import Path

import dagster as dg

from orchestration.environment import Environment
from orchestration.lib.rebuild import REBUILDING
from orchestration.lib.sources import source_files
from orchestration.lib.training import ALWAYS
from orchestration.resources.workspace import last_complete_day
from siyu.lake import LakeError
from siyu.retailer import RetailerError

_LAKE = dg.AssetSelection.groups("lake")
_TRAINING = dg.AssetSelection.groups("features", "models")
_SCORES = dg.AssetSelection.groups("ml")
_SERVING = dg.AssetSelection.groups("serving")

LAND = dg.define_asset_job(
    "land",
    selection=_LAKE,
    description="Land new source files in the lake, behind its gates. A refresh follows by itself.",
)
REFRESH = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(),
    description=(
        "Everything as of a day: land new files, build every layer behind its gates, train what is "
        "due, score, publish."
    ),
)
TRAIN = dg.define_asset_job(
    "train",
    selection=_TRAINING,
    tags=ALWAYS,
    description="Build the features that training learns from and train every model, due or not.",
)
SCORE = dg.define_asset_job(
    "score",
    selection=dg.AssetSelection.groups("features") | _SCORES,
    description="Build the features of a day and score it with the champions.",
)
PUBLISH = dg.define_asset_job(
    "publish",
    selection=_SERVING,
    description="Publish the warehouse as it stands, if every gate has passed.",
)
REBUILD = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.all() - _LAKE,
    tags={**REBUILDING, **ALWAYS},
    description="Drop the warehouse and build it again from the lake: every layer, model and score.",
)


def _fingerprint(files: list[Path]) -> str:
    """Changes when a file is added, removed or written."""
    said = hashlib.sha256()
    for file in sorted(files):
        seen = file.stat()
        said.update(f"{file}|{seen.st_size}|{seen.st_mtime_ns}\n".encode())
    return said.hexdigest()


@dg.definitions
def jobs() -> dg.Definitions:
    """Jobs, the sensors, and the schedules."""
    timezone = Environment.load().retailer.timezone

    @dg.sensor(
        job_name=LAND.name,
        minimum_interval_seconds=60,
        description="Lands source files when one appears or changes",
    )
    def new_input_files(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult | dg.SkipReason:
        environment = Environment.load()
        try:
            files = source_files(environment.settings, environment.retailer)
        except RetailerError as error:
            return dg.SkipReason(str(error))
        seen = _fingerprint(files)
        if not files:
            return dg.SkipReason("no source file found")
        if seen == context.cursor:
            return dg.SkipReason(f"no change in {len(files)} source files")
        return dg.SensorResult([dg.RunRequest(run_key=seen)], cursor=seen)

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[LAND],
        request_job=REFRESH,
        description="Refreshes as of the last complete day when a landing has succeeded",
    )
    def refresh_after_landing(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            return _refresh(f"after {context.dagster_run.run_id}")
        except LakeError as error:
            return dg.SkipReason(str(error))

    @dg.schedule(
        job_name=LAND.name,
        cron_schedule="0 6 * * *",
        execution_timezone=timezone,
        description="Lands what the night's extracts brought; a refresh follows",
    )
    def daily_landing(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"daily {context.scheduled_execution_time.isoformat()}")

    @dg.schedule(
        job_name=TRAIN.name,
        cron_schedule="0 3 * * 0",
        execution_timezone=timezone,
        description="Trains every Sunday night",
    )
    def weekly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        key = f"weekly {context.scheduled_execution_time.isoformat()}"
        return dg.RunRequest(run_key=key, partition_key=_default_day())

    return dg.Definitions(
        jobs=[LAND, REFRESH, TRAIN, SCORE, PUBLISH, REBUILD],
        sensors=[new_input_files, refresh_after_landing],
        schedules=[daily_landing, weekly_training],
    )


def _refresh(run_key: str) -> dg.RunRequest:
    """A refresh of everything behind the lake, as of the last complete day."""
    return dg.RunRequest(run_key=run_key, job_name=REFRESH.name, partition_key=_default_day())


def _default_day() -> str:
    environment = Environment.load()
    return (environment.settings.as_of or last_complete_day(environment)).isoformat()
