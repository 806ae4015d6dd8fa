"""What a mapping runs as: where each row came from is added where that can be known."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from siyu.ingestion import InputError
from siyu.ingestion.mapping import MappingSql, load_mapping
from siyu.retailer import Input, Retailer

CODES = Input(format="csv", location="codes.csv", lookup=True)
TILLS = Input(format="csv", location="tills.csv")
TABLES = """
CREATE TABLE tills AS SELECT 's1' AS id, 'a' AS code, 'till.csv' AS _file, 1 AS _row;
CREATE TABLE codes AS SELECT 'a' AS code, 'Suzhou' AS city, 'codes.csv' AS _file, 9 AS _row;
"""


def _mapping(folder: Path, sql: str) -> MappingSql:
    """A mapping of stores."""
    (folder / "stores.sql").write_text(sql, "utf-8")
    retailer = Retailer.model_validate(
        {
            "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai", "currency": "CNY",
            "history_from": "2024-01-01", "identifiers": {}, "models": {}, "folder": folder,
            "inputs": {"codes": CODES, "tills": TILLS},
        }
    )  # fmt: skip
    return load_mapping(retailer, "stores")


def _columns(folder: Path, sql: str) -> dict[str, object]:
    """The only row of a mapping of stores, by column."""
    mapping = _mapping(folder, sql)
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
        "SELECT id AS store_id FROM tills UNION ALL SELECT id FROM tills WHERE false",
        "SELECT id AS store_id FROM (SELECT id FROM tills)",
    ],
)
def test_a_row_of_more_than_one_select_says_nothing_of_itself(tmp_path: Path, sql: str) -> None:
    assert _columns(tmp_path, sql) == {"store_id": "s1"}


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT id AS store_id FROM tills WHERE code > '1' GROUP BY ALL", "GROUP BY"),
        ("SELECT id AS store_id FROM tills GROUP BY id", "GROUP BY"),
        ("SELECT id AS store_id FROM tills GROUP BY ROLLUP (id)", "GROUP BY"),
        ("SELECT any_value(id) AS store_id FROM tills", "an aggregate"),
        ("SELECT upper(MAX(id)) AS store_id FROM tills", "an aggregate"),
        ("SELECT sum(count(*)) OVER () AS store_id FROM tills", "an aggregate"),
        ("SELECT 's' AS store_id FROM tills HAVING count(*) > 1", "HAVING"),
        ("SELECT DISTINCT id AS store_id FROM tills", "DISTINCT"),
        ("SELECT DISTINCT ON (id) id AS store_id FROM tills", "DISTINCT"),
        ("SELECT id AS store_id FROM (SELECT DISTINCT id FROM tills)", "DISTINCT"),
        ("WITH t AS (SELECT id FROM tills LIMIT 9) SELECT id AS store_id FROM t", "LIMIT"),
        ("SELECT id AS store_id FROM tills LIMIT 10%", "LIMIT"),
        ("SELECT id AS store_id FROM tills USING SAMPLE 10%", "SAMPLE"),
        ("SELECT id AS store_id FROM tills TABLESAMPLE 10%", "SAMPLE"),
        ("SELECT id AS store_id FROM tills QUALIFY row_number() OVER () = 1", "QUALIFY"),
        ("SELECT id AS store_id FROM tills UNION SELECT id FROM tills", "UNION"),
        ("FROM tills UNION BY NAME FROM tills UNION ALL BY NAME FROM tills", "UNION"),
        ("SELECT id AS store_id FROM tills EXCEPT ALL SELECT code FROM codes", "EXCEPT"),
        ("SELECT id AS store_id FROM tills INTERSECT SELECT id FROM tills", "INTERSECT"),
        (
            "SELECT a.id AS store_id FROM tills AS a JOIN tills AS b USING (id)",
            "a JOIN of two inputs",
        ),
        ("SELECT id AS store_id FROM (PIVOT tills ON code IN ('a') USING count(*))", "PIVOT"),
    ],
)
def test_what_makes_one_row_of_several_records_is_refused(
    tmp_path: Path, sql: str, named: str
) -> None:
    with pytest.raises(InputError) as caught:
        _mapping(tmp_path, sql)
    said = str(caught.value)
    assert f"{tmp_path / 'stores.sql'}: one row in, one row out" in said
    assert f"no {named} (" in said


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id AS store_id FROM tills WHERE code = 'a' ORDER BY id",
        "SELECT id AS store_id, count(*) OVER (PARTITION BY code) AS n FROM tills",
        "SELECT id AS store_id, list_sum([1]), list_aggregate([1], 'max') FROM tills",
        "SELECT id AS store_id, (SELECT max(city) FROM codes) AS city FROM tills",
        "SELECT id AS store_id, city FROM tills LEFT JOIN "
        "(SELECT code, min(city) AS city FROM codes GROUP BY code) USING (code)",
        "SELECT id AS store_id, value FROM (UNPIVOT tills ON code, id)",
        "SELECT id AS store_id, item FROM tills, unnest([1, 2]) AS t(item)",
        "SELECT id AS store_id FROM tills UNION ALL BY NAME SELECT id AS store_id FROM tills",
    ],
)
def test_a_row_of_each_record_or_of_none_or_of_several_is_taken(tmp_path: Path, sql: str) -> None:
    assert _mapping(tmp_path, sql).inputs == ("tills",)
