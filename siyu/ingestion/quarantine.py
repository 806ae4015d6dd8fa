"""Quarantine: rejected rows with every rule they broke, their payload sealed.

What belongs here: writing a batch's rejected rows, and opening them for a person who may. What does
not: deciding what is rejected (``rules``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from siyu.config import Settings
from siyu.lake import active_files, commit, literal
from siyu.paths import Paths
from siyu.vault import Vault, seal, unseal

_ROWS_AT_ONCE = 50_000

SCHEMA = pa.schema(
    {
        "entity": pa.string(),
        "source": pa.string(),
        "batch_id": pa.string(),
        "file": pa.string(),
        "row": pa.int64(),
        "rules": pa.list_(
            pa.struct({"rule": pa.string(), "column": pa.string(), "value": pa.string()})
        ),
        "sealed_key": pa.binary(),
        "sealed": pa.binary(),
        "loaded_at": pa.timestamp("us"),
    }
)


def quarantine(
    connection: duckdb.DuckDBPyConnection,
    rejected: str,
    entity: str,
    source: str,
    batch_id: str,
    paths: Paths,
    vault: Vault,
    now: datetime,
) -> None:
    """Write a batch's rejected rows, in place of any that an earlier try left.

    Args:
        connection: Runs the query.
        rejected: Query of ``_file, _row, rules, payload`` (JSON or a malformed record's text) and
            ``key`` (of the row as one text; NULL where a part of it is missing).
        entity: Their entity.
        source: Their input.
        batch_id: Their batch.
        paths: Where the quarantine is.
        vault: Keeps the key that seals them.
        now: When.
    """
    table = paths.quarantine
    key = vault.new_batch_key(batch_id, now)

    def sealed() -> Iterator[pa.RecordBatch]:
        reader = connection.execute(rejected).to_arrow_reader(_ROWS_AT_ONCE)
        for found in reader:
            rows = found.num_rows
            context = batch_id.encode()
            keys = found.column("key").to_pylist()
            payloads = (str(text).encode() for text in found.column("payload").to_pylist())
            yield pa.record_batch(
                [
                    pa.array([entity] * rows),
                    pa.array([source] * rows),
                    pa.array([batch_id] * rows),
                    found.column("_file"),
                    found.column("_row"),
                    found.column("rules").cast(SCHEMA.field("rules").type),
                    # A shifted record may have a phone number where its key should be.
                    pa.array(
                        [name and seal(key, name.encode(), context) for name in keys], pa.binary()
                    ),
                    pa.array([seal(key, text, context) for text in payloads], pa.binary()),
                    pa.array([now.replace(tzinfo=None)] * rows, pa.timestamp("us")),
                ],
                schema=SCHEMA,
            )

    commit(
        table,
        pa.RecordBatchReader.from_batches(SCHEMA, sealed()),
        None,
        partition_by=("entity", "source"),
        replacing=f"entity = {literal(entity)} AND source = {literal(source)} "
        f"AND batch_id = {literal(batch_id)}",
    )


def holds(
    connection: duckdb.DuckDBPyConnection, paths: Paths, entity: str, source: str, batch_id: str
) -> bool:
    """Whether an earlier try at this batch left rows."""
    files = _files(paths, {"entity": entity, "source": source})
    if not files:
        return False
    found = connection.execute(
        "SELECT 1 FROM read_parquet($files) WHERE batch_id = $batch LIMIT 1",
        {"files": files, "batch": batch_id},
    ).fetchone()
    return found is not None


def _files(paths: Paths, partition: Mapping[str, str] | None = None) -> list[str]:
    if not DeltaTable.is_deltatable(str(paths.quarantine)):
        return []
    return active_files(DeltaTable(str(paths.quarantine)), partition)


def rejected_rows(paths: Paths, batch_id: str) -> list[dict[str, Any]]:
    """The rejected rows of a batch, what is in them still sealed.

    Returns:
        ``file, row, rules`` (each with rule, column and, where it is no direct identifier, the value)
        and ``sealed``, in order of file and row.
    """
    files = _files(paths)
    if not files:
        return []
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT file, row, rules, sealed FROM read_parquet($files, hive_partitioning = "
            "true) WHERE batch_id = $batch ORDER BY file, row",
            {"files": files, "batch": batch_id},
        )
        rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows


def open_quarantine(settings: Settings, batch_id: str) -> list[dict[str, Any]]:
    """The rejected rows of a batch in clear, for a person who may see them.

    Returns:
        ``file, row, rules`` and ``payload``: the mapped row, or the text of a malformed record.

    Raises:
        VaultError: the wrapping key is not the one they were sealed under.
    """
    paths = Paths.of(settings)
    rows = rejected_rows(paths, batch_id)
    if not rows:
        return []
    key = Vault.of(paths).batch_key(batch_id)
    return [
        {
            "file": row["file"],
            "row": row["row"],
            "rules": row["rules"],
            "payload": _payload(unseal(key, row["sealed"], batch_id.encode()).decode()),
        }
        for row in rows
    ]


def _payload(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
