"""A home folder may have any name that people give to folders."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_up_shop import POINTS, POINTS_CSV, ledger_csv, make_shop

from siyu.ingestion import open_quarantine, retract_batch
from siyu.retailer import load_retailer


@pytest.mark.parametrize("name", ["新 店", "50% off", 'a\'b "c"', "a+b&c=d;e"])
def test_what_lands_in_an_awkward_home_is_found_again(tmp_path: Path, name: str) -> None:
    shop = make_shop(tmp_path / name)
    shop.input("ledger", **POINTS_CSV)
    shop.mapping("points", POINTS)
    shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01", "p2,,30,purchase,2026"))
    manifest = shop.landed("points")
    assert shop.rows("points", "entry_id, _file") == [("p1", "a.csv")]
    assert [row["row"] for row in open_quarantine(shop.settings, manifest.batch_id)] == [2]
    (file,) = shop.lake.view_sources(load_retailer(shop.settings))["points"].files
    assert pq.ParquetFile(file).metadata.num_rows == 1
    # What landed is read again to see what is a repeat.
    shop.write("ledger/b.csv", ledger_csv("p1,7,30,purchase,2026-06-01"))
    assert shop.landed("points").duplicates == 1
    retract_batch(shop.settings, manifest.batch_id, manifest.loaded_at)
    assert shop.rows("points") == []
