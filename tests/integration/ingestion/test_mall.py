"""Trades of a Youzan-like mall over real HTTP, while they change."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_mall import NOON, SEALED_PHONE, SECRET, TOKEN, TRADES, FakeMall, trade
from http_api_server import BROKEN, CUT_SHORT, NO_JSON, RESET, ApiServer, Fault, says
from http_pulling import NOW, Pulling
from made_up_shop import Shop

from siyu.config import REPO
from siyu.ingestion.connectors import mall
from siyu.ingestion.pull import PullError
from siyu.retailer import read_retailer


@pytest.fixture
def shop_of_the_mall() -> FakeMall:
    return FakeMall()


@pytest.fixture
def server(shop_of_the_mall: FakeMall) -> Iterator[ApiServer]:
    with ApiServer(shop_of_the_mall.routes) as server:
        yield server


@pytest.fixture
def pulling(
    tmp_path: Path,
    server: ApiServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Pulling]:
    """A pull of trades; whatever happens, its log gives nothing away."""
    monkeypatch.setenv("MALL_SECRET", SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level(logging.DEBUG)
    connection = {
        "type": "mall", "base_url": server.url, "client_id": "c1", "timeout_seconds": 10,
        "client_secret": "${MALL_SECRET}", "shop_id": "1001",
    }  # fmt: skip
    yield Pulling(tmp_path, connection, mall.pull, {"trades": {"pull": {"window_days": 7}}})
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert TOKEN in logged
    for private in (SECRET, "token-", SEALED_PHONE):
        assert private not in logged


def refused(pulling: Pulling, now: datetime = NOW) -> PullError:
    """The error of a pull, which gives nothing away."""
    with pytest.raises(PullError) as raised:
        pulling.pull(now)
    for private in (SECRET, "token-", SEALED_PHONE, "127.0.0.1"):
        assert private not in str(raised.value)
    return raised.value


def kept(pulling: Pulling) -> set[str]:
    lines = pulling.lines("trades")
    return {line["full_order_info"]["order_info"]["tid"] for line in lines}


ALL = {f"E{number:03}" for number in range(1, 8)}


def test_trades_are_kept_as_they_came(pulling: Pulling, server: ApiServer) -> None:
    report = pulling.pull()["trades"]
    assert kept(pulling) == ALL
    line = pulling.lines("trades")[-1]
    assert line == {
        "pulled_at": "2026-06-10T04:00:00+00:00",
        **trade(2, NOON - timedelta(minutes=2)),
    }
    assert line["full_order_info"]["pay_info"]["total_fee"] == "19.90"
    assert report.warnings == ("7 of 7 trades have an encrypted phone",)
    assert report.cursor == {"through": "2026-06-10 12:00:00"}
    windows = {(one.body["start_update"], one.body["end_update"]) for one in server.asked(TRADES)}
    assert windows == {
        ("2026-06-01 00:00:00", "2026-06-08 00:00:00"),
        ("2026-06-08 00:00:00", "2026-06-10 12:00:00"),
    }


def test_the_next_pull_asks_from_where_this_one_ended_less_the_overlap(
    pulling: Pulling, server: ApiServer, shop_of_the_mall: FakeMall
) -> None:
    pulling.pull()
    before = len(server.requests)
    shop_of_the_mall.updated[3] = NOON + timedelta(minutes=30)
    pulling.pull(NOW + timedelta(hours=1))
    asked = server.requests[before + 1].body
    assert (asked["start_update"], asked["end_update"]) == (
        "2026-06-10 11:55:00", "2026-06-10 13:00:00",
    )  # fmt: skip
    versions = [
        line["full_order_info"]["order_info"]["update_time"]
        for line in pulling.lines("trades")
        if line["full_order_info"]["order_info"]["tid"] == "E003"
    ]
    assert versions[-1] == "2026-06-10 12:30:00"


@pytest.mark.parametrize("says_total", [True, False], ids=["total", "has_next"])
@pytest.mark.parametrize(
    "change", [[1], [1, 2], [7], [4, 3], [1, 3, 5, 6], [0, 1, 0, 0, 2], [0, 7, 0, 6, 5]]
)
def test_no_trade_is_lost_while_others_leave_the_pages(
    pulling: Pulling, shop_of_the_mall: FakeMall, says_total: bool, change: list[int]
) -> None:
    pulling.inputs = {"trades": {"pull": {"window_days": 30}}}
    shop_of_the_mall.says_total = says_total
    shop_of_the_mall.change = list(change)
    pulling.pull()
    assert shop_of_the_mall.change == []
    assert kept(pulling) >= ALL - {f"E{number:03}" for number in change}
    # Those that left are in the next window.
    pulling.pull(NOW + timedelta(hours=1))
    assert kept(pulling) == ALL


def test_paging_forwards_would_lose_trades_here(shop_of_the_mall: FakeMall) -> None:
    """What the test above is up against: the same shop, read from its first page to its last."""
    shop_of_the_mall.tokens, shop_of_the_mall.change = 1, [1]
    asked = {
        "start_update": "2026-06-01 00:00:00", "end_update": "2026-06-10 12:00:00",
        "page_size": 100,
    }  # fmt: skip
    query = {"access_token": "token-1"}
    read = {
        one["full_order_info"]["order_info"]["tid"]
        for number in (1, 2, 3, 4)
        for one in shop_of_the_mall.trades(query, {**asked, "page_no": number})["data"][
            "full_order_info_list"
        ]
    }
    assert read == ALL - {"E003"}


def test_a_shop_that_never_holds_still_is_reported(
    pulling: Pulling, shop_of_the_mall: FakeMall
) -> None:
    shop_of_the_mall.says_total = False
    trades = shop_of_the_mall.trades

    def more(query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if body["page_no"] == 1:
            shop_of_the_mall.updated[len(shop_of_the_mall.updated) + 1] = NOON
        return trades(query, body)

    shop_of_the_mall.routes[TRADES] = more
    error = refused(pulling)
    assert "does not hold still; make pull.window_days smaller" in str(error)
    assert error.transient


FAULTS = {
    "server error": (BROKEN, "HTTP 502"),
    "reset": (RESET, "the connection failed"),
    "cut short": (CUT_SHORT, "the connection failed"),
    "no json": (NO_JSON, "an answer that is no whole JSON object"),
    "too many": (Fault(status=429), "HTTP 429"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=list(FAULTS))
def test_what_passes_is_asked_again_and_what_does_not_is_said(
    pulling: Pulling, server: ApiServer, fault: Fault, said: str
) -> None:
    server.always[TRADES] = fault
    error = refused(pulling)
    assert error.transient
    assert "input trades: trades: " in str(error)
    assert said in str(error)
    server.always.clear()
    server.faults[TRADES] += [fault]
    pulling.pull()
    assert kept(pulling) == ALL


def test_an_expired_token_is_renewed(
    pulling: Pulling, server: ApiServer, shop_of_the_mall: FakeMall
) -> None:
    server.faults[TRADES] += [says(gw_err_resp={"err_code": 4203, "err_msg": SECRET})]
    pulling.pull()
    assert (kept(pulling), shop_of_the_mall.tokens) == (ALL, 2)


def test_a_refusal_names_the_code_only(pulling: Pulling, server: ApiServer) -> None:
    server.always[TRADES] = says(success=False, code=140500101, message=SEALED_PHONE)
    error = refused(pulling)
    assert "trades: the mall refuses with code 140500101" in str(error)
    assert not error.transient


def test_a_wrong_secret_stops_the_connection(
    pulling: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALL_SECRET", "wrong-secret")
    error = refused(pulling)
    assert "does not accept the connection's client_id and client_secret" in str(error)
    assert "wrong-secret" not in str(error)


@pytest.mark.parametrize(("path", "answer"), [
    (TRADES, {"data": {"full_order_info_list": [], "total_results": SEALED_PHONE}}),
    (TRADES, {"data": {"full_order_info_list": [SEALED_PHONE], "total_results": 1}}),
    (TRADES, {"error_response": SEALED_PHONE}),
    (TOKEN, {"data": [SEALED_PHONE]}),
    (TOKEN, {"gw_err_resp": [SEALED_PHONE]}),
])  # fmt: skip
def test_an_answer_of_a_shape_that_nobody_knows_is_said(
    pulling: Pulling, server: ApiServer, path: str, answer: dict[str, Any]
) -> None:
    server.always[path] = says(**answer)
    error = refused(pulling)
    assert not error.transient
    assert pulling.lines("trades") == []


def test_a_resource_that_does_not_exist_is_named(pulling: Pulling) -> None:
    pulling.inputs = {"refunds": {}, "trades": {}}
    assert "the mall has no resource refunds; it knows trades" in str(refused(pulling))
    assert kept(pulling) == ALL


def test_a_break_keeps_the_pages_before_it_and_the_window_is_read_again(
    pulling: Pulling, server: ApiServer
) -> None:
    first = says(code=200, success=True, data={"full_order_info_list": [], "total_results": 0})
    page = says(code=200, success=True, data={
        "full_order_info_list": [trade(1, NOON), trade(2, NOON)], "total_results": 3})  # fmt: skip
    server.faults[TRADES] += [first, page, page, *[BROKEN] * 6]
    refused(pulling)
    assert kept(pulling) == {"E001", "E002"}
    assert pulling.store("trades").cursor() == {"through": "2026-06-08 00:00:00"}
    pulling.pull(NOW + timedelta(hours=1))
    assert kept(pulling) == ALL


def test_the_demo_retailers_mapping_reads_what_is_pulled(pulling: Pulling, shop: Shop) -> None:
    pulling.pull()
    shop.write("trades.jsonl", pulling.plain("trades"))
    columns = read_retailer(REPO / "retailers" / "demo").inputs["mall_trades"].columns
    shop.said["identifiers"] = {"yz": {"type": "buyer_id"}, "wxa": {"type": "openid"}}
    shop.input("mall_trades", format="jsonl", location="trades.jsonl", columns=dict(columns))
    sql = (REPO / "retailers" / "demo" / "orders.sql").read_text("utf-8")
    shop.mapping("orders", sql.partition("UNION ALL BY NAME")[2])
    shop.land("orders")
    assert shop.broken() == []
    landed = shop.rows("orders", "order_id, net_amount::VARCHAR, phone_token, updated_at::VARCHAR")
    assert landed[0] == ("E001", "19.9000", None, "2026-06-10 03:59:00")
    assert len(landed) == 7
