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

import numpy as np
import pandas as pd
import pyarrow as pa

from siyu.identity.clustering import Caps, cluster

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
    nodes = _nodes(identifiers, junk)
    links = _links(edges, nodes)
    namespaces = sorted(nodes["namespace"].unique())
    code = nodes["namespace"].map({name: i for i, name in enumerate(namespaces)})
    limits = {**DEFAULT_CAPS, **caps}
    outcome = cluster(
        code.to_numpy(np.int64),
        links["a"].to_numpy(np.int64),
        links["b"].to_numpy(np.int64),
        np.arange(len(links), dtype=np.int64),
        Caps(
            np.array([-1 if limits.get(n) is None else limits[n] for n in namespaces], np.int64),
            TOTAL_CAP,
        ),
    )
    nodes["label"] = outcome.label
    before = previous.select(["identifier", "customer_id", "updated_run_id"]).to_pandas()
    nodes = nodes.merge(
        before.rename(columns={"customer_id": "old_id", "updated_run_id": "old_run_id"}),
        on="identifier",
        how="left",
    )
    nodes["is_member"] = nodes["namespace"].isin(list(member_namespaces))
    nodes["customer_id"] = _customer_ids(nodes)
    nodes["updated_run_id"] = nodes["old_run_id"].where(
        nodes["customer_id"] == nodes["old_id"], run_id
    )
    refused = links.iloc[outcome.refused]["position"].to_numpy(np.int64)
    return Resolution(
        customer_identifier=_map(nodes, _nobody(identifiers, junk, previous, run_id)),
        events=_events(nodes, run_id),
        refused_edges=edges.take(pa.array(np.sort(refused))),
        customers=int(nodes["label"].nunique()),
        largest=int(nodes["label"].value_counts().max()) if len(nodes) else 0,
    )


def _nodes(identifiers: pa.Table, junk: Collection[str]) -> pd.DataFrame:
    """Identifiers that stand for somebody, sorted, so that numbering does not depend on arrival."""
    columns = ["identifier", "namespace", "first_seen_at", "known_at"]
    frame: pd.DataFrame = identifiers.select(columns).to_pandas()
    kept: pd.DataFrame = frame[~frame["identifier"].isin(list(junk))]
    return kept.sort_values("identifier", ignore_index=True)


def _links(edges: pa.Table, nodes: pd.DataFrame) -> pd.DataFrame:
    """Edges between nodes as node numbers, strongest first.

    Order: priority, then evidence, then age, then the names themselves.
    """
    frame: pd.DataFrame = edges.to_pandas()
    frame["position"] = np.arange(len(frame))
    index = pd.Index(nodes["identifier"])
    frame["a"] = index.get_indexer(frame["identifier_a"])
    frame["b"] = index.get_indexer(frame["identifier_b"])
    frame = frame[(frame["a"] >= 0) & (frame["b"] >= 0)]
    return frame.sort_values(
        ["priority", "evidence_count", "first_seen_at", "identifier_a", "identifier_b", "rule_id"],
        ascending=[False, False, True, True, True, True],
        ignore_index=True,
    )


def _customer_ids(nodes: pd.DataFrame) -> pd.Series[str]:
    """The customer id of each node: inherited where possible, new otherwise."""
    inherited = _inherited(nodes)
    ids = nodes["label"].map(inherited)
    fresh = nodes[ids.isna()].sort_values(["first_seen_at", "identifier"])
    taken = set(inherited) | set(nodes["old_id"].dropna())
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


def _nobody(
    identifiers: pa.Table, junk: Collection[str], previous: pa.Table, run_id: str
) -> pd.DataFrame:
    """Junk identifiers as rows of the map; one that was junk before keeps the run that said so."""
    seen = identifiers.select(["identifier", "namespace", "known_at"]).to_pandas()
    before = previous.filter(previous["is_junk"]).select(["identifier", "updated_run_id"])
    nobody = seen[seen["identifier"].isin(list(junk))].merge(
        before.to_pandas(), on="identifier", how="left"
    )
    nobody["updated_run_id"] = nobody["updated_run_id"].fillna(run_id)
    marked: pd.DataFrame = nobody.assign(customer_id=None, is_junk=True)
    return marked


def _map(nodes: pd.DataFrame, nobody: pd.DataFrame) -> pa.Table:
    """The whole map, junk included, by identifier."""
    whole = pd.concat([nodes.assign(is_junk=False), nobody], ignore_index=True)
    whole = whole.sort_values("identifier")
    return pa.Table.from_pandas(whole[MAP_SCHEMA.names], MAP_SCHEMA, preserve_index=False)


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
