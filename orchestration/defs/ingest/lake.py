"""The lake: one asset per canonical entity, and the gate behind each."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import duckdb

from expectations.catalog import judged_tables
from orchestration.environment import OWNERS
from orchestration.lib.gates import gate_checks
from orchestration.lib.lake import sync_lake_version
from orchestration.resources import Workspace
from siyu.contracts import Contract, contracts
from siyu.ingestion import LandingError, LandingReport, land_entity

_OUTCOMES = ("rows_in", "accepted", "duplicates", "quarantined", "suppressed")


@dg.definitions
def lake() -> dg.Definitions:
    """Every entity's asset, and their gates as one step."""
    return dg.Definitions(
        assets=[_entity_asset(contract) for contract in contracts().values()],
        asset_checks=[gate_checks("lake_gates", judged_tables("lake"), _open, evidence=_evidence)],
    )


@contextmanager
def _open(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake's views in a connection of their own; the warehouse is not touched."""
    with duckdb.connect() as connection:
        workspace.lake.register(connection, workspace.retailer)
        yield connection


def _evidence(workspace: Workspace, connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """The version of an entity's table, and every batch in force: suites read those of others too."""
    batches = connection.execute("FROM lake.batch ORDER BY ALL").fetchall()
    seen = hashlib.sha256(repr(batches).encode()).hexdigest()
    return f"version {workspace.lake.version(table.partition('.')[2])} batches {seen}"


def _entity_asset(contract: Contract) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey(["lake", contract.entity]),
        group_name="lake",
        owners=OWNERS,
        kinds={"deltalake"},
        description=f"{contract.en}\n\n{contract.zh}",
        metadata={
            "dagster/column_schema": _column_schema(contract),
            "key": ", ".join(contract.key),
        },
    )
    def entity(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> dg.MaterializeResult[Any]:
        try:
            reports = land_entity(
                workspace.settings,
                workspace.retailer,
                contract.entity,
                context.run.run_id,
                datetime.now(UTC),
            )
        except LandingError as error:
            # What did land is in the lake; what did not is named. Nothing above goes on from here.
            sync_lake_version(workspace, contract.entity, context.run.run_id)
            raise dg.Failure(str(error), allow_retries=False) from None
        sync_lake_version(workspace, contract.entity, context.run.run_id)
        for report in reports:
            for warning in report.warnings:
                context.log.warning(f"{report.entity} from {report.source}: {warning}")
        return dg.MaterializeResult(metadata=_metadata(workspace, contract.entity, reports))

    return entity


def _column_schema(contract: Contract) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.sql_type,
                description=f"{column.en} | {column.zh}",
                constraints=dg.TableColumnConstraints(nullable=not column.required),
                tags={"pii": column.pii} if column.pii != "none" else {},
            )
            for column in contract.lake_columns
        ]
    )


def _metadata(
    workspace: Workspace, entity: str, reports: Sequence[LandingReport]
) -> dict[str, Any]:
    """Rows by outcome of this landing, and what the lake holds now."""
    landed = [report.manifest for report in reports if report.manifest is not None]
    held = workspace.lake.manifests(entity)
    return {
        "dagster/row_count": sum(manifest.accepted for manifest in held),
        **{f"landed_{name}": sum(getattr(m, name) for m in landed) for name in _OUTCOMES},
        "outcome": "; ".join(
            f"{report.source}: {report.reason}" if report.source else report.reason
            for report in reports
        ),
        "batches": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "source": manifest.source,
                        "batch": manifest.batch_id[:12],
                        **{name: getattr(manifest, name) for name in _OUTCOMES},
                        "loaded_at": f"{manifest.loaded_at:%Y-%m-%d %H:%M}",
                        "backfill": manifest.backfill,
                    }
                )
                for manifest in held[-20:]
            ]
        )
        if held
        else "none",
    }
