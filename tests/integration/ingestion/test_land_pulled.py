"""What was pulled lands like any other file: once, under its names, and complete as far as asked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from fake_mall import SECRET as MALL_SECRET
from fake_mall import FakeMall
from fake_wecom import SECRET as WECOM_SECRET
from fake_wecom import FakeWecom, contact
from http_api_server import BROKEN, ApiServer
from http_pulling import NOW
from local_storage import BUCKET, Storage, empty_storage, running_storage
from made_up_shop import POINTS, Shop, ledger_csv, outcomes
from temporary_postgres import Server

from siyu.config import REPO
from siyu.ingestion import LandingError, LandingReport, check_retailer, replay
from siyu.ingestion.connectors import PULLERS, mall, wecom
from siyu.ingestion.pull import Puller, PullError, pull_connection
from siyu.ingestion.raw import RawFile, RawStore
from siyu.quality import quarantine
from siyu.retailer import read_retailer

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def storage() -> Iterator[Storage]:
    with running_storage() as server, empty_storage(server) as made:
        yield made


class Fed:
    """A shop with an input that a connection feeds."""

    def __init__(
        self, shop: Shop, connection: dict[str, Any], puller: Puller | None = None
    ) -> None:
        self.shop, self._type = shop, connection["type"]
        self.shop.said["connections"] = {"api": connection}
        self._pullers = {**PULLERS, **({self._type: puller} if puller else {})}

    def input(self, name: str, location: str, **settings: Any) -> None:
        self.shop.pulled(name, connection="api", location=location, **settings)

    def pull(self, now: Any = NOW) -> None:
        pull_connection(self.shop.settings, self.shop.retailer, "api", self._pullers, now)

    def raw(self, name: str) -> list[RawFile]:
        return RawStore(self.shop.paths, name).files()

    def through(self, name: str) -> date | None:
        return self.shop.lake.complete_through(self.shop.retailer).get(name)


# --- a database -------------------------------------------------------------------------------


class Till(Fed):
    """A shop whose points ledger is a table, asked for what changed last."""

    def __init__(self, shop: Shop, database: Server) -> None:
        super().__init__(shop, {"type": "postgres", "dsn": "${ERP_DSN}"})
        self._database, self.schema = database, f"s{uuid.uuid4().hex[:8]}"
        database.execute(
            f"CREATE SCHEMA {self.schema}",
            f"CREATE TABLE {self.schema}.ledger (id text, member text, change int, reason text, "
            "happened timestamp, seen timestamptz)",
        )
        pull = {"cursor": "seen", "overlap_seconds": 3600}
        self.input("ledger", f"{self.schema}.ledger", format="parquet", pull=pull, required=True)
        shop.mapping("points", POINTS)

    def add(self, entry: str, seen: str, reason: str = "purchase") -> None:
        self._database.execute(
            f"INSERT INTO {self.schema}.ledger VALUES "
            f"('{entry}', '7', 30, '{reason}', '2026-06-02 12:00', '{seen}')"
        )

    def change(self, statement: str) -> None:
        self._database.execute(statement)

    def empty(self) -> None:
        """The table forgets what was pulled."""
        self._database.execute(f"DELETE FROM {self.schema}.ledger")

    def land(self, now: Any = NOW) -> LandingReport:
        (report,) = self.shop.land("points", now)
        return report


@pytest.fixture
def till(shop: Shop, database: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    monkeypatch.setenv("ERP_DSN", database.dsn())
    made = Till(shop, database)
    yield made
    database.execute(f"DROP SCHEMA {made.schema} CASCADE")


def test_what_was_pulled_is_let_out_of_quarantine_without_asking_the_system_again(
    till: Till,
) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.add("p2", "2026-06-09 10:00+00", reason="bought")
    till.pull()
    first = till.land().manifest
    assert first is not None
    assert (first.accepted, first.quarantined) == (1, 1)
    till.empty()
    till.shop.mapping(
        "points", POINTS.replace("reason,", "replace(reason, 'bought', 'purchase') AS reason,")
    )

    done = replay(till.shop.settings, till.shop.retailer, "points", "run-2", NOW + DAY)

    assert done.unreleased == ()
    assert till.shop.rows("points", "entry_id") == [("p1",), ("p2",)]


def test_a_table_lands_and_of_the_next_pull_only_what_is_new(till: Till) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    first = till.land().manifest
    assert first is not None
    assert outcomes(first) == {"rows_in": 1, "accepted": 1}
    (file,) = till.raw("ledger")
    assert [(said.name, said.sha256, said.bytes) for said in first.files] == [
        (file.name, file.sha256, file.bytes)
    ]
    assert till.shop.rows("points", "entry_id, occurred_at::VARCHAR, _file, _row") == [
        ("p1", "2026-06-02 04:00:00", file.name, 1)
    ]
    till.add("p2", "2026-06-09 10:30+00")
    till.pull(NOW + HOUR)
    second = till.land(NOW + HOUR).manifest
    assert second is not None
    # The overlap brings the first row again.
    assert outcomes(second) == {"rows_in": 2, "accepted": 1, "duplicates": 1}
    assert [said.name for said in second.files] == [till.raw("ledger")[1].name]


def test_a_pull_that_finds_nothing_new_still_shows_completeness(till: Till) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    assert till.through("ledger") is None
    report = till.land()
    assert report.manifest is not None
    assert report.manifest.complete_through == till.through("ledger") == date(2026, 6, 9)
    version = till.shop.lake.version("points")
    till.pull(NOW + 3 * DAY)
    # Nobody may count on a day before what was pulled has landed.
    assert till.through("ledger") == date(2026, 6, 9)
    assert till.land(NOW + 3 * DAY).outcome == "unchanged"
    assert till.through("ledger") == date(2026, 6, 12)
    assert till.shop.lake.version("points") == version
    assert till.shop.lake.last_complete_day(till.shop.retailer, date(2026, 7, 1)) == date(
        2026, 6, 12
    )


def test_a_pull_that_breaks_shows_no_completeness(till: Till) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    till.land()
    till.input("ledger", f"{till.schema}.nosuch", format="parquet", pull={"cursor": "seen"})
    with pytest.raises(PullError):
        till.pull(NOW + 3 * DAY)
    till.land(NOW + 3 * DAY)
    assert till.through("ledger") == date(2026, 6, 9)


def test_a_changed_mapping_maps_what_was_pulled_anew(till: Till) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    till.land()
    till.shop.mapping("points", POINTS.replace("change,", "change * 10 AS change,"))
    assert till.land(NOW + HOUR).outcome == "landed"
    assert till.shop.rows("points", "change") == [(300,)]


@pytest.mark.parametrize("place", [-200, 20, 0])
def test_a_damaged_raw_file_is_an_error_that_names_it(till: Till, place: int) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    (file,) = till.raw("ledger")
    data = bytearray(file.path.read_bytes())
    if place:
        data[place] ^= 1
    file.path.write_bytes(data if place else data[: len(data) // 2])
    with pytest.raises(LandingError, match=r"input ledger: .*20260610T.*parquet.* from a backup"):
        till.land()
    assert till.shop.lake.version("points") is None


def test_a_raw_file_whose_key_is_gone_is_an_error_that_says_so(till: Till) -> None:
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    for key in till.shop.paths.keys.iterdir():
        key.unlink()
    till.shop.paths.vault.unlink()
    with pytest.raises(LandingError, match=r"20260610T.*parquet: no key for batch"):
        till.land()


def test_the_check_of_a_retailer_reads_what_was_pulled(till: Till) -> None:
    folder = till.shop.settings.retailers / "shop"
    till.shop.input("other", format="csv", location="other.csv")
    before = check_retailer(folder, till.shop.settings)
    assert [found.error for found in before.inputs if found.name == "ledger"] == [
        "nothing has been pulled from connection api yet"
    ]
    till.add("p1", "2026-06-09 10:00+00")
    till.pull()
    for selected in ("shop", "another"):
        settings = replace(till.shop.settings, retailer=selected)
        (entity,) = check_retailer(folder, settings).entities
        assert entity.ok
        assert entity.rows == 1


def newest_change(shop: Shop) -> int:
    (row,) = shop.query(
        "SELECT arg_max(change, (_known_at, _loaded_at, _file, _row)) FROM lake.points WHERE entry_id = 'p1'"
    )
    return int(row[0])


@pytest.mark.parametrize("at_once", [False, True])
def test_a_row_of_a_snapshot_that_goes_back_or_comes_back_holds_again(
    till: Till, at_once: bool
) -> None:
    pull = {"mode": "snapshot", "key": ["id"]}
    till.input("ledger", f"{till.schema}.ledger", format="parquet", pull=pull)
    till.shop.mapping(
        "points", POINTS.replace("change,", "CASE WHEN _deleted THEN 0 ELSE change END AS change,")
    )
    till.add("p2", "2026-06-09 10:00+00")
    till.add("p1", "2026-06-09 10:00+00")
    table = f"{till.schema}.ledger"
    steps = (
        ("SELECT 1", 30),
        (f"UPDATE {table} SET change = 12 WHERE id = 'p1'", 12),
        (f"UPDATE {table} SET change = 30 WHERE id = 'p1'", 30),
        (f"UPDATE {table} SET change = 12 WHERE id = 'p1'", 12),
        (f"DELETE FROM {table} WHERE id = 'p1'", 0),
        (f"INSERT INTO {table} SELECT 'p1', member, 12, reason, happened, seen FROM {table}", 12),
    )
    for hour, (statement, change) in enumerate(steps):
        till.change(statement)
        till.pull(NOW + hour * HOUR)
        if not at_once or statement == steps[-1][0]:
            assert till.land(NOW + hour * HOUR).outcome == "landed"
            assert newest_change(till.shop) == change
    assert till.land(NOW + DAY).outcome == "unchanged"


# --- APIs -------------------------------------------------------------------------------------


def test_contacts_land_and_later_only_those_that_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WECOM_SECRET", WECOM_SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    demo = read_retailer(REPO / "retailers" / "demo")
    shop.said["identifiers"] = {
        "wecom": {"type": "external_userid"}, "wxopen": {"type": "unionid"},
    }  # fmt: skip
    shop.write(
        "lost.csv",
        "external_userid,unionid,nickname,gender,userid,remark_mobile,add_way,state,tag_id,"
        "add_time,lost_time,lost_type\n",
    )
    corporation = FakeWecom()
    with ApiServer(corporation.routes) as server:
        connection = {
            "type": "wecom", "base_url": server.url, "corp_id": "ww1",
            "secret": "${WECOM_SECRET}", "timeout_seconds": 10,
        }  # fmt: skip
        fed = Fed(shop, connection, partial(wecom.pull, sleep=lambda _: None))
        columns = dict(demo.inputs["wecom_contacts"].columns)
        fed.input("wecom_contacts", "external_contacts", format="jsonl", columns=columns)
        shop.input("wecom_lost_contacts", format="csv", location="lost.csv")
        shop.mapping("contacts", demo.mappings["contacts"].read_text("utf-8"))
        fed.pull()
        shop.land("contacts")
        assert len(shop.rows("contacts")) == 5
        corporation.contacts["anna"].append(contact("a4"))
        fed.pull(NOW + DAY)
        landed = [
            report.manifest
            for report in shop.land("contacts", NOW + DAY)
            if report.source == "wecom_contacts"
        ]
    assert [manifest and outcomes(manifest) for manifest in landed] == [
        {"rows_in": 1, "accepted": 1}
    ]
    assert shop.broken() == []
    assert fed.through("wecom_contacts") == date(2026, 6, 10)


def test_trades_land_and_what_a_break_left_out_comes_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALL_SECRET", MALL_SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    demo = read_retailer(REPO / "retailers" / "demo")
    shop.said["identifiers"] = {"yz": {"type": "buyer_id"}, "wxa": {"type": "openid"}}
    trades = FakeMall()
    with ApiServer(trades.routes) as server:
        connection = {
            "type": "mall", "base_url": server.url, "client_id": "c1", "timeout_seconds": 10,
            "client_secret": "${MALL_SECRET}", "shop_id": "1001",
        }  # fmt: skip
        fed = Fed(shop, connection, partial(mall.pull, sleep=lambda _: None))
        columns = dict(demo.inputs["mall_trades"].columns)
        fed.input("mall_trades", "trades", format="jsonl", columns=columns)
        sql = demo.mappings["orders"].read_text("utf-8")
        shop.mapping("orders", sql.partition("UNION ALL BY NAME")[2])
        fed.pull()
        shop.land("orders")
        assert len(shop.rows("orders")) == 7
        server.faults["/api/youzan.trades.sold.get/4.0.0"] += [BROKEN] * 6
        with pytest.raises(PullError):
            fed.pull(NOW + DAY)
        shop.land("orders", NOW + DAY)
        assert fed.through("mall_trades") == date(2026, 6, 9)
        fed.pull(NOW + DAY + HOUR)
        shop.land("orders", NOW + DAY + HOUR)
    assert fed.through("mall_trades") == date(2026, 6, 10)
    assert len(shop.rows("orders")) == 7
    assert shop.broken() == []


# --- object storage ---------------------------------------------------------------------------


def fed_by(shop: Shop, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Fed:
    """A shop that object storage feeds."""
    monkeypatch.setenv("DROP_KEY_ID", "key")
    monkeypatch.setenv("DROP_SECRET", "secret")
    connection = {
        "type": "objects", "bucket": BUCKET, "endpoint": storage.endpoint, "scheme": "http",
        "timeout_seconds": 5, "access_key": "${DROP_KEY_ID}", "secret_key": "${DROP_SECRET}",
    }  # fmt: skip
    return Fed(shop, connection)


def test_objects_land_under_their_keys_and_a_replaced_one_lands_again(
    shop: Shop, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = fed_by(shop, storage, monkeypatch)
    fed.input("ledger", "points/*.csv*", format="csv")
    shop.mapping("points", POINTS)
    key = "points/门店 [1].csv"
    said = ledger_csv("购1,7,30,purchase,2026-06-01 08:00:00", "broken off")
    storage.put(key, said.encode("gb18030"))
    fed.pull()
    (report,) = shop.land("points", NOW)
    assert [file.name for file in fed.raw("ledger")] == [f"20260610T040000000000Z-000000/{key}"]
    assert shop.rows("points", "entry_id, _file") == [
        ("购1", f"20260610T040000000000Z-000000/{key}")
    ]
    assert "gb18030" in report.warnings[0]
    # That a bucket holds no more says nothing of the day after its rows.
    assert fed.through("ledger") == date(2026, 5, 31)
    storage.put(key, ledger_csv("购1,7,31,purchase,2026-06-03 08:00:00").encode())
    fed.pull(NOW + HOUR)
    manifest = shop.landed("points", NOW + HOUR)
    assert outcomes(manifest) == {"rows_in": 1, "accepted": 1}
    assert [file.name for file in manifest.files] == [f"20260610T050000000000Z-000001/{key}"]
    # The record that could not be read came in the object that was replaced.
    assert [row["status"] for row in quarantine(shop.paths, shop.retailer).to_pylist()] == [
        "released"
    ]


def test_an_object_that_is_as_it_was_before_holds_again(
    shop: Shop, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = fed_by(shop, storage, monkeypatch)
    fed.input("ledger", "points.csv", format="csv")
    shop.mapping("points", POINTS)
    for hour, change in enumerate((10, 12, 10)):
        text = ledger_csv(f"p1,7,{change},purchase,2026-06-01 08:00:00")
        storage.put("points.csv", text.encode())
        fed.pull(NOW + hour * HOUR)
        shop.landed("points", NOW + hour * HOUR)
        assert newest_change(shop) == change
        assert shop.land("points", NOW + hour * HOUR)[0].outcome == "unchanged"
