"""Pulling keeps what it got, names what failed, and never shows a credential."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from siyu.config import Settings
from siyu.ingestion.errors import InputError
from siyu.ingestion.pull import Ask, Failed, Piece, PullError, SourceError, pull_connection
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
