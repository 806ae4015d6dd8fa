"""What connections bring: one asset per input, all inputs of a connection pulled in one step."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from typing import Any

import dagster as dg

from orchestration.environment import OWNERS, Environment
from orchestration.lib.sources import GROUP, source_key, source_table
from orchestration.resources import Workspace
from siyu.ingestion import InputError
from siyu.ingestion.connectors import PULLERS
from siyu.ingestion.pull import PullError, PullReport, inputs_of, pull_connection
from siyu.ingestion.raw import Cursor
from siyu.ops import GateResult
from siyu.retailer import Connection, Retailer

GATE = "pull"
CHECK = "pulled"
# Pullers wait and ask again by themselves; this is for a system that is being restarted. The run
# holds the writer's lock meanwhile, so a system that stays away is left to the next poll.
RETRIES = dg.RetryPolicy(
    max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
_KINDS = {"postgres": "postgres", "objects": "s3", "wecom": "wecom", "mall": "youzan"}
_LONGEST = 80


@dg.definitions
def sources() -> dg.Definitions:
    """A step for each connection that feeds an input."""
    retailer = Environment.load().retailer
    return dg.Definitions(
        assets=[
            _connection(name, connection, retailer)
            for name, connection in retailer.connections.items()
            if inputs_of(retailer, name)
        ]
    )


def _connection(name: str, connection: Connection, retailer: Retailer) -> dg.AssetsDefinition:
    inputs = inputs_of(retailer, name)

    @dg.multi_asset(
        name=f"pull_{re.sub(r'[^A-Za-z0-9_]', '_', name)}",
        specs=[
            dg.AssetSpec(
                source_key(each),
                group_name=GROUP,
                owners=OWNERS,
                kinds={_KINDS[connection.type], source.format},
                description=(
                    f"{source.en or each}: {source.location}, from {connection.en or name}; sealed "
                    "as it came.\n\n从源系统拉取并加密保存的原始记录。"
                ),
                metadata={"connection": name, "every_minutes": connection.every_minutes},
            )
            for each, source in inputs.items()
        ],
        check_specs=[
            # Blocking, it would keep the other inputs of an entity from landing; the entity's own
            # step stops what is below.
            dg.AssetCheckSpec(
                CHECK,
                asset=source_key(each),
                description="The last pull brought all that is new; what reads it stops otherwise",
            )
            for each in inputs
        ],
        retry_policy=RETRIES,
    )
    def pull(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        ledger, run_id = workspace.ledger, context.run.run_id
        versions = {each: ledger.begin_write(source_table(each), run_id, [GATE]) for each in inputs}
        reports, faults = _pull(context, workspace, name)
        for each, version in versions.items():
            report, fault = reports.get(each), faults.get(each, faults.get(name))
            verdict = _verdict(each, report, fault)
            ledger.end_write(source_table(each), version, report.rows if report else 0)
            ledger.record(source_table(each), version, GATE, [verdict], run_id)
            if fault is not None:
                context.log.error(verdict.message)
            for warning in report.warnings if report else ():
                context.log.warning(f"{each}: {warning}")
            yield dg.MaterializeResult(
                asset_key=source_key(each), metadata=_metadata(report) if report else {}
            )
            yield dg.AssetCheckResult(
                asset_key=source_key(each),
                check_name=CHECK,
                passed=fault is None,
                severity=dg.AssetCheckSeverity.ERROR,
                description=verdict.message,
            )

    return pull


def _pull(
    context: dg.AssetExecutionContext, workspace: Workspace, name: str
) -> tuple[Mapping[str, PullReport], Mapping[str, str]]:
    """Pull a connection: what came, and what went wrong, by input or by the connection's name.

    Raises:
        dg.Failure: it may go better in a moment, and another attempt is left.
    """
    try:
        pulled = pull_connection(
            workspace.settings, workspace.retailer, name, PULLERS, datetime.now(UTC)
        )
    except PullError as error:
        if error.transient and context.retry_number < RETRIES.max_retries:
            raise dg.Failure(str(error)) from None
        faults = {each: str(fault) for each, fault in error.errors.items()}
        return _by_name(error.reports), faults
    except InputError as error:
        return {}, {name: str(error)}
    except Exception as error:  # its text may quote a record or a credential
        where = extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return {}, {name: f"stopped by {type(error).__name__} at {place}; report this"}
    return _by_name(pulled), {}


def _by_name(reports: Sequence[PullReport]) -> dict[str, PullReport]:
    return {report.name: report for report in reports}


def _verdict(name: str, report: PullReport | None, fault: str | None) -> GateResult:
    rows = report.rows if report else 0
    if fault is not None:
        kept = f"; {rows} records that came before are kept" if rows else ""
        return GateResult(
            GATE, CHECK, "ERROR", "errored", f"{name} could not be pulled: {fault}{kept}"
        )
    return GateResult(GATE, CHECK, "ERROR", "passed", f"{rows} new records", observed=str(rows))


def _metadata(report: PullReport) -> dict[str, Any]:
    return {
        "files": report.files,
        "rows": report.rows,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 2),
        "cursor": dg.MetadataValue.json(_shown(report.cursor)),
        **(
            {"warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in report.warnings))}
            if report.warnings
            else {}
        ),
    }


def _shown(cursor: Cursor) -> dict[str, str | int | float]:
    """A cursor in short: some keep a list of all that was seen."""
    return {
        name: value
        if isinstance(value, int | float)
        else f"{len(value)} entries"
        if isinstance(value, list | dict)
        else str(value)[:_LONGEST]
        for name, value in cursor.items()
    }
