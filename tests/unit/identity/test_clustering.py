"""Clustering under caps, on plain integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from siyu.identity.clustering import Caps, Clusters, Edges, cluster

MEMBER, PHONE = 0, 1


def _cluster(
    namespace: list[int], edges: list[tuple[int, int]], member_cap: int = 1, total: int = 30
) -> Clusters:
    a, b = (np.array([edge[i] for edge in edges], dtype=np.int32) for i in (0, 1))
    caps = Caps(np.array([member_cap, 3], dtype=np.int64), total)
    return cluster(np.array(namespace, dtype=np.int64), Edges(a, b, np.sort), caps)


def _groups(found: Clusters) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(found.label == label).tolist()) for label in set(found.label)}


def test_a_chain_of_edges_is_one_cluster() -> None:
    assert _groups(_cluster([MEMBER, PHONE, PHONE], [(0, 1), (1, 2)])) == {frozenset({0, 1, 2})}


def test_nodes_without_edges_stay_alone() -> None:
    assert _groups(_cluster([MEMBER, PHONE], [])) == {frozenset({0}), frozenset({1})}


def test_a_shared_phone_goes_to_the_stronger_edge_and_the_other_is_refused() -> None:
    found = _cluster([MEMBER, MEMBER, PHONE], [(1, 2), (0, 2)])
    assert _groups(found) == {frozenset({1, 2}), frozenset({0})}
    assert found.refused.tolist() == [1]


def test_a_component_larger_than_the_total_cap_is_split() -> None:
    star = [(0, node) for node in range(1, 6)]
    found = _cluster([MEMBER] + [1] * 5, star, total=3)
    assert max(len(group) for group in _groups(found)) == 3
    assert len(found.refused) == 3


def test_no_nodes_give_no_clusters() -> None:
    assert len(_cluster([], []).label) == 0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_cluster_breaks_a_cap_and_every_pair_in_it_is_connected(data: st.DataObject) -> None:
    namespace = data.draw(st.lists(st.sampled_from([MEMBER, PHONE]), min_size=1, max_size=12))
    node = st.integers(0, len(namespace) - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=20))
    found = _cluster(namespace, edges)
    kept = [edge for i, edge in enumerate(edges) if i not in set(found.refused.tolist())]
    for group in _groups(found):
        assert sum(namespace[i] == MEMBER for i in group) <= 1
        assert sum(namespace[i] == PHONE for i in group) <= 3
    for a, b in kept:
        assert found.label[a] == found.label[b]
