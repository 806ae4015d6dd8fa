"""dbt's nodes as Dagster sees them: keys, descriptions, and how a layer is called."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from orchestration.lib.dbt import (
    Translator,
    dbt_arguments,
    describe_test,
    layer_tables,
    layer_tests,
    made_from,
)

TRANSLATOR = Translator("duckdb", {"features": dg.DailyPartitionsDefinition("2026-01-01")})


def _node(schema: str, name: str, **more: Any) -> dict[str, Any]:
    return {"resource_type": "model", "schema": schema, "name": name, **more}


def _source(name: str) -> dict[str, Any]:
    return {"resource_type": "source", "source_name": "lake", "name": name}


def test_a_whole_layer_is_selected_by_its_tag_and_leaves_out_the_tests_of_later_layers() -> None:
    manifest = _tests(own=["unified"], later=["unified", "marts"], other=["staging"])
    assert dbt_arguments(manifest, ["unified.a_unified"], "unified", ["own"]) == [
        "build", "--select", "tag:unified", "--exclude", "later", "--indirect-selection", "eager",
    ]  # fmt: skip


def test_a_whole_layer_without_tests_of_later_layers_is_its_tag() -> None:
    assert dbt_arguments(_tests(own=["marts"]), ["marts.a_marts"], "marts", ["own"]) == [
        "build", "--select", "tag:marts", "--indirect-selection", "eager",
    ]  # fmt: skip


def test_part_of_a_layer_is_selected_by_name() -> None:
    manifest = _tests(own=["marts"])
    table = {"materialized": "table"}
    manifest["nodes"]["b"] = _node("marts", "b", tags=["marts"], config=table)
    assert dbt_arguments(manifest, ["marts.b"], "marts", ["own"]) == [
        "build", "--select", "b", "own", "--indirect-selection", "empty",
    ]  # fmt: skip


def _tests(**reads: list[str]) -> dict[str, Any]:
    """A manifest of a model in each layer, and tests that read some of them."""
    layers = ("staging", "unified", "marts", "features")
    models = {
        layer: _node(layer, f"a_{layer}", tags=[layer], config={"materialized": "table"})
        for layer in layers
    }
    tests = {
        name: {"resource_type": "test", "name": name, "depends_on": {"nodes": nodes}}
        for name, nodes in reads.items()
    }
    return {"nodes": {**models, **tests}}


@pytest.mark.parametrize("layer", ["unified", "marts", "features"])
def test_a_test_is_run_with_the_last_of_the_layers_that_it_reads(layer: str) -> None:
    manifest = _tests(own=[layer], across=["staging", layer], other=["staging"])
    assert layer_tests(manifest, [f"{layer}.a_{layer}"], layer) == ("across", "own")
    assert layer_tests(manifest, ["staging.a_staging"], "staging") == ("other",)


def test_a_test_of_a_source_does_not_hinder_it() -> None:
    manifest = _tests(own=["unified", "source.siyu.lake.orders"])
    assert layer_tests(manifest, ["unified.a_unified"], "unified") == ("own",)


def test_only_tests_of_the_tables_that_are_built_are_run() -> None:
    assert layer_tests(_tests(own=["marts"]), ["marts.another"], "marts") == ()


def test_a_layer_is_its_models_without_the_ephemeral_ones() -> None:
    table, ephemeral = ({"materialized": kind} for kind in ("table", "ephemeral"))
    nodes = {
        "b": _node("marts", "b", config=table),
        "a": _node("marts", "a", config=table),
        "inner": _node("marts", "inner", config=ephemeral),
        "elsewhere": _node("unified", "c", config=table),
        "test": {**_node("marts", "t", config={"materialized": "test"}), "resource_type": "test"},
    }
    assert layer_tables({"nodes": nodes}, "marts") == ("marts.a", "marts.b")


def test_what_part_of_a_layer_is_made_from_is_the_rest_of_it_step_by_step() -> None:
    table, ephemeral = ({"materialized": kind} for kind in ("table", "ephemeral"))
    reads = {
        "below": ["wanted"], "wanted": ["inner", "too", "above"], "inner": ["first"], "too": ["first"],
        "first": ["other"], "other": ["source.siyu.lake.orders"], "above": [], "aside": [],
    }  # fmt: skip
    nodes = {
        name: _node(
            "staging" if name == "above" else "marts",
            name,
            config=ephemeral if name == "inner" else table,
            depends_on={"nodes": above},
        )
        for name, above in reads.items()
    }
    made = made_from({"nodes": nodes}, {"marts.wanted", "marts.too"}, "marts")
    assert made == ("marts.first", "marts.other")


def test_a_model_is_named_by_its_layer() -> None:
    node = _node("marts", "kpi_weekly")
    assert TRANSLATOR.get_asset_key(node) == dg.AssetKey(["marts", "kpi_weekly"])
    assert TRANSLATOR.get_group_name(node) == "marts"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("orders", "lake"),
        ("customer_identifier", "identity"),
        ("identity_event", "identity"),
        ("identity_refused_edge", "identity"),
        ("identity_quality", "identity"),
    ],
)
def test_a_source_is_the_lakes_or_the_identity_stores(name: str, schema: str) -> None:
    assert TRANSLATOR.get_asset_key(_source(name)) == dg.AssetKey([schema, name])


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"description": "Orders", "config": {"meta": {"zh": "订单"}}}, "Orders\n\n订单"),
        ({"description": "Orders", "config": {}}, "Orders"),
        ({}, ""),
    ],
)
def test_a_description_is_english_then_chinese(node: dict[str, Any], said: str) -> None:
    assert TRANSLATOR.get_description(node) == said


def test_only_features_are_kept_by_day() -> None:
    assert TRANSLATOR.get_partitions_def(_node("features", "customer_features")) is not None
    assert TRANSLATOR.get_partitions_def(_node("marts", "kpi_weekly")) is None


def test_a_working_table_is_not_kept_by_day() -> None:
    node = _node("features", "feature_date", config={"meta": {"working": True}})
    assert TRANSLATOR.get_partitions_def(node) is None


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"description": "Every order has a line"}, "Every order has a line"),
        (
            {"test_metadata": {"name": "not_null", "kwargs": {}}, "column_name": "order_id"},
            "not null on order_id (dbt test, blocks)",
        ),
        (
            {"name": "orders_reconcile", "config": {"severity": "warn"}},
            "orders reconcile (dbt test, warns)",
        ),
    ],
)
def test_a_test_says_what_it_demands(test: dict[str, Any], said: str) -> None:
    assert describe_test({"config": {"severity": "ERROR"}, **test}) == said
