"""Columns that come, go or change their type: kept aside, null, or a stop that says what to do."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from made_up_shop import NOW, POINTS, Shop, make_shop

from siyu.ingestion import LandingError, drift
from siyu.ingestion.check import check_retailer
from siyu.ingestion.drift import open_aside
from siyu.lake import Drift
from siyu.quality import schema_drift

STORES = "SELECT id AS store_id, name, city, _file, _row FROM till"
PHONE = "13926471580"


@pytest.fixture
def till(tmp_path: Path) -> Shop:
    """A shop that has landed one file of stores."""
    shop = make_shop(tmp_path)
    shop.input("till", format="csv", location="till/*.csv")
    shop.mapping("stores", STORES)
    shop.write("till/1.csv", "id,name,city,spare\ns1,One,Suzhou,x\n")
    shop.landed("stores")
    return shop


def test_a_new_column_is_reported_and_kept_aside_sealed(till: Shop) -> None:
    till.write("till/2.csv", f"id,name,city,spare,manager\ns2,Two,Wuxi,y,{PHONE}\ns3,C,Wuxi,y,\n")

    (report,) = till.land("stores", NOW + timedelta(days=1))

    assert report.manifest is not None
    assert report.manifest.accepted == 2
    assert report.manifest.drift == (Drift(column="manager", change="new", found="VARCHAR"),)
    assert any("column manager (VARCHAR) is new" in warning for warning in report.warnings)
    assert open_aside(till.paths, report.manifest.batch_id) == [
        {"file": "2.csv", "row": 1, "manager": PHONE}
    ]
    written = b"".join(f.read_bytes() for f in till.paths.root.rglob("*") if f.is_file())
    assert PHONE.encode() not in written


def test_a_new_column_stays_new_until_it_is_declared_or_mapped(till: Shop) -> None:
    for day, name in enumerate(("2", "3"), start=1):
        till.write(f"till/{name}.csv", f"id,name,city,spare,size\ns{name},N,Wuxi,y,{day}\n")
        manifest = till.landed("stores", NOW + timedelta(days=day))
        assert [found.column for found in manifest.drift] == ["size"]

    till.mapping("stores", STORES.replace("id AS store_id", "id AS store_id, size AS type"))
    till.write("till/1.csv", "id,name,city,spare,size\ns1,One,Suzhou,x,store\n")
    manifest = till.landed("stores", NOW + timedelta(days=9))
    assert manifest.drift == ()


def test_drift_is_listed_with_its_batch(till: Shop) -> None:
    till.write("till/2.csv", "id,city,spare,size\ns2,Wuxi,y,1\n")
    manifest = till.landed("stores", NOW + timedelta(days=1))

    found = schema_drift(till.paths).to_pylist()

    assert [(row["batch_id"], row["column"], row["change"], row["expected"]) for row in found] == [
        (manifest.batch_id, "size", "new", ""),
        (manifest.batch_id, "name", "missing", "VARCHAR"),
    ]


def test_a_missing_column_that_nothing_required_is_made_of_is_null_and_reported(till: Shop) -> None:
    till.write("till/2.csv", "id,name\ns2,Two\n")

    (report,) = till.land("stores", NOW + timedelta(days=1))

    assert report.warnings == ("column city is missing: null in every row it is missing from",)
    assert till.rows("stores", "store_id, name, city") == [
        ("s1", "One", "Suzhou"), ("s2", "Two", None),
    ]  # fmt: skip


def test_a_column_missing_from_one_of_two_files_is_null_there(till: Shop) -> None:
    till.write("till/2.csv", "id,name\ns2,Two\n")
    till.write("till/3.csv", "id,name,city\ns3,Three,Wuxi\n")
    till.landed("stores", NOW + timedelta(days=1))

    assert till.rows("stores", "store_id, city") == [("s1", "Suzhou"), ("s2", None), ("s3", "Wuxi")]


@pytest.mark.parametrize("second", [
    "ID,Name,CITY,spare\ns3,Three,Wuxi,y\n",
    "CITY,ID,Name,Spare\nWuxi,s3,Three,y\n",  # in another order, so read one by one
])  # fmt: skip
def test_files_of_a_batch_may_write_their_columns_in_another_case(till: Shop, second: str) -> None:
    till.write("till/2.csv", "id,name,city,spare\ns2,Two,Wuxi,y\n")
    till.write("till/3.csv", second)

    manifest = till.landed("stores", NOW + timedelta(days=1))

    assert (manifest.accepted, manifest.quarantined, manifest.drift) == (2, 0, ())
    assert list(manifest.columns) == ["id", "name", "city", "spare"]
    assert till.rows("stores", "store_id, name, city")[1:] == [
        ("s2", "Two", "Wuxi"), ("s3", "Three", "Wuxi"),
    ]  # fmt: skip


def test_an_input_whose_files_differ_in_case_keeps_no_other_from_landing(till: Shop) -> None:
    till.input("till", format="csv", location="till/*.csv", columns={"Id": "VARCHAR"})
    till.input("mall", format="csv", location="mall.csv")
    till.mapping("stores", f"{STORES} UNION ALL BY NAME {STORES.replace('till', 'mall')}")
    till.write("till/2.csv", "ID,name,city\ns2,Two,Wuxi\n")
    till.write("mall.csv", "id,name,city\nm1,Mall,Wuxi\n")

    till.land("stores", NOW + timedelta(days=1))

    assert [name for (name,) in till.rows("stores", "store_id")] == ["m1", "s1", "s2"]


def test_a_declared_optional_column_may_be_missing_too(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="csv", location="till/*.csv",
               columns={"id": "VARCHAR", "opened": "DATE"})  # fmt: skip
    shop.mapping("stores", "SELECT id AS store_id, opened AS opened_on, _file, _row FROM till")
    shop.write("till/1.csv", "id\ns1\n")

    (report,) = shop.land("stores")

    assert report.warnings == ("column opened is missing: null in every row it is missing from",)
    assert shop.rows("stores", "store_id, opened_on") == [("s1", None)]


def test_a_missing_required_column_stops_its_input_and_says_what_to_do(till: Shop) -> None:
    till.input("mall", format="csv", location="mall.csv")
    till.write("mall.csv", "code\nm1\n")
    till.mapping("stores", "WITH shops AS (SELECT id, _file, _row FROM till UNION ALL "
                           "SELECT code, _file, _row FROM mall) "
                           "SELECT id AS store_id, _file, _row FROM shops")  # fmt: skip
    till.write("till/2.csv", "ident,name,city\ns2,Two,Wuxi\n")

    with pytest.raises(LandingError) as caught:
        till.land("stores", NOW + timedelta(days=1))

    assert list(caught.value.errors) == ["till"], str(caught.value)
    said = str(caught.value.errors["till"])
    assert "2.csv lacks the column id (VARCHAR)" in said
    assert "expected id" in said
    assert "it has ident, name, city" in said
    assert "deliver the file again" in said
    assert [report.source for report in caught.value.reports] == ["mall"]


def test_a_column_that_became_text_stops_its_input(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="csv", location="till/*.csv", columns={"opened": "DATE"})
    shop.mapping("stores", "SELECT id AS store_id, opened AS opened_on, _file, _row FROM till")
    rows = "\n".join(f"s{n},2025-01-0{n % 9 + 1}" for n in range(100))
    shop.write("till/1.csv", f"id,opened\n{rows}\n")
    shop.landed("stores")
    shop.write("till/2.csv", "id,opened\n" + "\n".join(f"t{n},{PHONE}" for n in range(100)) + "\n")

    with pytest.raises(LandingError) as caught:
        shop.land("stores", NOW + timedelta(days=1))

    said = str(caught.value)
    assert "till: 2.csv: column opened has become another type" in said
    assert "expected DATE, as retailer.yaml declares; found 100 of 100 values" in said
    assert PHONE not in said
    assert len(shop.rows("stores")) == 100


def test_of_several_files_the_one_with_the_most_misfits_is_named(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="csv", location="till/*.csv")
    shop.mapping("stores", "SELECT id AS store_id, opened AS opened_on, _file, _row FROM till")
    shop.write("till/1.csv", "id,opened\ns1,2025-01-01\n")
    shop.landed("stores")
    shop.write("till/2.csv", "id,opened\ns2,soon\ns3,2025-01-01\n")
    shop.write("till/3.csv", "id,opened\n" + "".join(f"t{n},soon\n" for n in range(30)))

    with pytest.raises(LandingError) as caught:
        shop.land("stores", NOW + timedelta(days=1))

    said = str(caught.value)
    assert "till: 3.csv: column opened_on has become another type" in said
    assert "expected DATE, as the contract of stores wants; found 31 of 32 values" in said


def test_parquet_of_another_type_stops_its_input_unless_it_casts(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="parquet", location="till/*.parquet")
    shop.mapping("stores", "SELECT id AS store_id, opened AS opened_on, _file, _row FROM till")

    def deliver(name: str, opened: str) -> None:
        file = shop.write(f"till/{name}.parquet", b"")
        duckdb.sql(f"COPY (SELECT '{name}' AS id, {opened} AS opened) TO '{file}' (FORMAT parquet)")

    deliver("1", "DATE '2025-01-01'")
    shop.landed("stores")
    deliver("2", "'2025-01-02'")
    manifest = shop.landed("stores", NOW + timedelta(days=1))
    assert manifest.drift == (
        Drift(column="opened", change="retyped", expected="DATE", found="VARCHAR"),
    )
    deliver("3", "DATE '2025-01-03'")
    shop.landed("stores", NOW + timedelta(days=2))
    deliver("4", f"'{PHONE}'")
    with pytest.raises(LandingError) as caught:
        shop.land("stores", NOW + timedelta(days=3))

    said = str(caught.value)
    assert "4.parquet: column opened: expected DATE, found VARCHAR" in said
    assert PHONE not in said


def test_types_are_compared_in_every_file_and_whatever_the_case_of_a_name(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="parquet", location="till/*.parquet")
    shop.mapping("stores", "SELECT id AS store_id, opened AS opened_on, _file, _row FROM till")

    def deliver(name: str, columns: str) -> None:
        file = shop.write(f"till/{name}.parquet", b"")
        duckdb.sql(f"COPY (SELECT '{name}' AS id, {columns}) TO '{file}' (FORMAT parquet)")

    deliver("1", "DATE '2025-01-01' AS opened")
    shop.landed("stores")
    deliver("2", f"'{PHONE}' AS OPENED")
    deliver("3", "DATE '2025-01-03' AS opened")

    with pytest.raises(LandingError) as caught:
        shop.land("stores", NOW + timedelta(days=1))

    assert "2.parquet: column opened: expected DATE, found VARCHAR" in str(caught.value)


def test_values_of_a_new_column_that_are_not_kept_are_counted(
    till: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "ROWS_KEPT", 2)
    rows = "".join(f"t{n},N,Wuxi,y,{n}\n" for n in range(5))
    till.write("till/2.csv", f"id,name,city,spare,size\n{rows}t9,N,Wuxi,y,\n")

    (report,) = till.land("stores", NOW + timedelta(days=1))

    assert "values of new columns are kept for 2 rows; 3 more have some" in report.warnings
    assert report.manifest is not None
    assert len(open_aside(till.paths, report.manifest.batch_id)) == 2


# --- files without a header ---------------------------------------------------------------------

PERSON = "张伟明"
MAIL = "zhang.wei@shop.cn"
NAMELESS = "SELECT _file || ':' || _row AS store_id, name, city, _file, _row FROM till"


def written(shop: Shop) -> str:
    """All that lies in a shop's home, and what is published of its schema drift."""
    files = (file for file in shop.paths.root.rglob("*") if file.is_file())
    held = b"".join(file.read_bytes() for file in files).decode("utf-8", "replace")
    return held + str(schema_drift(shop.paths).to_pylist())


def planted(said: str) -> list[str]:
    return [value for value in (PHONE, PERSON, MAIL) if value in said]


@pytest.mark.parametrize("record", [
    f"s2,{PHONE},{PERSON},{MAIL}",
    f"s2,{PHONE},{PERSON},city",
    f"s2,{PERSON},{PERSON},{MAIL}",
    f"{PERSON},{PERSON},,{MAIL}",
    f"{PERSON}",
])  # fmt: skip
def test_a_file_without_its_header_stops_its_input_and_nothing_of_it_is_repeated(
    till: Shop, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    till.write("till/2.csv", f"{record}\n{record.replace('s2', 's3')}\n")

    with pytest.raises(LandingError) as caught:
        till.land("stores", NOW + timedelta(days=1))

    said = str(caught.value)
    assert "2.csv" in said
    assert "header missing" in said
    assert planted(said + repr(caught.value) + caplog.text + written(till)) == []


@pytest.mark.parametrize("lookalike", ["", f",{PERSON}"])
def test_the_first_file_of_all_may_lack_its_header_too(shop: Shop, lookalike: str) -> None:
    shop.input("till", format="csv", location="till/*.csv")
    shop.mapping("stores", STORES)
    shop.write("till/1.csv", f"s2,{PHONE},{PERSON}{lookalike}\ns3,{PHONE},{PERSON},\n")

    with pytest.raises(LandingError) as caught:
        shop.land("stores")

    assert "header missing" in str(caught.value)
    assert planted(str(caught.value)) == []
    report = check_retailer(shop.retailer.folder, shop.settings).report()
    assert "look like data" in report or "header missing" in report
    assert planted(report) == []


@pytest.mark.parametrize("mapping", [
    f"{STORES} UNION ALL BY NAME SELECT code AS store_id, _file, _row FROM mall",
    "SELECT * FROM till",
])  # fmt: skip
def test_no_mapping_brings_a_record_into_an_error_as_names(shop: Shop, mapping: str) -> None:
    shop.input("till", format="csv", location="till/*.csv")
    shop.input("mall", format="csv", location="mall.csv")
    shop.mapping("stores", mapping)
    shop.write("till/1.csv", f"s2,{PHONE},{PERSON},{MAIL}\ns3,1,2,3\n")
    shop.write("mall.csv", "code\nm1\n")

    with pytest.raises(LandingError) as caught:
        shop.land("stores")

    assert list(caught.value.errors) == ["till"]
    assert planted(str(caught.value)) == []


def test_a_declared_column_that_a_file_without_a_header_lacks_repeats_nothing(shop: Shop) -> None:
    shop.input("till", format="csv", location="till.csv")
    shop.input(
        "codes", format="csv", location="codes.csv", lookup=True, columns={"code": "VARCHAR"}
    )
    shop.mapping("stores", "SELECT id AS store_id, _file, _row FROM till "
                           "WHERE id IN (SELECT code FROM codes)")  # fmt: skip
    shop.write("till.csv", "id\ns1\n")
    shop.write("codes.csv", f"s2,{PHONE},{PERSON}\n")

    with pytest.raises(LandingError, match="lacks the column code that") as caught:
        shop.land("stores")

    assert planted(str(caught.value)) == []


def test_where_nothing_needed_is_missing_a_file_without_a_header_lands_with_a_warning(
    till: Shop,
) -> None:
    till.mapping("stores", NAMELESS)
    till.landed("stores", NOW + timedelta(days=1))
    till.write("till/2.csv", f"s2,{PHONE},{PERSON},{MAIL}\ns3,,,\n")

    (report,) = till.land("stores", NOW + timedelta(days=2))

    assert report.manifest is not None
    assert report.manifest.columns == {}
    assert [(found.column, found.change) for found in report.manifest.drift] == [
        ("name", "missing"), ("city", "missing"),
    ]  # fmt: skip
    assert any("the names of 4 of 4 columns look like data" in said for said in report.warnings)
    assert planted(str(report) + written(till)) == []


def test_of_new_columns_those_are_named_that_are_called_by_names(till: Shop) -> None:
    till.write("till/2.csv", f"id,name,city,spare,手机号,店长姓名,{PHONE}\ns2,Two,Wuxi,y,1,2,3\n")

    (report,) = till.land("stores", NOW + timedelta(days=1))

    assert report.manifest is not None
    assert [found.column for found in report.manifest.drift] == ["手机号", "店长姓名"]
    assert any("the names of 1 of 7 columns look like data" in said for said in report.warnings)
    assert planted(str(report) + written(till)) == []


def test_parquet_whose_columns_are_called_by_values_is_not_repeated(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="parquet", location="till/*.parquet")
    shop.mapping("stores", STORES)
    file = shop.write("till/1.parquet", b"")
    duckdb.sql(
        f"COPY (SELECT 's3' AS s2, 1 AS \"{PHONE}\", 2 AS {PERSON}) TO '{file}' (FORMAT parquet)"
    )

    with pytest.raises(LandingError) as caught:
        shop.land("stores")

    assert planted(str(caught.value)) == []


# --- JSON --------------------------------------------------------------------------------------

DECLARED = {"id": "VARCHAR", "name": "VARCHAR", "city": "VARCHAR"}


def line(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


@pytest.fixture
def feed(tmp_path: Path) -> Shop:
    """A shop that has landed one JSON file of stores, with a key that nobody declared."""
    shop = make_shop(tmp_path)
    shop.input("till", format="jsonl", location="till/*.jsonl", columns=DECLARED)
    shop.mapping("stores", STORES)
    shop.write("till/1.jsonl", line(id="s1", name="One", city="Suzhou", spare=1))
    shop.landed("stores")
    return shop


def test_a_new_json_key_is_reported_and_kept_aside_sealed(feed: Shop) -> None:
    feed.write(
        "till/2.jsonl",
        line(id="s2", spare=2) + line(id="s3", manager={"phone": PHONE}) + line(id="s4", ID="x"),
    )

    (report,) = feed.land("stores", NOW + timedelta(days=1))

    assert report.manifest is not None
    assert report.manifest.accepted == 3
    assert report.manifest.drift == (Drift(column="manager", change="new", found="JSON"),)
    (kept,) = open_aside(feed.paths, report.manifest.batch_id)
    assert json.loads(kept["manager"]) == {"phone": PHONE}


def test_a_new_json_key_is_new_no_more_once_it_is_declared(feed: Shop) -> None:
    feed.write("till/2.jsonl", line(id="s2", size=1))
    assert [each.column for each in feed.landed("stores", NOW + timedelta(days=1)).drift] == [
        "size"
    ]

    feed.input(
        "till", format="jsonl", location="till/*.jsonl", columns={**DECLARED, "size": "BIGINT"}
    )
    feed.write("till/3.jsonl", line(id="s3", size=1))

    assert feed.landed("stores", NOW + timedelta(days=2)).drift == ()


def test_what_does_not_look_like_the_name_of_a_key_is_not_repeated(feed: Shop) -> None:
    feed.write(
        "till/2.jsonl",
        line(id="s2", **{PHONE: 1, "an@example.com": 1, "x" * 65: 1, "_row": 9}),
    )

    assert feed.landed("stores", NOW + timedelta(days=1)).drift == ()


def test_a_json_key_that_is_absent_is_null_and_nothing_to_report(feed: Shop) -> None:
    feed.write("till/2.jsonl", line(id="s2"))

    assert feed.landed("stores", NOW + timedelta(days=1)).drift == ()


@pytest.mark.parametrize("broken", ["{", '{"id": "s3", "city": ', "[1, 2]", "\x00", '"id"'])
def test_records_that_cannot_be_read_hide_no_new_key(feed: Shop, broken: str) -> None:
    feed.write("till/2.jsonl", broken + "\n" + line(id="s2", size=1))

    manifest = feed.landed("stores", NOW + timedelta(days=1))

    assert [each.column for each in manifest.drift] == ["size"]
    assert (manifest.accepted, manifest.quarantined) == (1, 1)


JSON_POINTS = {"id": "VARCHAR", "member": "VARCHAR", "change": "BIGINT", "happened": "VARCHAR",
               "reason": "VARCHAR", "note": "VARCHAR"}  # fmt: skip


def entry(number: int, **changes: object) -> str:
    said = {"id": f"e{number}", "member": "m1", "change": number, "reason": "purchase",
            "happened": "2026-06-01 10:00:00", **changes}  # fmt: skip
    return line(**{key: value for key, value in said.items() if value is not None})


@pytest.fixture(params=["jsonl", "json"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A shop that has landed one JSON file of points."""
    shop = make_shop(tmp_path)
    shop.input("ledger", format=request.param, location="ledger/*.json", columns=JSON_POINTS)
    shop.mapping("points", POINTS)
    deliver(shop, "1", entry(1), entry(2))
    shop.landed("points")
    return shop


def deliver(shop: Shop, name: str, *entries: str) -> None:
    is_list = shop.retailer.inputs["ledger"].format == "json"
    said = f"[{','.join(entries)}]" if is_list else "".join(entries)
    shop.write(f"ledger/{name}.json", said)


def stop(shop: Shop) -> str:
    with pytest.raises(LandingError) as caught:
        shop.land("points", NOW + timedelta(days=1))
    assert len(shop.rows("points")) == 2
    return str(caught.value)


def test_a_json_value_of_another_type_stops_its_input(ledger: Shop) -> None:
    deliver(ledger, "2", *(entry(n, change="five") for n in range(3, 103)))

    said = stop(ledger)

    assert "ledger: 2.json: column change has become another type: expected BIGINT" in said
    assert "found 100 of 100 values" in said
    assert "five" not in said


def test_a_few_json_values_of_another_type_are_quarantined_with_their_column(ledger: Shop) -> None:
    # A value that is not declared a number is no fault, whatever it is.
    deliver(ledger, "2", entry(3, change="five", note=7), entry(4, note=[1]), "[1]\n", entry(5))

    manifest = ledger.landed("points", NOW + timedelta(days=1))

    assert (manifest.accepted, manifest.quarantined, manifest.files[0].rows) == (2, 2, 4)
    assert ledger.broken() == [
        ("points", "malformed_record", "change", 1), ("points", "malformed_record", None, 1),
    ]  # fmt: skip


def test_a_needed_json_key_that_a_whole_file_lacks_stops_its_input(ledger: Shop) -> None:
    deliver(ledger, "2", *(entry(n, member=None, customer="m1") for n in range(3, 103)))

    said = stop(ledger)

    assert "ledger: 2.json lacks the column member (VARCHAR) that the mapping needs" in said
    assert "expected id, member, change" in said
    assert "it has id, change, reason, happened, customer" in said
    assert "deliver the file again" in said


def test_a_json_key_that_rows_can_do_without_may_be_absent(ledger: Shop) -> None:
    said = "WITH said AS (SELECT * FROM ledger WHERE coalesce(note, '') <> 'test') "
    ledger.mapping("points", said + POINTS.replace("FROM ledger", "FROM said"))
    deliver(ledger, "2", entry(3, note="by phone"))
    ledger.landed("points", NOW + timedelta(hours=1))
    deliver(ledger, "3", *(entry(n) for n in range(4, 104)))

    manifest = ledger.landed("points", NOW + timedelta(days=1))

    assert (manifest.accepted, manifest.drift) == (100, ())


def test_a_handful_of_records_without_a_needed_key_is_quarantined(ledger: Shop) -> None:
    deliver(ledger, "2", entry(3, member=None), entry(4, member=None))

    assert ledger.landed("points", NOW + timedelta(days=1)).quarantined == 2


def test_a_json_list_that_makes_no_row_at_all_because_its_key_is_gone_stops_its_input(
    tmp_path: Path,
) -> None:
    shop = make_shop(tmp_path)
    shop.input("till", format="jsonl", location="till/*.jsonl",
               columns={"shops": "STRUCT(id VARCHAR)[]"})  # fmt: skip
    shop.mapping(
        "stores", "SELECT shop.id AS store_id, _file, _row FROM "
        "(SELECT unnest(shops) AS shop, _file, _row FROM till)",
    )  # fmt: skip
    shop.write("till/1.jsonl", line(shops=[{"id": "s1"}]))
    shop.landed("stores")
    shop.write("till/2.jsonl", line(stores=[{"id": "s2"}]) * 30)

    with pytest.raises(
        LandingError, match=r"2.jsonl lacks the column shops \(STRUCT.*it has stores"
    ):
        shop.land("stores", NOW + timedelta(days=1))
