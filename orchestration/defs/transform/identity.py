"""Identity: from staged identifiers and edges to the map of customers."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.environment import OWNERS
from orchestration.lib.dbt import read_manifest, require_above
from orchestration.lib.gates import asset_key, check_result
from orchestration.lib.standing import basis, may_stand, standing_metadata
from orchestration.lib.upstream import IDENTITY_TABLES as WRITES
from orchestration.lib.upstream import tables_above
from orchestration.resources import Workspace
from siyu.audit import AuditLog
from siyu.identity import IdentityStore, Resolution, past, resolve
from siyu.identity.proposals import COMPARED, linked_edges, propose
from siyu.identity.quality import GATE as QUALITY_GATE
from siyu.identity.quality import judge
from siyu.identity.resolution import DEFAULT_CAPS, TOTAL_CAP, rule_event_id
from siyu.identity_rules import IdentityRule, read_rules
from siyu.ops import GateResult, Standing
from siyu.transform import ensure_manifest
from siyu.vault import Vault, junk_tokens

READS = ("staging.stg_identifier", "staging.stg_identity_edge")
GATE = "caps"
RULES_GATE = "manual_rules"
_GATES = {
    GATE: "No customer holds more identifiers than the caps, but for what people linked",
    RULES_GATE: "What people linked is one customer, what they set apart is two",
    QUALITY_GATE: "Customers are of a likely size and hang together, and few are merged at once",
}


def _specs() -> list[dg.AssetSpec]:
    deps = [dg.AssetKey(table.split(".")) for table in READS]
    said = {
        "customer_identifier": (
            "Which customer each identifier belongs to; junk identifiers belong to none.\n\n"
            "标识到客户的映射；无效标识不归属任何客户。"
        ),
        "identity_event": (
            "Append-only history of customers created, merged and split, and of manual rules.\n\n"
            "客户创建、合并、拆分及人工规则的历史记录（只追加）。"
        ),
        "identity_refused_edge": (
            "Which links between identifiers a cap or a manual rule refuses.\n\n"
            "因上限或人工规则而被拒绝的标识关联。"
        ),
        "customer_identifier_past": (
            "Which customers identifiers belonged to before, as known then.\n\n"
            "标识以往的客户归属（按当时可知）。"
        ),
        "identity_quality": (
            "How customers hang together, and what changed, by decision.\n\n"
            "客户聚类形态及变化，按历次决策。"
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
                gate, asset=asset_key(WRITES[0]), blocking=True, description=description
            )
            for gate, description in _GATES.items()
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
        rules = read_rules(workspace.retailer)
        versions = {table: ledger.begin_write(table, run_id, _GATES) for table in WRITES}
        decided, before = _decide(workspace, rules, run_id)
        verdicts = _verdicts(workspace, decided, rules)
        changed = False
        # The next decision starts from this one: what would be blocked is not kept.
        if not any(result.blocks for results in verdicts.values() for result in results):
            store = IdentityStore(workspace.paths)
            changed = store.write(decided)
            store.write_past(before)
            _log(workspace, decided)
        rows = {
            WRITES[0]: decided.customer_identifier.num_rows,
            WRITES[1]: decided.events.num_rows,
            WRITES[2]: decided.refused_edges.num_rows,
            WRITES[3]: before.num_rows,
            WRITES[4]: 1,
        }
        decided_on = _basis(workspace, above)
        for table, version in versions.items():
            ledger.end_write(table, version, rows[table], decided_on)
        for table, version in versions.items():
            for gate, results in verdicts.items():
                ledger.record(table, version, gate, results, run_id)
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(WRITES[0].split(".")),
            metadata={
                "dagster/row_count": rows[WRITES[0]],
                "manual_rules": len(rules),
                "manual_rules_without_effect": len(rules) - len(decided.rules),
                "changed": changed,
                **_figures(decided),
            },
        )
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(WRITES[1].split(".")),
            metadata={"events_in_this_run": rows[WRITES[1]]},
        )
        for table in WRITES[2:]:
            yield dg.MaterializeResult(
                asset_key=asset_key(table), metadata={"dagster/row_count": rows[table]}
            )
        for gate, results in verdicts.items():
            yield check_result(WRITES[0], results, gate=gate)

    return dg.Definitions(assets=[resolve_identity])


def _basis(workspace: Workspace, above: Sequence[str]) -> str:
    """What the map and its past follow from, and that they are still those that were written."""
    rules = [asdict(rule) for rule in read_rules(workspace.retailer)]
    store = IdentityStore(workspace.paths)
    return basis(workspace, above, map=store.version(), past=store.past_version(), rules=rules)


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
    for gate in _GATES:
        results = workspace.ledger.results(WRITES[0], version.version, gate)
        yield check_result(WRITES[0], results, [version.run_id], gate)


def _verdicts(
    workspace: Workspace, decided: Resolution, rules: Sequence[IdentityRule]
) -> dict[str, list[GateResult]]:
    """What each gate says of a decision."""
    earlier = IdentityStore(workspace.paths).quality()
    return {
        GATE: [_caps_hold(workspace, decided, rules)],
        RULES_GATE: [_rules_hold(decided, rules)],
        QUALITY_GATE: judge(
            decided.quality, decided.customer_identifier, earlier, workspace.retailer
        ),
    }


def _figures(decided: Resolution) -> dict[str, int | float]:
    """The figures of a decision, of those that there are."""
    return {name: value for name, value in asdict(decided.quality).items() if value is not None}


def _decide(
    workspace: Workspace, rules: Sequence[IdentityRule], run_id: str
) -> tuple[Resolution, pa.Table]:
    """Who is who, and who was before."""
    identifiers, edges = (workspace.warehouse.read(f"FROM {table}") for table in READS)
    edges = _with_likely_links(workspace, edges)
    namespaces = workspace.retailer.identifiers
    store = IdentityStore(workspace.paths)
    decided = resolve(
        identifiers=identifiers,
        edges=edges,
        previous=store.previous(),
        caps={name: namespace.cap for name, namespace in namespaces.items()},
        member_namespaces={
            name for name, namespace in namespaces.items() if namespace.type == "member_id"
        },
        junk=_junk(workspace),
        run_id=run_id,
        rules=rules,
        rules_before=store.rules_applied(),
    )
    return decided, past(decided.customer_identifier, identifiers, edges, decided.rules)


def _with_likely_links(workspace: Workspace, edges: pa.Table) -> pa.Table:
    """The edges, and those by likeness of members where the retailer asks for them."""
    wanted = workspace.retailer.probabilistic_links
    if wanted is None:
        return edges
    members = workspace.warehouse.read(f"SELECT {', '.join(COMPARED)} FROM staging.stg_members")
    junk = junk_tokens(workspace.paths, "birth_date")
    reveal = Vault.of(workspace.paths).reveal_all
    proposals = propose(members, edges, reveal, junk, wanted)
    IdentityStore(workspace.paths).write_proposals(proposals)
    return pa.concat_tables([edges, linked_edges(proposals, edges.schema)])


def _junk(workspace: Workspace) -> frozenset[str]:
    """Tokens of phones and e-mails that stand for nobody."""
    region = workspace.retailer.phone_region
    return junk_tokens(workspace.paths, "phone", region) | junk_tokens(workspace.paths, "email")


def _log(workspace: Workspace, decided: Resolution) -> None:
    """Put the manual rules that were applied into the audit log; what is there already adds nothing."""
    log = AuditLog.of(workspace.paths)
    for rule in decided.rules:
        log.append(
            "identity_rule",
            reference=rule_event_id(rule),
            payload={**asdict(rule), "decided_at": rule.decided_at.isoformat()},
            occurred_at=rule.decided_at,
            subjects=rule.pair,
        )


def _caps_hold(
    workspace: Workspace, decided: Resolution, rules: Sequence[IdentityRule]
) -> GateResult:
    """Count again what clustering promised."""
    known = decided.customer_identifier
    known = known.filter(pc.is_valid(known["customer_id"]))
    linked = {name for rule in rules if rule.action == "link" for name in rule.pair}
    caps = {name: space.cap for name, space in workspace.retailer.identifiers.items()}
    broken = _above(known, TOTAL_CAP, linked)
    for namespace, cap in {**DEFAULT_CAPS, **caps}.items():
        if cap is not None:
            broken |= _above(known.filter(pc.equal(known["namespace"], namespace)), cap, linked)
    return _found(GATE, "caps_hold", "no customer above a cap", sorted(broken))


def _above(rows: pa.Table, cap: int, linked: Collection[str]) -> set[str]:
    """Customers who hold more identifiers than a cap and than what people linked."""
    held = rows.group_by("customer_id").aggregate([("identifier", "count")])
    over = held.filter(pc.greater(held["identifier_count"], cap)).to_pylist()
    by_hand = rows.filter(pc.is_in(rows["identifier"], pa.array(sorted(linked), pa.string())))
    allowed = Counter(by_hand["customer_id"].to_pylist())
    return {
        row["customer_id"] for row in over if row["identifier_count"] > allowed[row["customer_id"]]
    }


def _rules_hold(decided: Resolution, rules: Sequence[IdentityRule]) -> GateResult:
    """Look up again whom the identifiers of manual rules stand for."""
    named = pa.array(sorted({name for rule in rules for name in rule.pair}), pa.string())
    rows = decided.customer_identifier.select(["identifier", "customer_id"])
    rows = rows.filter(pc.is_in(rows["identifier"], named))
    customer = dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    broken = [
        rule_event_id(rule)
        for rule in rules
        if all(customer.get(name) for name in rule.pair)
        and (rule.action == "link") != (len({customer[name] for name in rule.pair}) == 1)
    ]
    return _found(RULES_GATE, "manual_rules_hold", "every manual rule holds", broken)


def _found(gate: str, rule: str, said: str, broken: Sequence[str]) -> GateResult:
    return GateResult(
        gate,
        rule,
        "ERROR",
        "failed" if broken else "passed",
        f"{said}: found {len(broken)}",
        failed_count=len(broken),
        example_keys=tuple(broken[:5]),
    )
