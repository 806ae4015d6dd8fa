"""Files hold what the tables held, however many batches they are written in."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from siyu.simulator import writing
from siyu.simulator.writing import Writer

ROWS = 50


def document(number: int) -> dict[str, object]:
    """A row as deep as any that a feed has."""
    return {
        "trade": {
            "source": {"entry": {"name": f"e{number}"}},
            "items": [{"title": f"t{number}", "marks": [number, number + 1]}],
        },
        "flat": number,
    }


def test_nested_rows_beyond_the_first_batch_are_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_BATCH_ROWS", 20)
    rows = [document(number) for number in range(ROWS)]
    writer = Writer(tmp_path)
    # A month is a slice of its feed already.
    writer.jsonl("feed", pa.Table.from_pylist([document(-1), *rows]).slice(1))
    writer.close()
    written = (tmp_path / "feed.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in written] == rows


def test_a_feed_without_rows_is_a_file_without_records(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.csv("feed", pa.table({"id": pa.array([], pa.int64())}))
    writer.close()
    assert (tmp_path / "feed.csv").read_text("utf-8").split() == ["id"]
