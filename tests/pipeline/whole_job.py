"""One retailer's home and the real jobs on it, for the tests of this folder.

What belongs here: running a job, and taking down what there was to see afterwards, so that later
runs cannot change what an earlier test looks at. What does not: what should have been there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from ml.metrics_schema import METRICS_TABLE
from orchestration.definitions import defs
from orchestration.defs.serving.publication import published_tables
from orchestration.environment import Environment
from orchestration.lib.instance import prepare_instance
from orchestration.resources.workspace import last_complete_day
from siyu.contracts import contracts
from siyu.identity import IdentityStore
from siyu.lake import Lake
from siyu.ops import Block
from siyu.paths import Paths
from siyu.serving import status
from siyu.warehouse import Warehouse

# Which run wrote a row is not what the row says.
PROVENANCE = ("run_id",)
HELD = ("unified", "marts", "features", "ops", "ml")


@dataclass(frozen=True)
class Run:
    """How one run went.

    Attributes:
        success: Whether all of it succeeded.
        steps: Names of the steps that succeeded.
        failures: What each failed step said, by its name.
        failed_checks: What each failed check said, by ``schema.table``.
    """

    success: bool
    steps: frozenset[str]
    failures: Mapping[str, str]
    failed_checks: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """What a retailer's home holds at one moment.

    Attributes:
        lake: Version of each entity's Delta table; None where nothing landed.
        identity: Which customer each identifier belongs to.
        tables: Rows and a hash of them by ``schema.table`` of the warehouse.
        publication: Folder that is published, or None.
        published: The same for the tables that are published.
        blocks: What blocks, by table.
    """

    lake: Mapping[str, int | None]
    identity: Mapping[str, str | None]
    tables: Mapping[str, tuple[int, int]]
    publication: Path | None
    published: Mapping[str, tuple[int, int]]
    blocks: Mapping[str, Block]


class WholeJob:
    """The jobs of the retailer that the environment names."""

    def __init__(self) -> None:
        self.environment = Environment.load()
        self.paths = Paths.of(self.environment.settings)
        self._definitions = defs()

    @property
    def lake(self) -> Lake:
        """What landed."""
        return Lake(self.paths)

    def last_complete_day(self) -> str:
        """The day that a refresh works as of."""
        return last_complete_day(self.environment).isoformat()

    def run(self, job: str, day: str | None = None, only: Sequence[str] = ()) -> Run:
        """Run a job, or only some groups of its assets."""
        definition = self._definitions.resolve_job_def(job)
        chosen = [key for key in definition.asset_layer.selected_asset_keys if key.path[0] in only]
        with dg.DagsterInstance.get() as instance:
            result = definition.execute_in_process(
                instance=instance,
                partition_key=day,
                raise_on_error=False,
                asset_selection=chosen or None,
                run_config={"loggers": {"console": {}}},
            )
        failures = {
            event.step_key or "": _said(event.step_failure_data.error)
            for event in result.all_node_events
            if event.is_step_failure
        }
        return Run(
            success=result.success,
            steps=frozenset(
                event.step_key or "" for event in result.all_node_events if event.is_step_success
            ),
            failures=failures,
            failed_checks={
                ".".join(check.asset_key.path): str(check.description)
                for check in result.get_asset_check_evaluations()
                if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
            },
        )

    def state(self) -> State:
        """What there is now."""
        held = status(self.paths)
        warehouse = Warehouse.of(self.environment.settings)
        tables: Mapping[str, tuple[int, int]] = {}
        if self.paths.warehouse.exists():
            with warehouse.connect() as connection:
                tables = fingerprints(connection)
        published: Mapping[str, tuple[int, int]] = {}
        if held.folder is not None:
            with self.published() as connection:
                published = fingerprints(connection)
        people = IdentityStore(self.paths).previous().to_pylist()
        return State(
            lake={entity: self.lake.version(entity) for entity in contracts()},
            identity={row["identifier"]: row["customer_id"] for row in people},
            tables=tables,
            publication=held.folder,
            published=published,
            blocks={block.table: block for block in held.blocks},
        )

    @contextmanager
    def published(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The current publication, opened as BI opens it."""
        file = self.paths.serving / "current" / "siyu.duckdb"
        with duckdb.connect(str(file), read_only=True) as connection:
            yield connection


@contextmanager
def whole_job(home: Path, retailer: str, **environment: str) -> Iterator[WholeJob]:
    """A retailer in a home of its own, and the environment back as it was afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        # Named by the instance's own set-up, as for a user who named none.
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("SIYU_HOME", str(home))
        patch.setenv("SIYU_RETAILER", retailer)
        for name, value in environment.items():
            patch.setenv(name, value)
        job = WholeJob()
        prepare_instance(job.environment.settings)
        yield job


def fingerprints(
    connection: duckdb.DuckDBPyConnection, day: str | None = None
) -> dict[str, tuple[int, int]]:
    """Rows of every table that is published, and a hash that does not depend on their order.

    Args:
        connection: A warehouse or a publication.
        day: Of tables that are kept by as-of day, only this one.
    """
    tables = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_schema IN (SELECT unnest(?)) AND table_type = 'BASE TABLE'",
        [list(HELD)],
    ).fetchall()
    found = {}
    # Steps on the way to these, and what dbt notes for its next run, are nobody's to read.
    kept_for_people = {*published_tables(), METRICS_TABLE}
    for schema, name in tables:
        if f"{schema}.{name}" not in kept_for_people:
            continue
        without = "" if schema == "unified" else f"EXCLUDE ({', '.join(PROVENANCE)})"
        columns = {row[0] for row in connection.execute(f"DESCRIBE {schema}.{name}").fetchall()}
        kept = f"* {without}" if columns & set(PROVENANCE) else "*"
        chosen = f"as_of_date = '{day}'" if day and "as_of_date" in columns else "true"
        row = connection.execute(
            f"SELECT count(*), coalesce(sum(CAST(hash(r) AS HUGEINT)), 0) "
            f"FROM (SELECT {kept} FROM {schema}.{name} WHERE {chosen}) AS r"
        ).fetchone()
        assert row is not None
        found[f"{schema}.{name}"] = (int(row[0]), int(row[1]))
    return found


def _said(error: Any) -> str:
    cause = error.cause if error is not None and error.cause else error
    return "" if cause is None else str(cause.message)
