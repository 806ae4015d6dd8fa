"""How many of WeCom's callbacks got lost, from what pulls saw and what came."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

from tiny_lake import Shop, shop

from siyu.transform import run_dbt

ADD = "add_external_contact"
NOON = datetime.fromisoformat("2026-06-01T04:00")  # in UTC
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

Found = dict[date, tuple[int, int]]


def loss(
    folder: Path, contacts: dict[str, datetime], callbacks: list[tuple[str, str, datetime]]
) -> Found:
    """Contacts added and callbacks lost by day, of contacts of one member of staff."""
    made = shop(folder, ["contacts", "interactions"])
    made.land(
        "contacts",
        [
            {"external_userid": name, "staff_id": "anna", "added_at": moment}
            for name, moment in contacts.items()
        ],
    )
    made.land(
        "interactions",
        [
            {
                "event_id": f"e{nth}", "event_name": kind, "channel": "wecom",
                "external_userid": name, "staff_id": "anna", "occurred_at": moment,
            }
            for nth, (name, kind, moment) in enumerate(callbacks)
        ],
    )  # fmt: skip
    return built(made)


def built(made: Shop) -> Found:
    made.register()
    run = run_dbt(made.settings, ["build", "--select", "+wecom_callback_loss"], made.variables())
    assert run.success, [result.message for result in run.results]
    rows = made.rows("SELECT * FROM ops.wecom_callback_loss")
    assert all(row["lost_share"] == row["callbacks_lost"] / row["contacts_added"] for row in rows)
    return {row["added_date"]: (row["contacts_added"], row["callbacks_lost"]) for row in rows}


def test_an_add_without_an_add_callback_of_its_own_is_lost_on_its_local_day(tmp_path: Path) -> None:
    polled = {
        "a": NOON, "b": NOON + HOUR, "c": NOON + 2 * HOUR, "again": NOON + 6 * HOUR,
        "late": NOON + 13 * HOUR, "d": NOON + DAY,
    }  # fmt: skip
    came = [
        ("a", ADD, NOON),
        ("a", ADD, NOON),  # sent twice
        ("b", "add_half_external_contact", NOON + HOUR + timedelta(seconds=2)),
        ("c", "edit_external_contact", NOON + 2 * HOUR),  # no add
        ("again", ADD, NOON),  # of the time before
        ("late", ADD, NOON + 13 * HOUR),  # one in the morning in Shanghai
        ("d", ADD, NOON + DAY),
    ]
    assert loss(tmp_path, polled, came) == {date(2026, 6, 1): (4, 2), date(2026, 6, 2): (2, 0)}


def test_only_the_span_in_which_callbacks_came_counts(tmp_path: Path) -> None:
    polled = {"before": NOON - HOUR, "in": NOON + HOUR, "after": NOON + 3 * HOUR}
    came = [("x", "del_follow_user", NOON), ("y", "never_heard_of", NOON + 2 * HOUR)]
    assert loss(tmp_path, polled, came) == {date(2026, 6, 1): (1, 1)}


def test_without_callbacks_nothing_is_said(tmp_path: Path) -> None:
    assert loss(tmp_path, {"a": NOON}, []) == {}
