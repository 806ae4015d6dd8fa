"""Landing: what is accepted, what it looks like in the lake, and what happens on a second look."""

import gzip
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from made_up_shop import NOW, POINTS, Shop, at, crm_csv, ledger_csv, outcomes

from siyu.ingestion import (
    AccountingError,
    InputError,
    LandingError,
    landing,
    open_quarantine,
)
from siyu.lake import LakeError


def test_a_csv_lands_typed_dated_and_named_by_file_and_row(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01 23:30:00"))
    manifest = points_shop.landed("points")
    assert outcomes(manifest) == {"rows_in": 1, "accepted": 1}
    assert points_shop.rows(
        "points", "entry_id, member_id, change, occurred_at, occurred_date, _source, _file, _row, "
        "_event_at, _event_date, _batch_id"
    ) == [
        ("p1", "crm:7", 30, at("2026-06-01 15:30:00"), date(2026, 6, 1), "ledger", "a.csv", 1,
         at("2026-06-01 15:30:00"), date(2026, 6, 1), manifest.batch_id),
    ]  # fmt: skip


def test_rows_that_lack_a_required_value_are_quarantined(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,,30,purchase,2026-06-01 23:30:00"))
    assert outcomes(points_shop.landed("points")) == {"rows_in": 1, "quarantined": 1}
    assert points_shop.broken() == [("points", "not_null", "member_id", 1)]


def test_the_same_input_again_changes_nothing(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01 23:30:00"))
    points_shop.landed("points")
    version = points_shop.lake.version("points")
    (report,) = points_shop.land("points", NOW + timedelta(days=1))
    assert (report.outcome, report.manifest) == ("unchanged", None)
    assert points_shop.lake.version("points") == version


def test_a_renamed_or_doubled_file_does_not_land_twice(points_shop: Shop) -> None:
    text = ledger_csv("p1,7,30,purchase,2026-06-01 23:30:00")
    points_shop.write("ledger/a.csv", text)
    points_shop.write("ledger/b.csv", text)
    assert len(points_shop.landed("points").files) == 1
    points_shop.write("ledger/c.csv", text)
    assert points_shop.land("points")[0].outcome == "unchanged"


def test_a_gzipped_file_lands_like_a_plain_one(points_shop: Shop) -> None:
    text = ledger_csv("p1,7,30,purchase,2026-06-01 23:30:00")
    points_shop.write("ledger/a.csv.gz", gzip.compress(text.encode()))
    assert outcomes(points_shop.landed("points")) == {"rows_in": 1, "accepted": 1}


def test_bom_crlf_and_quoted_line_breaks_are_read(points_shop: Shop) -> None:
    text = '\ufeffid,member,change,reason,happened\r\n"p\n1",7,30,purchase,2026-06-01 23:30:00\r\n'
    points_shop.write("ledger/a.csv", text)
    points_shop.landed("points")
    assert points_shop.rows("points", "entry_id, reason") == [("p\n1", "purchase")]


def test_rows_are_numbered_inside_each_of_several_files(points_shop: Shop) -> None:
    for name in "cab":
        points_shop.write(f"ledger/{name}.csv", ledger_csv(
            *(f"{name}{n},7,{n},adjust,2026-06-01" for n in range(1, 4))))  # fmt: skip
    points_shop.landed("points")
    assert points_shop.rows("points", "entry_id, _file, _row") == [
        (f"{name}{n}", f"{name}.csv", n) for name in "abc" for n in range(1, 4)
    ]


def test_malformed_csv_lines_are_quarantined_and_counted(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(
        "p1,7,1,adjust,2026-06-01",
        "p2,7,2",
        'p3,7,3,"adjust,2026-06-01',
        "p4,7,4,adjust,2026-06-01,surplus",
        "p5,7,5,adjust,2026-06-01",
    ))  # fmt: skip
    points_shop.write("ledger/b.csv", b"id,member,change,reason,happened\np6,7,6,\xff\xfe,2026-06-01\n"
                                      b"p7,7,7,adjust,2026-06-01\n")  # fmt: skip
    manifest = points_shop.landed("points")
    assert outcomes(manifest) == {"rows_in": 7, "accepted": 3, "quarantined": 4}
    assert [(file.name, file.rows) for file in manifest.files] == [("a.csv", 5), ("b.csv", 2)]
    assert points_shop.rows("points", "entry_id, _row") == [("p1", 1), ("p5", 5), ("p7", 2)]
    assert points_shop.broken() == [("points", "malformed_record", None, 4)]


def test_a_quote_that_is_never_closed_costs_one_line(points_shop: Shop) -> None:
    good = [f"p{n},7,{n},adjust,2026-06-01" for n in range(500)]
    points_shop.write("ledger/a.csv", ledger_csv('"broken,7,1,adjust,2026-06-01', *good))
    manifest = points_shop.landed("points")
    assert outcomes(manifest) == {"rows_in": 501, "accepted": 500, "quarantined": 1}


def test_declared_csv_types_send_misfits_to_quarantine(shop: Shop) -> None:
    shop.input("ledger", format="csv", location="ledger/*.csv", columns={"change": "BIGINT"})
    shop.mapping("points", POINTS.replace("change,", "change * 2 AS change,"))
    shop.write("ledger/a.csv", ledger_csv("p1,7,1,adjust,2026-06-01", "p2,7,one,adjust,2026-06-01"))
    assert outcomes(shop.landed("points")) == {"rows_in": 2, "accepted": 1, "quarantined": 1}
    assert shop.broken() == [("points", "malformed_record", "change", 1)]
    assert shop.rows("points", "change") == [(2,)]


def test_json_lines_land_nested_and_invalid_ones_are_quarantined(shop: Shop) -> None:
    shop.input("trades", format="jsonl", location="t.jsonl", columns={
        "tid": "VARCHAR", "happened": "VARCHAR", "items": "STRUCT(sku VARCHAR, num BIGINT, fee VARCHAR)[]",
    })  # fmt: skip
    shop.mapping(
        "order_lines",
        """
        SELECT tid AS order_id, item.n AS line_no, 'sale' AS line_type, item.i.sku AS product_id,
            item.i.num AS quantity, item.i.fee AS gross_amount, 0 AS discount_amount,
            item.i.fee AS net_amount, 'CNY' AS currency, local_to_utc(happened) AS ordered_at, _file, _row
        FROM (
            SELECT *, unnest([{'i': items[n], 'n': n} for n in range(1, len(items) + 1)]) AS item
            FROM trades
        )
    """,
    )
    good = '{"tid": "t1", "happened": "2026-06-01 10:00:00", "new": 1, "items": [%s]}'
    item = '{"sku": "s1", "num": 2, "fee": "9.90"}'
    shop.write("t.jsonl", "\n".join([
        good % f"{item}, {item}", '{"tid": "t2", "happened": ', '[1, 2]',
        good.replace("t1", "t3") % '{"sku": "s", "num": "two", "fee": "1"}',
        good.replace("t1", "t4") % item,
    ]))  # fmt: skip
    manifest = shop.landed("order_lines")
    assert manifest.rows_read == 5
    assert outcomes(manifest) == {"rows_in": 6, "accepted": 3, "quarantined": 3}
    assert shop.rows("order_lines", "order_id, line_no, net_amount, _row") == [
        ("t1", 1, Decimal("9.9000"), 1), ("t1", 2, Decimal("9.9000"), 1),
        ("t4", 1, Decimal("9.9000"), 5),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [
    '{"contacts": [{"id": "e1"}, {"id": "e2"}]}', '[{"contacts": [{"id": "e1"}, {"id": "e2"}]}]',
])  # fmt: skip
def test_a_json_document_lands_as_one_record(shop: Shop, text: str) -> None:
    shop.input(
        "wecom", format="json", location="*.json", columns={"contacts": "STRUCT(id VARCHAR)[]"}
    )
    shop.mapping("staff", "SELECT unnest(contacts).id AS staff_id, _file, _row FROM wecom")
    shop.write("page.json", text)
    assert outcomes(shop.landed("staff")) == {"rows_in": 2, "accepted": 2}
    shop.write("page2.json", text[:-5])
    assert outcomes(shop.landed("staff")) == {"rows_in": 1, "quarantined": 1}


def test_lines_without_a_number_are_counted_inside_their_order(shop: Shop) -> None:
    shop.input("till", format="csv", location="till.csv")
    shop.entity("order_lines", line_no="occurrence")
    shop.mapping(
        "order_lines",
        """
        SELECT id AS order_id, 'sale' AS line_type, 1 AS quantity, fee AS gross_amount,
            0 AS discount_amount, fee AS net_amount, 'CNY' AS currency,
            local_to_utc('2026-06-01') AS ordered_at, _file, _row FROM till
    """,
    )
    shop.write("till.csv", "id,fee\no1,5\no2,7\no1,5\no1,6\n")
    assert outcomes(shop.landed("order_lines")) == {"rows_in": 4, "accepted": 4}
    assert shop.rows("order_lines", "order_id, line_no, net_amount::INTEGER, _row") == [
        ("o1", 1, 5, 1), ("o1", 2, 5, 3), ("o1", 3, 6, 4), ("o2", 1, 7, 2),
    ]  # fmt: skip


def test_exact_repeats_are_dropped_and_other_versions_kept(members_shop: Shop) -> None:
    first = "1,13912345670,,Li,,,2026-06-01 08:00:00"
    members_shop.write("crm/a.csv", crm_csv(first, first, first.replace("Li", "Lee")))
    manifest = members_shop.landed("members")
    assert outcomes(manifest) == {"rows_in": 3, "accepted": 2, "duplicates": 1}
    assert manifest.superseding == 1
    members_shop.write(
        "crm/b.csv", crm_csv(first, first.replace("06-01", "06-02"), "2,,,,,,2026-06-03")
    )
    manifest = members_shop.landed("members", NOW + timedelta(days=1))
    assert outcomes(manifest) == {"rows_in": 3, "accepted": 2, "duplicates": 1}
    assert manifest.superseding == 1


def test_a_changed_mapping_replaces_what_the_old_one_landed(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01"))
    first = points_shop.landed("points")
    points_shop.write("ledger/b.csv", ledger_csv("p2,7,40,purchase,2026-06-02"))
    second = points_shop.landed("points", NOW + timedelta(days=1))
    points_shop.mapping("points", POINTS.replace("change,", "change::INTEGER * 10 AS change,"))
    version = points_shop.lake.version("points")
    assert version is not None
    third = points_shop.landed("points", NOW + timedelta(days=2))
    assert set(third.replaces) == {first.batch_id, second.batch_id}
    assert points_shop.lake.version("points") == version + 1
    assert points_shop.lake.manifests("points") == [third]
    # When a row became known does not change because it is mapped anew.
    assert points_shop.rows("points", "entry_id, change, _known_at") == [
        ("p1", 300, at("2026-05-31 16:00:00")),
        ("p2", 400, (NOW + timedelta(days=1)).replace(tzinfo=None)),
    ]


def test_batches_whose_files_are_gone_keep_their_mapping(points_shop: Shop) -> None:
    file = points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01"))
    first = points_shop.landed("points")
    file.unlink()
    points_shop.write("ledger/b.csv", ledger_csv("p2,7,40,purchase,2026-06-02"))
    points_shop.mapping("points", POINTS.replace("change,", "change::INTEGER * 10 AS change,"))
    (report,) = points_shop.land("points")
    assert first.batch_id in report.warnings[0]
    assert points_shop.rows("points", "entry_id, change") == [("p1", 30), ("p2", 400)]


def test_known_at_is_event_time_in_a_backfill_and_load_time_after_it(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01 08:00:00"))
    assert points_shop.landed("points").backfill
    points_shop.write("ledger/b.csv", ledger_csv("p2,7,30,purchase,2026-06-01 08:00:00"))
    assert not points_shop.landed("points", NOW + timedelta(hours=1)).backfill
    assert points_shop.rows("points", "entry_id, _known_at, _loaded_at") == [
        ("p1", at("2026-06-01 00:00:00"), at("2026-06-30 04:00:00")),
        ("p2", at("2026-06-30 05:00:00"), at("2026-06-30 05:00:00")),
    ]


def test_a_mapping_may_say_itself_when_a_row_was_known(points_shop: Shop) -> None:
    points_shop.mapping(
        "points",
        POINTS.replace("_file", "local_to_utc(happened) + INTERVAL 1 DAY AS _known_at, _file"),
    )
    points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01 08:00:00"))
    points_shop.landed("points")
    assert points_shop.rows("points", "_known_at") == [(at("2026-06-02 00:00:00"),)]


def test_each_input_of_an_entity_lands_in_a_commit_of_its_own(shop: Shop) -> None:
    for name in ("till", "mall"):
        shop.input(name, format="csv", location=f"{name}.csv")
        shop.write(f"{name}.csv", f"id\n{name}-1\n")
    shop.mapping("stores", "SELECT id AS store_id, _file, _row FROM till UNION ALL "
                           "SELECT id, _file, _row FROM mall")  # fmt: skip
    assert [report.source for report in shop.land("stores")] == ["till", "mall"]
    assert shop.rows("stores", "store_id, _source") == [("mall-1", "mall"), ("till-1", "till")]


def test_one_bad_input_does_not_stop_the_others(shop: Shop) -> None:
    for name, header in (("till", "id"), ("mall", "number")):
        shop.input(name, format="csv", location=f"{name}.csv", columns={"id": "VARCHAR"})
        shop.write(f"{name}.csv", f"{header}\n{name}-1\n")
    shop.mapping("stores", "SELECT id AS store_id, _file, _row FROM till UNION ALL "
                           "SELECT id, _file, _row FROM mall")  # fmt: skip
    with pytest.raises(
        LandingError,
        match=r"mall\.csv lacks the column id .* it has 1 columns whose names look like",
    ) as caught:
        shop.land("stores")
    assert list(caught.value.errors) == ["mall"]
    assert [report.source for report in caught.value.reports] == ["till"]
    assert shop.rows("stores", "store_id") == [("till-1",)]


def test_records_that_the_mapping_leaves_out_show_in_what_was_read(points_shop: Shop) -> None:
    points_shop.mapping("points", f"{POINTS} WHERE reason <> 'test'")
    points_shop.write(
        "ledger/a.csv",
        ledger_csv(
            "p1,7,30,purchase,2026-06-01", "p2,7,1,test,2026-06-01", "p3,7,1,test,2026-06-01"
        ),
    )
    (report,) = points_shop.land("points")
    assert report.reason == "1 files landed: 3 records, 1 rows"
    assert report.manifest is not None
    assert (report.manifest.rows_read, report.manifest.rows_in) == (3, 1)


def test_rows_that_do_not_add_up_are_not_committed(
    members_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    members_shop.write("crm/a.csv", crm_csv("1,13912345670,,,,,2026-06-01", ",,,,,,2026-06-01"))
    with monkeypatch.context() as broken:
        # As if a row had been left out without being counted among those of erased people.
        broken.setattr("siyu.ingestion.landing._Landing._suppress", lambda _: 1)
        with pytest.raises(AccountingError, match="members from crm: 2 rows in, but 1 accepted"):
            members_shop.land("members")
    assert members_shop.lake.version("members") is None
    assert members_shop.broken() == []
    assert not members_shop.paths.vault.exists()
    assert outcomes(members_shop.landed("members")) == {
        "rows_in": 2, "accepted": 1, "quarantined": 1,
    }  # fmt: skip


def test_a_lookup_is_bound_in_full_and_remaps_when_it_changes(shop: Shop) -> None:
    shop.input("shops", format="csv", location="shops.csv")
    shop.input("cities", format="csv", location="cities.csv", lookup=True)
    shop.mapping("stores", "SELECT id AS store_id, city, shops._file, shops._row FROM shops "
                           "LEFT JOIN cities USING (code)")  # fmt: skip
    shop.write("shops.csv", "id,code\ns1,1\n")
    shop.write("cities.csv", "code,city\n1,杭州\n")
    shop.landed("stores")
    shop.write("cities.csv", "code,city\n1,上海\n")
    assert shop.landed("stores").replaces
    assert shop.rows("stores", "store_id, city") == [("s1", "上海")]


@pytest.mark.parametrize(("sql", "message"), [
    ("SELECT id AS store_id, _file, _row FROM shops WHERE nosuch = 1", r"stores\.sql: .*nosuch"),
    ("SELECT id AS name, _file, _row FROM shops", r"lacks the required column store_id"),
    ("SELECT id AS store_id, id AS colour, _file, _row FROM shops", r"yields colour, which stores"),
    ("SELECT id AS store_id FROM shops UNION ALL SELECT id FROM shops",
     r"lacks the required column _file, _row"),
    ("SELECT 's' AS store_id, 'f' AS _file, 1 AS _row FROM elsewhere", r"reads no input"),
    ("SELECT id AS store_id FROM shops WHERE id > 's' GROUP BY ALL", r"stores\.sql: .*GROUP BY"),
    ("SELEC", r"stores\.sql: .*syntax error"),
    ("SELECT id AS store_id, CAST(id AS DATE) AS opened_on, _file, _row FROM shops", r"TRY_CAST"),
])  # fmt: skip
def test_a_mapping_that_cannot_run_is_named_with_what_to_do(
    shop: Shop, sql: str, message: str
) -> None:
    shop.input("shops", format="csv", location="shops.csv")
    shop.write("shops.csv", "id\nsecret-value\n")
    shop.mapping("stores", sql)
    with pytest.raises(LandingError, match=message) as caught:
        shop.land("stores")
    assert "secret-value" not in str(caught.value)
    assert shop.lake.version("stores") is None


def test_an_entity_without_a_mapping_is_reported_and_makes_no_table(shop: Shop) -> None:
    shop.input("shops", format="csv", location="shops.csv")
    (report,) = shop.land("refunds")
    assert (report.outcome, report.reason) == (
        "no_mapping", "retailer has no mapping for this entity",
    )  # fmt: skip
    assert shop.lake.version("refunds") is None
    assert shop.rows("refunds") == []


def test_files_still_being_written_wait(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv.partial", ledger_csv("p1,7,30,purchase,2026-06-01"))
    (report,) = points_shop.land("points")
    assert (report.outcome, report.waiting) == ("no_files", ("a.csv.partial",))


def test_complete_through_is_the_day_before_the_last_event(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(
        "p1,7,30,purchase,2026-06-10", "p2,7,30,purchase,2026-06-12 09:00:00"))  # fmt: skip
    points_shop.landed("points")
    assert points_shop.lake.complete_through(points_shop.retailer) == {"ledger": date(2026, 6, 11)}


def test_one_future_dated_row_does_not_move_the_last_complete_day(points_shop: Shop) -> None:
    points_shop.input("ledger", format="csv", location="ledger/*.csv", required=True)
    points_shop.write("ledger/a.csv", ledger_csv(
        "p1,7,30,purchase,2026-06-12 09:00:00", "p2,7,30,purchase,2031-01-01"))  # fmt: skip
    points_shop.landed("points")
    today = date(2026, 6, 30)
    assert points_shop.lake.last_complete_day(points_shop.retailer, today) == date(2026, 6, 11)
    assert points_shop.broken() == [("points", "future_event", "occurred_at", 1)]


def test_the_last_complete_day_is_before_today_and_needs_data(points_shop: Shop) -> None:
    points_shop.input("ledger", format="csv", location="ledger/*.csv", required=True)
    with pytest.raises(LakeError, match="nothing dated has landed from ledger"):
        points_shop.lake.last_complete_day(points_shop.retailer, date(2026, 6, 30))
    points_shop.input("ledger", format="csv", location="ledger/*.csv", required=True,
                      complete_through="2026-12-31")  # fmt: skip
    assert points_shop.lake.last_complete_day(points_shop.retailer, date(2026, 6, 30)) == date(
        2026, 6, 29
    )


def test_a_truncated_gzip_is_an_error_that_names_the_file(points_shop: Shop) -> None:
    whole = gzip.compress(
        ledger_csv(*(f"p{n},7,{n},adjust,2026-06-01" for n in range(999))).encode()
    )
    points_shop.write("ledger/a.csv.gz", whole[: len(whole) // 2])
    with pytest.raises(LandingError, match=r"a\.csv\.gz"):
        points_shop.land("points")
    assert points_shop.lake.version("points") is None


def test_naive_and_aware_clocks_mean_the_same(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01"))
    manifest = points_shop.landed("points", NOW.replace(tzinfo=None))
    assert manifest.loaded_at == NOW == NOW.astimezone(UTC)


def test_an_unknown_csv_option_is_refused(shop: Shop) -> None:
    shop.input("shops", format="csv", location="shops.csv", options={"colour": "red"})
    shop.write("shops.csv", "id\n1\n")
    shop.mapping("stores", "SELECT id AS store_id, _file, _row FROM shops")
    with pytest.raises(LandingError, match="unknown option colour") as caught:
        shop.land("stores")
    assert isinstance(caught.value.errors["shops"], InputError)


def test_gbk_semicolons_and_null_words_are_options(shop: Shop) -> None:
    shop.input("shops", format="csv", location="shops.csv",
               options={"delim": ";", "encoding": "gb18030", "nullstr": "无"})  # fmt: skip
    shop.write("shops.csv", "id;city;name\n1;杭州;无\n".encode("gb18030"))
    shop.mapping("stores", "SELECT id AS store_id, city, name, _file, _row FROM shops")
    shop.landed("stores")
    assert shop.rows("stores", "store_id, city, name") == [("1", "杭州", None)]


def test_a_column_written_in_capitals_is_the_same_column(shop: Shop) -> None:
    shop.input("shops", format="csv", location="*.csv")
    shop.write("a.csv", "STORE_ID,Name\ns1,x\n")
    shop.mapping("stores", "SELECT store_id, name, _file, _row FROM shops")
    shop.landed("stores")
    assert shop.rows("stores", "store_id, name") == [("s1", "x")]


def test_a_record_nested_too_deep_to_parse_can_still_be_looked_at(shop: Shop) -> None:
    shop.input("shops", format="jsonl", location="a.jsonl", columns={"id": "VARCHAR"})
    deep = "[" * 50_000
    shop.write("a.jsonl", f'{{"id": "s1"}}\n{deep}\n')
    shop.mapping("stores", "SELECT id AS store_id, _file, _row FROM shops")
    manifest = shop.landed("stores")
    (row,) = open_quarantine(shop.settings, manifest.batch_id)
    assert row["payload"] == deep


def test_a_broken_file_of_one_input_does_not_keep_another_from_landing(shop: Shop) -> None:
    for name in ("till", "mall"):
        shop.input(name, format="parquet", location=f"{name}.parquet")
        shop.write(f"{name}.parquet", b"no parquet at all")
    with duckdb.connect() as connection:
        file = shop.folder / "source" / "till.parquet"
        connection.execute(f"COPY (SELECT 't1' AS id, 1.5 AS size) TO '{file}'")
    shop.mapping("stores", "SELECT id AS store_id, _file, _row FROM till UNION ALL "
                           "SELECT upper(id), _file, _row FROM mall")  # fmt: skip
    with pytest.raises(LandingError, match=r"cannot read mall\.parquet: .*; deliver it again"):
        shop.land("stores")
    assert shop.rows("stores", "store_id, _source") == [("t1", "till")]


@pytest.mark.parametrize(("grows", "more"), [
    ("ledger/a.csv", " 10:00:00\n"), ("codes.csv", "refund\n"),
])  # fmt: skip
def test_a_file_that_grows_while_it_is_read_is_not_accepted(
    points_shop: Shop, monkeypatch: pytest.MonkeyPatch, grows: str, more: str
) -> None:
    shop = points_shop
    shop.input("codes", format="csv", location="codes.csv", lookup=True)
    shop.mapping(
        "points",
        POINTS.replace(
            "FROM ledger", "FROM ledger WHERE reason IN (SELECT codes.reason FROM codes)"
        ),
    )
    # Half of the last value of a file is a value too.
    shop.write("ledger/a.csv", ledger_csv("p1,7,30,purchase,2026-06-01")[:-1])
    shop.write("codes.csv", "reason\npurchase\n")
    bound = landing.bind_files

    def meanwhile(connection: Any, name: str, *arguments: Any) -> Any:
        found = bound(connection, name, *arguments)
        if name in grows:
            with (shop.folder / "source" / grows).open("a") as opened:
                opened.write(more)
        return found

    monkeypatch.setattr(landing, "bind_files", meanwhile)
    with pytest.raises(LandingError, match=rf"{grows[-5:]} changed while it was read; nothing was"):
        shop.land("points")
    assert shop.rows("points") == []
    monkeypatch.undo()
    assert shop.landed("points").accepted == 1
    assert list((shop.paths.root / "tmp").iterdir()) == []
