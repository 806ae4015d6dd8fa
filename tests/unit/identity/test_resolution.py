"""Stable customer ids over changing edges."""

from __future__ import annotations

import random
from datetime import datetime
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from siyu.identity.resolution import MAP_SCHEMA, Resolution, resolve

DAY = datetime(2026, 1, 1)  # noqa: DTZ001  (timestamps are UTC without a zone)

Edge = tuple[str, str, int]


def _resolve(
    identifiers: list[str],
    edges: list[Edge],
    previous: pa.Table | None = None,
    junk: tuple[str, ...] = (),
    run_id: str = "run",
) -> Resolution:
    seen = pa.table(
        {
            "identifier": pa.array(identifiers, pa.string()),
            "namespace": pa.array([name.split(":")[0] for name in identifiers], pa.string()),
            "first_seen_at": pa.array(
                [DAY.replace(day=1 + sorted(identifiers).index(name)) for name in identifiers],
                pa.timestamp("us"),
            ),
            "known_at": pa.array([DAY] * len(identifiers), pa.timestamp("us")),
        }
    )
    links = pa.table(
        {
            "identifier_a": pa.array([edge[0] for edge in edges], pa.string()),
            "identifier_b": pa.array([edge[1] for edge in edges], pa.string()),
            "rule_id": pa.array(["test"] * len(edges), pa.string()),
            "priority": pa.array([edge[2] for edge in edges], pa.int64()),
            "evidence_count": pa.array([1] * len(edges), pa.int64()),
            "first_seen_at": pa.array([DAY] * len(edges), pa.timestamp("us")),
            "last_seen_at": pa.array([DAY] * len(edges), pa.timestamp("us")),
            "known_at": pa.array([DAY] * len(edges), pa.timestamp("us")),
        }
    )
    return resolve(
        seen,
        links,
        MAP_SCHEMA.empty_table() if previous is None else previous,
        {"crm": 1},
        {"crm"},
        junk,
        run_id,
    )


def _ids(resolution: Resolution) -> dict[str, str | None]:
    rows = resolution.customer_identifier.to_pylist()
    return {row["identifier"]: row["customer_id"] for row in rows}


def _kinds(resolution: Resolution) -> list[str]:
    return sorted(resolution.events["event_type"].to_pylist())


def test_linked_identifiers_share_a_customer_and_others_do_not() -> None:
    ids = _ids(_resolve(["crm:1", "crm:2", "phone:a"], [("crm:1", "phone:a", 20)]))
    assert ids["crm:1"] == ids["phone:a"] != ids["crm:2"]


def test_a_second_run_over_the_same_rows_changes_nothing() -> None:
    first = _resolve(["crm:1", "phone:a"], [("crm:1", "phone:a", 20)])
    again = _resolve(
        ["crm:1", "phone:a"], [("crm:1", "phone:a", 20)], first.customer_identifier, run_id="later"
    )
    assert again.customer_identifier.equals(first.customer_identifier)
    assert len(again.events) == 0


def test_a_rebuild_from_nothing_gives_the_same_ids() -> None:
    rows = ["crm:1", "phone:a", "wecom:x"]
    edges: list[Edge] = [("crm:1", "phone:a", 20)]
    assert _ids(_resolve(rows, edges)) == _ids(_resolve(rows, edges))


def test_a_late_edge_merges_two_customers_into_the_one_with_more_identifiers() -> None:
    rows = ["crm:1", "phone:a", "wecom:x"]
    apart = _resolve(rows, [("crm:1", "phone:a", 20)])
    merged = _resolve(
        rows, [("crm:1", "phone:a", 20), ("phone:a", "wecom:x", 10)], apart.customer_identifier
    )
    assert set(_ids(merged).values()) == {_ids(apart)["crm:1"]}
    assert _kinds(merged) == ["merge"]


def test_when_an_edge_disappears_the_member_id_keeps_the_customer() -> None:
    rows = ["crm:1", "phone:a", "wecom:x"]
    together = _resolve(rows, [("crm:1", "phone:a", 20), ("phone:a", "wecom:x", 10)])
    parted = _resolve(rows, [("phone:a", "wecom:x", 10)], together.customer_identifier)
    assert _ids(parted)["crm:1"] == _ids(together)["crm:1"]
    assert _ids(parted)["wecom:x"] == _ids(parted)["phone:a"] != _ids(parted)["crm:1"]
    assert _kinds(parted) == ["split"]


def test_junk_identifiers_join_nobody_and_have_no_customer() -> None:
    rows = ["crm:1", "crm:2", "phone:0"]
    resolution = _resolve(
        rows, [("crm:1", "phone:0", 20), ("crm:2", "phone:0", 20)], junk=("phone:0",)
    )
    ids = _ids(resolution)
    assert ids["phone:0"] is None
    assert ids["crm:1"] != ids["crm:2"]


def test_junk_that_was_junk_before_changes_nothing() -> None:
    first = _resolve(["crm:1", "phone:0"], [], junk=("phone:0",))
    again = _resolve(
        ["crm:1", "phone:0"], [], first.customer_identifier, junk=("phone:0",), run_id="later"
    )
    assert again.customer_identifier.equals(first.customer_identifier)


def test_an_edge_that_a_cap_refuses_is_kept_with_both_sides() -> None:
    resolution = _resolve(
        ["crm:1", "crm:2", "phone:a"], [("crm:1", "phone:a", 40), ("crm:2", "phone:a", 20)]
    )
    refused = resolution.refused_edges.to_pylist()
    assert [(row["identifier_a"], row["identifier_b"]) for row in refused] == [("crm:2", "phone:a")]


def test_nothing_to_resolve_gives_an_empty_map() -> None:
    resolution = _resolve([], [])
    assert resolution.quality.customer_count == 0
    assert resolution.customer_identifier.schema == MAP_SCHEMA


_names = [f"crm:{i}" for i in range(4)] + [f"phone:{i}" for i in range(4)]
_edges = st.lists(
    st.tuples(st.sampled_from(_names), st.sampled_from(_names), st.sampled_from([10, 20])),
    max_size=12,
    unique_by=lambda edge: edge[:2],
)


@settings(max_examples=25, deadline=None)
@given(_edges, st.randoms())
def test_the_order_in_which_rows_arrive_does_not_matter(
    edges: list[Edge], chance: random.Random
) -> None:
    shuffled_names, shuffled = list(_names), list(edges)
    chance.shuffle(shuffled_names)
    chance.shuffle(shuffled)
    assert _ids(_resolve(_names, edges)) == _ids(_resolve(shuffled_names, shuffled))


@settings(max_examples=25, deadline=None)
@given(_edges, _edges)
def test_two_clusters_never_share_an_id_whatever_went_before(
    before: list[Edge], after: list[Edge]
) -> None:
    first = _resolve(_names, before)
    second = _resolve(_names, after, first.customer_identifier)
    fresh = _resolve(_names, after)

    def groups(resolution: Resolution) -> set[frozenset[str]]:
        ids = _ids(resolution)
        return {
            frozenset(name for name in ids if ids[name] == value) for value in set(ids.values())
        }

    assert groups(second) == groups(fresh)


@settings(max_examples=40, deadline=None)
@given(
    _edges,
    _edges,
    st.lists(st.sampled_from(_names), unique=True),
    st.lists(st.sampled_from(_names), unique=True),
    st.lists(st.sampled_from(_names), max_size=2),
)
def test_passing_over_customers_to_whom_nothing_happened_decides_what_looking_at_all_does(
    before: list[Edge], after: list[Edge], known: list[str], seen: list[str], junk: list[str]
) -> None:
    earlier = _resolve(known, before).customer_identifier

    def decide() -> Resolution:
        return _resolve(seen, after, earlier, tuple(junk), run_id="later")

    shortened = decide()
    with patch(
        "siyu.identity.resolution._settled", lambda label, _: np.zeros(len(label), np.bool_)
    ):
        whole = decide()

    assert shortened.customer_identifier.equals(whole.customer_identifier)
    assert shortened.events.equals(whole.events)
