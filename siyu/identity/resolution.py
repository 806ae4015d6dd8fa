"""From identifiers and edges to a map of stable customer ids, and what changed.

A cluster inherits the customer id that most of its identifiers had (ties: the one with a member id,
then the oldest, then the smaller id); when an id's identifiers part, the part with the member id
keeps it. Everything else gets a new id, made from the cluster's oldest identifier, so that a
rebuild from nothing gives the same ids to the same clusters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from siyu.identity.clustering import Caps, Ints, cluster

TOTAL_CAP = 30
DEFAULT_CAPS: Mapping[str, int] = {"phone": 3}

MAP_SCHEMA = pa.schema(
    [
        ("identifier", pa.string()),
        ("namespace", pa.string()),
        ("customer_id", pa.string()),
        ("is_junk", pa.bool_()),
        ("known_at", pa.timestamp("us")),
        ("updated_run_id", pa.string()),
    ]
)
EVENT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_type", pa.string()),
        ("customer_id", pa.string()),
        ("other_customer_id", pa.string()),
        ("identifier", pa.string()),
        ("rule_id", pa.string()),
        ("occurred_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Resolution:
    """What a resolution decided.

    Attributes:
        customer_identifier: The whole map, ``MAP_SCHEMA``, by identifier. Junk identifiers are in
            it without a customer.
        events: What changed against the previous map, ``EVENT_SCHEMA``.
        refused_edges: Rows of the edge table that a cap refused.
        customers: Number of customers.
        largest: Identifiers in the largest cluster.
    """

    customer_identifier: pa.Table
    events: pa.Table
    refused_edges: pa.Table
    customers: int
    largest: int


def resolve(
    identifiers: pa.Table,
    edges: pa.Table,
    previous: pa.Table,
    caps: Mapping[str, int | None],
    member_namespaces: Collection[str],
    junk: Collection[str],
    run_id: str,
) -> Resolution:
    """Decide who is who.

    Args:
        identifiers: ``staging.stg_identifier``: identifier, namespace, first_seen_at, known_at.
        edges: ``staging.stg_identity_edge``: identifier_a, identifier_b, rule_id, priority,
            evidence_count, first_seen_at.
        previous: The map that the last resolution decided, ``MAP_SCHEMA``; may be empty.
        caps: How many identifiers of a namespace one customer may hold; None for no cap.
        member_namespaces: Namespaces of member ids; their holder keeps an id on a split.
        junk: Identifiers that stand for nobody, such as a till's test phone.
        run_id: The run that decides, for the record.

    Returns:
        The same decision for the same rows in any order.
    """
    nodes = _nodes(identifiers, junk, previous, member_namespaces)
    links = _links(edges, nodes["identifier"])
    namespaces = nodes["namespace"].unique().sort()
    limits = {**DEFAULT_CAPS, **caps}
    outcome = cluster(
        _ints(pc.index_in(nodes["namespace"], value_set=namespaces)),
        links.a,
        links.b,
        np.arange(len(links.a), dtype=np.int64),
        Caps(
            np.array([_cap(limits, name) for name in namespaces.to_pylist()], np.int64),
            TOTAL_CAP,
        ),
    )
    old_id = _flat(nodes["old_id"])
    before = old_id.dictionary_encode()
    undecided = ~_settled(outcome.label, _ints(before.indices))
    table = nodes.append_column("label", pa.array(outcome.label)).filter(pa.array(undecided))
    # Text in pandas is slow, and most customers are who they were: only the others go through it.
    changing: pd.DataFrame = table.to_pandas()
    changing["customer_id"] = _customer_ids(changing, set(before.dictionary.to_pylist()))
    decided = pc.replace_with_mask(
        old_id, pa.array(undecided), pa.array(changing["customer_id"], pa.string())
    )
    return Resolution(
        customer_identifier=_map(nodes, decided, _nobody(identifiers, junk, previous), run_id),
        events=_events(changing, run_id),
        refused_edges=edges.take(pa.array(np.sort(links.position[outcome.refused]))),
        customers=len(np.unique(outcome.label)),
        largest=int(np.bincount(outcome.label).max(initial=0)),
    )


def _cap(limits: Mapping[str, int | None], namespace: str) -> int:
    limit = limits.get(namespace)
    return -1 if limit is None else limit


def _nodes(
    identifiers: pa.Table, junk: Collection[str], previous: pa.Table, members: Collection[str]
) -> pa.Table:
    """Identifiers that stand for somebody, sorted, so that numbering does not depend on arrival.

    Beside each: whom it stood for before, the run that said so, and whether it is a member id.
    """
    seen = identifiers.select(["identifier", "namespace", "first_seen_at", "known_at"])
    kept = seen.filter(pc.invert(_among(seen["identifier"], junk))).sort_by("identifier")
    kept = kept.combine_chunks()
    before = previous.select(["customer_id", "updated_run_id"])
    before = before.take(pc.index_in(kept["identifier"], value_set=previous["identifier"]))
    return pa.table(
        {
            **{name: _flat(kept[name]) for name in seen.column_names},
            "old_id": _flat(before["customer_id"]),
            "old_run_id": _flat(before["updated_run_id"]),
            "is_member": _flat(_among(kept["namespace"], members)),
        }
    )


class _Links(NamedTuple):
    """Edges between nodes, strongest first: both ends as node numbers, and the row of the edge."""

    a: Ints
    b: Ints
    position: Ints


def _links(edges: pa.Table, nodes: pa.ChunkedArray) -> _Links:
    """Edges between nodes as node numbers, strongest first.

    Order: priority, then evidence, then age, then the names themselves, which nodes are numbered by.
    """
    a, b = (
        _ints(pc.index_in(edges[name], value_set=nodes))
        for name in ("identifier_a", "identifier_b")
    )
    position = np.flatnonzero((a >= 0) & (b >= 0))
    rule = _flat(edges["rule_id"]).dictionary_encode()
    rank = np.argsort(np.argsort(rule.dictionary.to_numpy(zero_copy_only=False)))
    first_seen = pc.fill_null(edges["first_seen_at"].cast(pa.int64()), np.iinfo(np.int64).max)
    # The last key of lexsort counts first.
    strength = (
        rank[_ints(rule.indices)], b, a, _ints(first_seen),
        -_ints(edges["evidence_count"]), -_ints(edges["priority"]),
    )  # fmt: skip
    order = position[np.lexsort([key[position] for key in strength])]
    return _Links(a[order], b[order], order)


def _settled(label: Ints, old: Ints) -> NDArray[np.bool_]:
    """Which nodes are of a cluster that is what one customer was: all had one id, nobody else had it.

    Args:
        label: Cluster of each node.
        old: The id that it had, as a number; -1 for none.

    Returns:
        One answer per node. Their id stays and nothing happened to them, whatever the others do.
    """
    if len(label) == 0:
        return np.empty(0, np.bool_)
    id_of = np.full(label.max() + 1, -1, np.int64)
    id_of[label] = old
    mixed = np.zeros(len(id_of), np.bool_)
    mixed[label[old != id_of[label]]] = True
    held = old >= 0
    known, where = old[held], label[held]
    label_of = np.full(old.max() + 1, -1, np.int64)
    label_of[known] = where
    shared = np.zeros(len(label_of), np.bool_)
    shared[known[where != label_of[known]]] = True
    settled: NDArray[np.bool_] = held & ~mixed[label]
    settled[held] &= ~shared[known]
    return settled


def _among(values: pa.ChunkedArray, names: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(values, value_set=pa.array(sorted(names), pa.string()))


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _ints(values: pa.ChunkedArray | pa.Array) -> Ints:
    """Whole numbers as numpy has them, -1 for null."""
    filled = pc.fill_null(values, -1)
    return np.asarray(filled.to_numpy(), np.int64)


def _customer_ids(nodes: pd.DataFrame, taken: Collection[str]) -> pd.Series[str]:
    """The customer id of each node: inherited where possible, new and not taken otherwise."""
    inherited = _inherited(nodes)
    ids = nodes["label"].map(inherited)
    fresh = nodes[ids.isna()].sort_values(["first_seen_at", "identifier"])
    made: dict[int, str] = {}
    for label, identifier in zip(fresh["label"], fresh["identifier"], strict=True):
        if label not in made:
            candidate = _new_id(identifier)
            # After a split the oldest identifier's id may live on in another cluster.
            if candidate not in taken:
                made[label] = candidate
    for label, identifier in zip(fresh["label"], fresh["identifier"], strict=True):
        made.setdefault(label, _new_id(f"split:{identifier}"))
    return ids.astype("str").where(ids.notna(), nodes["label"].map(made).astype("str"))


def _inherited(nodes: pd.DataFrame) -> pd.Series[str]:
    """Old id by label. Each old id goes to one label and each label gets at most one."""
    known = nodes.dropna(subset=["old_id"])
    claims = known.groupby(["old_id", "label"], as_index=False).agg(
        overlap=("identifier", "size"), member=("is_member", "max"), oldest=("first_seen_at", "min")
    )
    keeper = claims.sort_values(
        ["old_id", "member", "overlap", "oldest", "label"],
        ascending=[True, False, False, True, True],
    ).drop_duplicates("old_id")
    heir = keeper.sort_values(
        ["label", "overlap", "member", "oldest", "old_id"],
        ascending=[True, False, False, True, True],
    ).drop_duplicates("label")
    return heir.set_index("label")["old_id"]


def _new_id(seed: str) -> str:
    return "c_" + hashlib.sha256(seed.encode()).hexdigest()[:16]


def _nobody(identifiers: pa.Table, junk: Collection[str], previous: pa.Table) -> pa.Table:
    """Junk identifiers, and the run that said so where one has before."""
    nobody = identifiers.select(["identifier", "namespace", "known_at"])
    nobody = nobody.filter(_among(nobody["identifier"], junk))
    said = previous.filter(previous["is_junk"])
    run = said["updated_run_id"].take(
        pc.index_in(nobody["identifier"], value_set=said["identifier"])
    )
    return nobody.append_column("old_run_id", run)


def _map(nodes: pa.Table, customer_id: pa.ChunkedArray, nobody: pa.Table, run_id: str) -> pa.Table:
    """The whole map, junk included, by identifier; a row that says what it said keeps its run."""
    same = pc.fill_null(pc.equal(customer_id, nodes["old_id"]), False)
    known = _rows_of_map(
        nodes, customer_id, pc.if_else(same, nodes["old_run_id"], run_id), is_junk=False
    )
    none = pa.nulls(len(nobody), pa.string())
    unknown = _rows_of_map(nobody, none, pc.fill_null(nobody["old_run_id"], run_id), is_junk=True)
    return pa.concat_tables([known, unknown]).sort_by("identifier").combine_chunks()


def _rows_of_map(
    identifiers: pa.Table,
    customer_id: pa.ChunkedArray | pa.Array,
    updated_run_id: pa.ChunkedArray,
    *,
    is_junk: bool,
) -> pa.Table:
    said = {
        "identifier": identifiers["identifier"],
        "namespace": identifiers["namespace"],
        "customer_id": customer_id,
        "is_junk": pa.repeat(is_junk, len(identifiers)),
        "known_at": identifiers["known_at"],
        "updated_run_id": updated_run_id,
    }
    return pa.table(said).cast(MAP_SCHEMA)


def _events(nodes: pd.DataFrame, run_id: str) -> pa.Table:
    """Creations, merges and splits against the previous map."""
    known = nodes.dropna(subset=["old_id"])
    before = set(known["old_id"])
    moved = known[known["old_id"] != known["customer_id"]]
    moved = moved.drop_duplicates(["old_id", "customer_id"])
    lives_on = moved["old_id"].isin(set(nodes["customer_id"]))
    split_off = set(moved["customer_id"]) - before
    births = nodes[~nodes["customer_id"].isin(before | split_off)].drop_duplicates("customer_id")
    events = pd.concat(
        [
            births.assign(event_type="create", other_customer_id=None),
            moved.assign(
                event_type=np.where(lives_on, "split", "merge"), other_customer_id=moved["old_id"]
            ),
        ],
        ignore_index=True,
    ).assign(rule_id="clustering", run_id=run_id)
    said = zip(
        events["event_type"], events["customer_id"], events["other_customer_id"], strict=True
    )
    events["event_id"] = [
        hashlib.sha256(":".join(map(str, (*one, run_id))).encode()).hexdigest()[:32] for one in said
    ]
    events["occurred_at"] = events["known_at"]
    return pa.Table.from_pandas(events[EVENT_SCHEMA.names], EVENT_SCHEMA, preserve_index=False)
