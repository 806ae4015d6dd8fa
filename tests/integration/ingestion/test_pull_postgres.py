"""PostgreSQL, asked over a real connection: nothing missed, nothing altered, errors that help."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from adbc_driver_postgresql import dbapi
from temporary_postgres import PASSWORD, Server

from siyu.config import Settings
from siyu.ingestion.connectors import PULLERS, postgres
from siyu.ingestion.pull import Failed, Piece, PullError, PullReport, SourceError, pull_connection
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Retailer

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def schema(database: Server) -> Iterator[str]:
    name = f"s{uuid.uuid4().hex[:8]}"
    database.execute(f"CREATE SCHEMA {name}")
    yield name
    database.execute(f"DROP SCHEMA {name} CASCADE")


class Erp:
    """A retailer whose ERP is a database, and who pulls every so often."""

    def __init__(
        self, home: Path, database: Server, schema: str, environment: pytest.MonkeyPatch
    ) -> None:
        self._environment = environment
        self.settings = replace(Settings.from_env({}), home=home, retailer="shop")
        self.database, self.schema = database, schema
        self.inputs: dict[str, Any] = {}
        self.dsn = database.dsn()
        self.timeout = 30.0
        self.now = NOW

    @property
    def dsn(self) -> str:
        return os.environ["ERP_DSN"]

    @dsn.setter
    def dsn(self, said: str) -> None:
        self._environment.setenv("ERP_DSN", said)

    def input(self, name: str, table: str = "", **pull: Any) -> None:
        location = table or f"{self.schema}.{name}"
        self.inputs[name] = {
            "connection": "erp", "format": "parquet", "location": location, "pull": pull,
        }  # fmt: skip

    @property
    def retailer(self) -> Retailer:
        return Retailer.model_validate(
            {
                "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
                "currency": "CNY", "history_from": "2026-01-01", "identifiers": {}, "models": {},
                "connections": {
                    "erp": {"type": "postgres", "dsn": "${ERP_DSN}", "timeout_seconds": self.timeout}
                },
                "inputs": self.inputs, "folder": self.settings.home,
            }
        )  # fmt: skip

    def pull(self) -> dict[str, PullReport]:
        self.now += timedelta(hours=1)
        reports = pull_connection(self.settings, self.retailer, "erp", PULLERS, self.now)
        return {report.name: report for report in reports}

    def store(self, name: str) -> RawStore:
        return RawStore(Paths.of(self.settings), name)

    def rows(self, name: str, query: str = "SELECT * FROM pulled", file: int | None = None) -> Any:
        """What a query says of the rows pulled so far, or of those in one file."""
        store = self.store(name)
        files = store.files() if file is None else [store.files()[file]]
        with duckdb.connect() as connection:
            connection.register_filesystem(store.filesystem)
            connection.execute("SET TimeZone = 'UTC'")
            listed = ", ".join(f"'{each.url}'" for each in files)
            connection.execute(
                f"CREATE VIEW pulled AS FROM read_parquet([{listed}], union_by_name = true)"
            )
            return connection.execute(query).fetchall()

    def fails(self) -> PullError:
        with pytest.raises(PullError) as raised:
            self.pull()
        assert PASSWORD not in str(raised.value)
        assert self.dsn not in str(raised.value)
        return raised.value


@pytest.fixture
def erp(tmp_path: Path, database: Server, schema: str, monkeypatch: pytest.MonkeyPatch) -> Erp:
    return Erp(tmp_path, database, schema, monkeypatch)


def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch of the driver, which holds one row, is a piece."""
    monkeypatch.setattr(postgres, "_PIECE_BYTES", 1)
    batches_of(monkeypatch, 1)


def batches_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let the driver return batches of about so many bytes."""
    option = "adbc.postgresql.batch_size_hint_bytes"
    cursor = dbapi.Connection.cursor
    monkeypatch.setattr(
        dbapi.Connection, "cursor", lambda self: cursor(self, adbc_stmt_kwargs={option: str(size)})
    )


# --- what arrives ----------------------------------------------------------------------------

EVERYTHING = {
    "id": ("bigint", "9223372036854775807"),
    "small": ("smallint", "-32768"),
    "yes": ("boolean", "true"),
    "exact": ("numeric", "12345678901234567890.1234567890"),
    "money": ("numeric(12,2)", "1.50"),
    "not_a_number": ("numeric", "NaN"),
    "real_nan": ("double precision", "NaN"),
    "bytes": ("bytea", r"\x00ff"),
    "doc": ("json", '{"a": 1}'),
    "docb": ("jsonb", '{"b": [1, null]}'),
    "numbers": ("integer[]", "{1,NULL,3}"),
    "words": ("text[]", '{a,NULL,"c d"}'),
    "prices": ("numeric[]", "{1.50,NaN}"),
    "zoned": ("timestamptz", "2026-06-01 12:00:00.123456+08"),
    "naive": ("timestamp", "2026-06-01 12:00:00.123456"),
    "day": ("date", "2026-02-28"),
    "zoned_forever": ("timestamptz", "infinity"),
    "naive_never": ("timestamp", "-infinity"),
    "day_forever": ("date", "infinity"),
    "day_never": ("date", "-infinity"),
    "clock": ("time", "23:59:59.5"),
    "uid": ("uuid", "00000000-0000-0000-0000-00000000000a"),
    "ip": ("inet", "10.0.0.1"),
    "span": ("interval", "1 month 2 days"),
    "name": ("text", 'O\'Brien "李" \\ é'),
    "nothing": ("text", None),
}


def test_every_type_arrives_whole(erp: Erp, database: Server) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in EVERYTHING.items())
    values = ", ".join(
        "NULL" if value is None else "'" + value.replace("'", "''") + "'"
        for _, value in EVERYTHING.values()
    )
    database.execute(
        f"CREATE TABLE {erp.schema}.things ({columns})",
        f"INSERT INTO {erp.schema}.things VALUES ({values})",
        f"INSERT INTO {erp.schema}.things (id) VALUES (1)",
    )
    erp.input("things", cursor="id")
    erp.input("compared", table=f"{erp.schema}.things", mode="snapshot", key=["id"])
    assert erp.pull()["things"].rows == 2
    as_text = ", ".join(f"{name}::VARCHAR" for name in EVERYTHING)
    nulls, full = erp.rows("things", f"SELECT {as_text} FROM pulled ORDER BY id")
    found = dict(zip(EVERYTHING, full, strict=True))
    assert found == {
        name: value for name, (_, value) in EVERYTHING.items()
    } | {
        "real_nan": "nan",
        "bytes": r"\x00\xFF",
        "numbers": "[1, NULL, 3]",
        "words": "[a, NULL, c d]",
        "prices": "[1.50, NaN]",
        "zoned": "2026-06-01 04:00:00.123456+00",
        "ip": "10.0.0.1/32",
        "span": "P1M2D",
    }  # fmt: skip
    assert nulls[1:] == (None,) * (len(EVERYTHING) - 1)
    assert erp.rows("compared", f"SELECT {as_text} FROM pulled ORDER BY id") == [nulls, full]
    assert erp.pull()["compared"].rows == 0


def test_domains_and_enumerations_arrive_as_what_they_are(erp: Erp, database: Server) -> None:
    database.execute(
        f"CREATE DOMAIN {erp.schema}.whole AS bigint CHECK (value > 0)",
        f"CREATE DOMAIN {erp.schema}.code AS {erp.schema}.whole",
        f"CREATE TYPE {erp.schema}.state AS ENUM ('new', 'paid')",
        f"CREATE TABLE {erp.schema}.t (id {erp.schema}.code, s {erp.schema}.state)",
        f"INSERT INTO {erp.schema}.t VALUES (7, 'paid')",
    )
    erp.input("t", cursor="id")
    erp.pull()
    assert erp.rows("t") == [(7, "paid")]


def test_names_are_quoted_and_cannot_be_statements(erp: Erp, database: Server) -> None:
    hostile = 'x"; DROP TABLE t; --'
    quoted = '"' + hostile.replace('"', '""') + '"'
    database.execute(
        f"CREATE TABLE {erp.schema}.{quoted} ({quoted} bigint)",
        f"INSERT INTO {erp.schema}.{quoted} VALUES (1)",
    )
    erp.input("orders", table=f"{erp.schema}.{hostile}", cursor=hostile)
    assert erp.pull()["orders"].rows == 1
    erp.input("orders", table="nowhere.t'); DROP SCHEMA public; --", cursor="id")
    assert "there is no table" in str(erp.fails())


# --- incremental -----------------------------------------------------------------------------


def orders(erp: Erp, database: Server, kind: str = "timestamptz") -> None:
    database.execute(f"CREATE TABLE {erp.schema}.orders (id bigint PRIMARY KEY, at {kind})")


def put(erp: Erp, database: Server, *rows: tuple[int, str | None]) -> None:
    listed = ", ".join(f"({n}, {'NULL' if at is None else repr(at)})" for n, at in rows)
    database.execute(
        f"INSERT INTO {erp.schema}.orders VALUES {listed} "
        "ON CONFLICT (id) DO UPDATE SET at = excluded.at"
    )


@pytest.mark.parametrize(
    ("kind", "first", "second", "value"),
    [
        ("timestamptz", "2026-05-01 08:00:00.000001+08", "2026-05-02 00:00:00.123456+00",
         "2026-05-02T00:00:00.123456+00:00"),
        ("timestamp", "2026-05-01 08:00:00.000001", "2026-05-02 00:00:00.123456",
         "2026-05-02T00:00:00.123456"),
        ("date", "2026-05-01", "2026-05-02", "2026-05-02"),
        ("bigint", "9007199254740993", "9223372036854775807", 9223372036854775807),
        ("text", "it's 1", "it's 2", "it's 2"),
    ],
)  # fmt: skip
def test_a_cursor_goes_on_exactly_where_it_was(
    erp: Erp, database: Server, kind: str, first: str, second: str, value: Any
) -> None:
    database.execute(f"CREATE TABLE {erp.schema}.orders (id bigint, at {kind})")
    database.execute(
        f"INSERT INTO {erp.schema}.orders VALUES (1, $a${first}$a$), (2, $a${second}$a$)"
    )
    erp.input("orders", cursor="at", overlap_seconds=0)
    assert erp.pull()["orders"].cursor["value"] == value
    # Asked again, only what bears the last value itself may come.
    erp.pull()
    assert erp.rows("orders", "SELECT id FROM pulled", file=-1) == [(2,)]
    erp.pull()
    assert len(erp.store("orders").files()) == 2


def test_a_row_committed_late_with_an_older_time_is_caught(erp: Erp, database: Server) -> None:
    orders(erp, database)
    put(erp, database, (1, "2026-05-01 09:00:00+00"))
    erp.input("orders", cursor="at", overlap_seconds=300)
    with database.session() as late:
        late.execute("BEGIN")
        late.execute(f"INSERT INTO {erp.schema}.orders VALUES (2, '2026-05-01 10:03:00+00')")
        put(erp, database, (3, "2026-05-01 10:05:00+00"))
        erp.pull()
        assert erp.rows("orders", "SELECT id FROM pulled ORDER BY id") == [(1,), (3,)]
        late.execute("COMMIT")
    erp.pull()
    assert erp.rows("orders", "SELECT id FROM pulled ORDER BY id", file=-1) == [(2,), (3,)]


def test_all_inputs_of_a_connection_are_read_in_one_snapshot(erp: Erp, database: Server) -> None:
    orders(erp, database)
    put(erp, database, (1, "2026-05-01"))
    database.execute(f"CREATE TABLE {erp.schema}.lines (order_id bigint)")
    database.execute(f"INSERT INTO {erp.schema}.lines VALUES (1)")
    database.execute(f"CREATE TABLE {erp.schema}.shops (id bigint)")
    erp.input("orders", cursor="at")
    erp.input("broken", table=f"{erp.schema}.nothing", cursor="at")
    erp.input("lines", cursor="order_id")
    erp.input("shops", mode="snapshot", key=["id"])
    found: dict[str, int] = {}

    def watched(connection: Any, asks: Any, now: datetime) -> Iterator[Piece | Failed]:
        for each in postgres.pull(connection, asks, now):
            if isinstance(each, Piece) and each.name == "orders":
                put(erp, database, (2, "2026-05-02"))
                database.execute(
                    f"INSERT INTO {erp.schema}.lines VALUES (2)",
                    f"INSERT INTO {erp.schema}.shops VALUES (2)",
                )
            found[each.name] = 0
            yield each

    with pytest.raises(PullError, match="input broken: there is no table"):
        pull_connection(erp.settings, erp.retailer, "erp", {"postgres": watched}, NOW)
    assert list(found) == ["orders", "broken", "lines"]
    assert erp.rows("lines") == [(1,)]
    del erp.inputs["broken"]
    erp.pull()
    assert erp.rows("lines", "FROM pulled", file=-1) == [(1,), (2,)]
    assert erp.rows("shops") == [(2, False)]


def test_rows_that_share_a_time_are_not_lost_between_pieces(
    erp: Erp, database: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pieces(monkeypatch)
    orders(erp, database)
    put(erp, database, *((n, "2026-05-01") for n in range(20)))
    erp.input("orders", cursor="at", key=["id"], overlap_seconds=0)

    def breaks(connection: Any, asks: Any, now: datetime) -> Iterator[Piece | Failed]:
        pieces = postgres.pull(connection, asks, now)
        yield next(pieces)
        yield next(pieces)
        raise SourceError("the line is down", transient=True)

    with pytest.raises(PullError, match="the line is down"):
        pull_connection(erp.settings, erp.retailer, "erp", {"postgres": breaks}, NOW)
    assert len(erp.store("orders").files()) == 2
    assert erp.rows("orders", "SELECT count(*) FROM pulled") < [(20,)]
    erp.pull()
    assert erp.rows("orders", "SELECT count(DISTINCT id) FROM pulled") == [(20,)]


def test_a_time_in_the_future_or_none_hides_nothing(erp: Erp, database: Server) -> None:
    orders(erp, database)
    put(
        erp, database, (1, "2026-05-01 10:00:00+00"), (2, "2999-01-01"), (3, "infinity"), (4, None),
        (5, "-infinity"),
    )  # fmt: skip
    erp.input("orders", cursor="at")
    report = erp.pull()["orders"]
    assert report.rows == 5
    assert report.cursor["value"] == "2026-05-01T10:00:00+00:00"
    assert any("2 rows have a at after the database's clock" in w for w in report.warnings)
    assert any("1 rows have no at" in w for w in report.warnings)
    put(erp, database, (6, "2026-05-01 11:00:00+00"), (7, None))
    erp.pull()
    ids = erp.rows("orders", "SELECT id FROM pulled ORDER BY id", file=-1)
    assert ids == [(1,), (2,), (3,), (4,), (6,), (7,)]


def test_another_cursor_column_begins_anew(erp: Erp, database: Server) -> None:
    orders(erp, database)
    put(erp, database, (1, "2026-05-01"), (2, "2026-05-02"))
    erp.input("orders", cursor="at", overlap_seconds=0)
    erp.pull()
    erp.input("orders", cursor="id", overlap_seconds=0)
    report = erp.pull()["orders"]
    assert report.rows == 2
    assert any("read from the beginning" in warning for warning in report.warnings)


# --- snapshot --------------------------------------------------------------------------------


def members(erp: Erp, database: Server) -> None:
    database.execute(
        f"CREATE TABLE {erp.schema}.members (shop text, no int, name text, score float8)",
        f"INSERT INTO {erp.schema}.members VALUES "
        "('a', 1, 'x', 'NaN'), ('a', 2, NULL, 1), ('b', 1, '', 2)",
    )
    erp.input("members", mode="snapshot", key=["shop", "no"])


def test_a_snapshot_keeps_what_is_new_changed_or_gone(erp: Erp, database: Server) -> None:
    members(erp, database)
    assert erp.pull()["members"].rows == 3
    assert erp.pull()["members"].files == 0
    database.execute(
        f"UPDATE {erp.schema}.members SET name = '' WHERE no = 2",
        f"DELETE FROM {erp.schema}.members WHERE shop = 'b'",
        f"INSERT INTO {erp.schema}.members VALUES ('c', 9, 'z', 3)",
    )
    assert erp.pull()["members"].rows == 3
    assert erp.rows("members", "FROM pulled ORDER BY shop", file=-1) == [
        ("a", 2, "", 1.0, False),
        ("b", 1, "", 2.0, True),
        ("c", 9, "z", 3.0, False),
    ]
    assert erp.pull()["members"].files == 0


def test_a_snapshot_that_was_killed_before_its_last_piece_is_compared_again(
    erp: Erp, database: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    members(erp, database)
    erp.pull()
    database.execute(
        f"UPDATE {erp.schema}.members SET name = 'new' WHERE shop = 'a'",
        f"DELETE FROM {erp.schema}.members WHERE shop = 'b'",
    )
    monkeypatch.setattr(postgres, "_PIECE_BYTES", 1)
    monkeypatch.setattr(postgres, "_ROWS_AT_ONCE", 1)

    def breaks(connection: Any, asks: Any, now: datetime) -> Iterator[Piece | Failed]:
        yield next(postgres.pull(connection, asks, now))
        raise SourceError("killed", transient=True)

    with pytest.raises(PullError, match="killed"):
        pull_connection(erp.settings, erp.retailer, "erp", {"postgres": breaks}, NOW)
    before = len(erp.store("members").files())
    erp.pull()
    again = range(before, len(erp.store("members").files()))
    came = {row[:3] + row[4:] for n in again for row in erp.rows("members", file=n)}
    assert came == {("a", 1, "new", False), ("a", 2, "new", False), ("b", 1, "", True)}
    assert erp.pull()["members"].files == 0


@pytest.mark.parametrize("byte", [20, -1])
def test_a_damaged_state_of_a_snapshot_fails_its_input_and_no_other(
    erp: Erp, database: Server, byte: int
) -> None:
    members(erp, database)
    erp.pull()
    orders(erp, database)
    put(erp, database, (1, "2026-05-01"))
    erp.input("orders", cursor="at")
    (state,) = erp.store("members").folder.glob("snapshot*")
    whole = bytearray(state.read_bytes())
    whole[byte] ^= 1
    state.write_bytes(whole)
    error = erp.fails()
    assert set(error.errors) == {"members"}
    assert "snapshot-0.parquet.sealed" in str(error)
    assert str(erp.store("members").folder) in str(error)
    for each in erp.store("members").folder.glob("snapshot*"):
        each.unlink()
    assert erp.pull()["members"].rows == 3


def test_a_full_disk_fails_what_does_not_fit_and_no_other(
    erp: Erp, database: Server, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    members(erp, database)
    for name, rows in (("large", 20_000), ("small", 1)):
        database.execute(
            f"CREATE TABLE {erp.schema}.{name} AS "
            f"SELECT n, md5(n::text) AS said FROM generate_series(1, {rows}) AS n"
        )
    erp.input("large", mode="snapshot", key=["n"])
    erp.input("small", cursor="n")
    with full_disk():
        error = erp.fails()
    assert set(error.errors) == {"large"}
    assert "File too large; see that the disk has room" in str(error)
    assert [len(erp.rows(name)) for name in ("members", "small")] == [3, 1]
    assert erp.pull()["large"].rows == 20_000


def test_a_new_column_brings_every_row_again(erp: Erp, database: Server) -> None:
    members(erp, database)
    erp.pull()
    database.execute(f"ALTER TABLE {erp.schema}.members ADD COLUMN tier text DEFAULT 'gold'")
    assert erp.pull()["members"].rows == 3
    assert erp.rows("members", "SELECT DISTINCT tier FROM pulled", file=-1) == [("gold",)]


def test_a_table_that_is_empty_all_at_once_deletes_nobody(erp: Erp, database: Server) -> None:
    members(erp, database)
    erp.pull()
    database.execute(f"TRUNCATE {erp.schema}.members")
    error = erp.fails()
    assert error.transient
    assert "is empty, where the last pull found 3 rows" in str(error)
    database.execute(f"INSERT INTO {erp.schema}.members VALUES ('a', 1, 'x', 'NaN')")
    assert erp.pull()["members"].rows == 2


@pytest.mark.parametrize(
    ("key", "said"), [(["shop"], "1 keys come more than once"), (["name"], "1 rows lack a part"),
                      ([], "needs pull.key")]
)  # fmt: skip
def test_a_key_that_identifies_no_row_is_refused(
    erp: Erp, database: Server, key: list[str], said: str
) -> None:
    members(erp, database)
    erp.input("members", mode="snapshot", key=key)
    error = erp.fails()
    assert not error.transient
    assert said in str(error)


# --- what can go wrong -----------------------------------------------------------------------


def test_a_column_that_is_missing_is_named_with_those_there_are(erp: Erp, database: Server) -> None:
    orders(erp, database)
    erp.input("orders", cursor="updated_at")
    error = erp.fails()
    assert "has no column updated_at" in str(error)
    assert "it has id, at" in str(error)
    assert not error.transient


def test_another_format_than_parquet_is_refused(erp: Erp, database: Server) -> None:
    orders(erp, database)
    erp.input("orders", cursor="at")
    erp.inputs["orders"]["format"] = "csv"
    assert "set format: parquet" in str(erp.fails())


def test_what_the_user_may_not_read_is_named(erp: Erp, database: Server) -> None:
    orders(erp, database)
    put(erp, database, (1, "2026-05-01"))
    user = f"u{erp.schema}"
    database.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
    erp.dsn = database.dsn(user)
    erp.input("orders", cursor="id")
    assert f'GRANT USAGE ON SCHEMA "{erp.schema}"' in str(erp.fails())
    database.execute(f"GRANT USAGE ON SCHEMA {erp.schema} TO {user}")
    assert "may not be read; GRANT SELECT ON" in str(erp.fails())
    database.execute(f"GRANT SELECT (id) ON {erp.schema}.orders TO {user}")
    report = erp.pull()["orders"]
    assert erp.rows("orders") == [(1,)]
    assert any("for want of a right: at" in warning for warning in report.warnings)
    erp.input("orders", cursor="at")
    assert "has the column at, but it may not be read" in str(erp.fails())
    database.execute(f"DROP OWNED BY {user}", f"DROP ROLE {user}")


def test_a_wrong_password_is_not_shown_and_not_tried_again(erp: Erp, database: Server) -> None:
    erp.dsn = database.dsn(password="wr0ng-one")
    erp.input("orders", cursor="at")
    error = erp.fails()
    assert "refused the connection" in str(error)
    assert "wr0ng-one" not in str(error)
    assert not error.transient


def test_a_database_that_is_not_there_may_come_back(erp: Erp, tmp_path: Path) -> None:
    erp.dsn = f"postgresql://owner:{PASSWORD}@/erp?host={tmp_path}"
    erp.input("orders", cursor="at")
    error = erp.fails()
    assert "cannot reach the database" in str(error)
    assert error.transient


def test_a_password_that_is_not_percent_encoded_is_not_shown_in_part(erp: Erp) -> None:
    erp.dsn = "postgresql://owner:abc@def-tail@localhost/erp"
    erp.input("orders", cursor="at")
    error = erp.fails()
    assert "percent-encoded" in str(error)
    assert "def-tail" not in str(error)


def test_an_address_that_is_none_is_not_quoted(erp: Erp) -> None:
    erp.dsn = f"postgresql:owner {PASSWORD}"
    erp.input("orders", cursor="at")
    error = erp.fails()
    assert "dsn cannot be used" in str(error)
    assert not error.transient


def test_a_query_that_takes_too_long_says_what_to_raise(erp: Erp, database: Server) -> None:
    database.execute(
        f"CREATE VIEW {erp.schema}.slow AS SELECT 1 AS id FROM generate_series(1, 1) "
        "WHERE pg_sleep(60) IS NOT NULL"
    )
    erp.timeout = 0.2
    erp.input("slow", cursor="id")
    error = erp.fails()
    assert "raise timeout_seconds" in str(error).lower()
    assert error.transient


def test_values_in_the_servers_messages_are_not_repeated(erp: Erp, database: Server) -> None:
    database.execute(
        f"CREATE VIEW {erp.schema}.bad AS SELECT v::int AS id FROM (VALUES ('x13800001111')) t (v)"
    )
    erp.input("bad", cursor="id")
    error = erp.fails()
    assert "SQLSTATE 22P02" in str(error)
    assert "13800001111" not in str(error)


def break_off(erp: Erp, database: Server, how: str) -> PullError:
    """Pull a table whose reading is stopped from outside after the first piece."""
    orders(erp, database)
    database.execute(
        f"INSERT INTO {erp.schema}.orders "
        "SELECT n, '2026-05-01'::timestamptz + n * interval '1 second' "
        "FROM generate_series(1, 200000) n"
    )
    erp.input("orders", cursor="at", key=["id"])
    erp.input("after", table=f"{erp.schema}.orders", cursor="id")

    def stopped(connection: Any, asks: Any, now: datetime) -> Iterator[Piece | Failed]:
        pieces = postgres.pull(connection, asks, now)
        yield next(pieces)
        with database.session() as other:
            other.execute(
                f"SELECT {how}(pid) FROM pg_stat_activity WHERE datname = 'erp' "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            other.fetchall()
        yield from pieces

    with pytest.raises(PullError) as raised:
        pull_connection(erp.settings, erp.retailer, "erp", {"postgres": stopped}, NOW)
    return raised.value


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_reading_that_breaks_off_goes_on_from_what_came(
    erp: Erp, database: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(postgres, "_PIECE_BYTES", 1)
    batches_of(monkeypatch, 500_000)
    error = break_off(erp, database, how)
    assert error.transient
    had = erp.rows("orders", "SELECT count(*) FROM pulled")[0][0]
    assert 0 < had < 200_000
    # A query that was cancelled takes nothing else with it; a connection that is gone does.
    assert bool(erp.store("after").files()) == (how == "pg_cancel_backend")
    first = erp.rows("orders", "SELECT max(id) FROM pulled")[0][0]
    del erp.inputs["after"]
    monkeypatch.setattr(postgres, "_PIECE_BYTES", 64 << 20)
    erp.pull()
    assert erp.rows("orders", "SELECT count(DISTINCT id) FROM pulled") == [(200_000,)]
    assert erp.rows("orders", "SELECT min(id) FROM pulled", file=-1)[0][0] >= first - 300


def test_nothing_is_left_open_in_the_database(erp: Erp, database: Server) -> None:
    orders(erp, database)
    put(erp, database, (1, "2026-05-01"))
    erp.input("orders", cursor="at")
    erp.pull()
    with database.session() as other, closing(other):
        other.execute("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
        assert other.fetchall() == [(0,)]
