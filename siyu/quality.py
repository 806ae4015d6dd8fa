"""What landing says of itself, as tables for people: quarantine over time, lateness, drift.

What belongs here: reading manifests, the quarantine (never a payload) and times of the lake's rows,
and counting. What does not: deciding what is rejected (``siyu.ingestion``), or judging the counts
(``expectations``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
        "files": pa.list_(pa.string()),
    }
)
_KEYS = pa.schema({"id": pa.int64(), "key": pa.string()})
RELEASED = pa.schema({"batch_id": pa.string(), "rows": pa.int64()})

# An object that was replaced comes anew under its old name, after that of the pull that brought it.
_PULL = "^[0-9]{8}T[0-9]{12}Z-[0-9]{6}/"
# Lateness of this many days past is published; older days do not change.
_DAYS = 400


def quarantine(paths: Paths, retailer: Retailer) -> pa.Table:
    """Rows in quarantine by day loaded, input, rule, column and what became of them.

    ``status`` is ``open``; ``released`` when the row's batch landed anew, or when what it held has come
    in since (``released``); ``retracted`` when somebody took the batch out. A row that broke several
    rules counts under each. ``share`` is of ``rows_in``: the rows that came in on that day from that
    input, batches that landed anew since aside unless the count is of such batches.
    """
    day = _local_day(retailer, "loaded_at")
    with _rejected(paths) as connection:
        if connection is None:
            return QUARANTINE.empty_table()
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


def released(paths: Paths) -> pa.Table:
    """How many of its rejected rows each batch in force holds no more, for those that let go of any.

    A row is let go when a later batch of any input brought its key and it was accepted. One without
    a key, as a record that cannot be read has none, is let go when a later batch in force of its
    input brought a file of the same name: whatever is still wrong with it counts there.
    """
    with _rejected(paths) as connection:
        if connection is None:
            return RELEASED.empty_table()
        found = connection.execute(
            "SELECT batch_id, count(*) AS rows FROM rejected "
            "WHERE standing = 'in force' AND mended GROUP BY ALL ORDER BY ALL"
        ).to_arrow_table()
    return found.cast(RELEASED)


@contextmanager
def _rejected(paths: Paths) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """A connection with every batch (``landed``) and rejected row (``rejected``); None without any.

    Of a row ``mended`` says whether what it held has come in since.
    """
    files = _quarantined_files(paths)
    if not files:
        yield None
        return
    lake = Lake(paths)
    listed = ", ".join(map(literal, files))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("landed", _landed(lake))
        connection.execute(
            "CREATE TABLE rejected AS SELECT row_number() OVER () AS id, said.*, batch.standing, "
            "batch.loaded_at, CAST(NULL AS VARCHAR) AS key, false AS mended FROM ("
            "SELECT entity, source, batch_id, file, rules, sealed_key FROM (SELECT NULL::BLOB AS "
            f"sealed_key WHERE false UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], "
            "hive_partitioning = true, hive_types_autocast = false, union_by_name = true))) AS said "
            "JOIN landed AS batch USING (entity, batch_id)"
        )
        _mark_mended(connection, lake, Vault.of(paths))
        yield connection


def _mark_mended(connection: duckdb.DuckDBPyConnection, lake: Lake, vault: Vault) -> None:
    """Note of every row in force whether what it held has come in since."""
    # Only what landed before another batch of its entity can have come in since.
    since = connection.execute(
        "WITH newest AS (SELECT entity, max(loaded_at) AS at FROM landed "
        "WHERE standing = 'in force' GROUP BY ALL) "
        "SELECT id, batch_id, sealed_key FROM rejected JOIN newest USING (entity) "
        "WHERE standing = 'in force' AND loaded_at < newest.at"
    )
    connection.register("opened", _opened(since.to_arrow_table(), vault))
    connection.execute(
        "UPDATE rejected SET key = opened.key FROM opened WHERE opened.id = rejected.id"
    )
    connection.execute(
        "UPDATE rejected SET mended = true FROM (SELECT entity, source, "
        f"regexp_replace(file, '{_PULL}', '') AS name, max(loaded_at) AS at "
        "FROM (SELECT * EXCLUDE (files), unnest(files) AS file FROM landed) "
        "WHERE standing = 'in force' GROUP BY ALL) AS again "
        "WHERE rejected.standing = 'in force' AND rejected.key IS NULL "
        "AND again.entity = rejected.entity AND again.source = rejected.source "
        f"AND again.name = regexp_replace(rejected.file, '{_PULL}', '') "
        "AND again.at > rejected.loaded_at"
    )
    for entity, first in connection.execute(
        "SELECT entity, min(loaded_at) FROM rejected WHERE key IS NOT NULL GROUP BY ALL"
    ).fetchall():
        connection.execute(
            "UPDATE rejected SET mended = true FROM (SELECT key, max(_loaded_at) AS at FROM ("
            f"SELECT {key_text(entity)} AS key, _loaded_at FROM ({lake.query(entity)}) "
            "WHERE _loaded_at > $first) WHERE key IN "
            "(SELECT key FROM rejected WHERE entity = $entity) GROUP BY ALL) AS accepted "
            "WHERE rejected.entity = $entity AND accepted.key = rejected.key "
            "AND accepted.at > rejected.loaded_at",
            {"entity": entity, "first": first},
        )


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
                "files": [file.name for file in manifest.files],
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


def _opened(rows: pa.Table, vault: Vault) -> pa.Table:
    """Keys of rejected rows in clear, for this process only; NULL where none is known."""
    opened = dict[str, bytes | None]()

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

    ids, *sealed = (rows.column(name).to_pylist() for name in ("id", "batch_id", "sealed_key"))
    keys = [clear(*pair) for pair in zip(*sealed, strict=True)]
    return pa.table({"id": ids, "key": keys}, schema=_KEYS)


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
