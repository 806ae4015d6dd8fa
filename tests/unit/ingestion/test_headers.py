"""Which names of columns may be repeated, and which might be somebody's phone or name."""

import duckdb
import pytest

from siyu.ingestion.headers import Known, may_be_name
from siyu.redaction import explained

KNOWN = Known(frozenset({"id", "name", "phone", "store", "手机号", "2024-01"}), frozenset({"id"}))
RECORD = ["s2", "13926471580", "张伟明"]


@pytest.mark.parametrize("said", [
    "id", "手机号", "姓名", "Order ID", "12月销量", "金额(元)", "2024Q1", "下单时间（北京）", "sku_2024_01",
])  # fmt: skip
def test_a_name_may_be_written_in_any_script(said: str) -> None:
    assert may_be_name(said)


@pytest.mark.parametrize("said", [
    "", "7", "199.90", "2026-06-01", "2026-06-01T08:00:00Z", "13926471580", "+86 139-2647-1580",
    "１３９２６４７１５８０", "an@example.cn", "crm:12345678", "x" * 65, "a\x00b", "…",
])  # fmt: skip
def test_what_is_written_like_data_is_no_name(said: str) -> None:
    assert not may_be_name(said)


def test_of_a_header_known_names_and_new_ones_are_shown() -> None:
    header = ["ID", "店长姓名", "手机号", "2024-01", "2024-02"]
    assert KNOWN.shown(header) == ["ID", "店长姓名", "手机号", "2024-01"]
    assert KNOWN.described(header) == (
        "ID, 店长姓名, 手机号, 2024-01 and 1 whose names look like data"
    )


@pytest.mark.parametrize("line", [
    RECORD,
    [*RECORD, "phone"],            # a value that is the name of a column by chance
    ["张伟明", "store"],
    [*RECORD, "id", "7"],          # even a needed one, where more cannot be names
])  # fmt: skip
def test_of_a_record_nothing_is_shown_but_how_many_columns(line: list[str]) -> None:
    assert KNOWN.shown(line) == []
    assert KNOWN.described(line).startswith(f"{len(line)} columns whose names look like data")
    assert "is its header missing" in KNOWN.described(line)


def test_an_engines_error_does_not_list_the_columns_that_might_have_been_meant() -> None:
    row = "1 AS \"13926471580\", {'张伟明': 1} AS s"
    for sql in (f"SELECT id FROM (SELECT {row})", f"SELECT s.id FROM (SELECT {row})"):
        with pytest.raises(duckdb.BinderException) as raised:
            duckdb.execute(sql)
        said = explained(raised.value)
        assert "id" in said
        assert "13926471580" not in said
        assert "张伟明" not in said
