"""Source files as relations: every record once, with the file and the number it came from.

Each input becomes a view named after it, with its source columns and ``_file`` and ``_row``.
Reading is strict and fast first; only when that fails are records taken one by one, and those that
cannot be read go to the table ``malformed`` with their text, so that none is lost.

What belongs here: CSV, JSON and Parquet as DuckDB relations. What does not: finding files
(``connectors``), or what the records mean (``mapping``).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import IO, Any, NamedTuple

import duckdb
import pyarrow as pa

from siyu.ingestion.connectors import SourceFile
from siyu.ingestion.errors import InputError, explained
from siyu.lake import identifier, literal
from siyu.retailer import Input

_PATH = "_path"
_LINES_AT_ONCE = 20_000
# A quote that is never closed would swallow the rest of its file: no record spans more lines.
_LINES_OF_A_RECORD = 200
_CSV_OPTIONS = {"delim", "quote", "escape", "nullstr", "encoding"}
_UTF_8 = {"utf-8", "utf_8", "utf8", "utf-8-sig"}

csv.field_size_limit(2**31 - 1)

# Everything that landing makes for itself lies in this schema, so that an input may have any name.
SCHEMA = "landing"
MALFORMED = f"{SCHEMA}.malformed"


def create_malformed(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table of records that cannot be read."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.execute(
        f"CREATE OR REPLACE TABLE {MALFORMED} "
        '(_file VARCHAR, _row BIGINT, "column" VARCHAR, payload VARCHAR)'
    )


def bind_files(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    limit: int | None = None,
) -> dict[str, int]:
    """Make the view of an input over files.

    Args:
        connection: Has the table ``malformed``.
        name: The input, and the view.
        source: Its settings.
        files: What to read.
        limit: Read so many records only, to have a look.

    Returns:
        Records by file name, malformed ones included.

    Raises:
        InputError: a file cannot be read at all, or lacks a declared column.
    """
    if not files:
        raise ValueError("no file to bind")
    try:
        if source.format == "parquet":
            return _bind_parquet(connection, name, source, files, limit)
        if source.format == "csv":
            found = _read_csv(connection, name, source, files, limit)
        else:
            found = _read_json(connection, name, source, files, limit)
        return _bind_records(connection, name, source, files, found)
    except duckdb.Error as error:
        raise InputError(
            f"input {name}: cannot read {_named(files)} as "
            f"{source.format}: {explained(error)}; check format, options and columns of the input "
            "in retailer.yaml, or mend the file"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"input {name}: cannot read {_named(files)}: {type(error).__name__}: the file is cut "
            "short or damaged; deliver it again"
        ) from None


def drop_raw(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Let go of the loaded records of an input, whose view cannot be read any more."""
    connection.execute(f"DROP TABLE IF EXISTS {_raw(name)}")


def bind_empty(
    connection: duckdb.DuckDBPyConnection, name: str, source: Input, files: Sequence[SourceFile]
) -> None:
    """Make the view of an input with its columns and no row.

    Raises:
        InputError: the columns cannot be known.
    """
    types = columns_of(connection, name, source, files)
    columns = ", ".join(
        f"CAST(NULL AS {kind}) AS {identifier(column)}"
        for column, kind in (*types.items(), ("_file", "VARCHAR"), ("_row", "BIGINT"))
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT {columns} WHERE false"
    )


def columns_of(
    connection: duckdb.DuckDBPyConnection, name: str, source: Input, files: Sequence[SourceFile]
) -> dict[str, str]:
    """Source columns with their types: as declared, and as the files have them.

    Raises:
        InputError: nothing is declared and there is no file to ask.
    """
    declared = dict(source.columns)
    if source.format in ("json", "jsonl"):
        return _declared_json(name, source)
    try:
        found = _columns_found(connection, name, source, files)
    except InputError:
        if not declared:
            raise
        found = {}
    if not found and not declared:
        raise InputError(
            f"input {name}: no file at {source.location} and no columns in retailer.yaml, so the "
            "mapping cannot know its columns; declare columns for it, or deliver a file"
        )
    return found | declared


def _columns_found(
    connection: duckdb.DuckDBPyConnection, name: str, source: Input, files: Sequence[SourceFile]
) -> dict[str, str]:
    if source.format == "csv":
        return {column: "VARCHAR" for file in files for column in _header(name, source, file)}
    if not files:
        return {}
    try:
        described = connection.execute(
            f"DESCRIBE FROM read_parquet({_list(files)}, union_by_name = true)"
        ).fetchall()
    except duckdb.Error as error:
        raise InputError(
            f"input {name}: cannot read {files[0].name} as parquet: {explained(error)}"
        ) from None
    return {row[0]: row[1] for row in described}


def _raw(name: str) -> str:
    return f"{SCHEMA}.raw_{name}"


def _named(files: Sequence[SourceFile]) -> str:
    return ", ".join(file.name for file in files[:5]) + (" …" if len(files) > 5 else "")


def _list(files: Iterable[SourceFile]) -> str:
    return "[" + ", ".join(literal(str(file.path)) for file in files) + "]"


def _file_name(files: Sequence[SourceFile]) -> str:
    """SQL that turns an absolute path into the name relative to the input's root."""
    root = len(str(files[0].path)) - len(files[0].name)
    return f"substr({_PATH}, {root + 1})"


def _require_declared(name: str, source: Input, file: SourceFile, present: Iterable[str]) -> None:
    present = list(present)
    folded = {column.lower() for column in present}
    missing = [column for column in source.columns if column.lower() not in folded]
    if missing:
        raise InputError(
            f"input {name}: {file.name} lacks the column {', '.join(missing)} that retailer.yaml "
            f"declares; it has {', '.join(present)}; mend the file, or the input's columns"
        )


# --- Parquet ---------------------------------------------------------------------------------


def _bind_parquet(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    limit: int | None,
) -> dict[str, int]:
    rows = dict(
        connection.execute(
            f"SELECT file_name, num_rows FROM parquet_file_metadata({_list(files)})"
        ).fetchall()
    )
    for file in files if source.columns else ():
        described = connection.execute(
            f"DESCRIBE FROM read_parquet({literal(str(file.path))})"
        ).fetchall()
        _require_declared(name, source, file, (row[0] for row in described))
    casts = "".join(
        f", CAST({identifier(column)} AS {kind}) AS {identifier(column)}"
        for column, kind in source.columns.items()
    )
    taken = ", ".join(map(identifier, (_PATH, "file_row_number", *source.columns)))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS "
        f"SELECT * EXCLUDE ({taken}){casts}, {_file_name(files)} AS _file, "
        f"file_row_number + 1 AS _row FROM read_parquet({_list(files)}, union_by_name = true, "
        f"file_row_number = true, filename = {literal(_PATH)}) {_limit(limit)}"
    )
    return {file.name: int(rows[str(file.path)]) for file in files}


def _limit(limit: int | None) -> str:
    return "" if limit is None else f"LIMIT {limit}"


# --- what CSV and JSON share -----------------------------------------------------------------


class _Records(NamedTuple):
    """Records of an input as they were read.

    Attributes:
        scan: What they are selected from: the source columns, ``_path``, and ``_row`` if numbered.
        nth: SQL of a record's number through all files in their order; empty when numbered.
        counted: How many there are, by path.
    """

    scan: str
    nth: str
    counted: Mapping[str, int]

    @property
    def numbered(self) -> bool:
        """Whether they bear ``_row``: some records of their files are in ``malformed`` then."""
        return not self.nth

    @property
    def query(self) -> str:
        """A SELECT of the source columns, ``_path`` and ``_nth``."""
        if self.numbered:
            return f"SELECT * RENAME (_row AS _nth) FROM {self.scan}"
        return f"SELECT *, {self.nth} AS _nth FROM {self.scan}"


def _counted(
    connection: duckdb.DuckDBPyConnection, scan: str, look_at: Iterable[str] = ()
) -> dict[str, int]:
    """Records by path; every value of some columns is looked at on the way."""
    looks = "".join(f", count({identifier(column)})" for column in look_at)
    found = connection.execute(f"SELECT {_PATH}, count(*){looks} FROM {scan} GROUP BY 1").fetchall()
    return {row[0]: int(row[1]) for row in found}


def _bind_records(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    found: _Records,
) -> dict[str, int]:
    """Make the view over the records, typed; those that do not fit a type are malformed."""
    records = {file.name: found.counted.get(str(file.path), 0) for file in files}
    before = [0] * len(files) if found.numbered else [0, *accumulate(records.values())][:-1]
    first = f"{SCHEMA}.first_{name}"
    connection.register(
        "siyu_incoming",
        pa.table(
            {
                _PATH: [str(file.path) for file in files],
                "_file": [file.name for file in files],
                "_before": before,
            }
        ),
    )
    connection.execute(f"CREATE OR REPLACE TABLE {first} AS FROM siyu_incoming")
    connection.unregister("siyu_incoming")
    types = (
        {column: kind for column, kind in source.columns.items() if kind.upper() != "VARCHAR"}
        if source.format == "csv"
        else {}
    )
    misfit = {
        column: f"({identifier(column)} IS NOT NULL AND TRY_CAST({identifier(column)} AS {kind}) "
        "IS NULL)"
        for column, kind in types.items()
    }
    plain = (
        f"SELECT * EXCLUDE ({_PATH}, _nth, _before), _nth - _before AS _row "
        f"FROM ({found.query}) JOIN {first} USING ({_PATH})"
    )
    kept = ""
    if misfit:
        first_misfit = " ".join(
            f"WHEN {condition} THEN {literal(column)}" for column, condition in misfit.items()
        )
        kept = f"WHERE NOT ({' OR '.join(misfit.values())})"
        connection.execute(
            f"INSERT INTO {MALFORMED} SELECT _file, _row, CASE {first_misfit} END, "
            f"to_json(plain) FROM ({plain}) AS plain WHERE {' OR '.join(misfit.values())}"
        )
    replaced = ", ".join(
        f"CAST({identifier(column)} AS {kind}) AS {identifier(column)}"
        for column, kind in types.items()
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS SELECT * "
        f"{f'REPLACE ({replaced})' if replaced else ''} FROM ({plain}) {kept}"
    )
    if found.numbered:
        for file, count in connection.execute(
            f'SELECT _file, count(*) FROM {MALFORMED} WHERE "column" IS NULL GROUP BY 1'
        ).fetchall():
            records[file] += count
    return records


# --- CSV -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dialect:
    """How a CSV input separates and quotes."""

    delim: str
    quote: str
    escape: str
    nullstr: str
    encoding: str

    @staticmethod
    def of(name: str, source: Input) -> _Dialect:
        unknown = sorted(set(source.options) - _CSV_OPTIONS)
        if unknown:
            raise InputError(
                f"input {name}: unknown option {', '.join(unknown)}; CSV inputs know "
                f"{', '.join(sorted(_CSV_OPTIONS))}"
            )
        said = {key: str(value) for key, value in source.options.items()}
        encoding = said.get("encoding", "utf-8")
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise InputError(f"input {name}: unknown encoding {encoding}") from None
        quote = said.get("quote", '"')
        return _Dialect(
            said.get("delim", ","), quote, said.get("escape", quote), said.get("nullstr", ""),
            encoding,
        )  # fmt: skip

    def sql(self, columns: Iterable[str]) -> str:
        typed = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns)
        return (
            f"columns = {{{typed}}}, auto_detect = false, header = true, strict_mode = true, "
            f"delim = {literal(self.delim)}, quote = {literal(self.quote)}, "
            f"escape = {literal(self.escape)}, nullstr = {literal(self.nullstr)}, "
            f"filename = {literal(_PATH)}"
        )

    def split(self, lines: Sequence[str]) -> list[str] | None:
        """The fields of one record, or None when its quoting is broken."""
        doubled = self.escape == self.quote
        reader = csv.reader(
            lines, delimiter=self.delim, quotechar=self.quote or None, doublequote=doubled,
            escapechar=None if doubled else self.escape or None, strict=True,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )  # fmt: skip
        try:
            records = list(reader)
        except csv.Error:
            return None
        return records[0] if len(records) == 1 else None


def _open_bytes(file: SourceFile) -> IO[bytes] | gzip.GzipFile:
    if file.path.suffix == ".gz":
        return gzip.open(file.path, "rb")
    return file.path.open("rb")


def _header(name: str, source: Input, file: SourceFile) -> list[str]:
    """The columns that the first line names; none for an empty file."""
    dialect = _Dialect.of(name, source)
    try:
        with _open_bytes(file) as opened:
            line = opened.readline().decode(dialect.encoding)
    except (OSError, EOFError, UnicodeDecodeError):
        raise InputError(
            f"input {name}: the first line of {file.name} cannot be read as {dialect.encoding}; "
            "state options: {encoding: …} for the input, or send the file again"
        ) from None
    header = dialect.split([line.removeprefix("\ufeff").rstrip("\r\n")]) if line.strip() else []
    header = [column.strip() for column in header or []]
    folded = [column.lower() for column in header]
    if "" in folded or len(set(folded)) < len(folded):
        twice = sorted({column for column in folded if folded.count(column) > 1})
        raise InputError(
            f"input {name}: {file.name} has a header with an empty or repeated name "
            f"({', '.join(twice) or 'empty'}); every column needs a name of its own"
        )
    return header


def _read_csv(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    limit: int | None,
) -> _Records:
    """Records of CSV files: from the files themselves where all can be read, else from a table."""
    dialect = _Dialect.of(name, source)
    headers = {file: _header(name, source, file) for file in files}
    for file, header in headers.items():
        if header:
            _require_declared(name, source, file, header)
    columns = list(dict.fromkeys(c for header in headers.values() for c in header))
    columns = columns or list(source.columns)
    if not columns:
        raise InputError(f"input {name}: {files[0].name} is empty and no columns are declared")
    plain = dialect.encoding.lower() in _UTF_8
    if plain and all(header == columns for header in headers.values()):
        scan = f"(FROM read_csv({_list(files)}, {dialect.sql(columns)}) {_limit(limit)})"
        try:
            # A value that nobody looks at is not decoded, so its encoding would go unnoticed.
            return _Records(scan, "row_number() OVER ()", _counted(connection, scan, columns))
        except duckdb.Error:
            pass  # some record is malformed: find out which
    raw = _raw(name)
    _create_numbered(connection, raw, dict.fromkeys(columns, "VARCHAR"))
    for file, header in headers.items():
        if header:
            records = islice(_records(file, dialect, len(header)), limit)
            _insert_records(connection, raw, file, header, records, dialect.nullstr)
    return _Records(raw, "", _counted(connection, raw))


def _create_numbered(
    connection: duckdb.DuckDBPyConnection, raw: str, types: Mapping[str, str]
) -> None:
    columns = ", ".join(f"{identifier(column)} {kind}" for column, kind in types.items())
    connection.execute(f"CREATE OR REPLACE TABLE {raw} ({columns}, {_PATH} VARCHAR, _row BIGINT)")


def _insert_records(
    connection: duckdb.DuckDBPyConnection,
    raw: str,
    file: SourceFile,
    header: Sequence[str],
    records: Iterator[list[str] | str],
    nullstr: str,
) -> None:
    """Add the records of one file, one by one: fields to ``raw``, text to ``malformed``."""
    schema = pa.schema([(column, pa.string()) for column in (*header, _PATH)]).append(
        pa.field("_row", pa.int64())
    )
    numbered = enumerate(records, start=1)
    while chunk := list(islice(numbered, _LINES_AT_ONCE)):
        good = [(row, record) for row, record in chunk if isinstance(record, list)]
        fields = [
            pa.array([None if r[i] == nullstr else r[i] for _, r in good], pa.string())
            for i in range(len(header))
        ]
        table = pa.table(
            [*fields, pa.array([str(file.path)] * len(good), pa.string()),
             pa.array([row for row, _ in good], pa.int64())],
            schema=schema,
        )  # fmt: skip
        connection.register("siyu_incoming", table)
        connection.execute(f"INSERT INTO {raw} BY NAME FROM siyu_incoming")
        connection.unregister("siyu_incoming")
        _insert_malformed(
            connection, file, [(row, text) for row, text in chunk if isinstance(text, str)]
        )


def _insert_malformed(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, records: Sequence[tuple[int, str]]
) -> None:
    rows = pa.table(
        {
            "_file": pa.array([file.name] * len(records), pa.string()),
            "_row": pa.array([row for row, _ in records], pa.int64()),
            "payload": pa.array([text for _, text in records], pa.string()),
        }
    )
    connection.register("siyu_incoming", rows)
    connection.execute(f"INSERT INTO {MALFORMED} BY NAME FROM siyu_incoming")
    connection.unregister("siyu_incoming")


def _records(file: SourceFile, dialect: _Dialect, width: int) -> Iterator[list[str] | str]:
    """Each record of a CSV file after its header: its fields, or its text when it is malformed."""
    lines = _lines(file, dialect.encoding)
    next(lines, None)
    pushed: deque[str | bytes] = deque()
    while True:
        first = pushed.popleft() if pushed else next(lines, None)
        if first is None:
            return
        if isinstance(first, bytes):
            yield first.decode("utf-8", "backslashreplace")
            continue
        if not first.strip() and width > 1:
            continue
        record = [first]
        while _is_open(record, dialect) and len(record) < _LINES_OF_A_RECORD:
            following = pushed.popleft() if pushed else next(lines, None)
            if following is None:
                break
            if isinstance(following, bytes):
                pushed.appendleft(following)
                break
            record.append(following)
        fields = dialect.split(record)
        if fields is not None and len(fields) == width:
            yield fields
        else:
            # Only the first line is given up: those after it may be records of their own.
            pushed.extendleft(reversed(record[1:]))
            yield first.rstrip("\r\n")


def _is_open(record: Sequence[str], dialect: _Dialect) -> bool:
    """Whether a quoted field goes on past the last of these lines."""
    return bool(dialect.quote) and sum(line.count(dialect.quote) for line in record) % 2 == 1


def _lines(file: SourceFile, encoding: str) -> Iterator[str | bytes]:
    """Lines of a text file; one that is not in its encoding comes as bytes."""
    decoder = "utf-8-sig" if encoding.lower() in _UTF_8 else encoding
    if "16" in decoder or "32" in decoder:
        # A line break is not one byte here, so only the whole file can be taken apart.
        with _open_bytes(file) as opened:
            yield from opened.read().decode(decoder, "replace").splitlines(keepends=True)
        return
    with _open_bytes(file) as opened:
        for line in opened:
            try:
                yield line.decode(decoder)
            except UnicodeDecodeError:
                yield line


# --- JSON ------------------------------------------------------------------------------------


def _declared_json(name: str, source: Input) -> dict[str, str]:
    if not source.columns:
        raise InputError(
            f"input {name}: a {source.format} input needs its columns with their types in "
            "retailer.yaml, because an absent key must not make a column disappear"
        )
    return dict(source.columns)


def _read_json(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    limit: int | None,
) -> _Records:
    """Records of JSON files, in a table: to parse them again would cost more."""
    raw = _raw(name)
    types = _declared_json(name, source)
    columns = ", ".join(f"{literal(column)}: {literal(kind)}" for column, kind in types.items())
    form = "newline_delimited" if source.format == "jsonl" else "auto"
    # A document is one value however large it is, and is inflated from .gz before it is measured.
    largest = max(file.bytes * (20 if file.path.suffix == ".gz" else 1) for file in files)
    try:
        connection.execute(
            f"CREATE OR REPLACE TABLE {raw} AS FROM read_json({_list(files)}, "
            f"columns = {{{columns}}}, format = {literal(form)}, filename = {literal(_PATH)}, "
            # With its columns given there is nothing to guess, yet DuckDB would sample every file.
            "maximum_sample_files = 1, sample_size = 1, "
            f"maximum_object_size = {max(16_777_216, min(largest + 1024, 2**31))}) {_limit(limit)}"
        )
        return _Records(raw, "rowid + 1", _counted(connection, raw))
    except duckdb.Error:
        pass  # some record is malformed: find out which
    _create_numbered(connection, raw, types)
    for file in files:
        texts = _json_lines(file) if source.format == "jsonl" else _json_documents(file)
        _insert_json(connection, raw, file, types, islice(texts, limit))
    return _Records(raw, "", _counted(connection, raw))


def _insert_json(
    connection: duckdb.DuckDBPyConnection,
    raw: str,
    file: SourceFile,
    types: Mapping[str, str],
    texts: Iterator[str],
) -> None:
    shape = literal(json.dumps({column: _json_shape(kind) for column, kind in types.items()}))
    numbered = enumerate(texts, start=1)
    while chunk := list(islice(numbered, _LINES_AT_ONCE)):
        connection.register(
            "siyu_incoming",
            pa.table({"row": [row for row, _ in chunk], "text": [text for _, text in chunk]}),
        )
        connection.execute(
            f"CREATE OR REPLACE TABLE {SCHEMA}.parsed AS SELECT row, text, "
            "CASE WHEN json_valid(text) AND json_type(text) = 'OBJECT' "
            f"THEN TRY(from_json_strict(text, {shape})) END AS record FROM siyu_incoming"
        )
        connection.unregister("siyu_incoming")
        columns = ", ".join(f"record.{identifier(column)}" for column in types)
        connection.execute(
            f"INSERT INTO {raw} SELECT {columns}, {literal(str(file.path))}, row FROM {SCHEMA}.parsed "
            "WHERE record IS NOT NULL"
        )
        connection.execute(
            f"INSERT INTO {MALFORMED} SELECT {literal(file.name)}, row, NULL, text FROM {SCHEMA}.parsed "
            "WHERE record IS NULL"
        )


def _json_shape(kind: str) -> Any:
    """The shape that ``from_json_strict`` wants for a DuckDB type."""
    return _shape(duckdb.sqltype(kind))


def _shape(kind: Any) -> Any:
    if kind.id == "list":
        return [_shape(kind.children[0][1])]
    if kind.id == "struct":
        return {name: _shape(child) for name, child in kind.children}
    return str(kind)


def _json_lines(file: SourceFile) -> Iterator[str]:
    with _open_bytes(file) as opened:
        for line in opened:
            text = line.decode("utf-8", "backslashreplace").removeprefix("\ufeff").strip()
            if text:
                yield text


def _json_documents(file: SourceFile) -> Iterator[str]:
    """The one document of a file, or each element when it is a list."""
    with _open_bytes(file) as opened:
        text = opened.read().decode("utf-8", "backslashreplace").removeprefix("\ufeff").strip()
    try:
        document = json.loads(text)
    except ValueError:
        yield text
        return
    if isinstance(document, list):
        yield from (json.dumps(element, ensure_ascii=False) for element in document)
    else:
        yield text
