"""The publication: what BI reads, swapped in only when every gate above it has passed."""

import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from ml.metrics_schema import METRICS_TABLE
from orchestration.environment import OWNERS, Environment
from orchestration.lib.dbt import layer_tables, read_manifest, working_tables
from orchestration.lib.gates import require_passed
from orchestration.lib.standing import basis, may_stand
from orchestration.lib.texts import table_texts
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace
from siyu.ops import Ledger
from siyu.serving import current_folder, prune, publish
from siyu.serving.records import OPS_TEXTS, ops_tables
from siyu.transform import ensure_manifest

# The table whose day the publication goes by.
DATED_BY = "marts.customer_360"
KEEP = timedelta(days=14)
KEY = dg.AssetKey(["serving", "publication"])
# The day's landing begins at six; by nine, something of the day is to be published.
DUE_BY = "0 9 * * *"
DUE_FROM = timedelta(hours=9)


def published_tables() -> tuple[str, ...]:
    """What people read: every table of these layers that is more than a step on the way."""
    manifest = read_manifest(ensure_manifest())
    working = working_tables(manifest)
    layers = (layer_tables(manifest, layer) for layer in ("unified", "marts", "features", "ops"))
    kept = (table for layer in layers for table in layer if table not in working)
    return (*kept, "ml.customer_scores")


@dg.definitions
def publication() -> dg.Definitions:
    """The publication asset."""
    retailer = Environment.load().retailer
    reads = published_tables()
    above = tables_above("serving")

    @dg.asset(
        key=KEY,
        deps=[dg.AssetKey(table.split(".")) for table in reads],
        group_name="serving",
        owners=OWNERS,
        kinds={"duckdb", "parquet"},
        # A closed data set is published once.
        freshness_policy=(
            dg.FreshnessPolicy.cron(DUE_BY, DUE_FROM, retailer.timezone)
            if retailer.history_to is None
            else None
        ),
        description=(
            "A versioned folder with the warehouse as one DuckDB file and as Parquet, with comments "
            "in English and Chinese, behind the symlink serving/current. Written only when the "
            "gates of every table in it have passed; the last good publication stays up until then."
            "\n\n供 BI 使用的发布版本：全部质量门通过后才切换。"
        ),
    )
    def publication(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> dg.MaterializeResult[Any]:
        require_passed(workspace, above)
        ledger, run_id = workspace.ledger, context.run.run_id
        as_of = ledger.newest_as_of(DATED_BY)
        _require_one_state(ledger, reads, as_of)
        expected = _basis(workspace, above, as_of)
        current = current_folder(workspace.paths)
        if may_stand(context.run.tags) and current and ledger.published(current) == expected:
            ledger.record_publication(run_id, as_of, current, expected)
            return dg.MaterializeResult(
                metadata={
                    "as_of": as_of.isoformat(),
                    "folder": dg.MetadataValue.path(str(current)),
                    "outcome": "stands: it is what would be published",
                }
            )
        made = publish(
            workspace.paths,
            workspace.warehouse,
            # Metrics are there once a model has been trained.
            [*reads, *({METRICS_TABLE} & workspace.warehouse.tables())],
            {**table_texts(), **OPS_TEXTS},
            ops_tables(workspace.paths, workspace.retailer),
            run_id,
            as_of,
        )
        ledger.record_publication(run_id, as_of, made.folder, expected)
        removed = prune(workspace.paths, KEEP, time.time())
        return dg.MaterializeResult(
            metadata={
                "as_of": as_of.isoformat(),
                "folder": dg.MetadataValue.path(str(made.folder)),
                "tables": len(made.rows),
                "rows": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"table": table, "rows": rows})
                        for table, rows in made.rows.items()
                    ]
                ),
                "pruned": len(removed),
            }
        )

    return dg.Definitions(assets=[publication])


def _require_one_state(ledger: Ledger, tables: Sequence[str], as_of: date) -> None:
    """Refuse to publish what a run that did not come to its end left: tables of several states.

    Args:
        ledger: Knows what day each table speaks of, and when it was begun.
        tables: ``schema.table`` of what is published.
        as_of: The day of the publication.

    Raises:
        dg.Failure: a table is of another day, was begun before the unified layer that it is made
            from, or has nothing of the day; says which, and what to do.
    """
    versions = [v for v in ledger.in_force(tables) if not v.by_day or v.as_of == as_of]
    made_from = max((v.started_at for v in versions if v.table.startswith("unified.")), default="")
    found: dict[str, list[str]] = {}
    for version in versions:
        if version.as_of != as_of:
            found.setdefault(f"as of {version.as_of}", []).append(version.table)
        elif version.started_at < made_from and not version.table.startswith("unified."):
            found.setdefault("older than the unified layer", []).append(version.table)
    if lacking := sorted(set(tables) - {version.table for version in versions}):
        found[f"without anything as of {as_of}"] = lacking
    if found:
        said = "; ".join(f"{', '.join(names)}: {state}" for state, names in found.items())
        raise dg.Failure(
            f"{DATED_BY} is as of {as_of}, but not all that would be published goes with it: {said}. "
            "A run was cut short, or only some tables were made: run the refresh job to its end",
            allow_retries=False,
        )


def _basis(workspace: Workspace, above: Sequence[str], as_of: date) -> str:
    """What a publication follows from: its tables, the metrics, and what the gates found amiss."""
    trained: list[dict[str, Any]] = []
    if workspace.warehouse.exists(METRICS_TABLE):
        trained = workspace.warehouse.read(f"FROM {METRICS_TABLE} ORDER BY ALL").to_pylist()
    amiss = workspace.ledger.amiss(above)
    return basis(workspace, above, as_of=as_of, metrics=trained, amiss=amiss)
