"""Gates: one blocking check per judged table, and the refusal to read what has not passed.

Great Expectations suites become Dagster checks here, whatever stage they belong to. Every table
asked about gets a result: an exception is a failed check, silence never is a pass. What a suite
demands is in ``expectations``; what blocks is decided by ``siyu.ops``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from functools import cache, partial
from typing import Protocol

import dagster as dg
import duckdb

from expectations.catalog import suite_for
from expectations.runner import fingerprint, judge
from orchestration.resources import Workspace
from siyu.ops import Block, GateBlocked, GateResult, Ledger, Verdict

GATE = "gx"


class Connector(Protocol):
    """How a stage's tables are opened to be judged."""

    def __call__(self, workspace: Workspace) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection in which the stage's tables can be queried."""


class Evidence(Protocol):
    """What a stage's tables hold, in a few words."""

    def __call__(
        self, workspace: Workspace, connection: duckdb.DuckDBPyConnection, table: str
    ) -> str:
        """Text that changes whenever anything changes that the table's suite reads."""


class Preparation(Protocol):
    """What only judging needs, beside the tables of the stage."""

    def __call__(self, workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> None:
        """Make it in the connection."""


def asset_key(table: str) -> dg.AssetKey:
    """Key of the asset that makes ``schema.table``."""
    return dg.AssetKey(table.split("."))


def table_name(key: dg.AssetKey) -> str:
    """``schema.table`` of an asset."""
    return ".".join(key.path)


@contextmanager
def open_warehouse(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, and the lake that some of its tables are judged beside."""
    with workspace.warehouse.connect() as connection:
        if workspace.settings.engine == "spark":
            # The file holds views of the lake; folders hold none, and Spark's die with its session.
            workspace.lake.register(connection, workspace.retailer)
        yield connection


def gate_checks(
    name: str,
    tables: Sequence[str],
    connect: Connector,
    by_day: Collection[str] = (),
    evidence: Evidence | None = None,
    prepare: Preparation | None = None,
) -> dg.AssetChecksDefinition:
    """One step that judges the tables of a stage, a blocking check for each.

    Args:
        name: Name of the step.
        tables: ``schema.table`` of each; all must have a suite.
        connect: How to open them.
        by_day: Those of them that are kept by as-of day: judged are the days that the run speaks of
            or wrote, each by itself; all others keep their verdict.
        evidence: For tables that a run may leave as they were: what they hold. The verdict on the
            same version, suite and evidence stands; without evidence every run judges anew.
        prepare: Makes what suites read besides; once, and not where every verdict stands.
    """

    @dg.multi_asset_check(
        name=name,
        description=f"Great Expectations gates of {name.removesuffix('_gates')}",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=asset_key(table),
                blocking=True,
                description=f"Great Expectations suite of {table}; what reads it waits for it",
            )
            for table in tables
        ],
    )
    def checks(
        context: dg.AssetCheckExecutionContext, workspace: Workspace
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = {table_name(key.asset_key) for key in context.selected_asset_check_keys}
        with connect(workspace) as connection:
            prepared = cache(partial(prepare, workspace, connection)) if prepare else _nothing
            for table in sorted(chosen):
                found: list[GateResult] = []
                earlier: set[str] = set()
                days = _days(table, context, workspace) if table in by_day else [None]
                for day in days:
                    basis = _basis(table, connection, workspace, day, evidence)
                    standing = _standing(table, workspace.ledger, day, basis)
                    if standing is not None:
                        found += standing.results
                        earlier.add(standing.run_id)
                        continue
                    results = _judge(table, connection, workspace, day, prepared)
                    _record(table, results, workspace.ledger, context.run.run_id, day, basis)
                    found += results
                yield check_result(table, found, earlier)

    return checks


def _nothing() -> None:
    """Suites read nothing but the tables of their stage."""


def _days(
    table: str, context: dg.AssetCheckExecutionContext, workspace: Workspace
) -> Sequence[date | None]:
    """Days to judge a table of that is kept by day."""
    written = workspace.ledger.days_written(table, context.run.run_id)
    return sorted({*workspace.days(context), *written})


def _judge(
    table: str,
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    day: date | None,
    prepare: Callable[[], None],
) -> list[GateResult]:
    """What the suite says of a table; an exception becomes an errored result."""
    try:
        prepare()
        suite = suite_for(table, workspace.retailer, day)
        if suite is None:
            return [_errored(f"{table} has no suite")]
        return judge(suite, connection)
    except Exception as error:  # a gate that cannot judge has not passed
        return [_errored(f"the gate could not judge ({type(error).__name__})")]


def _errored(message: str) -> GateResult:
    return GateResult(GATE, "judged", "ERROR", "errored", message)


def _basis(
    table: str,
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    day: date | None,
    evidence: Evidence | None,
) -> str | None:
    """What a verdict on the table follows from; None when it may not be used again."""
    if evidence is None:
        return None
    try:
        suite = suite_for(table, workspace.retailer, day)
        seen = evidence(workspace, connection, table)
    except Exception:  # judging will say what is wrong
        return None
    return None if suite is None else f"{fingerprint(suite)} {seen}"


def _standing(table: str, ledger: Ledger, day: date | None, basis: str | None) -> Verdict | None:
    """The verdict that stands for the table as it is, if there is one."""
    version = ledger.newest(table, day)
    if basis is None or version is None:
        return None
    return ledger.verdict(table, version, GATE, basis)


def _record(
    table: str,
    results: Sequence[GateResult],
    ledger: Ledger,
    run_id: str,
    day: date | None,
    basis: str | None,
) -> None:
    """Keep the results with every version of the table that this judgement covers."""
    for version in ledger.versions_to_judge(table, run_id, day):
        ledger.record(table, version, GATE, results, run_id, basis)


def check_result(
    table: str, results: Sequence[GateResult], earlier: Collection[str] = (), gate: str = GATE
) -> dg.AssetCheckResult:
    """A gate's results as Dagster shows them.

    Args:
        table: ``schema.table``.
        results: What the gate said.
        earlier: Runs that judged, where a verdict of theirs stands.
        gate: Name of the check.
    """
    broken = [result for result in results if result.outcome != "passed"]
    blocking = [result for result in broken if result.blocks]
    shown = broken or results
    return dg.AssetCheckResult(
        asset_key=asset_key(table),
        check_name=gate,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=(
            " ".join(result.message for result in broken)
            if broken
            else f"all {len(results)} rules passed"
        ),
        metadata={
            "rules": len(results),
            "failed": len(broken),
            **({"judged_in_run": ", ".join(sorted(earlier))} if earlier else {}),
            "results": dg.MetadataValue.table(_records(shown)),
        },
    )


def _records(results: Sequence[GateResult]) -> list[dg.TableRecord]:
    """Results as rows of a table; counts and examples only where there are some."""
    counted = any(result.failed_count is not None for result in results)
    shown = any(result.example_keys for result in results)
    return [
        dg.TableRecord(
            {
                "rule": result.rule,
                "outcome": result.outcome,
                "severity": result.severity,
                **({"rows": result.failed_count} if counted else {}),
                "message": result.message,
                **({"example_keys": ", ".join(result.example_keys)} if shown else {}),
            }
        )
        for result in results
    ]


def require_passed(workspace: Workspace, tables: Iterable[str], as_of: date | None = None) -> None:
    """Refuse to run a step above which a gate has not passed, in this run or an earlier one.

    Args:
        workspace: The run's workspace.
        tables: What the step reads.
        as_of: The only partition it reads, of tables kept by as-of date.

    Raises:
        dg.Failure: says which table blocks, why, and what to do.
    """
    try:
        workspace.ledger.require_passed(tables, as_of)
    except GateBlocked as blocked:
        raise refusal(blocked.blocks) from None


def refusal(blocks: Sequence[Block]) -> dg.Failure:
    """What a step fails with that may not run: which tables block, why, and what to do."""
    return dg.Failure(
        f"blocked by a gate: {GateBlocked(blocks)}",
        metadata={
            "blocks": dg.MetadataValue.md(
                "\n".join(f"- **{b.place}**: {b.reason}. {b.remedy}." for b in blocks)
            )
        },
        allow_retries=False,
    )
