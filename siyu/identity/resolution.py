"""From identifiers, edges and manual rules to a map of stable customer ids, and what changed.

A cluster inherits the customer id that most of its identifiers had (ties: the one with a member id,
then the oldest, then the smaller id); when an id's identifiers part, the part with the member id
keeps it, unless it can go back to the id that it had before a merge. Everything else gets a new id,
made from the cluster's oldest identifier, so that a rebuild from nothing gives the same ids to the
same clusters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from siyu.identity.clustering import (
    SET_APART,
    TOTAL_CAP_REACHED,
    Caps,
    Clusters,
    Edges,
    Ints,
    ManualRules,
    NodeNumbers,
    cluster,
)
from siyu.identity.quality import IdentityQuality, measure
from siyu.identity_rules import Action, IdentityRule

TOTAL_CAP = 30
DEFAULT_CAPS: Mapping[str, int] = {"phone": 3}

MAP_SCHEMA = pa.schema(
    [
        ("identifier", pa.string()),
        ("namespace", pa.string()),
        ("customer_id", pa.string()),
        # The id to go back to when a merge is undone: what it had before it was merged away.
        ("own_customer_id", pa.string()),
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
        ("other_identifier", pa.string()),
        ("rule_id", pa.string()),
        ("occurred_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)
REFUSED_SCHEMA = pa.schema(
    [
        ("identifier_a", pa.string()),
        ("identifier_b", pa.string()),
        ("rule_id", pa.string()),
        ("priority", pa.int64()),
        ("evidence_count", pa.int64()),
        ("first_seen_at", pa.timestamp("us")),
        ("last_seen_at", pa.timestamp("us")),
        ("known_at", pa.timestamp("us")),
        ("reason", pa.string()),
        ("capped_namespace", pa.string()),
        ("customer_id_a", pa.string()),
        ("customer_id_b", pa.string()),
    ]
)
_LATEST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Resolution:
    """What a resolution decided.

    The ends of an edge are of one customer where it was accepted, and of two where it was refused.

    Attributes:
        customer_identifier: The whole map, ``MAP_SCHEMA``, by identifier. Junk identifiers are in
            it without a customer.
        events: What changed against the previous map, ``EVENT_SCHEMA``.
        refused_edges: Every edge that a cap or a manual rule refuses, ``REFUSED_SCHEMA``.
        measured: Takes the figures of ``quality``.
        rules: The manual rules that were applied. Others name an identifier that no source has, or
            one that stands for nobody.
    """

    customer_identifier: pa.Table
    events: pa.Table
    refused_edges: pa.Table
    measured: Callable[[], IdentityQuality]
    rules: Sequence[IdentityRule] = ()

    @cached_property
    def quality(self) -> IdentityQuality:
        """How good it is; taken once somebody asks, as among millions it takes seconds."""
        return self.measured()


def resolve(
    identifiers: pa.Table,
    edges: pa.Table,
    previous: pa.Table,
    caps: Mapping[str, int | None],
    member_namespaces: Collection[str],
    junk: Collection[str],
    run_id: str,
    rules: Sequence[IdentityRule] = (),
    rules_before: Collection[str] = (),
) -> Resolution:
    """Decide who is who.

    Args:
        identifiers: ``staging.stg_identifier``: identifier, namespace, first_seen_at, known_at.
        edges: ``staging.stg_identity_edge``.
        previous: The map that the last resolution decided, ``MAP_SCHEMA``; may be empty.
        caps: How many identifiers of a namespace one customer may hold; None for no cap.
        member_namespaces: Namespaces of member ids; their holder keeps an id on a split.
        junk: Identifiers that stand for nobody, such as a till's test phone.
        run_id: The run that decides, for the record.
        rules: What people decided. They outrank edges and caps.
        rules_before: Ids of the events of rules that earlier resolutions applied.

    Returns:
        The same decision for the same rows in any order.
    """
    nodes = _nodes(identifiers, junk, previous, member_namespaces)
    a, b, position = _ends(edges, nodes["identifier"])
    applied = _applied(rules, nodes["identifier"])
    namespaces = nodes["namespace"].unique().sort()
    limits = {**DEFAULT_CAPS, **caps}
    outcome = cluster(
        _ints(pc.index_in(nodes["namespace"], value_set=namespaces)),
        Edges(a, b, lambda some: _strongest_first(edges, position, some)),
        Caps(
            np.array([_cap(limits, name) for name in namespaces.to_pylist()], np.int64),
            TOTAL_CAP,
        ),
        ManualRules(applied.pairs("link"), applied.pairs("unlink")),
    )
    decided = _decide_ids(nodes, outcome.label, previous["customer_id"])
    nobody = _nobody(identifiers, junk, previous)
    events = _events(nodes, decided, run_id)
    return Resolution(
        customer_identifier=_map(nodes, decided, nobody, run_id),
        events=pa.concat_tables(
            [events, _rule_events(applied, decided.customer_id, rules_before, run_id)]
        ),
        refused_edges=_refused(edges, position, outcome, (a, b), decided.customer_id, namespaces),
        measured=partial(measure, outcome.label, a, b, len(nobody), previous, events),
        rules=applied.rules,
    )


def _cap(limits: Mapping[str, int | None], namespace: str) -> int:
    limit = limits.get(namespace)
    return -1 if limit is None else limit


# --- nodes, edges, rules -----------------------------------------------------------------------


def _nodes(
    identifiers: pa.Table, junk: Collection[str], previous: pa.Table, members: Collection[str]
) -> pa.Table:
    """Identifiers that stand for somebody, sorted, so that numbering does not depend on arrival.

    Beside each: whom it stood for before, the run that said so, and whether it is a member id.
    """
    seen = identifiers.select(["identifier", "namespace", "first_seen_at", "known_at"])
    kept = seen.filter(pc.invert(_among(seen["identifier"], junk))).sort_by("identifier")
    kept = kept.combine_chunks()
    before = previous.select(["customer_id", "own_customer_id", "updated_run_id"])
    before = before.take(pc.index_in(kept["identifier"], value_set=previous["identifier"]))
    return pa.table(
        {
            **{name: _flat(kept[name]) for name in seen.column_names},
            "old_id": _flat(before["customer_id"]),
            "own_id": _flat(before["own_customer_id"]),
            "old_run_id": _flat(before["updated_run_id"]),
            "is_member": _flat(_among(kept["namespace"], members)),
        }
    )


def _ends(edges: pa.Table, nodes: pa.ChunkedArray) -> tuple[NodeNumbers, NodeNumbers, NodeNumbers]:
    """Both ends of the edges between nodes, as node numbers, and the rows of these edges."""
    # One look-up for both sides: each makes an index of all nodes.
    sides = [edges["identifier_a"], edges["identifier_b"]]
    both = pa.chunked_array([chunk for side in sides for chunk in side.chunks], pa.string())
    found = pc.fill_null(pc.index_in(both, value_set=nodes), -1).to_numpy()
    a, b = np.split(found, 2)
    position = np.flatnonzero((a >= 0) & (b >= 0)).astype(np.int32)
    return a[position], b[position], position


def _strongest_first(edges: pa.Table, position: NodeNumbers, some: Ints) -> Ints:
    """Some edges by priority, then evidence, then age, then the names themselves."""
    order = pc.sort_indices(
        edges.take(pa.array(position[some])),
        sort_keys=[
            ("priority", "descending"),
            ("evidence_count", "descending"),
            ("first_seen_at", "ascending"),
            ("identifier_a", "ascending"),
            ("identifier_b", "ascending"),
            ("rule_id", "ascending"),
        ],
    )
    chosen: Ints = some[np.asarray(order)]
    return chosen


class _Applied(NamedTuple):
    """Rules whose identifiers stand for somebody, and the nodes that these are."""

    rules: Sequence[IdentityRule]
    nodes: Ints

    def pairs(self, action: Action) -> Ints:
        """The pairs of nodes that rules of a kind speak of. Shape (rules, 2)."""
        return self.nodes[[rule.action == action for rule in self.rules]]


def _applied(rules: Sequence[IdentityRule], nodes: pa.ChunkedArray) -> _Applied:
    if not rules:
        return _Applied((), np.empty((0, 2), np.int64))
    named = pa.array([name for rule in rules for name in rule.pair], pa.string())
    found = _ints(pc.index_in(named, value_set=nodes)).reshape(-1, 2)
    known = np.flatnonzero((found >= 0).all(axis=1))
    return _Applied([rules[number] for number in known.tolist()], found[known])


def _refused(
    edges: pa.Table,
    position: NodeNumbers,
    outcome: Clusters,
    ends: tuple[NodeNumbers, NodeNumbers],
    customer_id: pa.Array,
    namespaces: pa.Array,
) -> pa.Table:
    """The edges that were refused, why, and the customers on both sides."""
    rows = edges.take(pa.array(position[outcome.refused]))
    by_cap = pa.array(outcome.reason, mask=outcome.reason < 0)
    names = {SET_APART: "manual_unlink", TOTAL_CAP_REACHED: "total_cap"}
    said = {name: rows[name] for name in REFUSED_SCHEMA.names if name in rows.column_names}
    said |= {
        "reason": pa.array(
            [names.get(code, "namespace_cap") for code in outcome.reason.tolist()], pa.string()
        ),
        "capped_namespace": namespaces.take(by_cap),
    }
    for side, nodes in zip("ab", ends, strict=True):
        said[f"customer_id_{side}"] = customer_id.take(pa.array(nodes[outcome.refused]))
    table = pa.table({name: said[name] for name in REFUSED_SCHEMA.names}).cast(REFUSED_SCHEMA)
    keys = ("identifier_a", "identifier_b", "rule_id")
    return table.sort_by([(key, "ascending") for key in keys]).combine_chunks()


# --- customer ids ------------------------------------------------------------------------------


class _Decided(NamedTuple):
    """The customer of every node.

    Attributes:
        customer_id: The id of each.
        own_id: The id that each goes back to when the merges since are undone.
        changing: One row for each node of a customer to whom anything may have happened: ``node``,
            ``label``, ``old`` and ``own`` (numbers of ids, -1 for none), ``is_member``,
            ``first_seen``. By node.
        ids: Ids by number.
        given: Id by label, of the labels among ``changing``.
    """

    customer_id: pa.Array
    own_id: pa.Array
    changing: pd.DataFrame
    ids: pa.Array
    given: Mapping[int, str]


def _decide_ids(nodes: pa.Table, label: Ints, living: pa.ChunkedArray) -> _Decided:
    """Give every cluster its id.

    Args:
        nodes: What ``_nodes`` yields.
        label: Cluster of each node.
        living: Every id that the previous map gives; none of them is given to anyone else.
    """
    old_id, own_id = _flat(nodes["old_id"]), _flat(nodes["own_id"])
    undecided = ~_settled(label, _ints(old_id.dictionary_encode().indices))
    where = np.flatnonzero(undecided)
    # Most customers are who they were: only the others are looked at.
    some = nodes.take(pa.array(where))
    # Sorted, so that numbers compare as ids do.
    ids = _flat(pa.chunked_array([*some["old_id"].chunks, *some["own_id"].chunks]).unique())
    ids = ids.drop_null().sort()
    changing = pd.DataFrame(
        {
            "node": where,
            "label": label[where],
            "old": _ints(pc.index_in(some["old_id"], value_set=ids)),
            "own": _ints(pc.index_in(some["own_id"], value_set=ids)),
            "is_member": some["is_member"].to_numpy(),
            "first_seen": _ints(some["first_seen_at"].cast(pa.int64()), _LATEST),
        }
    )
    given = _given(changing, nodes["identifier"], ids, living)
    labels, inverse = np.unique(label[where], return_inverse=True)
    by_label = pa.array([given[one] for one in labels.tolist()], pa.string())
    fresh_id = by_label.take(pa.array(inverse))
    return _Decided(
        customer_id=_replaced(old_id, undecided, fresh_id),
        own_id=_replaced(own_id, undecided, _own_ids(some, fresh_id)),
        changing=changing,
        ids=ids,
        given=given,
    )


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


def _given(
    changing: pd.DataFrame, identifiers: pa.ChunkedArray, ids: pa.Array, living: pa.ChunkedArray
) -> dict[int, str]:
    """Id by label: inherited, or had before a merge, or new."""
    own = _own_claims(changing, ids, living)
    inherited = _inherited(changing, own)
    returned = _returned(own[~own["label"].isin(inherited.keys())])
    numbers = inherited | returned
    given = {label: ids[number].as_py() for label, number in numbers.items()}
    fresh = changing[~changing["label"].isin(numbers.keys())]
    oldest = fresh.sort_values(["first_seen", "node"]).drop_duplicates("label")
    names = identifiers.take(pa.array(oldest["node"].to_numpy())).to_pylist()
    taken = {given[label] for label in returned}
    return given | dict(zip(oldest["label"].tolist(), new_ids(names, taken, living), strict=True))


def _own_claims(changing: pd.DataFrame, ids: pa.Array, living: pa.ChunkedArray) -> pd.DataFrame:
    """How many identifiers of each label had an id, before a merge, that nobody has any more."""
    gone = np.zeros(len(ids), np.bool_)
    if (changing["own"] != changing["old"]).any():
        gone = ~np.asarray(pc.is_in(ids, value_set=living).to_numpy(zero_copy_only=False))
    own = changing[changing["own"] >= 0]
    return _claims(own[gone[own["own"]]], "own")


def _claims(nodes: pd.DataFrame, number: str) -> pd.DataFrame:
    """By id and label: the identifiers that speak for the one to have the other."""
    return nodes.groupby([number, "label"], as_index=False).agg(
        overlap=("node", "size"),
        member=("is_member", "max"),
        oldest=("first_seen", "min"),
        node=("node", "min"),
    )


def _inherited(changing: pd.DataFrame, own: pd.DataFrame) -> dict[int, int]:
    """Old id by label. Each old id goes to one label and each label gets at most one.

    A label most of which came by a merge lets the others keep the id, as it has its own to go back to.
    """
    known = changing[changing["old"] >= 0]
    claims = _claims(known, "old")
    at_home = known[known["old"] == known["own"]].groupby(["old", "label"]).size()
    here = at_home.reindex(pd.MultiIndex.from_frame(claims[["old", "label"]]), fill_value=0)
    elsewhere = claims["label"].map(own.groupby("label")["overlap"].max()).fillna(0)
    claims["returns"] = (elsewhere > 0) & (elsewhere.to_numpy() >= here.to_numpy())
    keeper = claims.sort_values(
        ["old", "returns", "member", "overlap", "oldest", "node"],
        ascending=[True, True, False, False, True, True],
    ).drop_duplicates("old")
    heir = keeper.sort_values(
        ["label", "overlap", "member", "oldest", "old"],
        ascending=[True, False, False, True, True],
    ).drop_duplicates("label")
    return dict(zip(heir["label"].tolist(), heir["old"].tolist(), strict=True))


def _returned(own: pd.DataFrame) -> dict[int, int]:
    """The id from before a merge, by label, for those who get none otherwise."""
    strongest = own.sort_values(
        ["overlap", "member", "oldest", "node", "own"], ascending=[False, False, True, True, True]
    )
    returned: dict[int, int] = {}
    for number, label in zip(strongest["own"].tolist(), strongest["label"].tolist(), strict=True):
        if label not in returned and number not in returned.values():
            returned[label] = number
    return returned


def new_ids(names: Sequence[str], taken: Collection[str], living: pa.ChunkedArray) -> list[str]:
    """An id for each name that nobody has: after a split, one that is made from it may live on."""
    made = [new_id(name) for name in names]
    if not made:
        return made
    for number in count(1):
        in_use = pc.is_in(pa.array(made, pa.string()), value_set=living).to_pylist()
        again = [i for i, used in enumerate(in_use) if used or made[i] in taken]
        if not again:
            break
        seed = "split" if number == 1 else f"split{number}"
        for i in again:
            made[i] = new_id(f"{seed}:{names[i]}")
    return made


def new_id(seed: str) -> str:
    """The id of a customer who gets a new one, made from the oldest identifier's name."""
    return "c_" + hashlib.sha256(seed.encode()).hexdigest()[:16]


def _own_ids(some: pa.Table, fresh_id: pa.Array) -> pa.Array:
    """What each goes back to when merges are undone: a merge leaves it, anything else renews it."""
    if some["old_id"].null_count == len(some):
        return fresh_id
    merged_away = pc.invert(pc.is_in(some["old_id"], value_set=fresh_id.unique()))
    stays = pc.or_(pc.equal(some["old_id"], fresh_id), merged_away)
    stays = pc.and_(pc.fill_null(stays, False), pc.is_valid(some["old_id"]))
    return _flat(pc.if_else(stays, some["own_id"], fresh_id))


# --- the map -----------------------------------------------------------------------------------


def _nobody(identifiers: pa.Table, junk: Collection[str], previous: pa.Table) -> pa.Table:
    """Junk identifiers, and the run that said so where one has before."""
    nobody = identifiers.select(["identifier", "namespace", "known_at"])
    nobody = nobody.filter(_among(nobody["identifier"], junk))
    said = previous.filter(previous["is_junk"])
    run = said["updated_run_id"].take(
        pc.index_in(nobody["identifier"], value_set=said["identifier"])
    )
    return nobody.append_column("old_run_id", run)


def _map(nodes: pa.Table, decided: _Decided, nobody: pa.Table, run_id: str) -> pa.Table:
    """The whole map, junk included, by identifier; a row that says what it said keeps its run."""
    same = pc.fill_null(pc.equal(decided.customer_id, nodes["old_id"]), False)
    run = pc.if_else(same, nodes["old_run_id"], run_id)
    known = _rows_of_map(nodes, decided.customer_id, decided.own_id, run, is_junk=False)
    none = pa.nulls(len(nobody), pa.string())
    run = pc.fill_null(nobody["old_run_id"], run_id)
    unknown = _rows_of_map(nobody, none, none, run, is_junk=True)
    if len(unknown) == 0:
        return known.combine_chunks()
    return pa.concat_tables([known, unknown]).sort_by("identifier").combine_chunks()


def _rows_of_map(
    identifiers: pa.Table,
    customer_id: pa.Array,
    own_id: pa.Array,
    updated_run_id: pa.ChunkedArray,
    *,
    is_junk: bool,
) -> pa.Table:
    said = {
        "identifier": identifiers["identifier"],
        "namespace": identifiers["namespace"],
        "customer_id": customer_id,
        "own_customer_id": own_id,
        "is_junk": pa.repeat(is_junk, len(identifiers)),
        "known_at": identifiers["known_at"],
        "updated_run_id": updated_run_id,
    }
    return pa.table(said).cast(MAP_SCHEMA)


# --- events ------------------------------------------------------------------------------------


def _events(nodes: pa.Table, decided: _Decided, run_id: str) -> pa.Table:
    """Creations, merges and splits against the previous map."""
    changing = decided.changing
    known = changing[changing["old"] >= 0]
    firsts = changing.drop_duplicates("label")
    births = firsts[~firsts["label"].isin(known["label"].unique())]
    pairs = known.drop_duplicates(["old", "label"])
    held = set(decided.given.values())
    # Of each: what, whom, who else, because of which node.
    said: list[tuple[str, str, str | None, int]] = [
        ("create", decided.given[label], None, node)
        for label, node in zip(births["label"].tolist(), births["node"].tolist(), strict=True)
    ]
    others = decided.ids.take(pa.array(pairs["old"].to_numpy())).to_pylist()
    for label, other, node in zip(
        pairs["label"].tolist(), others, pairs["node"].tolist(), strict=True
    ):
        if decided.given[label] != other:
            kind = "split" if other in held else "merge"
            said.append((kind, decided.given[label], other, node))
    seen = nodes.select(["identifier", "known_at"]).take(
        pa.array([one[3] for one in said], "int64")
    )
    return _event_table(
        event_id=[_event_id(f"{kind}:{one}:{other}:{run_id}") for kind, one, other, _ in said],
        event_type=[one[0] for one in said],
        customer_id=[one[1] for one in said],
        other_customer_id=[one[2] for one in said],
        identifier=seen["identifier"],
        other_identifier=pa.nulls(len(said), pa.string()),
        rule_id=pa.repeat("clustering", len(said)),
        occurred_at=seen["known_at"],
        run_id=pa.repeat(run_id, len(said)),
    )


def _rule_events(
    applied: _Applied, customer_id: pa.Array, before: Collection[str], run_id: str
) -> pa.Table:
    """Manual rules that are applied for the first time. A decision has one event, ever."""
    rows = []
    for rule, (a, b) in zip(applied.rules, applied.nodes.tolist(), strict=True):
        event_id = rule_event_id(rule)
        if event_id not in before:
            one, other = customer_id[a].as_py(), customer_id[b].as_py()
            rows.append((event_id, rule, one, other))
    return _event_table(
        event_id=[row[0] for row in rows],
        event_type=[f"manual_{row[1].action}" for row in rows],
        customer_id=[row[2] for row in rows],
        other_customer_id=[row[3] for row in rows],
        identifier=[row[1].identifier_a for row in rows],
        other_identifier=[row[1].identifier_b for row in rows],
        rule_id=["manual"] * len(rows),
        occurred_at=[row[1].decided_at for row in rows],
        run_id=[run_id] * len(rows),
    )


def rule_event_id(rule: IdentityRule) -> str:
    """The id of the event of a manual rule: the same as long as the decision is."""
    return _event_id(":".join([rule.action, *rule.pair, rule.decided_at.isoformat()]))


def _event_id(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _event_table(**columns: Sequence[Any] | pa.Array | pa.ChunkedArray) -> pa.Table:
    arrays = {
        name: pa.array(values, kind) if isinstance(values, list) else values
        for (name, values), kind in zip(columns.items(), EVENT_SCHEMA.types, strict=True)
    }
    return pa.table(arrays).cast(EVENT_SCHEMA)


# --- columns -----------------------------------------------------------------------------------


def _among(values: pa.ChunkedArray, names: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(values, value_set=pa.array(sorted(names), pa.string()))


def _replaced(values: pa.Array, where: NDArray[np.bool_], fresh: pa.Array) -> pa.Array:
    """Values with those at some places replaced, in order."""
    if where.all():
        return fresh
    return _flat(pc.replace_with_mask(values, pa.array(where), fresh))


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _ints(values: pa.ChunkedArray | pa.Array, null: int = -1) -> Ints:
    """Whole numbers as numpy has them."""
    filled = pc.fill_null(values, null)
    return np.asarray(filled.to_numpy(), np.int64)
