"""Size, density and bridges of clusters, and what a decision changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from siyu.identity.clustering import Ints
from siyu.identity.quality import (
    NOTHING,
    QUALITY_SCHEMA,
    IdentityQuality,
    cluster_figures,
    find_bridges,
    judge,
    measure,
)
from siyu.identity.resolution import EVENT_SCHEMA, MAP_SCHEMA
from siyu.ops import GateResult
from siyu.retailer import Retailer, read_retailer


def ints(*values: int) -> Ints:
    return np.array(values, np.int64)


def parts(nodes: int, a: Ints, b: Ints) -> int:
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(nodes, nodes))
    count, _ = connected_components(graph, directed=False)
    return int(count)


def bridges_by_removal(nodes: int, a: Ints, b: Ints) -> list[bool]:
    """The definition itself: without the edge there is one part more."""
    whole = parts(nodes, a, b)
    return [parts(nodes, np.delete(a, i), np.delete(b, i)) > whole for i in range(len(a))]


@given(st.data())
def test_a_bridge_is_an_edge_without_which_there_is_one_part_more(data: st.DataObject) -> None:
    nodes = data.draw(st.integers(2, 12))
    pairs = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1))
    edges = data.draw(st.lists(pairs.filter(lambda pair: pair[0] != pair[1]), max_size=20))
    a, b = ints(*(one for one, _ in edges)), ints(*(other for _, other in edges))

    assert find_bridges(nodes, a, b).tolist() == bridges_by_removal(nodes, a, b)


def test_a_pair_that_two_rules_link_is_no_bridge() -> None:
    assert find_bridges(3, ints(0, 1, 1), ints(1, 0, 2)).tolist() == [False, False, True]


def test_a_long_chain_is_all_bridges_and_a_long_circle_has_none() -> None:
    chain = np.arange(999)
    assert find_bridges(1000, chain, chain + 1).all()
    closed = np.append(chain, 999), np.append(chain + 1, 0)
    assert not find_bridges(1000, *closed).any()


def test_figures_are_by_cluster_and_refused_edges_are_in_none() -> None:
    # A triangle, one of whose sides two rules know; a pair; a loner. 2-3 was refused.
    label = ints(0, 0, 0, 1, 1, 2)
    found = cluster_figures(label, ints(0, 1, 2, 2, 3, 2), ints(1, 2, 0, 0, 4, 3))

    assert found.size.tolist() == [3, 2, 1]
    assert found.edges.tolist() == [4, 1, 0]
    assert found.pairs.tolist() == [3, 1, 0]
    assert found.bridges.tolist() == [0, 1, 0]
    assert found.density.tolist() == [1.0, 1.0]


def test_a_star_is_less_dense_the_more_it_has() -> None:
    found = cluster_figures(np.zeros(5, np.int64), np.zeros(4, np.int64), np.arange(1, 5))

    assert found.density.tolist() == [pytest.approx(0.4)]


def test_a_decision_is_measured_against_the_customers_there_were() -> None:
    previous = pa.Table.from_pylist(
        [{"customer_id": name} for name in ("c1", "c1", "c2", "c3", "c4", None)], MAP_SCHEMA
    )
    events = pa.Table.from_pylist(
        [
            {"event_type": "merge", "customer_id": "c1", "other_customer_id": "c2"},
            {"event_type": "create", "customer_id": "c5", "other_customer_id": None},
            {"event_type": "split", "customer_id": "c6", "other_customer_id": "c3"},
        ],
        EVENT_SCHEMA,
    )

    # Four identifiers, two customers; one edge of three was refused.
    found = measure(ints(0, 0, 0, 1), ints(0, 1, 2), ints(1, 2, 3), 1, previous, events)

    assert (found.identifier_count, found.junk_identifier_count) == (4, 1)
    assert (found.customer_count, found.unlinked_customer_count) == (2, 1)
    assert (found.identifiers_max, found.identifiers_p50) == (3, 2.0)
    assert (found.edge_count, found.refused_edge_count) == (2, 1)
    assert found.refused_edge_share == pytest.approx(1 / 3)
    assert (found.bridge_edge_count, found.bridge_edge_share) == (2, 1.0)
    assert found.density == pytest.approx(2 / 3)
    assert (found.customer_count_before, found.merged_customer_count) == (4, 1)
    assert (found.created_customer_count, found.split_customer_count) == (1, 1)
    assert found.merge_rate == 0.25


def test_nobody_yet_is_no_error_and_shares_of_nothing_are_empty() -> None:
    none = ints()
    found = measure(none, none, none, 0, MAP_SCHEMA.empty_table(), EVENT_SCHEMA.empty_table())

    assert found == NOTHING
    assert found.as_table().schema == QUALITY_SCHEMA


USUAL = IdentityQuality(
    identifier_count=10_000, junk_identifier_count=5, customer_count=2_000,
    unlinked_customer_count=100, identifiers_p50=5, identifiers_p90=6, identifiers_p99=7,
    identifiers_max=9, edge_count=15_000, density=0.6, bridge_edge_count=3_000,
    bridge_edge_share=0.2, refused_edge_count=150, refused_edge_share=0.01,
    customer_count_before=1_990, created_customer_count=14, merged_customer_count=4,
    split_customer_count=0, merge_rate=0.002,
)  # fmt: skip


@pytest.fixture
def demo() -> Retailer:
    return read_retailer(Path(__file__).parents[3] / "retailers" / "demo")


def judged(
    retailer: Retailer,
    *earlier: IdentityQuality,
    decided: pa.Table | None = None,
    **figures: object,
) -> dict[str, GateResult]:
    """What is said of the usual decision with other figures."""
    before = pa.concat_tables([QUALITY_SCHEMA.empty_table(), *(one.as_table() for one in earlier)])
    now = replace(USUAL, **figures)  # type: ignore[arg-type]
    said = judge(now, decided or MAP_SCHEMA.empty_table(), before, retailer)
    return {result.rule: result for result in said}


def failed(said: dict[str, GateResult]) -> dict[str, str]:
    return {rule: result.severity for rule, result in said.items() if result.outcome == "failed"}


def test_a_decision_like_those_before_it_passes_every_rule(demo: Retailer) -> None:
    said = judged(demo, USUAL, USUAL)

    assert failed(said) == {}
    assert set(said) == {
        "customer_size", "refused_edges", "merge_rate", "merge_rate_usual", "density_kept",
        "bridges_kept",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("figures", "broken"),
    [
        ({"identifiers_max": 21}, {"customer_size": "WARN"}),
        ({"refused_edge_share": 0.06}, {"refused_edges": "WARN"}),
        ({"merged_customer_count": 30, "merge_rate": 0.015}, {"merge_rate_usual": "WARN"}),
        ({"merged_customer_count": 300, "merge_rate": 0.15},
         {"merge_rate": "ERROR", "merge_rate_usual": "WARN"}),
        ({"density": 0.49}, {"density_kept": "WARN"}),
        ({"bridge_edge_share": 0.31}, {"bridges_kept": "WARN"}),
    ],
)  # fmt: skip
def test_each_rule_fails_on_figures_that_break_it(
    demo: Retailer, figures: dict[str, float], broken: dict[str, str]
) -> None:
    said = judged(demo, USUAL, **figures)

    assert failed(said) == broken
    for rule in broken:
        assert said[rule].observed in said[rule].message


def test_the_first_decision_has_nothing_to_be_compared_with(demo: Retailer) -> None:
    assert set(judged(demo)) == {"customer_size", "refused_edges", "merge_rate"}


def test_a_few_merges_are_no_jump_however_few_customers_there_are(demo: Retailer) -> None:
    assert failed(judged(demo, USUAL, merged_customer_count=3, merge_rate=0.5)) == {}


def test_a_share_of_nothing_passes(demo: Retailer) -> None:
    nothing = {"merge_rate": None, "refused_edge_share": None, "density": None}

    assert failed(judged(demo, USUAL, bridge_edge_share=None, **nothing)) == {}


def test_a_threshold_is_the_retailers(demo: Retailer) -> None:
    strict = demo.model_copy(update={"gates": {"max_merge_rate": 0.0}})

    assert failed(judged(strict, USUAL, merged_customer_count=20)) == {"merge_rate": "ERROR"}


def test_the_largest_customers_are_named_by_their_ids(demo: Retailer) -> None:
    rows = [
        {"identifier": f"card:{customer}{n}", "customer_id": customer}
        for customer, count in (("c1", 21), ("c2", 22), ("c3", 20))
        for n in range(count)
    ]
    decided = pa.Table.from_pylist(rows, MAP_SCHEMA)

    said = judged(demo, USUAL, decided=decided, identifiers_max=22)["customer_size"]

    assert said.example_keys == ("c2", "c1")


def test_narrow_numbers_of_many_identifiers_count_right() -> None:
    # A pair of them is a number that 32 bits do not hold.
    nodes = 100_000
    leaves = np.arange(nodes - 1, dtype=np.int32)

    found = cluster_figures(np.zeros(nodes, np.int64), leaves, np.full_like(leaves, nodes - 1))

    assert found.pairs.tolist() == [nodes - 1]
