"""Raw files and the progress they stand for appear together or not at all."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from siyu.ingestion.raw import RawStore
from siyu.paths import Paths

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 6, 1, 13, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> RawStore:
    return RawStore(Paths(tmp_path, "shop"), "orders")


def two_rows(stream: BinaryIO) -> int:
    stream.write(b'{"a": 1}\n{"a": 2}\n')
    return 2


def test_a_file_says_what_it_holds_and_where_to_go_on(store: RawStore) -> None:
    file = store.write(".jsonl", two_rows, {"after": 2}, NOW, date(2026, 5, 31))
    assert file is not None
    assert store.files() == [file]
    assert (file.rows, file.bytes, file.complete_through) == (2, 18, date(2026, 5, 31))
    assert file.name == "20260601T120000000000Z-000000.jsonl"
    assert store.cursor() == {"after": 2}
    with store.open(file.path) as opened:
        assert opened.read() == b'{"a": 1}\n{"a": 2}\n'


def test_files_are_in_the_order_in_which_they_were_pulled(store: RawStore) -> None:
    for at, after in ((NOW, 1), (NOW, 2), (LATER, 3)):
        store.write(".jsonl", two_rows, {"after": after}, at, None)
    assert [file.cursor["after"] for file in store.files()] == [1, 2, 3]
    assert store.cursor() == {"after": 3}


def test_the_same_again_writes_no_file(store: RawStore) -> None:
    store.write(".jsonl", two_rows, {"after": 2}, NOW, None)
    assert store.write(".jsonl", two_rows, {"after": 2}, LATER, None) is None
    assert len(store.files()) == 1


def test_no_record_writes_no_file(store: RawStore) -> None:
    assert store.write(".jsonl", lambda _: 0, {"after": 2}, NOW, None) is None
    assert store.files() == []
    assert store.cursor() == {}


def test_a_write_that_breaks_leaves_nothing_and_no_progress(store: RawStore) -> None:
    def breaks(stream: BinaryIO) -> int:
        stream.write(b'{"a": 1}\n')
        raise ConnectionResetError

    store.write(".jsonl", two_rows, {"after": 2}, NOW, None)
    with pytest.raises(ConnectionResetError):
        store.write(".jsonl", breaks, {"after": 3}, LATER, None)
    assert store.cursor() == {"after": 2}
    assert len(list(store.folder.iterdir())) == 1


def test_what_is_kept_beside_is_no_raw_file(store: RawStore) -> None:
    assert store.kept("seen.parquet") is None
    store.keep("seen.parquet", two_rows, NOW)
    assert store.kept("seen.parquet") == f"sealed://{store.folder}/seen.parquet"
    assert store.files() == []
