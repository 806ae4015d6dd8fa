"""Sealed files read like the bytes they hold, and not at all once they are damaged."""

import io
import itertools
import secrets
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siyu.ingestion import sealed
from siyu.ingestion.sealed import (
    SealedError,
    SealedFileSystem,
    SealedReader,
    SealedWriter,
    read_footer,
    sealed_url,
)
from siyu.vault import VaultError

KEY = secrets.token_bytes(32)


def write(file: Path, plain: bytes, key: bytes = KEY) -> Path:
    writer = SealedWriter(file, key)
    writer.write(plain)
    writer.finish({"rows": 1})
    return file


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plain=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=4),
    reads=st.lists(st.tuples(st.integers(0, 210), st.integers(0, 70)), max_size=8),
)
def test_reads_at_any_offset_are_those_of_the_plain_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bytes, cuts: list[int], reads: list[tuple[int, int]]
) -> None:  # fmt: skip
    monkeypatch.setattr(sealed, "_CHUNK", 16)
    writer = SealedWriter(tmp_path / "a.sealed", KEY)
    edges = [0, *sorted(min(cut, len(plain)) for cut in cuts), len(plain)]
    for start, end in itertools.pairwise(edges):
        writer.write(plain[start:end])
    writer.finish({})
    expected = io.BytesIO(plain)
    with io.BufferedReader(SealedReader(tmp_path / "a.sealed", KEY)) as opened:
        for offset, size in reads:
            opened.seek(offset)
            expected.seek(offset)
            assert opened.read(size) == expected.read(size)
        opened.seek(0)
        assert opened.read() == plain


def test_the_plain_bytes_are_nowhere_in_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "a.sealed", b"13912345678" * 1000)
    assert b"13912345678" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("at", [20, 200, -10, -30, -40])
def test_a_changed_byte_is_noticed(tmp_path: Path, at: int) -> None:
    file = write(tmp_path / "a.sealed", b"x" * 1000)
    changed = bytearray(file.read_bytes())
    changed[at] ^= 1
    file.write_bytes(changed)
    with pytest.raises((VaultError, SealedError)):
        SealedReader(file, KEY).readall()


def test_a_file_cut_short_says_so_by_name(tmp_path: Path) -> None:
    file = write(tmp_path / "a.sealed", b"x" * 1000)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SealedError, match=r"a\.sealed is not a whole sealed file"):
        read_footer(file)


def test_chunks_in_another_order_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "_CHUNK", 16)
    file = write(tmp_path / "a.sealed", bytes(range(64)))
    bytes_, start, size = file.read_bytes(), len(b"siyu-sealed-1\n"), 16 + 28
    swapped = bytes_[start + size : start + 2 * size] + bytes_[start : start + size]
    file.write_bytes(bytes_[:start] + swapped + bytes_[start + 2 * size :])
    with pytest.raises(VaultError):
        SealedReader(file, KEY).readall()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "a.sealed", b"x")
    with pytest.raises(VaultError):
        SealedReader(file, secrets.token_bytes(32))


def test_duckdb_reads_compressed_json_csv_and_parquet_from_sealed_files(tmp_path: Path) -> None:
    rows = pa.table({"a": range(50_000)})
    parquet = SealedWriter(tmp_path / "p.parquet.sealed", KEY)
    pq.write_table(rows, parquet)
    parquet.finish({})
    lines = SealedWriter(tmp_path / "j.jsonl.zst.sealed", KEY)
    with pa.CompressedOutputStream(pa.PythonFile(lines, "w"), "zstd") as out:
        out.write(b"".join(b'{"a": %d}\n' % number for number in range(50_000)))
    lines.finish({})
    csv = write(
        tmp_path / "c.csv.sealed", b"a\n" + b"".join(b"%d\n" % number for number in range(50_000))
    )
    with duckdb.connect() as connection:
        connection.register_filesystem(SealedFileSystem(lambda _: KEY))
        for read in (
            f"read_parquet('{sealed_url(tmp_path / 'p.parquet.sealed')}')",
            f"read_json('{sealed_url(tmp_path / 'j.jsonl.zst.sealed')}', columns = {{a: 'BIGINT'}})",
            f"read_csv('{sealed_url(csv)}', columns = {{'a': 'BIGINT'}}, header = true)",
        ):
            found = connection.execute(f"SELECT count(*), sum(a) FROM {read}").fetchone()
            assert found == (50_000, 1_249_975_000)
