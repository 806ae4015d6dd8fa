"""A table that takes in batches starts over where a batch is not all that has changed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from deltalake import DeltaTable
from shifting_shop import content, increments, land, open_shop, refresh, rows, same_keys
from tiny_lake import LOADED, Row, Shop, at, order, shop

from siyu.contracts import contract
from siyu.ingestion.migration import migrate
from siyu.lake import Lake
from siyu.warehouse import Warehouse

DAY, LATER = "2026-01-05 03:00", "2026-01-09 03:00"
# One fact and all that it needs: a whole layer takes seconds.
FACT = "fct_point_entry"
POINTS = ("superseded_row", "stg_points", "customer_identifier", FACT)


def test_a_retracted_batch_leaves_nothing_behind(tmp_path: Path) -> None:
    random = Random(3)
    with same_keys():
        made = open_shop(tmp_path)
        for part in increments(rows(random), 2, 5, random):
            land(made, part)
        refresh(made)
        for entity, number in (("order_lines", 1), ("members", 0)):
            made.retract(entity, Lake(made.paths).manifests(entity)[number].batch_id)
        refresh(made)

        taken_in = content(made)
        refresh(made, anew=True)

        assert taken_in == content(made)


def test_rows_deleted_inside_a_batch_leave_nothing_behind(tmp_path: Path) -> None:
    made = shop(tmp_path, ("members", "orders", "interactions", "points"))
    members = ("crm:1", "crm:2")
    made.land("members", [{"member_id": who, "registered_at": at(DAY)} for who in members])
    made.land("orders", [order(f"o-{who}", DAY, 5.0, member_id=who) for who in members])
    made.land(
        "interactions",
        [{"event_id": f"e-{who}", "event_name": "view", "channel": "mini_program",
          "occurred_at": at(DAY), "member_id": who} for who in members],
    )  # fmt: skip
    made.land("points", [_entry(f"t-{who}", member_id=who) for who in members])
    made.refresh()

    for entity in ("members", "orders", "interactions", "points"):
        DeltaTable(Lake(made.paths).folder(entity)).delete("member_id = 'crm:1'")
    made.refresh()

    held = made.rows("SELECT DISTINCT identifier FROM unified.customer_identifier")
    assert held == [{"identifier": "crm:2"}]
    for table in ("fct_order", "fct_interaction", FACT, "dim_customer"):
        assert made.one(f"SELECT count(*) FROM unified.{table}") == 1, table


@pytest.fixture
def points(tmp_path: Path) -> Shop:
    """A shop with one entry of points, taken in."""
    made = shop(tmp_path / "shop", ("points",))
    made.land("points", [_entry("t1")])
    take_in(made)
    return made


def test_a_migration_of_the_contract_reaches_rows_that_were_taken_in(
    points: Shop, tmp_path: Path
) -> None:
    (tmp_path / "points_v1_to_v2.sql").write_text(
        "SELECT * REPLACE (CAST(change * 10 AS BIGINT) AS change) FROM previous"
    )
    newer = contract("points").model_copy(update={"contract_version": 2})
    assert migrate(Lake(points.paths), newer, "run", LOADED, tmp_path) is not None
    take_in(points)

    taken_in = entries(points)
    take_in(points, anew=True)

    assert [row["change"] for row in taken_in] == [10]
    assert taken_in == entries(points)


def test_compaction_starts_nothing_over(points: Shop) -> None:
    spoil(points)
    points.land("points", [_entry("t2")])
    DeltaTable(Lake(points.paths).folder("points")).optimize.compact()
    take_in(points)

    assert [(row["entry_id"], row["reason"]) for row in entries(points)] == [
        ("t1", "spoilt"), ("t2", "purchase"),
    ]  # fmt: skip


def test_what_somebody_spoilt_is_right_again_when_all_is_made_anew(tmp_path: Path) -> None:
    made = shop(tmp_path, ("orders",))
    made.land("orders", [order("o1", DAY, 5.0)])
    made.register()
    made.make("+fct_order")
    with Warehouse.of(made.settings).connect(read_only=False) as connection:
        connection.execute("UPDATE unified.fct_order SET net_amount = 99")

    made.make("+fct_order", anew=True)

    assert made.one("SELECT net_amount FROM unified.fct_order") == 5


def test_a_batch_that_staging_had_not_seen_when_other_code_built_a_fact_is_in_it_once(
    points: Shop,
) -> None:
    points.land("points", [_entry("t2")])
    points.register()
    points.make(FACT, code="other")

    take_in(points, code="other")

    assert [row["entry_id"] for row in entries(points)] == ["t1", "t2"]


def test_what_a_retracted_batch_replaced_is_back_though_the_fact_was_built_before_staging(
    points: Shop,
) -> None:
    points.land("points", [_entry("t1", change=7, _known_at=at(LATER))], superseding=1)
    take_in(points)
    assert [row["change"] for row in entries(points)] == [7]
    points.retract("points", "points-1")
    points.register()
    points.make(FACT)

    take_in(points)

    assert [row["change"] for row in entries(points)] == [1]


def take_in(made: Shop, **variables: object) -> None:
    """What has landed, up to the one fact."""
    made.register()
    made.make(*POINTS, **variables)


def entries(made: Shop) -> list[Row]:
    return list(made.rows(f"FROM unified.{FACT} ORDER BY ALL"))


def spoil(made: Shop) -> None:
    """Change what is held, to see later which rows were made anew."""
    with Warehouse.of(made.settings).connect(read_only=False) as connection:
        connection.execute(f"UPDATE unified.{FACT} SET reason = 'spoilt'")


def _entry(entry_id: str, **more: object) -> Row:
    return {"entry_id": entry_id, "member_id": "crm:1", "change": 1, "reason": "purchase",
            "occurred_at": at(DAY), **more}  # fmt: skip
