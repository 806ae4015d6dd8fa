"""Features of a date hold what was known then: no more, whatever happens or arrives later."""

from __future__ import annotations

import shutil
from pathlib import Path

from busy_shop import EARLY, LATE, MIDDLE, FeatureShop, Row
from tiny_lake import at, line, order


def differences(found: list[Row], expected: list[Row]) -> list[tuple[object, str, object, object]]:
    """Customer, column and both values wherever two builds of one date differ."""
    assert [row["customer_id"] for row in found] == [row["customer_id"] for row in expected]
    return [
        (was["customer_id"], name, now[name], was[name])
        for now, was in zip(found, expected, strict=True)
        for name in was
        if now[name] != was[name]
    ]


def test_deleting_everything_that_came_after_a_date_changes_nothing(
    busy: FeatureShop, tmp_path: Path
) -> None:
    """Nothing: neither what happened nor who was who."""
    before = busy.features(MIDDLE)
    shortened = busy.copy(tmp_path)
    shutil.rmtree(shortened.paths.identity)
    shortened.forget_after(MIDDLE)
    assert shortened.one("SELECT count(*) FROM lake.orders") < busy.one(
        "SELECT count(*) FROM lake.orders"
    )
    shortened.resolve()
    # Registering the new map has shown the whole lake again.
    shortened.forget_after(MIDDLE)
    shortened.rebuild(MIDDLE)
    assert len(before) > 20
    assert differences(shortened.features(MIDDLE), before) == []


def test_rows_that_arrive_late_change_later_dates_and_leave_earlier_ones_as_they_are(
    busy: FeatureShop, tmp_path: Path
) -> None:
    shop = busy.copy(tmp_path)
    late = at("2026-02-05 03:00")
    shop.land("orders", [
        order("late1", "2026-01-12 03:00", 999.0, member_id="crm:90", _known_at=late),
    ])  # fmt: skip
    shop.land("orders", [
        order("w2", "2026-01-15 03:00", 50.0, member_id="crm:90", status="cancelled",
              updated_at=late, _known_at=late),
    ], superseding=1)  # fmt: skip
    shop.land("order_lines", [
        line("late1", 1, "2026-01-12 03:00", 999.0, product_id="p4", _known_at=late),
    ])  # fmt: skip
    shop.land("interactions", [
        {"event_id": "late2", "event_name": "share", "channel": "mini_program",
         "openid": "mini:90", "occurred_at": at("2026-01-13 03:00"), "_known_at": late},
    ])  # fmt: skip
    shop.register()
    shop.rebuild(EARLY, MIDDLE, LATE)

    for day in (EARLY, MIDDLE):
        assert differences(shop.features(day), busy.features(day)) == []
    was, became = busy.customer(LATE, "crm:90"), shop.customer(LATE, "crm:90")
    assert became["order_count"] == was["order_count"]  # one more, one cancelled
    assert became["net_revenue"] == was["net_revenue"] + 999 - 50
    assert became["products_365d"] == was["products_365d"] + 1
    assert became["shares_90d"] == was["shares_90d"] + 1


def test_rebuilding_one_date_leaves_the_others_and_repeats_itself(
    busy: FeatureShop, tmp_path: Path
) -> None:
    shop = busy.copy(tmp_path)
    shop.rebuild(MIDDLE)
    for day in (EARLY, MIDDLE, LATE):
        assert differences(shop.features(day), busy.features(day)) == []
