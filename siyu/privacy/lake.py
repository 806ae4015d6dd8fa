"""Taking people out of the lake and the identity map.

A batch that held rows of theirs is written anew without them, in one commit, and bears the mark of one
that was changed where it lies: every table made from it starts over at the next refresh.

What belongs here: rows of Delta tables. What does not: tables made from them (``siyu.privacy.tables``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Final

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from siyu.contracts import Contract, contracts
from siyu.lake import Lake, commit, identifier
from siyu.paths import Paths
from siyu.privacy.delta import drop_rows, purge, quoted, tables_below
from siyu.privacy.search import Finder
from siyu.privacy.subject import Rows, Subject
from siyu.tombstones import IDENTIFIER, mentions

Counts = Mapping[str, int]

_ROWS_AT_ONCE: Final = 122_880


def erase_from_lake(paths: Paths, subject: Subject) -> Counts:
    """Delete the rows of the subject, and their names on rows of others, and all that remembers them."""
    lake, finder = Lake(paths), Finder.of(subject.texts)
    counts: Counter[str] = Counter()
    with duckdb.connect() as connection:
        found = Rows(connection, paths)
        found.resume(subject)
        for entity in contracts().values():
            table = lake.table(entity.entity)
            if table is not None:
                counts.update(
                    _erase(connection, lake, table, entity, subject, found.doomed(entity))
                )
    for folder in tables_below(paths.lake):
        counts["files"] += purge(folder, finder, subject.texts)
    return dict(counts)


def _erase(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: DeltaTable,
    entity: Contract,
    subject: Subject,
    doomed: str,
) -> Counts:
    """Write the batches of an entity anew that hold a row of the subject or name them."""
    held = {IDENTIFIER: subject.identifiers, **subject.documents}
    names = {column: quoted(held.get(scope, ())) for column, scope in mentions(entity).items()}
    named = " OR ".join(f"coalesce(row.{identifier(c)} IN {n}, false)" for c, n in names.items())
    rows, others, batches, sources = connection.execute(
        "SELECT count(*) FILTER (doomed), count(*) FILTER (NOT doomed), list(DISTINCT _batch_id), "
        f"list(DISTINCT _source) FROM (SELECT _batch_id, _source, ({doomed}) AS doomed "
        f"FROM lake.{entity.entity} AS row WHERE ({doomed}) OR {named or 'false'})"
    ).fetchone() or (0, 0, None, None)
    if not batches:
        return {}
    replacing = f"_source IN {quoted(sources)} AND _batch_id IN {quoted(batches)}"
    schema = pa.schema(table.schema().to_arrow())
    shown = (
        _unnamed(name, names[name]) if name in names else identifier(name) for name in schema.names
    )
    reader = connection.execute(
        f"SELECT {', '.join(shown)} FROM lake.{entity.entity} AS row "
        f"WHERE {replacing} AND NOT ({doomed})"
    ).to_arrow_reader(_ROWS_AT_ONCE)
    survivors = (pa.Table.from_batches([batch]).cast(schema).to_batches() for batch in reader)
    stream = pa.RecordBatchReader.from_batches(schema, chain.from_iterable(survivors))
    commit(lake.folder(entity.entity), stream, None, replacing=replacing)
    return {"rows": rows, "rows_of_others_that_named_them": others}


def _unnamed(column: str, names: str) -> str:
    name = identifier(column)
    return f"CASE WHEN {name} IN {names} THEN NULL ELSE {name} END AS {name}"


def erase_from_identity(paths: Paths, subject: Subject) -> Counts:
    """Delete them from the identity map, its events and whatever else lies beside these."""
    finder, rows, files = Finder.of(subject.names), 0, 0
    for folder in tables_below(paths.identity):
        rows += drop_rows(folder, subject.names)
        files += purge(folder, finder, subject.names)
    return {"rows": rows, "files": files}
