"""Between the mapping and the commit: the staged file, and the commit that takes one partition."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from made_up_shop import Shop, crm_csv, ledger_csv, outcomes

from siyu.ingestion import landing
from siyu.lake import Lake, Manifest, append
from siyu.paths import Paths

NOW = datetime(2026, 6, 30, tzinfo=UTC)
PHONE = "13812345678"
MEMBER = f"1,{PHONE},a@example.org,Wang Fang,1987-03-09,1 Long Road,2026-06-01"


def test_the_staged_file_holds_no_direct_identifier_and_goes(
    members_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp, seen = members_shop.paths.scratch, b""

    def looking(*args: Any) -> None:
        nonlocal seen
        seen = b"".join(file.read_bytes() for file in tmp.iterdir() if file.is_file())
        append(*args)

    monkeypatch.setattr(landing, "append", looking)
    members_shop.write("crm/a.csv", crm_csv(MEMBER))
    members_shop.landed("members")
    assert b"crm:1" in seen
    assert not any(word in seen for word in (PHONE.encode(), b"Wang", b"Long Road", b"1987-03-09"))
    assert not list(tmp.iterdir())


def test_what_a_killed_landing_had_staged_goes_with_the_next(points_shop: Shop) -> None:
    left = points_shop.paths.scratch / "0123.arrow"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    points_shop.write("ledger/a.csv", ledger_csv("a,1,5,purchase,2026-06-01 10:00:00"))
    points_shop.landed("points")
    assert not left.exists()


def test_repeats_and_rejects_that_lie_batches_apart_are_found(
    points_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_ROWS_AT_ONCE", 2048)
    lines = [f"e{n},1,5,purchase,2026-06-01 10:00:00" for n in range(10_000)]
    bad = "bad,1,many,purchase,2026-06-01 10:00:00"
    points_shop.write(
        "ledger/a.csv", ledger_csv(lines[0], bad, *lines[1:], lines[0], bad, lines[7])
    )
    manifest = points_shop.landed("points")
    assert outcomes(manifest) == {
        "rows_in": 10_004, "accepted": 10_000, "duplicates": 2, "quarantined": 2,
    }  # fmt: skip
    assert points_shop.query("SELECT count(*), count(DISTINCT entry_id) FROM lake.points") == [
        (10_000, 10_000)
    ]


# --- the commit of one partition -------------------------------------------------------------


def rows(**columns: list[Any]) -> pa.RecordBatchReader:
    return pa.table(columns).to_reader()


def manifest(batch_id: str) -> Manifest:
    return Manifest(batch_id=batch_id, entity="points", source="till", loaded_at=NOW)


def test_an_appended_table_reads_as_it_was_written(tmp_path: Path) -> None:
    said = {"_source": ["till"] * 2, "amount": [Decimal("1.2500"), None], "at": [NOW, NOW]}
    at = pa.array([NOW.replace(tzinfo=None)] * 2, pa.timestamp("us"))
    made = pa.table({**said, "amount": pa.array(said["amount"], pa.decimal128(18, 4)), "at": at})
    append(tmp_path / "points", made.to_reader(), manifest("a"), {"_source": "till"})
    append(tmp_path / "points", made.to_reader(), manifest("b"), {"_source": "till"})
    found = DeltaTable(str(tmp_path / "points"))
    assert found.metadata().partition_columns == ["_source"]
    assert found.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"
    assert sum(found.get_add_actions(flatten=True)["num_records"].to_pylist()) == 4
    read = found.to_pyarrow_table()
    assert read.select(made.schema.names).equals(pa.concat_tables([made, made]))


def test_rows_with_a_column_that_the_table_lacks_are_appended_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "points"
    append(folder, rows(_source=["till"], a=[1]), manifest("a"), {"_source": "till"})
    append(folder, rows(_source=["till"], a=[2], b=["x"]), manifest("b"), {"_source": "till"})
    append(folder, rows(_source=["till"], a=[3]), manifest("c"), {"_source": "till"})
    read = DeltaTable(str(folder)).to_pyarrow_table().sort_by("a")
    assert read["b"].to_pylist() == [None, "x", None]


def test_a_ledger_shows_what_was_committed_since_it_was_last_read(tmp_path: Path) -> None:
    lake = Lake(Paths(tmp_path, "shop"))
    assert lake.ledger("points").manifests == ()
    for number, batch in enumerate("abc", start=1):
        append(
            lake.folder("points"), rows(_source=["till"], a=[1]), manifest(batch),
            {"_source": "till"},
        )  # fmt: skip
        assert len(lake.ledger("points").manifests) == number
        assert lake.ledger("points").manifests[-1].batch_id == batch


def test_a_ledger_of_a_table_made_anew_is_not_the_old_ones(tmp_path: Path) -> None:
    lake = Lake(Paths(tmp_path, "shop"))
    folder = lake.folder("points")
    append(folder, rows(_source=["till"], a=[1]), manifest("a"), {"_source": "till"})
    assert [m.batch_id for m in lake.ledger("points").manifests] == ["a"]
    folder.rename(tmp_path / "away")
    assert lake.ledger("points").manifests == ()
    append(folder, rows(_source=["till"], a=[1]), manifest("b"), {"_source": "till"})
    assert [m.batch_id for m in lake.ledger("points").manifests] == ["b"]
