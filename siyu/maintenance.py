"""Upkeep of the Delta tables: few large files in place of many small ones, no dead files, no litter.

Every landing adds a file for each input, so years of days are thousands of small files, each of
which costs every reader an opening. Compaction rewrites files, not rows: a row keeps its batch, the
log keeps every manifest, and nothing looks newly landed. Rows stay in the order in which they
landed, so that the statistics of a row group still tell a reader of new batches what to pass over:
``_loaded_at`` from the first of them on, beside ``_batch_id IN (…)``.

What belongs here: which tables need upkeep, and doing it so that no reader notices. What does not:
what the tables hold (``siyu.lake``, ``siyu.ingestion``), or when upkeep runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, PostCommitHookProperties, WriterProperties

from siyu.contracts import contracts
from siyu.lake import Lake, active_files, literal
from siyu.paths import Paths
from siyu.warehouse import Warehouse, writer_lock

# A file this large is worth its opening, and is not rewritten for the sake of a few small ones.
LARGE: Final = 64 << 20
# So many smaller files of one partition are left as they are: opening them costs milliseconds.
FEW: Final = 20
# Files that a compaction replaced stay this long for queries that began before it.
KEEP: Final = timedelta(days=7)

# A quarter of what landing writes: a compacted file holds many batches, and a reader of a few of
# them skips whole row groups.
_ROW_GROUP: Final = 30_720
# The log is the ledger of what landed, so no entry of it may be cleaned up.
_HOOKS: Final = PostCommitHookProperties(cleanup_expired_logs=False)

# What a file is called until all of it is written.
_STAGED: Final = "*.parquet#*"


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table.

    Attributes:
        table: ``lake.<entity>``, ``quarantine``, ``aside``, or ``identity.<table>``.
        files_before: Files that a reader had to open.
        files_after: Files that a reader opens now.
        removed: Dead files that were deleted.
        swept: Rows that were deleted, as no batch knows of them.
    """

    table: str
    files_before: int
    files_after: int
    removed: int
    swept: int = 0


def maintain(paths: Paths, keep: timedelta = KEEP) -> list[Upkeep]:
    """Compact what has fallen into small pieces and delete what has been dead for long.

    It may be killed anywhere and run again: each compaction is one commit.

    Args:
        paths: The retailer's places.
        keep: Age up to which dead files stay, for those who still read them.

    Returns:
        One entry for each table to which anything was done.

    Raises:
        WarehouseBusy: a run is writing; upkeep waits for the next time instead.
    """
    with writer_lock(paths, timeout=0):
        done = [_maintain(name, folder, paths, keep) for name, folder in _tables(paths)]
    return [
        upkeep
        for upkeep in done
        if upkeep.removed or upkeep.swept or upkeep.files_before != upkeep.files_after
    ]


def is_crowded(paths: Paths) -> bool:
    """Whether some table has fallen into so many small pieces that upkeep would compact it."""
    return any(_crowded(DeltaTable(str(folder))) for _, folder in _tables(paths))


def compact(folder: Path) -> int:
    """Rewrite the small files of every partition of a Delta table that has many of them.

    Args:
        folder: The table.

    Returns:
        The table's version afterwards; the same as before when nothing needed it.
    """
    table = DeltaTable(str(folder))
    for partition in _crowded(table):
        table.optimize.compact(
            partition_filters=partition or None,
            target_size=LARGE,
            # Each task holds a batch of rows; the machine has other work.
            max_concurrent_tasks=1,
            writer_properties=WriterProperties(compression="SNAPPY", max_row_group_size=_ROW_GROUP),
            post_commithook_properties=_HOOKS,
        )
    return table.version()


def vacuum(folder: Path, keep: timedelta = KEEP, in_use: str = "") -> int:
    """Delete files that no commit needs: replaced, taken out, or left by a killed write.

    Args:
        folder: The table.
        keep: Age up to which they stay.
        in_use: SQL that names files; the table is left alone while any dead one is among them.

    Returns:
        Files deleted.
    """
    table = DeltaTable(str(folder))
    hours = int(keep / timedelta(hours=1))
    listed = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    # The log goes on listing what earlier times have deleted.
    dead = [name for name in listed if (folder / name).exists()]
    removed = _remove_staged(folder, keep)
    if not dead or any(Path(name).name in in_use for name in dead):
        return removed
    table.vacuum(
        hours, dry_run=False, enforce_retention_duration=False, full=True,
        post_commithook_properties=_HOOKS,
    )  # fmt: skip
    return removed + len(dead)


def _remove_staged(folder: Path, keep: timedelta) -> int:
    """Remove the beginnings of files that a kill left; to Delta's own vacuum they are no files."""
    old = time.time() - keep.total_seconds()
    staged = [file for file in folder.rglob(_STAGED) if file.stat().st_mtime <= old]
    for file in staged:
        file.unlink()
    return len(staged)


def _tables(paths: Paths) -> Iterator[tuple[str, Path]]:
    """Every Delta table there is, by name."""
    lake = Lake(paths)
    named = {f"lake.{entity}": lake.folder(entity) for entity in contracts()}
    named["quarantine"] = paths.quarantine
    named["aside"] = paths.aside
    for table in (
        "identity_event", "customer_identifier", "customer_identifier_past", "identity_refused_edge",
        "identity_quality", "identity_proposal",
    ):  # fmt: skip
        named[f"identity.{table}"] = paths.identity / table
    for name, folder in named.items():
        if DeltaTable.is_deltatable(str(folder)):
            yield name, folder


def sweep(folder: Path, lake: Lake) -> int:
    """Delete sealed rows of batches that never came about.

    A landing seals what is rejected before it commits. Where it was killed in between and then landed
    with other files, no manifest names the batch, and nobody would ever look at the rows.

    Args:
        folder: The quarantine, or what is kept aside.
        lake: Knows every batch, those taken out too. Of an entity without a table it knows nothing,
            and rows of it stay.

    Returns:
        Rows deleted.
    """
    table = DeltaTable(str(folder))
    held = duckdb.execute(
        "SELECT DISTINCT entity, batch_id FROM read_parquet($files, hive_partitioning = true, "
        "hive_types_autocast = false) ORDER BY ALL",
        {"files": active_files(table)},
    ).fetchall()
    swept = 0
    for entity in contracts():
        known = {manifest.batch_id for manifest in lake.ledger(entity).manifests}
        stray = [batch for name, batch in held if name == entity and batch not in known]
        if known and stray:
            done = table.delete(
                f"entity = {literal(entity)} AND batch_id IN ({', '.join(map(literal, stray))})",
                post_commithook_properties=_HOOKS,
            )
            swept += int(done["num_deleted_rows"])
    return swept


def _maintain(name: str, folder: Path, paths: Paths, keep: timedelta) -> Upkeep:
    before = DeltaTable(str(folder))
    swept = sweep(folder, Lake(paths)) if folder in (paths.quarantine, paths.aside) else 0
    # The warehouse shows files that were in force at its last refresh.
    removed = vacuum(folder, keep, _views(paths))
    compact(folder)
    after = DeltaTable(str(folder))
    return Upkeep(name, len(before.file_uris()), len(after.file_uris()), removed, swept)


def _crowded(table: DeltaTable) -> list[list[tuple[str, str, str]]]:
    """Partitions with more than a few small files, as filters; an empty one is a whole table."""
    columns = table.metadata().partition_columns
    files = pa.table(table.get_add_actions(flatten=True))
    small = files.filter(pc.less(files["size_bytes"], LARGE))
    if not columns:
        return [[]] if small.num_rows > FEW else []
    names = [f"partition.{column}" for column in columns]
    counted = small.group_by(names).aggregate([("path", "count")]).to_pylist()
    return [
        [(column, "=", row[name]) for column, name in zip(columns, names, strict=True)]
        for row in sorted(counted, key=lambda row: [row[name] for name in names])
        if row["path_count"] > FEW
    ]


def _views(paths: Paths) -> str:
    """SQL of the warehouse's views of the lake, which name the files that they show."""
    if not paths.warehouse.exists():
        return ""
    with Warehouse(paths).connect() as connection:
        found = connection.execute(
            "SELECT sql FROM duckdb_views() WHERE schema_name = 'lake'"
        ).fetchall()
    return "\n".join(row[0] for row in found)
