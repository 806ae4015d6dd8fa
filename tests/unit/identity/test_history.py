"""The past of the identity map, against plain connected components at every moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import NamedTuple

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from siyu.identity.history import PAST_SCHEMA, past
from siyu.identity.resolution import MAP_SCHEMA, new_id
from siyu.identity_rules import IdentityRule

START = datetime(2026, 1, 1)  # noqa: DTZ001  (timestamps are UTC without a zone)


class Seen(NamedTuple):
    """An identifier, the day it was known and the day it was first seen."""

    name: str
    known: int
    seen: int


class Link(NamedTuple):
    """Two identifiers, the day their link was known and the day it was first seen."""

    a: str
    b: str
    known: int
    seen: int


class Stay(NamedTuple):
    """Whom an identifier belonged to, and the days between which that was known and was so."""

    customer_id: str
    recorded_from: int
    recorded_to: int
    effective_from: int
    effective_to: int


def _at(day: int) -> datetime:
    return START + timedelta(days=day)


def _day(moment: datetime) -> int:
    return (moment - START).days


def _past(
    identifiers: Sequence[Seen],
    links: Sequence[Link],
    customers: dict[str, str | None],
    rules: Sequence[IdentityRule] = (),
) -> pa.Table:
    """The past that leads to these customers."""
    decided = [
        {"identifier": one.name, "namespace": one.name.split(":")[0], "known_at": _at(one.known),
         "customer_id": customers[one.name], "is_junk": customers[one.name] is None}
        for one in sorted(identifiers)
    ]  # fmt: skip
    seen = [{"identifier": one.name, "first_seen_at": _at(one.seen)} for one in identifiers]
    edges = [
        {"identifier_a": min(link.a, link.b), "identifier_b": max(link.a, link.b),
         "known_at": _at(link.known), "first_seen_at": _at(link.seen)}
        for link in links
    ]  # fmt: skip
    moment = pa.timestamp("us")
    return past(
        pa.Table.from_pylist(decided, MAP_SCHEMA),
        pa.Table.from_pylist(
            seen, pa.schema([("identifier", pa.string()), ("first_seen_at", moment)])
        ),
        pa.Table.from_pylist(
            edges,
            pa.schema(
                [
                    ("identifier_a", pa.string()),
                    ("identifier_b", pa.string()),
                    ("known_at", moment),
                    ("first_seen_at", moment),
                ]
            ),
        ),
        rules,
    )


def _stays(found: pa.Table) -> dict[str, list[Stay]]:
    """Rows by identifier, as days."""
    stays = defaultdict(list)
    for row in found.to_pylist():
        stays[row["identifier"]].append(
            Stay(row["customer_id"], *(_day(row[name]) for name in Stay._fields[1:]))
        )
    return stays


def _together(names: Sequence[str], links: Sequence[Link]) -> dict[str, str]:
    """Plain connected components: the first name of each one's."""
    first = {name: name for name in names}
    for _ in names:
        for link in links:
            if link.a in first and link.b in first:
                first[link.a] = first[link.b] = min(first[link.a], first[link.b])
    return first


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[list[Seen], list[Link], dict[str, str | None]]:
    """Identifiers, links that are accepted or refused, and customers under ids of any origin."""
    names = [f"crm:{number}" for number in range(draw(st.integers(1, 7)))]
    days = st.integers(0, 4)
    identifiers = [Seen(name, draw(days), draw(days)) for name in names]
    known = {one.name: one.known for one in identifiers}
    of = st.sampled_from(names)
    links = [
        Link(a, b, max(known[a], known[b]) + draw(days), draw(days))
        for a, b in draw(st.lists(st.tuples(of, of), max_size=10)) if a != b
    ]  # fmt: skip
    accepted = [link for link in links if draw(st.booleans())]
    component = _together(names, accepted)
    ids = dict(zip(names, draw(st.permutations([new_id(name) for name in names])), strict=True))
    nobody = {names[-1]} if draw(st.booleans()) else set()
    return identifiers, links, {
        name: None if component[name] in nobody else ids[component[name]] for name in names
    }  # fmt: skip


@given(_worlds())
def test_at_every_moment_customers_are_the_components_of_the_links_known_by_then(
    world: tuple[list[Seen], list[Link], dict[str, str | None]],
) -> None:
    identifiers, links, customers = world
    within = [
        link for link in links
        if customers[link.a] == customers[link.b] and customers[link.a] is not None
    ]  # fmt: skip
    stays = _stays(_past(identifiers, links, customers))
    for day in range(10):
        there = [one.name for one in identifiers if one.known <= day and customers[one.name]]
        called = {
            name: next(
                (stay.customer_id for stay in stays[name] if day < stay.recorded_to),
                customers[name],
            )
            for name in there
        }
        component = _together(there, [link for link in within if link.known <= day])
        assert len(set(called.values())) == len(set(component.values()))
        assert len({(called[name], component[name]) for name in there}) == len(set(called.values()))
        # Nobody bears the id of somebody else of today.
        todays = {customer for customer in customers.values() if customer}
        assert all(one == customers[name] for name, one in called.items() if one in todays)
    for one in identifiers:
        _assert_without_gap_or_overlap(one, stays[one.name], customers[one.name])


def _assert_without_gap_or_overlap(one: Seen, before: list[Stay], customer: str | None) -> None:
    if not before:
        return
    assert (before[0].recorded_from, before[0].effective_from) == (one.known, one.seen)
    for stay, following in pairwise(before):
        assert stay.recorded_to == following.recorded_from
        assert stay.effective_to == following.effective_from
        assert stay.customer_id != following.customer_id
    assert all(stay.recorded_from < stay.recorded_to for stay in before)
    assert all(stay.effective_from <= stay.effective_to for stay in before)
    assert before[-1].customer_id != customer


@settings(max_examples=30)
@given(_worlds(), st.randoms(use_true_random=False))
def test_the_past_does_not_depend_on_the_order_of_rows(
    world: tuple[list[Seen], list[Link], dict[str, str | None]], random: Random
) -> None:
    identifiers, links, customers = world
    again = _past(
        random.sample(identifiers, len(identifiers)), random.sample(links, len(links)), customers
    )
    assert again.equals(_past(identifiers, links, customers))


def test_an_identifier_linked_late_was_a_customer_of_its_own_until_then() -> None:
    found = _past(
        [Seen("crm:1", 0, 0), Seen("mini:a", 2, 1)],
        [Link("crm:1", "mini:a", 5, 3)],
        {"crm:1": new_id("crm:1"), "mini:a": new_id("crm:1")},
    )
    assert found.schema == PAST_SCHEMA
    assert _stays(found) == {"mini:a": [Stay(new_id("mini:a"), 2, 5, 1, 3)]}


def test_the_part_that_gave_the_customer_its_id_kept_it_though_another_was_older() -> None:
    found = _past(
        [Seen("mini:a", 0, 0), Seen("crm:1", 2, 2)],
        [Link("crm:1", "mini:a", 5, 5)],
        {"crm:1": new_id("crm:1"), "mini:a": new_id("crm:1")},
    )
    assert _stays(found) == {"mini:a": [Stay(new_id("mini:a"), 0, 5, 0, 5)]}


def test_a_link_known_late_of_an_earlier_event_was_never_effective_before_it() -> None:
    found = _past(
        [Seen("crm:1", 0, 0), Seen("mini:a", 2, 2)],
        [Link("crm:1", "mini:a", 5, 1)],
        {"crm:1": new_id("crm:1"), "mini:a": new_id("crm:1")},
    )
    assert _stays(found) == {"mini:a": [Stay(new_id("mini:a"), 2, 5, 2, 2)]}


def test_no_part_is_called_as_a_customer_of_today_is() -> None:
    """``phone:a`` gave its name to a customer whose other identifiers it then left."""
    found = _past(
        [Seen("crm:1", 0, 0), Seen("crm:2", 0, 0), Seen("phone:a", 1, 1)],
        [Link("crm:1", "phone:a", 3, 3)],
        {"crm:1": "c_1", "crm:2": new_id("phone:a"), "phone:a": "c_1"},
    )
    assert _stays(found) == {"phone:a": [Stay(new_id("split:phone:a"), 1, 3, 1, 3)]}


def test_what_people_linked_is_known_from_their_decision_on() -> None:
    rule = IdentityRule("link", "crm:1", "mini:a", "zhang", _at(4), "the same person")
    found = _past(
        [Seen("crm:1", 0, 0), Seen("mini:a", 2, 2)],
        [],
        dict.fromkeys(["crm:1", "mini:a"], new_id("crm:1")),
        [rule],
    )
    assert _stays(found) == {"mini:a": [Stay(new_id("mini:a"), 2, 4, 2, 4)]}


def test_links_that_are_taken_back_were_never_there() -> None:
    """Once two customers are apart again, nothing in the past says that they were one."""
    found = _past(
        [Seen("crm:1", 0, 0), Seen("crm:2", 0, 0), Seen("phone:a", 1, 1)],
        [Link("crm:1", "phone:a", 2, 2), Link("crm:2", "phone:a", 3, 3)],
        {"crm:1": "c_1", "crm:2": "c_2", "phone:a": "c_1"},
    )
    assert _stays(found) == {"phone:a": [Stay(new_id("phone:a"), 1, 2, 1, 2)]}


def test_parts_that_grew_together_first_came_as_one() -> None:
    stays = _stays(
        _past(
            [Seen("crm:1", 0, 0), Seen("mini:a", 1, 1), Seen("wx:b", 2, 2)],
            [Link("mini:a", "wx:b", 3, 3), Link("crm:1", "wx:b", 6, 6)],
            dict.fromkeys(["crm:1", "mini:a", "wx:b"], "c_today"),
        )
    )
    assert stays == {
        "mini:a": [Stay(new_id("mini:a"), 1, 6, 1, 6)],
        "wx:b": [Stay(new_id("wx:b"), 2, 3, 2, 3), Stay(new_id("mini:a"), 3, 6, 3, 6)],
    }


def test_without_identifiers_or_links_there_is_no_past() -> None:
    assert len(_past([], [], {})) == 0
    assert len(_past([Seen("crm:1", 0, 0)], [], {"crm:1": "c_1"})) == 0


def test_identifiers_that_no_link_ties_to_their_customer_were_always_there() -> None:
    """Nothing tells since when."""
    found = _past(
        [Seen("crm:1", 0, 0), Seen("mini:a", 2, 2)], [], {"crm:1": "c_1", "mini:a": "c_1"}
    )
    assert len(found) == 0
