"""Run one job here and now: ``python -m orchestration refresh [--as-of 2026-06-30]``.

The same job that the Dagster UI runs, on the same instance, so that what is run here is seen there.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import NoReturn

import dagster as dg

from orchestration.environment import Environment
from orchestration.lib.alerting import alert_about, alert_about_failures
from orchestration.lib.instance import open_instance, prepare_instance
from orchestration.lib.reaper import process_tags
from orchestration.lib.selections import BEHIND_THE_LAKE
from orchestration.lib.standing import MADE_ANEW
from orchestration.resources.workspace import last_complete_day
from siyu.config import SettingsError
from siyu.lake import LakeError
from siyu.maintenance import is_crowded
from siyu.paths import Paths
from siyu.retailer import RetailerError

JOBS = ("land", "replay", "refresh", "train", "score", "publish", "rebuild", "maintenance")
# Objects made before the collector looks again, by generation. Definitions and dbt's project last as
# long as the run does; looking through them every 700 objects is a tenth of a small refresh.
_COLLECT_AFTER = (50_000, 20, 100)
# Jobs that speak of no particular day.
UNDATED = ("land", "replay", "publish", "maintenance")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the arguments name; a refresh lands first, to know its day, and keeps up the lake.

    Returns:
        0 when it succeeded, 1 when it failed, 2 when it could not start.
    """
    parser = argparse.ArgumentParser(prog="python -m orchestration", description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--as-of", help="local day to work as of; default: the last complete one")
    parser.add_argument(
        "--full",
        action="store_true",
        help="of a refresh: make every table again from all of the lake, whatever it holds",
    )
    said = parser.parse_args(arguments)
    gc.set_threshold(*_COLLECT_AFTER)
    # Beta and preview warnings speak to whoever wrote this code, not to whoever runs it.
    for category in (dg.BetaWarning, dg.PreviewWarning):
        warnings.filterwarnings("ignore", category=category)
    try:
        environment = Environment.load()
        prepare_instance(environment.settings)
        if said.job == "refresh" and not _run("land", None):
            return 1
        day = None if said.job in UNDATED else said.as_of or _default_day(environment)
        if not _run(said.job, day, MADE_ANEW if said.full else None):
            return 1
        return 0 if said.job != "refresh" or _keep_up(environment) else 1
    except (SettingsError, RetailerError, LakeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _keep_up(environment: Environment) -> bool:
    """Upkeep where the days' landings have crowded a table: without a daemon no schedule sees to it."""
    return not is_crowded(Paths.of(environment.settings)) or _run("maintenance", None)


def _default_day(environment: Environment) -> str:
    return (environment.settings.as_of or last_complete_day(environment)).isoformat()


@cache
def _definitions() -> dg.Definitions:
    from orchestration.definitions import defs

    return defs()


def _job(name: str) -> dg.JobDefinition:
    return _definitions().resolve_job_def(name)


def _behind_the_lake() -> list[dg.AssetKey]:
    return sorted(BEHIND_THE_LAKE.resolve(_definitions().resolve_asset_graph()))


def _run(job: str, day: str | None, tags: Mapping[str, str] | None = None) -> bool:
    """Run one job to its end, a line a step; whether it succeeded."""
    started, began = time.monotonic(), datetime.now(UTC)
    sys.stdout.write(f"── {job}{f' as of {day}' if day else ''}\n")
    run_id = str(uuid.uuid4())
    with open_instance() as instance:
        result = _job(job).execute_in_process(
            instance=instance,
            partition_key=day,
            run_id=run_id,
            # From the first moment on, so that it is known for dead whenever it is killed.
            tags={**process_tags(run_id), **(tags or {})},
            asset_selection=_behind_the_lake() if job == "refresh" else None,
            run_config={"loggers": {"console": {}}},
            raise_on_error=False,
        )
        _alert(instance, run_id, began)
    seconds = time.monotonic() - started
    verdict = "done" if result.success else "FAILED; `siyu status` says what to do"
    sys.stdout.write(f"── {job}: {verdict} in {seconds:.0f} s\n")
    return bool(result.success)


def _alert(instance: dg.DagsterInstance, run_id: str, began: datetime) -> None:
    """Tell of this run, and of those that it found dead; no daemon may be there to do so."""
    environment = Environment.load()
    alert_about(instance, run_id, environment)
    alert_about_failures(instance, began, environment)


def leave(status: int) -> NoReturn:
    """End the process of a run.

    All that is left goes with the process; Python would look through it for garbage first, which
    takes seconds of every run.
    """
    gc.freeze()
    sys.exit(status)


if __name__ == "__main__":
    leave(main())
