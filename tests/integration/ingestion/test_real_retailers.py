"""The two public data sets land whole, to the cent."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from made_up_shop import at

from siyu.config import REPO, Settings
from siyu.ingestion import check_retailer, land_entity
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import load_retailer

pytestmark = [pytest.mark.real_data, pytest.mark.usefixtures("real_data")]

NOW = datetime(2026, 6, 30, tzinfo=UTC)


def landed(home: Path, name: str) -> tuple[Lake, duckdb.DuckDBPyConnection]:
    """Land every entity; the lake, and a connection that sees it."""
    settings = Settings(home, name, REPO / "retailers", "duckdb", None)
    retailer = load_retailer(settings)
    for entity in retailer.mappings:
        land_entity(settings, retailer, entity, "run", NOW)
    lake = Lake(Paths.of(settings))
    connection = duckdb.connect()
    lake.register(connection, retailer)
    assert (
        lake.last_complete_day(retailer, NOW.date())
        == retailer.inputs[
            next(name for name, source in retailer.inputs.items() if source.required)
        ].complete_through
    )
    return lake, connection


def test_uci_reconciles_to_the_published_figures(tmp_path: Path) -> None:
    lake, connection = landed(tmp_path, "uci_online_retail")
    (manifest,) = lake.manifests("order_lines")
    assert (manifest.rows_in, manifest.accepted) == (541_909, 541_909)
    with connection:
        assert connection.execute(
            "SELECT round(sum(net_amount), 2), sum(net_amount - gross_amount), "
            "count(*) FILTER (member_id IS NULL), count(DISTINCT member_id), "
            "count(DISTINCT order_id), min(ordered_date), max(ordered_date), "
            "count(DISTINCT (order_id, line_no)) "
            "FROM lake.order_lines"
        ).fetchone() == (
            Decimal("9747747.93"), 0, 135_080, 4_372, 25_900, date(2010, 12, 1),
            date(2011, 12, 9), 541_909,
        )  # fmt: skip


def test_every_cent_of_uci_is_in_one_kind_of_line_and_fees_are_no_goods(tmp_path: Path) -> None:
    _, connection = landed(tmp_path, "uci_online_retail")
    with connection:
        found = connection.execute(
            "SELECT line_type || CASE WHEN order_id LIKE 'C%' THEN ', cancelled' ELSE '' END, "
            "count(*), sum(net_amount) FROM lake.order_lines GROUP BY 1"
        ).fetchall()
        codes = connection.execute(
            "SELECT DISTINCT line_type FROM lake.order_lines "
            "WHERE upper(product_id) IN ('POST', 'M', 'D', 'AMAZONFEE', 'BANK CHARGES', 'CRUK', "
            "'DOT', 'C2', 'S', 'PADS') OR product_id ILIKE 'gift%'"
        ).fetchall()
    kinds = {kind: (lines, amount) for kind, lines, amount in found}
    assert kinds == {
        "sale": (527_758, Decimal("10271433.0600")),
        "return, cancelled": (8_704, Decimal("-478724.1800")),
        "charge": (2_363, Decimal("384189.4240")),
        "charge, cancelled": (584, Decimal("-418088.3100")),
        "adjustment": (2_500, Decimal("-11062.0600")),
    }
    assert sum(amount for _, amount in kinds.values()) == Decimal("9747747.9340")
    assert codes == [("charge",)]


def test_complete_journey_lands_whole_and_on_new_yorks_days(tmp_path: Path) -> None:
    lake, connection = landed(tmp_path, "complete_journey")
    accounted = {
        (m.entity, m.source): (m.rows_in, m.accepted, m.quarantined)
        for entity in ("members", "products", "campaigns", "order_lines", "interactions")
        for m in lake.manifests(entity)
    }
    assert accounted == {
        ("members", "demographics"): (801, 801, 0),
        ("products", "products"): (92_331, 92_331, 0),
        ("campaigns", "campaign_descriptions"): (27, 27, 0),
        ("order_lines", "transactions"): (100_000, 100_000, 0),
        ("interactions", "campaign_recipients"): (6_589, 6_442, 147),
        ("interactions", "coupon_redemptions"): (2_102, 2_102, 0),
    }
    with connection:
        assert connection.execute(
            "SELECT sum(net_amount), min(discount_amount) >= 0, max(ordered_date), "
            "max(ordered_at), bool_and(gross_amount - discount_amount = net_amount) "
            "FROM lake.order_lines"
        ).fetchone() == (
            Decimal("312753.23"), True, date(2017, 12, 31), at("2018-01-01 03:47:38"), True,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["complete_journey", "uci_online_retail"])
def test_the_shipped_folders_pass_their_own_check(tmp_path: Path, name: str) -> None:
    settings = Settings(tmp_path, name, REPO / "retailers", "duckdb", None)
    found = check_retailer(REPO / "retailers" / name, settings)
    assert found.ok, found.report()
