"""The example in "Bring your own data" passes its check and lands."""

from __future__ import annotations

import csv
import gzip
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from siyu.config import REPO, Settings
from siyu.ingestion import check_retailer, land_entity
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import Retailer, load_retailer

PAGE = REPO / "docs" / "bring-your-own-data.md"
# What the example's tills deliver.
TILL_ROW = {
    "order_no": "A1",
    "member_no": "77",
    "mobile": "00000000000",
    "shop_code": "S1",
    "state": 1,
    "list_amount": "100.00",
    "discount": "20.00",
    "created": "2024-02-10 00:30:00",
    "modified": "2024-02-10 00:31:00",
}


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    return found.group(1)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The retailer of the page, with a file for each of its inputs."""
    retailers, data = tmp_path / "retailers", tmp_path / "data"
    for folder in (retailers / "acme", data / "members", data / "orders"):
        folder.mkdir(parents=True)
    (retailers / "acme" / "retailer.yaml").write_text(_block("yaml"), encoding="utf-8")
    (retailers / "acme" / "orders.sql").write_text(_block("sql"), encoding="utf-8")
    with gzip.open(data / "members" / "2024.csv.gz", "wt", encoding="utf-8") as file:
        csv.writer(file).writerows([["member_no", "joined"], ["77", "2024-01-01"]])
    pq.write_table(pa.Table.from_pylist([TILL_ROW]), data / "orders" / "2024-02.parquet")
    monkeypatch.setenv("ACME_DATA", str(data))
    return Settings(tmp_path / "home", "acme", retailers, "duckdb", None)


@pytest.fixture
def retailer(settings: Settings) -> Retailer:
    return load_retailer(settings)


def test_the_settings_are_accepted(retailer: Retailer) -> None:
    assert retailer.timezone == "Asia/Shanghai"
    assert set(retailer.models) == {"churn", "repurchase"}


def test_the_example_passes_its_check(settings: Settings) -> None:
    found = check_retailer(settings.retailers / "acme", settings)
    assert found.ok, found.report()
    (orders,) = found.entities
    assert (orders.rows, orders.rejected) == (1, 0)


def test_the_example_lands_with_the_values_that_it_means(
    settings: Settings, retailer: Retailer
) -> None:
    land_entity(settings, retailer, "orders", "run", datetime(2026, 7, 1, tzinfo=UTC))
    table = Lake(Paths.of(settings)).table("orders")
    assert table is not None
    (row,) = table.to_pyarrow_table().to_pylist()
    assert (row["status"], row["channel"], row["member_id"]) == ("paid", "store", "crm:77")
    assert (str(row["net_amount"]), str(row["ordered_at"])) == ("80.0000", "2024-02-09 16:30:00")
    assert (row["_file"], row["_row"]) == ("2024-02.parquet", 1)
