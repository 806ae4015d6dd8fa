"""The dbt layers staging, unified, marts and ops: one step each, and the gates behind them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from expectations.catalog import Stage, judged_tables
from orchestration.environment import Environment
from orchestration.lib.dbt import Translator, layer_tables, read_manifest, run_layer
from orchestration.lib.gates import gate_checks, open_warehouse
from orchestration.lib.lake import sync_lake_versions
from orchestration.lib.rebuild import drop_warehouse_when_rebuilding
from orchestration.lib.standing import follows
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace
from siyu.transform import ensure_manifest


def _layer(name: str, translator: Translator, first: bool = False) -> dg.AssetsDefinition:
    """One dbt layer as one step."""
    manifest = ensure_manifest()
    reads = tables_above(name)

    @dbt_assets(
        manifest=manifest, select=f"tag:{name}", dagster_dbt_translator=translator, name=name
    )
    def layer(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        sync_lake_versions(workspace, context.run.run_id)
        if first:
            drop_warehouse_when_rebuilding(workspace.settings, context.run.tags)
        as_of = workspace.as_of(context)
        yield from run_layer(context, workspace, manifest, translator, name, reads, [as_of], as_of)

    return layer


def _gates(stage: Stage) -> dg.AssetChecksDefinition:
    """The gates of a layer's tables, judged in the warehouse."""
    return gate_checks(
        f"{stage}_gates",
        judged_tables(stage),
        open_warehouse,
        evidence=follows(
            (*tables_above(stage), *layer_tables(read_manifest(ensure_manifest()), stage))
        ),
    )


@dg.definitions
def layers() -> dg.Definitions:
    """Staging, unified, marts and ops."""
    environment = Environment.load()
    translator = Translator(environment.settings.engine, {})
    return dg.Definitions(
        assets=[
            _layer("staging", translator, first=True),
            _layer("unified", translator),
            _layer("marts", translator),
            _layer("ops", translator),
        ],
        asset_checks=[_gates("unified"), _gates("ops")],
    )
