"""Where a pull of a table goes on, the times that the driver wraps around, and what errors show."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siyu.ingestion.connectors import postgres
from siyu.ingestion.pull import Ask
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Input, PostgresConnection

CLOCK = {
    "timestamptz": datetime(2026, 6, 1, tzinfo=UTC),
    "timestamp": datetime(2026, 6, 1, tzinfo=UTC).replace(tzinfo=None),
    "date": date(2026, 6, 1),
}
MICROSECOND = timedelta(microseconds=1)


def cursor(kind: str, value: Any = None) -> postgres._Cursor:
    return postgres._Cursor("sales.orders", "at", kind, value)


def ask(overlap_seconds: int) -> Ask:
    source = Input(
        format="parquet", location="sales.orders", pull={"overlap_seconds": overlap_seconds}
    )
    store = RawStore(Paths(Path("home"), "shop"), "orders")
    return Ask("orders", source, {}, datetime(2026, 1, 1, tzinfo=UTC), store)


@pytest.mark.parametrize(
    ("kind", "value", "overlap", "start"),
    [
        ("int8", 1000, 300, "700"),
        ("int8", -(2**63), 300, str(-(2**63))),
        ("text", "it's", 300, "'it''s'"),
        ("date", "2026-05-02", 300, "'2026-05-02'::date - 1"),
        ("date", "2026-05-02", 0, "'2026-05-02'::date - 0"),
        ("timestamptz", "2026-05-02T00:00:00+00:00", 60,
         "'2026-05-02T00:00:00+00:00'::timestamptz - interval '60 seconds'"),
    ],
)  # fmt: skip
def test_a_pull_goes_on_before_where_the_last_one_got_to(
    kind: str, value: Any, overlap: int, start: str
) -> None:
    condition, warnings = cursor(kind, value).start(ask(overlap))
    assert condition == f'WHERE t."at" >= {start} OR t."at" IS NULL'
    assert warnings == []


@given(st.lists(st.integers(-(10**15), 10**15) | st.none(), max_size=20))
def test_a_cursor_reaches_the_last_time_that_is_not_after_the_clock(
    offsets: list[int | None],
) -> None:
    times = [None if n is None else CLOCK["timestamptz"] + n * MICROSECOND for n in offsets]
    known = sorted(time for time in times if time is not None)
    values = pa.chunked_array([pa.array([*known], pa.timestamp("us", "UTC"))])
    reached, _ = cursor("timestamptz").reached(values, None, CLOCK)
    past = [time for time in known if time <= CLOCK["timestamptz"]]
    assert reached == (past[-1].isoformat() if past else None)
    if past:
        assert isinstance(reached, str)
        assert datetime.fromisoformat(reached) == past[-1]


def test_rows_without_a_value_leave_the_cursor_where_it_was() -> None:
    values = pa.chunked_array([pa.array([None, None], pa.int64())])
    reached, doubts = cursor("int8").reached(values, 7, CLOCK)
    assert reached == 7
    assert "2 rows have no at" in doubts[0]


@given(st.lists(st.integers(-(2 * 10**17), 9 * 10**18) | st.none()))
def test_times_that_are_finite_stay_as_they_are(numbers: list[int | None]) -> None:
    column = pa.array(numbers, pa.int64()).view(pa.timestamp("us"))
    batch = pa.RecordBatch.from_arrays([column], ["at"])
    assert postgres._with_infinities(batch).equals(batch)


def test_wrapped_times_are_the_infinite_ones() -> None:
    epoch = 946_684_800_000_000  # PostgreSQL's, in Unix microseconds
    wrapped = [-(2**63) + epoch - 1, -(2**63) + epoch, 0, None]
    column = pa.array(wrapped, pa.int64()).view(pa.timestamp("us"))
    found = postgres._with_infinities(pa.RecordBatch.from_arrays([column], ["at"]))
    assert found.column(0).view(pa.int64()).to_pylist() == [2**63 - 1, -(2**63) + 1, 0, None]


@pytest.mark.parametrize(
    ("dsn", "limited"),
    [
        ("postgresql://db/erp", "postgresql://db/erp?connect_timeout=3"),
        ("postgresql://db/erp?sslmode=require", "postgresql://db/erp?sslmode=require&connect_timeout=3"),
        ("host=db dbname=erp", "host=db dbname=erp connect_timeout=3"),
        ("postgresql://db/erp?connect_timeout=9", "postgresql://db/erp?connect_timeout=9"),
    ],
)  # fmt: skip
def test_connecting_takes_no_longer_than_the_connection_says(dsn: str, limited: str) -> None:
    connection = PostgresConnection(type="postgres", dsn=dsn, timeout_seconds=2.5)
    assert postgres._with_timeout(connection) == limited


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://r:abc@def-tail@localhost/erp", 'translate host name "def-tail@localhost"'),
        ("postgresql://r:5433/def-tail@localhost/erp", 'FATAL: database "def-tail@localhost/erp"'),
        ("postgresql://r:5433?def-tail@localhost/erp", 'invalid URI query parameter: "def-tail"'),
    ],
)
def test_no_part_of_a_password_is_shown_that_reaches_into_the_address(dsn: str, said: str) -> None:
    error = str(postgres._unreachable(Exception(said), dsn))
    assert "def-tail" not in error
    assert "5433" not in error
    assert "percent-encoded" in error


def test_of_an_address_that_is_whole_the_host_is_shown() -> None:
    said = 'could not translate host name "db"'
    error = postgres._unreachable(Exception(said), "postgresql://r:ab%40c@db/erp?sslmode=require")
    assert said in str(error)
    assert error.transient
