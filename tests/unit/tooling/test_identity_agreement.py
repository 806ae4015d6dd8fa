"""Comparing customers with persons, pair by pair (``benchmarks/identity_truth.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from benchmarks.identity_truth import Agreement, agreement

# Two people, who share a phone.
PERSONS = {"ann": ("crm:1", "wx:1", "mini:1", "phone:a"), "bob": ("crm:2", "wx:2", "phone:a")}
EDGES = (("crm:1", "phone:a"), ("crm:1", "wx:1"), ("crm:2", "phone:a"))


def compare(
    customers: Mapping[str, Sequence[str]], edges: Sequence[tuple[str, str]] = EDGES
) -> Agreement:
    truth = [
        {"person_id": who, "identifier": name} for who, held in PERSONS.items() for name in held
    ]
    held = [
        {"customer_id": who or None, "identifier": name}
        for who, names in customers.items()
        for name in names
    ]
    evidence = [{"identifier_a": a, "identifier_b": b} for a, b in edges]
    return agreement(*(pa.Table.from_pylist(rows) for rows in (truth, held, evidence)))


def test_a_shared_phone_is_right_with_either_and_missed_with_the_other() -> None:
    found = compare({"c1": PERSONS["ann"], "c2": ("crm:2", "wx:2")})

    assert (found.right, found.said, found.both) == (9, 7, 7)
    assert found.precision == 1
    assert found.recall == 7 / 9


def test_customers_of_several_people_cost_precision() -> None:
    found = compare({"c1": ("crm:1", "wx:1", "mini:1", "phone:a", "crm:2"), "c2": ("wx:2",)})

    # The phone is both people's; the rest of Ann's is not Bob's.
    assert (found.said, found.both) == (10, 7)


def test_only_pairs_that_evidence_connects_count_in_connected_recall() -> None:
    found = compare({"c1": ("crm:1", "phone:a"), "c2": ("wx:1", "mini:1"), "c3": ("crm:2", "wx:2")})

    # Of Ann: member, union id and phone; of Bob: member and phone.
    assert (found.connected, found.connected_said) == (4, 1)


def test_what_is_nobodys_or_unknown_to_the_truth_is_in_no_pair() -> None:
    found = compare({"c1": ("crm:1", "wx:1", "phone:typo"), "": ("phone:a",)})

    assert (found.right, found.said, found.both) == (1, 1, 1)
