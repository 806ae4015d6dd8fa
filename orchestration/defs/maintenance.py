"""Upkeep of the lake: a job with its schedule, apart, as it makes no table and nothing waits for it.

What belongs here: running it and showing what was done. What does not: what is done
(``siyu.maintenance``).
"""

import dagster as dg

from orchestration.environment import Environment
from orchestration.resources import Workspace
from siyu.maintenance import maintain


@dg.op(
    description=(
        "Compacts Delta tables that have fallen into many small files and deletes files that have "
        "been dead for a week. Rows, batches and verdicts stay as they are; sealed rows that a killed "
        "landing left, and that no batch knows, go."
    ),
    tags={"kind": "deltalake"},
)
def maintain_tables(context: dg.OpExecutionContext, workspace: Workspace) -> None:
    """Do it, and say what was done to which table."""
    done = maintain(workspace.paths)
    for upkeep in done:
        context.log.info(
            f"{upkeep.table}: {upkeep.files_before} files are {upkeep.files_after} now, "
            f"{upkeep.removed} dead ones deleted, {upkeep.swept} rows of no batch swept"
        )
    context.add_output_metadata(
        {
            "tables": len(done),
            "done": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "table": upkeep.table,
                            "files_before": upkeep.files_before,
                            "files_after": upkeep.files_after,
                            "dead_files_deleted": upkeep.removed,
                            "rows_of_no_batch_swept": upkeep.swept,
                        }
                    )
                    for upkeep in done
                ]
            )
            if done
            else "nothing needed it",
        }
    )


@dg.job(
    name="maintenance",
    description="Few large files in place of many small ones in the lake; no dead files.",
)
def maintenance_job() -> None:
    """Upkeep of the lake's tables."""
    maintain_tables()


@dg.definitions
def maintenance() -> dg.Definitions:
    """The job, and when it runs by itself."""

    @dg.schedule(
        job=maintenance_job,
        cron_schedule="0 2 * * 0",
        execution_timezone=Environment.load().retailer.timezone,
        description="Upkeep of the lake every Sunday night",
    )
    def weekly_maintenance(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=f"weekly {context.scheduled_execution_time.isoformat()}")

    return dg.Definitions(jobs=[maintenance_job], schedules=[weekly_maintenance])
