"""Every row rule, seen to fire; and that a row keeps all the rules it broke."""

import pytest
from made_up_shop import Shop, ledger_csv, outcomes

from siyu.ingestion import open_quarantine

EVERY_RULE = {
    "not_null": ("p1,,30,purchase,2026-06-01", "member_id"),
    "type": ("p1,7,thirty,purchase,2026-06-01", "change"),
    "type of a time": ("p1,7,30,purchase,June the first", "occurred_at"),
    "enum": ("p1,7,30,gift,2026-06-01", "reason"),
    "future_event": ("p1,7,30,purchase,2026-07-01", "occurred_at"),
    "before_history": ("p1,7,30,purchase,2023-12-31", "occurred_at"),
}


@pytest.mark.parametrize(("rule", "line", "column"), [
    (rule, line, column) for rule, (line, column) in EVERY_RULE.items()
])  # fmt: skip
def test_a_row_that_breaks_a_rule_is_quarantined_under_it(
    points_shop: Shop, rule: str, line: str, column: str
) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(line, "p2,7,1,purchase,2026-06-01"))
    manifest = points_shop.landed("points")
    assert outcomes(manifest) == {"rows_in": 2, "accepted": 1, "quarantined": 1}
    assert points_shop.broken() == [("points", rule.split()[0], column, 1)]


@pytest.mark.parametrize(("values", "rule", "column"), [
    ({"currency": "'RMB'"}, "currency", "currency"),
    ({"amount": "-1"}, "range", "amount"),
    ({"amount": "'NaN'::DOUBLE"}, "type", "amount"),
    ({"amount": "1e30"}, "type", "amount"),
    ({"spend_date": "'0000-00-00'"}, "type", "spend_date"),
    ({"spend_date": "'2026-07-01'"}, "future_event", "spend_date"),
    ({"spend_date": "'2023-12-31'"}, "before_history", "spend_date"),
    ({"channel": "'  '"}, "not_null", "channel"),
    ({"clicks": "9223372036854775808"}, "type", "clicks"),
])  # fmt: skip
def test_each_type_is_judged(shop: Shop, values: dict[str, str], rule: str, column: str) -> None:
    said = {"spend_id": "id", "spend_date": "'2026-06-01'", "channel": "'ads'", "amount": "1",
            "currency": "'CNY'", "clicks": "1", **values}  # fmt: skip
    columns = ", ".join(f"{sql} AS {name}" for name, sql in said.items())
    shop.input("ads", format="csv", location="ads.csv")
    shop.mapping("channel_spend", f"SELECT {columns}, _file, _row FROM ads")
    shop.write("ads.csv", "id\n1\n")
    assert outcomes(shop.landed("channel_spend")) == {"rows_in": 1, "quarantined": 1}
    assert shop.broken() == [("channel_spend", rule, column, 1)]


@pytest.mark.parametrize("column", ["updated_at", "recorded_at", "_known_at"])
def test_a_row_from_the_future_cannot_hide_those_that_follow(shop: Shop, column: str) -> None:
    shop.input("crm", format="csv", location="*.csv")
    shop.mapping("members", "SELECT ident('crm', id) AS member_id, "
                            f"local_to_utc(stamp) AS {column}, _file, _row FROM crm")  # fmt: skip
    # Landed at 12:00 in Shanghai.
    shop.write("a.csv", "id,stamp\n1,2099-01-01\n2,2026-06-30 12:14:59\n3,\n")
    manifest = shop.landed("members")
    assert shop.broken() == [("members", "future_time", column, 1)]
    (row,) = open_quarantine(shop.settings, manifest.batch_id)
    assert row["rules"][0]["value"] == "2098-12-31 16:00:00"


@pytest.mark.parametrize(("said", "broken"), [
    ("2026-06-01 10:00:00", []), ("", []), ("soon", ["soon"]), ("infinity", ["infinity"]),
])  # fmt: skip
def test_when_a_row_was_known_is_judged_row_by_row(
    shop: Shop, said: str, broken: list[str]
) -> None:
    shop.input("crm", format="csv", location="*.csv")
    shop.mapping("members", "SELECT ident('crm', id) AS member_id, stamp AS _known_at, _file, _row "
                            "FROM crm")  # fmt: skip
    shop.write("a.csv", f"id,stamp\n1,{said}\n2,2026-06-02\n")
    manifest = shop.landed("members")
    held = open_quarantine(shop.settings, manifest.batch_id)
    assert [row["rules"] for row in held] == [
        [{"rule": "type", "column": "_known_at", "value": value}] for value in broken
    ]
    assert [row["payload"]["_known_at"] for row in held] == broken
    assert manifest.accepted == 2 - len(broken)


def test_an_event_may_be_dated_by_a_clock_that_runs_ahead(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv(
        "p1,7,1,adjust,2026-06-30 12:14:59", "p2,7,1,adjust,2026-06-30 12:15:01"))  # fmt: skip
    points_shop.landed("points")
    assert points_shop.rows("points", "entry_id") == [("p1",)]


@pytest.mark.parametrize("member", ["'7'", "'card:7'", "'crm:'", "'CRM:7'"])
def test_an_identifier_needs_a_declared_namespace_and_a_value(shop: Shop, member: str) -> None:
    shop.input("crm", format="csv", location="crm.csv")
    shop.mapping("members", f"SELECT {member} AS member_id, _file, _row FROM crm")
    shop.write("crm.csv", "id\n1\n")
    assert outcomes(shop.landed("members")) == {"rows_in": 1, "quarantined": 1}
    assert shop.broken() == [("members", "identifier_namespace", "member_id", 1)]


def test_a_row_keeps_every_rule_it_broke_and_the_values(points_shop: Shop) -> None:
    points_shop.write("ledger/a.csv", ledger_csv("p1,null,many,gift,2031-01-01 10:00:00"))
    manifest = points_shop.landed("points")
    (row,) = open_quarantine(points_shop.settings, manifest.batch_id)
    assert (row["file"], row["row"]) == ("a.csv", 1)
    assert row["rules"] == [
        {"rule": "not_null", "column": "member_id", "value": None},
        {"rule": "type", "column": "change", "value": "many"},
        {"rule": "enum", "column": "reason", "value": "gift"},
        {"rule": "future_event", "column": "occurred_at", "value": "2031-01-01 02:00:00"},
    ]
    assert row["payload"]["change"] == "many"


@pytest.mark.parametrize("blank", ["", "  ", "null", "NULL"])
def test_ident_is_null_for_a_value_that_says_nothing(shop: Shop, blank: str) -> None:
    shop.input("crm", format="csv", location="crm.csv")
    shop.mapping("members", "SELECT ident('crm', id) AS member_id, ident('wx', openid) AS openid, "
                            "_file, _row FROM crm")  # fmt: skip
    shop.write("crm.csv", f'id,openid\n 1 ,"{blank}"\n')
    shop.landed("members")
    assert shop.rows("members", "member_id, openid") == [("crm:1", None)]


def test_try_decimal_is_null_for_what_is_no_number(shop: Shop) -> None:
    shop.input("goods", format="csv", location="goods.csv")
    shop.mapping("products", "SELECT id AS product_id, try_decimal(price) AS list_price, "
                             "_file, _row FROM goods")  # fmt: skip
    shop.write("goods.csv", "id,price\n1, 1.5 \n2,n/a\n3,\n")
    shop.landed("products")
    assert shop.rows("products", "product_id, list_price::DOUBLE") == [
        ("1", 1.5), ("2", None), ("3", None),
    ]  # fmt: skip


def test_an_absent_time_is_no_fault_but_a_wrong_one_is(shop: Shop) -> None:
    shop.input("crm", format="csv", location="crm.csv")
    shop.mapping("members", "SELECT ident('crm', id) AS member_id, "
                            "local_to_utc(joined) AS registered_at, _file, _row FROM crm")  # fmt: skip
    shop.write("crm.csv", "id,joined\n1,\n2,2026-13-01\n3,2026-06-01\n")
    assert outcomes(shop.landed("members")) == {"rows_in": 3, "accepted": 2, "quarantined": 1}
    assert shop.broken() == [("members", "type", "registered_at", 1)]
