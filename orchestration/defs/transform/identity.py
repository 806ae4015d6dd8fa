"""Identity: from staged identifiers and edges to the map of customers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.environment import OWNERS
from orchestration.lib.dbt import read_manifest, require_above
from orchestration.lib.gates import asset_key
from orchestration.lib.standing import basis, may_stand, standing_metadata
from orchestration.lib.upstream import IDENTITY_TABLES as WRITES
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace
from siyu.identity import IdentityStore, Resolution, resolve
from siyu.ops import GateResult, Standing
from siyu.transform import ensure_manifest
from siyu.vault import junk_tokens

READS = ("staging.stg_identifier", "staging.stg_identity_edge")
GATE = "caps"


def _specs() -> list[dg.AssetSpec]:
    deps = [dg.AssetKey(table.split(".")) for table in READS]
    said = {
        "customer_identifier": (
            "Which customer each identifier belongs to; junk identifiers belong to none.\n\n"
            "标识到客户的映射；无效标识不归属任何客户。"
        ),
        "identity_event": (
            "Append-only history of customers created, merged and split.\n\n"
            "客户创建、合并、拆分的历史记录（只追加）。"
        ),
    }
    return [
        dg.AssetSpec(
            dg.AssetKey(["identity", name]),
            deps=deps,
            description=description,
            group_name="identity",
            owners=OWNERS,
            kinds={"python", "deltalake"},
            metadata={"dagster/column_schema": _columns(name)},
        )
        for name, description in said.items()
    ]


def _columns(name: str) -> dg.TableSchema:
    """The columns of a table of the identity store, as dbt's source describes them."""
    source = read_manifest(ensure_manifest())["sources"][f"source.siyu.lake.{name}"]
    return dg.TableSchema(
        [
            dg.TableColumn(
                column["name"],
                column["data_type"],
                description=f"{column['description']} | {column['config']['meta']['zh']}",
            )
            for column in source["columns"].values()
        ]
    )


@dg.definitions
def identity() -> dg.Definitions:
    """The identity step."""
    above = tables_above("identity")

    @dg.multi_asset(
        name="identity",
        specs=_specs(),
        check_specs=[
            dg.AssetCheckSpec(
                GATE,
                asset=dg.AssetKey(["identity", "customer_identifier"]),
                blocking=True,
                description="No customer holds more identifiers of a namespace than its cap",
            )
        ],
    )
    def resolve_identity(
        context: dg.AssetExecutionContext, workspace: Workspace
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        require_above(workspace, above)
        ledger, run_id = workspace.ledger, context.run.run_id
        if may_stand(context.run.tags) and (kept := _standing(workspace, above)):
            yield from _as_it_stands(workspace, kept)
            return
        versions = {table: ledger.begin_write(table, run_id, [GATE]) for table in WRITES}
        decided = _decide(workspace, run_id)
        changed = IdentityStore(workspace.paths).write(decided)
        rows = {
            WRITES[0]: decided.customer_identifier.num_rows,
            WRITES[1]: decided.events.num_rows,
        }
        decided_on = _basis(workspace, above)
        for table, version in versions.items():
            ledger.end_write(table, version, rows[table], decided_on)
        verdict = _verdict(workspace, decided)
        for table, version in versions.items():
            ledger.record(table, version, GATE, [verdict], run_id)
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(WRITES[0].split(".")),
            metadata={
                "dagster/row_count": rows[WRITES[0]],
                "customers": decided.customers,
                "largest_cluster": decided.largest,
                "edges_refused_by_a_cap": decided.refused_edges.num_rows,
                "changed": changed,
            },
        )
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(WRITES[1].split(".")),
            metadata={"events_in_this_run": rows[WRITES[1]]},
        )
        yield _check(verdict)

    return dg.Definitions(assets=[resolve_identity])


def _basis(workspace: Workspace, above: Sequence[str]) -> str:
    """What the map follows from, and that it is still the one that was written."""
    return basis(workspace, above, map=IdentityStore(workspace.paths).version())


def _standing(workspace: Workspace, above: Sequence[str]) -> dict[str, Standing] | None:
    """The versions of the map and its events, when deciding again would change nothing."""
    expected = _basis(workspace, above)
    found = {table: workspace.ledger.standing(table, expected) for table in WRITES}
    kept = {table: version for table, version in found.items() if version is not None}
    return kept if len(kept) == len(WRITES) else None


def _as_it_stands(
    workspace: Workspace, kept: Mapping[str, Standing]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """What an earlier run decided, and what was said of it."""
    for table, version in kept.items():
        yield dg.MaterializeResult(asset_key=asset_key(table), metadata=standing_metadata(version))
    version = kept[WRITES[0]]
    (verdict,) = workspace.ledger.results(WRITES[0], version.version, GATE)
    yield _check(verdict, judged_in_run=version.run_id)


def _check(verdict: GateResult, **metadata: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset_key(WRITES[0]),
        check_name=GATE,
        passed=verdict.outcome == "passed",
        description=verdict.message,
        metadata=metadata,
    )


def _decide(workspace: Workspace, run_id: str) -> Resolution:
    warehouse, namespaces = workspace.warehouse, workspace.retailer.identifiers
    return resolve(
        identifiers=warehouse.read(f"FROM {READS[0]}"),
        edges=warehouse.read(f"FROM {READS[1]}"),
        previous=IdentityStore(workspace.paths).previous(),
        caps={name: namespace.cap for name, namespace in namespaces.items()},
        member_namespaces={
            name for name, namespace in namespaces.items() if namespace.type == "member_id"
        },
        junk=_junk(workspace),
        run_id=run_id,
    )


def _junk(workspace: Workspace) -> frozenset[str]:
    """Tokens of phones and e-mails that stand for nobody."""
    region = workspace.retailer.phone_region
    return junk_tokens(workspace.paths, "phone", region) | junk_tokens(workspace.paths, "email")


def _verdict(workspace: Workspace, decided: Resolution) -> GateResult:
    """Count again, in SQL, what clustering promised."""
    caps = {n: s.cap for n, s in workspace.retailer.identifiers.items() if s.cap is not None}
    held = decided.customer_identifier.group_by(["customer_id", "namespace"]).aggregate(
        [("identifier", "count")]
    )
    broken = [
        row["customer_id"]
        for row in held.to_pylist()
        if row["customer_id"] is not None
        and row["identifier_count"] > caps.get(row["namespace"], row["identifier_count"])
    ]
    return GateResult(
        GATE,
        "caps_hold",
        "ERROR",
        "failed" if broken else "passed",
        f"no customer above a cap: found {len(broken)}",
        failed_count=len(broken),
        example_keys=tuple(broken[:5]),
    )
