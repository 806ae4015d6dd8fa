"""The search finds a value however it was written and whatever kind of file it is in."""

import base64
import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from siyu.privacy.search import Find, Finder

PHONE, NAME, BORN = "+8613926471580", "欧阳明慧", "1987-03-09"
VALUES = {"phone": PHONE, "name": NAME, "born": BORN}


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder(VALUES)


WRITTEN = {
    "phone as it is": PHONE.encode(),
    "phone without its prefix": b"mobile=13926471580;",
    "phone with dashes": b"139-2647-1580",
    "phone with spaces": b"+86 139 2647 1580",
    "phone in UTF-16": "13926471580".encode("utf-16-le"),
    "phone in base64": base64.b64encode(b"call 13926471580 now"),
    "phone in hex": b"13926471580".hex().encode(),
    "name in UTF-8": NAME.encode(),
    "name in GB18030": NAME.encode("gb18030"),
    "name in UTF-16": NAME.encode("utf-16-be"),
    "name in JSON": json.dumps({"n": NAME}).encode(),
    "name in a URL": f"/search?q={quote(NAME)}".encode(),
    "name in base64": base64.b64encode(f"姓名：{NAME}！".encode()),
    "born as ISO": b"1987-03-09T00:00:00",
    "born with slashes": b"1987/03/09",
    "born in words": "生于1987年3月9日".encode(),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("before", [0, 1, 2], ids="{} bytes before".format)
def test_a_value_is_found_in_every_spelling(finder: Finder, written: bytes, before: int) -> None:
    (label,) = finder.labels(b"x" * before + written)
    assert label in VALUES


@pytest.mark.parametrize(
    "other", [b"+8613926471581", "欧阳明".encode(), b"1987-03-19", b"", b"123", b"8713-09"]
)
def test_what_is_nearly_a_value_is_not_found(finder: Finder, other: bytes) -> None:
    assert finder.labels(other) == set()


def test_a_value_is_found_where_two_pieces_of_a_large_file_meet(finder: Finder) -> None:
    step = 1 << 22
    for before in range(step - len(PHONE), step + 1, 3):
        assert finder.labels(b"." * before + PHONE.encode()) == {"phone"}


def _text(file: Path) -> None:
    file.write_text(f"{PHONE} {NAME} {BORN}")


def _parquet(file: Path) -> None:
    rows = pa.table(
        {
            "phone": pa.array([13926471580] * 3),
            "said": pa.array([[{"who": NAME}]] * 3),
            "sealed": pa.array([f"«{NAME}»".encode()] * 3),
            "born": pa.array([BORN] * 3).cast(pa.date32()),
        }
    )
    pq.write_table(rows, file, compression="zstd")


def _duckdb(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA s; CREATE TABLE s.t (phone BIGINT, name BLOB, born DATE)")
        rows = [(13926471580, NAME.encode(), BORN)] * 3
        connection.executemany("INSERT INTO s.t VALUES (?, ?, ?)", rows)


def _sqlite(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE t (said TEXT, sealed BLOB)")
        long = "." * 5000
        connection.execute(
            "INSERT INTO t VALUES (?, ?)", (long + PHONE + BORN + long, NAME.encode())
        )
    connection.close()


def _freed_page(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE t (said TEXT)")
        connection.execute("INSERT INTO t VALUES (?)", (PHONE + NAME + BORN,))
        connection.execute("DELETE FROM t")
    connection.close()


@pytest.mark.parametrize(
    ("name", "write"),
    [("run.log", _text), ("part.parquet", _parquet), ("siyu.duckdb", _duckdb),
     ("ops.sqlite3", _sqlite), ("event_log.db", _sqlite), ("freed.sqlite3", _freed_page)],
)  # fmt: skip
def test_values_are_found_in_every_kind_of_file(
    tmp_path: Path, finder: Finder, name: str, write: object
) -> None:
    assert callable(write)
    write(tmp_path / name)
    (tmp_path / "empty.parquet.partial").touch()
    assert {find.label for find in finder.below(tmp_path)} == set(VALUES)


def test_places_that_may_hold_values_are_left_out(tmp_path: Path, finder: Finder) -> None:
    for name in ("vault.sqlite3", "vault.sqlite3-wal", "sources/a.csv", "lake/a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PHONE)
    apart = (tmp_path / "vault.sqlite3", tmp_path / "sources")
    assert finder.below(tmp_path, apart) == [Find("phone", tmp_path / "lake" / "a.csv")]
