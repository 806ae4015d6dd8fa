"""The lake: one asset per canonical entity, and the gates behind each."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb

from expectations.catalog import judged_tables
from orchestration.environment import OWNERS, Environment
from orchestration.lib.gates import asset_key, check_result, gate_checks, table_name
from orchestration.lib.lake import sync_lake_version
from orchestration.lib.landed import column_schema, landing_metadata
from orchestration.lib.landing import Landed, land
from orchestration.lib.sources import inputs_read, source_key, source_table
from orchestration.resources import Workspace
from siyu.contracts import Contract, contracts
from siyu.evidence import CONSENTS, record_consents
from siyu.freshness import GATE as FRESHNESS
from siyu.freshness import judge_freshness, judged_inputs
from siyu.ingestion import LandingError
from siyu.quality import released
from siyu.retailer import Retailer


@dg.definitions
def lake() -> dg.Definitions:
    """Every entity's asset, and their gates as one step."""
    retailer = Environment.load().retailer
    reads = inputs_read(retailer) if _declares(retailer) else {}
    dated = {
        f"lake.{entity}": judged
        for entity, inputs in reads.items()
        if (judged := judged_inputs(retailer, inputs))
    }
    return dg.Definitions(
        assets=[
            _entity_asset(entity, retailer, reads.get(entity.entity, ()))
            for entity in contracts().values()
        ],
        asset_checks=[
            gate_checks(
                "lake_gates", judged_tables("lake"), _open, evidence=_evidence, prepare=_prepare
            ),
            *([_freshness_checks(dated)] if dated else []),
        ],
    )


def _declares(retailer: Retailer) -> bool:
    """Whether retailer.yaml says anything that needs the inputs of each entity to be known here."""
    return bool(retailer.connections) or any(
        source.freshness or source.expected_every_hours for source in retailer.inputs.values()
    )


@contextmanager
def _open(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake's views in a connection of their own; the warehouse is not touched."""
    with duckdb.connect() as connection:
        workspace.lake.register(connection, workspace.retailer)
        yield connection


def _prepare(workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
    """Rows that quarantine holds no more. They follow from what ``_evidence`` hashes."""
    connection.register("siyu_incoming", released(workspace.paths))
    connection.execute("CREATE TABLE lake.released AS FROM siyu_incoming")
    connection.unregister("siyu_incoming")


def _evidence(workspace: Workspace, connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """The version of an entity's table, and every batch in force: suites read those of others too."""
    batches = connection.execute("FROM lake.batch ORDER BY ALL").fetchall()
    seen = hashlib.sha256(repr(batches).encode()).hexdigest()
    return f"version {workspace.lake.version(table.partition('.')[2])} batches {seen}"


def _entity_asset(
    contract: Contract, retailer: Retailer, inputs: Sequence[str]
) -> dg.AssetsDefinition:
    pulled = [name for name in inputs if retailer.inputs[name].connection is not None]

    @dg.asset(
        key=dg.AssetKey(["lake", contract.entity]),
        deps=[source_key(name) for name in pulled],
        group_name="lake",
        owners=OWNERS,
        kinds={"deltalake"},
        description=f"{contract.en}\n\n{contract.zh}",
        freshness_policy=_expected(retailer, inputs),
        metadata={
            "dagster/column_schema": column_schema(contract),
            "key": ", ".join(contract.key),
        },
    )
    def entity(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> dg.MaterializeResult[Any]:
        faults, run = [], context.run
        try:
            landed = land(workspace, contract.entity, run.run_id, run.tags, datetime.now(UTC))
        except LandingError as error:
            faults.append(str(error))
            landed = Landed(error.reports)
        sync_lake_version(workspace, contract.entity, run.run_id)
        if contract.entity == CONSENTS:
            record_consents(workspace.paths)
        for report in landed.reports:
            for warning in report.warnings:
                context.log.warning(f"{report.entity} from {report.source}: {warning}")
        for reason in landed.unreleased:
            context.log.warning(f"{contract.entity}: {reason}")
        faults += _unpulled(workspace, pulled)
        if faults:
            # What did land is in the lake; what did not is named. Nothing above goes on from here.
            raise dg.Failure("; ".join(faults), allow_retries=False)
        return dg.MaterializeResult(
            metadata=landing_metadata(workspace.lake, contract.entity, landed)
        )

    return entity


def _unpulled(workspace: Workspace, pulled: Sequence[str]) -> list[str]:
    """Why inputs are not all there: their last pull failed, or died."""
    ledger = workspace.ledger
    tables = [source_table(name) for name in pulled]
    # An input that was never pulled is one that has no file yet.
    blocks = ledger.blocks(table for table in tables if ledger.newest(table) is not None)
    return ["; ".join(result.message for result in block.results) or str(block) for block in blocks]


def _expected(retailer: Retailer, inputs: Sequence[str]) -> dg.FreshnessPolicy | None:
    """How often the entity is to be landed: as often as the most frequent of its inputs."""
    hours = [retailer.inputs[name].expected_every_hours for name in inputs]
    said = [each for each in hours if each is not None]
    if not said:
        return None
    every = timedelta(hours=min(said))
    return dg.FreshnessPolicy.time_window(fail_window=2 * every, warn_window=every)


def _freshness_checks(dated: Mapping[str, Sequence[str]]) -> dg.AssetChecksDefinition:
    """One step that judges how old the data of each entity is.

    Args:
        dated: Inputs that retailer.yaml sets an age for, by ``lake.<entity>``.
    """

    @dg.multi_asset_check(
        name="lake_freshness",
        description="How old the data is, by the last day each input is complete for",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                FRESHNESS,
                asset=asset_key(table),
                blocking=True,
                description=f"Complete through a day that is recent enough: {', '.join(inputs)}",
            )
            for table, inputs in dated.items()
        ],
    )
    def checks(
        context: dg.AssetCheckExecutionContext, workspace: Workspace
    ) -> Iterator[dg.AssetCheckResult]:
        retailer, ledger, run_id = workspace.retailer, workspace.ledger, context.run.run_id
        through = workspace.lake.complete_through(retailer)
        today = datetime.now(ZoneInfo(retailer.timezone)).date()
        chosen = {table_name(key.asset_key) for key in context.selected_asset_check_keys}
        for table in sorted(chosen):
            results = judge_freshness(retailer, dated[table], through, today)
            for version in ledger.versions_to_judge(table, run_id):
                ledger.record(table, version, FRESHNESS, results, run_id)
            yield check_result(table, results, gate=FRESHNESS)

    return checks
