"""How good a decision is: how customers hang together, and how much it changed.

What belongs here: figures of a decision, as pure functions over arrays, and what is worth an alarm among
them. What does not: the decision (``siyu.identity.resolution``), or how much of the facts is tied to
customers (dbt, ``unified.identity_quality``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from siyu.identity.clustering import Ints
from siyu.ops import GateResult, Outcome, Severity
from siyu.retailer import Retailer

GATE = "quality"
# Decisions that say what is usual.
_RECENT = 10
# Fewer merges than these are no jump, however few customers there are.
_FEW_MERGES = 20

Bools = NDArray[np.bool_]
Ends = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class IdentityQuality:
    """Figures of one decision. A share of nothing is None.

    Attributes:
        identifier_count: Identifiers that stand for somebody.
        junk_identifier_count: Those that stand for nobody.
        customer_count: Customers.
        unlinked_customer_count: Customers with one identifier, which nothing links to others.
        identifiers_p50, identifiers_p90, identifiers_p99: Percentiles of identifiers per customer.
        identifiers_max: Identifiers of the largest customer.
        edge_count: Pieces of evidence within customers.
        density: Linked pairs as a share of possible pairs, mean over customers of two identifiers or
            more.
        bridge_edge_count: Edges without which a customer would fall in two.
        bridge_edge_share: As a share of the edges within customers.
        refused_edge_count: Edges that a cap or a manual rule refuses.
        refused_edge_share: As a share of all edges.
        customer_count_before: Customers before the decision.
        created_customer_count: Customers that it created.
        merged_customer_count: Customers that it merged into others.
        split_customer_count: Customers that it split.
        merge_rate: Merged customers as a share of those before.
    """

    identifier_count: int
    junk_identifier_count: int
    customer_count: int
    unlinked_customer_count: int
    identifiers_p50: float | None
    identifiers_p90: float | None
    identifiers_p99: float | None
    identifiers_max: int
    edge_count: int
    density: float | None
    bridge_edge_count: int
    bridge_edge_share: float | None
    refused_edge_count: int
    refused_edge_share: float | None
    customer_count_before: int
    created_customer_count: int
    merged_customer_count: int
    split_customer_count: int
    merge_rate: float | None

    def as_table(self) -> pa.Table:
        """One row, ``QUALITY_SCHEMA``."""
        return pa.Table.from_pylist([asdict(self)], QUALITY_SCHEMA)


# Of a decision about nobody.
NOTHING = IdentityQuality(
    0, 0, 0, 0, None, None, None, 0, 0, None, 0, None, 0, None, 0, 0, 0, 0, None
)  # fmt: skip
_FLOATS = (
    "identifiers_p50", "identifiers_p90", "identifiers_p99", "density", "bridge_edge_share",
    "refused_edge_share", "merge_rate",
)  # fmt: skip
QUALITY_SCHEMA = pa.schema(
    [
        (name, pa.float64() if name in _FLOATS else pa.int64())
        for name in IdentityQuality.__dataclass_fields__
    ]
)
# What a decision changed; the other figures follow from the map and its edges.
CHANGES = (
    "customer_count_before", "created_customer_count", "merged_customer_count",
    "split_customer_count", "merge_rate",
)  # fmt: skip


def measure(
    label: Ints, a: Ends, b: Ends, junk: int, previous: pa.Table, events: pa.Table
) -> IdentityQuality:
    """Figures of a decision.

    Args:
        label: Cluster of each node, 0-based and dense. Shape (nodes,).
        a: One end of each edge between nodes, refused or not, as a node number. Shape (edges,).
        b: The other end.
        junk: How many identifiers stand for nobody.
        previous: The map before, ``MAP_SCHEMA``.
        events: What changed, ``EVENT_SCHEMA``.
    """
    found = cluster_figures(label, a, b)
    edges, bridges = int(found.edges.sum()), int(found.bridges.sum())
    refused = len(a) - edges
    before = pc.count_distinct(previous["customer_id"], mode="only_valid").as_py()
    merged = _customers(events, "merge", "other_customer_id")
    half, most, nearly_all = _percentiles(found.size, [50, 90, 99])
    return IdentityQuality(
        identifier_count=len(label),
        junk_identifier_count=junk,
        customer_count=len(found.size),
        unlinked_customer_count=int((found.size == 1).sum()),
        identifiers_p50=half,
        identifiers_p90=most,
        identifiers_p99=nearly_all,
        identifiers_max=int(found.size.max(initial=0)),
        edge_count=edges,
        density=float(found.density.mean()) if len(found.density) else None,
        bridge_edge_count=bridges,
        bridge_edge_share=_share(bridges, edges),
        refused_edge_count=refused,
        refused_edge_share=_share(refused, len(a)),
        customer_count_before=before,
        created_customer_count=_customers(events, "create", "customer_id"),
        merged_customer_count=merged,
        split_customer_count=_customers(events, "split", "other_customer_id"),
        merge_rate=_share(merged, before),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percentiles(size: Ints, percents: list[int]) -> list[float | None]:
    if len(size) == 0:
        return [None for _ in percents]
    return [float(value) for value in np.percentile(size, percents)]


def _customers(events: pa.Table, event_type: str, column: str) -> int:
    chosen = events.filter(pc.equal(events["event_type"], event_type))
    return int(pc.count_distinct(chosen[column]).as_py())


@dataclass(frozen=True)
class ClusterFigures:
    """Figures of each cluster; shape (clusters,).

    Attributes:
        size: Identifiers.
        edges: Pieces of evidence between them: a pair that two rules link counts twice.
        pairs: Pairs of identifiers that evidence links.
        bridges: Edges without which the cluster would fall in two.
    """

    size: Ints
    edges: Ints
    pairs: Ints
    bridges: Ints

    @property
    def density(self) -> NDArray[np.float64]:
        """Linked pairs as a share of all pairs, of the clusters of two identifiers or more."""
        size, pairs = (part[self.size > 1] for part in (self.size, self.pairs))
        return pairs / (size * (size - 1) / 2)


def cluster_figures(label: Ints, a: Ends, b: Ends) -> ClusterFigures:
    """Figures of each cluster.

    Args:
        label: Cluster of each node, 0-based and dense. Shape (nodes,).
        a: One end of each edge, as a node number. Edges between two clusters, which were refused, do
            not count. Shape (edges,).
        b: The other end.
    """
    count = int(label.max(initial=-1)) + 1
    within = label[a] == label[b]
    # Wide enough for a number of a pair.
    one, other = a[within].astype(np.int64), b[within].astype(np.int64)
    # np.unique is a hash table, ten times slower.
    pair = np.sort(np.minimum(one, other) * len(label) + np.maximum(one, other))
    pair = pair[np.append(True, pair[1:] != pair[:-1])[: len(pair)]] // max(len(label), 1)

    def counted(nodes: Ints) -> Ints:
        return np.bincount(label[nodes], minlength=count)

    return ClusterFigures(
        size=np.bincount(label, minlength=count),
        edges=counted(one),
        pairs=counted(pair),
        bridges=counted(one[find_bridges(len(label), one, other)]),
    )


def find_bridges(nodes: int, a: Ints, b: Ints) -> Bools:
    """Which edges connect parts that nothing else connects.

    An edge of a spanning forest is a bridge unless another edge closes a circle over it. So every
    other edge is followed up the forest from both of its ends until they meet, and what it passes is
    none. Takes time in proportion to the edges and the height of the forest, which the cap on a
    cluster's size bounds.

    Args:
        nodes: How many nodes there are.
        a: One end of each edge, as a node number. Shape (edges,).
        b: The other end, never the same node. A second edge between the same two is another edge.

    Returns:
        One answer per edge.
    """
    if len(a) == 0:
        return np.zeros(0, np.bool_)
    parent, depth = _spanning_forest(nodes, a, b)
    # The end that an edge is above of in the forest; several edges may lie between the same two.
    lower = np.where(parent[a] == b, a, np.where(parent[b] == a, b, -1))
    candidates = np.flatnonzero(lower >= 0)
    child, first = np.unique(lower[candidates], return_index=True)
    of_forest = candidates[first]
    is_other = np.ones(len(a), np.bool_)
    is_other[of_forest] = False
    circled = np.zeros(nodes, np.bool_)
    one, other = a[is_other], b[is_other]
    while len(one):
        # The lower of the two ends goes up.
        is_lower = depth[one] >= depth[other]
        moving = np.where(is_lower, one, other)
        circled[moving] = True
        one, other = parent[moving], np.where(is_lower, other, one)
        apart = one != other
        one, other = one[apart], other[apart]
    bridges = np.zeros(len(a), np.bool_)
    bridges[of_forest] = ~circled[child]
    return bridges


def _spanning_forest(nodes: int, a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """A spanning forest: the parent of each node, itself for a root, and its depth."""
    # Imported here: definitions load this module, and few runs resolve.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    # A node above a root of each component makes it one tree, which one search finds.
    ends = (a.astype(np.int32), b.astype(np.int32))
    graph = coo_array((np.ones(len(a), np.int8), ends), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    _, roots = np.unique(component, return_index=True)
    top = np.full(len(roots), nodes)
    rows, columns = np.concatenate([a, top]), np.concatenate([b, roots])
    whole = coo_array(
        (np.ones(len(rows), np.int8), (rows.astype(np.int32), columns.astype(np.int32))),
        shape=(nodes + 1, nodes + 1),
    ).tocsr()
    _, found = breadth_first_order(whole, nodes, directed=False)
    parent = found[:nodes].astype(np.int64)
    parent[roots] = roots
    # Twice as far up at every step.
    above, depth = parent, (parent != np.arange(nodes)).astype(np.int64)
    while (further := depth[above]).any():
        depth, above = depth + further, above[above]
    return parent, depth


def judge(
    found: IdentityQuality, decided: pa.Table, earlier: pa.Table, retailer: Retailer
) -> list[GateResult]:
    """What is to be said of a decision, beside those before it.

    An error is what one decision would spoil for all that follow, as it is what they start from: it
    must not be kept.

    Args:
        found: Its figures.
        decided: The map that it decided, ``MAP_SCHEMA``.
        earlier: Figures of the decisions that were kept, oldest first, ``QUALITY_SCHEMA``.
        retailer: Has the thresholds.
    """
    threshold = retailer.threshold
    before = earlier.to_pylist()[-_RECENT:]
    most = threshold("max_customer_identifiers")
    results = [
        GateResult(
            GATE, "customer_size", "WARN",
            *_said(
                f"no customer has more than {most:,.0f} identifiers",
                found.identifiers_max <= most, f"{found.identifiers_max:,}",
                "see what links them in staging.stg_identity_edge: a number or a device that many"
                " share",
            ),
            example_keys=_larger_than(decided, most) if found.identifiers_max > most else (),
        ),
        _at_most(
            "refused_edges", "of edges are refused", found.refused_edge_share,
            threshold("max_refused_edge_share"),
            "see in unified.identity_refused_edge by which rule, and what they have in common",
        ),
        *_merges(found, before, threshold),
    ]  # fmt: skip
    if before:
        results += _changes(found, before[-1], threshold)
    return results


_Said = tuple[Outcome, str]


def _said(expected: str, holds: bool, seen: str, remedy: str) -> _Said:
    """Outcome and message."""
    if holds:
        return "passed", f"Expected that {expected}; so it is ({seen})."
    return "failed", f"Expected that {expected}; found {seen}: {remedy}."


def _at_most(
    rule: str,
    what: str,
    share: float | None,
    most: float,
    remedy: str,
    severity: Severity = "WARN",
    few: bool = False,
) -> GateResult:
    """A share is at most so much; nothing at all is, and so is what is too few to matter."""
    seen = "nothing" if share is None else f"{share:.1%}"
    holds = share is None or share <= most or few
    outcome, message = _said(f"at most {most:.1%} {what}", holds, seen, remedy)
    return GateResult(GATE, rule, severity, outcome, message, observed=seen)


def _merges(
    found: IdentityQuality,
    before: Sequence[Mapping[str, float | None]],
    threshold: Callable[[str], float],
) -> Iterator[GateResult]:
    few = found.merged_customer_count < _FEW_MERGES
    what = "of customers are merged into others by one decision"
    yield _at_most(
        "merge_rate", what, found.merge_rate, threshold("max_merge_rate"),
        "the map was left as it was; see what landed since, such as a source that gives many people"
        " one identifier, and where it is right set gates: max_merge_rate in retailer.yaml for one run",
        "ERROR", few,
    )  # fmt: skip
    rates = [rate for one in before if (rate := one["merge_rate"]) is not None]
    if rates:
        times = threshold("max_merge_rate_jump")
        yield _at_most(
            "merge_rate_usual",
            f"{what}, {times:g} times the median of the last {len(rates)}",
            found.merge_rate, times * median(rates),
            "see in unified.identity_event who was merged", few=few,
        )  # fmt: skip


def _changes(
    found: IdentityQuality,
    last: Mapping[str, float | None],
    threshold: Callable[[str], float],
) -> Iterator[GateResult]:
    """How customers hang together, beside how they did."""
    remedy = "see which rules of staging.stg_identity_edge have fewer edges than before"
    for rule, now, before, way, most in (
        ("density_kept", found.density, last["density"], "falls", threshold("max_density_drop")),
        ("bridges_kept", found.bridge_edge_share, last["bridge_edge_share"], "rises",
         threshold("max_bridge_share_rise")),
    ):  # fmt: skip
        if now is not None and before is not None:
            moved = before - now if way == "falls" else now - before
            name = "density" if way == "falls" else "the share of bridge edges"
            seen = f"{now:.1%} after {before:.1%}"
            outcome, message = _said(
                f"{name} {way} by at most {most:.0%} from one decision to the next",
                moved <= most, seen, remedy,
            )  # fmt: skip
            yield GateResult(GATE, rule, "WARN", outcome, message, observed=seen)


def _larger_than(decided: pa.Table, most: float) -> tuple[str, ...]:
    """The largest customers, five at most."""
    held = decided.filter(pc.is_valid(decided["customer_id"])).group_by("customer_id")
    sizes = held.aggregate([("identifier", "count")])
    large = sizes.filter(pc.greater(sizes["identifier_count"], most))
    ranked = large.sort_by([("identifier_count", "descending"), ("customer_id", "ascending")])
    return tuple(ranked["customer_id"].slice(0, 5).to_pylist())
