"""Taking in batch by batch gives what one full load gives, whatever arrives in whatever order."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from shifting_shop import ENTITIES, JUNK, content, increments, land, rows
from tiny_lake import Row, Shop, at, line, order, shop

from siyu.lake import Lake
from siyu.warehouse import Warehouse


def fresh(folder: str, name: str) -> Shop:
    return shop(Path(folder) / name, ENTITIES)


def assert_same(one: Shop, other: Shop) -> None:
    here, there = content(one), content(other)
    assert here.keys() == there.keys()
    for table in here:
        assert here[table] == there[table], table


# Shrinking would build dozens of warehouses; the seed says it all.
@settings(
    max_examples=1, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(seed=st.integers(0, 10**6), parts=st.just(3))
def test_any_increments_in_any_order_with_replays_give_what_one_full_load_gives(
    seed: int, parts: int
) -> None:
    random = Random(seed)
    made = rows(random)
    with TemporaryDirectory() as folder:
        whole, piecewise = fresh(folder, "whole"), fresh(folder, "piecewise")
        land(whole, made, {})
        whole.refresh(JUNK)
        known: dict[str, list[Row]] = {}
        for part in increments(made, parts, random):
            land(piecewise, part, known)
            piecewise.refresh(JUNK)
        assert_same(piecewise, whole)


def test_a_retracted_batch_leaves_nothing_behind(tmp_path: Path) -> None:
    random = Random(3)
    made = shop(tmp_path, ENTITIES)
    known: dict[str, list[Row]] = {}
    for part in increments(rows(random), 2, random):
        land(made, part, known)
    made.refresh(JUNK)
    made.retract("order_lines", "order_lines-1")
    made.retract("members", "members-0")
    made.refresh(JUNK)

    taken_in = content(made)
    made.refresh(JUNK, full=True)

    assert taken_in == content(made)


def test_rows_deleted_inside_a_batch_leave_nothing_behind_and_compaction_starts_nothing_over(
    tmp_path: Path,
) -> None:
    made = shop(tmp_path, ("members", "orders", "interactions", "points"))
    made.land("members", [_member("crm:1"), _member("crm:2")])
    made.land("orders", [order(f"o{n}", DAY, 5.0, member_id=f"crm:{n}") for n in (1, 2)])
    made.land("interactions", [_event(f"e{n}", member_id=f"crm:{n}") for n in (1, 2)])
    made.land("points", [_points(f"t{n}", f"crm:{n}") for n in (1, 2)])
    made.refresh()

    for entity in ("members", "orders", "interactions", "points"):
        DeltaTable(Lake(made.paths).folder(entity)).delete("member_id = 'crm:1'")
    made.refresh()

    held = made.rows("SELECT DISTINCT identifier FROM unified.customer_identifier")
    assert held == [{"identifier": "crm:2"}]
    for table in ("fct_order", "fct_interaction", "fct_point_entry", "dim_customer"):
        assert made.one(f"SELECT count(*) FROM unified.{table}") == 1, table

    _mark(made)
    made.land("points", [_points("t3", "crm:2")])
    for entity in ("orders", "points"):
        DeltaTable(Lake(made.paths).folder(entity)).optimize.compact()
    made.refresh()

    marked = made.rows("SELECT entry_id FROM unified.fct_point_entry WHERE reason = 'marked'")
    assert marked == [{"entry_id": "t2"}]


def _mark(made: Shop) -> None:
    """Change what is held of points, to see later which rows were made anew."""
    with Warehouse.of(made.settings).connect(read_only=False) as connection:
        connection.execute("UPDATE unified.fct_point_entry SET reason = 'marked'")


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
