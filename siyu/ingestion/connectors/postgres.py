"""PostgreSQL: tables as Parquet, all inputs of a connection in one snapshot of the database.

Rows are read either from an update cursor on (``incremental``), or all of them, of which those that
are new, changed or gone are kept (``snapshot``). What goes wrong is said in our own words with the
server's error code: its messages quote values and addresses.

What belongs here: what to ask a database, and how far to trust a cursor. What does not: what the
rows mean (the retailer's mappings).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from siyu.ingestion.pull import (
    LOCAL_FAULTS,
    Ask,
    Failed,
    Piece,
    SourceError,
    by_itself,
    explained_locally,
)
from siyu.lake import identifier, literal
from siyu.retailer import PostgresConnection

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

# Rows of a piece are held while it is written; the next pull after a break goes on behind it.
_PIECE_BYTES: Final = 64 << 20
_ROWS_AT_ONCE: Final = 100_000
_SUFFIX: Final = ".parquet"

# Types that arrive as they are. Everything else, numbers without a fixed size first of all, is asked
# for as text, which is exact.
_PLAIN: Final = {
    "bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar", "name", "char",
    "bytea", "date", "time", "timestamp", "timestamptz", "json", "jsonb",
}  # fmt: skip
_PLAIN_LISTS: Final = {"_bool", "_int2", "_int4", "_int8", "_float4", "_float8", "_text"}
_TIMES: Final = ("timestamptz", "timestamp", "date")
_WHOLE: Final = ("int2", "int4", "int8")
_TEXTS: Final = ("text", "varchar")

# The driver moves PostgreSQL's epoch without looking, so that the infinite times wrap around.
# DuckDB's infinite times are what the largest numbers stand for.
_WRAPPED: Final = {
    pa.types.is_timestamp: (pa.int64(), -(2**63) + 946_684_800_000_000, -9 * 10**18),
    pa.types.is_date32: (pa.int32(), -(2**31) + 10_957, -2_147_000_000),
}

_HASH: Final = "_siyu_hash"
_DELETED: Final = "_deleted"
_STATES: Final = ("snapshot-0.parquet", "snapshot-1.parquet")

_AGAIN_LATER: Final = ("08", "40", "53", "55P03", "57")
# What libpq says, before there is a code, of what may pass by itself.
_PASSING: Final = (
    "refused", "timeout", "timed out", "unreachable", "could not translate", "starting up",
    "shutting down", "too many clients", "remaining connection slots", "closed the connection",
    "reset by peer", "in recovery mode", "no such file",
)  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """A table as the catalogue has it.

    Attributes:
        name: As retailer.yaml has it.
        sql: Its quoted name.
        types: Base type of every column that may be read.
        closed: Columns that may not be read.
    """

    name: str
    sql: str
    types: Mapping[str, str]
    closed: tuple[str, ...]

    @property
    def selected(self) -> str:
        """SQL of its columns, in types that arrive whole."""
        return ", ".join(
            f"{_as_it_arrives(column, kind)} AS {identifier(column)}"
            for column, kind in self.types.items()
        )


def pull(
    connection: PostgresConnection, asks: Sequence[Ask], now: datetime
) -> Iterator[Piece | Failed]:
    """Read what is new of every input, all in one snapshot of the database.

    Args:
        connection: The database, with its variables filled in.
        asks: The inputs; the location of each is ``schema.table``, or a table of ``public``.
        now: The wall clock (UTC).

    Yields:
        Parquet pieces, incremental inputs first.

    Raises:
        SourceError: the database cannot be reached, or went away.
    """
    spooled: list[tuple[Ask, _Spooled]] = []
    with _transaction(connection) as database:
        for ask in asks:
            try:
                table = _table(database, ask)
                if ask.source.pull.mode == "incremental":
                    yield from _incremental(database, ask, table)
                else:
                    spooled.append((ask, _spool(database, ask, table, now)))
            except SourceError as error:
                database.recover(ask.source.location)
                yield Failed(ask.name, error)
            except LOCAL_FAULTS as error:
                database.recover(ask.source.location)
                yield Failed(ask.name, explained_locally(error, ask.store.folder))
    # Comparing takes its time; the database does not have to keep its snapshot for that.
    for ask, state in spooled:
        try:
            yield from by_itself(ask, _changes(ask, state))
        except SourceError as error:
            yield Failed(ask.name, error)
        except duckdb.Error as error:  # its text may quote a row
            yield Failed(ask.name, _not_compared(error, ask, state))


# --- the database ----------------------------------------------------------------------------


class _Database:
    """One read-only transaction."""

    def __init__(self, connection: Connection, timeout_seconds: float) -> None:
        self._connection = connection
        self._timeout = timeout_seconds
        self.clock: dict[str, Any] = {}

    def begin(self) -> None:
        """Open the snapshot and see what the database's own clocks say."""
        for statement in (
            "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            f"SET LOCAL statement_timeout = {math.ceil(self._timeout * 1000)}",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
            "SET LOCAL standard_conforming_strings = on",
            "SET LOCAL datestyle = 'ISO, YMD'",
            "SET LOCAL intervalstyle = 'iso_8601'",
        ):
            self._execute(statement)
        [(zoned, local)] = self.rows("SELECT clock_timestamp(), clock_timestamp()::timestamp")
        self.clock = {"timestamptz": zoned, "timestamp": local, "date": local.date()}
        self._execute("SAVEPOINT input")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A short answer."""
        with self._explaining(), closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def stream(self, query: str, reading: str) -> Generator[pa.RecordBatch, None, None]:
        """A long answer, batch by batch; the server's cursor is closed with the iterator."""
        with self._explaining(reading), closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            # An empty table has columns as well.
            empty = pa.RecordBatch.from_pylist([], schema=reader.schema)
            for batch in itertools.chain([empty], reader):
                yield _with_infinities(_without_extensions(batch))

    def recover(self, reading: str) -> None:
        """Make the transaction usable again after an error, in the same snapshot.

        Raises:
            SourceError: the connection is gone, which is what the error was about.
        """
        try:
            self._execute("ROLLBACK TO SAVEPOINT input")
        except SourceError:
            raise _lost(f"reading {reading}") from None

    def _execute(self, statement: str) -> None:
        with self._explaining(), closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)

    @contextmanager
    def _explaining(self, reading: str = "") -> Iterator[None]:
        from adbc_driver_manager import Error

        try:
            yield
        except (Error, OSError) as error:
            raise _explained(error, reading, self._timeout) from None


@contextmanager
def _transaction(connection: PostgresConnection) -> Iterator[_Database]:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    try:
        opened = dbapi.connect(_with_timeout(connection), autocommit=True)
    except Error as error:
        raise _unreachable(error, connection.dsn) from None
    with closing(opened):
        database = _Database(opened, connection.timeout_seconds)
        database.begin()
        yield database


def _with_timeout(connection: PostgresConnection) -> str:
    """The address, with a limit on how long connecting may take."""
    dsn = connection.dsn
    if "connect_timeout" in dsn:
        return dsn
    limit = f"connect_timeout={math.ceil(connection.timeout_seconds)}"
    if "://" not in dsn:
        return f"{dsn} {limit}"
    return f"{dsn}{'&' if '?' in dsn else '?'}{limit}"


def _table(database: _Database, ask: Ask) -> _Table:
    """The table of an input, from the catalogue.

    Raises:
        SourceError: there is none, or what retailer.yaml wants of it may not be read.
    """
    if ask.source.format != "parquet":
        raise SourceError(
            f"what is read from {ask.source.location} is kept as Parquet; set format: parquet for "
            "the input",
            transient=False,
        )
    schema, _, name = ask.source.location.rpartition(".")
    sql = f"{identifier(schema or 'public')}.{identifier(name)}"
    try:
        found = database.rows(
            f"""
            WITH RECURSIVE typed AS (
                SELECT attnum, attname, attrelid, atttypid AS typeid
                FROM pg_attribute
                WHERE attrelid = to_regclass({literal(sql)}) AND attnum > 0 AND NOT attisdropped
                UNION ALL
                SELECT attnum, attname, attrelid, typbasetype
                FROM typed JOIN pg_type ON pg_type.oid = typeid
                WHERE typtype = 'd'
            )
            SELECT
                attname::text,
                CASE WHEN typnamespace = 'pg_catalog'::regnamespace THEN typname::text ELSE '' END,
                has_column_privilege(attrelid, attnum, 'SELECT')
            FROM typed JOIN pg_type ON pg_type.oid = typeid
            WHERE typtype <> 'd'
            ORDER BY attnum
            """
        )
    except _NotAllowed:
        raise SourceError(
            f"the schema of {ask.source.location} may not be used; GRANT USAGE ON SCHEMA "
            f"{identifier(schema or 'public')} to the connection's user",
            transient=False,
        ) from None
    if not found:
        raise SourceError(
            f"there is no table {ask.source.location}; write location as schema.table, in upper and "
            "lower case as the database has it",
            transient=False,
        )
    types = {column: kind for column, kind, readable in found if readable}
    closed = tuple(column for column, _, readable in found if not readable)
    if not types:
        raise SourceError(
            f"{ask.source.location} may not be read; GRANT SELECT ON {sql} to the connection's user",
            transient=False,
        )
    table = _Table(ask.source.location, sql, types, closed)
    _require(
        table, (*ask.source.columns, *filter(None, (ask.source.pull.cursor,)), *ask.source.pull.key)
    )
    return table


def _require(table: _Table, wanted: Iterable[str]) -> None:
    for column in wanted:
        if column in table.closed:
            raise SourceError(
                f"{table.name} has the column {column}, but it may not be read; GRANT SELECT "
                f"({identifier(column)}) ON {table.sql} to the connection's user",
                transient=False,
            )
        if column not in table.types:
            raise SourceError(
                f"{table.name} has no column {column}, which retailer.yaml names for it; it has "
                f"{', '.join((*table.types, *table.closed))}",
                transient=False,
            )


def _as_it_arrives(column: str, kind: str) -> str:
    """SQL of a column in a type that arrives whole."""
    name = f"t.{identifier(column)}"
    if kind in _PLAIN or kind in _PLAIN_LISTS:
        return name
    if kind == "money":  # its text depends on the server's locale
        return f"{name}::numeric::text"
    return f"{name}::text[]" if kind.startswith("_") else f"{name}::text"


def _without_extensions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """JSON as the text it is: not every reader knows Arrow's own type for it."""
    columns = [
        column.storage if isinstance(column, pa.ExtensionArray) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _with_infinities(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Infinite times as DuckDB writes them."""
    columns = list(batch.columns)
    for index, column in enumerate(columns):
        for is_kind, (storage, least, floor) in _WRAPPED.items():
            if is_kind(column.type):
                columns[index] = _unwrapped(column, storage, least, floor)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _unwrapped(column: pa.Array, storage: pa.DataType, least: int, floor: int) -> pa.Array:
    numbers = column.view(storage)
    lowest = pc.min(numbers).as_py()
    if lowest is None or lowest > floor:
        return column
    largest = 2 ** (storage.bit_width - 1) - 1
    infinite = pc.if_else(pc.equal(numbers, least), -largest, largest)
    fixed = pc.if_else(pc.less(numbers, floor), infinite, numbers)
    return fixed.cast(storage).view(column.type)


# --- incremental -----------------------------------------------------------------------------


def _incremental(database: _Database, ask: Ask, table: _Table) -> Iterator[Piece]:
    """Rows from the cursor on, in its order, so that every piece is progress.

    Raises:
        SourceError: the cursor's column cannot be one, or reading broke.
    """
    cursor = _Cursor.of(ask, table)
    start, warnings = cursor.start(ask)
    order = ", ".join(f"t.{identifier(column)}" for column in (cursor.column, *ask.source.pull.key))
    query = f"SELECT {table.selected} FROM {table.sql} AS t {start} ORDER BY {order}"
    reached = cursor.value
    if table.closed:
        warnings.append(f"{table.name}: not read, for want of a right: {', '.join(table.closed)}")
    with closing(database.stream(query, table.name)) as batches:
        for rows in _pieces(batches):
            reached, doubts = cursor.reached(rows[cursor.column], reached, database.clock)
            yield Piece(
                ask.name, _SUFFIX, _Parquet(rows).write, cursor.said(reached),
                warnings=(*warnings, *doubts),
            )  # fmt: skip
            warnings = []


@dataclass(frozen=True)
class _Cursor:
    """The column that says when a row last changed, and where the last pull got to.

    Attributes:
        table: The table's name.
        column: The column's name.
        kind: Its type.
        value: The last value that was reached, as its text; None before the first pull.
    """

    table: str
    column: str
    kind: str
    value: str | int | None

    @staticmethod
    def of(ask: Ask, table: _Table) -> _Cursor:
        """The cursor of an input.

        Raises:
            SourceError: none is named, or its type has no order that a pull can follow.
        """
        column = ask.source.pull.cursor
        if not column:
            raise SourceError(
                f"an incremental pull of {table.name} needs pull.cursor, the column that says when "
                "a row last changed; or set pull.mode to snapshot",
                transient=False,
            )
        kind = table.types[column]
        if kind not in (*_TIMES, *_WHOLE, *_TEXTS):
            raise SourceError(
                f"{table.name}: column {column} of type {kind or 'of its own'} cannot be the cursor; "
                f"it must be one of {', '.join((*_TIMES, *_WHOLE, *_TEXTS))}",
                transient=False,
            )
        said = ask.cursor
        same = (said.get("table"), said.get("column"), said.get("type")) == (
            table.name, column, kind,
        )  # fmt: skip
        return _Cursor(table.name, column, kind, said.get("value") if same else None)

    def start(self, ask: Ask) -> tuple[str, list[str]]:
        """The condition from which to read on, and what a person should know of it."""
        if self.value is None:
            anew = f"{self.table}: read from the beginning, because its cursor is another now"
            return "", [anew] if ask.cursor else []
        name = f"t.{identifier(self.column)}"
        # A row without a value is after nothing, so it is asked for every time.
        return (
            f"WHERE {name} >= {self._from(ask.source.pull.overlap_seconds)} OR {name} IS NULL",
            [],
        )

    def _from(self, overlap: int) -> str:
        if self.kind in _WHOLE:
            return str(max(int(self.value or 0) - overlap, -(2**63)))
        value = literal(str(self.value))
        if self.kind in _TEXTS:
            return value
        if self.kind == "date":
            return f"{value}::date - {math.ceil(overlap / 86_400)}"
        return f"{value}::{self.kind} - interval '{overlap} seconds'"

    def reached(
        self, values: pa.ChunkedArray, before: str | int | None, clock: Mapping[str, Any]
    ) -> tuple[str | int | None, list[str]]:
        """How far these rows bring the cursor, and what stands in its way.

        A time after the database's own clock is no progress: everything written until then would be
        passed over.
        """
        doubts = []
        if values.null_count:
            doubts.append(
                f"{self.table}: {values.null_count} rows have no {self.column}, so every pull reads "
                "them again; give them one, or use pull.mode snapshot"
            )
        if self.kind not in _TIMES:
            known = values.drop_null()
            return (known[-1].as_py() if len(known) else before), doubts
        now = pa.scalar(clock[self.kind], values.type)
        earliest = pa.scalar(_EARLIEST[self.kind], values.type)
        after = pc.sum(pc.greater(values, now)).as_py()
        if after:
            doubts.append(
                f"{self.table}: {after} rows have a {self.column} after the database's clock, so "
                "every pull reads them again; mend them, or the time zone of the connection's user"
            )
        # Before the year 1 there is nothing a cursor could have been set to.
        good = pc.and_(pc.less_equal(values, now), pc.greater_equal(values, earliest))
        known = values.filter(good)
        return (known[-1].as_py().isoformat() if len(known) else before), doubts

    def said(self, value: str | int | None) -> dict[str, Any]:
        """What is kept with the rows."""
        return {"table": self.table, "column": self.column, "type": self.kind, "value": value}


_EARLIEST: Final[Mapping[str, Any]] = {
    "timestamptz": datetime(1, 1, 1, tzinfo=UTC),
    "timestamp": datetime(1, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    "date": date(1, 1, 1),
}


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together to tables of a bounded size."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.nbytes for each in held) >= _PIECE_BYTES:
            yield pa.Table.from_batches(held)
            held = []
    rows = pa.Table.from_batches(held) if held else None
    if rows is not None and rows.num_rows:
        yield rows


@dataclass(frozen=True)
class _Parquet:
    """Rows to be written."""

    rows: pa.Table

    def write(self, out: BinaryIO) -> int:
        """Write them as one Parquet file and say how many they are."""
        pq.write_table(self.rows, out, compression="zstd")
        return int(self.rows.num_rows)


# --- snapshot --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spooled:
    """A whole table as it is now, sealed beside the raw files.

    Attributes:
        table: The table's name.
        state: Name of the sealed file.
        before: Name of the one it is compared with; None the first time.
        warnings: What a person should know.
    """

    table: str
    state: str
    before: str | None
    warnings: tuple[str, ...] = field(default=())


def _spool(database: _Database, ask: Ask, table: _Table, now: datetime) -> _Spooled:
    """Read a whole table into the state that is not in use.

    Which of two states is in use stands in the cursor of the last raw file; it changes together with
    the file that holds the last change, so a killed pull leaves the old one in use.

    Raises:
        SourceError: there is no key to compare rows by, or reading broke.
    """
    if not ask.source.pull.key:
        raise SourceError(
            f"a snapshot of {table.name} needs pull.key, the columns that identify a row",
            transient=False,
        )
    if taken := {_HASH, _DELETED} & set(table.types):
        raise SourceError(
            f"{table.name} has a column {taken.pop()}, a name that a snapshot needs for itself; "
            "make a view without it",
            transient=False,
        )
    said = ask.cursor
    same = (said.get("table"), said.get("key")) == (table.name, list(ask.source.pull.key))
    before = said.get("state") if same else None
    if before is not None and ask.store.kept(before) is None:
        before = None
    state = _STATES[1] if said.get("state") == _STATES[0] else _STATES[0]
    with closing(
        database.stream(f"SELECT {table.selected} FROM {table.sql} AS t", table.name)
    ) as batches:
        ask.store.keep(state, _Hashed(batches).write, now)
    closed = f"{table.name}: not read, for want of a right: {', '.join(table.closed)}"
    return _Spooled(table.name, state, before, (closed,) if table.closed else ())


@dataclass(frozen=True)
class _Hashed:
    """Rows to be written, each with a hash of all its values."""

    batches: Iterator[pa.RecordBatch]

    def write(self, out: BinaryIO) -> int:
        """Write them as one Parquet file, batch by batch, and say how many they are."""
        rows = 0
        writer = None
        with duckdb.connect() as connection:
            for batch in self.batches:
                connection.register("batch", pa.Table.from_batches([batch]))
                hashed = connection.execute(
                    f"SELECT *, md5(CAST(to_json(batch) AS VARCHAR)) AS {_HASH} FROM batch"
                ).to_arrow_table()
                connection.unregister("batch")
                if writer is None:
                    writer = pq.ParquetWriter(out, hashed.schema, compression="zstd")
                writer.write_table(hashed)
                rows += batch.num_rows
        if writer is not None:
            writer.close()
        return rows


def _changes(ask: Ask, spooled: _Spooled) -> Iterator[Piece]:
    """Rows that are new, changed, or gone since the state before; those gone as they last were.

    Raises:
        SourceError: the key does not identify a row, or everything is gone.
    """
    # Nothing may be spilled: it would lie on the disk in clear.
    with duckdb.connect(config={"temp_directory": ""}) as connection:
        connection.register_filesystem(ask.store.filesystem)
        types = _bind(connection, ask, "now", spooled.state)
        _require_key(connection, ask, spooled.table)
        columns = ", ".join(map(identifier, types))
        query = f"SELECT {columns}, false AS {_DELETED} FROM now"
        if spooled.before is not None:
            query = _compared(ask, types, _bind(connection, ask, "before", spooled.before))
            _require_rows(connection, spooled.table)
        reader = connection.execute(query).to_arrow_reader(_ROWS_AT_ONCE)
        said = {"table": spooled.table, "key": list(ask.source.pull.key)}
        warnings = spooled.warnings
        for rows, is_last in _with_last(_pieces(reader)):
            state = spooled.state if is_last else spooled.before
            yield Piece(
                ask.name, _SUFFIX, _Parquet(rows).write, {**said, "state": state},
                warnings=warnings,
            )  # fmt: skip
            warnings = ()


def _bind(connection: duckdb.DuckDBPyConnection, ask: Ask, name: str, state: str) -> dict[str, str]:
    """Make a view of a state and say what columns it has."""
    connection.execute(
        f"CREATE VIEW {name} AS FROM read_parquet({literal(ask.store.kept(state) or state)})"
    )
    described = connection.execute(f"DESCRIBE {name}").fetchall()
    return {row[0]: row[1] for row in described if row[0] != _HASH}


def _require_key(connection: duckdb.DuckDBPyConnection, ask: Ask, table: str) -> None:
    key = [identifier(column) for column in ask.source.pull.key]
    [missing] = connection.execute(
        f"SELECT count(*) FROM now WHERE {' OR '.join(f'{column} IS NULL' for column in key)}"
    ).fetchone() or (0,)
    [twice] = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM now GROUP BY {', '.join(key)} HAVING count(*) > 1)"
    ).fetchone() or (0,)
    if missing or twice:
        raise SourceError(
            f"{table}: the key {', '.join(ask.source.pull.key)} does not identify a row: "
            f"{twice} keys come more than once, {missing} rows lack a part of it; name other "
            "columns in pull.key",
            transient=False,
        )


def _require_rows(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    now, before = (
        (connection.execute(f"SELECT count(*) FROM {state}").fetchone() or (0,))[0]
        for state in ("now", "before")
    )
    if before and not now:
        raise SourceError(
            f"{table} is empty, where the last pull found {before} rows; it may be being filled. "
            "Nothing was taken. If it is meant to be empty, take the input out of retailer.yaml",
            transient=True,
        )


def _compared(ask: Ask, now: Mapping[str, str], before: Mapping[str, str]) -> str:
    """SQL of the rows that differ between two states, in the columns of the present one."""
    same = " AND ".join(
        # The type of a column may have changed in between.
        f"CAST(before.{identifier(column)} AS VARCHAR) = CAST(now.{identifier(column)} AS VARCHAR)"
        if now[column] != before[column]
        else f"before.{identifier(column)} = now.{identifier(column)}"
        for column in ask.source.pull.key
    )
    present = ", ".join(f"now.{identifier(column)}" for column in now)
    last = ", ".join(
        f"TRY_CAST({f'before.{identifier(column)}' if column in before else 'NULL'} AS {kind})"
        for column, kind in now.items()
    )
    return (
        f"SELECT {present}, false AS {_DELETED} FROM now LEFT JOIN before ON {same} "
        f"WHERE before.{_HASH} IS DISTINCT FROM now.{_HASH} "
        f"UNION ALL SELECT {last}, true FROM before ANTI JOIN now ON {same}"
    )


def _with_last(pieces: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, bool]]:
    """Each piece, and whether it is the last."""
    held = next(pieces, None)
    for following in pieces:
        yield held, False
        held = following
    if held is not None:
        yield held, True


# --- what can go wrong -----------------------------------------------------------------------


def _not_compared(error: Exception, ask: Ask, spooled: _Spooled) -> SourceError:
    """Why what changed of a table cannot be told: for want of memory, or a damaged state."""
    return SourceError(
        f"{spooled.table} cannot be compared with what the last pull found of it "
        f"({type(error).__name__}); see that memory suffices. If it does, move "
        f"{' and '.join(f'{state}.sealed' for state in _STATES)} out of {ask.store.folder}: the "
        "next pull then takes every row as new",
        transient=False,
    )


class _NotAllowed(SourceError):
    """The user lacks a right."""


def _explained(error: Exception, reading: str, timeout_seconds: float) -> SourceError:
    """An error of the server in our own words, for its message may quote values."""
    code = getattr(error, "sqlstate", None) or ""
    text = str(error)
    what = f"reading {reading}" if reading else "the database"
    if code == "42501":
        return _NotAllowed(
            f"{what}: a right is missing; GRANT SELECT on it to the connection's user, and on what "
            "it is a view of to the view's owner",
            transient=False,
        )
    if code == "57014" or "canceling statement" in text:
        return SourceError(
            f"{what}: the server cancelled it, because it took more than {timeout_seconds:g} s or "
            "somebody stopped it; what came before is kept. Raise timeout_seconds of the "
            "connection, or make an index on the cursor",
            transient=True,
        )
    if code.startswith(_AGAIN_LATER) or (
        not code and any(said in text.lower() for said in _PASSING)
    ):
        return _lost(what)
    return SourceError(
        f"{what}: the server gave up with SQLSTATE {code or 'unknown'}; run SELECT * FROM the table "
        "as the connection's user to see why",
        transient=False,
    )


def _lost(what: str) -> SourceError:
    return SourceError(
        f"{what}: the connection was lost or the server is busy; what came before is kept, and the "
        "next pull goes on from there",
        transient=True,
    )


def _unreachable(error: Exception, dsn: str) -> SourceError:
    """Why there is no connection."""
    if _is_torn(dsn):
        return _unusable()
    text = " ".join(str(error).split()).removeprefix("IO: [libpq] Failed to connect: ")
    if any(said in text.lower() for said in _PASSING):
        return SourceError(
            f"cannot reach the database ({text}); is it up, and are host and port of dsn right?",
            transient=True,
        )
    if "FATAL" in text or "fe_sendauth" in text or "authentication" in text:
        return SourceError(
            f"the database refused the connection ({text}); check user, password and database of "
            "dsn",
            transient=False,
        )
    return _unusable()


def _is_torn(dsn: str) -> bool:
    """Whether a password may reach into host, port or database, which libpq's messages quote."""
    before = dsn.partition("://")[2].rpartition("@")[0]
    return any(sign in before for sign in "@/?#")


def _unusable() -> SourceError:
    return SourceError(
        "dsn cannot be used; write it as postgresql://user:${PASSWORD}@host:5432/database, with "
        "the special characters : / @ ? # and % of the password percent-encoded",
        transient=False,
    )
