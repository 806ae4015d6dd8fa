"""Schema drift: how the columns of an input's files differ from what was known of them.

A new column is kept aside, sealed, until it is declared or mapped; a missing one that only optional
columns of the contract are made of is null; a missing one that anything else needs, or one whose
type changed beyond what can be cast, stops the input. Of JSON new keys are told, by the first records
of a file. That a key is absent says nothing there, unless the rows of a whole file come to nothing for
want of it.

What belongs here: comparing columns, and keeping new ones aside. What does not: faults of single
rows (``rules``), or reading files (``readers``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from siyu.contracts import Contract
from siyu.ingestion.connectors import SourceFile
from siyu.ingestion.errors import InputError
from siyu.ingestion.headers import Known, folded
from siyu.ingestion.mapping import MappingSql, columns_named, columns_needed
from siyu.ingestion.readers import (
    ADDED,
    JSON,
    MALFORMED,
    columns_of,
    is_plain_key,
    json_keys,
)
from siyu.lake import Drift, Ledger, Manifest, commit, identifier, literal
from siyu.paths import Paths
from siyu.retailer import Input
from siyu.vault import Vault, seal

# Values of new columns are kept for so many rows of a batch: enough to see what they are.
ROWS_KEPT = 100_000
_VALUE_LENGTH = 1_000
_TYPE_LENGTH = 80
_ROWS_AT_ONCE = 50_000

ASIDE = pa.schema(
    {
        "entity": pa.string(),
        "source": pa.string(),
        "batch_id": pa.string(),
        "file": pa.string(),
        "row": pa.int64(),
        "columns": pa.list_(pa.string()),
        "sealed": pa.binary(),
        "loaded_at": pa.timestamp("us"),
    }
)


@dataclass(frozen=True)
class Columns:
    """Columns of the files of a landing.

    Attributes:
        seen: Every column of any of the files, with its type; not those whose names may be data.
        drift: How they differ from what was known.
        absent: Columns that at least one file lacks, with the type that the mapping expects.
        unseen: By JSON file, what to say of needed keys that earlier batches had and its first
            records lack, should its rows come to nothing.
        unnamed: Of each file with columns whose names may be data, how many they are, in words.
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()

    @property
    def new(self) -> tuple[str, ...]:
        """Columns to keep aside."""
        return tuple(found.column for found in self.drift if found.change == "new")

    @property
    def warnings(self) -> tuple[str, ...]:
        """The same for a person."""
        said = {
            "new": "column {column} ({found}) is new: kept aside; map it, or declare it in "
            "retailer.yaml",
            "missing": "column {column} is missing: null in every row it is missing from",
            "retyped": "column {column} was {expected} and is {found}",
        }
        drifted = (said[found.change].format(**found.model_dump()) for found in self.drift)
        return (*drifted, *self.unnamed)

    def readable(self, source: Input) -> Input:
        """The input with the columns to read: those declared and in the files, and new JSON keys.

        ``complete`` brings back what a file lacks.
        """
        kept = {name: kind for name, kind in source.columns.items() if name not in self.absent}
        new = dict.fromkeys(self.new if source.format in JSON else (), "JSON")
        return source.model_copy(update={"columns": kept | new})

    def complete(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Give the view of an input the columns that files lack, null where they are absent."""
        if not self.absent:
            return
        view, read = identifier(name), identifier(f"{name} as read")
        found = {row[0].lower() for row in connection.execute(f"DESCRIBE {view}").fetchall()}
        here = [column for column in self.absent if column.lower() in found]
        gone = [column for column in self.absent if column.lower() not in found]
        typed = [f"CAST({identifier(c)} AS {self.absent[c]}) AS {identifier(c)}" for c in here]
        nulls = [f"CAST(NULL AS {self.absent[c]}) AS {identifier(c)}" for c in gone]
        replaced = f" REPLACE ({', '.join(typed)})" if typed else ""
        connection.execute(f"ALTER VIEW {view} RENAME TO {read}")
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {', '.join((f'*{replaced}', *nulls))} "
            f"FROM {read}"
        )


def compare(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    mapping: MappingSql,
    entity: Contract,
    ledger: Ledger,
) -> Columns:
    """Columns of an input's files beside what was declared and what the last batch had.

    Args:
        connection: Reads the files' headers.
        name: The input.
        source: Its settings.
        files: What is to land.
        mapping: What is made of it.
        entity: Its contract, which says what is optional.
        ledger: Batches that landed before.

    Raises:
        InputError: a column that is needed is missing, or cannot be cast any more; names file,
            column, what was expected and found, and what to do.
    """
    mentioned, needed = columns_named(mapping), columns_needed(mapping, entity)
    if source.format in JSON:
        return _compare_json(name, source, files, _earlier(ledger, name), mentioned, needed)
    by_file = {file: _columns(connection, name, source, file) for file in files}
    by_file = {file: columns for file, columns in by_file.items() if columns}
    before = previous(ledger, name)
    known = before.columns if before else {}
    contracted = [column.name for column in entity.columns]
    names = Known(folded(known, source.columns, mentioned, contracted), needed)
    expected = {c: kind for c, kind in known.items() if c.lower() in mentioned}
    expected = {**expected, **source.columns}
    absent = _absent(name, by_file, expected, names)
    if source.format == "csv" and len(mapping.inputs) == 1:
        _require_header(name, by_file, names)
    seen = _folded(
        {column: columns[column] for column in names.shown(columns)} for columns in by_file.values()
    )
    drift = [
        *_new(seen, source, [before] if before else [], mentioned),
        *(Drift(column=c, change="missing", expected=kind) for c, kind in absent.items()),
        *_retyped(connection, name, source, by_file, known),
    ]
    return Columns(seen, tuple(drift), absent, unnamed=tuple(_unnamed(by_file, names)))


def _compare_json(
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    earlier: Sequence[Manifest],
    mentioned: frozenset[str],
    needed: frozenset[str],
) -> Columns:
    by_file = {file: json_keys(name, source, [file]) for file in files}
    declared = {column.lower(): (column, kind) for column, kind in source.columns.items()}
    seen = _folded(dict.fromkeys(keys, "JSON") for keys in by_file.values())
    seen = dict(declared.get(key.lower(), (key, kind)) for key, kind in seen.items())
    # A key that few records have may be in one batch and not in the next.
    new = _new(seen, source, earlier, mentioned)
    had = {column.lower() for batch in earlier for column in batch.columns}
    wanted = {
        column: kind
        for column, kind in source.columns.items()
        if column.lower() in needed & had and is_plain_key(column)
    }
    unseen = {}
    for file, keys in by_file.items():
        lacking = _lacking(wanted, keys)
        if lacking:
            unseen[file.name] = _lacks(name, file, lacking, source.columns, ", ".join(keys))
    return Columns(seen, tuple(new), unseen=unseen)


def _folded(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Columns of several files with their types; of those that differ in case only, the first."""
    seen: dict[str, tuple[str, str]] = {}
    for columns in found:
        for column, kind in columns.items():
            seen.setdefault(column.lower(), (column, kind))
    return dict(seen.values())


def _retyped(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    by_file: Mapping[SourceFile, Mapping[str, str]],
    known: Mapping[str, str],
) -> Iterator[Drift]:
    """Columns that have another type in some file than the last batch had.

    Raises:
        InputError: a value does not cast to the type that is expected.
    """
    declared = {column.lower(): kind for column, kind in source.columns.items()}
    for column, before in known.items():
        kinds = {
            file: kind
            for file, columns in by_file.items()
            for other, kind in columns.items()
            if other.lower() == column.lower()
        }
        found = dict.fromkeys(kind for kind in kinds.values() if kind != before)
        if found:
            expected = declared.get(column.lower(), before)
            _require_castable(connection, name, column, expected, kinds)
            yield Drift(column=column, change="retyped", expected=before, found=", ".join(found))


def previous(ledger: Ledger, source: str) -> Manifest | None:
    """The last batch in force of an input that says which columns it had."""
    return next(iter(_earlier(ledger, source)), None)


def _earlier(ledger: Ledger, source: str) -> list[Manifest]:
    """Batches in force of an input that say which columns they had, the last first."""
    return [m for m in reversed(ledger.active) if m.source == source and m.columns]


def _columns(
    connection: duckdb.DuckDBPyConnection, name: str, source: Input, file: SourceFile
) -> dict[str, str]:
    """Columns of one file; none where it cannot be read, which binding it says better."""
    try:
        return columns_of(connection, name, source.model_copy(update={"columns": {}}), [file])
    except InputError:
        return {}


def _new(
    seen: Mapping[str, str],
    source: Input,
    earlier: Sequence[Manifest],
    mentioned: frozenset[str],
) -> Iterator[Drift]:
    """Columns that no earlier batch had; one stays new until it is declared or mapped.

    In a first landing, without earlier batches, nothing is new.
    """
    if not earlier:
        return
    known = {column.lower() for column in source.columns} | mentioned
    for batch in earlier:
        aside = {found.column for found in batch.drift if found.change == "new"}
        known |= {column.lower() for column in batch.columns if column not in aside}
    for column, kind in seen.items():
        if column.lower() not in known:
            yield Drift(column=column, change="new", found=kind)


def _absent(
    name: str,
    by_file: Mapping[SourceFile, Mapping[str, str]],
    expected: Mapping[str, str],
    names: Known,
) -> dict[str, str]:
    """Expected columns that some file lacks.

    Raises:
        InputError: one of them is needed.
    """
    absent: dict[str, str] = {}
    for file, columns in by_file.items():
        lacking = _lacking(expected, columns)
        required = {c: kind for c, kind in lacking.items() if c.lower() in names.needed}
        if required:
            raise InputError(_lacks(name, file, required, expected, names.described(columns)))
        absent |= lacking
    return absent


def _lacking(expected: Mapping[str, str], present: Iterable[str]) -> dict[str, str]:
    here = folded(list(present))
    return {column: kind for column, kind in expected.items() if column.lower() not in here}


def _lacks(
    name: str,
    file: SourceFile,
    required: Mapping[str, str],
    expected: Iterable[str],
    present: str,
) -> str:
    columns = ", ".join(f"{column} ({_short(kind)})" for column, kind in required.items())
    return (
        f"input {name}: {file.name} lacks the column {columns} that the mapping needs; "
        f"expected {', '.join(expected)}, but it has {present}; "
        "deliver the file again with it, or change the mapping and the input's columns"
    )


def _require_header(
    name: str, by_file: Mapping[SourceFile, Mapping[str, str]], names: Known
) -> None:
    """Refuse a CSV file of which nobody knows any column, where the mapping needs some.

    Raises:
        InputError: there is one.
    """
    needed = names.needed - ADDED
    for file, columns in by_file.items():
        if needed and not folded(columns) & names.names:
            raise InputError(
                f"input {name}: {file.name} has none of the columns that the mapping needs "
                f"({', '.join(sorted(needed))}), but {names.described(columns)}; deliver it with its "
                "header, or set delim in the input's options"
            )


def _unnamed(by_file: Mapping[SourceFile, Mapping[str, str]], names: Known) -> Iterator[str]:
    """What to tell of files with columns that are not called by their names."""
    for file, columns in by_file.items():
        if (rest := len(columns) - len(names.shown(columns))) > 0:
            yield (
                f"{file.name}: the names of {rest} of {len(columns)} columns look like data, so they "
                "are neither repeated nor kept aside; see that it has its header, or declare or map "
                "these columns"
            )


def _short(kind: str) -> str:
    """A type; of a nested one, which may be a page long, the beginning."""
    return kind if len(kind) <= _TYPE_LENGTH else f"{kind[:_TYPE_LENGTH]} …"


def _require_castable(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    column: str,
    expected: str,
    kinds: Mapping[SourceFile, str],
) -> None:
    """Refuse a Parquet column whose values are of another kind than the type that is expected.

    Raises:
        InputError: some value does not cast.
    """
    for file, kind in kinds.items():
        if _family(kind) == _family(expected):
            continue
        row = connection.execute(
            f"SELECT count(*) FROM read_parquet([{literal(file.url)}]) "
            f"WHERE {identifier(column)} IS NOT NULL "
            f"AND TRY_CAST({identifier(column)} AS {expected}) IS NULL"
        ).fetchone()
        if row and row[0]:
            raise InputError(
                f"input {name}: {file.name}: column {column}: expected {expected}, found {kind}, "
                f"and {row[0]} values do not cast; deliver the file as before, or declare the new "
                "type in the input's columns and map it"
            )


def _family(kind: str) -> str:
    """Types that differ in width only are of one family."""
    if re.match(r"U?(TINY|SMALL|BIG|HUGE)?INT|DECIMAL|FLOAT|DOUBLE|REAL", kind.upper()):
        return "number"
    return re.split(r"[ (]", kind.upper())[0]


def require_types(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    entity: Contract,
    allowed: float,
    rows: int,
) -> None:
    """Refuse files in which a column has become another type: too many of its values do not fit.

    Args:
        connection: Has what cannot be read, and ``landing.rejected``.
        name: The input.
        source: Its settings; a record that does not fit a type there cannot be read.
        entity: The contract; a row that does not fit a type there breaks the rule ``type``.
        allowed: Largest share of rows whose value may not fit, 0 to 1.
        rows: Rows that the mapping made, and records that cannot be read.

    Raises:
        InputError: names the file with the most of them, the column, the type and how many rows.
    """
    found = connection.execute(
        'SELECT "column", is_declared, _file, sum(count(*)) OVER (PARTITION BY "column", is_declared) '
        f'AS misfits FROM (SELECT "column", true AS is_declared, _file FROM {MALFORMED} '
        'WHERE "column" IS NOT NULL UNION ALL SELECT broken."column", false, _file FROM ('
        "SELECT _file, unnest(_rules) AS broken FROM landing.rejected) WHERE broken.rule = 'type') "
        'GROUP BY "column", is_declared, _file '
        'ORDER BY misfits DESC, "column", is_declared, count(*) DESC, _file LIMIT 1'
    ).fetchone()
    if found is None:
        return
    column, is_declared, file, misfits = found
    # A handful are typing errors, which quarantine holds.
    if misfits > max(allowed * rows, FEW_MISFITS):
        expected = (
            f"{_short(source.columns[column])}, as retailer.yaml declares"
            if is_declared
            else f"{entity.column(column).sql_type}, as the contract of {entity.entity} wants"
        )
        raise InputError(
            f"input {name}: {file}: column {column} has become another type: expected {expected}; "
            f"found {misfits} of {rows} values that do not fit it (allowed: {allowed:.2%}); "
            "deliver the file as before, or change the mapping or the declared type"
        )


def require_keys(
    connection: duckdb.DuckDBPyConnection, columns: Columns, records: Mapping[str, int], rows: int
) -> None:
    """Refuse JSON files that lack a key which earlier ones had, where that leaves no row good.

    Args:
        connection: Has what cannot be read, and ``landing.rejected``.
        columns: Say what the files lack.
        records: Records by file.
        rows: Rows that the mapping made of all of them.

    Raises:
        InputError: names the file and the keys, what was expected and found.
    """
    if not columns.unseen:
        return
    broken = dict(
        connection.execute(
            "SELECT _file, count(*) FROM landing.rejected WHERE len(list_filter(_rules, "
            "lambda broken: broken.rule = 'not_null')) > 0 GROUP BY 1"
        ).fetchall()
    )
    unread = dict(
        connection.execute(f"SELECT _file, count(*) FROM {MALFORMED} GROUP BY 1").fetchall()
    )
    for file, said in columns.unseen.items():
        read = records[file] - unread.get(file, 0)
        # A list that is not there makes no row at all.
        if read > FEW_MISFITS and (rows == 0 or broken.get(file, 0) >= read):
            raise InputError(said)


FEW_MISFITS = 20


def gather(connection: duckdb.DuckDBPyConnection, name: str, new: Sequence[str]) -> tuple[str, ...]:
    """Make the table ``landing.aside``: file, record and values of new columns, as JSON.

    Args:
        connection: Has the view of the input.
        name: The input.
        new: Its new columns.

    Returns:
        What a person should know of rows whose values are left out.
    """
    values = ", ".join(
        f"{literal(column)}: left(CAST({identifier(column)} AS VARCHAR), {_VALUE_LENGTH})"
        for column in new
    )
    given = " OR ".join(f"{identifier(column)} IS NOT NULL" for column in new)
    theirs = f"FROM {identifier(name)} WHERE {given}"
    connection.execute(
        f"CREATE OR REPLACE TABLE landing.aside AS SELECT _file, _row, to_json({{{values}}})::VARCHAR "
        f"AS payload {theirs} LIMIT {ROWS_KEPT}"
    )
    kept = _count(connection, "FROM landing.aside")
    left_out = _count(connection, theirs) - kept if kept == ROWS_KEPT else 0
    if not left_out:
        return ()
    return (f"values of new columns are kept for {kept:,} rows; {left_out:,} more have some",)


def _count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    row = connection.execute(f"SELECT count(*) {rows}").fetchone()
    return 0 if row is None else int(row[0])


def keep(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    manifest: Manifest,
    columns: Sequence[str],
    paths: Paths,
    now: datetime,
) -> None:
    """Write values of new columns, sealed, in place of any that an earlier try left.

    Args:
        connection: Runs the query.
        query: Of ``_file, _row, payload``.
        manifest: The batch.
        columns: The new columns.
        paths: Where they are kept.
        now: When.
    """
    batch_id = manifest.batch_id
    key = Vault.of(paths).new_batch_key(batch_id, now)

    def sealed() -> Iterator[pa.RecordBatch]:
        for found in connection.execute(query).to_arrow_reader(_ROWS_AT_ONCE):
            rows = found.num_rows
            texts = (str(text).encode() for text in found.column("payload").to_pylist())
            context = sealed_context(batch_id)
            yield pa.record_batch(
                [
                    pa.array([manifest.entity] * rows),
                    pa.array([manifest.source] * rows),
                    pa.array([batch_id] * rows),
                    found.column("_file"),
                    found.column("_row"),
                    pa.array([list(columns)] * rows, pa.list_(pa.string())),
                    pa.array([seal(key, text, context) for text in texts], pa.binary()),
                    pa.array([now.replace(tzinfo=None)] * rows, pa.timestamp("us")),
                ],
                schema=ASIDE,
            )

    commit(
        paths.aside,
        pa.RecordBatchReader.from_batches(ASIDE, sealed()),
        None,
        partition_by=("entity", "source"),
        replacing=f"entity = {literal(manifest.entity)} AND source = {literal(manifest.source)} "
        f"AND batch_id = {literal(batch_id)}",
    )


def open_aside(paths: Paths, batch_id: str) -> list[dict[str, Any]]:
    """What was kept aside of a batch, in clear, for a person who may see it.

    Returns:
        ``file``, ``row`` and the new columns' values.

    Raises:
        VaultError: the wrapping key is not the one they were sealed under.
    """
    from deltalake import DeltaTable

    from siyu.lake import active_files
    from siyu.vault import unseal

    folder = paths.aside
    files = active_files(DeltaTable(str(folder))) if DeltaTable.is_deltatable(str(folder)) else []
    if not files:
        return []
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT file, row, sealed FROM read_parquet($files) WHERE batch_id = $batch "
            "ORDER BY file, row",
            {"files": files, "batch": batch_id},
        ).fetchall()
    if not rows:
        return []
    key = Vault.of(paths).batch_key(batch_id)
    return [
        {"file": file, "row": row, **json.loads(unseal(key, sealed, sealed_context(batch_id)))}
        for file, row, sealed in rows
    ]


def sealed_context(batch_id: str) -> bytes:
    """What the values of a batch are sealed with."""
    return f"aside/{batch_id}".encode()
