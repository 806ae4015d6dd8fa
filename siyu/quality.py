"""What landing says of itself, as tables for people: quarantine over time, lateness, drift.

What belongs here: reading manifests, the quarantine (never a payload) and times of the lake's rows,
and counting. What does not: deciding what is rejected (``siyu.ingestion``), or judging the counts
(``expectations``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from siyu.contracts import contract, contracts
from siyu.lake import Lake, Manifest, active_files, identifier, literal
from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.vault import Vault, VaultError, unseal

QUARANTINE = pa.schema(
    {
        "loaded_date": pa.date32(),
        "entity": pa.string(),
        "source": pa.string(),
        "rule": pa.string(),
        "column": pa.string(),
        "status": pa.string(),
        "rows": pa.int64(),
        "rows_in": pa.int64(),
        "share": pa.float64(),
    }
)
LATENESS = pa.schema(
    {
        "entity": pa.string(),
        "source": pa.string(),
        "known_date": pa.date32(),
        "rows": pa.int64(),
        "p50_hours": pa.float64(),
        "p95_hours": pa.float64(),
        "max_hours": pa.float64(),
    }
)
SCHEMA_DRIFT = pa.schema(
    {
        "entity": pa.string(),
        "source": pa.string(),
        "batch_id": pa.string(),
        "loaded_at": pa.timestamp("us"),
        "column": pa.string(),
        "change": pa.string(),
        "expected": pa.string(),
        "found": pa.string(),
    }
)

_BATCHES = pa.schema(
    {
        "entity": pa.string(),
        "source": pa.string(),
        "batch_id": pa.string(),
        "standing": pa.string(),
        "rows_in": pa.int64(),
        "loaded_at": pa.timestamp("us"),
    }
)
# Lateness of this many days past is published; older days do not change.
_DAYS = 400


def quarantine(paths: Paths, retailer: Retailer) -> pa.Table:
    """Rows in quarantine by day loaded, input, rule, column and what became of them.

    ``status`` is ``open``; ``released`` when the row's batch landed anew, or a later batch of any
    input brought its key and was accepted; ``retracted`` when somebody took the batch out. A row that
    broke several rules counts under each. ``share`` is of ``rows_in``: the rows that came in on that
    day from that input, batches that landed anew since aside unless the count is of such batches.
    """
    files = _quarantined_files(paths)
    if not files:
        return QUARANTINE.empty_table()
    lake = Lake(paths)
    day = _local_day(retailer, "loaded_at")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("landed", _landed(lake))
        connection.register("opened", _with_keys(paths, connection.execute(_rejected(files))))
        connection.execute(
            "CREATE TABLE rejected AS SELECT opened.*, batch.standing, "
            "batch.loaded_at, false AS mended "
            "FROM opened JOIN landed AS batch USING (entity, batch_id)"
        )
        for entity in _keyed(connection):
            connection.execute(
                "UPDATE rejected SET mended = true WHERE entity = $entity AND EXISTS ("
                f"SELECT 1 FROM (SELECT {key_text(entity)} AS key, _loaded_at "
                f"FROM ({lake.query(entity)})) AS accepted "
                "WHERE accepted.key = rejected.key AND accepted._loaded_at > rejected.loaded_at)",
                {"entity": entity},
            )
        found = connection.execute(
            "WITH counted AS (SELECT *, CASE WHEN standing = 'in force' AND mended THEN 'released' "
            "WHEN standing = 'in force' THEN 'open' WHEN standing = 'replaced' THEN 'released' "
            f"ELSE standing END AS status, {day} AS loaded_date FROM rejected), "
            f"came AS (SELECT entity, source, {day} AS loaded_date, standing, "
            "sum(rows_in)::BIGINT AS rows_in FROM landed GROUP BY ALL) "
            "SELECT loaded_date, entity, counted.source, broken.rule, broken.column, status, "
            "count(*) AS rows, any_value(rows_in) AS rows_in, "
            "count(*) / nullif(any_value(rows_in), 0) AS share "
            "FROM (SELECT * EXCLUDE (rules), unnest(rules) AS broken FROM counted) AS counted "
            "JOIN came USING (entity, source, loaded_date, standing) "
            "GROUP BY ALL ORDER BY ALL"
        ).to_arrow_table()
    return found.cast(QUARANTINE)


def lateness(paths: Paths, retailer: Retailer) -> pa.Table:
    """How many hours after they happened rows became known, by input and local day of knowing.

    Percentiles of ``_known_at - _event_at``; entities without an event time are left out, and so is
    what became known more than 400 days before the newest.
    """
    lake = Lake(paths)
    parts = [
        pa.table({field.name: pa.array([], field.type) for field in LATENESS}, schema=LATENESS)
    ]
    day = _local_day(retailer, "_known_at")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for entity in retailer.mappings:
            if contract(entity).event_time is None or lake.table(entity) is None:
                continue
            parts.append(
                connection.execute(
                    f"WITH late AS (SELECT _source AS source, {day} AS known_date, "
                    f"epoch(_known_at - _event_at) / 3600 AS hours FROM ({lake.query(entity)}) "
                    "WHERE _event_at IS NOT NULL AND isfinite(_event_at) AND isfinite(_known_at)) "
                    f"SELECT {literal(entity)} AS entity, source, known_date, count(*) AS rows, "
                    "quantile_cont(hours, 0.5) AS p50_hours, quantile_cont(hours, 0.95) AS p95_hours, "
                    "max(hours) AS max_hours FROM late WHERE known_date > "
                    f"(SELECT max(known_date) FROM late) - {_DAYS} GROUP BY ALL ORDER BY ALL"
                )
                .to_arrow_table()
                .cast(LATENESS)
            )
    return pa.concat_tables(parts)


def schema_drift(paths: Paths) -> pa.Table:
    """Columns that came, went or changed their type, by batch in force."""
    lake = Lake(paths)
    return pa.Table.from_pylist(
        [
            {
                "entity": manifest.entity,
                "source": manifest.source,
                "batch_id": manifest.batch_id,
                "loaded_at": _plain(manifest.loaded_at),
                **drift.model_dump(),
            }
            for entity in contracts()
            for manifest in lake.manifests(entity)
            for drift in manifest.drift
        ],
        SCHEMA_DRIFT,
    )


def key_text(entity: str, alias: str = "") -> str:
    """SQL of an entity's key as one text; NULL where a part of it is."""
    dot = f"{alias}." if alias else ""
    parts = (f"CAST({dot}{identifier(name)} AS VARCHAR)" for name in contract(entity).key)
    return " || '|' || ".join(parts)


def _landed(lake: Lake) -> pa.Table:
    """Every batch that ever landed, and whether it is in force, replaced or retracted."""
    return pa.Table.from_pylist(
        [
            {
                "entity": manifest.entity,
                "source": manifest.source,
                "batch_id": manifest.batch_id,
                "standing": standing,
                "rows_in": manifest.rows_in,
                "loaded_at": _plain(manifest.loaded_at),
            }
            for entity in contracts()
            for manifest, standing in _standings(lake, entity)
        ],
        _BATCHES,
    )


def _standings(lake: Lake, entity: str) -> Iterator[tuple[Manifest, str]]:
    ledger = lake.ledger(entity)
    active = {manifest.batch_id for manifest in ledger.active}
    retracted = {name for manifest in ledger.manifests for name in manifest.retracts}
    # A batch may land again under the id that it had.
    landed = {m.batch_id: m for m in ledger.manifests if m.kind == "landing"}
    for name, manifest in landed.items():
        gone = "retracted" if name in retracted else "replaced"
        yield manifest, "in force" if name in active else gone


def _rejected(files: list[str]) -> str:
    listed = ", ".join(map(literal, files))
    return (
        "SELECT entity, source, batch_id, rules, sealed_key FROM (SELECT NULL::BLOB AS sealed_key "
        f"WHERE false UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], "
        "hive_partitioning = true, hive_types_autocast = false, union_by_name = true))"
    )


def _with_keys(paths: Paths, rejected: duckdb.DuckDBPyConnection) -> pa.Table:
    """Rejected rows with their keys in clear, for this process only; NULL where none is known."""
    rows = rejected.to_arrow_table()
    vault, opened = Vault.of(paths), dict[str, bytes | None]()

    def clear(batch_id: str, sealed: bytes | None) -> str | None:
        if batch_id not in opened:
            try:
                opened[batch_id] = vault.batch_key(batch_id)
            except VaultError:
                opened[batch_id] = None
        key = opened[batch_id]
        if sealed is None or key is None:
            return None
        return unseal(key, sealed, batch_id.encode()).decode()

    pairs = zip(
        rows.column("batch_id").to_pylist(), rows.column("sealed_key").to_pylist(), strict=True
    )
    keys = pa.array([clear(batch_id, sealed) for batch_id, sealed in pairs], pa.string())
    return rows.drop_columns("sealed_key").append_column("key", keys)


def _keyed(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Entities with open rows whose key is known."""
    return [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT entity FROM rejected WHERE key IS NOT NULL AND standing = 'in force'"
        ).fetchall()
    ]


def _quarantined_files(paths: Paths) -> list[str]:
    if not DeltaTable.is_deltatable(str(paths.quarantine)):
        return []
    return active_files(DeltaTable(str(paths.quarantine)))


def _local_day(retailer: Retailer, moment: str) -> str:
    """SQL of the retailer's local day of a UTC timestamp."""
    zone = literal(retailer.timezone)
    return f"CAST(timezone({zone}, timezone('UTC', {moment})) AS DATE)"


def _plain(at: datetime) -> datetime:
    """A moment in UTC, without its zone."""
    return at.astimezone(UTC).replace(tzinfo=None)
