"""Scores of every customer by as-of day, with reasons, from the champions."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.environment import MODEL_OWNERS, Environment
from orchestration.lib.gates import GATE, gate_checks, require_passed
from orchestration.lib.training import TASKS, configured_tasks, model_key
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace
from siyu.warehouse import Warehouse

if TYPE_CHECKING:
    from ml.steps import ScoringOutcome

TABLE = "ml.customer_scores"
READS = ("features.customer_features",)


def _score(
    workspace: Workspace, above: Sequence[str], day: date, run_id: str
) -> "list[ScoringOutcome]":
    """Score one day with every champion, behind the gates of that day's features."""
    from ml.steps import score

    require_passed(workspace, above)
    require_passed(workspace, READS, day)
    version = workspace.ledger.begin_write(TABLE, run_id, [GATE], as_of=day)
    outcomes = [
        score(workspace.settings, workspace.retailer, name, day, run_id)
        for name in configured_tasks(workspace.retailer)
    ]
    rows = sum(outcome.rows for outcome in outcomes)
    if not rows and any(outcome.model_uri for outcome in outcomes):
        # Without a champion there is nothing to score with; with one, no score is a fault.
        said = "; ".join(f"{outcome.task}: {outcome.reason}" for outcome in outcomes)
        raise dg.Failure(f"no customer has a score as of {day}: {said}", allow_retries=False)
    workspace.ledger.end_write(TABLE, version, rows)
    return outcomes


def _said(outcome: "ScoringOutcome") -> str:
    if outcome.reason is not None:
        return f"no scores: {outcome.reason}"
    return f"{outcome.rows} customers by {outcome.model_uri}, mean {outcome.mean_probability:.3f}"


@dg.definitions
def scores() -> dg.Definitions:
    """The scores asset and its gate."""
    partitions = Environment.load().as_of_partitions()
    above = tables_above("ml")

    @dg.asset(
        key=dg.AssetKey(TABLE.split(".")),
        deps=[
            *(dg.AssetKey(table.split(".")) for table in READS),
            *(model_key(name) for name in TASKS),
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="ml",
        owners=MODEL_OWNERS,
        kinds={"xgboost", "duckdb"},
        description=(
            "Calibrated probability, decile, risk band and top three reasons per customer, as-of "
            "day and model; scoring a day again replaces that day.\n\n客户评分及原因，按截止日期。"
        ),
    )
    def customer_scores(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> dg.MaterializeResult[Any]:
        days = workspace.days(context)
        said = {day.isoformat(): _score(workspace, above, day, context.run.run_id) for day in days}
        outcomes = [outcome for found in said.values() for outcome in found]
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": sum(outcome.rows for outcome in outcomes),
                "as_of": ", ".join(said),
                **{
                    name: "; ".join(_said(o) for o in outcomes if o.task == name)
                    for name in configured_tasks(workspace.retailer)
                },
            }
        )

    return dg.Definitions(
        assets=[customer_scores],
        asset_checks=[
            gate_checks(
                "scores_gates",
                [TABLE],
                lambda workspace: Warehouse.of(workspace.settings).connect(),
                by_day=True,
            )
        ],
    )
