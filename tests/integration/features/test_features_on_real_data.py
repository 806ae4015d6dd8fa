"""Features and labels of public data sets, against pandas and published baselines.

The baselines say how well recency and frequency alone rank customers by whether they buy again. They
are what a model has to beat, so the features must not be worse than a plain group-by of the source.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from siyu.config import REPO, Settings
from siyu.identity.resolution import resolve
from siyu.identity.store import IdentityStore
from siyu.ingestion.landing import land_entity
from siyu.lake import Lake
from siyu.paths import Paths
from siyu.retailer import load_retailer
from siyu.transform import dbt_vars, run_dbt
from siyu.warehouse import Warehouse

pytestmark = pytest.mark.real_data


class Case(NamedTuple):
    """A published baseline and the entities that it takes."""

    retailer: str
    entities: tuple[str, ...]
    day: date
    horizon_days: int
    base: float
    recency: float
    frequency: float


UCI = Case("uci_online_retail", ("order_lines",), date(2011, 9, 9), 90, 0.574, 0.693, 0.726)
JOURNEY = Case("complete_journey", ("order_lines",), date(2017, 12, 1), 30, 0.681, 0.768, 0.816)


def settings_of(case: Case, home: Path) -> Settings:
    return Settings(home, case.retailer, REPO / "retailers", "duckdb", None)


def features_and_labels(case: Case, home: Path) -> pd.DataFrame:
    """Land a data set and build one date, everything in between included."""
    settings = settings_of(case, home)
    retailer = load_retailer(settings)
    paths, warehouse = Paths.of(settings), Warehouse.of(settings)
    variables = dbt_vars(retailer, retailer.history_to or case.day, [case.day])
    variables["models"] = {
        "repurchase": {"horizon_days": case.horizon_days, "lead_days": 0, "active_days": None}
    }

    def register() -> None:
        with warehouse.connect(read_only=False) as connection:
            Lake(paths).register(connection, retailer)

    def run(*select: str) -> None:
        done = run_dbt(settings, ["run", "--select", *select], variables)
        assert done.success, [r for r in done.results if r.status == "error"]

    for entity in case.entities:
        land_entity(settings, retailer, entity, "test", datetime.now(UTC))
    register()
    run("+stg_identifier", "+stg_identity_edge")
    store = IdentityStore(paths)
    store.write(
        resolve(
            warehouse.read("SELECT * FROM staging.stg_identifier"),
            warehouse.read("SELECT * FROM staging.stg_identity_edge"),
            store.previous(), {}, [], [], "test",
        )
    )  # fmt: skip
    register()
    run("+customer_labels", "+fct_refund")
    built: pd.DataFrame = warehouse.read(
        "SELECT i.identifier, f.*, l.repurchase_label FROM features.customer_features f "
        "JOIN features.customer_labels l USING (customer_id, as_of_date) "
        "JOIN unified.customer_identifier i USING (customer_id)"
    ).to_pandas()
    return built.set_index(built["identifier"].str.partition(":")[2])


def assert_reaches_baseline(built: pd.DataFrame, case: Case) -> None:
    label = built["repurchase_label"]
    assert label.mean() == pytest.approx(case.base, abs=0.01)
    assert roc_auc_score(label, -built["recency_days"]) == pytest.approx(case.recency, abs=0.01)
    assert roc_auc_score(label, built["order_count"]) == pytest.approx(case.frequency, abs=0.01)


@pytest.fixture(scope="module")
def uci_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uci")


@pytest.fixture(scope="module")
def uci(real_data: Path, uci_home: Path) -> pd.DataFrame:
    return features_and_labels(UCI, uci_home)


def test_uci_features_equal_a_plain_group_by_and_reach_the_baseline(
    real_data: Path, uci: pd.DataFrame
) -> None:
    built = uci
    raw = pd.read_parquet(real_data / "uci_online_retail" / "online_retail.parquet")
    raw = raw[raw["CustomerID"].notna()]
    raw["customer"] = raw["CustomerID"].astype(str)
    raw["day"] = raw["InvoiceDate"].dt.normalize()
    raw["amount"] = (raw["Quantity"] * raw["UnitPrice"]).round(4)
    codes = ["POST", "DOT", "M", "C2", "D", "S", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS", "B"]
    code = raw["StockCode"].str.upper()
    raw = raw[~code.isin(codes) & ~code.str.startswith("GIFT")]
    goods = raw[
        ~raw["InvoiceNo"].str.startswith("C") & (raw["Quantity"] > 0) & (raw["UnitPrice"] > 0)
    ]
    day = pd.Timestamp(UCI.day)
    before = goods[goods["day"] <= day]
    after = goods[(goods["day"] > day) & (goods["day"] <= day + pd.Timedelta(days=90))]
    by = before.groupby("customer")
    days = before.drop_duplicates(["customer", "day"]).sort_values("day")
    gaps = days.groupby("customer")["day"].diff().dt.days.groupby(days["customer"])
    back = raw[raw["InvoiceNo"].str.startswith("C") & (raw["day"] <= day)]
    spent = by["amount"].sum()
    recent = before[before["day"] > day - pd.Timedelta(days=90)]
    expected = pd.DataFrame(
        {
            "recency_days": (day - by["day"].max()).dt.days,
            "tenure_days": (day - by["day"].min()).dt.days,
            "order_count": by["InvoiceNo"].nunique(),
            "orders_90d": recent.groupby("customer")["InvoiceNo"].nunique(),
            "products_365d": by["StockCode"].nunique(),
            "gap_mean_days": gaps.mean(),
            "gap_std_days": gaps.std(),
            "gap_median_days": gaps.median(),
            "net_revenue": spent.add(back.groupby("customer")["amount"].sum()).fillna(spent),
        }
    ).reindex(spent.index)
    expected["orders_90d"] = expected["orders_90d"].fillna(0)
    expected["repurchase_label"] = expected.index.isin(after["customer"].unique()).astype(int)
    found = built.loc[expected.index, list(expected)]
    assert len(built) == len(expected)
    pd.testing.assert_frame_equal(
        found.astype(float), expected.astype(float), check_names=False, atol=1e-6
    )
    assert_reaches_baseline(built, UCI)


@pytest.mark.usefixtures("uci")
def test_uci_reconciles_in_the_unified_layer_to_what_was_published(uci_home: Path) -> None:
    """Every line is there, with a customer or without, and orders and refunds are made of lines."""
    with Warehouse.of(settings_of(UCI, uci_home)).connect() as connection:
        assert connection.execute(
            "SELECT count(*), sum(net_amount), count(*) FILTER (NOT is_resolved), "
            "count(*) FILTER (customer_id IS NULL) FROM unified.fct_order_line"
        ).fetchone() == (541_909, Decimal("9747747.9340"), 135_080, 135_080)
        by_type = connection.execute(
            "SELECT line_type, sum(net_amount) FROM unified.fct_order_line GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        sold, returned = Decimal("10271433.0600"), Decimal("478724.1800")
        assert by_type == [
            ("adjustment", Decimal("-11062.0600")), ("charge", Decimal("-33898.8860")),
            ("return", -returned), ("sale", sold),
        ]  # fmt: skip
        assert connection.execute(
            "SELECT sum(net_amount), bool_and(is_derived), count(*) - (SELECT count(DISTINCT order_id) "
            "FROM unified.fct_order_line WHERE line_type = 'sale') FROM unified.fct_order"
        ).fetchone() == (sold, True, 0)
        assert connection.execute(
            "SELECT sum(amount), bool_and(is_derived), count(*) - (SELECT count(*) "
            "FROM unified.fct_order_line WHERE line_type = 'return') FROM unified.fct_refund"
        ).fetchone() == (returned, True, 0)


def test_complete_journey_features_reach_the_baseline(real_data: Path, tmp_path: Path) -> None:
    built = features_and_labels(JOURNEY, tmp_path)
    assert_reaches_baseline(built, JOURNEY)
