"""The hand-written script that a refresh is measured against: the same tables with DuckDB alone.

``python -m benchmarks._reference <home of a finished refresh> <result.json>``

Source files are read straight into ``lake.<entity>`` by the retailer's mappings, and every table
behind them is one ``CREATE TABLE AS`` of the SQL that dbt had compiled. Repeats and rows without a
key are left out; otherwise nothing is checked. There is no contract, no quarantine, no vault (a
phone stays a phone), no Delta table, no ledger, no test, no Dagster and no dbt. Who is who is
decided by the product's own clustering: DuckDB has none.

What belongs here: that script. What does not: what the refresh took (``_refresh``).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from benchmarks._report import measured
from siyu.config import Settings
from siyu.contracts import Column, Contract, LakeColumn, contracts
from siyu.identity import past, resolve
from siyu.identity.history import PAST_SCHEMA
from siyu.identity.quality import QUALITY_SCHEMA
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA, REFUSED_SCHEMA
from siyu.ingestion.mapping import load_mapping
from siyu.paths import Paths
from siyu.retailer import Input, Retailer, load_retailer
from siyu.transform import ensure_manifest

LAND, IDENTITY = "land", "identity"
# The demo retailer's clock, which has no summer time.
_OFFSET = "INTERVAL 8 HOUR"
_MACROS = (
    f"CREATE MACRO local_to_utc(ts) AS TRY_CAST(ts AS TIMESTAMP) - {_OFFSET}",
    f"CREATE MACRO utc_to_local(ts) AS ts + {_OFFSET}",
    "CREATE MACRO ident(namespace, value) AS namespace || ':' || nullif(trim(value), '')",
    "CREATE MACRO try_decimal(value) AS TRY_CAST(trim(value) AS DECIMAL(18,4))",
)
# What dbt's hooks say before a model: of a table that is made for the first time, every date is new.
_BEFORE = {
    "customer_labels": (
        "CREATE TEMP TABLE label_date AS "
        "SELECT DISTINCT as_of_date, true AS is_whole FROM features.customer_features",
        "CREATE TEMP TABLE relabelled_customer AS SELECT NULL::VARCHAR AS customer_id WHERE false",
    )
}
_JUNK_PHONES = ("13800000000", "13800138000", "11111111111", "13900000000", "13888888888")


class Model(NamedTuple):
    """One dbt model as plain SQL."""

    layer: str
    name: str
    kind: str
    sql: str


def compiled_models(target: Path) -> list[Model]:
    """Models that dbt compiled in a finished refresh, each after those that it reads.

    Args:
        target: dbt's target folder of the refresh.
    """
    manifest = json.loads(ensure_manifest().read_text("utf-8"))
    nodes: dict[str, Any] = {
        name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"
    }
    above = {
        name: [read for read in node["depends_on"]["nodes"] if read in nodes]
        for name, node in nodes.items()
    }
    order = (nodes[name] for name in TopologicalSorter(above).static_order())
    folder = target / "compiled" / "siyu"
    return [
        Model(
            node["schema"], node["name"],
            "VIEW" if node["config"]["materialized"] == "view" else "TABLE",
            (folder / node["original_file_path"]).read_text("utf-8"),
        )
        for node in order
        if node["config"]["materialized"] != "ephemeral"
    ]  # fmt: skip


class Script:
    """The script, on one DuckDB file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._retailer: Retailer = load_retailer(settings)
        self.cpu: dict[str, float] = {}

    def run(self, models: list[Model]) -> None:
        """Make every table."""
        with self._timed(LAND):
            self._land()
        self._replace("identity_event", EVENT_SCHEMA.empty_table())
        self._replace("identity_refused_edge", REFUSED_SCHEMA.empty_table())
        self._replace("identity_quality", _of_first_map(QUALITY_SCHEMA.empty_table()))
        self._replace("customer_identifier", MAP_SCHEMA.empty_table())
        self._replace("customer_identifier_past", PAST_SCHEMA.empty_table())
        for layer in ("staging", "unified", "marts", "features", "ops"):
            with self._timed(layer):
                self._connection.execute(f"CREATE SCHEMA {layer}")
                for model in models:
                    if model.layer == layer:
                        for statement in _BEFORE.get(model.name, ()):
                            self._connection.execute(statement)
                        self._connection.execute(
                            f"CREATE {model.kind} {layer}.{model.name} AS {model.sql}"
                        )
            if layer == "staging":
                with self._timed(IDENTITY):
                    self._resolve()

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self.cpu[step] = time.process_time() - before

    def _land(self) -> None:
        self._connection.execute("CREATE SCHEMA lake")
        for macro in _MACROS:
            self._connection.execute(macro)
        for name, source in self._retailer.inputs.items():
            self._connection.execute(f"CREATE VIEW {name} AS {self._read(name, source)}")
        for contract in contracts().values():
            self._connection.execute(
                f"CREATE TABLE lake.{contract.entity} AS {self._rows(contract)}"
            )
            self._drop_repeats(contract)

    def _read(self, name: str, source: Input) -> str:
        """SELECT of an input's records; ``_file`` begins with the input's name."""
        location = source.location.replace("${SIYU_HOME}", str(self._settings.home))
        declared = source.columns or (_header(Path(location)) if source.format == "csv" else {})
        columns = ", ".join(f"'{column}': '{kind}'" for column, kind in declared.items())
        # DuckDB samples JSON also when its columns are given: seconds, at every look at the view.
        unsampled = "maximum_sample_files = 1, sample_size = 1, filename = true"
        reader = {
            "parquet": f"read_parquet('{location}', filename = true, file_row_number = true)",
            "csv": f"read_csv('{location}', columns = {{{columns}}}, header = true, "
            "auto_detect = false, filename = true)",
            "jsonl": f"read_ndjson('{location}', columns = {{{columns}}}, {unsampled})",
            "json": f"read_json('{location}', columns = {{{columns}}}, {unsampled})",
        }[source.format]
        row = "file_row_number" if source.format == "parquet" else "row_number() OVER ()"
        return f"SELECT *, '{name}/' || filename AS _file, {row} AS _row FROM {reader}"

    def _rows(self, contract: Contract) -> str:
        """SELECT of an entity's rows in the lake's shape."""
        if contract.entity not in self._retailer.mappings:
            nulls = ", ".join(f"NULL::{c.sql_type} AS {c.name}" for c in contract.lake_columns)
            return f"SELECT {nulls} WHERE false"
        mapping = load_mapping(self._retailer, contract.entity).text
        described = self._connection.execute(f"DESCRIBE {mapping}").fetchall()
        mapped = {str(row[0]) for row in described}
        typed = ", ".join(_typed(column) for column in contract.columns if column.name in mapped)
        given = "_known_at" if "_known_at" in mapped else "NULL::TIMESTAMP"
        event = _event(contract)
        dates = [name for name in ("recorded_at", contract.version) if name in mapped]
        known = ", ".join(["_given", *dates[:1], event, *dates[1:]])
        stored = [_stored(c, contract, mapped) for c in contract.lake_columns if c.origin]
        needed = " AND ".join(
            f"{column.name} IS NOT NULL" for column in contract.columns if column.required
        )
        start = f"'{self._retailer.history_from}'::TIMESTAMP - {_OFFSET}"
        return (
            f"SELECT {', '.join(stored)}, split_part(_file, '/', 1) AS _source, 'one' AS _batch_id, "
            f"_file, _row, {event} AS _event_at, utc_to_local({event})::DATE AS _event_date, "
            f"coalesce({known}, {start}) AS _known_at, '2026-07-01'::TIMESTAMP AS _loaded_at "
            f"FROM (SELECT {typed}, {given} AS _given, _file, _row FROM ({mapping})) WHERE {needed}"
        )

    def _drop_repeats(self, contract: Contract) -> None:
        """Delete rows that say the same as another one; only keys met twice are compared."""
        key = ", ".join(contract.key)
        content = ", ".join(column.name for column in contract.lake_columns if column.origin)
        table = f"lake.{contract.entity}"
        self._connection.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, row_number() "
            f"OVER (PARTITION BY {content} ORDER BY _known_at, _file, _row) AS nth FROM {table} "
            f"WHERE hash({key}) IN (SELECT hash({key}) FROM {table} GROUP BY 1 HAVING count(*) > 1)) "
            "WHERE nth > 1)"
        )

    def _resolve(self) -> None:
        spaces = self._retailer.identifiers
        identifiers, edges = (
            self._connection.execute(f"FROM staging.{table}").to_arrow_table()
            for table in ("stg_identifier", "stg_identity_edge")
        )
        decided = resolve(
            identifiers=identifiers,
            edges=edges,
            previous=MAP_SCHEMA.empty_table(),
            caps={name: namespace.cap for name, namespace in spaces.items()},
            member_namespaces={name for name, n in spaces.items() if n.type == "member_id"},
            junk={f"phone:{phone}" for phone in _JUNK_PHONES},
            run_id="reference",
        )
        self._replace("identity_event", decided.events)
        self._replace("identity_refused_edge", decided.refused_edges)
        self._replace("identity_quality", _of_first_map(decided.quality.as_table()))
        self._replace("customer_identifier", decided.customer_identifier)
        before = past(decided.customer_identifier, identifiers, edges)
        self._replace("customer_identifier_past", before)

    def _replace(self, name: str, rows: Any) -> None:
        self._connection.register("incoming", rows)
        self._connection.execute(f"CREATE OR REPLACE TABLE lake.{name} AS FROM incoming")
        self._connection.unregister("incoming")


def _of_first_map(figures: pa.Table) -> pa.Table:
    return figures.append_column("map_version", pa.array([0] * len(figures), pa.int64()))


def _header(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8") as opened:
        return dict.fromkeys(opened.readline().strip().split(","), "VARCHAR")


def _typed(column: Column) -> str:
    name = f'"{column.name}"'
    if column.kind == "phone":
        return f"'phone:' || right(regexp_replace({name}, '[^0-9]', '', 'g'), 11) AS {name}"
    return f"TRY_CAST({name} AS {column.sql_type}) AS {name}"


def _event(contract: Contract) -> str:
    if contract.event_time is None:
        return "NULL::TIMESTAMP"
    day = contract.column(contract.event_time).type == "date"
    return f"local_to_utc({contract.event_time})" if day else contract.event_time


def _stored(stored: LakeColumn, contract: Contract, mapped: set[str]) -> str:
    column = contract.column(stored.origin)
    name = f'"{column.name}"'
    if column.name not in mapped:
        return f"NULL::{stored.sql_type} AS {stored.name}"
    value = name
    if stored.name.endswith(("_year", "_month")) and column.pii == "direct":
        value = f"{stored.name.rpartition('_')[2]}({name})"
    elif column.pii == "direct":
        value = f"{name}::VARCHAR"
    elif stored.name != column.name:
        value = f"utc_to_local({name})::DATE"
    return f"{value} AS {stored.name}"


def main(home: Path, result: Path) -> int:
    """Run the script beside a finished refresh; its file must bear the warehouse's name.

    Args:
        home: ``SIYU_HOME`` of the refresh: its source files, and what dbt compiled.
        result: Where to write what it took.
    """
    settings = Settings.from_env({**os.environ, "SIYU_HOME": str(home), "SIYU_RETAILER": "demo"})
    models = compiled_models(Paths.of(settings).dbt / settings.engine)
    file = result.parent / "siyu.duckdb"
    file.unlink(missing_ok=True)
    start_up = time.process_time()
    with measured() as cost, duckdb.connect(str(file)) as connection:
        script = Script(connection, settings)
        script.run(models)
    said = {
        "start_up_cpu": start_up,
        "cpu": cost.cpu_seconds,
        "wall": cost.wall_seconds,
        "peak_bytes": cost.peak_bytes,
        "steps": script.cpu,
    }
    result.write_text(json.dumps(said, indent=2), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
