"""Who looks for runs that died: a sensor, as the queue starts nothing while one is thought to run."""

import dagster as dg

from orchestration.environment import Environment
from orchestration.lib.alerting import alert_about
from orchestration.lib.reaper import end_dead_runs
from siyu.paths import Paths


@dg.definitions
def dead_runs_found() -> dg.Definitions:
    """The sensor; it looks wherever the daemon runs."""

    @dg.sensor(
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Marks runs as failed whose process is gone (killed, or the machine went down), and "
            "alerts, so that those that wait in the queue start."
        ),
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        environment = Environment.load()
        ended = end_dead_runs(context.instance, Paths.of(environment.settings))
        for run_id in ended:
            context.log.warning(f"run {run_id} had died; marked as failed")
            # The sensors that alert see runs of the daemon only, and one from the command line that was
            # killed could not tell of itself.
            alert_about(context.instance, run_id, environment)
        return dg.SkipReason(f"{len(ended)} runs had died" if ended else "no run has died")

    return dg.Definitions(sensors=[dead_runs])
