"""Source files as relations: every record once, with the file and the number it came from.

Each input becomes a view named after it, with its source columns and ``_file`` and ``_row``.
Reading is strict and fast first; only when that fails are records taken one by one, and those that
cannot be read go to the table ``malformed`` with their text, so that none is lost.

What belongs here: CSV, JSON and Parquet as DuckDB relations. What does not: finding files
(``connectors``), or what the records mean (``mapping``).
"""

from __future__ import annotations

import csv
import glob
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from siyu.ingestion.connectors import SourceFile
from siyu.ingestion.errors import BROKEN_OFF, InputError
from siyu.ingestion.headers import Known, folded, may_be_name
from siyu.ingestion.texts import (
    AUTO,
    UNREADABLE,
    UTF_8,
    Text,
    TextFileSystem,
    characters,
    is_sound,
    lines,
    look,
    measured,
    protocol,
    settled,
)
from siyu.lake import identifier, literal
from siyu.redaction import explained
from siyu.retailer import Input

_PATH = "_path"
# DuckDB reads the files of a list in their order, and each from its beginning.
_IN_ORDER = "row_number() OVER ()"
_LINES_AT_ONCE = 20_000
# A quote that is never closed would swallow the rest of its file: no record spans more lines.
_LINES_OF_A_RECORD = 200
_OPTIONS = {
    "csv": {"delim", "quote", "escape", "nullstr", "encoding"},
    "json": {"encoding"},
    "jsonl": {"encoding"},
    "parquet": set[str](),
}
# DuckDB's own limit; what is larger is read one by one.
_LARGEST_RECORD = 1 << 24
_BLANKS = " \t\r\n"
_CHARACTERS_AT_ONCE = 1 << 20
JSON = ("json", "jsonl")
# So many records of a JSON file are asked for their keys.
_KEYS_FROM = 1_000
_NAME = re.compile(r"[^\W\d][\w.$-]{0,63}")
# What a view adds to the columns of its input.
ADDED = {"_file", "_row", "_path", "_nth", "_before"}

csv.field_size_limit(2**31 - 1)

# How people write a tab.
_TABS = {"\\t": "\t", "tab": "\t"}

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


@dataclass(frozen=True)
class Bound:
    """What binding an input found.

    Attributes:
        records: Records by file name, malformed ones included.
        warnings: What a person should know of how files were read.
    """

    records: Mapping[str, int]
    warnings: tuple[str, ...] = ()


def bind_files(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    limit: int | None = None,
) -> Bound:
    """Make the view of an input over files.

    Args:
        connection: Has the table ``malformed``.
        name: The input, and the view.
        source: Its settings.
        files: What to read.
        limit: Read so many records only, to have a look.

    Raises:
        InputError: a file cannot be read at all, or lacks a declared column.
    """
    if not files:
        raise ValueError("no file to bind")
    _require_known_options(name, source)
    _give_access(connection, files)
    try:
        if source.format == "parquet":
            return Bound(_bind_parquet(connection, name, source, files, limit))
        texts = _looked_at(name, source, files)
        read = _read_csv if source.format == "csv" else _read_json
        texts, found = _read(connection, name, source, texts, read, limit)
        records = _bind_records(connection, name, source, texts, found)
        return Bound(records, tuple(text.note for text in texts if text.note))
    except BROKEN_OFF as error:
        require_readable(name, source, files)
        raise InputError(
            f"input {name}: cannot read {named(files)} as "
            f"{source.format}: {explained(error)}; check format, options and columns of the input "
            "in retailer.yaml, or mend the file"
        ) from None


def require_readable(name: str, source: Input, files: Sequence[SourceFile]) -> None:
    """Read files from end to end, to find out which one an engine stumbled over.

    Raises:
        InputError: one of them cannot be read.
    """
    for file in files:
        try:
            if source.format == "parquet":
                with file.open() as opened, pq.ParquetFile(opened) as parquet:
                    for _ in parquet.iter_batches():
                        pass
            else:
                with characters(look(name, file, _encoding(source), bears_mark=True)) as said:
                    while said.read(_CHARACTERS_AT_ONCE):
                        pass
        except (*UNREADABLE, pa.ArrowException) as error:
            raise _unreadable(name, source, file, error) from None


def require_unchanged(name: str, files: Sequence[SourceFile]) -> None:
    """See that files are still as they were hashed, so that a batch holds what its manifest says.

    Raises:
        InputError: one of them has changed or is gone.
    """
    changed = [file for file in files if file.has_changed]
    if changed:
        raise InputError(
            f"input {name}: {named(changed)} changed while it was read; nothing was committed; land "
            "again when it is whole. Have it written under another name and renamed, or set "
            "settle_seconds for the input"
        )


def _unreadable(name: str, source: Input, file: SourceFile, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        what = "it has gone since it was found"
    elif isinstance(error, PermissionError):
        what = "this user may not read it; give it the right"
    elif file.filesystem is not None:
        # Of sealed files errors speak of names and keys only.
        what = f"{error}; restore it from a backup, or move it away and land without it"
    else:
        what = (
            f"it is cut short, damaged, or no {source.format} file ({type(error).__name__}); "
            "deliver it again"
        )
    return InputError(f"input {name}: cannot read {file.name}: {what}")


def _require_known_options(name: str, source: Input) -> None:
    known = _OPTIONS[source.format]
    unknown = sorted(set(source.options) - known)
    if unknown:
        raise InputError(
            f"input {name}: unknown option {', '.join(unknown)}; {source.format} inputs know "
            f"{', '.join(sorted(known)) or 'none'}"
        )


def _encoding(source: Input) -> str:
    return str(source.options.get("encoding", AUTO))


def _give_access(connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> None:
    """Let a connection open files that are not plain ones."""
    for file in files:
        if file.filesystem is not None and not connection.filesystem_is_registered(
            file.filesystem.protocol
        ):
            connection.register_filesystem(file.filesystem)


def _looked_at(name: str, source: Input, files: Iterable[SourceFile]) -> list[Text]:
    """How each text file is to be read.

    Raises:
        InputError: one cannot be opened.
    """
    texts = []
    for file in files:
        try:
            texts.append(look(name, file, _encoding(source), bears_mark=source.format == "csv"))
        except UNREADABLE as error:
            raise _unreadable(name, source, file, error) from None
    return texts


def drop_raw(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Let go of the loaded records of an input, whose view cannot be read any more."""
    connection.execute(f"DROP TABLE IF EXISTS {_raw(name)}")


def bind_empty(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    files: Sequence[SourceFile],
    mentioned: Iterable[str],
) -> None:
    """Make the view of an input with its columns and no row.

    That its files are missing or broken is no reason to keep another input from landing, so it then
    has the columns that readable files show, or else those that the mapping mentions.

    Args:
        connection: Gets the view.
        name: The input, and the view.
        source: Its settings.
        files: Show its columns.
        mentioned: Every column that the mapping mentions, of whichever input.
    """
    types: dict[str, str] = {}
    try:
        types = columns_of(connection, name, source, files)
    except InputError:
        for file in files:
            with suppress(InputError):
                types |= columns_of(connection, name, source, [file])
    # Without a type, a column goes with whatever the mapping does to it.
    types = types or {column: '"NULL"' for column in sorted(mentioned) if column not in ADDED}
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
    if source.format in JSON:
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
    others = {c: kind for c, kind in found.items() if c.lower() not in folded(declared)}
    return others | declared


def spelt_once(columns: Iterable[str]) -> list[str]:
    """Column names, of those that differ in case only the first: to the engine they are the same."""
    found: dict[str, str] = {}
    for column in columns:
        found.setdefault(column.lower(), column)
    return list(found.values())


def _columns_found(
    connection: duckdb.DuckDBPyConnection, name: str, source: Input, files: Sequence[SourceFile]
) -> dict[str, str]:
    if not files:
        return {}
    _give_access(connection, files)
    if source.format == "csv":
        headers = (_header(name, source, text) for text in _looked_at(name, source, files))
        return dict.fromkeys(spelt_once(chain.from_iterable(headers)), "VARCHAR")
    try:
        described = connection.execute(
            f"DESCRIBE FROM read_parquet({_list(files)}, union_by_name = true)"
        ).fetchall()
    except duckdb.Error as error:
        require_readable(name, source, files)
        raise InputError(
            f"input {name}: cannot read {named(files)} as parquet: {explained(error)}"
        ) from None
    return {row[0]: row[1] for row in described}


def _raw(name: str) -> str:
    return f"{SCHEMA}.raw_{name}"


def named(files: Sequence[SourceFile]) -> str:
    """The names of files, of many the first few."""
    return ", ".join(file.name for file in files[:5]) + (" …" if len(files) > 5 else "")


def _list(files: Iterable[SourceFile | Text]) -> str:
    """SQL of what to open."""
    return "[" + ", ".join(literal(_opened(file)) for file in files) + "]"


def _opened(file: SourceFile | Text) -> str:
    """What DuckDB is to open; a plain path is not to be taken for a pattern."""
    plain = file.is_native and file.file if isinstance(file, Text) else file
    return glob.escape(file.url) if plain and plain.filesystem is None else file.url


def _create_names(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[SourceFile],
    urls: Sequence[str],
    before: Sequence[int],
) -> str:
    """Make a table of what DuckDB calls files and what manifests do; says its name."""
    connection.register(
        "siyu_incoming",
        pa.table({_PATH: urls, "_file": [file.name for file in files], "_before": before}),
    )
    names = f"{SCHEMA}.names_{name}"
    connection.execute(f"CREATE OR REPLACE TABLE {names} AS FROM siyu_incoming")
    connection.unregister("siyu_incoming")
    return names


def _require_declared(name: str, source: Input, file: SourceFile, present: Iterable[str]) -> None:
    present, declared = list(present), folded(source.columns)
    missing = [c for c in source.columns if c.lower() not in folded(present)]
    if missing:
        raise InputError(
            f"input {name}: {file.name} lacks the column {', '.join(missing)} that retailer.yaml "
            f"declares; it has {Known(declared, declared).described(present)}; mend the file, or the "
            "input's columns"
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
        described = connection.execute(f"DESCRIBE FROM read_parquet({_list([file])})").fetchall()
        _require_declared(name, source, file, (row[0] for row in described))
    casts = "".join(
        f", CAST({identifier(column)} AS {kind}) AS {identifier(column)}"
        for column, kind in source.columns.items()
    )
    names = _create_names(connection, name, files, [file.url for file in files], [0] * len(files))
    taken = ", ".join(map(identifier, (_PATH, "_before", "file_row_number", *source.columns)))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS "
        f"SELECT * EXCLUDE ({taken}){casts}, file_row_number + 1 AS _row "
        f"FROM read_parquet({_list(files)}, union_by_name = true, file_row_number = true, "
        f"filename = {literal(_PATH)}) JOIN {names} USING ({_PATH}) {_limit(limit)}"
    )
    return {file.name: int(rows[file.url]) for file in files}


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


# Reads the records of texts into a table or out of the files; strictly, or one by one.
_Reader = Callable[
    [duckdb.DuckDBPyConnection, str, Input, Sequence[Text], int | None, bool], _Records
]


def _read(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    texts: list[Text],
    read: _Reader,
    limit: int | None,
) -> tuple[list[Text], _Records]:
    """Read texts strictly; failing that, see that their encodings are right; failing that, leniently.

    Raises:
        InputError: a file cannot be read at all.
    """
    found = _strictly(connection, name, source, texts, read, limit)
    if found is not None:
        return found
    surely = []
    for text in texts:
        try:
            surely.append(settled(text))
        except UNREADABLE as error:
            raise _unreadable(name, source, text.file, error) from None
    if [text.encoding for text in surely] != [text.encoding for text in texts]:
        found = _strictly(connection, name, source, surely, read, limit)
        if found is not None:
            return found
    return surely, read(connection, name, source, surely, limit, False)


def _strictly(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    texts: Sequence[Text],
    read: _Reader,
    limit: int | None,
) -> tuple[list[Text], _Records] | None:
    """Let the engine read texts; None when some record or character is malformed."""
    ready = []
    for text in texts:
        try:
            sized = measured(text)
        except UNREADABLE as error:
            raise _unreadable(name, source, text.file, error) from None
        if sized is None:
            return None
        ready.append(sized)
    if connection.filesystem_is_registered(protocol(name)):
        connection.unregister_filesystem(protocol(name))
    if not all(text.is_native for text in ready):
        connection.register_filesystem(TextFileSystem(name, ready))
    try:
        return ready, read(connection, name, source, ready, limit, True)
    except BROKEN_OFF:
        return None


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
    texts: Sequence[Text],
    found: _Records,
) -> dict[str, int]:
    """Make the view over the records, typed; those that do not fit a type are malformed."""
    records = {text.file.name: found.counted.get(text.url, 0) for text in texts}
    unread = connection.execute(f"SELECT _file, count(*) FROM {MALFORMED} GROUP BY 1").fetchall()
    before = [0] * len(texts) if found.numbered else [0, *accumulate(records.values())][:-1]
    files = [text.file for text in texts]
    first = _create_names(connection, name, files, [text.url for text in texts], before)
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
        records |= {file: records[file] + count for file, count in unread if file in records}
    return records


# --- CSV -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dialect:
    """How a CSV input separates and quotes."""

    delim: str
    quote: str
    escape: str
    nullstr: str

    @staticmethod
    def of(name: str, source: Input) -> _Dialect:
        said = {key: str(value) for key, value in source.options.items()}
        delim = said.get("delim", ",")
        quote = said.get("quote", '"')
        dialect = _Dialect(
            _TABS.get(delim, delim), quote, said.get("escape", quote), said.get("nullstr", "")
        )
        for option, value, fewest in (
            ("delim", dialect.delim, 1), ("quote", quote, 0), ("escape", dialect.escape, 0),
        ):  # fmt: skip
            if not fewest <= len(value) <= 1 or value in ("\r", "\n"):
                raise InputError(
                    f"input {name}: option {option} is {value!r}, and must be one character"
                )
        return dialect

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


def _header(name: str, source: Input, text: Text) -> list[str]:
    """The columns that the first line names; none for an empty file.

    Raises:
        InputError: the first line is no header.
    """
    file = text.file
    dialect = _Dialect.of(name, source)
    try:
        with characters(text) as opened:
            line = opened.readline().removeprefix("\ufeff")
            is_empty = not line.strip() and not any(more.strip() for more in opened)
    except UNREADABLE as error:
        raise _unreadable(name, source, file, error) from None
    if is_empty:
        return []
    if not is_sound(text, line):
        raise InputError(
            f"input {name}: the first line of {file.name} cannot be read as {text.encoding}; "
            "state options: {encoding: …} for the input, or send the file again"
        )
    header = dialect.split([line.rstrip("\r\n")]) if line.strip() else None
    if header is None:
        raise InputError(
            f"input {name}: the first line of {file.name} is "
            f"{'empty' if not line.strip() else 'broken at its quotes'}, not a header; see that the "
            "file begins with the names of its columns, and that delim and quote are the input's"
        )
    header = [column.strip() for column in header]
    said = [column.lower() for column in header]
    if faults := list(_faults(said)):
        raise InputError(
            f"input {name}: {file.name}: in the first line {', '.join(faults)}; every column needs a "
            "name of its own; is the header missing, or delim another?"
        )
    if reserved := sorted(ADDED & set(said)):
        raise InputError(
            f"input {name}: {file.name} has a column {', '.join(reserved)}, a name that landing "
            "gives itself; rename it in the file"
        )
    return header


def _faults(header: Sequence[str]) -> Iterator[str]:
    """Columns without a name of their own, by place: what stands there may be data."""
    first: dict[str, int] = {}
    for place, column in enumerate(header, start=1):
        if not column:
            yield f"column {place} is empty"
        elif column in first:
            yield f"column {place} repeats column {first[column]}"
        first.setdefault(column, place)


def _read_csv(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    source: Input,
    texts: Sequence[Text],
    limit: int | None,
    strict: bool,
) -> _Records:
    """Records of CSV files: from the files themselves where all can be read, else from a table."""
    dialect = _Dialect.of(name, source)
    headers = [(text, _header(name, source, text)) for text in texts]
    for text, header in headers:
        if header:
            _require_declared(name, source, text.file, header)
    columns = spelt_once(c for _, header in headers for c in header) or list(source.columns)
    spelt = {column.lower(): column for column in columns}
    headers = [(text, [spelt[column.lower()] for column in header]) for text, header in headers]
    if not columns:
        raise InputError(
            f"input {name}: {texts[0].file.name} is empty, not even a header, and no columns are "
            "declared; deliver it again, or declare the columns in retailer.yaml if it may be empty"
        )
    if strict and all(header == columns for _, header in headers):
        scan = f"(FROM read_csv({_list(texts)}, {dialect.sql(columns)}) {_limit(limit)})"
        # A value that nobody looks at is not decoded, so its encoding would go unnoticed.
        return _Records(scan, _IN_ORDER, _counted(connection, scan, columns))
    raw = _raw(name)
    _create_numbered(connection, raw, dict.fromkeys(columns, "VARCHAR"))
    for text, header in headers:
        if header:
            records = islice(_records(text, dialect, len(header)), limit)
            _insert_records(connection, raw, text, header, records, dialect.nullstr)
    return _Records(raw, "", _counted(connection, raw))


def _create_numbered(
    connection: duckdb.DuckDBPyConnection, raw: str, types: Mapping[str, str]
) -> None:
    columns = ", ".join(f"{identifier(column)} {kind}" for column, kind in types.items())
    connection.execute(f"CREATE OR REPLACE TABLE {raw} ({columns}, {_PATH} VARCHAR, _row BIGINT)")


def _insert_records(
    connection: duckdb.DuckDBPyConnection,
    raw: str,
    text: Text,
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
            [*fields, pa.array([text.url] * len(good), pa.string()),
             pa.array([row for row, _ in good], pa.int64())],
            schema=schema,
        )  # fmt: skip
        connection.register("siyu_incoming", table)
        connection.execute(f"INSERT INTO {raw} BY NAME FROM siyu_incoming")
        connection.unregister("siyu_incoming")
        _insert_malformed(
            connection, text.file, [(row, said) for row, said in chunk if isinstance(said, str)]
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


def _records(text: Text, dialect: _Dialect, width: int) -> Iterator[list[str] | str]:
    """Each record of a CSV file after its header: its fields, or its text when it is malformed."""
    found = lines(text)
    next(found, None)
    pushed: deque[str | bytes] = deque()
    while True:
        first = pushed.popleft() if pushed else next(found, None)
        if first is None:
            return
        if isinstance(first, bytes):
            yield first.decode(UTF_8, "backslashreplace")
            continue
        if not first.strip() and width > 1:
            continue
        record = [first]
        is_open = _opens(first, dialect)
        while is_open and len(record) < _LINES_OF_A_RECORD:
            following = pushed.popleft() if pushed else next(found, None)
            if following is None:
                break
            if isinstance(following, bytes):
                pushed.appendleft(following)
                break
            record.append(following)
            is_open ^= _opens(following, dialect)
        fields = dialect.split(record)
        if fields is not None and len(fields) == width:
            yield fields
        else:
            # Only the first line is given up: those after it may be records of their own.
            pushed.extendleft(reversed(record[1:]))
            yield first.rstrip("\r\n")


def _opens(line: str, dialect: _Dialect) -> bool:
    """Whether a quoted field begins or ends on a line and does not do the other there."""
    return bool(dialect.quote) and line.count(dialect.quote) % 2 == 1


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
    texts: Sequence[Text],
    limit: int | None,
    strict: bool,
) -> _Records:
    """Records of JSON files: from the files themselves where all can be read, else from a table."""
    types = _declared_json(name, source)
    if strict:
        columns = ", ".join(f"{literal(column)}: {literal(kind)}" for column, kind in types.items())
        form, largest = _json_form(source, texts)
        scan = (
            f"(FROM read_json({_list(texts)}, "
            f"columns = {{{columns}}}, format = {literal(form)}, filename = {literal(_PATH)}, "
            # With its columns given there is nothing to guess, yet DuckDB would sample every file.
            "maximum_sample_files = 1, sample_size = 1, "
            f"maximum_object_size = {largest}) {_limit(limit)})"
        )
        # A value that nobody looks at is not converted, so one that cannot be would go unnoticed.
        return _Records(scan, _IN_ORDER, _counted(connection, scan, types))
    raw = _raw(name)
    _create_numbered(connection, raw, types)
    for text in texts:
        said = _json_lines(text) if source.format == "jsonl" else _json_documents(text)
        _insert_json(connection, raw, text, types, islice(said, limit))
    return _Records(raw, "", _counted(connection, raw))


def json_keys(name: str, source: Input, files: Sequence[SourceFile]) -> list[str]:
    """Keys that the first records of JSON files have, whether declared or not.

    Only what looks like a name: a broken record may have anybody's phone number for a key. Of keys
    that differ in case only, the first.

    Raises:
        InputError: a file cannot be opened.
    """
    found: dict[str, str] = {}
    for text in _looked_at(name, source, files):
        said = _json_lines(text) if source.format == "jsonl" else _json_documents(text)
        with suppress(*UNREADABLE):  # reading all of the file says it better
            for record in map(_record, islice(said, _KEYS_FROM)):
                found |= {key.lower(): key for key in record if key.lower() not in found}
    return [key for key in found.values() if is_plain_key(key)]


def is_plain_key(key: str) -> bool:
    """Whether a key looks like a name, so that it may be repeated."""
    return bool(_NAME.fullmatch(key)) and may_be_name(key) and key not in ADDED


def _record(said: str) -> dict[str, Any]:
    try:
        record = json.loads(said)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _json_form(source: Input, texts: Sequence[Text]) -> tuple[str, int]:
    """What DuckDB calls the form of the files, and the size of the largest value in bytes."""
    if source.format == "jsonl":
        return "newline_delimited", _LARGEST_RECORD
    if all(_is_list(text) for text in texts):
        return "array", _LARGEST_RECORD
    # A document is one value however large it is, and is unpacked before it is measured.
    sizes = (text.size or text.file.bytes * (20 if text.packing else 1) for text in texts)
    return "auto", max(_LARGEST_RECORD, min(max(sizes) + 1024, 2**31))


def _is_list(text: Text) -> bool:
    with characters(text) as opened:
        return opened.read(_CHARACTERS_AT_ONCE).lstrip().startswith("[")


def _insert_json(
    connection: duckdb.DuckDBPyConnection,
    raw: str,
    text: Text,
    types: Mapping[str, str],
    records: Iterator[str],
) -> None:
    wanted = {column: _json_shape(kind) for column, kind in types.items()}
    shape = literal(json.dumps(wanted))
    is_record = "json_valid(text) AND json_type(text) = 'OBJECT'"
    numbered = enumerate(records, start=1)
    while chunk := list(islice(numbered, _LINES_AT_ONCE)):
        connection.register(
            "siyu_incoming",
            pa.table(
                {
                    "row": [row for row, _ in chunk],
                    "text": [said for _, said in chunk],
                    "complete": [_completed(said, wanted) for _, said in chunk],
                }
            ),
        )
        connection.execute(
            f"CREATE OR REPLACE TABLE {SCHEMA}.parsed AS SELECT row, text, complete, "
            f"CASE WHEN {is_record} "
            f"THEN TRY(from_json_strict(complete, {shape})) END AS record FROM siyu_incoming"
        )
        connection.unregister("siyu_incoming")
        columns = ", ".join(f"record.{identifier(column)}" for column in types)
        connection.execute(
            f"INSERT INTO {raw} SELECT {columns}, {literal(text.url)}, row FROM {SCHEMA}.parsed "
            "WHERE record IS NOT NULL"
        )
        connection.execute(
            f"INSERT INTO {MALFORMED} SELECT {literal(text.file.name)}, row, "
            f"CASE WHEN {is_record} THEN {_json_misfit(wanted)} END, text FROM {SCHEMA}.parsed "
            "WHERE record IS NULL"
        )


def _json_misfit(wanted: Mapping[str, Any]) -> str:
    """SQL of the first column whose value in the record ``complete`` does not convert."""
    cases = []
    for column, shape in wanted.items():
        pointer = "/" + column.replace("~", "~0").replace("/", "~1")
        alone = f"json_object({literal(column)}, json_extract(complete, {literal(pointer)}))"
        converted = f"TRY(from_json_strict({alone}, {literal(json.dumps({column: shape}))}))"
        cases.append(f"WHEN {converted} IS NULL THEN {literal(column)}")
    return f"CASE {' '.join(cases)} END"


def _json_shape(kind: str) -> Any:
    """The shape that ``from_json_strict`` wants for a DuckDB type."""
    return _shape(duckdb.sqltype(kind))


def _shape(kind: Any) -> Any:
    if kind.id == "list":
        return [_shape(kind.children[0][1])]
    if kind.id == "struct":
        return {name: _shape(child) for name, child in kind.children}
    return str(kind)


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _completed(said: str, shape: Mapping[str, Any]) -> str:
    """A record with null for every key that it lacks, which ``from_json_strict`` would refuse."""
    try:
        record = json.loads(
            said, parse_float=_Number, parse_int=_Number, parse_constant=_Number,
            object_pairs_hook=_unrepeated,
        )  # fmt: skip
        return _written(record, shape)
    except (ValueError, RecursionError):
        return said  # not for us to judge


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _written(value: Any, shape: Any) -> str:
    """A value as JSON, its objects completed."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict) and isinstance(shape, Mapping):
        fields = {**dict.fromkeys(shape), **value}
        said = (f"{json.dumps(name)}:{_written(fields[name], shape[name])}" for name in shape)
        return f"{{{','.join(said)}}}"
    if isinstance(value, dict):
        said = (f"{json.dumps(name)}:{_written(one, None)}" for name, one in value.items())
        return f"{{{','.join(said)}}}"
    if isinstance(value, list):
        inner = shape[0] if isinstance(shape, list) else None
        return f"[{','.join(_written(one, inner) for one in value)}]"
    return json.dumps(value)


def _json_lines(text: Text) -> Iterator[str]:
    for line in lines(text):
        said = _valid(line).removeprefix("\ufeff").strip()
        if said:
            yield said


def _json_documents(text: Text) -> Iterator[str]:
    """The one document of a file, or each element when it is a list.

    Where a list breaks, all that follows is one malformed record: its elements are not to be told
    apart any more.
    """
    with characters(text) as opened:
        held = opened.read(_CHARACTERS_AT_ONCE).lstrip("\ufeff \t\r\n")
        if not held.startswith("["):
            document = (held + opened.read()).strip()
            if document:
                yield _valid(document)
            return
        yield from map(_valid, _elements(held[1:], opened.read))


def _elements(held: str, more: Callable[[int], str]) -> Iterator[str]:
    """Elements of a list whose bracket has been opened; at last what does not belong to it."""
    decoder = json.JSONDecoder(strict=False)
    at = 0
    while True:
        at = _after_blanks(held, at)
        try:
            end = decoder.raw_decode(held, at)[1]
        except (ValueError, RecursionError):
            end = len(held)
        follows = _after_blanks(held, end)
        if follows < len(held) and held[follows] == ",":
            yield held[at:end]
            at = follows + 1
        # What reaches to the end of what is held may go on after it.
        elif follows == len(held) and (added := more(max(_CHARACTERS_AT_ONCE, len(held) - at))):
            held, at = held[at:] + added, 0
        else:
            yield from _end_of_list(held, at, end, follows, more)
            return


def _end_of_list(
    held: str, at: int, end: int, follows: int, more: Callable[[int], str]
) -> Iterator[str]:
    """The last element of a list, and what is left after it or in its place."""
    whole = held + more(-1)
    if follows < len(held) and held[follows] == "]":
        yield held[at:end]
        at = follows + 1
        if whole[at:].strip():
            yield whole[at:]
    elif whole[at:].strip() not in ("", "]"):
        yield whole[at:]


def _after_blanks(said: str, at: int) -> int:
    while at < len(said) and said[at] in _BLANKS:
        at += 1
    return at


def _valid(said: str | bytes) -> str:
    """A text that can be written down; of what is in no encoding, the bytes are spelt out."""
    broken = said if isinstance(said, bytes) else said.encode(UTF_8, "surrogateescape")
    return broken.decode(UTF_8, "backslashreplace")
