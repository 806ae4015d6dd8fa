"""The one door to tables, for both engines.

Connections are opened here only. On DuckDB the tables live in one file; on Spark each is a folder
of Parquet files, which DuckDB reads as well. Either way a caller gets a DuckDB connection in which
``schema.table`` can be queried, and writes through ``replace``.

What belongs here: opening, locking, reading and writing tables. What does not: SQL with a business
meaning, or the lake, which is Delta (``siyu.lake``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from siyu.config import Engine, Settings
from siyu.paths import Paths

# Beside what dbt notes of batches: bookkeeping of the file, no layer, and not published.
_NOTES = "applied.table_version"

# Beside Spark's files of a table: its columns, for as long as it has no row and so no file.
COLUMNS = "_columns.parquet"

LAYERS = ("lake", "staging", "unified", "marts", "features", "ml", "ops")


class WarehouseError(Exception):
    """A table is missing, or the warehouse cannot be opened; the message says what to do."""


class WarehouseBusy(WarehouseError):
    """Another run holds the writer's lock."""


@contextmanager
def writer_lock(
    paths: Paths, timeout: float = -1, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the kernel's lock that makes this process the only writer.

    The lock is released by the kernel when the process dies, so a killed run never blocks the next.

    Args:
        paths: The retailer's places.
        timeout: Seconds to wait; negative waits for ever.
        on_wait: Told once, when the lock is not free at once.

    Raises:
        WarehouseBusy: the lock was not free in time.
    """
    paths.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(paths.lock, is_singleton=True)
    busy = f"another run of {paths.retailer} is writing (lock {paths.lock})"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait is not None:
            on_wait(f"{busy}; waiting for it to end")
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise WarehouseBusy(f"{busy}; run again when it has ended") from None
    try:
        yield
    finally:
        lock.release()


class Warehouse:
    """Reads and writes ``schema.table`` on either engine."""

    def __init__(self, paths: Paths, engine: Engine = "duckdb", threads: int | None = None) -> None:
        self._paths = paths
        self._engine = engine
        self._threads = threads

    @staticmethod
    def of(settings: Settings) -> Warehouse:
        """The warehouse that the settings name."""
        return Warehouse(Paths.of(settings), settings.engine)

    @contextmanager
    def connect(self, read_only: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection that sees every table; closed on leaving.

        Never keep it open while dbt runs: DuckDB allows one writer and no reader beside it.

        Raises:
            WarehouseError: there is no warehouse yet and ``read_only`` is asked for.
        """
        config: dict[str, Any] = {"threads": self._threads} if self._threads else {}
        if self._engine == "spark":
            connection = duckdb.connect(config=config)
            self._register_folders(connection)
        elif read_only:
            connection = duckdb.connect(config=config)
            self._attach(connection)
        else:
            self._paths.warehouse.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(str(self._paths.warehouse), config=config)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Attach the file read-only, so that what the caller attaches besides may be written."""
        if not self._paths.warehouse.exists():
            raise WarehouseError(
                f"{self._paths.warehouse}: no warehouse yet; run the refresh job first"
            )
        connection.execute(f"ATTACH '{self._paths.warehouse}' AS siyu (READ_ONLY)")
        connection.execute("USE siyu")

    def drop(self) -> None:
        """Remove every table, and what was noted of them."""
        if self._engine == "spark":
            shutil.rmtree(self._paths.spark_warehouse, ignore_errors=True)
            return
        for file in (self._paths.warehouse, self._paths.warehouse.with_suffix(".duckdb.wal")):
            file.unlink(missing_ok=True)

    def read(self, sql: str, parameters: list[Any] | None = None) -> pa.Table:
        """The result of a query, as Arrow."""
        with self.connect() as connection:
            return connection.execute(sql, parameters or []).to_arrow_table()

    def exists(self, table: str) -> bool:
        """Whether ``schema.table`` is there."""
        return table in self.tables()

    def tables(self) -> set[str]:
        """Every ``schema.table`` of siyu's layers."""
        if self._engine == "duckdb" and not self._paths.warehouse.exists():
            return set()
        found = self.read(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
        )
        names: list[str] = found["name"].to_pylist()
        return {name for name in names if name.partition(".")[0] in LAYERS}

    def replace(self, table: str, rows: pa.Table, where: Mapping[str, Any] | None = None) -> None:
        """Write rows, replacing those that match ``where``, or all when it is None.

        Args:
            table: ``schema.table``; created from the rows' schema when it is missing.
            rows: What the table, or the part of it that ``where`` names, shall hold.
            where: Column and value that name the part, such as ``{"as_of_date": day}``. On Spark
                it becomes the folder's partition.
        """
        if self._engine == "spark":
            self._replace_folder(table, rows, where)
        else:
            self._replace_in_file(table, rows, where)

    def note_versions(self, versions: Mapping[tuple[str, str], str]) -> None:
        """Remember, in the warehouse itself, which versions it holds.

        The note goes where the tables go: a warehouse that is dropped, or a ledger restored without
        one, is not taken for what it was. On Spark nothing is noted.

        Args:
            versions: Name of the version, by ``schema.table`` and partition (empty for none).
        """
        if self._engine == "spark" or not versions:
            return
        with self.connect(read_only=False) as connection:
            connection.execute("BEGIN")
            connection.execute("CREATE SCHEMA IF NOT EXISTS applied")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_NOTES} "
                "(table_name VARCHAR, partition VARCHAR, version VARCHAR)"
            )
            rows = [(*place, version) for place, version in versions.items()]
            connection.executemany(
                f"DELETE FROM {_NOTES} WHERE table_name = ? AND partition = ?",
                [place for *place, _ in rows],
            )
            connection.executemany(f"INSERT INTO {_NOTES} VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    def noted_versions(self) -> dict[tuple[str, str], str]:
        """The versions that ``note_versions`` was told of, for tables that are there."""
        if self._engine == "spark" or not self._paths.warehouse.exists():
            return {}
        with self.connect() as connection:
            present = connection.execute(
                "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
                "WHERE database_name = current_database() "
                "UNION ALL SELECT schema_name || '.' || view_name FROM duckdb_views() "
                "WHERE database_name = current_database()"
            ).fetchall()
            names = {name for (name,) in present}
            if _NOTES not in names:
                return {}
            rows = connection.execute(
                f"SELECT table_name, partition, version FROM {_NOTES}"
            ).fetchall()
        return {(table, part): version for table, part, version in rows if table in names}

    def _replace_in_file(self, table: str, rows: pa.Table, where: Mapping[str, Any] | None) -> None:
        schema = table.partition(".")[0]
        with self.connect(read_only=False) as connection:
            connection.execute("BEGIN")
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.register("incoming", rows)
            if where is None:
                connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM incoming")
            else:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM incoming LIMIT 0")
                condition = " AND ".join(f"{column} = ?" for column in where)
                connection.execute(f"DELETE FROM {table} WHERE {condition}", list(where.values()))
                connection.execute(f"INSERT INTO {table} BY NAME FROM incoming")
            connection.execute("COMMIT")

    def _folder(self, table: str) -> Path:
        schema, _, name = table.partition(".")
        return self._paths.spark_warehouse / f"{schema}.db" / name

    def _replace_folder(self, table: str, rows: pa.Table, where: Mapping[str, Any] | None) -> None:
        folder = self._folder(table)
        name = "-".join(f"{column}={value}" for column, value in (where or {}).items())
        file = folder / f"{name or 'all'}.parquet"
        if where is None:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        pq.write_table(rows, partial)
        partial.replace(file)

    def _register_folders(self, connection: duckdb.DuckDBPyConnection) -> None:
        for folder in sorted(self._paths.spark_warehouse.glob("*.db/*")):
            shown = table_files(folder) or [file for file in [folder / COLUMNS] if file.exists()]
            if not shown:
                continue
            schema = folder.parent.name.removesuffix(".db")
            files = ", ".join(f"'{file}'" for file in shown)
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.execute(
                f"CREATE VIEW {schema}.{folder.name} AS FROM read_parquet("
                f"[{files}], hive_partitioning=true, union_by_name=true)"
            )


def table_files(folder: Path) -> list[Path]:
    """Files of one of Spark's tables, without what a killed write left half done beside them."""
    return [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    ]
