"""Jobs, and when they run by themselves."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration.environment import Environment
from orchestration.lib.landing import REPLAYING
from orchestration.lib.rebuild import REBUILDING
from orchestration.lib.selections import BEHIND_THE_LAKE, LAKE, SOURCES
from orchestration.lib.sources import look, pulled_keys
from orchestration.lib.standing import STANDS
from orchestration.lib.training import ALWAYS
from orchestration.resources.workspace import last_complete_day
from siyu.contracts import contracts
from siyu.ingestion.pull import inputs_of
from siyu.lake import LakeError
from siyu.retailer import Retailer

INPUTS_TAG = "siyu/inputs"
CONNECTIONS_TAG = "siyu/connections"

_TRAINING = dg.AssetSelection.groups("features", "models")
_SCORES = dg.AssetSelection.groups("ml")
_SERVING = dg.AssetSelection.groups("serving")

LAND = dg.define_asset_job(
    "land",
    selection=SOURCES | LAKE,
    description=(
        "Pull what is new from connected systems and land it, with new source files, in the lake, "
        "behind its gates. A refresh follows by itself."
    ),
)
REPLAY = dg.define_asset_job(
    "replay",
    selection=LAKE,
    tags=REPLAYING,
    description=(
        "Land again what a mended mapping, contract or file releases from quarantine, behind the "
        "lake's gates, and say what stays there and why. A refresh follows by itself."
    ),
)
REFRESH = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(),
    tags=STANDS,
    description=(
        "Everything as of a day: land new files, build every layer behind its gates, train what is "
        "due, score, publish. What nothing has changed under is left as it stands."
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
    selection=BEHIND_THE_LAKE,
    tags={**REBUILDING, **ALWAYS},
    description="Drop the warehouse and build it again from the lake: every layer, model and score.",
)


@dg.definitions
def jobs() -> dg.Definitions:
    """Jobs, the sensors, and the schedules."""
    timezone = Environment.load().retailer.timezone

    @dg.sensor(
        job_name=LAND.name,
        minimum_interval_seconds=60,
        description=(
            "Lands source files when one appears, changes or goes. The cursor holds, for every "
            "input, what its files looked like; a file that is still being written is not seen."
        ),
    )
    def new_input_files(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult | dg.SkipReason:
        environment = Environment.load()
        seen = look(environment.settings, environment.retailer, datetime.now(UTC))
        known = _cursor(context.cursor)
        changed = sorted(
            name for name, found in seen.fingerprints.items() if found != known.get(name, "")
        )
        if not changed:
            return dg.SkipReason(_unchanged(seen.files, seen.faults))
        cursor = json.dumps({**known, **seen.fingerprints}, sort_keys=True)
        # Every entity, though few inputs changed: one that could not land keeps stopping the rest.
        request = dg.RunRequest(
            run_key=hashlib.sha256(f"{context.cursor} {cursor}".encode()).hexdigest(),
            asset_selection=_lake_keys(),
            tags={INPUTS_TAG: ", ".join(changed)},
        )
        return dg.SensorResult([request], cursor=cursor)

    @dg.sensor(
        job_name=LAND.name,
        minimum_interval_seconds=60,
        description=(
            "Pulls and lands what is new of the connections that are due (every_minutes in "
            "retailer.yaml). The cursor holds when each was last asked for."
        ),
    )
    def connections_due(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult | dg.SkipReason:
        retailer = Environment.load().retailer
        asked, now = _cursor(context.cursor), datetime.now(UTC)
        due = _due(retailer, asked, now)
        if not due:
            return dg.SkipReason(
                "no connection is due"
                if retailer.connections
                else "the retailer has no connections: files only"
            )
        if context.instance.get_runs_count(_UNFINISHED):
            return dg.SkipReason(f"{', '.join(due)}: due, but a landing is under way")
        request = dg.RunRequest(
            run_key=f"{', '.join(due)} {now.isoformat(timespec='seconds')}",
            asset_selection=[*pulled_keys(retailer, due), *_lake_keys()],
            tags={CONNECTIONS_TAG: ", ".join(due)},
        )
        said = {**asked, **dict.fromkeys(due, now.isoformat(timespec="seconds"))}
        return dg.SensorResult([request], cursor=json.dumps(said, sort_keys=True))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[LAND, REPLAY],
        request_job=REFRESH,
        description=(
            "Refreshes what is behind the lake as of the last complete day when a landing has "
            "succeeded"
        ),
    )
    def refresh_after_landing(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            return _refresh(context)
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
        jobs=[LAND, REPLAY, REFRESH, TRAIN, SCORE, PUBLISH, REBUILD],
        sensors=[new_input_files, connections_due, refresh_after_landing],
        schedules=[daily_landing, weekly_training],
    )


# What is waiting or running, whoever asked for it.
_UNFINISHED = dg.RunsFilter(
    job_name=LAND.name,
    statuses=[
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ],
)


def _cursor(said: str | None) -> dict[str, str]:
    """What a sensor noted; nothing where the note is of another form."""
    try:
        noted = json.loads(said or "{}")
    except json.JSONDecodeError:
        return {}
    return noted if isinstance(noted, dict) else {}


def _unchanged(files: int, faults: tuple[str, ...]) -> str:
    counted = f"no change in {files} source files" if files else "no source file found"
    return "; ".join((counted, *faults))


def _due(retailer: Retailer, asked: Mapping[str, str], now: datetime) -> list[str]:
    """Connections that were not asked for as long as retailer.yaml says."""
    return [
        name
        for name, connection in retailer.connections.items()
        if inputs_of(retailer, name)
        and (
            name not in asked
            or now - datetime.fromisoformat(asked[name])
            >= timedelta(minutes=connection.every_minutes)
        )
    ]


def _lake_keys() -> list[dg.AssetKey]:
    return [dg.AssetKey(["lake", entity]) for entity in contracts()]


def _refresh(context: dg.RunStatusSensorContext) -> dg.RunRequest:
    """A refresh of everything behind the lake, which has just landed, as of the last complete day."""
    if context.repository_def is None:
        raise dg.DagsterInvariantViolationError("a sensor is part of a repository")
    return dg.RunRequest(
        run_key=f"after {context.dagster_run.run_id}",
        job_name=REFRESH.name,
        partition_key=_default_day(),
        asset_selection=sorted(BEHIND_THE_LAKE.resolve(context.repository_def.asset_graph)),
    )


def _default_day() -> str:
    environment = Environment.load()
    return (environment.settings.as_of or last_complete_day(environment)).isoformat()
