"""Which ended runs somebody is told of, once each, whoever noticed that they ended.

What belongs here: asking Dagster what became of runs. What does not: what an alert says and how it
is sent (``siyu.alerts``).
"""

from __future__ import annotations

from datetime import datetime

import dagster as dg

from orchestration.environment import Environment
from siyu.alerts import Alert, run_alert, send
from siyu.ops import Ledger
from siyu.paths import Paths

# The daemon's sensors and a run's own process both look at a run that has ended.
ALERTED_TAG = "siyu/alerted"
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def alert_about(
    instance: dg.DagsterInstance, run_id: str, environment: Environment
) -> Alert | None:
    """Tell of a run that has ended, unless it was told of before or there is nothing to say."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in _ENDED or ALERTED_TAG in run.tags:
        return None
    ledger = Ledger(Paths.of(environment.settings).ops)
    alert = run_alert(
        ledger,
        environment.retailer.name,
        _job(run),
        run_id,
        succeeded=run.status is dg.DagsterRunStatus.SUCCESS,
        recovered=_failed_before(instance, run),
    )
    if alert is not None:
        send(alert)
        instance.add_run_tags(run_id, {ALERTED_TAG: alert.severity})
    return alert


def alert_about_failures(
    instance: dg.DagsterInstance, since: datetime, environment: Environment
) -> list[Alert]:
    """Tell of every run that failed since a moment: those found dead count from then."""
    failed = instance.get_runs(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    )
    alerts = (alert_about(instance, run.run_id, environment) for run in reversed(failed))
    return [alert for alert in alerts if alert is not None]


def _job(run: dg.DagsterRun) -> str:
    """The job's name; assets picked by hand run under one that means nothing to a person."""
    return "a materialisation" if run.job_name.startswith("__") else run.job_name


def _failed_before(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run of the same job that ended before this one failed."""
    ended = instance.get_runs(dg.RunsFilter(job_name=run.job_name, statuses=list(_ENDED)), limit=50)
    ids = [each.run_id for each in ended]
    earlier = ended[ids.index(run.run_id) + 1 :] if run.run_id in ids else []
    return bool(earlier) and earlier[0].status is dg.DagsterRunStatus.FAILURE
