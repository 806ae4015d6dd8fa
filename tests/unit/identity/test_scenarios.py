"""What every identity resolution gets wrong somewhere, one test each, and manual rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siyu.identity.resolution import MAP_SCHEMA, Resolution, resolve
from siyu.identity_rules import Action, IdentityRule

DAY = datetime(2026, 1, 1)  # noqa: DTZ001  (timestamps are UTC without a zone)
CAPS = {"crm": 1, "wx": 1}
STRONG, WEAK = 40, 10


def edge(a: str, b: str, priority: int = STRONG, evidence: int = 1) -> dict[str, object]:
    a, b = sorted((a, b))
    return {
        "identifier_a": a, "identifier_b": b, "rule_id": "seen", "priority": priority,
        "evidence_count": evidence, "first_seen_at": DAY, "last_seen_at": DAY, "known_at": DAY,
    }  # fmt: skip


EDGES = pa.Table.from_pylist([edge("a:1", "b:1")]).schema
SEEN = pa.schema(
    [
        ("identifier", pa.string()), ("namespace", pa.string()),
        ("first_seen_at", pa.timestamp("us")), ("known_at", pa.timestamp("us")),
    ]
)  # fmt: skip


def rule(action: Action, a: str, b: str) -> IdentityRule:
    a, b = sorted((a, b))
    return IdentityRule(action, a, b, "zhang", DAY, "knows them")


def link(a: str, b: str) -> IdentityRule:
    return rule("link", a, b)


def unlink(a: str, b: str) -> IdentityRule:
    return rule("unlink", a, b)


class World:
    """What is seen, and what has been decided of it, run after run."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.edges: list[dict[str, object]] = []
        self.rules: list[IdentityRule] = []
        self.junk: list[str] = []
        self.map = MAP_SCHEMA.empty_table()
        self.applied: set[str] = set()
        self.runs = 0

    def see(self, *edges: dict[str, object]) -> None:
        self.edges += edges
        for one in edges:
            for side in ("identifier_a", "identifier_b"):
                if one[side] not in self.names:
                    self.names.append(str(one[side]))

    def decide(self) -> Resolution:
        self.runs += 1
        seen = [
            {"identifier": name, "namespace": name.partition(":")[0], "first_seen_at": DAY,
             "known_at": DAY}
            for name in self.names
        ]  # fmt: skip
        found = resolve(
            pa.Table.from_pylist(seen, SEEN), pa.Table.from_pylist(self.edges, EDGES), self.map,
            CAPS, {"crm"}, self.junk, f"run {self.runs}", self.rules, self.applied,
        )  # fmt: skip
        self.map = found.customer_identifier
        self.applied |= {
            row["event_id"] for row in found.events.to_pylist() if "manual" in row["event_type"]
        }
        return found

    @property
    def ids(self) -> dict[str, str | None]:
        rows = self.map.to_pylist()
        return {row["identifier"]: row["customer_id"] for row in rows}

    @property
    def groups(self) -> set[frozenset[str]]:
        ids = self.ids
        return {
            frozenset(name for name in ids if ids[name] == value)
            for value in ids.values()
            if value is not None
        }

    @property
    def customers(self) -> pa.Table:
        """The map without what differs from run to run."""
        return self.map.drop_columns(["updated_run_id"])


def decided(*edges: dict[str, object]) -> World:
    world = World()
    world.see(*edges)
    world.decide()
    return world


def kinds(found: Resolution) -> list[str]:
    return sorted(found.events["event_type"].to_pylist())


def refused(found: Resolution) -> list[tuple[str, str, str, str | None]]:
    return [
        (row["identifier_a"], row["identifier_b"], row["reason"], row["capped_namespace"])
        for row in found.refused_edges.to_pylist()
    ]


# --- the list ----------------------------------------------------------------------------------


def test_chain() -> None:
    world = decided(edge("crm:1", "phone:a"), edge("phone:a", "wx:1"), edge("wx:1", "wecom:x"))
    assert world.groups == {frozenset({"crm:1", "phone:a", "wx:1", "wecom:x"})}


def test_fan_in() -> None:
    world = decided(*(edge("crm:1", f"wecom:{number}") for number in range(5)))
    assert len(world.groups) == 1


def test_fan_in_of_more_than_a_customer_may_hold() -> None:
    world = World()
    world.see(*(edge("crm:1", f"wecom:{number:02}") for number in range(40)))
    found = world.decide()
    assert found.quality.identifiers_max == 30
    assert {reason for *_, reason, _ in refused(found)} == {"total_cap"}


def test_diamond() -> None:
    world = decided(
        edge("crm:1", "phone:a"), edge("crm:1", "wx:1"), edge("phone:a", "wecom:x"),
        edge("wx:1", "wecom:x"),
    )  # fmt: skip
    assert len(world.groups) == 1


def test_diamond_between_two_members() -> None:
    world = World()
    world.see(
        edge("crm:1", "phone:a", 20), edge("crm:2", "phone:a", 10), edge("crm:1", "wx:1", 10),
        edge("crm:2", "wx:1", 20),
    )  # fmt: skip
    found = world.decide()
    assert world.groups == {frozenset({"crm:1", "phone:a"}), frozenset({"crm:2", "wx:1"})}
    assert refused(found) == [
        ("crm:1", "wx:1", "namespace_cap", "crm"), ("crm:2", "phone:a", "namespace_cap", "crm"),
    ]  # fmt: skip


def test_rapid_re_merge() -> None:
    world = decided(edge("crm:1", "phone:a"), edge("wecom:x", "wx:1"))
    apart, bridge = world.customers, edge("phone:a", "wx:1")
    for _ in range(3):
        world.see(bridge)
        assert kinds(world.decide()) == ["merge"]
        assert len(world.groups) == 1
        world.edges.remove(bridge)
        assert kinds(world.decide()) == ["split"]
        assert world.customers.equals(apart)


def test_late_arriving_merge() -> None:
    world = decided(edge("crm:1", "phone:a"), edge("wecom:x", "wx:1"), edge("wecom:y", "wx:1"))
    large = world.ids["wx:1"]
    world.see(edge("crm:1", "wx:1"))
    found = world.decide()
    assert set(world.ids.values()) == {large}
    assert kinds(found) == ["merge"]


def test_shared_family_phone() -> None:
    world = World()
    world.see(
        edge("crm:1", "phone:home", 20, evidence=9), edge("crm:2", "phone:home", 20, evidence=2),
        edge("phone:home", "wecom:x", WEAK),
    )  # fmt: skip
    found = world.decide()
    assert world.groups == {frozenset({"crm:1", "phone:home", "wecom:x"}), frozenset({"crm:2"})}
    (row,) = found.refused_edges.to_pylist()
    assert (row["customer_id_a"], row["customer_id_b"]) == (
        world.ids["crm:2"], world.ids["phone:home"],
    )  # fmt: skip


def test_shared_device() -> None:
    world = World()
    world.see(
        *(edge(f"crm:{number}", f"wx:{number}") for number in range(4)),
        *(edge(f"crm:{number}", "mini:kiosk", 30) for number in range(4)),
    )
    found = world.decide()
    assert len(world.groups) == 4
    assert len(found.refused_edges) == 3


def test_null_or_junk_identifier() -> None:
    world = World()
    world.junk = ["phone:null"]
    world.see(*(edge(f"crm:{number}", "phone:null") for number in range(50)))
    found = world.decide()
    assert world.ids["phone:null"] is None
    assert len(world.groups) == 50
    assert len(found.refused_edges) == 0


def test_an_identifier_that_turns_out_to_be_junk_lets_its_customers_go() -> None:
    world = World()
    world.see(edge("crm:1", "phone:a"), edge("phone:a", "wecom:x"))
    world.decide()
    member = world.ids["crm:1"]
    world.junk = ["phone:a"]
    world.decide()
    assert world.ids["crm:1"] == member
    assert world.ids["wecom:x"] not in (member, None)


def test_re_observed_child_after_an_unlink() -> None:
    world = decided(edge("crm:1", "wx:1"), edge("wx:1", "wecom:child", WEAK))
    world.rules = [unlink("crm:1", "wecom:child")]
    world.decide()
    assert world.ids["crm:1"] != world.ids["wecom:child"]

    # Seen again, more often, over another path, and strongly.
    world.see(
        edge("crm:1", "wecom:child", evidence=99), edge("wecom:child", "phone:a", evidence=50),
        edge("crm:1", "phone:a", evidence=49),
    )  # fmt: skip
    found = world.decide()

    assert world.ids["crm:1"] != world.ids["wecom:child"]
    assert {reason for *_, reason, _ in refused(found)} == {"manual_unlink"}


# --- evidence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({"priority": 40}, {"evidence_count": 99}),
        ({"evidence_count": 2}, {"first_seen_at": datetime(2025, 1, 1)}),  # noqa: DTZ001
        ({"first_seen_at": datetime(2025, 1, 1)}, {"identifier_a": "crm:0"}),  # noqa: DTZ001
        ({"identifier_a": "crm:0"}, {}),
    ],
    ids=["priority", "evidence", "age", "name"],
)
def test_where_only_one_may_the_edge_wins_by(
    stronger: dict[str, object], weaker: dict[str, object]
) -> None:
    one, other = ({**edge(name, "phone:a", 20), **more} for name, more in
                  (("crm:1", stronger), ("crm:2", weaker)))  # fmt: skip
    for edges in permutations((one, other)):
        world = World()
        world.see(*edges)
        (lost,) = world.decide().refused_edges.to_pylist()
        assert lost["identifier_a"] == other["identifier_a"]


def test_a_customer_has_three_phones_at_most() -> None:
    world = World()
    world.see(*(edge("crm:1", f"phone:{number}") for number in range(5)))
    found = world.decide()
    assert [namespace for *_, namespace in refused(found)] == ["phone", "phone"]


# --- manual rules ------------------------------------------------------------------------------


def test_a_link_joins_over_a_cap_and_adds_no_more_of_it() -> None:
    world = World()
    world.see(
        edge("crm:1", "phone:a"), edge("crm:2", "wx:2"), edge("crm:2", "wecom:x", WEAK),
        edge("crm:3", "phone:a", WEAK),
    )  # fmt: skip
    world.rules = [link("crm:1", "crm:2")]
    found = world.decide()
    assert world.groups == {
        frozenset({"crm:1", "crm:2", "phone:a", "wx:2", "wecom:x"}), frozenset({"crm:3"}),
    }  # fmt: skip
    assert refused(found) == [("crm:3", "phone:a", "namespace_cap", "crm")]


def test_a_link_wins_over_a_stronger_edge() -> None:
    world = World()
    world.see(edge("crm:1", "phone:a"), edge("crm:2", "wx:1"))
    world.rules = [link("phone:a", "crm:2")]
    world.decide()
    assert world.ids["phone:a"] == world.ids["crm:2"] != world.ids["crm:1"]


def test_an_unlink_parts_two_by_every_path_at_the_weakest_edges() -> None:
    world = World()
    world.see(
        edge("crm:1", "wx:1"), edge("wx:1", "wecom:x"), edge("crm:1", "phone:a", 20),
        edge("phone:a", "wecom:x", WEAK),
    )  # fmt: skip
    world.rules = [unlink("crm:1", "wecom:x")]
    found = world.decide()
    assert world.groups == {frozenset({"crm:1", "wx:1", "phone:a"}), frozenset({"wecom:x"})}
    assert len(found.refused_edges) == 2


def test_each_decision_has_one_event_and_says_whom_it_joined() -> None:
    world = decided(edge("crm:1", "phone:a"), edge("crm:2", "phone:b"))
    world.rules = [link("crm:1", "crm:2")]
    found = world.decide()
    (event,) = [row for row in found.events.to_pylist() if row["event_type"] == "manual_link"]
    assert (event["identifier"], event["other_identifier"]) == ("crm:1", "crm:2")
    assert event["customer_id"] == event["other_customer_id"] == world.ids["crm:1"]
    assert event["occurred_at"] == DAY
    assert len(world.decide().events) == 0

    world.rules = [unlink("crm:1", "crm:2")]
    assert kinds(world.decide()) == ["manual_unlink", "split"]


def test_a_rule_about_nobody_has_no_effect_until_somebody_is_seen() -> None:
    world = decided(edge("crm:1", "phone:a"))
    world.rules = [link("crm:1", "wecom:later")]
    assert world.decide().rules == []
    world.see(edge("wecom:later", "wx:1"))
    found = world.decide()
    assert len(found.rules) == 1
    assert kinds(found) == ["manual_link"]
    assert len(world.groups) == 1


# --- undoing -----------------------------------------------------------------------------------


def test_after_an_unlink_both_have_the_ids_of_before_whoever_holds_the_member_id() -> None:
    world = decided(edge("crm:1", "phone:a"), edge("wecom:x", "wx:1"), edge("wecom:y", "wx:1"))
    before, old = world.customers, dict(world.ids)
    world.rules = [link("crm:1", "wx:1")]
    world.decide()
    assert set(world.ids.values()) == {old["wx:1"]}

    world.rules = [unlink("crm:1", "wx:1")]
    world.decide()

    assert world.customers.equals(before)


def test_a_merge_of_merged_customers_is_undone_in_any_order() -> None:
    parts = [edge("crm:1", "phone:a"), edge("wecom:x", "wx:1"), edge("wecom:y", "wecom:z")]
    bridges = [link("phone:a", "wx:1"), link("wx:1", "wecom:z")]
    for undone in permutations(bridges):
        world = decided(*parts)
        before = world.customers
        for number in range(len(bridges)):
            world.rules = bridges[: number + 1]
            world.decide()
        assert len(world.groups) == 1
        for one in undone:
            world.rules = [rule for rule in world.rules if rule != one]
            world.decide()
        assert world.customers.equals(before)


def test_an_identifier_that_came_while_two_were_one_stays_where_it_belongs() -> None:
    world = decided(edge("crm:1", "phone:a"), edge("wecom:x", "wx:1"), edge("wecom:y", "wx:1"))
    old = dict(world.ids)
    world.rules = [link("crm:1", "wx:1")]
    world.decide()
    world.see(edge("crm:1", "mini:new"))
    world.decide()
    world.rules = []
    world.decide()
    assert {name: world.ids[name] for name in old} == old
    assert world.ids["mini:new"] == old["crm:1"]


def test_an_id_that_a_part_lives_on_under_is_not_given_to_another() -> None:
    world = decided(edge("phone:a", "wx:1"), edge("wx:1", "wecom:x"))
    for gone in ("phone:a", "wx:1"):
        world.edges = [one for one in world.edges if gone not in one.values()]
        world.decide()
    assert len(set(world.ids.values())) == len(world.ids)


_NAMES = [*(f"crm:{n}" for n in range(3)), *(f"phone:{n}" for n in range(3)), "wx:1", "wecom:1"]
_name = st.sampled_from(_NAMES)
_edge = st.builds(edge, _name, _name, st.sampled_from([WEAK, STRONG])).filter(
    lambda one: one["identifier_a"] != one["identifier_b"]
)
_edges = st.lists(
    _edge, max_size=12, unique_by=lambda one: (one["identifier_a"], one["identifier_b"])
)
_pair = st.sets(_name, min_size=2, max_size=2).map(sorted)


@settings(max_examples=20, deadline=None)
@given(_edges, _pair, _edges, _pair)
def test_manual_rules_hold_and_an_edge_is_refused_if_and_only_if_it_joins_nobody(
    before: list[dict[str, object]],
    linked: Sequence[str],
    after: list[dict[str, object]],
    parted: Sequence[str],
) -> None:
    world = World(*_NAMES)
    for edges in (before, after):
        world.edges = edges
        world.rules = [link(*linked)] + ([unlink(*parted)] if parted != linked else [])
        found = world.decide()
        ids = world.ids
        assert ids[linked[0]] == ids[linked[1]]
        assert parted == linked or ids[parted[0]] != ids[parted[1]]
        lost = {
            (row["identifier_a"], row["identifier_b"]) for row in found.refused_edges.to_pylist()
        }
        apart = {
            (one["identifier_a"], one["identifier_b"])
            for one in edges
            if ids[str(one["identifier_a"])] != ids[str(one["identifier_b"])]
        }
        assert lost == apart


@settings(max_examples=20, deadline=None)
@given(_edges, _pair)
def test_linking_any_two_and_taking_it_back_leaves_no_trace_in_the_map(
    edges: list[dict[str, object]], linked: Sequence[str]
) -> None:
    world = World(*_NAMES)
    world.edges = edges
    world.decide()
    before = world.customers
    world.rules = [link(*linked)]
    world.decide()
    world.rules = []
    world.decide()
    assert world.customers.equals(before)
