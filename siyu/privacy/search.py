"""Looking for values of people in every file below a folder, whatever a file is.

A file is searched as bytes, so that freed pages, logs and statistics count, and columnar files and
databases value by value besides, as their pages are compressed. A value is looked for in the spellings
in which it may have been written.

What belongs here: spellings, reading files down to their text, and the search. What does not: which
values, or where they may be.
"""

from __future__ import annotations

import base64
import json
import mmap
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from siyu.lake import identifier, literal

# What is shorter stands somewhere by chance.
LEAST_BYTES: Final = 6

_WIDTH: Final = 4
_BITS: Final = 20
_STEP: Final = 1 << 22
_MULTIPLIER: Final = np.uint32(2_654_435_761)
_CHINESE_PHONE: Final = re.compile(r"\+86(\d{11})")
_DAY: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_ROWS_AT_ONCE: Final = 50_000
_SQLITE: Final = (".sqlite3", ".db")


@dataclass(frozen=True, order=True)
class Find:
    """A value that was found.

    Attributes:
        label: What the value is called; never the value.
        file: Where it is.
    """

    label: str
    file: Path


def spellings(value: str) -> set[bytes]:
    """A value as it may have been written: other forms of it, encodings, escapes.

    Those shorter than ``LEAST_BYTES`` are left out, as they stand somewhere by chance.
    """
    found: set[bytes] = set()
    for form in forms(value):
        plain = form.encode()
        found |= {
            plain,
            form.encode("gb18030"),
            form.encode("utf-16-le"),
            form.encode("utf-16-be"),
            json.dumps(form)[1:-1].encode(),
            form.encode("unicode_escape"),
            quote(form).encode(),
            quote(form, safe="").encode(),
            plain.hex().encode(),
            *_in_base64(plain),
        }
    return {spelling for spelling in found if len(spelling) >= LEAST_BYTES}


def forms(value: str) -> Iterator[str]:
    """A value as people and systems write it: phones and days have several forms."""
    yield value
    if (phone := _CHINESE_PHONE.fullmatch(value)) is not None:
        digits = phone[1]
        yield digits
        yield f"{digits[:3]}-{digits[3:7]}-{digits[7:]}"
        yield f"{digits[:3]} {digits[3:7]} {digits[7:]}"
    if (day := _DAY.fullmatch(value)) is not None:
        yield f"{day[1]}/{day[2]}/{day[3]}"
        yield f"{day[1]}年{int(day[2])}月{int(day[3])}日"


def _in_base64(plain: bytes) -> Iterator[bytes]:
    """What base64 makes of a value wherever it begins in a longer text, but for its torn ends."""
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        torn_start = -(-offset * 8 // 6)
        whole = (offset + len(plain)) * 8 // 6
        yield coded[torn_start:whole]


class Finder:
    """Looks for many values at once.

    Every value ends in four bytes; where these do not stand in the data, it does not either.

    Args:
        values: What to look for, by its label; each in all its spellings.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._by_end: dict[int, list[tuple[bytes, str]]] = {}
        for label, value in values.items():
            for spelling in spellings(value):
                end = int.from_bytes(spelling[-_WIDTH:], "little")
                self._by_end.setdefault(end, []).append((spelling, label))
        self._ends = np.array(sorted(self._by_end), np.uint32)
        self._marked = np.zeros(1 << _BITS, np.bool_)
        self._marked[_hashed(self._ends)] = True

    @staticmethod
    def of(values: Iterable[str]) -> Finder:
        """For values that need not be told apart."""
        return Finder({f"value {number}": value for number, value in enumerate(values)})

    def labels(self, data: bytes | memoryview | mmap.mmap) -> set[str]:
        """Labels of the values that stand in the data."""
        found: set[str] = set()
        bytes_of = np.frombuffer(data, np.uint8)
        for start in range(0, max(0, len(bytes_of) - _WIDTH + 1), _STEP):
            words = _words(bytes_of[start : start + _STEP + _WIDTH - 1])
            places = np.flatnonzero(self._marked[_hashed(words)])
            places = places[np.isin(words[places], self._ends)]
            for place, word in zip(places.tolist(), words[places].tolist(), strict=True):
                end = start + place + _WIDTH
                for spelling, label in self._by_end[word]:
                    if label in found or end < len(spelling):
                        continue
                    if bytes_of[end - len(spelling) : end].tobytes() == spelling:
                        found.add(label)
        return found

    def below(self, folder: Path, apart: Collection[Path] = ()) -> list[Find]:
        """Which value is in which file below a folder.

        Args:
            folder: Every file below it is searched.
            apart: Files and folders that are left out; what SQLite or DuckDB keep beside such a file
                is too.
        """
        found = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            if file.is_symlink() or any(_is_within(file, place) for place in apart):
                continue
            found += [Find(label, file) for label in sorted(self.in_file(file))]
        return found

    def within(self, place: Path) -> list[Find]:
        """Which value is where, in a file or below a folder; nothing where there is neither."""
        if place.is_dir():
            return self.below(place)
        return [Find(label, place) for label in self.in_file(place)] if place.is_file() else []

    def in_file(self, file: Path) -> set[str]:
        """Labels of the values that stand in a file."""
        if file.stat().st_size == 0:
            return set()
        with file.open("rb") as opened:
            found = self.labels(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        for text in _values(file, self._connection):
            found |= self.labels(text)
        return found

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        """To read columnar files with: most homes have hundreds, and making one takes as long."""
        return duckdb.connect()


def _hashed(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return (words * _MULTIPLIER) >> np.uint32(32 - _BITS)


def _words(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Every four bytes in a row as a number."""
    wide = data.astype(np.uint32)
    end = len(data) - _WIDTH + 1
    words = wide[:end].copy()
    for place in range(1, _WIDTH):
        words |= wide[place : place + end] << np.uint32(8 * place)
    return words


def _is_within(file: Path, place: Path) -> bool:
    return place in file.parents or (file.parent == place.parent and file.match(f"{place.name}*"))


def _values(file: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    """A file's values as text, where it is compressed or in pages."""
    if file.suffix == ".parquet":
        yield from _rows(connection, f"read_parquet({literal(str(file))})")
    elif file.suffix == ".duckdb":
        connection.execute(f"ATTACH {literal(str(file))} AS searched (READ_ONLY)")
        try:
            for table in _tables(connection):
                yield from _rows(connection, table)
        finally:
            connection.execute("DETACH searched")
    elif file.suffix in _SQLITE:
        yield from _sqlite_values(file)


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'searched'"
    ).fetchall()
    return [f"searched.{identifier(schema)}.{identifier(table)}" for schema, table in rows]


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[bytes]:
    """All values of a table as text, row by row; bytes as they are."""
    described = connection.execute(f"DESCRIBE FROM {table}").fetchall()
    texts = [identifier(name) for name, kind, *_ in described if kind != "BLOB"]
    blobs = [identifier(name) for name, kind, *_ in described if kind == "BLOB"]
    row = " || ".join(
        [f"encode(concat_ws(chr(10), {', '.join([*texts, literal('')])}))"]
        + [f"coalesce({blob}, BLOB '')" for blob in blobs]
    )
    for batch in connection.execute(f"SELECT {row} FROM {table}").to_arrow_reader(_ROWS_AT_ONCE):
        buffer = batch.column(0).cast(pa.large_binary()).buffers()[2]
        if buffer is not None:
            yield buffer.to_pybytes()


def _sqlite_values(file: Path) -> Iterator[bytes]:
    """Values of every column: a long one is in pages that need not follow one another."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        for name, columns in sqlite_tables(connection).items():
            shown = ", ".join(f"CAST({identifier(column)} AS BLOB)" for column in columns)
            rows: Iterable[tuple[bytes | None, ...]] = connection.execute(
                f"SELECT {shown} FROM {identifier(name)}"
            )
            yield b"\n".join(value for row in rows for value in row if value is not None)


def sqlite_tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Tables of a SQLite file with their columns."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({identifier(name)})")]
        for (name,) in names
    }
