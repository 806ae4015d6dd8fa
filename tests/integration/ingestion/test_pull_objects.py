"""Object storage, asked over real HTTP: every version of every object once, whatever breaks."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local_storage import BUCKET, NOW, Storage, empty_storage, running_storage
from moto.server import ThreadedMotoServer

from siyu.config import Settings
from siyu.ingestion.connectors import PULLERS, objects
from siyu.ingestion.pull import PullError, PullReport, pull_connection
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Retailer

SECRET = "s3cr3t-of-the-drop"


@pytest.fixture(scope="session")
def server() -> Iterator[ThreadedMotoServer]:
    with running_storage() as started:
        yield started


@pytest.fixture
def storage(server: ThreadedMotoServer) -> Iterator[Storage]:
    with empty_storage(server) as made:
        yield made


class Drop:
    """A retailer whose suppliers put files into a bucket."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.settings = replace(Settings.from_env({}), home=home, retailer="shop")
        self.connection: dict[str, Any] = {
            "type": "objects", "bucket": BUCKET, "endpoint": endpoint, "scheme": "http",
            "access_key": "${DROP_KEY_ID}", "secret_key": "${DROP_SECRET}", "timeout_seconds": 5,
        }  # fmt: skip
        self.inputs: dict[str, Any] = {}
        self.now = NOW
        self.input("orders", "pos/orders_*.csv*")

    def input(self, name: str, location: str) -> None:
        self.inputs[name] = {"connection": "drop", "format": "csv", "location": location}

    def pull(self) -> dict[str, PullReport]:
        self.now += timedelta(hours=1)
        retailer = Retailer.model_validate(
            {
                "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
                "currency": "CNY", "history_from": "2026-01-01", "identifiers": {}, "models": {},
                "connections": {"drop": self.connection}, "inputs": self.inputs,
                "folder": self.settings.home,
            }
        )  # fmt: skip
        reports = pull_connection(self.settings, retailer, "drop", PULLERS, self.now)
        return {report.name: report for report in reports}

    def copied(self, name: str = "orders") -> list[tuple[str, bytes]]:
        """Keys and bytes of what was copied, in that order."""
        store = RawStore(Paths.of(self.settings), name)
        return [(file.origin, store.open(file.path).read()) for file in store.files()]

    def fails(self) -> PullError:
        with pytest.raises(PullError) as raised:
            self.pull()
        assert SECRET not in str(raised.value)
        return raised.value


class Line:
    """A line to the storage that sees what is asked, and is cut once so many bytes have come."""

    def __init__(self, endpoint: str, cut_after: int = 10**9) -> None:
        host, port = endpoint.split(":")
        self._server, self.left = (host, int(port)), cut_after
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if counted and self.left < len(data):
                    break
                if counted:
                    self.left -= len(data)
                else:
                    self.asked.append(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def drop(tmp_path: Path, storage: Storage) -> Iterator[Drop]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DROP_KEY_ID", "key-id")
        environment.setenv("DROP_SECRET", SECRET)
        yield Drop(tmp_path, storage.endpoint)


def at(hours: int) -> datetime:
    return NOW - timedelta(days=2) + timedelta(hours=hours)


def test_objects_come_as_they_are_in_the_order_they_changed(drop: Drop, storage: Storage) -> None:
    packed = gzip.compress(b"id\n2\n")
    storage.put("pos/orders_1.csv", b"id\n1\n", at(3))
    storage.put("pos/orders_2.csv.gz", packed, at(1))
    storage.put("pos/orders_3.csv", b"id\n3\n", at(2))
    storage.put("pos/returns_1.csv", b"no", at(1))
    storage.put("pos/old/orders_4.csv", b"no", at(1))
    report = drop.pull()["orders"]
    assert (report.files, report.bytes) == (3, 10 + len(packed))
    assert drop.copied() == [
        ("pos/orders_2.csv.gz", packed),
        ("pos/orders_3.csv", b"id\n3\n"),
        ("pos/orders_1.csv", b"id\n1\n"),
    ]
    first, second, _ = RawStore(Paths.of(drop.settings), "orders").files()
    assert first.url.endswith("-000000.csv.gz")
    assert first.name.endswith("-000000/pos/orders_2.csv.gz")
    assert second.url.endswith("-000001.csv")
    assert drop.pull()["orders"].files == 0


@pytest.mark.parametrize(
    ("bucket", "location", "found"),
    [
        (BUCKET, "a/**/*.csv", {"a/1.csv", "a/b/2.csv", "a/b/c/3.csv"}),
        (BUCKET, "a/*/*.csv", {"a/b/2.csv"}),
        (BUCKET, "/a/b/2.csv", {"a/b/2.csv"}),
        (BUCKET, "*.csv", {"0.csv"}),
        (f"{BUCKET}/a", "b/*.csv", {"b/2.csv"}),
        (BUCKET, "nothing/here/*.csv", set()),
    ],
)
def test_locations_are_globs_below_the_connections_prefix(
    drop: Drop, storage: Storage, bucket: str, location: str, found: set[str]
) -> None:
    for key in ("0.csv", "a/1.csv", "a/b/2.csv", "a/b/c/3.csv", "a/b/4.json"):
        storage.put(key, key.encode())
    drop.connection["bucket"] = bucket
    drop.input("orders", location)
    drop.pull()
    assert {key for key, _ in drop.copied()} == found


@pytest.mark.parametrize(("virtual", "host"), [(True, "drop-zone.localhost"), (False, "localhost")])
def test_a_bucket_may_be_part_of_the_hosts_name(
    drop: Drop, storage: Storage, virtual: bool, host: str
) -> None:
    storage.put("pos/orders_1.csv", b"x")
    line = Line(storage.endpoint)
    drop.connection["virtual_hosts"] = virtual
    drop.connection["endpoint"] = line.endpoint.replace("127.0.0.1", "localhost")
    drop.pull()
    line.close()
    assert drop.copied() == [("pos/orders_1.csv", b"x")]
    assert line.asked
    assert all(f"\r\nhost: {host}:".encode() in each.lower() for each in line.asked)


def test_a_list_of_several_pages_is_read_to_its_end(drop: Drop, storage: Storage) -> None:
    for number in range(1_100):
        storage.put(f"pos/page_{number:04}.csv", b"x")
    drop.input("orders", "pos/page_?[05]99.csv")
    drop.input("last", "pos/page_1099.csv")
    drop.pull()
    assert len(drop.copied()) == 3
    assert [key for key, _ in drop.copied("last")] == ["pos/page_1099.csv"]


def test_an_object_with_the_last_ones_time_or_an_older_one_is_not_missed(
    drop: Drop, storage: Storage
) -> None:
    storage.put("pos/orders_2.csv", b"2", at(5))
    drop.pull()
    storage.put("pos/orders_1.csv", b"1", at(5))
    # As storage dates a large upload that began long ago.
    storage.put("pos/orders_0.csv", b"0", at(1))
    drop.pull()
    assert [key[-5] for key, _ in drop.copied()] == ["2", "0", "1"]


def test_an_object_that_was_replaced_comes_again(drop: Drop, storage: Storage) -> None:
    storage.put("pos/orders_1.csv", b"old", at(1))
    storage.put("pos/orders_2.csv", b"same", at(1))
    drop.pull()
    storage.put("pos/orders_1.csv", b"new", at(2))
    drop.pull()
    assert [data for _, data in drop.copied()] == [b"old", b"same", b"new"]
    names = {file.name for file in RawStore(Paths.of(drop.settings), "orders").files()}
    assert len(names) == 3


def test_one_replaced_within_the_same_second_comes_again(drop: Drop, storage: Storage) -> None:
    just_now = NOW + timedelta(hours=1)  # when the first pull begins
    storage.put("pos/orders_1.csv", b"old", just_now)
    drop.pull()
    storage.put("pos/orders_1.csv", b"new", just_now)
    drop.pull()
    drop.pull()
    assert [data for _, data in drop.copied()] == [b"old", b"new"]


def test_an_object_that_cannot_be_read_stops_no_other(
    drop: Drop, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        storage.put(f"pos/orders_{number}.csv", b"x", at(number))
    drop.input("returns", "pos/orders_3.csv")
    real = objects._Copy.__init__

    def archived(self: Any, storage: Any, connection: Any, found: Any) -> None:
        real(self, storage, connection, found)
        if found.key == "pos/orders_2.csv":
            raise OSError(
                "AWS Error UNKNOWN (HTTP status 403) during GetObject: InvalidObjectState"
            )

    monkeypatch.setattr(objects._Copy, "__init__", archived)
    error = drop.fails()
    assert "input orders: cannot read pos/orders_2.csv" in str(error)
    assert [key[-5] for key, _ in drop.copied()] == ["1", "3"]
    assert len(drop.copied("returns")) == 1
    monkeypatch.undo()
    drop.pull()
    assert [key[-5] for key, _ in drop.copied()] == ["1", "3", "2"]


# --- what can go wrong -----------------------------------------------------------------------


def test_a_damaged_raw_file_is_not_blamed_on_the_storage(drop: Drop, storage: Storage) -> None:
    for number in (1, 2):
        storage.put(f"pos/orders_{number}.csv", b"x", at(number))
        drop.pull()
    drop.input("returns", "pos/orders_2.csv")
    file = RawStore(Paths.of(drop.settings), "orders").files()[0].path
    file.write_bytes(file.read_bytes()[:-1])
    error = drop.fails()
    assert set(error.errors) == {"orders"}
    assert f"{file.name} is not a whole sealed file" in str(error)
    assert "bucket" not in str(error)
    assert len(drop.copied("returns")) == 1


@pytest.mark.parametrize(("scheme", "endpoint"), [
    ("http", "minio.example.cn:9000"), ("http", ""), ("https", "http://minio.example.cn"),
])  # fmt: skip
def test_objects_do_not_travel_in_clear(drop: Drop, scheme: str, endpoint: str) -> None:
    drop.connection |= {"scheme": scheme, "endpoint": endpoint}
    error = drop.fails()
    assert "would travel in clear: set scheme: https" in str(error)
    assert not error.transient


def test_a_bucket_that_does_not_exist_is_named(drop: Drop) -> None:
    drop.connection["bucket"] = "no-such-zone"
    error = drop.fails()
    assert "bucket no-such-zone" in str(error)
    assert "does not exist" in str(error)
    assert not error.transient


def test_credentials_that_are_refused_say_where_to_look(drop: Drop, storage: Storage) -> None:
    storage.put("pos/orders_1.csv", b"x")
    storage.require_credentials(True)
    error = drop.fails()
    assert "check access_key and secret_key" in str(error)
    assert "key-id" not in str(error)
    assert not error.transient


def test_storage_that_is_down_may_come_back(drop: Drop) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        drop.connection["endpoint"] = f"127.0.0.1:{free.getsockname()[1]}"
    drop.connection["timeout_seconds"] = 1
    error = drop.fails()
    assert "did not answer" in str(error)
    assert error.transient


def test_a_line_that_breaks_half_way_is_resumed_after_what_is_whole(
    drop: Drop, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_CHUNK", 200_000)
    contents = {f"pos/orders_{number}.csv": bytes([number]) * 1_000_000 for number in range(3)}
    for number, (key, data) in enumerate(contents.items()):
        storage.put(key, data, at(number))
    line = Line(storage.endpoint, cut_after=1_500_000)
    drop.connection["endpoint"] = line.endpoint
    error = drop.fails()
    assert error.transient
    assert "read pos/orders_1.csv" in str(error)
    assert dict(drop.copied()) == {"pos/orders_0.csv": contents["pos/orders_0.csv"]}
    line.left = 10**9
    drop.pull()
    assert dict(drop.copied()) == contents
    assert len(drop.copied()) == 3
    line.close()


def test_an_object_that_is_replaced_while_it_is_copied_is_not_mixed(
    drop: Drop, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_CHUNK", 4)
    storage.put("pos/orders_1.csv", b"old old ", at(1))
    real = objects._Copy.__init__

    def meanwhile(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        storage.put("pos/orders_1.csv", b"new new ", at(2))

    monkeypatch.setattr(objects._Copy, "__init__", meanwhile)
    error = drop.fails()
    assert "was replaced while it was being copied" in str(error)
    assert error.transient
    assert drop.copied() == []
    monkeypatch.setattr(objects._Copy, "__init__", real)
    drop.pull()
    assert drop.copied() == [("pos/orders_1.csv", b"new new ")]
