"""Labels that are made anew only where something changed are those of a full refresh."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from busy_shop import EARLY, LATE, MIDDLE, MODELS, FeatureShop, Row
from tiny_lake import at, order

from siyu.transform import dbt_vars, run_dbt
from siyu.warehouse import Warehouse

BEFORE = LATE - timedelta(days=9)


def relabel(
    shop: FeatureShop, as_of: date = LATE, full: bool = False, dates: Sequence[date] = ()
) -> list[Row]:
    """The labels as a run as of a day leaves them, in order."""
    variables = dbt_vars(shop.retailer, as_of, dates) | {"models": MODELS}
    how = ["--full-refresh"] if full else []
    run = run_dbt(shop.settings, ["run", "--select", "customer_labels", *how], variables)
    assert run.success, [r.message for r in run.results]
    return shop.rows("SELECT * FROM features.customer_labels ORDER BY ALL")


def take_in(shop: FeatureShop) -> None:
    """What has landed, up to unified."""
    shop.register()
    shop.resolve()
    shop.run("+fct_order", "+identity_stay")


def test_late_orders_corrections_and_merges_change_mature_labels_as_a_full_refresh_would(
    busy: FeatureShop, tmp_path: Path
) -> None:
    shop = busy.copy(tmp_path)
    before = relabel(shop)
    known = at("2026-02-25 03:00")
    shop.land("orders", [
        # A customer who had bought; one who had not, before the first date; and one whom nobody knew.
        order("late1", "2026-01-12 03:00", 999.0, member_id="crm:90", _known_at=known),
        order("late2", "2026-01-02 03:00", 7.0, member_id="crm:91", _known_at=known),
        order("late3", "2026-01-03 03:00", 7.0, unionid="wx:new", _known_at=known),
    ])  # fmt: skip
    shop.land("orders", [
        order("w5", "2026-02-10 03:00", 40.0, member_id="crm:90", status="cancelled",
              updated_at=known, _known_at=known),
        # From one customer to another.
        order("w2", "2026-01-15 03:00", 50.0, member_id="crm:91", updated_at=known, _known_at=known),
    ], superseding=2)  # fmt: skip
    shop.land("contacts", [
        {"external_userid": "wecom:1", "staff_id": "s2", "unionid": "wx:2",
         "added_at": at("2026-01-03 03:00"), "updated_at": known},
    ])  # fmt: skip
    take_in(shop)

    taken_in = relabel(shop)

    assert taken_in != before
    assert taken_in == relabel(shop, full=True)


def test_a_link_that_turns_out_to_have_been_known_before_changes_labels_as_a_full_refresh_would(
    busy: FeatureShop, tmp_path: Path
) -> None:
    shop = busy.copy(tmp_path)
    before = relabel(shop)
    known = at("2026-01-25 03:00")
    # A row that is not counted, of customers whose orders are what they were.
    shop.land("orders", [
        order("y0", "2026-01-25 03:00", 1.0, member_id="crm:95", buyer_id="mall:95",
              status="cancelled", _known_at=known),
    ])  # fmt: skip
    take_in(shop)

    taken_in = relabel(shop)

    gone = [row for row in before if row not in taken_in]
    assert {row["as_of_date"] for row in gone} == {MIDDLE}
    assert taken_in == relabel(shop, full=True)


def test_a_window_that_has_passed_since_is_labelled_and_as_of_an_earlier_day_not_yet(
    busy: FeatureShop, tmp_path: Path
) -> None:
    shop = busy.copy(tmp_path)
    now = relabel(shop)

    earlier = relabel(shop, BEFORE)
    assert earlier != now
    assert relabel(shop) == now
    assert relabel(shop, BEFORE, full=True) == earlier


def test_what_nothing_touches_is_left_as_it_is(busy: FeatureShop, tmp_path: Path) -> None:
    shop = busy.copy(tmp_path)
    relabel(shop)
    with Warehouse.of(shop.settings).connect(read_only=False) as connection:
        connection.execute("UPDATE features.customer_labels SET spend_next_h = -1")

    marked = {
        row["as_of_date"] for row in relabel(shop, dates=[MIDDLE]) if row["spend_next_h"] == -1
    }

    assert marked == {EARLY, LATE}
