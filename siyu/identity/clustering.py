"""Guarded clustering: connected components that no cap forbids and no manual rule takes apart.

Plain components come first, compiled. Only those that break a cap, or hold two nodes that somebody
has set apart, are clustered again: manual links first, then edge by edge, strongest first, refusing
a union that is forbidden. Integers in, integers out: what the numbers stand for is the caller's
business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NodeNumbers = NDArray[np.int32]

# Why an edge is refused, where it is not the code of the namespace whose cap forbids it.
TOTAL_CAP_REACHED = -1
SET_APART = -2


@dataclass(frozen=True)
class Caps:
    """How many identifiers one customer may hold.

    Attributes:
        by_namespace: Largest count per namespace code; -1 for no cap. Shape (namespaces,).
        total: Largest count over all namespaces.
    """

    by_namespace: Ints
    total: int


@dataclass(frozen=True)
class Edges:
    """Edges between nodes.

    Attributes:
        a: One end of each edge, as a node number. Narrow, as there are many. Shape (edges,).
        b: The other end. Shape (edges,).
        strongest_first: Puts positions of edges in the order in which they count, where not all may.
            The order of what it is given must not matter.
    """

    a: NodeNumbers
    b: NodeNumbers
    strongest_first: Callable[[Ints], Ints]


@dataclass(frozen=True)
class ManualRules:
    """What people have decided about pairs of nodes. Links contradict no pair that is set apart.

    Attributes:
        linked: Pairs that are one customer whatever edges and caps say. Shape (links, 2).
        apart: Pairs that are never in one cluster, by any path. Shape (pairs, 2).
    """

    linked: Ints
    apart: Ints


NO_RULES = ManualRules(np.empty((0, 2), np.int64), np.empty((0, 2), np.int64))


@dataclass(frozen=True)
class Clusters:
    """Outcome of clustering.

    Attributes:
        label: Cluster number of each node, 0-based and dense. Shape (nodes,).
        refused: Positions of edges that were refused, ascending.
        reason: Why each was: code of the namespace whose cap forbids it, ``TOTAL_CAP_REACHED`` or
            ``SET_APART``. Shape (refused,).
    """

    label: Ints
    refused: Ints
    reason: Ints


def cluster(namespace: Ints, edges: Edges, caps: Caps, rules: ManualRules = NO_RULES) -> Clusters:
    """Cluster nodes by their edges, under caps and manual rules.

    A cap forbids a union after which a cluster holds more of a namespace than the cap and than
    either side held before: what manual links brought above a cap may still gain other namespaces.

    Args:
        namespace: Namespace code of each node. Shape (nodes,).
        edges: The edges; their order does not matter.
        caps: The caps.
        rules: The manual rules.

    Returns:
        The same clusters as plain connected components wherever nothing is forbidden. The ends of a
        refused edge are always in two clusters, those of any other in one.
    """
    nodes = len(namespace)
    nothing = np.empty(0, np.int64)
    if nodes == 0:
        return Clusters(nothing, nothing, nothing)
    label = _components(nodes, edges, rules.linked)
    broken = np.union1d(_above_a_cap(label, namespace, caps), _not_apart(label, rules.apart))
    if len(broken) == 0:
        return Clusters(label, nothing, nothing)
    is_broken = np.zeros(label.max() + 1, np.bool_)
    is_broken[broken] = True
    within = is_broken[label]
    forest = _Forest(namespace, caps, rules, within)
    order = edges.strongest_first(np.flatnonzero(within[edges.a]))
    refused, reason = forest.join_all(edges.a, edges.b, order)
    ascending = np.argsort(refused)
    label[within] = nodes + forest.roots(np.flatnonzero(within))
    _, dense = np.unique(label, return_inverse=True)
    return Clusters(dense.astype(np.int64), refused[ascending], reason[ascending])


def _components(nodes: int, edges: Edges, linked: Ints) -> Ints:
    """Plain connected components of edges and links."""
    # Imported here: definitions load this module, and few runs resolve.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = edges.a, edges.b
    if len(linked):
        a = np.concatenate([a, linked[:, 0].astype(np.int32)])
        b = np.concatenate([b, linked[:, 1].astype(np.int32)])
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(nodes, nodes))
    _, found = connected_components(graph, directed=False)
    return np.asarray(found, np.int64)


def _above_a_cap(label: Ints, namespace: Ints, caps: Caps) -> Ints:
    """Components that hold more than a cap allows."""
    sizes = np.bincount(label)
    # Only namespaces with a cap need counting, and only where there are more nodes than it allows.
    capped = caps.by_namespace[namespace]
    counted = (capped >= 0) & (sizes[label] > capped)
    width = len(caps.by_namespace)
    pairs, counts = np.unique(label[counted] * width + namespace[counted], return_counts=True)
    over = pairs[counts > caps.by_namespace[pairs % width]] // width
    return np.union1d(over, np.flatnonzero(sizes > caps.total))


def _not_apart(label: Ints, apart: Ints) -> Ints:
    """Components that hold both nodes of a pair that is set apart."""
    one, other = label[apart[:, 0]], label[apart[:, 1]]
    return np.unique(one[one == other])


class _Forest:
    """Union-find that knows what a tree holds and which nodes must never be in it."""

    def __init__(
        self, namespace: Ints, caps: Caps, rules: ManualRules, within: NDArray[np.bool_]
    ) -> None:
        nodes = np.flatnonzero(within).tolist()
        self._caps: list[int] = caps.by_namespace.tolist()
        self._total = caps.total
        self._parent = {node: node for node in nodes}
        self._held: dict[int, dict[int, int]] = {
            node: {code: 1} for node, code in zip(nodes, namespace[within].tolist(), strict=True)
        }
        self._size = dict.fromkeys(nodes, 1)
        # Only of trees that hold a node that is set apart: these nodes, and those it must not meet.
        self._concerned: dict[int, frozenset[int]] = {}
        self._shunned: dict[int, frozenset[int]] = {}
        for one, other in rules.apart[within[rules.apart].all(axis=1)].tolist():
            for node, foe in ((one, other), (other, one)):
                self._concerned[node] = frozenset({node})
                self._shunned[node] = self._shunned.get(node, frozenset()) | {foe}
        for a, b in rules.linked[within[rules.linked[:, 0]]].tolist():
            self._union(self._find(a), self._find(b))

    def join_all(self, a: NodeNumbers, b: NodeNumbers, order: Ints) -> tuple[Ints, Ints]:
        """Join the ends of edges in an order; positions and reasons of those that are refused."""
        refused, reasons = [], []
        for edge, one, other in zip(
            order.tolist(), a[order].tolist(), b[order].tolist(), strict=True
        ):
            one_root, other_root = self._find(one), self._find(other)
            if one_root == other_root:
                continue
            reason = self._forbidding(one_root, other_root)
            if reason is None:
                self._union(one_root, other_root)
            else:
                refused.append(edge)
                reasons.append(reason)
        return np.array(refused, np.int64), np.array(reasons, np.int64)

    def roots(self, nodes: Ints) -> Ints:
        """The tree that each node is in."""
        return np.array([self._find(node) for node in nodes.tolist()], np.int64)

    def _find(self, node: int) -> int:
        parent = self._parent
        while (above := parent[node]) != node:
            parent[node] = parent[above]
            node = above
        return node

    def _forbidding(self, a: int, b: int) -> int | None:
        """Why two trees must not be joined; None when they may."""
        if self._concerned and self._concerned.get(a, frozenset()) & self._shunned.get(
            b, frozenset()
        ):
            return SET_APART
        less, more = self._held[a], self._held[b]
        if len(less) > len(more):
            less, more = more, less
        over = [
            code
            for code, count in less.items()
            if code in more and 0 <= self._caps[code] < count + more[code]
        ]
        if over:
            # The least code, so that the reason does not depend on which side is which.
            return min(over)
        if self._size[a] + self._size[b] > self._total:
            return TOTAL_CAP_REACHED
        return None

    def _union(self, a: int, b: int) -> None:
        if a == b:
            return
        keep, lose = (a, b) if self._size[a] >= self._size[b] else (b, a)
        held = self._held[keep]
        for code, count in self._held.pop(lose).items():
            held[code] = held.get(code, 0) + count
        self._parent[lose] = keep
        self._size[keep] += self._size.pop(lose)
        for kept in (self._concerned, self._shunned):
            if lose in kept:
                kept[keep] = kept.get(keep, frozenset()) | kept.pop(lose)
