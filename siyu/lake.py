"""The lake: one Delta table per entity, read through its log, which is the ledger of what landed.

What belongs here: which batches, files and rows of the lake are in force, how a DuckDB connection
or a Spark session gets to see them, how far each input is complete, and the one way a commit is
made. What does not: what is committed (``siyu.ingestion``), or the tables made from the lake
(``siyu.warehouse``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote
from uuid import uuid4

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    WriterProperties,
    write_deltalake,
)
from deltalake.transaction import AddAction, create_table_with_add_actions
from pydantic import BaseModel, ConfigDict

from siyu.contracts import Contract, contract, contracts
from siyu.paths import Paths
from siyu.retailer import Retailer

MANIFEST = "siyu.manifest"

# The log is the ledger, so no entry of it may ever be cleaned up: not after a checkpoint either.
_LOG_FOR_EVER = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}

# DuckDB's own row group: it reads one per thread, and a writer holds one in memory.
_ROW_GROUP = 122_880

_IDENTITY = {
    "customer_identifier": {
        "identifier": "VARCHAR",
        "namespace": "VARCHAR",
        "customer_id": "VARCHAR",
        "is_junk": "BOOLEAN",
        "known_at": "TIMESTAMP",
        "updated_run_id": "VARCHAR",
    },
    "customer_identifier_past": {
        "identifier": "VARCHAR",
        "namespace": "VARCHAR",
        "customer_id": "VARCHAR",
        "effective_from": "TIMESTAMP",
        "effective_to": "TIMESTAMP",
        "recorded_from": "TIMESTAMP",
        "recorded_to": "TIMESTAMP",
    },
    "identity_event": {
        "event_id": "VARCHAR",
        "event_type": "VARCHAR",
        "customer_id": "VARCHAR",
        "other_customer_id": "VARCHAR",
        "identifier": "VARCHAR",
        "other_identifier": "VARCHAR",
        "rule_id": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "run_id": "VARCHAR",
    },
    "identity_refused_edge": {
        "identifier_a": "VARCHAR",
        "identifier_b": "VARCHAR",
        "rule_id": "VARCHAR",
        "priority": "BIGINT",
        "evidence_count": "BIGINT",
        "first_seen_at": "TIMESTAMP",
        "last_seen_at": "TIMESTAMP",
        "known_at": "TIMESTAMP",
        "reason": "VARCHAR",
        "capped_namespace": "VARCHAR",
        "customer_id_a": "VARCHAR",
        "customer_id_b": "VARCHAR",
    },
    "identity_proposal": {
        "identifier_a": "VARCHAR",
        "identifier_b": "VARCHAR",
        "probability": "DOUBLE",
        "is_linked": "BOOLEAN",
        "known_at": "TIMESTAMP",
    },
    "identity_quality": {
        "map_version": "BIGINT",
        "identifier_count": "BIGINT",
        "junk_identifier_count": "BIGINT",
        "customer_count": "BIGINT",
        "unlinked_customer_count": "BIGINT",
        "identifiers_p50": "DOUBLE",
        "identifiers_p90": "DOUBLE",
        "identifiers_p99": "DOUBLE",
        "identifiers_max": "BIGINT",
        "edge_count": "BIGINT",
        "density": "DOUBLE",
        "bridge_edge_count": "BIGINT",
        "bridge_edge_share": "DOUBLE",
        "refused_edge_count": "BIGINT",
        "refused_edge_share": "DOUBLE",
        "customer_count_before": "BIGINT",
        "created_customer_count": "BIGINT",
        "merged_customer_count": "BIGINT",
        "split_customer_count": "BIGINT",
        "merge_rate": "DOUBLE",
    },
}

_BATCH_SCHEMA = pa.schema(
    {
        "batch_id": pa.string(),
        "entity": pa.string(),
        "source": pa.string(),
        "file_count": pa.int64(),
        "bytes": pa.int64(),
        "contract_sha256": pa.string(),
        "mapping_sha256": pa.string(),
        "rows_read": pa.int64(),
        "rows_in": pa.int64(),
        "accepted": pa.int64(),
        "duplicates": pa.int64(),
        "quarantined": pa.int64(),
        "suppressed": pa.int64(),
        "superseding": pa.int64(),
        "event_min": pa.timestamp("us"),
        "event_max": pa.timestamp("us"),
        "loaded_at": pa.timestamp("us"),
        "backfill": pa.bool_(),
        "complete_through": pa.date32(),
        "run_id": pa.string(),
        "rewritten": pa.int64(),
    }
)

# Commits without a manifest after which every row is what it was.
_UPKEEP = frozenset({"CREATE TABLE", "OPTIMIZE", "VACUUM START", "VACUUM END"})

_QUARANTINE_SUMMARY_SCHEMA = pa.schema(
    {
        "entity": pa.string(),
        "source": pa.string(),
        "batch_id": pa.string(),
        "rule": pa.string(),
        "column": pa.string(),
        "rows": pa.int64(),
        "loaded_at": pa.timestamp("us"),
    }
)


class LakeError(Exception):
    """The lake cannot answer; the message says why and what to do."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ManifestFile(_Data):
    """One source file of a batch.

    Attributes:
        name: Name relative to the input's root.
        sha256: Hash of its bytes.
        bytes: Its size.
        rows: Records in it, malformed ones included.
        known_at: When it first landed; None when that was the input's backfill.
    """

    name: str
    sha256: str
    bytes: int
    rows: int
    known_at: datetime | None = None


class Drift(_Data):
    """How the columns of a batch's files differ from what was known of them.

    Attributes:
        column: The source column.
        change: ``new`` (kept aside until it is declared or mapped), ``missing`` (null in every row)
            or ``retyped``.
        expected: Its type before; empty for a new one.
        found: Its type in these files; empty for a missing one.
    """

    column: str
    change: Literal["new", "missing", "retyped"]
    expected: str = ""
    found: str = ""


class Manifest(_Data):
    """What one commit to an entity's table did.

    ``rows_in = accepted + duplicates + quarantined + suppressed``.

    Attributes:
        batch_id: Follows from the entity, the input, the files, the contract and the mapping; where
            bytes land that a batch in force holds already, from the last of these too.
        kind: ``landing`` brings rows; ``retraction`` takes a batch's rows out; ``restoration`` lets
            the files of a retracted batch land again; ``migration`` brings what has landed under an
            earlier version of the contract to its present one.
        files: What was read, by when it became known and by name.
        repeats: Files that were not read, as the same bytes had landed under another name.
        rows_read: Records in the files.
        rows_in: Rows that the mapping made of them, and malformed records; fewer than were read where
            the mapping's WHERE leaves records out, more where it takes one apart.
        superseding: Accepted rows whose key had been accepted before.
        event_min: Earliest event time accepted (UTC).
        event_max: Latest event time accepted (UTC).
        complete_through: Last local day that the batch shows to be complete.
        replaces: Batches whose rows this commit took out because they are landed anew.
        retracts: Batches whose rows this commit took out because somebody said so.
        restores: Batches whose files may land again.
        contract_version: Version of the contract that the rows meet.
        columns: Columns of the files with their types; of a JSON input the top keys seen.
        drift: How they differ from what was known before.
    """

    batch_id: str
    kind: Literal["landing", "retraction", "restoration", "migration"] = "landing"
    entity: str
    source: str
    files: tuple[ManifestFile, ...] = ()
    repeats: tuple[ManifestFile, ...] = ()
    contract_sha256: str = ""
    mapping_sha256: str = ""
    rows_read: int = 0
    rows_in: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    suppressed: int = 0
    superseding: int = 0
    event_min: datetime | None = None
    event_max: datetime | None = None
    loaded_at: datetime
    backfill: bool = False
    complete_through: date | None = None
    replaces: tuple[str, ...] = ()
    retracts: tuple[str, ...] = ()
    restores: tuple[str, ...] = ()
    contract_version: int = 1
    columns: Mapping[str, str] = {}
    drift: tuple[Drift, ...] = ()
    run_id: str = ""

    @property
    def bytes(self) -> int:
        """Size of the source files."""
        return sum(file.bytes for file in self.files)


class ViewSource(NamedTuple):
    """What a Spark session needs to make the view ``lake.<entity>``.

    Attributes:
        files: Active Parquet files; none when the entity has no rows.
        columns: Column and DuckDB type, in the view's order.
        base_path: Spark's ``basePath`` option: ``_source`` is a folder below it, not a column of
            the files. Files need ``mergeSchema``.
    """

    files: list[str]
    columns: dict[str, str]
    base_path: str


@dataclass(frozen=True)
class Ledger:
    """Every manifest of one entity, oldest first, and what follows from their order.

    Attributes:
        manifests: Of every commit that bears one.
        rewritten: Version of the table at which rows that a batch had landed were last deleted or
            changed where they are, as an erasure and a migration do, or landed again; absent for a
            batch that is as it first landed.
    """

    manifests: tuple[Manifest, ...]
    rewritten: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def active(self) -> tuple[Manifest, ...]:
        """Landings whose rows are in force, oldest first."""
        active: dict[str, Manifest] = {}
        for manifest in self.manifests:
            for gone in (*manifest.replaces, *manifest.retracts):
                active.pop(gone, None)
            if manifest.kind == "landing":
                active[manifest.batch_id] = manifest
            elif manifest.kind == "migration":
                active = {name: _migrated(held, manifest) for name, held in active.items()}
        return tuple(active.values())

    @cached_property
    def withheld(self) -> frozenset[tuple[str, str]]:
        """(source, sha256) of files that were retracted and not restored."""
        files = {
            manifest.batch_id: [(manifest.source, file.sha256) for file in manifest.files]
            for manifest in self.manifests
            if manifest.kind == "landing"
        }
        held: set[tuple[str, str]] = set()
        for manifest in self.manifests:
            for batch_id in manifest.retracts:
                held.update(files.get(batch_id, ()))
            for batch_id in manifest.restores:
                held.difference_update(files.get(batch_id, ()))
        return frozenset(held)


def _migrated(held: Manifest, migration: Manifest) -> Manifest:
    """A batch as a migration left it.

    One that holds rows in quarantine still counts as landed under the earlier contract: where its
    files are there, it lands anew, and rows that the present contract accepts come out.
    """
    said: dict[str, Any] = {"contract_version": migration.contract_version}
    if not held.quarantined:
        said["contract_sha256"] = migration.contract_sha256
    return held.model_copy(update=said)


class Lake:
    """Reads one retailer's lake."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def folder(self, entity: str) -> Path:
        """Where the entity's Delta table lies."""
        return self._paths.lake / entity

    def table(self, entity: str) -> DeltaTable | None:
        """The entity's Delta table, or None when nothing ever landed."""
        return _open(self.folder(entity))

    def ledger(self, entity: str) -> Ledger:
        """Every manifest in the table's log."""
        folder = self.folder(entity)
        newest = _newest_entry(folder)
        return Ledger(()) if newest is None else _ledger(folder, newest)

    def manifests(self, entity: str) -> list[Manifest]:
        """Manifests of the batches in force, oldest first."""
        return list(self.ledger(entity).active)

    def files(self, entity: str) -> list[str]:
        """Active Parquet files."""
        table = self.table(entity)
        return [] if table is None else active_files(table)

    def version(self, entity: str) -> int | None:
        """Version of the last commit that changed a row, or None when nothing ever landed."""
        changed = _newest_change(self.folder(entity))
        return None if changed is None else int(changed.name.partition(".")[0])

    def state(self) -> str:
        """Changes whenever a row does that ``register`` shows of what landed."""
        folders = [self._paths.quarantine, *(self.folder(entity) for entity in contracts())]
        said = repr([_newest_change(folder) for folder in folders])
        return hashlib.sha256(said.encode()).hexdigest()

    def query(self, entity: str) -> str:
        """A SELECT that yields the contract's lake columns, in order and exactly typed."""
        table = self.table(entity)
        types = {column.name: column.sql_type for column in contract(entity).lake_columns}
        return _select(table, types)

    def register(
        self, connection: duckdb.DuckDBPyConnection, retailer: Retailer | None = None
    ) -> None:
        """Make schema ``lake`` of a writable connection show the lake as it is now.

        One view per contract (typed and empty where nothing landed), views of the identity map,
        its past, its events, its figures and the edges it refused, and the tables ``lake.batch`` and
        ``lake.quarantine_summary``.

        Args:
            connection: Opened for writing.
            retailer: Only its mapped entities are read; a table left behind by a mapping that is
                gone is then shown empty.
        """
        connection.execute("CREATE SCHEMA IF NOT EXISTS lake")
        for entity in contracts():
            connection.execute(
                f"CREATE OR REPLACE VIEW lake.{entity} AS {self._view(entity, retailer)}"
            )
        for name, types in _IDENTITY.items():
            query = _select(_open(self._paths.identity / name), types)
            connection.execute(f"CREATE OR REPLACE VIEW lake.{name} AS {query}")
        for name, rows in (
            ("batch", self.batches()),
            ("quarantine_summary", self.quarantine_summary()),
        ):
            connection.register("siyu_incoming", rows)
            connection.execute(f"CREATE OR REPLACE TABLE lake.{name} AS FROM siyu_incoming")
            connection.unregister("siyu_incoming")

    def view_sources(self, retailer: Retailer) -> dict[str, ViewSource]:
        """What ``register`` shows, as files and columns, for an engine other than DuckDB."""
        sources = {
            entity: ViewSource(
                self.files(entity) if entity in retailer.mappings else [],
                {column.name: column.sql_type for column in contract(entity).lake_columns},
                str(self.folder(entity)),
            )
            for entity in contracts()
        }
        for name, types in _IDENTITY.items():
            folder = self._paths.identity / name
            table = _open(folder)
            files = [] if table is None else active_files(table)
            sources[name] = ViewSource(files, dict(types), str(folder))
        return sources

    def batches(self) -> pa.Table:
        """One row per batch in force, over all entities."""
        return pa.Table.from_pylist(
            [
                _batch(manifest) | {"rewritten": ledger.rewritten.get(manifest.batch_id, 0)}
                for ledger in map(self.ledger, contracts())
                for manifest in ledger.active
            ],
            _BATCH_SCHEMA,
        )

    def quarantine_summary(self) -> pa.Table:
        """Rows in quarantine by batch, rule and column, for the batches in force; no payload.

        A row that broke several rules counts under each of them.
        """
        table = _open(self._paths.quarantine)
        active = self.batches().column("batch_id").to_pylist()
        files = [] if table is None else active_files(table)
        if not files or not active:
            return _QUARANTINE_SUMMARY_SCHEMA.empty_table()
        with duckdb.connect() as connection:
            found = connection.execute(
                "SELECT entity, source, batch_id, broken.rule, broken.column, count(*) AS rows, "
                "max(loaded_at) AS loaded_at FROM ("
                "SELECT entity, source, batch_id, loaded_at, unnest(rules) AS broken "
                f"FROM {_read_parquet(files)} WHERE list_contains($active, batch_id)) "
                "GROUP BY ALL ORDER BY ALL",
                {"active": active},
            ).to_arrow_table()
        return found.cast(_QUARANTINE_SUMMARY_SCHEMA)

    def complete_through(self, retailer: Retailer) -> dict[str, date]:
        """Last local day each input is complete for; inputs of which nothing is known are absent.

        What retailer.yaml says comes first, then what the input's batches show, and for what is
        pulled also that a later pull brought nothing new.
        """
        shown = {name: day for name in retailer.inputs if (day := self._noted(name)) is not None}
        for entity in retailer.mappings:
            for manifest in self.manifests(entity):
                if manifest.complete_through is not None:
                    before = shown.get(manifest.source, date.min)
                    shown[manifest.source] = max(before, manifest.complete_through)
        said = {
            name: source.complete_through
            for name, source in retailer.inputs.items()
            if source.complete_through is not None
        }
        return {**shown, **said}

    def note_complete(self, source: str, through: date) -> None:
        """Remember that all of an input up to the end of a local day has landed.

        For days that bring no row, of which no commit can speak.
        """
        if self._noted(source) == through:
            return
        file = self._paths.complete / source
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{source}.{uuid4()}.partial")
        partial.write_text(through.isoformat(), "utf-8")
        partial.replace(file)

    def _noted(self, source: str) -> date | None:
        try:
            return date.fromisoformat((self._paths.complete / source).read_text("utf-8"))
        except FileNotFoundError:
            return None

    def last_complete_day(self, retailer: Retailer, today: date) -> date:
        """Last local day through which every required input is complete, before ``today``.

        Where no input is marked required, those that feed orders and order lines are.

        Raises:
            LakeError: a required input has landed nothing that dates it.
        """
        required = [name for name, source in retailer.inputs.items() if source.required]
        if not required:
            required = sorted(
                {m.source for entity in ("orders", "order_lines") for m in self.manifests(entity)}
            )
        through = self.complete_through(retailer)
        missing = [name for name in required if name not in through]
        if missing or not required:
            raise LakeError(
                f"{retailer.name}: no day is complete yet: nothing dated has landed from "
                f"{', '.join(missing) or 'an input that feeds orders or order_lines'}; land it, "
                "state complete_through for it in retailer.yaml, or set SIYU_AS_OF"
            )
        return min(*(through[name] for name in required), today - timedelta(days=1))

    def _view(self, entity: str, retailer: Retailer | None) -> str:
        if retailer is not None and entity not in retailer.mappings:
            return _select(None, _types(contract(entity)))
        return self.query(entity)


def commit(
    folder: Path,
    rows: pa.RecordBatchReader,
    manifest: Manifest | None,
    partition_by: Sequence[str] = ("_source",),
    replacing: str | None = None,
) -> None:
    """Append rows to a Delta table in one commit, creating the table where it is missing.

    Args:
        folder: The table.
        rows: What to add.
        manifest: What the commit does, for the log.
        partition_by: Partition columns of a table that is created.
        replacing: Predicate of the rows that the same commit takes out; the new rows must meet it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    properties = _properties(manifest)
    hooks = PostCommitHookProperties(cleanup_expired_logs=False)
    writer = WriterProperties(compression="SNAPPY", max_row_group_size=_ROW_GROUP)
    if not DeltaTable.is_deltatable(str(folder)):
        write_deltalake(
            str(folder), rows, mode="append", partition_by=list(partition_by),
            configuration=_LOG_FOR_EVER, commit_properties=properties,
            post_commithook_properties=hooks, writer_properties=writer,
        )  # fmt: skip
    elif replacing is None:
        write_deltalake(
            str(folder), rows, mode="append", schema_mode="merge", commit_properties=properties,
            post_commithook_properties=hooks, writer_properties=writer,
        )  # fmt: skip
    else:
        write_deltalake(
            str(folder), rows, mode="overwrite", schema_mode="merge", predicate=replacing,
            commit_properties=properties, post_commithook_properties=hooks,
            writer_properties=writer,
        )  # fmt: skip


def rewrite(folder: Path, rows: pa.RecordBatchReader, manifest: Manifest) -> None:
    """Put rows in place of all that a table holds, with their own columns, in one commit.

    Args:
        folder: The table.
        rows: What it shall hold.
        manifest: What the commit does, for the log.
    """
    write_deltalake(
        str(folder), rows, mode="overwrite", schema_mode="overwrite", partition_by=["_source"],
        commit_properties=_properties(manifest),
        post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
        writer_properties=WriterProperties(compression="SNAPPY", max_row_group_size=_ROW_GROUP),
    )  # fmt: skip


def append(
    folder: Path, rows: pa.RecordBatchReader, manifest: Manifest, partition: Mapping[str, str]
) -> None:
    """Append rows of a single partition in one commit, creating the table where it is missing.

    Does what ``commit`` does at a fraction of its time and memory: rows that are all of one
    partition need not be divided, and go to one file as they come.

    Args:
        folder: The table.
        rows: What to add, at least one.
        manifest: What the commit does, for the log.
        partition: The partition columns with the value that they have in every row.
    """
    table = _open(folder)
    if table is not None and not _holds(table, rows.schema):
        commit(folder, rows, manifest, partition_by=list(partition))
        return
    place = "/".join(f"{name}={quote(value)}" for name, value in partition.items())
    path = f"{place}/part-{uuid4()}.snappy.parquet"
    (folder / place).mkdir(parents=True, exist_ok=True)
    # Until the log names it, no reader knows of the file.
    count = _write_parquet(folder / path, rows, leaving_out=partition)
    written = (folder / path).stat()
    added = AddAction(
        path, written.st_size, partition, written.st_mtime_ns // 1_000_000, True,
        json.dumps({"numRecords": count}),
    )  # fmt: skip
    properties = _properties(manifest)
    hooks = PostCommitHookProperties(cleanup_expired_logs=False)
    if table is None:
        create_table_with_add_actions(
            str(folder), Schema.from_arrow(rows.schema), [added], partition_by=list(partition),
            configuration=_LOG_FOR_EVER, commit_properties=properties,
            post_commithook_properties=hooks,
        )  # fmt: skip
    else:
        table.create_write_transaction(
            [added], "append", table.schema(), list(partition), commit_properties=properties,
            post_commithook_properties=hooks,
        )  # fmt: skip


def _holds(table: DeltaTable, schema: pa.Schema) -> bool:
    """Whether a table has every one of these columns, of the same type."""
    columns = {field.name: field.type for field in table.schema().fields}
    return all(columns.get(f.name) == f.type for f in Schema.from_arrow(schema).fields)


def _write_parquet(file: Path, rows: pa.RecordBatchReader, leaving_out: Iterable[str]) -> int:
    """Write rows as they come, one row group at a time; returns how many there were."""
    gone = set(leaving_out)
    kept = pa.schema([field for field in rows.schema if field.name not in gone])
    count = 0
    with pq.ParquetWriter(file, kept, store_decimal_as_integer=True) as writer:
        for group in _row_groups(rows):
            writer.write_table(group.select(kept.names))
            count += group.num_rows
    return count


def _row_groups(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Batches put together until they make a row group."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        held.append(batch)
        if sum(one.num_rows for one in held) >= _ROW_GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def active_files(table: DeltaTable, partition: Mapping[str, str] | None = None) -> list[str]:
    """Paths of the files that a table on this machine, or a partition of it, consists of, sorted.

    The library gives addresses, in which whatever is not plain ASCII is escaped.
    """
    wanted = [(column, "=", value) for column, value in (partition or {}).items()]
    return sorted(
        unquote(address) for address in table.file_uris(file_pruning_predicate=wanted or None)
    )


def literal(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _properties(manifest: Manifest | None) -> CommitProperties | None:
    if manifest is None:
        return None
    return CommitProperties(custom_metadata={MANIFEST: manifest.model_dump_json()})


def _open(folder: Path) -> DeltaTable | None:
    return DeltaTable(str(folder)) if DeltaTable.is_deltatable(str(folder)) else None


class _LogEntry(NamedTuple):
    """One file of a Delta log; tables made anew under the same name have other ones."""

    name: str
    inode: int
    modified_ns: int


def _newest_entry(folder: Path) -> _LogEntry | None:
    """The last commit of a Delta table, or None when there is no table."""
    try:
        # Commits have numbers of one width for names, so that the last by name is the newest.
        newest = max(folder.glob("_delta_log/[0-9]*[0-9].json"), key=lambda file: file.name)
    except ValueError:
        return None
    return _log_entry(newest)


def _newest_change(folder: Path) -> _LogEntry | None:
    """The last commit of a Delta table that changed a row, or None when there is no table."""
    newest = _newest_entry(folder)
    return None if newest is None else _change_before(folder, newest)


@lru_cache(maxsize=256)
def _change_before(folder: Path, _newest: _LogEntry) -> _LogEntry:
    """The same as of a commit; a run asks for it at every step."""
    version = changed_in(DeltaTable(str(folder)))
    return _log_entry(folder / "_delta_log" / f"{version:020}.json")


def _log_entry(file: Path) -> _LogEntry:
    found = file.stat()
    return _LogEntry(file.name, found.st_ino, found.st_mtime_ns)


def changed_in(table: DeltaTable) -> int:
    """Version of the last commit that changed a row of a table: upkeep changes none."""
    changes = (entry for entry in table.history() if entry["operation"] not in _UPKEEP)
    return int(next(changes, {"version": 0})["version"])


@lru_cache(maxsize=256)
def _ledger(folder: Path, _newest: _LogEntry) -> Ledger:
    """The ledger as of a commit; a run asks for it hundreds of times, and seldom commits."""
    manifests: list[Manifest] = []
    landed: set[str] = set()
    rewritten: dict[str, int] = {}
    for entry in reversed(DeltaTable(str(folder)).history()):
        said = entry.get(MANIFEST)
        if said is None and entry["operation"] in _UPKEEP:
            continue
        manifest = None if said is None else Manifest.model_validate_json(said)
        if manifest is None or manifest.kind == "migration":
            # Which batches it touched the log does not say.
            rewritten |= dict.fromkeys(landed, entry["version"])
        elif manifest.batch_id in landed:
            # Taken out, and landed again under the id that follows from its files.
            rewritten[manifest.batch_id] = entry["version"]
        if manifest is not None:
            landed.add(manifest.batch_id)
            manifests.append(manifest)
    return Ledger(tuple(manifests), rewritten)


def _types(entity: Contract) -> dict[str, str]:
    return {column.name: column.sql_type for column in entity.lake_columns}


def _read_parquet(files: Iterable[str]) -> str:
    listed = ", ".join(literal(file) for file in sorted(files))
    return (
        f"read_parquet([{listed}], hive_partitioning = true, hive_types_autocast = false, "
        "union_by_name = true)"
    )


def _select(table: DeltaTable | None, types: Mapping[str, str]) -> str:
    """A SELECT of exactly these columns; what the table lacks is NULL, no table is no row."""
    files = [] if table is None else active_files(table)
    if table is None or not files:
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
        return f"SELECT {nulls} WHERE false"
    present = {field.name for field in table.schema().fields}
    columns = ", ".join(
        f"CAST({name if name in present else 'NULL'} AS {kind}) AS {name}"
        for name, kind in types.items()
    )
    return f"SELECT {columns} FROM {_read_parquet(files)}"


def _batch(manifest: Manifest) -> dict[str, Any]:
    said = {
        name: getattr(manifest, name)
        for name in _BATCH_SCHEMA.names
        if name not in ("file_count", "rewritten")
    } | {"file_count": len(manifest.files)}
    return {
        name: value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
        for name, value in said.items()
    }
