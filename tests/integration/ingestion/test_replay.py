"""Rows leave quarantine when the mapping is mended or the file sent again, and count once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from made_up_shop import NOW, POINTS, POINTS_CSV, Shop, ledger_csv, make_shop, outcomes

from siyu.ingestion import Replay, replay
from siyu.quality import lateness, quarantine, released

GOOD = "e1,m1,10,purchase,2026-06-01 10:00:00"
BAD = "e2,m2,20,bought,2026-06-02 10:00:00"
MENDED = BAD.replace("bought", "purchase")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with one row accepted and one in quarantine."""
    made = make_shop(tmp_path)
    made.input("ledger", **POINTS_CSV)
    made.mapping("points", POINTS)
    made.write("ledger/1.csv", ledger_csv(GOOD, BAD))
    made.landed("points")
    return made


def again(shop: Shop) -> Replay:
    return replay(shop.settings, shop.retailer, "points", "run-2", NOW + timedelta(days=1))


def standing(shop: Shop) -> list[tuple[str, int, float]]:
    found = quarantine(shop.paths, shop.retailer).to_pylist()
    return [(row["status"], row["rows"], row["share"]) for row in found]


def statuses(shop: Shop) -> list[tuple[str, str]]:
    found = quarantine(shop.paths, shop.retailer).to_pylist()
    return [(row["status"], row["rule"]) for row in found]


def balanced(shop: Shop) -> bool:
    return all(
        m.rows_in == m.accepted + m.duplicates + m.quarantined + m.suppressed
        for m in shop.lake.manifests("points")
    )


def test_a_rejected_row_is_open_and_shown_without_its_payload(shop: Shop) -> None:
    (row,) = quarantine(shop.paths, shop.retailer).to_pylist()

    assert (row["entity"], row["source"], row["rule"], row["column"], row["status"]) == (
        "points", "ledger", "enum", "reason", "open",
    )  # fmt: skip
    assert (row["rows"], row["rows_in"], row["share"]) == (1, 2, 0.5)
    assert row["loaded_date"].isoformat() == "2026-06-30"


def test_a_mended_mapping_releases_rows_and_counts_them_once(shop: Shop) -> None:
    shop.mapping(
        "points", POINTS.replace("reason,", "replace(reason, 'bought', 'purchase') AS reason,")
    )

    done = again(shop)

    assert done.unreleased == ()
    assert [outcomes(m) for m in shop.lake.manifests("points")] == [{"rows_in": 2, "accepted": 2}]
    assert shop.rows("points", "entry_id") == [("e1",), ("e2",)]
    assert standing(shop) == [("released", 1, 0.5)]


def test_a_file_sent_again_mended_releases_its_rows(shop: Shop) -> None:
    shop.write("ledger/1.csv", ledger_csv(GOOD, MENDED))

    done = again(shop)

    assert [outcomes(m) for m in shop.lake.manifests("points")] == [
        {"rows_in": 2, "accepted": 1, "quarantined": 1},
        {"rows_in": 2, "accepted": 1, "duplicates": 1},
    ]
    assert balanced(shop)
    assert shop.rows("points", "entry_id") == [("e1",), ("e2",)]
    assert standing(shop) == [("released", 1, 0.5)]
    assert released(shop.paths).column("rows").to_pylist() == [1]
    assert done.unreleased == ()


def test_of_a_batch_only_the_rows_that_are_not_mended_stay_in_quarantine(shop: Shop) -> None:
    shop.write("ledger/1.csv", ledger_csv(GOOD, BAD, BAD.replace("e2", "e3")))
    shop.landed("points", NOW + timedelta(hours=1))
    shop.write("ledger/1.csv", ledger_csv(GOOD, MENDED))

    (left,) = again(shop).unreleased

    # The first batch held e2 only, the second e2 and e3.
    assert (left.rows, left.gone) == (1, ("1.csv",))


UNREADABLE = "e2,m2,20"


def test_a_record_that_cannot_be_read_is_released_when_its_file_is_sent_again(shop: Shop) -> None:
    shop.write("ledger/2.csv", ledger_csv(UNREADABLE, "e7,m1,1,purchase,2026-06-03 10:00:00"))
    shop.landed("points", NOW + timedelta(hours=1))
    shop.write("ledger/3.csv", ledger_csv("e8,m1,1,purchase,2026-06-03 10:00:00"))
    shop.landed("points", NOW + timedelta(hours=2))
    assert ("open", "malformed_record") in statuses(shop)

    shop.write("ledger/2.csv", ledger_csv(MENDED, "e7,m1,1,purchase,2026-06-03 10:00:00"))
    done = again(shop)

    assert statuses(shop) == [("released", "enum"), ("released", "malformed_record")]
    assert done.unreleased == ()


def test_what_is_still_broken_in_a_file_that_is_sent_again_is_open_once(shop: Shop) -> None:
    shop.write("ledger/2.csv", ledger_csv(UNREADABLE))
    shop.landed("points", NOW + timedelta(hours=1))
    shop.write("ledger/2.csv", ledger_csv(UNREADABLE, "e7,m1,1,purchase,2026-06-03 10:00:00"))
    again(shop)

    found = statuses(shop)

    assert sorted(found) == [
        ("open", "enum"), ("open", "malformed_record"), ("released", "malformed_record"),
    ]  # fmt: skip


def test_a_replay_of_nothing_mended_changes_nothing_and_says_why(shop: Shop) -> None:
    before = shop.lake.version("points")

    done = again(shop)

    assert shop.lake.version("points") == before
    (left,) = done.unreleased
    assert "rejected by the present mapping" in left.reason
    assert standing(shop) == [("open", 1, 0.5)]


def test_a_file_that_is_gone_is_named_with_what_to_do(shop: Shop) -> None:
    (shop.folder / "source/ledger/1.csv").unlink()
    shop.write("ledger/2.csv", ledger_csv("e9,m1,1,purchase,2026-06-03 10:00:00"))
    shop.mapping(
        "points", POINTS.replace("reason,", "replace(reason, 'bought', 'purchase') AS reason,")
    )

    done = again(shop)

    (left,) = done.unreleased
    assert left.gone == ("1.csv",)
    assert "1.csv is gone" in left.reason
    assert "deliver the file again" in left.reason
    assert standing(shop) == [("open", 1, 0.5)]

    shop.write("ledger/under_another_name.csv", ledger_csv(GOOD, BAD))
    assert again(shop).unreleased == ()
    assert balanced(shop)
    assert shop.rows("points", "entry_id") == [("e1",), ("e2",), ("e9",)]


def test_lateness_is_in_hours_by_the_day_of_knowing(shop: Shop) -> None:
    shop.write("ledger/2.csv", ledger_csv(
        "e5,m1,1,purchase,2026-06-30 06:00:00", "e6,m1,1,purchase,2026-06-29 12:00:00",
    ))  # fmt: skip
    shop.landed("points", NOW)  # noon of the 30th in Shanghai

    newest = lateness(shop.paths, shop.retailer).to_pylist()[-1]

    assert (newest["source"], newest["known_date"].isoformat(), newest["rows"]) == (
        "ledger", "2026-06-30", 2,
    )  # fmt: skip
    assert (newest["p50_hours"], newest["max_hours"]) == (15.0, 24.0)
