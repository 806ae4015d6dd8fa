"""Write, audit, publish: a folder beside the others, then one atomic swap of a symlink.

The audit log has its entry before anybody can read it.
A reader that opens ``serving/current/siyu.duckdb`` gets a whole publication, the last or the new
one, never half of one; a connection that is open keeps the publication it opened.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from siyu.evidence import record_publication
from siyu.paths import Paths
from siyu.warehouse import Warehouse

# DuckDB 1.0 and later read it, which is what BI drivers carry.
STORAGE_VERSION = "v1.0.0"
FILE_NAME = "siyu.duckdb"


class PublicationError(Exception):
    """What was written is not what the warehouse holds; the last publication stays up."""


@dataclass(frozen=True)
class TableText:
    """What a table and its columns mean, in English and Chinese."""

    en: str
    zh: str
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Publication:
    """One publication.

    Attributes:
        folder: Where it lies.
        rows: Row count by ``schema.table``.
    """

    folder: Path
    rows: Mapping[str, int]


def publish(
    paths: Paths,
    warehouse: Warehouse,
    tables: Sequence[str],
    texts: Mapping[str, TableText],
    ops: Mapping[str, pa.Table],
    run_id: str,
    as_of: date,
) -> Publication:
    """Copy tables of the warehouse into a new folder and make it current.

    Args:
        paths: The retailer's places.
        warehouse: Where the tables are.
        tables: ``schema.table`` of each.
        texts: Meaning of each ``schema.table``, written as comments.
        ops: Tables for the ``ops`` schema, by name.
        run_id: Begins the folder's name; what the same run published before stays for its readers.
        as_of: The day the tables speak of.

    Raises:
        PublicationError: a table is missing, or its copy differs from the warehouse.
    """
    folder = new_folder(paths, f"{as_of.isoformat()}_{run_id[:8]}")
    with swapped_in(folder) as partial:
        rows = _write(partial, warehouse, tables, texts, ops)
        record_publication(paths, partial, folder.name, run_id, as_of)
    return Publication(folder, rows)


def new_folder(paths: Paths, name: str) -> Path:
    """Where a publication of some name will lie; several may have the same."""
    return paths.serving / f"{name}_{_unique()}"


@contextmanager
def swapped_in(folder: Path) -> Iterator[Path]:
    """A place to write a publication to; once the block has ended well it is ``folder`` and current."""
    partial = folder.with_name(f".{folder.name}.partial")
    (partial / "parquet").mkdir(parents=True)
    try:
        yield partial
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _swap(folder.with_name("current"), folder.name)
    _sweep(folder.parent)


def write_parquet(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write every table of a publication's database as a Parquet file beside it."""
    tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
    for schema, name in tables:
        _to_parquet(connection, f"{schema}.{name}", folder / "parquet" / schema / f"{name}.parquet")


def _to_parquet(connection: duckdb.DuckDBPyConnection, table: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(f"COPY {table} TO '{file}' (FORMAT parquet, COMPRESSION zstd)")


def _write(
    folder: Path,
    warehouse: Warehouse,
    tables: Sequence[str],
    texts: Mapping[str, TableText],
    ops: Mapping[str, pa.Table],
) -> dict[str, int]:
    if missing := sorted(set(tables) - warehouse.tables()):
        raise PublicationError(
            f"the warehouse does not hold {', '.join(missing)}; run the refresh job"
        )
    with warehouse.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"ATTACH '{folder / FILE_NAME}' AS target (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
        for schema in sorted({*(table.partition(".")[0] for table in tables), "ops"}):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS target.{schema}")
        rows = {table: _copy(connection, table, table, folder) for table in tables}
        for name, content in ops.items():
            connection.register("ops_rows", content)
            rows[f"ops.{name}"] = _copy(connection, "ops_rows", f"ops.{name}", folder)
            connection.unregister("ops_rows")
        for table in rows:
            _comment(connection, table, texts.get(table))
        connection.execute("DETACH target")
    return rows


def _copy(connection: duckdb.DuckDBPyConnection, source: str, table: str, folder: Path) -> int:
    """Copy one table into the target file and a Parquet file; the row counts must agree."""
    connection.execute(f"CREATE TABLE target.{table} AS FROM {source}")
    schema, _, name = table.partition(".")
    file = folder / "parquet" / schema / f"{name}.parquet"
    _to_parquet(connection, f"target.{table}", file)
    expected, found, written = (
        _count(connection, place) for place in (source, f"target.{table}", f"'{file}'")
    )
    if not expected == found == written:
        raise PublicationError(
            f"{table}: the warehouse has {expected} rows, the copy {found}, Parquet {written}; "
            "publish again"
        )
    return expected


def _count(connection: duckdb.DuckDBPyConnection, place: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {place}").fetchone()
    return 0 if row is None else int(row[0])


def _comment(connection: duckdb.DuckDBPyConnection, table: str, text: TableText | None) -> None:
    if text is None:
        return
    connection.execute(f"COMMENT ON TABLE target.{table} IS {_literal(text.en, text.zh)}")
    present = {
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM duckdb_columns() "
            "WHERE database_name = 'target' AND schema_name || '.' || table_name = ?",
            [table],
        ).fetchall()
    }
    for column, (en, zh) in text.columns.items():
        if column in present:
            connection.execute(f'COMMENT ON COLUMN target.{table}."{column}" IS {_literal(en, zh)}')


def _literal(en: str, zh: str) -> str:
    # COMMENT takes no bound parameter.
    said = f"{en} | {zh}" if zh else en
    return "'" + " ".join(said.split()).replace("'", "''") + "'"


def _swap(link: Path, target: str) -> None:
    """Point the symlink at another folder, atomically."""
    fresh = link.with_name(f".{link.name}.{_unique()}")
    fresh.symlink_to(target)
    fresh.replace(link)


def _unique() -> str:
    return uuid.uuid4().hex[:8]


def _sweep(serving: Path) -> None:
    """Remove what killed publications left behind."""
    for partial in serving.glob(".*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    for link in serving.glob(".current.*"):
        link.unlink(missing_ok=True)


def current_folder(paths: Paths) -> Path | None:
    """Folder of the publication that is up, or None where there is none."""
    link = paths.serving / "current"
    return paths.serving / link.readlink() if link.is_dir() else None


def prune(paths: Paths, keep: timedelta, now: float) -> list[Path]:
    """Remove publications older than ``keep``, never the current one.

    Args:
        paths: The retailer's places.
        keep: Age up to which a publication stays.
        now: The present, in seconds since the epoch.

    Returns:
        The folders removed.
    """
    current = current_folder(paths)
    kept = current.resolve() if current else None
    removed = [
        folder
        for folder in sorted(paths.serving.glob("[!.]*"))
        if not folder.is_symlink()
        and folder.is_dir()
        and folder.resolve() != kept
        and now - folder.stat().st_mtime > keep.total_seconds()
    ]
    for folder in removed:
        shutil.rmtree(folder)
    return removed
