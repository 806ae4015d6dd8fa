"""Guarded clustering: connected components that no cap forbids.

Plain components come first, compiled. Only those that break a cap are clustered again, edge by
edge, strongest first, refusing a union that would exceed a cap. Integers in, integers out: what the
numbers stand for is the caller's business.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


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
class Clusters:
    """Outcome of clustering.

    Attributes:
        label: Cluster number of each node, 0-based and dense. Shape (nodes,).
        refused: Positions of edges that a cap refused.
    """

    label: Ints
    refused: Ints


def cluster(namespace: Ints, a: Ints, b: Ints, order: Ints, caps: Caps) -> Clusters:
    """Cluster nodes by their edges under caps.

    Args:
        namespace: Namespace code of each node. Shape (nodes,).
        a: One end of each edge, as a node number. Shape (edges,).
        b: The other end. Shape (edges,).
        order: Edge positions, strongest first; decides who wins where a cap refuses. The outcome
            depends on this order alone, never on the order in which edges arrive.
        caps: The caps.

    Returns:
        The same clusters as plain connected components wherever no cap is broken.
    """
    nodes = len(namespace)
    if nodes == 0:
        return Clusters(np.empty(0, np.int64), np.empty(0, np.int64))
    # Imported here: definitions load this module, and few runs resolve.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(a), dtype=np.int8)
    _, found = connected_components(coo_array((ones, (a, b)), shape=(nodes, nodes)), directed=False)
    label = found.astype(np.int64)
    broken = _broken(label, namespace, caps)
    if len(broken) == 0:
        return Clusters(label, np.empty(0, np.int64))
    in_broken = np.isin(label, broken)
    roots, refused = _guarded(namespace, a, b, order[in_broken[a[order]]], caps)
    label[in_broken] = nodes + np.array(
        [roots.find(node) for node in np.flatnonzero(in_broken).tolist()]
    )
    _, dense = np.unique(label, return_inverse=True)
    return Clusters(dense.astype(np.int64), refused)


def _broken(label: Ints, namespace: Ints, caps: Caps) -> Ints:
    """Components that hold more than a cap allows."""
    width = len(caps.by_namespace)
    pairs, counts = np.unique(label * width + namespace, return_counts=True)
    cap = caps.by_namespace[pairs % width]
    over = pairs[(cap >= 0) & (counts > cap)] // width
    sizes = np.bincount(label)
    return np.union1d(over, np.flatnonzero(sizes > caps.total))


class _Forest:
    """Union-find that knows how many identifiers of each namespace a tree holds."""

    def __init__(self, namespace: Ints, caps: Caps) -> None:
        self._namespace = namespace
        self._caps = caps
        self._parent: dict[int, int] = {}
        self._held: dict[int, Counter[int]] = {}

    def find(self, node: int) -> int:
        parent = self._parent.setdefault(node, node)
        while parent != node:
            grandparent = self._parent[parent]
            self._parent[node] = grandparent
            node, parent = parent, grandparent
        return node

    def union(self, a: int, b: int) -> bool:
        """Join two trees; False when a cap forbids it."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        together = self._holding(a) + self._holding(b)
        if together.total() > self._caps.total or any(
            0 <= int(self._caps.by_namespace[code]) < count for code, count in together.items()
        ):
            return False
        keep, lose = min(a, b), max(a, b)
        self._parent[lose] = keep
        self._held[keep] = together
        return True

    def _holding(self, root: int) -> Counter[int]:
        return self._held.setdefault(root, Counter({int(self._namespace[root]): 1}))


def _guarded(namespace: Ints, a: Ints, b: Ints, order: Ints, caps: Caps) -> tuple[_Forest, Ints]:
    forest = _Forest(namespace, caps)
    refused = [edge for edge in order.tolist() if not forest.union(int(a[edge]), int(b[edge]))]
    return forest, np.array(sorted(refused), dtype=np.int64)
