"""Direct identifiers of a few made-up people, and a search for them in whatever siyu wrote.

What belongs here: reading every kind of file down to its text. What does not: where an identifier
may be.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

DIRECT = ("mobile", "name", "email", "birthday", "address")
PER_COLUMN = 12
# What is shorter, or a digit over and over, may stand somewhere by chance.
LEAST_BYTES = 9
LEAST_DIFFERENT = 3


@dataclass(frozen=True)
class Canary:
    """A value that must not get out.

    Attributes:
        column: Column of the members' extract that it is from.
        value: The value.
    """

    column: str
    value: str

    def forms(self) -> Iterator[bytes]:
        """The value as it may be written."""
        yield self.value.encode()
        yield json.dumps(self.value)[1:-1].encode()


def canaries(sources: Path) -> list[Canary]:
    """A few values of each direct identifier, none of which means anything else."""
    with (sources / "crm" / "members.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    staff = (sources / "wecom" / "staff.json").read_text("utf-8")
    found = []
    for column in DIRECT:
        values = sorted({row[column] for row in rows if row[column]})
        telling = [value for value in values if _telling(value) and value not in staff]
        assert len(telling) >= PER_COLUMN, column
        step = len(telling) // PER_COLUMN
        found += [Canary(column, value) for value in telling[::step][:PER_COLUMN]]
    return found


def _telling(value: str) -> bool:
    return len(value.encode()) >= LEAST_BYTES and len(set(value)) >= LEAST_DIFFERENT


def leaks(
    folder: Path, watched: Sequence[Canary], apart: Sequence[Path] = ()
) -> list[tuple[Canary, Path]]:
    """Which value is in which file below a folder, leaving some places out."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if any(file.match(f"{place}*") or place in file.parents for place in apart):
            continue
        text = _text(file)
        found += [(c, file) for c in watched if any(form in text for form in c.forms())]
    return found


def _text(file: Path) -> bytes:
    """What a file says; columnar files are compressed, so they are read value by value."""
    if file.suffix == ".parquet":
        with duckdb.connect() as connection:
            return _values(connection, f"read_parquet('{file}')")
    if file.suffix == ".duckdb":
        with duckdb.connect(str(file), read_only=True) as connection:
            tables = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_type = 'BASE TABLE'"
            ).fetchall()
            return b"\n".join(_values(connection, f"{s}.{name}") for s, name in tables)
    return file.read_bytes()


def _values(connection: duckdb.DuckDBPyConnection, table: str) -> bytes:
    rows = connection.execute(f"FROM {table}").to_arrow_table()
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode()
        for column in rows.columns
        for value in (column.unique() if not _nested(column.type) else column).to_pylist()
    )


def _nested(kind: object) -> bool:
    return str(kind).startswith(("list", "struct", "map"))
