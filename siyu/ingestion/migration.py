"""Migration: what landed under an earlier version of a contract is brought to its present one.

``siyu/contracts/migrations/<entity>_v1_to_v2.sql`` is one SELECT over ``previous``, the entity's lake
table as version 1 left it, audit columns included. Columns that it does not yield get the default
that the contract gives them. The whole table is rewritten in one commit: a killed migration leaves
the old one, and one that has been done is not done again.

What belongs here: rewriting landed rows. What does not: landing files under the new contract, which
happens anew where the files are there and rows were rejected.
"""

from __future__ import annotations

from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable

import duckdb
from deltalake.exceptions import DeltaError

from siyu.contracts import Contract
from siyu.ingestion.errors import InputError, not_committed
from siyu.lake import Lake, Manifest, active_files, identifier, literal, rewrite
from siyu.redaction import explained

MIGRATIONS = resources.files("siyu.contracts") / "migrations"


def migrate(
    lake: Lake, entity: Contract, run_id: str, now: datetime, folder: Traversable = MIGRATIONS
) -> Manifest | None:
    """Bring an entity's table to the contract's version; None when nothing has to be done.

    Args:
        lake: The retailer's lake.
        entity: The contract as it is now.
        run_id: The run, for the manifest.
        now: The wall clock (UTC).
        folder: Holds the migrations.

    Raises:
        InputError: a migration does not run, a required column is left without a value, or the
            table could not be written.
    """
    active = lake.ledger(entity.entity).active
    before = min((m.contract_version for m in active), default=entity.contract_version)
    if before >= entity.contract_version:
        return None
    table = lake.table(entity.entity)
    if table is None:
        return None
    said = Manifest(
        batch_id=f"migration-{entity.entity}-v{entity.contract_version}",
        kind="migration",
        entity=entity.entity,
        source="",
        contract_sha256=entity.sha256,
        contract_version=entity.contract_version,
        loaded_at=now,
        run_id=run_id,
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        name = f"{entity.entity}_v{before}_to_v{entity.contract_version}"
        try:
            query = _stepped(connection, active_files(table), entity, before, folder)
            rows = connection.execute(query).to_arrow_reader()
            rewrite(lake.folder(entity.entity), rows, said)
        except duckdb.Error as error:
            raise InputError(
                f"migration {name}: {explained(error)}; mend siyu/contracts/migrations"
            ) from None
        except (DeltaError, OSError) as error:
            written = lake.folder(entity.entity)
            raise InputError(f"migration {name}: {not_committed(error, written)}") from None
    return said


def _stepped(
    connection: duckdb.DuckDBPyConnection,
    files: list[str],
    entity: Contract,
    before: int,
    folder: Traversable,
) -> str:
    """SQL of the table's rows in the present shape, one version after the other."""
    listed = ", ".join(map(literal, files))
    query = (
        f"SELECT * FROM read_parquet([{listed}], hive_partitioning = true, "
        "hive_types_autocast = false, union_by_name = true)"
    )
    for version in range(before, entity.contract_version):
        file = folder / f"{entity.entity}_v{version}_to_v{version + 1}.sql"
        if file.is_file():
            step = file.read_text("utf-8").strip().removesuffix(";")
            query = f"WITH previous AS ({query}) SELECT * FROM ({step})"
    present = {row[0] for row in connection.execute(f"DESCRIBE {query}").fetchall()}
    columns = []
    for column in entity.lake_columns:
        name = identifier(column.name)
        value = name if column.name in present else _default(entity, column.name)
        if value is None and column.required:
            raise InputError(
                f"{entity.entity}: version {entity.contract_version} requires {column.name}, which "
                "what has landed lacks; give the column a default, or yield it in "
                f"migrations/{entity.entity}_v{before}_to_v{before + 1}.sql"
            )
        columns.append(f"CAST({value or 'NULL'} AS {column.sql_type}) AS {name}")
    return f"SELECT {', '.join(columns)} FROM ({query})"


def _default(entity: Contract, name: str) -> str | None:
    """SQL of what the contract says that earlier rows have, if it does."""
    said = next((c.default for c in entity.columns if c.name == name), None)
    return None if said is None else literal(str(said))
