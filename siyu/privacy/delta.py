"""Rows taken out of a Delta table for good: of its files, of its old files, and of its log.

A delete alone leaves the rows in files that the log no longer names, and the log tells the least and
the greatest value of every column of every file that ever was.

What belongs here: rewriting, vacuuming and the log. What does not: which rows (``siyu.privacy.subject``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, PostCommitHookProperties, write_deltalake
from deltalake.schema import PrimitiveType

from siyu.lake import active_files, identifier, literal
from siyu.maintenance import vacuum
from siyu.privacy.search import Finder

MASK: Final = "▮"


def drop_rows(folder: Path, named: Collection[str]) -> int:
    """Take out every row of a small table in which a text equals one of some values.

    Returns:
        How many there were.
    """
    table = DeltaTable(str(folder))
    files = active_files(table)
    schema = pa.schema(table.schema().to_arrow())
    texts = [field.name for field in table.schema().fields if field.type == PrimitiveType("string")]
    if not files or not texts or not named:
        return 0
    condition = " OR ".join(
        f"coalesce({identifier(name)} IN (SELECT unnest($named)), false)" for name in texts
    )
    rows = (
        "FROM read_parquet($files, hive_partitioning = true, hive_types_autocast = false, "
        "union_by_name = true)"
    )
    bound: dict[str, Any] = {"named": sorted(named), "files": files}
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT count(*) {rows} WHERE {condition}", bound).fetchone()
        gone = 0 if found is None else int(found[0])
        if gone:
            columns = ", ".join(identifier(name) for name in schema.names)
            kept = connection.execute(
                f"SELECT {columns} {rows} WHERE NOT ({condition})", bound
            ).to_arrow_table()
            # Without a predicate: the log would keep what it names.
            write_deltalake(
                str(folder), kept.cast(schema), mode="overwrite",
                partition_by=table.metadata().partition_columns or None,
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
            )  # fmt: skip
    return gone


def purge(folder: Path, finder: Finder, named: Collection[str]) -> int:
    """Delete files that are no longer in force, and what the log says of them.

    Args:
        folder: The table.
        finder: Looks for what must be gone.
        named: The same, as texts.

    Returns:
        Files deleted.
    """
    removed = vacuum(folder, timedelta(0))
    log = folder / "_delta_log"
    for file in sorted(log.glob("*.json")):
        if finder.labels(file.read_bytes()):
            _replace(file, "".join(_redacted(file.read_text("utf-8").splitlines(), named)))
    old = list(log.glob("*.checkpoint*.parquet"))
    if any(finder.in_file(file) for file in old):
        DeltaTable(str(folder)).create_checkpoint()
        fresh = json.loads((log / "_last_checkpoint").read_text("utf-8"))["version"]
        for file in old:
            if not file.name.startswith(f"{fresh:020}"):
                file.unlink()
    return removed


def _redacted(lines: Iterable[str], named: Collection[str]) -> Iterator[str]:
    """Lines of a log without the least and greatest values, or anything else that names one."""
    for line in lines:
        entry = json.loads(line)
        for action in entry.values():
            if isinstance(action, dict) and "stats" in action:
                rows = json.loads(action["stats"] or "{}").get("numRecords")
                action["stats"] = json.dumps({} if rows is None else {"numRecords": rows})
        said = json.dumps(entry, ensure_ascii=False)
        for text in named:
            said = said.replace(text, MASK)
        yield f"{said}\n"


def _replace(file: Path, text: str) -> None:
    """Write a file of a log anew, as old as it was."""
    old = file.stat()
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, "utf-8")
    os.utime(partial, ns=(old.st_atime_ns, old.st_mtime_ns))
    partial.replace(file)


def tables_below(folder: Path) -> list[Path]:
    """Delta tables directly below a folder."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if DeltaTable.is_deltatable(str(path))]


def quoted(values: Iterable[str]) -> str:
    """Values as an SQL list."""
    return f"({', '.join(map(literal, values)) or literal('')})"
