"""Taking in batch by batch gives what one full load gives, whatever arrives in whatever order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from shifting_shop import EARLY, content, increments, land, open_shop, refresh, rows, same_keys
from tiny_lake import Row, Shop, at, line, order, shop

# Every example builds all layers once an increment, and once more for the full load.
EXAMPLES = int(os.environ.get("SIYU_EXAMPLES", "0"))


@pytest.fixture(scope="module", autouse=True)
def keys() -> Iterator[None]:
    with same_keys():
        yield


# Shrinking would build dozens of warehouses; the seed says it all.
@settings(
    max_examples=max(EXAMPLES, 1), deadline=None, database=None,
    phases=[Phase.explicit, *([Phase.generate] if EXAMPLES else [])],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@example(seed=1, parts=3, replays=5)
@given(seed=st.integers(0, 10**6), parts=st.integers(2, 6), replays=st.integers(0, 20))
def test_any_increments_in_any_order_with_replays_give_what_one_full_load_gives(
    seed: int, parts: int, replays: int
) -> None:
    random = Random(seed)
    made = rows(random)
    with TemporaryDirectory() as folder:
        whole, piecewise = (open_shop(Path(folder) / name) for name in ("whole", "piecewise"))
        land(whole, made)
        refresh(whole, [EARLY])
        for number, part in enumerate(increments(made, parts, replays, random)):
            land(piecewise, part)
            refresh(piecewise, [EARLY] if number == 0 else [])
        assert_same(piecewise, whole)


def assert_same(one: Shop, other: Shop) -> None:
    here, there = content(one), content(other)
    assert here.keys() == there.keys()
    for table in here:
        assert here[table] == there[table], table


def test_customers_who_turn_out_to_be_one_take_their_earlier_rows_along(tmp_path: Path) -> None:
    made = shop(tmp_path, ("members", "orders", "order_lines", "interactions", "points"))
    made.land("members", [_member("crm:1"), _member("crm:2")])
    made.land("orders", [order("o1", DAY, 5.0, member_id="crm:1"), order("o2", DAY, 5.0)])
    made.land("order_lines", [line("o1", 1, DAY, 5.0), line("o2", 1, DAY, 5.0, member_id="crm:2")])
    made.land("interactions", [_event("e1", member_id="crm:1"), _event("e2", member_id="crm:2")])
    made.land("points", [_points("t1", "crm:1"), _points("t2", "crm:2")])
    made.refresh()
    assert {len(_customers(made, table)) for table in FACTS} == {2}

    made.land(
        "members",
        [_member(who, phone_token="phone:a", _known_at=at("2026-01-09 03:00"),
                 updated_at=at("2026-01-09 03:00")) for who in ("crm:1", "crm:2")],
        superseding=2,
    )  # fmt: skip
    made.refresh()

    assert {len(_customers(made, table)) for table in FACTS} == {1}
    # What every fact had applied before is not kept.
    assert made.one("SELECT count(DISTINCT change_id) FROM applied.identity_change") == 1
    assert made.one(
        "SELECT count(*) FROM unified.fct_point_entry AS p "
        "JOIN unified.customer_identifier AS i ON p.member_id = i.identifier "
        "WHERE p.customer_id <> i.customer_id"
    ) == 0  # fmt: skip


DAY = "2026-01-05 03:00"
FACTS = ("fct_order_line", "fct_interaction", "fct_point_entry")


def _customers(made: Shop, table: str) -> set[str]:
    found = made.rows(f"SELECT DISTINCT customer_id FROM unified.{table}")
    return {row["customer_id"] for row in found}


def _member(member_id: str, **more: object) -> Row:
    return {"member_id": member_id, "registered_at": at(DAY), "updated_at": at(DAY), **more}


def _event(event_id: str, **more: object) -> Row:
    return {"event_id": event_id, "event_name": "view", "channel": "mini_program",
            "occurred_at": at(DAY), **more}  # fmt: skip


def _points(entry_id: str, member_id: str) -> Row:
    return {"entry_id": entry_id, "member_id": member_id, "change": 1, "reason": "purchase",
            "occurred_at": at(DAY)}  # fmt: skip
