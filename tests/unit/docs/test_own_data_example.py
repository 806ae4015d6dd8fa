"""The example in "Bring your own data" is one that siyu accepts."""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from siyu.contracts import contract
from siyu.ingestion.mapping import create_macros, load_mapping
from siyu.retailer import Retailer, read_retailer

PAGE = Path(__file__).parents[3] / "docs" / "bring-your-own-data.md"
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
def retailer(tmp_path) -> Retailer:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "retailer.yaml").write_text(_block("yaml"), encoding="utf-8")
    (folder / "orders.sql").write_text(_block("sql"), encoding="utf-8")
    return read_retailer(folder)


@pytest.fixture
def mapped(retailer) -> duckdb.DuckDBPyRelation:
    with duckdb.connect() as connection:
        create_macros(connection, retailer, datetime(2026, 7, 1, tzinfo=UTC))
        values = ", ".join(f"{value!r} AS {name}" for name, value in TILL_ROW.items())
        connection.execute(f"CREATE TABLE pos_orders AS SELECT {values}")
        yield connection.sql(load_mapping(retailer, "orders").text)


def test_the_settings_are_accepted(retailer):
    assert retailer.timezone == "Asia/Shanghai"
    assert set(retailer.models) == {"churn", "repurchase"}


def test_the_mapping_reads_an_input_of_the_example(retailer):
    assert load_mapping(retailer, "orders").inputs == ("pos_orders",)


def test_the_mapping_yields_what_the_contract_requires_and_nothing_unknown(mapped):
    columns = contract("orders").columns
    assert set(mapped.columns) <= {column.name for column in columns}
    assert {column.name for column in columns if column.required} <= set(mapped.columns)


def test_the_mapping_yields_values_that_the_contract_allows(mapped):
    row = dict(zip(mapped.columns, mapped.fetchone(), strict=True))
    assert row["status"] in contract("orders").column("status").values
    assert row["channel"] in contract("orders").column("channel").values
    assert row["member_id"] == "crm:77"
    assert str(row["net_amount"]) == "80.0000"
    assert str(row["ordered_at"]) == "2024-02-09 16:30:00"
