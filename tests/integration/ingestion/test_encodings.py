"""Text files as people send them: any usual encoding, packing and delimiter, large and small."""

import codecs
import gzip
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from made_up_shop import Shop, outcomes

from siyu.ingestion import LandingError, readers

STORES = "SELECT id AS store_id, name, city, _file, _row FROM shops"
NAMES = ["拾光生活·西湖店", "南京东路（旗舰）店", "龘靐咖啡", "Café 徐家汇", "喆媽の店 €"]
CSV = "id,name,city\n" + "".join(f"s{n},{name},杭州\n" for n, name in enumerate(NAMES))
WANTED = sorted((f"s{n}", name, "杭州") for n, name in enumerate(NAMES))


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, "zstd", asbytes=True)
    return packed


def plain(data: bytes) -> bytes:
    return data


@pytest.fixture
def stores(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Stores whose files are never read record by record."""

    def refuse(*_: object) -> None:
        raise AssertionError("read record by record")

    shop.input("shops", format="csv", location="shops/*")
    shop.mapping("stores", STORES)
    monkeypatch.setattr(readers, "_create_numbered", refuse)
    return shop


def landed(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows("stores", "store_id, name, city")


@pytest.mark.parametrize(("suffix", "pack"), [("", plain), (".gz", gzip.compress), (".zst", zstd)])
@pytest.mark.parametrize(("encoding", "found"), [
    ("utf-8", ""), ("utf-8-sig", ""), ("gb18030", "gb18030"), ("utf-16", "utf-16"),
    ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("utf-32", "utf-32"),
])  # fmt: skip
def test_the_encoding_is_found_and_said(
    stores: Shop, encoding: str, found: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    stores.write(f"shops/门店.csv{suffix}", pack(CSV.encode(encoding)))
    (report,) = stores.land("stores")
    assert landed(stores) == WANTED
    assert report.warnings == (
        (f"门店.csv{suffix} was found to be {found}, and read as that",) if found else ()
    )


@pytest.mark.parametrize("encoding", ["gbk", "GB2312", "gb18030", "utf-16", "utf-16-le", "utf-8"])
def test_a_declared_encoding_is_used_without_a_word(stores: Shop, encoding: str) -> None:
    stores.input("shops", format="csv", location="shops/*", options={"encoding": encoding})
    text = "id,name,city\ns0,拾光生活店,杭州\n"
    stores.write("shops/a.csv", text.encode(encoding))
    assert stores.land("stores")[0].warnings == ()
    assert landed(stores) == [("s0", "拾光生活店", "杭州")]


def test_a_mark_says_more_than_what_is_declared(stores: Shop) -> None:
    stores.input("shops", format="csv", location="shops/*", options={"encoding": "gbk"})
    stores.write("shops/a.csv", codecs.BOM_UTF8 + CSV.encode())
    stores.land("stores")
    assert landed(stores) == WANTED


def test_each_file_has_an_encoding_of_its_own(stores: Shop) -> None:
    for number, encoding in enumerate(("utf-8", "gb18030", "utf-16")):
        text = f"id,name,city\ns{number},拾光生活店,杭州\n"
        stores.write(f"shops/{number}.csv", text.encode(encoding))
    (report,) = stores.land("stores")
    assert landed(stores) == [(f"s{number}", "拾光生活店", "杭州") for number in range(3)]
    assert [warning.partition(" ")[0] for warning in report.warnings] == ["1.csv", "2.csv"]


def test_chinese_that_begins_late_in_a_file_is_found_too(stores: Shop) -> None:
    latin = "".join(f"a{n},Shop,Hangzhou\n" for n in range(10_000))
    chinese = "".join(f"b{n},拾光生活店,杭州\n" for n in range(10))
    stores.write("shops/a.csv", f"id,name,city\n{latin}{chinese}".encode("gb18030"))
    (report,) = stores.land("stores")
    assert "gb18030" in report.warnings[0]
    assert stores.query("SELECT count(*) FROM lake.stores WHERE city = '杭州'") == [(10,)]


@pytest.mark.parametrize(("name", "encoding"), [("Zoë Ångström", "latin-1"), ("臺灣書店", "big5")])
def test_what_is_not_plausible_chinese_is_quarantined_not_guessed(
    shop: Shop, name: str, encoding: str
) -> None:
    shop.input("shops", format="csv", location="shops/*")
    shop.mapping("stores", STORES)
    shop.write("shops/a.csv", f"id,name,city\ns0,{name},x\ns1,Shop,y\n".encode(encoding))
    assert outcomes(shop.landed("stores")) == {"rows_in": 2, "accepted": 1, "quarantined": 1}
    shop.input("shops", format="csv", location="shops/*", options={"encoding": encoding})
    assert outcomes(shop.landed("stores")) == {"rows_in": 2, "accepted": 2}
    assert landed(shop) == [("s0", name, "x"), ("s1", "Shop", "y")]


def test_one_line_in_another_encoding_is_quarantined_and_the_rest_accepted(shop: Shop) -> None:
    shop.input("shops", format="csv", location="shops/*")
    shop.mapping("stores", STORES)
    broken = "s9,西湖店,杭州\n".encode("gb18030")
    shop.write("shops/a.csv", CSV.encode() + broken)
    assert outcomes(shop.landed("stores")) == {"rows_in": 6, "accepted": 5, "quarantined": 1}
    shop.write("shops/a.csv", "id,name,city\nt1,西湖店,杭州\n".encode("gb18030") + b"t2,\xff,x\n")
    shop.input("shops", format="csv", location="shops/*", options={"encoding": "gb18030"})
    assert outcomes(shop.landed("stores")) == {"rows_in": 2, "accepted": 1, "quarantined": 1}


def test_an_encoding_that_does_not_exist_is_refused(shop: Shop) -> None:
    shop.input("shops", format="csv", location="shops/*", options={"encoding": "gbk2"})
    shop.mapping("stores", STORES)
    shop.write("shops/a.csv", CSV)
    with pytest.raises(LandingError, match="unknown encoding gbk2; say one of auto, utf-8"):
        shop.land("stores")


@pytest.mark.parametrize(("said", "delim"), [
    ("\t", "\t"), ("\\t", "\t"), ("tab", "\t"), (";", ";"), ("|", "|"), ("、", "、"),
])  # fmt: skip
def test_delimiters_are_declared(shop: Shop, said: str, delim: str) -> None:
    shop.input("shops", format="csv", location="shops/*", options={"delim": said})
    shop.mapping("stores", STORES)
    shop.write("shops/a.csv", f'id,name,city\ns0,"a,b{delim}c",杭州\n'.replace(",杭", f"{delim}杭")
               .replace("id,name,", f"id{delim}name{delim}").replace("s0,", f"s0{delim}"))  # fmt: skip
    shop.land("stores")
    assert landed(shop) == [("s0", f"a,b{delim}c", "杭州")]


def test_quotes_may_be_other_or_none(shop: Shop) -> None:
    for quote, text in (("'", "s0,'西湖, 店',杭州"), ("", 's1,"西湖,杭州')):
        shop.input("shops", format="csv", location="shops/*", options={"quote": quote})
        shop.mapping("stores", STORES)
        shop.write("shops/a.csv", f"id,name,city\n{text}\n")
        shop.land("stores")
    assert landed(shop) == [("s0", "西湖, 店", "杭州"), ("s1", '"西湖', "杭州")]


@pytest.mark.parametrize(
    "options", [{"delim": ""}, {"delim": "||"}, {"quote": '""'}, {"quote": "\n"}]
)
def test_an_option_that_is_not_one_character_is_refused(
    shop: Shop, options: dict[str, str]
) -> None:
    shop.input("shops", format="csv", location="shops/*", options=options)
    shop.mapping("stores", STORES)
    shop.write("shops/a.csv", CSV)
    with pytest.raises(LandingError, match="must be one character"):
        shop.land("stores")


@pytest.mark.parametrize("content", ["\nid,name,city\ns0,x,y\n", 'id,"name,city\ns0,x,y\n'])
def test_a_file_without_a_header_is_refused_not_skipped(shop: Shop, content: str) -> None:
    shop.input("shops", format="csv", location="shops/*")
    shop.mapping("stores", STORES)
    shop.write("shops/a.csv", content)
    with pytest.raises(LandingError, match=r"first line of a\.csv is .*, not a header"):
        shop.land("stores")


def test_names_that_look_like_patterns_are_names(stores: Shop) -> None:
    for number, name in enumerate(("a[1].csv", "a1.csv", "b?.csv", "c*.csv", "d e#%20.csv")):
        stores.write(f"shops/{name}", f"id,name,city\ns{number},x,y\n")
    stores.write("shops/E.CSV.GZ", gzip.compress(b"id,name,city\ns5,x,y\n"))
    assert stores.landed("stores").accepted == 6
    assert stores.rows("stores", "_file, store_id") == [
        ("E.CSV.GZ", "s5"), ("a1.csv", "s1"), ("a[1].csv", "s0"), ("b?.csv", "s2"),
        ("c*.csv", "s3"), ("d e#%20.csv", "s4"),
    ]  # fmt: skip


# --- JSON ---------------------------------------------------------------------------------------

COLUMNS = {"id": "VARCHAR", "name": "VARCHAR", "city": "VARCHAR"}
RECORDS = [{"id": f"s{n}", "name": name, "city": "杭州"} for n, name in enumerate(NAMES)]


def as_lines() -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)


@pytest.mark.parametrize(("suffix", "pack"), [("", plain), (".gz", gzip.compress), (".zst", zstd)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_json_may_be_in_any_encoding_too(
    stores: Shop, form: str, encoding: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    stores.input("shops", format=form, location="shops/*", columns=COLUMNS)
    said = as_lines() if form == "jsonl" else json.dumps(RECORDS, ensure_ascii=False, indent=1)
    stores.write(f"shops/a.{form}{suffix}", pack(said.encode(encoding)))
    stores.land("stores")
    assert landed(stores) == WANTED


def test_a_list_larger_than_a_record_may_be_is_read_element_by_element(stores: Shop) -> None:
    stores.input("shops", format="json", location="shops/*", columns=COLUMNS)
    elements = [{"id": f"s{n}", "name": "店" * 1000, "city": "x"} for n in range(8_000)]
    stores.write("shops/a.json", json.dumps(elements, ensure_ascii=False))
    assert stores.landed("stores").accepted == 8_000


@pytest.mark.parametrize(("said", "wanted"), [
    ('[{"id": "s0"}, {"id": "s1"}, {"id": "s', {"rows_in": 3, "accepted": 2, "quarantined": 1}),
    ('[{"id": "s0"}, {"id": "s1"}', {"rows_in": 2, "accepted": 2}),
    ('[{"id": "s0"}, {"id": "s1"},', {"rows_in": 2, "accepted": 2}),
    ('[{"id": "s0"}, {"id": "s1"}] x', {"rows_in": 3, "accepted": 2, "quarantined": 1}),
    ('[{"id": "s0"}, 7, {"id": "s1"}]', {"rows_in": 3, "accepted": 2, "quarantined": 1}),
    ('[{"id": "s0"}, {"id": "\\ud800"}]', {"rows_in": 2, "accepted": 1, "quarantined": 1}),
    ('[{"id": "s0"}, {"id": {"x": }}]', {"rows_in": 2, "accepted": 1, "quarantined": 1}),
    ("[" * 100_000, {"rows_in": 1, "quarantined": 1}),
    ("[]", {}), ("", {}),
])  # fmt: skip
def test_a_broken_list_keeps_its_whole_elements(
    shop: Shop, said: str, wanted: dict[str, int]
) -> None:
    shop.input("shops", format="json", location="shops/*", columns=COLUMNS)
    shop.mapping("stores", STORES)
    shop.write("shops/a.json", said)
    assert outcomes(shop.landed("stores")) == wanted


def test_beside_a_broken_record_an_absent_key_is_still_nothing_worse(shop: Shop) -> None:
    columns = {"id": "VARCHAR", "name": "VARCHAR", "places": "STRUCT(city VARCHAR, floor BIGINT)[]"}
    shop.input("shops", format="jsonl", location="shops/*", columns=columns)
    shop.mapping(
        "stores", "SELECT id AS store_id, name, places[1].city AS city, _file, _row FROM shops"
    )
    whole = '{"id": "s0", "more": 1, "places": [{"city": "杭州"}, {"floor": 1}]}\n'
    lines = [
        '{"id": "s1"}\n',
        '{"id": 12345678901234567890, "places": [{"city": "上海", "floor": 2}]}\n',
        "{broken\n",
    ]
    shop.write("shops/a.jsonl", whole + "".join(lines))
    assert outcomes(shop.landed("stores")) == {"rows_in": 4, "accepted": 3, "quarantined": 1}
    assert landed(shop) == [
        ("12345678901234567890", None, "上海"),
        ("s0", None, "杭州"),
        ("s1", None, None),
    ]
