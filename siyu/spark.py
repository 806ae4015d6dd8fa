"""Spark in this process: one local session per retailer, and the lake as it sees it.

The catalogue is kept in memory, so nothing but the Parquet folders of the warehouse outlives the
process; a new session finds the tables again from the folders. What belongs here: the session, its
settings and what is registered in it. What does not: SQL, or reading tables for Python, which goes
through ``siyu.warehouse`` on either engine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from siyu.lake import Lake, ViewSource
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.warehouse import COLUMNS, table_files

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_PARTITION_TYPES = "spark.sql.sources.partitionColumnTypeInference.enabled"

# Settings that make Spark mean what DuckDB means, and keep it to this machine.
_SETTINGS = {
    "spark.master": "local[2]",
    "spark.app.name": "siyu",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
    # The views of the lake are temporary and global; this is the schema they are found in.
    "spark.sql.globalTempDatabase": "lake",
    "spark.sql.session.timeZone": "UTC",
    # TIMESTAMP means what it means on DuckDB: no zone.
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.legacy.sizeOfNull": "false",
    # Every table has its folder given, so that a later process can register it; a table that is
    # built again overwrites what is there.
    "spark.sql.legacy.allowNonEmptyLocationInCTAS": "true",
    "spark.sql.shuffle.partitions": "4",
    _PARTITION_TYPES: "false",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


def session(paths: Paths) -> SparkSession:
    """The session that works in this retailer's warehouse folder; one per process.

    A session of another retailer is stopped first: where its tables lie cannot be changed.
    """
    from pyspark.sql import SparkSession

    folder = str(paths.spark_warehouse)
    active = SparkSession.getActiveSession()
    if active is not None:
        # Spark turns the path into a URL.
        if str(active.conf.get("spark.sql.warehouse.dir")).removeprefix("file:") == folder:
            return active
        active.stop()
    # Without it Spark looks up this machine's name, and warns.
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.config("spark.sql.warehouse.dir", folder)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    started: SparkSession = builder.getOrCreate()
    _register_folders(started, paths)
    return started


def stop() -> None:
    """End the session, if there is one; the next finds what tables there are then."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        active.stop()


def register_lake(paths: Paths, retailer: Retailer) -> None:
    """Make schema ``lake`` show the lake as it is now, as ``Lake.register`` does for DuckDB."""
    lake = Lake(paths)
    spark = session(paths)
    for name, source in lake.view_sources(retailer).items():
        _create_view(spark, name, source)
    for name, rows in (
        ("batch", lake.batches()),
        ("quarantine_summary", lake.quarantine_summary()),
    ):
        _create_table_view(spark, name, rows)


def keep_columns(paths: Paths) -> None:
    """Write down the columns of tables without a row: of one with partitions Spark writes no file."""
    import pyarrow.parquet as pq

    spark = session(paths)
    for folder in sorted(paths.spark_warehouse.glob("*.db/*")):
        table = f"{_schema(folder)}.{folder.name}"
        if not table_files(folder) and spark.catalog.tableExists(table):
            partial = folder / f"{COLUMNS}.partial"
            pq.write_table(spark.table(table).limit(0).toArrow(), partial)
            partial.replace(folder / COLUMNS)


def _schema(folder: Path) -> str:
    return folder.parent.name.removesuffix(".db")


def _register_folders(spark: SparkSession, paths: Paths) -> None:
    """Tell a new session's catalogue of the tables that an earlier process wrote."""
    # Off for the lake, whose source names are text whatever they look like; on for own partitions.
    spark.conf.set(_PARTITION_TYPES, "true")
    for folder in sorted(paths.spark_warehouse.glob("*.db/*")):
        if table_files(folder):
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {_schema(folder)}")
            _register_folder(spark, f"{_schema(folder)}.{folder.name}", folder)
    spark.conf.set(_PARTITION_TYPES, "false")


def _register_folder(spark: SparkSession, table: str, folder: Path) -> None:
    columns = spark.read.option("mergeSchema", "true").parquet(str(folder)).schema.toDDL()
    parts = (path for path in folder.glob("*=*") if path.is_dir())
    partitions = sorted({path.name.partition("=")[0] for path in parts})
    partitioned = f"PARTITIONED BY ({', '.join(partitions)})" if partitions else ""
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {table} ({columns}) USING parquet {partitioned} "
        f"LOCATION '{folder}'"
    )
    if partitions:
        spark.sql(f"MSCK REPAIR TABLE {table}")


def _create_view(spark: SparkSession, name: str, source: ViewSource) -> None:
    columns = {column: _spark_type(kind) for column, kind in source.columns.items()}
    if source.files:
        read = spark.read.option("basePath", source.base_path).option("mergeSchema", "true")
        found = read.parquet(*source.files)
        present = set(found.columns)
    else:
        found = spark.sql("SELECT 1 WHERE false")
        present = set()
    typed = [
        f"CAST({f'`{column}`' if column in present else 'NULL'} AS {kind}) AS `{column}`"
        for column, kind in columns.items()
    ]
    found.selectExpr(*typed).createOrReplaceGlobalTempView(name)


def _create_table_view(spark: SparkSession, name: str, rows: pa.Table) -> None:
    columns = ", ".join(f"`{field.name}` {_arrow_type(str(field.type))}" for field in rows.schema)
    values = [tuple(row.values()) for row in rows.to_pylist()]
    spark.createDataFrame(values, columns).createOrReplaceGlobalTempView(name)


def _spark_type(duckdb_type: str) -> str:
    return "STRING" if duckdb_type == "VARCHAR" else duckdb_type


_ARROW_TYPES: Mapping[str, str] = {
    "string": "STRING",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "timestamp[us]": "TIMESTAMP_NTZ",
}


def _arrow_type(arrow_type: str) -> str:
    return _ARROW_TYPES[arrow_type]
