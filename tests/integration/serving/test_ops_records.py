"""Every table of the schema ``ops`` is gathered, and each of its columns is described twice."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from siyu.paths import Paths
from siyu.retailer import Retailer
from siyu.serving import OPS_TEXTS, ops_tables, publish
from siyu.warehouse import Warehouse


def sample_retailer(folder: Path) -> Retailer:
    return Retailer.model_validate(
        {"name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai", "currency": "CNY",
         "history_from": "2024-01-01", "identifiers": {}, "inputs": {}, "models": {},
         "folder": folder}
    )  # fmt: skip


def test_every_column_is_described_in_both_languages(tmp_path: Path) -> None:
    tables = ops_tables(Paths(tmp_path, "shop"), sample_retailer(tmp_path))

    assert {f"ops.{name}" for name in tables} == set(OPS_TEXTS)
    for name, text in OPS_TEXTS.items():
        assert list(text.columns) == tables[name.partition(".")[2]].column_names, name
        said = [(text.en, text.zh), *text.columns.values()]
        assert all(en and any(letter >= "\u4e00" for letter in zh) for en, zh in said), name


def test_they_are_published_with_their_comments(tmp_path: Path) -> None:
    paths = Paths(tmp_path, "shop")
    retailer = sample_retailer(tmp_path)
    with Warehouse(paths).connect(read_only=False) as connection:
        connection.execute("CREATE SCHEMA marts; CREATE TABLE marts.kpi AS SELECT 1 AS n")

    made = publish(paths, Warehouse(paths), ["marts.kpi"], OPS_TEXTS,
                   ops_tables(paths, retailer), "run", date(2026, 1, 1))  # fmt: skip

    with duckdb.connect(str(made.folder / "siyu.duckdb"), read_only=True) as connection:
        comments = dict(
            connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() "
                "WHERE schema_name = 'ops' AND table_name = 'lateness'"
            ).fetchall()
        )
    assert "延迟中位数" in comments["p50_hours"]
