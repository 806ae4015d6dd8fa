"""The demo retailer: its mappings over what the simulator writes, landed for real."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from siyu.config import REPO, Settings
from siyu.contracts import contracts
from siyu.ingestion import LandingReport, land_entity
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import Retailer, load_retailer
from siyu.simulator import simulate

Query = Callable[[str], list[tuple[Any, ...]]]

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    simulate(home / "demo" / "sources", "tiny")
    return Settings.from_env({"SIYU_HOME": str(home), "SIYU_RETAILERS": str(REPO / "retailers")})


@pytest.fixture(scope="module")
def retailer(settings: Settings) -> Retailer:
    return load_retailer(settings)


@pytest.fixture(scope="module")
def landed(settings: Settings, retailer: Retailer) -> dict[str, list[LandingReport]]:
    return {entity: land_entity(settings, retailer, entity, "test", NOW) for entity in contracts()}


@pytest.fixture(scope="module")
def lake(settings: Settings, landed: dict[str, list[LandingReport]]) -> Iterator[Query]:
    with duckdb.connect() as connection:
        Lake(Paths.of(settings)).register(connection)
        yield lambda sql: connection.execute(sql).fetchall()


def test_every_entity_has_a_mapping(retailer: Retailer) -> None:
    assert set(retailer.mappings) == set(contracts())


def test_every_input_of_every_entity_lands_rows(landed: dict[str, list[LandingReport]]) -> None:
    for entity, reports in landed.items():
        assert reports, entity
        for report in reports:
            assert report.outcome == "landed", (entity, report.source, report.reason)
            assert report.manifest is not None
            assert report.manifest.accepted > 0, (entity, report.source)


def test_every_input_is_read_by_some_mapping(
    retailer: Retailer, landed: dict[str, list[LandingReport]]
) -> None:
    assert {report.source for reports in landed.values() for report in reports} == set(
        retailer.inputs
    )


def test_rows_are_rejected_for_the_faults_that_were_put_in_and_no_other(
    settings: Settings, landed: dict[str, list[LandingReport]]
) -> None:
    table = DeltaTable(Paths.of(settings).quarantine).to_pyarrow_table()
    broken = {
        (row["entity"], rule["rule"], rule["column"])
        for row in table.select(["entity", "rules"]).to_pylist()
        for rule in row["rules"]
    }
    assert broken == {
        ("consents", "enum", "status"),
        ("interactions", "not_null", "event_id"),
        ("interactions", "not_null", "event_name"),
        ("interactions", "not_null", "occurred_at"),
        ("members", "enum", "gender"),
        ("members", "not_null", "member_id"),
        ("members", "type", "registered_at"),
        ("order_lines", "not_null", "order_id"),
        ("order_lines", "not_null", "quantity"),
        ("order_lines", "range", "line_no"),
        ("orders", "enum", "status"),
        ("orders", "future_event", "ordered_at"),
        ("orders", "not_null", "discount_amount"),
        ("orders", "not_null", "gross_amount"),
        ("orders", "not_null", "order_id"),
        ("orders", "type", "gross_amount"),
        ("orders", "type", "ordered_at"),
    }


def test_no_entity_rejects_more_than_its_gate_allows(
    retailer: Retailer, landed: dict[str, list[LandingReport]]
) -> None:
    for entity, reports in landed.items():
        manifests = [report.manifest for report in reports if report.manifest]
        share = sum(m.quarantined for m in manifests) / sum(m.rows_in for m in manifests)
        assert share <= retailer.entity(entity).max_quarantined_share, entity


def test_a_second_landing_changes_nothing(
    settings: Settings, retailer: Retailer, landed: dict[str, list[LandingReport]]
) -> None:
    again = [
        report.outcome
        for entity in contracts()
        for report in land_entity(settings, retailer, entity, "again", NOW)
    ]
    assert set(again) == {"unchanged"}


def test_the_newest_version_of_every_order_is_the_sum_of_its_lines(lake: Query) -> None:
    newest = "QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY updated_at DESC) = 1"
    astray = lake(
        "WITH o AS (SELECT * FROM lake.orders " + newest.format(key="order_id") + "), "
        "l AS (SELECT * FROM lake.order_lines " + newest.format(key="order_id, line_no") + "), "
        "s AS (SELECT order_id, sum(gross_amount) AS gross, sum(discount_amount) AS discount, "
        "sum(net_amount) AS net FROM l GROUP BY 1) "
        "SELECT order_id FROM o FULL JOIN s USING (order_id) WHERE o.gross_amount IS DISTINCT FROM "
        "gross OR o.discount_amount IS DISTINCT FROM discount OR o.net_amount IS DISTINCT FROM net"
    )
    assert astray == []


def test_no_two_versions_of_a_row_claim_the_same_time(lake: Query) -> None:
    for entity, contract in contracts().items():
        if contract.version is None:
            continue
        key = ", ".join((*contract.key, contract.version))
        tied = lake(
            f"SELECT {key} FROM lake.{entity} WHERE {contract.version} IS NOT NULL "
            "GROUP BY ALL HAVING count(*) > 1"
        )
        assert tied == [], entity


@pytest.mark.parametrize("entity", sorted(contracts()))
def test_references_name_rows_that_exist(entity: str, lake: Query) -> None:
    for reference in contracts()[entity].references:
        key = contracts()[reference.entity].key
        (column,) = reference.columns
        missing = lake(
            f"SELECT DISTINCT {column} FROM lake.{entity} WHERE {column} IS NOT NULL "
            f"AND {column} NOT IN (SELECT {key[0]} FROM lake.{reference.entity})"
        )
        # Members corrupted by the simulator are copies, so even these leave nothing dangling.
        assert missing == [], (entity, column)


def test_mall_orders_have_no_phone_and_till_orders_do(lake: Query) -> None:
    assert lake("SELECT count(phone_token) FROM lake.orders WHERE channel <> 'store'") == [(0,)]
    assert lake("SELECT count(phone_token) > 0 FROM lake.orders WHERE channel = 'store'") == [
        (True,)
    ]


def test_beijing_midnight_belongs_to_its_local_day(settings: Settings, lake: Query) -> None:
    # 16:00 UTC is where the local day begins.
    astray = lake(
        "SELECT order_id FROM lake.orders "
        "WHERE ordered_date <> CAST(ordered_at + INTERVAL 8 HOUR AS DATE)"
    )
    assert astray == []
    source = Paths.of(settings).root / "sources" / "pos" / "orders_*.parquet"
    moved = lake(
        f"SELECT count(*) FROM lake.orders AS o JOIN '{source}' AS p ON o.order_id = p.order_no "
        "AND o.updated_at + INTERVAL 8 HOUR = p.updated_at "
        "WHERE o.ordered_at + INTERVAL 8 HOUR <> p.sale_time"
    )
    assert moved == [(0,)]


def test_fen_and_yuan_come_out_as_the_same_money(settings: Settings, lake: Query) -> None:
    truth = Paths.of(settings).root / "sources" / "truth" / "orders.parquet"
    astray = lake(
        f"SELECT DISTINCT order_id FROM lake.orders JOIN '{truth}' AS t USING (order_id) "
        "WHERE orders.net_amount <> t.net_fen / CAST(100 AS DECIMAL(5, 0))"
    )
    assert astray == []


def test_who_loses_staff_who_leave_is_assigned_others_at_once(lake: Query) -> None:
    ((moved, met),) = lake(
        """
        SELECT count(*), count(*) FILTER (WHERE EXISTS (
            SELECT 1 FROM lake.contacts AS took
            WHERE took.external_userid = gave.external_userid AND took.staff_id <> gave.staff_id
              AND took.added_at <= gave.deleted_at + INTERVAL 1 MINUTE
              AND (took.add_way = '202' OR took.added_at < gave.deleted_at)
        ))
        FROM lake.contacts AS gave WHERE gave.deleted_by = 'transfer'
        """
    )

    assert moved == met > 0


def test_late_rows_are_known_when_they_were_recorded(lake: Query) -> None:
    assert lake(
        "SELECT count(*) > 0 FROM lake.interactions WHERE _known_at > _event_at + INTERVAL 1 HOUR"
    ) == [(True,)]
    assert lake("SELECT count(*) FROM lake.orders WHERE _known_at < _event_at") == [(0,)]


def test_free_text_has_lost_its_phones(lake: Query) -> None:
    assert lake("SELECT count(*) FROM lake.feedback WHERE text LIKE '%请回电%'") != [(0,)]
    assert lake("SELECT count(*) FROM lake.feedback WHERE regexp_matches(text, '1[0-9]{10}')") == [
        (0,)
    ]
