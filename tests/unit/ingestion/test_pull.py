"""Pulling keeps what it got, names what failed, and never shows a credential."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from siyu.config import Settings
from siyu.ingestion.errors import InputError
from siyu.ingestion.pull import (
    Ask,
    Failed,
    Piece,
    PullError,
    SourceError,
    by_itself,
    pull_connection,
)
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Retailer

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PASSWORD = "s3cr3t-of-the-erp"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ERP_PASSWORD", PASSWORD)
    return replace(Settings.from_env({}), home=tmp_path, retailer="shop")


@pytest.fixture
def retailer(tmp_path: Path) -> Retailer:
    return Retailer.model_validate(
        {
            "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
            "currency": "CNY", "history_from": "2026-01-01", "identifiers": {}, "models": {},
            "connections": {
                "erp": {"type": "postgres", "dsn": "postgresql://r:${ERP_PASSWORD}@db/erp"}
            },
            "inputs": {
                name: {"connection": "erp", "format": "jsonl", "location": name}
                for name in ("orders", "refunds")
            },
            "folder": tmp_path,
        }
    )  # fmt: skip


def piece(name: str, line: bytes, after: int) -> Piece:
    return Piece(name, ".jsonl", lambda out: out.write(line) // len(line), {"after": after})


def test_pieces_become_raw_files_and_the_next_pull_goes_on_from_them(
    settings: Settings, retailer: Retailer
) -> None:
    seen: list[dict[str, Any]] = []

    def puller(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        seen.append({ask.name: dict(ask.cursor) for ask in asks})
        yield piece("orders", b'{"a": 1}\n', 1)
        yield piece("orders", b'{"a": 2}\n', 2)

    first = pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert {report.name: (report.files, report.rows) for report in first} == {
        "orders": (2, 2),
        "refunds": (0, 0),
    }
    assert seen == [{"orders": {}, "refunds": {}}, {"orders": {"after": 2}, "refunds": {}}]


def test_one_input_that_fails_does_not_stop_the_others(
    settings: Settings, retailer: Retailer
) -> None:
    def puller(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        yield Failed("orders", SourceError("no such table", transient=False))
        yield piece("refunds", b'{"a": 1}\n', 1)

    with pytest.raises(PullError, match="input orders: no such table") as raised:
        pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert not raised.value.transient
    assert RawStore(Paths.of(settings), "refunds").cursor() == {"after": 1}


def test_a_break_keeps_what_came_before_it(settings: Settings, retailer: Retailer) -> None:
    def puller(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        yield piece("orders", b'{"a": 1}\n', 1)
        raise SourceError("the connection went away", transient=True)

    with pytest.raises(PullError, match="the connection went away") as raised:
        pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert raised.value.transient
    assert RawStore(Paths.of(settings), "orders").cursor() == {"after": 1}


def one_of_each(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
    for ask in asks:
        yield piece(ask.name, b'{"a": 1}\n', 1)


def test_a_full_disk_fails_the_input_that_did_not_fit_and_keeps_nothing_past_it(
    settings: Settings,
    retailer: Retailer,
    full_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    def puller(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        yield piece("orders", b'{"a": 1}\n', 1)
        yield piece("orders", os.urandom(3 << 20), 2)
        yield piece("orders", b'{"a": 3}\n', 3)
        yield piece("refunds", b'{"a": 1}\n', 1)

    with full_disk(), pytest.raises(PullError) as raised:
        pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert set(raised.value.errors) == {"orders"}
    folder = Paths.of(settings).raw / "orders"
    assert f"{folder}: File too large; see that the disk has room" in str(raised.value)
    assert RawStore(Paths.of(settings), "orders").cursor() == {"after": 1}
    assert list(folder.glob(".*")) == []
    assert [(report.name, report.rows) for report in raised.value.reports] == [
        ("orders", 1), ("refunds", 1),
    ]  # fmt: skip
    pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert RawStore(Paths.of(settings), "orders").cursor() == {"after": 3}


def test_a_damaged_raw_file_fails_its_input_until_it_is_moved_away(
    settings: Settings, retailer: Retailer, tmp_path: Path
) -> None:
    pullers = {"postgres": one_of_each}
    pull_connection(settings, retailer, "erp", pullers, NOW)
    store = RawStore(Paths.of(settings), "orders")
    (file,) = [each.path for each in store.files()]
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(PullError) as raised:
        pull_connection(settings, retailer, "erp", pullers, NOW)
    assert set(raised.value.errors) == {"orders"}
    said = f"{file.name} is not a whole sealed file; pull it again: move it out of {store.folder}"
    assert said in str(raised.value)
    assert [report.name for report in raised.value.reports] == ["refunds"]
    file.rename(tmp_path / "damaged")
    pull_connection(settings, retailer, "erp", pullers, NOW)
    assert store.cursor() == {"after": 1}


def test_what_a_puller_finds_damaged_of_one_input_stops_no_other(
    settings: Settings, retailer: Retailer
) -> None:
    pull_connection(settings, retailer, "erp", {"postgres": one_of_each}, NOW)
    (file,) = RawStore(Paths.of(settings), "orders").files()
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])

    def puller(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        def reads_back(ask: Ask) -> Iterator[Piece]:
            for each in ask.store.files():
                ask.store.open(each.path).read()
            yield piece(ask.name, b'{"a": 2}\n', 2)

        for ask in asks:
            yield from by_itself(ask, reads_back(ask))

    with pytest.raises(
        PullError, match=r"input orders: .*wrong wrapping key, or the bytes"
    ) as raised:
        pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert set(raised.value.errors) == {"orders"}
    assert RawStore(Paths.of(settings), "refunds").cursor() == {"after": 2}


def test_credentials_are_in_no_error(settings: Settings, retailer: Retailer) -> None:
    def puller(connection: Any, asks: Sequence[Ask], now: datetime) -> Iterator[Piece | Failed]:
        yield Failed("orders", SourceError(f"cannot reach {connection.dsn}", transient=True))
        raise SourceError(f"password {PASSWORD} was refused", transient=False)

    with pytest.raises(PullError) as raised:
        pull_connection(settings, retailer, "erp", {"postgres": puller}, NOW)
    assert PASSWORD not in str(raised.value)
    assert "password ••• was refused" in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_variable_that_is_not_set_is_named(
    settings: Settings, retailer: Retailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ERP_PASSWORD")
    with pytest.raises(InputError, match=r"connection erp: .*set ERP_PASSWORD"):
        pull_connection(settings, retailer, "erp", {}, NOW)
