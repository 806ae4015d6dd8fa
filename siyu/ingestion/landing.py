"""Landing: source files become rows of an entity's Delta table, in one commit per input.

A file is read once under one contract and one mapping. What is rejected goes to quarantine, what is
direct to the vault; both are written before the commit, and writing them again changes nothing, so
a landing may be killed anywhere and run again.

What belongs here: the order of the steps, and the SQL that ties them. What does not: reading files
(``readers``), rules on rows (``rules``), or anything across entities (dbt).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from siyu.config import Settings
from siyu.contracts import Contract, LakeColumn, contract
from siyu.ingestion.connectors import CONNECTORS, Found, SourceFile
from siyu.ingestion.deliveries import Deliveries, Due
from siyu.ingestion.drift import (
    Columns,
    compare,
    gather,
    keep,
    previous,
    require_keys,
    require_types,
)
from siyu.ingestion.errors import (
    BROKEN_OFF,
    AccountingError,
    InputError,
    LandingError,
    not_committed,
)
from siyu.ingestion.mapping import (
    ORIGIN,
    MappingSql,
    columns_named,
    create_macros,
    dumps,
    load_mapping,
    mapping_sha256,
)
from siyu.ingestion.migration import migrate
from siyu.ingestion.quarantine import holds, quarantine
from siyu.ingestion.readers import (
    MALFORMED,
    Bound,
    bind_empty,
    bind_files,
    create_malformed,
    drop_raw,
    named,
    require_readable,
    require_unchanged,
)
from siyu.ingestion.rules import (
    KNOWN_AT,
    MALFORMED_RECORD,
    cast,
    given,
    is_broken,
    row_rules,
    violations,
)
from siyu.ingestion.scrub import scrubbed
from siyu.lake import (
    Lake,
    Ledger,
    Manifest,
    ManifestFile,
    append,
    commit,
    identifier,
    literal,
)
from siyu.paths import Paths
from siyu.quality import key_text
from siyu.redaction import explained
from siyu.retailer import Retailer
from siyu.tombstones import Tombstones
from siyu.vault import Tokenised, Vault

# A quarter of a row group of the lake: larger batches cost the system more than they save.
_ROWS_AT_ONCE = 30_720
_BROKEN_RULES = 'STRUCT(rule VARCHAR, "column" VARCHAR, "value" VARCHAR)[]'
# A stream of rows that breaks says only in words what broke it.
_ENGINE_ERRORS: tuple[tuple[str, type[duckdb.Error]], ...] = (
    ("Conversion Error", duckdb.ConversionException),
    ("Invalid Input Error", duckdb.InvalidInputException),
    ("Out of Range Error", duckdb.OutOfRangeException),
    ("Out of Memory Error", duckdb.OutOfMemoryException),
)
# What a landing may hold before it spills, so that it stays small beside the rest of a run.
_MEMORY = "2GB"


# Places of rows in the staged file, from 0.
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LandingReport:
    """What landing one input did.

    Attributes:
        entity: The entity.
        source: The input; empty when the retailer has no mapping for the entity.
        outcome: ``landed``, ``unchanged`` (nothing new), ``no_files`` or ``no_mapping``.
        reason: The same in words.
        manifest: What was committed, when something was.
        waiting: Files left for later, because they are still being written.
        warnings: What a person should know though it stopped nothing.
        seconds: How long it took.
    """

    entity: str
    source: str
    outcome: Literal["landed", "unchanged", "no_files", "no_mapping"]
    reason: str
    manifest: Manifest | None = None
    waiting: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """What landing one entity works with."""

    settings: Settings
    retailer: Retailer
    entity: Contract
    mapping: MappingSql
    found: Mapping[str, Found]
    run_id: str
    now: datetime

    @cached_property
    def paths(self) -> Paths:
        """The retailer's places."""
        return Paths.of(self.settings)

    @cached_property
    def lake(self) -> Lake:
        """The retailer's lake."""
        return Lake(self.paths)

    @cached_property
    def ledger(self) -> Ledger:
        """What the entity's table holds."""
        return self.lake.ledger(self.entity.entity)


@dataclass(frozen=True)
class Plan:
    """Which files of an input to land, and what they stand in for.

    Attributes:
        due: The files to be read, and those that are not.
        mapping_sha256: Hash of what maps them.
        replaces: Batches that the commit takes out.
        warnings: What a person should know.
    """

    due: Due
    mapping_sha256: str
    replaces: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """To be read."""
        return self.due.files


@dataclass
class _Counts:
    """Rows of a batch by what became of them."""

    rows_in: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    suppressed: int = 0
    superseding: int = 0
    event_min: datetime | None = None
    event_max: datetime | None = None
    last_day: date | None = None

    def require_balance(self, where: str) -> None:
        out = self.accepted + self.duplicates + self.quarantined + self.suppressed
        if self.rows_in != out:
            raise AccountingError(
                f"{where}: {self.rows_in} rows in, but {self.accepted} accepted + "
                f"{self.duplicates} duplicates + {self.quarantined} quarantined + "
                f"{self.suppressed} suppressed = {out}; nothing was committed; report this"
            )


def land_entity(
    settings: Settings, retailer: Retailer, entity: str, run_id: str, now: datetime
) -> list[LandingReport]:
    """Land what is new of every input that feeds an entity.

    Args:
        settings: Where things lie.
        retailer: Its inputs and mappings.
        entity: Name of the contract.
        run_id: The run, for the manifest.
        now: The wall clock (UTC where it bears no zone); rows get it as ``_loaded_at``.

    Returns:
        One report per input, or a single one when the retailer has no mapping for the entity.

    Raises:
        LandingError: some inputs could not land; those that could did.
        AccountingError: rows in and out do not add up.
    """
    now = utc(now)
    if entity not in retailer.mappings:
        reason = "retailer has no mapping for this entity"
        return [LandingReport(entity, "", "no_mapping", reason)]
    try:
        mapping = load_mapping(retailer, entity)
        migrate(Lake(Paths.of(settings)), contract(entity), run_id, now)
    except InputError as error:
        raise LandingError(entity, {f"{entity}.sql": error}, ()) from None
    found, errors = _find(settings, retailer, mapping, now)
    job = Job(settings, retailer, contract(entity), mapping, found, run_id, now)
    reports: list[LandingReport] = []
    for source in mapping.inputs:
        needed = {source, *mapping.lookups} & set(errors)
        if needed:
            continue
        try:
            reports.append(_land_input(job, source))
        except InputError as error:
            errors[source] = error
        except BROKEN_OFF as error:
            errors[source] = InputError(
                f"the engine gave up: {explained(error)}; see that disk and memory suffice"
            )
        except (DeltaError, OSError) as error:
            errors[source] = not_committed(error, job.paths.root)
    if errors:
        raise LandingError(entity, errors, reports)
    return reports


def _find(
    settings: Settings, retailer: Retailer, mapping: MappingSql, now: datetime
) -> tuple[dict[str, Found], dict[str, InputError]]:
    """Files of every input that a mapping reads, and the inputs whose files cannot be read."""
    found: dict[str, Found] = {}
    errors: dict[str, InputError] = {}
    for name in (*mapping.inputs, *mapping.lookups):
        source = retailer.inputs[name]
        try:
            found[name] = CONNECTORS[source.connector](name, source, settings, now)
        except InputError as error:
            errors[name] = error
            found[name] = Found(source.location, ())
    return found, errors


def _land_input(job: Job, source: str) -> LandingReport:
    report = _landed(job, source)
    if (through := job.found[source].complete_through) is not None:
        job.lake.note_complete(source, through)
    return report


def _landed(job: Job, source: str) -> LandingReport:
    started = time.monotonic()
    found = job.found[source]
    if not found.files:
        reason = f"no file at {found.location}" + (
            f"; left for later: {', '.join(found.waiting)}" if found.waiting else ""
        )
        return LandingReport(job.entity.entity, source, "no_files", reason, waiting=found.waiting)
    plan = _plan(job, source)
    if not plan.files:
        return LandingReport(
            job.entity.entity, source, "unchanged", "every file has landed already",
            waiting=found.waiting, warnings=plan.warnings,
        )  # fmt: skip
    with scratch(job.paths) as connection:
        landing = _Landing(connection, job, source, plan)
        try:
            manifest = landing.run()
        except (InputError, *BROKEN_OFF):
            # What is read late may break late: then the file is to blame, not the mapping.
            require_unchanged(source, plan.files)
            require_readable(source, job.retailer.inputs[source], plan.files)
            raise
    # A record that the mapping leaves out is in neither sum of the accounting; here it shows.
    reason = (
        f"{len(plan.files)} files landed: {manifest.rows_read:,} records, {manifest.rows_in:,} rows"
    )
    return LandingReport(
        job.entity.entity, source, "landed", reason, manifest,
        found.waiting, (*plan.warnings, *landing.warnings), time.monotonic() - started,
    )  # fmt: skip


def _plan(job: Job, source: str) -> Plan:
    """Decide which files to read: new ones, and those that another mapping or contract read."""
    lookups = [file.sha256 for name in job.mapping.lookups for file in job.found[name].files]
    mapped = mapping_sha256(job.retailer, job.entity.entity, source, job.mapping, lookups)
    deliveries = Deliveries(job.ledger, source, job.found[source].files)
    stale = [
        manifest for manifest in deliveries.active
        if (manifest.contract_sha256, manifest.mapping_sha256) != (job.entity.sha256, mapped)
    ]  # fmt: skip
    replaced = [manifest for manifest in stale if deliveries.can_land_again(manifest)]
    # Lines are numbered inside a batch, where the same bytes twice would be twice as many lines.
    due = deliveries.due(replaced, job.now, once=_is_numbered(job))
    warnings = [
        f"batch {manifest.batch_id} keeps its earlier mapping: not all of its files are still at "
        f"{job.found[source].location}"
        for manifest in stale
        if manifest not in replaced
    ]
    warnings += [
        f"{file.name} stays out: it was retracted and has not changed since"
        for file in deliveries.withheld
    ]
    if due.files and due.repeats:
        warnings.append(f"{named(due.repeats)}: not read, as the same bytes have landed already")
    if due.moved:
        warnings.append(
            f"{named(due.moved)}: not read, as the same bytes landed under a name that is gone or was "
            "overwritten, and others came after them; if this is a new delivery rather than a renamed "
            "file, put the one of the earlier name back beside it"
        )
    return Plan(due, mapped, tuple(manifest.batch_id for manifest in replaced), tuple(warnings))


def _is_numbered(job: Job) -> bool:
    return job.retailer.entity(job.entity.entity).line_no == "occurrence"


@contextmanager
def scratch(paths: Paths) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in memory for one landing; what does not fit spills, encrypted, to disk."""
    spill = paths.scratch
    spill.mkdir(parents=True, exist_ok=True, mode=0o700)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        # Rows spill with direct identifiers in clear. DuckDB's built-in cipher is called unsafe for
        # the randomness of its nonces; the key lives in this process only, and the file as long.
        connection.execute("SET force_mbedtls_unsafe = 'true'")
        connection.execute("SET temp_file_encryption = true")
        connection.execute(f"SET temp_directory = {literal(str(spill))}")
        connection.execute(f"SET memory_limit = {literal(_MEMORY)}")
        yield connection


def bind_lookups(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Make the views of a mapping's lookups, each over all of its records.

    Args:
        connection: Has the table ``malformed``, still empty.
        job: Its mapping and what was found of its inputs.

    Raises:
        InputError: one has no file, or a record that cannot be read.
    """
    for name in job.mapping.lookups:
        files = job.found[name].files
        if not files:
            raise InputError(f"lookup {name}: no file at {job.found[name].location}")
        bind_files(connection, name, job.retailer.inputs[name], files)
        if connection.execute(f"FROM {MALFORMED} LIMIT 1").fetchone():
            raise InputError(f"lookup {name}: has records that cannot be read; mend its file")


def judged(
    connection: duckdb.DuckDBPyConnection, job: Job, source: str
) -> tuple[dict[str, str], str]:
    """The mapping over the bound inputs, typed and judged.

    Returns:
        The mapping's columns with their types, and a query of its rows: the contract's columns,
        ``_file``, ``_row``, when the event happened, and ``_bad``, with ``_rules`` and ``_payload``
        where it is true.

    Raises:
        InputError: the mapping does not run, or yields other columns than the contract's.
    """
    entity, retailer = job.entity, job.retailer
    try:
        described = connection.execute(f"DESCRIBE {job.mapping.query}").fetchall()
    except duckdb.Error as error:
        raise InputError(
            f"{job.mapping.file}: {explained(error)}; mend the SQL, the columns of its inputs, or "
            f"the files of {source}: {named(job.found[source].files)}"
        ) from None
    # A source that comes to write its columns in capitals has not lost them.
    mapped = {str(row[0]).lower(): str(row[1]) for row in described}
    numbered = _is_numbered(job)
    _require_columns(job, mapped, numbered)
    if numbered:
        mapped["line_no"] = "BIGINT"
    rules = row_rules(entity, retailer, mapped, job.now)
    return mapped, (
        f"SELECT {_kept(entity, mapped)}, "
        f"CASE WHEN _bad THEN {violations(rules)} END AS _rules, "
        f"CASE WHEN _bad THEN {_payload(entity, mapped)} END AS _payload FROM ("
        f"SELECT *, {is_broken(rules)} AS _bad FROM ({_dated(entity, mapped)} FROM "
        f"({_typed(entity, mapped, numbered)} FROM ({job.mapping.query}))))"
    )


@contextmanager
def converting(job: Job, source: str) -> Iterator[None]:
    """Say of a value that does not convert which mapping it is in, and what to do.

    Raises:
        InputError: a value did not convert inside the block.
    """
    try:
        yield
    except (
        duckdb.ConversionException,
        duckdb.InvalidInputException,
        duckdb.OutOfRangeException,
        UnicodeDecodeError,
    ) as error:
        raise InputError(
            f"{job.mapping.file} over {source}: {explained(error)}: a value does not convert; "
            "use TRY_CAST, or leave the conversion to the contract, which quarantines the row; it is "
            f"in one of {named(job.found[source].files)}"
        ) from None


def _require_columns(job: Job, mapped: Mapping[str, str], numbered: bool) -> None:
    known = {column.name for column in job.entity.columns}
    needed = {column.name for column in job.entity.columns if column.required}
    needed |= set(ORIGIN)
    if numbered:
        needed.discard("line_no")
    missing = sorted(needed - set(mapped))
    surplus = sorted(set(mapped) - known - {*ORIGIN, KNOWN_AT})
    if numbered and "line_no" in mapped:
        surplus.append("line_no (numbered at landing)")
    if missing or surplus:
        faults = [f"lacks the required column {', '.join(missing)}"] if missing else []
        if set(missing) & set(ORIGIN):
            faults.append(
                "_file and _row are added to a plain SELECT over one input; name them in each SELECT "
                "of any other"
            )
        if surplus:
            said = _own_words(job, surplus)
            faults.append(f"yields {said}, which {job.entity.entity} does not have")
        raise InputError(
            f"{job.mapping.file}: {'; '.join(faults)}; it yields {_own_words(job, mapped)}; see the "
            f"contract of {job.entity.entity} in the data dictionary"
        )


def _own_words(job: Job, columns: Collection[str]) -> str:
    """Columns that a mapping yields, by names that it or the contract has.

    What ``SELECT *`` brings is only counted: of a file without its header these are values.
    """
    contracted = {column.name for column in job.entity.columns}
    text = job.mapping.text.lower()
    named = [column for column in columns if column in contracted or column in text]
    rest = len(columns) - len(named)
    return ", ".join(
        [*named, *([f"{rest} columns of its inputs by their own names"] if rest else [])]
    )


def _typed(entity: Contract, mapped: Mapping[str, str], numbered: bool) -> str:
    """SELECT of the mapping's columns in the contract's types, with what they were before."""
    known_at = KNOWN_AT if KNOWN_AT in mapped else "NULL"
    columns = [
        "CAST(_file AS VARCHAR) AS _file",
        "CAST(_row AS BIGINT) AS _row",
        f"{known_at} AS _raw_known_at",
        f"TRY_CAST({known_at} AS TIMESTAMP) AS _given_known_at",
    ]
    for column in entity.columns:
        name = identifier(column.name)
        if numbered and column.name == "line_no":
            columns.append(
                "row_number() OVER (PARTITION BY order_id ORDER BY _file, _row) AS line_no"
            )
        elif column.name in mapped:
            fitted = cast(column, mapped[column.name])
            columns.append(f"{fitted} AS {name}")
            if fitted != name:
                columns.append(f"{name} AS {identifier(f'raw_{column.name}')}")
    return f"SELECT {', '.join(columns)}"


def _kept(entity: Contract, mapped: Mapping[str, str]) -> str:
    """Columns of a judged row that are needed later; what was before the cast is not."""
    columns = [identifier(column.name) for column in entity.columns if column.name in mapped]
    audit = ("_file", "_row", "_given_known_at", "_event_at", "_event_date", "_bad")
    return ", ".join((*columns, *audit))


def _payload(entity: Contract, mapped: Mapping[str, str]) -> str:
    """SQL of a row as the mapping gave it, as JSON text."""
    fields = ", ".join(
        f"{literal(column.name)}: {given(column, mapped[column.name])}"
        for column in entity.columns
        if column.name in mapped
    )
    if KNOWN_AT in mapped:
        fields += f", {literal(KNOWN_AT)}: _raw_known_at"
    return f"CAST(to_json({{{fields}}}) AS VARCHAR)"


def _dated(entity: Contract, mapped: Mapping[str, str]) -> str:
    """SELECT that adds when and on which local day the row's event happened."""
    happened, day = "CAST(NULL AS TIMESTAMP)", "CAST(NULL AS DATE)"
    if entity.event_time is not None and entity.event_time in mapped:
        name = identifier(entity.event_time)
        if entity.column(entity.event_time).type == "date":
            happened, day = f"local_to_utc(CAST({name} AS TIMESTAMP))", name
        else:
            happened, day = name, f"CAST(utc_to_local({name}) AS DATE)"
    return f"SELECT *, {happened} AS _event_at, {day} AS _event_date"


class _Landing:
    """One input's landing, step by step, on one scratch connection."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, job: Job, source: str, plan: Plan
    ) -> None:
        self._connection = connection
        self._job = job
        self._source = source
        self._plan = plan
        self._vault = Vault.of(job.paths)
        self._key = ", ".join(identifier(name) for name in job.entity.key)
        # Keys meet by hash first, which is cheap, and are compared in full where hashes agree.
        self._hash = f"hash({self._key})"
        # Where rows of this input have landed, the first column of the key is noted too: Parquet's
        # statistics know columns, not hashes, and pass over files that hold none of these.
        self._first = job.entity.key[0]
        self._may_meet = any(
            manifest.source == source and manifest.batch_id not in plan.replaces
            for manifest in job.ledger.active
        )
        # Of each direct column, every value as mapped with its token.
        self._tokens: dict[str, dict[str, Tokenised]] = {}
        # Columns of ``landing.rows``.
        self._asked: tuple[str, ...] = ()
        self._columns = Columns()
        # What a person should know of how files were read.
        self.warnings: tuple[str, ...] = ()
        self._staged = job.paths.scratch / f"{self._batch_id}.arrow"

    def run(self) -> Manifest:
        """Read, judge, seal, commit."""
        try:
            return self._run()
        finally:
            self._staged.unlink(missing_ok=True)

    def _run(self) -> Manifest:
        bound = self._bind()
        self.warnings = (*self._columns.warnings, *self.warnings, *bound.warnings)
        counts = _Counts(rows_in=self._stage())
        # All of it has been read by now, and nothing been written.
        require_unchanged(self._source, self._plan.files)
        for name in self._job.mapping.lookups:
            require_unchanged(name, self._job.found[name].files)
        self._require_columns(bound.records, counts.rows_in)
        counts.suppressed = self._suppress()
        self._drop_duplicates()
        self._count(counts)
        counts.require_balance(f"{self._job.entity.entity} from {self._source}")
        manifest = self._manifest(bound.records, counts)
        self._store_values()
        if counts.quarantined or holds(
            self._connection, self._job.paths, manifest.entity, self._source, self._batch_id
        ):
            self._quarantine(manifest)
        if self._columns.new:
            self._keep_aside(manifest)
        self._commit(manifest)
        return manifest

    def _bind(self) -> Bound:
        connection, job = self._connection, self._job
        create_malformed(connection)
        create_macros(connection, job.retailer, job.now)
        bind_lookups(connection, job)
        others = [name for name in job.mapping.inputs if name != self._source]
        for name in others:
            self._bind_empty(name, job.found[name].files)
        settings, files = job.retailer.inputs[self._source], self._plan.files
        self._columns = compare(
            connection, self._source, settings, files, job.mapping, job.entity, job.ledger
        )
        bound = bind_files(connection, self._source, self._columns.readable(settings), files)
        self._columns.complete(connection, self._source)
        if self._columns.new:
            self.warnings = gather(connection, self._source, self._columns.new)
        if others and not self._maps():
            # Another input's files may lack what the mapping needs of them; that stops them only.
            for name in others:
                self._bind_empty(name, ())
        return bound

    def _bind_empty(self, name: str, files: Sequence[SourceFile]) -> None:
        settings, mentioned = self._job.retailer.inputs[name], columns_named(self._job.mapping)
        bind_empty(self._connection, name, settings, files, mentioned)

    def _maps(self) -> bool:
        """Whether the mapping finds all its columns."""
        try:
            self._connection.execute(f"DESCRIBE {self._job.mapping.query}")
        except duckdb.BinderException:
            return False
        return True

    def _stage(self) -> int:
        """Run the mapping once: accepted rows to a file in the lake's shape, others apart.

        The file is Arrow's own format, as it is written and read several times as fast as Parquet.
        Makes the tables ``landing.rows``, which has of each row in the file its number there
        (``_id``), the hash of its key (``h``) and what is asked later, and ``landing.rejected``.

        Returns:
            Rows that the mapping made, rejected ones included.
        """
        connection, job = self._connection, self._job
        for left_by_a_kill in self._staged.parent.glob(f"*{self._staged.suffix}"):
            left_by_a_kill.unlink()
        mapped, query = judged(connection, job, self._source)
        self._tokens = {
            column.name: {} for column in job.entity.direct_columns if column.name in mapped
        }
        connection.execute(
            "CREATE TABLE landing.rejected (_file VARCHAR, _row BIGINT, "
            f"_rules {_BROKEN_RULES}, _payload VARCHAR, _key VARCHAR, _erased BOOLEAN)"
        )
        self._create_rows()
        connection.register("siyu_incoming", self._files())
        connection.execute("CREATE TABLE landing.files AS FROM siyu_incoming")
        connection.unregister("siyu_incoming")
        rows = accepted = 0
        with converting(job, self._source), connection.cursor() as aside:
            found = connection.execute(
                f"SELECT {self._staged_columns(mapped)}, _bad, _rules, _payload FROM ({query}) "
                f"AS checked {self._files_joined}"
            ).to_arrow_reader(_ROWS_AT_ONCE)
            schema = self._staged_schema(found.schema)
            with pa.OSFile(str(self._staged), "wb") as file, pa.ipc.new_file(file, schema) as out:
                for mixed in _batches(found):
                    rows += mixed.num_rows
                    batch = self._judged_by_tombstones(self._tokenised(mixed))
                    bad = batch.column("_bad")
                    if bad.true_count:
                        self._reject(aside, batch.filter(bad))
                        batch = batch.filter(pc.invert(bad))
                    numbers = pa.array(range(accepted, accepted + batch.num_rows), pa.int64())
                    batch = batch.append_column("_id", numbers)
                    self._note(aside, batch)
                    out.write_batch(batch.select(schema.names))
                    accepted += batch.num_rows
        drop_raw(connection, self._source)
        connection.execute(f"CREATE VIEW landing.same AS SELECT {self._same_columns(mapped)}")
        connection.execute("CREATE TABLE landing.excluded (id BIGINT, why VARCHAR)")
        return rows

    def _create_rows(self) -> None:
        asked = {"_id": "BIGINT", "h": "UBIGINT", "_event_at": "TIMESTAMP", "_event_date": "DATE"}
        asked |= {f"{name}_token": "VARCHAR" for name in self._tokens}
        if self._may_meet:
            types = {column.name: column.sql_type for column in self._job.entity.lake_columns}
            asked[self._first] = types[self._first]
        if self._tombstones:
            asked["_erased"] = "BOOLEAN"
        if self._columns.new:
            asked |= {"_file": "VARCHAR", "_row": "BIGINT"}
        columns = ", ".join(f"{identifier(name)} {kind}" for name, kind in asked.items())
        self._connection.execute(f"CREATE TABLE landing.rows ({columns})")
        self._asked = tuple(asked)

    def _note(self, connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatch) -> None:
        kept = ", ".join(identifier(name) for name in self._asked if name in rows.schema.names)
        connection.register("siyu_incoming", pa.table(rows))
        connection.execute(
            f"INSERT INTO landing.rows BY NAME SELECT {kept}, {self._hash} AS h FROM siyu_incoming"
        )
        connection.unregister("siyu_incoming")

    def _staged_columns(self, mapped: Mapping[str, str]) -> str:
        """SQL of the lake's columns that differ by row; in place of tokens what is behind them."""
        columns = {
            column.name: self._stored(column, mapped)
            for column in self._job.entity.lake_columns
            if column.origin in mapped
        }
        audit = ("_file", "_row", "_event_at", "_event_date")
        columns |= {name: f"checked.{name}" for name in audit}
        columns["_known_at"] = self._known(mapped)
        return ", ".join(f"{sql} AS {identifier(name)}" for name, sql in columns.items())

    def _same_columns(self, mapped: Mapping[str, str]) -> str:
        """SQL of the lake's columns that are the same in every row; they are not staged."""
        columns = {
            column.name: f"CAST(NULL AS {column.sql_type})"
            for column in self._job.entity.lake_columns
            if column.origin and column.origin not in mapped
        }
        columns["_source"] = literal(self._source)
        columns["_batch_id"] = literal(self._batch_id)
        columns["_loaded_at"] = _timestamp(self._job.now)
        return ", ".join(f"{sql} AS {identifier(name)}" for name, sql in columns.items())

    @staticmethod
    def _staged_schema(found: pa.Schema) -> pa.Schema:
        kept = [field for field in found if field.name not in ("_bad", "_rules", "_payload")]
        return pa.schema([*kept, pa.field("_id", pa.int64())])

    def _tokenised(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with tokens in place of direct values."""
        for name, known in self._tokens.items():
            place = batch.schema.get_field_index(f"{name}_token")
            values = batch.column(place).dictionary_encode()
            said = values.dictionary.to_pylist()
            column = self._job.entity.column(name)
            if column.kind is not None:
                fresh = [value for value in said if value not in known and value.strip(" ")]
                made = self._vault.tokenise(column.kind, fresh, self._job.retailer.phone_region)
                known.update((each.value, each) for each in made)
            tokens = [known[value].token if value in known else None for value in said]
            taken = pa.array(tokens, pa.string()).take(values.indices)
            batch = batch.set_column(place, f"{name}_token", taken)
        return batch

    def _judged_by_tombstones(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows, told apart by whether they are of somebody who was erased; nobody names one."""
        if not self._tombstones:
            return batch
        erased = self._tombstones.erased(self._job.entity, batch)
        batch = self._tombstones.without_mentions(self._job.entity, batch)
        return batch.append_column("_erased", erased)

    def _reject(self, connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatch) -> None:
        entity = self._job.entity.entity
        wanted = ["_file", "_row", "_rules", "_payload", "_erased"]
        kept = ", ".join(identifier(name) for name in wanted if name in rows.schema.names)
        connection.register("siyu_incoming", pa.table(rows))
        connection.execute(
            f"INSERT INTO landing.rejected BY NAME SELECT {kept}, {key_text(entity)} AS _key "
            "FROM siyu_incoming"
        )
        connection.unregister("siyu_incoming")

    def _stored(self, stored: LakeColumn, mapped: Mapping[str, str]) -> str:
        """SQL of one column of the lake."""
        column = self._job.entity.column(stored.origin)
        name = f"checked.{identifier(column.name)}"
        if column.name not in mapped:
            return f"CAST(NULL AS {stored.sql_type})"
        if column.pii == "direct":
            if stored.name == f"{column.name}_token":
                return f"CAST({name} AS VARCHAR)"
            part = "year" if stored.name.endswith("_year") else "month"
            return f"CAST({part}({name}) AS BIGINT)"
        if stored.name != column.name:
            if column.name == self._job.entity.event_time:
                return "checked._event_date"
            return f"CAST(utc_to_local({name}) AS DATE)"
        return scrubbed(name) if column.pii == "free_text" else name

    def _known(self, mapped: Mapping[str, str]) -> str:
        """SQL of when the retailer's systems could know a row."""
        first_day = datetime.combine(
            self._job.retailer.history_from, datetime.min.time(),
            ZoneInfo(self._job.retailer.timezone),
        )  # fmt: skip
        # In a backfill, what bears no date at all is taken as known from the beginning.
        dates = ["recorded_at", "_event_at", self._job.entity.version]
        backfill = [f"checked.{name}" for name in dates if name in {*mapped, "_event_at"}]
        backfill.append(_timestamp(first_day))
        known = [
            "checked._given_known_at",
            *(["files.known_at"] if self._plan.due.known_at else []),
        ]
        return f"coalesce({', '.join((*known, *backfill))})"

    @property
    def _files_joined(self) -> str:
        """SQL of the join with ``landing.files``; a backfill, the largest landing, needs none."""
        if not self._plan.due.known_at:
            return ""
        return "LEFT JOIN landing.files ON checked._file = files.name"

    def _files(self) -> pa.Table:
        known = [self._plan.due.known_at.get(file.name) for file in self._plan.files]
        return pa.table(
            {
                "name": pa.array([file.name for file in self._plan.files], pa.string()),
                "known_at": pa.array(
                    [at and at.astimezone(UTC).replace(tzinfo=None) for at in known],
                    pa.timestamp("us"),
                ),
            }
        )

    def _suppress(self) -> int:
        """Leave out the rows of people who were erased, rejected ones too; says how many."""
        if not self._tombstones:
            return 0
        return sum(
            self._scalar(sql)
            for sql in (
                "INSERT INTO landing.excluded SELECT _id, 'suppressed' FROM landing.rows WHERE _erased",
                "DELETE FROM landing.rejected WHERE _erased",
            )
        )

    @cached_property
    def _tombstones(self) -> Tombstones:
        """Who was erased."""
        return Tombstones.of(self._job.paths)

    def _drop_duplicates(self) -> None:
        """Exclude rows that repeat one of this batch, or one that landed before, in all they say.

        Where rows bear a version, whichever earlier row: a later delivery of an earlier state changes
        nothing. Where they bear none, only the one that held until then: a value that goes back is
        news. Only rows whose key is met twice are compared in full.
        """
        self._connection.execute(
            "CREATE TABLE landing.repeated AS "
            "SELECT h FROM landing.rows GROUP BY ALL HAVING count(*) > 1"
        )
        self._create_landed()
        if not self._create_met():
            return
        version = self._job.entity.version
        if version is not None:
            self._exclude_repeats_of_any(f"{identifier(version)} IS NOT NULL")
        self._exclude_repeats_of_the_last(
            "true" if version is None else f"{identifier(version)} IS NULL"
        )

    def _exclude_repeats_of_any(self, which: str) -> None:
        """Exclude those of some rows that equal any row that was known no later."""
        content = self._content
        self._connection.execute(
            "INSERT INTO landing.excluded SELECT _id, 'duplicate' FROM ("
            f"SELECT _id, row_number() OVER (PARTITION BY {', '.join(content)} "
            "ORDER BY _known_at, _file, _row, _id) AS nth FROM landing.met "
            f"WHERE {self._candidate} AND {which}) WHERE nth > 1"
        )
        same = " AND ".join(f"landed.{name} IS NOT DISTINCT FROM met.{name}" for name in content)
        self._connection.execute(
            "INSERT INTO landing.excluded SELECT _id, 'duplicate' FROM landing.met "
            f"WHERE {self._candidate} AND {which} AND EXISTS (FROM landing.landed "
            f"WHERE landed.h = met.h AND {same} AND landed._known_at <= met._known_at)"
        )

    def _exclude_repeats_of_the_last(self, which: str) -> None:
        """Exclude those of some rows that equal the one before them, in staging's order of a key."""
        ordered = "_known_at, _loaded_at, _batch_id, _file, _row"
        columns = ", ".join(dict.fromkeys([*self._content, *ordered.split(", ")]))
        same = " AND ".join(
            f"{name} IS NOT DISTINCT FROM lag({name}) OVER in_order" for name in self._content
        )
        self._connection.execute(
            "INSERT INTO landing.excluded SELECT _id, 'duplicate' FROM ("
            f"SELECT _id, row_number() OVER in_order > 1 AND {same} AS repeats FROM ("
            f"SELECT _id, {columns} FROM landing.met WHERE {self._candidate} AND {which} "
            f"UNION ALL SELECT NULL, {columns} FROM landing.landed WHERE {which}) "
            f"WINDOW in_order AS (PARTITION BY {self._key} ORDER BY {ordered}, _id)) "
            "WHERE repeats AND _id IS NOT NULL"
        )

    @property
    def _content(self) -> list[str]:
        """Columns that say what a row says."""
        return [identifier(c.name) for c in self._job.entity.lake_columns if c.origin]

    @property
    def _candidate(self) -> str:
        return "_id NOT IN (SELECT id FROM landing.excluded)"

    def _create_landed(self) -> None:
        """Make ``landing.landed``: rows of this input in the lake under a key of this batch."""
        query = self._job.lake.query(self._job.entity.entity)
        gone = ", ".join(map(literal, self._plan.replaces)) or "''"
        first = identifier(self._first)
        met = f"{first} IN (SELECT {first} FROM landing.rows)" if self._may_meet else "false"
        self._connection.execute(
            f"CREATE TABLE landing.landed AS SELECT *, {self._hash} AS h FROM ({query}) "
            f"WHERE _source = {literal(self._source)} AND _batch_id NOT IN ({gone}) "
            f"AND {met} AND {self._hash} IN (SELECT h FROM landing.rows)"
        )

    def _create_met(self) -> bool:
        """Make ``landing.met``: staged rows whose key is met again, mostly few, with its hash.

        Returns:
            Whether there are any.
        """
        again = self._numbers(
            "SELECT _id FROM landing.rows WHERE h IN "
            "(SELECT h FROM landing.repeated UNION ALL SELECT h FROM landing.landed)"
        )
        met = f"SELECT *, {self._hash} AS h FROM siyu_incoming, landing.same"
        with self._staged_rows() as staged:
            self._connection.register("siyu_incoming", staged.schema.empty_table())
            self._connection.execute(f"CREATE TABLE landing.met AS {met}")
            for batch in _taken(staged, again) if len(again) else ():
                self._connection.register("siyu_incoming", pa.table(batch))
                self._connection.execute(f"INSERT INTO landing.met {met}")
            self._connection.unregister("siyu_incoming")
        return len(again) > 0

    def _count(self, counts: _Counts) -> None:
        """Count what became of every row, each outcome on its own."""
        malformed = self._scalar(f"SELECT count(*) FROM {MALFORMED}")
        counts.rows_in += malformed
        counts.quarantined = malformed + self._scalar("SELECT count(*) FROM landing.rejected")
        counts.duplicates = self._scalar(
            "SELECT count(*) FROM landing.excluded WHERE why = 'duplicate'"
        )
        row = self._connection.execute(
            "SELECT count(*), min(_event_at), max(_event_at), max(_event_date) "
            f"FROM landing.rows WHERE {self._candidate}"
        ).fetchone()
        if row is not None:
            counts.accepted, first, last, counts.last_day = row
            counts.event_min, counts.event_max = _aware(first), _aware(last)
        counts.superseding = self._scalar(
            # Of the rows whose key is met again, all but the first of a key that is new.
            f"SELECT count(*) - count(DISTINCT ({self._key})) "
            f"FILTER (h NOT IN (SELECT h FROM landing.landed)) FROM landing.met "
            f"WHERE {self._candidate}"
        )

    def _manifest(self, records: Mapping[str, int], counts: _Counts) -> Manifest:
        due = self._plan.due
        files = tuple(
            ManifestFile(
                name=file.name, sha256=file.sha256, bytes=file.bytes, rows=records[file.name],
                known_at=due.known_at.get(file.name),
            )
            for file in due.files
        )  # fmt: skip
        repeats = tuple(
            ManifestFile(name=file.name, sha256=file.sha256, bytes=file.bytes, rows=0)
            for file in due.repeats
        )
        through = self._job.retailer.inputs[self._source].complete_through
        through = through or self._job.found[self._source].complete_through
        if through is None and counts.last_day is not None:
            through = counts.last_day - timedelta(days=1)
        return Manifest(
            batch_id=self._batch_id, entity=self._job.entity.entity, source=self._source,
            files=files, repeats=repeats, contract_sha256=self._job.entity.sha256,
            mapping_sha256=self._plan.mapping_sha256, rows_read=sum(records.values()),
            rows_in=counts.rows_in, accepted=counts.accepted, duplicates=counts.duplicates,
            quarantined=counts.quarantined, suppressed=counts.suppressed,
            superseding=counts.superseding, event_min=counts.event_min,
            event_max=counts.event_max, loaded_at=self._job.now,
            backfill=any(file.known_at is None for file in files), complete_through=through,
            replaces=self._plan.replaces, contract_version=self._job.entity.contract_version,
            columns=self._columns.seen, drift=self._columns.drift, run_id=self._job.run_id,
        )  # fmt: skip

    def _store_values(self) -> None:
        """Keep in the vault the values behind the tokens of accepted rows, and no others."""
        for column in self._job.entity.direct_columns:
            if column.name not in self._tokens or column.kind is None:
                continue
            used = self._connection.execute(
                f"SELECT DISTINCT {column.name}_token FROM landing.rows WHERE {self._candidate} "
                f"AND {column.name}_token IS NOT NULL"
            ).fetchall()
            tokens = {row[0] for row in used}
            made = self._tokens[column.name].values()
            kept = (each for each in made if each.token in tokens)
            self._vault.store(column.kind, kept, self._job.now)

    def _quarantine(self, manifest: Manifest) -> None:
        unreadable = (
            f"SELECT _file, _row, [{{'rule': {literal(MALFORMED_RECORD)}, 'column': \"column\", "
            f"'value': NULL}}]::{_BROKEN_RULES} AS rules, payload, NULL AS key FROM {MALFORMED}"
        )
        rejected = (
            "SELECT _file, _row, _rules AS rules, _payload AS payload, _key AS key "
            "FROM landing.rejected"
        )
        quarantine(
            self._connection, f"{rejected} UNION ALL {unreadable}", manifest.entity,
            manifest.source, manifest.batch_id, self._job.paths, self._vault, self._job.now,
        )  # fmt: skip

    def _require_columns(self, records: Mapping[str, int], rows: int) -> None:
        """Refuse a column that is gone or of another type; a first landing has none to keep to."""
        if previous(self._job.ledger, self._source) is None:
            return
        entity, settings = self._job.entity, self._job.retailer.inputs[self._source]
        allowed = self._job.retailer.entity(entity.entity).max_quarantined_share
        unread = self._scalar(f"SELECT count(*) FROM {MALFORMED}")
        require_types(self._connection, self._source, settings, entity, allowed, rows + unread)
        require_keys(self._connection, self._columns, records, rows)

    def _keep_aside(self, manifest: Manifest) -> None:
        """Keep values of new columns, but for rows of people who were erased."""
        keep(
            self._connection,
            "SELECT * FROM landing.aside WHERE (_file, _row) IN (SELECT (_file, _row) "
            "FROM landing.rows WHERE _id NOT IN (SELECT id FROM landing.excluded "
            "WHERE why = 'suppressed') UNION ALL SELECT (_file, _row) FROM landing.rejected)",
            manifest, self._columns.new, self._job.paths, self._job.now,
        )  # fmt: skip

    def _commit(self, manifest: Manifest) -> None:
        folder = self._job.lake.folder(manifest.entity)
        with self._staged_rows() as staged:
            same = self._connection.execute("FROM landing.same").to_arrow_table()
            fields = {field.name: field for field in (*staged.schema, *same.schema)}
            schema = pa.schema([fields[column.name] for column in self._job.entity.lake_columns])
            rows = pa.RecordBatchReader.from_batches(
                schema, self._accepted_rows(staged, same, schema)
            )
            if manifest.accepted and not manifest.replaces:
                append(folder, rows, manifest, {"_source": self._source})
                return
            out = ", ".join(map(literal, (*manifest.replaces, manifest.batch_id)))
            replacing = f"_source = {literal(self._source)} AND _batch_id IN ({out})"
            commit(folder, rows, manifest, replacing=replacing if manifest.replaces else None)

    def _accepted_rows(
        self, staged: pa.RecordBatchFileReader, same: pa.Table, schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """The staged rows that nothing excludes, in the lake's shape."""
        excluded = self._numbers("SELECT id FROM landing.excluded")
        for batch in _taken(staged, excluded, excluding=True):
            columns = {name: batch.column(name) for name in batch.schema.names}
            for name in same.schema.names:
                columns[name] = pa.repeat(same[name][0], batch.num_rows)
            yield pa.record_batch([columns[name] for name in schema.names], schema=schema)

    def _numbers(self, sql: str) -> Numbers:
        return np.asarray(self._connection.execute(sql).fetchnumpy().popitem()[1], np.int64)

    @contextmanager
    def _staged_rows(self) -> Iterator[pa.RecordBatchFileReader]:
        with pa.OSFile(str(self._staged)) as file, pa.ipc.open_file(file) as staged:
            yield staged

    @cached_property
    def _batch_id(self) -> str:
        said: dict[str, Any] = {
            "entity": self._job.entity.entity,
            "source": self._source,
            "files": sorted(file.sha256 for file in self._plan.files),
            "contract": self._job.entity.sha256,
            "mapping": self._plan.mapping_sha256,
        }
        if self._plan.due.after:
            said["after"] = self._plan.due.after
        return hashlib.sha256(dumps(said).encode()).hexdigest()[:32]

    def _scalar(self, sql: str) -> int:
        row = self._connection.execute(sql).fetchone()
        return 0 if row is None else int(row[0])


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Batches of a streamed query; what stops it is raised as the engine's own error."""
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (OSError, pa.ArrowException) as error:
            kind = next((kind for name, kind in _ENGINE_ERRORS if name in str(error)), duckdb.Error)
            raise kind(str(error)) from None
        yield batch


def _taken(
    staged: pa.RecordBatchFileReader, numbers: Numbers, excluding: bool = False
) -> Iterator[pa.RecordBatch]:
    """Staged rows of some numbers, or of all others; batches that keep no row are left out."""
    first = 0
    for number in range(staged.num_record_batches):
        batch = staged.get_batch(number)
        wanted = np.full(batch.num_rows, excluding)
        here = numbers[(numbers >= first) & (numbers < first + batch.num_rows)]
        wanted[here - first] = not excluding
        first += batch.num_rows
        if wanted.any():
            yield batch if wanted.all() else batch.filter(pa.array(wanted))


def _timestamp(at: datetime) -> str:
    """A moment as an SQL timestamp in UTC."""
    said = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"CAST({literal(said)} AS TIMESTAMP)"


def utc(at: datetime) -> datetime:
    """A moment in UTC; one without a zone is taken to be in UTC already."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _aware(at: datetime | None) -> datetime | None:
    return None if at is None else utc(at)
