"""What a mapping runs as: where each row came from is added where that can be known."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from siyu.ingestion.mapping import load_mapping
from siyu.retailer import Input, Retailer

CODES = Input(format="csv", location="codes.csv", lookup=True)
TILLS = Input(format="csv", location="tills.csv")
TABLES = """
CREATE TABLE tills AS SELECT 's1' AS id, 'a' AS code, 'till.csv' AS _file, 1 AS _row;
CREATE TABLE codes AS SELECT 'a' AS code, 'Suzhou' AS city, 'codes.csv' AS _file, 9 AS _row;
"""


def _columns(folder: Path, sql: str) -> dict[str, object]:
    """The only row of a mapping of stores, by column."""
    (folder / "stores.sql").write_text(sql, "utf-8")
    retailer = Retailer.model_validate(
        {
            "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai", "currency": "CNY",
            "history_from": "2024-01-01", "identifiers": {}, "models": {}, "folder": folder,
            "inputs": {"codes": CODES, "tills": TILLS},
        }
    )  # fmt: skip
    mapping = load_mapping(retailer, "stores")
    assert mapping.text == sql
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        (row,) = connection.execute(mapping.query).to_arrow_table().to_pylist()
    return dict(row)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id AS store_id FROM tills",
        "SELECT id AS store_id, _row FROM tills AS t",
        "SELECT t.id AS store_id FROM tills AS t LEFT JOIN codes USING (code) WHERE id <> '店'",
        "SELECT tills.id AS store_id FROM codes JOIN tills ON codes.code = tills.code",
        "SELECT id AS store_id, _file, _row FROM tills",
        "SELECT * EXCLUDE (id, code), id AS store_id FROM tills",
    ],
)
def test_a_row_of_one_record_says_which(tmp_path: Path, sql: str) -> None:
    assert _columns(tmp_path, sql) == {"store_id": "s1", "_file": "till.csv", "_row": 1}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id AS store_id FROM tills GROUP BY id",
        "SELECT DISTINCT id AS store_id FROM tills",
        "SELECT id AS store_id FROM (SELECT id, count(*) FROM tills GROUP BY id)",
        "SELECT id AS store_id FROM tills UNION SELECT id FROM tills",
        "SELECT a.id AS store_id FROM tills AS a JOIN tills AS b USING (id)",
    ],
)
def test_a_row_of_several_records_says_nothing_of_itself(tmp_path: Path, sql: str) -> None:
    assert _columns(tmp_path, sql) == {"store_id": "s1"}
