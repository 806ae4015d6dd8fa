"""Scores of every customer by as-of day, with reasons, from the champions."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.environment import MODEL_OWNERS, Environment
from orchestration.lib.gates import GATE, gate_checks, open_warehouse, require_passed
from orchestration.lib.mending import days_to_mend
from orchestration.lib.standing import basis, follows, may_stand, note, standing
from orchestration.lib.training import TASKS, TaskName, configured_tasks, model_key
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace

if TYPE_CHECKING:
    from ml.steps import ScoringOutcome

TABLE = "ml.customer_scores"
READS = ("features.customer_features",)


def _scored(
    context: dg.AssetExecutionContext, workspace: Workspace, above: Sequence[str], day: date
) -> dict[str, Any]:
    """Score one day with every champion, unless its scores stand; returns rows, and what was said.

    Raises:
        dg.Failure: a gate above blocks, or some champion scores nobody.
    """
    require_passed(workspace, above)
    require_passed(workspace, READS, day)
    features = [workspace.ledger.newest(table, day) for table in READS]
    champions: dict[str, str | None] = {
        name: _champion(workspace, name) for name in configured_tasks(workspace.retailer)
    }
    expected = basis(workspace, above, day=day, features=features, champions=champions)
    if may_stand(context.run.tags) and (kept := standing(workspace, [(TABLE, day)], expected)):
        (version,) = kept.values()
        said = dict.fromkeys(champions, f"stands: made in run {version.run_id}")
        return {"rows": version.row_count or 0, **said}
    version_name = workspace.ledger.begin_write(
        TABLE, context.run.run_id, [GATE], as_of=day, by_day=True
    )
    outcomes = _score(workspace, day, context.run.run_id)
    rows = sum(outcome.rows for outcome in outcomes)
    workspace.ledger.end_write(TABLE, version_name, rows, expected)
    note(workspace, {(TABLE, day): version_name})
    return {"rows": rows, **{outcome.task: _said(outcome) for outcome in outcomes}}


def _champion(workspace: Workspace, task: TaskName) -> str | None:
    from ml.steps import champion_uri

    return champion_uri(workspace.settings, workspace.retailer, task)


def _score(workspace: Workspace, day: date, run_id: str) -> "list[ScoringOutcome]":
    from ml.steps import score

    outcomes = [
        score(workspace.settings, workspace.retailer, name, day, run_id)
        for name in configured_tasks(workspace.retailer)
    ]
    # Without a champion there is nothing to score with; a champion that scores nobody is a fault.
    idle = [outcome for outcome in outcomes if outcome.model_uri and not outcome.rows]
    if idle:
        said = "; ".join(f"{each.task} by {each.model_uri}: {each.reason}" for each in idle)
        raise dg.Failure(
            f"no customer has a score as of {day}: {said}; a model that is not to score any more "
            "must not keep the alias champion",
            allow_retries=False,
        )
    return outcomes


def _said(outcome: "ScoringOutcome") -> str:
    if outcome.reason is not None:
        return f"no scores: {outcome.reason}"
    return f"{outcome.rows} customers by {outcome.model_uri}, mean {outcome.mean_probability:.3f}"


def _columns() -> dg.TableSchema:
    from ml.scores_schema import SCORE_COLUMNS

    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.type),
                description=f"{column.en} | {column.zh}",
                constraints=dg.TableColumnConstraints(nullable=not column.required),
            )
            for column in SCORE_COLUMNS
        ]
    )


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
        metadata={"dagster/column_schema": _columns()},
        description=(
            "Calibrated probability, decile, risk band and top three reasons per customer, as-of "
            "day and model; scoring a day again replaces that day.\n\n客户评分及原因，按截止日期。"
        ),
    )
    def customer_scores(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> dg.MaterializeResult[Any]:
        own = workspace.days(context)
        days = [*days_to_mend(context, workspace), *own]
        said = [_scored(context, workspace, above, day) for day in days]
        for day in days:
            if day not in own:
                context.log_event(
                    dg.AssetMaterialization(context.asset_key, partition=day.isoformat())
                )
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": sum(found["rows"] for found in said),
                "as_of": ", ".join(day.isoformat() for day in days),
                **{
                    name: "; ".join(found[name] for found in said)
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
                open_warehouse,
                by_day=[TABLE],
                evidence=follows((*above, *READS)),
            )
        ],
    )
