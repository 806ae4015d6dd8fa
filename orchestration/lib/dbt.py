"""dbt layers as Dagster assets: one step per layer, run in this process.

dagster-dbt makes the assets and checks from dbt's manifest; running dbt in this process saves the
seconds that a subprocess and its adapter need at every step. Every model of a layer blocks what
reads it until its tests have passed, in this run or a later one. What a layer holds is in
``dbt_project``; how dbt is called is in ``siyu.transform``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from expectations.catalog import suite_for
from orchestration.environment import OWNERS
from orchestration.lib import standing
from orchestration.lib.gates import GATE as GX_GATE
from orchestration.lib.gates import asset_key, refusal, require_passed
from orchestration.resources import Workspace
from siyu.ops import Block, GateResult, Outcome, Standing
from siyu.transform import NodeResult, dbt_vars, register_lake, run_dbt

DBT_GATE = "dbt"
_IDENTITY_SOURCES = (
    "customer_identifier", "customer_identifier_past", "identity_event", "identity_refused_edge",
    "identity_quality", "identity_proposal",
)  # fmt: skip


class Translator(DagsterDbtTranslator):
    """How dbt's nodes are named and described in Dagster."""

    def __init__(self, engine: str, partitions: Mapping[str, dg.PartitionsDefinition[Any]]) -> None:
        super().__init__(DagsterDbtTranslatorSettings())
        self._engine = engine
        self._partitions = partitions

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """``schema/table``; the identity store's tables are told apart from the lake's."""
        name = dbt_resource_props["name"]
        if dbt_resource_props["resource_type"] == "source":
            schema = "identity" if name in _IDENTITY_SOURCES else dbt_resource_props["source_name"]
            return dg.AssetKey([schema, name])
        return dg.AssetKey([dbt_resource_props["schema"], name])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """English, then Chinese."""
        zh = dbt_resource_props.get("config", {}).get("meta", {}).get("zh", "")
        return "\n\n".join(part for part in (dbt_resource_props.get("description"), zh) if part)

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        """A test as a check, described; it waits for its own table only.

        A layer is one step that dbt orders itself, and an ephemeral model is no asset to wait for.
        """
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        return dg.AssetCheckSpec(
            name=spec.name,
            asset=spec.asset_key,
            description=describe_test(manifest["nodes"][unique_id]),
            blocking=spec.blocking,
            metadata=spec.metadata,
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer."""
        return str(self.get_asset_key(dbt_resource_props).path[0])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 - as Dagster asks
        """Data engineering."""
        return OWNERS

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG002 - as Dagster asks
        """None: the layer is the group."""
        return {}

    def get_partitions_def(
        self, dbt_resource_props: Mapping[str, Any]
    ) -> dg.PartitionsDefinition[Any] | None:
        """As-of days, for the layers that are kept by them; a working table holds one run's."""
        if _is_working(dbt_resource_props):
            return None
        return self._partitions.get(dbt_resource_props["schema"])


def describe_test(test: Mapping[str, Any]) -> str:
    """What a test demands: its own description, else its name and column."""
    if test.get("description"):
        return str(test["description"])
    said = test.get("test_metadata") or {"name": test["name"], "kwargs": {}}
    column = test.get("column_name")
    severity = "warns" if test["config"]["severity"].lower() == "warn" else "blocks"
    name = said["name"].replace("_", " ")
    return f"{name}{f' on {column}' if column else ''} (dbt test, {severity})"


@cache
def read_manifest(file: Path) -> dict[str, Any]:
    """dbt's manifest, read once."""
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def layer_tables(manifest: Mapping[str, Any], layer: str) -> tuple[str, ...]:
    """``schema.table`` of every model of a layer."""
    return tuple(
        sorted(
            f"{node['schema']}.{node['name']}"
            for node in manifest["nodes"].values()
            if node["resource_type"] == "model"
            and node["schema"] == layer
            and node["config"]["materialized"] != "ephemeral"
        )
    )


def working_tables(manifest: Mapping[str, Any]) -> frozenset[str]:
    """``schema.table`` of every model that is a step on the way to others (``meta: working``).

    It holds the days of the last run only, is not published, and is built with whatever reads it.
    """
    return frozenset(
        f"{node['schema']}.{node['name']}"
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and _is_working(node)
    )


def _is_working(node: Mapping[str, Any]) -> bool:
    return bool(node.get("config", {}).get("meta", {}).get("working"))


def made_from(manifest: Mapping[str, Any], tables: Collection[str], layer: str) -> tuple[str, ...]:
    """The rest of a layer that some of its tables are made from, step by step.

    Args:
        manifest: dbt's manifest.
        tables: ``schema.table`` of those that are built.
        layer: Their layer.
    """
    nodes = manifest["nodes"]
    waiting = [name for name, node in nodes.items() if _table(node) in tables]
    seen: set[str] = set()
    while waiting:
        above = {name for name in nodes[waiting.pop()]["depends_on"]["nodes"] if name in nodes}
        waiting += above - seen
        seen |= above
    names = {_table(nodes[name]) for name in seen}
    return tuple(name for name in layer_tables(manifest, layer) if name in names - set(tables))


def _table(node: Mapping[str, Any]) -> str | None:
    """``schema.table`` of a model; None of any other node."""
    return f"{node['schema']}.{node['name']}" if node["resource_type"] == "model" else None


def require_above(workspace: Workspace, tables: Sequence[str]) -> None:
    """Refuse to build on tables that have not passed, or on staging that its tests have not seen.

    Staging is views: they show what landed after their tests passed, under the version that passed.

    Args:
        workspace: The run's workspace.
        tables: ``schema.table`` of all that is read, step by step.

    Raises:
        dg.Failure: says which table blocks, why, and what to do.
    """
    require_passed(workspace, tables)
    staged = [table for table in tables if table.startswith("staging.")]
    if not staged:
        return
    unseen = workspace.ledger.unjudged(staged, DBT_GATE, workspace.lake.state())
    if unseen:
        said = (
            f"{len(unseen)} of {len(staged)} tables: their tests have not seen what the lake holds"
        )
        remedy = "materialise all of staging first, or run the refresh job"
        raise refusal([Block("staging", said, remedy)])


# Layers in the order they are built; a test belongs to the last of the layers that it reads.
_ORDER = {"staging": 0, "unified": 1, "marts": 2, "features": 2, "ops": 2}


def layer_tests(manifest: Mapping[str, Any], tables: Sequence[str], layer: str) -> tuple[str, ...]:
    """Names of the tests that can be judged once these models of a layer are built.

    dbt's own rules leave out a test that compares a model with one it does not descend from, or
    run it before the later of the two is built.
    """
    chosen = set(tables)
    found = []
    for test in manifest["nodes"].values():
        if test["resource_type"] != "test":
            continue
        reads = [manifest["nodes"].get(name) for name in test["depends_on"]["nodes"]]
        models = [node for node in reads if node is not None]
        touches = any(f"{node['schema']}.{node['name']}" in chosen for node in models)
        built = all(
            node["schema"] == layer or _ORDER[node["schema"]] < _ORDER[layer] for node in models
        )
        if touches and built:
            found.append(test["name"])
    return tuple(sorted(found))


def dbt_arguments(
    manifest: Mapping[str, Any], tables: Sequence[str], layer: str, tests: Sequence[str]
) -> list[str]:
    """Arguments of ``dbt build`` for some or all models of a layer, and the tests that judge them.

    dbt goes through the whole project for every name it is given, so a whole layer is its tag with
    the tests that dbt finds to it, but for those of a later layer.
    """
    if set(tables) != set(layer_tables(manifest, layer)):
        names = [table.partition(".")[2] for table in sorted(tables)]
        return ["build", "--select", *names, *tests, "--indirect-selection", "empty"]
    found = _tests_of_tag(manifest, layer)
    missed, later = sorted(set(tests) - found), sorted(found - set(tests))
    excluded = ["--exclude", *later] if later else []
    return [
        "build", "--select", f"tag:{layer}", *missed, *excluded, "--indirect-selection", "eager",
    ]  # fmt: skip


def _tests_of_tag(manifest: Mapping[str, Any], layer: str) -> set[str]:
    """Tests that dbt's eager selection adds to a layer's tag: all that read one of its models."""
    nodes = manifest["nodes"]
    tagged = {
        unique_id
        for unique_id, node in nodes.items()
        if node["resource_type"] == "model" and layer in node["tags"]
    }
    return {
        node["name"]
        for node in nodes.values()
        if node["resource_type"] == "test" and tagged.intersection(node["depends_on"]["nodes"])
    }


def run_layer(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    manifest_file: Path,
    translator: Translator,
    layer: str,
    reads: Sequence[str],
    days: Sequence[date],
    as_of: date,
    by_day: Collection[str] = (),
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Build the selected models of a layer and tell Dagster and the ledger how it went.

    Args:
        context: The step.
        workspace: The run's workspace.
        manifest_file: dbt's manifest.
        translator: Names of dbt's nodes in Dagster.
        layer: Schema and tag of the layer.
        reads: Tables above, whose newest versions must have passed.
        days: As-of days to build; the last is the run's own.
        as_of: Day as of which everything is that is not kept by as-of day.
        by_day: Tables of the layer that are kept by as-of day: a version of each for every day.

    Raises:
        dg.Failure: a gate above blocks, or a model or an error-severity test failed.
    """
    require_above(workspace, reads)
    manifest = read_manifest(manifest_file)
    everything = layer_tables(manifest, layer)
    chosen = [table for table in everything if asset_key(table) in context.selected_asset_keys]
    working = working_tables(manifest)
    # Working tables hold other days unless this run makes them too.
    built = {*chosen, *working.intersection(everything)}
    require_above(workspace, made_from(manifest, built, layer))
    workspace.ledger.set_run_as_of(context.run.run_id, days[-1])
    whole: Sequence[date | None] = [None]
    tests = layer_tests(manifest, chosen, layer)
    parts: list[standing.Part] = [
        (table, day) for table in chosen for day in (days if table in by_day else whole)
    ]
    # What of a layer is built apart from the rest may have read what is older than itself.
    basis = None
    if set(chosen) == set(everything):
        basis = standing.basis(workspace, reads, layer=layer, as_of=as_of)
        if standing.may_stand(context.run.tags):
            kept = standing.standing(workspace, parts, basis) or {}
            said = _said_before(workspace, kept)
            if kept and said.keys() >= set(tests):
                yield from _as_they_stand(manifest, translator, kept, {t: said[t] for t in tests})
                return
    # What staging's tests see is what its views show from here on.
    seen = workspace.lake.state() if layer == "staging" else None
    register_lake(workspace.settings, workspace.retailer)
    versions = {
        (table, day): workspace.ledger.begin_write(
            table,
            context.run.run_id,
            _gates(table, workspace),
            as_of=day or as_of,
            by_day=table in by_day,
        )
        for table, day in parts
    }
    run = run_dbt(
        workspace.settings,
        dbt_arguments(manifest, sorted(built), layer, tests),
        dbt_vars(
            workspace.retailer,
            as_of,
            days,
            run_id=context.run.run_id,
            anew=standing.made_anew(context.run.tags),
        ),
    )
    nodes = {node.unique_id: node for node in run.results}
    rows = _row_counts(workspace, [t for t in chosen if _built(manifest, t, nodes)])
    results = _results(manifest, chosen, nodes, tests)
    for (table, _), version in versions.items():
        if _built(manifest, table, nodes):
            workspace.ledger.end_write(table, version, rows.get(table), basis)
        workspace.ledger.record(table, version, DBT_GATE, results[table], context.run.run_id, seen)
    standing.note(workspace, versions)
    # In dbt's order: Dagster wants what is above first.
    for model in run.models:
        if model.table in chosen and _passed(model):
            yield dg.MaterializeResult(
                asset_key=asset_key(model.table),
                metadata={
                    "dagster/row_count": rows.get(model.table, 0),
                    "seconds": round(model.seconds, 3),
                },
            )
    yield from _checks(manifest, translator, nodes)
    unrun = sorted(set(tests) - {node.name for node in run.results})
    if unrun:
        raise dg.Failure(f"{layer}: dbt did not run {', '.join(unrun)}", allow_retries=False)
    failed = [node for node in run.results if not _passed(node) and node.severity != "WARN"]
    if failed:
        raise dg.Failure(f"{layer}: {_complaint(failed)}", allow_retries=False)


def _complaint(failed: Sequence[NodeResult]) -> str:
    """What broke, in full; what was not reached because of it, counted."""
    broken = [node for node in failed if node.status != "skipped"]
    said = [f"{node.name}: {' '.join(node.message.split())}" for node in broken]
    unreached = len(failed) - len(broken)
    return "; ".join(said + ([f"{unreached} below not reached"] if unreached else []))


def _passed(node: NodeResult) -> bool:
    return node.status in ("success", "pass")


def _said_before(
    workspace: Workspace, kept: Mapping[standing.Part, Standing]
) -> dict[str, tuple[GateResult, str]]:
    """What each test said of versions that stand, and in which run, by the test's name."""
    return {
        result.rule: (result, version.run_id)
        for (table, _), version in kept.items()
        for result in workspace.ledger.results(table, version.version, DBT_GATE)
    }


def _as_they_stand(
    manifest: Mapping[str, Any],
    translator: Translator,
    kept: Mapping[standing.Part, Standing],
    tests: Mapping[str, tuple[GateResult, str]],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """A layer that need not be built: what earlier runs made of it and said of it."""
    newest = {table: version for (table, _), version in kept.items()}
    for table in from_above(manifest, newest):
        yield dg.MaterializeResult(
            asset_key=asset_key(table), metadata=standing.standing_metadata(newest[table])
        )
    for unique_id, test in manifest["nodes"].items():
        if test["resource_type"] == "test" and test["name"] in tests:
            result, run_id = tests[test["name"]]
            yield from _check(manifest, translator, unique_id, result, judged_in_run=run_id)


def from_above(manifest: Mapping[str, Any], tables: Collection[str]) -> list[str]:
    """Tables in an order in which each comes after those it reads: Dagster wants them so."""
    nodes = manifest["nodes"]
    graph = {
        unique_id: [name for name in node["depends_on"]["nodes"] if name in nodes]
        for unique_id, node in nodes.items()
        if node["resource_type"] == "model"
    }
    ordered = (nodes[unique_id] for unique_id in TopologicalSorter(graph).static_order())
    names = (f"{node['schema']}.{node['name']}" for node in ordered)
    return [name for name in names if name in tables]


def _gates(table: str, workspace: Workspace) -> list[str]:
    judged = suite_for(table, workspace.retailer) is not None
    return [DBT_GATE, GX_GATE] if judged else [DBT_GATE]


def _model(manifest: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    schema, _, name = table.partition(".")
    model: Mapping[str, Any] = next(
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and (node["schema"], node["name"]) == (schema, name)
    )
    return model


def _built(manifest: Mapping[str, Any], table: str, nodes: Mapping[str, NodeResult]) -> bool:
    node = nodes.get(_model(manifest, table)["unique_id"])
    return node is not None and _passed(node)


def _results(
    manifest: Mapping[str, Any],
    tables: Sequence[str],
    nodes: Mapping[str, NodeResult],
    tests: Sequence[str],
) -> dict[str, list[GateResult]]:
    """What dbt says of each table: that it was built, and every test that reads it."""
    expected = {
        unique_id: test
        for unique_id, test in manifest["nodes"].items()
        if test["resource_type"] == "test" and (test["name"] in tests or unique_id in nodes)
    }
    found = {}
    for table in tables:
        model = _model(manifest, table)["unique_id"]
        built = nodes.get(model)
        found[table] = [
            GateResult(
                DBT_GATE, "built", "ERROR",
                "passed" if built and _passed(built) else "errored",
                built.message if built else "dbt did not reach the model",
            ),
            *(
                _test_result(test, nodes.get(unique_id))
                for unique_id, test in expected.items()
                if model in test["depends_on"]["nodes"]
            ),
        ]  # fmt: skip
    return found


def _test_result(test: Mapping[str, Any], node: NodeResult | None) -> GateResult:
    if node is None:
        return GateResult(DBT_GATE, test["name"], "ERROR", "errored", "dbt did not run the test")
    outcome: Outcome = "errored"
    if _passed(node):
        outcome = "passed"
    elif node.status in ("fail", "warn"):
        outcome = "failed"
    return GateResult(
        DBT_GATE,
        test["name"],
        "WARN" if node.severity == "WARN" else "ERROR",
        outcome,
        node.message or "no row breaks it",
        failed_count=node.failures,
        example_keys=node.example_keys,
    )


def _checks(
    manifest: Mapping[str, Any], translator: Translator, nodes: Mapping[str, NodeResult]
) -> Iterator[dg.AssetCheckResult]:
    """Every test that dbt ran and Dagster knows as a check."""
    for node in nodes.values():
        if node.kind == "test":
            result = _test_result(manifest["nodes"][node.unique_id], node)
            seconds = round(node.seconds, 3)
            yield from _check(manifest, translator, node.unique_id, result, seconds=seconds)


def _check(
    manifest: Mapping[str, Any],
    translator: Translator,
    unique_id: str,
    result: GateResult,
    **more: str | float,
) -> Iterator[dg.AssetCheckResult]:
    """A test's result as a check; nothing for a test that Dagster does not know."""
    key = get_asset_check_key_for_test(manifest, translator, unique_id, project=None)
    if key is None:
        return
    yield dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.outcome == "passed",
        severity=dg.AssetCheckSeverity(result.severity),
        description=result.message,
        metadata={
            "failed_rows": result.failed_count or 0,
            **more,
            **({"example_keys": list(result.example_keys)} if result.example_keys else {}),
        },
    )


def _row_counts(workspace: Workspace, tables: Sequence[str]) -> dict[str, int]:
    if not tables:
        return {}
    sql = " UNION ALL ".join(f"SELECT '{t}' AS name, count(*) AS n FROM {t}" for t in tables)
    return {row["name"]: row["n"] for row in workspace.warehouse.read(sql).to_pylist()}
