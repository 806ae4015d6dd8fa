"""Who tells of runs that the daemon started: one sensor for those that failed, one for the others."""

import dagster as dg

from orchestration.environment import Environment
from orchestration.lib.alerting import alert_about


@dg.definitions
def alerts() -> dg.Definitions:
    """The sensors; they run wherever the daemon does, as an alert nobody asked for is the point."""

    @dg.run_failure_sensor(
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts when a run failed: to the log, and to SIYU_ALERT_WEBHOOK where it is set",
    )
    def alert_failed_runs(context: dg.RunFailureSensorContext) -> None:
        alert_about(context.instance, context.dagster_run.run_id, Environment.load())

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alerts when a run went on though a rule was broken, or succeeds again",
    )
    def alert_warned_and_recovered_runs(context: dg.RunStatusSensorContext) -> None:
        alert_about(context.instance, context.dagster_run.run_id, Environment.load())

    return dg.Definitions(sensors=[alert_failed_runs, alert_warned_and_recovered_runs])
