"""A key that comes from two inputs is seen before one of its rows hides the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from gate_samples import sample_retailer

from expectations.runner import judge
from expectations.suites.lake import lake_suite
from siyu.contracts import contract
from siyu.ops import GateResult
from siyu.retailer import Retailer


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    """Orders come from a till and from a mall."""
    made = sample_retailer(tmp_path)
    (tmp_path / "orders.sql").write_text("SELECT * FROM till UNION ALL SELECT * FROM mall")
    inputs = dict.fromkeys(("till", "mall", "feed"), made.inputs["feed"])
    return made.model_copy(update={"inputs": inputs})


def judged(retailer: Retailer, *rows: tuple[str, str]) -> GateResult:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA lake")
        connection.execute("CREATE TABLE lake.orders (order_id VARCHAR, _source VARCHAR)")
        connection.executemany("INSERT INTO lake.orders VALUES (?, ?)", list(rows))
        results = judge(lake_suite(contract("orders"), retailer), connection)
        return next(result for result in results if result.rule == "key_from_one_input")


def test_a_key_of_two_inputs_warns_and_is_named(retailer: Retailer) -> None:
    found = judged(retailer, ("1001", "till"), ("1001", "till"), ("1001", "mall"), ("1002", "mall"))
    assert (found.outcome, found.severity, found.observed) == ("failed", "WARN", "1")
    assert found.example_keys == ("order_id=1001",)


def test_versions_of_a_key_from_one_input_pass(retailer: Retailer) -> None:
    assert judged(retailer, ("1", "till"), ("1", "till"), ("2", "mall")).outcome == "passed"


@pytest.mark.parametrize("said", [
    {"entities": {"orders": {"keys_from_several_inputs": True}}},
    {"inputs": {"till": {"format": "csv", "location": "till.csv"}}},
])  # fmt: skip
def test_nothing_is_asked_where_it_is_meant_or_cannot_be(
    retailer: Retailer, said: dict[str, Any]
) -> None:
    made = Retailer.model_validate({**retailer.model_dump(), "folder": retailer.folder, **said})
    assert "key_from_one_input" not in lake_suite(contract("orders"), made).ids
