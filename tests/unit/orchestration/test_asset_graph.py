"""What Dagster knows: exactly these assets, each described, and a gate in front of whoever reads."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from expectations.catalog import STAGES, judged_tables
from orchestration.defs.serving.publication import KEY as PUBLICATION
from orchestration.defs.serving.publication import published_tables
from orchestration.lib.dbt import (
    Translator,
    layer_tables,
    layer_tests,
    read_manifest,
    working_tables,
)
from orchestration.lib.gates import GATE, asset_key, table_name
from orchestration.lib.training import TASKS, model_key
from orchestration.lib.upstream import tables_above
from siyu.contracts import contracts
from siyu.transform import ensure_manifest

# Steps on the way to other tables, which hold the days of the last run only.
WORKING = "feature_date identity_as_of identity_stay order_as_of"
# Every asset, by group. A module whose definitions are not found fails here and nowhere else.
ASSETS = {
    "lake": """
        assignments campaigns channel_spend consents contacts content coupons exchange_rates
        experiments feedback group_members groups interactions inventory members messages
        order_lines orders payments points products refunds staff stores
    """,
    "staging": """
        identity_observation stg_assignments stg_campaigns stg_channel_spend stg_consents
        stg_contacts stg_content stg_coupons stg_credited_order stg_exchange_rates stg_experiments
        stg_feedback
        stg_group_members stg_groups stg_identifier stg_identity_edge stg_interactions
        stg_inventory stg_members stg_messages stg_order_lines stg_order_versions stg_orders
        stg_orders_from_lines stg_payments stg_points stg_products stg_products_from_lines
        stg_refund_versions stg_refunds stg_refunds_from_lines stg_staff stg_stores superseded_row
    """,
    "identity": """
        customer_identifier customer_identifier_past identity_event identity_quality
        identity_refused_edge
    """,
    "unified": """
        contactability customer_identifier customer_identifier_history dim_campaign dim_content
        dim_customer dim_customer_history dim_date dim_exchange_rate dim_product dim_staff dim_store
        fct_consent fct_group_membership fct_interaction fct_message fct_order fct_order_line
        fct_payment fct_point_entry fct_refund fct_session fct_wecom_relationship identity_event
        identity_quality identity_refused_edge order_reconciliation staff_identifier
    """,
    "marts": """
        cohort_retention customer_360 customer_lifecycle_history customer_rfm interaction_weekly
        kpi_weekly revenue_daily sync_rate sync_unmatched
    """,
    "ops": "integrity_violation wecom_callback_loss",
    "features": f"customer_features customer_labels {WORKING}",
    "models": "churn repurchase",
    "ml": "customer_scores",
    "serving": "publication",
}
KEYS = [dg.AssetKey([group, name]) for group, names in ASSETS.items() for name in names.split()]
WORKING_TABLES = frozenset(f"features.{name}" for name in WORKING.split())
JUDGED = [table for stage in STAGES for table in judged_tables(stage)]


@pytest.fixture(scope="module")
def graph(demo: dg.Definitions) -> AssetGraph:
    return demo.resolve_asset_graph()


def _blocking(graph: AssetGraph, key: dg.AssetKey) -> set[str]:
    """Names of the blocking checks of an asset."""
    return {
        check.name
        for check in graph.get_check_keys_for_assets({key})
        if graph.get_check_spec(check).blocking
    }


def test_there_are_exactly_these_assets(graph: AssetGraph) -> None:
    assert sorted(graph.materializable_asset_keys) == sorted(KEYS)


def test_the_lake_has_an_asset_for_every_contract() -> None:
    assert set(ASSETS["lake"].split()) == set(contracts())


@pytest.mark.parametrize("key", KEYS, ids=table_name)
def test_an_asset_says_what_it_is_whose_and_where_it_belongs(
    graph: AssetGraph, key: dg.AssetKey
) -> None:
    node = graph.get(key)
    assert node.description
    assert node.group_name == key.path[0]
    assert node.owners
    assert node.kinds


def test_what_an_asset_is_is_said_in_english_and_chinese(graph: AssetGraph) -> None:
    one_language = [
        table_name(key)
        for key in KEYS
        if not any("一" <= letter <= "鿿" for letter in graph.get(key).description or "")
        or "\n\n" not in (graph.get(key).description or "")
    ]
    assert one_language == []


def test_every_entity_says_how_often_it_is_to_land(graph: AssetGraph) -> None:
    policies = {
        entity: graph.get(dg.AssetKey(["lake", entity])).freshness_policy
        for entity in ASSETS["lake"].split()
    }

    assert [entity for entity, policy in policies.items() if policy is None] == []
    assert policies["orders"] == dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=26), fail_window=timedelta(hours=52)
    )


@pytest.mark.parametrize("table", JUDGED)
def test_a_table_with_a_suite_has_a_blocking_check(graph: AssetGraph, table: str) -> None:
    assert GATE in _blocking(graph, asset_key(table))


def test_no_suite_judges_a_table_that_no_asset_makes() -> None:
    assert {asset_key(table) for table in JUDGED} <= set(KEYS)


@pytest.mark.parametrize("layer", ["staging", "unified", "marts", "features", "ops"])
def test_a_layer_runs_every_dbt_test_that_dagster_expects_of_it(
    demo: dg.Definitions, layer: str
) -> None:
    # A check that gives no result lets what is below go on.
    manifest = read_manifest(ensure_manifest())
    translator = Translator("duckdb", {})
    run = set(layer_tests(manifest, layer_tables(manifest, layer), layer))
    answered = {
        get_asset_check_key_for_test(manifest, translator, unique_id, project=None)
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "test" and node["name"] in run
    }
    expected = demo.resolve_assets_def(asset_key(layer_tables(manifest, layer)[0])).check_keys
    assert expected
    assert set(expected) <= answered


def test_every_dbt_test_is_a_check_of_the_table_that_it_judges(graph: AssetGraph) -> None:
    # One that reads several models names its own: config(meta={"dagster": {"ref": {"name": …}}}).
    manifest, translator = read_manifest(ensure_manifest()), Translator("duckdb", {})
    unknown = [
        node["name"]
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
        and get_asset_check_key_for_test(manifest, translator, unique_id, project=None)
        not in graph.asset_check_keys
    ]
    assert unknown == []


@pytest.mark.parametrize("layer", ["staging", "unified", "marts", "features", "ops"])
def test_every_table_of_a_layer_is_judged_by_a_dbt_test(layer: str) -> None:
    manifest = read_manifest(ensure_manifest())
    tables = set(layer_tables(manifest, layer)) - WORKING_TABLES
    assert {table for table in tables if not layer_tests(manifest, [table], layer)} == set()


@pytest.mark.parametrize("table", published_tables())
def test_a_published_table_is_behind_a_gate_and_above_the_publication(
    graph: AssetGraph, table: str
) -> None:
    assert _blocking(graph, asset_key(table))
    assert asset_key(table) in graph.get(PUBLICATION).parent_keys


def test_everything_that_bi_reads_is_published_behind_its_gates() -> None:
    layers = ("unified", "marts", "features", "ops", "ml")
    made = {table_name(key) for key in KEYS if key.path[0] in layers}
    assert set(published_tables()) == made - WORKING_TABLES


def test_a_working_table_is_one_that_says_so() -> None:
    assert working_tables(read_manifest(ensure_manifest())) == WORKING_TABLES


@pytest.mark.parametrize(
    "group", ["staging", "identity", "unified", "marts", "features", "ops", "serving"]
)
def test_a_step_asks_for_the_gates_of_all_that_its_assets_are_made_from(
    graph: AssetGraph, group: str
) -> None:
    asked = {asset_key(table) for table in tables_above(group)}
    made_from = set().union(*(_ancestors(graph, key) for key in KEYS if key.path[0] == group))
    ungated = {model_key(name) for name in TASKS}
    assert {key for key in made_from if key.path[0] != group} - ungated <= asked


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("staging.stg_orders", "lake.orders"),
        ("identity.customer_identifier", "staging.stg_identity_edge"),
        ("unified.customer_identifier", "identity.customer_identifier"),
        ("unified.fct_order", "staging.stg_orders"),
        ("marts.customer_360", "unified.fct_order"),
        ("features.customer_features", "unified.fct_interaction"),
        ("models.churn", "features.customer_labels"),
        ("ml.customer_scores", "models.churn"),
        ("ml.customer_scores", "features.customer_features"),
        ("serving.publication", "ml.customer_scores"),
    ],
)
def test_a_table_is_below_what_it_is_made_from(graph: AssetGraph, below: str, above: str) -> None:
    assert asset_key(above) in _ancestors(graph, asset_key(below))


def _ancestors(graph: AssetGraph, key: dg.AssetKey) -> set[dg.AssetKey]:
    found: set[dg.AssetKey] = set()
    waiting = [key]
    while waiting:
        for parent in graph.get(waiting.pop()).parent_keys - found:
            found.add(parent)
            waiting.append(parent)
    return found


def test_features_and_scores_are_kept_by_day_and_nothing_else_is(graph: AssetGraph) -> None:
    by_day = {table_name(key) for key in KEYS if graph.get(key).is_partitioned}
    features = {f"features.{name}" for name in ASSETS["features"].split()}
    assert by_day == {*features - WORKING_TABLES, "ml.customer_scores"}


def test_there_is_a_model_for_every_task() -> None:
    assert {model_key(name).path[1] for name in TASKS} == set(ASSETS["models"].split())


def test_every_table_shows_its_columns_and_what_they_mean(graph: AssetGraph) -> None:
    tables = [key for key in KEYS if key.path[0] not in ("models", "serving")]
    silent = [
        table_name(key)
        for key in tables
        if not (schema := graph.get(key).metadata.get("dagster/column_schema"))
        or not all(column.description for column in schema.columns)
    ]
    assert silent == []


def test_a_lake_asset_shows_its_columns_and_which_are_personal(graph: AssetGraph) -> None:
    schema = graph.get(dg.AssetKey(["lake", "members"])).metadata["dagster/column_schema"]
    columns = {column.name: column for column in schema.columns}
    assert "phone" not in columns
    assert not columns["member_id"].constraints.nullable
    assert columns["phone_token"].tags["pii"]
