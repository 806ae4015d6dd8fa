"""The macros that move times between the retailer's clock and UTC."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from siyu.ingestion.mapping import calm_spans, create_macros
from siyu.retailer import Retailer

ZONES = ["Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe"]
NOW = datetime(2026, 6, 30, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def retailer(zone: str) -> Retailer:
    return Retailer(
        name="shop", en="Shop", zh="店", timezone=zone, currency="CNY",
        history_from=date(2024, 1, 1), identifiers={}, inputs={}, models={}, folder=Path(),
    )  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("macro", "calendar"), [
    ("local_to_utc", "timezone('UTC', timezone($zone, ts))"),
    ("utc_to_local", "timezone($zone, timezone('UTC', ts))"),
])  # fmt: skip
def test_the_fast_way_agrees_with_the_calendar_at_every_half_hour(
    connection: duckdb.DuckDBPyConnection, zone: str, macro: str, calendar: str
) -> None:
    create_macros(connection, retailer(zone), NOW)
    row = connection.execute(
        f"SELECT count(*), count(*) FILTER ({macro}(ts) IS DISTINCT FROM {calendar}) FROM ("
        "SELECT unnest(generate_series(TIMESTAMP '2023-10-01', TIMESTAMP '2027-01-01', "
        "INTERVAL 30 MINUTE)) AS ts)",
        {"zone": zone},
    ).fetchone()
    assert row is not None
    assert row[0] > 50_000
    assert row[1] == 0


def test_texts_dates_and_blanks_are_taken_too(connection: duckdb.DuckDBPyConnection) -> None:
    create_macros(connection, retailer("Asia/Shanghai"), NOW)
    assert connection.execute(
        "SELECT local_to_utc('2026-06-01 08:00:00')::VARCHAR, local_to_utc(DATE '2026-06-01')::VARCHAR, "
        "local_to_utc(' '), local_to_utc(NULL), local_to_utc('soon')::VARCHAR, "
        "utc_to_local('1970-01-01')::VARCHAR"
    ).fetchone() == (
        "2026-06-01 00:00:00", "2026-05-31 16:00:00", None, None, "-infinity",
        "1970-01-01 08:00:00",
    )  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_a_calm_span_keeps_its_offset_for_a_day_around_it(zone: str) -> None:
    spans = calm_spans(ZoneInfo(zone), date(2024, 1, 1), date(2026, 6, 30))
    assert spans
    for span in spans:
        start = datetime.combine(span.first, datetime.min.time(), UTC) - timedelta(hours=14)
        end = datetime.combine(span.last, datetime.min.time(), UTC) + timedelta(hours=14)
        offsets = {
            moment.astimezone(ZoneInfo(zone)).utcoffset()
            for moment in (start, start + (end - start) / 2, end)
        }
        assert offsets == {timedelta(seconds=span.offset_seconds)}
