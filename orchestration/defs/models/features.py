"""Features and labels, by as-of day.

A run builds the days of its partitions. A run that also trains builds, besides, the days that
training learns from; one that also scores, those that an earlier run left unfit. Each is reported as
its own partition. Labels of every day are made in each run, and are as of the day that the orders are
of: a run for an earlier day takes back no label.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster_dbt import dbt_assets

from expectations.catalog import judged_tables
from expectations.suites.features import CUSTOMER_FEATURES
from orchestration.environment import Environment
from orchestration.lib.dbt import (
    Translator,
    layer_tables,
    read_manifest,
    run_layer,
    working_tables,
)
from orchestration.lib.gates import gate_checks, open_warehouse, require_passed, table_name
from orchestration.lib.lake import sync_lake_versions
from orchestration.lib.mending import days_to_mend
from orchestration.lib.standing import follows
from orchestration.lib.training import configured_tasks, is_due, model_key
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace
from siyu.transform import ensure_manifest

LAYER: Final = "features"
# Kept by as-of day; labels are one table, of every day that has features.
BY_DAY: Final = (CUSTOMER_FEATURES,)
# Labels say what of its orders is known, so they are as of the day that it is.
LABELLED_FROM: Final = "unified.fct_order"


def feature_days(context: dg.AssetExecutionContext, workspace: Workspace) -> list[date]:
    """Days to build features for, the run's own last."""
    asked = workspace.days(context)
    as_of = asked[-1]
    from ml.snapshots import HistoryTooShort, snapshot_dates

    days = set(days_to_mend(context, workspace))
    selected = context.job_def.asset_layer.selected_asset_keys
    for name in configured_tasks(workspace.retailer):
        if model_key(name) not in selected:
            continue
        if not is_due(context, workspace, name, as_of)[0]:
            continue
        try:
            plan = snapshot_dates(
                workspace.retailer.models[name], as_of, workspace.retailer.history_from
            )
        except HistoryTooShort as short:
            context.log.warning(f"{name}: {short}")
        else:
            days.update(plan.dates)
    return [*sorted(days - set(asked)), *asked]


@dg.definitions
def features() -> dg.Definitions:
    """The features layer and its gates."""
    environment = Environment.load()
    file: Path = ensure_manifest()
    partitions = environment.as_of_partitions()
    translator = Translator(environment.settings.engine, {LAYER: partitions})
    reads = tables_above(LAYER)
    working = working_tables(read_manifest(file))

    @dbt_assets(
        manifest=file,
        select=f"tag:{LAYER}",
        dagster_dbt_translator=translator,
        name=LAYER,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def layer(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        sync_lake_versions(workspace, context.run.run_id)
        # Before the day of one of them is asked for.
        require_passed(workspace, reads)
        days = feature_days(context, workspace)
        yield from run_layer(
            context,
            workspace,
            file,
            translator,
            LAYER,
            reads,
            days,
            as_of=workspace.ledger.newest_as_of(LABELLED_FROM),
            by_day=BY_DAY,
        )
        own = set(workspace.days(context))
        kept = {key for key in context.selected_asset_keys if table_name(key) not in working}
        for key in sorted(kept):
            for day in days:
                if day not in own:
                    context.log_event(
                        dg.AssetMaterialization(asset_key=key, partition=day.isoformat())
                    )

    return dg.Definitions(
        assets=[layer],
        asset_checks=[
            gate_checks(
                "features_gates",
                judged_tables(LAYER),
                open_warehouse,
                by_day=BY_DAY,
                evidence=follows((*reads, *layer_tables(read_manifest(file), LAYER))),
            )
        ],
    )
